/* SPDX-License-Identifier: Apache-2.0
 *
 * A remote agent behind retry, circuit breaker and timeout, in a simulated world: a service "echo", a client, and a
 * network between them, which goes away for an hour. Nobody waits for that hour: it is virtual. For a program of your
 * own take duress_world_live_new() instead; nothing else changes. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/middleware/stack.h>
#include <duress/world/sim.h>

enum { PORT = 7000 };

static struct duress_failure why;

static void check(int error, const char *what)
{
    if (error == DURESS_OK)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, duress_strerror(error), why.detail);
    exit(1);
}

/* The service: says what it was told. */
static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void echo_serve(struct duress_sim_host *host, struct duress_agent **agent, struct duress_server **server)
{
    struct duress_world *world = duress_sim_host_world(host);
    check(duress_function_new(world, "echo", echo, NULL, agent), "function agent");
    struct duress_server_options options = {
        .world = world,
        .agent = *agent,
        .address = duress_sim_host_address(host, PORT),
    };
    check(duress_server_new(&options, server, &why), "server");
}

/* The layers outside in: retry, circuit breaker, timeout of one attempt, remote agent. */
static struct duress_agent *stack_make(struct duress_world *world)
{
    struct duress_agent *remote;
    struct duress_remote_options options = {
        .world = world,
        .endpoint = "tcp://echo:7000",
        .connect_timeout_ns = 500 * DURESS_MS,
    };
    check(duress_remote_new(&options, &remote, &why), "remote agent");

    struct duress_agent *stack;
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 100 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {.breaker.failures_to_open = 5, .breaker.recovery_ns = 60 * DURESS_S};
    struct duress_timeout_options timeout = {.limit_ns = 1 * DURESS_S};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    check(duress_stack_new(remote, &layers, &stack, &why), "stack");
    duress_agent_unref(remote); /* the stack holds it */
    return stack;
}

static void ask_and_tell(struct duress_agent *stack, const char *text)
{
    struct duress_world *world = duress_agent_world(stack);
    uint64_t started_ns = duress_world_now_ns(world);
    struct duress_message *request;
    struct duress_message *reply = NULL;
    struct duress_failure failure = {0};
    check(duress_message_text(text, &request), "message");
    struct duress_ask ask = {
        .request = request,
        .deadline_ns = duress_time_add(started_ns, 10 * DURESS_S),
        .idempotent = true,
    };
    int error = duress_agent_ask_blocking(stack, &ask, &reply, &failure);
    double took_ms = (double)(duress_world_now_ns(world) - started_ns) / (double)DURESS_MS;
    (void)printf("%-24s %9.3f ms  breaker %-9s  %s\n", text, took_ms,
                 duress_breaker_state_name(duress_breaker_state(duress_breaker_of(stack))),
                 error == DURESS_OK ? "answered" : duress_strerror(error));
    duress_message_unref(reply);
    duress_message_unref(request);
}

static void time_is_over(void *context)
{
    *(bool *)context = true;
}

static bool is_over(void *context)
{
    return *(bool *)context;
}

static void time_pass(struct duress_world *world, uint64_t duration_ns)
{
    bool over = false;
    struct duress_timer timer;
    duress_timer_init(&timer, time_is_over, &over);
    duress_world_arm(world, &timer, duress_time_add(duress_world_now_ns(world), duration_ns));
    check(duress_world_run_until(world, is_over, &over, DURESS_TIME_NEVER), "time");
}

int main(int argc, char **argv)
{
    struct duress_sim *sim;
    struct duress_sim_host *client;
    struct duress_sim_host *host;
    struct duress_agent *agent;
    struct duress_server *server;
    struct duress_sim_options options = {.seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1};
    check(duress_sim_new(&options, &sim, NULL), "simulation");
    check(duress_sim_host_new(sim, "client", &client), "client");
    check(duress_sim_host_new(sim, "echo", &host), "echo");
    echo_serve(host, &agent, &server);
    struct duress_agent *stack = stack_make(duress_sim_host_world(client));

    ask_and_tell(stack, "all is well");
    duress_sim_partition(sim, client, host);
    duress_sim_partition(sim, host, client);
    ask_and_tell(stack, "the network is gone");
    ask_and_tell(stack, "it is still gone");
    ask_and_tell(stack, "the breaker is open");
    duress_sim_heal(sim, client, host);
    duress_sim_heal(sim, host, client);
    time_pass(duress_agent_world(stack), 3600 * DURESS_S);
    ask_and_tell(stack, "an hour later: a probe");
    ask_and_tell(stack, "a second probe");
    (void)printf("seed %llu, trace %016llx\n", (unsigned long long)duress_sim_seed(sim),
                 (unsigned long long)duress_sim_trace_hash(sim));

    duress_agent_unref(stack);
    duress_server_free(server);
    duress_agent_unref(agent);
    duress_sim_free(sim);
    return 0;
}
