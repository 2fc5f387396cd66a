/* SPDX-License-Identifier: Apache-2.0
 *
 * A service that bears two calls at once and takes 100 ms, and six callers: in a simulated world, so that nobody waits.
 */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/bulkhead.h>
#include <duress/world/sim.h>

static void answer(void *context)
{
    struct duress_call *call = context;
    duress_call_reply(call, call->request);
}

static void work(void *context, struct duress_call *call)
{
    struct duress_timer *timer = duress_call_allocate(call, sizeof *timer);
    if (timer == NULL)
        exit(1);
    duress_timer_init(timer, answer, call);
    duress_world_arm(context, timer, duress_world_now_ns(context) + 100 * DURESS_MS);
}

static void check(int error, const struct duress_failure *why)
{
    if (error == DURESS_OK)
        return;
    (void)fprintf(stderr, "%s %s\n", duress_strerror(error), why->detail);
    exit(1);
}

static void ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    (void)call;
    double after_ms = (double)(result->ended_ns - result->started_ns) / (double)DURESS_MS;
    const char *how = result->error == DURESS_OK ? "answered" : result->failure->detail;
    (void)printf("%s after %.0f ms\n", how, after_ms);
    ++*(int *)context;
}

static bool all_ended(void *context)
{
    return *(int *)context == 6;
}

int main(void)
{
    struct duress_failure why = {.code = DURESS_OK};
    struct duress_sim *sim;
    struct duress_sim_host *host;
    struct duress_agent *service;
    struct duress_agent *guarded;
    struct duress_message *request;
    struct duress_bulkhead_layer_options options = {.bulkhead.limit = 2, .wait_ns_max = 150 * DURESS_MS};
    check(duress_sim_new(NULL, &sim, NULL), &why);
    check(duress_sim_host_new(sim, "here", &host), &why);
    struct duress_world *world = duress_sim_host_world(host);
    check(duress_function_async_new(world, "service", work, NULL, world, &service), &why);
    check(duress_with_bulkhead(service, &options, &guarded, &why), &why);
    check(duress_message_text("hello", &request), &why);

    int count = 0;
    for (int i = 0; i < 6; i++) {
        struct duress_ask ask = {.request = request, .on_end = ended, .context = &count};
        check(duress_agent_ask(guarded, &ask, NULL), &why);
    }
    check(duress_world_run_until(world, all_ended, &count, DURESS_TIME_NEVER), &why);

    duress_message_unref(request);
    duress_agent_unref(guarded);
    duress_agent_unref(service);
    duress_sim_free(sim);
    return 0;
}
