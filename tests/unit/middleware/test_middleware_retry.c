/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_test.h"

#include <string.h>

static struct layer_test the_test;

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

/* Waits of exactly 100, 200, 400 … ms unless |given| says otherwise. */
static void wrap(struct layer_test *test, struct duress_retry_options given, struct duress_retry_budget *budget)
{
    if (given.jitter == DURESS_JITTER_FULL)
        given.jitter = DURESS_JITTER_NONE;
    if (given.backoff_ns == 0)
        given.backoff_ns = 100 * DURESS_MS;
    assert_int_equal(duress_with_retry(test->service.agent, &given, budget, &test->agent, NULL), DURESS_OK);
}

static void transient_failures_are_ridden_out_with_growing_waits(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 4}, NULL);
    service_fails(&test->service, 3, DURESS_E_REFUSED, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(test->service.begun, 4);
    assert_int_equal(test->service.begun_ns[1] - test->service.begun_ns[0], 100 * DURESS_MS);
    assert_int_equal(test->service.begun_ns[2] - test->service.begun_ns[1], 200 * DURESS_MS);
    assert_int_equal(test->service.begun_ns[3] - test->service.begun_ns[2], 400 * DURESS_MS);
    struct duress_retry_counts counts = duress_retry_counts(test->agent);
    assert_int_equal(counts.attempts, 4);
    assert_int_equal(counts.succeeded_on_retry, 1);
    assert_int_equal(counts.calls.succeeded, 1);
    assert_balanced(counts.calls);
    layer_test_close(test);
}

static void the_last_failure_is_told_with_the_attempts_and_why_no_more(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 3}, NULL);
    service_fails(&test->service, 100, DURESS_E_UNREACHABLE, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_UNREACHABLE);
    assert_int_equal(answer.failure.attempts, 3);
    assert_string_equal(answer.failure.detail, "as asked; gave up: attempts spent");
    assert_int_equal(test->service.begun, 3);
    assert_int_equal(answer.ended_ns, test->service.begun_ns[2]); /* no wait after the last attempt */
    layer_test_close(test);
}

static void what_is_not_retryable_is_tried_once(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 5}, NULL);
    service_fails(&test->service, 1, DURESS_E_INVALID, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, true);
    assert_int_equal(answer.error, DURESS_E_INVALID);
    assert_int_equal(answer.failure.attempts, 1);
    assert_int_equal(test->service.begun, 1);
    layer_test_close(test);
}

static void an_ambiguous_failure_is_repeated_only_for_idempotent_calls(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 3}, NULL);
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_RESET);
    assert_true(answer.failure.ambiguous);
    assert_int_equal(answer.failure.attempts, 1);
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    answer = layer_test_ask(test, "x", 0, true);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(test->service.begun, 3);
    layer_test_close(test);
}

static void ambiguous_once(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)call;
    service->failure.ambiguous = service->begun == 1;
}

static void the_call_is_ambiguous_where_any_attempt_was(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 2}, NULL);
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    test->service.on_call = ambiguous_once;
    struct rig_answer answer = layer_test_ask(test, "x", 0, true);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_true(answer.failure.ambiguous);
    layer_test_close(test);
}

static void no_wait_is_begun_that_would_reach_the_deadline(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 10}, NULL);
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    uint64_t deadline_ns = rig_now_ns(&test->rig) + 500 * DURESS_MS;
    struct rig_answer answer = layer_test_ask(test, "x", deadline_ns, false);
    assert_int_equal(answer.error, DURESS_E_REFUSED); /* the real error, not the deadline */
    assert_int_equal(answer.failure.attempts, 3);     /* at 0, 100, 300; the next would be at 700 */
    assert_int_equal(answer.ended_ns, answer.started_ns + 300 * DURESS_MS);
    assert_non_null(strstr(answer.failure.detail, "gave up: deadline too near"));
    layer_test_close(test);
}

static void retry_after_of_the_peer_is_waited_for(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 2}, NULL);
    service_fails(&test->service, 1, DURESS_E_OVERLOADED, false);
    test->service.failure.retry_after_ns = 3 * DURESS_S;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(test->service.begun_ns[1] - test->service.begun_ns[0], 3 * DURESS_S);
    layer_test_close(test);
}

static void a_spent_budget_keeps_the_real_failure_and_is_counted(void **state)
{
    struct layer_test *test = *state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options small = {.capacity = 2, .deposit_milli = 1};
    assert_int_equal(duress_retry_budget_init(&budget, &small, NULL), DURESS_OK);
    wrap(test, (struct duress_retry_options){.attempts_max = 10}, &budget);
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_int_equal(answer.failure.attempts, 3); /* the first and two that the budget paid for */
    assert_string_equal(answer.failure.detail, "as asked; gave up: retry budget spent");
    answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.failure.attempts, 1);
    assert_int_equal(test->service.begun, 4);
    assert_int_equal(duress_retry_counts(test->agent).budget_refusals, 2);
    assert_int_equal(duress_retry_counts(test->agent).attempts, 4);
    layer_test_close(test);
}

static void every_first_attempt_pays_into_the_budget(void **state)
{
    struct layer_test *test = *state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options small = {.capacity = 1, .deposit_milli = 500};
    assert_int_equal(duress_retry_budget_init(&budget, &small, NULL), DURESS_OK);
    wrap(test, (struct duress_retry_options){.attempts_max = 2}, &budget);
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    for (int i = 0; i < 9; i++)
        layer_test_ask(test, "x", 0, false);
    /* One token at first, half a one for each call after: a retry for calls 1, 3, 5, 7, 9. */
    assert_int_equal(test->service.begun, 9 + 5);
    layer_test_close(test);
}

static void cancel_during_a_wait_ends_at_once_and_leaves_no_timer(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, (struct duress_retry_options){.attempts_max = 3, .backoff_ns = 10 * DURESS_S}, NULL);
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    rig_ask(test->agent, "x", &answer);
    rig_run_for(&test->rig, DURESS_S);
    assert_int_equal(duress_retry_counts(test->agent).waiting, 1);
    duress_call_cancel(answer.call);
    assert_int_equal(duress_retry_counts(test->agent).waiting, 0);
    rig_run_dry(&test->rig);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_true(rig_now_ns(&test->rig) < answer.started_ns + 2 * DURESS_S);
    assert_int_equal(test->service.begun, 1);
    assert_int_equal(duress_retry_counts(test->agent).calls.cancelled, 1);
    layer_test_close(test);
}

static void a_deadline_during_an_attempt_stops_it(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_retry_options){.attempts_max = 3}, NULL);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + DURESS_S, true);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(test->service.cancelled, 1);
    assert_int_equal(duress_retry_counts(test->agent).calls.timed_out, 1);
    layer_test_close(test);
}

static void fail_after_chunks(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)call;
    service->fail_count = 1;
}

static void nothing_is_repeated_after_the_first_chunk_went_up(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, (struct duress_retry_options){.attempts_max = 3}, NULL);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    test->service.chunk_count = 2;
    test->service.on_call = fail_after_chunks;
    assert_int_equal(rig_try_ask(test->agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_string_equal(answer.chunks, "1 x,2 x,");
    assert_int_equal(test->service.begun, 1);
    assert_non_null(strstr(answer.failure.detail, "a part of the reply has been handed on"));
    layer_test_close(test);
}

/* agenkit's callers all come back at the same instants (R1). */
static void callers_that_fail_together_come_back_apart(void **state)
{
    struct layer_test *test = *state;
    static struct rig_answer answers[50];
    struct duress_retry_options options = {.attempts_max = 2, .backoff_ns = DURESS_S};
    assert_int_equal(duress_with_retry(test->service.agent, &options, NULL, &test->agent, NULL), DURESS_OK);
    test->service.begun = 14; /* so that the log holds the 50 second attempts */
    test->service.ended = 14;
    service_fails(&test->service, 50, DURESS_E_REFUSED, false);
    for (int i = 0; i < 50; i++) {
        answers[i] = (struct rig_answer){.ended = 0};
        rig_ask(test->agent, "x", &answers[i]);
    }
    rig_run_for(&test->rig, 1);
    test->service.begun -= 50;
    test->service.ended -= 50;
    rig_run_dry(&test->rig);
    uint64_t distinct = 0;
    uint64_t late = 0;
    for (int i = 14; i < 64; i++) {
        distinct += i == 14 || test->service.begun_ns[i] != test->service.begun_ns[i - 1];
        late += test->service.begun_ns[i] > answers[0].started_ns + DURESS_S / 2;
    }
    assert_true(distinct > 45);
    assert_in_range(late, 12, 38); /* full jitter: half of them in each half of the second */
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_retry_options options = {.attempts_max = DURESS_RETRY_ATTEMPTS_MAX + 1};
    struct duress_failure why;
    assert_int_equal(duress_with_retry(test->service.agent, &options, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "attempts_max"));
    assert_int_equal(duress_with_retry(NULL, NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_retry(test->service.agent, NULL, NULL, NULL, &why), DURESS_E_INVALID);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(transient_failures_are_ridden_out_with_growing_waits, setup),
        cmocka_unit_test_setup(the_last_failure_is_told_with_the_attempts_and_why_no_more, setup),
        cmocka_unit_test_setup(what_is_not_retryable_is_tried_once, setup),
        cmocka_unit_test_setup(an_ambiguous_failure_is_repeated_only_for_idempotent_calls, setup),
        cmocka_unit_test_setup(the_call_is_ambiguous_where_any_attempt_was, setup),
        cmocka_unit_test_setup(no_wait_is_begun_that_would_reach_the_deadline, setup),
        cmocka_unit_test_setup(retry_after_of_the_peer_is_waited_for, setup),
        cmocka_unit_test_setup(a_spent_budget_keeps_the_real_failure_and_is_counted, setup),
        cmocka_unit_test_setup(every_first_attempt_pays_into_the_budget, setup),
        cmocka_unit_test_setup(cancel_during_a_wait_ends_at_once_and_leaves_no_timer, setup),
        cmocka_unit_test_setup(a_deadline_during_an_attempt_stops_it, setup),
        cmocka_unit_test_setup(nothing_is_repeated_after_the_first_chunk_went_up, setup),
        cmocka_unit_test_setup(callers_that_fail_together_come_back_apart, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
