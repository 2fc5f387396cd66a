/* SPDX-License-Identifier: Apache-2.0
 *
 * What metrics tell of a service that goes away: as numbers, and as the text that Prometheus scrapes. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/stack.h>
#include <duress/world/sim.h>

static int price(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    unsigned *asked_count = context;
    (void)request;
    (void)failure;
    return ++*asked_count > 3 ? DURESS_E_REFUSED : duress_message_text("42", reply);
}

static struct duress_agent *stack_make(struct duress_agent *service)
{
    struct duress_breaker_layer_options breaker = {.breaker.failures_to_open = 2};
    struct duress_stack_options layers = {.breaker = &breaker};
    struct duress_metrics_options named = {.name = "price"};
    struct duress_agent *stack, *agent;
    if (duress_stack_new(service, &layers, &stack, NULL) != DURESS_OK)
        return NULL;
    if (duress_with_metrics(stack, &named, &agent, NULL) != DURESS_OK) /* outermost: it sees what callers see */
        agent = NULL;
    duress_agent_unref(stack);
    return agent;
}

static void tell(struct duress_agent *agent)
{
    static char text[16 * 1024];
    struct duress_metrics metrics;
    if (duress_metrics_read(agent, &metrics) != DURESS_OK)
        return;
    (void)printf("%u answers, %u refused connections, %u refused by the breaker, p99 %u us\n\n",
                 (unsigned)metrics.ended[0], (unsigned)metrics.ended[-DURESS_E_REFUSED],
                 (unsigned)metrics.ended[-DURESS_E_CIRCUIT_OPEN], (unsigned)(metrics.succeeded.p99 / DURESS_US));
    int length = duress_metrics_prometheus(&agent, 1, text, sizeof text); /* as snprintf() */
    if (length > 0 && (size_t)length < sizeof text)
        (void)fputs(text, stdout);
    length = duress_metrics_json(agent, text, sizeof text);
    if (length > 0 && (size_t)length < sizeof text)
        (void)printf("\n%s\n", text);
}

int main(void)
{
    unsigned asked_count = 0;
    struct duress_world *world;
    struct duress_agent *service;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("price", &request) != DURESS_OK ||
        duress_function_new(world, "price", price, &asked_count, &service) != DURESS_OK)
        return 1;
    struct duress_agent *agent = stack_make(service);
    struct duress_ask ask = {.request = request};
    for (int i = 0; agent != NULL && i < 7; i++) {
        struct duress_message *reply = NULL;
        (void)!duress_agent_ask_blocking(agent, &ask, &reply, NULL);
        duress_message_unref(reply);
    }
    tell(agent);
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
