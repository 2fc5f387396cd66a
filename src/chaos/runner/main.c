/* SPDX-License-Identifier: Apache-2.0
 *
 * chaos_main(): from the arguments to the exit code. */
#include "runner.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "../live/api.h"
#include "../live/launch.h"

static bool test_matches(const struct chaos_test *test, const char *filter)
{
    char name[192];
    (void)snprintf(name, sizeof name, "%s.%s", test->group, test->name);
    return filter == NULL || fnmatch(filter, name, 0) == 0 || fnmatch(filter, test->name, 0) == 0;
}

static void entry_add(struct runner *runner, const struct chaos_test *test, const struct chaos_driver *driver)
{
    struct runner_entry *entry = &runner->entries[runner->entry_count++];
    entry->test = test;
    entry->driver = driver;
    entry->seed_first = driver->is_live ? 0 : runner->options.seed_first;
    entry->seed_count = driver->is_live ? 1 : runner->options.seed_count;
    entry->result = RUNNER_NOT_RUN;
}

/* Simulated tests first: they take seconds and say most. */
static int entries_choose(struct runner *runner)
{
    size_t count = 0;
    for (const struct chaos_test *test = chaos__tests(); test != NULL; test = test->next)
        count += 2;
    runner->entries = duress_allocate_zeroed(NULL, count > 0 ? count : 1, sizeof *runner->entries);
    if (runner->entries == NULL)
        return DURESS_E_NO_MEMORY;
    runner->live = chaos__driver_live;
    if (runner->options.proxy_url != NULL)
        chaos__live_through_api(&runner->live, runner->options.proxy_url);
    const struct chaos_driver *const drivers[] = {&chaos__driver_sim, &runner->live};
    for (size_t i = 0; i < 2; i++) {
        unsigned world = drivers[i]->is_live ? CHAOS_WORLD_LIVE : CHAOS_WORLD_SIM;
        for (const struct chaos_test *test = chaos__tests(); test != NULL; test = test->next)
            if ((runner->options.worlds & test->worlds & world) != 0 && test_matches(test, runner->options.filter))
                entry_add(runner, test, drivers[i]);
    }
    return DURESS_OK;
}

static bool any_failed(const struct runner *runner)
{
    for (size_t i = 0; i < runner->entry_count; i++)
        if (chaos__runner_is_failure(runner->entries[i].result))
            return true;
    return false;
}

/* Empties the report's file, so that a mistyped path is known before the tests have run, and that the report of an
 * earlier run cannot be taken for this one's. */
static bool report_begin(const struct runner *runner, const char *option, const char *path)
{
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "we");
    if (file != NULL && fclose(file) == 0)
        return true;
    (void)fprintf(stderr, "%s: %s: cannot write '%s'\n", runner->options.program, option, path);
    return false;
}

/* What was printed counts for nothing where it could not be written: on a full disk, say. */
static int output_end(const struct runner *runner)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return RUNNER_EXIT_PASSED;
    (void)fprintf(stderr, "%s: cannot write to standard output\n", runner->options.program);
    return RUNNER_EXIT_FAILED;
}

static int reports_write(const struct runner *runner)
{
    int code = output_end(runner);
    if (runner->options.json_path != NULL && chaos__report_json(runner->options.json_path, runner) != DURESS_OK) {
        (void)fprintf(stderr, "%s: --json: cannot write '%s'\n", runner->options.program, runner->options.json_path);
        code = RUNNER_EXIT_FAILED;
    }
    if (runner->options.junit_path != NULL && chaos__report_junit(runner->options.junit_path, runner) != DURESS_OK) {
        (void)fprintf(stderr, "%s: --junit: cannot write '%s'\n", runner->options.program, runner->options.junit_path);
        code = RUNNER_EXIT_FAILED;
    }
    return code;
}

static bool proxy_is_there(const struct runner *runner)
{
    struct duress_failure why = {0};
    if (runner->options.proxy_url == NULL)
        return true;
    int error = chaos__live_api_reach(runner->options.proxy_url, &why);
    if (error == DURESS_OK)
        return true;
    (void)fprintf(stderr, "%s: --proxy: no daemon answers at '%s': %s\n", runner->options.program,
                  runner->options.proxy_url, why.detail[0] != '\0' ? why.detail : duress_strerror(error));
    return false;
}

static int runner_go(struct runner *runner)
{
    if (runner->entry_count == 0) {
        (void)fprintf(stderr, "%s: no test matches '%s'; --list prints them\n", runner->options.program,
                      runner->options.filter != NULL ? runner->options.filter : "*");
        return RUNNER_EXIT_USAGE;
    }
    if (runner->options.list) {
        chaos__report_list(stdout, runner);
        return output_end(runner);
    }
    if (!report_begin(runner, "--json", runner->options.json_path) ||
        !report_begin(runner, "--junit", runner->options.junit_path))
        return RUNNER_EXIT_USAGE;
    if (!proxy_is_there(runner))
        return RUNNER_EXIT_FAILED;
    int error = chaos__pool_run(runner);
    if (runner->options.proxy_url != NULL)
        chaos__live_api_sweep(runner->options.proxy_url);
    if (error != DURESS_OK) {
        (void)fprintf(stderr, "%s: cannot start the tests: %s\n", runner->options.program, duress_strerror(error));
        return RUNNER_EXIT_FAILED;
    }
    chaos__report_text(stdout, runner);
    int code = reports_write(runner);
    if (runner->interrupted)
        return RUNNER_EXIT_INTERRUPTED;
    return any_failed(runner) ? RUNNER_EXIT_FAILED : code;
}

int chaos_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], CHAOS_LAUNCH_COMMAND) == 0)
        return chaos__launch_main(argc - 1, argv + 1);
    struct runner runner = {0};
    int code = chaos__runner_options_read(&runner.options, argc, argv);
    if (code != RUNNER_EXIT_PASSED)
        return code;
    if (runner.options.help) {
        chaos__runner_help(stdout, runner.options.program);
        return RUNNER_EXIT_PASSED;
    }
    if (entries_choose(&runner) != DURESS_OK) {
        (void)fprintf(stderr, "%s: out of memory\n", runner.options.program);
        return RUNNER_EXIT_FAILED;
    }
    code = runner_go(&runner);
    for (size_t i = 0; i < runner.entry_count; i++)
        free(runner.entries[i].output);
    duress_release(NULL, runner.entries);
    return code;
}
