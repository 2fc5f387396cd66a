/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server to peers that do not mean well: bad requests, wrong lengths, slow bytes, slow readers, endless
 * bodies, peers that go away at every byte. Each gets a clear error or is closed; the server goes on. */
#include "server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUNDRED                                                                                                        \
    "01234567890123456789012345678901234567890123456789"                                                               \
    "01234567890123456789012345678901234567890123456789"

static struct web the_web;

static int setup(void **state)
{
    *state = &the_web;
    web_open(&the_web);
    return 0;
}

/* The server still serves. */
static void assert_serves(struct web *web)
{
    struct web_client client;
    struct web_reply reply;
    web_connect(web, &client);
    web_ask(&client, "/process", "well", "still there");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_body_has(reply, "still there");
    web_disconnect(&client);
}

/* --- bad requests --- */

static void bad_bodies_are_refused_and_the_connection_kept(void **state)
{
    static const struct {
        const char *body;
        const char *id;
        const char *error;
    } cases[] = {
        {"not json", "unknown", "MALFORMED_PAYLOAD"},
        {"", "unknown", "INVALID_MESSAGE\",\"error_message\":\"a body is needed"},
        {"[]", "unknown", "MALFORMED_PAYLOAD"},
        {"{}", "unknown", "INVALID_MESSAGE"},
        {"{\"version\":\"1.0\",\"type\":\"request\"", "unknown", "MALFORMED_PAYLOAD"},
        {"{\"version\":\"2.0\",\"type\":\"request\",\"id\":\"v\",\"payload\":{}}", "v", "UNSUPPORTED_VERSION"},
        {"{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"m\",\"payload\":{}}", "m", "INVALID_MESSAGE"},
        {"{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"h\",\"payload\":{}}", "h",
         "INVALID_MESSAGE\",\"error_message\":\"not a request"},
        {"{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"r\",\"payload\":{\"message\":{\"role\":\"\",\"content\":"
         "\"x\"}}}",
         "r", "INVALID_MESSAGE"},
    };
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    char expected[256];
    web_serve(web, NULL);
    web_connect(web, &client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        web_post(&client, i % 2 == 0 ? "/process" : "/stream", "", cases[i].body);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 400);
        (void)snprintf(expected, sizeof expected, "\"type\":\"error\",\"id\":\"%s\"", cases[i].id);
        assert_body_has(reply, expected);
        (void)snprintf(expected, sizeof expected, "\"error_code\":\"%s", cases[i].error);
        assert_body_has(reply, expected);
    }
    assert_int_equal(web_counts(web).malformed, sizeof cases / sizeof cases[0]);
    assert_int_equal(web_counts(web).connections_accepted, 1);
    assert_int_equal(web_counts(web).arrivals, 0);
    assert_int_equal(web->service.begun, 0);
    web_disconnect(&client);
    assert_serves(web);
    web_close(web);
}

static void deep_nesting_and_long_ids_are_refused(void **state)
{
    static char text[300000];
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    memset(text, '[', sizeof text - 1);
    web_post(&client, "/process", "", text);
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 400);
    assert_body_has(reply, "MALFORMED_PAYLOAD");
    for (size_t length = 256; length <= 257; length++) {
        memset(text, 0, sizeof text);
        memset(text, 'i', length);
        web_ask(&client, "/process", text, "x");
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, length == 256 ? 200 : 400);
        if (length > 256)
            assert_body_has(reply, "\"id\":\"unknown\"");
    }
    assert_body_has(reply, "an id of more than 256 bytes");
    web_disconnect(&client);
    web_close(web);
}

/* An id is the peer's own business: nothing is found by it. */
static void requests_of_one_id_get_an_answer_each(void **state)
{
    enum { CLIENTS = 8 };
    struct web *web = *state;
    struct web_client clients[CLIENTS];
    struct web_reply reply;
    char text[2][32];
    web_serve(web, NULL);
    web->service.delay_ns_min = web->service.delay_ns_max = DURESS_MS;
    for (int i = 0; i < CLIENTS; i++) {
        web_connect(web, &clients[i]);
        for (int j = 0; j < 2; j++) {
            (void)snprintf(text[j], sizeof text[j], "%d and %d", i, j);
            web_ask(&clients[i], j == 0 ? "/process" : "/stream", "same", text[j]);
        }
    }
    for (int i = CLIENTS; i-- > 0;) {
        for (int j = 0; j < 2; j++) {
            (void)snprintf(text[j], sizeof text[j], "\"re: %d and %d\"", i, j);
            web_await(web, &clients[i], &reply);
            assert_body_has(reply, "\"id\":\"same\"");
            assert_body_has(reply, text[j]);
        }
        web_disconnect(&clients[i]);
    }
    assert_int_equal(web_counts(web).arrivals, 2 * CLIENTS);
    web_connect(web, &clients[0]); /* an id that is given twice: the last one counts */
    web_post(&clients[0], "/process", "",
             "{\"id\":\"first\",\"version\":\"1.0\",\"type\":\"request\",\"id\":\"last\",\"payload\":{"
             "\"method\":\"process\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}}");
    web_await(web, &clients[0], &reply);
    assert_body_has(reply, "\"id\":\"last\"");
    web_disconnect(&clients[0]);
    web_close(web);
}

static void paths_and_methods_that_are_not_served_are_told(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *header; /* NULL: none */
    } cases[] = {
        {"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, NULL},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, NULL},
        {"GET /process/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, NULL},
        {"GET /process HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: POST, OPTIONS"},
        {"PUT /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405, "Allow: POST, OPTIONS"},
        {"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: GET, HEAD, OPTIONS"},
        {"FROB /health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: GET, HEAD, OPTIONS"},
        {"OPTIONS /process HTTP/1.1\r\nHost: a\r\n\r\n", 204, "Allow: POST, OPTIONS"},
        {"OPTIONS /health HTTP/1.1\r\nHost: a\r\n\r\n", 204, "Allow: GET, HEAD, OPTIONS"},
    };
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        web_send(&client, cases[i].request);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, cases[i].status);
        if (cases[i].header != NULL)
            assert_true(web_has_header(&reply, cases[i].header));
        if (reply.status != 204)
            assert_body_has(reply, "\"error_code\":\"INVALID_REQUEST\"");
    }
    web_send(&client, "HEAD /process HTTP/1.1\r\nHost: a\r\n\r\n");
    web_await_head(web, &client, &reply);
    assert_int_equal(reply.status, 405);
    assert_int_equal(web_counts(web).connections_accepted, 1); /* none of them cost the connection */
    assert_int_equal(web_counts(web).malformed, 8);
    web_disconnect(&client);
    web_close(web);
}

static void heads_that_promise_a_wrong_body_are_refused_before_it(void **state)
{
    static const struct {
        const char *headers;
        int status;
        const char *error;
    } cases[] = {
        {"Content-Type: text/plain\r\nContent-Length: 5\r\n", 415, "not application/json"},
        {"Content-Type: application/jsonx\r\nContent-Length: 5\r\n", 415, "not application/json"},
        {"Content-Type: application/json\r\nContent-Length: 1001\r\n", 413, "longer than the limit"},
        {"Content-Type: application/json\r\nContent-Length: 18446744073709551615\r\n", 413, NULL},
        {"Content-Length: 5\r\nContent-Length: 6\r\n", 400, NULL},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, NULL},
        {"Content-Length: -5\r\n", 400, NULL},
        {"Content-Length: 5x\r\n", 400, NULL},
        {"Content-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n", 415, NULL},
    };
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.body_bytes_max = 1000});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        web_connect(web, &client);
        web_send(&client, "POST /process HTTP/1.1\r\nHost: a\r\n");
        web_send(&client, cases[i].headers);
        web_send(&client, "\r\n");
        web_await(web, &client, &reply);
        if (reply.status != cases[i].status)
            fail_msg("%s: %d", cases[i].headers, reply.status);
        if (cases[i].error != NULL)
            assert_body_has(reply, cases[i].error);
        web_await_end(web, &client); /* the body behind is not waited for */
        web_disconnect(&client);
    }
    assert_int_equal(web->service.begun, 0);
    assert_serves(web);
    web_close(web);
}

static void headers_beyond_the_limit_are_refused(void **state)
{
    static char filler[64 * 1024];
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.header_bytes_max = 2048});
    for (size_t bytes = 1024; bytes < sizeof filler; bytes = bytes * 2) {
        memset(filler, 0, sizeof filler);
        memset(filler, 'h', bytes);
        web_connect(web, &client);
        web_send(&client, "GET /health HTTP/1.1\r\nHost: a\r\nX-Filler: ");
        web_send(&client, filler);
        web_send(&client, "\r\n\r\n");
        if (bytes > 8 * 1024) { /* libmicrohttpd's own refusal may be lost to the RST that its close sends */
            web_await_end(web, &client);
            web_disconnect(&client);
            continue;
        }
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, bytes < 2000 ? 200 : 431);
        web_disconnect(&client);
    }
    assert_serves(web);
    web_close(web);
}

static void what_is_no_http_is_closed(void **state)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n", /* no Host */
        "POST /process HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    struct web *web = *state;
    struct web_client client;
    web_serve(web, NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        web_connect(web, &client);
        web_send(&client, texts[i]);
        web_fin(&client);
        web_await_end(web, &client);
        web_disconnect(&client);
    }
    web_until_alone(web);
    assert_int_equal(web->service.begun, 0);
    assert_serves(web);
    web_close(web);
}

/* --- too much --- */

static void chunks_without_end_are_cut_at_the_limit(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.body_bytes_max = 1000});
    web_connect(web, &client);
    web_send(&client, "POST /process HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; i++)
        web_send(&client, "64\r\n" HUNDRED "\r\n");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 413);
    assert_true(web_has_header(&reply, "Connection: close"));
    assert_body_has(reply, "MALFORMED_PAYLOAD");
    web_await_end(web, &client);
    web_disconnect(&client);
    web_until_alone(web);
    assert_int_equal(web_counts(web).malformed, 1);
    assert_serves(web);
    web_close(web);
}

static void bodies_beyond_the_memory_set_aside_are_shed(void **state)
{
    struct web *web = *state;
    struct web_client first;
    struct web_client second;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.bodies_bytes_max = 2000,
                                                        .overload_retry_after_ns = 1500 * DURESS_MS});
    for (uint32_t round = 0; round < 3; round++) {
        web_connect(web, &first);
        web_connect(web, &second);
        web_send(&first, "POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
        for (int i = 0; i < 17; i++)
            web_send(&first, HUNDRED);
        /* The server has read that when it answers what comes later; and bodies that reached the agent do not count. */
        for (int i = 0; i < 10; i++)
            assert_serves(web);
        web_send(&second, "POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\n");
        for (int i = 0; i < 4; i++)
            web_send(&second, HUNDRED);
        web_await(web, &second, &reply);
        assert_int_equal(reply.status, 503);
        assert_true(web_has_header(&reply, "Retry-After: 2"));
        assert_body_has(reply, "\"error_code\":\"OVERLOADED\"");
        assert_int_equal(web_counts(web).shed, round + 1);
        web_disconnect(&second);
        web_disconnect(&first);
        web_until_alone(web); /* and what they held is free again */
    }
    web_close(web);
}

static void connections_beyond_the_limit_are_closed_at_once(void **state)
{
    struct web *web = *state;
    struct web_client clients[4];
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.connections_max = 3});
    for (int i = 0; i < 4; i++)
        web_connect(web, &clients[i]);
    web_await_end(web, &clients[3]);
    assert_int_equal(web_counts(web).connections_open, 3);
    assert_int_equal(web_counts(web).connections_refused, 1);
    for (int i = 0; i < 3; i++) {
        web_ask(&clients[i], "/process", "x", "x");
        web_await(web, &clients[i], &reply);
        assert_int_equal(reply.status, 200);
    }
    for (int i = 0; i < 4; i++)
        web_disconnect(&clients[i]);
    web_until_alone(web);
    assert_serves(web);
    web_close(web);
}

static void connections_of_one_address_have_a_limit_of_their_own(void **state)
{
    struct web *web = *state;
    struct web_client clients[3];
    web_serve(web, &(struct duress_http_server_options){.connections_per_address_max = 2});
    for (int i = 0; i < 3; i++)
        web_connect(web, &clients[i]);
    web_await_end(web, &clients[2]);
    assert_int_equal(web_counts(web).connections_open, 2);
    for (int i = 0; i < 3; i++)
        web_disconnect(&clients[i]);
    web_until_alone(web);
    assert_serves(web);
    web_close(web);
}

/* --- too slow --- */

static void expect_late(struct web *web, const char *sent, const char *message, uint64_t limit_ns)
{
    struct web_client client;
    struct web_reply reply;
    web_connect(web, &client);
    uint64_t begun_ns = duress_world_now_ns(web->world);
    web_send(&client, sent);
    web_await(web, &client, &reply);
    assert_true(duress_world_now_ns(web->world) - begun_ns >= limit_ns);
    assert_int_equal(reply.status, 408);
    assert_body_has(reply, message);
    web_await_end(web, &client);
    web_disconnect(&client);
}

static void slow_headers_and_bodies_are_closed_in_time(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web_serve(web, &(struct duress_http_server_options){
                       .header_timeout_ns = 40 * DURESS_MS,
                       .body_timeout_ns = 20 * DURESS_MS,
                       .idle_timeout_ns = 60 * DURESS_MS,
                   });
    expect_late(web, "", "the headers came too late", 30 * DURESS_MS);
    expect_late(web, "GET /heal", "the headers came too late", 30 * DURESS_MS);
    expect_late(web, "GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ", "the headers came too late", 30 * DURESS_MS);
    expect_late(web, "POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123", "the body came too late",
                20 * DURESS_MS);
    assert_int_equal(web_counts(web).timed_out, 4);
    assert_serves(web);
    /* An idle connection that has been of use is closed without a word. */
    struct web_reply reply;
    web_connect(web, &client);
    web_ask(&client, "/process", "x", "x");
    web_await(web, &client, &reply);
    uint64_t idle_ns = duress_world_now_ns(web->world);
    web_await_end(web, &client);
    assert_true(client.ended);
    assert_true(duress_world_now_ns(web->world) - idle_ns >= 50 * DURESS_MS);
    assert_int_equal(duress_buffer_length(&client.in), 0);
    assert_int_equal(web_counts(web).timed_out, 4);
    web_disconnect(&client);
    web_until_alone(web);
    web_close(web);
}

struct drip {
    struct web_client *client;
    struct duress_timer timer;
    const char *text;
    size_t at;
};

static void drip_next(void *context)
{
    struct drip *drip = context;
    if (drip->client->stream == NULL)
        return;
    web_send_bytes(drip->client, drip->text + drip->at, 1);
    drip->at += drip->text[drip->at + 1] != '\0';
    duress_world_arm(drip->client->world, &drip->timer, duress_world_now_ns(drip->client->world) + 2 * DURESS_MS);
}

/* A byte now and then does not buy time. */
static void bytes_that_drip_buy_no_time(void **state)
{
    static const char *const texts[] = {
        "GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "POST /process HTTP/1.1\r\nContent-Length: 1000\r\nHost: a\r\n\r\n{\"version\":\"1.0\"                         "
        " ",
    };
    struct web *web = *state;
    web_serve(web, &(struct duress_http_server_options){.header_timeout_ns = 60 * DURESS_MS,
                                                        .body_timeout_ns = 30 * DURESS_MS});
    for (size_t i = 0; i < 2; i++) {
        struct web_client client;
        struct drip drip = {.client = &client, .text = texts[i]};
        duress_timer_init(&drip.timer, drip_next, &drip);
        web_connect(web, &client);
        if (i == 1)
            web_send(&client, "POST /process HTTP/1.1\r\nContent-Length: 1000\r\nHost: a\r\n\r\n");
        drip_next(&drip);
        web_await_end(web, &client);
        assert_int_equal(web_counts(web).timed_out, i + 1);
        duress_world_disarm(web->world, &drip.timer);
        web_disconnect(&client);
    }
    assert_serves(web);
    web_close(web);
}

static char *big_text;

static void answer_big(void *context, struct rig_service *service, struct duress_call *call)
{
    struct duress_message *reply = NULL;
    struct duress_message_options options = {.role = duress_slice_text("agent"),
                                             .content = duress_slice_text(big_text)};
    (void)context;
    assert_int_equal(duress_message_new(&options, &reply), DURESS_OK);
    if (call->streaming)
        for (int i = 0; i < 8 && duress_call_is_live(call); i++)
            duress_call_emit(call, reply);
    service->ended++;
    if (duress_call_is_live(call))
        duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static void a_reader_that_is_too_slow_is_reset(void **state)
{
    enum { BIG_BYTES = 9 * 1024 * 1024 };
    struct web *web = *state;
    struct web_client client;
    big_text = malloc(BIG_BYTES + 1);
    assert_non_null(big_text);
    memset(big_text, 'x', BIG_BYTES);
    big_text[BIG_BYTES] = '\0';
    web->service.on_call = answer_big;
    web_serve(web, &(struct duress_http_server_options){.write_timeout_ns = 50 * DURESS_MS,
                                                        .write_bytes_max = 100 * 1024 * 1024});
    for (int i = 0; i < 2; i++) {
        web_connect(web, &client);
        client.deaf = true;
        web_ask(&client, i == 0 ? "/process" : "/stream", "x", "x");
        web_await_end(web, &client);
        assert_true(client.was_reset);
        assert_int_equal(web_counts(web).timed_out, i + 1);
        web_disconnect(&client);
    }
    web_until_alone(web);
    free(big_text);
    web->service.on_call = NULL;
    assert_serves(web);
    web_close(web);
}

static void a_stream_that_piles_up_is_reset(void **state)
{
    enum { BIG_BYTES = 9 * 1024 * 1024 };
    struct web *web = *state;
    struct web_client client;
    big_text = malloc(BIG_BYTES + 1);
    assert_non_null(big_text);
    memset(big_text, 'x', BIG_BYTES);
    big_text[BIG_BYTES] = '\0';
    web->service.on_call = answer_big;
    web_serve(web, &(struct duress_http_server_options){.write_bytes_max = 8 * 1024 * 1024});
    web_connect(web, &client);
    client.deaf = true;
    web_ask(&client, "/stream", "x", "x");
    web_await_end(web, &client);
    assert_true(client.was_reset);
    web_disconnect(&client);
    web_until_alone(web);
    assert_int_equal(web_counts(web).replied, 0);
    free(big_text);
    web->service.on_call = NULL;
    assert_serves(web);
    web_close(web);
}

/* --- peers that go away --- */

static void a_peer_may_go_away_after_every_byte(void **state)
{
    struct web *web = *state;
    struct web_client client;
    char text[1024];
    const char *body = web_request("x", "gone");
    (void)snprintf(text, sizeof text, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
                   body);
    size_t length = strlen(text);
    web->service.silent = true;
    web_serve(web, NULL);
    for (size_t i = 0; i <= length; i++) {
        web_connect(web, &client);
        web_send_bytes(&client, text, i);
        if (i % 3 == 0)
            web_rst(&client);
        else
            web_disconnect(&client);
    }
    web_until_alone(web);
    struct duress_http_server_counts counts = web_counts(web);
    assert_int_equal(counts.in_flight, 0);
    assert_int_equal(counts.cancelled, counts.arrivals);
    assert_true(counts.arrivals <= 1); /* the whole one, where it was seen before its end */
    web->service.silent = false;
    assert_serves(web);
    web_close(web);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_bodies_are_refused_and_the_connection_kept, setup),
        cmocka_unit_test_setup(deep_nesting_and_long_ids_are_refused, setup),
        cmocka_unit_test_setup(requests_of_one_id_get_an_answer_each, setup),
        cmocka_unit_test_setup(paths_and_methods_that_are_not_served_are_told, setup),
        cmocka_unit_test_setup(heads_that_promise_a_wrong_body_are_refused_before_it, setup),
        cmocka_unit_test_setup(headers_beyond_the_limit_are_refused, setup),
        cmocka_unit_test_setup(what_is_no_http_is_closed, setup),
        cmocka_unit_test_setup(chunks_without_end_are_cut_at_the_limit, setup),
        cmocka_unit_test_setup(bodies_beyond_the_memory_set_aside_are_shed, setup),
        cmocka_unit_test_setup(connections_beyond_the_limit_are_closed_at_once, setup),
        cmocka_unit_test_setup(connections_of_one_address_have_a_limit_of_their_own, setup),
        cmocka_unit_test_setup(slow_headers_and_bodies_are_closed_in_time, setup),
        cmocka_unit_test_setup(bytes_that_drip_buy_no_time, setup),
        cmocka_unit_test_setup(a_reader_that_is_too_slow_is_reset, setup),
        cmocka_unit_test_setup(a_stream_that_piles_up_is_reset, setup),
        cmocka_unit_test_setup(a_peer_may_go_away_after_every_byte, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
