/* SPDX-License-Identifier: Apache-2.0
 *
 * How the HTTP server stops: it finishes what was begun, takes nothing new, and its deadline is kept. */
#include "server_rig.h"

#include <stdio.h>
#include <string.h>

static struct web the_web;

static int setup(void **state)
{
    *state = &the_web;
    web_open(&the_web);
    return 0;
}

struct drained {
    uint32_t calls;
    bool complete;
};

static void note_drained(void *context, bool complete)
{
    struct drained *drained = context;
    drained->calls++;
    drained->complete = complete;
}

static bool is_drained(void *context)
{
    return ((struct drained *)context)->calls > 0;
}

static void refused_event(void *context, struct duress_stream *stream, unsigned events)
{
    int *refused = context;
    (void)stream;
    *refused = events & DURESS_STREAM_FAILED ? 1 : -1;
}

static bool is_known(void *context)
{
    return *(int *)context != 0;
}

/* Whether nobody listens at |address| any more. */
static bool was_refused(struct web *web, struct duress_address address)
{
    int refused = 0;
    struct duress_stream *stream = NULL;
    assert_int_equal(duress_world_connect(web->world, &address, refused_event, &refused, &stream), DURESS_OK);
    web_until(web, is_known, &refused);
    duress_stream_close(stream);
    return refused == 1;
}

static void stop_finishes_what_was_begun_and_takes_nothing_new(void **state)
{
    struct web *web = *state;
    struct web_client whole;
    struct web_client stream;
    struct web_client half;
    struct web_client idle;
    struct web_reply reply;
    struct drained drained = {0};
    web->service.delay_ns_min = web->service.delay_ns_max = 30 * DURESS_MS;
    web->service.chunk_count = 3;
    web_serve(web, NULL);
    struct duress_address address = duress_http_server_address(web->server);
    web_connect(web, &whole);
    web_connect(web, &stream);
    web_connect(web, &half);
    web_connect(web, &idle);
    web_send(&idle, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    web_await(web, &idle, &reply);
    web_send(&half, "POST /process HTTP/1.1\r\nHost: a\r\n");
    web_ask(&whole, "/process", "w", "x");
    web_ask(&stream, "/stream", "s", "x");
    web_until_running(web, 2);

    duress_http_server_stop(web->server, duress_world_now_ns(web->world) + 10 * DURESS_S, note_drained, &drained);
    assert_int_equal(drained.calls, 0); /* from the loop, not from inside stop() */
    assert_true(was_refused(web, address));
    web_await_end(web, &idle);
    web_await(web, &whole, &reply);
    assert_int_equal(reply.status, 200);
    assert_true(web_has_header(&reply, "Connection: close"));
    web_await(web, &stream, &reply);
    assert_body_has(reply, "3 x");
    assert_body_has(reply, "stream_end");
    const char *body = web_request("h", "late half");
    char head[64];
    (void)snprintf(head, sizeof head, "Content-Length: %zu\r\n\r\n", strlen(body));
    web_send(&half, head);
    web_send(&half, body);
    web_await(web, &half, &reply);
    assert_body_has(reply, "late half");
    web_await_end(web, &whole);
    web_await_end(web, &stream);
    web_await_end(web, &half);
    web_until(web, is_drained, &drained);
    assert_int_equal(drained.calls, 1);
    assert_true(drained.complete);
    assert_int_equal(web_counts(web).cancelled, 0);
    web_disconnect(&whole);
    web_disconnect(&stream);
    web_disconnect(&half);
    web_disconnect(&idle);
    web_close(web);
}

static void stop_resets_what_does_not_finish_by_its_deadline(void **state)
{
    struct web *web = *state;
    struct web_client clients[3];
    struct drained drained = {0};
    web->service.silent = true;
    web_serve(web, NULL);
    for (int i = 0; i < 3; i++) {
        web_connect(web, &clients[i]);
        web_ask(&clients[i], i == 1 ? "/stream" : "/process", "x", "x");
    }
    web_until_running(web, 3);
    uint64_t deadline_ns = duress_world_now_ns(web->world) + 40 * DURESS_MS;
    duress_http_server_stop(web->server, deadline_ns, note_drained, &drained);
    web_until(web, is_drained, &drained);
    assert_true(duress_world_now_ns(web->world) >= deadline_ns);
    assert_false(drained.complete);
    assert_int_equal(web->service.cancelled, 3);
    for (int i = 0; i < 3; i++) {
        web_await_end(web, &clients[i]);
        assert_true(clients[i].was_reset);
        web_disconnect(&clients[i]);
    }
    web_close(web);
}

static void stop_without_connections_is_done_at_once(void **state)
{
    struct web *web = *state;
    struct drained drained = {0};
    web_serve(web, NULL);
    duress_http_server_stop(web->server, DURESS_TIME_NEVER, note_drained, &drained);
    assert_int_equal(drained.calls, 0);
    web_until(web, is_drained, &drained);
    assert_true(drained.complete);
    web_close(web);
}

static void a_server_that_stops_is_not_ready(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", 503},
        {"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", 503},
        {"GET /live HTTP/1.1\r\nHost: a\r\n\r\n", 200},
    };
    struct web *web = *state;
    struct web_client clients[3];
    struct web_reply reply;
    struct drained drained = {0};
    web_serve(web, NULL);
    for (size_t i = 0; i < 3; i++)
        web_connect(web, &clients[i]);
    for (size_t i = 0; i < 3; i++) /* begun before it stops, so that it is answered */
        web_send(&clients[i], cases[i].request);
    duress_http_server_stop(web->server, DURESS_TIME_NEVER, note_drained, &drained);
    for (size_t i = 0; i < 3; i++) {
        web_await(web, &clients[i], &reply);
        assert_int_equal(reply.status, cases[i].status);
        assert_body_has(reply, "{\"status\":\"stopping\"");
        web_await_end(web, &clients[i]);
        web_disconnect(&clients[i]);
    }
    web_until(web, is_drained, &drained);
    assert_true(drained.complete);
    web_close(web);
}

static void a_server_that_stops_may_be_freed(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct drained drained = {0};
    web->service.silent = true;
    web_serve(web, NULL);
    web_connect(web, &client);
    web_ask(&client, "/process", "x", "x");
    web_until_running(web, 1);
    duress_http_server_stop(web->server, DURESS_TIME_NEVER, note_drained, &drained);
    duress_http_server_free(web->server);
    web->server = NULL;
    web_await_end(web, &client);
    assert_int_equal(drained.calls, 0);
    web_disconnect(&client);
    web_close(web);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(stop_finishes_what_was_begun_and_takes_nothing_new, setup),
        cmocka_unit_test_setup(stop_resets_what_does_not_finish_by_its_deadline, setup),
        cmocka_unit_test_setup(stop_without_connections_is_done_at_once, setup),
        cmocka_unit_test_setup(a_server_that_stops_is_not_ready, setup),
        cmocka_unit_test_setup(a_server_that_stops_may_be_freed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
