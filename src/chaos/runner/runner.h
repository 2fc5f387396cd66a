/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner: what to run (options), what came of it (entries), how it is told (reports). Processes and clocks are the
 * pool's (live/pool.c). */
#ifndef DURESS_CHAOS_RUNNER_H
#define DURESS_CHAOS_RUNNER_H

#include <stdio.h>

#include "../internal.h"

enum {
    RUNNER_EXIT_PASSED = 0,
    RUNNER_EXIT_FAILED = 1,
    RUNNER_EXIT_USAGE = 2,
    RUNNER_EXIT_INTERRUPTED = 130,
};

struct runner_options {
    const char *program; /* how the user called us, for the replay command */
    unsigned worlds;
    const char *filter; /* a glob over "group.name"; NULL: all */
    bool one_seed;      /* --seed was given */
    uint64_t seed_first;
    uint64_t seed_count;
    uint32_t jobs;      /* simulated tests at once */
    uint32_t jobs_live; /* live tests at once: they wait more than they work */
    uint64_t limit_ns;  /* how long all runs of a simulated test may take together */
    uint64_t limit_live_ns;
    const char *proxy_url; /* of the daemon whose proxies are the links of live tests; NULL: none */
    const char *junit_path;
    const char *json_path;
    bool list;
    bool help;
    bool stop_at_first;
};

enum runner_result {
    RUNNER_PASSED = 0,
    RUNNER_FAILED,     /* an expectation */
    RUNNER_NOT_PROVEN, /* no evidence that the fault happened */
    RUNNER_SKIPPED,
    RUNNER_CRASHED, /* the process died of a signal or left early */
    RUNNER_HUNG,    /* the process did not end in time */
    RUNNER_NOT_RUN, /* interrupted before its turn */
};

struct runner_record {
    enum chaos_verdict verdict;
    uint64_t seed;
    uint64_t wall_ns;
    uint64_t virtual_ns;
    uint64_t trace_hash;
};

/* Written by the process that runs the test, read by the runner: lies in shared memory. */
struct runner_shared {
    _Atomic uint64_t runs_done;
    struct chaos_outcome outcome;   /* the last run's: of a failure, the failing one */
    struct runner_record records[]; /* seed_count of them */
};

/* One test in one world. */
struct runner_entry {
    const struct chaos_test *test;
    const struct chaos_driver *driver;
    uint64_t seed_first;
    uint64_t seed_count;
    struct runner_shared *shared;
    enum runner_result result;
    uint64_t wall_ns;
    int status;   /* of a crash: the wait status */
    char *output; /* what the process wrote, NUL-terminated, on failure; may be NULL */
};

struct runner {
    struct runner_options options;
    struct chaos_driver live; /* the live driver, as |options| have it */
    struct runner_entry *entries;
    size_t entry_count;
    uint64_t wall_ns;
    bool interrupted;
};

/* Reads the arguments. RUNNER_EXIT_PASSED, or RUNNER_EXIT_USAGE after a message on standard error. */
int chaos__runner_options_read(struct runner_options *options, int argc, char **argv);
void chaos__runner_help(FILE *out, const char *program);

/* Runs all entries in processes of their own. Fills results. DURESS_E_* where it could not begin. */
int chaos__pool_run(struct runner *runner);
uint64_t chaos__pool_cpu_count(void);

/* Told by the pool as entries end; |entry| NULL: only refresh. */
void chaos__progress(const struct runner *runner, const struct runner_entry *entry, size_t done_count);

bool chaos__runner_is_failure(enum runner_result result);
const char *chaos__runner_result_name(enum runner_result result);
/* Colour codes where |out| is a terminal, else "". */
const char *chaos__colour(FILE *out, const char *code);

void chaos__report_list(FILE *out, const struct runner *runner);
void chaos__report_text(FILE *out, const struct runner *runner);
int chaos__report_json(const char *path, const struct runner *runner);
int chaos__report_junit(const char *path, const struct runner *runner);

/* The command that runs this entry's failure again. */
void chaos__replay_command(const struct runner *runner, const struct runner_entry *entry, char *text, size_t capacity);

#endif
