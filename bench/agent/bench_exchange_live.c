/* SPDX-License-Identifier: Apache-2.0
 *
 * Framed calls a second between two processes over loopback TCP: one connection with one call at a time, then with 16
 * in flight; and 16 connections with one call each. */
#include "asker.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

/* --- the bare exchange --- */

enum { BARE_BYTES = 280, CALLS_PER_RUN = 40000 };

struct bare {
    int socket;
    int epoll;
};

static void bare_await(const struct bare *bare, void *bytes)
{
    struct epoll_event event;
    if (epoll_wait(bare->epoll, &event, 1, -1) != 1 || read(bare->socket, bytes, BARE_BYTES) != BARE_BYTES)
        bench_fail("the bare exchange broke");
}

static void bare_ready(struct bare *bare, int socket)
{
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN};
    bare->socket = socket;
    bare->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bare->epoll < 0 || setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(bare->epoll, EPOLL_CTL_ADD, socket, &event) != 0)
        bench_fail("cannot watch a socket");
}

static void bare_serve(int listener)
{
    struct bare bare;
    char bytes[BARE_BYTES];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bare_ready(&bare, accept(listener, NULL, NULL));
    for (;;) {
        bare_await(&bare, bytes);
        if (write(bare.socket, bytes, sizeof bytes) != sizeof bytes)
            _exit(1);
    }
}

static pid_t bare_open(struct bare *bare)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        bench_fail("cannot listen");
    pid_t child = fork();
    if (child == 0)
        bare_serve(listener);
    int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (child < 0 || caller < 0 || connect(caller, (struct sockaddr *)&address, sizeof address) != 0)
        bench_fail("cannot connect");
    (void)close(listener);
    bare_ready(bare, caller);
    return child;
}

static void bare_run(void *context, uint64_t iterations)
{
    static char bytes[BARE_BYTES];
    const struct bare *bare = context;
    for (uint64_t i = 0; i < iterations; i++) {
        if (write(bare->socket, bytes, sizeof bytes) != sizeof bytes)
            bench_fail("cannot write");
        bare_await(bare, bytes);
    }
}

/* --- framed calls --- */

static struct asker asker_open(uint16_t port, uint32_t connections_max, uint32_t in_flight_max)
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
    return asker;
}

static void asker_close(struct asker *asker)
{
    duress_agent_unref(asker->agent);
    duress_message_unref(asker->request);
    duress_world_free(asker->world);
}

static void measure(const char *name, uint16_t port, uint32_t connections_max, uint32_t in_flight_max)
{
    struct asker asker = asker_open(port, connections_max, in_flight_max);
    (void)bench_rate(name, CALLS_PER_RUN, asker_run, &asker);
    asker_close(&asker);
}

static double rate(bench_fn fn, void *context)
{
    uint64_t begun_ns = bench_now_ns();
    fn(context, CALLS_PER_RUN);
    return CALLS_PER_RUN * 1e9 / (double)(bench_now_ns() - begun_ns);
}

static void measure_beside_bare(uint16_t port)
{
    struct bare bare;
    pid_t child = bare_open(&bare);
    struct asker asker = asker_open(port, 1, 1);
    struct bench_samples bares = {.name = "bare exchanges of two epoll loops, one at a time", .unit = "1/s"};
    struct bench_samples calls = {.name = "live framed calls, one connection, one at a time", .unit = "1/s"};
    (void)rate(asker_run, &asker);
    for (size_t run = 0; run < bench_runs(); run++) {
        bench_samples_add(&bares, rate(bare_run, &bare));
        bench_samples_add(&calls, rate(asker_run, &asker));
    }
    bench_print(&bares);
    bench_print_against(&calls, bares.name, bench_samples_median(&bares));
    asker_close(&asker);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
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
    measure_beside_bare(port);
    measure("live framed calls, 16 connections, one at a time on each", port, 16, 1);
    measure("live framed calls, one connection, 16 in flight", port, 1, 16);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return 0;
}
