/* SPDX-License-Identifier: Apache-2.0
 *
 * Three sources are asked at once. One is refused, one is slow: what has come by the limit is the answer, in order, and
 * the report names the others. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/compose/parallel.h>
#include <duress/world/sim.h>

static int quick(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)request, (void)failure;
    return context != NULL ? duress_message_text(context, reply) : DURESS_E_REFUSED;
}

/* Never answers, until it is given up. */
static void slow_begin(void *context, struct duress_call *call)
{
    (void)context, (void)call;
}

static void slow_cancel(void *context, struct duress_call *call)
{
    (void)context, (void)call;
    (void)printf("the slow one's work is given up\n");
}

static void tell(void *context, struct duress_call *call, const struct duress_report *report)
{
    (void)context, (void)call;
    for (size_t i = 0; i < report->count; i++)
        (void)printf("%s: %s\n", duress_agent_name(report->parts[i].agent),
                     duress_part_state_name(report->parts[i].state));
}

int main(void)
{
    static char sunny[] = "sunny";
    struct duress_parallel_options options = {.limit_ns = 300 * DURESS_MS, .on_report = tell};
    struct duress_world *world;
    struct duress_agent *agents[3], *weather;
    struct duress_message *request, *reply;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("tomorrow?", &request) != DURESS_OK ||
        duress_function_new(world, "quick", quick, sunny, &agents[0]) != DURESS_OK ||
        duress_function_async_new(world, "slow", slow_begin, slow_cancel, NULL, &agents[1]) != DURESS_OK ||
        duress_function_new(world, "down", quick, NULL, &agents[2]) != DURESS_OK ||
        duress_parallel_new("weather", agents, 3, &options, &weather, NULL) != DURESS_OK)
        return 1;
    struct duress_ask ask = {.request = request};
    if (duress_agent_ask_blocking(weather, &ask, &reply, NULL) == DURESS_OK) {
        struct duress_slice text = duress_message_content(reply), more = duress_message_metadata(reply);
        (void)printf("%.*s\n%.*s\n", (int)text.length, (const char *)text.data, (int)more.length,
                     (const char *)more.data);
        duress_message_unref(reply);
    }
    duress_agent_unref(weather);
    for (int i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
