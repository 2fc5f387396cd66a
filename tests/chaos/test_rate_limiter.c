/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limiter under many callers at once, row S9 of the plan: what arrives at the service, by its own log, stays
 * within rate * T + burst in every stretch of time T, whoever waits, is refused or gives up. */
#include <string.h>

#include <duress/chaos/chaos.h>
#include <duress/middleware/rate_limiter.h>

#define TOKEN_NS (10 * DURESS_MS) /* 100 a second, 5 at once, unless a test says otherwise */
#define BURST 5
#define PATIENCE_NS (30 * DURESS_S)

static struct duress_agent *limited(struct chaos *chaos, struct duress_agent *agent,
                                    struct duress_rate_limiter_options options)
{
    struct duress_agent *outer = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (options.shared == NULL) {
        options.bucket.burst = BURST;
        options.bucket.rate = options.bucket.rate != 0 ? options.bucket.rate : 100;
    }
    if (duress_with_rate_limiter(agent, &options, &outer, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a rate limiter; seen: %s", why.detail);
    chaos_keep(chaos, outer);
    return outer;
}

/* One connection for all calls: what is sent first arrives first. */
static struct duress_agent *in_order(struct chaos_link *link)
{
    return chaos_link_agent_with(link, .connections_max = 1, .in_flight_max = 64);
}

/* In every stretch from one arrival to another: what the network holds back may arrive together, so much the stretch is
 * longer for those who sent it. And from |started_ns|, when the bucket was full, to every arrival, to the nanosecond.
 */
static void expect_within_rate(struct chaos *chaos, struct chaos_service *service, uint64_t started_ns)
{
    uint64_t count = chaos_service_arrivals(service);
    for (uint64_t from = 0; from < count; from++) {
        uint64_t from_ns = chaos_service_arrival(service, from).at_ns;
        CHAOS_EXPECT_AT_MOST(from + 1, BURST + (from_ns - started_ns) / TOKEN_NS);
        for (uint64_t to = from; to < count; to++) {
            uint64_t stretch_ns = chaos_service_arrival(service, to).at_ns - from_ns + chaos_slack_ns(chaos);
            CHAOS_EXPECT_AT_MOST(to - from + 1, BURST + stretch_ns / TOKEN_NS);
        }
    }
}

/* The |index|-th arrival, from 0, after a start with a full bucket: not before its token, and no later than the slack.
 */
static void expect_its_turn(struct chaos *chaos, struct chaos_service *service, uint64_t index, uint64_t started_ns,
                            uint64_t token_ns)
{
    uint64_t wait_ns = index < BURST ? 0 : (index - BURST + 1) * token_ns;
    CHAOS_EXPECT_ON_TIME(chaos_service_arrival(service, index).at_ns, started_ns, wait_ns);
}

static void begin_many(struct chaos *chaos, struct duress_agent *agent, struct chaos_call **calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        calls[i] = chaos_begin(chaos, agent, (const char[2]){(char)('A' + i), '\0'}, PATIENCE_NS, false);
}

static void expect_text(struct chaos *chaos, struct chaos_service *service, uint64_t index, char letter)
{
    struct chaos_arrival arrival = chaos_service_arrival(service, index);
    CHAOS_EXPECT_EQUAL(arrival.text[0], letter);
}

CHAOS_TEST(rate_limiter, waiting_callers_arrive_at_the_rate,
           "S9: many callers at once are all answered, in order, as fast as tokens come in and no faster")
{
    enum { CALLS = 40 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = limited(chaos, in_order(link), (struct duress_rate_limiter_options){.shared = NULL});
    struct chaos_call *calls[CALLS];

    uint64_t started_ns = chaos_now_ns(chaos);
    begin_many(chaos, agent, calls, CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, ((const char[2]){(char)('A' + i), '\0'}));
    }

    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    expect_within_rate(chaos, echo, started_ns);
    for (uint64_t i = 0; i < CALLS; i++) {
        expect_its_turn(chaos, echo, i, started_ns, TOKEN_NS);
        expect_text(chaos, echo, i, (char)('A' + i));
    }
    CHAOS_EXPECT_AT_MOST(duress_rate_limiter_counts(agent).waited, CALLS - BURST);
    CHAOS_EXPECT_EQUAL(duress_rate_limiter_counts(agent).waiting, 0);
}

CHAOS_TEST(rate_limiter, callers_over_time_stay_within_the_rate,
           "S9: callers who come when they like, after idle times as well: no stretch of time has more than it may")
{
    enum { CALLS = 40 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = limited(chaos, in_order(link), (struct duress_rate_limiter_options){.shared = NULL});
    struct chaos_call *calls[CALLS];

    uint64_t started_ns = chaos_now_ns(chaos);
    for (size_t i = 0; i < CALLS; i++) {
        uint64_t most_ns = i % 10 == 9 ? 20 * TOKEN_NS : TOKEN_NS;
        chaos_pass(chaos, chaos_draw(chaos, i % 10 == 9 ? 8 * TOKEN_NS : 3 * DURESS_MS, most_ns));
        calls[i] = chaos_begin(chaos, agent, "x", PATIENCE_NS, false);
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "x");
    }

    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    expect_within_rate(chaos, echo, started_ns);
}

CHAOS_TEST(rate_limiter, refused_callers_never_arrive,
           "S9: refusing: the burst goes through, the others are told at once when to come back, and then are welcome")
{
    enum { CALLS = 20 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = limited(
        chaos, in_order(link), (struct duress_rate_limiter_options){.limit = {.mode = DURESS_RATE_LIMIT_REFUSE}});
    struct chaos_call *calls[CALLS];
    uint64_t passed = 0;

    uint64_t started_ns = chaos_now_ns(chaos);
    for (int round = 0; round < 8; round++) {
        uint64_t retry_after_ns = 0;
        uint64_t passed_before = passed;
        begin_many(chaos, agent, calls, CALLS);
        for (size_t i = 0; i < CALLS; i++) {
            struct chaos_answer answer = chaos_await(chaos, calls[i]);
            CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0); /* nobody waits */
            passed += answer.error == DURESS_OK;
            if (answer.error == DURESS_OK)
                continue;
            CHAOS_EXPECT_ERROR(answer, DURESS_E_RATE_LIMITED);
            CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_LIMITER);
            CHAOS_EXPECT(!answer.failure.ambiguous);
            CHAOS_EXPECT_AT_LEAST(answer.failure.retry_after_ns, 1);
            CHAOS_EXPECT_AT_MOST(answer.failure.retry_after_ns, TOKEN_NS);
            retry_after_ns = answer.failure.retry_after_ns;
        }
        CHAOS_EXPECT_AT_LEAST(passed, passed_before + 1);
        CHAOS_EXPECT_AT_LEAST(passed, BURST);
        chaos_pass(chaos, retry_after_ns);
    }

    CHAOS_EXPECT_AT_MOST(passed, 4 * CALLS); /* most were refused, also where the machine was busy meanwhile */
    CHAOS_EXPECT_ARRIVALS(echo, passed);
    expect_within_rate(chaos, echo, started_ns);
    CHAOS_EXPECT_EQUAL(duress_rate_limiter_counts(agent).refused_by[DURESS_RATE_BY_RATE], 8 * CALLS - passed);
}

CHAOS_TEST(rate_limiter, hopeless_callers_are_refused_at_once,
           "S9: a caller whose deadline is before its tokens does not wait for it, and takes nothing from the others")
{
    enum { CALLS = 25, TURN = CALLS - BURST + 1 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = limited(chaos, in_order(link), (struct duress_rate_limiter_options){.shared = NULL});
    struct chaos_call *calls[CALLS];

    uint64_t started_ns = chaos_now_ns(chaos);
    begin_many(chaos, agent, calls, CALLS);
    /* Simulated: at the very instant of its tokens. A busy machine may have lost some of the time. */
    struct chaos_answer hopeless =
        chaos_ask(chaos, agent, "hopeless", chaos_is_live(chaos) ? 5 * TOKEN_NS : TURN * TOKEN_NS);
    struct chaos_call *hopeful = chaos_begin(chaos, agent, "hopeful", PATIENCE_NS, false);

    CHAOS_EXPECT_ERROR(hopeless, DURESS_E_RATE_LIMITED);
    CHAOS_EXPECT_ON_TIME(hopeless.ended_ns, hopeless.started_ns, 0);
    CHAOS_EXPECT_AT_MOST(hopeless.failure.retry_after_ns, TURN * TOKEN_NS);
    CHAOS_EXPECT_AT_LEAST(hopeless.failure.retry_after_ns, chaos_is_live(chaos) ? 5 * TOKEN_NS : TURN * TOKEN_NS);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer patient = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(patient, ((const char[2]){(char)('A' + i), '\0'}));
    }
    struct chaos_answer answer = chaos_await(chaos, hopeful);
    CHAOS_EXPECT_REPLY(answer, "hopeful");
    CHAOS_EXPECT_ARRIVALS(echo, CALLS + 1);
    expect_its_turn(chaos, echo, CALLS, started_ns, TOKEN_NS);
    CHAOS_EXPECT_EQUAL(duress_rate_limiter_counts(agent).refused_by[DURESS_RATE_BY_DEADLINE], 1);
}

CHAOS_TEST(rate_limiter, the_queue_is_bounded, "S9: overload: no more callers wait than may, the others know at once")
{
    enum { CALLS = 30, WAITING_MAX = 10 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        limited(chaos, in_order(link), (struct duress_rate_limiter_options){.limit = {.waiting_max = WAITING_MAX}});
    struct chaos_call *calls[CALLS];

    uint64_t started_ns = chaos_now_ns(chaos);
    begin_many(chaos, agent, calls, CALLS);
    uint64_t late_count = (chaos_now_ns(chaos) - started_ns) / TOKEN_NS; /* a machine that is busy just then */
    uint64_t answered = 0;
    for (size_t i = CALLS; i-- > 0;) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        answered += answer.error == DURESS_OK;
        if (answer.error == DURESS_OK)
            continue;
        CHAOS_EXPECT_ERROR(answer, DURESS_E_RATE_LIMITED);
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
        CHAOS_EXPECT_AT_LEAST(i, BURST + WAITING_MAX);
    }
    CHAOS_EXPECT_AT_LEAST(answered, BURST + WAITING_MAX);
    CHAOS_EXPECT_AT_MOST(answered, BURST + WAITING_MAX + late_count);
    CHAOS_EXPECT_ARRIVALS(echo, answered);
    expect_within_rate(chaos, echo, started_ns);
}

CHAOS_TEST(rate_limiter, cancelled_waiters_give_their_place,
           "S9: who gives up while waiting takes no token and never arrives; those behind move up")
{
    enum { CALLS = 20, RATE = 20 }; /* slow enough for all to begin before the first token comes in */
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        limited(chaos, in_order(link), (struct duress_rate_limiter_options){.bucket.rate = RATE});
    struct chaos_call *calls[CALLS];
    bool gone[CALLS] = {false};

    uint64_t started_ns = chaos_now_ns(chaos);
    begin_many(chaos, agent, calls, CALLS);
    gone[BURST] = true; /* the head of the queue, for whom the timer is set */
    gone[CALLS - 1] = true;
    for (uint64_t i = 1; i < 7; i++)
        gone[chaos_draw(chaos, BURST + 2 * i, CALLS - 1)] = true;
    for (size_t i = 0; i < CALLS; i++) {
        if (gone[i])
            chaos_call_cancel(calls[i]);
    }
    uint64_t arrived = 0;
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        if (gone[i]) {
            CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
            CHAOS_EXPECT(!answer.failure.ambiguous);
            continue;
        }
        CHAOS_EXPECT_REPLY(answer, ((const char[2]){(char)('A' + i), '\0'}));
        expect_text(chaos, echo, arrived, (char)('A' + i));
        expect_its_turn(chaos, echo, arrived++, started_ns, DURESS_S / RATE);
    }
    CHAOS_EXPECT_ARRIVALS(echo, arrived);
    CHAOS_EXPECT_EQUAL(duress_rate_limiter_counts(agent).waiting, 0);
}

CHAOS_TEST(rate_limiter, agents_share_one_bucket,
           "S9: two agents with a bucket in common keep its rate together, and each gets its share of it")
{
    enum { CALLS = 15 };
    static struct duress_bucket bucket; /* the agents go after this function has returned */
    struct duress_bucket_options options = {.rate = 100, .burst = BURST};
    CHAOS_EXPECT(duress_bucket_init(&bucket, &options, NULL) == DURESS_OK);
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct duress_agent *agents[2];
    struct chaos_call *calls[2][CALLS];
    for (int i = 0; i < 2; i++)
        agents[i] = limited(chaos, in_order(chaos_link_open(chaos, echo)),
                            (struct duress_rate_limiter_options){.shared = &bucket});

    uint64_t started_ns = chaos_now_ns(chaos);
    for (int i = 0; i < 2; i++)
        begin_many(chaos, agents[i], calls[i], CALLS);
    struct chaos_answer answer = chaos_await(chaos, calls[1][4]); /* 5 + 2 * 5 tokens: before the first one's last */
    CHAOS_EXPECT_REPLY(answer, "E");
    CHAOS_EXPECT(!chaos_call_has_ended(calls[0][CALLS - 1]));
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < CALLS; j++) {
            answer = chaos_await(chaos, calls[i][j]);
            CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
        }
    }
    CHAOS_EXPECT_ARRIVALS(echo, 2 * CALLS);
    expect_within_rate(chaos, echo, started_ns);
}
