/* SPDX-License-Identifier: Apache-2.0
 *
 * A service that takes 10 ms, but two seconds for each tenth request: 200 calls, without and with a hedge. In a
 * simulated world, where seconds are virtual. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/hedge.h>
#include <duress/world/sim.h>

enum { CALL_COUNT = 200 };

static void work_done(void *context)
{
    struct duress_call *call = context;
    duress_call_reply(call, call->request);
}

static void work_begin(void *context, struct duress_call *call)
{
    unsigned *count = context;
    struct duress_world *world = duress_agent_world(call->agent);
    struct duress_timer *timer = duress_call_allocate(call, sizeof *timer);
    if (timer == NULL)
        exit(1); /* a service of yours fails the call */
    call->state = timer;
    uint64_t takes_ns = ++*count % 10 == 0 ? 2 * DURESS_S : 10 * DURESS_MS;
    duress_timer_init(timer, work_done, call);
    duress_world_arm(world, timer, duress_world_now_ns(world) + takes_ns);
}

static void work_cancel(void *context, struct duress_call *call)
{
    (void)context;
    duress_world_disarm(duress_agent_world(call->agent), call->state);
}

static void ask_all(struct duress_agent *agent, struct duress_message *request, const char *how)
{
    struct duress_world *world = duress_agent_world(agent);
    struct duress_ask ask = {.request = request, .idempotent = true}; /* others are not hedged */
    unsigned slow = 0;
    for (int i = 0; i < CALL_COUNT; i++) {
        struct duress_message *reply = NULL;
        uint64_t begun_ns = duress_world_now_ns(world);
        if (duress_agent_ask_blocking(agent, &ask, &reply, NULL) == DURESS_OK)
            slow += duress_world_now_ns(world) - begun_ns > 100 * DURESS_MS;
        duress_message_unref(reply);
    }
    (void)printf("%s: %u of %d calls took longer than 100 ms\n", how, slow, CALL_COUNT);
}

int main(void)
{
    struct duress_hedge_layer_options options = {.hedge = {.quantile_ppm = 850000, .samples_min = 9},
                                                 .budget = {.deposit_milli = 150}}; /* 15 % more */
    unsigned count = 0;
    struct duress_world *world;
    struct duress_agent *service, *agent;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("work", &request) != DURESS_OK ||
        duress_function_async_new(world, "worker", work_begin, work_cancel, &count, &service) != DURESS_OK ||
        duress_with_hedge(service, &options, &agent, NULL) != DURESS_OK)
        return 1;
    ask_all(service, request, "alone");
    ask_all(agent, request, "hedged");
    struct duress_hedge_counts counts = duress_hedge_counts(agent);
    (void)printf("%u hedges, the delay is %u ms\n", (unsigned)counts.hedges, (unsigned)(counts.delay_ns / DURESS_MS));
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
