/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential composition in the simulated world. */
#include "compose_test.h"

static void sequential_open(struct compose_test *test, bool reports)
{
    compose_test_open(test, 3);
    struct duress_sequential_options options = {.on_report = report_keep, .context = &test->report};
    assert_int_equal(
        duress_sequential_new("three", test->agents, 3, reports ? &options : NULL, &test->agent, &test->why),
        DURESS_OK);
}

static void hands_each_reply_to_the_next_step(void **state)
{
    (void)state;
    for (int reports = 0; reports < 2; reports++) {
        struct compose_test test;
        sequential_open(&test, reports);
        compose_test_ask(&test, "go", 0, false);
        assert_string_equal(test.hands[0].asked, "go");
        hand_reply(&test.hands[0], "one");
        assert_string_equal(test.hands[1].asked, "one");
        assert_int_equal(test.hands[2].calls, 0);
        hand_reply(&test.hands[1], "two");
        assert_string_equal(test.hands[2].asked, "two");
        hand_reply(&test.hands[2], "three");
        assert_replied(&test, "three");
        assert_int_equal(test.report.reports, reports);
        compose_test_close(&test);
    }
}

static void report_has_every_step(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, true);
    compose_test_ask(&test, "go", 0, false);
    struct duress_call *asked = test.answer.call;
    rig_run_for(&test.rig, 5);
    hand_reply(&test.hands[0], "one");
    hand_reply(&test.hands[1], "two");
    rig_run_for(&test.rig, 7);
    hand_reply(&test.hands[2], "three");
    assert_int_equal(test.report.reports, 1);
    assert_ptr_equal(test.report.call, asked);
    assert_int_equal(test.report.error, DURESS_OK);
    assert_int_equal(test.report.answered_by, 2);
    assert_int_equal(test.report.replied_count, 3);
    assert_false(test.report.partial);
    assert_string_equal(test.report.text, "three");
    assert_string_equal(test.report.request, "go");
    assert_string_equal(test.report.replies[0], "one");
    assert_string_equal(test.report.replies[1], "two");
    assert_int_equal(test.report.ended_ns[0] - test.report.started_ns[0], 5);
    assert_int_equal(test.report.ended_ns[1] - test.report.started_ns[1], 0);
    assert_int_equal(test.report.ended_ns[2] - test.report.started_ns[2], 7);
    compose_test_close(&test);
}

static void stops_at_the_first_failure_and_names_the_step(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, true);
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "one");
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "step 2 (b): on purpose");
    assert_true(test.answer.failure.ambiguous); /* The first step was executed. */
    assert_int_equal(test.hands[2].calls, 0);
    assert_int_equal(test.report.answered_by, 1);
    assert_int_equal(test.report.error, DURESS_E_REFUSED);
    assert_int_equal(test.report.states[0], DURESS_PART_REPLIED);
    assert_int_equal(test.report.states[1], DURESS_PART_FAILED);
    assert_int_equal(test.report.codes[1], DURESS_E_REFUSED);
    assert_int_equal(test.report.states[2], DURESS_PART_NOT_ASKED);
    compose_test_close(&test);
}

static void failure_of_the_first_step_keeps_its_ambiguity(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, false);
    for (int ambiguous = 0; ambiguous < 2; ambiguous++) {
        compose_test_ask(&test, "go", 0, false);
        hand_fail_as(&test.hands[0], DURESS_E_RESET, ambiguous, "");
        assert_failed(&test, DURESS_E_RESET, "step 1 (a): connection reset by the peer");
        assert_int_equal(test.answer.failure.ambiguous, ambiguous);
    }
    compose_test_close(&test);
}

static void deadline_and_cancel_reach_the_step_that_runs(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, true);
    compose_test_ask(&test, "go", DURESS_S, false);
    hand_reply(&test.hands[0], "one");
    assert_int_equal(test.hands[1].deadline_ns, test.hands[0].deadline_ns);
    rig_run_until_ended(&test.rig, &test.answer);
    assert_int_equal(test.answer.error, DURESS_E_DEADLINE);
    assert_int_equal(test.answer.ended_ns - test.answer.started_ns, DURESS_S);
    assert_true(test.hands[1].expired);
    compose_test_ask(&test, "go", 0, false);
    duress_call_cancel(test.answer.call);
    compose_test_turn(&test);
    assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test.hands[0].cancels, 1);
    assert_int_equal(test.hands[2].calls, 0);
    assert_int_equal(test.report.reports, 0); /* given up from above: nobody waits for it */
    compose_test_close(&test);
}

static void only_the_last_step_streams(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, true);
    rig_ask_stream(test.agent, "go", 0, &test.answer);
    assert_false(test.hands[0].streaming);
    hand_reply(&test.hands[0], "one");
    assert_false(test.hands[1].streaming);
    hand_reply(&test.hands[1], "two");
    assert_true(test.hands[2].streaming);
    hand_emit(&test.hands[2], "x");
    hand_emit(&test.hands[2], "y");
    assert_string_equal(test.answer.chunks, "x,y,");
    hand_reply(&test.hands[2], "three");
    assert_replied(&test, "three");
    compose_test_close(&test);
}

static void refuses_bad_steps(void **state)
{
    (void)state;
    struct compose_test test;
    sequential_open(&test, false);
    struct duress_agent *agent = NULL;
    struct duress_agent *holes[2] = {test.agents[0], NULL};
    assert_int_equal(duress_sequential_new("x", holes, 1, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "sequential: NULL given, must be a pointer");
    assert_int_equal(duress_sequential_new("x", NULL, 1, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "steps: NULL given, must be an array of agents");
    assert_int_equal(duress_sequential_new("x", holes, 0, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of steps: 0 given, allowed 1 to 1024");
    assert_int_equal(duress_sequential_new("x", holes, 1025, NULL, &agent, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_sequential_new("x", holes, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "steps: NULL given at place 2, must be an agent");
    struct duress_world *other = NULL;
    struct hand far = {.agent = NULL};
    assert_int_equal(duress_world_sim_new(2, &other), DURESS_OK);
    assert_int_equal(duress_function_async_new(other, "far", hand_begin, hand_cancel, &far, &holes[1]), DURESS_OK);
    assert_int_equal(duress_sequential_new("x", holes, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "steps: 2 (far) is of another world than 1 (a)");
    assert_null(agent);
    duress_agent_unref(holes[1]);
    duress_world_free(other);
    compose_test_close(&test);
}

static void one_agent_may_be_several_steps(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 1);
    struct duress_agent *twice[2] = {test.agents[0], test.agents[0]};
    assert_int_equal(duress_sequential_new(NULL, twice, 2, NULL, &test.agent, NULL), DURESS_OK);
    assert_string_equal(duress_agent_name(test.agent), "sequential");
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "one");
    assert_string_equal(test.hands[0].asked, "one");
    hand_reply(&test.hands[0], "two");
    assert_replied(&test, "two");
    compose_test_close(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_each_reply_to_the_next_step),
        cmocka_unit_test(report_has_every_step),
        cmocka_unit_test(stops_at_the_first_failure_and_names_the_step),
        cmocka_unit_test(failure_of_the_first_step_keeps_its_ambiguity),
        cmocka_unit_test(deadline_and_cancel_reach_the_step_that_runs),
        cmocka_unit_test(only_the_last_step_streams),
        cmocka_unit_test(refuses_bad_steps),
        cmocka_unit_test(one_agent_may_be_several_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
