/* SPDX-License-Identifier: Apache-2.0
 *
 * Compositions of compositions, and agents that ask themselves: these fail, in bounded depth and memory. */
#include "compose_test.h"

/* An agent that passes its calls on to one that is set later: the way to a circle. */
struct loop {
    struct duress_agent *agent;
    struct duress_agent *target;
    unsigned calls;
};

static void loop_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    duress_call_pass(context, result);
}

static void loop_begin(void *context, struct duress_call *call)
{
    struct loop *loop = context;
    struct duress_child child = {.agent = loop->target, .on_end = loop_ended, .context = call};
    struct duress_call *begun = NULL;
    loop->calls++;
    call->state = NULL;
    if (duress_call_begin(call, &child, &begun) != DURESS_OK) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
        duress_call_fail(call, &failure);
        return;
    }
    call->state = begun;
}

static void loop_cancel(void *context, struct duress_call *call)
{
    (void)context;
    if (call->state != NULL)
        duress_call_abandon(call->state);
}

static void loop_open(struct compose_test *test, struct loop *loop)
{
    compose_test_open(test, 1);
    *loop = (struct loop){.target = NULL};
    assert_int_equal(duress_function_async_new(test->rig.client, "loop", loop_begin, loop_cancel, loop, &loop->agent),
                     DURESS_OK);
}

static void loop_close(struct compose_test *test, struct loop *loop)
{
    duress_agent_unref(loop->agent);
    compose_test_close(test);
}

#define TOO_DEEP "calls nested deeper than 64: does an agent ask itself?"

static void an_agent_that_asks_itself_fails(void **state)
{
    (void)state;
    struct compose_test test;
    struct loop loop;
    loop_open(&test, &loop);
    loop.target = loop.agent;
    test.agent = duress_agent_ref(loop.agent);
    compose_test_ask(&test, "round", 0, false);
    assert_failed(&test, DURESS_E_INVALID, TOO_DEEP);
    assert_int_equal(loop.calls, 64);
    loop_close(&test, &loop);
}

static void a_circle_through_compositions_fails(void **state)
{
    (void)state;
    struct compose_test test;
    struct loop loop;
    for (int kind = 0; kind < 4; kind++) {
        loop_open(&test, &loop);
        struct duress_route route = {duress_content_contains, "", loop.agent};
        int errors[4] = {0};
        struct duress_agent *made[4];
        errors[0] = duress_sequential_new("s", &loop.agent, 1, NULL, &made[0], NULL);
        errors[1] = duress_fallback_new("f", &loop.agent, 1, NULL, &made[1], NULL);
        errors[2] = duress_quorum_new("q", &loop.agent, 1, NULL, &made[2], NULL);
        errors[3] = duress_conditional_new("c", &route, 1, NULL, &made[3], NULL);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(errors[i], DURESS_OK);
            if (i == kind)
                test.agent = loop.target = made[i];
            else
                duress_agent_unref(made[i]);
        }
        compose_test_ask(&test, "round", 0, true);
        assert_int_equal(test.answer.error, DURESS_E_INVALID);
        assert_non_null(strstr(test.answer.failure.detail, TOO_DEEP));
        assert_int_equal(loop.calls, 32);
        duress_agent_unref(test.agent);
        test.agent = NULL;
        loop_close(&test, &loop);
    }
}

/* Each round asks twice: without a limit on all calls of one tree it would be 2 to the 32nd. */
static void a_circle_that_branches_is_bounded_too(void **state)
{
    (void)state;
    struct compose_test test;
    struct loop loop;
    loop_open(&test, &loop);
    struct duress_agent *twice[2] = {loop.agent, loop.agent};
    assert_int_equal(duress_parallel_new("p", twice, 2, NULL, &test.agent, NULL), DURESS_OK);
    loop.target = test.agent;
    uint64_t before = test.rig.heap.allocation_count;
    compose_test_ask(&test, "round", 0, false);
    assert_int_equal(test.answer.ended, 1);
    assert_int_equal(test.answer.error, DURESS_E_INVALID);
    assert_non_null(strstr(test.answer.failure.detail, "does an agent ask itself?"));
    assert_in_range(loop.calls, 20000, DURESS_CALL_TREE_MAX);
    assert_in_range((test.rig.heap.allocation_count - before) * DURESS_WORLD_BLOCK_BYTES, 0, 96 << 20);
    duress_agent_unref(test.agent);
    test.agent = NULL;
    loop_close(&test, &loop);
}

static void depth_that_is_allowed_works(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 1);
    struct duress_agent *inner = duress_agent_ref(test.agents[0]);
    for (int depth = 2; depth <= 64; depth++) {
        struct duress_agent *outer = NULL;
        assert_int_equal(duress_sequential_new("s", &inner, 1, NULL, &outer, NULL), DURESS_OK);
        duress_agent_unref(inner);
        inner = outer;
    }
    test.agent = inner;
    compose_test_ask(&test, "deep", 0, false);
    hand_reply(&test.hands[0], "bottom");
    assert_replied(&test, "bottom");
    struct duress_agent *outer = NULL;
    assert_int_equal(duress_sequential_new("s", &inner, 1, NULL, &outer, NULL), DURESS_OK);
    duress_agent_unref(inner);
    test.agent = outer;
    compose_test_ask(&test, "too deep", 0, false);
    assert_int_equal(test.answer.error, DURESS_E_INVALID);
    assert_non_null(strstr(test.answer.failure.detail, TOO_DEEP));
    assert_int_equal(test.hands[0].calls, 1);
    compose_test_close(&test);
}

/* An agent that asks the outer agent anew, as a user would, from inside its own function. */
struct anew {
    struct duress_agent *agent;
    unsigned calls;
    unsigned ends;
};

static void anew_inner_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    (void)call;
    struct duress_call *outer = context;
    duress_call_pass(outer, result);
}

static void anew_begin(void *context, struct duress_call *call)
{
    struct anew *anew = context;
    struct duress_ask ask = {.request = call->request, .on_end = anew_inner_ended, .context = call};
    anew->calls++;
    assert_int_equal(duress_agent_ask(anew->agent, &ask, NULL), DURESS_OK);
}

static void an_agent_that_asks_itself_anew_fails(void **state)
{
    (void)state;
    struct compose_test test;
    struct anew anew = {.calls = 0};
    compose_test_open(&test, 0);
    assert_int_equal(duress_function_async_new(test.rig.client, "anew", anew_begin, NULL, &anew, &anew.agent),
                     DURESS_OK);
    test.agent = anew.agent;
    compose_test_ask(&test, "round", 0, false);
    assert_failed(&test, DURESS_E_INVALID, TOO_DEEP);
    assert_int_equal(anew.calls, 64);
    assert_int_equal(duress_agent_in_flight_count(anew.agent), 0);
    compose_test_close(&test);
}

/* --- compositions of compositions --- */

static void failures_keep_what_is_at_the_bottom(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 2);
    struct duress_agent *inner = NULL;
    struct duress_agent *outer[2];
    assert_int_equal(duress_parallel_new("both", test.agents, 2,
                                         &(struct duress_parallel_options){.policy = DURESS_PARALLEL_ALL}, &inner,
                                         NULL),
                     DURESS_OK);
    outer[0] = inner;
    outer[1] = test.agents[1];
    assert_int_equal(duress_sequential_new("line", outer, 2, NULL, &test.agent, NULL), DURESS_OK);
    duress_agent_unref(inner);
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "step 1 (both): 1 of 2 agents failed; 2 (b): on purpose");
    assert_int_equal(test.hands[0].cancels, 1); /* all the way down */
    compose_test_close(&test);
}

static void a_prefix_without_room_is_left_out(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 1);
    assert_int_equal(duress_sequential_new("line", test.agents, 1, NULL, &test.agent, NULL), DURESS_OK);
    char detail[DURESS_DETAIL_BYTES_MAX];
    memset(detail, 'x', sizeof detail);
    detail[DURESS_DETAIL_BYTES_MAX - 1 - strlen("step 1 (a): ")] = '\0';
    for (int more = 0; more < 2; more++) {
        char expected[DURESS_DETAIL_BYTES_MAX * 2];
        compose_test_ask(&test, "go", 0, false);
        hand_fail_as(&test.hands[0], DURESS_E_REMOTE, false, detail);
        (void)snprintf(expected, sizeof expected, "%s%s", more ? "" : "step 1 (a): ", detail);
        assert_failed(&test, DURESS_E_REMOTE, expected);
        detail[strlen(detail)] = 'x';
        detail[DURESS_DETAIL_BYTES_MAX - strlen("step 1 (a): ")] = '\0';
    }
    compose_test_close(&test);
}

static void chunks_pass_through_what_is_nested(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 3);
    struct duress_agent *chain = NULL;
    struct duress_agent *router = NULL;
    struct duress_route route = {duress_content_contains, "", NULL};
    assert_int_equal(duress_fallback_new("chain", &test.agents[1], 2, NULL, &chain, NULL), DURESS_OK);
    route.agent = chain;
    assert_int_equal(duress_conditional_new("fork", &route, 1, NULL, &router, NULL), DURESS_OK);
    struct duress_agent *steps[2] = {test.agents[0], router};
    assert_int_equal(duress_sequential_new("line", steps, 2, NULL, &test.agent, NULL), DURESS_OK);
    duress_agent_unref(chain);
    duress_agent_unref(router);
    rig_ask_stream(test.agent, "go", 0, &test.answer);
    hand_reply(&test.hands[0], "one");
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    hand_emit(&test.hands[2], "x");
    hand_emit(&test.hands[2], "y");
    hand_reply(&test.hands[2], "y");
    assert_string_equal(test.answer.chunks, "x,y,");
    assert_replied(&test, "y");
    compose_test_close(&test);
}

/* --- a call that is cancelled inside its own report --- */

typedef int (*make_fn)(struct compose_test *test);

static int make_sequential(struct compose_test *test)
{
    struct duress_sequential_options options = {.on_report = report_keep, .context = &test->report};
    return duress_sequential_new(NULL, test->agents, 1, &options, &test->agent, NULL);
}

static int make_parallel(struct compose_test *test)
{
    struct duress_parallel_options options = {
        .policy = DURESS_PARALLEL_ANY, .on_report = report_keep, .context = &test->report};
    return duress_parallel_new(NULL, test->agents, 2, &options, &test->agent, NULL);
}

static int make_fallback(struct compose_test *test)
{
    struct duress_fallback_options options = {.on_report = report_keep, .context = &test->report};
    return duress_fallback_new(NULL, test->agents, 2, &options, &test->agent, NULL);
}

static int make_quorum(struct compose_test *test)
{
    struct duress_quorum_options options = {.need = 1, .on_report = report_keep, .context = &test->report};
    return duress_quorum_new(NULL, test->agents, 2, &options, &test->agent, NULL);
}

static int make_conditional(struct compose_test *test)
{
    struct duress_route route = {duress_content_contains, "", test->agents[0]};
    struct duress_choice_options options = {.on_report = report_keep, .context = &test->report};
    return duress_conditional_new(NULL, &route, 1, &options, &test->agent, NULL);
}

static const make_fn makers[] = {make_sequential, make_parallel, make_fallback, make_quorum, make_conditional};

static void a_call_may_be_cancelled_inside_its_report(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        struct compose_test test;
        compose_test_open(&test, 2);
        assert_int_equal(makers[i](&test), DURESS_OK);
        test.report.cancels = true;
        compose_test_ask(&test, "go", 0, false);
        hand_reply(&test.hands[0], "one");
        assert_int_equal(test.report.reports, 1);
        assert_string_equal(test.report.text, "one");
        compose_test_turn(&test);
        assert_int_equal(test.answer.ended, 1);
        assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
        compose_test_close(&test);
    }
}

static void an_agent_may_be_given_back_while_it_is_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        struct compose_test test;
        compose_test_open(&test, 2);
        assert_int_equal(makers[i](&test), DURESS_OK);
        compose_test_ask(&test, "go", 0, false);
        duress_agent_unref(test.agent); /* cancels its calls */
        test.agent = NULL;
        compose_test_turn(&test);
        assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
        assert_int_equal(test.hands[0].cancels, 1);
        compose_test_close(&test);
    }
}

/* The agent's function cancels the user's call while the composition is still asking. */
static void cancel_top_begin(void *context, struct duress_call *call)
{
    (void)context;
    duress_call_cancel(duress_call_top(call));
}

static void a_call_may_be_cancelled_while_it_begins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        struct compose_test test;
        struct duress_agent *rude = NULL;
        compose_test_open(&test, 2);
        assert_int_equal(duress_function_async_new(test.rig.client, "rude", cancel_top_begin, NULL, NULL, &rude),
                         DURESS_OK);
        test.agents[0] = rude;
        assert_int_equal(makers[i](&test), DURESS_OK);
        duress_agent_unref(rude);
        compose_test_ask(&test, "go", 0, false);
        assert_int_equal(test.answer.ended, 1);
        assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
        assert_int_equal(test.hands[1].calls, 0);
        assert_int_equal(test.report.reports, 0);
        compose_test_close(&test);
    }
}

/* The agent's function cancels the user's call while the composition, which is decided, cancels that agent. */
static void wait_begin(void *context, struct duress_call *call)
{
    (void)context;
    (void)call;
}

static void cancel_top(void *context, struct duress_call *call)
{
    (void)context;
    duress_call_cancel(duress_call_top(call));
}

static void a_call_may_be_cancelled_while_the_rest_of_it_is(void **state)
{
    (void)state;
    static const make_fn makers_of_many[] = {make_parallel, make_quorum};
    for (size_t i = 0; i < 2; i++) {
        struct compose_test test;
        struct duress_agent *rude = NULL;
        compose_test_open(&test, 2);
        assert_int_equal(duress_function_async_new(test.rig.client, "rude", wait_begin, cancel_top, NULL, &rude),
                         DURESS_OK);
        test.agents[1] = rude;
        assert_int_equal(makers_of_many[i](&test), DURESS_OK);
        duress_agent_unref(rude);
        compose_test_ask(&test, "go", 0, false);
        hand_reply(&test.hands[0], "decides");
        compose_test_turn(&test);
        assert_int_equal(test.answer.ended, 1);
        assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
        assert_int_equal(test.report.reports, 0);
        compose_test_close(&test);
    }
}

/* --- an agent that has not sent anything yet --- */

static void unsent_process(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    (void)call; /* as one that waits for a slot or a connection */
}

static void unsent_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    (void)call;
}

static void unsent_free(struct duress_agent *agent)
{
    duress_release(agent->allocator, agent);
}

static void who_has_sent_nothing_leaves_no_doubt(void **state)
{
    (void)state;
    static const struct duress_agent_ops ops = {unsent_process, unsent_cancel, unsent_free};
    for (int sent = 0; sent < 2; sent++) {
        struct compose_test test;
        compose_test_open(&test, 3);
        struct duress_agent *unsent = duress_allocate_zeroed(&test.rig.heap.allocator, 1, sizeof *unsent);
        duress_agent_init(unsent, &ops, test.rig.client, &test.rig.heap.allocator, "unsent");
        struct duress_agent *agents[] = {test.agents[0], unsent, sent ? test.agents[1] : unsent};
        struct duress_parallel_options all = {.policy = DURESS_PARALLEL_ALL};
        assert_int_equal(duress_parallel_new(NULL, agents, 3, &all, &test.agent, NULL), DURESS_OK);
        duress_agent_unref(unsent);
        compose_test_ask(&test, "go", 0, false);
        hand_fail(&test.hands[0], DURESS_E_REFUSED);
        assert_int_equal(test.answer.error, DURESS_E_REFUSED);
        assert_int_equal(test.answer.failure.ambiguous, sent);
        compose_test_close(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_that_asks_itself_fails),
        cmocka_unit_test(a_circle_through_compositions_fails),
        cmocka_unit_test(a_circle_that_branches_is_bounded_too),
        cmocka_unit_test(depth_that_is_allowed_works),
        cmocka_unit_test(an_agent_that_asks_itself_anew_fails),
        cmocka_unit_test(failures_keep_what_is_at_the_bottom),
        cmocka_unit_test(a_prefix_without_room_is_left_out),
        cmocka_unit_test(chunks_pass_through_what_is_nested),
        cmocka_unit_test(a_call_may_be_cancelled_inside_its_report),
        cmocka_unit_test(an_agent_may_be_given_back_while_it_is_asked),
        cmocka_unit_test(a_call_may_be_cancelled_while_it_begins),
        cmocka_unit_test(a_call_may_be_cancelled_while_the_rest_of_it_is),
        cmocka_unit_test(who_has_sent_nothing_leaves_no_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
