/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request's head, body and failure mean to the HTTP server, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <duress/time.h>

#include "server_request.h"

static unsigned status_of(const char *path, const char *method, struct http_request_head head)
{
    struct http_refusal refusal = duress__http_head_check(duress__http_route(path), method, &head, 1000, 100);
    if (refusal.status >= 400) {
        assert_non_null(refusal.code);
        assert_non_null(refusal.message);
    }
    return refusal.status;
}

static void paths_are_matched_whole(void **state)
{
    (void)state;
    assert_int_equal(duress__http_route("/process"), HTTP_ROUTE_PROCESS);
    assert_int_equal(duress__http_route("/stream"), HTTP_ROUTE_STREAM);
    assert_int_equal(duress__http_route("/health"), HTTP_ROUTE_HEALTH);
    assert_int_equal(duress__http_route("/ready"), HTTP_ROUTE_READY);
    assert_int_equal(duress__http_route("/live"), HTTP_ROUTE_LIVE);
    static const char *const others[] = {"",          "/",       "/Process",  "/processes",
                                         "/process/", "process", "//process", "/liv"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(duress__http_route(others[i]), HTTP_ROUTE_NONE);
}

static void methods_are_those_of_the_path(void **state)
{
    static const struct {
        const char *method;
        unsigned of_process;
        unsigned of_health;
    } cases[] = {
        {"POST", 0, 405},  {"GET", 405, 0},    {"HEAD", 405, 0}, {"OPTIONS", 204, 204},
        {"PUT", 405, 405}, {"post", 405, 405}, {"", 405, 405},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_request_head head = {.bytes = 10};
        assert_int_equal(status_of("/process", cases[i].method, head), cases[i].of_process);
        assert_int_equal(status_of("/stream", cases[i].method, head), cases[i].of_process);
        assert_int_equal(status_of("/health", cases[i].method, head), cases[i].of_health);
        assert_int_equal(status_of("/live", cases[i].method, head), cases[i].of_health);
        assert_int_equal(status_of("/none", cases[i].method, head), 404);
    }
}

static void a_body_is_json_or_unnamed(void **state)
{
    static const struct {
        const char *type;
        unsigned status;
    } cases[] = {
        {NULL, 0},
        {"application/json", 0},
        {"Application/JSON", 0},
        {"application/json; charset=utf-8", 0},
        {"application/json ;charset=utf-8", 0},
        {"application/jsonp", 415},
        {"application/json+x", 415},
        {"application/jso", 415},
        {"text/plain", 415},
        {"", 415},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(status_of("/process", "POST", (struct http_request_head){.content_type = cases[i].type}),
                         cases[i].status);
    /* Where no body is looked at, its type is not either. */
    assert_int_equal(status_of("/health", "GET", (struct http_request_head){.content_type = "text/plain"}), 0);
}

static void lengths_are_exact(void **state)
{
    static const struct {
        const char *length;
        unsigned status;
    } cases[] = {
        {"0", 0},
        {"99", 0},
        {"100", 0},
        {"101", 413},
        {"00100", 0},
        {"00101", 413},
        {"18446744073709551615", 413},
        {"99999999999999999999999999", 413},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_request_head head = {.content_length = cases[i].length, .content_length_count = 1};
        assert_int_equal(status_of("/process", "POST", head), cases[i].status);
    }
    assert_int_equal(status_of("/health", "GET", (struct http_request_head){.bytes = 1000}), 0);
    assert_int_equal(status_of("/health", "GET", (struct http_request_head){.bytes = 1001}), 431);
}

static void a_length_that_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    struct http_request_head twice = {.content_length = "5", .content_length_count = 2};
    struct http_request_head both = {.content_length = "5", .content_length_count = 1, .transfer_encoding = "chunked"};
    assert_int_equal(status_of("/process", "POST", twice), 400);
    assert_int_equal(status_of("/process", "POST", both), 400);
    assert_int_equal(status_of("/health", "GET", both), 400);
    assert_int_equal(status_of("/process", "POST", (struct http_request_head){.transfer_encoding = "Chunked"}), 0);
    assert_int_equal(status_of("/process", "POST", (struct http_request_head){.transfer_encoding = "gzip, chunked"}),
                     501);
}

/* Each failure's status and its code on the wire; OVERLOADED goes with 429 and 503 alone. */
static void statuses_of_failures(void **state)
{
    (void)state;
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        struct duress_failure failure;
        duress_failure_set(&failure, (enum duress_error) - number, DURESS_ORIGIN_AGENT, NULL);
        failure.ambiguous = true;
        unsigned status = duress__http_failure_status(&failure);
        assert_true(status == 500 || (status == 504 && failure.code == DURESS_E_DEADLINE) ||
                    (status == 501 && failure.code == DURESS_E_UNSUPPORTED));
        failure.ambiguous = false;
        status = duress__http_failure_status(&failure);
        bool refused = failure.code == DURESS_E_OVERLOADED || failure.code == DURESS_E_BULKHEAD_FULL ||
                       failure.code == DURESS_E_CIRCUIT_OPEN || failure.code == DURESS_E_NO_MEMORY;
        assert_int_equal(status == 503, refused);
        assert_int_equal(status == 429, failure.code == DURESS_E_RATE_LIMITED);
        assert_int_equal(status == 400, failure.code == DURESS_E_INVALID);
    }
}

static void waits_are_rounded_up_to_seconds(void **state)
{
    (void)state;
    assert_int_equal(duress__http_retry_after_s(0), 1);
    assert_int_equal(duress__http_retry_after_s(1), 1);
    assert_int_equal(duress__http_retry_after_s(DURESS_S), 1);
    assert_int_equal(duress__http_retry_after_s(DURESS_S + 1), 2);
    assert_int_equal(duress__http_retry_after_s(5 * DURESS_S), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_matched_whole),
        cmocka_unit_test(methods_are_those_of_the_path),
        cmocka_unit_test(a_body_is_json_or_unnamed),
        cmocka_unit_test(lengths_are_exact),
        cmocka_unit_test(a_length_that_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(statuses_of_failures),
        cmocka_unit_test(waits_are_rounded_up_to_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
