/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent/function.h>
#include <duress/agent/implement.h>

struct function_agent {
    struct duress_agent base;
    duress_function_fn fn; /* one of the two */
    duress_function_begin_fn begin;
    duress_function_cancel_fn cancel;
    void *context;
};

/* A code outside the list is the function's mistake, and must not pass for success. */
static void function_fail(struct duress_call *call, int code, struct duress_failure *failure)
{
    bool known = code < 0 && code > -DURESS_ERROR_NUMBER_END;
    if (!known)
        duress_failure_set(failure, DURESS_E_INVALID, DURESS_ORIGIN_AGENT, "the agent's function returned %d", code);
    else if (failure->code == DURESS_OK)
        duress_failure_set(failure, (enum duress_error)code, DURESS_ORIGIN_AGENT, NULL);
    duress_call_fail(call, failure);
}

static void function_process(struct duress_agent *agent, struct duress_call *call)
{
    struct function_agent *self = (struct function_agent *)agent;
    duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
    duress_call_mark_sent(call);
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    failure.code = DURESS_OK;
    int code = self->fn(self->context, call->request, &reply, &failure);
    if (code != DURESS_OK) {
        function_fail(call, code, &failure);
        return;
    }
    if (reply == NULL) {
        duress_failure_set(&failure, DURESS_E_MALFORMED, DURESS_ORIGIN_AGENT, "the agent's function gave no reply");
        duress_call_fail(call, &failure);
        return;
    }
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static void function_async_process(struct duress_agent *agent, struct duress_call *call)
{
    struct function_agent *self = (struct function_agent *)agent;
    duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
    duress_call_mark_sent(call);
    self->begin(self->context, call);
}

static void function_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct function_agent *self = (struct function_agent *)agent;
    if (self->cancel != NULL)
        self->cancel(self->context, call);
}

static void function_free(struct duress_agent *agent)
{
    duress_release(agent->allocator, agent);
}

static const struct duress_agent_ops function_ops = {function_process, function_cancel, function_free};
static const struct duress_agent_ops function_async_ops = {function_async_process, function_cancel, function_free};

static struct function_agent *function_agent_new(struct duress_world *world, const struct duress_agent_ops *ops,
                                                 const char *name, void *context)
{
    struct function_agent *self = duress_allocate_zeroed(duress_world_allocator(world), 1, sizeof *self);
    if (self == NULL)
        return NULL;
    duress_agent_init(&self->base, ops, world, NULL, name);
    self->context = context;
    return self;
}

int duress_function_new(struct duress_world *world, const char *name, duress_function_fn fn, void *context,
                        struct duress_agent **agent)
{
    if (world == NULL || name == NULL || fn == NULL || agent == NULL)
        return DURESS_E_INVALID;
    struct function_agent *self = function_agent_new(world, &function_ops, name, context);
    if (self == NULL)
        return DURESS_E_NO_MEMORY;
    self->fn = fn;
    *agent = &self->base;
    return DURESS_OK;
}

int duress_function_async_new(struct duress_world *world, const char *name, duress_function_begin_fn begin,
                              duress_function_cancel_fn cancel, void *context, struct duress_agent **agent)
{
    if (world == NULL || name == NULL || begin == NULL || agent == NULL)
        return DURESS_E_INVALID;
    struct function_agent *self = function_agent_new(world, &function_async_ops, name, context);
    if (self == NULL)
        return DURESS_E_NO_MEMORY;
    self->begin = begin;
    self->cancel = cancel;
    *agent = &self->base;
    return DURESS_OK;
}
