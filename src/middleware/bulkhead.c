/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/bulkhead.h>

#include <duress/agent/list_private.h>

#include "layer_private.h"

struct bulkhead_layer {
    struct layer layer;
    struct duress_bulkhead *bulkhead;       /* |own|, or one that is shared */
    struct duress_adaptive_limit *adaptive; /* NULL: the limit is fixed */
    enum duress_bulkhead_mode mode;
    uint32_t waiting_max;
    uint64_t wait_ns_max;
    uint32_t seat;
    bool seated;
    struct list_link queue; /* of bulkhead_call, the first comer first */
    uint32_t waiting;
    uint32_t owed; /* slots on their way to callers that gave up; while there are any, the layer holds itself */
    struct duress_later later; /* wakes the queue from its own thread … */
    struct duress_post post;   /* … or from another one. Of the two at most one is under way */
    struct layer_waits waits;
    uint64_t refused_full;
    uint64_t refused_late;
    struct duress_bulkhead own;
    struct duress_adaptive_limit own_adaptive;
};

struct bulkhead_call {
    struct duress_call *call;
    struct duress_call *child; /* NULL while it waits */
    struct list_link link;
    uint64_t ticket;
    uint64_t since_ns; /* it asked; from when it runs: it began to */
    struct duress_timer timer;
};

static struct bulkhead_layer *bulkhead_layer_of(const struct bulkhead_call *state)
{
    return (struct bulkhead_layer *)state->call->agent;
}

/* --- slots --- */

void duress__bulkhead_wake(void *owner)
{
    struct bulkhead_layer *woken = owner;
    if (woken != NULL)
        duress_world_post(woken->layer.base.world, &woken->post);
}

/* Wakes the queue of |owner|, if there is one to be woken. */
static void queue_wake(const struct bulkhead_layer *layer, void *owner)
{
    struct bulkhead_layer *woken = owner;
    if (woken != NULL && woken->layer.base.world == layer->layer.base.world)
        duress_world_defer(woken->layer.base.world, &woken->later);
    else
        duress__bulkhead_wake(owner);
}

/* What is free, and somebody waits for: where the limit grew. */
static void slots_offer(const struct bulkhead_layer *layer)
{
    void *owner;
    while (duress_bulkhead_offer(layer->bulkhead, &owner))
        queue_wake(layer, owner);
}

static void slot_release(const struct bulkhead_layer *layer)
{
    queue_wake(layer, duress_bulkhead_release(layer->bulkhead));
    slots_offer(layer);
}

static void limit_follow(const struct bulkhead_layer *layer, uint32_t limit)
{
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(layer->bulkhead, &seen);
    if (seen.limit == limit)
        return;
    duress_bulkhead_set_limit(layer->bulkhead, limit);
    slots_offer(layer);
}

/* The call that held a slot has ended with |error|. */
static void slot_end(const struct bulkhead_layer *layer, const struct bulkhead_call *state, int error, uint64_t now_ns)
{
    bool dropped = error == DURESS_E_OVERLOADED || error == DURESS_E_DEADLINE;
    if (layer->adaptive != NULL && (error == DURESS_OK || dropped)) {
        struct duress_bulkhead_snapshot seen;
        duress_bulkhead_snapshot(layer->bulkhead, &seen);
        uint64_t took_ns = duress_time_until(state->since_ns, now_ns);
        limit_follow(layer, duress_adaptive_limit_sample(layer->adaptive, now_ns, took_ns, seen.running, dropped));
    }
    slot_release(layer);
}

static void bulkhead_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct bulkhead_call *state = context;
    struct bulkhead_layer *layer = bulkhead_layer_of(state);
    (void)child;
    slot_end(layer, state, result->error, result->ended_ns);
    bool good = result->error == DURESS_OK;
    layer_count_end(&layer->layer, good ? &layer->layer.counts.succeeded : &layer->layer.counts.failed);
    duress_call_pass(state->call, result);
}

/* Asks the inner agent; a slot was taken. */
static void bulkhead_pass(struct bulkhead_layer *layer, struct bulkhead_call *state)
{
    struct duress_child child = {.agent = layer->layer.inner, .on_end = bulkhead_child_ended, .context = state};
    if (duress_call_begin(state->call, &child, &state->child) == DURESS_OK)
        return;
    slot_release(layer);
    duress__layer_fail_memory(&layer->layer, state->call, DURESS_ORIGIN_BULKHEAD);
}

static void bulkhead_refuse(struct bulkhead_layer *layer, struct duress_call *call, uint64_t *counter, const char *what)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_BULKHEAD_FULL, DURESS_ORIGIN_BULKHEAD, "%s", what);
    ++*counter;
    layer_count_end(&layer->layer, &layer->layer.counts.refused);
    duress_call_fail(call, &failure);
}

/* --- the queue --- */

static struct bulkhead_call *queue_first(const struct bulkhead_layer *layer)
{
    return list_is_empty(&layer->queue) ? NULL : LIST_OWNER(layer->queue.next, struct bulkhead_call, link);
}

static void queue_remove(struct bulkhead_layer *layer, struct bulkhead_call *state)
{
    list_remove(&state->link);
    layer->waiting--;
    duress_world_disarm(layer->layer.base.world, &state->timer);
    const struct bulkhead_call *first = queue_first(layer);
    if (first != NULL)
        duress_bulkhead_set_first(layer->bulkhead, layer->seat, first->ticket);
}

/* |state| waits no more, and was not handed a slot. */
static void queue_give_up(struct bulkhead_layer *layer, struct bulkhead_call *state)
{
    queue_remove(layer, state);
    if (duress_bulkhead_stop_waiting(layer->bulkhead, layer->seat))
        return;
    if (layer->owed++ == 0)
        (void)duress_agent_ref(&layer->layer.base);
}

/* The first of the queue got a slot. */
static void queue_run_first(struct bulkhead_layer *layer, uint64_t now_ns)
{
    struct bulkhead_call *state = queue_first(layer);
    DURESS_ASSERT(state != NULL);
    queue_remove(layer, state);
    layer_count_wait(&layer->waits, duress_time_until(state->since_ns, now_ns));
    state->since_ns = now_ns;
    bulkhead_pass(layer, state);
}

static void queue_woken(void *context)
{
    struct bulkhead_layer *layer = context;
    struct duress_agent *agent = duress_agent_ref(&layer->layer.base); /* callers may give theirs back */
    uint32_t slots = duress_bulkhead_take(layer->bulkhead, layer->seat);
    uint64_t now_ns = duress_world_now_ns(agent->world);
    for (; slots > 0; slots--) {
        if (layer->owed == 0) {
            queue_run_first(layer, now_ns);
            continue;
        }
        slot_release(layer);
        if (--layer->owed == 0)
            duress_agent_unref(agent);
    }
    duress_agent_unref(agent);
}

static void wait_over(void *context)
{
    struct bulkhead_call *state = context;
    struct bulkhead_layer *layer = bulkhead_layer_of(state);
    queue_give_up(layer, state);
    bulkhead_refuse(layer, state->call, &layer->refused_late, "no slot came free in time");
}

static void queue_wait(struct bulkhead_layer *layer, struct bulkhead_call *state)
{
    void *owner;
    struct duress_world *world = layer->layer.base.world;
    bool got = duress_bulkhead_wait(layer->bulkhead, layer->seat, &state->ticket, &owner);
    list_append(&layer->queue, &state->link);
    layer->waiting++;
    if (layer->waiting == 1)
        duress_bulkhead_set_first(layer->bulkhead, layer->seat, state->ticket);
    duress_call_mark_stage(state->call, DURESS_ORIGIN_BULKHEAD);
    uint64_t until_ns = duress_time_add(state->since_ns, layer->wait_ns_max);
    if (until_ns < state->call->deadline_ns) /* whoever set the deadline has a timer for it */
        duress_world_arm(world, &state->timer, until_ns);
    queue_wake(layer, owner);
    if (got)
        queue_run_first(layer, state->since_ns);
    slots_offer(layer);
}

/* --- calls --- */

static void bulkhead_process(struct duress_agent *agent, struct duress_call *call)
{
    struct bulkhead_layer *layer = (struct bulkhead_layer *)agent;
    struct bulkhead_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_BULKHEAD);
        return;
    }
    *state = (struct bulkhead_call){.call = call, .since_ns = duress_call_started_ns(call)};
    list_init(&state->link);
    duress_timer_init(&state->timer, wait_over, state);
    call->state = state;
    if (layer->waiting == 0 && duress_bulkhead_acquire(layer->bulkhead))
        bulkhead_pass(layer, state);
    else if (layer->mode == DURESS_BULKHEAD_REFUSE)
        bulkhead_refuse(layer, call, &layer->refused_full, "all slots are taken");
    else if (layer->waiting >= layer->waiting_max)
        bulkhead_refuse(layer, call, &layer->refused_full, "all slots are taken, and too many calls wait");
    else
        queue_wait(layer, state);
}

static void bulkhead_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct bulkhead_layer *layer = (struct bulkhead_layer *)agent;
    struct bulkhead_call *state = call->state;
    if (state->child != NULL) {
        duress_call_abandon(state->child);
        slot_end(layer, state, call->expired ? DURESS_E_DEADLINE : DURESS_E_CANCELLED,
                 duress_world_now_ns(agent->world));
    } else {
        queue_give_up(layer, state);
    }
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
}

/* --- figures --- */

#define BULKHEAD_REFUSAL(reason)                                                                                       \
    {                                                                                                                  \
        "refusals", "Calls refused, by the reason.", DURESS_FIGURE_COUNTER, "reason", reason                           \
    }

static const struct layer_figure bulkhead_figures[] = {
    BULKHEAD_REFUSAL("full"),
    BULKHEAD_REFUSAL("late"),
    {.name = "limit", .help = "Calls that may run at once, now.", .type = DURESS_FIGURE_GAUGE},
    {.name = "running", .help = "Slots taken, by all who share them, now.", .type = DURESS_FIGURE_GAUGE},
    {.name = "waiting", .help = "Calls that wait for a slot, now.", .type = DURESS_FIGURE_GAUGE},
    {.name = "waited", .help = "Calls that waited and got their slot.", .type = DURESS_FIGURE_COUNTER},
    {.name = "waited_total", .help = "All of their waits together.", .type = DURESS_FIGURE_COUNTER_NS},
    {.name = "waited_longest", .help = "The longest of their waits.", .type = DURESS_FIGURE_GAUGE_NS},
};

static void bulkhead_tell(const struct layer *base, uint64_t *values)
{
    struct duress_bulkhead_counts counts = duress_bulkhead_counts(&base->base);
    *values++ = counts.refused_full;
    *values++ = counts.refused_late;
    *values++ = counts.limit;
    *values++ = counts.running;
    *values++ = counts.waiting;
    *values++ = counts.waited;
    *values++ = counts.waited_ns;
    *values++ = counts.waited_ns_max;
}

static void bulkhead_leave(struct layer *base)
{
    const struct bulkhead_layer *layer = (const struct bulkhead_layer *)base;
    if (layer->seated)
        duress_bulkhead_leave(layer->bulkhead, layer->seat);
}

static const struct layer_kind bulkhead_kind = {
    .ops = {bulkhead_process, bulkhead_cancel, duress__layer_free},
    .name = "bulkhead",
    .figures = bulkhead_figures,
    .figure_count = sizeof bulkhead_figures / sizeof bulkhead_figures[0],
    .tell = bulkhead_tell,
    .release = bulkhead_leave,
};

/* --- building and looking --- */

static const char *options_contradict(const struct duress_bulkhead_layer_options *given)
{
    bool adapts = given->adaptive != NULL || given->shared_adaptive != NULL;
    if (given->bulkhead.limit != 0 && given->shared != NULL)
        return "bulkhead: must be all zero where a shared bulkhead is given";
    if (given->bulkhead.limit != 0 && adapts)
        return "bulkhead.limit: must be 0 where the limit is found out";
    if (given->adaptive != NULL && given->shared != NULL)
        return "adaptive: not with a shared bulkhead; shared_adaptive is for that";
    if (given->shared_adaptive != NULL && given->shared == NULL)
        return "shared_adaptive: only with a shared bulkhead";
    if ((unsigned)given->mode > DURESS_BULKHEAD_REFUSE)
        return "mode: must be DURESS_BULKHEAD_WAIT or DURESS_BULKHEAD_REFUSE";
    if (given->mode == DURESS_BULKHEAD_REFUSE && (given->waiting_max != 0 || given->wait_ns_max != 0))
        return "waiting_max, wait_ns_max: must be 0 where calls are refused";
    if (given->waiting_max > DURESS_BULKHEAD_WAITING_MAX_MAX)
        return "waiting_max: more than 1000000 given, allowed 1 to 1000000";
    return NULL;
}

static int limits_init(struct bulkhead_layer *layer, const struct duress_bulkhead_layer_options *given,
                       struct duress_failure *why)
{
    struct duress_bulkhead_options own = given->bulkhead;
    int error = DURESS_OK;
    layer->bulkhead = given->shared != NULL ? given->shared : &layer->own;
    layer->adaptive = given->shared_adaptive;
    if (given->adaptive != NULL) {
        error = duress_adaptive_limit_init(&layer->own_adaptive, given->adaptive, why);
        if (error != DURESS_OK)
            return error;
        layer->adaptive = &layer->own_adaptive;
        own.limit = duress_adaptive_limit_limit(layer->adaptive);
    }
    if (given->shared == NULL)
        error = duress_bulkhead_init(&layer->own, &own, why);
    if (error == DURESS_OK && given->shared_adaptive != NULL)
        limit_follow(layer, duress_adaptive_limit_limit(layer->adaptive));
    return error;
}

int duress_with_bulkhead(struct duress_agent *inner, const struct duress_bulkhead_layer_options *options,
                         struct duress_agent **outer, struct duress_failure *why)
{
    static const struct duress_bulkhead_layer_options defaults = {.shared = NULL};
    const struct duress_bulkhead_layer_options *given = options != NULL ? options : &defaults;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    const char *contradiction = options_contradict(given);
    if (contradiction != NULL)
        return duress__layer_refuse(why, contradiction);
    struct bulkhead_layer *layer = duress__layer_new(sizeof *layer, &bulkhead_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    layer->mode = given->mode;
    layer->waiting_max = given->waiting_max != 0 ? given->waiting_max : DURESS_BULKHEAD_WAITING_MAX_DEFAULT;
    layer->wait_ns_max = given->wait_ns_max != 0 ? given->wait_ns_max : DURESS_TIME_NEVER;
    layer->later = (struct duress_later){.fn = queue_woken, .context = layer};
    layer->post = (struct duress_post){.fn = queue_woken, .context = layer};
    list_init(&layer->queue);
    int error = limits_init(layer, given, why);
    if (error == DURESS_OK)
        error = duress_bulkhead_join(layer->bulkhead, layer, &layer->seat, why);
    if (error != DURESS_OK) {
        duress_agent_unref(&layer->layer.base);
        return error;
    }
    layer->seated = true;
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_bulkhead_counts duress_bulkhead_counts(const struct duress_agent *agent)
{
    const struct bulkhead_layer *layer = duress__layer_find(agent, &bulkhead_kind);
    struct duress_bulkhead_counts counts = {.waiting = 0};
    if (layer == NULL)
        return counts;
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(layer->bulkhead, &seen);
    counts.calls = layer->layer.counts;
    counts.limit = seen.limit;
    counts.running = seen.running;
    counts.waiting = layer->waiting;
    counts.waited = layer->waits.count;
    counts.waited_ns = layer->waits.total_ns;
    counts.waited_ns_max = layer->waits.longest_ns;
    counts.refused_full = layer->refused_full;
    counts.refused_late = layer->refused_late;
    return counts;
}

struct duress_bulkhead *duress_bulkhead_of(const struct duress_agent *agent)
{
    const struct bulkhead_layer *layer = duress__layer_find(agent, &bulkhead_kind);
    return layer != NULL ? layer->bulkhead : NULL;
}
