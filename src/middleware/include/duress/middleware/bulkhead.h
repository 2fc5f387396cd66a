/* SPDX-License-Identifier: Apache-2.0
 *
 * The bulkhead layer: at most so many calls of the inner agent at once (duress/policy/bulkhead.h). Further ones wait in
 * a bounded queue, first come, first served, or are refused.
 *
 * A refused call ends with DURESS_E_BULKHEAD_FULL, origin BULKHEAD, not ambiguous, without the inner agent having been
 * asked: at once where nobody may wait or as many wait as may, after wait_ns_max where no slot came. Nobody can say
 * when to ask again, so retry_after_ns is 0. A call holds its slot until it has ended, a stream until its last chunk.
 * One that is given up gives its slot or its place in the queue back at once.
 *
 * The limit is fixed, or found out (duress/policy/adaptive_limit.h): set |adaptive|. Its samples are the calls that
 * were answered; those that ended with DURESS_E_OVERLOADED or DURESS_E_DEADLINE, or were given up because their time
 * was over, count as dropped; other failures and cancelled calls are no samples.
 *
 * One bulkhead for several layers, also on several threads: set |shared|. Each layer has a queue of its own; a slot
 * that comes back goes to the queue whose first call has waited longest, over duress_world_post() where that is another
 * world's. (That is known of a queue's first call; of slots that come back before it was woken it may get several.) A
 * world with calls in such a queue must be run: a slot that is on its way to a world that stands still is
 * held up there, and one that is on its way to a world that is freed is lost. And a world may only be freed when no
 * other thread can be giving a slot back: stop all calls first, then free the worlds. */
#ifndef DURESS_MIDDLEWARE_BULKHEAD_H
#define DURESS_MIDDLEWARE_BULKHEAD_H

#include <duress/middleware/layer.h>
#include <duress/policy/adaptive_limit.h>
#include <duress/policy/bulkhead.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_BULKHEAD_WAITING_MAX_DEFAULT 1000
#define DURESS_BULKHEAD_WAITING_MAX_MAX 1000000

enum duress_bulkhead_mode {
    DURESS_BULKHEAD_WAIT = 0,
    DURESS_BULKHEAD_REFUSE, /* never waits */
};

struct duress_bulkhead_layer_options {
    struct duress_bulkhead_options bulkhead; /* of the layer's own bulkhead; must be all zero where |shared| is set, and
                                              * where |adaptive| or |shared_adaptive| says the limit */
    struct duress_bulkhead *shared; /* borrowed, outlives the agent; may be shared with DURESS_BULKHEAD_SEATS_MAX agents
                                     * on any threads. NULL: the layer has one of its own */
    const struct duress_adaptive_limit_options *adaptive; /* copied; the limit is found out. NULL: it is fixed. Not with
                                                           * |shared| */
    struct duress_adaptive_limit *shared_adaptive; /* the same for |shared|: borrowed likewise, the same for all who
                                                    * share; NULL: fixed */
    enum duress_bulkhead_mode mode;
    uint32_t waiting_max; /* calls in the queue: 1 to DURESS_BULKHEAD_WAITING_MAX_MAX; 0 = 1000. Not where calls are
                           * refused */
    uint64_t wait_ns_max; /* of one call; 0 = DURESS_TIME_NEVER = until its deadline. Not where calls are refused */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults: 25 calls at once, the others wait. Returns in *outer,
 * free with duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_bulkhead(struct duress_agent *inner,
                                                      const struct duress_bulkhead_layer_options *options,
                                                      struct duress_agent **outer, struct duress_failure *why);

struct duress_bulkhead_counts {
    struct duress_layer_counts calls; /* in_flight: with those that wait */
    uint32_t limit;                   /* of the bulkhead, now */
    uint32_t running;                 /* slots taken, by all who share it, now */
    uint64_t waiting;                 /* calls in this layer's queue, now */
    uint64_t waited;                  /* calls that waited and got their slot */
    uint64_t waited_ns;               /* all of their waits together */
    uint64_t waited_ns_max;           /* the longest of them */
    uint64_t refused_full;            /* of calls.refused: no slot, and waiting was not wanted or too many waited */
    uint64_t refused_late;            /* of calls.refused: no slot within wait_ns_max */
};

/* All zero where there is no bulkhead layer. */
DURESS_API struct duress_bulkhead_counts duress_bulkhead_counts(const struct duress_agent *agent);

/* The policy: to look at it or to change its limit, which is felt when the next slot comes back or the next call comes.
 * Borrowed for the agent's life. NULL where there is no bulkhead layer. */
DURESS_API struct duress_bulkhead *duress_bulkhead_of(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
