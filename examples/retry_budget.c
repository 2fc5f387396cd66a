/* SPDX-License-Identifier: Apache-2.0
 *
 * Retries multiply: A asks B, B asks C, C asks a service that is down, and each tries up to three times. How often the
 * service is asked for a thousand calls, without and with a budget at each of them. In a simulated world. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/retry.h>
#include <duress/world/sim.h>

enum { CALL_COUNT = 1000, CLIENT_COUNT = 3 };

static int service_is_down(void *context, struct duress_message *request, struct duress_message **reply,
                           struct duress_failure *failure)
{
    unsigned *asked_count = context;
    (void)request;
    (void)reply;
    (void)failure;
    ++*asked_count;
    return DURESS_E_REFUSED;
}

/* Takes over the caller's reference of |agent|. */
static struct duress_agent *clients_around(struct duress_agent *agent, struct duress_retry_budget *budgets)
{
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 10 * DURESS_MS};
    for (int i = 0; agent != NULL && i < CLIENT_COUNT; i++) {
        struct duress_agent *client = NULL;
        (void)!duress_with_retry(agent, &retry, budgets != NULL ? &budgets[i] : NULL, &client, NULL);
        duress_agent_unref(agent);
        agent = client;
    }
    return agent;
}

static unsigned asked(struct duress_retry_budget *budgets)
{
    unsigned asked_count = 0;
    struct duress_world *world;
    struct duress_agent *service;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("hello", &request) != DURESS_OK ||
        duress_function_new(world, "down", service_is_down, &asked_count, &service) != DURESS_OK)
        return 0;
    struct duress_agent *agent = clients_around(service, budgets);
    struct duress_ask ask = {.request = request};
    struct duress_message *reply; /* there is none */
    for (int i = 0; agent != NULL && i < CALL_COUNT; i++)
        (void)!duress_agent_ask_blocking(agent, &ask, &reply, NULL);
    duress_agent_unref(agent);
    duress_message_unref(request);
    duress_world_free(world);
    return asked_count;
}

int main(void)
{
    struct duress_retry_budget budgets[CLIENT_COUNT]; /* the defaults: 10 at once, and one retry for ten calls */
    double bound = CALL_COUNT;
    for (int i = 0; i < CLIENT_COUNT; i++) {
        if (duress_retry_budget_init(&budgets[i], NULL, NULL) != DURESS_OK)
            return 1;
        bound = bound * 1.1 + 10; /* calls, retries they pay for, and the full budget */
    }
    unsigned without = asked(NULL), with = asked(budgets);
    (void)printf("without budgets: asked %u times, factor %.2f\n", without, (double)without / CALL_COUNT);
    (void)printf("with budgets: asked %u times, factor %.2f\n", with, (double)with / CALL_COUNT);
    (void)printf("the bound is %.0f times: %s\n", bound, with <= bound ? "kept" : "exceeded");
    return with <= bound ? 0 : 1;
}
