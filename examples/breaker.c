/* SPDX-License-Identifier: Apache-2.0
 *
 * A breaker around a service that refuses its first three calls: it opens, refuses by itself, and probes a minute
 * later. In a simulated world, where the minute is virtual. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/breaker.h>
#include <duress/world/sim.h>

static int price(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    unsigned *asked_count = context;
    (void)request;
    (void)failure;
    return ++*asked_count <= 3 ? DURESS_E_REFUSED : duress_message_text("42", reply);
}

static void minute_over(void *context)
{
    (void)context;
}

int main(void)
{
    unsigned asked_count = 0;
    struct duress_timer minute;
    struct duress_world *world;
    struct duress_agent *service, *agent;
    struct duress_message *request;
    struct duress_breaker_layer_options options = {.breaker = {.failures_to_open = 3}};
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("price", &request) != DURESS_OK ||
        duress_function_new(world, "price", price, &asked_count, &service) != DURESS_OK ||
        duress_with_breaker(service, &options, &agent, NULL) != DURESS_OK)
        return 1;
    struct duress_ask ask = {.request = request};
    for (int i = 0; i < 7; i++) {
        struct duress_message *reply = NULL;
        struct duress_failure failure = {.code = DURESS_OK};
        if (i == 5) { /* a minute passes */
            duress_timer_init(&minute, minute_over, NULL);
            duress_world_arm(world, &minute, duress_world_now_ns(world) + 60 * DURESS_S);
            (void)duress_world_run_until(world, NULL, NULL, DURESS_TIME_NEVER);
        }
        int error = duress_agent_ask_blocking(agent, &ask, &reply, &failure);
        (void)printf("%s, asked %u times, %s\n", duress_error_name(error), asked_count,
                     duress_breaker_state_name(duress_breaker_state(duress_breaker_of(agent))));
        duress_message_unref(reply);
    }
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
