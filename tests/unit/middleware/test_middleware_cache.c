/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache layer: what is kept, under what, for how long, within what bounds. */
#include "cache_test.h"

/* --- what is kept, under what, for how long --- */

static void a_hit_answers_at_once_without_asking(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    takes(&test->service, DURESS_S);
    struct rig_answer miss = ask(test, "x");
    assert_int_equal(miss.ended_ns - miss.started_ns, DURESS_S);
    struct rig_answer hit = ask(test, "x");
    assert_int_equal(hit.ended_ns, hit.started_ns);
    assert_string_equal(hit.text, "re: x");
    assert_int_equal(test->service.begun, 1);
    ask(test, "y");
    assert_int_equal(test->service.begun, 2);
    struct duress_cache_layer_counts counts = counts_of(test);
    assert_int_equal(counts.hits, 1);
    assert_int_equal(counts.misses, 2);
    assert_int_equal(counts.calls.succeeded, 3);
    assert_int_equal(counts.cache.entries, 2);
    layer_test_close(test);
}

static void a_reply_lives_as_long_as_configured(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.ttl_ns = 10 * DURESS_S}});
    ask(test, "x");
    rig_run_for(&test->rig, 10 * DURESS_S - 1);
    ask(test, "x");
    assert_int_equal(test->service.begun, 1);
    rig_run_for(&test->rig, 1);
    ask(test, "x");
    assert_int_equal(test->service.begun, 2);
    layer_test_close(test);
}

/* No timer keeps the world busy for them. */
static void dead_entries_go_as_calls_come(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.ttl_ns = DURESS_S}});
    static const char *const texts[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        ask(test, texts[i]);
    rig_run_dry(&test->rig);
    rig_run_for(&test->rig, DURESS_S);
    assert_int_equal(counts_of(test).cache.entries, 3);
    ask(test, "d"); /* sweeps two */
    assert_int_equal(counts_of(test).cache.entries, 2);
    ask(test, "d");
    assert_int_equal(counts_of(test).cache.entries, 1);
    assert_int_equal(counts_of(test).cache.expired, 3);
    layer_test_close(test);
}

static void only_idempotent_calls_use_it_by_default(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    ask(test, "x");
    layer_test_ask(test, "x", 0, false);
    assert_int_equal(test->service.begun, 2);
    assert_int_equal(counts_of(test).passed, 1);
    struct rig_answer answer = {.ended = 0};
    rig_ask(test->agent, "fresh", &answer);
    rig_run_until_ended(&test->rig, &answer);
    ask(test, "fresh"); /* nor did that one fill it */
    assert_int_equal(test->service.begun, 4);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_int_equal(counts_of(test).calls.failed, 1);
    layer_test_close(test);
}

static void all_calls_use_it_where_asked_for(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.all_calls = true});
    layer_test_ask(test, "x", 0, false);
    layer_test_ask(test, "x", 0, false);
    assert_int_equal(test->service.begun, 1);
    layer_test_close(test);
}

/* agenkit's are not cached either. */
static void streams_pass_through_in_whole(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.all_calls = true});
    test->service.chunk_count = 3;
    for (int i = 0; i < 2; i++) {
        struct rig_answer answer = {.ended = 0};
        rig_ask_stream(test->agent, "x", 0, &answer);
        rig_run_until_ended(&test->rig, &answer);
        assert_string_equal(answer.chunks, "1 x,2 x,3 x,");
    }
    assert_int_equal(test->service.begun, 2);
    assert_int_equal(counts_of(test).passed, 2);
    assert_int_equal(counts_of(test).cache.entries, 0);
    layer_test_close(test);
}

static void passing_calls_keep_their_deadline_and_may_be_cancelled(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + DURESS_S, false);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    rig_ask(test->agent, "x", memset(&answer, 0, sizeof answer));
    duress_call_cancel(answer.call);
    assert_int_equal(test->service.cancelled, 2);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(counts_of(test).calls.timed_out, 1);
    assert_int_equal(counts_of(test).calls.cancelled, 1);
    layer_test_close(test);
}

static void failures_are_not_kept(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    struct rig_answer answer = ask(test, "x");
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_string_equal(answer.failure.detail, "as asked");
    answer = ask(test, "x");
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(counts_of(test).calls.failed, 1);
    layer_test_close(test);
}

/* --- keys --- */

static void parts_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    (void)call;
    struct rig_answer *answer = context;
    answer->ended++;
    answer->error = result->error;
}

static void ask_parts(struct layer_test *test, const char *role, const char *metadata, uint64_t timestamp_ns)
{
    struct rig_answer answer = {.ended = 0};
    struct duress_message *request = NULL;
    struct duress_message_options options = {.role = duress_slice_text(role),
                                             .content = duress_slice_text("x"),
                                             .metadata = duress_slice_text(metadata),
                                             .timestamp_ns = timestamp_ns};
    assert_int_equal(duress_message_new(&options, &request), DURESS_OK);
    struct duress_ask whole = {.request = request, .idempotent = true, .on_end = parts_ended, .context = &answer};
    assert_int_equal(duress_agent_ask(test->agent, &whole, NULL), DURESS_OK);
    duress_message_unref(request);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
}

/* agenkit's Go drops metadata that it cannot serialise: one user's answer goes to another (C6). */
static void role_content_and_metadata_are_the_key_and_time_is_not(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    ask_parts(test, "user", "{\"user_id\":1}", 1);
    ask_parts(test, "user", "{\"user_id\":1}", 2);
    assert_int_equal(test->service.begun, 1);
    ask_parts(test, "user", "{\"user_id\":2}", 1);
    assert_int_equal(test->service.begun, 2);
    ask_parts(test, "system", "{\"user_id\":1}", 1);
    assert_int_equal(test->service.begun, 3);
    layer_test_close(test);
}

struct key_buffers {
    char bytes[2][16];
    unsigned calls;
};

/* The part before a colon, in one of two buffers; what the other held is gone. What begins with a colon has no key. */
static bool key_before_colon(void *context, struct duress_message *request, struct duress_slice *key)
{
    struct key_buffers *buffers = context;
    struct duress_slice content = duress_message_content(request);
    const uint8_t *colon = memchr(content.data, ':', content.length);
    size_t length = colon != NULL ? (size_t)(colon - content.data) : content.length;
    assert_true(length < sizeof buffers->bytes[0]);
    memset(buffers->bytes, '#', sizeof buffers->bytes);
    char *buffer = buffers->bytes[buffers->calls++ % 2];
    memcpy(buffer, content.data, length);
    *key = duress_slice_bytes(buffer, length);
    return length > 0;
}

static void a_key_function_says_what_is_equal(void **state)
{
    struct layer_test *test = *state;
    struct key_buffers buffers = {.calls = 0};
    wrap(test, &(struct duress_cache_layer_options){.key_of = key_before_colon, .context = &buffers});
    ask(test, "a:1");
    struct rig_answer answer = ask(test, "a:2");
    assert_string_equal(answer.text, "re: a:1");
    ask(test, "b:1");
    ask(test, "a:3");
    assert_int_equal(test->service.begun, 2);
    ask(test, ":1");
    ask(test, ":1");
    assert_int_equal(test->service.begun, 4);
    assert_int_equal(counts_of(test).passed, 2);
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text(":1", &request), DURESS_OK);
    assert_false(duress_cache_invalidate(test->agent, request));
    duress_message_unref(request);
    assert_int_equal(duress_message_text("b:7", &request), DURESS_OK);
    assert_true(duress_cache_invalidate(test->agent, request));
    duress_message_unref(request);
    ask(test, "b:1");
    assert_int_equal(test->service.begun, 5);
    layer_test_close(test);
}

/* --- bounds --- */

static void the_least_recently_used_reply_goes(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.entries_max = 2}});
    ask(test, "a");
    ask(test, "b");
    ask(test, "a");
    ask(test, "c");
    assert_int_equal(test->service.begun, 3);
    ask(test, "a");
    assert_int_equal(test->service.begun, 3);
    ask(test, "b");
    assert_int_equal(test->service.begun, 4);
    assert_int_equal(counts_of(test).cache.entries, 2);
    assert_int_equal(counts_of(test).cache.evicted, 2);
    layer_test_close(test);
}

static void a_reply_that_is_too_large_passes_through(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    ask(test, "12345678");
    uint64_t bytes = counts_of(test).cache.bytes; /* key and reply grow by one each with each letter */
    duress_agent_unref(test->agent);
    wrap(test, &(struct duress_cache_layer_options){.cache = {.bytes_max = bytes}});
    ask(test, "12345678");
    assert_int_equal(counts_of(test).cache.bytes, bytes);
    struct rig_answer answer = ask(test, "123456789");
    assert_string_equal(answer.text, "re: 123456789");
    assert_int_equal(counts_of(test).cache.too_large, 1);
    assert_int_equal(counts_of(test).cache.entries, 1);
    ask(test, "12345678");
    assert_int_equal(counts_of(test).hits, 1);
    ask(test, "1234"); /* no room for both */
    assert_int_equal(counts_of(test).cache.evicted, 1);
    assert_int_equal(counts_of(test).cache.bytes, bytes - 8);
    layer_test_close(test);
}

static void no_more_calls_wait_than_allowed(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[2];
    wrap(test, &(struct duress_cache_layer_options){.cache = {.waiting_max = 2}});
    takes(&test->service, DURESS_S);
    begin_all(test, answers, 2);
    struct rig_answer third = ask(test, "y");
    assert_int_equal(third.error, DURESS_E_BULKHEAD_FULL);
    assert_int_equal(third.failure.origin, DURESS_ORIGIN_CACHE);
    assert_false(third.failure.ambiguous);
    assert_non_null(strstr(third.failure.detail, "waiting_max"));
    rig_run_until_ended(&test->rig, &answers[1]);
    assert_int_equal(counts_of(test).calls.refused, 1);
    assert_int_equal(ask(test, "y").error, DURESS_OK);
    layer_test_close(test);
}

/* --- forgetting --- */

static void forget(struct layer_test *test, const char *text, bool known)
{
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text(text, &request), DURESS_OK);
    assert_int_equal(duress_cache_invalidate(test->agent, request), known);
    duress_message_unref(request);
}

static void one_key_or_all_may_be_forgotten(void **state)
{
    struct layer_test *test = *state;
    wrap(test, NULL);
    ask(test, "a");
    ask(test, "b");
    forget(test, "a", true);
    forget(test, "a", false);
    ask(test, "b");
    assert_int_equal(test->service.begun, 2);
    ask(test, "a");
    assert_int_equal(test->service.begun, 3);
    duress_cache_clear(test->agent);
    assert_int_equal(counts_of(test).cache.entries, 0);
    assert_int_equal(counts_of(test).cache.bytes, 0);
    assert_int_equal(counts_of(test).cache.invalidated, 3);
    ask(test, "a");
    assert_int_equal(test->service.begun, 4);
    layer_test_close(test);
}

/* agenkit keeps a value that was on its way when its key was invalidated (C3). */
static void what_is_forgotten_in_flight_answers_its_callers_and_is_not_kept(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer before[2];
    struct rig_answer after = {.ended = 0};
    wrap(test, NULL);
    takes(&test->service, DURESS_S);
    begin_all(test, before, 2);
    rig_run_for(&test->rig, 300 * DURESS_MS);
    forget(test, "x", true);
    rig_ask_by(test->agent, "x", 0, true, &after);
    assert_int_equal(test->service.begun, 2);
    rig_run_until_ended(&test->rig, &before[1]);
    assert_string_equal(before[0].text, "re: x");
    assert_int_equal(counts_of(test).cache.entries, 0);
    rig_run_until_ended(&test->rig, &after);
    assert_int_equal(after.ended_ns - after.started_ns, DURESS_S);
    assert_int_equal(counts_of(test).cache.entries, 1);
    layer_test_close(test);
}

/* --- memory, building --- */

static void a_hit_allocates_nothing_and_a_miss_neither_once_entries_were_freed(void **state)
{
    struct layer_test *test = *state;
    wrap(test, &(struct duress_cache_layer_options){.cache = {.entries_max = 1}});
    test->service.at_once = true;
    ask(test, "a");
    ask(test, "b");
    ask(test, "c");
    uint64_t before = test->rig.heap.allocation_count;
    for (int i = 0; i < 100; i++)
        ask(test, "c");
    assert_int_equal(counts_of(test).hits, 100);
    assert_int_equal(test->rig.heap.allocation_count - before, 100); /* the requests, made by this test */
    before = test->rig.heap.allocation_count;
    for (int i = 0; i < 100; i++)
        ask(test, i % 2 == 0 ? "a" : "b");
    assert_int_equal(counts_of(test).hits, 100);
    assert_int_equal(test->rig.heap.allocation_count - before, 200); /* and the service's replies */
    layer_test_close(test);
}

static bool any_failure(void *context, const struct duress_failure *failure)
{
    (void)context;
    return failure->code != DURESS_OK;
}

static struct duress_message *as_it_is(void *context, const struct duress_cache_stale *stale)
{
    (void)context;
    (void)stale;
    return NULL;
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    const struct {
        struct duress_cache_layer_options options;
        const char *field;
    } cases[] = {
        {{.cache = {.ttl_ns = DURESS_CACHE_TTL_NS_MAX + 1}}, "cache.ttl_ns"},
        {{.flight_limit_ns = DURESS_CACHE_TTL_NS_MAX + 1}, "flight_limit_ns"},
        {{.stale_if = any_failure}, "stale_if"},
        {{.on_stale = as_it_is}, "on_stale"},
    };
    struct duress_failure why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(duress_with_cache(test->service.agent, &cases[i].options, &test->agent, &why),
                         DURESS_E_INVALID);
        assert_non_null(strstr(why.detail, cases[i].field));
    }
    assert_int_equal(duress_with_cache(NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_cache(test->service.agent, NULL, NULL, NULL), DURESS_E_INVALID);
    layer_test_close(test);
}

static void an_agent_without_cache_has_nothing_to_say(void **state)
{
    struct layer_test *test = *state;
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text("x", &request), DURESS_OK);
    assert_false(duress_cache_invalidate(test->service.agent, request));
    duress_message_unref(request);
    duress_cache_clear(test->service.agent);
    assert_int_equal(duress_cache_counts(test->service.agent).calls.begun, 0);
    layer_test_close(test);
}

static bool no_key(void *context, struct duress_message *request, struct duress_slice *key)
{
    (void)context;
    (void)request;
    (void)key;
    return false;
}

static void what_is_no_key_names_no_reply(void **state)
{
    struct layer_test *test = *state;
    struct duress_message *request = NULL;
    struct duress_cache_layer_options options = {.key_of = no_key};
    assert_int_equal(duress_with_cache(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
    assert_int_equal(duress_message_text("x", &request), DURESS_OK);
    assert_false(duress_cache_invalidate(test->agent, request));
    assert_false(duress_cache_invalidate(test->agent, NULL));
    duress_message_unref(request);
    layer_test_close(test);
}

static void a_cache_that_has_no_memory_says_so(void **state)
{
    struct layer_test *test = *state;
    for (uint64_t after = 0; after < 2; after++) { /* for itself, and for its table */
        for (int told = 0; told < 2; told++) {
            struct duress_failure why = {.code = DURESS_OK};
            test->rig.heap.fail_after = test->rig.heap.allocation_count + after;
            assert_int_equal(duress_with_cache(test->service.agent, NULL, &test->agent, told ? &why : NULL),
                             DURESS_E_NO_MEMORY);
            assert_int_equal(why.code, told ? DURESS_E_NO_MEMORY : DURESS_OK);
        }
    }
    test->rig.heap.fail_after = UINT64_MAX;
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_hit_answers_at_once_without_asking, cache_test_setup),
        cmocka_unit_test_setup(a_reply_lives_as_long_as_configured, cache_test_setup),
        cmocka_unit_test_setup(dead_entries_go_as_calls_come, cache_test_setup),
        cmocka_unit_test_setup(only_idempotent_calls_use_it_by_default, cache_test_setup),
        cmocka_unit_test_setup(all_calls_use_it_where_asked_for, cache_test_setup),
        cmocka_unit_test_setup(streams_pass_through_in_whole, cache_test_setup),
        cmocka_unit_test_setup(passing_calls_keep_their_deadline_and_may_be_cancelled, cache_test_setup),
        cmocka_unit_test_setup(failures_are_not_kept, cache_test_setup),
        cmocka_unit_test_setup(role_content_and_metadata_are_the_key_and_time_is_not, cache_test_setup),
        cmocka_unit_test_setup(a_key_function_says_what_is_equal, cache_test_setup),
        cmocka_unit_test_setup(the_least_recently_used_reply_goes, cache_test_setup),
        cmocka_unit_test_setup(a_reply_that_is_too_large_passes_through, cache_test_setup),
        cmocka_unit_test_setup(no_more_calls_wait_than_allowed, cache_test_setup),
        cmocka_unit_test_setup(one_key_or_all_may_be_forgotten, cache_test_setup),
        cmocka_unit_test_setup(what_is_forgotten_in_flight_answers_its_callers_and_is_not_kept, cache_test_setup),
        cmocka_unit_test_setup(a_hit_allocates_nothing_and_a_miss_neither_once_entries_were_freed, cache_test_setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, cache_test_setup),
        cmocka_unit_test_setup(an_agent_without_cache_has_nothing_to_say, cache_test_setup),
        cmocka_unit_test_setup(what_is_no_key_names_no_reply, cache_test_setup),
        cmocka_unit_test_setup(a_cache_that_has_no_memory_says_so, cache_test_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
