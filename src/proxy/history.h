/* SPDX-License-Identifier: Apache-2.0
 *
 * What the connections of a proxy have suffered: one entry a connection in order of acceptance, open ones with the
 * figures of their link, ended ones with a copy. Entries are made when a connection is accepted, so that nothing can
 * fail when it ends. Private to proxy/. */
#ifndef DURESS_PROXY_HISTORY_H
#define DURESS_PROXY_HISTORY_H

#include <duress/allocator.h>
#include <duress/toxic/link.h>

#define HISTORY_ENDED_COUNT_MAX 1024

struct history_entry {
    uint64_t number;
    const struct duress_link *link; /* borrowed; NULL once the connection has ended */
    struct duress_link_stats stats; /* of an ended connection */
    struct history_entry *previous; /* in order of acceptance */
    struct history_entry *next;
    struct history_entry *next_ended; /* in order of ending */
};

struct history {
    const struct duress_allocator *allocator;
    struct history_entry *first;
    struct history_entry *last;
    struct history_entry *first_ended;
    struct history_entry *last_ended;
    size_t ended_count;
};

void duress__history_init(struct history *history, const struct duress_allocator *allocator);

/* Frees all entries. */
void duress__history_deinit(struct history *history);

/* Appends connection |number|, whose |link| is borrowed until duress__history_end(). The
 * entry belongs to the history. NULL: out of memory. */
struct history_entry *duress__history_add(struct history *history, uint64_t number, const struct duress_link *link);

/* The connection ended: keeps what its link says now and lets go of the link. Of more than HISTORY_ENDED_COUNT_MAX
 * ended connections the one that ended first is forgotten. */
void duress__history_end(struct history *history, struct history_entry *entry);

void duress__history_visit(const struct history *history, duress_link_visit_fn fn, void *context);

#endif
