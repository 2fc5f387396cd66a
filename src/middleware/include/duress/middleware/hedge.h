/* SPDX-License-Identifier: Apache-2.0
 *
 * The hedge layer: where an attempt takes longer than most do, begins another one beside it, takes the answer that
 * comes first, and cancels the rest, down to closing their streams. The policy is duress/policy/hedge.h, where the
 * delay and the rules of failures are explained. One attempt is one call of the inner agent, or of the backup.
 *
 * - Only idempotent calls are hedged. Another call makes its one attempt, which is measured like all others.
 * - A hedge costs a token of the budget (duress/policy/retry_budget.h), into which each call pays a share of one. Where
 *   there is no token, the call goes on with the attempts that run and no further one is begun.
 * - The call ends with the reply of the first attempt that succeeds; or, where all have failed, with the failure of the
 *   last one that ran: |attempts| says how many were begun, and it is ambiguous where that of any attempt was. A
 * failure before the delay is over ends the call at once: another try after a failure is the work of a retry layer,
 * outside.
 * - Of a streamed reply the first chunk decides: the attempt that emits it has won, the others are cancelled, and what
 *   becomes of it becomes of the call.
 * - Deadline and cancellation of the call hold for each attempt. Memory that is out for a hedge costs that hedge alone.
 *
 * Place it outside of the circuit breaker and of the timeout of an attempt, and inside of the retry: the loser is
 * cancelled, and so never counted against the service. */
#ifndef DURESS_MIDDLEWARE_HEDGE_H
#define DURESS_MIDDLEWARE_HEDGE_H

#include <duress/middleware/layer.h>
#include <duress/policy/hedge.h>
#include <duress/policy/retry_budget.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_hedge_layer_options {
    struct duress_hedge_options hedge;
    struct duress_retry_budget_options budget; /* of the layer's own budget; must be all zero where |shared| is set. By
                                                * default 10 hedges at once, and then one for each ten calls */
    struct duress_retry_budget *shared; /* borrowed, outlives the agent; may be shared with other agents and threads,
                                         * and with a retry layer. NULL: the layer has one of its own */
    struct duress_agent *backup; /* asked by all attempts but the first, such as another replica of the service; of
                                  * the same world. The layer takes a reference. NULL: the inner agent again */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults. Returns in *outer, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_hedge(struct duress_agent *inner,
                                                   const struct duress_hedge_layer_options *options,
                                                   struct duress_agent **outer, struct duress_failure *why);

struct duress_hedge_counts {
    struct duress_layer_counts calls;
    uint64_t attempts;           /* begun, first ones included */
    uint64_t hedges;             /* begun beside a first attempt */
    uint64_t succeeded_on_hedge; /* of calls.succeeded: another attempt than the first one won */
    uint64_t losers;             /* attempts cancelled because another one won */
    uint64_t budget_refusals;    /* hedges that were due and that the budget refused */
    uint64_t delay_ns;           /* that holds for a call that begins now */
    uint64_t samples;            /* that a measured delay goes by */
};

/* All zero where there is no hedge layer. */
DURESS_API struct duress_hedge_counts duress_hedge_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
