/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent/implement.h>

#include <string.h>

#include "call.h"

void duress_agent_init(struct duress_agent *agent, const struct duress_agent_ops *ops, struct duress_world *world,
                       const struct duress_allocator *allocator, const char *name)
{
    *agent = (struct duress_agent){
        .ops = ops,
        .world = world,
        .allocator = allocator != NULL ? allocator : duress_world_allocator(world),
        .references = 1,
    };
    size_t length = strnlen(name, sizeof agent->name - 1);
    memcpy(agent->name, name, length);
}

struct duress_agent *duress_agent_ref(struct duress_agent *agent)
{
    if (agent != NULL)
        agent->references++;
    return agent;
}

void duress_agent_unref(struct duress_agent *agent)
{
    if (agent == NULL)
        return;
    DURESS_ASSERT(agent->references > 0);
    if (--agent->references > 0)
        return;
    if (agent->in_flight_count == 0)
        agent->ops->free(agent);
    else
        duress__agent_cancel_roots(agent); /* the end of the last one frees it */
}

const char *duress_agent_name(const struct duress_agent *agent)
{
    return agent != NULL ? agent->name : NULL;
}

struct duress_world *duress_agent_world(const struct duress_agent *agent)
{
    return agent != NULL ? agent->world : NULL;
}

size_t duress_agent_in_flight_count(const struct duress_agent *agent)
{
    return agent != NULL ? agent->in_flight_count : 0;
}

int duress_agent_ask(struct duress_agent *agent, const struct duress_ask *ask, struct duress_call **call)
{
    if (agent == NULL || ask == NULL || ask->request == NULL || ask->on_end == NULL)
        return DURESS_E_INVALID;
    return duress__call_root_begin(agent, ask, call);
}

/* --- blocking --- */

struct blocking_ask {
    const struct duress_ask *ask;
    bool ended;
    int error;
    struct duress_message *reply;
    struct duress_failure *failure; /* the caller's, may be NULL */
};

static void blocking_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    (void)call;
    struct blocking_ask *blocking = context;
    blocking->ended = true;
    blocking->error = result->error;
    if (result->error == DURESS_OK)
        blocking->reply = duress_message_ref(result->reply);
    else if (blocking->failure != NULL)
        *blocking->failure = *result->failure;
}

static void blocking_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    const struct blocking_ask *blocking = context;
    blocking->ask->on_chunk(blocking->ask->context, call, chunk);
}

static bool blocking_done(void *context)
{
    return ((const struct blocking_ask *)context)->ended;
}

static int blocking_refuse(struct duress_failure *failure, enum duress_error code, const char *detail)
{
    if (failure != NULL)
        duress_failure_set(failure, code, DURESS_ORIGIN_CALLER, "%s", detail);
    return code;
}

int duress_agent_ask_blocking(struct duress_agent *agent, const struct duress_ask *ask, struct duress_message **reply,
                              struct duress_failure *failure)
{
    if (agent == NULL || ask == NULL || ask->request == NULL || reply == NULL)
        return blocking_refuse(failure, DURESS_E_INVALID, "agent, request and reply must be given");
    struct blocking_ask blocking = {.ask = ask, .failure = failure};
    struct duress_ask inner = *ask;
    inner.on_end = blocking_ended;
    inner.on_chunk = ask->on_chunk != NULL ? blocking_chunk : NULL;
    inner.context = &blocking;
    struct duress_call *call = NULL;
    int error = duress_agent_ask(agent, &inner, &call);
    if (error != DURESS_OK)
        return blocking_refuse(failure, (enum duress_error)error, "the call could not be begun");
    error = duress_world_run_until(agent->world, blocking_done, &blocking, DURESS_TIME_NEVER);
    if (!blocking.ended) {
        duress_call_drop(call);
        if (error == DURESS_E_INVALID)
            return blocking_refuse(failure, DURESS_E_INVALID, "a blocking call inside a callback of its own world");
        return blocking_refuse(failure, error == DURESS_OK ? DURESS_E_END : (enum duress_error)error,
                               "the world came to its end before the call did");
    }
    if (blocking.error == DURESS_OK)
        *reply = blocking.reply;
    return blocking.error;
}
