/* SPDX-License-Identifier: Apache-2.0
 *
 * The network fails, rows N1 to N7 of the plan: connects that are never answered or refused, names that do not resolve,
 * connections dropped at every stage of a request, latency, partitions, bytes sliced, slowed and corrupted. */
#include "stack.h"

#include <string.h>

static struct duress_agent *timeout_around(struct chaos *chaos, struct duress_agent *agent, uint64_t limit_ns)
{
    struct duress_timeout_options timeout = {.limit_ns = limit_ns};
    return stack_around(chaos, agent, &(struct duress_stack_options){.timeout = &timeout});
}

/* Without jitter, so that waits are exact. */
static struct duress_agent *retry_around(struct chaos *chaos, struct duress_agent *agent, uint32_t attempts_max)
{
    struct duress_retry_options retry = {
        .attempts_max = attempts_max,
        .backoff_ns = 100 * DURESS_MS,
        .jitter = DURESS_JITTER_NONE,
    };
    return stack_around(chaos, agent, &(struct duress_stack_options){.retry = &retry});
}

/* --- N1: nobody answers the SYN --- */

CHAOS_TEST(network, connect_timeout, "N1: an unanswered connect ends at its timeout, with its own code, nothing open")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_silence(link, true);
    struct duress_agent *agent = chaos_link_agent_with(link, .connect_timeout_ns = 1 * DURESS_S);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_CONNECT_TIMEOUT);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 1 * DURESS_S);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
}

CHAOS_TEST(network, connect_answered_late, "N1: a connect whose SYN is answered on the second try succeeds")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_silence(link, true);
    struct duress_agent *agent = chaos_link_agent_with(link, .connect_timeout_ns = 20 * DURESS_S);

    struct chaos_call *call = chaos_begin(chaos, agent, "hello", 30 * DURESS_S, false);
    chaos_pass(chaos, 300 * DURESS_MS);
    CHAOS_EXPECT(!chaos_call_has_ended(call));
    chaos_link_silence(link, false);
    struct chaos_answer answer = chaos_await(chaos, call);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(network, connect_timeout_ends_with_the_connect,
           "N1: the limit of the connect is none for what comes after it")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 4 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = chaos_link_agent_with(link, .connect_timeout_ns = 3 * DURESS_S);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 4 * DURESS_S);
}

/* --- N2: nobody listens --- */

CHAOS_TEST(network, connection_refused, "N2: a refused connect fails at once, with its own code, unambiguously")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_down(link);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
    CHAOS_EXPECT_NOTHING_OPEN(link);

    chaos_link_up(link);
    answer = chaos_ask(chaos, chaos_link_agent(link), "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
}

CHAOS_TEST(network, service_killed_behind_link, "N2: a service that died is an error at once, and is found again")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");
    chaos_service_kill(echo);

    answer = chaos_ask(chaos, chaos_link_agent(link), "two", 10 * DURESS_S);

    CHAOS_EXPECT(answer.error == DURESS_E_TRUNCATED || answer.error == DURESS_E_RESET);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    chaos_service_restart(echo);
    answer = chaos_ask(chaos, chaos_link_agent(link), "three", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "three");
}

CHAOS_TEST(network, service_error, "N2: an error that the service reports is its own code, and costs no connection")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .fail_count = 1);
    struct chaos_link *link = chaos_link_open(chaos, echo);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    CHAOS_EXPECT(strstr(answer.failure.detail, "ordered to fail") != NULL);
    answer = chaos_ask(chaos, chaos_link_agent(link), "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

/* --- N3: names --- */

CHAOS_TEST(network, name_resolves, "N3: a name that resolves is used")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_name_set(link, "echo.test", CHAOS_NAME_OK, 0);
    struct duress_agent *agent = chaos_link_agent_with(link, .host = "echo.test");

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(network, name_not_found, "N3: a name that does not exist has its own code, and is not retried")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_name_set(link, "echo.test", CHAOS_NAME_NOT_FOUND, 0);
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent_with(link, .host = "echo.test"), 3);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_NAME_NOT_FOUND);
    CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_NAME);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 0);
}

CHAOS_TEST(network, name_temporary_failure, "N3: a name server's temporary failure has its own code, and is retried")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_name_set(link, "echo.test", CHAOS_NAME_TEMPORARY, 2);
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent_with(link, .host = "echo.test"), 3);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 3);
    CHAOS_EXPECT_CODE(chaos_link_attempt(link, 0).error, DURESS_E_NAME_TEMPORARY);
    CHAOS_EXPECT_CODE(chaos_link_attempt(link, 1).error, DURESS_E_NAME_TEMPORARY);
    CHAOS_EXPECT_EQUAL(chaos_name_questions(chaos, "echo.test"), 3);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(network, name_server_silent,
           "N3: a name server that never answers ends at the connect timeout, its own code")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_name_set(link, "echo.test", CHAOS_NAME_SILENT, 0);
    struct duress_agent *agent = chaos_link_agent_with(link, .host = "echo.test", .connect_timeout_ns = 1 * DURESS_S);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_NAME_SILENT);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 1 * DURESS_S);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 0);
}

/* --- N4: dropped in the middle --- */

CHAOS_TEST(network, drop_mid_request, "N4: cut inside the request: known at once, ambiguous, nothing arrived")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    (void)chaos_link_cut_after(link, DURESS_UPSTREAM, chaos_draw(chaos, 20, 100), DURESS_CUT_RST);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_fired_at_ns(link), 0);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
}

/* Cuts the reply and expects the one code, learnt at once, ambiguous, after one arrival. */
static void drop_reply(struct chaos *chaos, uint64_t after_bytes, enum duress_cut_how how, int code)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 50 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, after_bytes, how);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, code);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_fired_at_ns(link), 0);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(network, drop_before_reply, "N4: reset before the reply's first byte: executed, ambiguous")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 50 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic reset = {.type = DURESS_TOXIC_RESET_PEER, .direction = DURESS_DOWNSTREAM};
    (void)chaos_link_toxic(link, &reset);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(network, drop_mid_header, "N4: reset inside the reply's length prefix")
{
    drop_reply(chaos, chaos_draw(chaos, 1, 3), DURESS_CUT_RST, DURESS_E_RESET);
}

CHAOS_TEST(network, drop_mid_header_fin, "N4: ended inside the reply's length prefix")
{
    drop_reply(chaos, chaos_draw(chaos, 1, 3), DURESS_CUT_FIN, DURESS_E_TRUNCATED);
}

CHAOS_TEST(network, drop_mid_body, "N4: reset inside the reply's body")
{
    drop_reply(chaos, chaos_draw(chaos, 40, 200), DURESS_CUT_RST, DURESS_E_RESET);
}

CHAOS_TEST(network, drop_mid_body_fin, "N4: ended inside the reply's body: never half an answer for a whole one")
{
    drop_reply(chaos, chaos_draw(chaos, 40, 200), DURESS_CUT_FIN, DURESS_E_TRUNCATED);
}

CHAOS_TEST(network, drop_after_reply,
           "N4: reset after the reply, before the FIN: the answer counts, the connection does not")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *whole = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(whole), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, chaos_link_bytes(whole, DURESS_DOWNSTREAM), DURESS_CUT_RST);

    answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_NOTHING_OPEN(link);
    answer = chaos_ask(chaos, chaos_link_agent(link), "olleh", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "olleh");

    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 2);
    CHAOS_EXPECT_ARRIVALS(echo, 3);
}

CHAOS_TEST(network, link_cut_while_waiting, "N4: a connection cut while the service thinks: known at once")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 20 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_call *call = chaos_begin(chaos, chaos_link_agent(link), "hello", 30 * DURESS_S, false);
    chaos_pass(chaos, chaos_draw(chaos, 300 * DURESS_MS, 3 * DURESS_S));
    chaos_link_cut(link);

    struct chaos_answer answer = chaos_await(chaos, call);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_fired_at_ns(link), 0);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

static bool one_request_was_cancelled(void *context)
{
    struct chaos_service *service = context;
    return chaos_service_cancelled(service) == 1;
}

CHAOS_TEST(network, link_down_while_waiting,
           "N4: a connection closed while the service thinks: known at once, to the service as well")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 20 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct chaos_call *call = chaos_begin(chaos, chaos_link_agent(link), "hello", 30 * DURESS_S, false);
    chaos_pass(chaos, 300 * DURESS_MS);
    chaos_link_down(link);

    struct chaos_answer answer = chaos_await(chaos, call);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_TRUNCATED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_fired_at_ns(link), 0);
    CHAOS_EXPECT(chaos_until(chaos, one_request_was_cancelled, slow, chaos_slack_ns(chaos)));
    CHAOS_EXPECT_ARRIVALS(slow, 1);
}

/* --- N5: latency --- */

static void latency_inside(struct chaos *chaos, uint64_t latency_ns)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_latency(link, latency_ns);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), latency_ns + 5 * DURESS_S);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, latency_ns);
}

static void latency_outside(struct chaos *chaos, uint64_t latency_ns)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic latency = {.type = DURESS_TOXIC_LATENCY, .direction = DURESS_UPSTREAM};
    latency.as.latency.latency_ns = latency_ns;
    (void)chaos_link_toxic(link, &latency);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), latency_ns * 3 / 4);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 60 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_TIMEOUT);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, latency_ns * 3 / 4);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(network, latency_100ms_inside, "N5: 100 ms of latency inside the timeout")
{
    latency_inside(chaos, 100 * DURESS_MS);
}

CHAOS_TEST(network, latency_1s_inside, "N5: 1 s of latency inside the timeout")
{
    latency_inside(chaos, 1 * DURESS_S);
}

CHAOS_TEST(network, latency_5s_inside, "N5: 5 s of latency inside the timeout")
{
    latency_inside(chaos, 5 * DURESS_S);
}

CHAOS_TEST(network, latency_100ms_outside, "N5: 100 ms of latency against a timeout of 75 ms")
{
    latency_outside(chaos, 100 * DURESS_MS);
}

CHAOS_TEST(network, latency_1s_outside, "N5: 1 s of latency against a timeout of 750 ms")
{
    latency_outside(chaos, 1 * DURESS_S);
}

CHAOS_TEST(network, latency_5s_outside, "N5: 5 s of latency against a timeout of 3.75 s")
{
    latency_outside(chaos, 5 * DURESS_S);
}

CHAOS_TEST(network, latency_does_not_add_up, "N5: requests that follow each other closely are all late by the same")
{
    enum { CALLS = 5 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_latency(link, 4 * DURESS_S);
    struct duress_agent *agent = chaos_link_agent_with(link, .connections_max = 1, .in_flight_max = CALLS);
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = chaos_begin(chaos, agent, "hello", 60 * DURESS_S, false);
        chaos_pass(chaos, 50 * DURESS_MS);
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "hello");
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 4 * DURESS_S);
    }
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

/* --- N6: partitions --- */

/* One call before, one that the partition stops, one that cannot connect, one after healing. |arrivals_during|: what
 * reaches the service meanwhile. */
static void partition(struct chaos *chaos, enum chaos_partition which, uint64_t arrivals_during)
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), 500 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, agent, "before", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "before");

    chaos_link_partition(link, which);
    answer = chaos_ask(chaos, agent, "during", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 500 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, 1 + arrivals_during);

    answer = chaos_ask(chaos, agent, "connecting", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 500 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT_ARRIVALS(echo, 1 + arrivals_during);

    chaos_link_heal(link);
    answer = chaos_ask(chaos, agent, "after", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "after");
}

CHAOS_TEST(network, partition_complete, "N6: cut off both ways: calls fail on time, and recover after healing")
{
    partition(chaos, CHAOS_PARTITION_BOTH, 0);
}

CHAOS_TEST(network, partition_upstream, "N6: requests do not arrive: calls fail on time, and recover after healing")
{
    partition(chaos, CHAOS_PARTITION_UPSTREAM, 0);
}

CHAOS_TEST(network, partition_downstream, "N6: replies do not arrive: executed and ambiguous, recovers after healing")
{
    partition(chaos, CHAOS_PARTITION_DOWNSTREAM, 1);
}

CHAOS_TEST(network, partition_healed_in_time, "N6: a partition shorter than the timeout costs time, not the call")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), 20 * DURESS_S);
    struct chaos_answer answer = chaos_ask(chaos, agent, "before", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "before");
    chaos_link_partition(link, CHAOS_PARTITION_BOTH);
    struct chaos_call *call = chaos_begin(chaos, agent, "during", 30 * DURESS_S, false);
    chaos_pass(chaos, chaos_draw(chaos, 200 * DURESS_MS, 5 * DURESS_S));
    CHAOS_EXPECT(!chaos_call_has_ended(call));
    chaos_link_heal(link);

    answer = chaos_await(chaos, call);

    CHAOS_EXPECT_REPLY(answer, "during");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

/* --- bytes: sliced, slow, corrupted --- */

CHAOS_TEST(network, bytes_sliced, "N5: a request and a reply in pieces of a few bytes are whole again")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic slicer = {.type = DURESS_TOXIC_SLICER, .direction = DURESS_UPSTREAM};
    slicer.as.slicer.average_bytes = 3;
    slicer.as.slicer.variation_bytes = 2;
    slicer.as.slicer.delay_ns = 200 * DURESS_US;
    (void)chaos_link_toxic(link, &slicer);
    slicer.direction = DURESS_DOWNSTREAM;
    (void)chaos_link_toxic(link, &slicer);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "in many pieces", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "in many pieces");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    /* Pieces have 5 bytes at most, and after each but the last of a message there is a pause. */
    uint64_t pauses =
        (chaos_link_bytes(link, DURESS_UPSTREAM) - 1) / 5 + (chaos_link_bytes(link, DURESS_DOWNSTREAM) - 1) / 5;
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, pauses * 200 * DURESS_US);
}

CHAOS_TEST(network, bytes_slow, "N5: a reply at 2000 bytes a second is slow, and whole")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_bytes = 2000);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic bandwidth = {.type = DURESS_TOXIC_BANDWIDTH, .direction = DURESS_DOWNSTREAM};
    bandwidth.as.bandwidth.rate_bytes_per_s = 2000;
    (void)chaos_link_toxic(link, &bandwidth);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 30 * DURESS_S);

    CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
    CHAOS_EXPECT_EQUAL(answer.content_bytes, 2000);
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 1 * DURESS_S);
    CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 1500 * DURESS_MS + chaos_slack_ns(chaos));
}

static struct duress_toxic corrupt_at(enum duress_direction direction, uint64_t offset)
{
    struct duress_toxic corrupt = {.type = DURESS_TOXIC_CORRUPT, .direction = direction};
    corrupt.as.corrupt.offset_count = 1;
    corrupt.as.corrupt.offsets[0] = offset;
    return corrupt;
}

CHAOS_TEST(network, reply_corrupted, "N5: a corrupted reply is malformed, and its connection is not used again")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic corrupt = corrupt_at(DURESS_DOWNSTREAM, chaos_draw(chaos, 4, 40));
    (void)chaos_link_toxic(link, &corrupt);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_MALFORMED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    chaos_link_clear(link);
    answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 2);
}

CHAOS_TEST(network, reply_length_corrupted, "N5: a reply that announces gigabytes is malformed at once")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic corrupt = corrupt_at(DURESS_DOWNSTREAM, 0);
    (void)chaos_link_toxic(link, &corrupt);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_MALFORMED);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(network, request_corrupted, "N5: a corrupted request is refused by the service, not executed")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic corrupt = corrupt_at(DURESS_UPSTREAM, chaos_draw(chaos, 4, 30));
    (void)chaos_link_toxic(link, &corrupt);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    CHAOS_EXPECT(strstr(answer.failure.detail, "MALFORMED_PAYLOAD") != NULL ||
                 strstr(answer.failure.detail, "INVALID_MESSAGE") != NULL);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
}

CHAOS_TEST(network, bytes_vanish, "N6: a black hole: nothing arrives, nothing closes, the timeout ends it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic hole = {.type = DURESS_TOXIC_BLACKHOLE, .direction = DURESS_UPSTREAM};
    (void)chaos_link_toxic(link, &hole);
    struct duress_agent *agent = timeout_around(chaos, chaos_link_agent(link), 400 * DURESS_MS);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
}
