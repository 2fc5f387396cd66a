/* SPDX-License-Identifier: Apache-2.0
 *
 * Streamed replies from peers that break off, lie about sizes or say more than was asked. */
#include "http_rig.h"

#include <string.h>

#define PLAIN_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

/* A whole stream of two chunks, cut after each byte: an error until its end has come, and chunks only whole. */
static void a_stream_cut_short_is_a_failure(void **state)
{
    static const char text[] = PLAIN_HEAD HTTP_CHUNK_EVENT("one") HTTP_CHUNK_EVENT("two") HTTP_END_EVENT;
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.answer = text;
    size_t whole = strlen(text) + 3 * (35 - strlen("$ID")); /* ids have 35 characters */
    uint32_t chunks_seen[3] = {0, 0, 0};
    for (size_t cut = 1; cut <= whole; cut++) {
        rig.say_max = cut;
        rig.after = cut % 4 == 3 && cut < whole ? HTTP_RST : HTTP_FIN;
        int error = http_stream_and_wait(&rig, agent, "x", &answer);
        int expected = rig.after == HTTP_RST ? DURESS_E_RESET : DURESS_E_TRUNCATED;
        if (error != (cut == whole ? DURESS_OK : expected))
            fail_msg("cut after %zu: %s (%s)", cut, duress_error_name(error), answer.failure.detail);
        assert_true(answer.chunk_count <= 2);
        assert_memory_equal("one,two,", answer.chunks, strlen(answer.chunks));
        assert_int_equal(strlen(answer.chunks), 4 * answer.chunk_count);
        chunks_seen[answer.chunk_count]++;
        if (cut < whole)
            assert_true(answer.failure.ambiguous);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(chunks_seen[i] > 20);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig);
}

static void what_is_no_event_of_ours_ends_the_stream(void **state)
{
    static const struct {
        const char *text;
        const char *chunks;
        int code;
    } rows[] = {
        {"data: no json\n\n", "", DURESS_E_MALFORMED},
        {"data: {\"version\":\"1.0\",\"ty\n\n", "", DURESS_E_TRUNCATED},
        {HTTP_CHUNK_EVENT("one") "data: []\n\n", "one,", DURESS_E_MALFORMED},
        {HTTP_CHUNK_EVENT("one") "data: "
                                 "{\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"other\",\"payload\":{"
                                 "\"message\":{\"role\":\"a\","
                                 "\"content\":\"b\"}}}\n\n",
         "one,", DURESS_E_MALFORMED},
        {"data: {\"version\":\"1.0\",\"type\":\"response\",\"id\":\"$ID\",\"payload\":{\"message\":{\"role\":\"a\","
         "\"content\":\"b\"}}}\n\n",
         "", DURESS_E_MALFORMED},
        {"data: {\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"$ID\",\"payload\":{}}\n\n", "",
         DURESS_E_MALFORMED},
        {"data: {\"version\":\"1.0\",\"type\":\"error\",\"id\":\"unknown\",\"payload\":{\"error_code\":\"OVERLOADED\","
         "\"error_details\":{\"retry_after_ms\":20}}}\n\n",
         "", DURESS_E_OVERLOADED},
    };
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    char text[2048];
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.answer = text;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, PLAIN_HEAD "%s", rows[i].text);
        int error = http_stream_and_wait(&rig, agent, "x", &answer);
        if (error != rows[i].code)
            fail_msg("row %zu: %s (%s)", i, duress_error_name(error), answer.failure.detail);
        assert_string_equal(answer.chunks, rows[i].chunks);
        assert_int_equal(rig.accepted, i + 1);
        http_run_until_alone(&rig); /* whose body has no end is not read on for ever */
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void say_an_event_without_end(void *context, struct http_conn *conn)
{
    char piece[1024];
    (void)context;
    memset(piece, 'e', sizeof piece);
    http_conn_say(conn, PLAIN_HEAD "data: ");
    for (int i = 0; i < 1024 && conn->stream != NULL; i++)
        http_conn_say_bytes(conn, piece, sizeof piece);
}

static void say_many_chunks(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, PLAIN_HEAD);
    for (int i = 0; i < 1000; i++)
        http_conn_say(conn, HTTP_CHUNK_EVENT("x"));
    conn->then = HTTP_FIN;
    http_conn_say(conn, HTTP_END_EVENT);
}

/* The limit is an event's; a stream may be as long as it likes. */
static void an_event_has_a_limit_and_a_stream_none(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    struct duress_http_agent_options options = {.body_bytes_max = 1024};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    rig.on_request = say_an_event_without_end;
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
    assert_string_equal(answer.failure.detail, "an event above the limit");
    rig.on_request = say_many_chunks;
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_int_equal(answer.chunk_count, 1000);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig);
}

static void go_on_after_the_end(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("one") HTTP_END_EVENT HTTP_CHUNK_EVENT("two") HTTP_END_EVENT);
}

/* The connection is not kept waiting for the body's end for ever either: a second, then it is closed. */
static void what_follows_the_end_of_a_stream_reaches_nobody(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = go_on_after_the_end;
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_string_equal(answer.chunks, "one,");
    http_conn_say_chunk(rig.conns, HTTP_CHUNK_EVENT("three"));
    http_run_until_alone(&rig);
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_string_equal(answer.chunks, "one,");
    assert_int_equal(rig.accepted, 2);
    http_run_until_alone(&rig); /* nothing more was said: closed when the time is over */
    assert_int_equal(duress_http_agent_counts(agent).calls_in_flight, 0);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void begin_three(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("one") HTTP_CHUNK_EVENT("two") HTTP_CHUNK_EVENT("three"));
}

static void a_stream_cancelled_in_a_chunks_callback_hands_up_no_other(void **state)
{
    struct http_rig rig;
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = begin_three;
    for (uint32_t after = 1; after <= 3; after++) {
        struct http_answer answer = {.cancel_after_chunk = after};
        http_ask_stream(agent, "x", &answer);
        http_run_until_ended(&rig, &answer);
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
        assert_int_equal(answer.chunk_count, after);
        http_run_until_alone(&rig);
        assert_true(rig.conns->was_reset);
    }
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_cut_short_is_a_failure),
        cmocka_unit_test(what_is_no_event_of_ours_ends_the_stream),
        cmocka_unit_test(an_event_has_a_limit_and_a_stream_none),
        cmocka_unit_test(what_follows_the_end_of_a_stream_reaches_nobody),
        cmocka_unit_test(a_stream_cancelled_in_a_chunks_callback_hands_up_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
