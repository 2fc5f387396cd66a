/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict for machines: JSON with every run, and JUnit's XML. */
#include "runner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* How many bytes the character at |at| has; 0 where it is none of UTF-8's, or ends with the text. */
static size_t character_bytes(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    if (byte[0] < 0x80)
        return 1;
    size_t count = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
    if (byte[0] < 0xc2 || byte[0] > 0xf4)
        return 0;
    /* The second byte rules out what would be too long a form, a surrogate, or beyond the last character. */
    unsigned char low = byte[0] == 0xe0 ? 0xa0 : byte[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = byte[0] == 0xed ? 0x9f : byte[0] == 0xf4 ? 0x8f : 0xbf;
    if (byte[1] < low || byte[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if (byte[i] < 0x80 || byte[i] > 0xbf)
            return 0;
    return count;
}

/* A message quotes what came over the wire, cut to its length: bytes that are no character become '?'. */
static json_t *text_object(const char *text)
{
    size_t bytes = strlen(text);
    char *clean = malloc(bytes + 1);
    if (clean == NULL)
        return NULL;
    for (size_t at = 0; at < bytes;) {
        size_t count = character_bytes(text + at);
        clean[at] = '?';
        if (count > 0)
            memcpy(clean + at, text + at, count);
        at += count > 0 ? count : 1;
    }
    json_t *object = json_stringn(clean, bytes);
    free(clean);
    return object;
}

/* "" for a test that never began: it has no memory to have left a message in. */
static const char *entry_message(const struct runner_entry *entry)
{
    return entry->shared != NULL ? entry->shared->outcome.message : "";
}

static void entry_append(json_t *runs, const struct runner_entry *entry)
{
    uint64_t done = entry->shared != NULL ? atomic_load(&entry->shared->runs_done) : 0;
    for (uint64_t i = 0; i < done; i++) {
        const struct runner_record *record = &entry->shared->records[i];
        json_t *object = run_object(entry, record, record_result(record));
        if (record->verdict != CHAOS_PASSED && object != NULL)
            (void)json_object_set_new(object, "message", text_object(entry_message(entry)));
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
    for (const char *at = text; *at != '\0';) {
        size_t count = character_bytes(at);
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
            if (count == 0 || ((unsigned char)*at < 0x20 && *at != '\n' && *at != '\t'))
                (void)fputc('?', out);
            else
                (void)fwrite(at, 1, count, out);
        }
        at += count > 0 ? count : 1;
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
        xml_text(out, entry_message(entry));
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
