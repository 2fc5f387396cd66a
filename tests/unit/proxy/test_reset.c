/* SPDX-License-Identifier: Apache-2.0
 *
 * RST through the proxy: both ways, behind the bytes before it, and from peers that nobody reads. */
#include "fixture.h"

#include <sys/socket.h>

#include "parting.h"

#define TAIL_BYTES 200000

static void rst_of_the_client_reaches_the_server(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "hello");
    peer_expect_text(&fixture, pair.server, "hello");
    peer_reset(&pair.client);
    assert_int_equal(peer_drain(&fixture, pair.server, NULL), END_RST);
    wait_connection_count(&fixture, 0);
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_true(stats.reset_in_ns[DURESS_SIDE_CLIENT] > 0);
    assert_true(stats.reset_out_ns[DURESS_SIDE_SERVER] >= stats.reset_in_ns[DURESS_SIDE_CLIENT]);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void rst_of_the_server_reaches_the_client(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_reset(&pair.server);
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
    wait_connection_count(&fixture, 0);
    assert_true(link_stats(&fixture, 1).reset_in_ns[DURESS_SIDE_SERVER] > 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* The server sends 200 KB and dies with an RST; the client, whose receive buffer is far smaller, reads slowly. It gets
 * all bytes, and then the RST: neither of the two is lost, and the order is kept. */
static void rst_follows_the_data_before_it_to_a_slow_reader(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_receive_buffer(pair.client, 16384);
    static uint8_t tail[TAIL_BYTES];
    for (size_t i = 0; i < sizeof tail; i++)
        tail[i] = (uint8_t)(i * 7 + i / 251);
    peer_send(&fixture, pair.server, tail, sizeof tail);
    while (link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].bytes_in < sizeof tail)
        run_for(&fixture, DURESS_MS);
    peer_reset(&pair.server);
    enum end end = END_NONE;
    size_t received = 0;
    uint64_t deadline_ns = now_ns(&fixture) + PATIENCE_NS;
    while (end == END_NONE && now_ns(&fixture) < deadline_ns) {
        uint8_t some[2048];
        size_t count = peer_read_now(pair.client, some, sizeof some, &end);
        assert_true(received + count <= sizeof tail);
        assert_memory_equal(some, tail + received, count);
        received += count;
        run_for(&fixture, DURESS_MS);
    }
    assert_int_equal(received, sizeof tail);
    assert_int_equal(end, END_RST);
    wait_connection_count(&fixture, 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* Bytes and RST arrive before the proxy looks once: the RST is known from the start, and still comes last. */
static void rst_right_behind_bytes_loses_none(void **state)
{
    enum { BYTES = 50000 };
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "-");
    peer_expect_text(&fixture, pair.server, "-");
    static const uint8_t bytes[BYTES];
    assert_int_equal(send(pair.client, bytes, sizeof bytes, MSG_NOSIGNAL), BYTES);
    peer_reset(&pair.client);
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.server, &received), END_RST);
    assert_int_equal(received, BYTES);
    wait_connection_count(&fixture, 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* A reader that takes a little now and then, and more than PARTING_STALL_NS in all, gets everything. */
static void rst_waits_for_a_reader_that_goes_on_reading(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_receive_buffer(pair.client, 4096);
    static const uint8_t tail[TAIL_BYTES];
    peer_send(&fixture, pair.server, tail, sizeof tail);
    while (link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].bytes_out < sizeof tail)
        run_for(&fixture, DURESS_MS);
    peer_reset(&pair.server);
    uint64_t begun_ns = now_ns(&fixture);
    enum end end = END_NONE;
    size_t received = 0;
    while (now_ns(&fixture) - begun_ns < PARTING_STALL_NS + 500 * DURESS_MS) {
        uint8_t some[4096];
        assert_int_equal(duress_proxy_connection_count(fixture.proxy), 1);
        received += peer_read_now(pair.client, some, sizeof some, &end);
        assert_int_equal(end, END_NONE);
        run_for(&fixture, 100 * DURESS_MS);
    }
    size_t rest = 0;
    assert_int_equal(peer_drain(&fixture, pair.client, &rest), END_RST);
    assert_int_equal(received + rest, sizeof tail);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* A client that has just spoken acknowledges late (40 ms): an RST to a peer on this machine does not wait for that. The
 * best of some attempts, as a busy machine may be late itself. */
static void rst_does_not_wait_for_a_late_acknowledgement(void **state)
{
    uint64_t best_ns = DURESS_TIME_NEVER;
    (void)state;
    for (int attempt = 0; attempt < 20 && best_ns >= 30 * DURESS_MS; attempt++) {
        struct fixture fixture;
        fixture_start(&fixture, NULL);
        struct pair pair = pair_open(&fixture);
        for (int i = 0; i < 5; i++) {
            peer_send_text(&fixture, pair.client, "question");
            peer_expect_text(&fixture, pair.server, "question");
            peer_send_text(&fixture, pair.server, "answer");
            peer_expect_text(&fixture, pair.client, "answer");
        }
        peer_send_text(&fixture, pair.client, "question");
        peer_expect_text(&fixture, pair.server, "question");
        uint64_t begun_ns = now_ns(&fixture);
        peer_send_text(&fixture, pair.server, "answer");
        peer_reset(&pair.server);
        assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
        best_ns = duress_time_min(best_ns, now_ns(&fixture) - begun_ns);
        pair_close(&pair);
        fixture_stop(&fixture);
    }
    assert_true(best_ns < 30 * DURESS_MS);
}

/* A peer that never reads does not keep a socket that owes it an RST for ever. */
static void rst_is_not_held_back_for_a_reader_that_stalls(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    peer_receive_buffer(pair.client, 16384);
    static const uint8_t tail[TAIL_BYTES];
    peer_send(&fixture, pair.server, tail, sizeof tail);
    while (link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].bytes_out < sizeof tail)
        run_for(&fixture, DURESS_MS);
    peer_reset(&pair.server);
    wait_connection_count(&fixture, 0);
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* The client's direction is held up by a stalled server, so that nobody reads from the client. Its RST is noticed all
 * the same. */
static void peer_that_vanishes_while_not_read_is_noticed(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, &(struct duress_proxy_options){.buffer_bytes_max = 32768});
    struct duress_toxic stall = toxic_make(1, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    toxic_add(&fixture, &stall);
    struct pair pair = pair_open(&fixture);
    static const uint8_t much[1 << 20];
    uint64_t quiet_since_ns = now_ns(&fixture);
    while (now_ns(&fixture) - quiet_since_ns < 50 * DURESS_MS) {
        if (send(pair.client, much, sizeof much, MSG_NOSIGNAL) > 0)
            quiet_since_ns = now_ns(&fixture);
        run_for(&fixture, DURESS_MS);
    }
    assert_int_equal(link_stats(&fixture, 1).direction[DURESS_UPSTREAM].bytes_out, 0);
    peer_reset(&pair.client);
    uint64_t deadline_ns = now_ns(&fixture) + PATIENCE_NS;
    while (link_stats(&fixture, 1).reset_in_ns[DURESS_SIDE_CLIENT] == 0 && now_ns(&fixture) < deadline_ns)
        run_for(&fixture, DURESS_MS);
    assert_true(link_stats(&fixture, 1).reset_in_ns[DURESS_SIDE_CLIENT] > 0);
    assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 1), DURESS_OK);
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.server, &received), END_RST);
    assert_true(received >= 32768); /* what the link had taken before came first */
    wait_connection_count(&fixture, 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rst_of_the_client_reaches_the_server),
        cmocka_unit_test(rst_of_the_server_reaches_the_client),
        cmocka_unit_test(rst_follows_the_data_before_it_to_a_slow_reader),
        cmocka_unit_test(rst_right_behind_bytes_loses_none),
        cmocka_unit_test(rst_waits_for_a_reader_that_goes_on_reading),
        cmocka_unit_test(rst_does_not_wait_for_a_late_acknowledgement),
        cmocka_unit_test(rst_is_not_held_back_for_a_reader_that_stalls),
        cmocka_unit_test(peer_that_vanishes_while_not_read_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
