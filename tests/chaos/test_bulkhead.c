/* SPDX-License-Identifier: Apache-2.0
 *
 * The bulkhead under many callers at once, row S9 of the plan: the service, by its own log, never works on more
 * requests at once than the limit, whoever waits, is refused, fails or gives up; and it works on that many where so
 * many ask. */
#include <string.h>

#include <duress/chaos/chaos.h>
#include <duress/middleware/bulkhead.h>

#define THINK_NS (20 * DURESS_MS)
#define PATIENCE_NS (30 * DURESS_S)

enum { LIMIT = 4 };

static struct duress_agent *bulkhead_of(struct chaos *chaos, struct duress_agent *agent,
                                        struct duress_bulkhead_layer_options options)
{
    struct duress_agent *outer = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (options.shared == NULL && options.adaptive == NULL && options.bulkhead.limit == 0)
        options.bulkhead.limit = LIMIT;
    if (duress_with_bulkhead(agent, &options, &outer, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a bulkhead; seen: %s", why.detail);
    chaos_keep(chaos, outer);
    return outer;
}

/* One connection for all calls: what is sent first arrives first. */
static struct duress_agent *in_order(struct chaos_link *link)
{
    return chaos_link_agent_with(link, .connections_max = 1, .in_flight_max = 64);
}

/* How many requests the service worked on when the |index|-th one arrived, that one included. */
static uint64_t at_work(struct chaos_service *service, uint64_t index)
{
    uint64_t at_ns = chaos_service_arrival(service, index).at_ns;
    uint64_t count = 1;
    for (uint64_t i = 0; i < index; i++) {
        uint64_t ended_ns = chaos_service_arrival(service, i).ended_ns;
        count += ended_ns == 0 || ended_ns > at_ns;
    }
    return count;
}

/* The most at once among the arrivals from |first| on. */
static uint64_t at_work_max(struct chaos_service *service, uint64_t first)
{
    uint64_t most = 0;
    for (uint64_t i = first; i < chaos_service_arrivals(service); i++) {
        uint64_t count = at_work(service, i);
        most = count > most ? count : most;
    }
    return most;
}

static void begin_many(struct chaos *chaos, struct duress_agent *agent, struct chaos_call **calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        calls[i] = chaos_begin(chaos, agent, (const char[2]){(char)('A' + i), '\0'}, PATIENCE_NS, false);
}

static void await_replies(struct chaos *chaos, struct chaos_call **calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, ((const char[2]){(char)('A' + i), '\0'}));
    }
}

static void expect_text(struct chaos *chaos, struct chaos_service *service, uint64_t index, char letter)
{
    struct chaos_arrival arrival = chaos_service_arrival(service, index);
    CHAOS_EXPECT_EQUAL(arrival.text[0], letter);
}

/* The |index|-th arrival was let in by the end of the one that is |limit| before it, and then at once. */
static void expect_its_turn(struct chaos *chaos, struct chaos_service *service, uint64_t index, uint64_t limit)
{
    struct chaos_arrival before = chaos_service_arrival(service, index - limit);
    CHAOS_EXPECT_ON_TIME(chaos_service_arrival(service, index).at_ns, before.ended_ns, 0);
}

static void expect_refused(struct chaos *chaos, struct chaos_answer answer, const char *detail)
{
    CHAOS_EXPECT_ERROR(answer, DURESS_E_BULKHEAD_FULL);
    CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_BULKHEAD);
    CHAOS_EXPECT_EQUAL(answer.failure.retry_after_ns, 0);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    if (strcmp(answer.failure.detail, detail) != 0)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: %s; seen: %s", detail, answer.failure.detail);
}

static void expect_empty(struct chaos *chaos, const struct duress_agent *agent)
{
    struct duress_bulkhead_counts counts = duress_bulkhead_counts(agent);
    CHAOS_EXPECT_EQUAL(counts.running, 0);
    CHAOS_EXPECT_EQUAL(counts.waiting, 0);
    CHAOS_EXPECT_EQUAL(counts.calls.in_flight, 0);
}

CHAOS_TEST(bulkhead, waiting_callers_arrive_when_others_end,
           "S9: many at once are answered in order; at work: never more than the limit")
{
    enum { CALLS = 40 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.shared = NULL});
    struct chaos_call *calls[CALLS];

    begin_many(chaos, agent, calls, CALLS);
    await_replies(chaos, calls, CALLS);

    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), LIMIT);
    for (uint64_t i = 0; i < CALLS; i++) {
        expect_text(chaos, echo, i, (char)('A' + i));
        if (i >= LIMIT)
            expect_its_turn(chaos, echo, i, LIMIT);
    }
    CHAOS_EXPECT_EQUAL(duress_bulkhead_counts(agent).waited, CALLS - LIMIT);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, refused_callers_never_arrive,
           "S9: refusing: as many as allowed go through, others are told at once")
{
    enum { CALLS = 20, ROUNDS = 5 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.mode = DURESS_BULKHEAD_REFUSE});
    struct chaos_call *calls[CALLS];

    for (int round = 0; round < ROUNDS; round++) {
        begin_many(chaos, agent, calls, CALLS);
        for (size_t i = CALLS; i-- > LIMIT;) {
            struct chaos_answer refused = chaos_await(chaos, calls[i]);
            expect_refused(chaos, refused, "all slots are taken");
            CHAOS_EXPECT_ON_TIME(refused.ended_ns, refused.started_ns, 0);
        }
        await_replies(chaos, calls, LIMIT);
    }

    CHAOS_EXPECT_ARRIVALS(echo, ROUNDS * LIMIT);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), LIMIT);
    CHAOS_EXPECT_EQUAL(duress_bulkhead_counts(agent).refused_full, ROUNDS * (CALLS - LIMIT));
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, failures_give_their_slot_back,
           "S9: callers who come when they like, of a service that first fails: a failed call keeps no slot")
{
    enum { CALLS = 40, FAILURES = 15 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS, .fail_count = FAILURES);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.shared = NULL});
    struct chaos_call *calls[CALLS];

    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = chaos_begin(chaos, agent, "x", 5 * DURESS_S, false);
        chaos_pass(chaos, chaos_draw(chaos, DURESS_MS, THINK_NS / 2));
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_CODE(answer.error, i < FAILURES ? DURESS_E_REMOTE : DURESS_OK);
    }

    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    CHAOS_EXPECT_AT_MOST(at_work_max(echo, 0), LIMIT);
    expect_empty(chaos, agent);
}

static bool both_given_up(void *context)
{
    return chaos_service_cancelled(context) == 2;
}

CHAOS_TEST(bulkhead, callers_that_give_up_give_their_slot_back,
           "S9: a call that is cancelled or out of time while the service works on it lets the next one in at once")
{
    enum { LIMIT_HERE = 2, CALLS = 5 };
    struct chaos_service *slow =
        chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = LIMIT_HERE);
    struct duress_agent *agent = bulkhead_of(chaos, chaos_link_agent(chaos_link_open(chaos, slow)),
                                             (struct duress_bulkhead_layer_options){.bulkhead.limit = LIMIT_HERE});
    struct chaos_call *calls[CALLS];

    /* Both are at work, and the others wait for them. */
    calls[0] = chaos_begin(chaos, agent, "A", PATIENCE_NS, false);
    calls[1] = chaos_begin(chaos, agent, "B", 400 * DURESS_MS, false);
    chaos_pass(chaos, 100 * DURESS_MS + chaos_draw(chaos, 0, 200 * DURESS_MS));
    CHAOS_EXPECT_ARRIVALS(slow, LIMIT_HERE);
    calls[2] = chaos_begin(chaos, agent, "C", PATIENCE_NS, false);
    bool late = chaos_call_has_ended(calls[1]); /* on a machine that is busy just then */
    uint64_t cancelled_ns = chaos_now_ns(chaos);
    chaos_call_cancel(calls[0]);
    struct chaos_answer third = chaos_await(chaos, calls[2]);
    CHAOS_EXPECT_REPLY(third, "C");
    if (!late)
        CHAOS_EXPECT_ON_TIME(chaos_service_arrival(slow, 2).at_ns, cancelled_ns, 0);

    struct chaos_answer out_of_time = chaos_await(chaos, calls[1]);
    CHAOS_EXPECT_ERROR(out_of_time, DURESS_E_DEADLINE);
    calls[3] = chaos_begin(chaos, agent, "D", PATIENCE_NS, false);
    calls[4] = chaos_begin(chaos, agent, "E", PATIENCE_NS, false);
    for (size_t i = 3; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
    }
    struct chaos_answer cancelled = chaos_await(chaos, calls[0]);
    CHAOS_EXPECT_ERROR(cancelled, DURESS_E_CANCELLED);
    CHAOS_EXPECT(chaos_until(chaos, both_given_up, slow, chaos_slack_ns(chaos)));
    CHAOS_EXPECT_ARRIVALS(slow, CALLS);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, waits_end_on_time, "S9: who gets no slot within wait_ns_max is refused at that instant")
{
    enum { CALLS = 4 };
    static const uint64_t think_ns = 400 * DURESS_MS;
    static const uint64_t wait_ns_max = 600 * DURESS_MS;
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = think_ns);
    struct duress_agent *agent =
        bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                    (struct duress_bulkhead_layer_options){.bulkhead.limit = 1, .wait_ns_max = wait_ns_max});
    struct chaos_call *calls[CALLS];

    begin_many(chaos, agent, calls, CALLS);
    /* The second one gets its slot after the first, and is answered after more than wait_ns_max. */
    await_replies(chaos, calls, 2);
    for (size_t i = 2; i < CALLS; i++) {
        struct chaos_answer late = chaos_await(chaos, calls[i]);
        expect_refused(chaos, late, "no slot came free in time");
        CHAOS_EXPECT_ON_TIME(late.ended_ns, late.started_ns, wait_ns_max);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_EQUAL(duress_bulkhead_counts(agent).refused_late, 2);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, deadlines_end_waits,
           "S9: who waits for a slot until its deadline has passed is told so then, and the service never hears of it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 300 * DURESS_MS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.bulkhead.limit = 1});

    struct chaos_call *first = chaos_begin(chaos, agent, "first", PATIENCE_NS, false);
    struct chaos_answer late = chaos_ask(chaos, agent, "late", 50 * DURESS_MS);
    struct chaos_answer next = chaos_ask(chaos, agent, "next", PATIENCE_NS);

    CHAOS_EXPECT_ERROR(late, DURESS_E_DEADLINE);
    CHAOS_EXPECT(!late.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(late.ended_ns, late.started_ns, 50 * DURESS_MS);
    struct chaos_answer answer = chaos_await(chaos, first);
    CHAOS_EXPECT_REPLY(answer, "first");
    CHAOS_EXPECT_REPLY(next, "next");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, the_queue_is_bounded,
           "S9: no more callers wait than may, the others know at once; who gives up waiting makes room for another")
{
    enum { CALLS = 30, WAITING_MAX = 10, ROOM = LIMIT + WAITING_MAX };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.waiting_max = WAITING_MAX});
    struct chaos_call *calls[CALLS];

    begin_many(chaos, agent, calls, ROOM + 1);
    chaos_call_cancel(calls[ROOM - 1]); /* the last one for whom there was room */
    for (size_t i = ROOM + 1; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, "z", PATIENCE_NS, false);

    for (size_t i = CALLS; i-- > ROOM;) {
        if (i == ROOM + 1)
            continue;
        struct chaos_answer refused = chaos_await(chaos, calls[i]);
        expect_refused(chaos, refused, "all slots are taken, and too many calls wait");
        CHAOS_EXPECT_ON_TIME(refused.ended_ns, refused.started_ns, 0);
    }
    await_replies(chaos, calls, ROOM - 1);
    struct chaos_answer cancelled = chaos_await(chaos, calls[ROOM - 1]);
    CHAOS_EXPECT_ERROR(cancelled, DURESS_E_CANCELLED);
    struct chaos_answer answer = chaos_await(chaos, calls[ROOM + 1]);
    CHAOS_EXPECT_REPLY(answer, "z");
    CHAOS_EXPECT_ARRIVALS(echo, ROOM);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), LIMIT);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, cancelled_waiters_give_their_place,
           "S9: who gives up while waiting never arrives; those behind move up, in order")
{
    enum { CALLS = 20 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.shared = NULL});
    struct chaos_call *calls[CALLS];
    bool gone[CALLS] = {false};

    begin_many(chaos, agent, calls, CALLS);
    gone[LIMIT] = true; /* the first in the queue, and the last */
    gone[CALLS - 1] = true;
    for (uint64_t i = 1; i < 7; i++)
        gone[chaos_draw(chaos, LIMIT + 2 * i, CALLS - 1)] = true;
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
        if (arrived >= LIMIT)
            expect_its_turn(chaos, echo, arrived, LIMIT);
        arrived++;
    }
    CHAOS_EXPECT_ARRIVALS(echo, arrived);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, a_raised_limit_is_given_out_in_order,
           "S9: a limit that is raised while callers wait lets in those who wait, in order, before any newcomer")
{
    enum { CALLS = 10, RAISED = 3 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agent = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                             (struct duress_bulkhead_layer_options){.bulkhead.limit = 1});
    struct chaos_call *calls[CALLS];

    uint64_t started_ns = chaos_now_ns(chaos);
    begin_many(chaos, agent, calls, CALLS - 1);
    duress_bulkhead_set_limit(duress_bulkhead_of(agent), RAISED);
    calls[CALLS - 1] = chaos_begin(chaos, agent, "J", PATIENCE_NS, false); /* the newcomer */
    await_replies(chaos, calls, CALLS);

    CHAOS_EXPECT_ARRIVALS(echo, CALLS);
    for (uint64_t i = 0; i < CALLS; i++)
        expect_text(chaos, echo, i, (char)('A' + i));
    for (uint64_t i = 1; i < RAISED; i++) /* the newcomer found the slots, for those who wait */
        CHAOS_EXPECT_ON_TIME(chaos_service_arrival(echo, i).at_ns, started_ns, 0);
    for (uint64_t i = RAISED; i < CALLS; i++)
        expect_its_turn(chaos, echo, i, RAISED);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), RAISED);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, agents_share_one_bulkhead,
           "S9: two agents with a bulkhead in common keep its limit together, and who has waited longest comes first")
{
    enum { CALLS = 10 };
    static struct duress_bulkhead shared; /* the agents go after this function has returned */
    CHAOS_EXPECT(duress_bulkhead_init(&shared, &(struct duress_bulkhead_options){.limit = LIMIT}, NULL) == DURESS_OK);
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = THINK_NS);
    struct duress_agent *agents[2];
    struct chaos_call *calls[2][CALLS];
    for (int i = 0; i < 2; i++)
        agents[i] = bulkhead_of(chaos, in_order(chaos_link_open(chaos, echo)),
                                (struct duress_bulkhead_layer_options){.shared = &shared});

    for (int i = 0; i < 2; i++)
        begin_many(chaos, agents[i], calls[i], CALLS);
    struct chaos_answer first_of_second = chaos_await(chaos, calls[1][0]);
    CHAOS_EXPECT_REPLY(first_of_second, "A");
    struct chaos_answer behind = chaos_await(chaos, calls[0][CALLS - LIMIT - 1]);
    CHAOS_EXPECT_AT_MOST(behind.ended_ns, first_of_second.ended_ns); /* of the other agent, and LIMIT + 1 before it */
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < CALLS; j++) {
            struct chaos_answer answer = chaos_await(chaos, calls[i][j]);
            CHAOS_EXPECT_CODE(answer.error, DURESS_OK);
        }
    }
    for (int i = 0; i < 2; i++)
        expect_empty(chaos, agents[i]);
    CHAOS_EXPECT_ARRIVALS(echo, 2 * CALLS);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), LIMIT);
}

/* --- the limit that is found out --- */

static struct duress_agent *adaptive_of(struct chaos *chaos, struct duress_agent *agent,
                                        struct duress_adaptive_limit_options adaptive)
{
    return bulkhead_of(chaos, agent, (struct duress_bulkhead_layer_options){.adaptive = &adaptive});
}

static void ask_many(struct chaos *chaos, struct duress_agent *agent, size_t count)
{
    struct chaos_call *calls[320];
    for (size_t i = 0; i < count; i++)
        calls[i] = chaos_begin(chaos, agent, "x", PATIENCE_NS, false);
    for (size_t i = 0; i < count; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "x");
    }
}

/* The most that arrived within |stretch_ns| of another, from the arrival |first| on. */
static uint64_t arrived_within(struct chaos_service *service, uint64_t first, uint64_t stretch_ns)
{
    uint64_t most = 0;
    uint64_t count = chaos_service_arrivals(service);
    for (uint64_t from = first; from < count; from++) {
        uint64_t to = from;
        uint64_t end_ns = chaos_service_arrival(service, from).at_ns + stretch_ns;
        while (to < count && chaos_service_arrival(service, to).at_ns < end_ns)
            to++;
        most = to - from > most ? to - from : most;
    }
    return most;
}

CHAOS_TEST(bulkhead, an_adaptive_limit_follows_the_answer_times,
           "S9: answers get slow: fewer calls at once; they are quick again: as many as before")
{
    enum { MOST = 16, FEW = MOST / 2 };
    static const uint64_t slow_ns = 60 * DURESS_MS;
    struct chaos_service *echo =
        chaos_service_start(chaos, "echo", .reply_after_ns = 10 * DURESS_MS, .in_flight_max = 64);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = adaptive_of(chaos, in_order(link),
                                             (struct duress_adaptive_limit_options){.limit_initial = MOST,
                                                                                    .limit_min = 2,
                                                                                    .limit_max = MOST,
                                                                                    .window_ns = DURESS_MS,
                                                                                    .samples_min = 4,
                                                                                    .smoothing_ppm = 500000,
                                                                                    .queue_allowance = 1,
                                                                                    .tolerance_ppm = 1200000});

    ask_many(chaos, agent, 10 * MOST);
    CHAOS_EXPECT_EQUAL(at_work_max(echo, 0), MOST);
    if (chaos_slack_ns(chaos) == 0) /* that most callers waited long for their slot makes no answer slower */
        CHAOS_EXPECT_AT_LEAST(at_work_max(echo, 8 * MOST), MOST - FEW / 2);

    chaos_link_latency(link, slow_ns);
    ask_many(chaos, agent, 5 * MOST);
    CHAOS_EXPECT_AT_MOST(duress_bulkhead_counts(agent).limit, FEW);
    /* By the service's log as well: one round trip apart, and no more than so many in each. */
    CHAOS_EXPECT_AT_MOST(arrived_within(echo, chaos_service_arrivals(echo) - 2 * FEW, slow_ns), FEW + FEW / 2);

    chaos_link_clear(link);
    uint64_t quick_again = chaos_service_arrivals(echo);
    ask_many(chaos, agent, 18 * MOST);
    CHAOS_EXPECT_AT_LEAST(at_work_max(echo, quick_again), MOST - FEW / 2);
    CHAOS_EXPECT_AT_MOST(at_work_max(echo, 0), MOST);
    expect_empty(chaos, agent);
}

CHAOS_TEST(bulkhead, an_adaptive_limit_spares_a_service_that_sheds,
           "S9: a service refuses what is too much: the limit that two agents share comes down to what it bears")
{
    enum { BEARS = 5, CALLERS = 8, BOTH = 2 * CALLERS, ROUNDS = 8 };
    static struct duress_bulkhead shared;
    static struct duress_adaptive_limit found;
    struct duress_adaptive_limit_options adaptive = {
        .rule = DURESS_ADAPTIVE_AIMD,
        .limit_initial = BOTH,
        .limit_min = 1,
        .limit_max = BOTH,
        .window_ns = DURESS_MS,
        .samples_min = BOTH,
        .backoff_ppm = 500000,
    };
    CHAOS_EXPECT_CODE(duress_bulkhead_init(&shared, NULL, NULL), DURESS_OK);
    CHAOS_EXPECT_CODE(duress_adaptive_limit_init(&found, &adaptive, NULL), DURESS_OK);
    struct chaos_service *weak =
        chaos_service_start(chaos, "weak", .reply_after_ns = 10 * DURESS_MS, .requests_max = BEARS);
    struct duress_agent *agents[2];
    struct chaos_call *calls[BOTH];
    uint64_t shed[2] = {0, 0}; /* at first, and later */
    for (int i = 0; i < 2; i++)
        agents[i] = bulkhead_of(chaos, in_order(chaos_link_open(chaos, weak)),
                                (struct duress_bulkhead_layer_options){.shared = &shared, .shared_adaptive = &found});

    for (int round = 0; round < 2 * ROUNDS; round++) {
        for (int i = 0; i < 2; i++)
            begin_many(chaos, agents[i], &calls[i * CALLERS], CALLERS);
        for (size_t i = 0; i < BOTH; i++) {
            struct chaos_answer answer = chaos_await(chaos, calls[i]);
            if (answer.error == DURESS_OK)
                continue;
            CHAOS_EXPECT_ERROR(answer, DURESS_E_OVERLOADED);
            shed[round / ROUNDS]++;
        }
    }

    CHAOS_EXPECT_AT_LEAST(shed[0], BEARS);                      /* it has been too much */
    CHAOS_EXPECT_AT_MOST(shed[1], ROUNDS * (BOTH - BEARS) / 2); /* without it: all of that */
    CHAOS_EXPECT_ARRIVALS(weak, 2 * ROUNDS * BOTH - shed[0] - shed[1]);
    CHAOS_EXPECT_EQUAL(at_work_max(weak, chaos_service_arrivals(weak) / 2), BEARS); /* and uses all of that */
    for (int i = 0; i < 2; i++)
        expect_empty(chaos, agents[i]);
}
