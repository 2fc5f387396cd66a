/* SPDX-License-Identifier: Apache-2.0
 *
 * The toxics that Toxiproxy lacks, row H1 of the plan: losses, life times, connects that are slow or refused, a shared
 * rate, distributions, times to live and schedules, as a caller meets them. */
#include "stack.h"

#include <string.h>

static struct duress_toxic toxic_make(enum duress_toxic_type type, enum duress_direction direction)
{
    return (struct duress_toxic){.type = type, .direction = direction};
}

/* An agent with connections of its own, none of which is open yet. */
static struct duress_agent *new_agent(struct chaos_link *link)
{
    return chaos_link_agent_with(link, .connections_max = 4);
}

static struct duress_agent *retry_around(struct chaos *chaos, struct duress_agent *agent, uint32_t attempts_max)
{
    struct duress_retry_options retry = {
        .attempts_max = attempts_max,
        .backoff_ns = 20 * DURESS_MS,
        .jitter = DURESS_JITTER_NONE,
    };
    return stack_around(chaos, agent, &(struct duress_stack_options){.retry = &retry});
}

/* --- the connect --- */

CHAOS_TEST(toxic, refuse, "H1: a refused connection is reset at once and never dialed; open ones are left alone")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *before = chaos_link_agent(link);
    struct chaos_answer answer = chaos_ask(chaos, before, "before", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "before");
    struct duress_toxic refuse = toxic_make(DURESS_TOXIC_REFUSE, DURESS_DOWNSTREAM);
    uint64_t id = chaos_link_toxic(link, &refuse);
    struct duress_agent *agent = new_agent(link);

    answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    answer = chaos_ask(chaos, before, "still", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "still");
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 2);
    chaos_link_toxic_remove(link, id);
    answer = chaos_ask(chaos, agent, "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_ARRIVALS(echo, 3);
}

CHAOS_TEST(toxic, fail_first, "H1: the first three connections fail, the fourth is well: a retry gets there")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "before", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "before"); /* a connection from before the toxic does not count */
    struct duress_toxic fail = toxic_make(DURESS_TOXIC_FAIL_FIRST, DURESS_DOWNSTREAM);
    fail.as.fail_first.connections = 3;
    (void)chaos_link_toxic(link, &fail);
    struct duress_agent *agent = retry_around(chaos, new_agent(link), 6);

    answer = chaos_ask_idempotent(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 5);
    for (uint64_t i = 1; i < 4; i++)
        CHAOS_EXPECT_CODE(chaos_link_attempt(link, i).error, DURESS_E_RESET);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 5);
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(toxic, slow_open, "H1: a slow connect costs its delay once, on new connections only")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic slow = toxic_make(DURESS_TOXIC_SLOW_OPEN, DURESS_DOWNSTREAM);
    slow.as.slow_open.delay_ns = 300 * DURESS_MS;
    (void)chaos_link_toxic(link, &slow);
    struct duress_agent *agent = chaos_link_agent(link);

    struct chaos_answer first = chaos_ask(chaos, agent, "first", 10 * DURESS_S);
    struct chaos_answer second = chaos_ask(chaos, agent, "second", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(first, "first");
    CHAOS_EXPECT_ON_TIME(first.ended_ns, first.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_REPLY(second, "second");
    CHAOS_EXPECT_ON_TIME(second.ended_ns, second.started_ns, 0);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

CHAOS_TEST(toxic, slow_open_given_up, "H1: a caller that gives up during a slow connect leaves nothing open")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic slow = toxic_make(DURESS_TOXIC_SLOW_OPEN, DURESS_DOWNSTREAM);
    slow.as.slow_open.delay_ns = 5 * DURESS_S;
    (void)chaos_link_toxic(link, &slow);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 200 * DURESS_MS);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    chaos_pass(chaos, 10 * DURESS_MS + chaos_slack_ns(chaos)); /* until the link knows */
    chaos_link_clear(link);
    answer = chaos_ask(chaos, chaos_link_agent(link), "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_EQUAL(chaos_service_arrival(echo, 0).connection_number, 1); /* The first was never dialed. */
}

/* --- ends, as Toxiproxy has them --- */

CHAOS_TEST(toxic, timeout, "H1: nothing passes, and the connection ends after the timeout: the service saw nothing")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic timeout = toxic_make(DURESS_TOXIC_TIMEOUT, DURESS_UPSTREAM);
    timeout.as.timeout.timeout_ns = 300 * DURESS_MS;
    (void)chaos_link_toxic(link, &timeout);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_TRUNCATED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, 0);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(toxic, limit_data, "H1: the connection ends after so many bytes, inside the second reply")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_bytes = 1000);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic limit = toxic_make(DURESS_TOXIC_LIMIT_DATA, DURESS_DOWNSTREAM);
    limit.as.limit_data.bytes_max = 1900;
    (void)chaos_link_toxic(link, &limit);

    struct chaos_answer first = chaos_ask(chaos, chaos_link_agent(link), "first", 10 * DURESS_S);
    struct chaos_answer second = chaos_ask(chaos, chaos_link_agent(link), "second", 10 * DURESS_S);

    CHAOS_EXPECT_CODE(first.error, DURESS_OK);
    CHAOS_EXPECT_EQUAL(first.content_bytes, 1000);
    CHAOS_EXPECT_ERROR(second, DURESS_E_TRUNCATED);
    CHAOS_EXPECT(second.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

/* --- life times --- */

CHAOS_TEST(toxic, limit_time, "H1: a connection is closed when its time is over, though a request is at work on it")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 2 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_toxic limit = toxic_make(DURESS_TOXIC_LIMIT_TIME, DURESS_DOWNSTREAM);
    limit.as.limit_time.time_ns = 300 * DURESS_MS;
    (void)chaos_link_toxic(link, &limit);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_TRUNCATED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, chaos_fired_at_ns(link), 0);
    CHAOS_EXPECT_ARRIVALS(slow, 1);
    CHAOS_EXPECT_NOTHING_OPEN(link);
}

CHAOS_TEST(toxic, limit_time_though_data_flows, "H1: a busy connection is closed when its time is over, too")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic limit = toxic_make(DURESS_TOXIC_LIMIT_TIME, DURESS_UPSTREAM);
    limit.as.limit_time.time_ns = 250 * DURESS_MS;
    (void)chaos_link_toxic(link, &limit);
    struct duress_agent *agent = retry_around(chaos, chaos_link_agent(link), 3);

    for (int i = 0; i < 6; i++) {
        struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "hello");
        chaos_pass(chaos, 100 * DURESS_MS);
    }

    CHAOS_EXPECT_AT_LEAST(chaos_link_accepted(link), 2);
}

CHAOS_TEST(toxic, unplug, "H1: it works for a while, then nothing comes and nothing closes; put back, nothing is lost")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic unplug = toxic_make(DURESS_TOXIC_UNPLUG, DURESS_DOWNSTREAM);
    unplug.as.unplug.after_ns = 200 * DURESS_MS;
    uint64_t id = chaos_link_toxic(link, &unplug);
    struct duress_agent *agent = chaos_link_agent(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "works", 150 * DURESS_MS);
    CHAOS_EXPECT_REPLY(answer, "works");
    chaos_pass(chaos, 250 * DURESS_MS);
    struct chaos_call *call = chaos_begin(chaos, agent, "silence", 10 * DURESS_S, false);
    chaos_pass(chaos, 300 * DURESS_MS);

    CHAOS_EXPECT(!chaos_call_has_ended(call));
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_EQUAL(chaos_link_open_connections(link), 1);
    chaos_link_toxic_remove(link, id);
    answer = chaos_await(chaos, call);
    CHAOS_EXPECT_REPLY(answer, "silence");
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 300 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

/* --- packets --- */

/* A channel that changes state before each transmission: every segment is lost once, and comes with its second try. */
static struct duress_toxic loss_once(enum duress_direction direction, uint64_t rto_ns)
{
    struct duress_toxic loss = toxic_make(DURESS_TOXIC_PACKET_LOSS, direction);
    loss.as.packet_loss.good_to_bad_ppm = DURESS_PPM;
    loss.as.packet_loss.bad_to_good_ppm = DURESS_PPM;
    loss.as.packet_loss.bad_loss_ppm = DURESS_PPM;
    loss.as.packet_loss.rto_ns = rto_ns;
    return loss;
}

CHAOS_TEST(toxic, packet_lost_once, "H1: a lost segment comes one retransmission timeout later, and whole")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic loss = loss_once(DURESS_UPSTREAM, 150 * DURESS_MS);
    (void)chaos_link_toxic(link, &loss);
    loss = loss_once(DURESS_DOWNSTREAM, 100 * DURESS_MS);
    (void)chaos_link_toxic(link, &loss);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 250 * DURESS_MS);
}

CHAOS_TEST(toxic, packet_loss, "H1: a quarter of all segments is lost, in bursts; every reply is whole and in order")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_bytes = 2000);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic loss = toxic_make(DURESS_TOXIC_PACKET_LOSS, DURESS_DOWNSTREAM);
    loss.as.packet_loss.loss_ppm = 200000;
    loss.as.packet_loss.correlation_ppm = 150000;
    loss.as.packet_loss.segment_bytes_max = 100;
    loss.as.packet_loss.rto_ns = 5 * DURESS_MS;
    (void)chaos_link_toxic(link, &loss);
    struct duress_agent *agent = chaos_link_agent(link);
    uint64_t slowest_ns = 0;

    for (int i = 0; i < 4; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 30 * DURESS_S);
        CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
        CHAOS_EXPECT_EQUAL(answer.content_bytes, 2000);
        if (answer.ended_ns - answer.started_ns > slowest_ns)
            slowest_ns = answer.ended_ns - answer.started_ns;
    }

    CHAOS_EXPECT_AT_LEAST(slowest_ns, 5 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1);
}

/* --- rates and delays --- */

CHAOS_TEST(toxic, shared_bandwidth, "H1: two connections share one rate: together they take twice as long")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_bytes = 2000);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic shared = toxic_make(DURESS_TOXIC_SHARED_BANDWIDTH, DURESS_DOWNSTREAM);
    shared.as.shared_bandwidth.rate_bytes_per_s = 10000;
    (void)chaos_link_toxic(link, &shared);

    struct chaos_call *one = chaos_begin(chaos, new_agent(link), "one", 10 * DURESS_S, false);
    struct chaos_call *two = chaos_begin(chaos, new_agent(link), "two", 10 * DURESS_S, false);
    struct chaos_answer first = chaos_await(chaos, one);
    struct chaos_answer second = chaos_await(chaos, two);

    CHAOS_EXPECT_EQUAL(first.content_bytes, 2000);
    CHAOS_EXPECT_EQUAL(second.content_bytes, 2000);
    uint64_t last_ns = first.ended_ns > second.ended_ns ? first.ended_ns : second.ended_ns;
    uint64_t fair_ns = first.ended_ns < second.ended_ns ? first.ended_ns : second.ended_ns;
    CHAOS_EXPECT_AT_LEAST(last_ns - first.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(last_ns - first.started_ns, 500 * DURESS_MS + chaos_slack_ns(chaos));
    CHAOS_EXPECT_AT_LEAST(fair_ns - first.started_ns, 300 * DURESS_MS); /* They took turns. */
}

CHAOS_TEST(toxic, latency_distributed, "H1: delays of three distributions add up, each at least its least")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic normal = toxic_make(DURESS_TOXIC_LATENCY_NORMAL, DURESS_UPSTREAM);
    normal.as.latency_normal.latency_ns = 50 * DURESS_MS;
    (void)chaos_link_toxic(link, &normal);
    struct duress_toxic pareto = toxic_make(DURESS_TOXIC_LATENCY_PARETO, DURESS_UPSTREAM);
    pareto.as.latency_pareto.latency_ns = 20 * DURESS_MS;
    pareto.as.latency_pareto.shape_hundredths = 150;
    pareto.as.latency_pareto.limit_ns = 80 * DURESS_MS;
    (void)chaos_link_toxic(link, &pareto);
    struct duress_toxic measured = toxic_make(DURESS_TOXIC_LATENCY_QUANTILES, DURESS_DOWNSTREAM);
    measured.as.latency_quantiles.quantiles_ns[0] = 30 * DURESS_MS;
    measured.as.latency_quantiles.quantiles_ns[5] = 60 * DURESS_MS;
    (void)chaos_link_toxic(link, &measured);

    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 100 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 190 * DURESS_MS + chaos_slack_ns(chaos));
}

/* --- windows --- */

CHAOS_TEST(toxic, time_to_live, "H1: a toxic with a time to live removes itself, and what it held goes on")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic stall = toxic_make(DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    stall.ttl_ns = 400 * DURESS_MS;
    (void)chaos_link_toxic(link, &stall);
    uint64_t added_ns = chaos_now_ns(chaos);
    struct duress_agent *agent = chaos_link_agent(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, "hello");
    CHAOS_EXPECT_AT_MOST(answer.ended_ns, added_ns + 400 * DURESS_MS + chaos_slack_ns(chaos));
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 300 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
}

CHAOS_TEST(toxic, schedule, "H1: a toxic on a schedule acts in the first part of each period, and not in the rest")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic refuse = toxic_make(DURESS_TOXIC_REFUSE, DURESS_DOWNSTREAM);
    refuse.period_ns = 60 * DURESS_S;
    refuse.on_ns = 400 * DURESS_MS;
    (void)chaos_link_toxic(link, &refuse);
    struct duress_agent *agent = chaos_link_agent(link);

    struct chaos_answer answer = chaos_ask(chaos, agent, "on", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    chaos_pass(chaos, 450 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "off", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "off");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}
