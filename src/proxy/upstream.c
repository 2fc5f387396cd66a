/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include <stdio.h>
#include <string.h>

#include <duress/error.h>

#define SERVICE_BYTES_MAX 32
#define HOST_BYTES_MAX 256

struct upstream {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct address_list *addresses; /* NULL: the name is looked up */
    bool is_valid;
    struct lookup *lookup;      /* under way; NULL */
    struct dial *first_waiting; /* for it */
    dial_told_fn told;
    char host[HOST_BYTES_MAX];
    char service[SERVICE_BYTES_MAX];
};

/* --- what the text says --- */

static bool text_split(struct upstream *upstream, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    const char *host = text;
    size_t host_bytes = (size_t)(colon - text);
    if (host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']') {
        host++;
        host_bytes -= 2;
    }
    size_t service_bytes = strlen(colon + 1);
    if (host_bytes >= sizeof upstream->host || service_bytes >= sizeof upstream->service || service_bytes == 0)
        return false;
    memcpy(upstream->host, host, host_bytes);
    memcpy(upstream->service, colon + 1, service_bytes);
    if (host_bytes == 0)
        memcpy(upstream->host, "localhost", sizeof "localhost"); /* as connect(2) to the wildcard address */
    return true;
}

/* RFC 6761, 6.3: it is never anything but loopback, so nobody needs to be asked. */
static bool localhost_take(const struct upstream *upstream, struct address_list *list)
{
    char four[sizeof "127.0.0.1:" + SERVICE_BYTES_MAX];
    char six[sizeof "[::1]:" + SERVICE_BYTES_MAX];
    if (strcmp(upstream->host, "localhost") != 0)
        return false;
    (void)snprintf(four, sizeof four, "127.0.0.1:%s", upstream->service);
    (void)snprintf(six, sizeof six, "[::1]:%s", upstream->service);
    list->count = 2;
    return duress__proxy_endpoint_parse(four, &list->addresses[0]) &&
           duress__proxy_endpoint_parse(six, &list->addresses[1]);
}

struct upstream *duress__upstream_new(struct duress_loop *loop, const struct duress_allocator *allocator,
                                      const char *text, dial_told_fn told)
{
    struct upstream *upstream = duress_allocate_zeroed(allocator, 1, sizeof *upstream);
    struct address_list *list = duress__address_list_new(allocator);
    if (upstream == NULL || list == NULL) {
        duress_release(allocator, upstream);
        duress_release(allocator, list);
        return NULL;
    }
    upstream->allocator = allocator;
    upstream->loop = loop;
    upstream->told = told;
    upstream->is_valid = true;
    if (duress__proxy_endpoint_parse(text, &list->addresses[0])) {
        list->count = 1;
        upstream->addresses = list;
        return upstream;
    }
    upstream->is_valid = text_split(upstream, text);
    if (upstream->is_valid && localhost_take(upstream, list))
        upstream->addresses = list;
    else
        duress__address_list_release(list);
    return upstream;
}

void duress__upstream_free(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    DURESS_ASSERT(upstream->first_waiting == NULL);
    duress__proxy_lookup_abandon(upstream->lookup);
    duress__address_list_release(upstream->addresses);
    duress_release(upstream->allocator, upstream);
}

/* --- dialing --- */

static void upstream_found(void *context, int error, struct address_list *list)
{
    struct upstream *upstream = context;
    upstream->lookup = NULL;
    while (upstream->first_waiting != NULL) {
        struct dial *dial = upstream->first_waiting;
        upstream->first_waiting = dial->next_waiting;
        dial->next_waiting = NULL;
        dial->waits = false;
        if (error == DURESS_OK)
            dial->addresses = duress__address_list_keep(list);
        upstream->told(dial, error);
    }
    duress__address_list_release(list);
}

int duress__upstream_dial(struct upstream *upstream, struct dial *dial)
{
    dial->next = 0;
    if (!upstream->is_valid)
        return DURESS_E_INVALID;
    if (upstream->addresses != NULL) {
        dial->addresses = duress__address_list_keep(upstream->addresses);
        return DURESS_OK;
    }
    if (upstream->lookup == NULL) {
        int error = duress__proxy_lookup_begin(upstream->loop, upstream->host, upstream->service, upstream_found,
                                               upstream, &upstream->lookup);
        if (error != DURESS_OK)
            return error == DURESS_E_AGAIN ? DURESS_E_OVERLOADED : error;
    }
    dial->waits = true;
    dial->next_waiting = upstream->first_waiting;
    upstream->first_waiting = dial;
    return DURESS_E_AGAIN;
}

void duress__upstream_undial(struct upstream *upstream, struct dial *dial)
{
    duress__address_list_release(dial->addresses);
    dial->addresses = NULL;
    if (!dial->waits)
        return;
    struct dial **place = &upstream->first_waiting;
    while (*place != dial) /* NOLINT(clang-analyzer-core.NullDereference): |dial| is in it */
        place = &(*place)->next_waiting;
    *place = dial->next_waiting;
    dial->next_waiting = NULL;
    dial->waits = false;
}
