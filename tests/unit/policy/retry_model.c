/* SPDX-License-Identifier: Apache-2.0 */
#include "retry_model.h"

__extension__ typedef unsigned __int128 wide;

static wide wide_min(wide a, wide b)
{
    return a < b ? a : b;
}

uint64_t retry_model_ceiling_ns(const struct duress_retry_options *options, uint32_t number)
{
    wide ceiling_ns = options->backoff_ns;
    for (uint32_t i = 1; i < number; i++) {
        ceiling_ns = wide_min(ceiling_ns, options->backoff_cap_ns);
        ceiling_ns = (ceiling_ns * options->multiplier_milli + 999) / 1000;
    }
    return (uint64_t)wide_min(ceiling_ns, options->backoff_cap_ns);
}

static wide model_draw(struct retry_model *model, const struct duress_retry_options *options, struct duress_prng *prng)
{
    uint64_t ceiling_ns = retry_model_ceiling_ns(options, ++model->waits_drawn);
    if (options->jitter == DURESS_JITTER_NONE)
        return ceiling_ns;
    if (options->jitter == DURESS_JITTER_FULL)
        return duress_prng_between(prng, 0, ceiling_ns);
    if (options->jitter == DURESS_JITTER_EQUAL)
        return (wide)((ceiling_ns + 1) / 2) + duress_prng_between(prng, 0, ceiling_ns / 2);
    wide previous_ns = model->waits_drawn == 1 ? options->backoff_ns : model->previous_ns;
    uint64_t high_ns = (uint64_t)wide_min(previous_ns * 3, UINT64_MAX);
    return wide_min(duress_prng_between(prng, options->backoff_ns, high_ns), options->backoff_cap_ns);
}

struct duress_retry_decision retry_model_decide(struct retry_model *model, const struct duress_retry_options *options,
                                                const struct duress_failure *failure, bool idempotent,
                                                uint64_t deadline_ns, uint64_t now_ns, struct duress_prng *prng)
{
    struct duress_retry_decision no = {DURESS_RETRY_GIVE_UP, DURESS_RETRY_GOES_ON, DURESS_TIME_NEVER};
    if (!(options->retryable_mask >> -failure->code & 1))
        no.reason = DURESS_RETRY_NOT_RETRYABLE;
    else if (failure->ambiguous && !idempotent)
        no.reason = DURESS_RETRY_AMBIGUOUS;
    else if (model->attempts == options->attempts_max)
        no.reason = DURESS_RETRY_ATTEMPTS_SPENT;
    else if (failure->retry_after_ns > options->backoff_cap_ns)
        no.reason = DURESS_RETRY_AFTER_TOO_LONG;
    if (no.reason != DURESS_RETRY_GOES_ON)
        return no;
    wide wait_ns = model_draw(model, options, prng);
    model->previous_ns = (uint64_t)wait_ns;
    if (options->jitter == DURESS_JITTER_NONE)
        wait_ns = wait_ns > failure->retry_after_ns ? wait_ns : failure->retry_after_ns;
    else
        wait_ns += failure->retry_after_ns;
    if (now_ns + wait_ns >= deadline_ns) {
        no.reason = DURESS_RETRY_DEADLINE_TOO_NEAR;
        return no;
    }
    model->attempts++;
    return (struct duress_retry_decision){DURESS_RETRY_WAIT, DURESS_RETRY_GOES_ON, (uint64_t)(now_ns + wait_ns)};
}
