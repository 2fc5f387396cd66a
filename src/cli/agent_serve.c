/* SPDX-License-Identifier: Apache-2.0
 *
 * duress agent serve. */
#include "agent.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <duress/agent_tool/agents.h>
#include <duress/agent_tool/serving.h>
#include <duress/agent_tool/signals.h>
#include <duress/middleware/bulkhead.h>
#include <duress/middleware/faults.h>
#include <duress/world/live.h>

#include "agent_serve_options.h"

#define PROGRAMS_END_NS (5 * DURESS_S)              /* what was killed is gone long before */
#define OVERLOADED_RETRY_AFTER_NS (100 * DURESS_MS) /* what a request that "failed as overloaded" is told */

struct server {
    struct serve_options options;
    struct duress_world *world;
    struct duress_agent *agent; /* with all that stands around it */
    struct duress__serving *serving;
    struct duress__signals *signals;
    bool drained;
    bool complete;
};

static int server_refuse(const struct server *server, const char *what, const char *text, int error,
                         const struct duress_failure *why)
{
    bool has_detail = why->code != DURESS_OK && why->detail[0] != '\0';
    (void)fprintf(stderr, "%s: %s%s%s: %s\n", server->options.program, what, text[0] != '\0' ? " " : "", text,
                  has_detail ? why->detail : duress_strerror(error));
    return error == DURESS_E_INVALID ? AGENT_EXIT_USAGE : AGENT_EXIT_FAILED;
}

static int agent_make(struct server *server, struct duress_failure *why)
{
    const struct serve_options *options = &server->options;
    struct duress__command_options command = {
        .world = server->world,
        .arguments = options->arguments,
        .output_bytes_max = (size_t)options->output_bytes_max,
    };
    struct duress__url_agent_options remote = {.world = server->world, .url = options->target};
    switch (options->kind) {
    case SERVE_ECHO:
        return duress__echo_agent_new(server->world, &server->agent);
    case SERVE_REVERSE:
        return duress__reverse_agent_new(server->world, &server->agent);
    case SERVE_COMMAND:
        return duress__command_agent_new(&command, &server->agent);
    case SERVE_PROXY:
        return duress__url_agent_new(&remote, &server->agent, why);
    case SERVE_NOTHING:
        break;
    }
    return DURESS_E_INVALID;
}

/* Puts |outer| in the agent's place. */
static void agent_wrap(struct server *server, struct duress_agent *outer)
{
    duress_agent_unref(server->agent);
    server->agent = outer;
}

/* What the failures are, and what their layer is told. */
static void failures_choose(const struct serve_options *options, struct duress_faults_options *faults)
{
    static const enum duress_fault kinds[] = {
        [SERVE_FAIL_ERROR] = DURESS_FAULT_ERROR,       [SERVE_FAIL_OVERLOADED] = DURESS_FAULT_ERROR,
        [SERVE_FAIL_HANG] = DURESS_FAULT_HANG,         [SERVE_FAIL_CORRUPT] = DURESS_FAULT_CORRUPT,
        [SERVE_FAIL_TRUNCATE] = DURESS_FAULT_TRUNCATE,
    };
    faults->ppm[kinds[options->fail_as]] = options->fail_ppm;
    if (options->fail_as == SERVE_FAIL_ERROR)
        faults->code = DURESS_E_REMOTE;
    if (options->fail_as != SERVE_FAIL_OVERLOADED)
        return;
    faults->code = DURESS_E_OVERLOADED;
    faults->retry_after_ns = OVERLOADED_RETRY_AFTER_NS;
}

/* A layer's seed 0 would be drawn. The two layers draw from streams of their own. */
static int faults_add(struct server *server, struct duress_failure *why)
{
    const struct serve_options *options = &server->options;
    struct duress_agent *outer = NULL;
    if (options->fail_ppm > 0) {
        struct duress_faults_layer_options layer = {.seed = options->seed + 1};
        failures_choose(options, &layer.faults);
        int error = duress_with_faults(server->agent, &layer, &outer, why);
        if (error != DURESS_OK)
            return error;
        agent_wrap(server, outer);
    }
    if (options->delay_ns_max > 0) {
        struct duress_faults_layer_options layer = {.seed = (options->seed + 1) ^ (UINT64_C(1) << 63)};
        layer.faults.ppm[DURESS_FAULT_DELAY] = DURESS_PPM;
        layer.faults.delay_ns_min = options->delay_ns_min;
        layer.faults.delay_ns_max = options->delay_ns_max;
        int error = duress_with_faults(server->agent, &layer, &outer, why);
        if (error != DURESS_OK)
            return error;
        agent_wrap(server, outer);
    }
    return DURESS_OK;
}

static int bulkhead_add(struct server *server, struct duress_failure *why)
{
    if (server->options.concurrency == 0)
        return DURESS_OK;
    struct duress_agent *outer = NULL;
    struct duress_bulkhead_layer_options layer = {.bulkhead = {.limit = server->options.concurrency},
                                                  .waiting_max = DURESS_BULKHEAD_WAITING_MAX_MAX};
    int error = duress_with_bulkhead(server->agent, &layer, &outer, why);
    if (error == DURESS_OK)
        agent_wrap(server, outer);
    return error;
}

/* What is drawn can be replayed: a seed that nobody gave is said. */
static void seed_choose(struct server *server)
{
    struct serve_options *options = &server->options;
    bool drawn_failures = options->fail_ppm > 0 && options->fail_ppm < DURESS_PPM;
    bool drawn_changes = options->fail_as == SERVE_FAIL_CORRUPT || options->fail_as == SERVE_FAIL_TRUNCATE;
    bool draws = drawn_failures || drawn_changes || options->delay_ns_min != options->delay_ns_max;
    if (options->seeded || !draws)
        return;
    struct duress_prng prng;
    duress_world_prng(server->world, 0, &prng);
    options->seed = duress_prng_next(&prng) >> 33; /* short enough to be typed */
    if (!options->quiet)
        (void)fprintf(stderr, "%s: --seed %" PRIu64 "\n", options->program, options->seed);
}

static int serving_open(struct server *server)
{
    const struct serve_options *options = &server->options;
    struct duress_failure why = {.code = DURESS_OK};
    int error = agent_make(server, &why);
    if (error != DURESS_OK)
        return server_refuse(server, options->kind == SERVE_PROXY ? "proxy" : "the agent",
                             options->target != NULL ? options->target : "", error, &why);
    seed_choose(server);
    error = faults_add(server, &why);
    if (error == DURESS_OK)
        error = bulkhead_add(server, &why);
    if (error != DURESS_OK)
        return server_refuse(server, "the agent", "", error, &why);
    struct duress__serving_options serving = {
        .world = server->world,
        .agent = server->agent,
        .url = options->listen,
        .requests_max = options->requests_max,
        .request_timeout_ns = options->timeout_ns,
    };
    error = duress__serving_new(&serving, &server->serving, &why);
    return error == DURESS_OK ? AGENT_EXIT_OK : server_refuse(server, "cannot listen at", options->listen, error, &why);
}

static void serving_drained(void *context, bool complete)
{
    struct server *server = context;
    server->drained = true;
    server->complete = complete;
}

static void signal_came(void *context, int number)
{
    struct server *server = context;
    if (!server->options.quiet)
        (void)fprintf(stderr, "%s: %s: stopping\n", server->options.program, number == SIGINT ? "^C" : "SIGTERM");
    uint64_t deadline_ns = duress_time_add(duress_world_now_ns(server->world), server->options.drain_ns);
    duress__serving_stop(server->serving, deadline_ns, serving_drained, server);
}

static bool server_is_drained(void *context)
{
    return ((const struct server *)context)->drained;
}

static bool programs_are_gone(void *context)
{
    (void)context;
    return duress__command_agents_running() == 0;
}

static void counts_print(const struct server *server)
{
    struct duress__serving_counts counts = duress__serving_counts(server->serving);
    (void)fprintf(stderr,
                  "%s: %" PRIu64 " requests, %" PRIu64 " answered, %" PRIu64 " given up by their callers, %" PRIu64
                  " shed, %" PRIu64 " malformed\n",
                  server->options.program, counts.arrivals, counts.replied, counts.cancelled, counts.shed,
                  counts.malformed);
}

static int server_run(struct server *server)
{
    int code = serving_open(server);
    if (code != AGENT_EXIT_OK)
        return code;
    int error = duress__signals_new(server->world, signal_came, server, &server->signals);
    if (error != DURESS_OK)
        return server_refuse(server, "signals", "", error, &(struct duress_failure){.code = DURESS_OK});
    (void)printf("%s\n", duress__serving_url(server->serving));
    (void)fflush(stdout);
    (void)duress_world_run_until(server->world, server_is_drained, server, DURESS_TIME_NEVER);
    if (!server->options.quiet)
        counts_print(server);
    return server->complete ? AGENT_EXIT_OK : AGENT_EXIT_FAILED;
}

int agent_serve(int argc, char **argv)
{
    struct server server = {.drained = false};
    if (!serve_options_read(&server.options, argc, argv))
        return agent_usage(argv[0]);
    if (server.options.help) {
        serve_help_print(stdout, argv[0]);
        return AGENT_EXIT_OK;
    }
    struct duress_failure why = {.code = DURESS_OK};
    int error = duress_world_live_new(NULL, &server.world, &why);
    if (error != DURESS_OK)
        return server_refuse(&server, "the world", "", error, &why);
    int code = server_run(&server);
    duress__serving_free(server.serving);
    duress_agent_unref(server.agent);
    (void)duress_world_run_until(server.world, programs_are_gone, NULL,
                                 duress_world_now_ns(server.world) + PROGRAMS_END_NS);
    duress__signals_free(server.signals);
    duress_world_free(server.world);
    return code;
}
