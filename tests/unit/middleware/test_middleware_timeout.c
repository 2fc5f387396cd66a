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

static void wrap(struct layer_test *test, uint64_t limit_ns, uint64_t gap_ns)
{
    struct duress_timeout_options options = {.limit_ns = limit_ns, .gap_ns = gap_ns};
    assert_int_equal(duress_with_timeout(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static void timeout_fires_on_time_and_cancels_the_work_below(void **state)
{
    struct layer_test *test = *state;
    wrap(test, DURESS_S, 0);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns - answer.started_ns, DURESS_S);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_TIMEOUT);
    assert_true(answer.failure.ambiguous);
    assert_string_equal(answer.failure.detail, "1000 ms passed while the agent was working");
    assert_int_equal(test->service.cancelled, 1);
    assert_int_equal(duress_timeout_counts(test->agent).timed_out, 1);
    assert_balanced(duress_timeout_counts(test->agent));
    layer_test_close(test);
}

static void a_reply_in_time_leaves_no_timer_behind(void **state)
{
    struct layer_test *test = *state;
    wrap(test, DURESS_S, 0);
    test->service.delay_ns_min = test->service.delay_ns_max = DURESS_S - 1;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_OK);
    rig_run_dry(&test->rig);
    assert_int_equal(rig_now_ns(&test->rig), answer.ended_ns);
    assert_int_equal(duress_timeout_counts(test->agent).succeeded, 1);
    layer_test_close(test);
}

static void the_callers_earlier_deadline_is_kept_and_is_the_callers(void **state)
{
    struct layer_test *test = *state;
    wrap(test, DURESS_S, 0);
    test->service.silent = true;
    uint64_t deadline_ns = rig_now_ns(&test->rig) + 300 * DURESS_MS;
    struct rig_answer answer = layer_test_ask(test, "x", deadline_ns, false);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_int_equal(duress_timeout_counts(test->agent).timed_out, 1);
    assert_int_equal(duress_timeout_counts(test->agent).cancelled, 0);
    layer_test_close(test);
}

static uint64_t seen_deadline_ns;

static void note_deadline(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)service;
    seen_deadline_ns = call->deadline_ns;
}

static void the_deadline_is_passed_on_shortened_and_never_lengthened(void **state)
{
    struct layer_test *test = *state;
    wrap(test, DURESS_S, 0);
    test->service.on_call = note_deadline;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(seen_deadline_ns, answer.started_ns + DURESS_S);
    uint64_t early_ns = rig_now_ns(&test->rig) + DURESS_MS;
    layer_test_ask(test, "x", early_ns, false);
    assert_int_equal(seen_deadline_ns, early_ns);
    answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + 10 * DURESS_S, false);
    assert_int_equal(seen_deadline_ns, answer.started_ns + DURESS_S);
    layer_test_close(test);
}

/* agenkit relabels every timeout with the outermost layer's limit (T2, B8). */
static void the_inner_of_two_timeouts_says_its_own_limit(void **state)
{
    struct layer_test *test = *state;
    wrap(test, 20 * DURESS_MS, 0);
    struct duress_agent *inner = test->agent;
    struct duress_timeout_options options = {.limit_ns = 30 * DURESS_S};
    assert_int_equal(duress_with_timeout(inner, &options, &test->agent, NULL), DURESS_OK);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_string_equal(answer.failure.detail, "20 ms passed while the agent was working");
    assert_int_equal(duress_timeout_counts(test->agent).failed, 1);
    assert_int_equal(duress_timeout_counts(inner).timed_out, 1);
    duress_agent_unref(inner);
    layer_test_close(test);
}

static void the_services_own_failure_passes_unchanged(void **state)
{
    struct layer_test *test = *state;
    wrap(test, DURESS_S, 0);
    service_fails(&test->service, 1, DURESS_E_UNREACHABLE, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_UNREACHABLE);
    assert_string_equal(answer.failure.detail, "as asked");
    assert_int_equal(duress_timeout_counts(test->agent).failed, 1);
    layer_test_close(test);
}

/* agenkit's Go reports a cancelled caller as its own limit (T3). */
static void cancel_is_told_apart_from_the_limit(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, 10 * DURESS_S, 0);
    test->service.silent = true;
    rig_ask(test->agent, "x", &answer);
    rig_run_for(&test->rig, 20 * DURESS_MS);
    duress_call_cancel(answer.call);
    assert_int_equal(test->service.cancelled, 1);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(duress_timeout_counts(test->agent).cancelled, 1);
    assert_int_equal(duress_timeout_counts(test->agent).timed_out, 0);
    rig_run_dry(&test->rig); /* the timer is gone */
    assert_true(rig_now_ns(&test->rig) < answer.started_ns + DURESS_S);
    layer_test_close(test);
}

static void the_limit_covers_the_whole_stream(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, 35 * DURESS_MS, 0);
    test->service.chunk_count = 10;
    test->service.delay_ns_min = test->service.delay_ns_max = 10 * DURESS_MS;
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.chunk_count, 3);
    assert_int_equal(answer.ended_ns - answer.started_ns, 35 * DURESS_MS);
    layer_test_close(test);
}

static void a_stream_that_moves_may_go_on_for_ever_with_a_gap(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, 0, 35 * DURESS_MS);
    test->service.chunk_count = 20;
    test->service.delay_ns_min = test->service.delay_ns_max = 30 * DURESS_MS;
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.chunk_count, 20);
    layer_test_close(test);
}

static void stop_after_two(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)call;
    service->chunk_count = 2;
}

static void slow_down(struct rig_service *service)
{
    service->delay_ns_min = service->delay_ns_max = DURESS_S;
}

static void a_silent_producer_is_noticed_by_the_gap(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, 0, 35 * DURESS_MS);
    test->service.on_call = stop_after_two;
    test->service.delay_ns_min = test->service.delay_ns_max = 30 * DURESS_MS;
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_for(&test->rig, 45 * DURESS_MS); /* the first chunk came at 30, the second is under way */
    slow_down(&test->service);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.chunk_count, 2);
    assert_int_equal(answer.ended_ns - answer.started_ns, (60 + 35) * DURESS_MS);
    assert_string_equal(answer.failure.detail, "35 ms passed without a chunk while the agent was working");
    layer_test_close(test);
}

static void limits_below_a_millisecond_are_told_in_microseconds(void **state)
{
    struct layer_test *test = *state;
    wrap(test, 1500 * DURESS_US, 0);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_string_equal(answer.failure.detail, "1500 us passed while the agent was working");
    duress_agent_unref(test->agent);
    wrap(test, 0, 2500 * DURESS_US);
    answer = layer_test_ask(test, "x", 0, false);
    assert_string_equal(answer.failure.detail, "2500 us passed without a chunk while the agent was working");
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_timeout_options options = {.limit_ns = DURESS_TIMEOUT_NS_MAX + 1};
    struct duress_failure why;
    assert_int_equal(duress_with_timeout(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "limit_ns"));
    assert_int_equal(duress_with_timeout(NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_timeout(test->service.agent, NULL, NULL, NULL), DURESS_E_INVALID);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(timeout_fires_on_time_and_cancels_the_work_below, setup),
        cmocka_unit_test_setup(a_reply_in_time_leaves_no_timer_behind, setup),
        cmocka_unit_test_setup(the_callers_earlier_deadline_is_kept_and_is_the_callers, setup),
        cmocka_unit_test_setup(the_deadline_is_passed_on_shortened_and_never_lengthened, setup),
        cmocka_unit_test_setup(the_inner_of_two_timeouts_says_its_own_limit, setup),
        cmocka_unit_test_setup(the_services_own_failure_passes_unchanged, setup),
        cmocka_unit_test_setup(cancel_is_told_apart_from_the_limit, setup),
        cmocka_unit_test_setup(the_limit_covers_the_whole_stream, setup),
        cmocka_unit_test_setup(a_stream_that_moves_may_go_on_for_ever_with_a_gap, setup),
        cmocka_unit_test_setup(a_silent_producer_is_noticed_by_the_gap, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(limits_below_a_millisecond_are_told_in_microseconds, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
