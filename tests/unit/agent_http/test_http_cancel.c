/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that are given up at any point, many at once, and without memory: each ends exactly once, and no connection,
 * handle, timer or byte is left. */
#include "http_rig.h"

#include <string.h>

/* --- at any point of the exchange --- */

struct point {
    struct http_rig *rig;
    struct http_answer *answer;
    uint32_t requests; /* so many had come before */
    uint32_t accepted;
    size_t say; /* so much of the reply is said */
};

/* The peer has said its part, or was there to be connected to. */
static bool point_is_reached(void *context)
{
    const struct point *point = context;
    if (point->answer->ended > 0)
        return true;
    return point->rig->requests > point->requests && point->rig->conns->say_max == 0;
}

static bool connection_came(void *context)
{
    const struct point *point = context;
    return point->rig->accepted > point->accepted;
}

static void assert_nothing_is_left(struct http_rig *rig, const struct duress_agent *agent)
{
    http_run_until_alone(rig);
    struct duress_http_agent_counts counts = duress_http_agent_counts(agent);
    assert_int_equal(counts.connections_open, 0);
    assert_int_equal(counts.calls_waiting, 0);
    assert_int_equal(counts.calls_in_flight, 0);
    assert_int_equal(duress_agent_in_flight_count(agent), 0);
}

static void a_call_given_up_after_any_byte_of_the_reply_ends_once(void **state)
{
    struct http_rig rig;
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    size_t whole = strlen(http_echo_answer());
    for (size_t say = 1; say < whole; say++) {
        struct http_answer answer = {.ended = 0};
        struct point point = {&rig, &answer, rig.requests, rig.accepted, say};
        rig.say_max = say;
        http_ask(agent, "x", &answer);
        http_run_until(&rig, point_is_reached, &point);
        assert_int_equal(answer.ended, 0);
        duress_call_cancel(answer.call);
        assert_int_equal(answer.ended, 0); /* not inside */
        http_run_until_ended(&rig, &answer);
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
        assert_nothing_is_left(&rig, agent);
        assert_true(rig.conns->was_reset || rig.conns->ended);
    }
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* Before its turn, before the name is known, before the connect, before the request. */
static void a_call_given_up_before_it_was_sent_ends_once(void **state)
{
    struct http_rig rig;
    char url[64];
    (void)state;
    http_rig_open(&rig);
    (void)snprintf(url, sizeof url, "http://localhost:%u", rig.port);
    struct duress_http_agent_options options = {.url = url, .connections_max = 1};
    for (uint32_t turns = 0; turns < 6; turns++) {
        struct duress_agent *agent = http_rig_agent(&rig, &options);
        struct http_answer answers[3] = {{.ended = 0}};
        for (size_t i = 0; i < 3; i++)
            http_ask(agent, "x", &answers[i]);
        for (uint32_t i = 0; i < turns; i++) /* each runs the world for one turn */
            (void)duress_world_run_until(rig.world, NULL, NULL, duress_world_now_ns(rig.world));
        for (size_t i = 0; i < 3; i++)
            if (answers[i].call != NULL)
                duress_call_cancel(answers[i].call);
        for (size_t i = 0; i < 3; i++) {
            http_run_until_ended(&rig, &answers[i]);
            assert_true(answers[i].error == DURESS_E_CANCELLED || answers[i].error == DURESS_OK);
            http_answer_clear(&answers[i]);
        }
        assert_int_equal(duress_http_agent_counts(agent).calls_waiting, 0);
        assert_int_equal(duress_http_agent_counts(agent).calls_in_flight, 0);
        duress_agent_unref(agent);
        http_run_until_alone(&rig);
    }
    http_rig_close(&rig);
}

static void a_deadline_ends_the_exchange_and_says_where_it_was(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    struct point point = {&rig, &answer, 0, 0, 0};
    rig.answer = http_echo_answer();
    rig.say_max = 30;
    uint64_t deadline_ns = duress_world_now_ns(rig.world) + 100 * DURESS_MS;
    assert_int_equal(http_try_ask(agent, "x", deadline_ns, false, &answer), DURESS_OK);
    http_run_until(&rig, connection_came, &point);
    http_run_until_ended(&rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_true(answer.failure.ambiguous);
    assert_true(answer.ended_ns >= deadline_ns);
    assert_string_equal(answer.failure.detail, "the call's deadline passed while waiting for the reply");
    assert_nothing_is_left(&rig, agent);
    assert_true(rig.conns->was_reset);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* A peer that does not read has the request's beginning in its buffers: that is ambiguous too. */
static void a_request_that_is_stuck_half_way_is_ambiguous(void **state)
{
    static char large[8 * 1024 * 1024];
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    memset(large, 'z', sizeof large - 1);
    http_rig_open(&rig);
    rig.deaf = true;
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    uint64_t deadline_ns = duress_world_now_ns(rig.world) + 2 * DURESS_S;
    assert_int_equal(http_try_ask(agent, large, deadline_ns, false, &answer), DURESS_OK);
    http_run_until_ended(&rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_true(answer.failure.ambiguous);
    assert_string_equal(answer.failure.detail, "the call's deadline passed while sending the request");
    assert_nothing_is_left(&rig, agent);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* The agent's last reference may go inside the end of its last call. */
static void drop_agent(struct http_answer *answer, void *context)
{
    struct duress_agent **agent = context;
    (void)answer;
    duress_agent_unref(*agent);
    *agent = NULL;
}

static void an_agent_may_be_dropped_at_the_end_of_a_call(void **state)
{
    struct http_rig rig;
    (void)state;
    http_rig_open(&rig);
    for (int i = 0; i < 2; i++) {
        struct duress_agent *agent = http_rig_agent(&rig, NULL);
        struct http_answer answer = {.then = drop_agent, .then_context = &agent};
        if (i == 1)
            rig.after = HTTP_RST, rig.say_max = 10;
        http_ask(agent, "x", &answer);
        http_run_until_ended(&rig, &answer);
        assert_null(agent);
        http_run_until_alone(&rig);
        http_answer_clear(&answer);
    }
    http_rig_close(&rig);
}

/* --- many at once --- */

enum { CALL_COUNT = 1000 };

struct crowd_call {
    struct http_answer answer;
    struct crowd *crowd;
    bool doomed; /* will be given up */
    struct duress_timer begin;
    struct duress_timer cancel;
};

struct crowd {
    struct http_rig rig;
    struct duress_agent *agent;
    struct duress_prng prng;
    uint32_t ended;
    uint32_t cancelled;
    uint32_t replied;
    struct crowd_call calls[CALL_COUNT];
};

static struct crowd the_crowd;

static void crowd_ended(struct http_answer *answer, void *context)
{
    struct crowd_call *call = context;
    call->crowd->ended++;
    call->crowd->cancelled += answer->error == DURESS_E_CANCELLED;
    call->crowd->replied += answer->error == DURESS_OK;
    duress_world_disarm(call->crowd->rig.world, &call->cancel);
}

static void crowd_begin(void *context)
{
    struct crowd_call *call = context;
    bool streaming = duress_prng_below(&call->crowd->prng, 4) == 0;
    call->answer.then = crowd_ended;
    call->answer.then_context = call;
    assert_int_equal(http_try_ask(call->crowd->agent, call->doomed ? "doomed" : "x", 0, streaming, &call->answer),
                     DURESS_OK);
}

static void crowd_cancel(void *context)
{
    struct crowd_call *call = context;
    if (call->answer.call != NULL)
        duress_call_cancel(call->answer.call);
}

/* Some replies are whole, some break off, some are errors; to those who will give up some never come, or half. */
static void random_mood(void *context, struct http_conn *conn)
{
    struct crowd *crowd = context;
    uint64_t mood = duress_prng_below(&crowd->prng, 20);
    bool streams = strcmp(conn->method, "stream") == 0;
    bool doomed = strcmp(conn->content, "doomed") == 0;
    if (doomed && mood < 8)
        return; /* nothing, ever */
    if (mood == 1) {
        http_conn_rst(conn);
        return;
    }
    if (mood == 2) {
        http_conn_say(conn, http_reply("503 No", "Retry-After: 1\r\n", ""));
        return;
    }
    if (doomed && mood < 14)
        conn->say_max = (size_t)duress_prng_between(&crowd->prng, 1, 200);
    if (!streams) {
        http_conn_say(conn, http_echo_answer());
        return;
    }
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("one"));
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("two") HTTP_END_EVENT);
    http_conn_say_last_chunk(conn);
}

static bool crowd_has_ended(void *context)
{
    return ((struct crowd *)context)->ended == CALL_COUNT;
}

static void crowd_run(struct crowd *crowd, uint64_t seed)
{
    *crowd = (struct crowd){.ended = 0};
    http_rig_open(&crowd->rig);
    duress_prng_init(&crowd->prng, seed, 1);
    struct duress_http_agent_options options = {.connections_max = 128};
    crowd->agent = http_rig_agent(&crowd->rig, &options);
    crowd->rig.on_request = random_mood;
    crowd->rig.context = crowd;
    uint64_t now_ns = duress_world_now_ns(crowd->rig.world);
    for (size_t i = 0; i < CALL_COUNT; i++) {
        struct crowd_call *call = &crowd->calls[i];
        uint64_t begin_ns = now_ns + duress_prng_below(&crowd->prng, 20 * DURESS_MS);
        call->crowd = crowd;
        duress_timer_init(&call->begin, crowd_begin, call);
        duress_timer_init(&call->cancel, crowd_cancel, call);
        duress_world_arm(crowd->rig.world, &call->begin, begin_ns);
        call->doomed = i % 3 == 0;
        if (call->doomed)
            duress_world_arm(crowd->rig.world, &call->cancel,
                             begin_ns + duress_prng_below(&crowd->prng, 30 * DURESS_MS));
    }
    http_run_until(&crowd->rig, crowd_has_ended, crowd);
    assert_true(crowd->cancelled > 100);
    assert_true(crowd->replied > 300);
    struct duress_http_agent_counts counts = duress_http_agent_counts(crowd->agent);
    assert_int_equal(counts.calls_waiting, 0);
    assert_true(counts.connections_open <= 128);
    assert_int_equal(duress_agent_in_flight_count(crowd->agent), 0);
    for (size_t i = 0; i < CALL_COUNT; i++) {
        assert_int_equal(crowd->calls[i].answer.ended, 1);
        assert_false(duress_timer_is_armed(&crowd->calls[i].cancel));
        http_answer_clear(&crowd->calls[i].answer);
    }
    duress_agent_unref(crowd->agent);
    http_run_until_alone(&crowd->rig);
    http_rig_close(&crowd->rig);
}

static void of_a_thousand_calls_each_ends_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        crowd_run(&the_crowd, seed);
}

/* --- without memory --- */

/* One exchange of each kind, the n-th allocation of the agent's failing. What it was, is said; nothing leaks. */
static bool scenario(uint64_t after, bool once)
{
    struct http_rig rig;
    struct duress_agent *agent = NULL;
    char url[64];
    http_rig_open(&rig);
    rig.heap.fail_after = after;
    rig.heap.fail_once = once;
    (void)snprintf(url, sizeof url, "http://localhost:%u", rig.port);
    static const char *const headers[] = {"A: b"};
    struct duress_http_agent_options options = {
        .world = rig.world,
        .url = url,
        .agent_name = "name",
        .headers = headers,
        .header_count = 1,
        .allocator = &rig.heap.allocator,
    };
    int error = duress_http_agent_new(&options, &agent, NULL);
    assert_int_equal(error, agent != NULL ? DURESS_OK : DURESS_E_NO_MEMORY);
    for (int i = 0; agent != NULL && i < 4; i++) {
        struct http_answer answer = {.ended = 0};
        rig.answer =
            i % 2 == 0 ? http_echo_answer() : HTTP_STREAM_HEAD "0\r\n\r\n"; /* an event stream without its end */
        error =
            i % 2 == 0 ? http_ask_and_wait(&rig, agent, "x", &answer) : http_stream_and_wait(&rig, agent, "x", &answer);
        int expected = i % 2 == 0 ? DURESS_OK : DURESS_E_TRUNCATED;
        if (error != expected) {
            assert_int_equal(error, DURESS_E_NO_MEMORY);
            assert_true(rig.heap.tripped);
        }
        http_answer_clear(&answer);
    }
    bool tripped = rig.heap.tripped;
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig); /* asserts that nothing lives */
    return tripped;
}

static void the_nth_allocation_may_fail(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        uint64_t after = 0;
        while (scenario(after, once == 1))
            after++;
        assert_true(after > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_given_up_after_any_byte_of_the_reply_ends_once),
        cmocka_unit_test(a_call_given_up_before_it_was_sent_ends_once),
        cmocka_unit_test(a_deadline_ends_the_exchange_and_says_where_it_was),
        cmocka_unit_test(a_request_that_is_stuck_half_way_is_ambiguous),
        cmocka_unit_test(an_agent_may_be_dropped_at_the_end_of_a_call),
        cmocka_unit_test(of_a_thousand_calls_each_ends_once),
        cmocka_unit_test(the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
