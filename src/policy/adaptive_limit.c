/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/adaptive_limit.h>

#include <stddef.h>

#include "option.h"

#define MILLI UINT64_C(1000)
#define PPM UINT64_C(1000000)
#define SAMPLES_MAX (UINT32_C(1) << 20) /* of one window: beyond, it is full and ends */
#define TOOK_NS_MAX (UINT64_C(1) << 43) /* more than two hours: longer ones count as that, and sums cannot wrap */

/* --- options --- */

static bool options_fit_rule(const struct duress_adaptive_limit_options *given, struct duress_failure *why)
{
    static const char because[] = "with additive increase";
    if (given->rule == DURESS_ADAPTIVE_GRADIENT)
        return true;
    return duress__option_unused("adaptive_limit.smoothing_ppm", given->smoothing_ppm, because, why) &&
           duress__option_unused("adaptive_limit.tolerance_ppm", given->tolerance_ppm, because, why) &&
           duress__option_unused("adaptive_limit.queue_allowance", given->queue_allowance, because, why) &&
           duress__option_unused("adaptive_limit.long_windows", given->long_windows, because, why);
}

static void options_fill(struct duress_adaptive_limit_options *o)
{
    o->limit_max = option_or_u32(o->limit_max, DURESS_ADAPTIVE_LIMIT_MAX_DEFAULT);
    if (o->limit_min == 0)
        o->limit_min =
            o->limit_max < DURESS_ADAPTIVE_LIMIT_MIN_DEFAULT ? o->limit_max : DURESS_ADAPTIVE_LIMIT_MIN_DEFAULT;
    if (o->limit_initial == 0) {
        uint32_t initial = DURESS_ADAPTIVE_LIMIT_INITIAL_DEFAULT;
        initial = initial > o->limit_max ? o->limit_max : initial;
        o->limit_initial = initial < o->limit_min ? o->limit_min : initial;
    }
    o->window_ns = option_or_u64(o->window_ns, DURESS_ADAPTIVE_WINDOW_NS_DEFAULT);
    o->samples_min = option_or_u32(o->samples_min, DURESS_ADAPTIVE_SAMPLES_MIN_DEFAULT);
    o->backoff_ppm = option_or_u32(o->backoff_ppm, DURESS_ADAPTIVE_BACKOFF_PPM_DEFAULT);
    o->smoothing_ppm = option_or_u32(o->smoothing_ppm, DURESS_ADAPTIVE_SMOOTHING_PPM_DEFAULT);
    o->tolerance_ppm = option_or_u32(o->tolerance_ppm, DURESS_ADAPTIVE_TOLERANCE_PPM_DEFAULT);
    if (o->queue_allowance == 0)
        o->queue_allowance = o->limit_max < DURESS_ADAPTIVE_QUEUE_ALLOWANCE_DEFAULT
                                 ? o->limit_max
                                 : DURESS_ADAPTIVE_QUEUE_ALLOWANCE_DEFAULT;
    o->long_windows = option_or_u32(o->long_windows, DURESS_ADAPTIVE_LONG_WINDOWS_DEFAULT);
}

static bool options_in_range(const struct duress_adaptive_limit_options *o, struct duress_failure *why)
{
    return duress__option_in_range("adaptive_limit.limit_max", o->limit_max, 1, DURESS_ADAPTIVE_LIMIT_LIMIT_MAX, why) &&
           duress__option_in_range("adaptive_limit.limit_min", o->limit_min, 1, o->limit_max, why) &&
           duress__option_in_range("adaptive_limit.limit_initial", o->limit_initial, o->limit_min, o->limit_max, why) &&
           duress__option_in_range("adaptive_limit.window_ns", o->window_ns, 1, DURESS_ADAPTIVE_WINDOW_NS_MAX, why) &&
           duress__option_in_range("adaptive_limit.samples_min", o->samples_min, 1, DURESS_ADAPTIVE_SAMPLES_MIN_MAX,
                                   why) &&
           duress__option_in_range("adaptive_limit.backoff_ppm", o->backoff_ppm, PPM / 2, PPM - 1, why) &&
           duress__option_in_range("adaptive_limit.smoothing_ppm", o->smoothing_ppm, 1, PPM, why) &&
           duress__option_in_range("adaptive_limit.tolerance_ppm", o->tolerance_ppm, PPM,
                                   DURESS_ADAPTIVE_TOLERANCE_PPM_MAX, why) &&
           duress__option_in_range("adaptive_limit.queue_allowance", o->queue_allowance, 1, o->limit_max, why) &&
           duress__option_in_range("adaptive_limit.long_windows", o->long_windows, 2, DURESS_ADAPTIVE_LONG_WINDOWS_MAX,
                                   why);
}

int duress_adaptive_limit_init(struct duress_adaptive_limit *adaptive,
                               const struct duress_adaptive_limit_options *options, struct duress_failure *why)
{
    struct duress_adaptive_limit_options filled = {.rule = DURESS_ADAPTIVE_GRADIENT};
    if (!duress__option_given("adaptive_limit", adaptive, why))
        return DURESS_E_INVALID;
    if (options != NULL)
        filled = *options;
    if (!duress__option_in_range("adaptive_limit.rule", (uint64_t)filled.rule, 0, DURESS_ADAPTIVE_AIMD, why) ||
        !options_fit_rule(&filled, why))
        return DURESS_E_INVALID;
    options_fill(&filled);
    if (!options_in_range(&filled, why))
        return DURESS_E_INVALID;
    *adaptive = (struct duress_adaptive_limit){
        .options = filled,
        .limit = {filled.limit_initial},
        .limit_milli = filled.limit_initial * MILLI,
    };
    return DURESS_OK;
}

/* --- the rules --- */

static uint64_t scale_ppm(uint64_t number, uint64_t ppm)
{
    return number / PPM * ppm + number % PPM * ppm / PPM;
}

/* The average over the last long_windows windows as an exponential one; over all of them while they are fewer. */
static void long_add(struct duress_adaptive_limit *adaptive, uint64_t window_ns)
{
    if (adaptive->long_count < adaptive->options.long_windows)
        adaptive->long_count++;
    uint64_t before = adaptive->long_ns;
    if (window_ns >= before)
        adaptive->long_ns = before + (window_ns - before) / adaptive->long_count;
    else
        adaptive->long_ns = before - (before - window_ns) / adaptive->long_count;
    if (adaptive->long_ns / 2 > window_ns)
        adaptive->long_ns -= adaptive->long_ns / 10;
}

/* How the window's average stands to the long run, within [1/2, 1]. */
static uint64_t gradient_ppm(const struct duress_adaptive_limit *adaptive, uint64_t window_ns)
{
    uint64_t well_ns = scale_ppm(adaptive->long_ns, adaptive->options.tolerance_ppm);
    if (well_ns >= window_ns)
        return PPM;
    /* Below TOOK_NS_MAX, so that the product stays below 2^63. */
    uint64_t ratio = well_ns * PPM / window_ns;
    return ratio < PPM / 2 ? PPM / 2 : ratio;
}

static uint64_t limit_by_gradient(const struct duress_adaptive_limit *adaptive, uint64_t window_ns)
{
    uint64_t limit = adaptive->limit_milli;
    uint64_t aim = scale_ppm(limit, gradient_ppm(adaptive, window_ns)) + adaptive->options.queue_allowance * MILLI;
    uint64_t smoothing = adaptive->options.smoothing_ppm;
    if (aim >= limit)
        return limit + scale_ppm(aim - limit, smoothing);
    return limit - scale_ppm(limit - aim, smoothing);
}

static uint64_t limit_next(struct duress_adaptive_limit *adaptive)
{
    const struct duress_adaptive_limit_options *options = &adaptive->options;
    uint64_t limit = adaptive->limit_milli;
    uint64_t window_ns = 0;
    if (adaptive->answered > 0) {
        window_ns = adaptive->total_ns / adaptive->answered;
        window_ns = window_ns > 0 ? window_ns : 1;
        long_add(adaptive, window_ns);
    }
    if (adaptive->dropped)
        return scale_ppm(limit, options->backoff_ppm);
    if (adaptive->in_use_max * (2 * MILLI) < limit)
        return limit;
    return options->rule == DURESS_ADAPTIVE_AIMD ? limit + MILLI : limit_by_gradient(adaptive, window_ns);
}

/* --- samples --- */

static void window_end(struct duress_adaptive_limit *adaptive)
{
    uint64_t limit = limit_next(adaptive);
    uint64_t low = adaptive->options.limit_min * MILLI;
    uint64_t high = adaptive->options.limit_max * MILLI;
    limit = limit < low ? low : limit;
    adaptive->limit_milli = limit > high ? high : limit;
    duress__atomic_store(&adaptive->limit, adaptive->limit_milli / MILLI);
    adaptive->samples = 0;
    adaptive->answered = 0;
    adaptive->total_ns = 0;
    adaptive->in_use_max = 0;
    adaptive->dropped = false;
}

static void window_add(struct duress_adaptive_limit *adaptive, uint64_t now_ns, uint64_t took_ns, uint32_t in_use,
                       bool dropped)
{
    if (adaptive->samples == 0)
        adaptive->opened_ns = now_ns;
    adaptive->samples++;
    adaptive->dropped = adaptive->dropped || dropped;
    if (in_use > adaptive->in_use_max)
        adaptive->in_use_max = in_use;
    if (!dropped) {
        adaptive->answered++;
        adaptive->total_ns += took_ns < TOOK_NS_MAX ? took_ns : TOOK_NS_MAX;
    }
    bool long_enough = now_ns >= duress_time_add(adaptive->opened_ns, adaptive->options.window_ns);
    if ((long_enough && adaptive->samples >= adaptive->options.samples_min) || adaptive->samples >= SAMPLES_MAX)
        window_end(adaptive);
}

uint32_t duress_adaptive_limit_sample(struct duress_adaptive_limit *adaptive, uint64_t now_ns, uint64_t took_ns,
                                      uint32_t in_use, bool dropped)
{
    if (duress__atomic_exchange(&adaptive->busy, 1) == 0) {
        window_add(adaptive, now_ns, took_ns, in_use, dropped);
        duress__atomic_store(&adaptive->busy, 0);
    }
    return duress_adaptive_limit_limit(adaptive);
}

uint32_t duress_adaptive_limit_limit(const struct duress_adaptive_limit *adaptive)
{
    return (uint32_t)duress__atomic_load(&adaptive->limit);
}
