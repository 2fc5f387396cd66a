/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker under a failing network, row N9 of the plan: each change of state in its order and at its time,
 * and nothing reaches the service while it is open. */
#include "stack.h"

static struct duress_agent *breaker_around(struct chaos *chaos, struct duress_agent *agent, uint64_t recovery_ns,
                                           uint32_t successes_to_close)
{
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 3, .recovery_ns = recovery_ns, .successes_to_close = successes_to_close},
    };
    return stack_around(chaos, agent, &(struct duress_stack_options){.breaker = &breaker});
}

static struct duress_breaker_transition transition(struct duress_agent *agent, size_t index)
{
    struct duress_breaker_transition log[DURESS_BREAKER_LOG_COUNT] = {0};
    size_t count = duress_breaker_log(duress_breaker_of(agent), log, DURESS_BREAKER_LOG_COUNT);
    return index < count ? log[index] : (struct duress_breaker_transition){0};
}

static size_t transition_count(struct duress_agent *agent)
{
    struct duress_breaker_transition log[DURESS_BREAKER_LOG_COUNT];
    return duress_breaker_log(duress_breaker_of(agent), log, DURESS_BREAKER_LOG_COUNT);
}

#define EXPECT_TRANSITION(agent, index, state_from, state_to)                                                          \
    do {                                                                                                               \
        CHAOS_EXPECT_EQUAL(transition(agent, index).from, state_from);                                                 \
        CHAOS_EXPECT_EQUAL(transition(agent, index).to, state_to);                                                     \
    } while (0)

/* Three refusals, and the breaker is open. Returns when it opened. */
static uint64_t open_by_refusals(struct chaos *chaos, struct chaos_link *link, struct duress_agent *agent)
{
    chaos_link_down(link);
    struct chaos_answer answer = {0};
    for (int i = 0; i < 3; i++) {
        CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
        answer = chaos_ask(chaos, agent, "fails", 10 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    }
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_OPEN);
    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_ON_TIME(transition(agent, 0).at_ns, answer.ended_ns, 0);
    return transition(agent, 0).at_ns;
}

static void pass_until(struct chaos *chaos, uint64_t at_ns)
{
    chaos_pass(chaos, duress_time_until(chaos_now_ns(chaos), at_ns));
}

CHAOS_TEST(breaker, opens_on_connect_timeouts,
           "N9: opens at the threshold of connect timeouts; then fails fast, zero arrivals")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_silence(link, true);
    struct duress_agent *agent =
        breaker_around(chaos, chaos_link_agent_with(link, .connect_timeout_ns = 200 * DURESS_MS), 20 * DURESS_S, 1);

    for (int i = 0; i < 3; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_CONNECT_TIMEOUT);
    }
    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition(agent, 0).reason, DURESS_BREAKER_BY_FAILURES);
    chaos_link_silence(link, false); /* The service could be reached again: nobody tries. */
    for (int i = 0; i < 20; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
        CHAOS_EXPECT(!answer.failure.ambiguous);
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
        CHAOS_EXPECT_AT_LEAST(answer.failure.retry_after_ns, 1);
        CHAOS_EXPECT_AT_MOST(answer.failure.retry_after_ns, 20 * DURESS_S);
    }
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 3);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
    CHAOS_EXPECT_EQUAL(transition_count(agent), 1);
}

CHAOS_TEST(breaker, probes_one_at_a_time,
           "N9: half-open with 20 callers waiting: one probe reaches the service, then it closes")
{
    enum { CALLERS = 20 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 300 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 1 * DURESS_S, 1);
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    chaos_link_up(link);
    pass_until(chaos, opened_ns + 1 * DURESS_S);

    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "probe", 10 * DURESS_S, false);
    size_t replies = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        replies += answer.error == DURESS_OK;
        if (answer.error != DURESS_OK)
            CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    }

    CHAOS_EXPECT_EQUAL(replies, 1);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    EXPECT_TRANSITION(agent, 1, DURESS_BREAKER_OPEN, DURESS_BREAKER_HALF_OPEN);
    CHAOS_EXPECT_ON_TIME(transition(agent, 1).at_ns, opened_ns, 1 * DURESS_S);
    EXPECT_TRANSITION(agent, 2, DURESS_BREAKER_HALF_OPEN, DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_ON_TIME(transition(agent, 2).at_ns, transition(agent, 1).at_ns, 300 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, agent, "closed", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "closed");
}

CHAOS_TEST(breaker, refuses_until_recovery, "N9: not one call is let through before the recovery time is over")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 3 * DURESS_S, 1);
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    chaos_link_up(link);

    struct chaos_answer answer = {.error = DURESS_E_CIRCUIT_OPEN};
    while (answer.error == DURESS_E_CIRCUIT_OPEN) {
        chaos_pass(chaos, 100 * DURESS_MS);
        answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
        if (answer.error == DURESS_E_CIRCUIT_OPEN)
            CHAOS_EXPECT_EQUAL(answer.started_ns + answer.failure.retry_after_ns, opened_ns + 3 * DURESS_S);
    }

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_AT_LEAST(answer.started_ns, opened_ns + 3 * DURESS_S);
    CHAOS_EXPECT_AT_MOST(answer.started_ns, opened_ns + 3200 * DURESS_MS + chaos_slack_ns(chaos));
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(breaker, closes_after_enough_probes,
           "N9: needs as many successful probes as configured, one after the other")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 1 * DURESS_S, 2);
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    chaos_link_up(link);
    pass_until(chaos, opened_ns + 1 * DURESS_S);

    struct chaos_answer answer = chaos_ask(chaos, agent, "first probe", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "first probe");
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_HALF_OPEN);
    answer = chaos_ask(chaos, agent, "second probe", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "second probe");
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_ON_TIME(transition(agent, 2).at_ns, answer.ended_ns, 0);
    CHAOS_EXPECT_EQUAL(transition_count(agent), 3);
}

CHAOS_TEST(breaker, reopens_when_the_probe_fails, "N9: a failed probe opens it again, for a whole recovery time")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 1 * DURESS_S, 1);
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    pass_until(chaos, opened_ns + 1 * DURESS_S);

    struct chaos_answer probe = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(probe, DURESS_E_REFUSED);
    EXPECT_TRANSITION(agent, 1, DURESS_BREAKER_OPEN, DURESS_BREAKER_HALF_OPEN);
    EXPECT_TRANSITION(agent, 2, DURESS_BREAKER_HALF_OPEN, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition(agent, 2).reason, DURESS_BREAKER_BY_PROBE_FAILED);
    uint64_t reopened_ns = transition(agent, 2).at_ns;
    CHAOS_EXPECT_ON_TIME(reopened_ns, probe.ended_ns, 0);

    chaos_link_up(link);
    struct chaos_answer answer = chaos_ask(chaos, agent, "refused", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    pass_until(chaos, reopened_ns + 1 * DURESS_S);
    answer = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "probe");
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(breaker, lost_probe_is_given_up, "N9: a probe that never reports gives its place up when its lease ends")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 25 * DURESS_S, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 3,
                    .recovery_ns = 500 * DURESS_MS,
                    .successes_to_close = 1,
                    .probe_lease_ns = 1 * DURESS_S},
    };
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    chaos_link_up(link);
    pass_until(chaos, opened_ns + 500 * DURESS_MS);
    struct chaos_call *lost = chaos_begin(chaos, agent, "lost", 60 * DURESS_S, false);
    chaos_pass(chaos, 900 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, agent, "refused", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);

    chaos_pass(chaos, 1 * DURESS_S); /* The lease has ended, and what follows from it. */
    answer = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);
    if (answer.error == DURESS_E_CIRCUIT_OPEN) {
        chaos_pass(chaos, answer.failure.retry_after_ns);
        answer = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);
    }
    CHAOS_EXPECT_REPLY(answer, "probe");
    EXPECT_TRANSITION(agent, 2, DURESS_BREAKER_HALF_OPEN, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition(agent, 2).reason, DURESS_BREAKER_BY_PROBE_LAPSED);
    CHAOS_EXPECT_EQUAL(transition(agent, 2).at_ns, transition(agent, 1).at_ns + 1 * DURESS_S);
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
    chaos_call_cancel(lost);
    answer = chaos_await(chaos, lost);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
}

CHAOS_TEST(breaker, cancelled_probe_gives_its_place_back, "N9: a probe that is cancelled lets the next one through")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 25 * DURESS_S, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 500 * DURESS_MS, 1);
    uint64_t opened_ns = open_by_refusals(chaos, link, agent);
    chaos_link_up(link);
    pass_until(chaos, opened_ns + 500 * DURESS_MS);
    struct chaos_call *probe = chaos_begin(chaos, agent, "cancelled", 60 * DURESS_S, false);
    chaos_pass(chaos, 300 * DURESS_MS);
    chaos_call_cancel(probe);
    struct chaos_answer answer = chaos_await(chaos, probe);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);

    answer = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "probe");
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_EQUAL(transition_count(agent), 3);
}

CHAOS_TEST(breaker, cancellation_is_not_failure,
           "N9: callers that give up do not open the circuit of a healthy service")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 20 * DURESS_S, .slow_count = 8);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 20 * DURESS_S, 1);
    struct chaos_call *calls[8];
    for (size_t i = 0; i < 8; i++)
        calls[i] = chaos_begin(chaos, agent, "given up", 60 * DURESS_S, false);
    chaos_pass(chaos, 500 * DURESS_MS);
    for (size_t i = 0; i < 8; i++)
        chaos_call_cancel(calls[i]);
    for (size_t i = 0; i < 8; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    }
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_CLOSED);
    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(transition_count(agent), 0);
}

CHAOS_TEST(breaker, late_results_never_move_it,
           "N9: stragglers from before the opening do not lengthen it, nor close it")
{
    struct chaos_service *slow =
        chaos_service_start(chaos, "slow", .reply_after_ns = 1200 * DURESS_MS, .slow_count = 2);
    struct chaos_link *slow_link = chaos_link_open(chaos, slow);
    struct chaos_link *dead_link = chaos_link_open(chaos, slow);
    struct duress_breaker shared;
    struct duress_failure why;
    struct duress_breaker_options options = {
        .failures_to_open = 3, .recovery_ns = 2 * DURESS_S, .successes_to_close = 1};
    CHAOS_EXPECT_CODE(duress_breaker_init(&shared, &options, &why), DURESS_OK);
    struct duress_breaker_layer_options layer = {.shared = &shared};
    struct duress_timeout_options timeout = {.limit_ns = 900 * DURESS_MS};
    struct duress_stack_options with_timeout = {.breaker = &layer, .timeout = &timeout};
    struct duress_stack_options without = {.breaker = &layer};
    struct duress_agent *failing = stack_around(chaos, chaos_link_agent(slow_link), &with_timeout);
    struct duress_agent *succeeding = stack_around(chaos, chaos_link_agent(slow_link), &without);
    struct duress_agent *dead = stack_around(chaos, chaos_link_agent(dead_link), &without);

    struct chaos_call *will_fail = chaos_begin(chaos, failing, "fails late", 30 * DURESS_S, false);
    struct chaos_call *will_succeed = chaos_begin(chaos, succeeding, "succeeds late", 30 * DURESS_S, false);
    uint64_t opened_ns = open_by_refusals(chaos, dead_link, dead);
    struct chaos_answer answer = chaos_await(chaos, will_fail);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    answer = chaos_await(chaos, will_succeed);
    CHAOS_EXPECT_REPLY(answer, "succeeds late");

    CHAOS_EXPECT_EQUAL(duress_breaker_state(&shared), DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition_count(succeeding), 1);
    pass_until(chaos, opened_ns + 2 * DURESS_S);
    answer = chaos_ask(chaos, succeeding, "probe", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "probe");
    CHAOS_EXPECT_ON_TIME(transition(succeeding, 1).at_ns, opened_ns, 2 * DURESS_S);
    CHAOS_EXPECT_EQUAL(duress_breaker_state(&shared), DURESS_BREAKER_CLOSED);
}

CHAOS_TEST(breaker, late_results_are_not_the_probes,
           "N9: stragglers that end while a probe is out neither reopen the circuit nor close it")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 2 * DURESS_S, .slow_count = 3);
    struct chaos_link *slow_link = chaos_link_open(chaos, slow);
    struct chaos_link *dead_link = chaos_link_open(chaos, slow);
    struct duress_breaker shared;
    struct duress_failure why;
    struct duress_breaker_options options = {
        .failures_to_open = 3, .recovery_ns = 1 * DURESS_S, .successes_to_close = 1};
    CHAOS_EXPECT_CODE(duress_breaker_init(&shared, &options, &why), DURESS_OK);
    struct duress_breaker_layer_options layer = {.shared = &shared};
    struct duress_timeout_options timeout = {.limit_ns = 1500 * DURESS_MS};
    struct duress_stack_options with_timeout = {.breaker = &layer, .timeout = &timeout};
    struct duress_stack_options without = {.breaker = &layer};
    struct duress_agent *failing = stack_around(chaos, chaos_link_agent(slow_link), &with_timeout);
    struct duress_agent *succeeding = stack_around(chaos, chaos_link_agent(slow_link), &without);
    struct duress_agent *dead = stack_around(chaos, chaos_link_agent(dead_link), &without);
    struct chaos_call *will_fail = chaos_begin(chaos, failing, "fails late", 30 * DURESS_S, false);
    struct chaos_call *will_succeed = chaos_begin(chaos, succeeding, "succeeds late", 30 * DURESS_S, false);
    uint64_t opened_ns = open_by_refusals(chaos, dead_link, dead);
    pass_until(chaos, opened_ns + 1 * DURESS_S);

    struct chaos_call *probe = chaos_begin(chaos, succeeding, "probe", 30 * DURESS_S, false);
    struct chaos_answer answer = chaos_await(chaos, will_fail);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_EQUAL(duress_breaker_state(&shared), DURESS_BREAKER_HALF_OPEN);
    answer = chaos_await(chaos, will_succeed);
    CHAOS_EXPECT_REPLY(answer, "succeeds late");
    CHAOS_EXPECT_EQUAL(duress_breaker_state(&shared), DURESS_BREAKER_HALF_OPEN);

    answer = chaos_await(chaos, probe);
    CHAOS_EXPECT_REPLY(answer, "probe");
    CHAOS_EXPECT_EQUAL(transition_count(succeeding), 3);
    EXPECT_TRANSITION(succeeding, 2, DURESS_BREAKER_HALF_OPEN, DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_ON_TIME(transition(succeeding, 2).at_ns, answer.ended_ns, 0);
}

CHAOS_TEST(breaker, success_resets_the_count, "N9: failures must come in a row")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 20 * DURESS_S, 1);
    for (int round = 0; round < 3; round++) {
        chaos_link_down(link);
        CHAOS_EXPECT_NOTHING_OPEN(link); /* else the first call would meet the old connection's end */
        for (int i = 0; i < 2; i++) {
            struct chaos_answer answer = chaos_ask(chaos, agent, "fails", 10 * DURESS_S);
            CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
        }
        chaos_link_up(link);
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    CHAOS_EXPECT_EQUAL(transition_count(agent), 0);
    CHAOS_EXPECT_ARRIVALS(echo, 3);
}

/* One call that is refused by the network, or answered. */
static void ask_once(struct chaos *chaos, struct chaos_link *link, struct duress_agent *agent, bool fails)
{
    if (fails) {
        chaos_link_down(link);
        CHAOS_EXPECT_NOTHING_OPEN(link);
    }
    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_CODE(answer.error, fails ? DURESS_E_REFUSED : DURESS_OK);
    chaos_link_up(link);
}

CHAOS_TEST(breaker, cancellation_breaks_no_row, "N9: a caller that gives up says nothing of the service, good or bad")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 20 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 20 * DURESS_S, 1);
    ask_once(chaos, link, agent, true);
    ask_once(chaos, link, agent, true);
    struct chaos_call *call = chaos_begin(chaos, agent, "given up", 60 * DURESS_S, false);
    chaos_pass(chaos, 300 * DURESS_MS);
    chaos_call_cancel(call);
    struct chaos_answer answer = chaos_await(chaos, call);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    CHAOS_EXPECT_EQUAL(transition_count(agent), 0);

    ask_once(chaos, link, agent, true);

    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_ARRIVALS(slow, 1);
}

CHAOS_TEST(breaker, counts_calls_that_ran_out_of_time,
           "N9: the caller's own deadline is a failure of the service, unlike the caller's change of mind")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 20 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = breaker_around(chaos, chaos_link_agent(link), 20 * DURESS_S, 1);
    struct chaos_answer answer = {0};
    for (int i = 0; i < 3; i++) {
        CHAOS_EXPECT_EQUAL(transition_count(agent), 0);
        answer = chaos_ask(chaos, agent, "too slow", 300 * DURESS_MS);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    }
    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_ON_TIME(transition(agent, 0).at_ns, answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(slow, 3);
}

CHAOS_TEST(breaker, opens_at_the_failure_rate,
           "N9: over a window of calls, opens when so many of the last ones failed, and not before")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.mode = DURESS_BREAKER_RATE_OF_CALLS,
                    .window_calls = 6,
                    .calls_min = 6,
                    .failure_rate_ppm = 500000,
                    .recovery_ns = 20 * DURESS_S},
    };
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    /* At first there are too few calls for a rate; at the end the first two failures have left the window. */
    static const bool fails[] = {true, true, false, false, false, false, false, true, true, true};
    enum { COUNT = sizeof fails / sizeof *fails };

    for (size_t i = 0; i < COUNT; i++) {
        CHAOS_EXPECT_EQUAL(transition_count(agent), 0);
        ask_once(chaos, link, agent, fails[i]);
    }

    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition(agent, 0).reason, DURESS_BREAKER_BY_FAILURE_RATE);
    struct chaos_answer answer = chaos_ask(chaos, agent, "refused", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    CHAOS_EXPECT_ARRIVALS(echo, 5);
}

CHAOS_TEST(breaker, opens_at_the_slow_rate, "N9: a service that answers too slowly too often opens the circuit")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 400 * DURESS_MS, .slow_count = 3);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.mode = DURESS_BREAKER_RATE_OF_CALLS,
                    .window_calls = 4,
                    .calls_min = 4,
                    .slow_call_ns = 400 * DURESS_MS,
                    .slow_rate_ppm = 750000,
                    .recovery_ns = 20 * DURESS_S},
    };
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});

    for (int i = 0; i < 4; i++) {
        CHAOS_EXPECT_EQUAL(transition_count(agent), 0);
        ask_once(chaos, link, agent, false);
    }

    EXPECT_TRANSITION(agent, 0, DURESS_BREAKER_CLOSED, DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_EQUAL(transition(agent, 0).reason, DURESS_BREAKER_BY_SLOW_RATE);
    CHAOS_EXPECT_ARRIVALS(slow, 4);
}

CHAOS_TEST(breaker, refusal_is_not_retried, "N9: retry outside the breaker does not hammer an open circuit")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 3, .recovery_ns = 20 * DURESS_S, .successes_to_close = 1}};
    struct duress_retry_options retry = {
        .attempts_max = 10, .backoff_ns = 50 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link),
                                              &(struct duress_stack_options){.breaker = &breaker, .retry = &retry});
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 3);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 4);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, (50 + 100 + 200) * DURESS_MS);
}
