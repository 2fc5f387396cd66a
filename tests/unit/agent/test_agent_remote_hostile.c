/* SPDX-License-Identifier: Apache-2.0
 *
 * The remote agent against peers that lie, stutter and hang up: each failure with its code, its ambiguity, and nothing
 * left of it for the next call. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

struct hostile {
    struct rig rig;
    struct rig_raw peer;
    struct duress_agent *agent;
};

static struct hostile the_hostile;

static int setup(void **state)
{
    *state = &the_hostile;
    rig_open(&the_hostile.rig, 0);
    return 0;
}

static void hostile_open(struct hostile *hostile, rig_raw_fn on_envelope, struct duress_remote_options options)
{
    rig_raw_listen(&hostile->peer, &hostile->rig, on_envelope, hostile);
    options.endpoint = "tcp://server:7001";
    hostile->agent = rig_remote(&hostile->rig, &options);
}

static void hostile_close(struct hostile *hostile)
{
    duress_agent_unref(hostile->agent);
    rig_raw_close(&hostile->peer);
    rig_close(&hostile->rig);
}

static struct rig_answer hostile_ask(struct hostile *hostile, bool streaming)
{
    struct rig_answer answer = {.ended = 0};
    assert_int_equal(rig_try_ask(hostile->agent, "hello", 0, false, streaming, &answer), DURESS_OK);
    rig_run_until_ended(&hostile->rig, &answer);
    return answer;
}

/* The call failed as said, and its connection is not used again. */
static void assert_failed(struct hostile *hostile, const struct rig_answer *answer, int code, bool ambiguous)
{
    assert_string_equal(duress_error_name(answer->error), duress_error_name(code));
    assert_int_equal(answer->failure.ambiguous, ambiguous);
    assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 0);
}

/* --- hanging up --- */

static void peer_fin(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_fin(raw);
}

static void peer_rst(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_rst(raw);
}

static void peer_half_a_reply_then_fin(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_send(raw, "\0\0\1\0{\"version\":\"1.0\"", 4 + 16);
    rig_raw_fin(raw);
}

static void peer_half_a_head_then_rst(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_send(raw, "\0\0", 2);
    rig_raw_rst(raw);
}

static void an_end_before_the_reply_is_truncated_and_ambiguous(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_fin, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_TRUNCATED, true);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_RECEIVE);
    hostile_close(hostile);
}

static void an_end_inside_the_reply_is_truncated_and_ambiguous(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_half_a_reply_then_fin, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_TRUNCATED, true);
    hostile_close(hostile);
}

static void a_reset_is_a_reset(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_rst, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_RESET, true);
    hostile_close(hostile);
}

static void a_reset_inside_the_reply_is_a_reset(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_half_a_head_then_rst, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_RESET, true);
    hostile_close(hostile);
}

static void peer_replies_then_rst(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, envelope->id, "just in time");
    rig_raw_rst(raw);
}

static void a_reset_right_behind_the_reply_does_not_lose_it(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_replies_then_rst, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.text, "just in time");
    rig_run_for(&hostile->rig, DURESS_S);
    assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 0);
    hostile_close(hostile);
}

/* --- bytes that are no answer --- */

static const char *peer_text;

static void peer_says(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_send_text(raw, peer_text);
}

static void bytes_that_are_no_envelope_are_malformed(void **state)
{
    static const char *const texts[] = {
        "",
        "hello",
        "[1,2]",
        "{\"version\":\"2.0\",\"type\":\"response\",\"id\":\"x\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"bogus\",\"id\":\"x\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"x\",\"payload\":7}",
        "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"x\",\"payload\":{\"message\":{}}}",
        "\xff\xff\xff\xff",
    };
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_says, (struct duress_remote_options){.endpoint = NULL});
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        peer_text = texts[i];
        struct rig_answer answer = hostile_ask(hostile, false);
        assert_failed(hostile, &answer, DURESS_E_MALFORMED, true);
        assert_int_not_equal(answer.failure.detail[0], '\0');
    }
    assert_int_equal(hostile->peer.accepted, sizeof texts / sizeof texts[0]); /* no connection was used twice */
    hostile_close(hostile);
}

static void peer_announces_4_gib(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    rig_raw_send(raw, "\xff\xff\xff\xff{", 5);
}

static void an_announced_length_beyond_the_limit_is_refused_before_it_costs_memory(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_announces_4_gib, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_MALFORMED, true);
    assert_string_equal(answer.failure.detail, "a frame that announces more than the limit");
    hostile_close(hostile);
}

static void peer_answers_another_id(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    char other[64];
    (void)context;
    (void)snprintf(other, sizeof other, "%.*s", (int)envelope->id.length, (const char *)envelope->id.data);
    other[strlen(other) - 1] ^= 1;
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, duress_slice_text(other), "not yours");
}

/* agenkit's clients take it for theirs (W2). */
static void a_reply_with_a_foreign_id_closes_the_connection(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_answers_another_id, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_MALFORMED, true);
    assert_int_equal(duress_remote_counts(hostile->agent).replies_stray, 1);
    hostile_close(hostile);
}

static char first_id[64];

static void peer_answers_the_first_id_for_ever(void *context, struct rig_raw *raw,
                                               const struct duress_envelope *envelope)
{
    (void)context;
    if (raw->envelopes == 1)
        (void)snprintf(first_id, sizeof first_id, "%.*s", (int)envelope->id.length, (const char *)envelope->id.data);
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, duress_slice_text(first_id), "the first answer");
}

static void an_id_of_an_earlier_call_is_foreign_too(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_answers_the_first_id_for_ever, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_string_equal(answer.text, "the first answer");
    answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_MALFORMED, true);
    assert_int_equal(duress_remote_counts(hostile->agent).replies_stray, 1);
    hostile_close(hostile);
}

static void peer_replies_twice(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, envelope->id, "one");
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, envelope->id, "two");
}

static void a_second_reply_reaches_nobody(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_replies_twice, (struct duress_remote_options){.endpoint = NULL});
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = hostile_ask(hostile, false);
        assert_string_equal(answer.text, "one");
        rig_run_for(&hostile->rig, DURESS_MS);
        assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 0);
    }
    hostile_close(hostile);
}

static void peer_replies_and_begins_more(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, envelope->id, "whole");
    rig_raw_send(raw, "\0\0\0", 3);
}

static void the_beginning_of_a_stray_frame_is_not_left_for_the_next_call(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_replies_and_begins_more, (struct duress_remote_options){.endpoint = NULL});
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = hostile_ask(hostile, false);
        assert_string_equal(answer.text, "whole");
        rig_run_for(&hostile->rig, DURESS_MS);
        assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 0);
    }
    hostile_close(hostile);
}

/* --- errors that peers report --- */

struct peer_error_case {
    const char *id; /* NULL: the request's own */
    const char *code;
    const char *message;
    const char *details;
    int expected;
    bool ambiguous;
    uint64_t retry_after_ns;
    const char *detail;
};
static const struct peer_error_case *peer_error;

static void peer_errs(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply_error(raw, peer_error->id != NULL ? duress_slice_text(peer_error->id) : envelope->id,
                        peer_error->code, peer_error->message, peer_error->details);
}

static void errors_of_the_peer_keep_code_message_and_meaning(void **state)
{
    static const struct peer_error_case cases[] = {
        {NULL, "EXECUTION_ERROR", "division by zero", "{}", DURESS_E_REMOTE, true, 0,
         "EXECUTION_ERROR: division by zero"},
        {NULL, "INVALID_MESSAGE", "what?", "{}", DURESS_E_REMOTE, false, 0, "INVALID_MESSAGE: what?"},
        {NULL, "OVERLOADED", "later", "{\"retry_after_ms\":1500}", DURESS_E_OVERLOADED, false, 1500 * DURESS_MS,
         "OVERLOADED: later"},
        {NULL, "OVERLOADED", "later",
         "{\"a\":{\"retry_after_ms\":9},\"b\":\"retry_after_ms\", \"retry_after_ms\" : 2 }", DURESS_E_OVERLOADED, false,
         2 * DURESS_MS, "OVERLOADED: later"},
        {NULL, "OVERLOADED", "", "{\"retry_after_ms\":\"soon\"}", DURESS_E_OVERLOADED, false, 0, "OVERLOADED: "},
        {NULL, "OVERLOADED", "", "{\"retry_after_ms\":99999999999999999999}", DURESS_E_OVERLOADED, false,
         DURESS_TIME_NEVER, "OVERLOADED: "},
        {NULL, "EXECUTION_ERROR", "two\nlines\x7f", "{}", DURESS_E_REMOTE, true, 0, "EXECUTION_ERROR: two lines "},
        {"unknown", "INTERNAL_ERROR", "cannot read", "{}", DURESS_E_REMOTE, true, 0, "INTERNAL_ERROR: cannot read"},
    };
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_errs, (struct duress_remote_options){.endpoint = NULL});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_error = &cases[i];
        struct rig_answer answer = hostile_ask(hostile, false);
        assert_int_equal(answer.error, cases[i].expected);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_PEER);
        assert_int_equal(answer.failure.ambiguous, cases[i].ambiguous);
        assert_int_equal(answer.failure.retry_after_ns, cases[i].retry_after_ns);
        assert_string_equal(answer.failure.detail, cases[i].detail);
        /* A peer that answered a request keeps its connection; one that could not tell whose it was does not. */
        assert_int_equal(duress_remote_counts(hostile->agent).connections_open, cases[i].id == NULL);
    }
    hostile_close(hostile);
}

/* --- streams --- */

static void peer_chunks_then_fin(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_STREAM_CHUNK, envelope->id, "one");
    rig_raw_reply(raw, DURESS_ENVELOPE_STREAM_CHUNK, envelope->id, "two");
    rig_raw_fin(raw);
}

static void a_stream_without_its_end_is_truncated(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_chunks_then_fin, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, true);
    assert_string_equal(answer.chunks, "one,two,");
    assert_failed(hostile, &answer, DURESS_E_TRUNCATED, true);
    hostile_close(hostile);
}

static void peer_chunk_then_error(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_STREAM_CHUNK, envelope->id, "one");
    rig_raw_reply_error(raw, envelope->id, "STREAM_ERROR", "broke", "{}");
}

static void a_stream_that_ends_in_an_error_is_a_failure(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_chunk_then_error, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, true);
    assert_string_equal(answer.chunks, "one,");
    assert_int_equal(answer.error, DURESS_E_REMOTE);
    assert_string_equal(answer.failure.detail, "STREAM_ERROR: broke");
    hostile_close(hostile);
}

static void peer_ends_the_stream_at_once(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_STREAM_END, envelope->id, "");
}

static void an_empty_stream_ends_with_an_empty_reply(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_ends_the_stream_at_once, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, true);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.text, "");
    assert_int_equal(answer.chunk_count, 0);
    hostile_close(hostile);
}

static void a_chunk_for_a_call_that_wants_none_is_malformed(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_chunks_then_fin, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_failed(hostile, &answer, DURESS_E_MALFORMED, true);
    hostile_close(hostile);
}

/* --- the pool --- */

static void peer_replies(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    rig_raw_reply(raw, DURESS_ENVELOPE_RESPONSE, envelope->id, "fine");
}

static void bytes_on_an_idle_connection_close_it(void **state)
{
    struct hostile *hostile = *state;
    hostile_open(hostile, peer_replies, (struct duress_remote_options){.endpoint = NULL});
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 1);
    rig_raw_reply(&hostile->peer, DURESS_ENVELOPE_RESPONSE, duress_slice_text("d-0"), "for whom?");
    rig_run_for(&hostile->rig, DURESS_MS);
    assert_int_equal(duress_remote_counts(hostile->agent).connections_open, 0);
    assert_int_equal(duress_remote_counts(hostile->agent).replies_stray, 1);
    answer = hostile_ask(hostile, false);
    assert_string_equal(answer.text, "fine");
    hostile_close(hostile);
}

static void a_silent_peer_does_not_hold_up_other_calls(void **state)
{
    struct hostile *hostile = *state;
    struct rig_answer stuck = {.ended = 0};
    hostile_open(hostile, NULL, (struct duress_remote_options){.connections_max = 2});
    rig_ask_by(hostile->agent, "stuck", rig_now_ns(&hostile->rig) + 10 * DURESS_S, false, &stuck);
    rig_run_for(&hostile->rig, DURESS_MS);
    hostile->peer.on_envelope = peer_replies;
    hostile->peer.stream = NULL; /* the first connection stays open, and silent */
    struct rig_answer answer = hostile_ask(hostile, false);
    assert_string_equal(answer.text, "fine");
    rig_run_until_ended(&hostile->rig, &stuck);
    assert_int_equal(stuck.error, DURESS_E_DEADLINE);
    hostile_close(hostile);
}

static void what_a_deaf_peer_has_not_taken_is_still_one_deadline(void **state)
{
    struct hostile *hostile = *state;
    static char large[2 * 1024 * 1024];
    memset(large, 'x', sizeof large - 1);
    rig_raw_listen(&hostile->peer, &hostile->rig, NULL, hostile);
    hostile->peer.deaf = true;
    hostile->agent = rig_remote(&hostile->rig, &(struct duress_remote_options){.endpoint = "tcp://server:7001"});
    struct rig_answer answer = {.ended = 0};
    uint64_t deadline_ns = rig_now_ns(&hostile->rig) + DURESS_S;
    rig_ask_by(hostile->agent, large, deadline_ns, false, &answer);
    rig_run_until_ended(&hostile->rig, &answer);
    assert_failed(hostile, &answer, DURESS_E_DEADLINE, true);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_string_equal(answer.failure.detail, "the call's deadline passed while sending the request");
    hostile_close(hostile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_end_before_the_reply_is_truncated_and_ambiguous, setup),
        cmocka_unit_test_setup(an_end_inside_the_reply_is_truncated_and_ambiguous, setup),
        cmocka_unit_test_setup(a_reset_is_a_reset, setup),
        cmocka_unit_test_setup(a_reset_inside_the_reply_is_a_reset, setup),
        cmocka_unit_test_setup(a_reset_right_behind_the_reply_does_not_lose_it, setup),
        cmocka_unit_test_setup(bytes_that_are_no_envelope_are_malformed, setup),
        cmocka_unit_test_setup(an_announced_length_beyond_the_limit_is_refused_before_it_costs_memory, setup),
        cmocka_unit_test_setup(a_reply_with_a_foreign_id_closes_the_connection, setup),
        cmocka_unit_test_setup(an_id_of_an_earlier_call_is_foreign_too, setup),
        cmocka_unit_test_setup(a_second_reply_reaches_nobody, setup),
        cmocka_unit_test_setup(the_beginning_of_a_stray_frame_is_not_left_for_the_next_call, setup),
        cmocka_unit_test_setup(errors_of_the_peer_keep_code_message_and_meaning, setup),
        cmocka_unit_test_setup(a_stream_without_its_end_is_truncated, setup),
        cmocka_unit_test_setup(a_stream_that_ends_in_an_error_is_a_failure, setup),
        cmocka_unit_test_setup(an_empty_stream_ends_with_an_empty_reply, setup),
        cmocka_unit_test_setup(a_chunk_for_a_call_that_wants_none_is_malformed, setup),
        cmocka_unit_test_setup(bytes_on_an_idle_connection_close_it, setup),
        cmocka_unit_test_setup(a_silent_peer_does_not_hold_up_other_calls, setup),
        cmocka_unit_test_setup(what_a_deaf_peer_has_not_taken_is_still_one_deadline, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
