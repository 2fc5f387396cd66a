/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of the HTTP server: events as agenkit sends and reads them, each as soon as it is there, and how they fail.
 */
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

static void a_stream_is_events_and_its_end(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web->service.chunk_count = 3;
    web->service.delay_ns_min = web->service.delay_ns_max = DURESS_MS;
    web_serve(web, NULL);
    web_connect(web, &client);
    web_ask(&client, "/stream", "s1", "x");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_true(web_has_header(&reply, "Content-Type: text/event-stream"));
    assert_true(web_has_header(&reply, "Cache-Control: no-cache"));
    assert_true(web_has_header(&reply, "Transfer-Encoding: chunked"));
    assert_int_equal(strncmp(reply.body, "data: {\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"s1\",", 51), 0);
    const char *at = reply.body;
    for (int i = 0; i < 3; i++) {
        char content[32];
        (void)snprintf(content, sizeof content, "\"content\":\"%d x\"", i + 1);
        at = strstr(at, content);
        assert_non_null(at);
        at = strstr(at, "}\n\ndata: {");
        assert_non_null(at);
    }
    assert_non_null(strstr(at, "\"type\":\"stream_end\",\"id\":\"s1\""));
    assert_string_equal(reply.body + reply.body_bytes - 15, "\"payload\":{}}\n\n");
    web_disconnect(&client);
    web_close(web);
}

static bool has_first_chunk(void *context)
{
    const struct web_client *client = context;
    struct duress_slice in = duress_buffer_slice(&client->in);
    return in.length > 0 && memmem(in.data, in.length, "1 x\"", 4) != NULL;
}

static void a_chunk_leaves_before_the_next_one_is_there(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web->service.chunk_count = 2;
    web_serve(web, NULL);
    web_connect(web, &client);
    web->service.delay_ns_min = web->service.delay_ns_max = 5 * DURESS_S; /* between its chunks, and before the first */
    web_ask(&client, "/stream", "s1", "x");
    web_until_in_flight(web, 1);
    assert_false(has_first_chunk(&client));
    web_disconnect(&client);
    web_until_in_flight(web, 0);

    web->service.delay_ns_min = web->service.delay_ns_max = 30 * DURESS_MS;
    web->service.chunk_count = 1000; /* 30 s of them, were they waited for */
    web_connect(web, &client);
    web_ask(&client, "/stream", "s1", "x");
    web_until(web, has_first_chunk, &client);
    assert_int_equal(web_counts(web).in_flight, 1);
    web_disconnect(&client);
    web_until_in_flight(web, 0);
    assert_int_equal(web->service.cancelled, 2);
    web_close(web);
}

static void an_agent_that_does_not_stream_answers_one_chunk(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve_echo(web, NULL);
    web_connect(web, &client);
    web_ask(&client, "/stream", "s1", "whole");
    web_await(web, &client, &reply);
    const char *chunk = strstr(reply.body, "\"type\":\"stream_chunk\"");
    assert_non_null(chunk);
    assert_non_null(strstr(chunk, "\"content\":\"whole\""));
    assert_non_null(strstr(chunk, "\"type\":\"stream_end\""));
    assert_null(strstr(chunk + 1, "\"type\":\"stream_chunk\""));
    web_disconnect(&client);
    web_close(web);
}

static void a_stream_that_fails_says_so_in_an_event(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    for (uint32_t chunks = 0; chunks < 3; chunks++) {
        web->service.chunk_count = chunks;
        web->service.fail_count = 1;
        web_ask(&client, "/stream", "s1", "x");
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 200);
        assert_body_has(reply, "\"type\":\"error\",\"id\":\"s1\"");
        assert_body_has(reply, "\"error_code\":\"STREAM_ERROR\",\"error_message\":\"as asked\"");
        assert_null(strstr(reply.body, "stream_end"));
    }
    web_disconnect(&client);
    web_close(web);
}

static void a_stream_that_is_refused_at_once_has_its_status(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    duress_failure_set(&web->service.failure, DURESS_E_BULKHEAD_FULL, DURESS_ORIGIN_BULKHEAD, "full");
    web->service.fail_count = 1;
    web_ask(&client, "/stream", "s1", "x");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 503);
    assert_true(web_has_header(&reply, "Retry-After: 1"));
    assert_true(web_has_header(&reply, "Content-Type: application/json"));
    web->service.chunk_count = 1; /* after a chunk it is too late for a status */
    web->service.fail_count = 1;
    web_ask(&client, "/stream", "s2", "x");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_body_has(reply, "\"error_code\":\"OVERLOADED\",\"error_message\":\"full\"");
    web_disconnect(&client);
    web_close(web);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stream_is_events_and_its_end, setup),
        cmocka_unit_test_setup(a_chunk_leaves_before_the_next_one_is_there, setup),
        cmocka_unit_test_setup(an_agent_that_does_not_stream_answers_one_chunk, setup),
        cmocka_unit_test_setup(a_stream_that_fails_says_so_in_an_event, setup),
        cmocka_unit_test_setup(a_stream_that_is_refused_at_once_has_its_status, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
