/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP agent and peers that mean harm, or are ill: each gives a clear error, bounded memory, nothing hangs, and
 * what they said reaches no other call. */
#include "http_rig.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- statuses --- */

#define PEER_ERROR(code, details)                                                                                      \
    "{\"version\":\"1.0\",\"type\":\"error\",\"id\":\"$ID\",\"payload\":{\"error_code\":\"" code                       \
    "\",\"error_message\":\"why\",\"error_details\":" details "}}"
#define PYTHON_ERROR                                                                                                   \
    "{\"id\": \"unknown\", \"type\": \"error\", \"version\": \"1.0\", \"payload\": {\"error\": {\"code\": "            \
    "\"EXECUTION_ERROR\", \"message\": \"why\"}}}"

struct status_row {
    const char *status;
    const char *headers;
    const char *body;
    int code;
    bool ambiguous;
    uint64_t retry_after_ns;
    const char *detail;
};

static const struct status_row status_rows[] = {
    {"400 Bad Request", "Content-Type: text/plain\r\n", "no", DURESS_E_INVALID, false, 0, "HTTP 400"},
    {"400 Bad Request", HTTP_JSON, PEER_ERROR("INVALID_MESSAGE", "{}"), DURESS_E_INVALID, false, 0,
     "INVALID_MESSAGE: why"},
    {"401 Unauthorized", "", "", DURESS_E_PERMISSION, false, 0, "HTTP 401"},
    {"403 Forbidden", "Retry-After: 9\r\n", "", DURESS_E_PERMISSION, false, 0, "HTTP 403"},
    {"404 Not Found", "Content-Type: text/html\r\n", "<html>", DURESS_E_INVALID, false, 0, "HTTP 404"},
    {"405 Method Not Allowed", "", "", DURESS_E_UNSUPPORTED, false, 0, "HTTP 405"},
    {"407 Proxy Authentication Required", "", "", DURESS_E_PERMISSION, false, 0, "HTTP 407"},
    {"408 Request Timeout", "Retry-After: 2\r\n", "", DURESS_E_REMOTE, false, 2 * DURESS_S, "HTTP 408"},
    {"409 Conflict", "", "", DURESS_E_INVALID, false, 0, "HTTP 409"},
    {"413 Content Too Large", "", "", DURESS_E_TOO_LARGE, false, 0, "HTTP 413"},
    {"425 Too Early", "", "", DURESS_E_REMOTE, false, 0, "HTTP 425"},
    {"429 Too Many Requests", "Retry-After: 7\r\n", "", DURESS_E_OVERLOADED, false, 7 * DURESS_S, "HTTP 429"},
    {"429 Too Many Requests", "retry-after:  120 \r\n", "", DURESS_E_OVERLOADED, false, 120 * DURESS_S, "HTTP 429"},
    {"429 Too Many Requests", "Retry-After: soon\r\n", "", DURESS_E_OVERLOADED, false, 0, "HTTP 429"},
    {"431 Request Header Fields Too Large", "", "", DURESS_E_TOO_LARGE, false, 0, "HTTP 431"},
    {"499 What", "", "", DURESS_E_INVALID, false, 0, "HTTP 499"},
    {"500 Internal Server Error", HTTP_JSON, PEER_ERROR("EXECUTION_ERROR", "{}"), DURESS_E_REMOTE, true, 0,
     "EXECUTION_ERROR: why"},
    {"500 Internal Server Error", HTTP_JSON, PYTHON_ERROR, DURESS_E_REMOTE, true, 0, "EXECUTION_ERROR: why"},
    {"500 Internal Server Error", HTTP_JSON, PEER_ERROR("INVALID_MESSAGE", "{}"), DURESS_E_REMOTE, false, 0,
     "INVALID_MESSAGE: why"},
    {"500 Internal Server Error", HTTP_JSON, PEER_ERROR("OVERLOADED", "{\"retry_after_ms\":1500}"), DURESS_E_OVERLOADED,
     false, 1500 * DURESS_MS, "OVERLOADED: why"},
    {"500 Internal Server Error", HTTP_JSON, "{", DURESS_E_REMOTE, true, 0, "HTTP 500"},
    {"500 Internal Server Error", HTTP_JSON, HTTP_OK_BODY, DURESS_E_REMOTE, true, 0, "HTTP 500"},
    {"501 Not Implemented", HTTP_JSON, PEER_ERROR("NOT_IMPLEMENTED", "{}"), DURESS_E_UNSUPPORTED, false, 0,
     "NOT_IMPLEMENTED: why"},
    {"502 Bad Gateway", "Retry-After: 1\r\n", "", DURESS_E_REMOTE, true, DURESS_S, "HTTP 502"},
    {"503 Service Unavailable", "Retry-After: 3\r\n", "", DURESS_E_OVERLOADED, false, 3 * DURESS_S, "HTTP 503"},
    {"503 Service Unavailable", HTTP_JSON "Retry-After: 1\r\n", PEER_ERROR("OVERLOADED", "{\"retry_after_ms\":250}"),
     DURESS_E_OVERLOADED, false, 250 * DURESS_MS, "OVERLOADED: why"},
    {"503 Service Unavailable", HTTP_JSON "Retry-After: 1\r\n", PEER_ERROR("EXECUTION_ERROR", "{}"),
     DURESS_E_OVERLOADED, false, DURESS_S, "EXECUTION_ERROR: why"},
    {"504 Gateway Timeout", "", "", DURESS_E_REMOTE, true, 0, "HTTP 504"},
    {"505 HTTP Version Not Supported", "", "", DURESS_E_UNSUPPORTED, false, 0, "HTTP 505"},
    {"511 Network Authentication Required", "", "", DURESS_E_PERMISSION, false, 0, "HTTP 511"},
    {"599 ?", "", "", DURESS_E_REMOTE, true, 0, "HTTP 599"},
    {"600 ?", "", "", DURESS_E_MALFORMED, true, 0, "HTTP 600"},
    {"301 Moved", "Location: /process\r\n", "", DURESS_E_UNSUPPORTED, false, 0, "HTTP 301: redirects are not followed"},
    {"302 Found", "Location: http://127.0.0.1:1/\r\n", "", DURESS_E_UNSUPPORTED, false, 0,
     "HTTP 302: redirects are not followed"},
    {"307 Temporary Redirect", "Location: /process\r\n", "", DURESS_E_UNSUPPORTED, false, 0,
     "HTTP 307: redirects are not followed"},
    {"201 Created", HTTP_JSON, HTTP_OK_BODY, DURESS_E_MALFORMED, true, 0, "HTTP 201"},
    {"204 No Content", "", "", DURESS_E_MALFORMED, true, 0, "HTTP 204"},
    {"200 OK", HTTP_JSON, PEER_ERROR("EXECUTION_ERROR", "{}"), DURESS_E_REMOTE, true, 0, "EXECUTION_ERROR: why"},
    {"200 OK", HTTP_JSON, PYTHON_ERROR, DURESS_E_REMOTE, true, 0, "EXECUTION_ERROR: why"},
};

static void each_status_has_its_code(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++) {
        const struct status_row *row = &status_rows[i];
        rig.answer = http_reply(row->status, row->headers, row->body);
        bool streams = i % 2 == 1; /* as good for both */
        int error =
            streams ? http_stream_and_wait(&rig, agent, "x", &answer) : http_ask_and_wait(&rig, agent, "x", &answer);
        if (error != row->code || answer.failure.ambiguous != row->ambiguous ||
            answer.failure.retry_after_ns != row->retry_after_ns)
            fail_msg("%s: %s, ambiguous %d, retry after %llu ns", row->status, duress_error_name(error),
                     answer.failure.ambiguous, (unsigned long long)answer.failure.retry_after_ns);
        assert_string_equal(answer.failure.detail, row->detail);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_PEER);
        assert_int_equal(rig.requests, i + 1); /* nothing is repeated, no redirect followed */
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* The date is compared with the world's wall clock. */
static void retry_after_may_be_a_date(void **state)
{
    static const char *const formats[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                          "%a %b %e %H:%M:%S %Y"};
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        time_t at = (time_t)(duress_world_wall_ns(rig.world) / DURESS_S) + 61;
        struct tm parts;
        char header[128] = "Retry-After: ";
        assert_non_null(gmtime_r(&at, &parts));
        size_t length = strftime(header + 13, sizeof header - 16, formats[i], &parts);
        memcpy(header + 13 + length, "\r\n", 3);
        rig.answer = http_reply("503 Service Unavailable", header, "");
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_OVERLOADED);
        assert_true(answer.failure.retry_after_ns > 40 * DURESS_S);
        assert_true(answer.failure.retry_after_ns <= 61 * DURESS_S);
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- replies that are no replies --- */

struct reply_row {
    const char *what;
    const char *reply;
    int code;
    enum http_after after;
};

#define HEAD "HTTP/1.1 200 OK\r\n" HTTP_JSON
#define WITH_BODY(body) HEAD "Content-Length: $LENGTH\r\n\r\n" body
#define RESPONSE_WITH(id) "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"" id "\",\"payload\":{\"message\":{"
#define GOOD_MESSAGE "\"role\":\"agent\",\"content\":\"other\"}}}"

static const struct reply_row reply_rows[] = {
    {"no bytes at all", "", DURESS_E_TRUNCATED, HTTP_FIN},
    {"no HTTP", "hello\r\n\r\n", DURESS_E_MALFORMED, HTTP_FIN},
    {"zeros", "\1\2\3\4\5\6\7\n\n\n\n", DURESS_E_MALFORMED, HTTP_FIN},
    {"a version that is none", "HTTP/7.7 200 OK\r\n\r\n", DURESS_E_MALFORMED, HTTP_FIN},
    {"a head without its end", HEAD "Content-Length: 5\r\n", DURESS_E_TRUNCATED, HTTP_FIN},
    {"a body shorter than announced", HEAD "Content-Length: 4000\r\n\r\n" HTTP_OK_BODY, DURESS_E_TRUNCATED, HTTP_FIN},
    {"a body longer than announced", HEAD "Content-Length: 10\r\n\r\n" HTTP_OK_BODY, DURESS_E_TRUNCATED, HTTP_KEEP},
    {"a length below zero", HEAD "Content-Length: -1\r\n\r\n" HTTP_OK_BODY, DURESS_E_MALFORMED, HTTP_KEEP},
    {"two lengths that differ", HEAD "Content-Length: 5\r\nContent-Length: $LENGTH\r\n\r\n" HTTP_OK_BODY,
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"two lengths in one", HEAD "Content-Length: 5, 6\r\n\r\n" HTTP_OK_BODY, DURESS_E_MALFORMED, HTTP_KEEP},
    {"a length that is no number", HEAD "Content-Length: many\r\n\r\n" HTTP_OK_BODY, DURESS_E_MALFORMED, HTTP_KEEP},
    {"a length beyond 64 bits", HEAD "Content-Length: 99999999999999999999999\r\n\r\nx", DURESS_E_MALFORMED, HTTP_FIN},
    {"chunks of no number", HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"a chunk of 2^64 bytes", HEAD "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nab\r\n0\r\n\r\n",
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"chunks without their last", HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", DURESS_E_TRUNCATED, HTTP_FIN},
    {"a reset in the body", HEAD "Content-Length: 4000\r\n\r\n{", DURESS_E_RESET, HTTP_RST},
    {"a reset in the head", "HTTP/1.1 200", DURESS_E_RESET, HTTP_RST},
    {"a reset instead of a reply", "", DURESS_E_RESET, HTTP_RST},
    {"no body", WITH_BODY(""), DURESS_E_TRUNCATED, HTTP_KEEP},
    {"half a body without length", HEAD "Connection: close\r\n\r\n{\"version\":\"1.0\",\"ty", DURESS_E_TRUNCATED,
     HTTP_FIN},
    {"no JSON", WITH_BODY("no json"), DURESS_E_MALFORMED, HTTP_KEEP},
    {"an array", WITH_BODY("[]"), DURESS_E_MALFORMED, HTTP_KEEP},
    {"NaN", WITH_BODY("{\"version\":NaN}"), DURESS_E_MALFORMED, HTTP_KEEP},
    {"no version", WITH_BODY("{\"type\":\"response\",\"id\":\"$ID\",\"payload\":{}}"), DURESS_E_MALFORMED, HTTP_KEEP},
    {"no UTF-8", WITH_BODY(RESPONSE_WITH("$ID") "\"role\":\"agent\",\"content\":\"\xff\"}}}"), DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"a number for a role", WITH_BODY(RESPONSE_WITH("$ID") "\"role\":1,\"content\":\"x\"}}}"), DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"another id", WITH_BODY(RESPONSE_WITH("d-0000000000000000-0000000000000001") GOOD_MESSAGE), DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"no id but \"unknown\"", WITH_BODY(RESPONSE_WITH("unknown") GOOD_MESSAGE), DURESS_E_MALFORMED, HTTP_KEEP},
    {"two ids, the last not ours",
     WITH_BODY("{\"id\":\"$ID\","
               "\"version\":\"1.0\",\"type\":\"response\",\"id\":\"other\",\"payload\":{\"message\":{" GOOD_MESSAGE),
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"a request",
     WITH_BODY("{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"$ID\",\"payload\":{\"method\":\"process\","
               "\"message\":{" GOOD_MESSAGE),
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"a chunk that nobody asked for",
     WITH_BODY("{\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"$ID\",\"payload\":{\"message\":{" GOOD_MESSAGE),
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"another content type",
     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: $LENGTH\r\n\r\n" HTTP_OK_BODY, DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"a longer content type",
     "HTTP/1.1 200 OK\r\nContent-Type: application/json-seq\r\nContent-Length: $LENGTH\r\n\r\n" HTTP_OK_BODY,
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"no content type", "HTTP/1.1 200 OK\r\nContent-Length: $LENGTH\r\n\r\n" HTTP_OK_BODY, DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"events for a whole reply",
     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: $LENGTH\r\n\r\ndata: " HTTP_OK_BODY "\n\n",
     DURESS_E_MALFORMED, HTTP_KEEP},
    {"a body in gzip", HEAD "Content-Encoding: gzip\r\nContent-Length: $LENGTH\r\n\r\n\x1f\x8b\x08", DURESS_E_MALFORMED,
     HTTP_KEEP},
    {"a switch of protocols, then nothing", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
     DURESS_E_TRUNCATED, HTTP_FIN},
};

static void assert_next_call_is_fine(struct http_rig *rig, struct duress_agent *agent, const char *what)
{
    struct http_answer answer = {.ended = 0};
    uint32_t accepted = rig->accepted;
    rig->answer = http_echo_answer();
    rig->after = HTTP_KEEP;
    int error = http_ask_and_wait(rig, agent, "next", &answer);
    if (!http_answer_is(&answer, "re: next"))
        fail_msg("after %s: %s (%s)", what, duress_error_name(error), answer.failure.detail);
    if (rig->accepted != accepted + 1)
        fail_msg("after %s its connection was used again", what);
    http_answer_clear(&answer);
}

static void what_is_no_reply_fails_its_call_and_no_other(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    for (size_t i = 0; i < sizeof reply_rows / sizeof reply_rows[0]; i++) {
        const struct reply_row *row = &reply_rows[i];
        struct duress_agent *agent = http_rig_agent(&rig, NULL);
        rig.answer = row->reply;
        rig.after = row->after;
        int error = http_ask_and_wait(&rig, agent, "x", &answer);
        if (error != row->code)
            fail_msg("%s: %s (%s)", row->what, duress_error_name(error), answer.failure.detail);
        if (!answer.failure.ambiguous)
            fail_msg("%s: not ambiguous", row->what);
        assert_next_call_is_fine(&rig, agent, row->what);
        http_answer_clear(&answer);
        duress_agent_unref(agent);
        http_run_until_alone(&rig);
    }
    http_rig_close(&rig);
}

/* A whole reply of each framing, cut after every byte, with a FIN and with an RST: never taken for a whole one. */
static void half_a_reply_is_never_taken_for_a_whole_one(void **state)
{
    static const char chunked[] =
        HEAD "Transfer-Encoding: chunked\r\n\r\n3a\r\n{\"version\":\"1.0\",\"type\":\"error\","
             "\"id\":\"unknown\",\"payload\":{\r\n1c\r\n\"error_code\":\"CODE\",\"a\":[]}}\r\n"
             "0\r\n\r\n";
    static const char closed[] =
        HEAD "Connection: close\r\n\r\n{\"version\":\"1.0\",\"type\":\"error\",\"id\":\"unknown\","
             "\"payload\":{\"error_code\":\"CODE\"}}";
    static const char counted[] = WITH_BODY("{\"version\":\"1.0\",\"type\":\"error\",\"id\":\"unknown\",\"payload\":{"
                                            "\"error_code\":\"CODE\"}}");
    static const char *const replies[] = {chunked, closed, counted};
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        size_t whole = strlen(replies[i]);
        if (i == 0)
            whole -= strlen("\r\n"); /* behind "0\r\n" nothing is missing */
        if (i == 2)
            whole -= strlen("$LENGTH") - strlen("83");
        for (size_t cut = 1; cut < whole; cut++) {
            rig.answer = replies[i];
            rig.say_max = cut;
            rig.after = cut % 3 == 2 ? HTTP_RST : HTTP_FIN;
            int error = http_ask_and_wait(&rig, agent, "x", &answer);
            if (error != (rig.after == HTTP_RST ? DURESS_E_RESET : DURESS_E_TRUNCATED))
                fail_msg("reply %zu cut after %zu: %s (%s)", i, cut, duress_error_name(error), answer.failure.detail);
            assert_true(answer.failure.ambiguous);
        }
    }
    rig.say_max = 0;
    rig.after = HTTP_KEEP;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) { /* and whole they are what they seem */
        rig.answer = replies[i];
        rig.after = i == 1 ? HTTP_FIN : HTTP_KEEP;
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_REMOTE);
        assert_string_equal(answer.failure.detail, "CODE: ");
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void a_reply_byte_by_byte_is_a_reply(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.drips = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "slowly", &answer), DURESS_OK);
        assert_true(http_answer_is(&answer, "re: slowly"));
    }
    assert_int_equal(rig.accepted, 1);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void what_comes_before_the_reply_is_passed_over(void **state)
{
    static const char *const befores[] = {
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    };
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    char text[2048];
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (size_t i = 0; i < sizeof befores / sizeof befores[0]; i++) {
        (void)snprintf(text, sizeof text, "%s%s", befores[i], http_echo_answer());
        rig.answer = text;
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        assert_true(http_answer_is(&answer, "re: x"));
    }
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- sizes --- */

static void say_headers_without_end(void *context, struct http_conn *conn)
{
    char line[1024];
    (void)context;
    memset(line, 'h', sizeof line);
    line[1] = ':';
    line[sizeof line - 2] = '\r';
    line[sizeof line - 1] = '\n';
    http_conn_say(conn, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 4096 && conn->stream != NULL; i++)
        http_conn_say_bytes(conn, line, sizeof line);
}

static void say_one_long_header(void *context, struct http_conn *conn)
{
    char piece[1024];
    (void)context;
    memset(piece, 'h', sizeof piece);
    http_conn_say(conn, "HTTP/1.1 200 OK\r\nX: ");
    for (int i = 0; i < 4096 && conn->stream != NULL; i++)
        http_conn_say_bytes(conn, piece, sizeof piece);
}

static void say_body_without_end(void *context, struct http_conn *conn)
{
    static const char *const heads[] = {HEAD "\r\n", HEAD "Content-Length: 4294967296\r\n\r\n",
                                        "HTTP/1.1 500 Oh\r\n" HTTP_JSON "\r\n",
                                        HEAD "Transfer-Encoding: chunked\r\n\r\n7ffffff\r\n"};
    char piece[4096];
    const uint32_t *which = context;
    memset(piece, ' ', sizeof piece);
    http_conn_say(conn, heads[*which]);
    for (int i = 0; i < 1024 && conn->stream != NULL; i++)
        http_conn_say_bytes(conn, piece, sizeof piece);
}

static void heads_and_bodies_have_limits(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    uint32_t which = 0;
    struct duress_http_agent_options options = {.head_bytes_max = 8192, .body_bytes_max = 65536};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    rig.on_request = say_headers_without_end;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
    assert_string_equal(answer.failure.detail, "a reply's head above the limit");
    rig.on_request = say_one_long_header;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
    rig.on_request = say_body_without_end;
    rig.context = &which;
    for (; which < 4; which++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
        assert_string_equal(answer.failure.detail, "a reply's body above the limit");
        assert_true(answer.failure.ambiguous);
    }
    assert_true(rig.heap.largest_bytes < 2 * 65536 + 4096);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_run_until_alone(&rig);
    http_rig_close(&rig);
}

static void deep_json_is_malformed(void **state)
{
    static char body[100000];
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    size_t head = (size_t)snprintf(body, sizeof body,
                                   "%s\"role\":\"agent\",\"content\":\"x\",\"metadata\":{\"a\":", RESPONSE_WITH("$ID"));
    memset(body + head, '[', sizeof body - head - 1);
    rig.answer = http_reply("200 OK", HTTP_JSON, body);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
    assert_next_call_is_fine(&rig, agent, "deep JSON");
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* Says the start of a reply at once, and what follows a byte at a time, for longer than anybody waits. */
static void say_in_drips(void *context, struct http_conn *conn)
{
    const char *const *says = context;
    http_conn_say(conn, *says);
    conn->rig->drips = true;
    static char filler[1024 * 1024];
    memset(filler, 'z', sizeof filler - 1);
    http_conn_say_bytes(conn, filler, sizeof filler - 1);
}

static void bytes_that_drip_buy_no_time(void **state)
{
    static const char *const starts[] = {"HTTP/1.1 200 OK\r\nX: ", HEAD "Content-Length: 2000000\r\n\r\n",
                                         HEAD "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"};
    struct http_rig rig;
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    for (size_t i = 0; i < 2 * sizeof starts / sizeof starts[0]; i++) {
        struct http_answer answer = {.ended = 0};
        rig.on_request = say_in_drips;
        rig.context = (void *)&starts[i / 2];
        rig.drips = false;
        uint64_t deadline_ns = duress_world_now_ns(rig.world) + 100 * DURESS_MS;
        assert_int_equal(http_try_ask(agent, "x", deadline_ns, i % 2 == 1, &answer), DURESS_OK);
        http_run_until_ended(&rig, &answer);
        assert_int_equal(answer.error, DURESS_E_DEADLINE);
        assert_true(answer.failure.ambiguous);
        assert_true(answer.ended_ns >= deadline_ns);
        http_run_until_alone(&rig); /* nobody goes on listening */
    }
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- what belongs to nobody --- */

/* A second reply right behind the first, and one that comes while nothing is asked. */
static void a_reply_that_nobody_asked_for_reaches_nobody(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    static char twice[4096];
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    (void)snprintf(twice, sizeof twice, "%s", http_echo_answer());
    rig.answer = twice;
    for (int i = 0; i < 6; i++) {
        char text[8];
        char expected[16];
        (void)snprintf(text, sizeof text, "%d", i);
        (void)snprintf(expected, sizeof expected, "re: %d", i);
        assert_int_equal(http_ask_and_wait(&rig, agent, text, &answer), DURESS_OK);
        assert_true(http_answer_is(&answer, expected));
        http_conn_say(rig.conns, http_echo_answer());
        http_run_until_alone(&rig); /* the agent ends that connection, though nothing is asked */
    }
    assert_int_equal(rig.requests, 6);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void answer_once_then_part(void *context, struct http_conn *conn)
{
    const enum http_after *how = context;
    if (conn->request_count == 1)
        http_conn_say(conn, http_echo_answer());
    else if (*how == HTTP_RST)
        http_conn_rst(conn);
    else
        http_conn_fin(conn);
}

/* libcurl would send such a request again by itself, over a new connection. */
static void a_request_is_not_repeated_where_a_kept_connection_dies_under_it(void **state)
{
    static const enum http_after hows[] = {HTTP_FIN, HTTP_RST};
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        enum http_after how = hows[i];
        http_rig_open(&rig);
        struct duress_agent *agent = http_rig_agent(&rig, NULL);
        rig.on_request = answer_once_then_part;
        rig.context = &how;
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        int error = http_ask_and_wait(&rig, agent, "x", &answer);
        assert_int_equal(error, how == HTTP_RST ? DURESS_E_RESET : DURESS_E_TRUNCATED);
        assert_true(answer.failure.ambiguous);
        assert_int_equal(rig.requests, 2);
        assert_int_equal(rig.accepted, 1);
        rig.on_request = NULL;
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
        http_answer_clear(&answer);
        duress_agent_unref(agent);
        http_rig_close(&rig);
    }
}

/* Nor over another kept one, where no socket is opened any more. */
static void a_request_is_not_repeated_over_another_kept_connection(void **state)
{
    struct http_rig rig;
    struct http_answer answers[2] = {{.ended = 0}};
    enum http_after how = HTTP_FIN;
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.on_request = answer_once_then_part;
    rig.context = &how;
    for (int i = 0; i < 2; i++)
        http_ask(agent, "x", &answers[i]);
    for (int i = 0; i < 2; i++) {
        http_run_until_ended(&rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_OK);
    }
    assert_int_equal(rig.accepted, 2);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answers[0]), DURESS_E_TRUNCATED);
    assert_true(answers[0].failure.ambiguous);
    assert_int_equal(rig.requests, 3);
    assert_int_equal(rig.accepted, 2);
    for (int i = 0; i < 2; i++)
        http_answer_clear(&answers[i]);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* libcurl's handles remember the last call of the kernel that failed: not the next call's trouble. */
static void a_reset_is_not_remembered_for_the_next_call(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    rig.answer = HEAD "Content-Length: 4000\r\n\r\n{";
    rig.after = HTTP_RST;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_RESET);
    rig.answer = HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n";
    rig.after = HTTP_KEEP;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_MALFORMED);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_its_code),
        cmocka_unit_test(retry_after_may_be_a_date),
        cmocka_unit_test(what_is_no_reply_fails_its_call_and_no_other),
        cmocka_unit_test(half_a_reply_is_never_taken_for_a_whole_one),
        cmocka_unit_test(a_reply_byte_by_byte_is_a_reply),
        cmocka_unit_test(what_comes_before_the_reply_is_passed_over),
        cmocka_unit_test(bytes_that_drip_buy_no_time),
        cmocka_unit_test(heads_and_bodies_have_limits),
        cmocka_unit_test(deep_json_is_malformed),
        cmocka_unit_test(a_reply_that_nobody_asked_for_reaches_nobody),
        cmocka_unit_test(a_reset_is_not_remembered_for_the_next_call),
        cmocka_unit_test(a_request_is_not_repeated_where_a_kept_connection_dies_under_it),
        cmocka_unit_test(a_request_is_not_repeated_over_another_kept_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
