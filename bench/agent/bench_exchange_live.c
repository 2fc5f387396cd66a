/* SPDX-License-Identifier: Apache-2.0
 *
 * Framed calls a second between two processes over loopback TCP: one connection with one call at a time, then with 16
 * in flight; and 16 connections with one call each.
 *
 * One call at a time is limited by how long the machine takes to wake a sleeping processor, twice a call. So it is held
 * against a bare exchange of two epoll loops, measured in turns with it, in three ways: as the scheduler places the two
 * processes; with both on one CPU, where nobody sleeps and what is left is the work; and with both looking busily
 * before they block (busy_poll_ns), which needs two CPUs. */
#include "asker.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
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

enum { BARE_BYTES = 280, CALLS_PER_RUN = 40000, BUSY_NS = 50 * 1000 };

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

static void child_kill(pid_t child)
{
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

/* Serves until it is killed, and tells its port through |write_end|. */
static void serve(int write_end, uint64_t busy_ns)
{
    struct duress_world_live_options live = {.busy_poll_ns = busy_ns};
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    struct duress_server *server = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (duress_world_live_new(&live, &world, NULL) != DURESS_OK ||
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

static struct service service_open(uint64_t busy_ns)
{
    int ends[2];
    if (pipe(ends) != 0)
        bench_fail("cannot make a pipe");
    struct service service = {.child = fork()};
    if (service.child < 0)
        bench_fail("cannot fork");
    if (service.child == 0)
        serve(ends[1], busy_ns);
    if (read(ends[0], &service.port, sizeof service.port) != sizeof service.port)
        bench_fail("the service did not start");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return service;
}

/* --- the bare exchange --- */

struct bare {
    int socket;
    int epoll;
    uint64_t busy_ns;
    pid_t child;
};

static void bare_await(const struct bare *bare, void *bytes)
{
    struct epoll_event event;
    uint64_t until_ns = bare->busy_ns > 0 ? bench_now_ns() + bare->busy_ns : 0;
    int ready = 0;
    while (ready == 0 && bare->busy_ns > 0 && bench_now_ns() < until_ns)
        ready = epoll_wait(bare->epoll, &event, 1, 0);
    if (ready == 0)
        ready = epoll_wait(bare->epoll, &event, 1, -1);
    if (ready != 1 || read(bare->socket, bytes, BARE_BYTES) != BARE_BYTES)
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

static void bare_serve(int listener, uint64_t busy_ns)
{
    struct bare bare = {.busy_ns = busy_ns};
    char bytes[BARE_BYTES];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bare_ready(&bare, accept(listener, NULL, NULL));
    for (;;) {
        bare_await(&bare, bytes);
        if (write(bare.socket, bytes, sizeof bytes) != sizeof bytes)
            _exit(1);
    }
}

static void bare_open(struct bare *bare, uint64_t busy_ns)
{
    *bare = (struct bare){.busy_ns = busy_ns};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        bench_fail("cannot listen");
    bare->child = fork();
    if (bare->child == 0)
        bare_serve(listener, busy_ns);
    int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bare->child < 0 || caller < 0 || connect(caller, (struct sockaddr *)&address, sizeof address) != 0)
        bench_fail("cannot connect");
    (void)close(listener);
    bare_ready(bare, caller);
}

static void bare_close(const struct bare *bare)
{
    child_kill(bare->child);
    (void)close(bare->socket);
    (void)close(bare->epoll);
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

static struct asker asker_open(uint16_t port, uint32_t connections_max, uint32_t in_flight_max, uint64_t busy_ns)
{
    struct duress_world_live_options live = {.busy_poll_ns = busy_ns};
    char endpoint[64];
    struct asker asker = {.in_flight_max = connections_max * in_flight_max};
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", port);
    if (duress_world_live_new(&live, &asker.world, NULL) != DURESS_OK)
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
    struct asker asker = asker_open(port, connections_max, in_flight_max, 0);
    (void)bench_rate(name, CALLS_PER_RUN, asker_run, &asker);
    asker_close(&asker);
}

static double rate(bench_fn fn, void *context)
{
    uint64_t begun_ns = bench_now_ns();
    fn(context, CALLS_PER_RUN);
    return CALLS_PER_RUN * 1e9 / (double)(bench_now_ns() - begun_ns);
}

/* --- one at a time, beside the bare exchange --- */

struct pair {
    const char *bare;
    const char *calls;
    uint64_t busy_ns;
    bool one_cpu;
};

/* Puts the three processes on the lowest CPU that this one may use, or back where they were. */
static void processes_place(const cpu_set_t *cpus, pid_t service, pid_t bare)
{
    if (sched_setaffinity(0, sizeof *cpus, cpus) != 0 || sched_setaffinity(service, sizeof *cpus, cpus) != 0 ||
        sched_setaffinity(bare, sizeof *cpus, cpus) != 0)
        bench_fail("cannot choose the CPU");
}

static cpu_set_t first_of(const cpu_set_t *cpus)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, cpus)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    return one;
}

static void measure_beside_bare(const struct pair *pair, const cpu_set_t *cpus)
{
    struct bare bare;
    struct service service = service_open(pair->busy_ns);
    bare_open(&bare, pair->busy_ns);
    struct asker asker = asker_open(service.port, 1, 1, pair->busy_ns);
    struct bench_samples bares = {.name = pair->bare, .unit = "1/s"};
    struct bench_samples calls = {.name = pair->calls, .unit = "1/s"};
    cpu_set_t first = first_of(cpus);
    if (pair->one_cpu)
        processes_place(&first, service.child, bare.child);
    (void)rate(asker_run, &asker);
    for (size_t run = 0; run < bench_runs(); run++) {
        bench_samples_add(&bares, rate(bare_run, &bare));
        bench_samples_add(&calls, rate(asker_run, &asker));
    }
    if (pair->one_cpu)
        processes_place(cpus, service.child, bare.child);
    bench_print(&bares);
    bench_print_against(&calls, bares.name, bench_samples_median(&bares));
    asker_close(&asker);
    bare_close(&bare);
    child_kill(service.child);
}

static const struct pair pairs[] = {
    {
        .bare = "bare exchanges of two epoll loops, one at a time",
        .calls = "live framed calls, one connection, one at a time",
    },
    {
        .bare = "bare exchanges of two epoll loops, one at a time, both on one CPU",
        .calls = "live framed calls, one connection, one at a time, both on one CPU",
        .one_cpu = true,
    },
    {
        .bare = "bare exchanges of two epoll loops, one at a time, polling busily",
        .calls = "live framed calls, one connection, one at a time, polling busily",
        .busy_ns = BUSY_NS,
    },
};

int main(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        bench_fail("cannot ask for the CPUs");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].busy_ns > 0 && CPU_COUNT(&cpus) < 2)
            (void)fputs("bench: polling busily is not measured, as that takes two CPUs\n", stderr);
        else
            measure_beside_bare(&pairs[i], &cpus);
    }
    struct service service = service_open(0);
    measure("live framed calls, 16 connections, one at a time on each", service.port, 16, 1);
    measure("live framed calls, one connection, 16 in flight", service.port, 1, 16);
    child_kill(service.child);
    return 0;
}
