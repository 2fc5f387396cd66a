/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed server: whom it answers, what a peer that goes away leaves behind, and how it stops; against raw peers
 * that send what they like. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

struct served {
    struct rig rig;
    struct rig_raw peer;
};

static struct served the_served;

static int setup(void **state)
{
    *state = &the_served;
    rig_open(&the_served.rig, 0);
    return 0;
}

static void served_open(struct served *served, struct duress_server_options options)
{
    rig_serve(&served->rig, &options);
    rig_raw_connect(&served->peer, &served->rig);
}

static void served_close(struct served *served)
{
    rig_raw_close(&served->peer);
    rig_close(&served->rig);
}

static struct duress_server_counts counts(const struct served *served)
{
    return duress_server_counts(served->rig.server);
}

/* --- requests --- */

static void requests_of_one_connection_run_side_by_side(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 10 * DURESS_MS;
    for (int i = 0; i < 16; i++)
        rig_raw_send_request(&served->peer, "same", "process", "x");
    rig_run_for(&served->rig, 12 * DURESS_MS);
    assert_int_equal(served->peer.envelopes, 16);
    assert_int_equal(served->rig.service.running_max, 16);
    assert_int_equal(counts(served).arrivals, 16);
    assert_int_equal(counts(served).replied, 16);
    served_close(served);
}

static void beyond_the_limit_of_one_connection_requests_wait_unread(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.in_flight_max = 4});
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 10 * DURESS_MS;
    for (int i = 0; i < 40; i++)
        rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, 5 * DURESS_MS);
    assert_int_equal(served->rig.service.running, 4);
    rig_run_for(&served->rig, DURESS_S);
    assert_int_equal(served->peer.envelopes, 40); /* and none is lost */
    assert_int_equal(served->rig.service.running_max, 4);
    served_close(served);
}

static void the_end_of_a_peer_whose_requests_fill_the_limit_is_heard(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.in_flight_max = 1});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, 5 * DURESS_MS);
    assert_int_equal(served->rig.service.begun, 1);
    rig_raw_fin(&served->peer);
    rig_run_for(&served->rig, 5 * DURESS_MS);
    assert_int_equal(served->rig.service.cancelled, 1);
    assert_int_equal(counts(served).connections_open, 0);
    served_close(served);
}

/* --- the limit of the whole server --- */

static void beyond_the_servers_limit_requests_are_shed_with_a_wait(void **state)
{
    struct served *served = *state;
    struct rig_raw second;
    served_open(served, (struct duress_server_options){.requests_max = 3, .overload_retry_after_ns = 250 * DURESS_MS});
    rig_raw_connect(&second, &served->rig);
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 10 * DURESS_MS;
    rig_raw_send_request(&served->peer, "1", "process", "x");
    rig_raw_send_request(&served->peer, "2", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    rig_raw_send_request(&second, "3", "process", "x"); /* the limit is of all connections together */
    rig_raw_send_request(&second, "4", "stream", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_int_equal(served->rig.service.running, 3);
    assert_int_equal(second.envelopes, 1);
    assert_string_equal(second.last_id, "4");
    assert_string_equal(second.last_text, "OVERLOADED: 3 requests are in flight, as many as are served at once");
    assert_string_equal(second.last_details, "{\"retry_after_ms\":250}");
    assert_int_equal(counts(served).arrivals, 3);
    assert_int_equal(counts(served).shed, 1);
    rig_run_for(&served->rig, 20 * DURESS_MS);
    assert_int_equal(served->rig.service.begun, 3);
    rig_raw_send_request(&second, "5", "process", "y"); /* the connection was kept, and there is room again */
    rig_run_for(&served->rig, 20 * DURESS_MS);
    assert_string_equal(second.last_text, "re: y");
    assert_int_equal(counts(served).in_flight, 0);
    assert_int_equal(counts(served).replied, 5);
    rig_raw_close(&second);
    served_close(served);
}

static void what_a_peer_that_went_away_had_asked_frees_its_place(void **state)
{
    struct served *served = *state;
    struct rig_raw second;
    served_open(served, (struct duress_server_options){.requests_max = 2});
    rig_raw_connect(&second, &served->rig);
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "1", "process", "x");
    rig_raw_send_request(&served->peer, "2", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    rig_raw_rst(&served->peer);
    rig_run_for(&served->rig, DURESS_MS);
    served->rig.service.silent = false;
    rig_raw_send_request(&second, "3", "process", "y");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(second.last_text, "re: y");
    assert_int_equal(counts(served).shed, 0);
    rig_raw_close(&second);
    served_close(served);
}

static void a_shed_caller_is_asked_to_wait_a_second_or_for_no_time(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.requests_max = 1});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "1", "process", "x");
    rig_raw_send_request(&served->peer, "2", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_details, "{\"retry_after_ms\":1000}");
    served_close(served);

    rig_open(&served->rig, 0);
    served_open(served,
                (struct duress_server_options){.requests_max = 1, .overload_retry_after_ns = DURESS_TIME_NEVER});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "1", "process", "x");
    rig_raw_send_request(&served->peer, "2", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_id, "2");
    assert_string_equal(served->peer.last_details, "{}");
    served_close(served);
}

/* --- arrivals --- */

static struct duress_arrival last_arrival;
static char last_arrival_text[64];

static void note_arrival(void *context, const struct duress_arrival *arrival)
{
    (void)context;
    last_arrival = *arrival;
    (void)snprintf(last_arrival_text, sizeof last_arrival_text, "%.*s|%.*s|%.*s", (int)arrival->id.length,
                   (const char *)arrival->id.data, (int)arrival->method.length, (const char *)arrival->method.data,
                   (int)arrival->content.length, (const char *)arrival->content.data);
}

static void each_arrival_is_told_with_its_number(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.on_arrival = note_arrival});
    rig_raw_send_request(&served->peer, "id-1", "process", "one");
    rig_raw_send_request(&served->peer, "id-2", "stream", "two");
    rig_run_for(&served->rig, DURESS_MS);
    assert_int_equal(last_arrival.number, 2);
    assert_int_equal(last_arrival.connection_number, 1);
    assert_string_equal(last_arrival_text, "id-2|stream|two");
    assert_string_equal(served->peer.last_id, "id-2");
    assert_int_equal(served->peer.last_type, DURESS_ENVELOPE_STREAM_END);
    served_close(served);
}

static void an_unknown_method_is_refused_and_the_connection_kept(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    rig_raw_send_request(&served->peer, "id-1", "execute", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_id, "id-1");
    assert_string_equal(served->peer.last_text, "INVALID_MESSAGE: unknown method: process and stream are served");
    assert_int_equal(counts(served).arrivals, 0);
    rig_raw_send_request(&served->peer, "id-2", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_text, "re: x");
    served_close(served);
}

static void an_envelope_that_is_no_request_is_refused_and_the_connection_kept(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    rig_raw_send_text(&served->peer, "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"h\",\"payload\":{}}");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_text, "INVALID_MESSAGE: not a request");
    assert_string_equal(served->peer.last_id, "h");
    assert_false(served->peer.ended);
    served_close(served);
}

static void failures_of_the_agent_go_out_with_their_meaning(void **state)
{
    static const struct {
        enum duress_error code;
        bool ambiguous;
        uint64_t retry_after_ns;
        const char *text;
        const char *details;
    } cases[] = {
        {DURESS_E_REFUSED, false, 0, "EXECUTION_ERROR: why", "{}"},
        {DURESS_E_OVERLOADED, false, 1500 * DURESS_US, "OVERLOADED: why", "{\"retry_after_ms\":2}"},
        {DURESS_E_CIRCUIT_OPEN, false, 3 * DURESS_S, "OVERLOADED: why", "{\"retry_after_ms\":3000}"},
        {DURESS_E_RATE_LIMITED, false, 0, "OVERLOADED: why", "{}"},
        {DURESS_E_BULKHEAD_FULL, false, 0, "OVERLOADED: why", "{}"},
        {DURESS_E_BULKHEAD_FULL, true, 0, "EXECUTION_ERROR: why", "{}"},
        {DURESS_E_DEADLINE, true, 0, "AGENT_TIMEOUT: why", "{}"},
        {DURESS_E_CANCELLED, true, 0, "CANCELLED: why", "{}"},
        {DURESS_E_UNSUPPORTED, false, 0, "NOT_IMPLEMENTED: why", "{}"},
        {DURESS_E_INVALID, false, 0, "INVALID_REQUEST: why", "{}"},
    };
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        duress_failure_set(&served->rig.service.failure, cases[i].code, DURESS_ORIGIN_AGENT, "why");
        served->rig.service.failure.ambiguous = cases[i].ambiguous;
        served->rig.service.failure.retry_after_ns = cases[i].retry_after_ns;
        served->rig.service.fail_count = 1;
        rig_raw_send_request(&served->peer, "x", "process", "x");
        rig_run_for(&served->rig, DURESS_MS);
        assert_string_equal(served->peer.last_text, cases[i].text);
        assert_string_equal(served->peer.last_details, cases[i].details);
    }
    served_close(served);
}

static int binary_reply(void *context, struct duress_message *request, struct duress_message **reply,
                        struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    if (!duress_slice_is(duress_message_content(request), "binary")) {
        *reply = duress_message_ref(request);
        return DURESS_OK;
    }
    struct duress_message_options options = {.content = duress_slice_bytes("\xff\xfe", 2)};
    return duress_message_new(&options, reply);
}

static void a_reply_that_cannot_be_sent_is_an_error_for_its_caller_alone(void **state)
{
    struct served *served = *state;
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_function_new(served->rig.server_world, "binary", binary_reply, NULL, &agent), DURESS_OK);
    struct duress_agent *echo = served->rig.service.agent;
    served->rig.service.agent = agent;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.agent = echo;
    duress_agent_unref(agent);
    rig_raw_send_request(&served->peer, "bad", "process", "binary");
    rig_raw_send_request(&served->peer, "good", "process", "text");
    rig_run_for(&served->rig, DURESS_MS);
    assert_int_equal(served->peer.envelopes, 2);
    assert_string_equal(served->peer.last_id, "good");
    assert_string_equal(served->peer.last_text, "text");
    served_close(served);
}

/* --- peers that go away --- */

static void the_peers_end_cancels_what_it_had_asked(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct served *served = *state;
        if (reset != 0)
            rig_open(&served->rig, 0);
        served_open(served, (struct duress_server_options){.world = NULL});
        served->rig.service.silent = true;
        for (int i = 0; i < 5; i++)
            rig_raw_send_request(&served->peer, "x", "process", "x");
        rig_run_for(&served->rig, DURESS_MS);
        assert_int_equal(served->rig.service.running, 5);
        if (reset != 0)
            rig_raw_rst(&served->peer);
        else
            rig_raw_fin(&served->peer);
        rig_run_for(&served->rig, DURESS_MS);
        assert_int_equal(served->rig.service.cancelled, 5);
        assert_int_equal(counts(served).cancelled, 5);
        assert_int_equal(counts(served).connections_open, 0);
        assert_int_equal(counts(served).in_flight, 0);
        served_close(served);
    }
}

static void one_peer_going_away_costs_the_others_nothing(void **state)
{
    struct served *served = *state;
    struct rig_raw other;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 10 * DURESS_MS;
    rig_raw_connect(&other, &served->rig);
    for (int i = 0; i < 5; i++) {
        rig_raw_send_request(&served->peer, "x", "process", "x");
        rig_raw_send_request(&other, "y", "process", "y");
    }
    rig_run_for(&served->rig, DURESS_MS);
    rig_raw_rst(&other);
    rig_run_for(&served->rig, 20 * DURESS_MS);
    assert_int_equal(served->peer.envelopes, 5);
    assert_int_equal(served->rig.service.cancelled, 5);
    rig_raw_close(&other);
    served_close(served);
}

/* --- time --- */

static void an_idle_connection_is_closed_after_its_time(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.idle_timeout_ns = 5 * DURESS_S});
    rig_run_for(&served->rig, 4 * DURESS_S);
    rig_raw_send_request(&served->peer, "x", "process", "x"); /* begins the time anew */
    rig_run_for(&served->rig, 4 * DURESS_S);
    assert_false(served->peer.ended);
    rig_run_for(&served->rig, DURESS_S + DURESS_MS);
    assert_true(served->peer.ended);
    served_close(served);
}

static void a_request_at_work_is_not_idle(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.idle_timeout_ns = DURESS_S});
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 30 * DURESS_S;
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, 30 * DURESS_S + DURESS_MS);
    assert_int_equal(served->peer.envelopes, 1);
    rig_run_for(&served->rig, DURESS_S);
    assert_true(served->peer.ended);
    served_close(served);
}

static void a_frame_that_comes_too_slowly_closes_the_connection(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.frame_timeout_ns = 2 * DURESS_S});
    rig_raw_send(&served->peer, "\0\0\1\0", 4);
    for (int i = 0; i < 4; i++) { /* a byte now and then is no sign of life */
        rig_raw_send(&served->peer, " ", 1);
        rig_run_for(&served->rig, 600 * DURESS_MS);
    }
    assert_true(served->peer.ended || served->peer.was_reset);
    assert_int_equal(counts(served).connections_open, 0);
    served_close(served);
}

static void a_request_that_takes_too_long_is_answered_so(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.request_timeout_ns = DURESS_S});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, DURESS_S + DURESS_MS);
    assert_string_equal(served->peer.last_text,
                        "AGENT_TIMEOUT: the call's deadline passed while the agent was working");
    assert_int_equal(served->rig.service.cancelled, 1);
    served_close(served);
}

/* --- too many --- */

static void connections_beyond_the_limit_are_closed_at_once(void **state)
{
    struct served *served = *state;
    struct rig_raw second;
    served_open(served, (struct duress_server_options){.connections_max = 1});
    rig_raw_connect(&second, &served->rig);
    rig_run_for(&served->rig, DURESS_MS);
    assert_true(second.ended);
    assert_int_equal(counts(served).connections_refused, 1);
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_int_equal(served->peer.envelopes, 1);
    rig_raw_close(&second);
    served_close(served);
}

/* --- stopping --- */

struct drained {
    uint32_t calls;
    bool complete;
    uint64_t at_ns;
    struct rig *rig;
};

static void note_drained(void *context, bool complete)
{
    struct drained *drained = context;
    drained->calls++;
    drained->complete = complete;
    drained->at_ns = rig_now_ns(drained->rig);
}

static void stop_lets_what_arrived_finish_and_accepts_nothing_new(void **state)
{
    struct served *served = *state;
    struct drained drained = {.rig = &served->rig};
    struct rig_raw idle;
    served_open(served, (struct duress_server_options){.world = NULL});
    rig_raw_connect(&idle, &served->rig);
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 100 * DURESS_MS;
    for (int i = 0; i < 3; i++)
        rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    duress_server_stop(served->rig.server, rig_now_ns(&served->rig) + 10 * DURESS_S, note_drained, &drained);
    assert_int_equal(drained.calls, 0);
    rig_run_for(&served->rig, DURESS_MS);
    assert_true(idle.ended); /* who has nothing to wait for is sent away at once */
    rig_raw_send_request(&served->peer, "late", "process", "late");
    rig_run_for(&served->rig, 200 * DURESS_MS);
    assert_int_equal(served->peer.envelopes, 3);
    assert_true(served->peer.ended);
    rig_raw_fin(&served->peer);
    rig_run_for(&served->rig, 2 * DURESS_S);
    assert_int_equal(drained.calls, 1);
    assert_true(drained.complete);
    assert_int_equal(counts(served).arrivals, 3);
    struct rig_answer answer = {.ended = 0};
    struct duress_agent *agent = rig_remote(&served->rig, NULL);
    rig_ask(agent, "x", &answer);
    rig_run_until_ended(&served->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    duress_agent_unref(agent);
    rig_raw_close(&idle);
    served_close(served);
}

static void stop_cuts_what_does_not_finish_by_its_deadline(void **state)
{
    struct served *served = *state;
    struct drained drained = {.rig = &served->rig};
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    uint64_t deadline_ns = rig_now_ns(&served->rig) + DURESS_S;
    duress_server_stop(served->rig.server, deadline_ns, note_drained, &drained);
    rig_run_for(&served->rig, 2 * DURESS_S);
    assert_int_equal(drained.calls, 1);
    assert_false(drained.complete);
    assert_int_equal(drained.at_ns, deadline_ns);
    assert_int_equal(served->rig.service.cancelled, 1);
    assert_true(served->peer.was_reset);
    served_close(served);
}

static void stop_without_connections_is_done_at_once(void **state)
{
    struct served *served = *state;
    struct drained drained = {.rig = &served->rig};
    rig_serve(&served->rig, NULL);
    duress_server_stop(served->rig.server, DURESS_TIME_NEVER, note_drained, &drained);
    assert_int_equal(drained.calls, 0); /* from the loop, not from inside stop() */
    rig_run_for(&served->rig, 0);
    assert_int_equal(drained.calls, 1);
    assert_true(drained.complete);
    rig_close(&served->rig);
}

static void what_cannot_be_served_is_told(void **state)
{
    struct served *served = *state;
    rig_serve(&served->rig, NULL);
    struct duress_server_options options = {
        .world = served->rig.server_world,
        .agent = served->rig.service.agent,
        .address = duress_sim_host_address(served->rig.server_host, RIG_PORT),
    };
    struct duress_server *second = NULL;
    struct duress_failure why;
    assert_int_equal(duress_server_new(&options, &second, &why), DURESS_E_ADDRESS_IN_USE);
    assert_non_null(strstr(why.detail, ":7000: address already in use"));
    assert_int_equal(duress_server_new(&options, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "server: must be given");
    struct probe_heap heap;
    probe_heap_init(&heap, 0);
    options.allocator = &heap.allocator;
    assert_int_equal(duress_server_new(&options, &second, &why), DURESS_E_NO_MEMORY);
    assert_string_equal(why.detail, "no memory for the server");
    assert_int_equal(heap.live_count, 0);
    rig_close(&served->rig);
}

static void bad_options_are_refused_by_name(void **state)
{
    static const struct {
        struct duress_server_options options;
        const char *detail;
    } cases[] = {
        {{.connections_max = 1000001}, "connections_max: 1000001 is not from 1 to 1000000"},
        {{.in_flight_max = 65537}, "in_flight_max: 65537 is not from 1 to 65536"},
        {{.requests_max = 1000001}, "requests_max: 1000001 is not from 1 to 1000000"},
        {{.frame_bytes_max = 255}, "frame_bytes_max: 255 is not from 256 to 4294967295"},
        {{.frame_bytes_max = (size_t)UINT32_MAX + 1}, "frame_bytes_max: 4294967296 is not from 256 to 4294967295"},
    };
    struct served *served = *state;
    struct duress_server *server = NULL;
    struct duress_failure why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_server_options options = cases[i].options;
        options.world = served->rig.server_world;
        options.agent = served->rig.service.agent;
        options.address = duress_sim_host_address(served->rig.server_host, RIG_PORT);
        assert_int_equal(duress_server_new(&options, &server, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, cases[i].detail);
        assert_int_equal(duress_server_new(&options, &server, NULL), DURESS_E_INVALID);
    }
    struct duress_server_options options = {.world = served->rig.server_world};
    assert_int_equal(duress_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "world and agent: must be given");
    assert_int_equal(duress_server_new(NULL, &server, &why), DURESS_E_INVALID);
    struct rig_service far;
    rig_service_open(&far, served->rig.client, "far");
    options.agent = far.agent;
    assert_int_equal(duress_server_new(&options, &server, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "agent: belongs to another world");
    rig_service_close(&far);
    assert_null(server);
    rig_close(&served->rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(requests_of_one_connection_run_side_by_side, setup),
        cmocka_unit_test_setup(beyond_the_limit_of_one_connection_requests_wait_unread, setup),
        cmocka_unit_test_setup(the_end_of_a_peer_whose_requests_fill_the_limit_is_heard, setup),
        cmocka_unit_test_setup(beyond_the_servers_limit_requests_are_shed_with_a_wait, setup),
        cmocka_unit_test_setup(what_a_peer_that_went_away_had_asked_frees_its_place, setup),
        cmocka_unit_test_setup(a_shed_caller_is_asked_to_wait_a_second_or_for_no_time, setup),
        cmocka_unit_test_setup(each_arrival_is_told_with_its_number, setup),
        cmocka_unit_test_setup(an_unknown_method_is_refused_and_the_connection_kept, setup),
        cmocka_unit_test_setup(an_envelope_that_is_no_request_is_refused_and_the_connection_kept, setup),
        cmocka_unit_test_setup(failures_of_the_agent_go_out_with_their_meaning, setup),
        cmocka_unit_test_setup(a_reply_that_cannot_be_sent_is_an_error_for_its_caller_alone, setup),
        cmocka_unit_test_setup(the_peers_end_cancels_what_it_had_asked, setup),
        cmocka_unit_test_setup(one_peer_going_away_costs_the_others_nothing, setup),
        cmocka_unit_test_setup(an_idle_connection_is_closed_after_its_time, setup),
        cmocka_unit_test_setup(a_request_at_work_is_not_idle, setup),
        cmocka_unit_test_setup(a_frame_that_comes_too_slowly_closes_the_connection, setup),
        cmocka_unit_test_setup(a_request_that_takes_too_long_is_answered_so, setup),
        cmocka_unit_test_setup(connections_beyond_the_limit_are_closed_at_once, setup),
        cmocka_unit_test_setup(stop_lets_what_arrived_finish_and_accepts_nothing_new, setup),
        cmocka_unit_test_setup(stop_cuts_what_does_not_finish_by_its_deadline, setup),
        cmocka_unit_test_setup(stop_without_connections_is_done_at_once, setup),
        cmocka_unit_test_setup(what_cannot_be_served_is_told, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
