/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/quorum.h>

#include "fan.h"

#define QUORUM_MARGIN_NS (10 * DURESS_MS)

struct quorum {
    struct composition composition;
    struct duress_quorum_options options; /* complete */
};

struct quorum_call {
    struct fan fan;
    size_t *agreeing; /* for each reply: how many are equal to it, itself included; 0: no reply */
    enum decision decision;
    bool late;
    size_t chosen; /* once it is decided: whose reply is the answer, or the largest group's */
};

static const struct quorum *quorum_of(const struct fan *fan)
{
    return (const struct quorum *)fan->call->agent;
}

bool duress_equal_content(void *context, const struct duress_message *a, const struct duress_message *b)
{
    (void)context;
    return duress_slice_equal(duress_message_content(a), duress_message_content(b));
}

static bool replies_agree(const struct quorum_call *state, size_t a, size_t b)
{
    const struct quorum *quorum = quorum_of(&state->fan);
    const struct duress_part *parts = state->fan.parts;
    return quorum->options.equal(quorum->composition.context, parts[a].reply, parts[b].reply);
}

/* The reply of |part| is new: each pair is compared once. */
static void quorum_count(struct quorum_call *state, size_t part)
{
    size_t count = quorum_of(&state->fan)->composition.count;
    state->agreeing[part] = 1;
    for (size_t i = 0; i < count; i++) {
        if (i == part || state->agreeing[i] == 0 || !replies_agree(state, i, part))
            continue;
        state->agreeing[i]++;
        state->agreeing[part]++;
    }
}

/* The first in order whose group is the largest; DURESS_ANSWERED_BY_NONE where nobody has replied. */
static size_t quorum_best(const struct quorum_call *state)
{
    size_t count = quorum_of(&state->fan)->composition.count;
    size_t best = DURESS_ANSWERED_BY_NONE;
    for (size_t i = 0; i < count; i++)
        if (state->agreeing[i] > (best == DURESS_ANSWERED_BY_NONE ? 0 : state->agreeing[best]))
            best = i;
    return best;
}

static size_t quorum_mark_agreeing(struct quorum_call *state)
{
    size_t count = quorum_of(&state->fan)->composition.count;
    size_t agree = 0;
    for (size_t i = 0; i < count && state->chosen != DURESS_ANSWERED_BY_NONE; i++) {
        struct duress_part *part = &state->fan.parts[i];
        part->agrees = part->reply != NULL && (i == state->chosen || replies_agree(state, state->chosen, i));
        agree += part->agrees;
    }
    return agree;
}

static void quorum_describe(const struct quorum_call *state, size_t agree, struct duress_failure *failure)
{
    const struct fan *fan = &state->fan;
    const struct quorum *quorum = quorum_of(fan);
    const struct composition *composition = &quorum->composition;
    size_t first = duress__fan_first(fan, DURESS_PART_FAILED);
    size_t dissent = fan->tally.replied - agree;
    if (state->late) {
        duress__fan_describe_late(fan, failure);
        return;
    }
    if (fan->tally.replied == 0) {
        duress__failure_wrap(failure, fan->parts[first].failure, "%zu of %zu agents failed; %zu (%.40s)",
                             fan->tally.failed, composition->count, first + 1, composition->agents[first]->name);
        return;
    }
    struct duress_failure disagreement;
    duress_failure_set(&disagreement, DURESS_E_NO_QUORUM, DURESS_ORIGIN_COMPOSITION,
                       "%u must agree of %zu: %zu agree, %zu dissent, %zu failed", quorum->options.need,
                       composition->count, agree, dissent, fan->tally.failed);
    *failure = disagreement;
    if (first != DURESS_ANSWERED_BY_NONE) { /* Says why, if there is room. */
        const struct duress_failure *cause = fan->parts[first].failure;
        duress__failure_wrap(failure, cause, "%s; %zu (%.40s)", disagreement.detail, first + 1,
                             composition->agents[first]->name);
        failure->code = disagreement.code;
        failure->origin = disagreement.origin;
        failure->retry_after_ns = 0;
    }
}

static void quorum_end(struct quorum_call *state)
{
    struct fan *fan = &state->fan;
    size_t agree = quorum_mark_agreeing(state);
    if (state->decision == DECIDE_WELL) {
        struct duress_result result = {.error = DURESS_OK, .reply = fan->parts[state->chosen].reply};
        duress__composition_end(fan->call, fan->parts, state->chosen, &result);
        return;
    }
    struct duress_failure failure;
    quorum_describe(state, agree, &failure);
    failure.ambiguous = duress__fan_is_ambiguous(fan);
    duress__composition_fail(fan->call, fan->parts, DURESS_ANSWERED_BY_NONE, &failure);
}

static void quorum_stop(struct quorum_call *state, enum duress_part_state rest)
{
    if (duress__fan_stop(&state->fan, rest))
        quorum_end(state);
}

/* Decided, and those that run are awaited for a while. */
static void quorum_grace(struct quorum_call *state)
{
    struct fan *fan = &state->fan;
    const struct duress_quorum_options *options = &quorum_of(fan)->options;
    uint64_t now_ns = duress_world_now_ns(fan->call->agent->world);
    uint64_t last_ns = duress__decide_stop_ns(duress_call_started_ns(fan->call), fan->call->deadline_ns,
                                              options->limit_ns, QUORUM_MARGIN_NS);
    uint64_t until_ns = duress_time_min(duress_time_add(now_ns, options->grace_ns), last_ns);
    if (fan->tally.running == 0 || until_ns <= now_ns)
        quorum_stop(state, DURESS_PART_CANCELLED);
    else
        duress_world_arm(fan->call->agent->world, &fan->timer, until_ns);
}

static void quorum_judge(struct quorum_call *state)
{
    struct fan *fan = &state->fan;
    if (state->decision != DECIDE_WAIT) {
        if (fan->tally.running == 0)
            quorum_stop(state, DURESS_PART_CANCELLED);
        return;
    }
    state->chosen = quorum_best(state);
    size_t best = state->chosen == DURESS_ANSWERED_BY_NONE ? 0 : state->agreeing[state->chosen];
    state->decision = duress__decide_quorum(&fan->tally, quorum_of(fan)->options.need, best);
    if (state->decision != DECIDE_WAIT)
        quorum_grace(state);
}

static void quorum_ended(struct fan *fan, size_t part)
{
    struct quorum_call *state = (struct quorum_call *)fan;
    if (fan->parts[part].state == DURESS_PART_REPLIED)
        quorum_count(state, part);
    quorum_judge(state);
}

static void quorum_late(void *context)
{
    struct quorum_call *state = context;
    if (state->decision != DECIDE_WAIT) { /* The grace is over. */
        quorum_stop(state, DURESS_PART_CANCELLED);
        return;
    }
    state->chosen = quorum_best(state);
    state->decision = DECIDE_BADLY;
    state->late = true;
    quorum_stop(state, DURESS_PART_LATE);
}

static void quorum_process(struct duress_agent *agent, struct duress_call *call)
{
    const struct quorum *quorum = (const struct quorum *)agent;
    size_t count = quorum->composition.count;
    uint64_t stop_ns =
        duress__decide_stop_ns(duress_call_started_ns(call), call->deadline_ns, quorum->options.limit_ns, 0);
    size_t *agreeing = duress_call_allocate(call, count * sizeof *agreeing);
    struct quorum_call *state = duress__fan_new(sizeof *state, call, stop_ns, quorum_late);
    if (agreeing == NULL || state == NULL) {
        duress_call_fail(call, &duress__no_memory);
        return;
    }
    for (size_t i = 0; i < count; i++)
        agreeing[i] = 0;
    state->agreeing = agreeing;
    state->fan.ended = quorum_ended;
    if (duress__fan_begin(&state->fan) && state->fan.tally.failed > 0)
        quorum_judge(state);
}

static void quorum_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    duress__fan_cancel(call->state);
}

int duress_quorum_new(const char *name, struct duress_agent *const *agents, size_t count,
                      const struct duress_quorum_options *options, struct duress_agent **quorum,
                      struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {quorum_process, quorum_cancel, duress__composition_free};
    static const struct duress_quorum_options defaults = {.need = 0};
    struct duress_quorum_options complete = options != NULL ? *options : defaults;
    if (quorum == NULL)
        return duress__composition_refuse(why, "quorum: NULL given, must be a pointer");
    int error = duress__composition_check("agents", agents, count, why);
    if (error != DURESS_OK)
        return error;
    if (complete.need > count)
        return duress__composition_refuse(why, "quorum.need: %u given, allowed 1 to %zu", complete.need, count);
    if (complete.need == 0)
        complete.need = (uint32_t)duress__decide_majority(count);
    if (complete.equal == NULL)
        complete.equal = duress_equal_content;
    struct quorum *made =
        duress__composition_new(sizeof *made, &ops, name != NULL ? name : "quorum", agents, count, why);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->options = complete;
    made->composition.on_report = complete.on_report;
    made->composition.context = complete.context;
    *quorum = &made->composition.base;
    return DURESS_OK;
}
