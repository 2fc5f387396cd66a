/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/retry.h>

#include <stdio.h>
#include <string.h>

#include "layer_private.h"

#define RETRY_PURPOSE UINT64_C(0x6475726573725f72) /* of the waits, among the world's random streams */

struct retry_layer {
    struct layer layer;
    struct duress_retry_options options;
    struct duress_retry_budget *budget; /* NULL: none */
    struct duress_prng prng;
    uint64_t attempts;
    uint64_t succeeded_on_retry;
    uint64_t budget_refusals;
    uint64_t waiting;
};

struct retry_call {
    struct duress_call *call;
    struct duress_call *child; /* NULL between two attempts */
    struct duress_retry retry;
    uint32_t attempts; /* begun; the policy counts one as begun that the budget may still refuse */
    bool ambiguous;    /* any attempt's failure was */
    struct duress_timer timer;
};

static void retry_attempt(struct retry_call *state);

static struct retry_layer *retry_layer_of(const struct retry_call *state)
{
    return (struct retry_layer *)state->call->agent;
}

static void retry_give_up(struct retry_call *state, const struct duress_failure *last, const char *reason)
{
    struct retry_layer *layer = retry_layer_of(state);
    struct duress_failure failure = *last;
    failure.attempts = state->attempts;
    failure.ambiguous = state->ambiguous;
    size_t length = strnlen(failure.detail, sizeof failure.detail - 1);
    (void)snprintf(failure.detail + length, sizeof failure.detail - length, "%sgave up: %s", length > 0 ? "; " : "",
                   reason);
    layer_count_end(&layer->layer, &layer->layer.counts.failed);
    duress_call_fail(state->call, &failure);
}

static void retry_wait_over(void *context)
{
    struct retry_call *state = context;
    retry_layer_of(state)->waiting--;
    retry_attempt(state);
}

static void retry_attempt_failed(struct retry_call *state, const struct duress_result *result)
{
    struct retry_layer *layer = retry_layer_of(state);
    struct duress_call *call = state->call;
    state->ambiguous = state->ambiguous || result->failure->ambiguous;
    if (call->chunk_emitted) {
        retry_give_up(state, result->failure, "a part of the reply has been handed on");
        return;
    }
    struct duress_retry_decision decision =
        duress_retry_decide(&state->retry, &layer->options, result->failure, call->idempotent, call->deadline_ns,
                            result->ended_ns, &layer->prng);
    if (decision.verdict != DURESS_RETRY_WAIT) {
        retry_give_up(state, result->failure, duress_retry_reason_name(decision.reason));
        return;
    }
    if (layer->budget != NULL && !duress_retry_budget_withdraw(layer->budget)) {
        layer->budget_refusals++;
        retry_give_up(state, result->failure, "retry budget spent");
        return;
    }
    layer->waiting++;
    duress_call_mark_stage(call, DURESS_ORIGIN_RETRY);
    duress_world_arm(layer->layer.base.world, &state->timer, decision.at_ns);
}

static void retry_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct retry_call *state = context;
    struct retry_layer *layer = retry_layer_of(state);
    (void)child;
    state->child = NULL;
    if (result->error != DURESS_OK) {
        retry_attempt_failed(state, result);
        return;
    }
    if (state->attempts > 1)
        layer->succeeded_on_retry++;
    layer_count_end(&layer->layer, &layer->layer.counts.succeeded);
    duress_call_pass(state->call, result);
}

static void retry_attempt(struct retry_call *state)
{
    struct retry_layer *layer = retry_layer_of(state);
    struct duress_child child = {.agent = layer->layer.inner, .on_end = retry_child_ended, .context = state};
    if (duress_call_begin(state->call, &child, &state->child) == DURESS_OK) {
        state->attempts++;
        layer->attempts++;
        return;
    }
    struct duress_failure failure;
    state->child = NULL;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_RETRY, NULL);
    retry_give_up(state, &failure, "no memory for an attempt");
}

static void retry_process(struct duress_agent *agent, struct duress_call *call)
{
    struct retry_layer *layer = (struct retry_layer *)agent;
    struct retry_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_RETRY);
        return;
    }
    state->call = call;
    state->attempts = 0;
    state->ambiguous = false;
    call->state = state;
    duress_timer_init(&state->timer, retry_wait_over, state);
    duress_retry_init(&state->retry, &layer->options);
    if (layer->budget != NULL)
        duress_retry_budget_deposit(layer->budget);
    retry_attempt(state);
}

static void retry_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct retry_layer *layer = (struct retry_layer *)agent;
    struct retry_call *state = call->state;
    if (state->child != NULL) {
        duress_call_abandon(state->child);
    } else {
        duress_world_disarm(agent->world, &state->timer);
        layer->waiting--;
    }
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
}

static const struct layer_figure retry_figures[] = {
    {.name = "attempts", .help = "Attempts begun, first ones included.", .type = DURESS_FIGURE_COUNTER},
    {.name = "succeeded_on_retry",
     .help = "Calls that a second or later attempt answered.",
     .type = DURESS_FIGURE_COUNTER},
    {.name = "budget_refusals",
     .help = "Retries that the policy wanted and the budget refused.",
     .type = DURESS_FIGURE_COUNTER},
    {.name = "waiting", .help = "Calls between two attempts, now.", .type = DURESS_FIGURE_GAUGE},
};

static void retry_tell(const struct layer *base, uint64_t *values)
{
    const struct retry_layer *layer = (const struct retry_layer *)base;
    *values++ = layer->attempts;
    *values++ = layer->succeeded_on_retry;
    *values++ = layer->budget_refusals;
    *values++ = layer->waiting;
}

static const struct layer_kind retry_kind = {
    .ops = {retry_process, retry_cancel, duress__layer_free},
    .name = "retry",
    .figures = retry_figures,
    .figure_count = sizeof retry_figures / sizeof retry_figures[0],
    .tell = retry_tell,
};

int duress_with_retry(struct duress_agent *inner, const struct duress_retry_options *options,
                      struct duress_retry_budget *budget, struct duress_agent **outer, struct duress_failure *why)
{
    struct duress_retry_options complete;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    int error = duress_retry_options_init(&complete, options, why);
    if (error != DURESS_OK)
        return error;
    struct retry_layer *layer = duress__layer_new(sizeof *layer, &retry_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    layer->options = complete;
    layer->budget = budget;
    duress_world_prng(inner->world, RETRY_PURPOSE, &layer->prng);
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_retry_counts duress_retry_counts(const struct duress_agent *agent)
{
    const struct retry_layer *layer = duress__layer_find(agent, &retry_kind);
    struct duress_retry_counts counts = {.attempts = 0};
    if (layer == NULL)
        return counts;
    counts.calls = layer->layer.counts;
    counts.attempts = layer->attempts;
    counts.succeeded_on_retry = layer->succeeded_on_retry;
    counts.budget_refusals = layer->budget_refusals;
    counts.waiting = layer->waiting;
    return counts;
}
