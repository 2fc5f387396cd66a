/* SPDX-License-Identifier: Apache-2.0
 *
 * Several agents, of which some fail: rows P1, P3, P7 and P8 of the plan. The services' arrival logs say who was asked,
 * and whose work was given up. */
#include "composition.h"

#include <stdio.h>

/* --- P7: sequential --- */

CHAOS_TEST(sequential, hands_each_reply_on, "P7: each step is asked what the one before has replied")
{
    struct chaos_service *first = chaos_service_start(chaos, "first");
    struct chaos_service *second = chaos_service_start(chaos, "second", .reply_bytes = 5);
    struct chaos_service *third = chaos_service_start(chaos, "third");
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_sequential_options options = {.on_report = reported_keep, .context = &reported};
    struct duress_agent *steps[3] = {chaos_link_agent(chaos_link_open(chaos, first)),
                                     chaos_link_agent(chaos_link_open(chaos, second)),
                                     chaos_link_agent(chaos_link_open(chaos, third))};
    (void)COMPOSED(duress_sequential_new("line", steps, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "abcde");
    CHAOS_EXPECT_ARRIVALS(first, 1);
    CHAOS_EXPECT_ARRIVALS(second, 1);
    CHAOS_EXPECT_ARRIVALS(third, 1);
    CHAOS_EXPECT(strcmp(chaos_service_arrival(second, 0).text, "hello") == 0);
    CHAOS_EXPECT(strcmp(chaos_service_arrival(third, 0).text, "abcde") == 0);
    CHAOS_EXPECT_EQUAL(reported.reports, 1);
    CHAOS_EXPECT_EQUAL(reported.answered_by, 2);
}

CHAOS_TEST(sequential, stops_at_first_failure, "P7: later steps see no call, and the step is named")
{
    struct chaos_service *first = chaos_service_start(chaos, "first");
    struct chaos_service *second = chaos_service_start(chaos, "second", .fail_count = 1);
    struct chaos_service *third = chaos_service_start(chaos, "third");
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_sequential_options options = {.on_report = reported_keep, .context = &reported};
    struct duress_agent *steps[3] = {chaos_link_agent(chaos_link_open(chaos, first)),
                                     chaos_link_agent(chaos_link_open(chaos, second)),
                                     chaos_link_agent(chaos_link_open(chaos, third))};
    (void)COMPOSED(duress_sequential_new("line", steps, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    CHAOS_EXPECT(strncmp(answer.failure.detail, "step 2 (", 8) == 0);
    CHAOS_EXPECT_ARRIVALS(first, 1);
    CHAOS_EXPECT_ARRIVALS(second, 1);
    CHAOS_EXPECT_ARRIVALS(third, 0);
    CHAOS_EXPECT_EQUAL(reported.answered_by, 1);
    EXPECT_STATE(reported, 0, DURESS_PART_REPLIED, DURESS_OK);
    EXPECT_STATE(reported, 1, DURESS_PART_FAILED, DURESS_E_REMOTE);
    EXPECT_STATE(reported, 2, DURESS_PART_NOT_ASKED, DURESS_OK);
    answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello"); /* nothing of the failure is remembered */
}

CHAOS_TEST(sequential, failure_after_first_step_is_ambiguous,
           "P7: a refused second step has executed the first; a refused first step has executed nothing")
{
    struct chaos_service *first = chaos_service_start(chaos, "first");
    struct chaos_service *second = chaos_service_start(chaos, "second");
    struct chaos_link *links[2] = {chaos_link_open(chaos, first), chaos_link_open(chaos, second)};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_agent *steps[2] = {chaos_link_agent(links[0]), chaos_link_agent(links[1])};
    (void)COMPOSED(duress_sequential_new("line", steps, 2, NULL, &agent, &why));

    chaos_link_down(links[1]);
    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(first, 1);
    link_take_down(chaos, links[0]);
    answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(first, 1);
    CHAOS_EXPECT_ARRIVALS(second, 0);
}

CHAOS_TEST(sequential, deadline_cancels_the_step_that_runs,
           "P7: the deadline of all gives up the one, and asks no more")
{
    struct chaos_service *first = chaos_service_start(chaos, "first");
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_service *third = chaos_service_start(chaos, "third");
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_agent *steps[3] = {chaos_link_agent(chaos_link_open(chaos, first)), chaos_link_agent(link),
                                     chaos_link_agent(chaos_link_open(chaos, third))};
    (void)COMPOSED(duress_sequential_new("line", steps, 3, NULL, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 400 * DURESS_MS);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    EXPECT_CANCELLED(slow);
    CHAOS_EXPECT_ARRIVALS(third, 0);
}

/* --- P1, P8: parallel --- */

/* "[name]: text" of an agent, behind what |lines| holds. */
static void line_add(char *lines, size_t capacity, struct duress_agent *agent, const char *text)
{
    size_t length = strlen(lines);
    (void)snprintf(lines + length, capacity - length, "%s[%s]: %s", length > 0 ? "\n" : "", duress_agent_name(agent),
                   text);
}

CHAOS_TEST(parallel, collect_gives_partial_results,
           "P1: one replies, one is refused, one is cut, one fails, one replies: results in order, errors named")
{
    struct chaos_service *services[5] = {
        chaos_service_start(chaos, "well"),
        chaos_service_start(chaos, "down"),
        chaos_service_start(chaos, "cut"),
        chaos_service_start(chaos, "failing", .fail_count = 1),
        chaos_service_start(chaos, "other", .reply_bytes = 3),
    };
    struct chaos_link *links[5];
    struct duress_agent *agents[5];
    for (size_t i = 0; i < 5; i++) {
        links[i] = chaos_link_open(chaos, services[i]);
        agents[i] = chaos_link_agent(links[i]);
    }
    chaos_link_down(links[1]);
    (void)chaos_link_cut_after(links[2], DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_parallel_options options = {.on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_parallel_new("all", agents, 5, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    char expected[256] = "";
    line_add(expected, sizeof expected, agents[0], "hello");
    line_add(expected, sizeof expected, agents[4], "abc");
    CHAOS_EXPECT_REPLY(answer, expected);
    CHAOS_EXPECT_EQUAL(reported.reports, 1);
    CHAOS_EXPECT(reported.partial);
    EXPECT_STATE(reported, 0, DURESS_PART_REPLIED, DURESS_OK);
    EXPECT_STATE(reported, 1, DURESS_PART_FAILED, DURESS_E_REFUSED);
    EXPECT_STATE(reported, 2, DURESS_PART_FAILED, DURESS_E_RESET);
    EXPECT_STATE(reported, 3, DURESS_PART_FAILED, DURESS_E_REMOTE);
    EXPECT_STATE(reported, 4, DURESS_PART_REPLIED, DURESS_OK);
    for (size_t i = 0; i < 5; i++)
        CHAOS_EXPECT_ARRIVALS(services[i], i == 1 ? 0 : 1);
}

CHAOS_TEST(parallel, collect_fails_where_none_replied, "P1: an overall error only where nobody replied, the first's")
{
    struct chaos_service *down = chaos_service_start(chaos, "down");
    struct chaos_service *failing = chaos_service_start(chaos, "failing", .fail_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, down);
    chaos_link_down(link);
    struct duress_agent *agents[2] = {chaos_link_agent(link), chaos_link_agent(chaos_link_open(chaos, failing))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    (void)COMPOSED(duress_parallel_new("all", agents, 2, NULL, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT(answer.failure.ambiguous); /* the second one may have executed it */
    CHAOS_EXPECT(strncmp(answer.failure.detail, "2 of 2 agents failed; 1 (", 25) == 0);
    CHAOS_EXPECT_ARRIVALS(failing, 1);
}

CHAOS_TEST(parallel, asks_all_at_once, "P8: three that take 200 ms each take 200 ms together")
{
    struct duress_agent *agents[3];
    for (size_t i = 0; i < 3; i++)
        agents[i] = chaos_link_agent(
            chaos_link_open(chaos, chaos_service_start(chaos, ((const char *[]){"one", "two", "three"})[i],
                                                       .reply_after_ns = 200 * DURESS_MS)));
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_parallel_options options = {.policy = DURESS_PARALLEL_ALL};
    (void)COMPOSED(duress_parallel_new("all", agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "x", 10 * DURESS_S);

    char expected[256] = "";
    for (size_t i = 0; i < 3; i++)
        line_add(expected, sizeof expected, agents[i], "x");
    CHAOS_EXPECT_REPLY(answer, expected);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 200 * DURESS_MS);
}

CHAOS_TEST(parallel, returns_what_it_has_by_its_deadline,
           "P8: a slow one does not keep the others' replies; its work is given up, and it is named")
{
    struct chaos_service *fast = chaos_service_start(chaos, "fast");
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agents[2] = {chaos_link_agent(link), chaos_link_agent(chaos_link_open(chaos, fast))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_parallel_options options = {
        .margin_ns = 200 * DURESS_MS, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_parallel_new("all", agents, 2, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 600 * DURESS_MS);

    char expected[256] = "";
    line_add(expected, sizeof expected, agents[1], "hello");
    CHAOS_EXPECT_REPLY(answer, expected);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT(reported.partial);
    EXPECT_STATE(reported, 0, DURESS_PART_LATE, DURESS_OK);
    EXPECT_STATE(reported, 1, DURESS_PART_REPLIED, DURESS_OK);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    EXPECT_CANCELLED(slow);
}

CHAOS_TEST(parallel, limit_without_a_reply_fails_on_time, "P8: with nothing to return, the limit is an error, on time")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct duress_agent *agents[1] = {chaos_link_agent(chaos_link_open(chaos, slow))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_parallel_options options = {.limit_ns = 300 * DURESS_MS};
    (void)COMPOSED(duress_parallel_new("all", agents, 1, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_COMPOSITION);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    EXPECT_CANCELLED(slow);
}

CHAOS_TEST(parallel, all_fails_early_and_cancels_the_rest, "P1: one failure decides, and the others' work is given up")
{
    struct chaos_service *failing =
        chaos_service_start(chaos, "failing", .reply_after_ns = 100 * DURESS_MS, .fail_count = 1);
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agents[2] = {chaos_link_agent(link), chaos_link_agent(chaos_link_open(chaos, failing))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_parallel_options options = {
        .policy = DURESS_PARALLEL_ALL, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_parallel_new("all", agents, 2, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(reported.answered_by, 1);
    EXPECT_STATE(reported, 0, DURESS_PART_CANCELLED, DURESS_OK);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    EXPECT_CANCELLED(slow);
}

CHAOS_TEST(parallel, any_takes_the_first_reply, "P8: the first reply is the answer, though one fails and one is slow")
{
    struct chaos_service *failing = chaos_service_start(chaos, "failing", .fail_count = 1);
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_service *fast = chaos_service_start(chaos, "fast", .reply_after_ns = 100 * DURESS_MS);
    struct duress_agent *agents[3] = {chaos_link_agent(chaos_link_open(chaos, failing)),
                                      chaos_link_agent(chaos_link_open(chaos, slow)),
                                      chaos_link_agent(chaos_link_open(chaos, fast))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_parallel_options options = {
        .policy = DURESS_PARALLEL_ANY, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_parallel_new("any", agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(reported.answered_by, 2);
    EXPECT_STATE(reported, 1, DURESS_PART_CANCELLED, DURESS_OK);
    EXPECT_CANCELLED(slow);
    CHAOS_EXPECT_ARRIVALS(failing, 1);
}

CHAOS_TEST(parallel, at_least_two_of_three, "P1: two suffice while one is down; with two down it fails, and at once")
{
    struct chaos_service *services[3] = {
        chaos_service_start(chaos, "one"),
        chaos_service_start(chaos, "two"),
        chaos_service_start(chaos, "three", .reply_after_ns = 300 * DURESS_MS),
    };
    struct chaos_link *links[3];
    struct duress_agent *agents[3];
    for (size_t i = 0; i < 3; i++) {
        links[i] = chaos_link_open(chaos, services[i]);
        agents[i] = chaos_link_agent(links[i]);
    }
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_parallel_options options = {.policy = DURESS_PARALLEL_AT_LEAST, .need = 2};
    (void)COMPOSED(duress_parallel_new("two", agents, 3, &options, &agent, &why));

    chaos_link_down(links[0]);
    struct chaos_answer answer = chaos_ask(chaos, agent, "x", 30 * DURESS_S);
    char expected[256] = "";
    line_add(expected, sizeof expected, agents[1], "x");
    line_add(expected, sizeof expected, agents[2], "x");
    CHAOS_EXPECT_REPLY(answer, expected);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    link_take_down(chaos, links[1]);
    answer = chaos_ask(chaos, agent, "x", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_NOTHING_OPEN(links[2]);
}

CHAOS_TEST(parallel, cancel_reaches_every_leaf,
           "P8: a caller that gives up stops all that runs, through what is nested")
{
    struct chaos_service *services[3];
    struct chaos_link *links[3];
    struct duress_agent *agents[3];
    for (size_t i = 0; i < 3; i++) {
        services[i] =
            chaos_service_start(chaos, ((const char *[]){"one", "two", "three"})[i], .reply_after_ns = 60 * DURESS_S);
        links[i] = chaos_link_open(chaos, services[i]);
        agents[i] = chaos_link_agent(links[i]);
    }
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_agent *outer[3];
    outer[0] = COMPOSED(duress_quorum_new("q", agents, 2, NULL, &agent, &why));
    outer[1] = COMPOSED(duress_fallback_new("f", &agents[2], 1, NULL, &agent, &why));
    (void)COMPOSED(duress_parallel_new("p", outer, 2, NULL, &agent, &why));

    struct chaos_call *call = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    chaos_pass(chaos, 200 * DURESS_MS);
    for (size_t i = 0; i < 3; i++)
        CHAOS_EXPECT_ARRIVALS(services[i], 1);
    chaos_call_cancel(call);
    struct chaos_answer answer = chaos_await(chaos, call);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    for (size_t i = 0; i < 3; i++) {
        CHAOS_EXPECT_NOTHING_OPEN(links[i]);
        EXPECT_CANCELLED(services[i]);
    }
}

/* --- P3: quorum --- */

struct voters {
    struct chaos_service *services[3];
    struct chaos_link *links[3];
    struct duress_agent *agents[3];
};

static void voters_open(struct chaos *chaos, struct voters *voters)
{
    for (size_t i = 0; i < 3; i++) {
        voters->links[i] = chaos_link_open(chaos, voters->services[i]);
        voters->agents[i] = chaos_link_agent(voters->links[i]);
    }
}

CHAOS_TEST(quorum, finds_the_dissenter, "P3: two of three replicas agree; the third is named, and is not believed")
{
    struct voters voters = {.services = {chaos_service_start(chaos, "liar", .reply_bytes = 5),
                                         chaos_service_start(chaos, "one"), chaos_service_start(chaos, "two")}};
    voters_open(chaos, &voters);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_quorum_options options = {.grace_ns = 5 * DURESS_S, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_quorum_new("vote", voters.agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    EXPECT_STATE(reported, 0, DURESS_PART_REPLIED, DURESS_OK);
    CHAOS_EXPECT(!reported.agrees[0]);
    CHAOS_EXPECT(reported.agrees[1] && reported.agrees[2]);
    CHAOS_EXPECT_EQUAL(reported.answered_by, 1);
    for (size_t i = 0; i < 3; i++)
        CHAOS_EXPECT_ARRIVALS(voters.services[i], 1);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0); /* the grace ends with the last reply */
}

CHAOS_TEST(quorum, decides_early_and_cancels_the_rest, "P3: two that agree need not wait for a third")
{
    struct voters voters = {.services = {chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S),
                                         chaos_service_start(chaos, "one"),
                                         chaos_service_start(chaos, "two", .reply_after_ns = 100 * DURESS_MS)}};
    voters_open(chaos, &voters);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_quorum_options options = {.on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_quorum_new("vote", voters.agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    EXPECT_STATE(reported, 0, DURESS_PART_CANCELLED, DURESS_OK);
    CHAOS_EXPECT_NOTHING_OPEN(voters.links[0]);
    EXPECT_CANCELLED(voters.services[0]);
}

CHAOS_TEST(quorum, says_at_once_that_there_is_none, "P3: once no quorum can come about, nobody is waited for")
{
    struct voters voters = {
        .services = {chaos_service_start(chaos, "one"),
                     chaos_service_start(chaos, "liar", .reply_bytes = 5, .reply_after_ns = 100 * DURESS_MS),
                     chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S)}};
    voters_open(chaos, &voters);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_quorum_options options = {.need = 3, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_quorum_new("vote", voters.agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_NO_QUORUM);
    CHAOS_EXPECT(strcmp(answer.failure.detail, "3 must agree of 3: 1 agree, 1 dissent, 0 failed") == 0);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    EXPECT_STATE(reported, 2, DURESS_PART_CANCELLED, DURESS_OK);
    EXPECT_CANCELLED(voters.services[2]);
}

CHAOS_TEST(quorum, survives_a_minority_of_failures, "P3: one that is down has no vote; two that are down leave none")
{
    struct voters voters = {.services = {chaos_service_start(chaos, "one"), chaos_service_start(chaos, "two"),
                                         chaos_service_start(chaos, "three", .reply_after_ns = 100 * DURESS_MS)}};
    voters_open(chaos, &voters);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    (void)COMPOSED(duress_quorum_new("vote", voters.agents, 3, NULL, &agent, &why));

    chaos_link_down(voters.links[0]);
    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
    link_take_down(chaos, voters.links[1]);
    answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
}

CHAOS_TEST(quorum, limit_ends_the_vote, "P3: a vote that is open at its limit is an error, on time")
{
    struct voters voters = {.services = {chaos_service_start(chaos, "one"),
                                         chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S),
                                         chaos_service_start(chaos, "slower", .reply_after_ns = 60 * DURESS_S)}};
    voters_open(chaos, &voters);
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct reported reported = {.reports = 0};
    struct duress_quorum_options options = {
        .limit_ns = 300 * DURESS_MS, .on_report = reported_keep, .context = &reported};
    (void)COMPOSED(duress_quorum_new("vote", voters.agents, 3, &options, &agent, &why));

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    EXPECT_STATE(reported, 0, DURESS_PART_REPLIED, DURESS_OK);
    EXPECT_STATE(reported, 1, DURESS_PART_LATE, DURESS_OK);
    EXPECT_STATE(reported, 2, DURESS_PART_LATE, DURESS_OK);
    EXPECT_CANCELLED(voters.services[2]);
}
