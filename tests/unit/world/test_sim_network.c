/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated network: SYNs that go unanswered, cut paths, room, order and delay. */
#include "sim_net.h"

/* --- SYNs --- */

static void unanswered_connect_is_given_up_after_127_s(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        duress_sim_host_silence(net.b, PORT, true);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.error, DURESS_E_CONNECT_TIMEOUT);
        assert_int_equal(net.client.at_ns, DURESS_S + 127 * DURESS_S);
        net_close(&net);
    }
}

static void syn_gets_through_with_the_first_retry_after_the_fault(void **state)
{
    (void)state;
    static const uint64_t retries_s[] = {1, 3, 7, 15, 31, 63};
    for (size_t i = 0; i < sizeof retries_s / sizeof retries_s[0]; i++) {
        struct net net;
        net_open_steady(&net, i, 1); /* a short queue, whose places must be given back */
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        duress_sim_partition(net.sim, i % 2 == 0 ? net.a : net.b, i % 2 == 0 ? net.b : net.a); /* SYN or SYN+ACK */
        net_dial(&net);
        net_pass_until(&net, begun_ns + retries_s[i] * DURESS_S - DURESS_MS);
        assert_int_equal(net.client.seen, 0);
        duress_sim_heal(net.sim, i % 2 == 0 ? net.a : net.b, i % 2 == 0 ? net.b : net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        assert_between(net.client.at_ns, begun_ns + retries_s[i] * DURESS_S,
                       begun_ns + retries_s[i] * DURESS_S + 2 * net_hop_ns(&net));
        net_close(&net);
    }
}

static void no_route_is_unreachable(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        duress_sim_host_unreachable(net.b, true);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.error, DURESS_E_UNREACHABLE);
        peer_close(&net.client);
        duress_sim_host_unreachable(net.b, false);
        net.client.seen = 0;
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        peer_close(&net.client);
        struct duress_address nobody = {.family = DURESS_FAMILY_IPV4, .bytes = {10, 9, 9, 9}, .port = PORT};
        assert_int_equal(peer_connect(&net.client, duress_sim_host_world(net.a), nobody), DURESS_OK);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.error, DURESS_E_UNREACHABLE);
        net_close(&net);
    }
}

static void place_of_a_cancelled_connect_is_given_back(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open_steady(&net, seed, 1);
        for (int i = 0; i < 5; i++) { /* given up while the SYN+ACK travels */
            net_dial(&net);
            net_pass_until(&net, duress_sim_now_ns(net.sim) + 1500 * DURESS_US);
            peer_close(&net.client);
        }
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        assert_int_equal(net.client.at_ns, begun_ns + 2 * DURESS_MS);
        assert_int_equal(net.door.accepted, 1);
        net_close(&net);
    }
}

static void listener_closed_during_the_handshake_answers_the_ack_by_rst(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open_steady(&net, seed, 0);
        net_dial(&net);
        net_pass_until(&net, DURESS_S + 1500 * DURESS_US);
        door_close(&net.door);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_not_equal(net.client.seen & DURESS_STREAM_CONNECTED, 0);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        assert_int_equal(net.client.at_ns, DURESS_S + 4 * DURESS_MS);
        net_close(&net);
    }
}

/* --- cut paths --- */

static void what_is_sent_into_a_cut_path_is_lost_even_where_it_heals_at_once(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open_steady(&net, seed, 0);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        uint64_t lost_ns = duress_sim_now_ns(net.sim) + DURESS_MS; /* when it would have arrived */
        duress_sim_partition(net.sim, net.a, net.b);
        duress_sim_partition(net.sim, net.b, net.a);
        peer_say(&net.client, "repeated");
        peer_abort(&net.server); /* no RST is repeated … */
        net.server = (struct peer){0};
        duress_sim_heal(net.sim, net.a, net.b);
        duress_sim_heal(net.sim, net.b, net.a);
        assert_int_equal(duress_sim_run_until(net.sim, NULL, NULL, lost_ns + 199 * DURESS_MS), DURESS_E_DEADLINE);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_RESET); /* … but the bytes are, and find nobody. */
        assert_int_equal(net.client.at_ns, lost_ns + 201 * DURESS_MS);
        net_close(&net);
    }
}

static void abort_takes_back_what_was_held(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.b, net.a);
        peer_say(&net.server, "held");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_abort(&net.server);
        duress_sim_heal(net.sim, net.b, net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.received, 0);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        net_close(&net);
    }
}

static void news_of_room_do_not_cross_a_cut_path(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        net.client.is_manual = true;
        net.server.is_manual = true;
        duress_stream_want(net.server.stream, 0);
        size_t total = peer_flood(&net.client);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        total += peer_flood(&net.client);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_sim_partition(net.sim, net.b, net.a);
        net.client.seen = 0;
        duress_stream_want(net.client.stream, DURESS_STREAM_WRITABLE);
        peer_drain(&net.server);
        assert_int_equal(net.server.received, (size_t)256 * 1024);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, 0);
        net.server.is_manual = false;
        duress_stream_want(net.server.stream, DURESS_STREAM_READABLE);
        duress_sim_heal(net.sim, net.b, net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_WRITABLE);
        assert_int_equal(net.server.received, total);
        net_close(&net);
    }
}

static void fin_waits_for_bytes_that_the_peer_has_no_room_for(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        net.client.is_manual = true;
        duress_stream_want(net.client.stream, 0);
        size_t total = peer_flood(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        total += peer_flood(&net.server);
        peer_close(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        net.client.is_manual = false;
        duress_stream_want(net.client.stream, DURESS_STREAM_READABLE);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.received, total);
        assert_int_equal(net.client.end, DURESS_E_END);
        net_close(&net);
    }
}

static void small_send_buffer_empties_into_a_large_receive_buffer(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct duress_sim_options options = {.seed = seed, .send_buffer_bytes = 1000, .receive_buffer_bytes = 5000};
        net_open_with(&net, &options, 0);
        net.server.is_manual = true;
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        net.client.is_manual = true;
        for (int i = 0; i < 6; i++) { /* 5 * 1000 travel on, 1000 stay */
            assert_int_equal(peer_flood(&net.client), 1000);
            net.client.seen = 0;
            duress_stream_want(net.client.stream, DURESS_STREAM_WRITABLE);
            assert_int_equal(net_rest(&net), DURESS_E_END);
            assert_int_equal(net.client.seen, i < 5 ? DURESS_STREAM_WRITABLE : 0);
        }
        peer_drain(&net.server);
        assert_int_equal(net.server.received, 5000);
        net_close(&net);
    }
}

static void bytes_of_a_cut_path_arrive_after_healing_by_retransmission(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.a, net.b);
        uint64_t cut_ns = duress_sim_now_ns(net.sim);
        peer_say(&net.client, "held");
        peer_say(&net.server, "one way still works");
        net_pass_until(&net, cut_ns + 10 * DURESS_S);
        assert_int_equal(net.server.received, 0);
        peer_assert_heard(&net.client, "one way still works");
        duress_sim_heal(net.sim, net.a, net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.server, "held");
        /* Repeated 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s after it was lost. */
        assert_between(net.server.at_ns, cut_ns + 12600 * DURESS_MS, cut_ns + 12600 * DURESS_MS + net_hop_ns(&net));
        net_close(&net);
    }
}

/* Linux gives up after a quarter of an hour. */
static void bytes_never_acknowledged_are_held_for_good(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.a, net.b);
        uint64_t cut_ns = duress_sim_now_ns(net.sim);
        peer_say(&net.client, "held");
        net_pass_until(&net, cut_ns + 24 * 3600 * DURESS_S);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        duress_sim_heal(net.sim, net.a, net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.server, "held");
        net_close(&net);
    }
}

static void rst_into_a_cut_path_is_lost_and_sent_again_on_the_next_bytes(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.b, net.a);
        peer_abort(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_sim_heal(net.sim, net.b, net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED); /* Nobody told it. */
        peer_say(&net.client, "anybody?");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        net_close(&net);
    }
}

static void fin_into_a_cut_path_arrives_after_healing(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.b, net.a);
        peer_say(&net.server, "last words");
        peer_close(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, 0);
        duress_sim_heal(net.sim, net.b, net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "last words");
        assert_int_equal(net.client.end, DURESS_E_END);
        net_close(&net);
    }
}

/* --- buffers and pieces --- */

static void buffers_keep_their_size(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        for (int round = 0; round < 3; round++) {
            net.server.is_manual = true;
            duress_stream_want(net.server.stream, 0);
            size_t total = 0;
            for (int i = 0; i < 2; i++) { /* the receiver's, and the sender's own */
                total += peer_flood(&net.client);
                assert_int_equal(net_rest(&net), DURESS_E_END);
            }
            assert_int_equal(total, (size_t)512 * 1024);
            assert_int_equal(peer_flood(&net.client), 0);
            net.server.is_manual = false;
            duress_stream_want(net.server.stream, DURESS_STREAM_READABLE);
            assert_int_equal(net_rest(&net), DURESS_E_END);
        }
        net_close(&net);
    }
}

/* The server's end, which writes down how many bytes each read gave. */
struct pieces {
    size_t bytes[128];
    size_t count;
};

static void pieces_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct pieces *pieces = context;
    static uint8_t bytes[256 * 1024];
    assert_int_equal(events, DURESS_STREAM_READABLE);
    assert_int_equal(duress_stream_read(stream, bytes, sizeof bytes, &pieces->bytes[pieces->count]), DURESS_OK);
    pieces->count++;
}

static void a_write_travels_in_pieces_of_32_kib(void **state)
{
    (void)state;
    uint64_t parted_count = 0;
    FOR_EACH_SEED(seed)
    {
        static const uint8_t bytes[100000];
        struct net net;
        struct pieces pieces = {.count = 0};
        size_t end = 0;
        net_connect(&net, seed);
        duress_stream_handle(net.server.stream, pieces_told, &pieces);
        struct duress_slice slice = {bytes, sizeof bytes};
        size_t count = 0;
        assert_int_equal(duress_stream_write(net.client.stream, &slice, 1, &count), DURESS_OK);
        assert_int_equal(count, sizeof bytes);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        for (size_t i = 0; i < pieces.count; i++) { /* those that arrived at one instant may be read together */
            end += pieces.bytes[i];
            assert_true(end % 32768 == 0 || end == sizeof bytes);
        }
        assert_int_equal(end, sizeof bytes);
        parted_count += pieces.count > 1;
        net_close(&net);
    }
    assert_true(parted_count > SEED_COUNT / 2);
}

static void what_is_written_while_61_pieces_travel_is_one_piece(void **state)
{
    (void)state;
    enum { WRITES = 100, TRAVELLING_MAX = 61 };
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct pieces pieces = {.count = 0};
        net_open_steady(&net, seed, 0);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_stream_handle(net.server.stream, pieces_told, &pieces);
        for (int i = 0; i < WRITES; i++) { /* all of them within one hop */
            peer_say(&net.client, "x");
            net_pass_until(&net, duress_sim_now_ns(net.sim) + DURESS_US);
        }
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(pieces.count, TRAVELLING_MAX + 1);
        for (size_t i = 0; i < TRAVELLING_MAX; i++)
            assert_int_equal(pieces.bytes[i], 1);
        assert_int_equal(pieces.bytes[TRAVELLING_MAX], WRITES - TRAVELLING_MAX);
        net_close(&net);
    }
}

/* --- order and delay --- */

static void bytes_keep_their_order_under_drawn_delays(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        char expected[901];
        net_connect(&net, seed);
        for (int i = 0; i < 300; i++) {
            char word[4] = {(char)('a' + i % 26), (char)('A' + i % 24), (char)('0' + i % 10), '\0'};
            memcpy(expected + 3 * i, word, 3);
            peer_say(&net.client, word);
            if (i % 7 == 0)
                net_pass_until(&net, duress_sim_now_ns(net.sim) + (uint64_t)i * DURESS_US);
        }
        expected[900] = '\0';
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.server, expected);
        net_close(&net);
    }
}

static uint8_t pattern(size_t place)
{
    return (uint8_t)(place * 31 + place / 251);
}

static void bytes_survive_small_buffers(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct duress_sim_options options = {.seed = seed, .send_buffer_bytes = 1000, .receive_buffer_bytes = 700};
        size_t total = 0;
        net_open_with(&net, &options, 0);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        for (size_t round = 0; total < 40000; round++) {
            uint8_t bytes[97];
            for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = pattern(total + i);
            struct duress_slice slices[2] = {{bytes, round % 50}, {bytes + round % 50, sizeof bytes - round % 50}};
            size_t count = 0;
            int error = duress_stream_write(net.client.stream, slices, 2, &count);
            total += count;
            if (error == DURESS_E_AGAIN || round % 3 == 0)
                net_pass_until(&net, duress_sim_now_ns(net.sim) + DURESS_MS);
        }
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.server.received, total);
        for (size_t i = 0; i < total; i++)
            assert_int_equal(net.server.bytes[i], pattern(i));
        net_close(&net);
    }
}

static void seed_0_draws_nothing_and_others_within_the_range(void **state)
{
    (void)state;
    struct net net;
    net_connect(&net, 0);
    assert_int_equal(net_hop_ns(&net), 0);
    assert_int_equal(duress_sim_now_ns(net.sim), DURESS_S);
    net_close(&net);
    net_connect(&net, 1);
    assert_between(net_hop_ns(&net), 50 * DURESS_US, 5 * DURESS_MS);
    assert_between(net.client.at_ns, DURESS_S + 100 * DURESS_US, DURESS_S + 10 * DURESS_MS);
    net_close(&net);
}

static void loopback_reaches_the_host_itself_alone(void **state)
{
    (void)state;
    struct net net;
    struct door door = {0};
    struct peer here = {0};
    struct peer there = {0};
    struct peer accepted = {0};
    net_open(&net, 1);
    struct duress_address loopback = duress_address_loopback(81);
    assert_int_equal(door_open(&door, duress_sim_host_world(net.b), loopback, 0, &accepted), DURESS_OK);
    assert_int_equal(peer_connect(&here, duress_sim_host_world(net.b), loopback), DURESS_OK);
    assert_int_equal(peer_connect(&there, duress_sim_host_world(net.a), loopback), DURESS_OK);
    assert_int_equal(net_rest(&net), DURESS_E_END);
    assert_int_equal(here.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(there.error, DURESS_E_REFUSED);
    struct duress_address peer = duress_stream_peer(accepted.stream);
    struct duress_address local = duress_stream_local(here.stream);
    assert_true(duress_address_equal(&peer, &local));
    assert_true(local.port >= 32768);
    peer_close(&here);
    peer_close(&there);
    peer_close(&accepted);
    door_close(&door);
    net_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unanswered_connect_is_given_up_after_127_s),
        cmocka_unit_test(syn_gets_through_with_the_first_retry_after_the_fault),
        cmocka_unit_test(no_route_is_unreachable),
        cmocka_unit_test(place_of_a_cancelled_connect_is_given_back),
        cmocka_unit_test(listener_closed_during_the_handshake_answers_the_ack_by_rst),
        cmocka_unit_test(what_is_sent_into_a_cut_path_is_lost_even_where_it_heals_at_once),
        cmocka_unit_test(abort_takes_back_what_was_held),
        cmocka_unit_test(news_of_room_do_not_cross_a_cut_path),
        cmocka_unit_test(fin_waits_for_bytes_that_the_peer_has_no_room_for),
        cmocka_unit_test(small_send_buffer_empties_into_a_large_receive_buffer),
        cmocka_unit_test(bytes_of_a_cut_path_arrive_after_healing_by_retransmission),
        cmocka_unit_test(bytes_never_acknowledged_are_held_for_good),
        cmocka_unit_test(rst_into_a_cut_path_is_lost_and_sent_again_on_the_next_bytes),
        cmocka_unit_test(fin_into_a_cut_path_arrives_after_healing),
        cmocka_unit_test(buffers_keep_their_size),
        cmocka_unit_test(a_write_travels_in_pieces_of_32_kib),
        cmocka_unit_test(what_is_written_while_61_pieces_travel_is_one_piece),
        cmocka_unit_test(bytes_keep_their_order_under_drawn_delays),
        cmocka_unit_test(bytes_survive_small_buffers),
        cmocka_unit_test(seed_0_draws_nothing_and_others_within_the_range),
        cmocka_unit_test(loopback_reaches_the_host_itself_alone),
    };
    return cmocka_run_group_tests_name("sim_network", tests, NULL, NULL);
}
