/* SPDX-License-Identifier: Apache-2.0
 *
 * Framed calls a second between two processes over loopback TCP: one connection with one call at a time, then with 16
 * in flight; and 16 connections with one call each. */
#include "asker.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duress/agent/function.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/world/live.h>

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* The other process: serves until it is killed, and tells its port through |write_end|. */
static void serve(int write_end)
{
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    struct duress_server *server = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (duress_world_live_new(NULL, &world) != DURESS_OK ||
        duress_function_new(world, "echo", echo, NULL, &agent) != DURESS_OK)
        bench_fail("cannot make the service");
    struct duress_server_options options = {.world = world, .agent = agent, .address = duress_address_loopback(0)};
    if (duress_server_new(&options, &server, NULL) != DURESS_OK)
        bench_fail("cannot serve");
    uint16_t port = duress_server_address(server).port;
    if (write(write_end, &port, sizeof port) != sizeof port)
        bench_fail("cannot tell the port");
    (void)duress_world_run_until(world, never, NULL, DURESS_TIME_NEVER);
    _exit(1);
}

static void measure(const char *name, uint16_t port, uint32_t connections_max, uint32_t in_flight_max)
{
    char endpoint[64];
    struct asker asker = {.in_flight_max = connections_max * in_flight_max};
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", port);
    if (duress_world_live_new(NULL, &asker.world) != DURESS_OK)
        bench_fail("cannot make the world");
    struct duress_remote_options options = {
        .world = asker.world,
        .endpoint = endpoint,
        .connections_max = connections_max,
        .in_flight_max = in_flight_max,
    };
    if (duress_remote_new(&options, &asker.agent, NULL) != DURESS_OK ||
        duress_message_text("what is the answer to this question?", &asker.request) != DURESS_OK)
        bench_fail("cannot make the agent");
    (void)bench_rate(name, 40000, asker_run, &asker);
    duress_agent_unref(asker.agent);
    duress_message_unref(asker.request);
    duress_world_free(asker.world);
}

int main(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        bench_fail("cannot make a pipe");
    pid_t child = fork();
    if (child < 0)
        bench_fail("cannot fork");
    if (child == 0)
        serve(ends[1]);
    uint16_t port = 0;
    if (read(ends[0], &port, sizeof port) != sizeof port)
        bench_fail("the service did not start");
    measure("live framed calls, one connection, one at a time", port, 1, 1);
    measure("live framed calls, 16 connections, one at a time on each", port, 16, 1);
    measure("live framed calls, one connection, 16 in flight", port, 1, 16);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return 0;
}
