/* SPDX-License-Identifier: Apache-2.0
 *
 * Retry as plainly as it can be told: works each wait out anew from its number, with numbers so wide that nothing can
 * overflow. Written from the rules in retry.h, not from retry.c. */
#ifndef RETRY_MODEL_H
#define RETRY_MODEL_H

#include <duress/policy/retry.h>

struct retry_model {
    uint32_t waits_drawn;
    uint32_t attempts;
    uint64_t previous_ns; /* the last drawn wait */
};

/* Decides as duress_retry_decide() should. Draws from |prng| as that should. */
struct duress_retry_decision retry_model_decide(struct retry_model *model, const struct duress_retry_options *options,
                                                const struct duress_failure *failure, bool idempotent,
                                                uint64_t deadline_ns, uint64_t now_ns, struct duress_prng *prng);

/* min(cap, base * multiplier^(number - 1)), each product rounded up to a nanosecond. */
uint64_t retry_model_ceiling_ns(const struct duress_retry_options *options, uint32_t number);

#endif
