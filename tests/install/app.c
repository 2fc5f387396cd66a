/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's program: one call through the layers, in a simulated world. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/guard.h>
#include <duress/middleware/stack.h>
#include <duress/policy/retry_budget.h>
#include <duress/wire/envelope.h>
#include <duress/world/live.h>
#include <duress/world/sim.h>

static int greet(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

int main(void)
{
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    struct duress_agent *stack = NULL;
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    struct duress_retry_options retry = {.attempts_max = 2};
    struct duress_stack_options layers = {.retry = &retry};
    if (duress_world_sim_new(3, &world) != DURESS_OK ||
        duress_function_new(world, "greet", greet, NULL, &agent) != DURESS_OK ||
        duress_stack_new(agent, &layers, &stack, NULL) != DURESS_OK ||
        duress_message_text("hello", &request) != DURESS_OK)
        return 1;
    struct duress_ask ask = {.request = request};
    int error = duress_agent_ask_blocking(stack, &ask, &reply, NULL);
    if (error == DURESS_OK)
        printf("%.*s\n", (int)duress_message_content(reply).length, (const char *)duress_message_content(reply).data);
    duress_message_unref(reply);
    duress_message_unref(request);
    duress_agent_unref(stack);
    duress_agent_unref(agent);
    duress_world_free(world);
    return error == DURESS_OK ? 0 : 1;
}
