/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache layer: an old reply in place of a failure. */
#include "cache_test.h"

struct stale_note {
    uint32_t told;
    uint32_t callers;
    uint64_t age_ns;
    int code;
    struct duress_message *instead;
    struct rig_answer *cancels;
    struct duress_agent *clears;
};

static struct duress_message *note_stale(void *context, const struct duress_cache_stale *stale)
{
    struct stale_note *note = context;
    note->told++;
    note->callers = stale->callers;
    note->age_ns = stale->age_ns;
    note->code = stale->failure->code;
    assert_true(duress_slice_is(duress_message_content(stale->request), "x"));
    if (note->cancels != NULL)
        duress_call_cancel(note->cancels->call);
    if (note->clears != NULL)
        duress_cache_clear(note->clears);
    assert_true(duress_slice_is(duress_message_content(stale->reply), "re: x"));
    return note->instead != NULL ? duress_message_ref(note->instead) : NULL;
}

static void wrap_stale(struct layer_test *test, struct stale_note *note)
{
    wrap(test, &(struct duress_cache_layer_options){.cache = {.ttl_ns = 10 * DURESS_S, .stale_ns = 5 * DURESS_S},
                                                    .on_stale = note_stale,
                                                    .context = note});
}

static void an_old_reply_stands_in_for_a_failure_within_its_window(void **state)
{
    struct layer_test *test = *state;
    struct stale_note note = {.told = 0};
    wrap_stale(test, &note);
    struct rig_answer first = ask(test, "x");
    rig_run_for(&test->rig, 15 * DURESS_S - 1);
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    struct rig_answer answer = ask(test, "x");
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.text, "re: x");
    assert_int_equal(test->service.begun, 2); /* the service was asked first */
    assert_int_equal(note.told, 1);
    assert_int_equal(note.callers, 1);
    assert_int_equal(note.code, DURESS_E_REFUSED);
    assert_int_equal(note.age_ns, answer.ended_ns - first.ended_ns);
    assert_int_equal(counts_of(test).stale, 1);
    assert_int_equal(counts_of(test).calls.succeeded, 2);
    rig_run_for(&test->rig, 1);
    answer = ask(test, "x"); /* too old */
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_int_equal(note.told, 1);
    answer = ask(test, "x");
    assert_int_equal(answer.error, DURESS_OK);
    ask(test, "x");
    assert_int_equal(counts_of(test).hits, 1); /* the new one is fresh */
    layer_test_close(test);
}

static void nothing_stale_is_used_by_default(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.ttl_ns = DURESS_S}});
    ask(test, "x");
    rig_run_for(&test->rig, DURESS_S);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    assert_int_equal(ask(test, "x").error, DURESS_E_REFUSED);
    layer_test_close(test);
}

static void a_callers_mistake_is_no_reason_for_an_old_reply(void **state)
{
    (void)state;
    static const enum duress_error never[] = {DURESS_E_INVALID, DURESS_E_UNSUPPORTED, DURESS_E_TOO_LARGE,
                                              DURESS_E_CANCELLED, DURESS_E_NO_MEMORY};
    static const enum duress_error always[] = {
        DURESS_E_REFUSED,      DURESS_E_RESET,         DURESS_E_DEADLINE,           DURESS_E_REMOTE,
        DURESS_E_CIRCUIT_OPEN, DURESS_E_BULKHEAD_FULL, DURESS_E_RETRY_BUDGET_SPENT, DURESS_E_RATE_LIMITED,
        DURESS_E_OVERLOADED,   DURESS_E_NAME_SILENT,   DURESS_E_NAME_NOT_FOUND};
    struct duress_failure failure = {.code = DURESS_OK};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        failure.code = never[i];
        assert_false(duress_cache_stale_if(NULL, &failure));
    }
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        failure.code = always[i];
        assert_true(duress_cache_stale_if(NULL, &failure));
    }
    struct layer_test *test = *state;
    struct stale_note note = {.told = 0};
    wrap_stale(test, &note);
    ask(test, "x");
    rig_run_for(&test->rig, 12 * DURESS_S);
    service_fails(&test->service, 1, DURESS_E_INVALID, false);
    assert_int_equal(ask(test, "x").error, DURESS_E_INVALID);
    assert_int_equal(note.told, 0);
    layer_test_close(test);
}

static bool only_resets(void *context, const struct duress_failure *failure)
{
    (void)context;
    return failure->code == DURESS_E_RESET;
}

static void a_function_may_say_which_failures(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.ttl_ns = DURESS_S, .stale_ns = DURESS_TIME_NEVER},
                                                    .stale_if = only_resets});
    ask(test, "x");
    rig_run_for(&test->rig, 1000 * DURESS_S);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    assert_int_equal(ask(test, "x").error, DURESS_E_REFUSED);
    service_fails(&test->service, 1, DURESS_E_RESET, false);
    assert_int_equal(ask(test, "x").error, DURESS_OK);
    layer_test_close(test);
}

static void the_old_reply_may_be_marked(void **state)
{
    struct layer_test *test = *state;
    struct stale_note note = {.told = 0};
    struct rig_answer answers[3];
    wrap_stale(test, &note);
    ask(test, "x");
    rig_run_for(&test->rig, 10 * DURESS_S);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    assert_int_equal(duress_message_text("re: x (old)", &note.instead), DURESS_OK);
    begin_all(test, answers, 3);
    rig_run_until_ended(&test->rig, &answers[2]);
    for (int i = 0; i < 3; i++)
        assert_string_equal(answers[i].text, "re: x (old)");
    assert_int_equal(note.told, 1);
    assert_int_equal(note.callers, 3);
    assert_int_equal(counts_of(test).stale, 3);
    duress_message_unref(note.instead);
    layer_test_close(test);
}

static void on_stale_may_cancel_callers_and_clear_the_cache(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    struct stale_note note = {.cancels = &answer};
    wrap_stale(test, &note);
    note.clears = test->agent;
    ask(test, "x");
    rig_run_for(&test->rig, 10 * DURESS_S);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    rig_ask_by(test->agent, "x", 0, true, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(counts_of(test).cache.entries, 0);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_old_reply_stands_in_for_a_failure_within_its_window, cache_test_setup),
        cmocka_unit_test_setup(nothing_stale_is_used_by_default, cache_test_setup),
        cmocka_unit_test_setup(a_callers_mistake_is_no_reason_for_an_old_reply, cache_test_setup),
        cmocka_unit_test_setup(a_function_may_say_which_failures, cache_test_setup),
        cmocka_unit_test_setup(the_old_reply_may_be_marked, cache_test_setup),
        cmocka_unit_test_setup(on_stale_may_cancel_callers_and_clear_the_cache, cache_test_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
