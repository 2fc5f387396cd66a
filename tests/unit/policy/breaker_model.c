/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker_model.h"

#include <assert.h>
#include <string.h>

void breaker_model_init(struct breaker_model *model, const struct duress_breaker_options *options)
{
    memset(model, 0, sizeof *model);
    model->options = *options;
    model->state = DURESS_BREAKER_CLOSED;
    model->generation = 1;
}

static void model_go(struct breaker_model *model, enum duress_breaker_state to, uint64_t at_ns,
                     enum duress_breaker_reason reason)
{
    assert(model->change_count < MODEL_CHANGES_MAX);
    model->generation++;
    model->changes[model->change_count++] = (struct duress_breaker_transition){
        .at_ns = at_ns, .generation = model->generation, .from = model->state, .to = to, .reason = reason};
    model->state = to;
    if (to == DURESS_BREAKER_OPEN)
        model->opened_ns = at_ns;
}

static bool model_is_probing(const struct breaker_model *model, const struct model_call *call)
{
    return model->state == DURESS_BREAKER_HALF_OPEN && call->probe && !call->over &&
           call->generation == model->generation;
}

/* When the first lease of the probes in flight ends. */
static uint64_t model_first_lease_end_ns(const struct breaker_model *model)
{
    uint64_t first_ns = DURESS_TIME_NEVER;
    for (size_t i = 0; i < model->call_count; i++) {
        const struct model_call *call = &model->calls[i];
        if (model_is_probing(model, call) && call->lease_end_ns < first_ns)
            first_ns = call->lease_end_ns;
    }
    return first_ns;
}

uint32_t breaker_model_probes_in_flight(const struct breaker_model *model)
{
    uint32_t count = 0;
    for (size_t i = 0; i < model->call_count; i++)
        count += model_is_probing(model, &model->calls[i]);
    return count;
}

void breaker_model_advance(struct breaker_model *model, uint64_t now_ns)
{
    uint64_t end_ns = model_first_lease_end_ns(model);
    if (end_ns > now_ns)
        return;
    model_go(model, DURESS_BREAKER_OPEN, end_ns, DURESS_BREAKER_BY_PROBE_LAPSED);
    model->counters.lapsed++;
}

uint32_t breaker_model_failures_in_a_row(const struct breaker_model *model)
{
    if (model->options.mode != DURESS_BREAKER_CONSECUTIVE || model->state != DURESS_BREAKER_CLOSED)
        return 0;
    uint32_t row = 0;
    for (size_t i = 0; i < model->result_count; i++) {
        if (model->results[i].generation == model->generation)
            row = model->results[i].failed ? row + 1 : 0;
    }
    return row;
}

uint32_t breaker_model_probes_good(const struct breaker_model *model)
{
    uint32_t good = 0;
    for (size_t i = 0; i < model->result_count && model->state == DURESS_BREAKER_HALF_OPEN; i++)
        good += model->results[i].generation == model->generation;
    return good;
}

uint64_t breaker_model_next_ns(const struct breaker_model *model)
{
    if (model->state == DURESS_BREAKER_OPEN)
        return model->opened_ns + model->options.recovery_ns;
    if (model->state != DURESS_BREAKER_HALF_OPEN)
        return DURESS_TIME_NEVER;
    if (breaker_model_probes_in_flight(model) < model->options.probes_max)
        return 0;
    return model_first_lease_end_ns(model);
}

enum duress_verdict breaker_model_acquire(struct breaker_model *model, uint64_t now_ns, size_t *call,
                                          uint64_t *retry_at_ns)
{
    breaker_model_advance(model, now_ns);
    *retry_at_ns = breaker_model_next_ns(model);
    bool waiting = model->state == DURESS_BREAKER_OPEN && now_ns < *retry_at_ns;
    if (waiting || model->state == DURESS_BREAKER_FORCED_OPEN) {
        model->counters.refused_open++;
        return DURESS_REFUSE_OPEN;
    }
    if (model->state == DURESS_BREAKER_OPEN)
        model_go(model, DURESS_BREAKER_HALF_OPEN, now_ns, DURESS_BREAKER_BY_RECOVERY);
    if (model->state == DURESS_BREAKER_HALF_OPEN &&
        breaker_model_probes_in_flight(model) == model->options.probes_max) {
        model->counters.refused_probing++;
        return DURESS_REFUSE_PROBING;
    }
    assert(model->call_count < MODEL_CALLS_MAX);
    model->calls[model->call_count] = (struct model_call){
        .generation = model->generation,
        .admitted_ns = now_ns,
        .lease_end_ns = now_ns + model->options.probe_lease_ns,
        .probe = model->state == DURESS_BREAKER_HALF_OPEN,
    };
    *call = model->call_count++;
    model->counters.admitted++;
    *retry_at_ns = now_ns;
    return DURESS_ADMIT;
}

/* Which results of this generation the window covers at |now_ns|. */
static bool model_in_window(const struct breaker_model *model, size_t index, uint64_t now_ns)
{
    const struct model_result *result = &model->results[index];
    if (result->generation != model->generation)
        return false;
    if (model->options.mode == DURESS_BREAKER_RATE_OF_CALLS)
        return model->result_count - index <= model->options.window_calls;
    uint64_t width_ns = model->options.window_ns / model->options.window_buckets;
    width_ns += model->options.window_ns % model->options.window_buckets != 0;
    return result->at_ns / width_ns + model->options.window_buckets > now_ns / width_ns;
}

static void model_weigh(struct breaker_model *model, uint64_t now_ns)
{
    if (model->options.mode == DURESS_BREAKER_CONSECUTIVE) {
        if (breaker_model_failures_in_a_row(model) == model->options.failures_to_open)
            model_go(model, DURESS_BREAKER_OPEN, now_ns, DURESS_BREAKER_BY_FAILURES);
        return;
    }
    uint64_t total = 0;
    uint64_t failed = 0;
    uint64_t slow = 0;
    for (size_t i = 0; i < model->result_count; i++) {
        if (!model_in_window(model, i, now_ns))
            continue;
        total++;
        failed += model->results[i].failed;
        slow += model->results[i].slow;
    }
    if (total < model->options.calls_min)
        return;
    if (failed * 1000000 / total >= model->options.failure_rate_ppm)
        model_go(model, DURESS_BREAKER_OPEN, now_ns, DURESS_BREAKER_BY_FAILURE_RATE);
    else if (model->options.slow_call_ns > 0 && slow * 1000000 / total >= model->options.slow_rate_ppm)
        model_go(model, DURESS_BREAKER_OPEN, now_ns, DURESS_BREAKER_BY_SLOW_RATE);
}

static void model_count(struct duress_breaker_counters *counters, enum duress_outcome outcome)
{
    counters->successes += outcome == DURESS_OUTCOME_SUCCESS;
    counters->failures += outcome == DURESS_OUTCOME_FAILURE;
    counters->cancelled += outcome == DURESS_OUTCOME_CANCELLED;
    counters->ignored += outcome == DURESS_OUTCOME_IGNORED;
}

void breaker_model_report(struct breaker_model *model, size_t number, enum duress_outcome outcome, uint64_t now_ns)
{
    breaker_model_advance(model, now_ns);
    struct model_call *call = &model->calls[number];
    assert(!call->over);
    model_count(&model->counters, outcome);
    call->over = true;
    if (call->generation != model->generation) {
        model->counters.late++;
        return;
    }
    if (outcome == DURESS_OUTCOME_CANCELLED || outcome == DURESS_OUTCOME_IGNORED)
        return;
    bool slow = model->options.slow_call_ns > 0 && now_ns >= call->admitted_ns + model->options.slow_call_ns;
    bool failed = outcome == DURESS_OUTCOME_FAILURE;
    if (model->state == DURESS_BREAKER_FORCED_CLOSED)
        return;
    if (call->probe && (failed || slow)) {
        model_go(model, DURESS_BREAKER_OPEN, now_ns, DURESS_BREAKER_BY_PROBE_FAILED);
        return;
    }
    model->results[model->result_count++] = (struct model_result){model->generation, now_ns, failed, slow};
    if (!call->probe)
        model_weigh(model, now_ns);
    else if (breaker_model_probes_good(model) == model->options.successes_to_close)
        model_go(model, DURESS_BREAKER_CLOSED, now_ns, DURESS_BREAKER_BY_PROBES_GOOD);
}

void breaker_model_force(struct breaker_model *model, enum duress_breaker_state state, uint64_t now_ns)
{
    breaker_model_advance(model, now_ns);
    if (model->state != state)
        model_go(model, state, now_ns, DURESS_BREAKER_BY_FORCE);
}

void breaker_model_release(struct breaker_model *model, uint64_t now_ns)
{
    breaker_model_advance(model, now_ns);
    if (model->state == DURESS_BREAKER_FORCED_OPEN)
        model_go(model, DURESS_BREAKER_HALF_OPEN, now_ns, DURESS_BREAKER_BY_RELEASE);
    else if (model->state == DURESS_BREAKER_FORCED_CLOSED)
        model_go(model, DURESS_BREAKER_CLOSED, now_ns, DURESS_BREAKER_BY_RELEASE);
}
