/* SPDX-License-Identifier: Apache-2.0
 *
 * Each toxic over real sockets. Exact instants are the link's own tests' business; here lower bounds are exact, and
 * upper bounds only as tight as a busy machine allows. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GENEROUS_NS (5 * DURESS_S)

static void noop_passes_everything(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic noop = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    toxic_add(&fixture, &noop);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "through");
    peer_expect_text(&fixture, pair.server, "through");
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void latency_delays_each_chunk(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_DOWNSTREAM);
    latency.as.latency.latency_ns = 80 * DURESS_MS;
    toxic_add(&fixture, &latency);
    struct pair pair = pair_open(&fixture);
    uint64_t sent_ns = now_ns(&fixture);
    peer_send_text(&fixture, pair.server, "late");
    peer_expect_text(&fixture, pair.client, "late");
    uint64_t taken_ns = now_ns(&fixture) - sent_ns;
    assert_true(taken_ns >= 80 * DURESS_MS);
    assert_true(taken_ns < GENEROUS_NS);
    assert_true(link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].delay_ns_max >= 80 * DURESS_MS);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void bandwidth_limits_the_rate(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic slow = toxic_make(1, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    slow.as.bandwidth.rate_bytes_per_s = 100000;
    toxic_add(&fixture, &slow);
    struct pair pair = pair_open(&fixture);
    static uint8_t bytes[20000];
    uint64_t sent_ns = now_ns(&fixture);
    peer_send(&fixture, pair.client, bytes, sizeof bytes);
    peer_receive(&fixture, pair.server, bytes, sizeof bytes);
    uint64_t taken_ns = now_ns(&fixture) - sent_ns;
    assert_true(taken_ns >= 200 * DURESS_MS);
    assert_true(taken_ns < GENEROUS_NS);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void slow_close_holds_the_fin_back(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic slow = toxic_make(1, DURESS_TOXIC_SLOW_CLOSE, DURESS_DOWNSTREAM);
    slow.as.slow_close.delay_ns = 120 * DURESS_MS;
    toxic_add(&fixture, &slow);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.server, "bye");
    uint64_t closed_ns = now_ns(&fixture);
    peer_close(&pair.server);
    peer_expect_text(&fixture, pair.client, "bye");
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_FIN);
    assert_true(now_ns(&fixture) - closed_ns >= 120 * DURESS_MS);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void timeout_drops_and_closes_both(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    struct duress_toxic timeout = toxic_make(7, DURESS_TOXIC_TIMEOUT, DURESS_UPSTREAM);
    timeout.as.timeout.timeout_ns = 100 * DURESS_MS;
    wait_connected(&fixture, pair.client);
    uint64_t added_ns = now_ns(&fixture);
    toxic_add(&fixture, &timeout);
    peer_send_text(&fixture, pair.client, "lost");
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.server, &received), END_FIN);
    assert_int_equal(received, 0);
    assert_true(now_ns(&fixture) - added_ns >= 100 * DURESS_MS);
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_FIN);
    wait_connection_count(&fixture, 0);
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_int_equal(stats.tripped_by, 7);
    assert_int_equal(stats.direction[DURESS_UPSTREAM].bytes_dropped, strlen("lost"));
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void reset_peer_resets_both(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic reset = toxic_make(1, DURESS_TOXIC_RESET_PEER, DURESS_UPSTREAM);
    reset.as.reset_peer.timeout_ns = 50 * DURESS_MS;
    toxic_add(&fixture, &reset);
    struct pair pair = pair_open(&fixture);
    run_for(&fixture, 60 * DURESS_MS); /* an idle connection is not reset */
    assert_int_equal(duress_proxy_connection_count(fixture.proxy), 1);
    uint64_t sent_ns = now_ns(&fixture);
    peer_send_text(&fixture, pair.client, "poke");
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
    assert_true(now_ns(&fixture) - sent_ns >= 50 * DURESS_MS);
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.server, &received), END_RST);
    assert_int_equal(received, 0);
    wait_connection_count(&fixture, 0);
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_true(stats.reset_out_ns[DURESS_SIDE_CLIENT] > 0);
    assert_true(stats.reset_out_ns[DURESS_SIDE_SERVER] > 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* One piece, one segment: with a pause between the pieces each read finds one. */
static void slicer_shows_on_the_wire(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic slicer = toxic_make(1, DURESS_TOXIC_SLICER, DURESS_UPSTREAM);
    slicer.as.slicer.average_bytes = 8;
    slicer.as.slicer.variation_bytes = 2;
    slicer.as.slicer.delay_ns = 20 * DURESS_MS;
    toxic_add(&fixture, &slicer);
    struct pair pair = pair_open(&fixture);
    const char *text = "the quick brown fox jumps over the lazy dog";
    peer_send_text(&fixture, pair.client, text);
    char received[64];
    size_t length = 0;
    size_t pieces = 0;
    uint64_t deadline_ns = now_ns(&fixture) + PATIENCE_NS;
    while (length < strlen(text) && now_ns(&fixture) < deadline_ns) {
        enum end end = END_NONE;
        size_t count = peer_read_now(pair.server, received + length, sizeof received - length, &end);
        assert_int_equal(end, END_NONE);
        length += count;
        pieces += count > 0 ? 1 : 0;
        run_for(&fixture, DURESS_MS);
    }
    assert_int_equal(length, strlen(text));
    assert_memory_equal(received, text, length);
    assert_true(pieces >= 3); /* 43 bytes in pieces of at most 10; a busy machine may join neighbours */
    assert_true(link_stats(&fixture, 1).direction[DURESS_UPSTREAM].pieces_sliced >= 5);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void limit_data_lets_exactly_so_much_through(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic limit = toxic_make(1, DURESS_TOXIC_LIMIT_DATA, DURESS_DOWNSTREAM);
    limit.as.limit_data.bytes_max = 100001;
    toxic_add(&fixture, &limit);
    struct pair pair = pair_open(&fixture);
    static const uint8_t bytes[300000];
    ssize_t sent = send(pair.server, bytes, sizeof bytes, MSG_NOSIGNAL);
    assert_true(sent > 100001);
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.client, &received), END_FIN);
    assert_int_equal(received, 100001);
    pair_close(&pair);
    wait_connection_count(&fixture, 0);
    fixture_stop(&fixture);
}

/* The close behind the limit must not overtake the bytes, even where the client has sent what nobody will read. */
static void close_follows_the_data_though_bytes_lie_unread(void **state)
{
    enum { LIMIT = 200000 };
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic limit = toxic_make(1, DURESS_TOXIC_LIMIT_DATA, DURESS_DOWNSTREAM);
    struct duress_toxic stall = toxic_make(2, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    limit.as.limit_data.bytes_max = LIMIT;
    toxic_add(&fixture, &limit);
    toxic_add(&fixture, &stall);
    struct pair pair = pair_open(&fixture);
    peer_receive_buffer(pair.client, 16384);
    peer_send_text(&fixture, pair.client, "unread");
    static const uint8_t bytes[LIMIT];
    peer_send(&fixture, pair.server, bytes, sizeof bytes);
    size_t received = 0;
    enum end end = END_NONE;
    uint64_t deadline_ns = now_ns(&fixture) + PATIENCE_NS;
    for (size_t round = 0; end == END_NONE && now_ns(&fixture) < deadline_ns; round++) {
        uint8_t some[4096];
        received += peer_read_now(pair.client, some, sizeof some, &end);
        if (round < 20)
            (void)send(pair.client, "more", 4, MSG_NOSIGNAL);
        run_for(&fixture, DURESS_MS);
    }
    assert_int_equal(received, LIMIT);
    assert_int_equal(end, END_FIN);
    pair_close(&pair);
    wait_connection_count(&fixture, 0);
    fixture_stop(&fixture);
}

static void blackhole_swallows_bytes_and_fin(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic hole = toxic_make(1, DURESS_TOXIC_BLACKHOLE, DURESS_UPSTREAM);
    toxic_add(&fixture, &hole);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "into the void");
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    while (link_stats(&fixture, 1).direction[DURESS_UPSTREAM].fin_in_ns == 0)
        run_for(&fixture, DURESS_MS);
    run_for(&fixture, 30 * DURESS_MS);
    uint8_t byte;
    enum end end = END_NONE;
    assert_int_equal(peer_read_now(pair.server, &byte, 1, &end), 0);
    assert_int_equal(end, END_NONE);
    peer_send_text(&fixture, pair.server, "the other way is open");
    peer_expect_text(&fixture, pair.client, "the other way is open");
    assert_int_equal(link_stats(&fixture, 1).direction[DURESS_UPSTREAM].bytes_dropped, strlen("into the void"));
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void corrupt_flips_the_given_bytes(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic corrupt = toxic_make(1, DURESS_TOXIC_CORRUPT, DURESS_UPSTREAM);
    corrupt.as.corrupt.offset_count = 2;
    corrupt.as.corrupt.offsets[0] = 1;
    corrupt.as.corrupt.offsets[1] = 4;
    toxic_add(&fixture, &corrupt);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "abcdef");
    uint8_t received[6];
    peer_receive(&fixture, pair.server, received, sizeof received);
    const uint8_t expected[6] = {'a', (uint8_t) ~'b', 'c', 'd', (uint8_t) ~'e', 'f'};
    assert_memory_equal(received, expected, sizeof expected);
    assert_int_equal(link_stats(&fixture, 1).direction[DURESS_UPSTREAM].bytes_corrupted, 2);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void cut_ends_both_sides_after_exactly_so_many_bytes(enum duress_cut_how how, enum end expected)
{
    struct fixture fixture;
    fixture_start(&fixture, NULL);
    struct duress_toxic cut = toxic_make(1, DURESS_TOXIC_CUT, DURESS_DOWNSTREAM);
    cut.as.cut.after_bytes = 40;
    cut.as.cut.how = how;
    toxic_add(&fixture, &cut);
    struct pair pair = pair_open(&fixture);
    for (int i = 0; i < 5; i++) {
        char question[8];
        peer_send_text(&fixture, pair.client, "q");
        peer_receive(&fixture, pair.server, question, 1);
        peer_send_text(&fixture, pair.server, "1234567");
        peer_expect_text(&fixture, pair.client, "1234567");
    }
    peer_send_text(&fixture, pair.server, "1234567"); /* 5 bytes of it still pass */
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.client, &received), expected);
    assert_int_equal(received, 5);
    assert_int_equal(peer_drain(&fixture, pair.server, NULL), expected);
    wait_connection_count(&fixture, 0);
    assert_true(link_stats(&fixture, 1).tripped_ns > 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void cut_with_rst(void **state)
{
    (void)state;
    cut_ends_both_sides_after_exactly_so_many_bytes(DURESS_CUT_RST, END_RST);
}

static void cut_with_fin(void **state)
{
    (void)state;
    cut_ends_both_sides_after_exactly_so_many_bytes(DURESS_CUT_FIN, END_FIN);
}

/* --- toxics that change while bytes are in flight --- */

#define STREAM_WORDS (1024 * 1024)

/* A stream of counted words from the client to the server, while toxics come, change and go. */
struct stream {
    struct fixture *fixture;
    struct pair pair;
    uint32_t *words;
    size_t sent_bytes;
    size_t received_bytes;
    bool reading;
};

static bool stream_step(void *context)
{
    struct stream *stream = context;
    size_t total = STREAM_WORDS * sizeof *stream->words;
    static uint8_t some[32768];
    ssize_t count = 0;
    do {
        count = send(stream->pair.client, (const uint8_t *)stream->words + stream->sent_bytes,
                     total - stream->sent_bytes, MSG_NOSIGNAL);
        stream->sent_bytes += count > 0 ? (size_t)count : 0;
    } while (count > 0);
    if (!stream->reading)
        return false;
    enum end end = END_NONE;
    size_t received = peer_read_now(stream->pair.server, some, sizeof some, &end);
    assert_int_equal(end, END_NONE);
    assert_true(stream->received_bytes + received <= total);
    assert_memory_equal(some, (const uint8_t *)stream->words + stream->received_bytes, received);
    stream->received_bytes += received;
    return stream->received_bytes == total;
}

static void stream_run(struct stream *stream, uint64_t duration_ns)
{
    (void)duress__loop_run_until(stream->fixture->loop, stream_step, stream, now_ns(stream->fixture) + duration_ns);
}

static void toxics_change_in_flight(bool reading)
{
    struct fixture fixture;
    fixture_start(&fixture, NULL);
    struct stream stream = {.fixture = &fixture, .pair = pair_open(&fixture), .reading = reading};
    stream.words = malloc(STREAM_WORDS * sizeof *stream.words);
    assert_non_null(stream.words);
    for (uint32_t i = 0; i < STREAM_WORDS; i++)
        stream.words[i] = i;
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    struct duress_toxic slicer = toxic_make(2, DURESS_TOXIC_SLICER, DURESS_UPSTREAM);
    struct duress_toxic bandwidth = toxic_make(3, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    slicer.as.slicer.average_bytes = 1000;
    slicer.as.slicer.variation_bytes = 500;
    for (uint64_t round = 0; round < 3; round++) {
        latency.as.latency.latency_ns = 20 * DURESS_MS;
        latency.as.latency.jitter_ns = 10 * DURESS_MS;
        toxic_add(&fixture, &latency);
        stream_run(&stream, 15 * DURESS_MS);
        toxic_add(&fixture, &slicer);
        stream_run(&stream, 5 * DURESS_MS);
        bandwidth.as.bandwidth.rate_bytes_per_s = 0;
        toxic_add(&fixture, &bandwidth);
        stream_run(&stream, 10 * DURESS_MS);
        latency.as.latency.latency_ns = DURESS_MS;
        assert_int_equal(duress_proxy_toxic_update(fixture.proxy, &latency, NULL), DURESS_OK);
        stream_run(&stream, 5 * DURESS_MS);
        bandwidth.as.bandwidth.rate_bytes_per_s = 2000000;
        assert_int_equal(duress_proxy_toxic_update(fixture.proxy, &bandwidth, NULL), DURESS_OK);
        stream_run(&stream, 20 * DURESS_MS);
        assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 2), DURESS_OK);
        stream_run(&stream, 5 * DURESS_MS);
        assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 3), DURESS_OK);
        assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 1), DURESS_OK);
        stream_run(&stream, 5 * DURESS_MS);
    }
    stream.reading = true;
    wait_until(&fixture, stream_step, &stream, "the whole stream");
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_true(stats.direction[DURESS_UPSTREAM].chunks_delayed > 0);
    assert_true(stats.direction[DURESS_UPSTREAM].pieces_sliced > 0);
    assert_int_equal(stats.direction[DURESS_UPSTREAM].bytes_dropped, 0);
    free(stream.words);
    pair_close(&stream.pair);
    fixture_stop(&fixture);
}

static void toxics_change_in_flight_to_a_fast_reader(void **state)
{
    (void)state;
    toxics_change_in_flight(true);
}

/* Nobody reads while they change: each change returns at once, and no byte is lost. */
static void toxics_change_in_flight_to_a_stalled_reader(void **state)
{
    (void)state;
    toxics_change_in_flight(false);
}

static void toxics_hold_for_open_and_for_later_connections(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair before = pair_open(&fixture);
    struct duress_toxic corrupt = toxic_make(1, DURESS_TOXIC_CORRUPT, DURESS_UPSTREAM);
    corrupt.as.corrupt.offset_count = 1;
    toxic_add(&fixture, &corrupt);
    struct pair after = pair_open(&fixture);
    struct pair *both[2] = {&before, &after};
    for (size_t i = 0; i < 2; i++) {
        uint8_t received[2];
        peer_send_text(&fixture, both[i]->client, "ab");
        peer_receive(&fixture, both[i]->server, received, 2);
        assert_int_equal(received[0], (uint8_t) ~'a');
        assert_int_equal(received[1], 'b');
    }
    assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 1), DURESS_OK);
    struct pair clean = pair_open(&fixture);
    peer_send_text(&fixture, clean.client, "ab");
    peer_expect_text(&fixture, clean.server, "ab");
    pair_close(&before);
    pair_close(&after);
    pair_close(&clean);
    fixture_stop(&fixture);
}

/* An update holds for open and for later connections, and leaves the direction as it was. */
static void update_holds_for_open_and_for_later_connections(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic corrupt = toxic_make(1, DURESS_TOXIC_CORRUPT, DURESS_UPSTREAM);
    corrupt.as.corrupt.offset_count = 1;
    corrupt.as.corrupt.offsets[0] = 1000000;
    toxic_add(&fixture, &corrupt);
    struct pair before = pair_open(&fixture);
    wait_connection_count(&fixture, 1);
    corrupt.as.corrupt.offsets[0] = 1;
    corrupt.direction = DURESS_DOWNSTREAM;
    assert_int_equal(duress_proxy_toxic_update(fixture.proxy, &corrupt, NULL), DURESS_OK);
    struct pair after = pair_open(&fixture);
    struct pair *both[2] = {&before, &after};
    for (size_t i = 0; i < 2; i++) {
        uint8_t received[2];
        peer_send_text(&fixture, both[i]->client, "ab");
        peer_receive(&fixture, both[i]->server, received, 2);
        assert_int_equal(received[0], 'a');
        assert_int_equal(received[1], (uint8_t) ~'b');
        peer_send_text(&fixture, both[i]->server, "ab");
        peer_expect_text(&fixture, both[i]->client, "ab");
        pair_close(both[i]);
    }
    fixture_stop(&fixture);
}

#define DRAW_CONNECTIONS 24

/* Which of the connections a toxic with half toxicity hits, under |seed|: a bit each. */
static uint32_t draws(uint64_t seed)
{
    struct fixture fixture;
    uint32_t hits = 0;
    fixture_start(&fixture, &(struct duress_proxy_options){.seed = seed});
    struct duress_toxic corrupt = toxic_make(1, DURESS_TOXIC_CORRUPT, DURESS_UPSTREAM);
    corrupt.toxicity_ppm = DURESS_PPM / 2;
    corrupt.as.corrupt.offset_count = 1;
    toxic_add(&fixture, &corrupt);
    for (uint32_t i = 0; i < DRAW_CONNECTIONS; i++) {
        struct pair pair = pair_open(&fixture);
        uint8_t byte = 0;
        peer_send_text(&fixture, pair.client, "a");
        peer_receive(&fixture, pair.server, &byte, 1);
        hits |= (byte != 'a' ? 1U : 0U) << i;
        pair_close(&pair);
    }
    fixture_stop(&fixture);
    return hits;
}

static void draws_follow_from_the_seed_and_the_connection(void **state)
{
    (void)state;
    uint32_t first = draws(5);
    assert_int_not_equal(first, 0);
    assert_int_not_equal(first, (1U << DRAW_CONNECTIONS) - 1);
    assert_int_equal(draws(5), first);
    assert_int_not_equal(draws(6), first);
}

static void bad_toxics_are_refused_and_change_nothing(void **state)
{
    struct fixture fixture;
    struct duress_failure why = {0};
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    latency.as.latency.latency_ns = 60 * DURESS_MS;
    toxic_add(&fixture, &latency);
    assert_int_equal(duress_proxy_toxic_add(fixture.proxy, &latency, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "id: 1 given"));
    struct duress_toxic unknown = latency;
    unknown.id = 9;
    assert_int_equal(duress_proxy_toxic_update(fixture.proxy, &unknown, &why), DURESS_E_INVALID);
    assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 9), DURESS_E_INVALID);
    struct duress_toxic other_type = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    assert_int_equal(duress_proxy_toxic_update(fixture.proxy, &other_type, &why), DURESS_E_INVALID);
    struct duress_toxic no_type = toxic_make(3, DURESS_TOXIC_TYPE_COUNT, DURESS_UPSTREAM);
    assert_int_equal(duress_proxy_toxic_add(fixture.proxy, &no_type, &why), DURESS_E_INVALID);
    struct pair pair = pair_open(&fixture);
    uint64_t sent_ns = now_ns(&fixture);
    peer_send_text(&fixture, pair.client, "x");
    peer_expect_text(&fixture, pair.server, "x");
    assert_true(now_ns(&fixture) - sent_ns >= 60 * DURESS_MS);
    pair_close(&pair);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noop_passes_everything),
        cmocka_unit_test(latency_delays_each_chunk),
        cmocka_unit_test(bandwidth_limits_the_rate),
        cmocka_unit_test(slow_close_holds_the_fin_back),
        cmocka_unit_test(timeout_drops_and_closes_both),
        cmocka_unit_test(reset_peer_resets_both),
        cmocka_unit_test(slicer_shows_on_the_wire),
        cmocka_unit_test(limit_data_lets_exactly_so_much_through),
        cmocka_unit_test(close_follows_the_data_though_bytes_lie_unread),
        cmocka_unit_test(blackhole_swallows_bytes_and_fin),
        cmocka_unit_test(corrupt_flips_the_given_bytes),
        cmocka_unit_test(cut_with_rst),
        cmocka_unit_test(cut_with_fin),
        cmocka_unit_test(toxics_change_in_flight_to_a_fast_reader),
        cmocka_unit_test(toxics_change_in_flight_to_a_stalled_reader),
        cmocka_unit_test(toxics_hold_for_open_and_for_later_connections),
        cmocka_unit_test(update_holds_for_open_and_for_later_connections),
        cmocka_unit_test(draws_follow_from_the_seed_and_the_connection),
        cmocka_unit_test(bad_toxics_are_refused_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
