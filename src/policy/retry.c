/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/retry.h>

#include <stddef.h>

#include "option.h"

/* A bit for each code that the list of errors calls retryable. */
static uint64_t retryable_mask_default(void)
{
    uint64_t mask = 0;
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        if (duress_error_is_retryable(-number))
            mask |= DURESS_RETRY_BIT(-number);
    }
    return mask;
}

int duress_retry_options_init(struct duress_retry_options *options, const struct duress_retry_options *given,
                              struct duress_failure *why)
{
    struct duress_retry_options filled = {.jitter = DURESS_JITTER_FULL};
    if (!duress__option_given("options", options, why))
        return DURESS_E_INVALID;
    if (given != NULL)
        filled = *given;
    filled.attempts_max = option_or_u32(filled.attempts_max, DURESS_RETRY_ATTEMPTS_DEFAULT);
    filled.backoff_ns = option_or_u64(filled.backoff_ns, DURESS_RETRY_BACKOFF_NS_DEFAULT);
    filled.backoff_cap_ns = option_or_u64(filled.backoff_cap_ns, DURESS_RETRY_BACKOFF_CAP_NS_DEFAULT);
    filled.multiplier_milli = option_or_u32(filled.multiplier_milli, DURESS_RETRY_MULTIPLIER_MILLI_DEFAULT);
    filled.retryable_mask = option_or_u64(filled.retryable_mask, retryable_mask_default());
    uint64_t mask_max = (UINT64_C(1) << DURESS_ERROR_NUMBER_END) - 2;
    if (!duress__option_in_range("retry.attempts_max", filled.attempts_max, 1, DURESS_RETRY_ATTEMPTS_MAX, why) ||
        !duress__option_in_range("retry.backoff_ns", filled.backoff_ns, 1, DURESS_RETRY_BACKOFF_NS_MAX, why) ||
        !duress__option_in_range("retry.backoff_cap_ns", filled.backoff_cap_ns, 1, DURESS_RETRY_BACKOFF_NS_MAX, why) ||
        !duress__option_in_range("retry.multiplier_milli", filled.multiplier_milli, 1000,
                                 DURESS_RETRY_MULTIPLIER_MILLI_MAX, why) ||
        !duress__option_in_range("retry.jitter", (uint64_t)filled.jitter, 0, DURESS_JITTER_DECORRELATED, why) ||
        !duress__option_in_range("retry.retryable_mask", filled.retryable_mask, DURESS_RETRY_BIT(-1), mask_max, why))
        return DURESS_E_INVALID;
    *options = filled;
    return DURESS_OK;
}

void duress_retry_init(struct duress_retry *retry, const struct duress_retry_options *options)
{
    *retry = (struct duress_retry){
        .attempts = 1,
        .ceiling_ns = duress_time_min(options->backoff_ns, options->backoff_cap_ns),
        .previous_ns = options->backoff_ns,
    };
}

/* The ceiling that follows |ceiling_ns|. Rounded up: a wait of one nanosecond grows too. */
static uint64_t ceiling_next(const struct duress_retry_options *options, uint64_t ceiling_ns)
{
    uint64_t multiplier = options->multiplier_milli;
    uint64_t whole = ceiling_ns / 1000; /* taken apart, because the whole product would not fit */
    uint64_t rest = ceiling_ns % 1000;
    uint64_t grown_ns;
    if (__builtin_mul_overflow(whole, multiplier, &grown_ns))
        return options->backoff_cap_ns;
    return duress_time_min(duress_time_add(grown_ns, (rest * multiplier + 999) / 1000), options->backoff_cap_ns);
}

/* Draws the next wait. */
static uint64_t wait_draw(struct duress_retry *retry, const struct duress_retry_options *options,
                          struct duress_prng *prng)
{
    uint64_t ceiling_ns = retry->ceiling_ns;
    uint64_t half_ns = ceiling_ns / 2;
    uint64_t wait_ns = ceiling_ns;
    switch (options->jitter) {
    case DURESS_JITTER_NONE:
        break;
    case DURESS_JITTER_FULL:
        wait_ns = duress_prng_between(prng, 0, ceiling_ns);
        break;
    case DURESS_JITTER_EQUAL:
        wait_ns = ceiling_ns - half_ns + duress_prng_between(prng, 0, half_ns);
        break;
    case DURESS_JITTER_DECORRELATED:
        wait_ns = duress_prng_between(prng, options->backoff_ns, duress_time_multiply(retry->previous_ns, 3));
        wait_ns = duress_time_min(wait_ns, options->backoff_cap_ns);
        break;
    }
    retry->ceiling_ns = ceiling_next(options, ceiling_ns);
    retry->previous_ns = wait_ns;
    return wait_ns;
}

static struct duress_retry_decision give_up(enum duress_retry_reason reason)
{
    return (struct duress_retry_decision){DURESS_RETRY_GIVE_UP, reason, DURESS_TIME_NEVER};
}

struct duress_retry_decision duress_retry_decide(struct duress_retry *retry, const struct duress_retry_options *options,
                                                 const struct duress_failure *failure, bool idempotent,
                                                 uint64_t deadline_ns, uint64_t now_ns, struct duress_prng *prng)
{
    if ((options->retryable_mask & DURESS_RETRY_BIT(failure->code)) == 0)
        return give_up(DURESS_RETRY_NOT_RETRYABLE);
    if (failure->ambiguous && !idempotent)
        return give_up(DURESS_RETRY_AMBIGUOUS);
    if (retry->attempts >= options->attempts_max)
        return give_up(DURESS_RETRY_ATTEMPTS_SPENT);
    uint64_t asked_ns = failure->retry_after_ns;
    if (asked_ns > options->backoff_cap_ns)
        return give_up(DURESS_RETRY_AFTER_TOO_LONG);
    uint64_t wait_ns = wait_draw(retry, options, prng);
    if (options->jitter != DURESS_JITTER_NONE)
        wait_ns = duress_time_add(asked_ns, wait_ns);
    else if (wait_ns < asked_ns)
        wait_ns = asked_ns;
    uint64_t at_ns = duress_time_add(now_ns, wait_ns);
    if (at_ns >= deadline_ns)
        return give_up(DURESS_RETRY_DEADLINE_TOO_NEAR);
    retry->attempts++;
    return (struct duress_retry_decision){DURESS_RETRY_WAIT, DURESS_RETRY_GOES_ON, at_ns};
}

const char *duress_retry_reason_name(enum duress_retry_reason reason)
{
    switch (reason) {
    case DURESS_RETRY_GOES_ON:
        return "goes on";
    case DURESS_RETRY_NOT_RETRYABLE:
        return "not retryable";
    case DURESS_RETRY_AMBIGUOUS:
        return "ambiguous and not idempotent";
    case DURESS_RETRY_ATTEMPTS_SPENT:
        return "attempts spent";
    case DURESS_RETRY_AFTER_TOO_LONG:
        return "retry-after above the cap";
    case DURESS_RETRY_DEADLINE_TOO_NEAR:
        return "deadline too near";
    }
    return "unknown";
}
