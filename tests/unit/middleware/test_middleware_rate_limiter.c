/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/rate_limiter.h>

static struct layer_test the_test;
static struct rig_answer answers[64];

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    memset(answers, 0, sizeof answers);
    return 0;
}

/* 10 a second, 2 at once, unless told otherwise. */
static void wrap(struct layer_test *test, struct duress_rate_limiter_options options)
{
    if (options.shared == NULL) {
        options.bucket.rate = 10;
        options.bucket.burst = 2;
    }
    assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static void refuse(struct layer_test *test)
{
    wrap(test, (struct duress_rate_limiter_options){.limit = {.mode = DURESS_RATE_LIMIT_REFUSE}});
}

static struct duress_rate_limiter_counts counts_of(const struct layer_test *test)
{
    struct duress_rate_limiter_counts counts = duress_rate_limiter_counts(test->agent);
    uint64_t refused = 0;
    for (int reason = 0; reason < DURESS_RATE_REASON_COUNT; reason++)
        refused += counts.refused_by[reason];
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.refused, refused);
    return counts;
}

static void ask_many(struct layer_test *test, int count)
{
    for (int i = 0; i < count; i++)
        rig_ask(test->agent, (const char[2]){(char)('a' + i), '\0'}, &answers[i]);
}

static void the_burst_passes_and_the_rest_waits_its_turn(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 7);
    assert_int_equal(test->service.begun, 2);
    assert_int_equal(counts_of(test).waiting, 5);
    assert_int_equal(counts_of(test).calls.in_flight, 7);
    rig_run_dry(&test->rig);
    for (int i = 0; i < 7; i++) {
        uint64_t turn_ns = i < 2 ? 0 : (uint64_t)(i - 1) * 100 * DURESS_MS;
        assert_int_equal(test->service.begun_ns[i] - began_ns, turn_ns);
        assert_int_equal(answers[i].error, DURESS_OK);
        assert_int_equal(answers[i].ended_ns - began_ns, turn_ns); /* in order: nobody was passed */
    }
    struct duress_rate_limiter_counts counts = counts_of(test);
    assert_int_equal(counts.calls.succeeded, 7);
    assert_int_equal(counts.waiting, 0);
    assert_int_equal(counts.waited, 5);
    assert_int_equal(counts.waited_ns, (100 + 200 + 300 + 400 + 500) * DURESS_MS);
    assert_int_equal(counts.waited_ns_max, 500 * DURESS_MS);
    layer_test_close(test);
}

/* agenkit wakes all who wait at once; all but one find no token and fail (L1). */
static void many_waiters_at_a_bucket_of_one_all_get_their_turn_l1(void **state)
{
    struct layer_test *test = *state;
    struct duress_rate_limiter_options options = {.bucket = {.rate = 3, .burst = 1}};
    assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 25);
    rig_run_dry(&test->rig);
    for (uint64_t i = 0; i < 25; i++)
        assert_int_equal(test->service.begun_ns[i] - began_ns, i * ((DURESS_S + 2) / 3));
    assert_int_equal(counts_of(test).calls.succeeded, 25);
    layer_test_close(test);
}

/* L5: in agenkit a newcomer may take the token that a waiter has waited for. */
static void a_newcomer_does_not_pass_those_who_wait_l5(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 3);
    rig_run_for(&test->rig, 99 * DURESS_MS);
    rig_ask(test->agent, "late", &answers[3]);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[2].ended_ns - began_ns, 100 * DURESS_MS);
    assert_int_equal(answers[3].ended_ns - began_ns, 200 * DURESS_MS);
    layer_test_close(test);
}

static void refusing_says_when_to_come_back_and_asks_nobody(void **state)
{
    struct layer_test *test = *state;
    refuse(test);
    ask_many(test, 5);
    assert_int_equal(test->service.begun, 2);
    rig_run_dry(&test->rig);
    for (int i = 2; i < 5; i++) {
        assert_int_equal(answers[i].error, DURESS_E_RATE_LIMITED);
        assert_int_equal(answers[i].failure.origin, DURESS_ORIGIN_LIMITER);
        assert_int_equal(answers[i].failure.retry_after_ns, 100 * DURESS_MS);
        assert_string_equal(answers[i].failure.detail, "no tokens left");
        assert_false(answers[i].failure.ambiguous);
    }
    rig_run_for(&test->rig, 30 * DURESS_MS);
    assert_int_equal(layer_test_ask(test, "x", 0, false).failure.retry_after_ns, 70 * DURESS_MS);
    rig_run_for(&test->rig, 70 * DURESS_MS);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK);
    assert_int_equal(counts_of(test).refused_by[DURESS_RATE_BY_RATE], 4);
    layer_test_close(test);
}

static void a_call_that_cannot_get_its_tokens_in_time_is_refused_at_once(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 4); /* two pass, and two wait for 100 and 200 ms */
    struct rig_answer late = layer_test_ask(test, "late", began_ns + 300 * DURESS_MS, false);
    assert_int_equal(late.error, DURESS_E_RATE_LIMITED);
    assert_int_equal(late.ended_ns, began_ns);
    assert_int_equal(late.failure.retry_after_ns, 300 * DURESS_MS);
    assert_string_equal(late.failure.detail, "the tokens would come after the deadline");
    struct rig_answer timely = layer_test_ask(test, "timely", began_ns + 300 * DURESS_MS + 1, false);
    assert_int_equal(timely.error, DURESS_OK);
    assert_int_equal(timely.ended_ns, began_ns + 300 * DURESS_MS);
    assert_int_equal(counts_of(test).refused_by[DURESS_RATE_BY_DEADLINE], 1);
    layer_test_close(test);
}

static void the_queue_and_the_wait_are_bounded_l4(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.limit = {.waiting_max = 3, .wait_ns_max = 250 * DURESS_MS}});
    ask_many(test, 6);
    rig_run_until_ended(&test->rig, &answers[4]); /* the third to wait would do so for 300 ms */
    rig_run_until_ended(&test->rig, &answers[5]);
    assert_string_equal(answers[4].failure.detail, "the tokens would come too late");
    assert_int_equal(answers[4].failure.retry_after_ns, 300 * DURESS_MS);
    assert_int_equal(counts_of(test).refused_by[DURESS_RATE_BY_WAIT], 2);
    rig_run_dry(&test->rig);
    duress_agent_unref(test->agent);
    memset(answers, 0, sizeof answers);
    wrap(test, (struct duress_rate_limiter_options){.limit = {.waiting_max = 3}});
    ask_many(test, 6);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[4].error, DURESS_OK);
    assert_string_equal(answers[5].failure.detail, "too many calls wait for tokens");
    assert_int_equal(answers[5].failure.retry_after_ns, 400 * DURESS_MS);
    assert_int_equal(counts_of(test).refused_by[DURESS_RATE_BY_QUEUE], 1);
    layer_test_close(test);
}

static void a_cancelled_waiter_gives_its_place_to_the_next(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 6);
    rig_run_for(&test->rig, 50 * DURESS_MS);
    duress_call_cancel(answers[2].call); /* the first in the queue */
    duress_call_cancel(answers[4].call); /* one in the middle */
    rig_run_dry(&test->rig);
    assert_int_equal(answers[2].error, DURESS_E_CANCELLED);
    assert_int_equal(answers[4].error, DURESS_E_CANCELLED);
    assert_int_equal(answers[3].ended_ns - began_ns, 100 * DURESS_MS);
    assert_int_equal(answers[5].ended_ns - began_ns, 200 * DURESS_MS);
    assert_int_equal(counts_of(test).calls.cancelled, 2);
    assert_int_equal(counts_of(test).waited, 2);
    assert_int_equal(test->service.begun, 4);
    layer_test_close(test);
}

/* No timer is left, and the token that nobody waits for any more stays in the bucket. */
static void the_last_waiter_cancelled_leaves_nothing_behind(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    ask_many(test, 3);
    rig_run_for(&test->rig, 50 * DURESS_MS);
    duress_call_cancel(answers[2].call);
    uint64_t cancelled_ns = rig_now_ns(&test->rig);
    rig_run_dry(&test->rig);
    assert_int_equal(rig_now_ns(&test->rig), cancelled_ns);
    rig_run_for(&test->rig, 50 * DURESS_MS);
    assert_int_equal(duress_bucket_tokens(duress_rate_limiter_bucket(test->agent), rig_now_ns(&test->rig)), 1);
    assert_int_equal(layer_test_ask(test, "x", 0, false).ended_ns, cancelled_ns + 50 * DURESS_MS);
    layer_test_close(test);
}

/* The caller's own deadline is kept while it waits, where others took what it was promised. */
static void a_shared_bucket_may_break_its_promise_but_no_deadline(void **state)
{
    struct layer_test *test = *state;
    struct duress_bucket shared;
    struct duress_bucket_options bucket = {.rate = 10, .burst = 2};
    assert_int_equal(duress_bucket_init(&shared, &bucket, NULL), DURESS_OK);
    wrap(test, (struct duress_rate_limiter_options){.shared = &shared});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 2);
    rig_ask_by(test->agent, "early", began_ns + 150 * DURESS_MS, false, &answers[2]);
    rig_ask_by(test->agent, "behind", began_ns + 250 * DURESS_MS, false, &answers[3]);
    rig_ask(test->agent, "patient", &answers[4]);
    assert_int_equal(counts_of(test).waiting, 3);
    assert_true(
        duress_bucket_acquire(&shared, 1, began_ns + 100 * DURESS_MS, NULL)); /* somebody else's clock is fast */
    rig_run_until_ended(&test->rig, &answers[2]);
    assert_int_equal(answers[2].error, DURESS_E_RATE_LIMITED);
    assert_int_equal(answers[2].ended_ns - began_ns, 100 * DURESS_MS);
    assert_int_equal(answers[2].failure.retry_after_ns, 100 * DURESS_MS);
    assert_true(duress_bucket_acquire(&shared, 1, began_ns + 200 * DURESS_MS, NULL));
    rig_run_dry(&test->rig);
    assert_int_equal(answers[3].error, DURESS_E_RATE_LIMITED);
    assert_int_equal(answers[4].error, DURESS_OK);
    assert_int_equal(answers[4].ended_ns - began_ns, 300 * DURESS_MS);
    assert_int_equal(counts_of(test).refused_by[DURESS_RATE_BY_DEADLINE], 2);
    layer_test_close(test);
}

static void queues_that_share_a_bucket_take_turns(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *all[3];
    struct duress_bucket shared;
    struct duress_bucket_options bucket = {.rate = 10, .burst = 1};
    assert_int_equal(duress_bucket_init(&shared, &bucket, NULL), DURESS_OK);
    for (int i = 0; i < 3; i++) {
        struct duress_rate_limiter_options options = {.shared = &shared};
        assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &all[i], NULL), DURESS_OK);
    }
    assert_ptr_equal(duress_rate_limiter_bucket(all[2]), &shared);
    for (int i = 0; i < 30; i++) /* the first queue is long before the others begin */
        rig_ask(all[i < 10 ? 0 : i < 20 ? 1 : 2], "x", &answers[i]);
    rig_run_for(&test->rig, 1650 * DURESS_MS);
    for (int i = 0; i < 3; i++) /* 17 tokens: the first at once, then in turns */
        assert_int_equal(duress_rate_limiter_counts(all[i]).calls.succeeded, i == 0 ? 7 : 5);
    rig_run_dry(&test->rig);
    for (int i = 0; i < 30; i++)
        assert_int_equal(answers[i].error, DURESS_OK);
    for (int i = 0; i < 3; i++)
        duress_agent_unref(all[i]);
    layer_test_close(test);
}

static void a_deadline_that_passes_while_waiting_names_the_limiter(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *limited = NULL;
    struct duress_timeout_options timeout = {.limit_ns = 50 * DURESS_MS};
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    limited = test->agent;
    ask_many(test, 3);
    /* A limit from above that does not travel as a deadline: the gap between chunks. */
    timeout.gap_ns = 50 * DURESS_MS;
    timeout.limit_ns = DURESS_S;
    assert_int_equal(duress_with_timeout(limited, &timeout, &test->agent, NULL), DURESS_OK);
    duress_agent_unref(limited);
    rig_ask_stream(test->agent, "x", 0, &answers[3]);
    rig_run_until_ended(&test->rig, &answers[3]);
    assert_int_equal(answers[3].error, DURESS_E_DEADLINE);
    assert_string_equal(answers[3].failure.detail, "50 ms passed without a chunk while waiting for the rate limiter");
    assert_int_equal(duress_rate_limiter_counts(test->agent).calls.timed_out, 1);
    rig_run_dry(&test->rig);
    layer_test_close(test);
}

static void a_stream_goes_through(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    test->service.chunk_count = 2;
    service_fails(&test->service, 1, DURESS_E_RESET, true);
    rig_ask_stream(test->agent, "x", 0, &answers[0]);
    rig_run_until_ended(&test->rig, &answers[0]);
    assert_string_equal(answers[0].chunks, "1 x,2 x,");
    assert_int_equal(answers[0].error, DURESS_E_RESET);
    assert_int_equal(counts_of(test).calls.failed, 1);
    layer_test_close(test);
}

static void cancel_all(struct rig_answer *answer, void *context)
{
    struct layer_test *test = context;
    (void)answer;
    for (int i = 3; i < 6; i++)
        duress_call_cancel(answers[i].call);
    duress_agent_unref(test->agent); /* the layer's last reference, inside its own timer */
    test->agent = NULL;
}

/* A refusal from the timer tells the caller at once, who may take everything down. */
static void a_caller_may_end_it_all_when_it_is_refused(void **state)
{
    struct layer_test *test = *state;
    struct duress_bucket shared;
    struct duress_bucket_options bucket = {.rate = 10, .burst = 2};
    assert_int_equal(duress_bucket_init(&shared, &bucket, NULL), DURESS_OK);
    wrap(test, (struct duress_rate_limiter_options){.shared = &shared});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test, 2);
    answers[2].then = cancel_all;
    answers[2].then_context = test;
    rig_ask_by(test->agent, "x", began_ns + 150 * DURESS_MS, false, &answers[2]);
    for (int i = 3; i < 6; i++)
        rig_ask(test->agent, "x", &answers[i]);
    rig_run_for(&test->rig, 50 * DURESS_MS);
    assert_true(duress_bucket_acquire(&shared, 1, began_ns + 100 * DURESS_MS, NULL));
    rig_run_dry(&test->rig);
    assert_int_equal(answers[2].error, DURESS_E_RATE_LIMITED);
    for (int i = 3; i < 6; i++)
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    assert_int_equal(rig_now_ns(&test->rig), began_ns + 100 * DURESS_MS);
    layer_test_close(test);
}

/* --- memory --- */

/* Stands outside of the limiter, and from each call on leaves those inside with little memory and no more to come. */
struct hog {
    struct duress_agent base;
    struct duress_agent *inner;
    struct probe_heap *heap;
    size_t bytes; /* of the call's block, taken away in halves: a large piece would have memory of its own */
};

static void hog_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    duress_call_pass(context, result);
}

static void hog_process(struct duress_agent *agent, struct duress_call *call)
{
    struct hog *hog = (struct hog *)agent;
    struct duress_child child = {.agent = hog->inner, .on_end = hog_ended, .context = call};
    struct duress_failure failure;
    hog->heap->fail_after = hog->heap->allocation_count;
    bool hogged = true;
    for (int half = 0; half < 2 && hogged; half++)
        hogged = duress_call_allocate(call, hog->bytes / 2) != NULL;
    if (hogged && duress_call_begin(call, &child, NULL) == DURESS_OK)
        return;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    duress_call_fail(call, &failure);
}

/* Without memory for the state of a call, or for the inner call, at once or when its tokens have come: the call ends,
 * and its tokens are in the bucket as if it had never been. Returns how often that happened. */
static int hog_all(struct layer_test *test, struct hog *hog, uint32_t tokens_before)
{
    int count = 0;
    for (hog->bytes = 64; hog->bytes < 4000; hog->bytes += 32) {
        struct rig_answer answer = {.ended = 0};
        rig_run_for(&test->rig, DURESS_S);
        for (uint32_t i = tokens_before; i < 2; i++)
            layer_test_ask(test, "takes one", 0, false);
        rig_ask(&hog->base, "x", &answer);
        rig_run_dry(&test->rig);
        hog->heap->fail_after = UINT64_MAX;
        assert_int_equal(answer.ended, 1);
        if (answer.error == DURESS_OK || answer.failure.origin != DURESS_ORIGIN_LIMITER)
            continue; /* the hog itself had no memory, or the service */
        assert_int_equal(answer.error, DURESS_E_NO_MEMORY);
        assert_false(answer.failure.ambiguous);
        bool at_once = answer.ended_ns == answer.started_ns;
        assert_int_equal(duress_bucket_tokens(duress_rate_limiter_bucket(test->agent), answer.ended_ns),
                         at_once ? tokens_before : 1);
        count += at_once == (tokens_before > 0);
    }
    return count;
}

static void without_memory_the_tokens_stay_in_the_bucket(void **state)
{
    struct layer_test *test = *state;
    static const struct duress_agent_ops ops = {.process = hog_process};
    struct hog hog = {.heap = &test->rig.heap};
    wrap(test, (struct duress_rate_limiter_options){.shared = NULL});
    hog.inner = test->agent;
    duress_agent_init(&hog.base, &ops, test->rig.client, NULL, "hog");
    assert_true(hog_all(test, &hog, 2) > 10);
    assert_true(hog_all(test, &hog, 0) > 10); /* after a wait */
    struct duress_rate_limiter_counts counts = counts_of(test);
    assert_true(counts.refused_by[DURESS_RATE_BY_NOTHING] > 20);
    assert_int_equal(counts.waiting, 0);
    layer_test_close(test);
}

/* Each needs 36 years of tokens: the bucket says of some only that they never get theirs. */
static void tokens_that_never_come_are_not_waited_for(void **state)
{
    struct layer_test *test = *state;
    enum { TOKENS = 13000, CALLS = 20 };
    struct duress_rate_limiter_options options = {
        .bucket = {.rate = 1, .burst = TOKENS, .per_ns = DURESS_BUCKET_PER_NS_MAX},
        .limit = {.tokens_per_request = TOKENS},
    };
    assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
    ask_many(test, CALLS);
    rig_run_for(&test->rig, 0);
    assert_int_equal(answers[0].error, DURESS_OK);
    assert_int_equal(answers[CALLS - 1].error, DURESS_E_RATE_LIMITED);
    assert_int_equal(answers[CALLS - 1].failure.retry_after_ns, 0);
    struct duress_rate_limiter_counts counts = counts_of(test);
    assert_true(counts.waiting > 0);
    assert_int_equal(counts.refused_by[DURESS_RATE_BY_DEADLINE], CALLS - 1 - counts.waiting);
    for (int i = 1; i < CALLS; i++)
        if (answers[i].call != NULL)
            duress_call_cancel(answers[i].call);
    layer_test_close(test);
}

static void an_agent_without_a_limiter_has_no_counts(void **state)
{
    struct layer_test *test = *state;
    assert_int_equal(duress_rate_limiter_counts(test->service.agent).calls.begun, 0);
    assert_null(duress_rate_limiter_bucket(test->service.agent));
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_bucket shared;
    struct duress_failure why;
    struct duress_rate_limiter_options options = {.bucket = {.rate = 1000001}};
    assert_int_equal(duress_bucket_init(&shared, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "bucket.rate"));
    options = (struct duress_rate_limiter_options){.limit = {.tokens_per_request = 11}};
    assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "rate_limit.tokens_per_request: 11 given, allowed 1 to 10");
    static const struct duress_bucket_options not_zero[] = {{.rate = 1}, {.burst = 1}, {.per_ns = DURESS_S}};
    for (int i = 0; i < 3; i++) {
        options = (struct duress_rate_limiter_options){.bucket = not_zero[i], .shared = &shared};
        assert_int_equal(duress_with_rate_limiter(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, "bucket: must be all zero where a shared bucket is given");
    }
    assert_int_equal(duress_with_rate_limiter(NULL, NULL, &test->agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_rate_limiter(test->service.agent, NULL, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_rate_limiter(test->service.agent, NULL, &test->agent, &why), DURESS_OK);
    ask_many(test, 11);
    assert_int_equal(counts_of(test).waiting, 1); /* ten at once by default */
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_burst_passes_and_the_rest_waits_its_turn, setup),
        cmocka_unit_test_setup(many_waiters_at_a_bucket_of_one_all_get_their_turn_l1, setup),
        cmocka_unit_test_setup(a_newcomer_does_not_pass_those_who_wait_l5, setup),
        cmocka_unit_test_setup(refusing_says_when_to_come_back_and_asks_nobody, setup),
        cmocka_unit_test_setup(a_call_that_cannot_get_its_tokens_in_time_is_refused_at_once, setup),
        cmocka_unit_test_setup(the_queue_and_the_wait_are_bounded_l4, setup),
        cmocka_unit_test_setup(a_cancelled_waiter_gives_its_place_to_the_next, setup),
        cmocka_unit_test_setup(the_last_waiter_cancelled_leaves_nothing_behind, setup),
        cmocka_unit_test_setup(a_shared_bucket_may_break_its_promise_but_no_deadline, setup),
        cmocka_unit_test_setup(queues_that_share_a_bucket_take_turns, setup),
        cmocka_unit_test_setup(a_deadline_that_passes_while_waiting_names_the_limiter, setup),
        cmocka_unit_test_setup(a_stream_goes_through, setup),
        cmocka_unit_test_setup(a_caller_may_end_it_all_when_it_is_refused, setup),
        cmocka_unit_test_setup(without_memory_the_tokens_stay_in_the_bucket, setup),
        cmocka_unit_test_setup(an_agent_without_a_limiter_has_no_counts, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(tokens_that_never_come_are_not_waited_for, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
