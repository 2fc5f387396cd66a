/* SPDX-License-Identifier: Apache-2.0
 *
 * How much faster than life the network suite runs when simulated: the virtual time of all its runs over the time that
 * they took, and how many schedules that is a second. The suite runs as a user runs it, with processes, report and all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "bench.h"

enum { SEEDS = 200 };

struct suite_figures {
    double virtual_s;
    double wall_s;
    double runs;
};

static double number_of(const json_t *object, const char *key)
{
    return (double)json_integer_value(json_object_get(object, key));
}

static struct suite_figures report_read(const char *path)
{
    json_error_t error;
    json_t *report = json_load_file(path, 0, &error);
    if (report == NULL)
        bench_fail("%s:%d: %s", path, error.line, error.text);
    struct suite_figures figures = {.wall_s = number_of(json_object_get(report, "summary"), "wall_ns") / 1e9};
    const json_t *runs = json_object_get(report, "runs");
    for (size_t i = 0; i < json_array_size(runs); i++)
        figures.virtual_s += number_of(json_array_get(runs, i), "virtual_ns") / 1e9;
    figures.runs = (double)json_array_size(runs);
    json_decref(report);
    if (figures.runs == 0 || figures.wall_s <= 0)
        bench_fail("the report holds no run");
    return figures;
}

static struct suite_figures suite_run(const char *path)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' suite --world sim --seeds %d --json '%s' >/dev/null 2>&1",
                   DURESS_PROGRAM, SEEDS, path);
    if (system(command) != 0)
        bench_fail("the simulated suite is not green: %s", command);
    return report_read(path);
}

int main(void)
{
    char path[] = "/tmp/duress-bench-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        bench_fail("no temporary file");
    (void)close(fd);
    struct bench_samples faster = {.name = "network suite, simulated over real time", .unit = "x"};
    struct bench_samples schedules = {.name = "network suite, simulated schedules", .unit = "1/s"};
    struct bench_samples wall = {.name = "network suite, 200 seeds a test", .unit = "s"};
    for (size_t run = 0; run < bench_runs(); run++) {
        struct suite_figures figures = suite_run(path);
        bench_samples_add(&faster, figures.virtual_s / figures.wall_s);
        bench_samples_add(&schedules, figures.runs / figures.wall_s);
        bench_samples_add(&wall, figures.wall_s);
    }
    (void)unlink(path);
    bench_print(&faster);
    bench_print(&schedules);
    bench_print(&wall);
    return 0;
}
