/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch layer: one combined call to the inner agent for many. */
#include "layer_test.h"

#include <string.h>

#include "../../chaos/line_batch.h"

enum { CALLER_COUNT = 4 };

static struct layer_test the_test;
static struct rig_answer answers[CALLER_COUNT];

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    memset(answers, 0, sizeof answers);
    return 0;
}

static void wrap_with(struct layer_test *test, duress_batch_encode_fn encode, duress_batch_decode_fn decode)
{
    struct duress_batch_layer_options options = {
        .batch = {.items_max = 3, .wait_ns = 50 * DURESS_MS}, .encode = encode, .decode = decode};
    assert_int_equal(duress_with_batch(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static void wrap(struct layer_test *test)
{
    wrap_with(test, line_batch_encode, line_batch_decode);
}

static struct duress_batch_counts counts_of(const struct layer_test *test)
{
    struct duress_batch_counts counts = duress_batch_counts(test->agent);
    assert_balanced(counts.calls);
    return counts;
}

static void ask_all(struct layer_test *test, const char *const *texts, int count)
{
    for (int i = 0; i < count; i++)
        rig_ask_by(test->agent, texts[i], 0, true, &answers[i]);
}

static const char *const abc[] = {"a", "b", "c"};

static void many_calls_make_one_below(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    ask_all(test, abc, 3);
    rig_run_dry(&test->rig);
    assert_int_equal(test->service.begun, 1);
    assert_string_equal(answers[0].text, "re: a");
    assert_string_equal(answers[1].text, "b");
    assert_string_equal(answers[2].text, "c");
    assert_string_equal(duress_agent_name(test->agent), duress_agent_name(test->service.agent));
    layer_test_close(test);
}

static void one_bad_or_forgotten_item_fails_no_other(void **state)
{
    struct layer_test *test = *state;
    static const char *const texts[] = {"a", "bad", "c"};
    wrap(test);
    ask_all(test, texts, 3);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[0].error, DURESS_OK);
    assert_int_equal(answers[1].error, DURESS_E_REMOTE);
    assert_string_equal(answers[2].text, "c");
    memset(answers, 0, sizeof answers);
    static const char *const no_lines[] = {"", ""}; /* "re: " and a line that is not there */
    ask_all(test, no_lines, 2);
    rig_run_dry(&test->rig);
    assert_string_equal(answers[0].text, "re: ");
    assert_int_equal(answers[1].error, DURESS_E_MALFORMED);
    assert_int_equal(counts_of(test).forgotten, 1);
    layer_test_close(test);
}

static void the_inner_agents_failure_is_every_items(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    ask_all(test, abc, 3);
    rig_run_dry(&test->rig);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers[i].error, DURESS_E_RESET);
        assert_string_equal(answers[i].failure.detail, "as asked");
    }
    assert_int_equal(counts_of(test).calls.failed, 3);
    assert_int_equal(counts_of(test).in_flight, 0);
    layer_test_close(test);
}

static struct {
    uint64_t deadline_ns;
    bool idempotent;
} seen;

static void note_call(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)service;
    seen.deadline_ns = call->deadline_ns;
    seen.idempotent = call->idempotent;
}

static void the_combined_call_has_the_latest_deadline_and_is_idempotent_where_all_are(void **state)
{
    struct layer_test *test = *state;
    uint64_t now_ns = rig_now_ns(&test->rig);
    wrap(test);
    test->service.on_call = note_call;
    rig_ask_by(test->agent, "a", now_ns + DURESS_S, true, &answers[0]);
    rig_ask_by(test->agent, "b", now_ns + 2 * DURESS_S, true, &answers[1]);
    rig_run_dry(&test->rig);
    assert_int_equal(seen.deadline_ns, now_ns + 2 * DURESS_S);
    assert_true(seen.idempotent);
    rig_ask_by(test->agent, "a", rig_now_ns(&test->rig) + DURESS_S, true, &answers[2]);
    rig_ask_by(test->agent, "b", 0, false, &answers[3]);
    rig_run_dry(&test->rig);
    assert_int_equal(seen.deadline_ns, DURESS_TIME_NEVER);
    assert_false(seen.idempotent);
    layer_test_close(test);
}

static void the_combined_call_is_cancelled_when_nobody_waits(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    test->service.silent = true;
    uint64_t deadline_ns = rig_now_ns(&test->rig) + DURESS_S;
    rig_ask_by(test->agent, "a", deadline_ns, true, &answers[0]);
    rig_ask_by(test->agent, "b", 0, true, &answers[1]);
    rig_ask_by(test->agent, "c", 0, true, &answers[2]);
    rig_run_for(&test->rig, 2 * DURESS_S);
    assert_int_equal(answers[0].error, DURESS_E_DEADLINE);
    duress_call_cancel(answers[1].call);
    assert_int_equal(test->service.cancelled, 0);
    duress_call_cancel(answers[2].call);
    assert_int_equal(test->service.cancelled, 1);
    assert_int_equal(counts_of(test).in_flight, 0);
    assert_int_equal(counts_of(test).abandoned, 1);
    layer_test_close(test);
}

static void a_freed_agent_takes_its_combined_call_with_it(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    test->service.silent = true;
    ask_all(test, abc, 3);
    rig_run_for(&test->rig, 0);
    duress_agent_unref(test->agent);
    test->agent = NULL;
    assert_int_equal(test->service.cancelled, 1);
    rig_run_dry(&test->rig);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    layer_test_close(test);
}

static void cancel_all(struct rig_answer *answer, void *context)
{
    (void)answer;
    (void)context;
    for (int i = 0; i < CALLER_COUNT; i++) {
        if (answers[i].call != NULL)
            duress_call_cancel(answers[i].call);
    }
}

static void a_caller_may_cancel_the_others_when_it_is_told(void **state)
{
    struct layer_test *test = *state;
    for (int fails = 0; fails < 2; fails++) {
        wrap(test);
        memset(answers, 0, sizeof answers);
        if (fails != 0)
            service_fails(&test->service, 1, DURESS_E_RESET, true);
        ask_all(test, abc, 3);
        answers[0].then = cancel_all;
        rig_run_dry(&test->rig);
        assert_int_equal(answers[0].error, fails != 0 ? DURESS_E_RESET : DURESS_OK);
        assert_int_equal(answers[1].error, DURESS_E_CANCELLED);
        assert_int_equal(answers[2].error, DURESS_E_CANCELLED);
        assert_int_equal(counts_of(test).in_flight, 0);
        duress_agent_unref(test->agent);
        test->agent = NULL;
    }
    layer_test_close(test);
}

static int encode_refuses(void *context, const struct duress_batch_run *run, struct duress_message **combined)
{
    (void)context;
    (void)run;
    (void)combined;
    return DURESS_E_TOO_LARGE;
}

static int encode_gives_nothing(void *context, const struct duress_batch_run *run, struct duress_message **combined)
{
    (void)context;
    (void)run;
    *combined = NULL;
    return DURESS_OK;
}

static int encode_cancels(void *context, const struct duress_batch_run *run, struct duress_message **combined)
{
    cancel_all(NULL, NULL);
    return line_batch_encode(context, run, combined);
}

static void what_cannot_be_combined_fails_all_and_asks_nobody(void **state)
{
    struct layer_test *test = *state;
    static const struct {
        duress_batch_encode_fn encode;
        int error;
    } cases[] = {{encode_refuses, DURESS_E_TOO_LARGE},
                 {encode_gives_nothing, DURESS_E_INVALID},
                 {encode_cancels, DURESS_E_CANCELLED}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        wrap_with(test, cases[c].encode, line_batch_decode);
        memset(answers, 0, sizeof answers);
        ask_all(test, abc, 3);
        rig_run_dry(&test->rig);
        for (int i = 0; i < 3; i++)
            assert_int_equal(answers[i].error, cases[c].error);
        assert_int_equal(counts_of(test).in_flight, 0);
        duress_agent_unref(test->agent);
        test->agent = NULL;
    }
    assert_int_equal(test->service.begun, 0);
    layer_test_close(test);
}

static void every_call_has_its_say_about_idempotence(void **state)
{
    struct layer_test *test = *state;
    test->service.on_call = note_call;
    wrap(test);
    for (unsigned which = 0; which < 8; which++) {
        memset(answers, 0, sizeof answers);
        for (int i = 0; i < 3; i++)
            rig_ask_by(test->agent, abc[i], 0, (which & 1U << i) != 0, &answers[i]);
        rig_run_dry(&test->rig);
        assert_int_equal(answers[2].error, DURESS_OK);
        assert_int_equal(seen.idempotent, which == 7);
    }
    layer_test_close(test);
}

static void begin_nothing(void *context, struct duress_batch_run *run)
{
    (void)context;
    (void)run;
    fail();
}

/* For want of memory for itself, its queue, or its first batch. */
static void a_batch_that_cannot_be_made_says_why(void **state)
{
    struct layer_test *test = *state;
    struct duress_batch_layer_options options = {.encode = line_batch_encode, .decode = line_batch_decode};
    struct duress_batch_agent_options alone = {.begin = begin_nothing};
    for (int inner = 0; inner < 2; inner++) {
        uint64_t after = 0;
        for (int error = DURESS_E_NO_MEMORY; error != DURESS_OK; after++) {
            struct duress_agent *agent = NULL;
            struct duress_failure why = {.code = DURESS_OK};
            struct duress_failure *told = after % 2 == 0 ? &why : NULL;
            test->rig.heap.fail_after = test->rig.heap.allocation_count + after;
            error = inner != 0 ? duress_with_batch(test->service.agent, &options, &agent, told)
                               : duress_batch_new(test->rig.client, "alone", &alone, &agent, told);
            assert_true(error == DURESS_OK || error == DURESS_E_NO_MEMORY);
            assert_int_equal(why.code, told != NULL ? error : DURESS_OK);
            duress_agent_unref(agent);
        }
        assert_true(after > 2);
    }
    test->rig.heap.fail_after = UINT64_MAX;
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_batch_layer_options options = {.encode = line_batch_encode};
    struct duress_agent *inner = test->service.agent;
    struct duress_failure why;
    assert_int_equal(duress_with_batch(inner, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "encode and decode: must be given");
    options = (struct duress_batch_layer_options){.decode = line_batch_decode};
    assert_int_equal(duress_with_batch(inner, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "encode and decode: must be given");
    options.encode = line_batch_encode;
    options.batch.items_max = DURESS_BATCH_ITEMS_MAX_MAX + 1;
    assert_int_equal(duress_with_batch(inner, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "batch.items_max"));
    assert_int_equal(duress_with_batch(NULL, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_batch(inner, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_batch(inner, &options, NULL, NULL), DURESS_E_INVALID);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(many_calls_make_one_below, setup),
        cmocka_unit_test_setup(one_bad_or_forgotten_item_fails_no_other, setup),
        cmocka_unit_test_setup(the_inner_agents_failure_is_every_items, setup),
        cmocka_unit_test_setup(the_combined_call_has_the_latest_deadline_and_is_idempotent_where_all_are, setup),
        cmocka_unit_test_setup(the_combined_call_is_cancelled_when_nobody_waits, setup),
        cmocka_unit_test_setup(a_freed_agent_takes_its_combined_call_with_it, setup),
        cmocka_unit_test_setup(a_caller_may_cancel_the_others_when_it_is_told, setup),
        cmocka_unit_test_setup(what_cannot_be_combined_fails_all_and_asks_nobody, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(every_call_has_its_say_about_idempotence, setup),
        cmocka_unit_test_setup(a_batch_that_cannot_be_made_says_why, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
