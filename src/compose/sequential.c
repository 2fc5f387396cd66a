/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/sequential.h>

#include "composition.h"

struct sequential_call {
    struct duress_call *child;
    struct duress_part *parts; /* NULL: nobody wants a report */
    size_t step;               /* that runs, from 0 */
};

static void step_begin(struct duress_call *call, struct duress_message *request);

static struct duress_part *step_part(const struct sequential_call *state)
{
    return state->parts != NULL ? &state->parts[state->step] : NULL;
}

static void step_fail(struct duress_call *call, const struct duress_failure *cause)
{
    const struct composition *composition = (const struct composition *)call->agent;
    const struct sequential_call *state = call->state;
    struct duress_failure failure;
    duress__failure_wrap(&failure, cause, "step %zu (%.40s)", state->step + 1, composition->agents[state->step]->name);
    failure.ambiguous = failure.ambiguous || state->step > 0;
    duress__composition_fail(call, state->parts, state->step, &failure);
}

static void step_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct duress_call *call = context;
    const struct composition *composition = (const struct composition *)call->agent;
    struct sequential_call *state = call->state;
    state->child = NULL;
    duress__part_end(step_part(state), child, result);
    if (result->error != DURESS_OK) {
        step_fail(call, result->failure);
        return;
    }
    if (state->step + 1 == composition->count) {
        struct duress_result passed = *result;
        duress__composition_end(call, state->parts, state->step, &passed);
        return;
    }
    state->step++;
    step_begin(call, result->reply);
}

static void step_begin(struct duress_call *call, struct duress_message *request)
{
    const struct composition *composition = (const struct composition *)call->agent;
    struct sequential_call *state = call->state;
    struct duress_child child = {
        .agent = composition->agents[state->step],
        .request = request,
        .whole = state->step + 1 < composition->count,
        .on_end = step_ended,
        .context = call,
    };
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK) {
        duress__part_begin(step_part(state), state->child);
        return;
    }
    state->child = NULL;
    duress__part_fail_memory(step_part(state), duress_world_now_ns(composition->base.world));
    step_fail(call, &duress__no_memory);
}

static void sequential_process(struct duress_agent *agent, struct duress_call *call)
{
    const struct composition *composition = (const struct composition *)agent;
    struct sequential_call *state = duress_call_allocate(call, sizeof *state);
    call->state = state;
    struct duress_part *parts = state != NULL && composition->on_report != NULL ? duress__parts_new(call) : NULL;
    if (state == NULL || (composition->on_report != NULL && parts == NULL)) {
        duress_call_fail(call, &duress__no_memory);
        return;
    }
    *state = (struct sequential_call){.parts = parts};
    step_begin(call, call->request);
}

static void sequential_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct sequential_call *state = call->state;
    if (state->child != NULL)
        duress_call_abandon(state->child);
    duress__parts_release(state->parts, ((struct composition *)agent)->count);
}

int duress_sequential_new(const char *name, struct duress_agent *const *steps, size_t count,
                          const struct duress_sequential_options *options, struct duress_agent **sequential,
                          struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {sequential_process, sequential_cancel, duress__composition_free};
    if (sequential == NULL)
        return duress__composition_refuse(why, "sequential: NULL given, must be a pointer");
    int error = duress__composition_check("steps", steps, count, why);
    if (error != DURESS_OK)
        return error;
    struct composition *made = duress__composition_new(sizeof(struct composition), &ops,
                                                       name != NULL ? name : "sequential", steps, count, why);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    if (options != NULL) {
        made->on_report = options->on_report;
        made->context = options->context;
    }
    *sequential = &made->base;
    return DURESS_OK;
}
