/* SPDX-License-Identifier: Apache-2.0 */
#include "hedge_model.h"

#include <stdlib.h>
#include <string.h>

void hedge_model_init(struct hedge_model *model, const struct duress_hedge_options *options)
{
    model->options = *options;
    model->sample_count = 0;
    model->knows_origin = false;
    model->latest_ns = 0;
    model->attempt_count = 0;
}

static uint64_t model_window(struct hedge_model *model, uint64_t now_ns)
{
    if (!model->knows_origin)
        model->origin_ns = now_ns;
    model->knows_origin = true;
    if (now_ns > model->latest_ns)
        model->latest_ns = now_ns;
    return (model->latest_ns - model->origin_ns) / model->options.window_ns;
}

static bool model_counts(const struct hedge_model *model, const struct hedge_model_sample *sample)
{
    uint64_t window = (model->latest_ns - model->origin_ns) / model->options.window_ns;
    return sample->window == window || sample->window + 1 == window;
}

size_t hedge_model_samples(const struct hedge_model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->sample_count; i++)
        count += model_counts(model, &model->samples[i]);
    return count;
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t hedge_model_delay_ns(struct hedge_model *model, uint64_t now_ns)
{
    static uint64_t sorted[HEDGE_MODEL_SAMPLES];
    size_t count = 0;
    if (model->options.delay_ns != 0)
        return model->options.delay_ns;
    (void)model_window(model, now_ns);
    for (size_t i = 0; i < model->sample_count; i++)
        if (model_counts(model, &model->samples[i]))
            sorted[count++] = model->samples[i].latency_ns;
    if (count < model->options.samples_min)
        return model->options.delay_ceiling_ns;
    qsort(sorted, count, sizeof sorted[0], ascending);
    size_t rank = (count * model->options.quantile_ppm + 999999) / 1000000;
    uint64_t delay_ns = sorted[rank - 1];
    if (delay_ns < model->options.delay_floor_ns)
        delay_ns = model->options.delay_floor_ns;
    if (delay_ns > model->options.delay_ceiling_ns)
        delay_ns = model->options.delay_ceiling_ns;
    return delay_ns;
}

static void model_measure(struct hedge_model *model, uint64_t latency_ns, uint64_t now_ns)
{
    if (model->options.delay_ns != 0)
        return;
    struct hedge_model_sample sample = {latency_ns, model_window(model, now_ns)};
    if (model->sample_count == HEDGE_MODEL_SAMPLES)
        abort();
    model->samples[model->sample_count++] = sample;
}

void hedge_model_begin(struct hedge_model *model, bool idempotent, uint64_t deadline_ns, uint64_t now_ns)
{
    model->attempts[0] = (struct hedge_model_attempt){now_ns, true};
    model->attempt_count = 1;
    model->idempotent = idempotent;
    model->stopped = false;
    model->answering = false;
    model->deadline_ns = deadline_ns;
    model->delay_ns = hedge_model_delay_ns(model, now_ns);
}

uint64_t hedge_model_next_ns(const struct hedge_model *model)
{
    uint64_t at_ns = model->attempts[model->attempt_count - 1].begun_ns + model->delay_ns;
    bool may = model->idempotent && !model->stopped && model->attempt_count < model->options.attempts_max;
    return may && at_ns < model->deadline_ns ? at_ns : DURESS_TIME_NEVER;
}

void hedge_model_another(struct hedge_model *model, uint64_t now_ns)
{
    model->attempts[model->attempt_count++] = (struct hedge_model_attempt){now_ns, true};
}

size_t hedge_model_running(const struct hedge_model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->attempt_count; i++)
        count += model->attempts[i].running;
    return count;
}

struct hedge_model_attempt *hedge_model_attempt(struct hedge_model *model, size_t which)
{
    for (size_t i = 0; i < model->attempt_count; i++)
        if (model->attempts[i].running && which-- == 0)
            return &model->attempts[i];
    abort();
}

static uint64_t attempt_ran_ns(const struct hedge_model_attempt *attempt, uint64_t now_ns)
{
    return now_ns > attempt->begun_ns ? now_ns - attempt->begun_ns : 0;
}

enum duress_hedge_verdict hedge_model_ended(struct hedge_model *model, struct hedge_model_attempt *attempt,
                                            bool success, uint64_t now_ns)
{
    attempt->running = false;
    if (success) {
        model->stopped = true;
        if (!model->answering)
            model_measure(model, attempt_ran_ns(attempt, now_ns), now_ns);
        return DURESS_HEDGE_WON;
    }
    if (hedge_model_running(model) > 0)
        return DURESS_HEDGE_GOES_ON;
    model->stopped = true;
    return DURESS_HEDGE_LOST;
}

void hedge_model_answering(struct hedge_model *model, struct hedge_model_attempt *attempt, uint64_t now_ns)
{
    model_measure(model, attempt_ran_ns(attempt, now_ns), now_ns);
    model->answering = true;
    model->stopped = true;
}

void hedge_model_given_up(struct hedge_model *model, struct hedge_model_attempt *attempt, uint64_t now_ns)
{
    attempt->running = false;
    if (!model->answering && attempt_ran_ns(attempt, now_ns) >= model->delay_ns)
        model_measure(model, model->delay_ns, now_ns);
}
