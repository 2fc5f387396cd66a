/* SPDX-License-Identifier: Apache-2.0
 *
 * The middleware under a failing network, rows N7 to N9 of the plan: timeout, retry and circuit breaker do what they
 * say, in order and in time, as the service's arrival log shows. */
#include "stack.h"

#include <string.h>

/* --- N7: timeout --- */

static bool request_was_cancelled(void *context)
{
    struct chaos_service *service = context;
    return chaos_service_cancelled(service) == 1;
}

CHAOS_TEST(timeout, fires_on_slow_reply, "N7: fires on time, cancels the work down to the service, frees everything")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.timeout = &timeout});

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_TIMEOUT);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT_ARRIVALS(slow, 1);
    CHAOS_EXPECT(chaos_until(chaos, request_was_cancelled, slow, chaos_slack_ns(chaos)));
}

CHAOS_TEST(timeout, leaves_fast_reply_alone, "N7: a reply inside the limit is untouched, and no timer is left behind")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_timeout_options timeout = {.limit_ns = 5 * DURESS_S};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.timeout = &timeout});

    struct chaos_answer answer = chaos_ask(chaos, agent, "one", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    chaos_pass(chaos, 1 * DURESS_S);
    answer = chaos_ask(chaos, agent, "two", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "two");
    chaos_pass(chaos, 5 * DURESS_S);

    CHAOS_EXPECT_EQUAL(duress_timeout_counts(agent).succeeded, 2);
    CHAOS_EXPECT_EQUAL(duress_timeout_counts(agent).timed_out, 0);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

CHAOS_TEST(timeout, late_reply_reaches_nobody, "N7: the reply to a call that timed out is never given to the next one")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 400 * DURESS_MS, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 200 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent_with(link, .connections_max = 1),
                                              &(struct duress_stack_options){.timeout = &timeout});

    struct chaos_answer first = chaos_ask(chaos, agent, "first", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(first, DURESS_E_DEADLINE);
    for (int i = 0; i < 5; i++) {
        struct chaos_answer next = chaos_ask(chaos, agent, "next", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(next, "next");
        chaos_pass(chaos, 100 * DURESS_MS);
    }
    CHAOS_EXPECT_ARRIVALS(slow, 6);
}

CHAOS_TEST(timeout, late_reply_is_dropped_when_shared,
           "N7: on a connection shared by many calls the late reply is dropped, and the others get their own")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 400 * DURESS_MS, .slow_count = 2);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 200 * DURESS_MS};
    struct duress_agent *patient = chaos_link_agent_with(link, .connections_max = 1, .in_flight_max = 16);
    struct duress_agent *agent = stack_around(chaos, patient, &(struct duress_stack_options){.timeout = &timeout});

    struct chaos_call *late = chaos_begin(chaos, agent, "late", 30 * DURESS_S, false);
    struct chaos_call *others[8];
    chaos_pass(chaos, 60 * DURESS_MS); /* so that the late reply comes while the patient call still waits */
    struct chaos_call *patient_call = chaos_begin(chaos, patient, "patient", 30 * DURESS_S, false);
    chaos_pass(chaos, 40 * DURESS_MS);
    for (size_t i = 0; i < 8; i++)
        others[i] = chaos_begin(chaos, agent, (const char[2]){(char)('a' + i), '\0'}, 30 * DURESS_S, false);
    struct chaos_answer answer;
    for (size_t i = 0; i < 8; i++) {
        answer = chaos_await(chaos, others[i]);
        CHAOS_EXPECT_REPLY(answer, ((const char[2]){(char)('a' + i), '\0'}));
    }
    answer = chaos_await(chaos, late);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    answer = chaos_await(chaos, patient_call);
    CHAOS_EXPECT_REPLY(answer, "patient");
    chaos_pass(chaos, 100 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "after", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "after");
    CHAOS_EXPECT_ARRIVALS(slow, 11);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

CHAOS_TEST(timeout, call_deadline_is_never_lengthened,
           "N7: the caller's deadline ends the call, whatever a layer allows")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 10 * DURESS_S};
    struct duress_retry_options retry = {.attempts_max = 5, .backoff_ns = 10 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link),
                                              &(struct duress_stack_options){.timeout = &timeout, .retry = &retry});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 700 * DURESS_MS);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 700 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(timeout, call_deadline_reaches_inner_layers,
           "N7: a retry inside a longer timeout sees the caller's deadline, and does not sleep into it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_timeout_options timeout = {.limit_ns = 60 * DURESS_S};
    struct duress_retry_options retry = {.attempts_max = 5, .backoff_ns = 5 * DURESS_S, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *inner =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    struct duress_agent *agent = stack_around(chaos, inner, &(struct duress_stack_options){.timeout = &timeout});
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 3 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

CHAOS_TEST(timeout, calls_wait_for_a_connection, "N7: no more connections than allowed: further calls wait their turn")
{
    enum { CALLS = 4 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 300 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = chaos_link_agent_with(link, .connections_max = 1);
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, (const char[2]){(char)('a' + i), '\0'}, 30 * DURESS_S, false);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, ((const char[2]){(char)('a' + i), '\0'}));
        CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, (i + 1) * 300 * DURESS_MS);
    }
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
    CHAOS_EXPECT_ARRIVALS(slow, CALLS);
}

/* --- N8: retry --- */

static void expect_wait(struct chaos *chaos, struct chaos_link *link, uint64_t index, uint64_t wait_ns)
{
    struct chaos_attempt before = chaos_link_attempt(link, index);
    struct chaos_attempt after = chaos_link_attempt(link, index + 1);
    CHAOS_EXPECT_ON_TIME(after.started_ns, before.ended_ns, wait_ns);
}

CHAOS_TEST(retry, rides_out_refusals, "N8: succeeds after three refusals, with exactly the waits of the policy")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {
        .attempts_max = 5, .backoff_ns = 100 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    chaos_link_down(link);
    chaos_link_on_attempt_end(link, 3, chaos_link_up);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 4);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    expect_wait(chaos, link, 0, 100 * DURESS_MS);
    expect_wait(chaos, link, 1, 200 * DURESS_MS);
    expect_wait(chaos, link, 2, 400 * DURESS_MS);
}

CHAOS_TEST(retry, waits_are_capped, "N8: every wait is within the cap, the first one too")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {
        .attempts_max = 4,
        .backoff_ns = 5 * DURESS_S,
        .backoff_cap_ns = 150 * DURESS_MS,
        .jitter = DURESS_JITTER_NONE,
    };
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 4);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 4);
    for (uint64_t i = 0; i < 3; i++)
        expect_wait(chaos, link, i, 150 * DURESS_MS);
}

CHAOS_TEST(retry, jitter_spreads_callers, "N8: with full jitter callers that failed together do not come back together")
{
    enum { CALLERS = 24 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {.attempts_max = 2, .backoff_ns = 400 * DURESS_MS};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    chaos_link_down(link);
    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    uint64_t earliest_ns = DURESS_TIME_NEVER;
    uint64_t latest_ns = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        CHAOS_EXPECT_AT_MOST(took_ns, 400 * DURESS_MS + chaos_slack_ns(chaos));
        earliest_ns = took_ns < earliest_ns ? took_ns : earliest_ns;
        latest_ns = took_ns > latest_ns ? took_ns : latest_ns;
    }
    /* All of 24 uniform draws lie in one half of 400 ms less than once in eight million runs. */
    CHAOS_EXPECT_AT_LEAST(latest_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(earliest_ns, 200 * DURESS_MS + chaos_slack_ns(chaos));
    CHAOS_EXPECT_AT_LEAST(latest_ns - earliest_ns, 50 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 2 * CALLERS);
}

/* Refused |attempts_max| times each, callers take at least |least_ns| and at most |most_ns|, and not all the same. */
static void jitter_keeps_within(struct chaos *chaos, const struct duress_retry_options *retry, uint64_t least_ns,
                                uint64_t most_ns)
{
    enum { CALLERS = 12 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = retry});
    chaos_link_down(link);
    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    uint64_t earliest_ns = DURESS_TIME_NEVER;
    uint64_t latest_ns = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        CHAOS_EXPECT_AT_LEAST(took_ns, least_ns);
        CHAOS_EXPECT_AT_MOST(took_ns, most_ns + retry->attempts_max * chaos_slack_ns(chaos));
        earliest_ns = took_ns < earliest_ns ? took_ns : earliest_ns;
        latest_ns = took_ns > latest_ns ? took_ns : latest_ns;
    }
    CHAOS_EXPECT_AT_LEAST(latest_ns - earliest_ns, (most_ns - least_ns) / 8);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), (uint64_t)retry->attempts_max * CALLERS);
}

CHAOS_TEST(retry, equal_jitter_waits_at_least_half, "N8: equal jitter draws from the upper half of the wait")
{
    struct duress_retry_options retry = {
        .attempts_max = 2, .backoff_ns = 800 * DURESS_MS, .jitter = DURESS_JITTER_EQUAL};
    jitter_keeps_within(chaos, &retry, 400 * DURESS_MS, 800 * DURESS_MS);
}

CHAOS_TEST(retry, decorrelated_jitter_keeps_its_bounds,
           "N8: decorrelated jitter draws from the backoff to three times the last wait, within the cap")
{
    struct duress_retry_options retry = {
        .attempts_max = 3,
        .backoff_ns = 200 * DURESS_MS,
        .backoff_cap_ns = 1 * DURESS_S,
        .jitter = DURESS_JITTER_DECORRELATED,
    };
    jitter_keeps_within(chaos, &retry, (200 + 200) * DURESS_MS, (600 + 1000) * DURESS_MS);
}

CHAOS_TEST(retry, stops_at_its_attempts, "N8: a dead service sees exactly the attempts, and the real error comes out")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 50 * DURESS_MS};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 3);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 3);
}

CHAOS_TEST(retry, stops_at_its_budget, "N8: all callers together make no more retries than the budget has")
{
    enum { CALLERS = 10 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_budget budget;
    struct duress_failure why;
    struct duress_retry_budget_options budget_options = {.capacity = 4, .deposit_milli = 1};
    CHAOS_EXPECT_CODE(duress_retry_budget_init(&budget, &budget_options, &why), DURESS_OK);
    struct duress_retry_options retry = {.attempts_max = 5, .backoff_ns = 50 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link),
                                              &(struct duress_stack_options){.retry = &retry, .retry_budget = &budget});
    chaos_link_down(link);
    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    }
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), CALLERS + 4);
    CHAOS_EXPECT_AT_LEAST(duress_retry_counts(agent).budget_refusals, 1);
}

CHAOS_TEST(retry, calls_refill_its_budget, "N8: a spent budget allows retries again as calls pay for them, no more")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_budget budget;
    struct duress_failure why;
    struct duress_retry_budget_options budget_options = {.capacity = 2, .deposit_milli = 250};
    CHAOS_EXPECT_CODE(duress_retry_budget_init(&budget, &budget_options, &why), DURESS_OK);
    struct duress_retry_options retry = {.attempts_max = 5, .backoff_ns = 20 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link),
                                              &(struct duress_stack_options){.retry = &retry, .retry_budget = &budget});
    chaos_link_down(link);
    /* The first call finds a full budget and spends it; then each fourth call has paid for one retry. */
    uint64_t attempts = 3;
    struct chaos_answer answer = chaos_ask(chaos, agent, "spends it", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), attempts);
    for (int call = 1; call <= 12; call++) {
        answer = chaos_ask(chaos, agent, "pays", 30 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
        attempts += call % 4 == 0 ? 2 : 1;
        CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), attempts);
    }
}

enum { CLIENTS = 3, TRIES = 3 };

/* Clients of each other, each with retries of its own, before a service that fails: |calls| calls in turn, with budgets
 * (or NULL) for each client. Returns how often the service was asked. */
static uint64_t asked_through_clients(struct chaos *chaos, size_t calls, struct duress_retry_budget *budgets)
{
    struct chaos_service *service = chaos_service_start(chaos, "service", .fail_count = UINT32_MAX);
    struct duress_retry_options retry = {
        .attempts_max = TRIES, .backoff_ns = DURESS_MS, .retryable_mask = DURESS_RETRY_BIT(DURESS_E_REMOTE)};
    struct duress_agent *agent = chaos_link_agent(chaos_link_open(chaos, service));
    for (int i = 0; i < CLIENTS; i++) {
        struct duress_stack_options client = {.retry = &retry, .retry_budget = budgets != NULL ? &budgets[i] : NULL};
        agent = stack_around(chaos, agent, &client);
    }
    for (size_t i = 0; i < calls; i++) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    }
    return chaos_service_arrivals(service);
}

CHAOS_TEST(retry, multiplies_through_clients,
           "N8: three clients behind each other ask a failing service 27 times a call")
{
    CHAOS_EXPECT_EQUAL(asked_through_clients(chaos, 10, NULL), 10 * TRIES * TRIES * TRIES);
}

CHAOS_TEST(retry, budgets_bound_what_it_multiplies,
           "N8: with a budget at each of them they ask 1.4 times a call, however often each would try")
{
    enum { CALLS = 40, CAPACITY = 1 };
    static struct duress_retry_budget budgets[CLIENTS]; /* the agents go after this function has returned */
    struct duress_retry_budget_options options = {.capacity = CAPACITY, .deposit_milli = 100};
    uint64_t bound = CALLS;
    for (int i = 0; i < CLIENTS; i++) {
        CHAOS_EXPECT_CODE(duress_retry_budget_init(&budgets[i], &options, NULL), DURESS_OK);
        bound += CAPACITY + bound / 10; /* retries that were saved, and those that calls have paid for */
    }

    uint64_t asked = asked_through_clients(chaos, CALLS, budgets);

    CHAOS_EXPECT_AT_MOST(asked, bound);
    CHAOS_EXPECT_AT_LEAST(asked, bound - CLIENTS); /* each may lose what is paid into it while it is full */
}

/* An open circuit says when to come back; this retry is told to do so. */
static struct duress_agent *returning_around(struct chaos *chaos, struct duress_agent *agent, uint64_t backoff_ns,
                                             uint64_t backoff_cap_ns, enum duress_jitter jitter)
{
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 3, .recovery_ns = 2 * DURESS_S, .successes_to_close = 1, .probes_max = 8},
    };
    struct duress_retry_options retry = {
        .attempts_max = 6,
        .backoff_ns = backoff_ns,
        .backoff_cap_ns = backoff_cap_ns,
        .jitter = jitter,
        .retryable_mask = DURESS_RETRY_BIT(DURESS_E_CIRCUIT_OPEN) | DURESS_RETRY_BIT(DURESS_E_REFUSED),
    };
    return stack_around(chaos, agent, &(struct duress_stack_options){.breaker = &breaker, .retry = &retry});
}

static uint64_t opened_at_ns(struct duress_agent *agent)
{
    struct duress_breaker_transition log[DURESS_BREAKER_LOG_COUNT] = {0};
    (void)duress_breaker_log(duress_breaker_of(agent), log, DURESS_BREAKER_LOG_COUNT);
    return log[0].at_ns;
}

CHAOS_TEST(retry, comes_back_when_told, "N8: a retry-after is waited for, to the instant")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        returning_around(chaos, chaos_link_agent(link), 10 * DURESS_MS, 5 * DURESS_S, DURESS_JITTER_NONE);
    chaos_link_down(link);
    chaos_link_on_attempt_end(link, 3, chaos_link_up);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 4);
    CHAOS_EXPECT_ON_TIME(chaos_link_attempt(link, 3).started_ns, opened_at_ns(agent), 2 * DURESS_S);
    CHAOS_EXPECT_EQUAL(duress_retry_counts(agent).attempts, 5);
}

CHAOS_TEST(retry, gives_up_what_is_told_too_late, "N8: a retry-after beyond the cap is not waited for")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        returning_around(chaos, chaos_link_agent(link), 10 * DURESS_MS, 500 * DURESS_MS, DURESS_JITTER_NONE);
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 4);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, (10 + 20 + 40) * DURESS_MS);
}

CHAOS_TEST(retry, spreads_who_were_told_the_same,
           "N8: with jitter, callers that were sent away until the same instant do not come back together")
{
    enum { CALLERS = 8 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        returning_around(chaos, chaos_link_agent(link), 800 * DURESS_MS, 5 * DURESS_S, DURESS_JITTER_FULL);
    chaos_link_down(link);
    chaos_link_on_attempt_end(link, CALLERS, chaos_link_up);
    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 2 * CALLERS);
    uint64_t first_ns = chaos_link_attempt(link, CALLERS).started_ns; /* the log is in order */
    uint64_t last_ns = chaos_link_attempt(link, 2 * CALLERS - 1).started_ns;
    CHAOS_EXPECT_AT_LEAST(first_ns, opened_at_ns(agent) + 2 * DURESS_S);
    CHAOS_EXPECT_AT_LEAST(last_ns - first_ns, 100 * DURESS_MS);
}

CHAOS_TEST(retry, stops_at_the_deadline, "N8: does not sleep into the deadline: gives the real error before it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {
        .attempts_max = 10, .backoff_ns = 300 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 5 * DURESS_S);

    /* Attempts at 0, 0.3, 0.9, 2.1 and 4.5 s; the next one would be at 9.3 s. */
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 5 * DURESS_S);
    CHAOS_EXPECT_AT_MOST(chaos_link_attempts(link), 5);
    CHAOS_EXPECT_AT_LEAST(chaos_link_attempts(link), 4);
}

static void reset_twice(struct chaos *chaos, bool idempotent, uint64_t arrivals)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {.attempts_max = 4, .backoff_ns = 20 * DURESS_MS};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
    chaos_link_on_attempt_end(link, 2, chaos_link_clear);

    struct chaos_answer answer = chaos_await(chaos, chaos_begin(chaos, agent, "hello", 30 * DURESS_S, idempotent));

    if (idempotent) {
        CHAOS_EXPECT_REPLY(answer, "hello");
    } else {
        CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
        CHAOS_EXPECT(answer.failure.ambiguous);
        CHAOS_EXPECT_EQUAL(answer.failure.attempts, 1);
    }
    CHAOS_EXPECT_ARRIVALS(echo, arrivals);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), arrivals);
}

CHAOS_TEST(retry, rides_out_resets_when_idempotent, "N8: an idempotent call is repeated after a reset in its reply")
{
    reset_twice(chaos, true, 3);
}

CHAOS_TEST(retry, never_repeats_what_may_have_run,
           "N8: a call that is not idempotent is not repeated after an ambiguous end")
{
    reset_twice(chaos, false, 1);
}

CHAOS_TEST(retry, remembers_what_may_have_run,
           "N8: where an earlier attempt may have been executed, so may the call, however the last one ended")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
    chaos_link_on_attempt_end(link, 1, chaos_link_down);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 3);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_CODE(chaos_link_attempt(link, 0).error, DURESS_E_RESET);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(retry, attempt_timeouts_are_retried, "N8: a timed-out attempt of an idempotent call is tried again")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 30 * DURESS_S, .slow_count = 2);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 250 * DURESS_MS};
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 50 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link),
                                              &(struct duress_stack_options){.timeout = &timeout, .retry = &retry});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ARRIVALS(slow, 3);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, (250 + 50 + 250 + 100) * DURESS_MS);
}
