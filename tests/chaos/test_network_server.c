/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's own defence, row S9 of the plan: what is asked beyond its limit is refused at once and says when to come
 * back, and costs those inside the limit nothing. */
#include "stack.h"

#include <string.h>

enum { LIMIT = 3, CALLERS = 8 };

/* |CALLERS| calls at once through |agents|, taken in turn. */
static void ask_at_once(struct chaos *chaos, struct duress_agent *const agents[2], struct chaos_answer *answers)
{
    struct chaos_call *calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        calls[i] = chaos_begin(chaos, agents[i % 2], "hello", 30 * DURESS_S, false);
    for (size_t i = 0; i < CALLERS; i++)
        answers[i] = chaos_await(chaos, calls[i]);
}

CHAOS_TEST(server, sheds_beyond_its_limit,
           "S9: as many requests as allowed are at work, of all connections together; the others are refused at once "
           "and told when to come back")
{
    struct chaos_service *busy =
        chaos_service_start(chaos, "busy", .reply_after_ns = 600 * DURESS_MS, .requests_max = LIMIT);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_agent *agents[2] = {chaos_link_agent(link), chaos_link_agent_with(link, .in_flight_max = 16)};
    struct chaos_answer answers[CALLERS];

    ask_at_once(chaos, agents, answers);

    uint32_t replied = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        if (answers[i].error == DURESS_OK) {
            CHAOS_EXPECT_REPLY(answers[i], "hello");
            replied++;
            continue;
        }
        CHAOS_EXPECT_ERROR(answers[i], DURESS_E_OVERLOADED);
        CHAOS_EXPECT(!answers[i].failure.ambiguous);
        CHAOS_EXPECT_EQUAL(answers[i].failure.retry_after_ns, 1 * DURESS_S);
        CHAOS_EXPECT_ON_TIME(answers[i].ended_ns, answers[i].started_ns, 0);
    }
    CHAOS_EXPECT_EQUAL(replied, LIMIT);
    CHAOS_EXPECT_ARRIVALS(busy, LIMIT);
    CHAOS_EXPECT_EQUAL(chaos_service_cancelled(busy), 0);
}

CHAOS_TEST(server, serves_shed_callers_that_come_back,
           "S9: a refused call that is not idempotent is retried after the time that the server named, and then served")
{
    struct chaos_service *busy =
        chaos_service_start(chaos, "busy", .reply_after_ns = 600 * DURESS_MS, .requests_max = LIMIT);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_retry_options retry = {.attempts_max = 8, .backoff_ns = 10 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
    struct chaos_answer answers[CALLERS];

    ask_at_once(chaos, (struct duress_agent *const[2]){agent, agent}, answers);

    uint32_t at_once = 0;
    for (size_t i = 0; i < CALLERS; i++) {
        CHAOS_EXPECT_REPLY(answers[i], "hello");
        bool first = answers[i].ended_ns - answers[i].started_ns < 1 * DURESS_S;
        at_once += first ? 1 : 0;
    }
    CHAOS_EXPECT_EQUAL(at_once, LIMIT);
    CHAOS_EXPECT_ARRIVALS(busy, CALLERS); /* none was executed twice, and none that was refused */
}

CHAOS_TEST(server, places_of_callers_that_gave_up_are_free,
           "S9: who gives up gives the place back, and the next one is served")
{
    struct chaos_service *slow =
        chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = LIMIT, .requests_max = LIMIT);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = chaos_link_agent(link);
    struct chaos_call *calls[LIMIT];

    for (size_t i = 0; i < LIMIT; i++)
        calls[i] = chaos_begin(chaos, agent, "slow", 300 * DURESS_MS, false);
    for (size_t i = 0; i < LIMIT; i++) {
        struct chaos_answer late = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(late, DURESS_E_DEADLINE);
    }
    chaos_pass(chaos, chaos_slack_ns(chaos));
    struct chaos_answer answer = chaos_ask(chaos, agent, "next", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "next");
    CHAOS_EXPECT_ARRIVALS(slow, LIMIT + 1);
    CHAOS_EXPECT_EQUAL(chaos_service_cancelled(slow), LIMIT);
}
