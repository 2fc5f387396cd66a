/* SPDX-License-Identifier: Apache-2.0
 *
 * What the connections of a proxy dial: addresses, or a name that is looked up anew whenever one is opened. Private to
 * proxy/; owned by its loop's thread. */
#ifndef DURESS_PROXY_UPSTREAM_H
#define DURESS_PROXY_UPSTREAM_H

#include "lookup.h"

/* One connection's dial: the addresses that it has, or its place among those that wait for a name. All zero at first.
 */
struct dial {
    struct address_list *addresses;
    struct dial *next_waiting;
    uint8_t next; /* of the addresses */
    bool waits;
};

/* A lookup has ended: the addresses of |dial| are there where |error| is DURESS_OK. |dial| may go away inside. */
typedef void (*dial_told_fn)(struct dial *dial, int error);

struct upstream; /* opaque; on one loop */

/* |text|: "host:port" (host numeric, in brackets if IPv6, or a name; port a number or a service's name) or
 * "unix:///path"; copied. What it says is found out when something is dialed. NULL: no memory. */
struct upstream *duress__upstream_new(struct duress_loop *loop, const struct duress_allocator *allocator,
                                      const char *text, dial_told_fn told);
/* Nobody may be waiting any more. NULL is allowed. */
void duress__upstream_free(struct upstream *upstream);

/* Gets addresses for |dial|. DURESS_OK: they are there (numeric, a Unix socket, "localhost"). AGAIN: |told| will be
 * called. OVERLOADED: too many lookups are under way, try again later. INVALID (the text is no address), NO_MEMORY.
 * Dials that come while a lookup is under way share it. */
int duress__upstream_dial(struct upstream *upstream, struct dial *dial);

/* Lets go of the addresses, or of the place in the queue. */
void duress__upstream_undial(struct upstream *upstream, struct dial *dial);

#endif
