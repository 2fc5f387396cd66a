/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/sequential.h>

#include <stdio.h>

#include <duress/agent/implement.h>

struct sequential {
    struct duress_agent agent;
    size_t count;
    struct duress_agent *steps[];
};

struct sequential_call {
    struct duress_call *child;
    size_t step; /* that runs, from 0 */
};

static void step_begin(struct duress_call *call, struct duress_message *request);

static void step_fail(struct duress_call *call, const struct duress_failure *cause)
{
    const struct sequential *sequential = (const struct sequential *)call->agent;
    const struct sequential_call *state = call->state;
    struct duress_failure failure = *cause;
    failure.ambiguous = failure.ambiguous || state->step > 0;
    (void)snprintf(failure.detail, sizeof failure.detail, "step %zu (%.40s): %.90s", state->step + 1,
                   duress_agent_name(sequential->steps[state->step]), cause->detail);
    duress_call_fail(call, &failure);
}

static void step_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    struct duress_call *call = context;
    const struct sequential *sequential = (const struct sequential *)call->agent;
    struct sequential_call *state = call->state;
    state->child = NULL;
    if (result->error != DURESS_OK) {
        step_fail(call, result->failure);
        return;
    }
    if (state->step + 1 == sequential->count) {
        duress_call_pass(call, result);
        return;
    }
    state->step++;
    step_begin(call, result->reply);
}

static void step_begin(struct duress_call *call, struct duress_message *request)
{
    const struct sequential *sequential = (const struct sequential *)call->agent;
    struct sequential_call *state = call->state;
    struct duress_child child = {
        .agent = sequential->steps[state->step],
        .request = request,
        .whole = state->step + 1 < sequential->count,
        .on_end = step_ended,
        .context = call,
    };
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK)
        return;
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_COMPOSITION, "no memory for the call");
    step_fail(call, &failure);
}

static void sequential_process(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    call->state = duress_call_allocate(call, sizeof(struct sequential_call));
    if (call->state == NULL) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_COMPOSITION, "no memory for the call");
        duress_call_fail(call, &failure);
        return;
    }
    *(struct sequential_call *)call->state = (struct sequential_call){0};
    step_begin(call, call->request);
}

static void sequential_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    const struct sequential_call *state = call->state;
    if (state->child != NULL)
        duress_call_abandon(state->child);
}

static void sequential_free(struct duress_agent *agent)
{
    struct sequential *sequential = (struct sequential *)agent;
    for (size_t i = 0; i < sequential->count; i++)
        duress_agent_unref(sequential->steps[i]);
    duress_release(agent->allocator, sequential);
}

static int invalid(struct duress_failure *why, const char *text)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s", text);
    return DURESS_E_INVALID;
}

static int steps_check(struct duress_agent *const *steps, size_t count, struct duress_failure *why)
{
    if (steps == NULL || count == 0 || count > DURESS_SEQUENTIAL_STEPS_MAX)
        return invalid(why, "count: 1 to 1024 steps allowed");
    for (size_t i = 0; i < count; i++) {
        if (steps[i] == NULL)
            return invalid(why, "steps: NULL given, agents allowed");
        if (duress_agent_world(steps[i]) != duress_agent_world(steps[0]))
            return invalid(why, "steps: agents of different worlds given, of one world allowed");
    }
    return DURESS_OK;
}

int duress_sequential_new(const char *name, struct duress_agent *const *steps, size_t count,
                          struct duress_agent **agent, struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {sequential_process, sequential_cancel, sequential_free};
    if (agent == NULL)
        return invalid(why, "sequential: NULL given");
    int error = steps_check(steps, count, why);
    if (error != DURESS_OK)
        return error;
    const struct duress_allocator *allocator = duress_world_allocator(duress_agent_world(steps[0]));
    struct sequential *made = duress_allocate_zeroed(allocator, 1, sizeof *made + count * sizeof made->steps[0]);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    duress_agent_init(&made->agent, &ops, duress_agent_world(steps[0]), allocator, name != NULL ? name : "sequential");
    made->count = count;
    for (size_t i = 0; i < count; i++)
        made->steps[i] = duress_agent_ref(steps[i]);
    *agent = &made->agent;
    return DURESS_OK;
}
