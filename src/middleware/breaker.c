/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/breaker.h>

#include <string.h>

#include "layer_private.h"

struct breaker_layer {
    struct layer layer;
    struct duress_breaker *breaker; /* |own|, or one that is shared */
    duress_outcome_fn outcome_of;   /* NULL: by the code */
    void *context;
    struct duress_breaker own;
};

struct breaker_call {
    struct duress_call *call;
    struct duress_call *child;
    struct duress_permit permit;
};

static struct breaker_layer *breaker_layer_of(const struct breaker_call *state)
{
    return (struct breaker_layer *)state->call->agent;
}

static enum duress_outcome breaker_outcome(const struct breaker_layer *layer, const struct duress_failure *failure)
{
    if (layer->outcome_of != NULL)
        return layer->outcome_of(layer->context, failure);
    return duress_outcome_of(failure->code);
}

static void breaker_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct breaker_call *state = context;
    struct breaker_layer *layer = breaker_layer_of(state);
    (void)child;
    bool good = result->error == DURESS_OK;
    enum duress_outcome outcome = good ? DURESS_OUTCOME_SUCCESS : breaker_outcome(layer, result->failure);
    duress_breaker_report(layer->breaker, state->permit, outcome, result->ended_ns);
    layer_count_end(&layer->layer, good ? &layer->layer.counts.succeeded : &layer->layer.counts.failed);
    duress_call_pass(state->call, result);
}

static void breaker_refuse(struct breaker_layer *layer, struct duress_call *call, enum duress_verdict verdict,
                           uint64_t retry_at_ns)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_CIRCUIT_OPEN, DURESS_ORIGIN_BREAKER,
                       verdict == DURESS_REFUSE_PROBING ? "half-open: all probes are in flight" : "open");
    if (retry_at_ns != DURESS_TIME_NEVER)
        failure.retry_after_ns = duress_time_until(duress_call_started_ns(call), retry_at_ns);
    layer_count_end(&layer->layer, &layer->layer.counts.refused);
    duress_call_fail(call, &failure);
}

static void breaker_process(struct duress_agent *agent, struct duress_call *call)
{
    struct breaker_layer *layer = (struct breaker_layer *)agent;
    uint64_t retry_at_ns = DURESS_TIME_NEVER;
    uint64_t started_ns = duress_call_started_ns(call);
    struct breaker_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_BREAKER);
        return;
    }
    state->call = call;
    call->state = state;
    enum duress_verdict verdict = duress_breaker_acquire(layer->breaker, started_ns, &state->permit, &retry_at_ns);
    if (verdict != DURESS_ADMIT) {
        breaker_refuse(layer, call, verdict, retry_at_ns);
        return;
    }
    struct duress_child child = {.agent = layer->layer.inner, .on_end = breaker_child_ended, .context = state};
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK)
        return;
    duress_breaker_report(layer->breaker, state->permit, DURESS_OUTCOME_IGNORED, started_ns);
    duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_BREAKER);
}

static void breaker_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct breaker_layer *layer = (struct breaker_layer *)agent;
    struct breaker_call *state = call->state;
    enum duress_outcome outcome = DURESS_OUTCOME_CANCELLED;
    if (call->expired) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_DEADLINE, DURESS_ORIGIN_CALLER, NULL);
        failure.ambiguous = call->sent;
        outcome = breaker_outcome(layer, &failure);
    }
    duress_call_abandon(state->child);
    duress_breaker_report(layer->breaker, state->permit, outcome, duress_world_now_ns(agent->world));
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
}

#define BREAKER_STATE(state)                                                                                           \
    {                                                                                                                  \
        "state", "1 for the state that the circuit is in.", DURESS_FIGURE_GAUGE, "state", state                        \
    }
#define BREAKER_CHANGE(reason)                                                                                         \
    {                                                                                                                  \
        "transitions", "Changes of state, by their reason.", DURESS_FIGURE_COUNTER, "reason", reason                   \
    }

/* The states and the reasons in the order of their enums; a test compares the words with those of the policy. */
static const struct layer_figure breaker_figures[] = {
    BREAKER_STATE("closed"),
    BREAKER_STATE("open"),
    BREAKER_STATE("half-open"),
    BREAKER_STATE("forced open"),
    BREAKER_STATE("forced closed"),
    BREAKER_CHANGE("failures in a row"),
    BREAKER_CHANGE("failure rate"),
    BREAKER_CHANGE("slow-call rate"),
    BREAKER_CHANGE("recovery time over"),
    BREAKER_CHANGE("probe failed"),
    BREAKER_CHANGE("probe lapsed"),
    BREAKER_CHANGE("probes succeeded"),
    BREAKER_CHANGE("forced"),
    BREAKER_CHANGE("released"),
    {.name = "probes_in_flight", .help = "Probes of a half-open circuit, now.", .type = DURESS_FIGURE_GAUGE},
    {.name = "late_results",
     .help = "Results of calls from before the last change of state.",
     .type = DURESS_FIGURE_COUNTER},
};

static void breaker_tell(const struct layer *base, uint64_t *values)
{
    struct duress_breaker_snapshot seen;
    duress_breaker_snapshot(((const struct breaker_layer *)base)->breaker, &seen);
    for (int state = 0; state <= DURESS_BREAKER_FORCED_CLOSED; state++)
        *values++ = (int)seen.state == state;
    for (int reason = 0; reason < DURESS_BREAKER_REASON_COUNT; reason++)
        *values++ = seen.counters.transitions[reason];
    *values++ = seen.probes_in_flight;
    *values++ = seen.counters.late;
}

static const struct layer_kind breaker_kind = {
    .ops = {breaker_process, breaker_cancel, duress__layer_free},
    .name = "breaker",
    .figures = breaker_figures,
    .figure_count = sizeof breaker_figures / sizeof breaker_figures[0],
    .tell = breaker_tell,
};

static bool breaker_options_are_zero(const struct duress_breaker_options *options)
{
    return options->mode == DURESS_BREAKER_CONSECUTIVE && options->failures_to_open == 0 &&
           options->successes_to_close == 0 && options->recovery_ns == 0 && options->probes_max == 0 &&
           options->probe_lease_ns == 0 && options->window_calls == 0 && options->window_ns == 0 &&
           options->window_buckets == 0 && options->calls_min == 0 && options->failure_rate_ppm == 0 &&
           options->slow_call_ns == 0 && options->slow_rate_ppm == 0;
}

int duress_with_breaker(struct duress_agent *inner, const struct duress_breaker_layer_options *options,
                        struct duress_agent **outer, struct duress_failure *why)
{
    static const struct duress_breaker_layer_options defaults = {.shared = NULL};
    const struct duress_breaker_layer_options *given = options != NULL ? options : &defaults;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    if (given->shared != NULL && !breaker_options_are_zero(&given->breaker))
        return duress__layer_refuse(why, "breaker: must be all zero where a shared breaker is given");
    struct breaker_layer *layer = duress__layer_new(sizeof *layer, &breaker_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    int error = duress_breaker_init(&layer->own, &given->breaker, why);
    if (error != DURESS_OK) {
        duress_agent_unref(&layer->layer.base);
        return error;
    }
    layer->breaker = given->shared != NULL ? given->shared : &layer->own;
    layer->outcome_of = given->outcome_of;
    layer->context = given->context;
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_breaker *duress_breaker_of(const struct duress_agent *agent)
{
    const struct breaker_layer *layer = duress__layer_find(agent, &breaker_kind);
    return layer != NULL ? layer->breaker : NULL;
}

struct duress_layer_counts duress_breaker_counts(const struct duress_agent *agent)
{
    const struct breaker_layer *layer = duress__layer_find(agent, &breaker_kind);
    struct duress_layer_counts none = {.begun = 0};
    return layer != NULL ? layer->layer.counts : none;
}
