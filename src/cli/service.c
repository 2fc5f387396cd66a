/* SPDX-License-Identifier: Apache-2.0
 *
 * duress service: runs a command, and does to it what is scheduled. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <duress/chaos/stress.h>
#include <duress/time.h>

#include "arguments.h"
#include "command.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_OF_SIGNAL = 128 };
#define TIME_NS_MAX (366 * 24 * 3600 * DURESS_S)

static void help_print(FILE *out, const char *program)
{
    (void)fprintf(
        out,
        "Usage: %s [OPTION]... [--] COMMAND [ARGUMENT]...\n\n"
        "Runs COMMAND in a process group of its own. Times count from the begin; the options for acts may be\n"
        "given several times.\n\n"
        "  --kill AT          SIGKILL\n"
        "  --segv AT          SIGSEGV\n"
        "  --term AT          SIGTERM\n"
        "  --freeze AT,FOR    SIGSTOP, and SIGCONT after FOR\n"
        "  --restart DELAY    start it again DELAY after each end\n"
        "  --for DURATION     end it then; without it, when it has ended, or at ^C\n"
        "  --quiet            do not tell what happens on standard error\n"
        "  --help             print this text\n",
        program);
}

struct service_options {
    const char *program;
    struct chaos_supervision what;
    struct chaos_act acts[CHAOS_ACTS_MAX];
    bool quiet;
};

static bool act_take(struct service_options *options, enum chaos_act_kind kind, const char *option, const char *text)
{
    char part[ARGUMENT_PART_BYTES_MAX];
    if (options->what.act_count == CHAOS_ACTS_MAX)
        return argument_refuse(options->program, option, text, "64 acts in all");
    struct chaos_act *act = &options->acts[options->what.act_count++];
    const char *rest = argument_split(text, ",", part);
    act->kind = kind;
    if (!argument_duration(options->program, option, part, 0, TIME_NS_MAX, &act->at_ns))
        return false;
    if (kind != CHAOS_ACT_FREEZE)
        return rest == NULL || argument_refuse(options->program, option, text, "one duration");
    if (rest == NULL)
        return argument_refuse(options->program, option, text, "two durations: when and for how long");
    return argument_duration(options->program, option, rest, 0, TIME_NS_MAX, &act->for_ns);
}

static bool option_take(struct service_options *options, int id, const char *text)
{
    switch (id) {
    case 'k':
        return act_take(options, CHAOS_ACT_SIGKILL, "--kill", text);
    case 's':
        return act_take(options, CHAOS_ACT_SIGSEGV, "--segv", text);
    case 't':
        return act_take(options, CHAOS_ACT_SIGTERM, "--term", text);
    case 'z':
        return act_take(options, CHAOS_ACT_FREEZE, "--freeze", text);
    case 'r':
        return argument_duration(options->program, "--restart", text, 0, TIME_NS_MAX, &options->what.restart_after_ns);
    case 'f':
        return argument_duration(options->program, "--for", text, DURESS_MS, TIME_NS_MAX, &options->what.for_ns);
    case 'q':
        options->quiet = true;
        return true;
    default:
        return false;
    }
}

static void event_print(void *context, uint64_t at_ns, const char *what)
{
    const struct service_options *options = context;
    if (!options->quiet)
        (void)fprintf(stderr, "%10.3f s  %s: %s\n", (double)at_ns / 1e9, options->what.command[0], what);
}

static int service_do(struct service_options *options)
{
    struct duress_failure why = {.code = DURESS_OK};
    int status = 0;
    int signal_number = 0;
    options->what.acts = options->acts;
    options->what.told = event_print;
    options->what.context = options;
    int error = chaos_supervise(&options->what, &status, &signal_number, &why);
    if (error != DURESS_OK) {
        (void)fprintf(stderr, "%s: %s\n", options->program, duress_strerror(error));
        return EXIT_FAILED;
    }
    if (signal_number != 0)
        return EXIT_OF_SIGNAL + signal_number;
    if (options->what.for_ns > 0)
        return EXIT_OK;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_OF_SIGNAL + WTERMSIG(status);
}

int command_service(int argc, char **argv)
{
    static const struct option table[] = {
        {"kill", required_argument, NULL, 'k'},
        {"segv", required_argument, NULL, 's'},
        {"term", required_argument, NULL, 't'},
        {"freeze", required_argument, NULL, 'z'},
        {"restart", required_argument, NULL, 'r'},
        {"for", required_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static char program[512];
    static struct service_options options;
    (void)snprintf(program, sizeof program, "%s service", argv[-1]);
    argv[0] = program;
    options = (struct service_options){.program = program, .what.restart_after_ns = DURESS_TIME_NEVER};
    optind = 1;
    for (;;) {
        int id = getopt_long(argc, argv, "+h", table, NULL);
        if (id == -1)
            break;
        if (id == 'h') {
            help_print(stdout, program);
            return EXIT_OK;
        }
        if (!option_take(&options, id, optarg)) {
            (void)fprintf(stderr, "Try '%s --help'.\n", program);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        (void)fprintf(stderr, "%s: no command given\nTry '%s --help'.\n", program, program);
        return EXIT_USAGE;
    }
    options.what.command = argv + optind;
    return service_do(&options);
}
