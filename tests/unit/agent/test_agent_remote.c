/* SPDX-License-Identifier: Apache-2.0
 *
 * The remote agent with our own server, one request at a time on a connection: the ways a call goes well, and the ways
 * it fails, each with its own code. */
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

static void a_request_goes_out_and_its_reply_comes_back(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, NULL);
    rig_ask(agent, "hello \xc3\xa9 \"quoted\"", &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.text, "re: hello \xc3\xa9 \"quoted\"");
    assert_int_equal(duress_server_counts(rig->server).arrivals, 1);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void one_connection_serves_a_hundred_calls_one_after_another(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, NULL);
    for (int i = 0; i < 100; i++) {
        struct rig_answer answer = {.ended = 0};
        rig_ask(agent, "again", &answer);
        rig_run_until_ended(rig, &answer);
        assert_int_equal(answer.error, DURESS_OK);
    }
    assert_int_equal(duress_server_counts(rig->server).connections_accepted, 1);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void calls_at_once_get_a_connection_each(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[8] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 100 * DURESS_MS;
    struct duress_agent *agent = rig_remote(rig, NULL);
    uint64_t begun_ns = rig_now_ns(rig);
    for (int i = 0; i < 8; i++)
        rig_ask(agent, "side by side", &answers[i]);
    for (int i = 0; i < 8; i++)
        rig_run_until_ended(rig, &answers[i]);
    assert_true(rig_now_ns(rig) - begun_ns < 150 * DURESS_MS); /* the second did not wait for the first */
    assert_int_equal(rig->service.running_max, 8);
    assert_int_equal(duress_server_counts(rig->server).connections_accepted, 8);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void note_order(struct rig_answer *answer, void *context)
{
    char *order = context;
    size_t length = strlen(order);
    order[length] = answer->text[4];
}

static void calls_beyond_the_pool_wait_first_in_first_out(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[6];
    char order[8] = "";
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_agent *agent = rig_remote(rig, &(struct duress_remote_options){.connections_max = 1});
    for (int i = 0; i < 6; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        answers[i] = (struct rig_answer){.then = note_order, .then_context = order};
        rig_ask(agent, text, &answers[i]);
    }
    rig_run_for(rig, DURESS_MS);
    assert_int_equal(duress_remote_counts(agent).calls_waiting, 5);
    duress_call_cancel(answers[3].call); /* who leaves the queue does not hold up the others */
    rig_run_until_ended(rig, &answers[5]);
    assert_string_equal(order + 1, "bcef"); /* |order| begins with the cancelled call's empty text or with a */
    assert_int_equal(rig->service.running_max, 1);
    assert_int_equal(duress_remote_counts(agent).calls_waiting, 0);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void a_full_waiting_queue_refuses_unambiguously(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answers[4] = {{.ended = 0}};
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_agent *agent =
        rig_remote(rig, &(struct duress_remote_options){.connections_max = 1, .waiting_max = 2});
    for (int i = 0; i < 4; i++)
        rig_ask(agent, "x", &answers[i]);
    rig_run_until_ended(rig, &answers[3]);
    assert_int_equal(answers[3].error, DURESS_E_OVERLOADED);
    assert_false(answers[3].failure.ambiguous);
    for (int i = 0; i < 3; i++) {
        rig_run_until_ended(rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_OK);
    }
    duress_agent_unref(agent);
    rig_close(rig);
}

/* --- failures before anything is sent --- */

static struct rig_answer ask_once(struct rig *rig, const struct duress_remote_options *options, const char *text)
{
    struct rig_answer answer = {.ended = 0};
    struct duress_agent *agent = rig_remote(rig, options);
    rig_ask(agent, text, &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(duress_remote_counts(agent).connections_open, answer.error == DURESS_OK ? 1 : 0);
    duress_agent_unref(agent);
    return answer;
}

static void nobody_listening_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = ask_once(rig, NULL, "x");
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
    assert_false(answer.failure.ambiguous);
    assert_non_null(strstr(answer.failure.detail, ":7000: connection refused"));
    rig_close(rig);
}

static void no_route_is_unreachable(void **state)
{
    struct rig *rig = *state;
    duress_sim_host_unreachable(rig->server_host, true);
    struct rig_answer answer = ask_once(rig, NULL, "x");
    assert_int_equal(answer.error, DURESS_E_UNREACHABLE);
    assert_false(answer.failure.ambiguous);
    rig_close(rig);
}

static void a_silent_host_is_a_connect_timeout_on_time(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig, NULL);
    duress_sim_host_silence(rig->server_host, RIG_PORT, true);
    struct rig_answer answer =
        ask_once(rig, &(struct duress_remote_options){.connect_timeout_ns = 1500 * DURESS_MS}, "x");
    assert_int_equal(answer.error, DURESS_E_CONNECT_TIMEOUT);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(answer.ended_ns - answer.started_ns, 1500 * DURESS_MS);
    rig_close(rig);
}

static void a_silent_address_is_a_connect_timeout_too(void **state)
{
    struct rig *rig = *state;
    char endpoint[16 + DURESS_ADDRESS_TEXT_BYTES_MAX];
    char address_text[DURESS_ADDRESS_TEXT_BYTES_MAX];
    struct duress_address address = duress_sim_host_address(rig->server_host, RIG_PORT);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://%s",
                   duress_address_format(&address, address_text, sizeof address_text));
    duress_sim_host_silence(rig->server_host, RIG_PORT, true);
    struct rig_answer answer =
        ask_once(rig, &(struct duress_remote_options){.endpoint = endpoint, .connect_timeout_ns = DURESS_S}, "x");
    assert_int_equal(answer.error, DURESS_E_CONNECT_TIMEOUT);
    assert_int_equal(answer.ended_ns - answer.started_ns, DURESS_S);
    assert_int_equal(duress_sim_name_questions(rig->sim, "server"), 0);
    rig_close(rig);
}

static void the_connect_timeout_ends_with_the_connect(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 20 * DURESS_S;
    struct rig_answer answer = ask_once(rig, &(struct duress_remote_options){.connect_timeout_ns = DURESS_S}, "x");
    assert_int_equal(answer.error, DURESS_OK);
    rig_close(rig);
}

static void the_three_failures_of_names_are_told_apart(void **state)
{
    static const struct {
        enum duress_sim_name_fault fault;
        int code;
    } cases[] = {
        {DURESS_SIM_NAME_NOT_FOUND, DURESS_E_NAME_NOT_FOUND},
        {DURESS_SIM_NAME_TEMPORARY, DURESS_E_NAME_TEMPORARY},
        {DURESS_SIM_NAME_SILENT, DURESS_E_NAME_SILENT},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_sim_name says = {.fault = cases[i].fault};
        assert_int_equal(duress_sim_name_set(rig->sim, "server", &says), DURESS_OK);
        struct rig_answer answer = ask_once(rig, NULL, "x");
        assert_int_equal(answer.error, cases[i].code);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_NAME);
        assert_false(answer.failure.ambiguous);
    }
    /* The connect timeout covers the lookup too, and says who was silent. */
    struct rig_answer answer = ask_once(rig, &(struct duress_remote_options){.connect_timeout_ns = DURESS_S}, "x");
    assert_int_equal(answer.error, DURESS_E_NAME_SILENT);
    assert_int_equal(answer.ended_ns - answer.started_ns, DURESS_S);
    rig_close(rig);
}

static void what_cannot_be_sent_is_refused_before_any_connect(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, &(struct duress_remote_options){.frame_bytes_max = 512});
    rig_ask(agent, "\xff\xfe no text", &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_E_INVALID);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_false(answer.failure.ambiguous);
    char large[600];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    answer = (struct rig_answer){.ended = 0};
    rig_ask(agent, large, &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_E_TOO_LARGE);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(duress_remote_counts(agent).connects_begun, 0);
    assert_int_equal(duress_server_counts(rig->server).arrivals, 0);
    duress_agent_unref(agent);
    rig_close(rig);
}

/* --- giving up --- */

static void a_deadline_closes_the_connection_and_cancels_at_the_server(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    rig->service.silent = true;
    struct duress_agent *agent = rig_remote(rig, NULL);
    uint64_t deadline_ns = rig_now_ns(rig) + 100 * DURESS_MS;
    rig_ask_by(agent, "x", deadline_ns, false, &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_true(answer.failure.ambiguous);
    assert_string_equal(answer.failure.detail, "the call's deadline passed while waiting for the reply");
    assert_int_equal(duress_remote_counts(agent).connections_open, 0);
    rig_run_for(rig, 100 * DURESS_MS);
    assert_int_equal(rig->service.cancelled, 1);
    assert_int_equal(duress_server_counts(rig->server).cancelled, 1);
    assert_int_equal(duress_server_counts(rig->server).connections_open, 0);
    duress_agent_unref(agent);
    rig_close(rig);
}

/* agenkit's client hands the late answer to the next call, and so on for ever (W1). */
static void a_late_reply_never_reaches_the_next_call(void **state)
{
    struct rig *rig = *state;
    struct rig_answer first = {.ended = 0};
    rig_serve(rig, NULL);
    rig->service.delay_ns_min = rig->service.delay_ns_max = 100 * DURESS_MS;
    struct duress_agent *agent = rig_remote(rig, &(struct duress_remote_options){.connections_max = 1});
    rig_ask_by(agent, "first", rig_now_ns(rig) + 50 * DURESS_MS, false, &first);
    rig_run_until_ended(rig, &first);
    for (int i = 0; i < 5; i++) {
        struct rig_answer next = {.ended = 0};
        rig_ask(agent, "next", &next);
        rig_run_until_ended(rig, &next);
        assert_string_equal(next.text, "re: next");
    }
    duress_agent_unref(agent);
    rig_close(rig);
}

static void cancel_while_connecting_leaves_nothing_open(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    duress_sim_host_silence(rig->server_host, RIG_PORT, true);
    struct duress_agent *agent = rig_remote(rig, NULL);
    rig_ask(agent, "x", &answer);
    rig_run_for(rig, DURESS_MS);
    assert_int_equal(duress_remote_counts(agent).connections_open, 1);
    duress_call_cancel(answer.call);
    assert_int_equal(duress_remote_counts(agent).connections_open, 0);
    rig_run_dry(rig);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_false(answer.failure.ambiguous);
    duress_agent_unref(agent);
    rig_close(rig);
}

/* --- the pool over time --- */

static void a_restarted_server_is_found_again(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, NULL);
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = {.ended = 0};
        rig_ask(agent, "x", &answer);
        rig_run_until_ended(rig, &answer);
        assert_int_equal(answer.error, DURESS_OK);
        duress_server_free(rig->server);
        rig_run_for(rig, 10 * DURESS_MS); /* the idle connection's end is noticed while nobody asks */
        assert_int_equal(duress_remote_counts(agent).connections_open, 0);
        rig_serve(rig, NULL);
    }
    duress_agent_unref(agent);
    rig_close(rig);
}

static void an_unused_connection_is_closed_after_its_time(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, &(struct duress_remote_options){.idle_timeout_ns = 5 * DURESS_S});
    rig_ask(agent, "x", &answer);
    rig_run_until_ended(rig, &answer);
    rig_run_for(rig, 4 * DURESS_S);
    assert_int_equal(duress_remote_counts(agent).connections_open, 1);
    rig_run_for(rig, 1 * DURESS_S);
    assert_int_equal(duress_remote_counts(agent).connections_open, 0);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void a_stream_comes_chunk_by_chunk_and_then_a_call_goes_well(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    rig->service.chunk_count = 3;
    rig->service.delay_ns_min = rig->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_agent *agent = rig_remote(rig, NULL);
    rig_ask_stream(agent, "hi", 0, &answer);
    rig_run_for(rig, 25 * DURESS_MS);
    assert_string_equal(answer.chunks, "1 hi,2 hi,"); /* as they come, not at the end */
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.chunks, "1 hi,2 hi,3 hi,");
    assert_string_equal(answer.text, "3 hi");
    answer = (struct rig_answer){.ended = 0};
    rig_ask(agent, "after", &answer);
    rig_run_until_ended(rig, &answer);
    assert_string_equal(answer.text, "re: after");
    assert_int_equal(duress_server_counts(rig->server).connections_accepted, 1);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void an_agent_that_does_not_stream_answers_a_stream_with_one_chunk(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.ended = 0};
    rig_serve(rig, NULL);
    struct duress_agent *agent = rig_remote(rig, NULL);
    rig_ask_stream(agent, "hi", 0, &answer);
    rig_run_until_ended(rig, &answer);
    assert_string_equal(answer.chunks, "re: hi,");
    duress_agent_unref(agent);
    rig_close(rig);
}

static void a_receiver_that_cancels_a_stream_stops_it_at_the_server(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = {.cancel_after_chunk = 2};
    rig_serve(rig, NULL);
    rig->service.chunk_count = 100;
    rig->service.delay_ns_min = rig->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_agent *agent = rig_remote(rig, NULL);
    rig_ask_stream(agent, "hi", 0, &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(answer.chunk_count, 2);
    rig_run_for(rig, DURESS_S);
    assert_int_equal(rig->service.cancelled, 1);
    duress_agent_unref(agent);
    rig_close(rig);
}

static void a_wrong_address_fails_and_the_name_is_asked_again(void **state)
{
    /* The name server's wrong answer is refused there; the right one is asked for by the next call. */
    struct rig *rig = *state;
    rig_serve(rig, NULL);
    struct duress_sim_name says = {
        .fault = DURESS_SIM_NAME_WRONG,
        .wrong = duress_sim_host_address(rig->client_host, 0),
        .fault_count = 1,
    };
    assert_int_equal(duress_sim_name_set(rig->sim, "server", &says), DURESS_OK);
    struct duress_agent *agent = rig_remote(rig, NULL);
    struct rig_answer answer = {.ended = 0};
    rig_ask(agent, "x", &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    answer = (struct rig_answer){.ended = 0};
    rig_ask(agent, "x", &answer);
    rig_run_until_ended(rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    duress_agent_unref(agent);
    rig_close(rig);
}

/* --- configuration --- */

static void bad_options_are_refused_with_the_field_and_the_range(void **state)
{
    static const struct {
        const char *endpoint;
        uint32_t in_flight_max;
        uint32_t connections_max;
        size_t frame_bytes_max;
        const char *says;
    } cases[] = {
        {NULL, 0, 0, 0, "endpoint: \"\": must be given"},
        {"http://host:1", 0, 0, 0, "must begin with tcp:// or unix://"},
        {"tcp://host", 0, 0, 0, "a port from 1 to 65535 must follow the last colon"},
        {"tcp://host:0", 0, 0, 0, "a port from 1 to 65535"},
        {"tcp://host:65536", 0, 0, 0, "a port from 1 to 65535"},
        {"tcp://host:12x", 0, 0, 0, "a port from 1 to 65535"},
        {"tcp://:80", 0, 0, 0, "1 to 255 characters"},
        {"tcp://::1:80", 0, 0, 0, "must stand in brackets"},
        {"tcp://[host]:80", 0, 0, 0, "brackets are for IPv6"},
        {"unix://relative", 0, 0, 0, "must be absolute"},
        {"tcp://host:80", 1025, 0, 0, "in_flight_max: 1025 is not from 1 to 1024"},
        {"tcp://host:80", 0, 65537, 0, "connections_max: 65537 is not from 1 to 65536"},
        {"tcp://host:80", 0, 0, 255, "frame_bytes_max: 255 is not from 256 to 4294967295"},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_remote_options options = {
            .world = rig->client,
            .endpoint = cases[i].endpoint,
            .in_flight_max = cases[i].in_flight_max,
            .connections_max = cases[i].connections_max,
            .frame_bytes_max = cases[i].frame_bytes_max,
        };
        struct duress_agent *agent = NULL;
        struct duress_failure why = {.code = DURESS_OK};
        assert_int_equal(duress_remote_new(&options, &agent, &why), DURESS_E_INVALID);
        assert_int_equal(why.code, DURESS_E_INVALID);
        if (strstr(why.detail, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", why.detail, cases[i].says);
        assert_int_equal(duress_remote_new(&options, &agent, NULL), DURESS_E_INVALID);
    }
    assert_int_equal(duress_remote_new(NULL, NULL, NULL), DURESS_E_INVALID);
    struct duress_failure why;
    struct duress_remote_options good = {.world = rig->client, .endpoint = "tcp://127.0.0.1:1"};
    struct duress_remote_options unsendable = good;
    struct duress_agent *agent = NULL;
    unsendable.agent_name = "caf\xe9";
    assert_int_equal(duress_remote_new(&unsendable, &agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "agent_name: must be UTF-8");
    assert_int_equal(duress_remote_new(&good, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "agent: must be given");
    rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_request_goes_out_and_its_reply_comes_back, setup),
        cmocka_unit_test_setup(one_connection_serves_a_hundred_calls_one_after_another, setup),
        cmocka_unit_test_setup(calls_at_once_get_a_connection_each, setup),
        cmocka_unit_test_setup(calls_beyond_the_pool_wait_first_in_first_out, setup),
        cmocka_unit_test_setup(a_full_waiting_queue_refuses_unambiguously, setup),
        cmocka_unit_test_setup(nobody_listening_is_refused, setup),
        cmocka_unit_test_setup(no_route_is_unreachable, setup),
        cmocka_unit_test_setup(a_silent_host_is_a_connect_timeout_on_time, setup),
        cmocka_unit_test_setup(a_silent_address_is_a_connect_timeout_too, setup),
        cmocka_unit_test_setup(the_connect_timeout_ends_with_the_connect, setup),
        cmocka_unit_test_setup(the_three_failures_of_names_are_told_apart, setup),
        cmocka_unit_test_setup(what_cannot_be_sent_is_refused_before_any_connect, setup),
        cmocka_unit_test_setup(a_deadline_closes_the_connection_and_cancels_at_the_server, setup),
        cmocka_unit_test_setup(a_late_reply_never_reaches_the_next_call, setup),
        cmocka_unit_test_setup(cancel_while_connecting_leaves_nothing_open, setup),
        cmocka_unit_test_setup(a_restarted_server_is_found_again, setup),
        cmocka_unit_test_setup(an_unused_connection_is_closed_after_its_time, setup),
        cmocka_unit_test_setup(a_stream_comes_chunk_by_chunk_and_then_a_call_goes_well, setup),
        cmocka_unit_test_setup(an_agent_that_does_not_stream_answers_a_stream_with_one_chunk, setup),
        cmocka_unit_test_setup(a_receiver_that_cancels_a_stream_stops_it_at_the_server, setup),
        cmocka_unit_test_setup(a_wrong_address_fails_and_the_name_is_asked_again, setup),
        cmocka_unit_test_setup(bad_options_are_refused_with_the_field_and_the_range, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
