/* SPDX-License-Identifier: Apache-2.0
 *
 * Quorum: when it is decided, which reply is the answer, who dissents. */
#include "compose_test.h"

static void quorum_open(struct compose_test *test, size_t count, struct duress_quorum_options options)
{
    compose_test_open(test, count);
    options.on_report = report_keep;
    options.context = &test->report;
    assert_int_equal(duress_quorum_new("vote", test->agents, count, &options, &test->agent, &test->why), DURESS_OK);
}

static void a_majority_agrees_and_the_rest_is_cancelled(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 5, (struct duress_quorum_options){.need = 0});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[4], "yes");
    hand_reply(&test.hands[1], "no");
    hand_reply(&test.hands[2], "yes");
    assert_int_equal(test.answer.ended, 0);
    hand_reply(&test.hands[3], "yes");
    assert_replied(&test, "yes");
    assert_int_equal(test.report.answered_by, 2); /* the first in order of those that agree */
    assert_int_equal(test.report.states[0], DURESS_PART_CANCELLED);
    assert_int_equal(test.hands[0].cancels, 1);
    static const bool agrees[5] = {false, false, true, true, true};
    assert_memory_equal(test.report.agrees, agrees, sizeof agrees);
    assert_string_equal(test.report.replies[1], "no"); /* the dissenter */
    assert_false(test.report.partial);
    compose_test_close(&test);
}

static void no_quorum_is_said_as_soon_as_it_is_certain(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 3});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "yes");
    hand_reply(&test.hands[1], "no");
    assert_failed(&test, DURESS_E_NO_QUORUM, "3 must agree of 3: 1 agree, 1 dissent, 0 failed");
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_COMPOSITION);
    assert_true(test.answer.failure.ambiguous);
    assert_int_equal(test.hands[2].cancels, 1);
    assert_int_equal(test.report.answered_by, DURESS_ANSWERED_BY_NONE);
    assert_true(test.report.agrees[0]);
    assert_false(test.report.agrees[1]);
    compose_test_close(&test);
}

static void failures_are_named_beside_the_disagreement(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 2});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    hand_reply(&test.hands[0], "yes");
    hand_reply(&test.hands[2], "no");
    assert_failed(&test, DURESS_E_NO_QUORUM, "2 must agree of 3: 1 agree, 1 dissent, 1 failed; 2 (b): on purpose");
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_COMPOSITION);
    assert_int_equal(test.report.codes[1], DURESS_E_REFUSED);
    compose_test_close(&test);
}

static void where_nobody_replied_the_cause_is_kept(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 2});
    compose_test_ask(&test, "go", 0, false);
    hand_fail(&test.hands[2], DURESS_E_RESET);
    hand_fail(&test.hands[1], DURESS_E_REFUSED);
    assert_failed(&test, DURESS_E_REFUSED, "2 of 3 agents failed; 2 (b): on purpose");
    assert_true(test.answer.failure.ambiguous); /* the first was asked, and given up */
    assert_int_equal(test.hands[0].cancels, 1);
    compose_test_close(&test);
}

static void unambiguous_failures_stay_so(void **state)
{
    (void)state;
    for (int ambiguous = 0; ambiguous < 2; ambiguous++) {
        struct compose_test test;
        quorum_open(&test, 2, (struct duress_quorum_options){.need = 1});
        compose_test_ask(&test, "go", 0, false);
        hand_fail(&test.hands[0], DURESS_E_REFUSED);
        hand_fail_as(&test.hands[1], DURESS_E_RESET, ambiguous, "cut");
        assert_int_equal(test.answer.error, DURESS_E_REFUSED);
        assert_int_equal(test.answer.failure.ambiguous, ambiguous);
        compose_test_close(&test);
    }
}

/* --- limit and grace --- */

static void the_limit_ends_the_wait(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 2, .limit_ns = 300 * DURESS_MS});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[1], "yes");
    rig_run_until_ended(&test.rig, &test.answer);
    assert_failed(&test, DURESS_E_DEADLINE, "300 ms passed; of 3 agents 1 replied, 0 failed");
    assert_int_equal(test.answer.ended_ns - test.answer.started_ns, 300 * DURESS_MS);
    assert_int_equal(test.report.states[0], DURESS_PART_LATE);
    assert_true(test.report.agrees[1]);
    assert_true(test.hands[2].expired);
    compose_test_close(&test);
}

static void the_callers_deadline_ends_the_call(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 2});
    compose_test_ask(&test, "go", DURESS_S, false);
    hand_reply(&test.hands[1], "yes");
    rig_run_until_ended(&test.rig, &test.answer);
    assert_int_equal(test.answer.error, DURESS_E_DEADLINE);
    assert_int_equal(test.answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_int_equal(test.report.reports, 0);
    compose_test_close(&test);
}

static void stragglers_are_awaited_for_the_report(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 4, (struct duress_quorum_options){.need = 2, .grace_ns = 100 * DURESS_MS});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[2], "yes");
    hand_reply(&test.hands[3], "yes");
    assert_int_equal(test.answer.ended, 0); /* decided, and not told yet */
    rig_run_for(&test.rig, 50 * DURESS_MS);
    hand_reply(&test.hands[0], "yes");
    hand_fail(&test.hands[1], DURESS_E_RESET);
    assert_replied(&test, "yes");
    assert_int_equal(test.answer.ended_ns - test.answer.started_ns, 50 * DURESS_MS); /* no longer than needed */
    assert_int_equal(test.report.answered_by, 2); /* as decided, though an earlier one agrees by now */
    assert_true(test.report.agrees[0]);
    assert_int_equal(test.report.codes[1], DURESS_E_RESET);
    /* One that never comes. */
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "yes");
    rig_run_for(&test.rig, 30 * DURESS_MS);
    hand_reply(&test.hands[1], "yes");
    rig_run_until_ended(&test.rig, &test.answer);
    assert_replied(&test, "yes");
    assert_int_equal(test.answer.ended_ns - test.answer.started_ns, 130 * DURESS_MS);
    assert_int_equal(test.report.states[2], DURESS_PART_CANCELLED);
    assert_false(test.hands[2].expired);
    compose_test_close(&test);
}

static void grace_holds_for_a_failed_vote_too(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 3, (struct duress_quorum_options){.need = 3, .grace_ns = 100 * DURESS_MS});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "yes");
    hand_reply(&test.hands[1], "no");
    assert_int_equal(test.answer.ended, 0);
    hand_reply(&test.hands[2], "maybe");
    assert_failed(&test, DURESS_E_NO_QUORUM, "3 must agree of 3: 1 agree, 2 dissent, 0 failed");
    compose_test_close(&test);
}

static void grace_ends_before_the_deadline_and_the_limit(void **state)
{
    (void)state;
    static const uint64_t cases[][4] = {
        /* limit, deadline, decided after, ends after */
        {0, 1000 * DURESS_MS, 600 * DURESS_MS, 990 * DURESS_MS},
        {700 * DURESS_MS, 1000 * DURESS_MS, 600 * DURESS_MS, 700 * DURESS_MS},
        {0, 1000 * DURESS_MS, 995 * DURESS_MS, 995 * DURESS_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct compose_test test;
        quorum_open(&test, 3, (struct duress_quorum_options){.need = 2, .grace_ns = DURESS_S, .limit_ns = cases[i][0]});
        compose_test_ask(&test, "go", cases[i][1], false);
        rig_run_for(&test.rig, cases[i][2]);
        hand_reply(&test.hands[0], "yes");
        hand_reply(&test.hands[1], "yes");
        rig_run_until_ended(&test.rig, &test.answer);
        assert_replied(&test, "yes");
        assert_int_equal(test.answer.ended_ns - test.answer.started_ns, cases[i][3]);
        compose_test_close(&test);
    }
}

static void cancelled_in_the_grace_time(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 2, (struct duress_quorum_options){.need = 1, .grace_ns = DURESS_S});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "yes");
    duress_call_cancel(test.answer.call);
    compose_test_turn(&test);
    assert_int_equal(test.answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test.hands[1].cancels, 1);
    assert_int_equal(test.report.reports, 0);
    compose_test_close(&test);
}

/* --- what counts as equal --- */

/* Numbers that differ by one at the most: not transitive. */
static bool nearly_equal(void *context, const struct duress_message *a, const struct duress_message *b)
{
    assert_non_null(context);
    int difference = duress_message_content(a).data[0] - duress_message_content(b).data[0];
    return difference >= -1 && difference <= 1;
}

static void a_comparison_of_ones_own(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 4, (struct duress_quorum_options){.need = 3, .equal = nearly_equal});
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[3], "4");
    hand_reply(&test.hands[0], "3");
    hand_reply(&test.hands[2], "9");
    assert_int_equal(test.answer.ended, 0);
    hand_reply(&test.hands[1], "5"); /* the first is near to both others, which are not near to each other */
    assert_replied(&test, "4");
    assert_int_equal(test.report.answered_by, 3);
    static const bool agrees[4] = {true, true, false, true};
    assert_memory_equal(test.report.agrees, agrees, sizeof agrees);
    compose_test_close(&test);
}

static void default_equality_is_of_content_alone(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 2, (struct duress_quorum_options){.need = 2});
    compose_test_ask(&test, "go", 0, false);
    hand_reply_with(&test.hands[0], "same", "{\"k\":1}");
    hand_reply_with(&test.hands[1], "same", "{\"k\":2}");
    assert_replied(&test, "same");
    compose_test_ask(&test, "go", 0, false);
    hand_reply(&test.hands[0], "same");
    hand_reply(&test.hands[1], "same!");
    assert_int_equal(test.answer.error, DURESS_E_NO_QUORUM);
    compose_test_close(&test);
}

static void a_stream_gets_the_answer_whole(void **state)
{
    (void)state;
    struct compose_test test;
    quorum_open(&test, 1, (struct duress_quorum_options){.need = 1});
    rig_ask_stream(test.agent, "go", 0, &test.answer);
    assert_false(test.hands[0].streaming);
    hand_reply(&test.hands[0], "one");
    assert_replied(&test, "one");
    compose_test_close(&test);
}

static void refuses_bad_options(void **state)
{
    (void)state;
    struct compose_test test;
    compose_test_open(&test, 3);
    struct duress_agent *agent = NULL;
    struct duress_quorum_options options = {.need = 4};
    assert_int_equal(duress_quorum_new("q", test.agents, 3, &options, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "quorum.need: 4 given, allowed 1 to 3");
    assert_int_equal(duress_quorum_new("q", test.agents, 3, NULL, NULL, &test.why), DURESS_E_INVALID);
    assert_int_equal(duress_quorum_new("q", NULL, 3, NULL, &agent, &test.why), DURESS_E_INVALID);
    assert_string_equal(test.why.detail, "agents: NULL given, must be an array of agents");
    assert_null(agent);
    assert_int_equal(duress_quorum_new(NULL, test.agents, 3, NULL, &test.agent, NULL), DURESS_OK);
    assert_string_equal(duress_agent_name(test.agent), "quorum");
    compose_test_close(&test);
}

/* --- beside a slow model: every pattern of replies of up to 5 agents, in every order, for every need --- */

enum { FAILS = 0, KINDS_MAX = 4 }; /* a kind: fails, or replies "1", "2", "3" */

struct vote {
    size_t count;
    size_t need;
    size_t order[5];
    unsigned kinds[5];
};

/* Could |kind| reach the quorum, if all that have not been heard said so? */
static bool model_could(const struct vote *vote, size_t heard, unsigned kind)
{
    size_t agree = vote->count - heard;
    for (size_t i = 0; i < heard; i++)
        agree += vote->kinds[vote->order[i]] == kind;
    return agree >= vote->need;
}

static bool model_has(const struct vote *vote, size_t heard, unsigned kind)
{
    size_t agree = 0;
    for (size_t i = 0; i < heard; i++)
        agree += vote->kinds[vote->order[i]] == kind;
    return agree >= vote->need;
}

/* The first in order, of those heard, that said |kind|. */
static size_t model_first(const struct vote *vote, size_t heard, unsigned kind)
{
    for (size_t place = 0; place < vote->count; place++)
        for (size_t i = 0; i < heard; i++)
            if (vote->order[i] == place && vote->kinds[place] == kind)
                return place;
    return vote->count;
}

static void vote_check_won(const struct vote *vote, const struct compose_test *test, size_t heard, unsigned kind)
{
    const char text[2] = {(char)('0' + kind), '\0'};
    assert_replied(test, text);
    assert_int_equal(test->report.answered_by, model_first(vote, heard, kind));
    for (size_t i = 0; i < vote->count; i++) {
        bool was_heard = false;
        for (size_t j = 0; j < heard; j++)
            was_heard = was_heard || vote->order[j] == i;
        assert_int_equal(test->report.agrees[i], was_heard && vote->kinds[i] == kind);
        assert_int_equal(test->report.states[i] == DURESS_PART_CANCELLED, !was_heard);
    }
}

static void vote_check_lost(const struct vote *vote, const struct compose_test *test, size_t heard)
{
    bool any = false;
    for (size_t i = 0; i < heard; i++)
        any = any || vote->kinds[vote->order[i]] != FAILS;
    assert_int_equal(test->answer.error, any ? DURESS_E_NO_QUORUM : DURESS_E_REFUSED);
}

static void vote_play(const struct vote *vote, struct compose_test *test)
{
    compose_test_ask(test, "go", 0, false);
    for (size_t heard = 1; heard <= vote->count; heard++) {
        size_t place = vote->order[heard - 1];
        const char text[2] = {(char)('0' + vote->kinds[place]), '\0'};
        if (vote->kinds[place] == FAILS)
            hand_fail(&test->hands[place], DURESS_E_REFUSED);
        else
            hand_reply(&test->hands[place], text);
        bool open = false;
        for (unsigned kind = 1; kind < KINDS_MAX; kind++) {
            if (model_has(vote, heard, kind)) {
                vote_check_won(vote, test, heard, kind);
                return;
            }
            open = open || model_could(vote, heard, kind);
        }
        assert_int_equal(test->answer.ended, !open);
        if (!open) {
            vote_check_lost(vote, test, heard);
            return;
        }
    }
    fail_msg("nothing was decided");
}

/* A new kind is always the next one: which name a reply has makes no difference. */
static bool vote_is_canonical(const struct vote *vote)
{
    unsigned highest = 0;
    for (size_t i = 0; i < vote->count; i++) {
        if (vote->kinds[i] > highest + 1)
            return false;
        if (vote->kinds[i] > highest)
            highest = vote->kinds[i];
    }
    return true;
}

static uint64_t votes_play_all(struct vote *vote, struct compose_test *test)
{
    uint64_t played = 0;
    unsigned patterns = 1U << (2 * vote->count);
    for (unsigned pattern = 0; pattern < patterns; pattern++) {
        for (size_t i = 0; i < vote->count; i++)
            vote->kinds[i] = pattern >> (2 * i) & 3;
        if (!vote_is_canonical(vote))
            continue;
        order_first(vote->order, vote->count);
        do {
            vote_play(vote, test);
            played++;
        } while (order_next(vote->order, vote->count));
    }
    return played;
}

static void every_vote_of_up_to_five_is_decided_as_the_model_does(void **state)
{
    (void)state;
    uint64_t played = 0;
    for (size_t count = 1; count <= 5; count++) {
        for (size_t need = 1; need <= count; need++) {
            struct compose_test test;
            struct vote vote = {.count = count, .need = need};
            quorum_open(&test, count, (struct duress_quorum_options){.need = (uint32_t)need});
            played += votes_play_all(&vote, &test);
            compose_test_close(&test);
        }
    }
    assert_true(played > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_agrees_and_the_rest_is_cancelled),
        cmocka_unit_test(no_quorum_is_said_as_soon_as_it_is_certain),
        cmocka_unit_test(failures_are_named_beside_the_disagreement),
        cmocka_unit_test(where_nobody_replied_the_cause_is_kept),
        cmocka_unit_test(unambiguous_failures_stay_so),
        cmocka_unit_test(the_limit_ends_the_wait),
        cmocka_unit_test(the_callers_deadline_ends_the_call),
        cmocka_unit_test(stragglers_are_awaited_for_the_report),
        cmocka_unit_test(grace_holds_for_a_failed_vote_too),
        cmocka_unit_test(grace_ends_before_the_deadline_and_the_limit),
        cmocka_unit_test(cancelled_in_the_grace_time),
        cmocka_unit_test(a_comparison_of_ones_own),
        cmocka_unit_test(default_equality_is_of_content_alone),
        cmocka_unit_test(a_stream_gets_the_answer_whole),
        cmocka_unit_test(refuses_bad_options),
        cmocka_unit_test(every_vote_of_up_to_five_is_decided_as_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
