/* SPDX-License-Identifier: Apache-2.0
 *
 * The timers of a world: an intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) ordered by (instant,
 * rank, arming sequence). Intrusive, so that arming a timer allocates nothing and cannot fail. Equal instants fire by
 * rank, then in arming order: replay depends on it. Shared by the live loop and the simulated world. Not thread-safe.
 */
#ifndef DURESS_BASE_TIMER_HEAP_H
#define DURESS_BASE_TIMER_HEAP_H

#include <duress/timer.h>

struct duress_timer_heap {
    struct duress_timer_node *root;
    uint64_t sequence_next;
    size_t count;
};

void duress__timer_heap_init(struct duress_timer_heap *heap);

/* Inserts |node|, which is in no heap, for |at_ns|. |rank| orders equal instants before the arming sequence does. */
void duress__timer_heap_insert(struct duress_timer_heap *heap, struct duress_timer_node *node, uint64_t at_ns,
                               uint64_t rank);

/* Takes |node| out of the heap it is in; nothing where it is in none. */
void duress__timer_heap_remove(struct duress_timer_heap *heap, struct duress_timer_node *node);

/* Called for a node of a heap, which it must not change. */
typedef void (*duress__timer_visit_fn)(void *context, struct duress_timer_node *node);

/* Calls |fn| for every node, in an order that follows from the heap's history alone. */
void duress__timer_heap_visit(const struct duress_timer_heap *heap, duress__timer_visit_fn fn, void *context);

/* The first due node, borrowed, or NULL. */
static inline struct duress_timer_node *duress__timer_heap_first(const struct duress_timer_heap *heap)
{
    return heap->root;
}

#endif
