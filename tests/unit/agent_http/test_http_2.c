/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 with a peer that is not ours: nghttpx stands between the agent and the raw peer, by prior knowledge and by
 * TLS's ALPN. The raw peer sees one HTTP/1.1 connection for each stream, and its end where a stream was reset; that
 * HTTP/2 was spoken, and over how many connections, nghttpx notes. */
#include "http_rig.h"
#include "nghttpx.h"

#include <stdlib.h>
#include <string.h>

enum { CALLS = 64 };

static struct certificate certificate; /* for localhost */

struct front {
    struct http_rig rig;
    struct nghttpx proxy;
    bool tls;
    char url[64];
    struct duress_agent *agent;
    struct http_conn *held[CALLS]; /* the connections of requests that wait for an answer, in the order of arrival */
    uint32_t held_count;
};

static bool plain = false;
static bool secured = true;

/* The peer answers nothing by itself. */
static void hold(void *context, struct http_conn *conn)
{
    struct front *front = context;
    assert_true(front->held_count < CALLS);
    front->held[front->held_count++] = conn;
}

static struct duress_http_agent_options front_options(const struct front *front)
{
    struct duress_http_agent_options options = {
        .url = front->url,
        .version = front->tls ? DURESS_HTTP_AUTO : DURESS_HTTP_2_BY_AGREEMENT,
        .ca_file = front->tls ? certificate.certificate_file : NULL,
    };
    return options;
}

static void front_open(struct front *front, void **state)
{
    if (!nghttpx_is_there()) {
        print_message("skipped: no nghttpx here (scripts/deps.sh http2)\n");
        skip();
    }
    *front = (struct front){.tls = *(bool *)*state};
    http_rig_open(&front->rig);
    front->rig.context = front;
    nghttpx_start(&front->proxy, 0, front->rig.port, front->tls ? &certificate : NULL);
    (void)snprintf(front->url, sizeof front->url, "%s://localhost:%u", front->tls ? "https" : "http",
                   front->proxy.port);
    struct duress_http_agent_options options = front_options(front);
    front->agent = http_rig_agent(&front->rig, &options);
}

static bool nothing_is_in_flight(void *context)
{
    const struct front *front = context;
    return duress_http_agent_counts(front->agent).calls_in_flight == 0;
}

/* All in HTTP/2, over |connections|; more without TLS, where libcurl is old. */
static void front_close(struct front *front, uint32_t connections)
{
    uint64_t begun = duress_http_agent_counts(front->agent).connections_begun;
    assert_true(front->tls ? begun == connections : begun >= connections);
    http_run_until(&front->rig, nothing_is_in_flight, front); /* a stream may end a moment after its call */
    duress_agent_unref(front->agent);
    nghttpx_kill(&front->proxy);
    struct nghttpx_count count = nghttpx_count(&front->proxy);
    assert_int_equal(count.in_http_2, count.requests);
    assert_true(count.connections <= begun);
    nghttpx_close(&front->proxy);
    http_rig_close(&front->rig);
}

struct held_wish {
    struct front *front;
    uint32_t count;
};

static bool are_held(void *context)
{
    const struct held_wish *wish = context;
    return wish->front->held_count >= wish->count;
}

static void await_held(struct front *front, uint32_t count)
{
    struct held_wish wish = {front, count};
    http_run_until(&front->rig, are_held, &wish);
}

/* The held request with that content. */
static struct http_conn *held_find(struct front *front, const char *content)
{
    for (uint32_t i = 0; i < front->held_count; i++)
        if (strcmp(front->held[i]->content, content) == 0)
            return front->held[i];
    fail_msg("no request \"%s\" came", content);
    return NULL;
}

static bool conn_is_gone(void *context)
{
    return ((struct http_conn *)context)->stream == NULL;
}

static bool has_chunks(void *context)
{
    return ((struct http_answer *)context)->chunk_count > 0;
}

static void assert_replied(struct front *front, struct http_answer *answer, const char *text)
{
    http_run_until_ended(&front->rig, answer);
    if (!http_answer_is(answer, text))
        fail_msg("not \"%s\": %s, %s", text, duress_error_name(answer->error), answer->failure.detail);
    http_answer_clear(answer);
}

/* --- calls --- */

static void calls_one_after_the_other_keep_one_connection(void **state)
{
    struct front front;
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    for (int i = 0; i < 20; i++) {
        http_ask(front.agent, "x", &answer);
        assert_replied(&front, &answer, "re: x");
        assert_non_null(strstr(front.rig.conns->head, "Via: 2 nghttpx\r\n"));
    }
    nghttpx_kill(&front.proxy);
    struct nghttpx_count count = nghttpx_count(&front.proxy);
    assert_true(count.requests >= 19); /* it may have been killed before it noted the last one */
    front_close(&front, 1);
}

/* What was asked for is spoken: an agent for HTTP/1.1 does not offer more, and without TLS nobody asks. */
static void an_agent_for_http_1_1_does_not_speak_http_2(void **state)
{
    struct front front;
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    duress_agent_unref(front.agent);
    struct duress_http_agent_options options = front_options(&front);
    options.version = front.tls ? DURESS_HTTP_1_1 : DURESS_HTTP_AUTO;
    front.agent = http_rig_agent(&front.rig, &options);
    http_ask(front.agent, "x", &answer);
    assert_replied(&front, &answer, "re: x");
    assert_non_null(strstr(front.rig.conns->head, "Via: 1.1 nghttpx\r\n"));
    duress_agent_unref(front.agent);
    nghttpx_kill(&front.proxy);
    assert_int_equal(nghttpx_count(&front.proxy).in_http_2, 0);
    nghttpx_close(&front.proxy);
    http_rig_close(&front.rig);
}

/* The first of them opens the connection and the others wait for it. None is answered before the last has come, then
 * all are, the last one first. */
static void sixty_four_calls_at_once_share_one_connection(void **state)
{
    struct front front;
    static struct http_answer answers[CALLS];
    char text[16];
    front_open(&front, state);
    front.rig.on_request = hold;
    for (int round = 0; round < 2; round++) {
        memset(answers, 0, sizeof answers);
        front.held_count = 0;
        for (uint32_t i = 0; i < CALLS; i++) {
            (void)snprintf(text, sizeof text, "%u", i);
            http_ask(front.agent, text, &answers[i]);
        }
        await_held(&front, CALLS);
        assert_int_equal(duress_http_agent_counts(front.agent).calls_in_flight, CALLS);
        for (uint32_t i = CALLS; i-- > 0;)
            http_conn_say(front.held[i], http_echo_answer());
        for (uint32_t i = 0; i < CALLS; i++) {
            (void)snprintf(text, sizeof text, "re: %u", i);
            assert_replied(&front, &answers[i], text);
        }
    }
    front_close(&front, 1);
}

/* More than a window of flow control in each direction. */
static void long_requests_and_replies_pass(void **state)
{
    static char large[1024 * 1024];
    static char body[200 * 1024];
    struct front front;
    struct http_answer answers[4] = {{.ended = 0}};
    memset(large, 'z', sizeof large - 1);
    (void)snprintf(body, sizeof body, "%s", HTTP_OK_BODY);
    char *content = strstr(body, "re: $CONTENT");
    assert_non_null(content);
    (void)snprintf(content, sizeof body - (size_t)(content - body), "%.*s\"}}}", 180 * 1024, large);
    front_open(&front, state);
    front.rig.answer = http_reply("200 OK", HTTP_JSON, body);
    for (size_t i = 0; i < 4; i++)
        http_ask(front.agent, large, &answers[i]);
    for (size_t i = 0; i < 4; i++) {
        http_run_until_ended(&front.rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_OK);
        assert_int_equal(duress_message_content(answers[i].reply).length, 180 * 1024);
        http_answer_clear(&answers[i]);
    }
    assert_true(front.rig.conns->body_bytes > sizeof large);
    front_close(&front, 1);
}

static void an_error_status_means_the_same_and_the_connection_is_kept(void **state)
{
    static const struct {
        const char *status;
        const char *headers;
        int error;
        bool ambiguous;
        uint64_t retry_after_ns;
    } cases[] = {
        {"503 Service Unavailable", "Retry-After: 2\r\n", DURESS_E_OVERLOADED, false, 2 * DURESS_S},
        {"429 Too Many Requests", "retry-after: 3\r\n", DURESS_E_OVERLOADED, false, 3 * DURESS_S},
        {"500 Internal Server Error", "", DURESS_E_REMOTE, true, 0},
        {"404 Not Found", "", DURESS_E_INVALID, false, 0},
        {"401 Unauthorized", "", DURESS_E_PERMISSION, false, 0},
        {"302 Found", "Location: /elsewhere\r\n", DURESS_E_UNSUPPORTED, false, 0},
        {"200 OK", "Content-Type: text/html\r\n", DURESS_E_MALFORMED, true, 0},
    };
    struct front front;
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        front.rig.answer = http_reply(cases[i].status, cases[i].headers, "<html></html>");
        assert_int_equal(http_ask_and_wait(&front.rig, front.agent, "x", &answer), cases[i].error);
        assert_int_equal(answer.failure.ambiguous, cases[i].ambiguous);
        assert_int_equal(answer.failure.retry_after_ns, cases[i].retry_after_ns);
    }
    front.rig.answer = http_echo_answer();
    assert_int_equal(http_ask_and_wait(&front.rig, front.agent, "x", &answer), DURESS_OK);
    http_answer_clear(&answer);
    front_close(&front, 1);
}

static void streams_and_calls_go_on_side_by_side(void **state)
{
    struct front front;
    struct http_answer one = {.ended = 0};
    struct http_answer two = {.ended = 0};
    struct http_answer call = {.ended = 0};
    front_open(&front, state);
    front.rig.on_request = hold;
    http_ask_stream(front.agent, "one", &one);
    http_ask_stream(front.agent, "two", &two);
    await_held(&front, 2);
    struct http_conn *conns[] = {held_find(&front, "one"), held_find(&front, "two")};
    for (size_t i = 0; i < 2; i++) {
        http_conn_say(conns[i], HTTP_STREAM_HEAD);
        http_conn_say_chunk(conns[i], HTTP_CHUNK_EVENT("a"));
    }
    http_run_until(&front.rig, has_chunks, &one);
    http_run_until(&front.rig, has_chunks, &two);
    http_ask(front.agent, "call", &call);
    await_held(&front, 3);
    http_conn_say(held_find(&front, "call"), http_echo_answer());
    assert_replied(&front, &call, "re: call");
    for (size_t i = 2; i-- > 0;) {
        http_conn_say_chunk(conns[i], HTTP_CHUNK_EVENT("b") HTTP_END_EVENT);
        http_conn_say_last_chunk(conns[i]);
    }
    assert_replied(&front, &one, "b");
    assert_replied(&front, &two, "b");
    front_close(&front, 1);
}

/* --- giving up --- */

/* Calls and streams under way; those of odd number are given up. The others, and the connection, know nothing of it. */
enum { BYSTANDERS = 6 };

static void ask_bystanders(struct front *front, struct http_answer answers[BYSTANDERS], uint64_t deadline_ns)
{
    char text[8];
    front->rig.on_request = hold;
    for (uint32_t i = 0; i < BYSTANDERS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        assert_int_equal(http_try_ask(front->agent, text, i % 2 == 1 ? deadline_ns : 0, i % 4 >= 2, &answers[i]),
                         DURESS_OK);
    }
    await_held(front, BYSTANDERS);
    for (uint32_t i = 2; i < BYSTANDERS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        struct http_conn *conn = held_find(front, text);
        if (i % 4 < 2)
            continue;
        http_conn_say(conn, HTTP_STREAM_HEAD);
        http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("a"));
        http_run_until(&front->rig, has_chunks, &answers[i]);
    }
}

static void assert_bystanders_unharmed(struct front *front, struct http_answer answers[BYSTANDERS])
{
    char text[16];
    for (uint32_t i = 0; i < BYSTANDERS; i += 2) {
        (void)snprintf(text, sizeof text, "%u", i);
        struct http_conn *conn = held_find(front, text);
        assert_non_null(conn->stream);
        assert_int_equal(answers[i].ended, 0);
        if (i % 4 >= 2) {
            http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("b") HTTP_END_EVENT);
            http_conn_say_last_chunk(conn);
            assert_replied(front, &answers[i], "b");
        } else {
            http_conn_say(conn, http_echo_answer());
            (void)snprintf(text, sizeof text, "re: %u", i);
            assert_replied(front, &answers[i], text);
        }
    }
    front->rig.on_request = NULL;
    http_ask(front->agent, "after", &answers[0]);
    assert_replied(front, &answers[0], "re: after");
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
    assert_bystanders_unharmed(&front, answers);
    front_close(&front, 1);
}

static void a_deadline_leaves_the_others_on_its_connection_alone(void **state)
{
    struct front front;
    struct http_answer answers[BYSTANDERS] = {{.ended = 0}};
    front_open(&front, state);
    http_ask(front.agent, "first", &answers[0]); /* so that the deadline is none of the connect */
    assert_replied(&front, &answers[0], "re: first");
    uint64_t deadline_ns = duress_world_now_ns(front.rig.world) + 300 * DURESS_MS;
    ask_bystanders(&front, answers, deadline_ns);
    for (uint32_t i = 1; i < BYSTANDERS; i += 2) {
        http_run_until_ended(&front.rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_DEADLINE);
        assert_true(answers[i].failure.ambiguous);
        assert_true(answers[i].ended_ns >= deadline_ns);
    }
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
        front.rig.on_request = hold;
        assert_int_equal(http_try_ask(front.agent, "lone", 0, i % 2 == 1, &answer), DURESS_OK);
        await_held(&front, 1);
        struct http_conn *conn = front.held[0];
        if (i % 2 == 1) {
            http_conn_say(conn, HTTP_STREAM_HEAD);
            http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("a"));
            http_run_until(&front.rig, has_chunks, &answer);
        }
        duress_call_cancel(answer.call);
        http_run_until_ended(&front.rig, &answer);
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
        http_run_until(&front.rig, conn_is_gone, conn);
        front.rig.on_request = NULL;
        struct http_answer after = {.ended = 0};
        http_ask(front.agent, "after", &after);
        assert_replied(&front, &after, "re: after");
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
            assert_replied(&front, &answers[i], "re: x");
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
    nghttpx_start(&front.proxy, port, front.rig.port, front.tls ? &certificate : NULL);
    front.rig.on_request = NULL;
    uint64_t begun = duress_http_agent_counts(front.agent).connections_begun;
    for (int i = 0; i < 3; i++) {
        http_answer_clear(&answer);
        http_ask(front.agent, "x", &answer);
        assert_replied(&front, &answer, "re: x");
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
        nghttpx_start(&front.proxy, port, front.rig.port, front.tls ? &certificate : NULL);
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
    duress_world_prng(crowd->front.rig.world, 2, &crowd->prng);
    crowd->front.rig.on_request = crowd_answer;
    crowd->front.rig.context = crowd;
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd->answers[i].then = crowd_ended;
        crowd->answers[i].then_context = crowd;
        assert_int_equal(http_try_ask(crowd->front.agent, "x", 0, i % 4 == 0, &crowd->answers[i]), DURESS_OK);
    }
    http_run_until(&crowd->front.rig, crowd_is_done, crowd);
    assert_int_equal(crowd->replied + crowd->cancelled, CROWD);
    assert_true(crowd->cancelled > CROWD / 10 && crowd->replied > CROWD / 10);
    for (uint32_t i = 0; i < CROWD; i++)
        http_answer_clear(&crowd->answers[i]);
    front_close(&crowd->front, 1);
}

static int certificate_set_up(void **state)
{
    (void)state;
    certificate_make(&certificate, "localhost");
    return 0;
}

static int certificate_tear_down(void **state)
{
    (void)state;
    certificate_free(&certificate);
    return 0;
}

#define IN_BOTH(test)                                                                                                  \
    {#test ", by prior knowledge", test, NULL, NULL, &plain},                                                          \
    {                                                                                                                  \
#test ", by ALPN", test, NULL, NULL, &secured                                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(calls_one_after_the_other_keep_one_connection),
        IN_BOTH(an_agent_for_http_1_1_does_not_speak_http_2),
        IN_BOTH(sixty_four_calls_at_once_share_one_connection),
        IN_BOTH(long_requests_and_replies_pass),
        IN_BOTH(an_error_status_means_the_same_and_the_connection_is_kept),
        IN_BOTH(streams_and_calls_go_on_side_by_side),
        IN_BOTH(a_call_given_up_leaves_the_others_on_its_connection_alone),
        IN_BOTH(a_deadline_leaves_the_others_on_its_connection_alone),
        IN_BOTH(a_call_given_up_alone_reaches_the_peer),
        IN_BOTH(who_waits_for_a_connection_survives_the_one_who_opened_it),
        IN_BOTH(a_proxy_that_is_killed_leaves_every_call_ambiguous),
        IN_BOTH(a_proxy_that_was_killed_between_calls_costs_no_call),
        IN_BOTH(a_thousand_calls_end_once_each_over_one_connection),
    };
    return cmocka_run_group_tests(tests, certificate_set_up, certificate_tear_down);
}
