/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <netinet/in.h>
#include <string.h>
#include <uv.h>

struct lookup {
    uv_getaddrinfo_t request;
    struct lookup_table *table;
    struct lookup *next;
    char host[ADDRESS_HOST_BYTES_MAX];
    bool asked;
    bool found;
    struct sockaddr_storage address;
};

static struct lookup *lookup_find(const struct lookup_table *table, const char *host)
{
    struct lookup *at = table->first;
    while (at != NULL && strcmp(at->host, host) != 0)
        at = at->next;
    return at;
}

enum lookup_result duress__lookup_address(const struct lookup_table *table, const struct address_parts *parts,
                                          struct address *address)
{
    if (duress__address_numeric(parts, address))
        return LOOKUP_FOUND;
    if (strcasecmp(parts->host, "localhost") == 0) {
        struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        duress__address_found(parts, (const struct sockaddr *)&loopback, address);
        return LOOKUP_FOUND;
    }
    const struct lookup *lookup = lookup_find(table, parts->host);
    if (lookup == NULL)
        return LOOKUP_UNKNOWN;
    if (!lookup->found)
        return LOOKUP_NOT_FOUND;
    duress__address_found(parts, (const struct sockaddr *)&lookup->address, address);
    return LOOKUP_FOUND;
}

int duress__lookup_want(struct lookup_table *table, const char *host)
{
    if (lookup_find(table, host) != NULL)
        return DURESS_OK;
    struct lookup *made = duress_allocate_zeroed(table->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    memcpy(made->host, host, strnlen(host, sizeof made->host - 1));
    made->table = table;
    made->next = table->first;
    table->first = made;
    return DURESS_OK;
}

/* The first address of IPv4, else of IPv6. */
static const struct addrinfo *answer_choose(const struct addrinfo *answers)
{
    const struct addrinfo *six = NULL;
    for (const struct addrinfo *at = answers; at != NULL; at = at->ai_next) {
        if (at->ai_family == AF_INET)
            return at;
        if (at->ai_family == AF_INET6 && six == NULL)
            six = at;
    }
    return six;
}

static void lookup_answered(uv_getaddrinfo_t *request, int status, struct addrinfo *answers)
{
    struct lookup *lookup = request->data;
    struct lookup_table *table = lookup->table;
    const struct addrinfo *chosen = status == 0 ? answer_choose(answers) : NULL;
    if (chosen != NULL)
        memcpy(&lookup->address, chosen->ai_addr, chosen->ai_addrlen);
    lookup->found = chosen != NULL;
    uv_freeaddrinfo(answers);
    if (--table->pending_count == 0)
        table->done(table->context);
}

bool duress__lookup_begin(struct lookup_table *table)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    for (struct lookup *at = table->first; at != NULL; at = at->next) {
        if (at->asked)
            continue;
        at->asked = true;
        at->request.data = at;
        /* What cannot even be asked counts as not found. */
        if (uv_getaddrinfo(duress__loop_uv(table->loop), &at->request, lookup_answered, at->host, NULL, &hints) == 0)
            table->pending_count++;
    }
    return table->pending_count > 0;
}

void duress__lookup_clear(struct lookup_table *table)
{
    DURESS_ASSERT(table->pending_count == 0);
    for (struct lookup *at = table->first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        duress_release(table->allocator, at);
    }
    table->first = NULL;
}
