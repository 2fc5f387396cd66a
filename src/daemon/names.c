/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <duress/proxy/listen.h>

struct name {
    struct names *names;
    struct duress_listen_lookup *lookup; /* NULL but while it runs */
    struct name *next;
    char host[ADDRESS_HOST_BYTES_MAX];
    bool asked;
    bool found;
    struct sockaddr_storage address;
};

static struct name *name_find(const struct names *names, const char *host)
{
    struct name *at = names->first;
    while (at != NULL && strcmp(at->host, host) != 0)
        at = at->next;
    return at;
}

enum names_result duress__names_address(const struct names *names, const struct address_parts *parts,
                                        struct address *address)
{
    if (duress__address_numeric(parts, address))
        return NAMES_FOUND;
    if (strcasecmp(parts->host, "localhost") == 0) {
        struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        duress__address_found(parts, (const struct sockaddr *)&loopback, address);
        return NAMES_FOUND;
    }
    const struct name *name = name_find(names, parts->host);
    if (name == NULL || !name->asked)
        return NAMES_UNKNOWN;
    if (!name->found)
        return NAMES_NOT_FOUND;
    duress__address_found(parts, (const struct sockaddr *)&name->address, address);
    return NAMES_FOUND;
}

int duress__names_want(struct names *names, const char *host)
{
    if (name_find(names, host) != NULL)
        return DURESS_OK;
    struct name *made = duress_allocate_zeroed(names->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    memcpy(made->host, host, strnlen(host, sizeof made->host - 1));
    made->names = names;
    made->next = names->first;
    names->first = made;
    return DURESS_OK;
}

static void name_answered(void *context, const struct duress_listen_answer *answer)
{
    struct name *name = context;
    struct names *names = name->names;
    name->lookup = NULL;
    name->found = answer->problem == DURESS_LISTEN_FINE;
    if (name->found)
        name->address = answer->address.address;
    if (--names->pending_count == 0)
        names->done(names->context);
}

bool duress__names_begin(struct names *names)
{
    char text[ADDRESS_HOST_BYTES_MAX + 8];
    for (struct name *at = names->first; at != NULL; at = at->next) {
        if (at->asked)
            continue;
        at->asked = true;
        (void)snprintf(text, sizeof text, "%s:0", at->host);
        /* What cannot even be asked counts as not found. */
        if (duress_listen_lookup(names->loop, text, 0, name_answered, at, &at->lookup) == DURESS_OK)
            names->pending_count++;
    }
    return names->pending_count > 0;
}

void duress__names_clear(struct names *names)
{
    for (struct name *at = names->first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        duress_listen_lookup_cancel(at->lookup);
        duress_release(names->allocator, at);
    }
    names->first = NULL;
    names->pending_count = 0;
}
