/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated network's faults: SYNs that go unanswered, cut paths, hosts that die. */
#include "world_peer.h"

#include <duress/world/sim.h>

#define SEED_COUNT 20
#define PORT 80

struct net {
    struct duress_sim *sim;
    struct duress_sim_host *a; /* the client's */
    struct duress_sim_host *b; /* the server's */
    struct door door;
    struct peer client;
    struct peer server;
};

static void net_open(struct net *net, uint64_t seed)
{
    struct duress_sim_options options = {.seed = seed};
    *net = (struct net){0};
    assert_int_equal(duress_sim_new(&options, &net->sim), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "a", &net->a), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "b", &net->b), DURESS_OK);
    assert_int_equal(
        door_open(&net->door, duress_sim_host_world(net->b), duress_sim_host_address(net->b, PORT), 0, &net->server),
        DURESS_OK);
}

static void net_close(struct net *net)
{
    peer_close(&net->client);
    peer_close(&net->server);
    if (net->door.listener != NULL)
        door_close(&net->door);
    duress_sim_free(net->sim);
}

static void net_dial(struct net *net)
{
    assert_int_equal(peer_connect(&net->client, duress_sim_host_world(net->a), duress_sim_host_address(net->b, PORT)),
                     DURESS_OK);
}

static int net_rest(struct net *net)
{
    return duress_sim_run_until(net->sim, NULL, NULL, DURESS_TIME_NEVER);
}

static void net_connect(struct net *net, uint64_t seed)
{
    net_open(net, seed);
    net_dial(net);
    assert_int_equal(net_rest(net), DURESS_E_END);
    assert_int_equal(net->client.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(net->door.accepted, 1);
}

/* Lets virtual time reach |at_ns| whatever happens. */
static void nothing(void *context)
{
    (void)context;
}

static void net_pass_until(struct net *net, uint64_t at_ns)
{
    struct duress_timer timer;
    duress_timer_init(&timer, nothing, NULL);
    duress_world_arm(duress_sim_host_world(net->a), &timer, at_ns + 1);
    assert_int_equal(duress_sim_run_until(net->sim, NULL, NULL, at_ns), DURESS_E_DEADLINE);
    duress_world_disarm(duress_sim_host_world(net->a), &timer);
}

static uint64_t hop_ns(const struct net *net)
{
    return duress_sim_delay_ns_max(net->sim);
}

#define FOR_EACH_SEED(seed) for (uint64_t seed = 0; seed < SEED_COUNT; seed++)

static void assert_between(uint64_t value, uint64_t low, uint64_t high)
{
    assert_true(value >= low);
    assert_true(value <= high);
}

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
        net_open(&net, i);
        uint64_t begun_ns = duress_sim_now_ns(net.sim);
        duress_sim_partition(net.sim, i % 2 == 0 ? net.a : net.b, i % 2 == 0 ? net.b : net.a); /* SYN or SYN+ACK */
        net_dial(&net);
        net_pass_until(&net, begun_ns + retries_s[i] * DURESS_S - DURESS_MS);
        assert_int_equal(net.client.seen, 0);
        duress_sim_heal(net.sim, i % 2 == 0 ? net.a : net.b, i % 2 == 0 ? net.b : net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        assert_between(net.client.at_ns, begun_ns + retries_s[i] * DURESS_S,
                       begun_ns + retries_s[i] * DURESS_S + 2 * hop_ns(&net));
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

/* --- cut paths --- */

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
        assert_between(net.server.at_ns, cut_ns + 12600 * DURESS_MS, cut_ns + 12600 * DURESS_MS + hop_ns(&net));
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

/* --- hosts --- */

static void killed_process_is_closed_by_its_kernel(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        peer_say(&net.server, "sent before");
        struct duress_stream *left = net.server.stream;
        duress_sim_host_kill(net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.client, "sent before");
        assert_int_equal(net.client.end, DURESS_E_END);
        /* What the dead process held may still be asked and freed, without effect. */
        size_t count;
        uint8_t byte = 0;
        struct duress_slice slice = {&byte, 1};
        assert_int_equal(duress_stream_read(left, &byte, 1, &count), DURESS_E_CLOSED);
        assert_int_equal(duress_stream_write(left, &slice, 1, &count), DURESS_E_CLOSED);
        duress_stream_want(left, DURESS_STREAM_READABLE | DURESS_STREAM_WRITABLE);
        duress_stream_shutdown(left);
        peer_close(&net.client);
        net.client.seen = 0;
        net_dial(&net); /* The machine is up: refused. */
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.error, DURESS_E_REFUSED);
        struct peer dead = {0};
        assert_int_equal(peer_connect(&dead, duress_sim_host_world(net.b), duress_sim_host_address(net.a, PORT)),
                         DURESS_E_CLOSED);
        net_close(&net);
    }
}

static void killed_process_with_unread_bytes_is_reset(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_stream_want(net.server.stream, 0);
        peer_say(&net.client, "unread");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_sim_host_kill(net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        net_close(&net);
    }
}

static void killed_process_works_again_after_restart(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_host_kill(net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_close(&net.client);
        peer_close(&net.server);
        net.client = (struct peer){0};
        net.server = (struct peer){0};
        duress_sim_host_restart(net.b);
        struct door again = {0};
        assert_int_equal(
            door_open(&again, duress_sim_host_world(net.b), duress_sim_host_address(net.b, PORT), 0, &net.server),
            DURESS_OK);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_say(&net.client, "hello");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        peer_assert_heard(&net.server, "hello");
        door_close(&again);
        net_close(&net);
    }
}

static void crashed_machine_is_silent_and_resets_stale_connections_once_it_is_back(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct peer dialling = {0};
        net_connect(&net, seed);
        duress_sim_host_crash(net.b);
        peer_say(&net.client, "is there anybody");
        uint64_t crashed_ns = duress_sim_now_ns(net.sim);
        assert_int_equal(peer_connect(&dialling, duress_sim_host_world(net.a), duress_sim_host_address(net.b, PORT)),
                         DURESS_OK);
        net_pass_until(&net, crashed_ns + 20 * DURESS_S);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED); /* Silence: no news at all. */
        assert_int_equal(dialling.seen, 0);
        duress_sim_host_restart(net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.end, DURESS_E_RESET);
        assert_true(net.client.at_ns >= crashed_ns + 20 * DURESS_S);
        assert_int_equal(dialling.error, DURESS_E_REFUSED); /* The SYN of the 31st second finds no listener. */
        assert_between(dialling.at_ns, crashed_ns + 31 * DURESS_S, crashed_ns + 31 * DURESS_S + 2 * hop_ns(&net));
        peer_close(&dialling);
        net_close(&net);
    }
}

static void crash_loses_what_was_not_sent_yet(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_partition(net.sim, net.b, net.a);
        peer_say(&net.server, "never repeated");
        assert_int_equal(net_rest(&net), DURESS_E_END);
        duress_sim_host_crash(net.b);
        duress_sim_heal(net.sim, net.b, net.a);
        duress_sim_host_restart(net.b);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.received, 0);
        assert_int_equal(net.client.end, 0);
        net_close(&net);
    }
}

struct suicide {
    struct net *net;
    struct duress_timer timer;
};

static void suicide_due(void *context)
{
    struct suicide *suicide = context;
    duress_sim_host_kill(suicide->net->a);
}

static void process_may_end_in_its_own_callback_and_its_connect_with_it(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open(&net, seed);
        struct suicide suicide = {.net = &net};
        duress_timer_init(&suicide.timer, suicide_due, &suicide);
        duress_world_arm(duress_sim_host_world(net.a), &suicide.timer, DURESS_S);
        net_dial(&net);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_true(net.door.accepted <= 1);
        assert_true(net.door.accepted == 0 || net.server.end != 0); /* The kernel closed what was open. */
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

static void seed_0_draws_nothing_and_others_within_the_range(void **state)
{
    (void)state;
    struct net net;
    net_connect(&net, 0);
    assert_int_equal(hop_ns(&net), 0);
    assert_int_equal(duress_sim_now_ns(net.sim), DURESS_S);
    net_close(&net);
    net_connect(&net, 1);
    assert_between(hop_ns(&net), 50 * DURESS_US, 5 * DURESS_MS);
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
        cmocka_unit_test(bytes_of_a_cut_path_arrive_after_healing_by_retransmission),
        cmocka_unit_test(rst_into_a_cut_path_is_lost_and_sent_again_on_the_next_bytes),
        cmocka_unit_test(fin_into_a_cut_path_arrives_after_healing),
        cmocka_unit_test(killed_process_is_closed_by_its_kernel),
        cmocka_unit_test(killed_process_with_unread_bytes_is_reset),
        cmocka_unit_test(killed_process_works_again_after_restart),
        cmocka_unit_test(crashed_machine_is_silent_and_resets_stale_connections_once_it_is_back),
        cmocka_unit_test(crash_loses_what_was_not_sent_yet),
        cmocka_unit_test(process_may_end_in_its_own_callback_and_its_connect_with_it),
        cmocka_unit_test(bytes_keep_their_order_under_drawn_delays),
        cmocka_unit_test(seed_0_draws_nothing_and_others_within_the_range),
        cmocka_unit_test(loopback_reaches_the_host_itself_alone),
    };
    return cmocka_run_group_tests_name("sim_network", tests, NULL, NULL);
}
