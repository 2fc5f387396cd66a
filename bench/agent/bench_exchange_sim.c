/* SPDX-License-Identifier: Apache-2.0
 *
 * Framed exchanges a second in the simulated world, on one core: remote agent, encoding, framing, link, server, agent,
 * and all the way back. */
#include "asker.h"

#include <duress/agent/function.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/world/sim.h>

enum { PORT = 7000 };

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void measure(const char *name, uint64_t seed, uint32_t in_flight_max)
{
    struct duress_sim_options options = {.seed = seed, .events_max = UINT64_MAX};
    struct duress_sim *sim = NULL;
    struct duress_sim_host *client = NULL;
    struct duress_sim_host *service = NULL;
    if (duress_sim_new(&options, &sim, NULL) != DURESS_OK || duress_sim_host_new(sim, "client", &client) != DURESS_OK ||
        duress_sim_host_new(sim, "service", &service) != DURESS_OK)
        bench_fail("cannot make the network");
    struct asker asker = {.world = duress_sim_host_world(client), .in_flight_max = in_flight_max};
    struct duress_agent *agent = NULL;
    struct duress_server *server = NULL;
    struct duress_server_options serve = {
        .world = duress_sim_host_world(service),
        .address = duress_sim_host_address(service, PORT),
    };
    struct duress_remote_options remote = {
        .world = asker.world,
        .endpoint = "tcp://service:7000",
        .connections_max = 1,
        .in_flight_max = in_flight_max,
    };
    if (duress_function_new(serve.world, "echo", echo, NULL, &agent) != DURESS_OK)
        bench_fail("cannot make the service");
    serve.agent = agent;
    if (duress_server_new(&serve, &server, NULL) != DURESS_OK ||
        duress_remote_new(&remote, &asker.agent, NULL) != DURESS_OK ||
        duress_message_text("what is the answer to this question?", &asker.request) != DURESS_OK)
        bench_fail("cannot make the agents");
    (void)bench_rate(name, 100000, asker_run, &asker);
    duress_agent_unref(asker.agent);
    duress_server_free(server);
    duress_agent_unref(agent);
    duress_message_unref(asker.request);
    duress_sim_free(sim);
}

int main(void)
{
    measure("simulated exchanges, plain schedule, one in flight", 0, 1);
    measure("simulated exchanges, drawn delays, one in flight", 1, 1);
    measure("simulated exchanges, drawn delays, 16 in flight", 1, 16);
    return 0;
}
