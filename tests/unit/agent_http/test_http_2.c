/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 with a peer that is not ours: calls, long ones, error statuses and streams, side by side. */
#include "http_2_front.h"

#include <string.h>

enum { LONG_REPLY_BYTES = 1024 * 1024 };

static void calls_one_after_the_other_keep_one_connection(void **state)
{
    struct front front;
    struct http_answer answer = {.ended = 0};
    front_open(&front, state);
    for (int i = 0; i < 20; i++) {
        http_ask(front.agent, "x", &answer);
        front_assert_replied(&front, &answer, "re: x");
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
    front_assert_replied(&front, &answer, "re: x");
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
    static struct http_answer answers[FRONT_CALLS_MAX];
    char text[16];
    front_open(&front, state);
    front.rig.on_request = front_hold;
    for (int round = 0; round < 2; round++) {
        memset(answers, 0, sizeof answers);
        front.held_count = 0;
        for (uint32_t i = 0; i < FRONT_CALLS_MAX; i++) {
            (void)snprintf(text, sizeof text, "%u", i);
            http_ask(front.agent, text, &answers[i]);
        }
        front_await_held(&front, FRONT_CALLS_MAX);
        assert_int_equal(duress_http_agent_counts(front.agent).calls_in_flight, FRONT_CALLS_MAX);
        for (uint32_t i = FRONT_CALLS_MAX; i-- > 0;)
            http_conn_say(front.held[i], http_echo_answer());
        for (uint32_t i = 0; i < FRONT_CALLS_MAX; i++) {
            (void)snprintf(text, sizeof text, "re: %u", i);
            front_assert_replied(&front, &answers[i], text);
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

/* Says a reply of |length| bytes of content. */
static void say_long(struct http_conn *conn, size_t length)
{
    static char text[LONG_REPLY_BYTES + 1024];
    static const char end[] = "\",\"metadata\":{},\"timestamp\":\"2026-01-15T09:30:00.251000Z\"}}}";
    char head[128];
    int begin = snprintf(text, sizeof text,
                         "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"%s\",\"payload\":{\"message\":{"
                         "\"role\":\"agent\",\"content\":\"",
                         conn->id);
    assert_true((size_t)begin + length + sizeof end <= sizeof text);
    memset(text + begin, 'z', length);
    memcpy(text + (size_t)begin + length, end, sizeof end);
    int head_length =
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n" HTTP_JSON "Content-Length: %zu\r\n\r\n", strlen(text));
    http_conn_say_bytes(conn, head, (size_t)head_length);
    http_conn_say_bytes(conn, text, strlen(text));
}

/* The call that waits is read for first, and what it reads is the others': more than they have room for. */
static void long_replies_pass_beside_a_call_that_waits(void **state)
{
    struct front front;
    struct http_answer waiting = {.ended = 0};
    front_open(&front, state);
    front.rig.on_request = front_hold;
    http_ask(front.agent, "waiting", &waiting);
    front_await_held(&front, 1);
    for (size_t round = 0; round < 4; round++) {
        struct http_answer answers[2] = {{.ended = 0}};
        front.held_count = 1;
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(
                http_try_ask(front.agent, "x", duress_world_now_ns(front.rig.world) + 8 * DURESS_S, false, &answers[i]),
                DURESS_OK);
        front_await_held(&front, 3);
        for (size_t i = 0; i < 2; i++)
            say_long(front.held[1 + i], LONG_REPLY_BYTES - round * 1000);
        for (size_t i = 0; i < 2; i++) {
            http_run_until_ended(&front.rig, &answers[i]);
            assert_int_equal(answers[i].error, DURESS_OK);
            assert_int_equal(duress_message_content(answers[i].reply).length, LONG_REPLY_BYTES - round * 1000);
            http_answer_clear(&answers[i]);
        }
    }
    http_conn_say(front.held[0], http_echo_answer());
    front_assert_replied(&front, &waiting, "re: waiting");
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
    front.rig.on_request = front_hold;
    http_ask_stream(front.agent, "one", &one);
    http_ask_stream(front.agent, "two", &two);
    front_await_held(&front, 2);
    struct http_conn *conns[] = {front_held(&front, "one"), front_held(&front, "two")};
    for (size_t i = 0; i < 2; i++) {
        http_conn_say(conns[i], HTTP_STREAM_HEAD);
        http_conn_say_chunk(conns[i], HTTP_CHUNK_EVENT("a"));
    }
    http_run_until(&front.rig, front_has_chunks, &one);
    http_run_until(&front.rig, front_has_chunks, &two);
    http_ask(front.agent, "call", &call);
    front_await_held(&front, 3);
    http_conn_say(front_held(&front, "call"), http_echo_answer());
    front_assert_replied(&front, &call, "re: call");
    for (size_t i = 2; i-- > 0;) {
        http_conn_say_chunk(conns[i], HTTP_CHUNK_EVENT("b") HTTP_END_EVENT);
        http_conn_say_last_chunk(conns[i]);
    }
    front_assert_replied(&front, &one, "b");
    front_assert_replied(&front, &two, "b");
    front_close(&front, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(calls_one_after_the_other_keep_one_connection),
        IN_BOTH(an_agent_for_http_1_1_does_not_speak_http_2),
        IN_BOTH(sixty_four_calls_at_once_share_one_connection),
        IN_BOTH(long_requests_and_replies_pass),
        IN_BOTH(long_replies_pass_beside_a_call_that_waits),
        IN_BOTH(an_error_status_means_the_same_and_the_connection_is_kept),
        IN_BOTH(streams_and_calls_go_on_side_by_side),
    };
    return cmocka_run_group_tests(tests, front_set_up, front_tear_down);
}
