/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/rate_limit.h>

#include <stddef.h>

#include "option.h"

static bool rate_limit_options_check(const struct duress_rate_limit_options *options,
                                     const struct duress_bucket *bucket, struct duress_failure *why)
{
    static const char *because = "where calls are refused";
    if (!duress__option_in_range("rate_limit.mode", (uint64_t)options->mode, DURESS_RATE_LIMIT_WAIT,
                                 DURESS_RATE_LIMIT_REFUSE, why) ||
        !duress__option_in_range("rate_limit.tokens_per_request", options->tokens_per_request, 1,
                                 duress_bucket_burst(bucket), why))
        return false;
    if (options->mode == DURESS_RATE_LIMIT_REFUSE)
        return duress__option_unused("rate_limit.waiting_max", options->waiting_max, because, why) &&
               duress__option_unused("rate_limit.wait_ns_max", options->wait_ns_max, because, why);
    return duress__option_in_range("rate_limit.waiting_max", options->waiting_max, 0, DURESS_RATE_LIMIT_WAITING_MAX_MAX,
                                   why);
}

int duress_rate_limit_options_init(struct duress_rate_limit_options *complete,
                                   const struct duress_rate_limit_options *given, const struct duress_bucket *bucket,
                                   struct duress_failure *why)
{
    struct duress_rate_limit_options filled = {.mode = DURESS_RATE_LIMIT_WAIT};
    if (!duress__option_given("options", complete, why) || !duress__option_given("bucket", bucket, why))
        return DURESS_E_INVALID;
    if (given != NULL)
        filled = *given;
    filled.tokens_per_request = option_or_u32(filled.tokens_per_request, DURESS_RATE_LIMIT_TOKENS_DEFAULT);
    if (!rate_limit_options_check(&filled, bucket, why))
        return DURESS_E_INVALID;
    filled.waiting_max = option_or_u32(filled.waiting_max, DURESS_RATE_LIMIT_WAITING_MAX_DEFAULT);
    filled.wait_ns_max = option_or_u64(filled.wait_ns_max, DURESS_TIME_NEVER);
    *complete = filled;
    return DURESS_OK;
}

const char *duress_rate_reason_name(enum duress_rate_reason reason)
{
    switch (reason) {
    case DURESS_RATE_BY_RATE:
        return "no tokens left";
    case DURESS_RATE_BY_QUEUE:
        return "too many calls wait for tokens";
    case DURESS_RATE_BY_WAIT:
        return "the tokens would come too late";
    case DURESS_RATE_BY_DEADLINE:
        return "the tokens would come after the deadline";
    case DURESS_RATE_BY_NOTHING:
        break;
    }
    return "not refused";
}

static enum duress_rate_reason rate_limit_refuses(const struct duress_rate_limit_options *options,
                                                  const struct duress_rate_request *request, uint64_t at_ns)
{
    if (options->mode == DURESS_RATE_LIMIT_REFUSE)
        return DURESS_RATE_BY_RATE;
    if (request->ahead >= options->waiting_max)
        return DURESS_RATE_BY_QUEUE;
    if (at_ns > duress_time_add(request->since_ns, options->wait_ns_max))
        return DURESS_RATE_BY_WAIT;
    /* Also where the tokens never come. A call without a deadline may wait for ever, but not for that. */
    return at_ns >= request->deadline_ns ? DURESS_RATE_BY_DEADLINE : DURESS_RATE_BY_NOTHING;
}

struct duress_rate_decision duress_rate_limit_decide(const struct duress_rate_limit_options *options,
                                                     struct duress_bucket *bucket,
                                                     const struct duress_rate_request *request, uint64_t now_ns)
{
    struct duress_rate_decision decision = {.verdict = DURESS_RATE_PASS, .at_ns = now_ns};
    uint32_t tokens = options->tokens_per_request;
    if (request->ahead > 0)
        decision.at_ns = duress_bucket_ready_ns(bucket, (request->ahead + UINT64_C(1)) * tokens, now_ns);
    else if (duress_bucket_acquire(bucket, tokens, now_ns, &decision.at_ns))
        return decision;
    decision.reason = rate_limit_refuses(options, request, decision.at_ns);
    decision.verdict = decision.reason == DURESS_RATE_BY_NOTHING ? DURESS_RATE_WAIT : DURESS_RATE_REFUSE;
    return decision;
}
