/* SPDX-License-Identifier: Apache-2.0
 *
 * A timer lives in its owner's memory, so that arming it cannot fail. Initialise it once, arm and disarm it through its
 * world (duress/world/world.h), and disarm it before its memory goes away. */
#ifndef DURESS_TIMER_H
#define DURESS_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Private to the heaps. */
struct duress_timer_node {
    struct duress_timer_node *child;
    struct duress_timer_node *next;
    struct duress_timer_node *previous; /* left sibling, or parent of a first child; the node itself at the root */
    uint64_t at_ns;
    uint64_t rank;
    uint64_t sequence;
};

/* Called once for each arming, at or after its instant, never before. The timer is disarmed by then and may be armed
 * again or freed inside. */
typedef void (*duress_timer_fn)(void *context);

struct duress_timer {
    struct duress_timer_node node; /* private */
    duress_timer_fn fn;
    void *context;
    void *owner; /* private to the world that it is armed in */
};

/* Readies a timer of the caller's memory; not armed. */
static inline void duress_timer_init(struct duress_timer *timer, duress_timer_fn fn, void *context)
{
    memset(timer, 0, sizeof *timer); /* C++ has no compound literals */
    timer->fn = fn;
    timer->context = context;
}

static inline bool duress_timer_is_armed(const struct duress_timer *timer)
{
    return timer->node.previous != NULL;
}

/* The instant it is armed for; meaningless when it is not armed. */
static inline uint64_t duress_timer_at_ns(const struct duress_timer *timer)
{
    return timer->node.at_ns;
}

#endif
