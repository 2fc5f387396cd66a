/* SPDX-License-Identifier: Apache-2.0
 *
 * A tap records each attempt that is made on a link: the timeline's lines, and the triggers of "when the n-th attempt
 * has ended" and "when the n-th chunk has come". It changes nothing. */
#include "internal.h"

#include <duress/agent/implement.h>

struct tap {
    struct duress_agent agent;
    struct chaos_link *link;
    struct duress_agent *inner;
};

struct tap_call {
    struct duress_call *child;
    size_t attempt;
};

static int attempts_reserve(struct chaos_link *link)
{
    struct chaos_attempt_log *log = &link->attempts;
    if (log->count < log->capacity)
        return DURESS_OK;
    size_t capacity = log->capacity == 0 ? 32 : log->capacity * 2;
    struct chaos_attempt *items = duress_reallocate(&link->chaos->heap.allocator, log->items, capacity * sizeof *items);
    if (items == NULL)
        return DURESS_E_NO_MEMORY;
    log->items = items;
    log->capacity = capacity;
    return DURESS_OK;
}

static void trigger_count(struct chaos_link *link, struct chaos_trigger *trigger)
{
    trigger->seen++;
    if (trigger->action == NULL || trigger->seen != trigger->at_count)
        return;
    chaos_link_action_fn action = trigger->action;
    trigger->action = NULL;
    action(link);
}

static void attempt_end(struct chaos_link *link, size_t index, int error)
{
    link->attempts.items[index].ended_ns = chaos_now_ns(link->chaos);
    link->attempts.items[index].error = error;
    chaos_note(link->chaos, "attempt %zu on link %u: %s", index + 1, link->number,
               error == DURESS_OK ? "replied" : duress_error_name(error));
    trigger_count(link, &link->on_attempt_end);
}

static void tap_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    struct duress_call *call = context;
    struct tap *tap = (struct tap *)call->agent;
    const struct tap_call *state = call->state;
    attempt_end(tap->link, state->attempt, result->error);
    duress_call_pass(call, result);
}

static void tap_chunk(void *context, struct duress_call *child, struct duress_message *chunk)
{
    (void)child;
    struct duress_call *call = context;
    struct chaos_link *link = ((struct tap *)call->agent)->link;
    chaos_note(link->chaos, "a chunk on link %u", link->number);
    duress_call_emit(call, chunk); /* what is above may be gone then */
    trigger_count(link, &link->on_chunk);
}

static void tap_process(struct duress_agent *agent, struct duress_call *call)
{
    struct tap *tap = (struct tap *)agent;
    struct tap_call *state = duress_call_allocate(call, sizeof *state);
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
    if (state == NULL || attempts_reserve(tap->link) != DURESS_OK) {
        duress_call_fail(call, &failure);
        return;
    }
    call->state = state;
    state->attempt = tap->link->attempts.count++;
    tap->link->attempts.items[state->attempt] = (struct chaos_attempt){.started_ns = chaos_now_ns(tap->link->chaos)};
    chaos_note(tap->link->chaos, "attempt %zu on link %u begins", state->attempt + 1, tap->link->number);
    struct duress_child child = {
        .agent = tap->inner,
        .on_end = tap_ended,
        .on_chunk = call->streaming ? tap_chunk : NULL,
        .context = call,
    };
    if (duress_call_begin(call, &child, &state->child) != DURESS_OK) {
        attempt_end(tap->link, state->attempt, DURESS_E_NO_MEMORY);
        duress_call_fail(call, &failure);
    }
}

static void tap_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct tap *tap = (struct tap *)agent;
    const struct tap_call *state = call->state;
    duress_call_abandon(state->child);
    attempt_end(tap->link, state->attempt, DURESS_E_CANCELLED);
}

static void tap_free(struct duress_agent *agent)
{
    struct tap *tap = (struct tap *)agent;
    duress_agent_unref(tap->inner);
    duress_release(agent->allocator, tap);
}

int chaos__tap_new(struct chaos_link *link, struct duress_agent *inner, struct duress_agent **agent)
{
    static const struct duress_agent_ops ops = {tap_process, tap_cancel, tap_free};
    const struct duress_allocator *allocator = &link->chaos->heap.allocator;
    struct tap *tap = duress_allocate_zeroed(allocator, 1, sizeof *tap);
    if (tap == NULL)
        return DURESS_E_NO_MEMORY;
    duress_agent_init(&tap->agent, &ops, duress_agent_world(inner), allocator, duress_agent_name(inner));
    tap->link = link;
    tap->inner = duress_agent_ref(inner);
    *agent = &tap->agent;
    return DURESS_OK;
}

uint64_t chaos_link_attempts(struct chaos_link *link)
{
    return link->attempts.count;
}

struct chaos_attempt chaos_link_attempt(struct chaos_link *link, uint64_t index)
{
    return index < link->attempts.count ? link->attempts.items[index] : (struct chaos_attempt){0};
}

void chaos_link_on_attempt_end(struct chaos_link *link, uint64_t count, chaos_link_action_fn action)
{
    link->on_attempt_end.at_count = count;
    link->on_attempt_end.action = action;
}

void chaos_link_on_chunk(struct chaos_link *link, uint64_t count, chaos_link_action_fn action)
{
    link->on_chunk.at_count = count;
    link->on_chunk.action = action;
}
