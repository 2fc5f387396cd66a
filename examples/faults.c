/* SPDX-License-Identifier: Apache-2.0
 *
 * Does the stack answer trouble as it should? Tried without a network: the faults are injected. In a simulated world,
 * where the waits are virtual. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/faults.h>
#include <duress/middleware/stack.h>
#include <duress/world/sim.h>

static int price(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)context;
    (void)request;
    (void)failure;
    return duress_message_text("42", reply);
}

static struct duress_agent *stack_make(struct duress_agent *service)
{
    struct duress_faults_layer_options faults = {
        .faults = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_HANG, DURESS_FAULT_NONE, DURESS_FAULT_TRUNCATE},
                   .pattern_count = 4,
                   .pattern_once = true,
                   .crash_after = 4}};
    struct duress_retry_options retry = {.attempts_max = 3};
    struct duress_timeout_options timeout = {.limit_ns = 500 * DURESS_MS};
    struct duress_stack_options layers = {.retry = &retry, .timeout = &timeout};
    struct duress_agent *faulty, *stack;
    if (duress_with_faults(service, &faults, &faulty, NULL) != DURESS_OK)
        return NULL;
    if (duress_stack_new(faulty, &layers, &stack, NULL) != DURESS_OK)
        stack = NULL;
    duress_agent_unref(faulty);
    return stack;
}

static void ask(struct duress_agent *agent, struct duress_message *request)
{
    struct duress_ask call = {.request = request, .idempotent = true};
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    if (duress_agent_ask_blocking(agent, &call, &reply, &failure) == DURESS_OK)
        (void)printf("answered, %zu bytes\n", duress_message_content(reply).length);
    else
        (void)printf("%s: %s\n", duress_error_name(failure.code), failure.detail);
    duress_message_unref(reply);
}

int main(void)
{
    struct duress_world *world;
    struct duress_agent *service;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("price", &request) != DURESS_OK ||
        duress_function_new(world, "price", price, NULL, &service) != DURESS_OK)
        return 1;
    struct duress_agent *agent = stack_make(service);
    for (int i = 0; agent != NULL && i < 3; i++)
        ask(agent, request);
    struct duress_faults_counts counts = duress_faults_counts(agent);
    (void)printf("%u errors, %u hung, %u truncated, %u after the crash\n",
                 (unsigned)counts.injected[DURESS_FAULT_ERROR], (unsigned)counts.injected[DURESS_FAULT_HANG],
                 (unsigned)counts.injected[DURESS_FAULT_TRUNCATE], (unsigned)counts.injected[DURESS_FAULT_CRASH]);
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
