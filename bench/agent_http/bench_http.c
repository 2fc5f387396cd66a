/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls a second between two processes over loopback, our agent against our own server: one at a time over one
 * kept connection, and with 64 in flight. */
#include <asker.h>

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duress/agent/function.h>
#include <duress/agent_http/client.h>
#include <duress/agent_http/server.h>
#include <duress/world/live.h>

enum { CALLS_PER_RUN = 20000 };

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

/* --- the other process --- */

struct service {
    pid_t child;
    uint16_t port;
};

/* Serves until it is killed, and tells its port through |write_end|. */
static void serve(int write_end)
{
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    struct duress_http_server *server = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (duress_world_live_new(NULL, &world, NULL) != DURESS_OK ||
        duress_function_new(world, "echo", echo, NULL, &agent) != DURESS_OK)
        bench_fail("cannot make the service");
    struct duress_http_server_options options = {.world = world, .agent = agent, .address = duress_address_loopback(0)};
    if (duress_http_server_new(&options, &server, NULL) != DURESS_OK)
        bench_fail("cannot serve");
    uint16_t port = duress_http_server_address(server).port;
    if (write(write_end, &port, sizeof port) != sizeof port)
        bench_fail("cannot tell the port");
    (void)duress_world_run_until(world, never, NULL, DURESS_TIME_NEVER);
    _exit(1);
}

static struct service service_open(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        bench_fail("cannot make a pipe");
    struct service service = {.child = fork()};
    if (service.child < 0)
        bench_fail("cannot fork");
    if (service.child == 0)
        serve(ends[1]);
    if (read(ends[0], &service.port, sizeof service.port) != sizeof service.port)
        bench_fail("the service did not start");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return service;
}

/* --- calls --- */

static void measure(const char *name, uint16_t port, uint32_t in_flight_max)
{
    struct asker asker = {.in_flight_max = in_flight_max};
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    if (duress_world_live_new(NULL, &asker.world, NULL) != DURESS_OK)
        bench_fail("cannot make the world");
    struct duress_http_agent_options options = {.world = asker.world, .url = url, .connections_max = in_flight_max};
    if (duress_http_agent_new(&options, &asker.agent, NULL) != DURESS_OK ||
        duress_message_text("what is the answer to this question?", &asker.request) != DURESS_OK)
        bench_fail("cannot make the agent");
    (void)bench_rate(name, CALLS_PER_RUN, asker_run, &asker);
    if (duress_http_agent_counts(asker.agent).connections_begun > in_flight_max)
        bench_fail("connections were not kept");
    duress_agent_unref(asker.agent);
    duress_message_unref(asker.request);
    duress_world_free(asker.world);
}

int main(void)
{
    struct service service = service_open();
    measure("HTTP calls, one connection, one at a time", service.port, 1);
    measure("HTTP calls, 64 in flight", service.port, 64);
    (void)kill(service.child, SIGKILL);
    (void)waitpid(service.child, NULL, 0);
    return 0;
}
