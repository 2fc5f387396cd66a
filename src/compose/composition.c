/* SPDX-License-Identifier: Apache-2.0 */
#include "composition.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct duress_failure duress__no_memory = {
    .code = DURESS_E_NO_MEMORY,
    .origin = DURESS_ORIGIN_COMPOSITION,
    .detail = "no memory for the call",
};

int duress__composition_refuse(struct duress_failure *why, const char *format, ...)
{
    if (why == NULL)
        return DURESS_E_INVALID;
    duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, NULL);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why->detail, sizeof why->detail, format, arguments);
    va_end(arguments);
    return DURESS_E_INVALID;
}

int duress__composition_check(const char *field, struct duress_agent *const *agents, size_t count,
                              struct duress_failure *why)
{
    if (agents == NULL)
        return duress__composition_refuse(why, "%s: NULL given, must be an array of agents", field);
    if (count == 0 || count > DURESS_COMPOSITION_AGENTS_MAX)
        return duress__composition_refuse(why, "count of %s: %zu given, allowed 1 to %d", field, count,
                                          DURESS_COMPOSITION_AGENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (agents[i] == NULL)
            return duress__composition_refuse(why, "%s: NULL given at place %zu, must be an agent", field, i + 1);
        if (agents[i]->world != agents[0]->world)
            return duress__composition_refuse(why, "%s: %zu (%.40s) is of another world than 1 (%.40s)", field, i + 1,
                                              agents[i]->name, agents[0]->name);
    }
    return DURESS_OK;
}

void *duress__composition_new(size_t bytes, const struct duress_agent_ops *ops, const char *name,
                              struct duress_agent *const *agents, size_t count, struct duress_failure *why)
{
    struct duress_world *world = agents[0]->world;
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct composition *made = duress_allocate_zeroed(allocator, 1, bytes + count * sizeof(struct duress_agent *));
    if (made == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return NULL;
    }
    duress_agent_init(&made->base, ops, world, allocator, name);
    made->count = count;
    made->agents = (struct duress_agent **)((char *)made + bytes);
    for (size_t i = 0; i < count; i++)
        made->agents[i] = duress_agent_ref(agents[i]);
    return made;
}

void duress__composition_free(struct duress_agent *agent)
{
    struct composition *composition = (struct composition *)agent;
    for (size_t i = 0; i < composition->count; i++)
        duress_agent_unref(composition->agents[i]);
    duress_release(agent->allocator, composition);
}

const char *duress_part_state_name(enum duress_part_state state)
{
    static const char *const names[] = {
        [DURESS_PART_NOT_ASKED] = "not asked", [DURESS_PART_ASKED] = "asked",         [DURESS_PART_REPLIED] = "replied",
        [DURESS_PART_FAILED] = "failed",       [DURESS_PART_CANCELLED] = "cancelled", [DURESS_PART_LATE] = "late",
        [DURESS_PART_SKIPPED] = "skipped",
    };
    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

/* --- the parts of one call --- */

struct duress_part *duress__parts_new(struct duress_call *call)
{
    const struct composition *composition = (const struct composition *)call->agent;
    struct duress_part *parts = duress_call_allocate(call, composition->count * sizeof *parts);
    if (parts == NULL)
        return NULL;
    for (size_t i = 0; i < composition->count; i++)
        parts[i] = (struct duress_part){.agent = composition->agents[i]};
    return parts;
}

void duress__part_begin(struct duress_part *part, const struct duress_call *child)
{
    if (part == NULL)
        return;
    part->state = DURESS_PART_ASKED;
    part->started_ns = duress_call_started_ns(child);
}

void duress__part_fail_memory(struct duress_part *part, uint64_t now_ns)
{
    if (part == NULL)
        return;
    part->state = DURESS_PART_FAILED;
    part->failure = &duress__no_memory;
    part->started_ns = now_ns;
    part->ended_ns = now_ns;
}

void duress__part_end(struct duress_part *part, struct duress_call *child, const struct duress_result *result)
{
    if (part == NULL)
        return;
    part->ended_ns = result->ended_ns;
    if (result->error == DURESS_OK) {
        part->state = DURESS_PART_REPLIED;
        part->reply = duress_message_ref(result->reply);
        return;
    }
    part->state = DURESS_PART_FAILED;
    part->failure = duress_call_keep_failure(child, result);
}

void duress__parts_release(struct duress_part *parts, size_t count)
{
    if (parts == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        duress_message_unref(parts[i].reply);
        parts[i].reply = NULL;
    }
}

/* --- ends --- */

void duress__failure_wrap(struct duress_failure *failure, const struct duress_failure *cause, const char *format, ...)
{
    char text[DURESS_DETAIL_BYTES_MAX];
    *failure = *cause;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *detail = cause->detail[0] != '\0' ? cause->detail : duress_strerror(cause->code);
    size_t length = strlen(text);
    if (length + strlen(": ") + strlen(detail) < sizeof failure->detail) {
        text[length] = ':';
        text[length + 1] = ' ';
        memcpy(text + length + 2, detail, strlen(detail) + 1);
    } else {
        (void)snprintf(text, sizeof text, "%s", detail);
    }
    memcpy(failure->detail, text, sizeof text);
}

static void report_fill(struct duress_report *report, const struct duress_part *parts)
{
    size_t lacking = 0;
    for (size_t i = 0; i < report->count; i++) {
        report->replied_count += parts[i].state == DURESS_PART_REPLIED;
        report->failed_count += parts[i].state == DURESS_PART_FAILED;
        lacking += parts[i].state == DURESS_PART_FAILED || parts[i].state == DURESS_PART_LATE;
    }
    report->partial = report->error == DURESS_OK && lacking > 0;
}

/* False: |call| was cancelled inside, and must be left alone. */
static bool composition_report(struct duress_call *call, const struct duress_part *parts, size_t answered_by,
                               const struct duress_result *result)
{
    const struct composition *composition = (const struct composition *)call->agent;
    struct duress_report report = {
        .request = call->request,
        .parts = parts,
        .count = composition->count,
        .answered_by = answered_by,
        .error = result->error,
        .reply = result->reply,
        .failure = result->error == DURESS_OK ? NULL : result->failure,
    };
    report_fill(&report, parts);
    duress_call_hold(call);
    composition->on_report(composition->context, duress_call_top(call), &report);
    return duress_call_let_go(call);
}

void duress__composition_end(struct duress_call *call, struct duress_part *parts, size_t answered_by,
                             struct duress_result *result)
{
    const struct composition *composition = (const struct composition *)call->agent;
    if (result->ended_ns == 0)
        result->ended_ns = duress_world_now_ns(composition->base.world);
    struct duress_message *reply = result->error == DURESS_OK ? duress_message_ref(result->reply) : NULL;
    bool goes_on =
        composition->on_report == NULL || parts == NULL || composition_report(call, parts, answered_by, result);
    if (goes_on) {
        duress__parts_release(parts, composition->count);
        duress_call_pass(call, result);
    }
    duress_message_unref(reply);
}

void duress__composition_fail(struct duress_call *call, struct duress_part *parts, size_t answered_by,
                              const struct duress_failure *failure)
{
    struct duress_result result = {.error = failure->code, .failure = failure};
    duress__composition_end(call, parts, answered_by, &result);
}
