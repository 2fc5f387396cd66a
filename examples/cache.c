/* SPDX-License-Identifier: Apache-2.0
 *
 * A service behind a cache: it is asked once, and when it has gone its last answer stands in for a while. In a
 * simulated world, where hours are virtual. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/cache.h>
#include <duress/world/sim.h>

static unsigned asked_count;
static bool service_is_gone;

static int price(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)context;
    (void)request;
    (void)failure;
    asked_count++;
    return service_is_gone ? DURESS_E_REFUSED : duress_message_text("42", reply);
}

/* Whoever gets an old answer is told so. NULL: give it as it is; a marked one may be given instead. */
static struct duress_message *price_is_old(void *context, const struct duress_cache_stale *stale)
{
    (void)context;
    (void)printf("%u s old, as: %s\n", (unsigned)(stale->age_ns / DURESS_S), duress_strerror(stale->failure->code));
    return NULL;
}

static void ask(struct duress_agent *agent, struct duress_message *request)
{
    struct duress_ask question = {.request = request, .idempotent = true}; /* others are not cached */
    struct duress_message *reply = NULL;
    int error = duress_agent_ask_blocking(agent, &question, &reply, NULL);
    struct duress_slice text =
        error == DURESS_OK ? duress_message_content(reply) : duress_slice_text(duress_strerror(error));
    (void)printf("%.*s (the service was asked %u times)\n", (int)text.length, (const char *)text.data, asked_count);
    duress_message_unref(reply);
}

static void wake(void *context)
{
    (void)context;
}

static void pass(struct duress_world *world, uint64_t duration_ns)
{
    struct duress_timer timer;
    duress_timer_init(&timer, wake, NULL);
    duress_world_arm(world, &timer, duress_world_now_ns(world) + duration_ns);
    (void)duress_sim_run_until(duress_world_sim_of(world), NULL, NULL, DURESS_TIME_NEVER);
}

int main(void)
{
    struct duress_cache_layer_options options = {.cache = {.ttl_ns = 60 * DURESS_S, .stale_ns = 3600 * DURESS_S},
                                                 .on_stale = price_is_old};
    struct duress_world *world;
    struct duress_agent *service, *agent;
    struct duress_message *request;
    if (duress_world_sim_new(1, &world) != DURESS_OK || duress_message_text("price", &request) != DURESS_OK ||
        duress_function_new(world, "price", price, NULL, &service) != DURESS_OK ||
        duress_with_cache(service, &options, &agent, NULL) != DURESS_OK)
        return 1;
    ask(agent, request);
    ask(agent, request);
    service_is_gone = true;
    pass(world, 300 * DURESS_S);
    ask(agent, request);
    pass(world, 3600 * DURESS_S);
    ask(agent, request);
    duress_agent_unref(agent);
    duress_agent_unref(service);
    duress_message_unref(request);
    duress_world_free(world);
    return 0;
}
