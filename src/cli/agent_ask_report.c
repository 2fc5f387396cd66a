/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_ask_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <duress/middleware/stack.h>

#include "arguments.h"

enum { FAILURES_TOLD_MAX = 10 };

/* --- answers --- */

static void json_text(struct duress_slice text)
{
    (void)putchar('"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = text.data[i];
        if (byte == '"' || byte == '\\')
            (void)printf("\\%c", byte);
        else if (byte == '\n')
            (void)fputs("\\n", stdout);
        else if (byte < 0x20)
            (void)printf("\\u%04x", (unsigned)byte);
        else
            (void)putchar(byte);
    }
    (void)putchar('"');
}

/* A JSON object as its sender wrote it. In one line: a control character can only stand between its parts. */
static void json_object(struct duress_slice text)
{
    for (size_t i = 0; i < text.length; i++)
        (void)putchar(text.data[i] < 0x20 ? ' ' : text.data[i]);
}

static void json_message(uint64_t number, const char *what, struct duress_message *message)
{
    (void)printf("{\"call\":%" PRIu64 ",\"%s\":", number, what);
    json_text(duress_message_content(message));
    (void)fputs(",\"role\":", stdout);
    json_text(duress_message_role(message));
    (void)fputs(",\"metadata\":", stdout);
    json_object(duress_message_metadata(message));
}

static void json_failure(uint64_t number, const struct duress_failure *failure)
{
    (void)printf("{\"call\":%" PRIu64 ",\"error\":\"%s\",\"origin\":\"%s\",\"ambiguous\":%s,\"attempts\":%" PRIu32
                 ",\"detail\":",
                 number, duress_error_name(failure->code), duress_origin_name(failure->origin),
                 failure->ambiguous ? "true" : "false", failure->attempts);
    json_text(duress_slice_text(failure->detail));
}

static void content_print(struct ask_report *report, struct duress_message *message)
{
    struct duress_slice content = duress_message_content(message);
    if (content.length == 0)
        return;
    (void)fwrite(content.data, 1, content.length, stdout);
    report->line_open = content.data[content.length - 1] != '\n';
}

void ask_report_chunk(struct ask_report *report, uint64_t number, struct duress_message *chunk)
{
    if (report->json) {
        json_message(number, "chunk", chunk);
        (void)fputs("}\n", stdout);
    } else {
        content_print(report, chunk);
    }
    (void)fflush(stdout);
}

static void failure_print(struct ask_report *report, uint64_t number, const struct duress_failure *failure)
{
    if (report->quiet || report->failures_told == FAILURES_TOLD_MAX)
        return;
    report->failures_told++;
    (void)fprintf(stderr, "%s: call %" PRIu64 ": %s (%s)", report->program, number, duress_error_name(failure->code),
                  duress_origin_name(failure->origin));
    (void)fprintf(stderr, ": %s", failure->detail[0] != '\0' ? failure->detail : duress_strerror(failure->code));
    if (failure->attempts > 1)
        (void)fprintf(stderr, "; %" PRIu32 " attempts", failure->attempts);
    (void)fputs(failure->ambiguous ? "; may have been executed\n" : "\n", stderr);
    if (report->failures_told == FAILURES_TOLD_MAX)
        (void)fprintf(stderr, "%s: further failures are in the table alone\n", report->program);
}

static void end_print_json(const struct ask_report *report, uint64_t number, const struct duress_result *result)
{
    if (result->error != DURESS_OK)
        json_failure(number, result->failure);
    else if (report->streams)
        (void)printf("{\"call\":%" PRIu64 ",\"end\":true", number);
    else
        json_message(number, "answer", result->reply);
    (void)printf(",\"duration_ns\":%" PRIu64 "}\n", result->ended_ns - result->started_ns);
}

static void end_print(struct ask_report *report, const struct duress_result *result)
{
    if (result->error == DURESS_OK && !report->streams) {
        report->line_open = true; /* of the empty answer too */
        content_print(report, result->reply);
    }
    if (report->line_open)
        (void)putchar('\n');
    report->line_open = false;
}

void ask_report_end(struct ask_report *report, uint64_t number, const struct duress_result *result)
{
    bool failed = result->error != DURESS_OK;
    report->failures += failed;
    if (report->json)
        end_print_json(report, number, result);
    else
        end_print(report, result);
    (void)fflush(stdout); /* so that who reads has an answer when it is there */
    if (failed && !report->json)
        failure_print(report, number, result->failure);
}

/* --- the table --- */

static void row_print(const char *name, uint64_t count, uint64_t all, const struct duress_histogram_summary *times)
{
    double percent = all > 0 ? 100.0 * (double)count / (double)all : 0;
    (void)fprintf(stderr, "%-22s %9" PRIu64 " %7.2f %%", name, count, percent);
    if (times == NULL || times->count == 0) {
        (void)fputc('\n', stderr);
        return;
    }
    const uint64_t columns_ns[] = {times->p50, times->p90, times->p99, times->p999, times->max};
    for (size_t i = 0; i < sizeof columns_ns / sizeof columns_ns[0]; i++) {
        char text[32];
        (void)fprintf(stderr, "  %8s", duration_format(columns_ns[i], text, sizeof text));
    }
    (void)fputc('\n', stderr);
}

static void outcomes_print(const struct duress_metrics *metrics, uint64_t took_ns)
{
    uint64_t all = metrics->calls.begun;
    uint64_t answered = metrics->ended[0];
    uint64_t cancelled = metrics->ended[-DURESS_E_CANCELLED];
    char took[32];
    (void)fprintf(stderr, "%-22s %9s %9s  %8s  %8s  %8s  %8s  %8s\n", "outcome", "calls", "share", "p50", "p90", "p99",
                  "p99.9", "max");
    row_print("answered", answered, all, &metrics->succeeded);
    row_print("failed", all - answered - cancelled, all, &metrics->failed);
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        char name[48];
        (void)snprintf(name, sizeof name, "  %s", duress_error_name(-number));
        if (metrics->ended[number] > 0 && number != -DURESS_E_CANCELLED)
            row_print(name, metrics->ended[number], all, NULL);
    }
    if (cancelled > 0)
        row_print("cancelled", cancelled, all, NULL);
    double seconds = (double)took_ns / 1e9;
    (void)fprintf(stderr, "%" PRIu64 " call%s in %s, %.4g answers a second\n", all, all == 1 ? "" : "s",
                  duration_format(took_ns, took, sizeof took), seconds > 0 ? (double)answered / seconds : 0);
}

static void breaker_print(struct duress_breaker *breaker)
{
    struct duress_breaker_snapshot now;
    duress_breaker_snapshot(breaker, &now);
    const uint64_t *by = now.counters.transitions;
    uint64_t opened =
        by[DURESS_BREAKER_BY_FAILURES] + by[DURESS_BREAKER_BY_PROBE_FAILED] + by[DURESS_BREAKER_BY_PROBE_LAPSED];
    (void)fprintf(stderr,
                  "breaker: %s; opened %" PRIu64 ", half-opened %" PRIu64 ", closed again %" PRIu64 " times; %" PRIu64
                  " attempts refused\n",
                  duress_breaker_state_name(now.state), opened, by[DURESS_BREAKER_BY_RECOVERY],
                  by[DURESS_BREAKER_BY_PROBES_GOOD], now.counters.refused_open + now.counters.refused_probing);
}

static void waits_print(const char *layer, uint64_t waited, uint64_t waited_ns, uint64_t longest_ns, uint64_t refused)
{
    char mean[32];
    char longest[32];
    (void)fprintf(stderr, "%s: %" PRIu64 " calls waited, %s on average, %s at the most; %" PRIu64 " refused\n", layer,
                  waited, duration_format(waited > 0 ? waited_ns / waited : 0, mean, sizeof mean),
                  duration_format(longest_ns, longest, sizeof longest), refused);
}

/* A layer that is not there has counted nothing. */
static void layers_print(const struct duress_agent *stack)
{
    struct duress_cache_layer_counts cache = duress_cache_counts(stack);
    if (cache.calls.begun > 0)
        (void)fprintf(stderr,
                      "cache: %" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " joined another's call, %" PRIu64
                      " stale\n",
                      cache.hits, cache.misses, cache.joined, cache.stale);
    struct duress_bulkhead_counts bulkhead = duress_bulkhead_counts(stack);
    if (bulkhead.calls.begun > 0)
        waits_print("bulkhead", bulkhead.waited, bulkhead.waited_ns, bulkhead.waited_ns_max, bulkhead.calls.refused);
    struct duress_rate_limiter_counts limiter = duress_rate_limiter_counts(stack);
    if (limiter.calls.begun > 0)
        waits_print("rate limiter", limiter.waited, limiter.waited_ns, limiter.waited_ns_max, limiter.calls.refused);
    struct duress_retry_counts retry = duress_retry_counts(stack);
    if (retry.calls.begun > 0)
        (void)fprintf(stderr,
                      "retry: %" PRIu64 " attempts, %" PRIu64 " of them retries; %" PRIu64
                      " calls answered on a retry; %" PRIu64 " retries refused by the budget\n",
                      retry.attempts, retry.attempts - retry.calls.begun, retry.succeeded_on_retry,
                      retry.budget_refusals);
    struct duress_hedge_counts hedge = duress_hedge_counts(stack);
    if (hedge.calls.begun > 0) {
        char delay[32];
        (void)fprintf(stderr,
                      "hedge: %" PRIu64 " second attempts, %" PRIu64 " of them won; %" PRIu64
                      " refused by the budget; the delay is now %s\n",
                      hedge.hedges, hedge.succeeded_on_hedge, hedge.budget_refusals,
                      duration_format(hedge.delay_ns, delay, sizeof delay));
    }
    if (duress_breaker_of(stack) != NULL)
        breaker_print(duress_breaker_of(stack));
    struct duress_layer_counts timeout = duress_timeout_counts(stack);
    if (timeout.begun > 0)
        (void)fprintf(stderr, "timeout: %" PRIu64 " of %" PRIu64 " attempts\n", timeout.timed_out, timeout.begun);
}

static void figures_print_json(const struct duress_agent *stack)
{
    int length = duress_metrics_json(stack, NULL, 0);
    char *text = length > 0 ? malloc((size_t)length + 1) : NULL;
    if (text != NULL && duress_metrics_json(stack, text, (size_t)length + 1) == length)
        (void)fprintf(stderr, "%s\n", text);
    free(text);
}

void ask_report_table(const struct ask_report *report, const struct duress_agent *stack, uint64_t took_ns)
{
    struct duress_metrics metrics;
    if (report->quiet || duress_metrics_read(stack, &metrics) != DURESS_OK)
        return;
    if (report->json) {
        figures_print_json(stack);
        return;
    }
    outcomes_print(&metrics, took_ns);
    layers_print(stack);
}
