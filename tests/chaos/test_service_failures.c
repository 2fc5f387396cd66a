/* SPDX-License-Identifier: Apache-2.0
 *
 * Services fail, rows S1 to S3 of the plan: they crash before, in and after an answer, are restarted gracefully and
 * not, crash in a loop, freeze, and answer slowly. */
#include <duress/chaos/fault.h>

#include <string.h>

#include "stack.h"

/* How much of a wait a live test takes: what ten seconds show, two show as well. */
static uint64_t span_ns(struct chaos *chaos, uint64_t simulated_ns)
{
    return chaos_is_live(chaos) ? simulated_ns / 5 : simulated_ns;
}

/* Without jitter, so that waits are exact. */
static struct duress_agent *retry_around(struct chaos *chaos, struct duress_agent *agent, uint32_t attempts_max,
                                         uint64_t backoff_ns)
{
    struct duress_retry_options retry = {
        .attempts_max = attempts_max,
        .backoff_ns = backoff_ns,
        .multiplier_milli = 1000,
        .jitter = DURESS_JITTER_NONE,
    };
    return stack_around(chaos, agent, &(struct duress_stack_options){.retry = &retry});
}

static struct duress_agent *timeout_around(struct chaos *chaos, struct duress_agent *agent, uint64_t limit_ns)
{
    struct duress_timeout_options timeout = {.limit_ns = limit_ns};
    return stack_around(chaos, agent, &(struct duress_stack_options){.timeout = &timeout});
}

/* A connection of a process that died ends by FIN, or by RST where bytes lay unread. */
static bool is_lost_connection(const struct chaos_answer *answer)
{
    return answer->error == DURESS_E_TRUNCATED || answer->error == DURESS_E_RESET;
}

/* --- S1: crashes during a request --- */

static void crash_at_request(struct chaos *chaos, enum chaos_crash how, enum chaos_end_how end)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = chaos_link_agent(link);
    chaos_service_crash_at_request(echo, how, 2);

    struct chaos_answer answer = chaos_ask(chaos, agent, "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");
    answer = chaos_ask(chaos, agent, "two", 10 * DURESS_S);

    CHAOS_EXPECT(is_lost_connection(&answer));
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT(chaos_service_await_end(echo, 1, 10 * DURESS_S));
    CHAOS_EXPECT_EQUAL(chaos_service_end(echo).how, end);
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_EQUAL(chaos_service_arrival(echo, 1).ended_ns, 0);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    answer = chaos_ask(chaos, agent, "three", 10 * DURESS_S);
    CHAOS_EXPECT(answer.error != DURESS_OK);
    CHAOS_EXPECT_ARRIVALS(echo, 2);

    chaos_service_restart(echo);
    answer = chaos_ask(chaos, agent, "four", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "four");
    CHAOS_EXPECT_ARRIVALS(echo, 3);
}

CHAOS_TEST(service, sigkill_at_request, "S1: dies of SIGKILL with a request: known at once, ambiguous, works again")
{
    crash_at_request(chaos, CHAOS_CRASH_SIGKILL, CHAOS_END_SIGKILL);
}

CHAOS_TEST(service, sigsegv_at_request, "S1: dies of SIGSEGV with a request: known at once, ambiguous, works again")
{
    crash_at_request(chaos, CHAOS_CRASH_SIGSEGV, CHAOS_END_SIGSEGV);
}

CHAOS_TEST(service, crash_in_reply, "S1: dies with a part of the reply sent: an error, never half an answer")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_bytes = 2000);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    uint64_t after_bytes = chaos_draw(chaos, 1, 2000);
    chaos_service_crash_in_reply(echo, CHAOS_CRASH_SIGKILL, 1, after_bytes);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT(is_lost_connection(&answer));
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_EQUAL(chaos_link_bytes(link, DURESS_DOWNSTREAM), after_bytes);
    CHAOS_EXPECT(chaos_service_await_end(echo, 1, 10 * DURESS_S));
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(service, crash_while_thinking, "S1: dies at an instant with a request at work: known at that instant")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    chaos_service_crash_after(slow, CHAOS_CRASH_SIGKILL, chaos_draw(chaos, 300 * DURESS_MS, 50 * DURESS_S));

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 100 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_TRUNCATED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_service_end(slow).at_ns, 0);
    CHAOS_EXPECT_ARRIVALS(slow, 1);
    CHAOS_EXPECT_EQUAL(chaos_service_arrival(slow, 0).ended_ns, 0);
}

/* --- S2: restarts --- */

CHAOS_TEST(service, retry_rides_out_a_restart, "S2: an idempotent call is asked again until the service is back")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent(link), 40, 100 * DURESS_MS);
    uint64_t down_ns = chaos_draw(chaos, 350 * DURESS_MS, 3 * DURESS_S);
    chaos_service_restart_after(echo, down_ns, 1);
    chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGKILL, 1);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns, chaos_service_end(echo).at_ns + down_ns);
    CHAOS_EXPECT_AT_MOST(answer.ended_ns,
                         chaos_service_up_since_ns(echo) + 100 * DURESS_MS + 2 * chaos_slack_ns(chaos));
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_AT_LEAST(chaos_link_attempts(link), 4);
}

CHAOS_TEST(service, crash_is_not_retried_blindly, "S2: what may have been done is not asked again, restart or not")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent(link), 40, 100 * DURESS_MS);
    chaos_service_restart_after(echo, 0, 1);
    chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGKILL, 1);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT(is_lost_connection(&answer));
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT(chaos_service_await_end(echo, 1, 10 * DURESS_S));
    CHAOS_EXPECT(chaos_service_await_start(echo, 10 * DURESS_S));
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

enum { CALLERS = 6 };

/* Starts |CALLERS| calls and waits until all of them have arrived. */
struct at_work {
    struct chaos_service *service;
    struct chaos_call *calls[CALLERS];
};

static bool all_have_arrived(void *context)
{
    const struct at_work *work = context;
    return chaos_service_arrivals(work->service) == CALLERS;
}

static void at_work_begin(struct chaos *chaos, struct at_work *work, struct chaos_service *service,
                          struct duress_agent *agent)
{
    work->service = service;
    for (size_t i = 0; i < CALLERS; i++)
        work->calls[i] = chaos_begin(chaos, agent, "work", 60 * DURESS_S, false);
    CHAOS_EXPECT(chaos_until(chaos, all_have_arrived, work, 10 * DURESS_S));
}

CHAOS_TEST(service, graceful_restart_loses_nothing, "S2: SIGTERM: what was accepted is answered, then it ends with 0")
{
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .reply_after_ns = 600 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_agent *agent = chaos_link_agent(link);
    struct at_work work;
    at_work_begin(chaos, &work, busy, agent);

    chaos_service_stop(busy);
    CHAOS_EXPECT(!chaos_service_is_up(busy));
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, work.calls[i]);
        CHAOS_EXPECT_REPLY(answer, "work");
    }
    CHAOS_EXPECT(chaos_service_await_end(busy, 1, 10 * DURESS_S));

    CHAOS_EXPECT_EQUAL(chaos_service_end(busy).how, CHAOS_END_EXITED);
    CHAOS_EXPECT_EQUAL(chaos_service_end(busy).code, 0);
    CHAOS_EXPECT_EQUAL(chaos_service_cancelled(busy), 0);
    CHAOS_EXPECT_ARRIVALS(busy, CALLERS);
    chaos_service_restart(busy);
    struct chaos_answer answer = chaos_ask(chaos, agent, "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_ARRIVALS(busy, CALLERS + 1);
}

CHAOS_TEST(service, draining_takes_nothing_new, "S2: who comes while it drains is told without having been executed")
{
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .reply_after_ns = 800 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct at_work work;
    at_work_begin(chaos, &work, busy, chaos_link_agent(link));
    chaos_service_stop(busy);
    chaos_pass(chaos, 100 * DURESS_MS);

    /* Idempotent, so that it may be asked again where it cannot be known that it was not executed. */
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent(link), 100, 100 * DURESS_MS);
    chaos_service_restart_after(busy, 200 * DURESS_MS, 1);
    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "late", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "late");
    CHAOS_EXPECT_EQUAL(chaos_service_end(busy).number, 1);
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns, chaos_service_end(busy).at_ns + 200 * DURESS_MS);
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer before = chaos_await(chaos, work.calls[i]);
        CHAOS_EXPECT_REPLY(before, "work");
    }
    CHAOS_EXPECT_ARRIVALS(busy, CALLERS + 1);
}

CHAOS_TEST(service, crash_tells_who_may_have_been_executed, "S2: each caller knows what failed; the log agrees with it")
{
    struct chaos_service *busy =
        chaos_service_start(chaos, "busy", .reply_after_ns = 100 * DURESS_MS, .in_flight_max = 2);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_agent *agent = chaos_link_agent_with(link, .connections_max = 2);
    struct chaos_call *calls[CALLERS];
    chaos_service_crash_at_request(busy, CHAOS_CRASH_SIGKILL, chaos_draw(chaos, 3, CALLERS));

    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agent, "work", 20 * DURESS_S, false);
    uint64_t replied = 0;
    uint64_t ambiguous = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        if (answer.error != DURESS_OK)
            CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 200 * DURESS_MS + 2 * chaos_slack_ns(chaos));
        replied += answer.error == DURESS_OK ? 1 : 0;
        ambiguous += answer.error != DURESS_OK && answer.failure.ambiguous ? 1 : 0;
    }

    CHAOS_EXPECT(chaos_service_await_end(busy, 1, 10 * DURESS_S));

    /* Whoever was not answered and is in the log was told that it may have been executed. */
    uint64_t arrived = chaos_service_arrivals(busy);
    CHAOS_EXPECT_AT_LEAST(replied, 1);
    CHAOS_EXPECT_AT_LEAST(replied + ambiguous, arrived);
    uint64_t answered = 0;
    for (uint64_t i = 0; i < arrived; i++)
        answered += chaos_service_arrival(busy, i).ended_ns != 0 ? 1 : 0;
    CHAOS_EXPECT_AT_MOST(replied, answered);
    CHAOS_EXPECT_EQUAL(chaos_service_end(busy).how, CHAOS_END_SIGKILL);
}

CHAOS_TEST(service, crash_loop_is_ridden_out, "S2: crashes again and again; the breaker spares it, retries get through")
{
    enum { CRASHES = 3 };
    struct chaos_service *sick = chaos_service_start(chaos, "sick");
    struct chaos_link *link = chaos_link_open(chaos, sick);
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 2, .recovery_ns = 100 * DURESS_MS}};
    struct duress_agent *spared =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    struct duress_agent *agent = retry_around(chaos, spared, 100, 50 * DURESS_MS);
    chaos_service_restart_after(sick, 150 * DURESS_MS, 0);
    chaos_service_crash_loop(sick, CHAOS_CRASH_SIGSEGV, CRASHES, 200 * DURESS_MS);

    uint32_t replies = 0;
    while (chaos_service_end(sick).number < CRASHES || !chaos_service_is_up(sick)) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 20 * DURESS_S);
        replies += answer.error == DURESS_OK ? 1 : 0;
        CHAOS_EXPECT(answer.error == DURESS_OK || answer.error == DURESS_E_CIRCUIT_OPEN);
        chaos_pass(chaos, 20 * DURESS_MS);
    }
    chaos_pass(chaos, 100 * DURESS_MS + chaos_slack_ns(chaos)); /* the breaker lets a probe through */
    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "well", 20 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "well");
    CHAOS_EXPECT_EQUAL(chaos_service_end(sick).number, CRASHES);
    CHAOS_EXPECT_AT_LEAST(replies, 1);
    CHAOS_EXPECT_AT_LEAST(chaos_service_arrivals(sick), replies + 1);
    CHAOS_EXPECT_AT_MOST(chaos_service_arrivals(sick), replies + 1 + CRASHES); /* a crash costs one at the most */
}

/* --- freeze --- */

CHAOS_TEST(service, frozen_service_ends_at_the_timeout,
           "S3: a frozen service is silent: on time, and well once it thaws")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), 400 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, agent, "before", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "before");

    chaos_service_freeze(echo);
    answer = chaos_ask(chaos, agent, "frozen", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    chaos_service_thaw(echo);
    answer = chaos_ask(chaos, chaos_link_agent(link), "after", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "after");
}

CHAOS_TEST(service, frozen_service_answers_late, "S3: who waits long enough has the answer once it thaws")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    uint64_t frozen_ns = chaos_draw(chaos, 400 * DURESS_MS, 20 * DURESS_S);

    chaos_service_freeze(echo);
    struct chaos_call *call = chaos_begin(chaos, chaos_link_agent(link), "hello", 60 * DURESS_S, false);
    chaos_pass(chaos, frozen_ns);
    CHAOS_EXPECT(!chaos_call_has_ended(call));
    CHAOS_EXPECT_ARRIVALS(echo, 0);
    chaos_service_thaw(echo);
    struct chaos_answer answer = chaos_await(chaos, call);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, frozen_ns);
}

CHAOS_TEST(service, sigterm_waits_for_the_thaw, "S3: a frozen service drains once it goes on, and loses nothing")
{
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .reply_after_ns = 200 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct at_work work;
    at_work_begin(chaos, &work, busy, chaos_link_agent(link));

    chaos_service_freeze(busy);
    chaos_service_stop(busy);
    CHAOS_EXPECT(!chaos_service_await_end(busy, 1, 500 * DURESS_MS));
    chaos_service_thaw(busy);
    CHAOS_EXPECT(chaos_service_await_end(busy, 1, 10 * DURESS_S));

    for (size_t i = 0; i < CALLERS; i++) {
        struct chaos_answer answer = chaos_await(chaos, work.calls[i]);
        CHAOS_EXPECT_REPLY(answer, "work");
    }
    CHAOS_EXPECT_EQUAL(chaos_service_end(busy).code, 0);
}

/* --- S3: slow replies --- */

static void slow_inside(struct chaos *chaos, uint64_t slow_ns)
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow");
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), slow_ns + 5 * DURESS_S);
    chaos_service_slow(slow, slow_ns);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, slow_ns);
    CHAOS_EXPECT_EQUAL(chaos_service_thinking_ns(slow, 0), slow_ns);
}

static void slow_outside(struct chaos *chaos, uint64_t slow_ns)
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow");
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), slow_ns / 2);
    chaos_service_slow(slow, slow_ns);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, slow_ns / 2);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    chaos_service_slow(slow, 0);
    answer = chaos_ask(chaos, agent, "next", 60 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "next");
    CHAOS_EXPECT_ARRIVALS(slow, 2);
    CHAOS_EXPECT_EQUAL(chaos_service_cancelled(slow), 1);
}

CHAOS_TEST(service, slow_1s_inside, "S3: a reply that takes 1 s inside the timeout")
{
    slow_inside(chaos, 1 * DURESS_S);
}

CHAOS_TEST(service, slow_1s_outside, "S3: a reply that takes 1 s against a timeout of 500 ms")
{
    slow_outside(chaos, 1 * DURESS_S);
}

CHAOS_TEST(service, slow_5s_inside, "S3: a reply that takes 5 s (live: 1 s) inside the timeout")
{
    slow_inside(chaos, span_ns(chaos, 5 * DURESS_S));
}

CHAOS_TEST(service, slow_5s_outside, "S3: a reply that takes 5 s (live: 1 s) against a timeout of half of it")
{
    slow_outside(chaos, span_ns(chaos, 5 * DURESS_S));
}

CHAOS_TEST(service, slow_10s_inside, "S3: a reply that takes 10 s (live: 2 s) inside the timeout")
{
    slow_inside(chaos, span_ns(chaos, 10 * DURESS_S));
}

CHAOS_TEST(service, slow_10s_outside, "S3: a reply that takes 10 s (live: 2 s) against a timeout of half of it")
{
    slow_outside(chaos, span_ns(chaos, 10 * DURESS_S));
}

#define PATIENCE_NS (150 * DURESS_MS)

/* Whoever thinks for much longer than the caller waits is told that nobody waits any more. */
static bool late_ones_are_cancelled(void *context)
{
    struct chaos_service *slow = context;
    for (uint64_t i = 0; i < chaos_service_arrivals(slow); i++)
        if (chaos_service_thinking_ns(slow, i) >= 2 * PATIENCE_NS && !chaos_service_arrival(slow, i).cancelled)
            return false;
    return true;
}

CHAOS_TEST(service, slow_by_a_distribution, "S3: each reply takes what was drawn for it; those beyond the timeout fail")
{
    enum { CALLS = 40 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow");
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), PATIENCE_NS);
    const struct chaos_delays delays = {
        .p0_ns = 1 * DURESS_MS,
        .p50_ns = 20 * DURESS_MS,
        .p90_ns = 60 * DURESS_MS,
        .p99_ns = 400 * DURESS_MS,
        .p100_ns = 800 * DURESS_MS,
    };
    chaos_service_slow_by(slow, &delays);
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 60 * DURESS_S, false);

    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        if (answer.error != DURESS_OK)
            CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    }
    uint64_t arrived = chaos_service_arrivals(slow);
    uint64_t below_the_half = 0;
    for (uint64_t i = 0; i < arrived; i++) {
        uint64_t think_ns = chaos_service_thinking_ns(slow, i);
        struct chaos_arrival arrival = chaos_service_arrival(slow, i);
        CHAOS_EXPECT_AT_LEAST(think_ns, delays.p0_ns);
        CHAOS_EXPECT_AT_MOST(think_ns, delays.p100_ns);
        below_the_half += think_ns <= delays.p50_ns ? 1 : 0;
        if (arrival.ended_ns != 0 && !arrival.cancelled)
            CHAOS_EXPECT_AT_LEAST(arrival.ended_ns, arrival.at_ns + think_ns);
    }
    CHAOS_EXPECT_AT_LEAST(below_the_half, 1);
    CHAOS_EXPECT_AT_MOST(below_the_half, CALLS - 1);
    CHAOS_EXPECT(chaos_until(chaos, late_ones_are_cancelled, slow, chaos_slack_ns(chaos)));
}
