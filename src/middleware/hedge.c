/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/hedge.h>

#include <stdio.h>
#include <string.h>

#include "layer_private.h"

struct hedge_layer {
    struct layer layer;
    struct duress_agent *backup;        /* holds a reference; NULL: the inner agent */
    struct duress_retry_budget *budget; /* |own|, or one that is shared */
    uint64_t attempts;
    uint64_t hedges;
    uint64_t succeeded_on_hedge;
    uint64_t losers;
    uint64_t budget_refusals;
    struct duress_retry_budget own;
    struct duress_hedge hedge;
};

struct hedge_attempt {
    struct hedge_call *state;
    struct duress_call *child; /* NULL: not begun, ended or given up */
    uint64_t begun_ns;
};

struct hedge_call {
    struct duress_call *call;
    struct duress_hedge_call policy;
    struct duress_timer timer; /* of the next attempt */
    bool ambiguous;            /* any attempt's failure was */
    bool answering;            /* a chunk has come: the winner is known */
    uint32_t begun;
    struct hedge_attempt attempts[]; /* as many as the options allow */
};

static struct hedge_layer *hedge_layer_of(const struct hedge_call *state)
{
    return (struct hedge_layer *)state->call->agent;
}

/* Gives up all that run but |winner|, which may be NULL. */
static void hedge_give_up(struct hedge_call *state, const struct hedge_attempt *winner, uint64_t now_ns)
{
    struct hedge_layer *layer = hedge_layer_of(state);
    for (uint32_t i = 0; i < state->begun; i++) {
        struct hedge_attempt *attempt = &state->attempts[i];
        if (attempt == winner || attempt->child == NULL)
            continue;
        duress_hedge_given_up(&layer->hedge, &state->policy, attempt->begun_ns, now_ns);
        state->ambiguous = state->ambiguous || attempt->child->sent;
        duress_call_abandon(attempt->child);
        attempt->child = NULL;
        if (winner != NULL)
            layer->losers++;
    }
}

/* Arms the timer of the next attempt, if there is to be one. */
static void hedge_await_next(struct hedge_call *state)
{
    uint64_t next_ns = duress_hedge_next_ns(&state->policy);
    if (next_ns != DURESS_TIME_NEVER)
        duress_world_arm(state->call->agent->world, &state->timer, next_ns);
}

static void hedge_won(struct hedge_call *state, const struct hedge_attempt *winner, const struct duress_result *result)
{
    struct hedge_layer *layer = hedge_layer_of(state);
    hedge_give_up(state, winner, result->ended_ns);
    layer->succeeded_on_hedge += winner != &state->attempts[0];
    layer_count_end(&layer->layer, &layer->layer.counts.succeeded);
    duress_call_pass(state->call, result);
}

static void hedge_lost(struct hedge_call *state, const struct duress_failure *last)
{
    struct hedge_layer *layer = hedge_layer_of(state);
    struct duress_failure failure = *last;
    failure.attempts = state->begun;
    failure.ambiguous = state->ambiguous;
    if (state->begun > 1) {
        size_t length = strnlen(failure.detail, sizeof failure.detail - 1);
        (void)snprintf(failure.detail + length, sizeof failure.detail - length, "%shedged: %u attempts, none succeeded",
                       length > 0 ? "; " : "", (unsigned)state->begun);
    }
    layer_count_end(&layer->layer, &layer->layer.counts.failed);
    duress_call_fail(state->call, &failure);
}

static void hedge_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct hedge_attempt *attempt = context;
    struct hedge_call *state = attempt->state;
    struct hedge_layer *layer = hedge_layer_of(state);
    bool success = result->error == DURESS_OK;
    (void)child;
    attempt->child = NULL;
    if (!success)
        state->ambiguous = state->ambiguous || result->failure->ambiguous;
    enum duress_hedge_verdict verdict =
        duress_hedge_ended(&layer->hedge, &state->policy, success, attempt->begun_ns, result->ended_ns);
    if (verdict == DURESS_HEDGE_GOES_ON)
        return;
    duress_world_disarm(layer->layer.base.world, &state->timer);
    if (verdict == DURESS_HEDGE_WON)
        hedge_won(state, attempt, result);
    else
        hedge_lost(state, result->failure);
}

/* The first chunk decides; those that follow can only come from the winner. */
static void hedge_child_chunk(void *context, struct duress_call *child, struct duress_message *chunk)
{
    struct hedge_attempt *attempt = context;
    struct hedge_call *state = attempt->state;
    struct hedge_layer *layer = hedge_layer_of(state);
    (void)child;
    if (!state->answering) {
        state->answering = true;
        uint64_t now_ns = duress_world_now_ns(layer->layer.base.world);
        duress_world_disarm(layer->layer.base.world, &state->timer);
        hedge_give_up(state, attempt, now_ns);
        duress_hedge_answering(&layer->hedge, &state->policy, attempt->begun_ns, now_ns);
    }
    duress_call_emit(state->call, chunk);
}

/* Begins the next attempt; false where memory is out. */
static bool hedge_attempt(struct hedge_call *state, uint64_t now_ns)
{
    struct hedge_layer *layer = hedge_layer_of(state);
    struct hedge_attempt *attempt = &state->attempts[state->begun];
    bool backup = state->begun > 0 && layer->backup != NULL;
    struct duress_child child = {
        .agent = backup ? layer->backup : layer->layer.inner,
        .on_end = hedge_child_ended,
        .on_chunk = state->call->streaming ? hedge_child_chunk : NULL,
        .context = attempt,
    };
    *attempt = (struct hedge_attempt){.state = state, .begun_ns = now_ns};
    if (duress_call_begin(state->call, &child, &attempt->child) != DURESS_OK)
        return false;
    state->begun++;
    layer->attempts++;
    return true;
}

static void hedge_is_due(void *context)
{
    struct hedge_call *state = context;
    struct hedge_layer *layer = hedge_layer_of(state);
    uint64_t now_ns = duress_world_now_ns(layer->layer.base.world);
    if (!duress_retry_budget_withdraw(layer->budget)) {
        layer->budget_refusals++;
        duress_hedge_stop(&state->policy);
        return;
    }
    if (!hedge_attempt(state, now_ns)) {
        duress_hedge_stop(&state->policy);
        return;
    }
    layer->hedges++;
    duress_hedge_another(&state->policy, now_ns);
    hedge_await_next(state);
}

static void hedge_process(struct duress_agent *agent, struct duress_call *call)
{
    struct hedge_layer *layer = (struct hedge_layer *)agent;
    uint64_t started_ns = duress_call_started_ns(call);
    size_t attempts_bytes = layer->hedge.options.attempts_max * sizeof(struct hedge_attempt);
    struct hedge_call *state = duress_call_allocate(call, sizeof *state + attempts_bytes);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_AGENT);
        return;
    }
    state->call = call;
    state->ambiguous = false;
    state->answering = false;
    state->begun = 0;
    call->state = state;
    duress_timer_init(&state->timer, hedge_is_due, state);
    duress_hedge_begin(&layer->hedge, &state->policy, call->idempotent, call->deadline_ns, started_ns);
    if (!hedge_attempt(state, started_ns)) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_AGENT);
        return;
    }
    duress_retry_budget_deposit(layer->budget);
    hedge_await_next(state);
}

static void hedge_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct hedge_layer *layer = (struct hedge_layer *)agent;
    struct hedge_call *state = call->state;
    duress_world_disarm(agent->world, &state->timer);
    hedge_give_up(state, NULL, duress_world_now_ns(agent->world));
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
}

/* --- the layer --- */

static const struct layer_figure hedge_figures[] = {
    {.name = "attempts", .help = "Attempts begun, first ones included.", .type = DURESS_FIGURE_COUNTER},
    {.name = "hedges", .help = "Attempts begun beside a first one.", .type = DURESS_FIGURE_COUNTER},
    {.name = "succeeded_on_hedge", .help = "Calls that such an attempt answered.", .type = DURESS_FIGURE_COUNTER},
    {.name = "losers", .help = "Attempts cancelled because another one won.", .type = DURESS_FIGURE_COUNTER},
    {.name = "budget_refusals", .help = "Hedges that were due and refused.", .type = DURESS_FIGURE_COUNTER},
    {.name = "delay", .help = "Delay before a hedge, now.", .type = DURESS_FIGURE_GAUGE_NS},
    {.name = "samples", .help = "Samples that a measured delay goes by.", .type = DURESS_FIGURE_GAUGE},
};

/* The delay as it is now: windows that are over pass away when somebody looks, too. */
static uint64_t hedge_delay_now_ns(const struct hedge_layer *layer)
{
    struct hedge_layer *mutable = (struct hedge_layer *)layer;
    return duress_hedge_delay_ns(&mutable->hedge, duress_world_now_ns(layer->layer.base.world));
}

static void hedge_tell(const struct layer *base, uint64_t *values)
{
    const struct hedge_layer *layer = (const struct hedge_layer *)base;
    *values++ = layer->attempts;
    *values++ = layer->hedges;
    *values++ = layer->succeeded_on_hedge;
    *values++ = layer->losers;
    *values++ = layer->budget_refusals;
    *values++ = hedge_delay_now_ns(layer);
    *values++ = duress_hedge_samples(&layer->hedge);
}

static void hedge_release(struct layer *layer)
{
    duress_agent_unref(((struct hedge_layer *)layer)->backup);
}

static const struct layer_kind hedge_kind = {
    .ops = {hedge_process, hedge_cancel, duress__layer_free},
    .name = "hedge",
    .figures = hedge_figures,
    .figure_count = sizeof hedge_figures / sizeof hedge_figures[0],
    .tell = hedge_tell,
    .release = hedge_release,
};

static int hedge_layer_init(struct hedge_layer *layer, const struct duress_hedge_layer_options *options,
                            struct duress_failure *why)
{
    int error = duress_hedge_init(&layer->hedge, &options->hedge, why);
    if (error == DURESS_OK)
        error = duress_retry_budget_init(&layer->own, &options->budget, why);
    if (error != DURESS_OK)
        return error;
    layer->budget = options->shared != NULL ? options->shared : &layer->own;
    layer->backup = options->backup != NULL ? duress_agent_ref(options->backup) : NULL;
    return DURESS_OK;
}

int duress_with_hedge(struct duress_agent *inner, const struct duress_hedge_layer_options *options,
                      struct duress_agent **outer, struct duress_failure *why)
{
    static const struct duress_hedge_layer_options defaults = {.shared = NULL};
    const struct duress_hedge_layer_options *given = options != NULL ? options : &defaults;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    if (given->shared != NULL && (given->budget.capacity != 0 || given->budget.deposit_milli != 0))
        return duress__layer_refuse(why, "budget: must be all zero where a shared budget is given");
    if (given->backup != NULL && given->backup->world != inner->world)
        return duress__layer_refuse(why, "backup: must be of the inner agent's world");
    struct hedge_layer *layer = duress__layer_new(sizeof *layer, &hedge_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    int error = hedge_layer_init(layer, given, why);
    if (error != DURESS_OK) {
        duress_agent_unref(&layer->layer.base);
        return error;
    }
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_hedge_counts duress_hedge_counts(const struct duress_agent *agent)
{
    const struct hedge_layer *layer = duress__layer_find(agent, &hedge_kind);
    struct duress_hedge_counts counts = {.attempts = 0};
    if (layer == NULL)
        return counts;
    counts.calls = layer->layer.counts;
    counts.attempts = layer->attempts;
    counts.hedges = layer->hedges;
    counts.succeeded_on_hedge = layer->succeeded_on_hedge;
    counts.losers = layer->losers;
    counts.budget_refusals = layer->budget_refusals;
    counts.delay_ns = hedge_delay_now_ns(layer);
    counts.samples = duress_hedge_samples(&layer->hedge);
    return counts;
}
