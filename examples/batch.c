/* SPDX-License-Identifier: Apache-2.0
 *
 * Many calls, one query: a function answers up to 100 calls at once, each by itself. In a simulated world; a program of
 * your own takes duress_world_live_new(). */
#include <stdio.h>
#include <string.h>

#include <duress/middleware/batch.h>
#include <duress/world/sim.h>

enum { CALL_COUNT = 4 };

/* Your code goes here: one query for all of run->requests, and then, now or later, an answer for each. */
static void names_find(void *context, struct duress_batch_run *run)
{
    static const char *const names[] = {"zero", "one", "two"};
    (void)context;
    (void)printf("one query for %zu calls\n", run->count);
    for (size_t i = 0; i < run->count; i++) {
        struct duress_slice content = duress_message_content(run->requests[i]);
        unsigned number = content.length == 1 ? (unsigned)content.data[0] - '0' : 9;
        struct duress_message *reply = NULL;
        struct duress_failure failure;
        if (number < 3 && duress_message_text(names[number], &reply) == DURESS_OK) {
            duress_batch_run_reply(run, i, reply);
            duress_message_unref(reply);
        } else {
            duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "no such number");
            duress_batch_run_fail(run, i, &failure);
        }
    }
    duress_batch_run_end(run);
}

static void ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    const char *text = context;
    (void)call;
    if (result->error != DURESS_OK) {
        (void)printf("%s: %s\n", text, result->failure->detail);
        return;
    }
    struct duress_slice name = duress_message_content(result->reply);
    (void)printf("%s: %.*s\n", text, (int)name.length, (const char *)name.data);
}

int main(void)
{
    static char texts[CALL_COUNT][2] = {"2", "7", "0", "1"};
    struct duress_batch_agent_options options = {.batch = {.items_max = 100, .wait_ns = 5 * DURESS_MS},
                                                 .begin = names_find};
    struct duress_world *world;
    struct duress_agent *agent;
    if (duress_world_sim_new(1, &world) != DURESS_OK ||
        duress_batch_new(world, "names", &options, &agent, NULL) != DURESS_OK)
        return 1;
    for (size_t i = 0; i < CALL_COUNT; i++) {
        struct duress_message *request;
        if (duress_message_text(texts[i], &request) != DURESS_OK)
            return 1;
        struct duress_ask ask = {.request = request, .on_end = ended, .context = texts[i]};
        if (duress_agent_ask(agent, &ask, NULL) != DURESS_OK)
            return 1;
        duress_message_unref(request);
    }
    (void)duress_sim_run_until(duress_world_sim_of(world), NULL, NULL, DURESS_TIME_NEVER);
    (void)printf("%u calls in %u batch\n", (unsigned)duress_batch_counts(agent).items,
                 (unsigned)duress_batch_counts(agent).batches);
    duress_agent_unref(agent);
    duress_world_free(world);
    return 0;
}
