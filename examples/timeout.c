/* SPDX-License-Identifier: Apache-2.0
 *
 * A service that takes 10 ms, then a second: the timeout ends the second call after 100 ms. In a simulated world, where
 * the time is virtual. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/timeout.h>
#include <duress/world/sim.h>

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
    duress_timer_init(timer, work_done, call);
    duress_world_arm(world, timer, duress_world_now_ns(world) + (++*count == 1 ? 10 * DURESS_MS : DURESS_S));
}

static void work_cancel(void *context, struct duress_call *call)
{
    (void)context;
    duress_world_disarm(duress_agent_world(call->agent), call->state);
}

int main(void)
{
    unsigned count = 0;
    struct duress_world *world;
    struct duress_agent *service, *agent;
    struct duress_message *request;
    struct duress_timeout_options options = {.limit_ns = 100 * DURESS_MS};
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("work", &request) != DURESS_OK ||
        duress_function_async_new(world, "work", work_begin, work_cancel, &count, &service) != DURESS_OK ||
        duress_with_timeout(service, &options, &agent, NULL) != DURESS_OK)
        return 1;
    struct duress_ask ask = {.request = request};
    for (int i = 0; i < 2; i++) {
        struct duress_message *reply = NULL;
        uint64_t begun_ns = duress_world_now_ns(world);
        int error = duress_agent_ask_blocking(agent, &ask, &reply, NULL);
        unsigned took_ms = (unsigned)((duress_world_now_ns(world) - begun_ns) / DURESS_MS);
        (void)printf("%s after %u ms\n", duress_error_name(error), took_ms);
        duress_message_unref(reply);
    }
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
