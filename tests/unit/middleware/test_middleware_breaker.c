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

/* Opens after 3 failures, for 10 s; one probe at a time, 2 successes close it. */
static void wrap(struct layer_test *test, struct duress_breaker_layer_options options)
{
    if (options.shared == NULL) {
        options.breaker.failures_to_open = 3;
        options.breaker.recovery_ns = 10 * DURESS_S;
    }
    assert_int_equal(duress_with_breaker(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static enum duress_breaker_state breaker_state(const struct layer_test *test)
{
    return duress_breaker_state(duress_breaker_of(test->agent));
}

static void open_it(struct layer_test *test)
{
    service_fails(&test->service, 3, DURESS_E_REFUSED, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_REFUSED);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_OPEN);
}

static void breaker_opens_at_the_threshold_and_then_asks_nobody(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    for (int i = 0; i < 2; i++)
        layer_test_ask(test, "x", 0, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK); /* begins the count anew */
    open_it(test);
    uint64_t asked = test->service.begun;
    rig_run_for(&test->rig, 4 * DURESS_S);
    for (int i = 0; i < 10; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", 0, false);
        assert_int_equal(answer.error, DURESS_E_CIRCUIT_OPEN);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_BREAKER);
        assert_false(answer.failure.ambiguous);
        assert_int_equal(answer.failure.retry_after_ns, 6 * DURESS_S);
    }
    assert_int_equal(test->service.begun, asked);
    assert_int_equal(duress_breaker_counts(test->agent).refused, 10);
    assert_balanced(duress_breaker_counts(test->agent));
    layer_test_close(test);
}

static void half_open_lets_one_probe_through_whatever_the_number_of_callers(void **state)
{
    struct layer_test *test = *state;
    static struct rig_answer answers[20];
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    open_it(test);
    rig_run_for(&test->rig, 10 * DURESS_S);
    test->service.delay_ns_min = test->service.delay_ns_max = DURESS_S;
    uint64_t asked = test->service.begun;
    for (int i = 0; i < 20; i++) {
        answers[i] = (struct rig_answer){.ended = 0};
        rig_ask(test->agent, "x", &answers[i]);
    }
    rig_run_for(&test->rig, DURESS_MS);
    assert_int_equal(test->service.begun - asked, 1);
    assert_int_equal(answers[1].error, DURESS_E_CIRCUIT_OPEN);
    assert_string_equal(answers[1].failure.detail, "half-open: all probes are in flight");
    rig_run_until_ended(&test->rig, &answers[0]);
    assert_int_equal(answers[0].error, DURESS_OK);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_HALF_OPEN);
    layer_test_ask(test, "x", 0, false);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_CLOSED);
    layer_test_close(test);
}

static void a_failed_probe_reopens_it(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    open_it(test);
    rig_run_for(&test->rig, 10 * DURESS_S);
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_RESET);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_OPEN);
    assert_int_equal(layer_test_ask(test, "x", 0, false).failure.retry_after_ns, 10 * DURESS_S);
    layer_test_close(test);
}

static void cancellation_is_never_counted_and_gives_the_probes_slot_back(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    test->service.silent = true;
    for (int i = 0; i < 10; i++) {
        struct rig_answer answer = {.ended = 0};
        rig_ask(test->agent, "x", &answer);
        duress_call_cancel(answer.call);
        rig_run_until_ended(&test->rig, &answer);
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
    }
    assert_int_equal(breaker_state(test), DURESS_BREAKER_CLOSED);
    test->service.silent = false;
    open_it(test);
    rig_run_for(&test->rig, 10 * DURESS_S);
    test->service.silent = true;
    struct rig_answer probe = {.ended = 0};
    rig_ask(test->agent, "x", &probe);
    duress_call_cancel(probe.call);
    rig_run_until_ended(&test->rig, &probe);
    test->service.silent = false;
    for (int i = 0; i < 2; i++)
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK); /* the slot is free */
    assert_int_equal(breaker_state(test), DURESS_BREAKER_CLOSED);
    assert_int_equal(duress_breaker_counts(test->agent).cancelled, 11);
    layer_test_close(test);
}

static void what_says_nothing_about_the_service_is_not_counted(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    service_fails(&test->service, 20, DURESS_E_INVALID, false);
    for (int i = 0; i < 20; i++)
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_INVALID);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_CLOSED);
    layer_test_close(test);
}

static enum duress_outcome refused_is_fine(void *context, const struct duress_failure *failure)
{
    (*(int *)context)++;
    return failure->code == DURESS_E_REFUSED ? DURESS_OUTCOME_IGNORED : DURESS_OUTCOME_FAILURE;
}

static void the_caller_may_say_what_counts(void **state)
{
    struct layer_test *test = *state;
    int asked = 0;
    wrap(test, (struct duress_breaker_layer_options){.outcome_of = refused_is_fine, .context = &asked});
    service_fails(&test->service, 5, DURESS_E_REFUSED, false);
    for (int i = 0; i < 5; i++)
        layer_test_ask(test, "x", 0, false);
    assert_int_equal(asked, 5);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_CLOSED);
    service_fails(&test->service, 3, DURESS_E_INVALID, false);
    for (int i = 0; i < 3; i++)
        layer_test_ask(test, "x", 0, false);
    assert_int_equal(breaker_state(test), DURESS_BREAKER_OPEN);
    layer_test_close(test);
}

/* Also where no layer below measures the time: the callers' own deadlines say that the service hangs. */
static void deadlines_that_pass_count_against_the_service(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    test->service.silent = true;
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + DURESS_S, false);
        assert_int_equal(answer.error, DURESS_E_DEADLINE);
    }
    assert_int_equal(breaker_state(test), DURESS_BREAKER_OPEN);
    assert_int_equal(duress_breaker_counts(test->agent).timed_out, 3);
    layer_test_close(test);
}

static void a_shared_breaker_is_moved_by_all_who_share_it(void **state)
{
    struct layer_test *test = *state;
    struct duress_breaker shared;
    struct duress_agent *other = NULL;
    struct duress_breaker_options options = {.failures_to_open = 2};
    assert_int_equal(duress_breaker_init(&shared, &options, NULL), DURESS_OK);
    wrap(test, (struct duress_breaker_layer_options){.shared = &shared});
    struct duress_breaker_layer_options again = {.shared = &shared};
    assert_int_equal(duress_with_breaker(test->service.agent, &again, &other, NULL), DURESS_OK);
    assert_ptr_equal(duress_breaker_of(other), &shared);
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    layer_test_ask(test, "x", 0, false);
    struct rig_answer answer = {.ended = 0};
    rig_ask(other, "x", &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_CIRCUIT_OPEN);
    duress_agent_unref(other);
    layer_test_close(test);
}

static void forced_open_it_says_no_time_to_come_back(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    duress_breaker_force_open(duress_breaker_of(test->agent), rig_now_ns(&test->rig));
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_CIRCUIT_OPEN);
    assert_int_equal(answer.failure.retry_after_ns, 0);
    layer_test_close(test);
}

/* agenkit's breaker hides streams (B12). */
static void a_stream_goes_through_and_its_failure_counts(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_breaker_layer_options){.shared = NULL});
    test->service.chunk_count = 2;
    service_fails(&test->service, 3, DURESS_E_RESET, true);
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = {.ended = 0};
        rig_ask_stream(test->agent, "x", 0, &answer);
        rig_run_until_ended(&test->rig, &answer);
        assert_string_equal(answer.chunks, "1 x,2 x,");
    }
    assert_int_equal(breaker_state(test), DURESS_BREAKER_OPEN);
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_breaker shared;
    struct duress_failure why;
    struct duress_breaker_layer_options options = {.breaker = {.probes_max = 99}};
    assert_int_equal(duress_with_breaker(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "probes_max"));
    static const struct duress_breaker_options not_zero[] = {
        {.mode = DURESS_BREAKER_RATE_OF_TIME},
        {.failures_to_open = 1},
        {.successes_to_close = 1},
        {.recovery_ns = 1},
        {.probes_max = 1},
        {.probe_lease_ns = 1},
        {.window_calls = 1},
        {.window_ns = 1},
        {.window_buckets = 1},
        {.calls_min = 1},
        {.failure_rate_ppm = 1},
        {.slow_call_ns = 1},
        {.slow_rate_ppm = 1},
    };
    for (size_t i = 0; i < sizeof not_zero / sizeof not_zero[0]; i++) {
        options = (struct duress_breaker_layer_options){.breaker = not_zero[i], .shared = &shared};
        assert_int_equal(duress_with_breaker(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, "breaker: must be all zero where a shared breaker is given");
    }
    assert_int_equal(duress_with_breaker(NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_breaker(test->service.agent, NULL, NULL, &why), DURESS_E_INVALID);
    assert_null(duress_breaker_of(test->service.agent));
    assert_int_equal(duress_breaker_counts(test->service.agent).begun, 0);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(breaker_opens_at_the_threshold_and_then_asks_nobody, setup),
        cmocka_unit_test_setup(half_open_lets_one_probe_through_whatever_the_number_of_callers, setup),
        cmocka_unit_test_setup(a_failed_probe_reopens_it, setup),
        cmocka_unit_test_setup(cancellation_is_never_counted_and_gives_the_probes_slot_back, setup),
        cmocka_unit_test_setup(what_says_nothing_about_the_service_is_not_counted, setup),
        cmocka_unit_test_setup(the_caller_may_say_what_counts, setup),
        cmocka_unit_test_setup(deadlines_that_pass_count_against_the_service, setup),
        cmocka_unit_test_setup(a_shared_breaker_is_moved_by_all_who_share_it, setup),
        cmocka_unit_test_setup(forced_open_it_says_no_time_to_come_back, setup),
        cmocka_unit_test_setup(a_stream_goes_through_and_its_failure_counts, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
