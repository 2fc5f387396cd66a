/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_serve_options.h"

#include <getopt.h>
#include <string.h>

#include <duress/agent_tool/serving.h>
#include <duress/policy/faults.h>

#include "arguments.h"

enum { CONCURRENCY_MAX = 10000, REQUESTS_MAX = 1000000, COMMAND_CONCURRENCY = 16 };
#define DURATION_NS_MAX (24 * 3600 * DURESS_S)
#define SEED_MAX INT64_MAX /* as the suite's */
#define OUTPUT_BYTES_MAX (UINT64_C(1) << 30)

enum option_id {
    OPTION_PLAIN = 1, /* an argument without an option */
    OPTION_LISTEN = 1000,
    OPTION_DELAY,
    OPTION_FAIL_RATE,
    OPTION_FAIL_AS,
    OPTION_SEED,
    OPTION_CONCURRENCY,
    OPTION_REQUESTS,
    OPTION_TIMEOUT,
    OPTION_DRAIN,
    OPTION_OUTPUT,
    OPTION_QUIET,
    OPTION_HELP,
};

void serve_help_print(FILE *out, const char *program)
{
    (void)fprintf(
        out,
        "Usage: %s [OPTION]... echo\n"
        "       %s [OPTION]... reverse\n"
        "       %s [OPTION]... command PROGRAM [ARGUMENT]...\n"
        "       %s [OPTION]... proxy URL\n"
        "Puts an agent behind a URL, and prints that URL when it is ready. The first ^C or SIGTERM stops it when all\n"
        "requests have been answered, the second one at once.\n"
        "\n"
        "  echo                   answers with what it was asked\n"
        "  reverse                the same backwards\n"
        "  command                starts PROGRAM for each request: its standard input is the request, its output the\n"
        "                         reply (of a stream, a line each); an end other than with code 0 is an error\n"
        "  proxy                  asks the agent at URL (http, https, tcp, unix)\n"
        "\n"
        "  --listen URL           http://HOST:PORT, tcp://HOST:PORT (port 0: any free one) or unix:///PATH;\n"
        "                         default http://127.0.0.1:8080\n"
        "  --delay TIME[..TIME]   answer so much later: 100ms, or 50ms..200ms for a drawn time between the two\n"
        "  --fail-rate SHARE      let so many requests fail: 0.25 or 25%%\n"
        "  --fail-as KIND         how: error (default), overloaded (503), hang, corrupt, truncate\n"
        "  --seed N               replays the drawn failures and delays of that seed; it is printed where none is "
        "given\n"
        "  --concurrency N        requests at work at once, others wait; default 16 programs of command, else no "
        "limit\n"
        "  --requests N           requests at once, those that wait included; others are shed (503); default 10000\n"
        "  --timeout TIME         of one request; then it fails, and its work is given up; default none\n"
        "  --output SIZE          of command: how much it may write, or how long a line of a stream may be;\n"
        "                         default 8MiB\n"
        "  --drain TIME           how long a stop waits for requests that have begun; default 10s\n"
        "  --quiet                say nothing on standard error but errors\n"
        "  --help                 this text\n"
        "\n"
        "TIME has a unit: ns, us, ms, s, m, h. Exit codes: 0 stopped with all requests answered, 1 not so, 2 usage.\n",
        program, program, program, program);
}

/* "100ms", or "50ms..200ms". */
static bool delay_read(struct serve_options *options, const char *text)
{
    char low[ARGUMENT_PART_BYTES_MAX];
    const char *high = argument_split(text, "..", low);
    if (!argument_duration(options->program, "--delay", low, 1, DURESS_FAULTS_DELAY_NS_MAX, &options->delay_ns_min))
        return false;
    options->delay_ns_max = options->delay_ns_min;
    if (high == NULL)
        return true;
    if (!argument_duration(options->program, "--delay", high, 1, DURESS_FAULTS_DELAY_NS_MAX, &options->delay_ns_max))
        return false;
    return options->delay_ns_min <= options->delay_ns_max ||
           argument_refuse(options->program, "--delay", text, "the shorter time first");
}

static bool fail_as_read(struct serve_options *options, const char *text)
{
    static const char *const names[] = {"error", "overloaded", "hang", "corrupt", "truncate"};
    options->fail_as_given = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            options->fail_as = (enum serve_failure)i;
            return true;
        }
    }
    return argument_refuse(options->program, "--fail-as", text, "error, overloaded, hang, corrupt or truncate");
}

static bool listen_read(struct serve_options *options, const char *text)
{
    struct duress_failure why;
    options->listen = text;
    if (duress__serving_url_is_valid(text, &why))
        return true;
    (void)fprintf(stderr, "%s: --listen: '%s' given, %s\n", options->program, text, why.detail);
    return false;
}

static bool option_take(struct serve_options *options, int id, const char *text)
{
    const char *program = options->program;
    switch (id) {
    case OPTION_LISTEN:
        return listen_read(options, text);
    case OPTION_DELAY:
        return delay_read(options, text);
    case OPTION_FAIL_RATE:
        return argument_share(program, "--fail-rate", text, &options->fail_ppm);
    case OPTION_FAIL_AS:
        return fail_as_read(options, text);
    case OPTION_SEED:
        options->seeded = true;
        return argument_number(program, "--seed", text, 0, SEED_MAX, &options->seed);
    case OPTION_CONCURRENCY:
        return argument_count(program, "--concurrency", text, 1, CONCURRENCY_MAX, &options->concurrency);
    case OPTION_REQUESTS:
        return argument_count(program, "--requests", text, 1, REQUESTS_MAX, &options->requests_max);
    case OPTION_TIMEOUT:
        return argument_duration(program, "--timeout", text, 1, DURATION_NS_MAX, &options->timeout_ns);
    case OPTION_DRAIN:
        return argument_duration(program, "--drain", text, 0, DURATION_NS_MAX, &options->drain_ns);
    case OPTION_OUTPUT:
        options->output_given = true;
        return argument_bytes(program, "--output", text, 1, OUTPUT_BYTES_MAX, &options->output_bytes_max);
    case OPTION_QUIET:
        options->quiet = true;
        return true;
    case OPTION_HELP:
    case 'h':
        options->help = true;
        return true;
    default:
        return false; /* getopt_long() has said why */
    }
}

static bool kind_read(struct serve_options *options, const char *text)
{
    static const char *const names[] = {
        [SERVE_ECHO] = "echo", [SERVE_REVERSE] = "reverse", [SERVE_COMMAND] = "command", [SERVE_PROXY] = "proxy"};
    for (size_t i = SERVE_ECHO; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            options->kind = (enum serve_kind)i;
            return true;
        }
    }
    (void)fprintf(stderr, "%s: '%s' given, echo, reverse, command or proxy allowed\n", options->program, text);
    return false;
}

/* One argument without an option, |rest| with all that follow it. */
static bool plain_take(struct serve_options *options, char **rest)
{
    if (options->kind == SERVE_NOTHING)
        return kind_read(options, rest[0]);
    if (options->kind == SERVE_COMMAND) {
        options->arguments = (const char *const *)rest;
        return true;
    }
    if (options->kind == SERVE_PROXY && options->target == NULL) {
        options->target = rest[0];
        return true;
    }
    (void)fprintf(stderr, "%s: '%s' given, no further argument is allowed\n", options->program, rest[0]);
    return false;
}

static bool complete(const struct serve_options *options)
{
    const char *missing = NULL;
    if (options->kind == SERVE_NOTHING)
        missing = "what to serve is missing: echo, reverse, command or proxy";
    else if (options->kind == SERVE_COMMAND && options->arguments == NULL)
        missing = "command: the program is missing";
    else if (options->kind == SERVE_PROXY && options->target == NULL)
        missing = "proxy: the URL is missing";
    else if (options->fail_as_given && options->fail_ppm == 0)
        missing = "--fail-as: only with --fail-rate";
    else if (options->output_given && options->kind != SERVE_COMMAND)
        missing = "--output: only with command";
    if (missing != NULL)
        (void)fprintf(stderr, "%s: %s\n", options->program, missing);
    return missing == NULL;
}

/* The arguments in their order: what follows a command's program is the program's. */
static bool arguments_read(struct serve_options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"listen", required_argument, NULL, OPTION_LISTEN},
        {"delay", required_argument, NULL, OPTION_DELAY},
        {"fail-rate", required_argument, NULL, OPTION_FAIL_RATE},
        {"fail-as", required_argument, NULL, OPTION_FAIL_AS},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"concurrency", required_argument, NULL, OPTION_CONCURRENCY},
        {"requests", required_argument, NULL, OPTION_REQUESTS},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"drain", required_argument, NULL, OPTION_DRAIN},
        {"quiet", no_argument, NULL, OPTION_QUIET},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    optind = 1;
    while (options->arguments == NULL) {
        int id = getopt_long(argc, argv, "-h", table, NULL);
        if (id == -1)
            break;
        bool taken = id == OPTION_PLAIN ? plain_take(options, argv + optind - 1) : option_take(options, id, optarg);
        if (!taken)
            return false;
        if (options->help)
            return true;
    }
    for (; options->arguments == NULL && optind < argc; optind++) /* behind "--" */
        if (!plain_take(options, argv + optind))
            return false;
    return complete(options);
}

bool serve_options_read(struct serve_options *options, int argc, char **argv)
{
    *options = (struct serve_options){
        .program = argv[0],
        .listen = "http://127.0.0.1:8080",
        .drain_ns = 10 * DURESS_S,
    };
    if (!arguments_read(options, argc, argv))
        return false;
    if (options->kind == SERVE_COMMAND && options->concurrency == 0)
        options->concurrency = COMMAND_CONCURRENCY;
    return true;
}
