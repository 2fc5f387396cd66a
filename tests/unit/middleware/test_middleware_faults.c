/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/faults.h>

static struct layer_test the_test;

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

static void wrap(struct layer_test *test, const struct duress_faults_layer_options *options)
{
    assert_int_equal(duress_with_faults(test->service.agent, options, &test->agent, NULL), DURESS_OK);
}

/* One fault for every call. */
static void wrap_always(struct layer_test *test, enum duress_fault fault)
{
    wrap(test, &(struct duress_faults_layer_options){.faults = {.pattern = {fault}, .pattern_count = 1}, .seed = 5});
}

static struct duress_faults_counts counts_of(struct layer_test *test)
{
    struct duress_faults_counts counts = duress_faults_counts(test->agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.injected[DURESS_FAULT_NONE], 0);
    return counts;
}

static void a_pattern_is_followed_to_the_call(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_faults_layer_options){
                   .faults = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_ERROR}, .pattern_count = 3}});
    for (int i = 0; i < 9; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", 0, false);
        assert_int_equal(answer.error, i % 3 == 2 ? DURESS_OK : DURESS_E_REFUSED);
    }
    assert_int_equal(test->service.begun, 3);
    struct duress_faults_counts counts = counts_of(test);
    assert_int_equal(counts.injected[DURESS_FAULT_ERROR], 6);
    assert_int_equal(counts.calls.refused, 6);
    assert_int_equal(counts.calls.succeeded, 3);
    assert_int_equal(counts.missed, 0);
    layer_test_close(test);
}

static void an_error_is_the_one_that_was_asked_for(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_faults_layer_options){.faults = {.pattern = {DURESS_FAULT_ERROR},
                                                                .pattern_count = 1,
                                                                .code = DURESS_E_OVERLOADED,
                                                                .ambiguity = DURESS_FAULT_AMBIGUOUS,
                                                                .retry_after_ns = 3 * DURESS_S}});
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_OVERLOADED);
    assert_int_equal(answer.ended_ns, answer.started_ns);
    assert_true(answer.failure.ambiguous);
    assert_int_equal(answer.failure.retry_after_ns, 3 * DURESS_S);
    assert_string_equal(answer.failure.detail, "injected: error");
    layer_test_close(test);
}

static void an_error_afterwards_loses_the_answer(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_ERROR_AFTER);
    test->service.delay_ns_min = test->service.delay_ns_max = 40 * DURESS_MS;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_RESET);
    assert_true(answer.failure.ambiguous);
    assert_int_equal(answer.ended_ns, answer.started_ns + 40 * DURESS_MS);
    assert_int_equal(test->service.ended, 1);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_ERROR_AFTER], 1);
    assert_int_equal(counts_of(test).calls.failed, 1);
    layer_test_close(test);
}

static void an_answer_that_is_none_cannot_be_lost(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_ERROR_AFTER);
    service_fails(&test->service, 1, DURESS_E_UNREACHABLE, false);
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_UNREACHABLE);
    assert_string_equal(answer.failure.detail, "as asked");
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_ERROR_AFTER], 0);
    assert_int_equal(counts_of(test).missed, 1);
    layer_test_close(test);
}

static void a_delayed_call_asks_later(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_faults_layer_options){.faults = {.pattern = {DURESS_FAULT_DELAY},
                                                                .pattern_count = 1,
                                                                .delay_ns_min = 20 * DURESS_MS,
                                                                .delay_ns_max = 90 * DURESS_MS},
                                                     .seed = 3});
    uint64_t least_ns = DURESS_TIME_NEVER, most_ns = 0;
    for (int i = 0; i < 50; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", 0, false);
        assert_int_equal(answer.error, DURESS_OK);
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        assert_int_equal(test->service.begun_ns[i], answer.ended_ns);
        assert_in_range(took_ns, 20 * DURESS_MS, 90 * DURESS_MS);
        least_ns = took_ns < least_ns ? took_ns : least_ns;
        most_ns = took_ns > most_ns ? took_ns : most_ns;
    }
    assert_true(most_ns - least_ns > 40 * DURESS_MS);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_DELAY], 50);
    layer_test_close(test);
}

static void a_delay_ends_with_the_deadline_and_asks_nobody(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_DELAY);
    uint64_t deadline_ns = rig_now_ns(&test->rig) + 60 * DURESS_MS;
    struct rig_answer answer = layer_test_ask(test, "x", deadline_ns, false);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(counts_of(test).calls.timed_out, 1);
    rig_run_dry(&test->rig);
    assert_int_equal(rig_now_ns(&test->rig), deadline_ns); /* the timer is gone */
    assert_int_equal(test->service.begun, 0);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_DELAY], 1);
    layer_test_close(test);
}

static void a_hanging_call_ends_with_its_deadline_or_its_caller(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap_always(test, DURESS_FAULT_HANG);
    uint64_t deadline_ns = rig_now_ns(&test->rig) + 3600 * DURESS_S;
    rig_ask_by(test->agent, "x", deadline_ns, false, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_true(answer.failure.ambiguous); /* who hangs may have begun */
    answer = (struct rig_answer){.ended = 0};
    rig_ask(test->agent, "x", &answer);
    rig_run_for(&test->rig, 3600 * DURESS_S);
    assert_int_equal(answer.ended, 0);
    duress_call_cancel(answer.call);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test->service.begun, 0);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_HANG], 2);
    assert_int_equal(counts_of(test).calls.timed_out, 1);
    assert_int_equal(counts_of(test).calls.cancelled, 1);
    layer_test_close(test);
}

static void a_corrupted_reply_is_as_long_and_another(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_CORRUPT);
    char first[128] = "";
    for (int i = 0; i < 20; i++) {
        struct rig_answer answer = layer_test_ask(test, "a longer text", 0, false);
        assert_int_equal(answer.error, DURESS_OK);
        assert_string_not_equal(answer.text, "re: a longer text");
        if (i == 0)
            memcpy(first, answer.text, sizeof first);
        else
            assert_string_not_equal(answer.text, first); /* each in its own way */
    }
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_CORRUPT], 20);
    assert_int_equal(counts_of(test).calls.succeeded, 20);
    layer_test_close(test);
}

static void a_truncated_reply_is_a_part_of_it(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_TRUNCATE);
    bool seen[32] = {false};
    for (int i = 0; i < 200; i++) {
        struct rig_answer answer = layer_test_ask(test, "text", 0, false);
        assert_int_equal(answer.error, DURESS_OK);
        size_t length = strlen(answer.text);
        assert_true(length < strlen("re: text"));
        assert_memory_equal(answer.text, "re: text", length);
        seen[length] = true;
    }
    for (size_t i = 0; i < strlen("re: text"); i++)
        assert_true(seen[i]);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_TRUNCATE], 200);
    layer_test_close(test);
}

static int answer_nothing(void *context, struct duress_message *request, struct duress_message **reply,
                          struct duress_failure *failure)
{
    (void)context;
    (void)request;
    (void)failure;
    return duress_message_text("", reply);
}

static void a_reply_without_a_byte_cannot_be_changed(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *empty = NULL;
    assert_int_equal(duress_function_new(test->rig.client, "empty", answer_nothing, NULL, &empty), DURESS_OK);
    struct duress_faults_layer_options options = {
        .faults = {.pattern = {DURESS_FAULT_CORRUPT, DURESS_FAULT_TRUNCATE}, .pattern_count = 2}};
    assert_int_equal(duress_with_faults(empty, &options, &test->agent, NULL), DURESS_OK);
    for (int i = 0; i < 2; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", 0, false);
        assert_int_equal(answer.error, DURESS_OK);
        assert_string_equal(answer.text, "");
    }
    assert_int_equal(counts_of(test).missed, 2);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_CORRUPT], 0);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_TRUNCATE], 0);
    duress_agent_unref(empty);
    layer_test_close(test);
}

static int answer_the_request(void *context, struct duress_message *request, struct duress_message **reply,
                              struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void what_surrounds_the_content_stays(void **state)
{
    struct layer_test *test = *state;
    struct duress_message *request = NULL;
    struct duress_agent *echo = NULL;
    struct duress_message_options whole = {
        .role = duress_slice_text("tool"),
        .content = duress_slice_text("content"),
        .metadata = duress_slice_text("{\"a\":1}"),
        .timestamp_ns = 77,
    };
    struct duress_faults_layer_options options = {
        .faults = {.pattern = {DURESS_FAULT_CORRUPT, DURESS_FAULT_TRUNCATE}, .pattern_count = 2}};
    assert_int_equal(duress_message_new(&whole, &request), DURESS_OK);
    assert_int_equal(duress_function_new(test->rig.client, "echo", answer_the_request, NULL, &echo), DURESS_OK);
    assert_int_equal(duress_with_faults(echo, &options, &test->agent, NULL), DURESS_OK);
    for (int i = 0; i < 2; i++) {
        struct duress_ask ask = {.request = request};
        struct duress_message *reply = NULL;
        assert_int_equal(duress_agent_ask_blocking(test->agent, &ask, &reply, NULL), DURESS_OK);
        assert_true(duress_slice_is(duress_message_role(reply), "tool"));
        assert_true(duress_slice_is(duress_message_metadata(reply), "{\"a\":1}"));
        assert_int_equal(duress_message_timestamp_ns(reply), 77);
        assert_int_equal(i == 0, duress_message_content(reply).length == strlen("content"));
        duress_message_unref(reply);
    }
    assert_true(duress_slice_is(duress_message_content(request), "content")); /* messages never change */
    duress_message_unref(request);
    duress_agent_unref(echo);
    layer_test_close(test);
}

/* --- crashes --- */

static void after_a_crash_nothing_works_until_the_reset(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_faults_layer_options){.faults = {.crash_after = 2}});
    for (int life = 0; life < 3; life++) {
        for (int i = 0; i < 6; i++) {
            struct rig_answer answer = layer_test_ask(test, "x", 0, false);
            assert_int_equal(answer.error, i < 2 ? DURESS_OK : DURESS_E_REFUSED);
            assert_int_equal(duress_faults_has_crashed(duress_faults_of(test->agent)), i >= 2);
        }
        duress_faults_reset(duress_faults_of(test->agent));
    }
    assert_int_equal(test->service.begun, 6);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_CRASH], 12);
    layer_test_close(test);
}

/* --- streams --- */

static struct rig_answer stream(struct layer_test *test, uint32_t chunk_count)
{
    struct rig_answer answer = {.ended = 0};
    test->service.chunk_count = chunk_count;
    test->service.delay_ns_min = test->service.delay_ns_max = 10 * DURESS_MS;
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_until_ended(&test->rig, &answer);
    return answer;
}

static void streams_pass_where_nothing_happens(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    struct rig_answer plain = stream(test, 3);
    assert_int_equal(plain.error, DURESS_OK);
    assert_int_equal(plain.chunk_count, 3);
    layer_test_close(test);
}

static void every_chunk_of_a_stream_is_corrupted(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_faults_layer_options){
                   .faults = {.pattern = {DURESS_FAULT_NONE, DURESS_FAULT_CORRUPT}, .pattern_count = 2}});
    struct rig_answer plain = stream(test, 3);
    struct rig_answer corrupted = stream(test, 3);
    assert_int_equal(corrupted.error, DURESS_OK);
    assert_int_equal(corrupted.chunk_count, 3);
    assert_string_not_equal(corrupted.chunks, plain.chunks);
    assert_string_not_equal(corrupted.text, plain.text);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_CORRUPT], 1); /* one call */
    assert_int_equal(counts_of(test).missed, 0);
    layer_test_close(test);
}

static void a_truncated_stream_ends_in_its_first_chunk(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_TRUNCATE);
    struct rig_answer answer = stream(test, 5);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.chunk_count, 1);
    assert_int_equal(answer.ended_ns - answer.started_ns, 10 * DURESS_MS);
    assert_int_equal(test->service.cancelled, 1);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_TRUNCATE], 1);
    assert_int_equal(counts_of(test).calls.succeeded, 1);
    layer_test_close(test);
}

static void the_receiver_of_a_cut_chunk_may_cancel(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.cancel_after_chunk = 1};
    wrap_always(test, DURESS_FAULT_TRUNCATE);
    test->service.chunk_count = 5;
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(test->service.cancelled, 1);
    assert_int_equal(counts_of(test).calls.cancelled, 1);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_TRUNCATE], 1);
    layer_test_close(test);
}

static void the_chunks_of_a_lost_answer_have_gone_up(void **state)
{
    struct layer_test *test = *state;
    wrap_always(test, DURESS_FAULT_ERROR_AFTER);
    struct rig_answer answer = stream(test, 3);
    assert_int_equal(answer.error, DURESS_E_RESET);
    assert_int_equal(answer.chunk_count, 3);
    layer_test_close(test);
}

static void a_fault_that_is_cancelled_before_it_happens_is_missed(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap_always(test, DURESS_FAULT_CORRUPT);
    test->service.silent = true;
    rig_ask(test->agent, "x", &answer);
    duress_call_cancel(answer.call);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(counts_of(test).missed, 1);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_CORRUPT], 0);
    layer_test_close(test);
}

/* --- seeds --- */

static void chance(struct layer_test *test, uint64_t seed, char story[101])
{
    wrap(test, &(struct duress_faults_layer_options){
                   .faults = {.ppm = {[DURESS_FAULT_ERROR] = 300000, [DURESS_FAULT_CORRUPT] = 300000}}, .seed = seed});
    for (int i = 0; i < 100; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", 0, false);
        story[i] = answer.error != DURESS_OK ? 'e' : strcmp(answer.text, "re: x") == 0 ? '.' : 'c';
    }
    story[100] = '\0';
    duress_agent_unref(test->agent);
    test->agent = NULL;
}

static void a_seed_gives_one_story_and_no_seed_the_worlds(void **state)
{
    struct layer_test *test = *state;
    char given[4][101], drawn[3][101];
    chance(test, 9, given[0]);
    chance(test, 9, given[1]);
    chance(test, 10, given[2]);
    assert_string_equal(given[0], given[1]);
    assert_string_not_equal(given[0], given[2]);
    layer_test_close(test);
    for (int i = 0; i < 3; i++) { /* the same world twice, then another */
        layer_test_open(test, i < 2 ? 1 : 2);
        chance(test, 0, drawn[i]);
        layer_test_close(test);
    }
    assert_string_equal(drawn[0], drawn[1]);
    assert_string_not_equal(drawn[0], drawn[2]);
    assert_non_null(strchr(drawn[0], 'e'));
    assert_non_null(strchr(drawn[0], 'c'));
    assert_non_null(strchr(drawn[0], '.'));
}

static void empty_chunks_begin(void *context, struct duress_call *call)
{
    static const char *const chunks[] = {"", "", "abcdef", "gh"};
    (void)context;
    for (int i = 0; i < 4; i++) {
        struct duress_message *chunk = NULL;
        assert_int_equal(duress_message_text(chunks[i], &chunk), DURESS_OK);
        duress_call_emit(call, chunk);
        if (i == 3)
            duress_call_reply(call, chunk);
        duress_message_unref(chunk);
    }
}

static void a_stream_is_cut_in_its_first_chunk_that_has_any_bytes(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *inner = NULL;
    struct rig_answer answer = {.ended = 0};
    struct duress_faults_layer_options options = {.faults = {.pattern = {DURESS_FAULT_TRUNCATE}, .pattern_count = 1},
                                                  .seed = 5};
    assert_int_equal(duress_function_async_new(test->rig.client, "chunks", empty_chunks_begin, NULL, NULL, &inner),
                     DURESS_OK);
    assert_int_equal(duress_with_faults(inner, &options, &test->agent, NULL), DURESS_OK);
    duress_agent_unref(inner);
    rig_ask_stream(test->agent, "x", 0, &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.chunk_count, 3); /* both empty ones, and what is left of the third */
    assert_memory_equal(answer.chunks, ",,", 2);
    assert_true(strlen(answer.text) < 6);
    assert_int_equal(counts_of(test).injected[DURESS_FAULT_TRUNCATE], 1);
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_faults_layer_options options = {.faults = {.ppm = {[DURESS_FAULT_ERROR] = DURESS_PPM + 1}}};
    struct duress_failure why;
    assert_int_equal(duress_with_faults(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "faults.ppm[ERROR]"));
    assert_int_equal(duress_with_faults(NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_faults(test->service.agent, NULL, NULL, NULL), DURESS_E_INVALID);
    assert_null(duress_faults_of(test->service.agent));
    assert_int_equal(duress_faults_counts(test->service.agent).calls.begun, 0);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pattern_is_followed_to_the_call, setup),
        cmocka_unit_test_setup(an_error_is_the_one_that_was_asked_for, setup),
        cmocka_unit_test_setup(an_error_afterwards_loses_the_answer, setup),
        cmocka_unit_test_setup(an_answer_that_is_none_cannot_be_lost, setup),
        cmocka_unit_test_setup(a_delayed_call_asks_later, setup),
        cmocka_unit_test_setup(a_delay_ends_with_the_deadline_and_asks_nobody, setup),
        cmocka_unit_test_setup(a_hanging_call_ends_with_its_deadline_or_its_caller, setup),
        cmocka_unit_test_setup(a_corrupted_reply_is_as_long_and_another, setup),
        cmocka_unit_test_setup(a_truncated_reply_is_a_part_of_it, setup),
        cmocka_unit_test_setup(a_reply_without_a_byte_cannot_be_changed, setup),
        cmocka_unit_test_setup(what_surrounds_the_content_stays, setup),
        cmocka_unit_test_setup(after_a_crash_nothing_works_until_the_reset, setup),
        cmocka_unit_test_setup(streams_pass_where_nothing_happens, setup),
        cmocka_unit_test_setup(every_chunk_of_a_stream_is_corrupted, setup),
        cmocka_unit_test_setup(a_truncated_stream_ends_in_its_first_chunk, setup),
        cmocka_unit_test_setup(the_receiver_of_a_cut_chunk_may_cancel, setup),
        cmocka_unit_test_setup(the_chunks_of_a_lost_answer_have_gone_up, setup),
        cmocka_unit_test_setup(a_fault_that_is_cancelled_before_it_happens_is_missed, setup),
        cmocka_unit_test_setup(a_seed_gives_one_story_and_no_seed_the_worlds, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(a_stream_is_cut_in_its_first_chunk_that_has_any_bytes, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
