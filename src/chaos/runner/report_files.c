/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict for machines: JSON with every run, and JUnit's XML. */
#include "runner.h"

#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

static const char *verdict_word(enum runner_result result)
{
    static const char *const words[] = {"passed", "failed", "not_proven", "skipped", "crashed", "hung", "not_run"};
    return words[result];
}

static enum runner_result record_result(const struct runner_record *record)
{
    static const enum runner_result results[] = {
        [CHAOS_PASSED] = RUNNER_PASSED,
        [CHAOS_FAILED] = RUNNER_FAILED,
        [CHAOS_NOT_PROVEN] = RUNNER_NOT_PROVEN,
        [CHAOS_SKIPPED] = RUNNER_SKIPPED,
    };
    return results[record->verdict];
}

static json_t *run_object(const struct runner_entry *entry, const struct runner_record *record,
                          enum runner_result result)
{
    char name[192];
    char hash[24];
    (void)snprintf(name, sizeof name, "%s.%s", entry->test->group, entry->test->name);
    (void)snprintf(hash, sizeof hash, "%016" PRIx64, record->trace_hash);
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:s, s:I}", "test", name, "world", entry->driver->name, "seed",
                  (json_int_t)record->seed, "result", verdict_word(result), "wall_ns", (json_int_t)record->wall_ns);
    if (object == NULL || entry->driver->is_live)
        return object;
    (void)json_object_set_new(object, "virtual_ns", json_integer((json_int_t)record->virtual_ns));
    (void)json_object_set_new(object, "trace_hash", json_string(hash));
    return object;
}

static void entry_append(json_t *runs, const struct runner_entry *entry)
{
    uint64_t done = atomic_load(&entry->shared->runs_done);
    for (uint64_t i = 0; i < done; i++) {
        const struct runner_record *record = &entry->shared->records[i];
        json_t *object = run_object(entry, record, record_result(record));
        if (record->verdict != CHAOS_PASSED && object != NULL)
            (void)json_object_set_new(object, "message", json_string(entry->shared->outcome.message));
        (void)json_array_append_new(runs, object);
    }
    bool ended_early =
        entry->result == RUNNER_CRASHED || entry->result == RUNNER_HUNG || entry->result == RUNNER_NOT_RUN;
    if (ended_early && done < entry->seed_count) {
        struct runner_record record = {.seed = entry->seed_first + done, .wall_ns = entry->wall_ns};
        (void)json_array_append_new(runs, run_object(entry, &record, entry->result));
    }
}

int chaos__report_json(const char *path, const struct runner *runner)
{
    json_t *runs = json_array();
    size_t passed = 0;
    size_t failed = 0;
    for (size_t i = 0; i < runner->entry_count; i++) {
        entry_append(runs, &runner->entries[i]);
        passed += runner->entries[i].result == RUNNER_PASSED;
        failed += chaos__runner_is_failure(runner->entries[i].result);
    }
    json_t *root = json_pack("{s:{s:I, s:I, s:I, s:I}, s:o}", "summary", "passed", (json_int_t)passed, "failed",
                             (json_int_t)failed, "skipped", (json_int_t)(runner->entry_count - passed - failed),
                             "wall_ns", (json_int_t)runner->wall_ns, "runs", runs);
    int error = root != NULL && json_dump_file(root, path, JSON_INDENT(1)) == 0 ? DURESS_OK : DURESS_E_SYSTEM;
    json_decref(root);
    return error;
}

static void xml_text(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        switch (*at) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc((unsigned char)*at < 0x20 && *at != '\n' && *at != '\t' ? '?' : *at, out);
        }
    }
}

static void junit_case(FILE *out, const struct runner *runner, const struct runner_entry *entry)
{
    (void)fprintf(out, "  <testcase classname=\"%s.%s\" name=\"%s\" time=\"%.3f\">", entry->driver->name,
                  entry->test->group, entry->test->name, (double)entry->wall_ns / 1e9);
    if (chaos__runner_is_failure(entry->result)) {
        char command[512];
        chaos__replay_command(runner, entry, command, sizeof command);
        (void)fprintf(out, "<failure type=\"%s\" message=\"", verdict_word(entry->result));
        xml_text(out, entry->shared->outcome.message);
        (void)fprintf(out, "\">again: ");
        xml_text(out, command);
        (void)fputc('\n', out);
        for (uint32_t i = 0; i < entry->shared->outcome.line_count; i++) {
            xml_text(out, entry->shared->outcome.lines[i].text);
            (void)fputc('\n', out);
        }
        (void)fprintf(out, "</failure>");
    }
    if (entry->result == RUNNER_SKIPPED || entry->result == RUNNER_NOT_RUN) {
        (void)fprintf(out, "<skipped message=\"");
        xml_text(out, entry->shared->outcome.message);
        (void)fprintf(out, "\"/>");
    }
    (void)fprintf(out, "</testcase>\n");
}

int chaos__report_junit(const char *path, const struct runner *runner)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return DURESS_E_SYSTEM;
    size_t failed = 0;
    size_t skipped = 0;
    for (size_t i = 0; i < runner->entry_count; i++) {
        failed += chaos__runner_is_failure(runner->entries[i].result);
        skipped += runner->entries[i].result == RUNNER_SKIPPED || runner->entries[i].result == RUNNER_NOT_RUN;
    }
    (void)fprintf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"duress\" tests=\"%zu\" failures=\"%zu\" "
        "skipped=\"%zu\" time=\"%.3f\">\n",
        runner->entry_count, failed, skipped, (double)runner->wall_ns / 1e9);
    for (size_t i = 0; i < runner->entry_count; i++)
        junit_case(out, runner, &runner->entries[i]);
    (void)fprintf(out, "</testsuite>\n");
    bool failed_to_write = ferror(out) != 0;
    return fclose(out) != 0 || failed_to_write ? DURESS_E_SYSTEM : DURESS_OK;
}
