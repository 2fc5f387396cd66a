/* SPDX-License-Identifier: Apache-2.0
 *
 * Expectations. The first that fails is what the report shows; the run ends there. */
#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *path_tail(const char *file)
{
    const char *tests = strstr(file, "tests/");
    return tests != NULL ? tests : file;
}

static void run_end(struct chaos *chaos, enum chaos_verdict verdict)
{
    chaos->outcome->verdict = verdict;
    if (chaos->in_body && chaos->loop_depth == 0)
        longjmp(chaos->end, 1);
}

void chaos__fail(struct chaos *chaos, const char *file, int line, const char *format, ...)
{
    if (chaos->outcome->verdict != CHAOS_PASSED)
        return;
    char text[CHAOS_MESSAGE_BYTES_MAX - 128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(chaos->outcome->message, sizeof chaos->outcome->message, "%s:%d: %s", path_tail(file), line, text);
    run_end(chaos, CHAOS_FAILED);
}

void chaos__broken(struct chaos *chaos, const char *what, const struct duress_failure *why)
{
    chaos__fail(chaos, chaos->test->file, chaos->test->line, "could not %s: %s%s%s", what, duress_strerror(why->code),
                why->detail[0] != '\0' ? ": " : "", why->detail);
}

void chaos_skip(struct chaos *chaos, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(chaos->outcome->message, sizeof chaos->outcome->message, format, arguments);
    va_end(arguments);
    run_end(chaos, CHAOS_SKIPPED);
    duress__assert_failed("chaos_skip() is not called from a callback", __FILE__, __LINE__, __func__);
}

void chaos__skip(struct chaos *chaos, const char *format, ...)
{
    if (chaos->outcome->verdict != CHAOS_PASSED)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(chaos->outcome->message, sizeof chaos->outcome->message, format, arguments);
    va_end(arguments);
    run_end(chaos, CHAOS_SKIPPED);
}

void chaos__skip_unknown(struct chaos_link *link, const char *what)
{
    if (link->chaos->driver->proxy_url != NULL)
        chaos__skip(link->chaos, "%s cannot be shown through an API", what);
}

/* Large numbers are instants or durations more often than not: shows them in a unit that people read. */
static const char *number_format(uint64_t value, char *text, size_t capacity)
{
    if (value == DURESS_TIME_NEVER)
        (void)snprintf(text, capacity, "never");
    else if (value >= DURESS_MS)
        (void)snprintf(text, capacity, "%" PRIu64 " (%" PRIu64 ".%06" PRIu64 " ms)", value, value / DURESS_MS,
                       value % DURESS_MS);
    else
        (void)snprintf(text, capacity, "%" PRIu64, value);
    return text;
}

void chaos__expect_number(struct chaos *chaos, const char *file, int line, const char *seen_text, uint64_t seen,
                          char relation, const char *limit_text, uint64_t limit)
{
    bool holds = relation == '=' ? seen == limit : relation == '<' ? seen <= limit : seen >= limit;
    if (holds)
        return;
    char seen_number[64];
    char limit_number[64];
    chaos__fail(chaos, file, line, "expected: %s %s %s, that is %s; seen: %s", seen_text,
                relation == '='   ? "=="
                : relation == '<' ? "<="
                                  : ">=",
                limit_text, number_format(limit, limit_number, sizeof limit_number),
                number_format(seen, seen_number, sizeof seen_number));
}

void chaos__expect_code(struct chaos *chaos, const char *file, int line, const char *seen_text, int seen, int code)
{
    if (seen != code)
        chaos__fail(chaos, file, line, "expected: %s is %s; seen: %s", seen_text, duress_error_name(code),
                    duress_error_name(seen));
}

static const char *answer_format(const struct chaos_answer *answer, char *text, size_t capacity)
{
    if (answer->error == DURESS_OK)
        (void)snprintf(text, capacity, "the reply \"%.60s\" of %zu bytes", answer->text, answer->content_bytes);
    else
        (void)snprintf(text, capacity, "%s from %s%s after %" PRIu32 " attempts (%s)", duress_error_name(answer->error),
                       duress_origin_name(answer->failure.origin), answer->failure.ambiguous ? ", ambiguous," : "",
                       answer->failure.attempts, answer->failure.detail);
    return text;
}

void chaos__expect_error(struct chaos *chaos, const char *file, int line, const char *answer_text,
                         const struct chaos_answer *answer, int code)
{
    if (answer->error == code)
        return;
    char seen[320];
    chaos__fail(chaos, file, line, "expected: %s is %s; seen: %s", answer_text, duress_error_name(code),
                answer_format(answer, seen, sizeof seen));
}

void chaos__expect_reply(struct chaos *chaos, const char *file, int line, const char *answer_text,
                         const struct chaos_answer *answer, const char *expected)
{
    if (answer->error == DURESS_OK && strcmp(answer->text, expected) == 0)
        return;
    char seen[320];
    chaos__fail(chaos, file, line, "expected: %s is the reply \"%.60s\"; seen: %s", answer_text, expected,
                answer_format(answer, seen, sizeof seen));
}

void chaos__expect_on_time(struct chaos *chaos, const char *file, int line, const char *seen_text, uint64_t seen_ns,
                           uint64_t started_ns, uint64_t wait_ns)
{
    uint64_t due_ns = duress_time_add(started_ns, wait_ns);
    uint64_t limit_ns = duress_time_add(due_ns, chaos_slack_ns(chaos));
    if (seen_ns >= due_ns && seen_ns <= limit_ns)
        return;
    bool early = seen_ns < due_ns;
    chaos__fail(chaos, file, line, "expected: %s %.3f ms after the start, slack %.3f ms; seen: %.6f ms %s", seen_text,
                (double)wait_ns / 1e6, (double)(limit_ns - due_ns) / 1e6,
                (double)(early ? due_ns - seen_ns : seen_ns - due_ns) / 1e6, early ? "early" : "late");
}

static bool link_is_idle(void *context)
{
    struct chaos_link *link = context;
    return chaos_link_open_connections(link) == 0;
}

void chaos__expect_nothing_open(struct chaos *chaos, const char *file, int line, const char *link_text,
                                struct chaos_link *link)
{
    if (!chaos_until(chaos, link_is_idle, link, chaos_slack_ns(chaos)))
        chaos__fail(chaos, file, line, "expected: nothing is open on %s; seen: %" PRIu64 " connections", link_text,
                    chaos_link_open_connections(link));
}
