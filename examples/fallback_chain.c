/* SPDX-License-Identifier: Apache-2.0
 *
 * A primary behind a circuit breaker, and a backup. The primary goes away, is spared while its breaker is open, and is
 * asked again when it is back. Time is simulated: nobody waits. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/compose/fallback.h>
#include <duress/middleware/breaker.h>
#include <duress/world/sim.h>

static bool primary_is_away;

/* The primary, where |context| is NULL; else the backup, which replies it. */
static int news(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)request, (void)failure;
    if (context == NULL && primary_is_away)
        return DURESS_E_REFUSED;
    return duress_message_text(context != NULL ? context : "fresh news", reply);
}

/* Who gave the answer, and what failed before. */
static void tell(void *context, struct duress_call *call, const struct duress_report *report)
{
    (void)context, (void)call;
    for (size_t i = 0; i < report->count; i++)
        if (report->parts[i].failure != NULL)
            (void)printf("%s: %s; ", duress_agent_name(report->parts[i].agent),
                         duress_strerror(report->parts[i].failure->code));
    if (report->reply != NULL)
        (void)printf("%s: %.*s\n", duress_agent_name(report->parts[report->answered_by].agent),
                     (int)duress_message_content(report->reply).length,
                     (const char *)duress_message_content(report->reply).data);
}

static void ask(struct duress_agent *agent, struct duress_message *request)
{
    struct duress_message *reply = NULL;
    if (duress_agent_ask_blocking(agent, &(struct duress_ask){.request = request}, &reply, NULL) == DURESS_OK)
        duress_message_unref(reply);
}

static void come_back(void *context)
{
    *(bool *)context = false;
}

int main(void)
{
    static char old[] = "yesterday's news";
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 2, .recovery_ns = 60 * DURESS_S}};
    struct duress_fallback_options options = {.on_report = tell};
    struct duress_world *world;
    struct duress_agent *plain, *agents[2], *chain;
    struct duress_timer later;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("what's new?", &request) != DURESS_OK ||
        duress_function_new(world, "primary", news, NULL, &plain) != DURESS_OK ||
        duress_with_breaker(plain, &breaker, &agents[0], NULL) != DURESS_OK ||
        duress_function_new(world, "backup", news, old, &agents[1]) != DURESS_OK ||
        duress_fallback_new("news", agents, 2, &options, &chain, NULL) != DURESS_OK)
        return 1;
    ask(chain, request);
    primary_is_away = true;
    for (int i = 0; i < 3; i++)
        ask(chain, request); /* the third time the breaker is open: nothing is sent to the primary */
    duress_timer_init(&later, come_back, &primary_is_away);
    duress_world_arm(world, &later, duress_world_now_ns(world) + 60 * DURESS_S);
    (void)duress_sim_run_until(duress_world_sim_of(world), NULL, NULL, DURESS_TIME_NEVER);
    ask(chain, request);
    struct duress_agent *all[] = {chain, agents[0], agents[1], plain};
    for (int i = 0; i < 4; i++)
        duress_agent_unref(all[i]);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
