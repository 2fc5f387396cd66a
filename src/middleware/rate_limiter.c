/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/rate_limiter.h>

#include <duress/agent/list_private.h>

#include "layer_private.h"

struct rate_limiter {
    struct layer layer;
    struct duress_rate_limit_options limit;
    struct duress_bucket *bucket; /* |own|, or one that is shared */
    struct duress_bucket own;
    struct list_link queue;    /* of rate_call, the first comer first */
    struct duress_timer timer; /* armed while somebody waits: for the head's tokens */
    uint32_t waiting;
    struct layer_waits waits;
    uint64_t refused_by[DURESS_RATE_REASON_COUNT];
};

struct rate_call {
    struct duress_call *call;
    struct duress_call *child; /* NULL while it waits */
    struct list_link link;
    uint64_t since_ns;
};

static struct rate_limiter *rate_limiter_of(const struct rate_call *state)
{
    return (struct rate_limiter *)state->call->agent;
}

static void rate_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct rate_call *state = context;
    struct layer *layer = &rate_limiter_of(state)->layer;
    (void)child;
    layer_count_end(layer, result->error == DURESS_OK ? &layer->counts.succeeded : &layer->counts.failed);
    duress_call_pass(state->call, result);
}

/* Asks the inner agent; the tokens were taken at |now_ns|. */
static void rate_pass(struct rate_limiter *limiter, struct rate_call *state, uint64_t now_ns)
{
    struct duress_child child = {.agent = limiter->layer.inner, .on_end = rate_child_ended, .context = state};
    if (duress_call_begin(state->call, &child, &state->child) == DURESS_OK)
        return;
    duress_bucket_give_back(limiter->bucket, limiter->limit.tokens_per_request, now_ns, now_ns);
    limiter->refused_by[DURESS_RATE_BY_NOTHING]++;
    duress__layer_fail_memory(&limiter->layer, state->call, DURESS_ORIGIN_LIMITER);
}

static void rate_refuse(struct rate_limiter *limiter, struct rate_call *state,
                        const struct duress_rate_decision *decision, uint64_t now_ns)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_RATE_LIMITED, DURESS_ORIGIN_LIMITER, "%s",
                       duress_rate_reason_name(decision->reason));
    if (decision->at_ns != DURESS_TIME_NEVER)
        failure.retry_after_ns = duress_time_until(now_ns, decision->at_ns);
    limiter->refused_by[decision->reason]++;
    layer_count_end(&limiter->layer, &limiter->layer.counts.refused);
    duress_call_fail(state->call, &failure);
}

static struct duress_rate_decision rate_decide(struct rate_limiter *limiter, const struct rate_call *state,
                                               uint32_t ahead, uint64_t now_ns)
{
    struct duress_rate_request request = {
        .ahead = ahead,
        .since_ns = state->since_ns,
        .deadline_ns = state->call->deadline_ns,
    };
    return duress_rate_limit_decide(&limiter->limit, limiter->bucket, &request, now_ns);
}

/* --- the queue --- */

static struct rate_call *rate_head(const struct rate_limiter *limiter)
{
    return list_is_empty(&limiter->queue) ? NULL : LIST_OWNER(limiter->queue.next, struct rate_call, link);
}

static void rate_wait(struct rate_limiter *limiter, struct rate_call *state, uint64_t at_ns)
{
    bool first = list_is_empty(&limiter->queue);
    list_append(&limiter->queue, &state->link);
    limiter->waiting++;
    duress_call_mark_stage(state->call, DURESS_ORIGIN_LIMITER);
    if (first)
        duress_world_arm(limiter->layer.base.world, &limiter->timer, at_ns);
}

static void rate_leave(struct rate_limiter *limiter, struct rate_call *state)
{
    list_remove(&state->link);
    limiter->waiting--;
}

/* The heads of other queues at the same bucket, who may wait for the same instant, go first. */
static void rate_give_way(struct rate_limiter *limiter, uint64_t now_ns)
{
    uint64_t at_ns = DURESS_TIME_NEVER;
    if (rate_head(limiter) != NULL)
        at_ns = duress_time_add(duress_bucket_ready_ns(limiter->bucket, limiter->limit.tokens_per_request, now_ns), 1);
    duress_world_arm(limiter->layer.base.world, &limiter->timer, at_ns);
}

/* Serves the head of the queue until it has to wait. Whoever asks or is told of an end meanwhile may join the queue or
 * leave it. */
static void rate_serve(struct rate_limiter *limiter, uint64_t now_ns)
{
    struct rate_call *head;
    while ((head = rate_head(limiter)) != NULL) {
        struct duress_rate_decision decision = rate_decide(limiter, head, 0, now_ns);
        if (decision.verdict == DURESS_RATE_WAIT) {
            duress_world_arm(limiter->layer.base.world, &limiter->timer, decision.at_ns);
            return;
        }
        rate_leave(limiter, head);
        if (decision.verdict == DURESS_RATE_REFUSE) {
            rate_refuse(limiter, head, &decision, now_ns);
            continue;
        }
        layer_count_wait(&limiter->waits, now_ns - head->since_ns);
        rate_pass(limiter, head, now_ns);
        if (limiter->bucket != &limiter->own) {
            rate_give_way(limiter, now_ns);
            return;
        }
    }
    duress_world_disarm(limiter->layer.base.world, &limiter->timer);
}

static void rate_tokens_due(void *context)
{
    struct rate_limiter *limiter = context;
    struct duress_agent *agent = duress_agent_ref(&limiter->layer.base); /* callers may give theirs back */
    rate_serve(limiter, duress_world_now_ns(agent->world));
    duress_agent_unref(agent);
}

/* --- calls --- */

static void rate_process(struct duress_agent *agent, struct duress_call *call)
{
    struct rate_limiter *limiter = (struct rate_limiter *)agent;
    uint64_t now_ns = duress_call_started_ns(call);
    struct rate_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&limiter->layer);
    if (state == NULL) {
        limiter->refused_by[DURESS_RATE_BY_NOTHING]++;
        duress__layer_fail_memory(&limiter->layer, call, DURESS_ORIGIN_LIMITER);
        return;
    }
    *state = (struct rate_call){.call = call, .since_ns = now_ns};
    list_init(&state->link);
    call->state = state;
    struct duress_rate_decision decision = rate_decide(limiter, state, limiter->waiting, now_ns);
    switch (decision.verdict) {
    case DURESS_RATE_PASS:
        rate_pass(limiter, state, now_ns);
        break;
    case DURESS_RATE_WAIT:
        rate_wait(limiter, state, decision.at_ns);
        break;
    case DURESS_RATE_REFUSE:
        rate_refuse(limiter, state, &decision, now_ns);
        break;
    }
}

static void rate_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct rate_limiter *limiter = (struct rate_limiter *)agent;
    struct rate_call *state = call->state;
    if (state->child != NULL)
        duress_call_abandon(state->child);
    else
        rate_leave(limiter, state);
    /* Who moves up waits for as many tokens: the timer stands. */
    if (limiter->waiting == 0)
        duress_world_disarm(agent->world, &limiter->timer);
    layer_count_end(&limiter->layer, layer_given_up(&limiter->layer, call));
}

#define RATE_REFUSAL(reason)                                                                                           \
    {                                                                                                                  \
        "refusals", "Calls refused, by the reason.", DURESS_FIGURE_COUNTER, "reason", reason                           \
    }

/* The reasons in the order of their enum. */
static const struct layer_figure rate_figures[] = {
    RATE_REFUSAL("memory"),
    RATE_REFUSAL("rate"),
    RATE_REFUSAL("queue"),
    RATE_REFUSAL("wait"),
    RATE_REFUSAL("deadline"),
    {.name = "waiting", .help = "Calls that wait for tokens, now.", .type = DURESS_FIGURE_GAUGE},
    {.name = "waited", .help = "Calls that waited and got their tokens.", .type = DURESS_FIGURE_COUNTER},
    {.name = "waited_total", .help = "All of their waits together.", .type = DURESS_FIGURE_COUNTER_NS},
    {.name = "waited_longest", .help = "The longest of their waits.", .type = DURESS_FIGURE_GAUGE_NS},
};

static void rate_tell(const struct layer *base, uint64_t *values)
{
    const struct rate_limiter *limiter = (const struct rate_limiter *)base;
    for (int reason = 0; reason < DURESS_RATE_REASON_COUNT; reason++)
        *values++ = limiter->refused_by[reason];
    *values++ = limiter->waiting;
    *values++ = limiter->waits.count;
    *values++ = limiter->waits.total_ns;
    *values++ = limiter->waits.longest_ns;
}

static const struct layer_kind rate_kind = {
    .ops = {rate_process, rate_cancel, duress__layer_free},
    .name = "rate_limiter",
    .figures = rate_figures,
    .figure_count = sizeof rate_figures / sizeof rate_figures[0],
    .tell = rate_tell,
};

/* --- building and looking --- */

static bool bucket_options_are_zero(const struct duress_bucket_options *options)
{
    return options->rate == 0 && options->burst == 0 && options->per_ns == 0;
}

int duress_with_rate_limiter(struct duress_agent *inner, const struct duress_rate_limiter_options *options,
                             struct duress_agent **outer, struct duress_failure *why)
{
    static const struct duress_rate_limiter_options defaults = {.shared = NULL};
    const struct duress_rate_limiter_options *given = options != NULL ? options : &defaults;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    if (given->shared != NULL && !bucket_options_are_zero(&given->bucket))
        return duress__layer_refuse(why, "bucket: must be all zero where a shared bucket is given");
    struct rate_limiter *limiter = duress__layer_new(sizeof *limiter, &rate_kind, inner, why);
    if (limiter == NULL)
        return DURESS_E_NO_MEMORY;
    limiter->bucket = given->shared != NULL ? given->shared : &limiter->own;
    list_init(&limiter->queue);
    duress_timer_init(&limiter->timer, rate_tokens_due, limiter);
    int error = duress_bucket_init(&limiter->own, &given->bucket, why);
    if (error == DURESS_OK)
        error = duress_rate_limit_options_init(&limiter->limit, &given->limit, limiter->bucket, why);
    if (error != DURESS_OK) {
        duress_agent_unref(&limiter->layer.base);
        return error;
    }
    *outer = &limiter->layer.base;
    return DURESS_OK;
}

struct duress_rate_limiter_counts duress_rate_limiter_counts(const struct duress_agent *agent)
{
    const struct rate_limiter *limiter = duress__layer_find(agent, &rate_kind);
    struct duress_rate_limiter_counts counts = {.waiting = 0};
    if (limiter == NULL)
        return counts;
    counts.calls = limiter->layer.counts;
    counts.waiting = limiter->waiting;
    counts.waited = limiter->waits.count;
    counts.waited_ns = limiter->waits.total_ns;
    counts.waited_ns_max = limiter->waits.longest_ns;
    for (int reason = 0; reason < DURESS_RATE_REASON_COUNT; reason++)
        counts.refused_by[reason] = limiter->refused_by[reason];
    return counts;
}

const struct duress_bucket *duress_rate_limiter_bucket(const struct duress_agent *agent)
{
    const struct rate_limiter *limiter = duress__layer_find(agent, &rate_kind);
    return limiter != NULL ? limiter->bucket : NULL;
}
