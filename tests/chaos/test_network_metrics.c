/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics under a failing network: what they say agrees with what the service logged, what the links saw, and what
 * the callers were told, while calls run and after they ended. */
#include "stack.h"

#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>

#include <stdlib.h>
#include <string.h>

static struct duress_agent *metrics_around(struct chaos *chaos, struct duress_agent *agent)
{
    struct duress_agent *measured = NULL;
    struct duress_metrics_options options = {.name = "echo"};
    if (duress_with_metrics(agent, &options, &measured, NULL) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make metrics");
    chaos_keep(chaos, measured);
    return measured;
}

static struct duress_metrics metrics_of(struct chaos *chaos, const struct duress_agent *agent)
{
    struct duress_metrics metrics = {.calls = {.begun = 0}};
    CHAOS_EXPECT_EQUAL(duress_metrics_read(agent, &metrics), DURESS_OK);
    return metrics;
}

/* The value of the series that stands as |series| in the exposition; fails where there is none. */
static uint64_t exposed(struct chaos *chaos, struct duress_agent *agent, const char *series)
{
    static char text[64 * 1024];
    int length = duress_metrics_prometheus(&agent, 1, text, sizeof text);
    CHAOS_EXPECT(length > 0 && (size_t)length < sizeof text);
    size_t series_length = strlen(series);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, series, series_length) == 0 && line[series_length] == ' ')
            return strtoull(line + series_length, NULL, 10);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    chaos__fail(chaos, __FILE__, __LINE__, "expected: a series %s; seen: none", series);
    return 0;
}

CHAOS_TEST(metrics, agree_with_the_arrivals, "N8: calls, attempts and outcomes are those of the link and the service")
{
    enum { REPLIES = 4, REFUSED = 3 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {.attempts_max = 2, .backoff_ns = 20 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent = metrics_around(
        chaos, stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry}));
    struct chaos_answer answer;
    chaos_link_down(link);
    for (int i = 0; i < REFUSED; i++) {
        answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    }
    chaos_link_on_attempt_end(link, 2 * REFUSED + 1, chaos_link_up); /* the next call's first attempt */
    for (int i = 0; i < REPLIES; i++) {
        answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 20, DURESS_CUT_RST);
    answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);

    struct duress_metrics metrics = metrics_of(chaos, agent);
    CHAOS_EXPECT_EQUAL(metrics.calls.begun, REFUSED + REPLIES + 1);
    CHAOS_EXPECT_EQUAL(metrics.calls.in_flight, 0);
    CHAOS_EXPECT_EQUAL(metrics.ended[0], REPLIES);
    CHAOS_EXPECT_EQUAL(metrics.ended[-DURESS_E_REFUSED], REFUSED);
    CHAOS_EXPECT_EQUAL(metrics.ended[-DURESS_E_RESET], 1);
    CHAOS_EXPECT_ARRIVALS(echo, metrics.ended[0] + metrics.ended[-DURESS_E_RESET]);
    CHAOS_EXPECT_EQUAL(metrics.succeeded.count, REPLIES);
    CHAOS_EXPECT_EQUAL(metrics.failed.count, REFUSED + 1);
    uint64_t attempts = exposed(chaos, agent, "duress_retry_attempts_total{agent=\"echo\",layer=\"1\",kind=\"retry\"}");
    CHAOS_EXPECT_EQUAL(attempts, chaos_link_attempts(link));
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_calls_total{agent=\"echo\",outcome=\"ok\"}"), REPLIES);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_calls_total{agent=\"echo\",outcome=\"refused\"}"), REFUSED);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_calls_total{agent=\"echo\",outcome=\"reset\"}"), 1);
}

CHAOS_TEST(metrics, durations_are_those_of_the_service, "N5: no duration is told shorter than it was, nor 1/64 longer")
{
    enum { CALLS = 10 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = metrics_around(chaos, chaos_link_agent(link));
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    uint64_t sum_ns = 0;
    uint64_t longest_ns = 0;
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "hello");
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        sum_ns += took_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
    }
    struct duress_metrics metrics = metrics_of(chaos, agent);
    CHAOS_EXPECT_EQUAL(metrics.succeeded.count, CALLS);
    CHAOS_EXPECT_EQUAL(metrics.succeeded.sum, sum_ns);
    CHAOS_EXPECT_EQUAL(metrics.succeeded.max, longest_ns);
    CHAOS_EXPECT_AT_LEAST(metrics.succeeded.min, 100 * DURESS_MS);
    CHAOS_EXPECT_AT_LEAST(metrics.succeeded.p50, 100 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(metrics.succeeded.p50, (100 * DURESS_MS + chaos_slack_ns(chaos)) * 65 / 64);
    CHAOS_EXPECT_EQUAL(metrics.succeeded.p999, longest_ns);
    const char *const half = "duress_call_duration_seconds_bucket{agent=\"echo\",result=\"succeeded\",le=\"0.05\"}";
    const char *const most = "duress_call_duration_seconds_bucket{agent=\"echo\",result=\"succeeded\",le=\"30\"}";
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, half), 0);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, most), CALLS);
}

CHAOS_TEST(metrics, failures_do_not_hide_the_answers,
           "N2: a storm of quick refusals leaves the answers' durations alone")
{
    enum { REPLIES = 3, REFUSED = 50 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 80 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = metrics_around(chaos, chaos_link_agent(link));
    struct chaos_answer answer;
    for (int i = 0; i < REPLIES; i++) {
        answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    chaos_link_down(link);
    for (int i = 0; i < REFUSED; i++) {
        answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT(answer.error != DURESS_OK);
    }
    struct duress_metrics metrics = metrics_of(chaos, agent);
    CHAOS_EXPECT_ARRIVALS(slow, metrics.succeeded.count);
    CHAOS_EXPECT_AT_LEAST(metrics.succeeded.min, 80 * DURESS_MS);
    CHAOS_EXPECT_AT_LEAST(metrics.succeeded.p50, 80 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(metrics.failed.count, REFUSED);
    CHAOS_EXPECT_AT_MOST(metrics.failed.p50, chaos_slack_ns(chaos) * 65 / 64);
}

CHAOS_TEST(metrics, tell_while_calls_run, "N7: calls in flight, cancelled and timed out are told as they are")
{
    enum { CALLS = 6, CANCELLED = 2 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = metrics_around(chaos, chaos_link_agent(link));
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 700 * DURESS_MS, false);
    CHAOS_EXPECT_EQUAL(metrics_of(chaos, agent).calls.in_flight, CALLS);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_calls_in_flight{agent=\"echo\"}"), CALLS);
    for (size_t i = 0; i < CANCELLED; i++)
        chaos_call_cancel(calls[i]);
    CHAOS_EXPECT_EQUAL(metrics_of(chaos, agent).calls.in_flight, CALLS - CANCELLED);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, i < CANCELLED ? DURESS_E_CANCELLED : DURESS_E_DEADLINE);
    }
    struct duress_metrics metrics = metrics_of(chaos, agent);
    CHAOS_EXPECT_EQUAL(metrics.calls.in_flight, 0);
    CHAOS_EXPECT_EQUAL(metrics.calls.cancelled, CANCELLED);
    CHAOS_EXPECT_EQUAL(metrics.ended[-DURESS_E_CANCELLED], CANCELLED);
    CHAOS_EXPECT_EQUAL(metrics.calls.timed_out, CALLS - CANCELLED);
    CHAOS_EXPECT_EQUAL(metrics.ended[-DURESS_E_DEADLINE], CALLS - CANCELLED);
    CHAOS_EXPECT_EQUAL(metrics.calls.failed, 0);
    CHAOS_EXPECT_EQUAL(metrics.failed.count, CALLS - CANCELLED); /* a cancelled call has no duration */
    CHAOS_EXPECT_AT_LEAST(metrics.failed.min, 700 * DURESS_MS);
}

/* The value of the breaker's figure called |name| and labelled |label|, 0 where there is none. */
static uint64_t breaker_figure(struct duress_agent *agent, const char *name, const char *label)
{
    struct duress_metrics_layer layer = {.kind = NULL};
    (void)duress_metrics_layers(agent, &layer, 1);
    for (size_t i = 0; i < layer.figure_count; i++) {
        const struct duress_metrics_figure *figure = &layer.figures[i];
        if (strcmp(figure->name, name) == 0 && strcmp(figure->label_value, label) == 0)
            return figure->value;
    }
    return 0;
}

static void expect_state(struct chaos *chaos, struct duress_agent *agent, const char *state)
{
    static const char *const states[] = {"closed", "open", "half-open", "forced open", "forced closed"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        CHAOS_EXPECT_EQUAL(breaker_figure(agent, "state", states[i]), strcmp(states[i], state) == 0);
}

static uint64_t transitions(struct duress_agent *agent, const char *reason)
{
    return breaker_figure(agent, "transitions", reason);
}

CHAOS_TEST(metrics, show_the_breaker_at_work,
           "N9: each state and each change of it shows, and zero arrivals while open")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 2, .successes_to_close = 2, .recovery_ns = 300 * DURESS_MS},
    };
    struct duress_agent *agent = metrics_around(
        chaos, stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker}));
    struct chaos_answer answer;
    expect_state(chaos, agent, "closed");
    chaos_link_down(link);
    for (int i = 0; i < 2; i++) {
        answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    }
    expect_state(chaos, agent, "open");
    CHAOS_EXPECT_EQUAL(transitions(agent, "failures in a row"), 1);
    answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    chaos_pass(chaos, 300 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "a probe that fails", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    expect_state(chaos, agent, "open");
    CHAOS_EXPECT_EQUAL(transitions(agent, "recovery time over"), 1);
    CHAOS_EXPECT_EQUAL(transitions(agent, "probe failed"), 1);
    chaos_link_up(link);
    chaos_pass(chaos, 300 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "probe", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "probe");
    expect_state(chaos, agent, "half-open");
    answer = chaos_ask(chaos, agent, "probe", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "probe");
    expect_state(chaos, agent, "closed");
    CHAOS_EXPECT_EQUAL(transitions(agent, "probes succeeded"), 1);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_calls_total{agent=\"echo\",outcome=\"circuit_open\"}"), 1);
#define BREAKER "agent=\"echo\",layer=\"1\",kind=\"breaker\""
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_breaker_state{" BREAKER ",state=\"closed\"}"), 1);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_breaker_transitions_total{" BREAKER ",reason=\"probe failed\"}"),
                       1);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent,
                               "duress_layer_calls_total{agent=\"echo\",layer=\"1\",kind=\"breaker\","
                               "outcome=\"refused\"}"),
                       1);
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(metrics, show_the_hedges, "S3: hedges, the one that won and the loser show, as the service saw them")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 100 * DURESS_MS}};
    struct duress_agent *hedged = NULL;
    CHAOS_EXPECT_EQUAL(duress_with_hedge(chaos_link_agent(link), &hedge, &hedged, NULL), DURESS_OK);
    chaos_keep(chaos, hedged);
    struct duress_agent *agent = metrics_around(chaos, hedged);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    struct duress_metrics_layer layer;
    CHAOS_EXPECT_EQUAL(duress_metrics_layers(agent, &layer, 1), 1);
    CHAOS_EXPECT(strcmp(layer.kind, "hedge") == 0);
#define HEDGE "{agent=\"echo\",layer=\"1\",kind=\"hedge\"}"
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_hedge_attempts_total" HEDGE), 2);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_hedge_hedges_total" HEDGE), 1);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_hedge_losers_total" HEDGE), 1);
    CHAOS_EXPECT_EQUAL(exposed(chaos, agent, "duress_hedge_succeeded_on_hedge_total" HEDGE), 1);
    CHAOS_EXPECT_ARRIVALS(slow, 2);
    CHAOS_EXPECT_EQUAL(metrics_of(chaos, agent).calls.succeeded, 1);
}
