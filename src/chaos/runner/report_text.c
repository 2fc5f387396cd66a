/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict for people: a table, then each failure with its expectation, what was seen, the timeline, the seed and
 * the command that replays it. */
#include "runner.h"

#include <inttypes.h>
#include <string.h>

static const char GREEN[] = "\033[32m";
static const char RED[] = "\033[31m";
static const char YELLOW[] = "\033[33m";
static const char PLAIN[] = "\033[0m";

bool chaos__runner_is_failure(enum runner_result result)
{
    return result == RUNNER_FAILED || result == RUNNER_NOT_PROVEN || result == RUNNER_CRASHED || result == RUNNER_HUNG;
}

const char *chaos__runner_result_name(enum runner_result result)
{
    static const char *const names[] = {"passed", "failed", "not proven", "skipped", "crashed", "hung", "not run"};
    return names[result];
}

static const char *result_colour(FILE *out, enum runner_result result)
{
    if (chaos__runner_is_failure(result))
        return chaos__colour(out, RED);
    return chaos__colour(out, result == RUNNER_PASSED ? GREEN : YELLOW);
}

/* "2.3 s", "41 min", "12.5 h": three digits say enough. */
static const char *span_format(uint64_t span_ns, char *text, size_t capacity)
{
    double seconds = (double)span_ns / 1e9;
    if (seconds < 120)
        (void)snprintf(text, capacity, "%.2f s", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, capacity, "%.1f min", seconds / 60);
    else
        (void)snprintf(text, capacity, "%.1f h", seconds / 3600);
    return text;
}

static uint64_t entry_runs(const struct runner_entry *entry)
{
    return entry->shared != NULL ? atomic_load(&entry->shared->runs_done) : 0;
}

static uint64_t entry_virtual_ns(const struct runner_entry *entry)
{
    uint64_t sum_ns = 0;
    for (uint64_t i = 0; i < entry_runs(entry); i++)
        sum_ns = duress_time_add(sum_ns, entry->shared->records[i].virtual_ns);
    return sum_ns;
}

static bool entry_is_judged(const struct runner_entry *entry)
{
    return entry->shared != NULL && entry->result != RUNNER_CRASHED && entry->result != RUNNER_HUNG;
}

/* A run that judged itself says its seed; one that crashed or hung is the one after the last that ended. */
static uint64_t entry_seed(const struct runner_entry *entry)
{
    return entry_is_judged(entry) ? entry->shared->outcome.seed : entry->seed_first + entry_runs(entry);
}

void chaos__replay_command(const struct runner *runner, const struct runner_entry *entry, char *text, size_t capacity)
{
    const char *program = runner->options.program;
    if (entry->driver->proxy_url != NULL)
        (void)snprintf(text, capacity, "%s --proxy %s --filter %s.%s", program, entry->driver->proxy_url,
                       entry->test->group, entry->test->name);
    else if (entry->driver->is_live)
        (void)snprintf(text, capacity, "%s --world live --filter %s.%s", program, entry->test->group,
                       entry->test->name);
    else
        (void)snprintf(text, capacity, "%s --world sim --filter %s.%s --seed %" PRIu64, program, entry->test->group,
                       entry->test->name, entry_seed(entry));
}

void chaos__report_list(FILE *out, const struct runner *runner)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        const struct runner_entry *entry = &runner->entries[i];
        (void)fprintf(out, "%s.%s\t%s\t%s\n", entry->test->group, entry->test->name, entry->driver->name,
                      entry->test->summary);
    }
}

static void entry_row(FILE *out, const struct runner_entry *entry, int width)
{
    char name[160];
    char wall[32];
    char virtual_time[32] = "";
    (void)snprintf(name, sizeof name, "%s.%s", entry->test->group, entry->test->name);
    if (!entry->driver->is_live)
        (void)span_format(entry_virtual_ns(entry), virtual_time, sizeof virtual_time);
    (void)fprintf(out, "%-*s  %-5s %6" PRIu64 "  %s%-10s%s %9s  %10s\n", width, name, entry->driver->name,
                  entry_runs(entry), result_colour(out, entry->result), chaos__runner_result_name(entry->result),
                  chaos__colour(out, PLAIN), span_format(entry->wall_ns, wall, sizeof wall), virtual_time);
}

static void timeline_print(FILE *out, const struct chaos_outcome *outcome)
{
    if (outcome->line_count == 0)
        return;
    (void)fprintf(out, "  timeline (ms since the start):\n");
    for (uint32_t i = 0; i < outcome->line_count; i++) {
        const struct chaos_timeline_line *line = &outcome->lines[i];
        uint64_t at_ns = line->at_ns > outcome->started_ns ? line->at_ns - outcome->started_ns : 0;
        (void)fprintf(out, "    %14.6f  %s\n", (double)at_ns / 1e6, line->text);
    }
    if (outcome->lines_dropped > 0)
        (void)fprintf(out, "    … and %" PRIu32 " lines more\n", outcome->lines_dropped);
}

static void failure_print(FILE *out, const struct runner *runner, const struct runner_entry *entry)
{
    char command[512];
    char wall[32];
    (void)fprintf(out, "\n%s%s%s: %s.%s (%s)\n  %s\n", result_colour(out, entry->result),
                  chaos__runner_result_name(entry->result), chaos__colour(out, PLAIN), entry->test->group,
                  entry->test->name, entry->driver->name, entry->test->summary);
    if (entry->shared != NULL && entry->shared->outcome.message[0] != '\0')
        (void)fprintf(out, "  %s\n", entry->shared->outcome.message);
    if (entry->result == RUNNER_CRASHED)
        (void)fprintf(out, "  the test's process ended with wait status 0x%x\n", (unsigned)entry->status);
    if (entry->result == RUNNER_HUNG)
        (void)fprintf(out, "  the test's process did not end in time and was killed after %s\n",
                      span_format(entry->wall_ns, wall, sizeof wall));
    if (entry->shared != NULL && (entry->result == RUNNER_FAILED || entry->result == RUNNER_NOT_PROVEN))
        timeline_print(out, &entry->shared->outcome);
    if (entry->output != NULL && entry->output[0] != '\0')
        (void)fprintf(out, "  output:\n%s\n", entry->output);
    chaos__replay_command(runner, entry, command, sizeof command);
    if (!entry->driver->is_live) {
        (void)fprintf(out, "  seed %" PRIu64, entry_seed(entry));
        if (entry_is_judged(entry))
            (void)fprintf(out, ", trace hash %016" PRIx64, entry->shared->outcome.trace_hash);
        (void)fprintf(out, "\n");
    }
    (void)fprintf(out, "  again: %s\n", command);
}

static void skipped_print(FILE *out, const struct runner *runner)
{
    for (size_t i = 0; i < runner->entry_count; i++) {
        const struct runner_entry *entry = &runner->entries[i];
        if (entry->result == RUNNER_SKIPPED)
            (void)fprintf(out, "skipped: %s.%s (%s): %s\n", entry->test->group, entry->test->name, entry->driver->name,
                          entry->shared->outcome.message);
    }
}

static int name_width(const struct runner *runner)
{
    size_t width = 4;
    for (size_t i = 0; i < runner->entry_count; i++) {
        size_t length = strlen(runner->entries[i].test->group) + 1 + strlen(runner->entries[i].test->name);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void summary_print(FILE *out, const struct runner *runner)
{
    size_t passed = 0;
    size_t failed = 0;
    size_t skipped = 0;
    uint64_t runs = 0;
    uint64_t virtual_ns = 0;
    for (size_t i = 0; i < runner->entry_count; i++) {
        const struct runner_entry *entry = &runner->entries[i];
        passed += entry->result == RUNNER_PASSED;
        failed += chaos__runner_is_failure(entry->result);
        skipped += entry->result == RUNNER_SKIPPED || entry->result == RUNNER_NOT_RUN;
        runs += entry_runs(entry);
        virtual_ns = duress_time_add(virtual_ns, entry_virtual_ns(entry));
    }
    char wall[32];
    char simulated[32];
    (void)fprintf(out, "\n%" PRIu64 " runs in %s", runs, span_format(runner->wall_ns, wall, sizeof wall));
    if (virtual_ns > 0)
        (void)fprintf(out, ", %s of it simulated time", span_format(virtual_ns, simulated, sizeof simulated));
    (void)fprintf(out, "%s\n%zu passed, %zu failed, %zu skipped\n", runner->interrupted ? "; interrupted" : "", passed,
                  failed, skipped);
}

void chaos__report_text(FILE *out, const struct runner *runner)
{
    int width = name_width(runner);
    (void)fprintf(out, "%-*s  %-5s %6s  %-10s %9s  %10s\n", width, "test", "world", "runs", "result", "time",
                  "simulated");
    for (size_t i = 0; i < runner->entry_count; i++)
        entry_row(out, &runner->entries[i], width);
    for (size_t i = 0; i < runner->entry_count; i++)
        if (chaos__runner_is_failure(runner->entries[i].result))
            failure_print(out, runner, &runner->entries[i]);
    skipped_print(out, runner);
    summary_print(out, runner);
    (void)fflush(out);
}
