/* SPDX-License-Identifier: Apache-2.0
 *
 * Fallback: who is asked after which failure, who is skipped, and what is told. */
#include "compose_test.h"

struct health {
    bool sick[HANDS_MAX];
    unsigned asked;
};

/* Beside the report: the context of all callbacks is one. */
struct fallback_test {
    struct compose_test base;
    struct health health;
    bool goes_on;
    int seen_code;
    bool seen_idempotent;
    struct duress_message *reply; /* of the last report */
};

static void fallback_report(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct fallback_test *test = context;
    duress_message_unref(test->reply);
    test->reply = report->reply != NULL ? duress_message_ref(report->reply) : NULL;
    report_keep(&test->base.report, call, report);
}

static bool is_healthy(void *context, size_t index, struct duress_agent *agent)
{
    struct fallback_test *test = context;
    assert_ptr_equal(agent, test->base.agents[index]);
    test->health.asked++;
    return !test->health.sick[index];
}

static bool goes_on_as_told(void *context, const struct duress_failure *failure, bool idempotent)
{
    struct fallback_test *test = context;
    test->seen_code = failure->code;
    test->seen_idempotent = idempotent;
    return test->goes_on;
}

static void fallback_open(struct fallback_test *test, size_t count, struct duress_fallback_options options)
{
    *test = (struct fallback_test){.goes_on = true};
    compose_test_open(&test->base, count);
    options.on_report = fallback_report;
    options.context = test;
    assert_int_equal(
        duress_fallback_new("chain", test->base.agents, count, &options, &test->base.agent, &test->base.why),
        DURESS_OK);
}

static void fallback_close(struct fallback_test *test)
{
    duress_message_unref(test->reply);
    compose_test_close(&test->base);
}

static void assert_metadata(const struct fallback_test *test, const char *expected)
{
    assert_true(duress_slice_is(duress_message_metadata(test->reply), expected));
}

static void the_primary_answers_while_it_is_well(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 2, (struct duress_fallback_options){.annotate = false});
    compose_test_ask(&test.base, "go", 0, false);
    assert_string_equal(test.base.hands[0].asked, "go");
    hand_reply_with(&test.base.hands[0], "one", "{\"k\":1}");
    assert_replied(&test.base, "one");
    assert_int_equal(test.base.hands[1].calls, 0);
    assert_int_equal(test.base.report.answered_by, 0);
    assert_int_equal(test.base.report.states[1], DURESS_PART_NOT_ASKED);
    assert_false(test.base.report.partial);
    assert_metadata(&test, "{\"k\":1}"); /* untouched */
    fallback_close(&test);
}

static void the_next_answers_where_one_fails_and_the_primary_is_asked_again(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 3, (struct duress_fallback_options){.annotate = false});
    compose_test_ask(&test.base, "go", 0, false);
    rig_run_for(&test.base.rig, 3);
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    hand_fail(&test.base.hands[1], DURESS_E_CIRCUIT_OPEN);
    assert_string_equal(test.base.hands[2].asked, "go");
    hand_reply(&test.base.hands[2], "three");
    assert_replied(&test.base, "three");
    assert_int_equal(test.base.report.answered_by, 2);
    assert_true(test.base.report.partial);
    assert_int_equal(test.base.report.codes[0], DURESS_E_REFUSED);
    assert_int_equal(test.base.report.codes[1], DURESS_E_CIRCUIT_OPEN);
    assert_int_equal(test.base.report.ended_ns[0] - test.base.report.started_ns[0], 3);
    assert_int_equal(test.base.report.ended_ns[0], test.base.report.started_ns[1]);
    compose_test_ask(&test.base, "again", 0, false);
    hand_reply(&test.base.hands[0], "one");
    assert_replied(&test.base, "one");
    assert_int_equal(test.base.hands[1].calls, 1);
    fallback_close(&test);
}

static void all_failed_names_all(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 3, (struct duress_fallback_options){.annotate = false});
    compose_test_ask(&test.base, "go", 0, true);
    hand_fail_as(&test.base.hands[0], DURESS_E_RESET, true, "cut");
    hand_fail(&test.base.hands[1], DURESS_E_OVERLOADED);
    hand_fail_as(&test.base.hands[2], DURESS_E_REFUSED, false, "nobody");
    assert_failed(&test.base, DURESS_E_REFUSED,
                  "3 agents failed: 1 (a) RESET, 2 (b) OVERLOADED, 3 (c) REFUSED: nobody");
    assert_true(test.base.answer.failure.ambiguous); /* the first one was */
    assert_int_equal(test.base.answer.failure.attempts, 3);
    assert_int_equal(test.base.report.answered_by, 2);
    fallback_close(&test);
}

static void the_shortest_retry_after_is_told(void **state)
{
    (void)state;
    static const uint64_t cases[][4] = {{0, 0, 0, 0}, {5, 0, 0, 5}, {0, 7, 9, 7}, {9, 8, 7, 7}, {7, 8, 9, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fallback_test test;
        fallback_open(&test, 3, (struct duress_fallback_options){.annotate = false});
        compose_test_ask(&test.base, "go", 0, false);
        for (int each = 0; each < 3; each++) {
            struct duress_failure failure;
            struct duress_call *call = test.base.hands[each].call;
            duress_failure_set(&failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_PEER, NULL);
            failure.retry_after_ns = cases[i][each];
            test.base.hands[each].call = NULL;
            duress_call_fail(call, &failure);
        }
        assert_int_equal(test.base.answer.failure.retry_after_ns, cases[i][3]);
        fallback_close(&test);
    }
}

static void many_long_names_do_not_hide_the_last_failure(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 0);
    struct hand hand = {.agent = NULL};
    struct duress_agent *agents[40];
    for (int i = 0; i < 40; i++)
        assert_int_equal(duress_function_async_new(test.rig.client, "an agent with a long name", hand_begin,
                                                   hand_cancel, &hand, &agents[i]),
                         DURESS_OK);
    assert_int_equal(duress_fallback_new(NULL, agents, 40, NULL, &test.agent, NULL), DURESS_OK);
    assert_string_equal(duress_agent_name(test.agent), "fallback");
    compose_test_ask(&test, "go", 0, false);
    for (int i = 0; i < 40; i++)
        hand_fail(&hand, DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "on purpose");
    assert_int_equal(test.answer.failure.attempts, 40);
    for (int i = 0; i < 40; i++)
        duress_agent_unref(agents[i]);
    compose_test_close(&test);
}

/* --- which failures go on --- */

static void default_predicate_of_every_code(void **state)
{
    (void)state;
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        int code = -number;
        struct duress_failure failure;
        duress_failure_set(&failure, (enum duress_error)code, DURESS_ORIGIN_AGENT, "INVALID_REQUEST: looks like it");
        bool stops = code == DURESS_E_INVALID || code == DURESS_E_TOO_LARGE || code == DURESS_E_CANCELLED ||
                     code == DURESS_E_NO_MEMORY;
        for (int ambiguous = 0; ambiguous < 2; ambiguous++) {
            failure.ambiguous = ambiguous;
            assert_int_equal(duress_fallback_goes_on(NULL, &failure, true), !stops);
            assert_int_equal(duress_fallback_goes_on(NULL, &failure, false), !stops && !ambiguous);
        }
    }
}

static void a_peer_that_calls_the_request_bad_is_believed(void **state)
{
    (void)state;
    static const struct {
        const char *detail;
        bool goes_on;
    } cases[] = {
        {"INVALID_MESSAGE: no content", false},
        {"INVALID_REQUEST: ", false},
        {"MALFORMED_PAYLOAD: x", false},
        {"AGENT_UNAVAILABLE: x", true},
        {"EXECUTION_ERROR: INVALID_MESSAGE: x", true},
        {"", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "%s", cases[i].detail);
        failure.ambiguous = false;
        assert_int_equal(duress_fallback_goes_on(NULL, &failure, false), cases[i].goes_on);
    }
}

static void a_bad_request_is_not_asked_of_the_backup(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 2, (struct duress_fallback_options){.annotate = false});
    compose_test_ask(&test.base, "go", 0, true);
    hand_fail(&test.base.hands[0], DURESS_E_INVALID);
    assert_failed(&test.base, DURESS_E_INVALID, "agent 1 (a): on purpose");
    assert_int_equal(test.base.answer.failure.attempts, 1);
    assert_int_equal(test.base.hands[1].calls, 0);
    assert_int_equal(test.base.report.answered_by, 0);
    assert_int_equal(test.base.report.states[1], DURESS_PART_NOT_ASKED);
    fallback_close(&test);
}

static void an_ambiguous_failure_goes_on_only_for_idempotent_calls(void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent < 2; idempotent++) {
        struct fallback_test test;
        fallback_open(&test, 2, (struct duress_fallback_options){.annotate = false});
        compose_test_ask(&test.base, "go", 0, idempotent);
        hand_fail_as(&test.base.hands[0], DURESS_E_RESET, true, "cut");
        assert_int_equal(test.base.hands[1].calls, idempotent);
        assert_int_equal(test.base.answer.ended, !idempotent);
        if (idempotent)
            hand_reply(&test.base.hands[1], "two");
        fallback_close(&test);
    }
}

static void a_predicate_of_ones_own(void **state)
{
    (void)state;
    for (int goes_on = 0; goes_on < 2; goes_on++) {
        struct fallback_test test;
        fallback_open(&test, 2, (struct duress_fallback_options){.goes_on = goes_on_as_told});
        test.goes_on = goes_on;
        compose_test_ask(&test.base, "go", 0, true);
        hand_fail(&test.base.hands[0], DURESS_E_INVALID);
        assert_int_equal(test.seen_code, DURESS_E_INVALID);
        assert_true(test.seen_idempotent);
        assert_int_equal(test.base.hands[1].calls, goes_on);
        if (goes_on)
            hand_reply(&test.base.hands[1], "two");
        assert_int_equal(test.base.answer.ended, 1);
        fallback_close(&test);
    }
}

/* --- health --- */

static void who_is_not_healthy_is_skipped_and_asked_last(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 3, (struct duress_fallback_options){.is_healthy = is_healthy});
    test.health.sick[0] = true;
    compose_test_ask(&test.base, "go", 0, false);
    assert_int_equal(test.base.hands[0].calls, 0);
    hand_reply(&test.base.hands[1], "two");
    assert_replied(&test.base, "two");
    assert_int_equal(test.base.report.states[0], DURESS_PART_SKIPPED);
    assert_false(test.base.report.partial);
    assert_int_equal(test.health.asked, 2);
    compose_test_ask(&test.base, "go", 0, false);
    hand_fail(&test.base.hands[1], DURESS_E_REFUSED);
    hand_fail(&test.base.hands[2], DURESS_E_RESET);
    assert_int_equal(test.base.hands[0].calls, 1); /* the last hope */
    hand_reply(&test.base.hands[0], "one");
    assert_replied(&test.base, "one");
    assert_int_equal(test.base.report.answered_by, 0);
    fallback_close(&test);
}

static void where_none_is_healthy_all_are_asked(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 2, (struct duress_fallback_options){.is_healthy = is_healthy});
    test.health.sick[0] = test.health.sick[1] = true;
    compose_test_ask(&test.base, "go", 0, false);
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    hand_fail(&test.base.hands[1], DURESS_E_RESET);
    assert_failed(&test.base, DURESS_E_RESET, "2 agents failed: 1 (a) REFUSED, 2 (b) RESET: on purpose");
    assert_int_equal(test.base.hands[0].calls, 1);
    assert_int_equal(test.base.hands[1].calls, 1);
    /* The one that was asked last decides, wherever it stands. */
    test.health.sick[1] = false;
    compose_test_ask(&test.base, "go", 0, false);
    hand_fail(&test.base.hands[1], DURESS_E_RESET);
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    assert_int_equal(test.base.answer.error, DURESS_E_REFUSED);
    assert_int_equal(test.base.report.answered_by, 0);
    fallback_close(&test);
}

/* --- streams, deadlines, annotations --- */

static void nothing_goes_on_after_a_chunk(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 2, (struct duress_fallback_options){.annotate = false});
    rig_ask_stream(test.base.agent, "go", 0, &test.base.answer);
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    assert_int_equal(test.base.hands[1].calls, 1); /* no chunk so far */
    hand_reply(&test.base.hands[1], "two");
    test.base.answer = (struct rig_answer){.ended = 0};
    rig_ask_stream(test.base.agent, "go", 0, &test.base.answer);
    hand_emit(&test.base.hands[0], "x");
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    assert_failed(&test.base, DURESS_E_REFUSED, "agent 1 (a): on purpose");
    assert_int_equal(test.base.hands[1].calls, 1);
    assert_string_equal(test.base.answer.chunks, "x,");
    fallback_close(&test);
}

static void deadline_and_cancel_reach_who_is_asked(void **state)
{
    (void)state;
    struct fallback_test test;
    fallback_open(&test, 2, (struct duress_fallback_options){.annotate = false});
    compose_test_ask(&test.base, "go", DURESS_S, false);
    hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
    rig_run_until_ended(&test.base.rig, &test.base.answer);
    assert_int_equal(test.base.answer.error, DURESS_E_DEADLINE);
    assert_true(test.base.hands[1].expired);
    compose_test_ask(&test.base, "go", 0, false);
    duress_call_cancel(test.base.answer.call);
    compose_test_turn(&test.base);
    assert_int_equal(test.base.hands[0].cancels, 1);
    assert_int_equal(test.base.report.reports, 0);
    fallback_close(&test);
}

static void annotations_say_who_answered(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "{\"fallback_agent_used\":\"b\",\"fallback_attempt\":2}"},
        {"{\"k\":[1,2]}", "{\"k\":[1,2],\"fallback_agent_used\":\"b\",\"fallback_attempt\":2}"},
        {"{\"fallback_attempt\":9,\"k\":1,\"fallback_agent_used\":\"deeper\"}",
         "{\"k\":1,\"fallback_agent_used\":\"b\",\"fallback_attempt\":2}"},
        {"no object", "{\"fallback_agent_used\":\"b\",\"fallback_attempt\":2}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fallback_test test;
        fallback_open(&test, 2, (struct duress_fallback_options){.annotate = true});
        compose_test_ask(&test.base, "go", 0, false);
        hand_fail(&test.base.hands[0], DURESS_E_REFUSED);
        hand_reply_with(&test.base.hands[1], "two", cases[i][0]);
        assert_replied(&test.base, "two");
        assert_metadata(&test, cases[i][1]);
        assert_true(duress_slice_is(duress_message_role(test.reply), "agent"));
        fallback_close(&test);
    }
}

static void refuses_bad_arguments(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 1);
    assert_int_equal(duress_fallback_new("f", test.agents, 1, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "fallback: NULL given, must be a pointer");
    assert_int_equal(duress_fallback_new("f", test.agents, 0, NULL, &test.agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of agents: 0 given, allowed 1 to 1024");
    compose_test_close(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_primary_answers_while_it_is_well),
        cmocka_unit_test(the_next_answers_where_one_fails_and_the_primary_is_asked_again),
        cmocka_unit_test(all_failed_names_all),
        cmocka_unit_test(the_shortest_retry_after_is_told),
        cmocka_unit_test(many_long_names_do_not_hide_the_last_failure),
        cmocka_unit_test(default_predicate_of_every_code),
        cmocka_unit_test(a_peer_that_calls_the_request_bad_is_believed),
        cmocka_unit_test(a_bad_request_is_not_asked_of_the_backup),
        cmocka_unit_test(an_ambiguous_failure_goes_on_only_for_idempotent_calls),
        cmocka_unit_test(a_predicate_of_ones_own),
        cmocka_unit_test(who_is_not_healthy_is_skipped_and_asked_last),
        cmocka_unit_test(where_none_is_healthy_all_are_asked),
        cmocka_unit_test(nothing_goes_on_after_a_chunk),
        cmocka_unit_test(deadline_and_cancel_reach_who_is_asked),
        cmocka_unit_test(annotations_say_who_answered),
        cmocka_unit_test(refuses_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
