/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 with a peer that is not ours: calls that are given up, connections that end, and a crowd. */
#include "http_2_front.h"

#include <string.h>

/* --- giving up --- */

/* Calls and streams under way; those of odd number are given up. The others, and the connection, know nothing of it. */
enum { BYSTANDERS = 6 };

static void ask_bystanders(struct front *front, struct http_answer answers[BYSTANDERS], uint64_t deadline_ns)
{
    char text[8];
    front->rig.on_request = front_hold;
    for (uint32_t i = 0; i < BYSTANDERS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        assert_int_equal(http_try_ask(front->agent, text, i % 2 == 1 ? deadline_ns : 0, i % 4 >= 2, &answers[i]),
                         DURESS_OK);
    }
    front_await_held(front, BYSTANDERS);
    for (uint32_t i = 2; i < BYSTANDERS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        struct http_conn *conn = front_held(front, text);
        if (i % 4 < 2)
            continue;
        http_conn_say(conn, HTTP_STREAM_HEAD);
        http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("a"));
        http_run_until(&front->rig, front_has_chunks, &answers[i]);
    }
}

/* The peer learns of the calls that were given up while it works on for the others. */
static void assert_given_up_at_the_peer(struct front *front)
{
    char text[8];
    for (uint32_t i = 1; i < BYSTANDERS; i += 2) {
        (void)snprintf(text, sizeof text, "%u", i);
        http_run_until(&front->rig, front_conn_is_gone, front_held(front, text));
    }
}

static void assert_bystanders_unharmed(struct front *front, struct http_answer answers[BYSTANDERS])
{
    char text[16];
    for (uint32_t i = 0; i < BYSTANDERS; i += 2) {
        (void)snprintf(text, sizeof text, "%u", i);
        struct http_conn *conn = front_held(front, text);
        assert_non_null(conn->stream);
        assert_int_equal(answers[i].ended, 0);
        if (i % 4 >= 2) {
            http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("b") HTTP_END_EVENT);
            http_conn_say_last_chunk(conn);
            front_assert_replied(front, &answers[i], "b");
        } else {
            http_conn_say(conn, http_echo_answer());
            (void)snprintf(text, sizeof text, "re: %u", i);
            front_assert_replied(front, &answers[i], text);
        }
    }
    front->rig.on_request = NULL;
    http_ask(front->agent, "after", &answers[0]);
    front_assert_replied(front, &answers[0], "re: after");
}

static void a_call_given_up_leaves_the_others_on_its_connection_alone(void **state)
{
    struct front front;
    struct http_answer answers[BYSTANDERS] = {{.ended = 0}};
    front_open(&front, state);
    ask_bystanders(&front, answers, 0);
    for (uint32_t i = 1; i < BYSTANDERS; i += 2)
        duress_call_cancel(answers[i].call);
    for (uint32_t i = 1; i < BYSTANDERS; i += 2) {
        http_run_until_ended(&front.rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    }
    assert_given_up_at_the_peer(&front);
    assert_bystanders_unharmed(&front, answers);
    front_close(&front, 1);
}

static void a_deadline_leaves_the_others_on_its_connection_alone(void **state)
{
    struct front front;
    struct http_answer answers[BYSTANDERS] = {{.ended = 0}};
    front_open(&front, state);
    http_ask(front.agent, "first", &answers[0]); /* so that the deadline is none of the connect */
    front_assert_replied(&front, &answers[0], "re: first");
    uint64_t deadline_ns = duress_world_now_ns(front.rig.world) + DURESS_S;
    ask_bystanders(&front, answers, deadline_ns);
    for (uint32_t i = 1; i < BYSTANDERS; i += 2) {
        http_run_until_ended(&front.rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_DEADLINE);
        assert_true(answers[i].failure.ambiguous);
        assert_true(answers[i].ended_ns >= deadline_ns);
    }
    assert_given_up_at_the_peer(&front);
    assert_bystanders_unharmed(&front, answers);
    front_close(&front, 1);
}

/* The peer behind nghttpx learns of it, and the next call is well. */
static void a_call_given_up_alone_reaches_the_peer(void **state)
{
    struct front front;
    front_open(&front, state);
    for (int i = 0; i < 4; i++) {
        struct http_answer answer = {.ended = 0};
        front.held_count = 0;
        front.rig.on_request = front_hold;
        assert_int_equal(http_try_ask(front.agent, "lone", 0, i % 2 == 1, &answer), DURESS_OK);
        front_await_held(&front, 1);
        struct http_conn *conn = front.held[0];
        if (i % 2 == 1) {
            http_conn_say(conn, HTTP_STREAM_HEAD);
            http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("a"));
            http_run_until(&front.rig, front_has_chunks, &answer);
        }
        duress_call_cancel(answer.call);
        http_run_until_ended(&front.rig, &answer);
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
        http_run_until(&front.rig, front_conn_is_gone, conn);
        front.rig.on_request = NULL;
        struct http_answer after = {.ended = 0};
        http_ask(front.agent, "after", &after);
        front_assert_replied(&front, &after, "re: after");
    }
    front_close(&front, (uint32_t)duress_http_agent_counts(front.agent).connections_begun);
}

/* The first call connects for all: when it is given up, somewhere between name, connect, TLS and request, those who
 * wait for the connection must not wait for ever. */
static void who_waits_for_a_connection_survives_the_one_who_opened_it(void **state)
{
    struct front front;
    front_open(&front, state);
    for (uint32_t turns = 0; turns < 12; turns++) {
        struct http_answer answers[4] = {{.ended = 0}};
        struct duress_http_agent_options options = front_options(&front);
        duress_agent_unref(front.agent);
        front.agent = http_rig_agent(&front.rig, &options);
        for (size_t i = 0; i < 4; i++)
            http_ask(front.agent, "x", &answers[i]);
        for (uint32_t i = 0; i < turns; i++) /* each runs the world for one turn */
            (void)duress_world_run_until(front.rig.world, NULL, NULL, duress_world_now_ns(front.rig.world));
        if (answers[0].call != NULL)
            duress_call_cancel(answers[0].call);
        http_run_until_ended(&front.rig, &answers[0]);
        assert_true(answers[0].error == DURESS_E_CANCELLED || answers[0].error == DURESS_OK);
        for (size_t i = 1; i < 4; i++)
            front_assert_replied(&front, &answers[i], "re: x");
        http_answer_clear(&answers[0]);
        if (front.tls)
            assert_true(duress_http_agent_counts(front.agent).connections_begun <= 2);
    }
    duress_agent_unref(front.agent);
    nghttpx_close(&front.proxy);
    http_rig_close(&front.rig);
}

/* --- the end of the connection --- */

static void a_proxy_that_is_killed_leaves_every_call_ambiguous(void **state)
{
    struct front front;
    struct http_answer answers[BYSTANDERS] = {{.ended = 0}};
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    ask_bystanders(&front, answers, 0);
    nghttpx_kill(&front.proxy);
    for (uint32_t i = 0; i < BYSTANDERS; i++) {
        http_run_until_ended(&front.rig, &answers[i]);
        if (answers[i].error != DURESS_E_TRUNCATED && answers[i].error != DURESS_E_RESET)
            fail_msg("call %u: %s, %s", i, duress_error_name(answers[i].error), answers[i].failure.detail);
        assert_true(answers[i].failure.ambiguous);
        assert_int_equal(answers[i].failure.origin, DURESS_ORIGIN_RECEIVE);
    }
    /* Then nobody listens; and when somebody does again, calls go there. */
    assert_int_equal(http_ask_and_wait(&front.rig, front.agent, "x", &answer), DURESS_E_REFUSED);
    assert_false(answer.failure.ambiguous);
    uint16_t port = front.proxy.port;
    nghttpx_close(&front.proxy);
    nghttpx_start(&front.proxy, port, front.rig.port, front.tls ? &front_certificate : NULL);
    front.rig.on_request = NULL;
    uint64_t begun = duress_http_agent_counts(front.agent).connections_begun;
    for (int i = 0; i < 3; i++) {
        http_answer_clear(&answer);
        http_ask(front.agent, "x", &answer);
        front_assert_replied(&front, &answer, "re: x");
    }
    if (front.tls)
        assert_int_equal(duress_http_agent_counts(front.agent).connections_begun, begun + 1);
    front_close(&front, (uint32_t)begun + 1);
}

/* A kept connection that died while nobody used it costs nobody a call. */
static void a_proxy_that_was_killed_between_calls_costs_no_call(void **state)
{
    struct front front;
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(http_ask_and_wait(&front.rig, front.agent, "x", &answer), DURESS_OK);
        uint16_t port = front.proxy.port;
        nghttpx_close(&front.proxy);
        nghttpx_start(&front.proxy, port, front.rig.port, front.tls ? &front_certificate : NULL);
    }
    http_answer_clear(&answer);
    front_close(&front, 3);
}

/* --- many --- */

enum { CROWD = 1000 };

struct crowd {
    struct front front;
    struct duress_prng prng;
    uint32_t ended;
    uint32_t replied;
    uint32_t cancelled;
    struct http_answer answers[CROWD];
};

static struct crowd the_crowd;

static void crowd_ended(struct http_answer *answer, void *context)
{
    struct crowd *crowd = context;
    crowd->ended++;
    crowd->replied += answer->error == DURESS_OK;
    crowd->cancelled += answer->error == DURESS_E_CANCELLED;
}

/* Now and then somebody who was asked later is given up as well. */
static void crowd_answer(void *context, struct http_conn *conn)
{
    struct crowd *crowd = context;
    struct http_answer *victim = &crowd->answers[duress_prng_below(&crowd->prng, CROWD)];
    if (duress_prng_below(&crowd->prng, 2) == 0 && victim->call != NULL)
        duress_call_cancel(victim->call);
    if (strcmp(conn->method, "stream") != 0) {
        http_conn_say(conn, http_echo_answer());
        return;
    }
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("one"));
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("two") HTTP_END_EVENT);
    http_conn_say_last_chunk(conn);
}

static bool crowd_is_done(void *context)
{
    const struct crowd *crowd = context; /* the end of a stream's connection may come after its call's */
    return crowd->ended == CROWD && duress_http_agent_counts(crowd->front.agent).calls_in_flight == 0;
}

static void a_thousand_calls_end_once_each_over_one_connection(void **state)
{
    struct crowd *crowd = &the_crowd;
    *crowd = (struct crowd){.ended = 0};
    front_open(&crowd->front, state);
    struct duress_world *world = crowd->front.rig.world;
    uint64_t deadline_ns = duress_world_now_ns(world) + 100 * DURESS_S; /* for machines that have much else to do */
    duress_world_prng(world, 2, &crowd->prng);
    crowd->front.rig.on_request = crowd_answer;
    crowd->front.rig.context = crowd;
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd->answers[i].then = crowd_ended;
        crowd->answers[i].then_context = crowd;
        assert_int_equal(http_try_ask(crowd->front.agent, "x", deadline_ns, i % 4 == 0, &crowd->answers[i]), DURESS_OK);
    }
    assert_int_equal(duress_world_run_until(world, crowd_is_done, crowd, deadline_ns), DURESS_OK);
    assert_int_equal(crowd->replied + crowd->cancelled, CROWD);
    assert_true(crowd->cancelled > CROWD / 10 && crowd->replied > CROWD / 10);
    for (uint32_t i = 0; i < CROWD; i++)
        http_answer_clear(&crowd->answers[i]);
    front_close(&crowd->front, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(a_call_given_up_leaves_the_others_on_its_connection_alone),
        IN_BOTH(a_deadline_leaves_the_others_on_its_connection_alone),
        IN_BOTH(a_call_given_up_alone_reaches_the_peer),
        IN_BOTH(who_waits_for_a_connection_survives_the_one_who_opened_it),
        IN_BOTH(a_proxy_that_is_killed_leaves_every_call_ambiguous),
        IN_BOTH(a_proxy_that_was_killed_between_calls_costs_no_call),
        IN_BOTH(a_thousand_calls_end_once_each_over_one_connection),
    };
    return cmocka_run_group_tests(tests, front_set_up, front_tear_down);
}
