/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/hedge.h>

#include <stddef.h>

#include "option.h"

static int hedge_refuse_measuring(const struct duress_hedge_options *given, struct duress_failure *why)
{
    static const char *const because = "with a fixed delay_ns";
    bool unused = duress__option_unused("hedge.quantile_ppm", given->quantile_ppm, because, why) &&
                  duress__option_unused("hedge.samples_min", given->samples_min, because, why) &&
                  duress__option_unused("hedge.window_ns", given->window_ns, because, why) &&
                  duress__option_unused("hedge.delay_floor_ns", given->delay_floor_ns, because, why) &&
                  duress__option_unused("hedge.delay_ceiling_ns", given->delay_ceiling_ns, because, why);
    return unused ? DURESS_OK : DURESS_E_INVALID;
}

/* The default of either bound gives way to the other where that was given. */
static void hedge_fill_bounds(struct duress_hedge_options *options)
{
    uint64_t ceiling_ns = option_or_u64(options->delay_ceiling_ns, DURESS_HEDGE_DELAY_CEILING_NS_DEFAULT);
    uint64_t floor_ns = option_or_u64(options->delay_floor_ns, DURESS_HEDGE_DELAY_FLOOR_NS_DEFAULT);
    if (options->delay_ceiling_ns == 0 && ceiling_ns < floor_ns)
        ceiling_ns = floor_ns;
    if (options->delay_floor_ns == 0 && floor_ns > ceiling_ns)
        floor_ns = ceiling_ns;
    options->delay_ceiling_ns = ceiling_ns;
    options->delay_floor_ns = floor_ns;
}

static bool hedge_measuring_in_range(const struct duress_hedge_options *options, struct duress_failure *why)
{
    return duress__option_in_range("hedge.quantile_ppm", options->quantile_ppm, DURESS_HEDGE_QUANTILE_PPM_MIN,
                                   DURESS_HEDGE_QUANTILE_PPM_MAX, why) &&
           duress__option_in_range("hedge.samples_min", options->samples_min, 1, DURESS_HEDGE_SAMPLES_MIN_MAX, why) &&
           duress__option_in_range("hedge.window_ns", options->window_ns, 1, DURESS_HEDGE_DURATION_NS_MAX, why) &&
           duress__option_in_range("hedge.delay_floor_ns", options->delay_floor_ns, 1, DURESS_HEDGE_DURATION_NS_MAX,
                                   why) &&
           duress__option_in_range("hedge.delay_ceiling_ns", options->delay_ceiling_ns, options->delay_floor_ns,
                                   DURESS_HEDGE_DURATION_NS_MAX, why);
}

static int hedge_options_init(struct duress_hedge_options *options, struct duress_failure *why)
{
    options->attempts_max = option_or_u32(options->attempts_max, DURESS_HEDGE_ATTEMPTS_DEFAULT);
    if (!duress__option_in_range("hedge.attempts_max", options->attempts_max, 2, DURESS_HEDGE_ATTEMPTS_MAX, why) ||
        !duress__option_in_range("hedge.delay_ns", options->delay_ns, 0, DURESS_HEDGE_DURATION_NS_MAX, why))
        return DURESS_E_INVALID;
    if (options->delay_ns != 0)
        return hedge_refuse_measuring(options, why);
    options->quantile_ppm = option_or_u32(options->quantile_ppm, DURESS_HEDGE_QUANTILE_PPM_DEFAULT);
    options->samples_min = option_or_u32(options->samples_min, DURESS_HEDGE_SAMPLES_MIN_DEFAULT);
    options->window_ns = option_or_u64(options->window_ns, DURESS_HEDGE_WINDOW_NS_DEFAULT);
    hedge_fill_bounds(options);
    return hedge_measuring_in_range(options, why) ? DURESS_OK : DURESS_E_INVALID;
}

int duress_hedge_init(struct duress_hedge *hedge, const struct duress_hedge_options *options,
                      struct duress_failure *why)
{
    struct duress_hedge_options filled = {.attempts_max = 0};
    if (!duress__option_given("hedge", hedge, why))
        return DURESS_E_INVALID;
    if (options != NULL)
        filled = *options;
    int error = hedge_options_init(&filled, why);
    if (error != DURESS_OK)
        return error;
    hedge->options = filled;
    hedge->window_begun_ns = DURESS_TIME_NEVER;
    duress_histogram_reset(&hedge->window);
    duress_histogram_reset(&hedge->both);
    duress_histogram_cursor_seek(&hedge->cursor, &hedge->both, filled.quantile_ppm);
    return DURESS_OK;
}

/* --- the measured delay --- */

/* Lets windows that are over pass away. */
static void hedge_turn_windows(struct duress_hedge *hedge, uint64_t now_ns)
{
    uint64_t window_ns = hedge->options.window_ns;
    DURESS_ASSERT(window_ns > 0); /* hedge_options_init() has seen to it */
    if (hedge->window_begun_ns == DURESS_TIME_NEVER)
        hedge->window_begun_ns = now_ns;
    uint64_t passed_ns = duress_time_until(hedge->window_begun_ns, now_ns);
    if (passed_ns < window_ns)
        return;
    if (passed_ns / window_ns == 1)
        hedge->both = hedge->window;
    else
        duress_histogram_reset(&hedge->both);
    duress_histogram_reset(&hedge->window);
    hedge->window_begun_ns += passed_ns - passed_ns % window_ns;
    duress_histogram_cursor_seek(&hedge->cursor, &hedge->both, hedge->options.quantile_ppm);
}

static void hedge_measure(struct duress_hedge *hedge, uint64_t latency_ns, uint64_t now_ns)
{
    if (hedge->options.delay_ns != 0)
        return;
    hedge_turn_windows(hedge, now_ns);
    duress_histogram_record(&hedge->window, latency_ns);
    duress_histogram_cursor_record(&hedge->cursor, &hedge->both, latency_ns);
}

uint64_t duress_hedge_delay_ns(struct duress_hedge *hedge, uint64_t now_ns)
{
    const struct duress_hedge_options *options = &hedge->options;
    if (options->delay_ns != 0)
        return options->delay_ns;
    hedge_turn_windows(hedge, now_ns);
    if (hedge->both.count < options->samples_min)
        return options->delay_ceiling_ns;
    /* The bound, not the value: where all latencies are alike, a hedge is not to begin with the answer. */
    uint64_t measured_ns = duress_histogram_cursor_bound(&hedge->cursor, &hedge->both);
    if (measured_ns < options->delay_floor_ns)
        return options->delay_floor_ns;
    return duress_time_min(measured_ns, options->delay_ceiling_ns);
}

uint64_t duress_hedge_samples(const struct duress_hedge *hedge)
{
    return hedge->both.count;
}

/* --- one call --- */

static void call_schedule(struct duress_hedge_call *call, uint64_t now_ns)
{
    uint64_t at_ns = duress_time_add(now_ns, call->delay_ns);
    call->next_ns = call->attempts_left > 0 && at_ns < call->deadline_ns ? at_ns : DURESS_TIME_NEVER;
}

void duress_hedge_begin(struct duress_hedge *hedge, struct duress_hedge_call *call, bool idempotent,
                        uint64_t deadline_ns, uint64_t now_ns)
{
    *call = (struct duress_hedge_call){
        .delay_ns = duress_hedge_delay_ns(hedge, now_ns),
        .deadline_ns = deadline_ns,
        .attempts_left = idempotent ? hedge->options.attempts_max - 1 : 0,
        .running = 1,
    };
    call_schedule(call, now_ns);
}

uint64_t duress_hedge_next_ns(const struct duress_hedge_call *call)
{
    return call->next_ns;
}

void duress_hedge_another(struct duress_hedge_call *call, uint64_t now_ns)
{
    DURESS_ASSERT(call->attempts_left > 0);
    call->attempts_left--;
    call->running++;
    call_schedule(call, now_ns);
}

void duress_hedge_stop(struct duress_hedge_call *call)
{
    call->attempts_left = 0;
    call->next_ns = DURESS_TIME_NEVER;
}

enum duress_hedge_verdict duress_hedge_ended(struct duress_hedge *hedge, struct duress_hedge_call *call, bool success,
                                             uint64_t begun_ns, uint64_t now_ns)
{
    DURESS_ASSERT(call->running > 0);
    call->running--;
    if (!success && call->running > 0)
        return DURESS_HEDGE_GOES_ON;
    if (success && !call->answering)
        hedge_measure(hedge, duress_time_until(begun_ns, now_ns), now_ns);
    duress_hedge_stop(call);
    return success ? DURESS_HEDGE_WON : DURESS_HEDGE_LOST;
}

void duress_hedge_answering(struct duress_hedge *hedge, struct duress_hedge_call *call, uint64_t begun_ns,
                            uint64_t now_ns)
{
    DURESS_ASSERT(call->running == 1 && !call->answering);
    hedge_measure(hedge, duress_time_until(begun_ns, now_ns), now_ns);
    call->answering = true;
    duress_hedge_stop(call);
}

void duress_hedge_given_up(struct duress_hedge *hedge, struct duress_hedge_call *call, uint64_t begun_ns,
                           uint64_t now_ns)
{
    DURESS_ASSERT(call->running > 0);
    call->running--;
    if (!call->answering && duress_time_until(begun_ns, now_ns) >= call->delay_ns)
        hedge_measure(hedge, call->delay_ns, now_ns);
}
