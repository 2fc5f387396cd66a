/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server to peers that mean well: what agenkit's clients read, which status says what, streams, health, limits
 * and what a client that goes away leaves behind. */
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

/* --- replies --- */

static void a_request_is_answered_under_its_id(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    web_ask(&client, "/process", "id-1", "2+2");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_true(web_has_header(&reply, "Content-Type: application/json"));
    assert_body_has(reply, "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"id-1\",\"timestamp\":\"");
    assert_body_has(reply, "\"payload\":{\"message\":{\"role\":\"agent\",\"content\":\"re: 2+2\",\"metadata\":{},");
    assert_int_equal(web_counts(web).arrivals, 1);
    assert_int_equal(web_counts(web).connections_open, 1);
    web_disconnect(&client);
    web_until_alone(web);
    assert_int_equal(web_counts(web).replied, 1);
    assert_int_equal(web_counts(web).cancelled, 0);
    web_close(web);
}

static void one_connection_serves_request_after_request(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    char content[16];
    char expected[32];
    web_serve(web, NULL);
    web_connect(web, &client);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(content, sizeof content, "n%d", i);
        (void)snprintf(expected, sizeof expected, "\"re: n%d\"", i);
        web_ask(&client, "/process", "x", content);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 200);
        assert_body_has(reply, expected);
    }
    assert_int_equal(web_counts(web).connections_accepted, 1);
    web_disconnect(&client);
    web_until_alone(web);
    assert_int_equal(web_counts(web).replied, 200);
    web_close(web);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    char id[16];
    web_serve(web, NULL);
    web->service.delay_ns_min = web->service.delay_ns_max = 100 * DURESS_US;
    web_connect(web, &client);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(id, sizeof id, "n%d", i);
        web_ask(&client, i % 2 == 0 ? "/process" : "/stream", id, "x");
    }
    for (int i = 0; i < 50; i++) {
        (void)snprintf(id, sizeof id, "\"id\":\"n%d\"", i);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 200);
        assert_body_has(reply, id);
    }
    assert_int_equal(web_counts(web).connections_accepted, 1);
    assert_int_equal(web_counts(web).arrivals, 50);
    web_disconnect(&client);
    web_close(web);
}

static void a_body_of_a_mebibyte_comes_back_whole(void **state)
{
    enum { CONTENT_BYTES = 1024 * 1024 };
    static char body[CONTENT_BYTES + 1024];
    static char content[CONTENT_BYTES + 1];
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        content[i] = (char)('a' + i % 23);
    (void)snprintf(body, sizeof body,
                   "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"big\",\"payload\":{\"method\":\"process\","
                   "\"message\":{\"role\":\"user\",\"content\":\"%s\"}}}",
                   content);
    web_serve_echo(web, NULL);
    web_connect(web, &client);
    for (int i = 0; i < 3; i++) {
        web_post(&client, "/process", "", body);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 200);
        assert_true(reply.body_bytes > CONTENT_BYTES);
        assert_memory_equal(strstr(reply.body, "\"content\":\"") + 11, content, 4096);
    }
    web_disconnect(&client);
    web_close(web);
}

static void unicode_and_metadata_are_kept(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve_echo(web, NULL);
    web_connect(web, &client);
    web_post(&client, "/process", "",
             "{\"version\": \"1.0\", \"type\": \"request\", \"id\": \"u\", \"payload\": {\"method\": \"process\", "
             "\"message\": {\"role\": \"user\", \"content\": \"gr\\u00fc\\u00df \\ud83d\\ude00\", "
             "\"metadata\": {\"n\": 12345678901234567890, \"deep\": [1, {\"a\": null}]}}}}");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_body_has(reply, "\"content\":\"grüß 😀\"");
    assert_body_has(reply, "\"metadata\":{\"n\": 12345678901234567890, \"deep\": [1, {\"a\": null}]}");
    web_disconnect(&client);
    web_close(web);
}

static void a_chunked_upload_is_taken(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    const char *body = web_request("c", "chunked");
    web_serve(web, NULL);
    web_connect(web, &client);
    web_send(&client, "POST /process HTTP/1.1\r\nHost: a\r\nContent-Type: application/json; charset=utf-8\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < strlen(body); i++) {
        char chunk[16];
        (void)snprintf(chunk, sizeof chunk, "1\r\n%c\r\n", body[i]);
        web_send(&client, chunk);
    }
    web_send(&client, "0\r\n\r\n");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_body_has(reply, "re: chunked");
    web_disconnect(&client);
    web_close(web);
}

static void a_client_that_expects_continue_is_told_to(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    const char *body = web_request("e", "expected");
    char head[256];
    web_serve(web, NULL);
    web_connect(web, &client);
    (void)snprintf(head, sizeof head,
                   "POST /process HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                   "Expect: 100-continue\r\n\r\n",
                   strlen(body));
    web_send(&client, head);
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 100);
    web_send(&client, body);
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    assert_body_has(reply, "re: expected");
    web_disconnect(&client);
    web_close(web);
}

/* --- failures --- */

static void failures_of_the_agent_have_their_status(void **state)
{
    static const struct {
        enum duress_error code;
        bool ambiguous;
        uint64_t retry_after_ns;
        int status;
        const char *wire_code;
        const char *retry_after; /* NULL: none */
        const char *details;
    } cases[] = {
        {DURESS_E_REMOTE, true, 0, 500, "EXECUTION_ERROR", NULL, "{}"},
        {DURESS_E_RATE_LIMITED, false, 1500 * DURESS_MS, 429, "OVERLOADED", "Retry-After: 2",
         "{\"retry_after_ms\":1500}"},
        {DURESS_E_RATE_LIMITED, true, 0, 500, "EXECUTION_ERROR", NULL, "{}"},
        {DURESS_E_CIRCUIT_OPEN, false, 3 * DURESS_S, 503, "OVERLOADED", "Retry-After: 3", "{\"retry_after_ms\":3000}"},
        {DURESS_E_BULKHEAD_FULL, false, 0, 503, "OVERLOADED", "Retry-After: 5", "{\"retry_after_ms\":5000}"},
        {DURESS_E_OVERLOADED, false, 1, 503, "OVERLOADED", "Retry-After: 1", "{\"retry_after_ms\":1}"},
        {DURESS_E_OVERLOADED, false, DURESS_TIME_NEVER, 503, "OVERLOADED", NULL, "{}"},
        {DURESS_E_NO_MEMORY, false, 0, 503, "OVERLOADED", "Retry-After: 5", "{\"retry_after_ms\":5000}"},
        {DURESS_E_DEADLINE, true, 0, 504, "AGENT_TIMEOUT", NULL, "{}"},
        {DURESS_E_UNSUPPORTED, false, 0, 501, "NOT_IMPLEMENTED", NULL, "{}"},
        {DURESS_E_INVALID, false, 0, 400, "INVALID_REQUEST", NULL, "{}"},
        {DURESS_E_INVALID, true, 0, 500, "EXECUTION_ERROR", NULL, "{}"},
    };
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.overload_retry_after_ns = 5 * DURESS_S});
    web_connect(web, &client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        duress_failure_set(&web->service.failure, cases[i].code, DURESS_ORIGIN_AGENT, "why");
        web->service.failure.ambiguous = cases[i].ambiguous;
        web->service.failure.retry_after_ns = cases[i].retry_after_ns;
        web->service.fail_count = 1;
        web_ask(&client, "/process", "f", "x");
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, cases[i].status);
        (void)snprintf(expected, sizeof expected,
                       "\"payload\":{\"error_code\":\"%s\",\"error_message\":\"why\",\"error_details\":%s,\"error\":"
                       "{\"code\":\"%s\",\"message\":\"why\"}}}",
                       cases[i].wire_code, cases[i].details, cases[i].wire_code);
        assert_body_has(reply, expected);
        assert_body_has(reply, "\"type\":\"error\",\"id\":\"f\"");
        if (cases[i].retry_after != NULL)
            assert_true(web_has_header(&reply, cases[i].retry_after));
        else
            assert_null(strstr(reply.head, "Retry-After"));
    }
    assert_int_equal(web_counts(web).connections_accepted, 1);
    web_disconnect(&client);
    web_close(web);
}

static void answer_not_text(void *context, struct rig_service *service, struct duress_call *call)
{
    struct duress_message *reply = NULL;
    struct duress_message_options options = {.role = duress_slice_text("agent"), .content = duress_slice_text("\xff")};
    (void)context;
    assert_int_equal(duress_message_new(&options, &reply), DURESS_OK);
    service->ended++;
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static void a_reply_that_cannot_be_sent_is_an_error(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web_serve(web, NULL);
    web_connect(web, &client);
    web->service.on_call = answer_not_text;
    web_ask(&client, "/process", "x", "x");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 500);
    assert_body_has(reply, "the agent's reply cannot be sent: ");
    web->service.on_call = NULL;
    web_ask(&client, "/process", "y", "y");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 200);
    web_disconnect(&client);
    web_close(web);
}

static void a_request_that_takes_too_long_is_answered_so(void **state)
{
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    web->service.silent = true;
    web_serve(web, &(struct duress_http_server_options){.request_timeout_ns = 20 * DURESS_MS});
    web_connect(web, &client);
    web_ask(&client, "/process", "slow", "x");
    web_await(web, &client, &reply);
    assert_int_equal(reply.status, 504);
    assert_body_has(reply, "\"error_code\":\"AGENT_TIMEOUT\"");
    assert_int_equal(web->service.cancelled, 1);
    web_disconnect(&client);
    web_close(web);
}

/* --- health --- */

static void health_is_told(void **state)
{
    static const char *const paths[] = {"/health", "/ready", "/live"};
    struct web *web = *state;
    struct web_client client;
    struct web_reply reply;
    char text[128];
    web_serve(web, NULL);
    web_connect(web, &client);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(text, sizeof text, "GET %s?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        web_send(&client, text);
        web_await(web, &client, &reply);
        assert_int_equal(reply.status, 200);
        assert_true(web_has_header(&reply, "Content-Type: application/json"));
        assert_body_has(reply, "{\"status\":\"healthy\",\"version\":\"1.0\",\"uptime\":");
        assert_body_has(reply, ",\"agent\":\"service\",\"in_flight\":0}");
        (void)snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        web_send(&client, text);
        web_await_head(web, &client, &reply);
        assert_int_equal(reply.status, 200);
    }
    assert_int_equal(web_counts(web).arrivals, 0);
    assert_int_equal(web_counts(web).connections_accepted, 1);
    web_disconnect(&client);
    web_close(web);
}

/* --- arrivals --- */

static char arrival_text[128];
static uint64_t arrival_connection;

static void note_arrival(void *context, const struct duress_arrival *arrival)
{
    (void)context;
    arrival_connection = arrival->connection_number;
    (void)snprintf(arrival_text, sizeof arrival_text, "%d|%.*s|%.*s|%.*s", (int)arrival->number,
                   (int)arrival->id.length, (const char *)arrival->id.data, (int)arrival->method.length,
                   (const char *)arrival->method.data, (int)arrival->content.length,
                   (const char *)arrival->content.data);
}

static void each_arrival_is_told_with_its_number(void **state)
{
    struct web *web = *state;
    struct web_client first;
    struct web_client second;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.on_arrival = note_arrival});
    web_connect(web, &first);
    web_connect(web, &second);
    web_ask(&first, "/process", "id-1", "one");
    web_await(web, &first, &reply);
    assert_string_equal(arrival_text, "1|id-1|process|one");
    uint64_t first_number = arrival_connection;
    web_ask(&second, "/stream", "id-2", "two");
    web_await(web, &second, &reply);
    assert_string_equal(arrival_text, "2|id-2|stream|two");
    assert_int_not_equal(arrival_connection, first_number);
    web_disconnect(&first);
    web_disconnect(&second);
    web_close(web);
}

/* --- peers that go away --- */

static void a_client_that_goes_away_cancels_its_call(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web->service.silent = true;
    web_serve(web, NULL);
    for (int i = 0; i < 4; i++) {
        web_connect(web, &client);
        web_ask(&client, i < 2 ? "/process" : "/stream", "x", "x");
        web_until_running(web, 1);
        if (i % 2 == 0)
            web_disconnect(&client);
        else
            web_rst(&client);
        web_until_running(web, 0);
        web_until_alone(web);
    }
    assert_int_equal(web->service.cancelled, 4);
    assert_int_equal(web_counts(web).cancelled, 4);
    assert_int_equal(web_counts(web).replied, 0);
    assert_int_equal(web_counts(web).in_flight, 0);
    web_close(web);
}

static void a_client_that_closes_its_side_has_given_up(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web->service.silent = true;
    web_serve(web, NULL);
    web_connect(web, &client);
    web_ask(&client, "/process", "x", "x");
    web_until_running(web, 1);
    web_fin(&client);
    web_await_end(web, &client);
    assert_int_equal(web->service.cancelled, 1);
    web_disconnect(&client);
    web_close(web);
}

static bool one_has_timed_out(void *context)
{
    return web_counts(context).timed_out == 1;
}

/* What it still says is dropped for a second; then it is closed, whether it has read its refusal or not. */
static void a_peer_that_was_refused_and_stays_is_closed(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web_serve(web, &(struct duress_http_server_options){.header_timeout_ns = 20 * DURESS_MS});
    web_connect(web, &client);
    client.deaf = true;
    web_send(&client, "GET /heal");
    web_until(web, one_has_timed_out, web);
    assert_int_equal(web_counts(web).connections_open, 1);
    web_until_alone(web);
    web_disconnect(&client);
    web_close(web);
}

static void the_server_is_freed_with_calls_at_work(void **state)
{
    struct web *web = *state;
    struct web_client clients[3];
    web->service.silent = true;
    web_serve(web, NULL);
    for (int i = 0; i < 3; i++) {
        web_connect(web, &clients[i]);
        web_ask(&clients[i], i == 1 ? "/stream" : "/process", "x", "x");
    }
    web_until_running(web, 3);
    duress_http_server_free(web->server);
    web->server = NULL;
    assert_int_equal(web->service.cancelled, 3);
    for (int i = 0; i < 3; i++) {
        web_await_end(web, &clients[i]);
        web_disconnect(&clients[i]);
    }
    web_close(web);
}

static void free_the_server(void *context, const struct duress_arrival *arrival)
{
    struct web *web = context;
    (void)arrival;
    duress_http_server_free(web->server);
    web->server = NULL;
}

static void the_server_may_be_freed_when_a_request_arrives(void **state)
{
    struct web *web = *state;
    struct web_client client;
    web_serve(web, &(struct duress_http_server_options){.on_arrival = free_the_server, .context = web});
    web_connect(web, &client);
    web_ask(&client, "/process", "x", "x");
    web_await_end(web, &client);
    assert_int_equal(web->service.begun, 0);
    web_disconnect(&client);
    web_close(web);
}

/* --- making --- */

static void bad_options_are_refused_by_their_name(void **state)
{
    static const struct {
        struct duress_http_server_options options;
        const char *detail;
    } cases[] = {
        {{.connections_max = 1000001}, "connections_max: 1000001 is not from 1 to 1000000"},
        {{.connections_per_address_max = 1000001}, "connections_per_address_max: 1000001 is not from 1 to 1000000"},
        {{.requests_max = 1000001}, "requests_max: 1000001 is not from 1 to 1000000"},
        {{.backlog = 65536}, "backlog: 65536 is not from 1 to 65535"},
        {{.header_bytes_max = 1023}, "header_bytes_max: 1023 is not from 1024 to 1048576"},
        {{.header_bytes_max = 1048577}, "header_bytes_max: 1048577 is not from 1024 to 1048576"},
        {{.body_bytes_max = 255}, "body_bytes_max: 255 is not from 256 to 4294967295"},
        {{.body_bytes_max = (size_t)UINT32_MAX + 1}, "body_bytes_max: 4294967296 is not from 256 to 4294967295"},
    };
    struct web *web = *state;
    struct duress_http_server *server = NULL;
    struct duress_failure why;
    assert_int_equal(duress_http_server_new(NULL, &server, &why), DURESS_E_INVALID);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_http_server_options options = cases[i].options;
        options.world = web->world;
        options.agent = web->service.agent;
        options.address = duress_address_loopback(0);
        assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, cases[i].detail);
        assert_int_equal(duress_http_server_new(&options, &server, NULL), DURESS_E_INVALID);
    }
    struct duress_http_server_options options = {.world = web->world, .agent = web->service.agent};
    assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "address: an IPv4 or IPv6 address is needed");
    options.agent = NULL;
    assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "world and agent: must be given");
    struct duress_world *other = NULL;
    assert_int_equal(duress_world_live_new(NULL, &other, NULL), DURESS_OK);
    options = (struct duress_http_server_options){
        .world = other, .agent = web->service.agent, .address = duress_address_loopback(0)};
    assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "agent: belongs to another world");
    duress_world_free(other);
    assert_null(server);
    options.world = web->world;
    assert_int_equal(duress_http_server_new(&options, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "server: must be given");
    duress_http_server_free(NULL);
    web_close(web);
}

static void a_port_in_use_is_told(void **state)
{
    struct web *web = *state;
    struct duress_http_server *second = NULL;
    struct duress_failure why;
    web_serve(web, NULL);
    struct duress_http_server_options options = {.world = web->world, .agent = web->service.agent};
    options.address = duress_http_server_address(web->server);
    assert_int_not_equal(options.address.port, 0);
    assert_int_equal(duress_http_server_new(&options, &second, &why), DURESS_E_ADDRESS_IN_USE);
    assert_non_null(strstr(why.detail, "address already in use"));
    web_close(web);
}

static void a_simulated_world_has_no_http(void **state)
{
    struct web *web = *state;
    struct rig rig;
    struct duress_http_server *server = NULL;
    struct duress_failure why;
    rig_open(&rig, 0);
    struct duress_http_server_options options = {
        .world = rig.server_world, .agent = rig.service.agent, .address = duress_address_loopback(0)};
    assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_UNSUPPORTED);
    assert_string_equal(why.detail, "world: HTTP is served in a live world only");
    options.world = web->world;
    assert_int_equal(duress_http_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "agent: belongs to another world");
    rig_close(&rig);
    web_close(web);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_request_is_answered_under_its_id, setup),
        cmocka_unit_test_setup(one_connection_serves_request_after_request, setup),
        cmocka_unit_test_setup(pipelined_requests_are_answered_in_order, setup),
        cmocka_unit_test_setup(a_body_of_a_mebibyte_comes_back_whole, setup),
        cmocka_unit_test_setup(unicode_and_metadata_are_kept, setup),
        cmocka_unit_test_setup(a_chunked_upload_is_taken, setup),
        cmocka_unit_test_setup(a_client_that_expects_continue_is_told_to, setup),
        cmocka_unit_test_setup(failures_of_the_agent_have_their_status, setup),
        cmocka_unit_test_setup(a_reply_that_cannot_be_sent_is_an_error, setup),
        cmocka_unit_test_setup(a_request_that_takes_too_long_is_answered_so, setup),
        cmocka_unit_test_setup(health_is_told, setup),
        cmocka_unit_test_setup(each_arrival_is_told_with_its_number, setup),
        cmocka_unit_test_setup(a_client_that_goes_away_cancels_its_call, setup),
        cmocka_unit_test_setup(a_client_that_closes_its_side_has_given_up, setup),
        cmocka_unit_test_setup(a_peer_that_was_refused_and_stays_is_closed, setup),
        cmocka_unit_test_setup(the_server_is_freed_with_calls_at_work, setup),
        cmocka_unit_test_setup(the_server_may_be_freed_when_a_request_arrives, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_their_name, setup),
        cmocka_unit_test_setup(a_port_in_use_is_told, setup),
        cmocka_unit_test_setup(a_simulated_world_has_no_http, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
