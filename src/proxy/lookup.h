/* SPDX-License-Identifier: Apache-2.0
 *
 * How a name becomes addresses without anybody waiting: getaddrinfo(3) blocks, for as long as
 * the name servers are silent, so each lookup has a short-lived thread of its own, LOOKUPS_MAX of a process at most. A
 * lookup that is abandoned ends by itself, and calls nobody. Private to proxy/; everything belongs to its loop's
 * thread. */
#ifndef DURESS_PROXY_LOOKUP_H
#define DURESS_PROXY_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/loop/loop.h>

#include "endpoint.h"

#define LOOKUPS_MAX 64
#define LOOKUP_ADDRESSES_MAX 8

/* Addresses in the order in which they are to be tried. Counted; immutable. */
struct address_list {
    const struct duress_allocator *allocator;
    size_t references;
    size_t count;
    struct endpoint addresses[LOOKUP_ADDRESSES_MAX];
};
struct address_list *duress__address_list_new(const struct duress_allocator *allocator);
struct address_list *duress__address_list_keep(struct address_list *list);
void duress__address_list_release(struct address_list *list); /* NULL is allowed */

struct lookup; /* opaque */

/* Called once, on the loop's thread: DURESS_OK with |list| (the callee's reference), or NAME_NOT_FOUND, NAME_TEMPORARY,
 * INVALID (no such service), NO_MEMORY, SYSTEM. */
typedef void (*lookup_fn)(void *context, int error, struct address_list *list);

/* Looks |host| up ("": the wildcard) with |service|, a port or its name. Returns in *lookup what can be abandoned until
 * |fn| is called. AGAIN: LOOKUPS_MAX are under way; NO_MEMORY. */
DURESS_MUST_CHECK int duress__proxy_lookup_begin(struct duress_loop *loop, const char *host, const char *service,
                                                 lookup_fn fn, void *context, struct lookup **lookup);

/* |fn| will not be called. NULL is allowed. */
void duress__proxy_lookup_abandon(struct lookup *lookup);

#endif
