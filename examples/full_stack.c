/* SPDX-License-Identifier: Apache-2.0
 *
 * All layers around one service that fails twice, in a simulated world. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/stack.h>
#include <duress/world/sim.h>

static unsigned asked_count;

static int price(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)context;
    (void)request;
    (void)failure;
    return ++asked_count <= 2 ? DURESS_E_REFUSED : duress_message_text("42", reply);
}

static void ask(struct duress_agent *agent, struct duress_message *request)
{
    struct duress_ask question = {.request = request, .idempotent = true};
    question.deadline_ns = duress_world_now_ns(duress_agent_world(agent)) + 10 * DURESS_S;
    struct duress_message *reply = NULL;
    struct duress_failure why;
    int error = duress_agent_ask_blocking(agent, &question, &reply, &why);
    struct duress_slice text = error == DURESS_OK ? duress_message_content(reply) : duress_slice_text(why.detail);
    (void)printf("%.*s (the service was asked %u times)\n", (int)text.length, (const char *)text.data, asked_count);
    duress_message_unref(reply);
}

/* One for a service, however many agents ask it. */
static struct duress_retry_budget budget;

static int stack_around(struct duress_agent *service, struct duress_agent **stack, struct duress_failure *why)
{
    struct duress_cache_layer_options cache = {.cache = {.ttl_ns = 60 * DURESS_S, .stale_ns = 600 * DURESS_S}};
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead.limit = 20, .waiting_max = 100};
    struct duress_rate_limiter_options limiter = {.bucket = {.rate = 50, .burst = 10}};
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 100 * DURESS_MS};
    struct duress_hedge_layer_options hedge = {.hedge.delay_ns = 500 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 5, .recovery_ns = 10 * DURESS_S}};
    struct duress_timeout_options timeout = {.limit_ns = 2 * DURESS_S};
    struct duress_stack_options layers = {
        .metrics = &(struct duress_metrics_options){.name = "price"},
        .cache = &cache,
        .bulkhead = &bulkhead,
        .rate_limiter = &limiter,
        .retry = &retry,
        .retry_budget = &budget,
        .hedge = &hedge,
        .breaker = &breaker,
        .timeout = &timeout,
    };
    return duress_stack_new(service, &layers, stack, why);
}

int main(void)
{
    struct duress_failure why = {.code = DURESS_OK};
    struct duress_world *world;
    struct duress_agent *service, *agent;
    struct duress_message *request;
    if (duress_retry_budget_init(&budget, NULL, &why) != DURESS_OK || duress_world_sim_new(1, &world) != DURESS_OK ||
        duress_message_text("price", &request) != DURESS_OK ||
        duress_function_new(world, "price", price, NULL, &service) != DURESS_OK ||
        stack_around(service, &agent, &why) != DURESS_OK)
        return (void)fprintf(stderr, "%s\n", why.detail), 1;
    ask(agent, request);
    ask(agent, request);
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
