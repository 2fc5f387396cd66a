/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker layer: asks the policy (duress/policy/breaker.h) before each call of the inner agent, and tells
 * it how the call ended.
 *
 * A refused call ends with DURESS_E_CIRCUIT_OPEN, origin BREAKER, not ambiguous, without the inner agent having been
 * asked; retry_after_ns says when to ask again (0 where nobody can say: a breaker that is forced open).
 *
 * A call that is cancelled is never counted against the service, and gives a probe's slot back. One that is given up
 * because its time was over (a limit of a layer above, or the caller's deadline) counts as DURESS_E_DEADLINE does: the
 * service did not answer in time, whoever measured it. */
#ifndef DURESS_MIDDLEWARE_BREAKER_H
#define DURESS_MIDDLEWARE_BREAKER_H

#include <duress/middleware/layer.h>
#include <duress/policy/breaker.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Says what a failed call tells about the service. |failure| is borrowed for the call. */
typedef enum duress_outcome (*duress_outcome_fn)(void *context, const struct duress_failure *failure);

struct duress_breaker_layer_options {
    struct duress_breaker_options breaker; /* of the layer's own breaker; must be all zero where |shared| is set */
    struct duress_breaker *shared; /* borrowed, outlives the agent; may be shared with other agents and threads. NULL:
                                    * the layer has one of its own */
    duress_outcome_fn outcome_of;  /* NULL: duress_outcome_of() of the failure's code */
    void *context;                 /* of |outcome_of| */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults. Returns in *outer, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_breaker(struct duress_agent *inner,
                                                     const struct duress_breaker_layer_options *options,
                                                     struct duress_agent **outer, struct duress_failure *why);

/* The policy: for its state, its totals and its log of transitions, or to force it. Borrowed for the agent's life. NULL
 * where there is no breaker layer. */
DURESS_API struct duress_breaker *duress_breaker_of(const struct duress_agent *agent);

/* All zero where there is no breaker layer. */
DURESS_API struct duress_layer_counts duress_breaker_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
