/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch agent: who goes with which batch and when, and what each caller gets. */
#include "layer_test.h"

#include <stdio.h>
#include <string.h>

#include <duress/middleware/batch.h>

enum { CALLER_COUNT = 8, RUN_COUNT = 16 };

/* A batch function that keeps what it was given, and the test answers. */
struct desk {
    struct rig rig;
    struct duress_agent *agent;
    struct duress_batch_run *runs[RUN_COUNT];
    uint64_t begun_ns[RUN_COUNT];
    size_t run_count;
    uint32_t abandoned;
    struct rig_answer answers[CALLER_COUNT];
};

static struct desk the_desk;

static void desk_begin(void *context, struct duress_batch_run *run)
{
    struct desk *desk = context;
    assert_true(desk->run_count < RUN_COUNT);
    assert_null(run->state);
    desk->begun_ns[desk->run_count] = rig_now_ns(&desk->rig);
    desk->runs[desk->run_count++] = run;
}

static void desk_abandon(void *context, struct duress_batch_run *run)
{
    struct desk *desk = context;
    assert_false(duress_batch_run_is_wanted(run, 0));
    desk->abandoned++;
}

static struct duress_message *text_message(const char *text)
{
    struct duress_message *message = NULL;
    assert_int_equal(duress_message_text(text, &message), DURESS_OK);
    return message;
}

static void reply_text(struct duress_batch_run *run, size_t index, const char *text)
{
    struct duress_message *reply = text_message(text);
    duress_batch_run_reply(run, index, reply);
    duress_message_unref(reply);
}

/* Answers all with the request, in reverse order. */
static void echo_all(void *context, struct duress_batch_run *run)
{
    (void)context;
    for (size_t i = run->count; i > 0; i--)
        duress_batch_run_reply(run, i - 1, run->requests[i - 1]);
    duress_batch_run_end(run);
}

static void open_with(struct desk *desk, const struct duress_batch_agent_options *options)
{
    memset(desk, 0, sizeof *desk);
    rig_open(&desk->rig, 0);
    assert_int_equal(duress_batch_new(desk->rig.client, "desk", options, &desk->agent, NULL), DURESS_OK);
}

static struct desk *desk_open(void **state, struct duress_batch_options batch)
{
    struct duress_batch_agent_options options = {
        .batch = batch, .begin = desk_begin, .abandon = desk_abandon, .context = &the_desk};
    (void)state;
    open_with(&the_desk, &options);
    return &the_desk;
}

static struct duress_batch_counts counts_of(const struct desk *desk)
{
    struct duress_batch_counts counts = duress_batch_counts(desk->agent);
    assert_balanced(counts.calls);
    return counts;
}

static void desk_close(struct desk *desk)
{
    duress_agent_unref(desk->agent);
    rig_run_dry(&desk->rig);
    rig_close(&desk->rig);
}

static void ask_by(struct desk *desk, int index, uint64_t deadline_ns)
{
    char text[] = {(char)('a' + index), '\0'};
    memset(&desk->answers[index], 0, sizeof desk->answers[index]);
    rig_ask_by(desk->agent, text, deadline_ns, true, &desk->answers[index]);
}

static void ask_some(struct desk *desk, int first, int end)
{
    for (int i = first; i < end; i++)
        ask_by(desk, i, 0);
}

static void run_has(const struct duress_batch_run *run, const char *texts)
{
    assert_int_equal(run->count, strlen(texts));
    for (size_t i = 0; i < run->count; i++) {
        struct duress_slice content = duress_message_content(run->requests[i]);
        assert_int_equal(content.length, 1);
        assert_int_equal(content.data[0], texts[i]);
    }
}

/* --- when --- */

static void a_full_batch_goes_at_once_but_not_inside_a_call(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    ask_some(desk, 0, 3);
    assert_int_equal(desk->run_count, 0);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->run_count, 1);
    run_has(desk->runs[0], "abc");
    assert_true(desk->runs[0]->idempotent);
    assert_int_equal(desk->runs[0]->deadline_ns, DURESS_TIME_NEVER);
    echo_all(NULL, desk->runs[0]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(desk->answers[i].text[0], 'a' + i);
    struct duress_batch_counts counts = counts_of(desk);
    assert_int_equal(counts.batches, 1);
    assert_int_equal(counts.batches_full, 1);
    assert_int_equal(counts.items, 3);
    assert_int_equal(counts.calls.succeeded, 3);
    assert_int_equal(counts.in_flight, 0);
    desk_close(desk);
}

static void a_batch_goes_when_its_first_item_has_waited_long_enough(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.wait_ns = 50 * DURESS_MS});
    uint64_t begun_ns = rig_now_ns(&desk->rig);
    ask_some(desk, 0, 1);
    rig_run_for(&desk->rig, 20 * DURESS_MS);
    ask_some(desk, 1, 2);
    rig_run_for(&desk->rig, 100 * DURESS_MS);
    assert_int_equal(desk->run_count, 1);
    assert_int_equal(desk->begun_ns[0], begun_ns + 50 * DURESS_MS);
    run_has(desk->runs[0], "ab");
    ask_some(desk, 2, 3); /* not with the batch that is out */
    echo_all(NULL, desk->runs[0]);
    rig_run_for(&desk->rig, 50 * DURESS_MS);
    run_has(desk->runs[1], "c");
    echo_all(NULL, desk->runs[1]);
    struct duress_batch_counts counts = counts_of(desk);
    assert_int_equal(counts.batches_full, 0);
    assert_int_equal(counts.waited_ns, (50 + 30 + 50) * DURESS_MS);
    assert_int_equal(counts.items_least, 1);
    assert_int_equal(counts.items_most, 2);
    desk_close(desk);
}

static void an_item_with_little_time_takes_its_batch_with_it(void **state)
{
    struct desk *desk =
        desk_open(state, (struct duress_batch_options){.wait_ns = DURESS_S, .margin_ns = 100 * DURESS_MS});
    uint64_t now_ns = rig_now_ns(&desk->rig);
    ask_some(desk, 0, 1);
    ask_by(desk, 1, now_ns + 300 * DURESS_MS);
    rig_run_for(&desk->rig, 250 * DURESS_MS);
    assert_int_equal(desk->run_count, 1);
    assert_int_equal(desk->begun_ns[0], now_ns + 200 * DURESS_MS);
    echo_all(NULL, desk->runs[0]);
    assert_int_equal(desk->answers[1].error, DURESS_OK);
    ask_by(desk, 2, rig_now_ns(&desk->rig) + 1); /* has no time to wait at all */
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->run_count, 2);
    echo_all(NULL, desk->runs[1]);
    desk_close(desk);
}

static void batches_in_flight_are_bounded(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 2, .in_flight_max = 2});
    ask_some(desk, 0, 6);
    rig_run_for(&desk->rig, DURESS_S);
    assert_int_equal(desk->run_count, 2);
    assert_int_equal(counts_of(desk).queued, 2);
    echo_all(NULL, desk->runs[0]);
    rig_run_for(&desk->rig, 0);
    run_has(desk->runs[2], "ef");
    echo_all(NULL, desk->runs[1]);
    echo_all(NULL, desk->runs[2]);
    desk_close(desk);
}

/* agenkit's next batch waits for the one before (Q4). */
static void a_slow_batch_holds_up_no_other(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 1});
    ask_some(desk, 0, 2);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->run_count, 2);
    echo_all(NULL, desk->runs[1]);
    assert_int_equal(desk->answers[1].ended, 1);
    assert_int_equal(desk->answers[0].ended, 0);
    echo_all(NULL, desk->runs[0]);
    desk_close(desk);
}

static void the_queue_is_bounded_and_so_is_an_item(void **state)
{
    struct desk *desk = desk_open(
        state, (struct duress_batch_options){.items_max = 1, .queue_max = 1, .in_flight_max = 1, .bytes_max = 16});
    ask_some(desk, 0, 1);
    rig_run_for(&desk->rig, 0);
    ask_some(desk, 1, 3);
    struct rig_answer large = {.ended = 0};
    rig_ask(desk->agent, "more than sixteen bytes", &large);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->answers[2].error, DURESS_E_BULKHEAD_FULL);
    assert_int_equal(desk->answers[2].failure.origin, DURESS_ORIGIN_BATCH);
    assert_false(desk->answers[2].failure.ambiguous);
    assert_non_null(strstr(desk->answers[2].failure.detail, "queue_max"));
    assert_int_equal(large.error, DURESS_E_TOO_LARGE);
    assert_non_null(strstr(large.failure.detail, "bytes_max"));
    assert_int_equal(counts_of(desk).calls.refused, 2);
    echo_all(NULL, desk->runs[0]);
    rig_run_for(&desk->rig, 0);
    echo_all(NULL, desk->runs[1]);
    desk_close(desk);
}

/* --- what each gets --- */

static void one_bad_item_fails_no_other(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    struct duress_failure failure;
    ask_some(desk, 0, 3);
    rig_run_for(&desk->rig, 0);
    struct duress_batch_run *run = desk->runs[0];
    duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "no such thing");
    duress_batch_run_fail(run, 1, &failure);
    assert_int_equal(desk->answers[1].error, DURESS_E_REMOTE);
    assert_string_equal(desk->answers[1].failure.detail, "no such thing");
    rig_run_for(&desk->rig, DURESS_S); /* the others' answers come when they come */
    reply_text(run, 2, "two");
    reply_text(run, 2, "once more");
    reply_text(run, 7, "nobody");
    reply_text(run, 0, "zero");
    duress_batch_run_end(run);
    assert_string_equal(desk->answers[0].text, "zero");
    assert_string_equal(desk->answers[2].text, "two");
    assert_int_equal(counts_of(desk).calls.failed, 1);
    assert_int_equal(counts_of(desk).calls.succeeded, 2);
    assert_int_equal(counts_of(desk).dropped, 0);
    desk_close(desk);
}

static void a_forgotten_item_is_a_failure_that_says_so(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 4});
    ask_some(desk, 0, 4);
    rig_run_for(&desk->rig, 0);
    reply_text(desk->runs[0], 0, "x");
    duress_batch_run_reply(desk->runs[0], 2, NULL);
    duress_batch_run_fail(desk->runs[0], 3, &(struct duress_failure){.code = DURESS_OK});
    duress_batch_run_end(desk->runs[0]);
    assert_int_equal(desk->answers[0].error, DURESS_OK);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(desk->answers[i].error, DURESS_E_MALFORMED);
        assert_int_equal(desk->answers[i].failure.origin, DURESS_ORIGIN_BATCH);
        assert_true(desk->answers[i].failure.ambiguous);
    }
    assert_string_equal(desk->answers[1].failure.detail, "the batch function forgot item 2 of 4");
    assert_string_equal(desk->answers[2].failure.detail, "the batch function answered item 3 of 4 with nothing");
    assert_int_equal(counts_of(desk).forgotten, 1);
    desk_close(desk);
}

static void a_function_may_answer_at_once(void **state)
{
    (void)state;
    struct desk *desk = &the_desk;
    struct duress_batch_agent_options options = {.batch = {.items_max = 2}, .begin = echo_all};
    open_with(desk, &options);
    ask_some(desk, 0, 6);
    rig_run_for(&desk->rig, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(desk->answers[i].text[0], 'a' + i);
    assert_int_equal(counts_of(desk).batches, 3);
    desk_close(desk);
}

static void a_stream_is_answered_in_whole(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 1});
    struct rig_answer answer = {.ended = 0};
    rig_ask_stream(desk->agent, "x", 0, &answer);
    rig_run_for(&desk->rig, 0);
    assert_false(desk->runs[0]->idempotent);
    reply_text(desk->runs[0], 0, "whole");
    duress_batch_run_end(desk->runs[0]);
    assert_string_equal(answer.text, "whole");
    assert_int_equal(answer.chunk_count, 0);
    desk_close(desk);
}

/* --- who goes --- */

static void who_is_cancelled_before_leaves_the_batch(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3, .wait_ns = 50 * DURESS_MS});
    ask_some(desk, 0, 2);
    rig_run_for(&desk->rig, DURESS_MS);
    duress_call_cancel(desk->answers[0].call);
    assert_int_equal(counts_of(desk).queued, 1);
    rig_run_for(&desk->rig, 100 * DURESS_MS);
    assert_false(desk->answers[0].failure.ambiguous);
    run_has(desk->runs[0], "b");
    echo_all(NULL, desk->runs[0]);
    ask_some(desk, 2, 5); /* full, but for one that goes before it can */
    duress_call_cancel(desk->answers[2].call);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->run_count, 1);
    ask_by(desk, 5, 0);
    duress_call_cancel(desk->answers[3].call);
    duress_call_cancel(desk->answers[4].call);
    duress_call_cancel(desk->answers[5].call);
    rig_run_dry(&desk->rig); /* no timer is left for nobody */
    assert_int_equal(counts_of(desk).calls.cancelled, 5);
    assert_int_equal(desk->run_count, 1);
    desk_close(desk);
}

static void who_is_cancelled_later_gets_nothing_and_fails_no_other(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    ask_some(desk, 0, 3);
    rig_run_for(&desk->rig, DURESS_MS);
    duress_call_cancel(desk->answers[1].call);
    assert_false(duress_batch_run_is_wanted(desk->runs[0], 1));
    assert_true(duress_batch_run_is_wanted(desk->runs[0], 0));
    assert_false(duress_batch_run_is_wanted(desk->runs[0], 3));
    echo_all(NULL, desk->runs[0]);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->answers[0].error, DURESS_OK);
    assert_int_equal(desk->answers[1].error, DURESS_E_CANCELLED);
    assert_true(desk->answers[1].failure.ambiguous);
    assert_int_equal(desk->answers[2].error, DURESS_OK);
    assert_int_equal(counts_of(desk).dropped, 1);
    assert_int_equal(desk->abandoned, 0);
    desk_close(desk);
}

static void a_batch_that_nobody_waits_for_is_abandoned_once(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    uint64_t deadline_ns = rig_now_ns(&desk->rig) + DURESS_S;
    ask_by(desk, 0, deadline_ns);
    ask_by(desk, 1, deadline_ns + DURESS_S);
    ask_by(desk, 2, deadline_ns);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->runs[0]->deadline_ns, deadline_ns + DURESS_S);
    reply_text(desk->runs[0], 0, "in time");
    rig_run_for(&desk->rig, DURESS_S);
    assert_int_equal(desk->answers[2].error, DURESS_E_DEADLINE);
    assert_string_equal(desk->answers[2].failure.detail, "the call's deadline passed while the agent was working");
    assert_int_equal(desk->abandoned, 0);
    rig_run_for(&desk->rig, DURESS_S);
    assert_int_equal(desk->abandoned, 1);
    assert_int_equal(counts_of(desk).calls.timed_out, 2);
    echo_all(NULL, desk->runs[0]);
    assert_int_equal(counts_of(desk).abandoned, 1);
    assert_int_equal(counts_of(desk).in_flight, 0);
    desk_close(desk);
}

static void cancel_all(struct rig_answer *answer, void *context)
{
    struct desk *desk = context;
    (void)answer;
    for (int i = 0; i < CALLER_COUNT; i++) {
        if (desk->answers[i].call != NULL)
            duress_call_cancel(desk->answers[i].call);
    }
}

static void a_caller_may_cancel_the_others_when_it_is_told(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    ask_some(desk, 0, 4);
    desk->answers[2].then = cancel_all;
    desk->answers[2].then_context = desk;
    rig_run_for(&desk->rig, 0);
    echo_all(NULL, desk->runs[0]); /* in reverse: the third is told first */
    rig_run_dry(&desk->rig);
    assert_int_equal(desk->answers[2].error, DURESS_OK);
    assert_int_equal(counts_of(desk).calls.cancelled, 3);
    assert_int_equal(counts_of(desk).dropped, 2);
    desk_close(desk);
}

static void and_when_it_was_forgotten(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 3});
    ask_some(desk, 0, 3);
    desk->answers[0].then = cancel_all;
    desk->answers[0].then_context = desk;
    rig_run_for(&desk->rig, 0);
    duress_batch_run_end(desk->runs[0]);
    rig_run_dry(&desk->rig);
    assert_int_equal(desk->answers[0].error, DURESS_E_MALFORMED);
    assert_int_equal(desk->answers[1].error, DURESS_E_CANCELLED);
    assert_int_equal(counts_of(desk).abandoned, 0); /* the function has done what it wanted */
    assert_int_equal(counts_of(desk).forgotten, 1);
    desk_close(desk);
}

/* Its callers go while the function is told of it. */
static void begin_and_cancel(void *context, struct duress_batch_run *run)
{
    desk_begin(context, run);
    cancel_all(NULL, context);
}

static void a_batch_may_be_abandoned_while_it_begins(void **state)
{
    (void)state;
    struct desk *desk = &the_desk;
    struct duress_batch_agent_options options = {
        .batch = {.items_max = 2}, .begin = begin_and_cancel, .abandon = desk_abandon, .context = desk};
    open_with(desk, &options);
    ask_some(desk, 0, 2);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->abandoned, 1);
    echo_all(NULL, desk->runs[0]);
    assert_int_equal(counts_of(desk).dropped, 2);
    desk_close(desk);
}

static void give_agent_back(struct rig_answer *answer, void *context)
{
    struct desk *desk = context;
    (void)answer;
    duress_agent_unref(desk->agent);
    desk->agent = NULL;
}

static void a_freed_agent_cancels_its_calls_and_its_batches_may_end_later(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 2});
    ask_some(desk, 0, 5);
    rig_run_for(&desk->rig, 0);
    assert_int_equal(desk->run_count, 2);
    duress_agent_unref(desk->agent);
    desk->agent = NULL;
    rig_run_dry(&desk->rig);
    for (int i = 0; i < 5; i++)
        assert_int_equal(desk->answers[i].error, DURESS_E_CANCELLED);
    assert_int_equal(desk->abandoned, 2);
    echo_all(NULL, desk->runs[1]);
    echo_all(NULL, desk->runs[0]);
    desk_close(desk);
}

static void a_caller_may_give_the_agent_back_when_it_is_told(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct desk *desk = &the_desk;
        struct duress_batch_agent_options options = {
            .batch = {.items_max = 2}, .begin = later != 0 ? desk_begin : echo_all, .context = desk};
        open_with(desk, &options);
        ask_some(desk, 0, 2);
        desk->answers[1].then = give_agent_back;
        desk->answers[1].then_context = desk;
        rig_run_for(&desk->rig, 0);
        if (later != 0)
            echo_all(NULL, desk->runs[0]);
        rig_run_dry(&desk->rig);
        assert_int_equal(desk->answers[1].error, DURESS_OK);
        assert_int_equal(desk->answers[0].error, DURESS_E_CANCELLED);
        desk_close(desk);
    }
}

/* --- memory, building --- */

static void a_batch_for_which_memory_is_out_goes_when_another_ends(void **state)
{
    struct desk *desk = desk_open(state, (struct duress_batch_options){.items_max = 1});
    ask_some(desk, 0, 1);
    rig_run_for(&desk->rig, 0); /* has the memory that came with the agent */
    ask_some(desk, 1, 3);
    desk->rig.heap.fail_after = 0;
    rig_run_for(&desk->rig, DURESS_S);
    assert_int_equal(desk->run_count, 1);
    desk->rig.heap.fail_after = UINT64_MAX;
    ask_some(desk, 3, 4); /* nor does it go because another one comes */
    desk->rig.heap.fail_after = 0;
    rig_run_for(&desk->rig, DURESS_S);
    assert_int_equal(desk->run_count, 1);
    echo_all(NULL, desk->runs[0]);
    rig_run_for(&desk->rig, DURESS_S);
    run_has(desk->runs[1], "b");
    desk->rig.heap.fail_after = UINT64_MAX;
    for (int i = 1; i < 4; i++) {
        echo_all(NULL, desk->runs[i]);
        rig_run_for(&desk->rig, 0);
    }
    assert_int_equal(counts_of(desk).calls.succeeded, 4);
    desk_close(desk);
}

static void a_warm_batch_allocates_nothing(void **state)
{
    (void)state;
    struct desk *desk = &the_desk;
    struct duress_batch_agent_options options = {.batch = {.items_max = 4}, .begin = echo_all};
    open_with(desk, &options);
    uint64_t before = 0;
    for (int i = 0; i < 20; i++) {
        if (i == 2)
            before = desk->rig.heap.allocation_count;
        ask_some(desk, 0, 4);
        rig_run_for(&desk->rig, 0);
    }
    assert_int_equal(desk->rig.heap.allocation_count - before, 18 * 4); /* the requests, made by this test */
    desk_close(desk);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    struct desk *desk = &the_desk;
    struct duress_batch_agent_options options = {.begin = echo_all};
    struct duress_failure why;
    open_with(desk, &options);
    struct duress_agent *other = NULL;
    struct duress_world *world = desk->rig.client;
    assert_int_equal(duress_batch_new(NULL, "x", &options, &other, &why), DURESS_E_INVALID);
    assert_int_equal(duress_batch_new(world, NULL, &options, &other, &why), DURESS_E_INVALID);
    assert_int_equal(duress_batch_new(world, "x", NULL, &other, &why), DURESS_E_INVALID);
    assert_int_equal(duress_batch_new(world, "x", &options, NULL, &why), DURESS_E_INVALID);
    options.batch.queue_max = 3;
    assert_int_equal(duress_batch_new(world, "x", &options, &other, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "batch.queue_max: 3 given, allowed 10 to"));
    options.begin = NULL;
    assert_int_equal(duress_batch_new(world, "x", &options, &other, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "begin"));
    assert_int_equal(duress_batch_counts(NULL).batches, 0);
    desk_close(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_batch_goes_at_once_but_not_inside_a_call),
        cmocka_unit_test(a_batch_goes_when_its_first_item_has_waited_long_enough),
        cmocka_unit_test(an_item_with_little_time_takes_its_batch_with_it),
        cmocka_unit_test(batches_in_flight_are_bounded),
        cmocka_unit_test(a_slow_batch_holds_up_no_other),
        cmocka_unit_test(the_queue_is_bounded_and_so_is_an_item),
        cmocka_unit_test(one_bad_item_fails_no_other),
        cmocka_unit_test(a_forgotten_item_is_a_failure_that_says_so),
        cmocka_unit_test(a_function_may_answer_at_once),
        cmocka_unit_test(a_stream_is_answered_in_whole),
        cmocka_unit_test(who_is_cancelled_before_leaves_the_batch),
        cmocka_unit_test(who_is_cancelled_later_gets_nothing_and_fails_no_other),
        cmocka_unit_test(a_batch_that_nobody_waits_for_is_abandoned_once),
        cmocka_unit_test(a_caller_may_cancel_the_others_when_it_is_told),
        cmocka_unit_test(and_when_it_was_forgotten),
        cmocka_unit_test(a_batch_may_be_abandoned_while_it_begins),
        cmocka_unit_test(a_freed_agent_cancels_its_calls_and_its_batches_may_end_later),
        cmocka_unit_test(a_caller_may_give_the_agent_back_when_it_is_told),
        cmocka_unit_test(a_batch_for_which_memory_is_out_goes_when_another_ends),
        cmocka_unit_test(a_warm_batch_allocates_nothing),
        cmocka_unit_test(bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
