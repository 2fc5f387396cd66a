/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be asked of a live world, and the words in which the rest is refused. */
#include "live_private.h"
#include "option.h"

#define NAME_TIMEOUT_NS_MAX (3600 * DURESS_S)
#define BUSY_POLL_NS_MAX DURESS_S
enum { NAME_TRIES_MAX = 10 };

/* 0 is the default. */
static bool number_check(const char *field, uint64_t given, uint64_t low, uint64_t high, struct duress_failure *why)
{
    return given == 0 || duress__option_in_range(field, given, low, high, why);
}

static bool name_server_is_valid(const char *begin, size_t length)
{
    char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
    struct duress_address address;
    if (length >= sizeof text)
        return false;
    memcpy(text, begin, length);
    text[length] = '\0';
    if (duress_address_parse(text, &address))
        return address.family != DURESS_FAMILY_UNIX && address.port != 0;
    return duress_address_from_host(text, 0, &address);
}

/* c-ares would ask the machine's name servers for "", take 1.2.3 for an address, and ports modulo 2^16. */
static bool name_servers_check(const char *list, struct duress_failure *why)
{
    for (;;) {
        size_t length = strcspn(list, ",");
        if (!name_server_is_valid(list, length)) {
            if (why != NULL)
                duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                                   "name_servers: \"%.*s\" given, allowed is an address as 127.0.0.1:5300 or [::1]",
                                   (int)(length < 64 ? length : 64), list);
            return false;
        }
        if (list[length] == '\0')
            return true;
        list += length + 1;
    }
}

bool duress__live_options_check(const struct duress_world_live_options *options, struct duress_failure *why)
{
    return number_check("name_timeout_ns", options->name_timeout_ns, DURESS_MS, NAME_TIMEOUT_NS_MAX, why) &&
           number_check("name_tries", options->name_tries, 1, NAME_TRIES_MAX, why) &&
           number_check("busy_poll_ns", options->busy_poll_ns, 1, BUSY_POLL_NS_MAX, why) &&
           (options->name_servers == NULL || name_servers_check(options->name_servers, why));
}
