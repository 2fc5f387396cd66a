/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed server against bytes that are no requests, and against peers that do not read. */
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

static void what_cannot_be_decoded_is_answered_with_an_error_and_then_closed(void **state)
{
    static const struct {
        const char *body;
        const char *id;
        const char *code;
    } cases[] = {
        {"garbage", "unknown", "MALFORMED_PAYLOAD: "},
        {"{\"version\":\"1.0\"", "unknown", "MALFORMED_PAYLOAD: "},
        {"\xff", "unknown", "MALFORMED_PAYLOAD: "},
        {"{\"version\":\"1.0\",\"type\":\"request\",\"payload\":{}}", "unknown", "INVALID_MESSAGE: "},
        {"{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"r1\",\"payload\":{\"message\":7}}", "r1",
         "INVALID_MESSAGE: "},
        {"{\"version\":\"3.0\",\"type\":\"request\",\"id\":\"r2\",\"payload\":{}}", "r2", "UNSUPPORTED_VERSION: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct served *served = *state;
        if (i > 0)
            rig_open(&served->rig, 0);
        served_open(served, (struct duress_server_options){.world = NULL});
        rig_raw_send_text(&served->peer, cases[i].body);
        rig_raw_send_request(&served->peer, "after", "process", "never read");
        rig_run_for(&served->rig, 10 * DURESS_MS);
        assert_int_equal(served->peer.envelopes, 1);
        assert_int_equal(served->peer.last_type, DURESS_ENVELOPE_ERROR);
        assert_string_equal(served->peer.last_id, cases[i].id);
        assert_memory_equal(served->peer.last_text, cases[i].code, strlen(cases[i].code));
        assert_true(served->peer.ended); /* a FIN: the error was not overtaken by a reset */
        assert_int_equal(duress_server_counts(served->rig.server).malformed, 1);
        assert_int_equal(duress_server_counts(served->rig.server).arrivals, 0);
        rig_run_for(&served->rig, 2 * DURESS_S); /* whether the peer closes or not */
        assert_int_equal(duress_server_counts(served->rig.server).connections_open, 0);
        served_close(served);
    }
}

static void requests_before_the_bad_one_are_still_answered(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 100 * DURESS_MS;
    for (int i = 0; i < 3; i++)
        rig_raw_send_request(&served->peer, "good", "process", "x");
    rig_raw_send_text(&served->peer, "bad");
    rig_run_for(&served->rig, 200 * DURESS_MS);
    assert_int_equal(served->peer.envelopes, 4);
    assert_string_equal(served->peer.last_id, "good");
    assert_true(served->peer.ended);
    served_close(served);
}

/* Whoever closes has given up, whatever the server was about to do with the connection. */
static void the_end_of_a_peer_is_heard_behind_a_bad_frame(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "never answered");
    rig_raw_send_text(&served->peer, "bad");
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_int_equal(duress_server_counts(served->rig.server).in_flight, 1);
    rig_raw_send_request(&served->peer, "after", "process", "never looked at");
    rig_raw_fin(&served->peer);
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_int_equal(duress_server_counts(served->rig.server).in_flight, 0);
    assert_int_equal(duress_server_counts(served->rig.server).cancelled, 1);
    assert_int_equal(duress_server_counts(served->rig.server).arrivals, 1);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 0);
    assert_int_equal(served->rig.service.cancelled, 1);
    served_close(served);
}

static void note_complete(void *context, bool complete)
{
    *(int *)context = complete ? 1 : -1;
}

static void stop_does_not_wait_for_a_peer_that_went_away(void **state)
{
    struct served *served = *state;
    int drained = 0;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "never answered");
    rig_run_for(&served->rig, 10 * DURESS_MS);
    duress_server_stop(served->rig.server, DURESS_TIME_NEVER, note_complete, &drained);
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_int_equal(drained, 0);
    rig_raw_fin(&served->peer);
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_int_equal(drained, 1);
    assert_int_equal(served->rig.service.cancelled, 1);
    served_close(served);
}

static void an_announced_length_beyond_the_limit_is_refused_at_once(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.frame_bytes_max = 1000});
    rig_raw_send(&served->peer, "\x00\x00\x03\xe9", 4); /* 1001: before any of it has come */
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_string_equal(served->peer.last_text, "MALFORMED_PAYLOAD: a frame that announces more than the limit");
    assert_true(served->peer.ended);
    served_close(served);
}

/* Memory follows the bytes that came, not the length that was announced. */
static void an_announced_length_within_the_limit_is_not_believed(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.frame_bytes_max = UINT32_MAX});
    served->rig.heap.largest_bytes = 0;
    rig_raw_send(&served->peer, "\x7f\xff\xff\xff{", 5);
    rig_run_for(&served->rig, 10 * DURESS_MS);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 1);
    assert_in_range(served->rig.heap.largest_bytes, 1, 64 * 1024);
    served_close(served);
}

static void an_id_as_long_as_it_likes_costs_nothing(void **state)
{
    struct served *served = *state;
    char id[300];
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    served_open(served, (struct duress_server_options){.world = NULL});
    rig_raw_send_request(&served->peer, id, "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_text, "INVALID_MESSAGE: an id of more than 256 bytes");
    id[256] = '\0';
    rig_raw_send_request(&served->peer, id, "process", "x");
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_id, id);
    assert_string_equal(served->peer.last_text, "re: x");
    served_close(served);
}

static void byte_by_byte_is_as_good_as_whole(void **state)
{
    struct served *served = *state;
    struct duress_buffer buffer;
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_text("slow"),
        .method = duress_slice_text("process"),
        .role = duress_slice_text("user"),
        .content = duress_slice_text("drop by drop"),
    };
    served_open(served, (struct duress_server_options){.world = NULL});
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode_framed(&envelope, NULL, &buffer, NULL), DURESS_OK);
    struct duress_slice all = duress_buffer_slice(&buffer);
    for (size_t i = 0; i < all.length; i++) {
        rig_raw_send(&served->peer, all.data + i, 1);
        rig_run_for(&served->rig, DURESS_US);
    }
    rig_run_for(&served->rig, DURESS_MS);
    assert_string_equal(served->peer.last_text, "re: drop by drop");
    duress_buffer_close(&buffer);
    served_close(served);
}

/* --- peers that do not read --- */

static int large_reply(void *context, struct duress_message *request, struct duress_message **reply,
                       struct duress_failure *failure)
{
    static uint8_t bytes[256 * 1024];
    (void)context;
    (void)request;
    (void)failure;
    memset(bytes, 'x', sizeof bytes);
    struct duress_message_options options = {.content = duress_slice_bytes(bytes, sizeof bytes)};
    return duress_message_new(&options, reply);
}

static void served_large(struct served *served, struct duress_server_options options)
{
    struct duress_agent *agent = NULL;
    struct duress_agent *echo = served->rig.service.agent;
    assert_int_equal(duress_function_new(served->rig.server_world, "large", large_reply, NULL, &agent), DURESS_OK);
    served->rig.service.agent = agent;
    served_open(served, options);
    served->rig.service.agent = echo;
    duress_agent_unref(agent);
}

static void a_peer_that_does_not_read_is_not_read_from_either(void **state)
{
    struct served *served = *state;
    served_large(served, (struct duress_server_options){
                             .write_bytes_max = 1024 * 1024, .frame_timeout_ns = 3600 * DURESS_S, .in_flight_max = 1});
    served->peer.deaf = true;
    duress_stream_want(served->peer.stream, 0);
    for (int i = 0; i < 100; i++)
        rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, DURESS_S);
    uint64_t arrivals = duress_server_counts(served->rig.server).arrivals;
    assert_in_range(arrivals, 4, 9); /* 1 MiB of replies, and what the sockets hold */
    served->peer.deaf = false;
    duress_stream_want(served->peer.stream, DURESS_STREAM_READABLE);
    rig_run_for(&served->rig, 10 * DURESS_S);
    assert_int_equal(served->peer.envelopes, 100); /* once it reads, it gets everything */
    served_close(served);
}

static void send_requests_at_once(struct rig_raw *peer, int count)
{
    struct duress_buffer buffer;
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_text("x"),
        .method = duress_slice_text("process"),
        .role = duress_slice_text("user"),
    };
    duress_buffer_init(&buffer, 0, NULL);
    for (int i = 0; i < count; i++)
        assert_int_equal(duress_envelope_encode_framed(&envelope, NULL, &buffer, NULL), DURESS_OK);
    struct duress_slice all = duress_buffer_slice(&buffer);
    rig_raw_send(peer, all.data, all.length);
    duress_buffer_close(&buffer);
}

/* Requests that came in one read are answered within one turn of the world: what they cost is counted all the same. */
static void replies_to_requests_of_one_read_do_not_fill_the_memory(void **state)
{
    struct served *served = *state;
    served_large(served, (struct duress_server_options){.write_bytes_max = 1024 * 1024});
    served->peer.deaf = true;
    duress_stream_want(served->peer.stream, 0);
    send_requests_at_once(&served->peer, 100);
    rig_run_for(&served->rig, DURESS_S);
    assert_in_range(duress_server_counts(served->rig.server).arrivals, 4, 24);
    served->peer.deaf = false;
    duress_stream_want(served->peer.stream, DURESS_STREAM_READABLE);
    rig_run_for(&served->rig, 10 * DURESS_S);
    assert_int_equal(served->peer.envelopes, 100);
    served_close(served);
}

static void a_peer_that_never_reads_is_reset_after_its_time(void **state)
{
    struct served *served = *state;
    served_large(served, (struct duress_server_options){.frame_timeout_ns = 5 * DURESS_S});
    served->peer.deaf = true;
    duress_stream_want(served->peer.stream, 0);
    for (int i = 0; i < 10; i++)
        rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_run_for(&served->rig, 4 * DURESS_S);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 1);
    rig_run_for(&served->rig, 2 * DURESS_S);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 0);
    served_close(served);
}

static void a_stream_does_not_fill_the_memory_for_a_peer_that_does_not_read(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.write_bytes_max = 4096});
    served->rig.service.chunk_count = 1000000;
    served->peer.deaf = true;
    duress_stream_want(served->peer.stream, 0);
    rig_raw_send_request(&served->peer, "x", "stream", "x");
    served->rig.service.delay_ns_min = served->rig.service.delay_ns_max = 10 * DURESS_US;
    rig_run_for(&served->rig, 5 * DURESS_S);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 0);
    assert_int_equal(served->rig.service.cancelled, 1);
    served_close(served);
}

/* Twice the limit is what is too much, and twice this limit is more than a size can hold. */
static void a_stream_below_a_huge_limit_arrives_whole(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.write_bytes_max = SIZE_MAX / 2 + 1});
    served->rig.service.chunk_count = 10;
    rig_raw_send_request(&served->peer, "x", "stream", "x");
    rig_run_for(&served->rig, DURESS_S);
    assert_int_equal(duress_server_counts(served->rig.server).connections_open, 1);
    assert_int_equal(duress_server_counts(served->rig.server).replied, 1);
    served_close(served);
}

/* Freed in the middle of a callback of its own: the agent that it serves does it. */
static void free_the_server(void *context, struct rig_service *service, struct duress_call *call)
{
    struct rig *rig = context;
    (void)service;
    (void)call;
    duress_server_free(rig->server);
    rig->server = NULL;
}

static void the_server_may_be_freed_by_the_agent_that_it_serves(void **state)
{
    struct served *served = *state;
    served_open(served, (struct duress_server_options){.world = NULL});
    served->rig.service.on_call = free_the_server;
    served->rig.service.context = &served->rig;
    served->rig.service.silent = true;
    rig_raw_send_request(&served->peer, "x", "process", "x");
    rig_raw_send_request(&served->peer, "y", "process", "y");
    rig_run_for(&served->rig, DURESS_MS);
    assert_true(served->peer.was_reset);
    assert_int_equal(served->rig.service.begun, 1);
    served_close(served);
}

static void random_bytes_never_break_the_server(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct served *served = *state;
        struct duress_prng prng;
        if (seed > 1)
            rig_open(&served->rig, seed);
        duress_prng_init(&prng, seed, 1);
        served_open(served, (struct duress_server_options){.frame_bytes_max = 512});
        for (int i = 0; i < 20 && !served->peer.ended && !served->peer.was_reset; i++) {
            uint8_t bytes[64];
            size_t length = 1 + (size_t)duress_prng_below(&prng, sizeof bytes);
            for (size_t k = 0; k < length; k++)
                bytes[k] = (uint8_t)(duress_prng_chance(&prng, 300000) ? 0 : duress_prng_next(&prng));
            size_t count = 0;
            struct duress_slice slice = duress_slice_bytes(bytes, length);
            if (duress_stream_write(served->peer.stream, &slice, 1, &count) != DURESS_OK)
                break;
            rig_run_for(&served->rig, 2 * DURESS_MS);
        }
        served_close(served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_cannot_be_decoded_is_answered_with_an_error_and_then_closed, setup),
        cmocka_unit_test_setup(requests_before_the_bad_one_are_still_answered, setup),
        cmocka_unit_test_setup(the_end_of_a_peer_is_heard_behind_a_bad_frame, setup),
        cmocka_unit_test_setup(stop_does_not_wait_for_a_peer_that_went_away, setup),
        cmocka_unit_test_setup(an_announced_length_beyond_the_limit_is_refused_at_once, setup),
        cmocka_unit_test_setup(an_announced_length_within_the_limit_is_not_believed, setup),
        cmocka_unit_test_setup(an_id_as_long_as_it_likes_costs_nothing, setup),
        cmocka_unit_test_setup(byte_by_byte_is_as_good_as_whole, setup),
        cmocka_unit_test_setup(a_peer_that_does_not_read_is_not_read_from_either, setup),
        cmocka_unit_test_setup(replies_to_requests_of_one_read_do_not_fill_the_memory, setup),
        cmocka_unit_test_setup(a_peer_that_never_reads_is_reset_after_its_time, setup),
        cmocka_unit_test_setup(a_stream_does_not_fill_the_memory_for_a_peer_that_does_not_read, setup),
        cmocka_unit_test_setup(a_stream_below_a_huge_limit_arrives_whole, setup),
        cmocka_unit_test_setup(the_server_may_be_freed_by_the_agent_that_it_serves, setup),
        cmocka_unit_test_setup(random_bytes_never_break_the_server, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
