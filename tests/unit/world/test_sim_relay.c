/* SPDX-License-Identifier: Apache-2.0
 *
 * Relays: the simulated proxy. */
#include "world_peer.h"

#include <duress/world/sim.h>

#define SEED_COUNT 20
#define PORT 80
#define FOR_EACH_SEED(seed) for (uint64_t seed = 0; seed < SEED_COUNT; seed++)

struct net {
    struct duress_sim *sim;
    struct duress_sim_host *a;
    struct duress_sim_host *b;
    struct duress_sim_host *middle;
    struct duress_sim_relay *relay;
    struct door door;
    struct peer client;
    struct peer server;
};

static void net_open(struct net *net, uint64_t seed)
{
    struct duress_sim_options options = {.seed = seed};
    *net = (struct net){0};
    assert_int_equal(duress_sim_new(&options, &net->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "a", &net->a), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "b", &net->b), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "middle", &net->middle), DURESS_OK);
    struct duress_address upstream = duress_sim_host_address(net->b, PORT);
    assert_int_equal(door_open(&net->door, duress_sim_host_world(net->b), upstream, 0, &net->server), DURESS_OK);
    assert_int_equal(duress_sim_relay_new(net->middle, 0, &upstream, &net->relay), DURESS_OK);
}

static void net_close(struct net *net)
{
    peer_close(&net->client);
    peer_close(&net->server);
    if (net->door.listener != NULL)
        door_close(&net->door);
    duress_sim_free(net->sim);
}

static int net_rest(struct net *net)
{
    return duress_sim_run_until(net->sim, NULL, NULL, DURESS_TIME_NEVER);
}

static void net_dial(struct net *net)
{
    assert_int_equal(peer_connect(&net->client, duress_sim_host_world(net->a), duress_sim_relay_address(net->relay)),
                     DURESS_OK);
}

static void net_connect(struct net *net, uint64_t seed)
{
    net_open(net, seed);
    net_dial(net);
    assert_int_equal(net_rest(net), DURESS_E_END);
    assert_int_equal(net->client.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(net->door.accepted, 1);
}

struct seen {
    size_t count;
    size_t ended;
    struct duress_link_stats last;
};

static void see(void *context, uint64_t connection_number, const struct duress_link_stats *stats, bool ended)
{
    struct seen *seen = context;
    assert_true(connection_number > seen->count);
    seen->count++;
    seen->ended += ended;
    seen->last = *stats;
}

static struct seen net_visit(const struct net *net)
{
    struct seen seen = {0};
    duress_sim_relay_visit(net->relay, see, &seen);
    return seen;
}

static void relay_carries_bytes_and_both_fins(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        peer_say(&net.client, "question");
        duress_stream_shutdown(net.client.stream);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.server, "question");
        assert_int_equal(net.server.end, DURESS_E_END);
        peer_say(&net.server, "answer");
        peer_close(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "answer");
        assert_int_equal(net.client.end, DURESS_E_END);
        struct seen seen = net_visit(&net);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.ended, 1);
        assert_int_equal(seen.last.direction[DURESS_UPSTREAM].bytes_out, 8);
        assert_int_equal(seen.last.direction[DURESS_DOWNSTREAM].bytes_out, 6);
        net_close(&net);
    }
}

static void relay_carries_an_rst_behind_the_bytes(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        peer_say(&net.server, "before");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_abort(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "before");
        assert_int_equal(net.client.end, DURESS_E_RESET);
        net_close(&net);
    }
}

static void toxics_act_on_live_and_later_connections(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        struct duress_toxic latency = {
            .id = 1,
            .type = DURESS_TOXIC_LATENCY,
            .direction = DURESS_DOWNSTREAM,
            .toxicity_ppm = DURESS_PPM,
            .as.latency.latency_ns = 300 * DURESS_MS,
        };
        assert_int_equal(duress_sim_relay_toxic_add(net.relay, &latency, NULL), DURESS_OK);
        assert_int_equal(duress_sim_relay_toxic_add(net.relay, &latency, NULL), DURESS_E_INVALID);
        for (int round = 0; round < 2; round++) {
            uint64_t begun_ns = duress_sim_now_ns(net.sim);
            peer_say(&net.server, "late");
            assert_int_equal(net_rest(&net), DURESS_E_END);
            peer_assert_heard(&net.client, "late");
            assert_true(net.client.at_ns >= begun_ns + 300 * DURESS_MS);
            assert_true(net.client.at_ns <= begun_ns + 300 * DURESS_MS + 2 * duress_sim_delay_ns_max(net.sim));
            peer_close(&net.client);
            assert_int_equal(net_rest(&net), DURESS_E_END);
            peer_close(&net.server);
            net.client = (struct peer){0};
            net.server = (struct peer){.world = duress_sim_host_world(net.b)};
            net_dial(&net);
            assert_int_equal(net_rest(&net), DURESS_E_END);
        }
        latency.as.latency.latency_ns = 700 * DURESS_MS;
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        assert_int_equal(duress_sim_relay_toxic_update(net.relay, &latency, NULL), DURESS_OK);
        peer_say(&net.server, "later");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_true(net.client.at_ns >= begun_ns + 700 * DURESS_MS);
        assert_int_equal(duress_sim_relay_toxic_remove(net.relay, 1), DURESS_OK);
        assert_int_equal(duress_sim_relay_toxic_remove(net.relay, 1), DURESS_E_INVALID);
        begun_ns = duress_sim_now_ns(net.sim);
        peer_say(&net.server, "soon");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "latersoon");
        assert_true(net.client.at_ns <= begun_ns + 2 * duress_sim_delay_ns_max(net.sim));
        net_close(&net);
    }
}

static void cut_toxic_resets_both_sides_after_the_bytes(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        struct duress_toxic cut = {
            .id = 1,
            .type = DURESS_TOXIC_CUT,
            .direction = DURESS_DOWNSTREAM,
            .toxicity_ppm = DURESS_PPM,
            .as.cut = {.after_bytes = 5, .how = DURESS_CUT_RST},
        };
        assert_int_equal(duress_sim_relay_toxic_add(net.relay, &cut, NULL), DURESS_OK);
        peer_say(&net.server, "0123456789");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "01234");
        assert_int_equal(net.client.end, DURESS_E_RESET);
        assert_int_equal(net.server.end, DURESS_E_RESET);
        struct seen seen = net_visit(&net);
        assert_int_equal(seen.last.tripped_by, 1);
        assert_int_not_equal(seen.last.reset_out_ns[DURESS_SIDE_CLIENT], 0);
        net_close(&net);
    }
}

static void relay_down_closes_and_refuses_until_up(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        struct duress_address address = duress_sim_relay_address(net.relay);
        duress_sim_relay_down(net.relay);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_END);
        assert_int_equal(net.server.end, DURESS_E_END);
        peer_close(&net.client);
        net.client = (struct peer){0};
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.error, DURESS_E_REFUSED);
        struct door thief = {0};
        assert_int_equal(door_open(&thief, duress_sim_host_world(net.middle), address, 0, NULL),
                         DURESS_E_ADDRESS_IN_USE);
        assert_int_equal(duress_sim_relay_up(net.relay), DURESS_OK);
        struct duress_address again = duress_sim_relay_address(net.relay);
        assert_true(duress_address_equal(&address, &again));
        peer_close(&net.client);
        net.client = (struct peer){0};
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        struct duress_relay_counts counts = duress_sim_relay_counts(net.relay);
        assert_int_equal(counts.accepted, 2);
        assert_int_equal(counts.refused, 1);
        net_close(&net);
    }
}

static void relay_cut_resets_both_ends(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_relay_cut(net.relay);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        assert_int_equal(net.server.end, DURESS_E_RESET);
        net_close(&net);
    }
}

static void silent_relay_answers_no_syn_and_keeps_what_is_open(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct peer second = {0};
        net_connect(&net, seed);
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        duress_sim_relay_silence(net.relay, true);
        assert_int_equal(peer_connect(&second, duress_sim_host_world(net.a), duress_sim_relay_address(net.relay)),
                         DURESS_OK);
        peer_say(&net.client, "still here");
        assert_int_equal(duress_sim_run_until(net.sim, NULL, NULL, begun_ns + 2 * DURESS_S), DURESS_E_DEADLINE);
        assert_int_equal(second.seen, 0);
        peer_assert_heard(&net.server, "still here");
        assert_int_equal(duress_sim_relay_counts(net.relay).silenced, 2);
        duress_sim_relay_silence(net.relay, false);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(second.seen, DURESS_STREAM_CONNECTED);
        assert_true(second.at_ns >= begun_ns + 3 * DURESS_S);
        peer_close(&second);
        net_close(&net);
    }
}

static void relay_whose_upstream_refuses_closes_the_client(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        door_close(&net.door);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_END);
        assert_int_equal(net_visit(&net).last.dial_error, DURESS_E_REFUSED);
        net_close(&net);
    }
}

static void relay_gives_a_silent_upstream_up_after_10_s(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        duress_sim_host_silence(net.b, PORT, true);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_END);
        struct seen seen = net_visit(&net);
        assert_int_equal(seen.last.dial_error, DURESS_E_CONNECT_TIMEOUT);
        assert_int_equal(seen.last.dialed_ns - seen.last.started_ns, 10 * DURESS_S);
        net_close(&net);
    }
}

static void relay_reset_waits_for_bytes_that_the_client_has_no_room_for(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        static uint8_t bytes[900000]; /* more than the relay can write to the client at once */
        net_open(&net, seed);
        net.client.is_manual = true;
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        size_t total = 0;
        while (total < sizeof bytes) {
            struct duress_slice slice = {bytes + total, sizeof bytes - total};
            size_t count = 0;
            int error = duress_stream_write(net.server.stream, &slice, 1, &count);
            assert_true(error == DURESS_OK || error == DURESS_E_AGAIN);
            total += count;
            assert_int_equal(net_rest(&net), DURESS_E_END);
        }
        peer_abort(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen & DURESS_STREAM_HANGUP, 0); /* It has not made room for all of it yet. */
        net.client.is_manual = false;
        duress_stream_want(net.client.stream, DURESS_STREAM_READABLE);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.received, sizeof bytes);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        net_close(&net);
    }
}

static void parting_relay_throws_away_what_the_client_still_sends(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        struct duress_toxic limit = {
            .id = 1,
            .type = DURESS_TOXIC_LIMIT_DATA,
            .direction = DURESS_DOWNSTREAM,
            .toxicity_ppm = DURESS_PPM,
            .as.limit_data.bytes_max = 5,
        };
        assert_int_equal(duress_sim_relay_toxic_add(net.relay, &limit, NULL), DURESS_OK);
        peer_say(&net.server, "0123456789");
        while (net.client.end == 0) { /* The client talks until it hears the end. */
            peer_say(&net.client, "chatter");
            uint64_t until_ns = duress_sim_now_ns(net.sim) + 100 * DURESS_US;
            int error = duress_sim_run_until(net.sim, NULL, NULL, until_ns);
            assert_true(error == DURESS_E_DEADLINE || error == DURESS_E_END);
        }
        peer_assert_heard(&net.client, "01234");
        assert_int_equal(net.client.end, DURESS_E_END);
        assert_int_equal(net.client.seen & DURESS_STREAM_HANGUP, 0);
        peer_say(&net.client, "too late"); /* The relay has let go by now. */
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_not_equal(net.client.seen & DURESS_STREAM_HANGUP, 0);
        net_close(&net);
    }
}

static void relay_that_is_down_keeps_its_port(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, 1);
    struct duress_address kept = duress_sim_relay_address(net.relay);
    struct duress_address any = kept;
    any.port = 0;
    duress_sim_relay_down(net.relay);
    for (int i = 0; i < 40000; i++) { /* more than there are ports to be drawn */
        struct door door = {0};
        assert_int_equal(door_open(&door, duress_sim_host_world(net.middle), any, 0, NULL), DURESS_OK);
        assert_int_not_equal(duress_listener_address(door.listener).port, kept.port);
        door_close(&door);
    }
    net_close(&net);
}

static void relay_down_takes_those_along_that_wait_to_be_accepted(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        duress_sim_host_freeze(net.middle, true);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_sim_host_freeze(net.middle, false);
        duress_sim_relay_down(net.relay);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_END); /* closed, not reset */
        assert_int_equal(duress_sim_relay_counts(net.relay).accepted, 1);
        net_close(&net);
    }
}

static void relay_remembers_1024_ended_connections(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, 1);
    for (int i = 0; i < 1100; i++) {
        net.client = (struct peer){0};
        net.server = (struct peer){.world = duress_sim_host_world(net.b)};
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_close(&net.client);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_close(&net.server);
        assert_int_equal(net_rest(&net), DURESS_E_END);
    }
    struct seen seen = net_visit(&net);
    assert_int_equal(seen.count, 1024);
    assert_int_equal(seen.ended, 1024);
    net_close(&net);
}

static void relay_notices_a_reset_behind_bytes_it_has_no_room_for(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        static const uint8_t bytes[65536];
        net_connect(&net, seed);
        struct duress_toxic stall = {
            .id = 1, .type = DURESS_TOXIC_BANDWIDTH, .direction = DURESS_UPSTREAM, .toxicity_ppm = DURESS_PPM};
        assert_int_equal(duress_sim_relay_toxic_add(net.relay, &stall, NULL), DURESS_OK);
        size_t total = 0;
        int error;
        do {
            struct duress_slice slice = {bytes, sizeof bytes};
            size_t count = 0;
            error = duress_stream_write(net.client.stream, &slice, 1, &count);
            total += count;
            assert_int_equal(net_rest(&net), DURESS_E_END);
        } while (error == DURESS_OK);
        assert_true(total > DURESS_LINK_BUFFER_BYTES_DEFAULT);
        peer_abort(&net.client);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_not_equal(net_visit(&net).last.reset_in_ns[DURESS_SIDE_CLIENT], 0);
        net_close(&net);
    }
}

static void relay_cut_does_not_wait_for_bytes(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        static const uint8_t bytes[65536];
        net_open(&net, seed);
        net.client.is_manual = true;
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        for (int i = 0; i < 8; i++) {
            struct duress_slice slice = {bytes, sizeof bytes};
            size_t count = 0;
            (void)!duress_stream_write(net.server.stream, &slice, 1, &count);
            assert_int_equal(net_rest(&net), DURESS_E_END);
        }
        duress_sim_relay_cut(net.relay);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_not_equal(net.client.seen & DURESS_STREAM_HANGUP, 0);
        net_close(&net);
    }
}

static void relay_dies_with_its_host(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_host_kill(net.middle);
        duress_sim_relay_cut(net.relay); /* Nobody is left to be cut: harmless. */
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_END);
        assert_int_equal(net.server.end, DURESS_E_END);
        duress_sim_host_restart(net.middle);
        assert_int_equal(duress_sim_relay_up(net.relay), DURESS_OK);
        peer_close(&net.client);
        net.client = (struct peer){0};
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        duress_sim_relay_free(net.relay);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        net_close(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_carries_bytes_and_both_fins),
        cmocka_unit_test(relay_carries_an_rst_behind_the_bytes),
        cmocka_unit_test(toxics_act_on_live_and_later_connections),
        cmocka_unit_test(cut_toxic_resets_both_sides_after_the_bytes),
        cmocka_unit_test(relay_down_closes_and_refuses_until_up),
        cmocka_unit_test(relay_cut_resets_both_ends),
        cmocka_unit_test(silent_relay_answers_no_syn_and_keeps_what_is_open),
        cmocka_unit_test(relay_whose_upstream_refuses_closes_the_client),
        cmocka_unit_test(relay_gives_a_silent_upstream_up_after_10_s),
        cmocka_unit_test(relay_reset_waits_for_bytes_that_the_client_has_no_room_for),
        cmocka_unit_test(parting_relay_throws_away_what_the_client_still_sends),
        cmocka_unit_test(relay_that_is_down_keeps_its_port),
        cmocka_unit_test(relay_down_takes_those_along_that_wait_to_be_accepted),
        cmocka_unit_test(relay_remembers_1024_ended_connections),
        cmocka_unit_test(relay_notices_a_reset_behind_bytes_it_has_no_room_for),
        cmocka_unit_test(relay_cut_does_not_wait_for_bytes),
        cmocka_unit_test(relay_dies_with_its_host),
    };
    return cmocka_run_group_tests_name("sim_relay", tests, NULL, NULL);
}
