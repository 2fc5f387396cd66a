/* SPDX-License-Identifier: Apache-2.0
 *
 * The retry layer: begins another attempt after a failure where the policy (duress/policy/retry.h) says so, and waits
 * for it on the world's timer. One attempt is one call of the inner agent.
 *
 * The call ends with the reply of the first attempt that succeeds, or with the failure of the last one that was made:
 * its code is never replaced, |attempts| says how many were begun, and it is ambiguous where that of any attempt was.
 * The detail says why no further attempt was made ("…; gave up: attempts spent"). Where the budget refuses, the code is
 * likewise that of the last real failure, since that is what is wrong with the service; the detail says "retry budget
 * spent", and duress_retry_counts() counts it.
 *
 * Nothing is repeated after the first chunk of a streamed reply has gone up. A call that is given up while it waits
 * leaves no timer behind. */
#ifndef DURESS_MIDDLEWARE_RETRY_H
#define DURESS_MIDDLEWARE_RETRY_H

#include <duress/middleware/layer.h>
#include <duress/policy/retry.h>
#include <duress/policy/retry_budget.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Wraps |inner|. |options| are copied; NULL for the defaults. |budget| is borrowed, outlives the agent, and may be
 * shared with other agents and threads; NULL: retries are not bounded by one. Returns in *outer, free with
 * duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_retry(struct duress_agent *inner,
                                                   const struct duress_retry_options *options,
                                                   struct duress_retry_budget *budget, struct duress_agent **outer,
                                                   struct duress_failure *why);

struct duress_retry_counts {
    struct duress_layer_counts calls;
    uint64_t attempts;           /* begun, first ones included */
    uint64_t succeeded_on_retry; /* of calls.succeeded */
    uint64_t budget_refusals;    /* retries that the policy wanted and the budget refused */
    uint64_t waiting;            /* calls between two attempts, now */
};

/* All zero where there is no retry layer. */
DURESS_API struct duress_retry_counts duress_retry_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
