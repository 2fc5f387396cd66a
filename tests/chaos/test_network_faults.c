/* SPDX-License-Identifier: Apache-2.0
 *
 * Injected faults around a service that is reached over the network, rows H2 and P2 of the plan: what the layer says it
 * did agrees with what the service logged, and retry, breaker and timeout answer it as they answer the real thing. */
#include "stack.h"

#include <duress/middleware/faults.h>

#include <string.h>

static struct duress_agent *faults_around(struct chaos *chaos, struct duress_agent *agent,
                                          const struct duress_faults_layer_options *options)
{
    struct duress_agent *faulty = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (duress_with_faults(agent, options, &faulty, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make faults; seen: %s", why.detail);
    chaos_keep(chaos, faulty);
    return faulty;
}

CHAOS_TEST(faults, retry_rides_out_a_pattern, "P2: fail, fail, succeed: each call is answered by its third attempt")
{
    enum { CALLS = 4 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options pattern = {
        .faults = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_ERROR, DURESS_FAULT_NONE}, .pattern_count = 3}};
    struct duress_agent *faulty = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &pattern);
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agent = stack_around(chaos, faulty, &(struct duress_stack_options){.retry = &retry});

    for (int i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, (20 + 40) * DURESS_MS);
    }
    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    CHAOS_EXPECT_EQUAL(duress_retry_counts(agent).attempts, 3 * CALLS);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_ERROR], 2 * CALLS);
}

CHAOS_TEST(faults, a_pattern_once_is_over, "P2: faults that come once do not come again")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options pattern = {
        .faults = {.pattern = {DURESS_FAULT_NONE, DURESS_FAULT_ERROR}, .pattern_count = 2, .pattern_once = true}};
    struct duress_agent *agent = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &pattern);
    for (int i = 0; i < 8; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_CODE(answer.error, i == 1 ? DURESS_E_REFUSED : DURESS_OK);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 7);
}

CHAOS_TEST(faults, open_a_breaker, "P2: seeded faults open a breaker, and what passed is what the service saw")
{
    enum { CALLS = 200 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options chance = {.faults = {.ppm = {[DURESS_FAULT_ERROR] = 600000}}, .seed = 11};
    struct duress_agent *faulty = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &chance);
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 5, .recovery_ns = 600 * DURESS_S}};
    struct duress_agent *agent = stack_around(chaos, faulty, &(struct duress_stack_options){.breaker = &breaker});

    uint64_t seen[3] = {0}; /* answered, failed, refused by the breaker */
    for (int i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        seen[answer.error == DURESS_OK ? 0 : answer.error == DURESS_E_CIRCUIT_OPEN ? 2 : 1]++;
    }
    CHAOS_EXPECT_EQUAL(duress_breaker_state(duress_breaker_of(agent)), DURESS_BREAKER_OPEN);
    CHAOS_EXPECT_AT_LEAST(seen[0], 1);
    CHAOS_EXPECT_AT_LEAST(seen[1], 5);
    CHAOS_EXPECT_AT_LEAST(seen[2], 1);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_ERROR], seen[1]);
    CHAOS_EXPECT_ARRIVALS(echo, seen[0]);
}

CHAOS_TEST(faults, follow_their_seed, "H2: the same seed gives the same faults, another one others")
{
    enum { CALLS = 40 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_agent *remote = chaos_link_agent(chaos_link_open(chaos, echo));
    uint64_t stories[3] = {0};
    uint64_t answered = 0;
    for (int round = 0; round < 3; round++) {
        struct duress_faults_layer_options chance = {.faults = {.ppm = {[DURESS_FAULT_ERROR] = 400000}},
                                                     .seed = round < 2 ? 7 : 8};
        struct duress_agent *agent = faults_around(chaos, remote, &chance);
        for (int i = 0; i < CALLS; i++) {
            bool well = chaos_ask(chaos, agent, "hello", 30 * DURESS_S).error == DURESS_OK;
            stories[round] |= (uint64_t)well << i;
            answered += well;
        }
    }
    CHAOS_EXPECT_EQUAL(stories[0], stories[1]);
    CHAOS_EXPECT(stories[0] != stories[2]);
    CHAOS_EXPECT_AT_LEAST(answered, 3 * CALLS * 3 / 10);
    CHAOS_EXPECT_AT_MOST(answered, 3 * CALLS * 9 / 10);
    CHAOS_EXPECT_ARRIVALS(echo, answered);
}

CHAOS_TEST(faults, lost_answer_is_ambiguous, "H2: an answer that is lost was given: it is repeated only if idempotent")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options lost = {.faults = {.pattern = {DURESS_FAULT_ERROR_AFTER}, .pattern_count = 2}};
    struct duress_agent *faulty = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &lost);
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, faulty, &(struct duress_stack_options){.retry = &retry});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 3);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_ERROR_AFTER], 2);
}

CHAOS_TEST(faults, delay_and_hang, "H2: a delayed call asks later, a hanging one never; the timeout sees no difference")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options slow = {.faults = {.pattern = {DURESS_FAULT_DELAY, DURESS_FAULT_HANG},
                                                          .pattern_count = 2,
                                                          .delay_ns_min = 60 * DURESS_MS}};
    struct duress_agent *faulty = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &slow);
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_agent *agent = stack_around(chaos, faulty, &(struct duress_stack_options){.timeout = &timeout});

    struct chaos_answer answer = chaos_ask(chaos, agent, "late", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "late");
    CHAOS_EXPECT_AT_LEAST(chaos_service_arrival(echo, 0).at_ns, answer.started_ns + 60 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "never", 30 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_DELAY], 1);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_HANG], 1);
}

CHAOS_TEST(faults, change_replies, "P4, P5: a corrupted reply is another, a truncated one a part of the real one")
{
    static const char *const text = "a reply that is long enough to be changed";
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options change = {
        .faults = {.pattern = {DURESS_FAULT_CORRUPT, DURESS_FAULT_TRUNCATE, DURESS_FAULT_NONE}, .pattern_count = 3}};
    struct duress_agent *agent = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &change);
    for (int i = 0; i < 5; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, text, 30 * DURESS_S);
        CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
        CHAOS_EXPECT_EQUAL(answer.content_bytes, strlen(text));
        CHAOS_EXPECT(memcmp(answer.text, text, strlen(text)) != 0);
        answer = chaos_ask(chaos, agent, text, 30 * DURESS_S);
        CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
        CHAOS_EXPECT_AT_MOST(answer.content_bytes, strlen(text) - 1);
        CHAOS_EXPECT(memcmp(answer.text, text, answer.content_bytes) == 0);
        answer = chaos_ask(chaos, agent, text, 30 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, text);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 15);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_CORRUPT], 5);
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_TRUNCATE], 5);
}

CHAOS_TEST(faults, crash_until_reset, "H2: after the crash nothing reaches the service, until the reset")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_faults_layer_options crash = {.faults = {.crash_after = 3}};
    struct duress_agent *agent = faults_around(chaos, chaos_link_agent(chaos_link_open(chaos, echo)), &crash);
    for (uint64_t life = 1; life <= 2; life++) {
        for (int i = 0; i < 8; i++) {
            struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
            CHAOS_EXPECT_CODE(answer.error, i < 3 ? DURESS_OK : DURESS_E_REFUSED);
        }
        CHAOS_EXPECT_ARRIVALS(echo, 3 * life);
        duress_faults_reset(duress_faults_of(agent));
    }
    CHAOS_EXPECT_EQUAL(duress_faults_counts(agent).injected[DURESS_FAULT_CRASH], 10);
}
