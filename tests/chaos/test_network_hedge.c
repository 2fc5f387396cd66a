/* SPDX-License-Identifier: Apache-2.0
 *
 * Hedging under slow replies, rows S3 and N5 of the plan: a slow reply is rescued by a second attempt, the loser is
 * cancelled down to the service, and hedges stay within their rules and their budget, as the service's log shows. */
#include "stack.h"

#include <duress/middleware/hedge.h>

#include <string.h>

static struct duress_agent *hedge_around(struct chaos *chaos, struct duress_agent *agent,
                                         const struct duress_hedge_layer_options *options)
{
    struct duress_agent *hedged = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (duress_with_hedge(agent, options, &hedged, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a hedge; seen: %s", why.detail);
    chaos_keep(chaos, hedged);
    return hedged;
}

struct cancelled {
    struct chaos_service *service;
    uint64_t count;
};

static bool so_many_were_cancelled(void *context)
{
    const struct cancelled *expected = context;
    return chaos_service_cancelled(expected->service) == expected->count;
}

/* The service has seen the connections of so many requests go away. */
static void expect_cancelled(struct chaos *chaos, struct chaos_service *service, uint64_t count)
{
    struct cancelled expected = {.service = service, .count = count};
    CHAOS_EXPECT(chaos_until(chaos, so_many_were_cancelled, &expected, chaos_slack_ns(chaos)));
}

CHAOS_TEST(hedge, rescues_slow_first_reply, "S3: a slow reply is rescued by a second attempt; the loser is cancelled")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 200 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(slow, 2);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 2);
    CHAOS_EXPECT_ON_TIME(chaos_link_attempt(link, 1).started_ns, answer.started_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_CODE(chaos_link_attempt(link, 0).error, DURESS_E_CANCELLED);
    CHAOS_EXPECT_CODE(chaos_link_attempt(link, 1).error, DURESS_OK);
    expect_cancelled(chaos, slow, 1);
    CHAOS_EXPECT(chaos_service_arrival(slow, 0).cancelled);
    CHAOS_EXPECT_EQUAL(chaos_link_open_connections(link), 1); /* the winner's, kept for the next call */
}

CHAOS_TEST(hedge, rescues_slow_replica, "S3: where one replica is slow, the second attempt asks the other one")
{
    struct chaos_service *weak = chaos_service_start(chaos, "weak", .reply_after_ns = 60 * DURESS_S);
    struct chaos_service *well = chaos_service_start(chaos, "well");
    struct chaos_link *slow = chaos_link_open(chaos, weak);
    struct chaos_link *fast = chaos_link_open(chaos, well);
    struct duress_hedge_layer_options hedge = {
        .hedge = {.delay_ns = 150 * DURESS_MS},
        .backup = chaos_link_agent(fast),
    };
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(slow), &hedge);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 150 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(weak, 1);
    CHAOS_EXPECT_ARRIVALS(well, 1);
    CHAOS_EXPECT_CODE(chaos_link_attempt(slow, 0).error, DURESS_E_CANCELLED);
    CHAOS_EXPECT_NOTHING_OPEN(slow);
    expect_cancelled(chaos, weak, 1);
}

CHAOS_TEST(hedge, leaves_fast_replies_alone, "S3: no second attempt is made where the first one is quick enough")
{
    enum { CALLS = 5 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 20 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_hedge_layer_options hedge = {.hedge = {.attempts_max = 8, .delay_ns = 5 * DURESS_S}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);
    for (int i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 20 * DURESS_MS);
    }
    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

CHAOS_TEST(hedge, never_repeats_what_is_not_idempotent, "S3: a call that is not idempotent arrives once, however slow")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 500 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 50 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);

    struct chaos_answer answer = chaos_ask(chaos, agent, "pay", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "pay");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 500 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(slow, 1);
}

CHAOS_TEST(hedge, later_attempts_keep_their_distance, "S3: up to the maximum, each a delay after the one before")
{
    enum { ATTEMPTS = 4 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 3);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.attempts_max = ATTEMPTS, .delay_ns = 100 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), ATTEMPTS);
    for (uint64_t i = 1; i < ATTEMPTS; i++)
        CHAOS_EXPECT_ON_TIME(chaos_link_attempt(link, i).started_ns, answer.started_ns, i * 100 * DURESS_MS);
    expect_cancelled(chaos, slow, ATTEMPTS - 1);
}

/* Every call is slow, so that each one wants a hedge. */
CHAOS_TEST(hedge, budget_bounds_the_load, "S3: where everything is slow, hedges add no more than the budget's share")
{
    enum { AT_ONCE = 20, IN_TURN = 4, CAPACITY = 3 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 300 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {
        .hedge = {.delay_ns = 50 * DURESS_MS},
        .budget = {.capacity = CAPACITY, .deposit_milli = 500},
    };
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);
    struct chaos_call *calls[AT_ONCE];
    struct chaos_answer answer;
    for (size_t i = 0; i < AT_ONCE; i++)
        calls[i] = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, true);
    for (size_t i = 0; i < AT_ONCE; i++) {
        answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    /* All of them were begun with the bucket full, and paid in for nothing. */
    CHAOS_EXPECT_ARRIVALS(slow, AT_ONCE + CAPACITY);
    for (size_t i = 0; i < IN_TURN; i++) {
        answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
    }
    CHAOS_EXPECT_ARRIVALS(slow, AT_ONCE + CAPACITY + IN_TURN + IN_TURN / 2);
    CHAOS_EXPECT_EQUAL(duress_hedge_counts(agent).hedges, CAPACITY + IN_TURN / 2);
    CHAOS_EXPECT_EQUAL(duress_hedge_counts(agent).budget_refusals, AT_ONCE - CAPACITY + IN_TURN - IN_TURN / 2);
}

CHAOS_TEST(hedge, failure_does_not_wait_for_the_delay, "N2: a refusal ends the call at once, without another attempt")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 300 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 1);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    chaos_pass(chaos, 500 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

static void cut_link(void *context)
{
    chaos_link_cut(context);
}

CHAOS_TEST(hedge, outlives_the_reset_of_an_attempt, "N4: while another attempt runs, the reset of one ends nothing")
{
    struct chaos_service *one = chaos_service_start(chaos, "one", .reply_after_ns = 60 * DURESS_S);
    struct chaos_service *two = chaos_service_start(chaos, "two", .reply_after_ns = 600 * DURESS_MS);
    struct chaos_link *first = chaos_link_open(chaos, one);
    struct chaos_link *second = chaos_link_open(chaos, two);
    struct duress_hedge_layer_options hedge = {
        .hedge = {.delay_ns = 100 * DURESS_MS},
        .backup = chaos_link_agent(second),
    };
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(first), &hedge);
    chaos_after(chaos, 200 * DURESS_MS, cut_link, first);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 700 * DURESS_MS);
    CHAOS_EXPECT_CODE(chaos_link_attempt(first, 0).error, DURESS_E_RESET);
    CHAOS_EXPECT_ARRIVALS(one, 1);
    CHAOS_EXPECT_ARRIVALS(two, 1);
    CHAOS_EXPECT_EQUAL(duress_hedge_counts(agent).losers, 0);
}

CHAOS_TEST(hedge, failure_of_all_is_the_last_one,
           "N4: the last failure is told, with the attempts, as ambiguous as any")
{
    struct chaos_service *one = chaos_service_start(chaos, "one", .reply_after_ns = 60 * DURESS_S);
    struct chaos_service *two = chaos_service_start(chaos, "two");
    struct chaos_link *first = chaos_link_open(chaos, one);
    struct chaos_link *second = chaos_link_open(chaos, two);
    struct duress_hedge_layer_options hedge = {
        .hedge = {.delay_ns = 300 * DURESS_MS},
        .backup = chaos_link_agent_with(second, .connect_timeout_ns = 400 * DURESS_MS),
    };
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(first), &hedge);
    chaos_link_silence(second, true);
    chaos_after(chaos, 350 * DURESS_MS, cut_link, first);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_CONNECT_TIMEOUT);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 700 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 2);
    CHAOS_EXPECT(answer.failure.ambiguous); /* the first had been sent */
    CHAOS_EXPECT_CODE(chaos_link_attempt(first, 0).error, DURESS_E_RESET);
    CHAOS_EXPECT_ARRIVALS(one, 1);
    CHAOS_EXPECT_ARRIVALS(two, 0);
}

CHAOS_TEST(hedge, deadline_ends_every_attempt, "N7: the caller's deadline cancels all attempts, down to the service")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.attempts_max = 8, .delay_ns = 200 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 700 * DURESS_MS);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 700 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    uint64_t attempts = chaos_link_attempts(link);
    CHAOS_EXPECT_AT_LEAST(attempts, 3);
    CHAOS_EXPECT_AT_MOST(attempts, 4); /* at 0, 200, 400, 600 ms; live the last one may come too late */
    for (uint64_t i = 0; i < attempts; i++)
        CHAOS_EXPECT_CODE(chaos_link_attempt(link, i).error, DURESS_E_CANCELLED);
    chaos_pass(chaos, 400 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), attempts); /* no timer is left */
}

CHAOS_TEST(hedge, losers_say_nothing_of_the_service,
           "N9: the breaker inside takes a cancelled loser for neither outcome")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 1}};
    struct duress_agent *guarded =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 100 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, guarded, &hedge);
    struct duress_breaker_snapshot seen;

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    duress_breaker_snapshot(duress_breaker_of(guarded), &seen);
    CHAOS_EXPECT_EQUAL(seen.state, DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_EQUAL(seen.counters.successes, 1);
    CHAOS_EXPECT_EQUAL(seen.counters.failures, 0);
    CHAOS_EXPECT_EQUAL(seen.counters.cancelled, 1);
    CHAOS_EXPECT_ARRIVALS(slow, 2);
}

/* --- the measured delay --- */

/* |count| calls one after the other; returns the longest of their times. */
static uint64_t measure(struct chaos *chaos, struct duress_agent *agent, int count)
{
    uint64_t longest_ns = 0;
    for (int i = 0; i < count; i++) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
    }
    return longest_ns;
}

/* The backup is another path to the same service: the first path swallows what is sent, and the delay is what was
 * measured on it. */
CHAOS_TEST(hedge, delay_is_what_was_measured, "N5: the second attempt begins after the p95 of the latencies before")
{
    enum { SAMPLES = 20 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 30 * DURESS_MS);
    struct chaos_link *path = chaos_link_open(chaos, echo);
    struct chaos_link *other = chaos_link_open(chaos, echo);
    struct duress_hedge_layer_options hedge = {
        .hedge = {.samples_min = SAMPLES, .delay_ceiling_ns = 20 * DURESS_S},
        .backup = chaos_link_agent(other),
    };
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(path), &hedge);
    uint64_t longest_ns = measure(chaos, agent, SAMPLES);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(path), SAMPLES);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(other), 0);
    struct duress_toxic hole = {.type = DURESS_TOXIC_BLACKHOLE, .direction = DURESS_UPSTREAM};
    (void)chaos_link_toxic(path, &hole);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(other), 1);
    uint64_t waited_ns = chaos_link_attempt(other, 0).started_ns - answer.started_ns;
    CHAOS_EXPECT_AT_LEAST(waited_ns, 30 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(waited_ns, longest_ns + longest_ns / 64 + chaos_slack_ns(chaos));
    CHAOS_EXPECT_AT_LEAST(duress_hedge_counts(agent).samples, SAMPLES + 2); /* the winner, and the loser */
}

CHAOS_TEST(hedge, waits_for_enough_samples, "N5: until enough is measured, the delay is the ceiling")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 700 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.samples_min = 20, .delay_ceiling_ns = 200 * DURESS_MS}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ARRIVALS(slow, 2);
    CHAOS_EXPECT_ON_TIME(chaos_link_attempt(link, 1).started_ns, answer.started_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 700 * DURESS_MS); /* the first one, after all */
}

/* Refusals are quick; if they were measured, the delay would be nothing, and every good call would be hedged. */
CHAOS_TEST(hedge, failures_do_not_shorten_the_delay, "N2: quick failures are not taken for quick answers")
{
    enum { SAMPLES = 5, FAILURES = 100 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_hedge_layer_options hedge = {.hedge = {.samples_min = SAMPLES}};
    struct duress_agent *agent = hedge_around(chaos, chaos_link_agent(link), &hedge);
    (void)measure(chaos, agent, SAMPLES);
    chaos_link_down(link);
    for (int i = 0; i < FAILURES; i++) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
        if (i > 0) /* The first one finds that its old connection was closed. */
            CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
        CHAOS_EXPECT(answer.error != DURESS_OK);
    }
    chaos_link_up(link);

    CHAOS_EXPECT_EQUAL(duress_hedge_counts(agent).samples, SAMPLES);
    CHAOS_EXPECT_AT_LEAST(duress_hedge_counts(agent).delay_ns, 100 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, SAMPLES);
}
