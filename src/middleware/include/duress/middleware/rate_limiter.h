/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limiter layer: takes a call's tokens (duress/policy/bucket.h) before the inner agent is asked, and lets the
 * call wait for them, or refuses it (duress/policy/rate_limit.h).
 *
 * A refused call ends with DURESS_E_RATE_LIMITED, origin LIMITER, not ambiguous, without the inner agent having been
 * asked; retry_after_ns says when its tokens would have been there. It is refused at once: also one that would have to
 * wait, and whose deadline is not after that. Tokens are spent when the inner agent is asked, however the call ends.
 *
 * Waiting calls form a queue, first come, first served: nobody passes those who wait, and a call is woken only when it
 * has its tokens. One that is given up while it waits takes none, and those behind it move up. One timer serves the
 * whole queue.
 *
 * A bucket of several layers, also on several threads: set |shared|. Each layer has a queue of its own, which asks for
 * tokens at the instant at which they come in. There is no order between queues, and no message: tokens come with time,
 * of which no loop needs to be told, and a loop that is busy holds up nobody else. Queues take turns where they ask at
 * the same instant: one that was just served asks last. Calls that need many tokens should not share a bucket with
 * others that need few, which always come first. The instant that a waiting call was promised may pass without tokens,
 * because other queues took them; then it waits on, unless it has come to the head of its queue and its deadline (or
 * wait_ns_max) is not after the new instant: then it is refused, counted under the reason. */
#ifndef DURESS_MIDDLEWARE_RATE_LIMITER_H
#define DURESS_MIDDLEWARE_RATE_LIMITER_H

#include <duress/middleware/layer.h>
#include <duress/policy/bucket.h>
#include <duress/policy/rate_limit.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_rate_limiter_options {
    struct duress_rate_limit_options limit; /* wait or refuse, tokens of a call, bounds of the queue */
    struct duress_bucket_options bucket;    /* of the layer's own bucket; must be all zero where |shared| is set */
    struct duress_bucket *shared; /* borrowed, outlives the agent; may be shared with other agents and threads. NULL:
                                   * the layer has one of its own */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults: 10 calls a second, 10 at once, the others wait. Returns
 * in *outer, free with duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL),
 * DURESS_E_NO_MEMORY.
 */
DURESS_API DURESS_MUST_CHECK int duress_with_rate_limiter(struct duress_agent *inner,
                                                          const struct duress_rate_limiter_options *options,
                                                          struct duress_agent **outer, struct duress_failure *why);

struct duress_rate_limiter_counts {
    struct duress_layer_counts calls;              /* in_flight: with those that wait */
    uint64_t waiting;                              /* calls that wait for tokens, now */
    uint64_t waited;                               /* calls that waited and got their tokens */
    uint64_t waited_ns;                            /* all of their waits together */
    uint64_t waited_ns_max;                        /* the longest of them */
    uint64_t refused_by[DURESS_RATE_REASON_COUNT]; /* of calls.refused, by enum duress_rate_reason; [0]: no memory */
};

/* All zero where there is no rate limiter layer. */
DURESS_API struct duress_rate_limiter_counts duress_rate_limiter_counts(const struct duress_agent *agent);

/* The bucket: for its tokens, and for when more will be there. Borrowed for the agent's life. NULL where there is no
 * rate limiter layer. */
DURESS_API const struct duress_bucket *duress_rate_limiter_bucket(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
