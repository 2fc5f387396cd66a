/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP agent and a peer that behaves: agenkit's protocol byte for byte, kept connections, streams, queues, names.
 */
#include "http_rig.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <duress/world/sim.h>

static bool head_has(const struct http_conn *conn, const char *line)
{
    char found[256];
    (void)snprintf(found, sizeof found, "\r\n%s\r\n", line);
    return strcasestr(conn->head, found) != NULL;
}

static void a_call_is_agenkits_post_of_an_envelope(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    char url[64];
    char length[64];
    char host[64];
    (void)state;
    http_rig_open(&rig);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/agents/a/", rig.port);
    static const char *const headers[] = {"Authorization: Bearer xyz", "X-Trace:1"};
    struct duress_http_agent_options options = {
        .url = url, .agent_name = "adder", .headers = headers, .header_count = 2};
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    assert_string_equal(duress_agent_name(agent), "adder");
    assert_int_equal(http_ask_and_wait(&rig, agent, "2+2", &answer), DURESS_OK);
    assert_true(http_answer_is(&answer, "re: 2+2"));
    assert_true(duress_slice_is(duress_message_role(answer.reply), "agent"));
    const struct http_conn *conn = rig.conns;
    assert_memory_equal(conn->head, "POST /agents/a/process HTTP/1.1\r\n", 33);
    (void)snprintf(host, sizeof host, "Host: 127.0.0.1:%u", rig.port);
    (void)snprintf(length, sizeof length, "Content-Length: %zu", conn->body_bytes);
    assert_true(head_has(conn, host));
    assert_true(head_has(conn, length));
    assert_true(head_has(conn, "Content-Type: application/json"));
    assert_true(head_has(conn, "Accept: application/json"));
    assert_true(head_has(conn, "Authorization: Bearer xyz"));
    assert_true(head_has(conn, "X-Trace: 1") || head_has(conn, "X-Trace:1"));
    assert_null(strcasestr(conn->head, "Expect:"));
    assert_string_equal(conn->method, "process");
    assert_string_equal(conn->agent_name, "adder");
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void a_connection_is_kept_for_the_next_call(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        assert_true(http_answer_is(&answer, "re: x"));
    }
    http_answer_clear(&answer);
    assert_int_equal(rig.accepted, 1);
    assert_int_equal(rig.requests, 50);
    struct duress_http_agent_counts counts = duress_http_agent_counts(agent);
    assert_int_equal(counts.connections_begun, 1);
    assert_int_equal(counts.connections_open, 1);
    assert_int_equal(counts.calls_in_flight, 0);
    assert_int_equal(counts.lookups_begun, 0);
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig);
}

static char large_text[1024 * 1024 + 1];

static void echo_large_text(void *context, struct http_conn *conn)
{
    static char reply[sizeof large_text + 512];
    (void)context;
    int length =
        snprintf(reply, sizeof reply,
                 "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nConnection: close\r\n\r\n"
                 "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"%s\",\"payload\":{\"message\":{\"role\":"
                 "\"agent\",\"content\":\"%s\"}}}",
                 conn->id, large_text);
    conn->then = HTTP_FIN; /* the end of the connection is the end of the body */
    http_conn_say_bytes(conn, reply, (size_t)length);
}

/* What the kernel cannot take at once, and what does not arrive at once. */
static void a_mebibyte_goes_both_ways(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    memset(large_text, 'y', sizeof large_text - 1);
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = echo_large_text;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, large_text, &answer), DURESS_OK);
        assert_true(rig.conns->body_bytes > sizeof large_text);
        assert_true(http_answer_is(&answer, large_text));
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void stream_of_three(void *context, struct http_conn *conn)
{
    (void)context;
    assert_string_equal(conn->method, "stream");
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("one"));
    http_conn_say_chunk(conn,
                        ": a comment\r\nevent: x\r\n" HTTP_CHUNK_EVENT("two") HTTP_CHUNK_EVENT("three") HTTP_END_EVENT);
    http_conn_say_last_chunk(conn);
}

static void a_stream_hands_up_each_chunk_and_keeps_the_connection(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = stream_of_three;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        assert_string_equal(answer.chunks, "one,two,three,");
        assert_true(http_answer_is(&answer, "three"));
        assert_memory_equal(rig.conns->head, "POST /stream HTTP/1.1\r\n", 23);
        assert_true(head_has(rig.conns, "Accept: text/event-stream"));
    }
    rig.on_request = NULL; /* and back to the other path, on the same handle */
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_memory_equal(rig.conns->head, "POST /process HTTP/1.1\r\n", 24);
    http_answer_clear(&answer);
    assert_int_equal(rig.accepted, 1);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* Chunks go up as they come, not at the end of the stream. */
static void begin_a_stream(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_CHUNK_EVENT("first"));
}

static bool has_a_chunk(void *context)
{
    return ((struct http_answer *)context)->chunk_count > 0;
}

static void a_chunk_goes_up_when_it_has_come(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = begin_a_stream;
    http_ask_stream(agent, "x", &answer);
    http_run_until(&rig, has_a_chunk, &answer);
    assert_int_equal(answer.ended, 0);
    http_conn_say_chunk(rig.conns, HTTP_END_EVENT);
    http_run_until_ended(&rig, &answer);
    assert_true(http_answer_is(&answer, "first"));
    http_conn_say_last_chunk(rig.conns); /* comes after the call has ended: the connection is kept all the same */
    rig.on_request = NULL;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig);
}

static void end_at_once(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(conn, HTTP_END_EVENT);
    http_conn_say_last_chunk(conn);
}

static void fail_in_the_stream(void *context, struct http_conn *conn)
{
    (void)context;
    http_conn_say(conn, HTTP_STREAM_HEAD);
    http_conn_say_chunk(
        conn, HTTP_CHUNK_EVENT(
                  "one") "data: {\"version\":\"1.0\",\"type\":\"error\",\"id\":\"$ID\",\"payload\":{\"error_code\":"
                         "\"STREAM_ERROR\",\"error_message\":\"no more\"}}\n\n");
    http_conn_say_last_chunk(conn);
}

static void the_end_of_a_stream_is_a_reply_and_an_error_in_it_a_failure(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = end_at_once;
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_true(http_answer_is(&answer, ""));
    assert_int_equal(answer.chunk_count, 0);
    rig.on_request = fail_in_the_stream;
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_E_REMOTE);
    assert_string_equal(answer.chunks, "one,");
    assert_string_equal(answer.failure.detail, "STREAM_ERROR: no more");
    assert_true(answer.failure.ambiguous);
    rig.on_request = NULL; /* a server without streams answers with a whole reply */
    assert_int_equal(http_stream_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_true(http_answer_is(&answer, "re: x"));
    assert_int_equal(rig.accepted, 1);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- queues --- */

static void say_nothing(void *context, struct http_conn *conn)
{
    (void)context;
    (void)conn;
}

static bool three_requests_came(void *context)
{
    return ((struct http_rig *)context)->requests == 3;
}

static void calls_beyond_the_limits_wait_and_then_are_refused(void **state)
{
    struct http_rig rig;
    struct http_answer answers[9] = {{.ended = 0}};
    struct duress_http_agent_options options = {.connections_max = 3, .waiting_max = 5};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    rig.on_request = say_nothing;
    for (size_t i = 0; i < 9; i++)
        http_ask(agent, "x", &answers[i]);
    http_run_until(&rig, three_requests_came, &rig);
    assert_int_equal(answers[8].error, DURESS_E_OVERLOADED);
    assert_int_equal(answers[8].failure.origin, DURESS_ORIGIN_CONNECT);
    assert_false(answers[8].failure.ambiguous);
    assert_int_equal(rig.accepted, 3);
    assert_int_equal(duress_http_agent_counts(agent).calls_waiting, 5);
    assert_int_equal(duress_http_agent_counts(agent).calls_in_flight, 3);
    rig.on_request = NULL;
    for (struct http_conn *conn = rig.conns; conn != NULL; conn = conn->next)
        http_conn_say(conn, http_echo_answer());
    for (size_t i = 0; i < 8; i++) {
        http_run_until_ended(&rig, &answers[i]);
        assert_true(http_answer_is(&answers[i], "re: x"));
        http_answer_clear(&answers[i]);
    }
    assert_int_equal(rig.accepted, 3);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- names --- */

static void localhost_is_looked_up_by_the_world_once(void **state)
{
    struct http_rig rig;
    struct http_answer answers[8] = {{.ended = 0}};
    char url[64];
    (void)state;
    http_rig_open(&rig);
    (void)snprintf(url, sizeof url, "http://LocalHost:%u", rig.port);
    struct duress_http_agent_options options = {.url = url};
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    for (size_t i = 0; i < 8; i++)
        http_ask(agent, "x", &answers[i]);
    for (size_t i = 0; i < 8; i++) {
        http_run_until_ended(&rig, &answers[i]);
        if (answers[i].error != DURESS_OK)
            fail_msg("%s", answers[i].failure.detail);
        http_answer_clear(&answers[i]);
    }
    assert_int_equal(duress_http_agent_counts(agent).lookups_begun, 1);
    assert_non_null(strcasestr(rig.conns->head, "\r\nHost: localhost:"));
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- idle --- */

static bool nothing_is_open(void *context)
{
    return duress_http_agent_counts(context).connections_open == 0;
}

static void connections_that_nobody_uses_are_closed(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    struct duress_http_agent_options options = {.idle_timeout_ns = DURESS_S};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    uint64_t since_ns = duress_world_now_ns(rig.world);
    http_run_until(&rig, nothing_is_open, agent);
    assert_true(duress_world_now_ns(rig.world) - since_ns >= DURESS_S - 100 * DURESS_MS);
    http_run_until_alone(&rig);
    assert_int_equal(http_ask_and_wait(&rig, agent, "again", &answer), DURESS_OK);
    assert_true(http_answer_is(&answer, "re: again"));
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* The peer closes a kept connection while nothing is asked: the next call goes over a new one. */
static void a_connection_that_died_idle_is_not_used_again(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        if (i % 2 == 0)
            http_conn_rst(rig.conns);
        else
            http_conn_fin(rig.conns);
    }
    assert_int_equal(rig.accepted, 4);
    assert_int_equal(rig.requests, 4);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- making one --- */

static void a_simulated_world_is_not_supported(void **state)
{
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    (void)state;
    assert_int_equal(duress_world_sim_new(1, &world), DURESS_OK);
    struct duress_http_agent_options options = {.world = world, .url = "http://server"};
    assert_int_equal(duress_http_agent_new(&options, &agent, &why), DURESS_E_UNSUPPORTED);
    assert_string_equal(why.detail, "world: HTTP needs a live one");
    assert_int_equal(duress_http_agent_new(&options, &agent, NULL), DURESS_E_UNSUPPORTED);
    assert_null(agent);
    duress_world_free(world);
}

/* Nobody may be sent elsewhere by a variable that was meant for another program. */
static void proxies_of_the_environment_are_not_used(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    int error = http_ask_and_wait(&rig, agent, "x", &answer);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(error, DURESS_OK);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void bad_options_are_refused_by_name(void **state)
{
    static const char *const crlf[] = {"A: b\r\nC: d"};
    static const char *const ours[] = {"A: b", "content-LENGTH: 3"};
    static const char *const shapeless[] = {"no colon"};
    static const char *const empty[] = {"A: "};
    static const char *const missing[] = {NULL};
    static const struct {
        struct duress_http_agent_options options;
        const char *detail;
    } rows[] = {
        {{.url = NULL}, "url: must be given"},
        {{.url = "ftp://a"}, "url: must begin with http:// or https://"},
        {{.url = "http://a:0"}, "url: a port is from 1 to 65535"},
        {{.url = "http://a:65536"}, "url: is no URL (Port number was not a decimal number between 0 and 65535)"},
        {{.url = "http://user:word@a"}, "url: must not hold a user; use a header"},
        {{.url = "http://a/?q"}, "url: must have neither query nor fragment"},
        {{.url = "http://a/#f"}, "url: must have neither query nor fragment"},
        {{.url = "http://a", .header_count = 65}, "header_count: 65 is not from 0 to 64"},
        {{.url = "http://a", .header_count = 1}, "headers: must be given where header_count is not 0"},
        {{.url = "http://a", .headers = crlf, .header_count = 1}, "headers[0]: has a control character in its value"},
        {{.url = "http://a", .headers = ours, .header_count = 2}, "headers[1]: is not for callers to set"},
        {{.url = "http://a", .headers = shapeless, .header_count = 1},
         "headers[0]: is not of the form \"Name: value\""},
        {{.url = "http://a", .headers = empty, .header_count = 1}, "headers[0]: has no value"},
        {{.url = "http://a", .headers = missing, .header_count = 1}, "headers[0]: must be given"},
        {{.url = "http://a", .version = (enum duress_http_version)7}, "version: is none of the list"},
        {{.url = "http://a", .ca_file = "/nonexistent"}, "ca_file: cannot be read"},
        {{.url = "http://a", .ca_file = "/dev/null", .insecure_accept_any_certificate = true},
         "ca_file: means nothing where any certificate is accepted"},
        {{.url = "http://a", .connect_timeout_ns = 1}, "connect_timeout_ns: 1 is not from 1000000 to 3600000000000"},
        {{.url = "http://a", .idle_timeout_ns = DURESS_MS},
         "idle_timeout_ns: 1000000 is not from 1000000000 to 86400000000000"},
        {{.url = "http://a", .connect_timeout_ns = 3601 * DURESS_S},
         "connect_timeout_ns: 3601000000000 is not from 1000000 to 3600000000000"},
        {{.url = "http://a", .idle_timeout_ns = 86401 * DURESS_S},
         "idle_timeout_ns: 86401000000000 is not from 1000000000 to 86400000000000"},
        {{.url = "http://a", .connections_max = 65537}, "connections_max: 65537 is not from 1 to 65536"},
        {{.url = "http://a", .in_flight_max = 65537}, "in_flight_max: 65537 is not from 1 to 65536"},
        {{.url = "http://a", .head_bytes_max = 1}, "head_bytes_max: 1 is not from 256 to 1048576"},
        {{.url = "http://a", .head_bytes_max = 1048577}, "head_bytes_max: 1048577 is not from 256 to 1048576"},
        {{.url = "http://a", .body_bytes_max = 255}, "body_bytes_max: 255 is not from 256 to 4294967295"},
    };
    struct http_rig rig;
    (void)state;
    http_rig_open(&rig);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct duress_http_agent_options options = rows[i].options;
        struct duress_agent *agent = NULL;
        struct duress_failure why = {.detail = ""};
        options.world = rig.world;
        assert_int_equal(duress_http_agent_new(&options, &agent, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, rows[i].detail);
        assert_int_equal(duress_http_agent_new(&options, &agent, NULL), DURESS_E_INVALID);
        assert_null(agent);
    }
    struct duress_http_agent_options options = {.url = "http://a"};
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_http_agent_new(&options, &agent, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_http_agent_new(NULL, &agent, NULL), DURESS_E_INVALID);
    options.world = rig.world;
    assert_int_equal(duress_http_agent_new(&options, NULL, NULL), DURESS_E_INVALID);
    http_rig_close(&rig);
}

static void what_cannot_be_sent_is_refused_before_any_connect(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    struct duress_http_agent_options options = {.body_bytes_max = 1024};
    static char large[2048];
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(http_ask_and_wait(&rig, agent, large, &answer), DURESS_E_TOO_LARGE);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(http_ask_and_wait(&rig, agent, "\xff", &answer), DURESS_E_INVALID);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(duress_http_agent_counts(agent).connections_begun, 0);
    assert_int_equal(http_ask_and_wait(&rig, agent, "fine", &answer), DURESS_OK);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_agenkits_post_of_an_envelope),
        cmocka_unit_test(a_connection_is_kept_for_the_next_call),
        cmocka_unit_test(a_mebibyte_goes_both_ways),
        cmocka_unit_test(a_stream_hands_up_each_chunk_and_keeps_the_connection),
        cmocka_unit_test(a_chunk_goes_up_when_it_has_come),
        cmocka_unit_test(the_end_of_a_stream_is_a_reply_and_an_error_in_it_a_failure),
        cmocka_unit_test(calls_beyond_the_limits_wait_and_then_are_refused),
        cmocka_unit_test(localhost_is_looked_up_by_the_world_once),
        cmocka_unit_test(connections_that_nobody_uses_are_closed),
        cmocka_unit_test(a_connection_that_died_idle_is_not_used_again),
        cmocka_unit_test(a_simulated_world_is_not_supported),
        cmocka_unit_test(proxies_of_the_environment_are_not_used),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(what_cannot_be_sent_is_refused_before_any_connect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
