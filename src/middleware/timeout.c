/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/timeout.h>

#include "layer_private.h"

struct timeout_layer {
    struct layer layer;
    struct duress_timeout_options options;
    struct duress_timeout_options whole; /* the same without the gap: the deadline of the inner call */
};

struct timeout_call {
    struct duress_call *call;
    struct duress_call *child;
    struct duress_timeout timeout;
    struct duress_timer timer;
};

static struct timeout_layer *timeout_layer_of(const struct timeout_call *state)
{
    return (struct timeout_layer *)state->call->agent;
}

static void timeout_describe(const struct timeout_call *state, enum duress_timeout_expiry expiry,
                             struct duress_failure *failure)
{
    const struct duress_timeout_options *options = &timeout_layer_of(state)->options;
    bool gap = expiry == DURESS_TIMEOUT_BY_GAP;
    uint64_t limit_ns = gap ? options->gap_ns : options->limit_ns;
    bool whole_ms = limit_ns % DURESS_MS == 0;
    duress_failure_set(failure, DURESS_E_DEADLINE, DURESS_ORIGIN_TIMEOUT, "%llu %s passed %s%s",
                       (unsigned long long)(whole_ms ? limit_ns / DURESS_MS : limit_ns / DURESS_US),
                       whole_ms ? "ms" : "us", gap ? "without a chunk " : "", duress_call_stage_text(state->child));
    failure->ambiguous = state->child->sent;
}

static void timeout_expired(void *context)
{
    struct timeout_call *state = context;
    struct timeout_layer *layer = timeout_layer_of(state);
    struct duress_failure failure;
    enum duress_timeout_expiry expiry =
        duress_timeout_expiry(&state->timeout, duress_world_now_ns(layer->layer.base.world));
    if (expiry == DURESS_TIMEOUT_RUNNING) { /* A chunk has come since the timer was armed. */
        duress_world_arm(layer->layer.base.world, &state->timer, duress_timeout_at_ns(&state->timeout));
        return;
    }
    timeout_describe(state, expiry, &failure);
    duress_call_expire(state->child);
    layer_count_end(&layer->layer, &layer->layer.counts.timed_out);
    duress_call_fail(state->call, &failure);
}

static void timeout_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct timeout_call *state = context;
    struct layer *layer = &timeout_layer_of(state)->layer;
    (void)child;
    duress_world_disarm(layer->base.world, &state->timer);
    layer_count_end(layer, result->error == DURESS_OK ? &layer->counts.succeeded : &layer->counts.failed);
    duress_call_pass(state->call, result);
}

static void timeout_child_chunk(void *context, struct duress_call *child, struct duress_message *chunk)
{
    struct timeout_call *state = context;
    struct timeout_layer *layer = timeout_layer_of(state);
    (void)child;
    duress_timeout_chunk(&state->timeout, &layer->options, duress_world_now_ns(layer->layer.base.world));
    duress_call_emit(state->call, chunk);
}

static void timeout_process(struct duress_agent *agent, struct duress_call *call)
{
    struct timeout_layer *layer = (struct timeout_layer *)agent;
    uint64_t started_ns = duress_call_started_ns(call);
    struct timeout_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_TIMEOUT);
        return;
    }
    state->call = call;
    call->state = state;
    duress_timer_init(&state->timer, timeout_expired, state);
    duress_timeout_init(&state->timeout, &layer->options, call->deadline_ns, started_ns);
    struct duress_child child = {
        .agent = layer->layer.inner,
        .deadline_ns = duress_timeout_deadline_ns(&layer->whole, call->deadline_ns, started_ns),
        .on_end = timeout_child_ended,
        .on_chunk = call->streaming ? timeout_child_chunk : NULL,
        .context = state,
    };
    /* A deadline that came with the call has a timer of whoever set it. */
    uint64_t at_ns = duress_timeout_at_ns(&state->timeout);
    if (at_ns < call->deadline_ns)
        duress_world_arm(agent->world, &state->timer, at_ns);
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK)
        return;
    duress_world_disarm(agent->world, &state->timer);
    duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_TIMEOUT);
}

static void timeout_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct layer *layer = (struct layer *)agent;
    struct timeout_call *state = call->state;
    duress_world_disarm(agent->world, &state->timer);
    duress_call_abandon(state->child);
    layer_count_end(layer, layer_given_up(layer, call));
}

static const struct layer_kind timeout_kind = {
    .ops = {timeout_process, timeout_cancel, duress__layer_free},
    .name = "timeout",
};

int duress_with_timeout(struct duress_agent *inner, const struct duress_timeout_options *options,
                        struct duress_agent **outer, struct duress_failure *why)
{
    struct duress_timeout_options complete;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    int error = duress_timeout_options_init(&complete, options, why);
    if (error != DURESS_OK)
        return error;
    struct timeout_layer *layer = duress__layer_new(sizeof *layer, &timeout_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    layer->options = complete;
    layer->whole = complete;
    layer->whole.gap_ns = DURESS_TIME_NEVER;
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_layer_counts duress_timeout_counts(const struct duress_agent *agent)
{
    const struct timeout_layer *layer = duress__layer_find(agent, &timeout_kind);
    struct duress_layer_counts none = {.begun = 0};
    return layer != NULL ? layer->layer.counts : none;
}
