/* SPDX-License-Identifier: Apache-2.0
 *
 * A service that may be asked 10 times a second, and 12 callers at once: in a simulated world, so that nobody waits. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/middleware/rate_limiter.h>
#include <duress/world/sim.h>

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
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
    if (result->error == DURESS_OK)
        (void)printf("answered after %.0f ms\n", after_ms);
    else
        (void)printf("%s, ask again in %.0f ms\n", result->failure->detail,
                     (double)result->failure->retry_after_ns / (double)DURESS_MS);
    ++*(int *)context;
}

static bool all_ended(void *context)
{
    return *(int *)context == 12;
}

int main(void)
{
    struct duress_failure why = {.code = DURESS_OK};
    struct duress_sim *sim;
    struct duress_sim_host *host;
    struct duress_agent *service;
    struct duress_agent *limited;
    struct duress_message *request;
    struct duress_rate_limiter_options options = {
        .bucket = {.rate = 10, .burst = 5}, /* tokens a second, and at once */
        .limit.waiting_max = 100,
    };
    check(duress_sim_new(&(struct duress_sim_options){.seed = 1}, &sim, NULL), &why);
    check(duress_sim_host_new(sim, "here", &host), &why);
    struct duress_world *world = duress_sim_host_world(host);
    check(duress_function_new(world, "service", echo, NULL, &service), &why);
    check(duress_with_rate_limiter(service, &options, &limited, &why), &why);
    check(duress_message_text("hello", &request), &why);

    int count = 0;
    uint64_t deadline_ns = duress_world_now_ns(world) + 350 * DURESS_MS;
    for (int i = 0; i < 12; i++) {
        struct duress_ask ask = {.request = request, .deadline_ns = deadline_ns, .on_end = ended, .context = &count};
        check(duress_agent_ask(limited, &ask, NULL), &why);
    }
    check(duress_world_run_until(world, all_ended, &count, DURESS_TIME_NEVER), &why);
    (void)printf("%d calls waited\n", (int)duress_rate_limiter_counts(limited).waited);

    duress_message_unref(request);
    duress_agent_unref(limited);
    duress_agent_unref(service);
    duress_sim_free(sim);
    return 0;
}
