/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/fallback.h>

#include <stdio.h>
#include <string.h>

#include "composition.h"
#include "metadata.h"

struct fallback {
    struct composition composition;
    struct duress_fallback_options options; /* complete, but for |is_healthy| */
};

struct fallback_call {
    struct duress_call *child;
    struct duress_part *parts;
    size_t place;   /* that is being asked, or is looked at next */
    size_t last;    /* that was asked */
    uint32_t asked; /* so many */
    bool last_hope; /* all healthy ones have failed: now those that were skipped */
};

static void fallback_next(struct duress_call *call);

/* A peer's own word for a request that nobody will understand: "CODE: …" (duress/agent/remote.h). */
static bool peer_says_bad_request(const struct duress_failure *failure)
{
    static const char *const codes[] = {"INVALID_MESSAGE:", "INVALID_REQUEST:", "MALFORMED_PAYLOAD:"};
    if (failure->code != DURESS_E_REMOTE || failure->origin != DURESS_ORIGIN_PEER)
        return false;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(failure->detail, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

bool duress_fallback_goes_on(void *context, const struct duress_failure *failure, bool idempotent)
{
    (void)context;
    if (failure->ambiguous && !idempotent)
        return false;
    switch (failure->code) {
    case DURESS_E_INVALID:
    case DURESS_E_TOO_LARGE:
    case DURESS_E_CANCELLED:
    case DURESS_E_NO_MEMORY:
        return false;
    default:
        return !peer_says_bad_request(failure);
    }
}

/* What all failures together say: whether any may have executed something, and when the first may be asked again. */
static void failure_merge(const struct fallback_call *state, size_t count, struct duress_failure *failure)
{
    failure->attempts = state->asked;
    for (size_t i = 0; i < count; i++) {
        const struct duress_failure *each = state->parts[i].failure;
        if (each == NULL)
            continue;
        failure->ambiguous = failure->ambiguous || each->ambiguous;
        if (each->retry_after_ns != 0 &&
            (failure->retry_after_ns == 0 || each->retry_after_ns < failure->retry_after_ns))
            failure->retry_after_ns = each->retry_after_ns;
    }
}

static void fallback_stop(struct duress_call *call, const struct duress_failure *cause)
{
    const struct composition *composition = (const struct composition *)call->agent;
    const struct fallback_call *state = call->state;
    struct duress_failure failure;
    duress__failure_wrap(&failure, cause, "agent %zu (%.40s)", state->place + 1,
                         composition->agents[state->place]->name);
    failure_merge(state, composition->count, &failure);
    duress__composition_fail(call, state->parts, state->place, &failure);
}

/* All have failed. */
static void fallback_exhausted(struct duress_call *call)
{
    const struct composition *composition = (const struct composition *)call->agent;
    const struct fallback_call *state = call->state;
    char names[DURESS_DETAIL_BYTES_MAX];
    size_t length = 0;
    for (size_t i = 0; i < composition->count && length < sizeof names; i++) {
        int wrote = snprintf(names + length, sizeof names - length, "%s%zu (%.20s) %s", i > 0 ? ", " : "", i + 1,
                             composition->agents[i]->name, duress_error_name(state->parts[i].failure->code));
        length += (size_t)wrote;
    }
    struct duress_failure failure;
    duress__failure_wrap(&failure, state->parts[state->last].failure, "%zu agents failed: %s", composition->count,
                         names);
    failure_merge(state, composition->count, &failure);
    duress__composition_fail(call, state->parts, state->last, &failure);
}

static void fallback_failed(struct duress_call *call, const struct duress_failure *failure)
{
    const struct fallback *fallback = (const struct fallback *)call->agent;
    struct fallback_call *state = call->state;
    if (call->chunk_emitted || !fallback->options.goes_on(fallback->composition.context, failure, call->idempotent)) {
        fallback_stop(call, failure);
        return;
    }
    state->place++;
    fallback_next(call);
}

static void fallback_replied(struct duress_call *call, const struct duress_result *result)
{
    const struct fallback *fallback = (const struct fallback *)call->agent;
    const struct fallback_call *state = call->state;
    struct duress_result passed = *result;
    struct duress_message *annotated = NULL;
    struct annotation annotation = {
        .agent_key = "fallback_agent_used",
        .agent_name = fallback->composition.agents[state->place]->name,
        .place_key = "fallback_attempt",
        .place = state->place + 1,
    };
    if (fallback->options.annotate) {
        if (duress__metadata_annotate(fallback->composition.base.world, result->reply, &annotation, &annotated) !=
            DURESS_OK) {
            struct duress_failure failure = duress__no_memory;
            failure.ambiguous = true; /* it has been executed */
            fallback_stop(call, &failure);
            return;
        }
        passed.reply = annotated;
    }
    duress__composition_end(call, state->parts, state->place, &passed);
    duress_message_unref(annotated);
}

static void fallback_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct duress_call *call = context;
    struct fallback_call *state = call->state;
    state->child = NULL;
    duress__part_end(&state->parts[state->place], child, result);
    if (result->error == DURESS_OK)
        fallback_replied(call, result);
    else
        fallback_failed(call, result->failure);
}

static bool fallback_skips(const struct fallback *fallback, struct fallback_call *state)
{
    struct duress_part *part = &state->parts[state->place];
    if (state->last_hope)
        return part->state != DURESS_PART_SKIPPED;
    if (fallback->options.is_healthy == NULL ||
        fallback->options.is_healthy(fallback->composition.context, state->place, part->agent))
        return false;
    part->state = DURESS_PART_SKIPPED;
    return true;
}

/* From |place| on the first that is not skipped; false where there is none. */
static bool fallback_find(const struct fallback *fallback, struct fallback_call *state)
{
    while (state->place < fallback->composition.count && fallback_skips(fallback, state))
        state->place++;
    return state->place < fallback->composition.count;
}

static void fallback_next(struct duress_call *call)
{
    const struct fallback *fallback = (const struct fallback *)call->agent;
    struct fallback_call *state = call->state;
    bool found = fallback_find(fallback, state);
    if (!found && !state->last_hope) {
        state->last_hope = true;
        state->place = 0;
        found = fallback_find(fallback, state);
    }
    if (!found) {
        fallback_exhausted(call);
        return;
    }
    struct duress_part *part = &state->parts[state->place];
    struct duress_child child = {
        .agent = fallback->composition.agents[state->place],
        .on_end = fallback_ended,
        .context = call,
    };
    state->asked++;
    state->last = state->place;
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK) {
        duress__part_begin(part, state->child);
        return;
    }
    state->child = NULL;
    state->asked--;
    duress__part_fail_memory(part, duress_world_now_ns(fallback->composition.base.world));
    fallback_stop(call, &duress__no_memory);
}

static void fallback_process(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    struct fallback_call *state = duress_call_allocate(call, sizeof *state);
    struct duress_part *parts = duress__parts_new(call);
    if (state == NULL || parts == NULL) {
        duress_call_fail(call, &duress__no_memory);
        return;
    }
    *state = (struct fallback_call){.parts = parts};
    call->state = state;
    fallback_next(call);
}

static void fallback_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct fallback_call *state = call->state;
    if (state->child != NULL)
        duress_call_abandon(state->child);
    duress__parts_release(state->parts, ((struct composition *)agent)->count);
}

int duress_fallback_new(const char *name, struct duress_agent *const *agents, size_t count,
                        const struct duress_fallback_options *options, struct duress_agent **fallback,
                        struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {fallback_process, fallback_cancel, duress__composition_free};
    if (fallback == NULL)
        return duress__composition_refuse(why, "fallback: NULL given, must be a pointer");
    int error = duress__composition_check("agents", agents, count, why);
    if (error != DURESS_OK)
        return error;
    struct fallback *made =
        duress__composition_new(sizeof *made, &ops, name != NULL ? name : "fallback", agents, count, why);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    if (options != NULL)
        made->options = *options;
    if (made->options.goes_on == NULL)
        made->options.goes_on = duress_fallback_goes_on;
    made->composition.on_report = made->options.on_report;
    made->composition.context = made->options.context;
    *fallback = &made->composition.base;
    return DURESS_OK;
}
