/* SPDX-License-Identifier: Apache-2.0
 *
 * The remote agent with more than one request in flight on a connection, as duress' own servers allow. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

static struct rig the_rig;

static int setup(void **state)
{
    *state = &the_rig;
    rig_open(&the_rig, 0);
    return 0;
}

static struct duress_agent *pipelined(struct rig *rig, uint32_t in_flight_max)
{
    return rig_remote(rig, &(struct duress_remote_options){.connections_max = 1, .in_flight_max = in_flight_max});
}

/* The k-th call takes 100 - 10 k ms: replies come in the reverse order. */
static void later_is_faster(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    uint64_t k = (uint64_t)(duress_message_content(call->request).data[0] - 'a');
    service->delay_ns_min = service->delay_ns_max = (100 - 10 * k) * DURESS_MS;
}

static void replies_in_another_order_reach_their_own_calls(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[8] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.on_call = later_is_faster;
    struct duress_agent *agent = pipelined(rig, 8);
    for (int i = 0; i < 8; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        rig_ask(agent, text, &answers[i]);
    }
    for (int i = 0; i < 8; i++) {
        char expected[8];
        rig_run_until_ended(rig, &answers[i]);
        (void)snprintf(expected, sizeof expected, "re: %c", 'a' + i);
        assert_string_equal(answers[i].text, expected);
    }
    assert_true(answers[7].ended_ns < answers[0].ended_ns);
    assert_int_equal(duress_server_counts(rig->server).connections_accepted, 1);
    assert_int_equal(rig->service.running_max, 8);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void the_limit_of_calls_in_flight_is_kept(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[20] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = DURESS_MS;
    struct duress_agent *agent = pipelined(rig, 3);
    for (int i = 0; i < 20; i++)
        rig_ask(agent, "x", &answers[i]);
    for (int i = 0; i < 20; i++)
        rig_run_until_ended(rig, &answers[i]);
    assert_int_equal(rig->service.running_max, 3);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void the_late_reply_of_a_cancelled_call_is_dropped_and_counted(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[3] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_agent *agent = pipelined(rig, 4);
    for (int i = 0; i < 3; i++)
        rig_ask(agent, i == 1 ? "given up" : "kept", &answers[i]);
    rig_run_for(rig, 5 * DURESS_MS);
    duress_call_cancel(answers[1].call);
    rig_run_until_ended(rig, &answers[1]);
    assert_int_equal(answers[1].error, DURESS_E_CANCELLED);
    rig_run_until_ended(rig, &answers[0]);
    rig_run_until_ended(rig, &answers[2]);
    assert_string_equal(answers[0].text, "re: kept");
    assert_string_equal(answers[2].text, "re: kept");
    rig_run_for(rig, 10 * DURESS_MS);
    assert_int_equal(duress_remote_counts(agent).replies_late + duress_server_counts(rig->server).cancelled, 1);
    /* The connection goes on where others used it. */
    assert_int_equal(duress_remote_counts(agent).connects_begun, 1);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void a_connection_on_which_nobody_waits_any_more_is_closed(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[2] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.silent = true;
    struct duress_agent *agent = pipelined(rig, 4);
    rig_ask(agent, "x", &answers[0]);
    rig_ask(agent, "x", &answers[1]);
    rig_run_for(rig, 5 * DURESS_MS);
    duress_call_cancel(answers[0].call);
    assert_int_equal(duress_remote_counts(agent).connections_open, 1);
    duress_call_cancel(answers[1].call);
    assert_int_equal(duress_remote_counts(agent).connections_open, 0);
    rig_run_for(rig, 5 * DURESS_MS);
    assert_int_equal(rig->service.cancelled, 2); /* closing is the cancel */
    duress_agent_unref(agent);
    rig_close(rig);
}

static void peer_breaks_after_three(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    if (raw->envelopes == 3)
        rig_raw_send_text(raw, "no envelope");
}

static void a_broken_frame_fails_all_in_flight_as_ambiguous(void **state)
{
    struct rig *rig = *state;
    struct rig_raw peer;
    struct rig_answer answers[3] = {{.ended = 0}};
    rig_raw_listen(&peer, rig, peer_breaks_after_three, NULL);
    struct duress_agent *agent = rig_remote(
        rig,
        &(struct duress_remote_options){.endpoint = "tcp://server:7001", .in_flight_max = 8, .connections_max = 1});
    for (int i = 0; i < 3; i++)
        rig_ask(agent, "x", &answers[i]);
    for (int i = 0; i < 3; i++) {
        rig_run_until_ended(rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_MALFORMED);
        assert_true(answers[i].failure.ambiguous);
    }
    duress_agent_unref(agent);
    rig_raw_close(&peer);
    rig_close(rig);
}

static void peer_errs_without_a_name(void *context, struct rig_raw *raw, const struct duress_envelope *envelope)
{
    (void)context;
    (void)envelope;
    if (raw->envelopes == 2)
        rig_raw_reply_error(raw, duress_slice_text("unknown"), "INTERNAL_ERROR", "which one?", "{}");
}

static void an_error_without_a_name_cannot_be_given_to_one_of_many(void **state)
{
    struct rig *rig = *state;
    struct rig_raw peer;
    struct rig_answer answers[2] = {{.ended = 0}};
    rig_raw_listen(&peer, rig, peer_errs_without_a_name, NULL);
    struct duress_agent *agent =
        rig_remote(rig, &(struct duress_remote_options){.endpoint = "tcp://server:7001", .in_flight_max = 8});
    for (int i = 0; i < 2; i++)
        rig_ask(agent, "x", &answers[i]);
    for (int i = 0; i < 2; i++) {
        rig_run_until_ended(rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_MALFORMED);
    }
    duress_agent_unref(agent);
    rig_raw_close(&peer);
    rig_close(rig);
}

static void cancel_others(struct rig_answer *answer, void *context)
{
    struct rig_answer *answers = context;
    (void)answer;
    for (int i = 1; i < 4; i++)
        if (answers[i].call != NULL)
            duress_call_cancel(answers[i].call);
}

/* All of a broken connection fail together; the first one's owner cancels the others meanwhile. */
static void a_call_may_be_cancelled_while_its_connection_is_failing(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[4] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.silent = true;
    answers[0].then = cancel_others;
    answers[0].then_context = answers;
    struct duress_agent *agent = pipelined(rig, 4);
    for (int i = 0; i < 4; i++)
        rig_ask(agent, "x", &answers[i]);
    rig_run_for(rig, 5 * DURESS_MS);
    duress_server_free(rig->server);
    rig->server = NULL;
    for (int i = 0; i < 4; i++)
        rig_run_until_ended(rig, &answers[i]);
    assert_int_equal(answers[0].error, DURESS_E_RESET);
    for (int i = 1; i < 4; i++)
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    duress_agent_unref(agent);
    rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(replies_in_another_order_reach_their_own_calls, setup),
        cmocka_unit_test_setup(the_limit_of_calls_in_flight_is_kept, setup),
        cmocka_unit_test_setup(the_late_reply_of_a_cancelled_call_is_dropped_and_counted, setup),
        cmocka_unit_test_setup(a_connection_on_which_nobody_waits_any_more_is_closed, setup),
        cmocka_unit_test_setup(a_broken_frame_fails_all_in_flight_as_ambiguous, setup),
        cmocka_unit_test_setup(an_error_without_a_name_cannot_be_given_to_one_of_many, setup),
        cmocka_unit_test_setup(a_call_may_be_cancelled_while_its_connection_is_failing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
