/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditional and router: who is chosen, and what happens where nobody is; the predicates. */
#include "compose_test.h"

static void conditional_open(struct compose_test *test, bool with_default)
{
    compose_test_open(test, 3);
    struct duress_route routes[2] = {
        {duress_content_contains, "red", test->agents[0]},
        {duress_content_contains, "blue", test->agents[1]},
    };
    struct duress_choice_options options = {
        .otherwise = with_default ? test->agents[2] : NULL,
        .on_report = report_keep,
        .context = &test->report,
    };
    assert_int_equal(duress_conditional_new("fork", routes, 2, &options, &test->agent, &test->why), DURESS_OK);
}

static void the_first_route_that_holds_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t chosen;
    } cases[] = {{"blue", 1}, {"red", 0}, {"blue and red", 0}, {"green", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct compose_test test;
        conditional_open(&test, true);
        compose_test_ask(&test, cases[i].text, 0, false);
        for (size_t each = 0; each < 3; each++)
            assert_int_equal(test.hands[each].calls, each == cases[i].chosen);
        hand_reply(&test.hands[cases[i].chosen], "done");
        assert_replied(&test, "done");
        assert_int_equal(test.report.count, 3);
        assert_int_equal(test.report.answered_by, cases[i].chosen);
        assert_int_equal(test.report.replied_count, 1);
        compose_test_close(&test);
    }
}

static void no_route_and_no_default_is_a_clear_error(void **state)
{
    (void)state;
    struct compose_test test;
    conditional_open(&test, false);
    compose_test_ask(&test, "green", 0, false);
    assert_failed(&test, DURESS_E_INVALID, "fork: none of 2 routes takes this message, and there is no default");
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_COMPOSITION);
    assert_false(test.answer.failure.ambiguous);
    assert_int_equal(test.report.reports, 1);
    assert_int_equal(test.report.answered_by, DURESS_ANSWERED_BY_NONE);
    assert_int_equal(test.hands[0].calls + test.hands[1].calls + test.hands[2].calls, 0);
    compose_test_close(&test);
}

static void a_failure_names_the_route_and_no_other_is_tried(void **state)
{
    (void)state;
    struct compose_test test;
    conditional_open(&test, true);
    compose_test_ask(&test, "blue", 0, true);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "route 2 (b): on purpose");
    assert_int_equal(test.report.answered_by, 1);
    compose_test_ask(&test, "green", 0, true);
    hand_fail(&test.hands[2], DURESS_E_RESET);
    assert_failed(&test, DURESS_E_RESET, "default (c): on purpose");
    assert_int_equal(test.report.answered_by, 2);
    assert_int_equal(test.hands[0].calls, 0);
    compose_test_close(&test);
}

static void chunks_and_cancellation_pass_through(void **state)
{
    (void)state;
    struct compose_test test;
    conditional_open(&test, true);
    rig_ask_stream(test.agent, "red", 0, &test.answer);
    assert_true(test.hands[0].streaming);
    hand_emit(&test.hands[0], "x");
    assert_string_equal(test.answer.chunks, "x,");
    duress_call_cancel(test.answer.call);
    compose_test_turn(&test);
    assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test.hands[0].cancels, 1);
    assert_int_equal(test.report.reports, 0);
    compose_test_close(&test);
}

static struct duress_message *kept;

static void reply_keep(void *context, struct duress_call *call, const struct duress_report *report)
{
    (void)context;
    (void)call;
    duress_message_unref(kept);
    kept = duress_message_ref(report->reply);
}

static void annotations_say_which_route(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 2);
    struct duress_route route = {duress_content_contains, "red", test.agents[0]};
    struct duress_choice_options options = {.otherwise = test.agents[1], .annotate = true, .on_report = reply_keep};
    assert_int_equal(duress_conditional_new(NULL, &route, 1, &options, &test.agent, NULL), DURESS_OK);
    assert_string_equal(duress_agent_name(test.agent), "conditional");
    compose_test_ask(&test, "red", 0, false);
    hand_reply(&test.hands[0], "x");
    assert_true(
        duress_slice_is(duress_message_metadata(kept), "{\"conditional_agent_used\":\"a\",\"conditional_route\":1}"));
    compose_test_ask(&test, "green", 0, false);
    hand_reply(&test.hands[1], "y");
    assert_true(duress_slice_is(duress_message_metadata(kept),
                                "{\"conditional_agent_used\":\"b\",\"conditional_route\":\"default\"}"));
    assert_replied(&test, "y");
    duress_message_unref(kept);
    kept = NULL;
    compose_test_close(&test);
}

/* --- router --- */

static size_t choose_by_digit(void *context, const struct duress_message *request, size_t count)
{
    assert_non_null(context);
    assert_int_equal(count, 2);
    uint8_t byte = duress_message_content(request).data[0];
    return byte == '?' ? DURESS_ROUTER_DEFAULT : (size_t)(byte - '0');
}

static void the_router_asks_whom_its_function_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t chosen;
    } cases[] = {{"0", 0}, {"1", 1}, {"2", 2}, {"9", 2}, {"?", 2}};
    for (int with_default = 0; with_default < 2; with_default++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct compose_test test;
            compose_test_open(&test, 3);
            struct duress_choice_options options = {
                .otherwise = with_default ? test.agents[2] : NULL,
                .context = &test.report,
                .on_report = report_keep,
            };
            assert_int_equal(duress_router_new(NULL, choose_by_digit, test.agents, 2, &options, &test.agent, NULL),
                             DURESS_OK);
            assert_string_equal(duress_agent_name(test.agent), "router");
            compose_test_ask(&test, cases[i].text, 0, false);
            if (cases[i].chosen == 2 && !with_default) {
                assert_failed(&test, DURESS_E_INVALID,
                              "router: none of 2 routes takes this message, and there is no default");
            } else {
                hand_reply(&test.hands[cases[i].chosen], "done");
                assert_replied(&test, "done");
                assert_int_equal(test.report.answered_by, cases[i].chosen);
            }
            compose_test_close(&test);
        }
    }
}

static void refuses_bad_routes(void **state)
{
    (void)state;
    struct compose_test test;
    struct duress_agent *agent = NULL;
    compose_test_open(&test, 2);
    struct duress_route routes[2] = {{duress_role_is, "user", test.agents[0]}, {NULL, NULL, test.agents[1]}};
    assert_int_equal(duress_conditional_new("c", routes, 1, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_int_equal(duress_conditional_new("c", NULL, 1, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "routes: NULL given, must be an array");
    assert_int_equal(duress_conditional_new("c", routes, 0, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of routes: 0 given, allowed 1 to 1024");
    assert_int_equal(duress_conditional_new("c", routes, 1025, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of routes: 1025 given, allowed 1 to 1024");
    assert_int_equal(duress_conditional_new("c", routes, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "routes: NULL given as predicate at place 2");
    routes[1] = (struct duress_route){duress_role_is, "user", NULL};
    assert_int_equal(duress_conditional_new("c", routes, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "agents: NULL given at place 2, must be an agent");
    assert_int_equal(duress_router_new("r", NULL, test.agents, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "choose: NULL given, must be a pointer");
    assert_int_equal(duress_router_new("r", choose_by_digit, test.agents, 2, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_int_equal(duress_router_new("r", choose_by_digit, NULL, 2, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_int_equal(duress_router_new("r", choose_by_digit, test.agents, 0, NULL, &agent, &test.why),
                     DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of agents: 0 given, allowed 1 to 1024");
    assert_int_equal(duress_router_new("r", choose_by_digit, test.agents, 1025, NULL, &agent, &test.why),
                     DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of agents: 1025 given, allowed 1 to 1024");
    struct duress_agent *hole[1] = {NULL};
    assert_int_equal(duress_router_new("r", choose_by_digit, hole, 1, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_null(agent);
    compose_test_close(&test);
}

/* --- predicates --- */

static bool holds(duress_predicate_fn fn, const void *context, const char *content, const char *metadata)
{
    struct duress_message *message = message_of(content, metadata);
    bool result = fn(context, message);
    duress_message_unref(message);
    return result;
}

static void predicates_of_content_and_role(void **state)
{
    (void)state;
    assert_true(holds(duress_content_contains, "lo", "hello", "{}"));
    assert_true(holds(duress_content_contains, "hello", "hello", "{}"));
    assert_true(holds(duress_content_contains, "", "", "{}"));
    assert_true(holds(duress_content_contains, "ab", "aab", "{}"));
    assert_false(holds(duress_content_contains, "hello!", "hello", "{}"));
    assert_false(holds(duress_content_contains, "Hello", "hello", "{}"));
    assert_false(holds(duress_content_contains, "x", "", "{}"));
    assert_true(holds(duress_role_is, "agent", "", "{}"));
    assert_false(holds(duress_role_is, "agen", "", "{}"));
}

static void predicates_of_metadata(void **state)
{
    (void)state;
    static const char text[] =
        " { \"a\" : \"x\\\"}\" ,\n\"b\":{\"c\":[1,{}]},\"d\\u0041\":-1.5e3,\t\"e\":\r2E+3, \"a\":true } ";
    static const struct duress_metadata_value values[] = {
        {"a", "true"},   {"a", "\"x\\\"}\""},    {"b", "{\"c\":[1,{}]}"},
        {"c", "[1,{}]"}, {"d\\u0041", "-1.5e3"}, {"e", "2E+3"},
    };
    static const bool equal[] = {true, false, true, false, true, true};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(holds(duress_metadata_is, &values[i], "", text), equal[i]);
        assert_int_equal(holds(duress_metadata_has, values[i].key, "", text), i != 3);
    }
}

static void metadata_that_is_no_object_has_nothing(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "{",
        "[1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":}",
        "{\"a\":\"",
        "{\"a\":[1",
        "{\"a\":1]",
        "{\"a\":\"\n\"}",
        "{\"a\":1 \"b\":2}",
        "\"a\"",
        "{\"a\":\"\\",
        "x",
        "{} {}",
        "{\"a\":_}",
        "{\"a\":~}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_false(holds(duress_metadata_has, "a", "", broken[i]));
    assert_true(holds(duress_metadata_has, "a", "", "{\"a\":1}"));
    assert_false(holds(duress_metadata_has, "a", "", "{}"));
}

static void predicates_are_joined(void **state)
{
    (void)state;
    static const struct duress_predicate none[] = {{NULL, NULL}};
    static const struct duress_predicate both[] = {
        {duress_content_contains, "x"}, {duress_content_contains, "y"}, {NULL, NULL}};
    static const struct {
        const char *text;
        bool all, any;
    } cases[] = {{"xy", true, true}, {"x", false, true}, {"y", false, true}, {"z", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(holds(duress_all_of, both, cases[i].text, "{}"), cases[i].all);
        assert_int_equal(holds(duress_any_of, both, cases[i].text, "{}"), cases[i].any);
        assert_int_equal(holds(duress_none_of, both, cases[i].text, "{}"), !cases[i].any);
    }
    assert_true(holds(duress_all_of, none, "", "{}"));
    assert_false(holds(duress_any_of, none, "", "{}"));
    assert_true(holds(duress_none_of, none, "", "{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_holds_is_taken),
        cmocka_unit_test(no_route_and_no_default_is_a_clear_error),
        cmocka_unit_test(a_failure_names_the_route_and_no_other_is_tried),
        cmocka_unit_test(chunks_and_cancellation_pass_through),
        cmocka_unit_test(annotations_say_which_route),
        cmocka_unit_test(the_router_asks_whom_its_function_says),
        cmocka_unit_test(refuses_bad_routes),
        cmocka_unit_test(predicates_of_content_and_role),
        cmocka_unit_test(predicates_of_metadata),
        cmocka_unit_test(metadata_that_is_no_object_has_nothing),
        cmocka_unit_test(predicates_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
