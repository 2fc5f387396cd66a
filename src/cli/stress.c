/* SPDX-License-Identifier: Apache-2.0
 *
 * duress stress cpu|memory|disk: makes a machine scarce of something, for a while. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <duress/chaos/stress.h>
#include <duress/time.h>

#include "arguments.h"
#include "command.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_OF_SIGNAL = 128 };
#define FOR_NS_MAX (366 * 24 * 3600 * DURESS_S)
#define BYTES_MAX (UINT64_C(1) << 46)
#define MIB (UINT64_C(1) << 20)

static void help_print(FILE *out, const char *program)
{
    (void)fprintf(out,
                  "Usage: %s cpu|memory|disk [OPTION]...\n\n"
                  "Until the time is over, or ^C.\n\n"
                  "  --for DURATION   how long; without it, until it is interrupted\n"
                  "  --workers N      processes (1)\n"
                  "  --duty SHARE     cpu: of the time that each is busy (100%%)\n"
                  "  --bytes SIZE     memory, disk: of all workers together (256MiB)\n"
                  "  --folder PATH    disk: where the files lie, which have no name (.)\n"
                  "  --help           print this text\n",
                  program);
}

static bool kind_read(const char *text, enum chaos_stress_kind *kind)
{
    static const char *const names[] = {"cpu", "memory", "disk"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *kind = (enum chaos_stress_kind)i;
            return true;
        }
    return false;
}

static bool option_take(struct chaos_stress *stress, const char *program, int id, const char *text)
{
    switch (id) {
    case 'f':
        return argument_duration(program, "--for", text, DURESS_MS, FOR_NS_MAX, &stress->for_ns);
    case 'w':
        return argument_count(program, "--workers", text, 1, CHAOS_STRESS_WORKERS_MAX, &stress->workers);
    case 'd':
        return argument_share(program, "--duty", text, &stress->duty_ppm);
    case 'b':
        return argument_bytes(program, "--bytes", text, 1, BYTES_MAX, &stress->bytes);
    case 'p':
        stress->folder = text;
        return true;
    default:
        return false;
    }
}

static int stress_do(const char *program, const struct chaos_stress *stress)
{
    struct chaos_stress_figures figures;
    struct duress_failure why = {.code = DURESS_OK};
    char slowest[32];
    int error = chaos_stress_run(stress, &figures, &why);
    if (error != DURESS_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", program, duress_strerror(error), why.detail);
        return EXIT_FAILED;
    }
    if (stress->kind == CHAOS_STRESS_CPU)
        (void)printf("%.3f s of processor time\n", (double)figures.cpu_ns / 1e9);
    else if (stress->kind == CHAOS_STRESS_MEMORY)
        (void)printf("%.1f MiB held\n", (double)figures.bytes_held / (double)MIB);
    else
        (void)printf("%.1f MiB written, %" PRIu64 " syncs, the slowest took %s\n",
                     (double)figures.bytes_written / (double)MIB, figures.syncs,
                     duration_format(figures.slowest_sync_ns, slowest, sizeof slowest));
    if (figures.failed > 0)
        (void)fprintf(stderr, "%s: %" PRIu32 " workers could not go on\n", program, figures.failed);
    if (figures.signal_number != 0)
        return EXIT_OF_SIGNAL + figures.signal_number;
    return figures.failed > 0 ? EXIT_FAILED : EXIT_OK;
}

int command_stress(int argc, char **argv)
{
    static const struct option table[] = {
        {"for", required_argument, NULL, 'f'},
        {"workers", required_argument, NULL, 'w'},
        {"duty", required_argument, NULL, 'd'},
        {"bytes", required_argument, NULL, 'b'},
        {"folder", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static char program[512];
    struct chaos_stress stress = {.bytes = 256 * MIB};
    (void)snprintf(program, sizeof program, "%s stress", argv[-1]);
    argv[0] = program;
    optind = 1;
    for (;;) {
        int id = getopt_long(argc, argv, "h", table, NULL);
        if (id == -1)
            break;
        if (id == 'h') {
            help_print(stdout, program);
            return EXIT_OK;
        }
        if (!option_take(&stress, program, id, optarg)) {
            (void)fprintf(stderr, "Try '%s --help'.\n", program);
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc || !kind_read(argv[optind], &stress.kind)) {
        (void)fprintf(stderr, "%s: '%s' given, cpu, memory or disk allowed\nTry '%s --help'.\n", program,
                      optind < argc ? argv[argc - 1] : "", program);
        return EXIT_USAGE;
    }
    return stress_do(program, &stress);
}
