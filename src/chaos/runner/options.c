/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner's arguments. */
#include "runner.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_MAX = 1000000, JOBS_MAX = 256, LIMIT_S_MAX = 86400 };
#define LIMIT_LIVE_NS (120 * DURESS_S)
#define LIMIT_SIM_NS (1200 * DURESS_S)
#define SEED_MAX INT64_MAX /* the largest that the JSON report can say */
#define SEEDS_DEFAULT 200

enum option_id {
    OPTION_WORLD = 1000,
    OPTION_FILTER,
    OPTION_SEEDS,
    OPTION_SEED,
    OPTION_JOBS,
    OPTION_LIMIT,
    OPTION_PROXY,
    OPTION_JUNIT,
    OPTION_JSON,
    OPTION_LIST,
    OPTION_STOP,
    OPTION_HELP,
};

void chaos__runner_help(FILE *out, const char *program)
{
    (void)fprintf(
        out,
        "Usage: %s [OPTION]...\n"
        "Runs chaos tests: live (real processes, sockets and proxies) and simulated (virtual time, many seeds).\n"
        "\n"
        "  --world live|sim|both  where to run; default both\n"
        "  --filter GLOB          only tests whose group.name (or name) matches\n"
        "  --seeds N              simulated runs of each test, with the seeds 0 to N-1; default 200\n"
        "  --seed N               simulated: only this seed (seed 0 is the plain schedule)\n"
        "  --jobs N               simulated tests at once; default: one a core. Live: 4 times as many\n"
        "  --limit SECONDS        a test that takes longer is killed, and hung; default: live 120, simulated 1200\n"
        "  --proxy URL            links of live tests are proxies of the daemon there, Toxiproxy's or duress proxy,\n"
        "                         on this machine; runs live tests only\n"
        "  --stop                 stop at the first failure\n"
        "  --junit FILE           write a JUnit report\n"
        "  --json FILE            write every run with its seed, times and trace hash\n"
        "  --list                 print the tests and what they show, and run none\n"
        "  --help                 this text\n"
        "\n"
        "Exit codes: 0 all passed, 1 a test failed or was not proven, 2 usage, 130 interrupted.\n",
        program);
}

static bool number_read(const char *program, const char *option, const char *text, uint64_t low, uint64_t high,
                        uint64_t *number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (is_number && value >= low && value <= high) {
        *number = value;
        return true;
    }
    (void)fprintf(stderr, "%s: --%s: '%s' given, a number from %llu to %llu allowed\n", program, option, text,
                  (unsigned long long)low, (unsigned long long)high);
    return false;
}

static bool worlds_read(const char *program, const char *text, unsigned *worlds)
{
    if (strcmp(text, "live") == 0)
        *worlds = CHAOS_WORLD_LIVE;
    else if (strcmp(text, "sim") == 0)
        *worlds = CHAOS_WORLD_SIM;
    else if (strcmp(text, "both") == 0)
        *worlds = CHAOS_WORLD_BOTH;
    else {
        (void)fprintf(stderr, "%s: --world: '%s' given, live, sim or both allowed\n", program, text);
        return false;
    }
    return true;
}

static bool option_take(struct runner_options *options, int id, const char *text)
{
    const char *program = options->program;
    uint64_t number = 0;
    switch (id) {
    case OPTION_WORLD:
        return worlds_read(program, text, &options->worlds);
    case OPTION_FILTER:
        options->filter = text;
        return true;
    case OPTION_SEEDS:
        return number_read(program, "seeds", text, 1, SEEDS_MAX, &options->seed_count);
    case OPTION_SEED:
        options->one_seed = true;
        return number_read(program, "seed", text, 0, SEED_MAX, &options->seed_first);
    case OPTION_JOBS:
        if (!number_read(program, "jobs", text, 1, JOBS_MAX, &number))
            return false;
        options->jobs = options->jobs_live = (uint32_t)number;
        return true;
    case OPTION_LIMIT:
        if (!number_read(program, "limit", text, 1, LIMIT_S_MAX, &number))
            return false;
        options->limit_ns = options->limit_live_ns = number * DURESS_S;
        return true;
    case OPTION_PROXY:
        options->proxy_url = text;
        return true;
    case OPTION_JUNIT:
        options->junit_path = text;
        return true;
    case OPTION_JSON:
        options->json_path = text;
        return true;
    case OPTION_LIST:
        options->list = true;
        return true;
    case OPTION_STOP:
        options->stop_at_first = true;
        return true;
    case OPTION_HELP:
        options->help = true;
        return true;
    default:
        return false;
    }
}

int chaos__runner_options_read(struct runner_options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"world", required_argument, NULL, OPTION_WORLD},
        {"filter", required_argument, NULL, OPTION_FILTER},
        {"seeds", required_argument, NULL, OPTION_SEEDS},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"jobs", required_argument, NULL, OPTION_JOBS},
        {"limit", required_argument, NULL, OPTION_LIMIT},
        {"proxy", required_argument, NULL, OPTION_PROXY},
        {"junit", required_argument, NULL, OPTION_JUNIT},
        {"json", required_argument, NULL, OPTION_JSON},
        {"list", no_argument, NULL, OPTION_LIST},
        {"stop", no_argument, NULL, OPTION_STOP},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    uint64_t cpus = chaos__pool_cpu_count();
    *options = (struct runner_options){
        .program = argv[0],
        .jobs = (uint32_t)(cpus < JOBS_MAX ? cpus : JOBS_MAX),
        .jobs_live = (uint32_t)(cpus * 4 < JOBS_MAX ? cpus * 4 : JOBS_MAX),
        .limit_ns = LIMIT_SIM_NS,
        .limit_live_ns = LIMIT_LIVE_NS,
    };
    optind = 1;
    for (;;) {
        int id = getopt_long(argc, argv, "h", table, NULL);
        if (id == -1)
            break;
        if (id == 'h')
            id = OPTION_HELP;
        if (id == '?' || !option_take(options, id, optarg)) {
            (void)fprintf(stderr, "Try '%s --help'.\n", argv[0]);
            return RUNNER_EXIT_USAGE;
        }
    }
    if (options->one_seed && options->seed_count > 0) {
        (void)fprintf(stderr, "%s: --seed and --seeds given, one of them allowed\nTry '%s --help'.\n", argv[0],
                      argv[0]);
        return RUNNER_EXIT_USAGE;
    }
    if (options->proxy_url != NULL && options->worlds != 0 && options->worlds != CHAOS_WORLD_LIVE) {
        (void)fprintf(stderr, "%s: --proxy given, --world live allowed with it\nTry '%s --help'.\n", argv[0], argv[0]);
        return RUNNER_EXIT_USAGE;
    }
    if (options->worlds == 0)
        options->worlds = options->proxy_url != NULL ? CHAOS_WORLD_LIVE : CHAOS_WORLD_BOTH;
    if (options->seed_count == 0)
        options->seed_count = options->one_seed ? 1 : SEEDS_DEFAULT;
    if (optind < argc) {
        (void)fprintf(stderr, "%s: '%s' given, no argument without an option is allowed\nTry '%s --help'.\n", argv[0],
                      argv[optind], argv[0]);
        return RUNNER_EXIT_USAGE;
    }
    return RUNNER_EXIT_PASSED;
}
