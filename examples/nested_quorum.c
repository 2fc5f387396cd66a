/* SPDX-License-Identifier: Apache-2.0
 *
 * Compositions of compositions: questions about sums go to three calculators, of which two must agree, and then to a
 * formatter; all others go to a clerk. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/compose/conditional.h>
#include <duress/compose/quorum.h>
#include <duress/compose/sequential.h>
#include <duress/world/sim.h>

/* Replies |context|, whatever it is asked. */
static int say(void *context, struct duress_message *request, struct duress_message **reply,
               struct duress_failure *failure)
{
    (void)request, (void)failure;
    return duress_message_text(context, reply);
}

static int format(void *context, struct duress_message *request, struct duress_message **reply,
                  struct duress_failure *failure)
{
    (void)context, (void)failure;
    char text[64];
    struct duress_slice content = duress_message_content(request);
    (void)snprintf(text, sizeof text, "the sum is %.*s", (int)content.length, (const char *)content.data);
    return duress_message_text(text, reply);
}

/* Those that replied something else. */
static void tell_dissent(void *context, struct duress_call *call, const struct duress_report *report)
{
    (void)context, (void)call;
    for (size_t i = 0; i < report->count; i++)
        if (report->parts[i].state == DURESS_PART_REPLIED && !report->parts[i].agrees)
            (void)printf("%s dissents\n", duress_agent_name(report->parts[i].agent));
}

int main(void)
{
    static char four[] = "4", five[] = "5", hello[] = "hello";
    struct duress_quorum_options two = {.need = 2, .grace_ns = DURESS_MS, .on_report = tell_dissent};
    struct duress_world *world;
    struct duress_agent *a[3], *clerk, *formatter, *vote, *line, *desk;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_function_new(world, "ann", say, four, &a[0]) ||
        duress_function_new(world, "bob", say, five, &a[1]) || duress_function_new(world, "cy", say, four, &a[2]) ||
        duress_function_new(world, "clerk", say, hello, &clerk) ||
        duress_function_new(world, "formatter", format, NULL, &formatter) ||
        duress_quorum_new("vote", a, 3, &two, &vote, NULL) != DURESS_OK)
        return 1;
    struct duress_agent *steps[] = {vote, formatter};
    struct duress_route sums[] = {{duress_content_contains, "+", NULL}};
    struct duress_choice_options otherwise = {.otherwise = clerk};
    if (duress_sequential_new("line", steps, 2, NULL, &line, NULL) != DURESS_OK)
        return 1;
    sums[0].agent = line;
    if (duress_conditional_new("desk", sums, 1, &otherwise, &desk, NULL) != DURESS_OK)
        return 1;
    static const char *const questions[] = {"2+2", "good morning"};
    for (int i = 0; i < 2; i++) {
        struct duress_message *request, *reply;
        if (duress_message_text(questions[i], &request) != DURESS_OK)
            return 1;
        if (duress_agent_ask_blocking(desk, &(struct duress_ask){.request = request}, &reply, NULL) == DURESS_OK) {
            (void)printf("%.*s\n", (int)duress_message_content(reply).length,
                         (const char *)duress_message_content(reply).data);
            duress_message_unref(reply);
        }
        duress_message_unref(request);
    }
    struct duress_agent *all[] = {desk, line, vote, formatter, clerk, a[0], a[1], a[2]};
    for (int i = 0; i < 8; i++)
        duress_agent_unref(all[i]);
    duress_world_free(world);
    return 0;
}
