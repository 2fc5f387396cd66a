/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker_word.h"
#include "option.h"

#include <stddef.h>

#define CALLS_MIN_MAX 1000000 /* of time: more in one window is no minimum any more */

static bool options_in_range(const struct duress_breaker_options *o, struct duress_failure *why)
{
    return duress__option_in_range("breaker.failures_to_open", o->failures_to_open, 1, DURESS_BREAKER_COUNT_MAX, why) &&
           duress__option_in_range("breaker.successes_to_close", o->successes_to_close, 1, DURESS_BREAKER_COUNT_MAX,
                                   why) &&
           duress__option_in_range("breaker.recovery_ns", o->recovery_ns, 1, DURESS_BREAKER_DURATION_NS_MAX, why) &&
           duress__option_in_range("breaker.probes_max", o->probes_max, 1, DURESS_BREAKER_PROBES_MAX, why) &&
           duress__option_in_range("breaker.probe_lease_ns", o->probe_lease_ns, 1, DURESS_BREAKER_DURATION_NS_MAX, why);
}

static bool options_rate_in_range(const struct duress_breaker_options *o, struct duress_failure *why)
{
    uint64_t calls_min_max = o->mode == DURESS_BREAKER_RATE_OF_CALLS ? o->window_calls : CALLS_MIN_MAX;
    return duress__option_in_range("breaker.window_calls", o->window_calls, 1, DURESS_BREAKER_WINDOW_CALLS_MAX, why) &&
           duress__option_in_range("breaker.window_buckets", o->window_buckets, 1, DURESS_BREAKER_WINDOW_BUCKETS_MAX,
                                   why) &&
           duress__option_in_range("breaker.window_ns", o->window_ns, o->window_buckets, DURESS_BREAKER_DURATION_NS_MAX,
                                   why) &&
           duress__option_in_range("breaker.calls_min", o->calls_min, 1, calls_min_max, why) &&
           duress__option_in_range("breaker.failure_rate_ppm", o->failure_rate_ppm, 1, 1000000, why) &&
           duress__option_in_range("breaker.slow_call_ns", o->slow_call_ns, 0, DURESS_BREAKER_DURATION_NS_MAX, why) &&
           duress__option_in_range("breaker.slow_rate_ppm", o->slow_rate_ppm, 1, 1000000, why);
}

/* An option that its mode does not read is a mistake that should be heard of, not a wish that goes unheard. */
static bool options_fit_mode(const struct duress_breaker_options *given, struct duress_failure *why)
{
    static const char in_a_row[] = "in consecutive mode";
    switch (given->mode) {
    case DURESS_BREAKER_CONSECUTIVE:
        return duress__option_unused("breaker.window_calls", given->window_calls, in_a_row, why) &&
               duress__option_unused("breaker.window_ns", given->window_ns, in_a_row, why) &&
               duress__option_unused("breaker.window_buckets", given->window_buckets, in_a_row, why) &&
               duress__option_unused("breaker.calls_min", given->calls_min, in_a_row, why) &&
               duress__option_unused("breaker.failure_rate_ppm", given->failure_rate_ppm, in_a_row, why) &&
               duress__option_unused("breaker.slow_call_ns", given->slow_call_ns, in_a_row, why) &&
               duress__option_unused("breaker.slow_rate_ppm", given->slow_rate_ppm, in_a_row, why);
    case DURESS_BREAKER_RATE_OF_CALLS:
        if (!duress__option_unused("breaker.window_ns", given->window_ns, "with a window of calls", why) ||
            !duress__option_unused("breaker.window_buckets", given->window_buckets, "with a window of calls", why))
            return false;
        break;
    case DURESS_BREAKER_RATE_OF_TIME:
        if (!duress__option_unused("breaker.window_calls", given->window_calls, "with a window of time", why))
            return false;
        break;
    }
    if (!duress__option_unused("breaker.failures_to_open", given->failures_to_open, "in the rate modes", why))
        return false;
    return given->slow_call_ns != 0 ||
           duress__option_unused("breaker.slow_rate_ppm", given->slow_rate_ppm, "without slow_call_ns", why);
}

static void options_fill(struct duress_breaker_options *o)
{
    o->failures_to_open = option_or_u32(o->failures_to_open, DURESS_BREAKER_FAILURES_TO_OPEN_DEFAULT);
    o->successes_to_close = option_or_u32(o->successes_to_close, DURESS_BREAKER_SUCCESSES_TO_CLOSE_DEFAULT);
    o->recovery_ns = option_or_u64(o->recovery_ns, DURESS_BREAKER_RECOVERY_NS_DEFAULT);
    o->probes_max = option_or_u32(o->probes_max, DURESS_BREAKER_PROBES_DEFAULT);
    o->probe_lease_ns = option_or_u64(o->probe_lease_ns, DURESS_BREAKER_PROBE_LEASE_NS_DEFAULT);
    o->window_calls = option_or_u32(o->window_calls, DURESS_BREAKER_WINDOW_CALLS_DEFAULT);
    o->window_ns = option_or_u64(o->window_ns, DURESS_BREAKER_WINDOW_NS_DEFAULT);
    o->window_buckets = option_or_u32(o->window_buckets, DURESS_BREAKER_WINDOW_BUCKETS_DEFAULT);
    if (o->calls_min == 0) {
        bool small = o->mode == DURESS_BREAKER_RATE_OF_CALLS && o->window_calls < DURESS_BREAKER_CALLS_MIN_DEFAULT;
        o->calls_min = small ? o->window_calls : DURESS_BREAKER_CALLS_MIN_DEFAULT;
    }
    o->failure_rate_ppm = option_or_u32(o->failure_rate_ppm, DURESS_BREAKER_FAILURE_RATE_PPM_DEFAULT);
    o->slow_rate_ppm = option_or_u32(o->slow_rate_ppm, DURESS_BREAKER_SLOW_RATE_PPM_DEFAULT);
}

int duress__breaker_options_init(struct duress_breaker_options *options, const struct duress_breaker_options *given,
                                 struct duress_failure *why)
{
    struct duress_breaker_options filled = {.mode = DURESS_BREAKER_CONSECUTIVE};
    if (given != NULL)
        filled = *given;
    if (!duress__option_in_range("breaker.mode", (uint64_t)filled.mode, 0, DURESS_BREAKER_RATE_OF_TIME, why))
        return DURESS_E_INVALID;
    if (!options_fit_mode(&filled, why))
        return DURESS_E_INVALID;
    options_fill(&filled);
    if (!options_in_range(&filled, why) || !options_rate_in_range(&filled, why))
        return DURESS_E_INVALID;
    *options = filled;
    return DURESS_OK;
}
