/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers in the order that works, from one config. Outermost first:
 *
 *     metrics -> cache -> bulkhead -> rate limiter -> retry (with its budget) -> hedge -> circuit breaker
 *             -> timeout of one attempt -> agent
 *
 * The caller's deadline sits outside everything. Metrics see what the caller sees. A reply from the cache costs neither
 * slot nor token. A call holds its slot, and has paid its tokens, for all of its attempts: retries are bounded by their
 * budget. Each attempt is weighed by the breaker by itself, a refusal by the breaker is not retried blindly, a hanging
 * attempt counts against the service, and the waits between attempts do not. docs/guide.md shows what goes wrong in
 * other orders. */
#ifndef DURESS_MIDDLEWARE_STACK_H
#define DURESS_MIDDLEWARE_STACK_H

#include <duress/middleware/breaker.h>
#include <duress/middleware/bulkhead.h>
#include <duress/middleware/cache.h>
#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/rate_limiter.h>
#include <duress/middleware/retry.h>
#include <duress/middleware/timeout.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A NULL pointer leaves its layer out; a pointer to an all-zero struct means its defaults. Everything is copied but for
 * what is said to be shared. */
struct duress_stack_options {
    const struct duress_metrics_options *metrics;
    const struct duress_cache_layer_options *cache;
    const struct duress_bulkhead_layer_options *bulkhead;
    const struct duress_rate_limiter_options *rate_limiter;
    const struct duress_retry_options *retry;
    struct duress_retry_budget *retry_budget; /* shared: borrowed, outlives the agent; NULL: none. Only with |retry| */
    const struct duress_hedge_layer_options *hedge;
    const struct duress_breaker_layer_options *breaker;
    const struct duress_timeout_options *timeout; /* of one attempt */
};

/* Wraps |agent|, of which the stack takes a reference of its own. Returns in *stack, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. Where no layer is asked for, *stack is
 * |agent| with one reference more. */
DURESS_API DURESS_MUST_CHECK int duress_stack_new(struct duress_agent *agent,
                                                  const struct duress_stack_options *options,
                                                  struct duress_agent **stack, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
