/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache layer: one call below for many equal ones. */
#include "cache_test.h"

enum { CALLER_COUNT = 10 };

static void equal_calls_share_one_call_below(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[CALLER_COUNT];
    wrap(test, NULL);
    takes(&test->service, DURESS_S);
    begin_all(test, answers, CALLER_COUNT);
    rig_run_until_ended(&test->rig, &answers[CALLER_COUNT - 1]);
    assert_int_equal(test->service.begun, 1);
    for (int i = 0; i < CALLER_COUNT; i++) {
        assert_string_equal(answers[i].text, "re: x");
        assert_int_equal(answers[i].ended_ns, answers[0].started_ns + DURESS_S);
    }
    assert_int_equal(counts_of(test).misses, 1);
    assert_int_equal(counts_of(test).joined, CALLER_COUNT - 1);
    layer_test_close(test);
}

static void a_failure_goes_to_all_who_wait_and_the_next_begins_anew(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[CALLER_COUNT];
    wrap(test, NULL);
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    begin_all(test, answers, CALLER_COUNT);
    rig_run_until_ended(&test->rig, &answers[CALLER_COUNT - 1]);
    for (int i = 0; i < CALLER_COUNT; i++) {
        assert_int_equal(answers[i].error, DURESS_E_RESET);
        assert_true(answers[i].failure.ambiguous);
    }
    assert_int_equal(test->service.begun, 1);
    assert_int_equal(ask(test, "x").error, DURESS_OK);
    layer_test_close(test);
}

static void the_first_caller_may_go_and_the_others_get_their_answer(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3];
    wrap(test, NULL);
    takes(&test->service, DURESS_S);
    begin_all(test, answers, 3);
    rig_run_for(&test->rig, DURESS_MS);
    duress_call_cancel(answers[0].call);
    rig_run_until_ended(&test->rig, &answers[2]);
    assert_int_equal(answers[0].error, DURESS_E_CANCELLED);
    assert_true(answers[0].failure.ambiguous);
    assert_string_equal(answers[1].text, "re: x");
    assert_string_equal(answers[2].text, "re: x");
    assert_int_equal(test->service.begun, 1);
    assert_int_equal(test->service.cancelled, 0);
    layer_test_close(test);
}

static void when_the_last_caller_goes_the_call_below_is_cancelled(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[2];
    wrap(test, NULL);
    test->service.silent = true;
    begin_all(test, answers, 2);
    rig_run_for(&test->rig, DURESS_MS);
    duress_call_cancel(answers[0].call);
    assert_int_equal(test->service.cancelled, 0);
    duress_call_cancel(answers[1].call);
    assert_int_equal(test->service.cancelled, 1); /* at once */
    assert_int_equal(counts_of(test).cache.flights, 0);
    rig_run_until_ended(&test->rig, &answers[1]);
    assert_int_equal(counts_of(test).calls.cancelled, 2);
    layer_test_close(test);
}

/* The deadline of the first is no deadline of the others. */
static void each_caller_keeps_its_own_deadline(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3] = {{.ended = 0}};
    wrap(test, NULL);
    takes(&test->service, 2 * DURESS_S);
    uint64_t now_ns = rig_now_ns(&test->rig);
    rig_ask_by(test->agent, "x", now_ns + DURESS_S, true, &answers[0]);
    rig_ask_by(test->agent, "x", now_ns + 3 * DURESS_S, true, &answers[1]);
    rig_ask_by(test->agent, "x", now_ns + 1500 * DURESS_MS, true, &answers[2]);
    rig_run_until_ended(&test->rig, &answers[1]);
    assert_int_equal(answers[0].error, DURESS_E_DEADLINE);
    assert_int_equal(answers[0].ended_ns, now_ns + DURESS_S);
    assert_int_equal(answers[0].failure.origin, DURESS_ORIGIN_CALLER);
    assert_string_equal(answers[0].failure.detail,
                        "the call's deadline passed while waiting for the call that equal ones share");
    assert_int_equal(answers[2].ended_ns, now_ns + 1500 * DURESS_MS);
    assert_string_equal(answers[1].text, "re: x");
    assert_int_equal(answers[1].ended_ns, now_ns + 2 * DURESS_S);
    assert_int_equal(test->service.begun, 1);
    assert_int_equal(counts_of(test).calls.timed_out, 2);
    layer_test_close(test);
}

static void the_last_deadline_ends_the_call_below(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + DURESS_S, true);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(test->service.cancelled, 1);
    layer_test_close(test);
}

static void the_call_below_may_have_a_limit_of_its_own(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[2];
    wrap(test, &(struct duress_cache_layer_options){.flight_limit_ns = DURESS_S});
    test->service.silent = true;
    begin_all(test, answers, 1);
    rig_run_for(&test->rig, 300 * DURESS_MS);
    memset(&answers[1], 0, sizeof answers[1]);
    rig_ask_by(test->agent, "x", 0, true, &answers[1]);
    rig_run_until_ended(&test->rig, &answers[1]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(answers[i].error, DURESS_E_DEADLINE);
        assert_int_equal(answers[i].failure.origin, DURESS_ORIGIN_CACHE);
        assert_string_equal(answers[i].failure.detail,
                            "flight_limit_ns, 1000000 us, passed while the agent was working");
        assert_int_equal(answers[i].ended_ns, answers[0].started_ns + DURESS_S);
        assert_true(answers[i].failure.ambiguous);
    }
    assert_int_equal(test->service.cancelled, 1);
    layer_test_close(test);
}

static void cancel_the_next(struct rig_answer *answer, void *context)
{
    struct rig_answer *next = context;
    (void)answer;
    duress_call_cancel(next->call);
}

static void a_caller_may_cancel_another_when_it_is_told(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3];
    wrap(test, NULL);
    begin_all(test, answers, 3);
    answers[0].then = cancel_the_next;
    answers[0].then_context = &answers[1];
    rig_run_dry(&test->rig);
    assert_int_equal(answers[0].error, DURESS_OK);
    assert_int_equal(answers[1].error, DURESS_E_CANCELLED);
    assert_int_equal(answers[2].error, DURESS_OK);
    assert_int_equal(counts_of(test).calls.cancelled, 1);
    layer_test_close(test);
}

static void give_agent_back(struct rig_answer *answer, void *context)
{
    struct layer_test *test = context;
    (void)answer;
    duress_agent_unref(test->agent);
    test->agent = NULL;
}

static void a_caller_may_give_the_agent_back_when_it_is_told(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3];
    struct rig_answer other = {.ended = 0};
    wrap(test, NULL);
    begin_all(test, answers, 3);
    test->service.silent = true;
    rig_ask_by(test->agent, "y", 0, true, &other);
    answers[0].then = give_agent_back;
    answers[0].then_context = test;
    rig_run_dry(&test->rig);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answers[i].error, DURESS_OK);
    assert_int_equal(other.error, DURESS_E_CANCELLED);
    layer_test_close(test);
}

static void a_freed_agent_cancels_what_waits(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3];
    wrap(test, NULL);
    test->service.silent = true;
    begin_all(test, answers, 3);
    duress_agent_unref(test->agent);
    test->agent = NULL;
    assert_int_equal(test->service.cancelled, 1);
    rig_run_dry(&test->rig);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    layer_test_close(test);
}

static bool has_ended(void *context)
{
    return ((const struct rig_answer *)context)->ended > 0;
}

/* The call below is gone with the last caller, not a turn of the loop later: the world may be freed at once. */
static void nothing_is_left_when_the_last_caller_has_been_told(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test, NULL);
    test->service.silent = true;
    rig_ask_by(test->agent, "x", 0, true, &answer);
    duress_call_cancel(answer.call);
    assert_int_equal(duress_sim_run_until(test->rig.sim, has_ended, &answer, DURESS_TIME_NEVER), DURESS_OK);
    duress_agent_unref(test->agent);
    rig_service_close(&test->service);
    rig_close(&test->rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equal_calls_share_one_call_below, cache_test_setup),
        cmocka_unit_test_setup(a_failure_goes_to_all_who_wait_and_the_next_begins_anew, cache_test_setup),
        cmocka_unit_test_setup(the_first_caller_may_go_and_the_others_get_their_answer, cache_test_setup),
        cmocka_unit_test_setup(when_the_last_caller_goes_the_call_below_is_cancelled, cache_test_setup),
        cmocka_unit_test_setup(each_caller_keeps_its_own_deadline, cache_test_setup),
        cmocka_unit_test_setup(the_last_deadline_ends_the_call_below, cache_test_setup),
        cmocka_unit_test_setup(the_call_below_may_have_a_limit_of_its_own, cache_test_setup),
        cmocka_unit_test_setup(a_caller_may_cancel_another_when_it_is_told, cache_test_setup),
        cmocka_unit_test_setup(a_caller_may_give_the_agent_back_when_it_is_told, cache_test_setup),
        cmocka_unit_test_setup(a_freed_agent_cancels_what_waits, cache_test_setup),
        cmocka_unit_test_setup(nothing_is_left_when_the_last_caller_has_been_told, cache_test_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
