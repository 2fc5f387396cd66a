/* SPDX-License-Identifier: Apache-2.0
 *
 * Parallel composition: every policy, in every order of answers, and what becomes of the rest. */
#include "compose_test.h"

#include "decide.h"

static void parallel_open(struct compose_test *test, size_t count, struct duress_parallel_options options)
{
    compose_test_open(test, count);
    options.on_report = report_keep;
    options.context = &test->report;
    assert_int_equal(duress_parallel_new("all", test->agents, count, &options, &test->agent, &test->why), DURESS_OK);
}

/* --- collect --- */

static void collect_gives_what_has_replied_in_order(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.policy = DURESS_PARALLEL_COLLECT});
    compose_test_ask(&test, "go", 0, false);
    for (int i = 0; i < 3; i++)
        assert_string_equal(test.hands[i].asked, "go");
    hand_reply(&test.hands[2], "three");
    hand_fail(&test.hands[1], DURESS_E_RESET);
    assert_int_equal(test.answer.ended, 0);
    hand_reply(&test.hands[0], "one");
    assert_replied(&test, "[a]: one\n[c]: three");
    assert_int_equal(test.report.reports, 1);
    assert_true(test.report.partial);
    assert_int_equal(test.report.answered_by, DURESS_ANSWERED_BY_NONE);
    assert_int_equal(test.report.replied_count, 2);
    assert_int_equal(test.report.failed_count, 1);
    assert_int_equal(test.report.states[1], DURESS_PART_FAILED);
    assert_int_equal(test.report.codes[1], DURESS_E_RESET);
    assert_string_equal(test.report.replies[2], "three");
    compose_test_close(&test);
}

static void collect_fails_only_where_none_replied(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 2, (struct duress_parallel_options){.policy = DURESS_PARALLEL_COLLECT});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_RESET);
    hand_fail(&test.hands[0], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "2 of 2 agents failed; 1 (a): on purpose"); /* in their order, not in time */
    assert_false(test.answer.failure.ambiguous);
    assert_int_equal(test.report.answered_by, 0);
    assert_false(test.report.partial);
    compose_test_close(&test);
}

static void collect_answers_with_what_is_there_at_the_limit(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.limit_ns = 300 * DURESS_MS});
    compose_test_ask(&test, "go", DURESS_S, false);
    assert_int_equal(test.hands[0].deadline_ns, rig_now_ns(&test.rig) + 300 * DURESS_MS);
    hand_reply(&test.hands[1], "two");
    rig_run_until_ended(&test.rig, &test.answer);
    assert_replied(&test, "[b]: two");
    assert_int_equal(test.answer.ended_ns - test.answer.started_ns, 300 * DURESS_MS);
    assert_true(test.report.partial);
    assert_int_equal(test.report.states[0], DURESS_PART_LATE);
    assert_int_equal(test.report.states[1], DURESS_PART_REPLIED);
    assert_int_equal(test.report.states[2], DURESS_PART_LATE);
    assert_int_equal(test.report.ended_ns[0] - test.report.started_ns[0], 300 * DURESS_MS);
    assert_true(test.hands[0].expired); /* a breaker below counts it */
    compose_test_close(&test);
}

static void collect_answers_before_the_deadline(void **state)
{
    (void)state;
    static const uint64_t cases[][3] = {
        /* margin (0: default), deadline, when it answers */
        {0, 1000 * DURESS_MS, 990 * DURESS_MS},
        {50 * DURESS_MS, 1000 * DURESS_MS, 950 * DURESS_MS},
        {0, 10 * DURESS_MS, 5 * DURESS_MS},
        {2000 * DURESS_MS, 1000 * DURESS_MS, 500 * DURESS_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct compose_test test;
        parallel_open(&test, 2, (struct duress_parallel_options){.margin_ns = cases[i][0]});
        compose_test_ask(&test, "go", cases[i][1], false);
        hand_reply(&test.hands[0], "one");
        rig_run_until_ended(&test.rig, &test.answer);
        assert_replied(&test, "[a]: one");
        assert_int_equal(test.answer.ended_ns - test.answer.started_ns, cases[i][2]);
        compose_test_close(&test);
    }
}

static void collect_without_a_reply_at_the_limit_fails(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.limit_ns = 300 * DURESS_US});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    rig_run_until_ended(&test.rig, &test.answer);
    assert_failed(&test, DURESS_E_DEADLINE, "300 us passed; of 3 agents 0 replied, 1 failed");
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_COMPOSITION);
    assert_true(test.answer.failure.ambiguous);
    assert_int_equal(test.report.answered_by, DURESS_ANSWERED_BY_NONE);
    compose_test_close(&test);
}

/* --- all, any, at least --- */

static void all_fails_at_the_first_failure_and_cancels_the_rest(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ALL});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "one");
    hand_fail(&test.hands[2], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "1 of 3 agents failed; 3 (c): on purpose");
    assert_true(test.answer.failure.ambiguous); /* the first was executed */
    assert_int_equal(test.hands[1].cancels, 1);
    assert_false(test.hands[1].expired);
    assert_int_equal(test.report.states[1], DURESS_PART_CANCELLED);
    assert_int_equal(test.report.answered_by, 2);
    compose_test_ask(&test, "go", 0, false);
    for (int i = 3; i-- > 0;)
        hand_reply(&test.hands[i], "x");
    assert_replied(&test, "[a]: x\n[b]: x\n[c]: x");
    assert_false(test.report.partial);
    compose_test_close(&test);
}

static void any_takes_the_first_reply_as_it_is(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ANY});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[0], DURESS_E_REFUSED);
    hand_reply(&test.hands[2], "three");
    assert_replied(&test, "three");
    assert_int_equal(test.report.answered_by, 2);
    assert_true(test.report.partial);
    assert_int_equal(test.report.states[1], DURESS_PART_CANCELLED);
    assert_int_equal(test.hands[1].cancels, 1);
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[2], DURESS_E_RESET);
    hand_fail(&test.hands[1], DURESS_E_DEADLINE);
    assert_int_equal(test.answer.ended, 0);
    hand_fail(&test.hands[0], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "3 of 3 agents failed; 1 (a): on purpose");
    compose_test_close(&test);
}

static void at_least_two_of_three(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 3, (struct duress_parallel_options){.policy = DURESS_PARALLEL_AT_LEAST, .need = 2});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    hand_reply(&test.hands[2], "three");
    assert_int_equal(test.answer.ended, 0);
    hand_reply(&test.hands[0], "one");
    assert_replied(&test, "[a]: one\n[c]: three");
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    assert_int_equal(test.answer.ended, 0);
    hand_fail(&test.hands[0], DURESS_E_RESET);
    assert_failed(&test, DURESS_E_RESET, "2 of 3 agents failed; 1 (a): on purpose");
    assert_int_equal(test.hands[2].cancels, 1);
    compose_test_close(&test);
}

static void the_limit_fails_what_is_not_decided(void **state)
{
    (void)state;
    static const struct duress_parallel_options cases[] = {
        {.policy = DURESS_PARALLEL_ALL, .limit_ns = DURESS_S},
        {.policy = DURESS_PARALLEL_AT_LEAST, .need = 2, .limit_ns = DURESS_S},
    };
    for (size_t i = 0; i < 2; i++) {
        struct compose_test test;
        parallel_open(&test, 3, cases[i]);
        compose_test_ask(&test, "go", 0, false);
        hand_reply(&test.hands[0], "one");
        rig_run_until_ended(&test.rig, &test.answer);
        assert_failed(&test, DURESS_E_DEADLINE, "1000 ms passed; of 3 agents 1 replied, 0 failed");
        assert_int_equal(test.answer.ended_ns - test.answer.started_ns, DURESS_S);
        assert_int_equal(test.report.states[1], DURESS_PART_LATE);
        compose_test_close(&test);
    }
}

/* The caller's own deadline holds where the composition has no limit: nothing is combined, nothing reported. */
static void the_callers_deadline_ends_all(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 2, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ALL});
    compose_test_ask(&test, "go", DURESS_S, false);
    hand_reply(&test.hands[0], "one");
    rig_run_until_ended(&test.rig, &test.answer);
    assert_int_equal(test.answer.error, DURESS_E_DEADLINE);
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_int_equal(test.report.reports, 0);
    assert_true(test.hands[1].expired);
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[1], "two");
    duress_call_cancel(test.answer.call);
    compose_test_turn(&test);
    assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test.hands[0].cancels, 1);
    compose_test_close(&test);
}

static void a_stream_gets_the_combined_reply_whole(void **state)
{
    (void)state;
    struct compose_test test;
    parallel_open(&test, 2, (struct duress_parallel_options){.policy = DURESS_PARALLEL_COLLECT});
    rig_ask_stream(test.agent, "go", 0, &test.answer);
    assert_false(test.hands[0].streaming);
    hand_reply(&test.hands[0], "one");
    hand_reply(&test.hands[1], "two");
    assert_replied(&test, "[a]: one\n[b]: two");
    assert_int_equal(test.answer.chunk_count, 0);
    compose_test_close(&test);
}

static void the_same_agent_may_be_asked_twice(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 0);
    struct rig_service service;
    rig_service_open(&service, test.rig.client, "twin");
    struct duress_agent *twice[2] = {service.agent, service.agent};
    assert_int_equal(duress_parallel_new(NULL, twice, 2, NULL, &test.agent, NULL), DURESS_OK);
    assert_string_equal(duress_agent_name(test.agent), "parallel");
    compose_test_ask(&test, "x", 0, false);
    assert_replied(&test, "[twin]: re: x\n[twin]: re: x");
    assert_int_equal(service.begun, 2);
    rig_service_close(&service);
    compose_test_close(&test);
}

/* --- what is combined --- */

static struct duress_message *combined;

static void message_keep(void *context, struct duress_call *call, const struct duress_report *report)
{
    (void)context;
    (void)call;
    duress_message_unref(combined);
    combined = report->reply != NULL ? duress_message_ref(report->reply) : NULL;
}

static void assert_metadata(const char *expected)
{
    char text[512];
    struct duress_slice metadata = duress_message_metadata(combined);
    (void)snprintf(text, sizeof text, "%.*s", (int)metadata.length, (const char *)metadata.data);
    assert_string_equal(text, expected);
}

static void default_combination_is_agenkits(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 4);
    struct duress_parallel_options options = {.limit_ns = DURESS_S, .on_report = message_keep};
    struct duress_agent *same[6] = {test.agents[0], test.agents[1], test.agents[2], test.agents[3]};
    assert_int_equal(duress_parallel_new("all", same, 4, &options, &test.agent, NULL), DURESS_OK);
    compose_test_ask(&test, "go", 0, false);
    hand_reply_with(&test.hands[0], "1", "{\"k\" : [1, {\"x\":\"]\\\"\"}] , \"l\":null}");
    hand_reply_with(&test.hands[1], "2", "{ }");
    hand_fail(&test.hands[2], DURESS_E_REFUSED);
    rig_run_until_ended(&test.rig, &test.answer);
    assert_replied(&test, "[a]: 1\n[b]: 2");
    assert_true(duress_slice_is(duress_message_role(combined), "agent"));
    assert_int_not_equal(duress_message_timestamp_ns(combined), 0);
    assert_metadata("{\"a.k\":[1, {\"x\":\"]\\\"\"}],\"a.l\":null,\"parallel_agents\":4,\"successful_agents\":2,"
                    "\"errors\":[{\"agent\":\"c\",\"error\":\"REFUSED\"},{\"agent\":\"d\",\"error\":\"DEADLINE\"}]}");
    duress_message_unref(combined);
    combined = NULL;
    compose_test_close(&test);
}

static int meta_fn(void *context, struct duress_message *request, struct duress_message **reply,
                   struct duress_failure *failure)
{
    (void)request;
    (void)failure;
    *reply = message_of("x", context);
    return DURESS_OK;
}

static void names_are_made_keys_of_json(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 0);
    static const char *const names[] = {"twin", "twin", "q\"\\\n", "broken", "twin"};
    static const char *const metadata[] = {"{\"k\":1}", "{\"k\":2}", "{\"k\":3}", "{\"k\":", "{\"k\":5}"};
    struct duress_agent *agents[5];
    for (int i = 0; i < 5; i++)
        assert_int_equal(
            duress_function_new(test.rig.client, names[i], meta_fn, (void *)(uintptr_t)metadata[i], &agents[i]),
            DURESS_OK);
    struct duress_parallel_options options = {.on_report = message_keep};
    assert_int_equal(duress_parallel_new("all", agents, 5, &options, &test.agent, NULL), DURESS_OK);
    compose_test_ask(&test, "go", 0, false);
    assert_int_equal(test.answer.error, DURESS_OK);
    assert_metadata("{\"twin.k\":1,\"twin#2.k\":2,\"q\\\"\\\\\\u000a.k\":3,\"twin#3.k\":5,\"parallel_agents\":5,"
                    "\"successful_agents\":5}");
    duress_message_unref(combined);
    combined = NULL;
    for (int i = 0; i < 5; i++)
        duress_agent_unref(agents[i]);
    compose_test_close(&test);
}

static int combine_code;
static bool combine_is_silent;

static int combine_by_hand(void *context, struct duress_message *request, const struct duress_part *parts, size_t count,
                           struct duress_message **reply, struct duress_failure *failure)
{
    assert_non_null(context);
    assert_true(duress_slice_is(duress_message_content(request), "go"));
    assert_int_equal(count, 2);
    assert_int_equal(parts[0].state, DURESS_PART_REPLIED);
    if (combine_code == DURESS_E_UNSUPPORTED)
        duress_failure_set(failure, DURESS_E_UNSUPPORTED, DURESS_ORIGIN_AGENT, "not these");
    if (combine_code == DURESS_OK && !combine_is_silent)
        *reply = message_of("mine", "{}");
    return combine_code;
}

static void a_combiner_of_ones_own(void **state)
{
    (void)state;
    static const struct {
        int code;
        bool silent;
        int error;
        const char *text;
    } cases[] = {
        {DURESS_OK, false, DURESS_OK, "mine"},
        {DURESS_OK, true, DURESS_E_INVALID, "combine gave no reply"},
        {DURESS_E_UNSUPPORTED, false, DURESS_E_UNSUPPORTED, "not these"},
        {DURESS_E_MALFORMED, false, DURESS_E_MALFORMED, "the replies' combination"},
        {-1000, false, DURESS_E_INVALID, "combine returned -1000"},
        {7, false, DURESS_E_INVALID, "combine returned 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct compose_test test;
        combine_code = cases[i].code;
        combine_is_silent = cases[i].silent;
        parallel_open(&test, 2, (struct duress_parallel_options){.combine = combine_by_hand});
        compose_test_ask(&test, "go", 0, false);
        hand_reply(&test.hands[0], "one");
        hand_fail(&test.hands[1], DURESS_E_REFUSED);
        if (cases[i].error == DURESS_OK) {
            assert_replied(&test, cases[i].text);
        } else {
            assert_failed(&test, cases[i].error, cases[i].text);
            assert_true(test.answer.failure.ambiguous);
            assert_false(test.report.partial);
        }
        compose_test_close(&test);
    }
}

/* --- bad options --- */

static void refuses_bad_options(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 2);
    static const struct {
        struct duress_parallel_options options;
        const char *detail;
    } cases[] = {
        {{.policy = 4}, "parallel.policy: 4 given, allowed 0 to 3"},
        {{.policy = DURESS_PARALLEL_AT_LEAST}, "parallel.need: 0 given, allowed 1 to 2"},
        {{.policy = DURESS_PARALLEL_AT_LEAST, .need = 3}, "parallel.need: 3 given, allowed 1 to 2"},
        {{.policy = DURESS_PARALLEL_ALL, .need = 1}, "parallel.need: 1 given, must be 0 without AT_LEAST"},
        {{.policy = DURESS_PARALLEL_ALL, .margin_ns = 5}, "parallel.margin_ns: 5 given, must be 0 without COLLECT"},
        {{.policy = DURESS_PARALLEL_ANY, .combine = combine_by_hand}, "parallel.combine: given, must be NULL with ANY"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_agent *agent = NULL;
        assert_int_equal(duress_parallel_new("p", test.agents, 2, &cases[i].options, &agent, &test.why),
                         DURESS_E_INVALID);
        assert_string_equal(test.why.detail, cases[i].detail);
        assert_null(agent);
    }
    assert_int_equal(duress_parallel_new("p", test.agents, 2, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_int_equal(duress_parallel_new("p", test.agents, 0, NULL, &test.agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "count of agents: 0 given, allowed 1 to 1024");
    compose_test_close(&test);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(duress_part_state_name(DURESS_PART_NOT_ASKED), "not asked");
    assert_string_equal(duress_part_state_name(DURESS_PART_SKIPPED), "skipped");
    assert_string_equal(duress_part_state_name((enum duress_part_state)99), "unknown");
}

/* --- the decisions beside a slow model: every policy, every pattern of up to 5 agents, every order --- */

struct play {
    size_t count;
    size_t order[5];
    bool fails[5];
};

/* What must be true after |ended| of them have: looks at all that could still come. */
static enum decision model_need(const struct play *play, size_t ended, size_t need)
{
    size_t replied = 0;
    for (size_t i = 0; i < ended; i++)
        replied += !play->fails[play->order[i]];
    if (replied >= need)
        return DECIDE_WELL;
    bool reachable = false;
    for (size_t future = 0; future <= play->count - ended; future++)
        reachable = reachable || replied + future >= need;
    return reachable ? DECIDE_WAIT : DECIDE_BADLY;
}

static enum decision model_collect(const struct play *play, size_t ended)
{
    for (size_t i = 0; i < ended; i++)
        if (!play->fails[play->order[i]])
            return ended == play->count ? DECIDE_WELL : DECIDE_WAIT;
    return ended == play->count ? DECIDE_BADLY : DECIDE_WAIT;
}

static void play_through(const struct play *play, struct compose_test *test, size_t need)
{
    compose_test_ask(test, "go", 0, false);
    for (size_t ended = 0; ended < play->count; ended++) {
        struct hand *hand = &test->hands[play->order[ended]];
        if (play->fails[play->order[ended]])
            hand_fail(hand, DURESS_E_REFUSED);
        else
            hand_reply(hand, "x");
        enum decision expected = need > 0 ? model_need(play, ended + 1, need) : model_collect(play, ended + 1);
        assert_int_equal(test->answer.ended, expected != DECIDE_WAIT);
        if (expected == DECIDE_WAIT)
            continue;
        assert_int_equal(test->answer.error == DURESS_OK, expected == DECIDE_WELL);
        for (size_t i = 0; i < play->count; i++)
            assert_null(test->hands[i].call); /* those that ran have been cancelled */
        return;
    }
    fail_msg("nothing was decided");
}

static void play_patterns(struct play *play, struct compose_test *test, size_t need)
{
    for (unsigned pattern = 0; pattern < 1U << play->count; pattern++) {
        for (size_t i = 0; i < play->count; i++)
            play->fails[i] = pattern >> i & 1;
        play_through(play, test, need);
    }
}

static void every_pattern_and_order_decides_as_the_model_does(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 5; count++) {
        for (uint32_t need = 0; need <= count; need++) {
            struct compose_test test;
            struct play play = {.count = count};
            struct duress_parallel_options options = {.need = need};
            if (need > 0)
                options.policy = DURESS_PARALLEL_AT_LEAST;
            parallel_open(&test, count, options);
            order_first(play.order, count);
            do
                play_patterns(&play, &test, need);
            while (order_next(play.order, count));
            compose_test_close(&test);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collect_gives_what_has_replied_in_order),
        cmocka_unit_test(collect_fails_only_where_none_replied),
        cmocka_unit_test(collect_answers_with_what_is_there_at_the_limit),
        cmocka_unit_test(collect_answers_before_the_deadline),
        cmocka_unit_test(collect_without_a_reply_at_the_limit_fails),
        cmocka_unit_test(all_fails_at_the_first_failure_and_cancels_the_rest),
        cmocka_unit_test(any_takes_the_first_reply_as_it_is),
        cmocka_unit_test(at_least_two_of_three),
        cmocka_unit_test(the_limit_fails_what_is_not_decided),
        cmocka_unit_test(the_callers_deadline_ends_all),
        cmocka_unit_test(a_stream_gets_the_combined_reply_whole),
        cmocka_unit_test(the_same_agent_may_be_asked_twice),
        cmocka_unit_test(default_combination_is_agenkits),
        cmocka_unit_test(names_are_made_keys_of_json),
        cmocka_unit_test(a_combiner_of_ones_own),
        cmocka_unit_test(refuses_bad_options),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(every_pattern_and_order_decides_as_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
