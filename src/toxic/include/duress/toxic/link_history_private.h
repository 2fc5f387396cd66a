/* SPDX-License-Identifier: Apache-2.0
 *
 * What the connections of a proxy have suffered: one entry a connection in order of acceptance, open ones with the
 * figures of their link, ended ones with a copy. Entries are made when a connection is accepted, so that nothing can
 * fail when it ends. Shared between rooms (the proxy, a simulated relay), not installed. Owned by one thread. */
#ifndef DURESS_TOXIC_LINK_HISTORY_PRIVATE_H
#define DURESS_TOXIC_LINK_HISTORY_PRIVATE_H

#include <duress/toxic/link.h>

#define DURESS_LINK_HISTORY_ENDED_COUNT_MAX 1024

struct duress_link_history_entry {
    uint64_t number;
    const struct duress_link *link;             /* borrowed; NULL once the connection has ended */
    struct duress_link_stats stats;             /* of an ended connection */
    struct duress_link_history_entry *previous; /* in order of acceptance */
    struct duress_link_history_entry *next;
    struct duress_link_history_entry *next_ended; /* in order of ending */
};

struct duress_link_history {
    const struct duress_allocator *allocator;
    struct duress_link_history_entry *first;
    struct duress_link_history_entry *last;
    struct duress_link_history_entry *first_ended;
    struct duress_link_history_entry *last_ended;
    size_t ended_count;
};

/* |allocator| is borrowed. Free with duress__link_history_deinit(). */
DURESS_API void duress__link_history_init(struct duress_link_history *history,
                                          const struct duress_allocator *allocator);

/* Frees all entries. Borrowed links are let go of. */
DURESS_API void duress__link_history_deinit(struct duress_link_history *history);

/* Appends connection |number|, whose |link| is borrowed until duress__link_history_end(). The
 * entry belongs to the history. NULL: out of memory. */
DURESS_API struct duress_link_history_entry *duress__link_history_add(struct duress_link_history *history,
                                                                      uint64_t number, const struct duress_link *link);

/* The connection ended: keeps what its link says now and lets go of the link. Of more than
 * DURESS_LINK_HISTORY_ENDED_COUNT_MAX ended connections the one that ended first is forgotten. */
DURESS_API void duress__link_history_end(struct duress_link_history *history, struct duress_link_history_entry *entry);

/* Calls |fn| for each entry in order of acceptance; it must not change the history. */
DURESS_API void duress__link_history_visit(const struct duress_link_history *history, duress_link_visit_fn fn,
                                           void *context);

#endif
