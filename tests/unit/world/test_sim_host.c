/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulated hosts whose process is killed or whose machine loses its power. */
#include "sim_net.h"

static void stream_told(void *context, struct duress_stream *stream, unsigned events)
{
    (void)context;
    (void)stream;
    (void)events;
    fail();
}

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
        assert_between(dialling.at_ns, crashed_ns + 31 * DURESS_S, crashed_ns + 31 * DURESS_S + 2 * net_hop_ns(&net));
        peer_close(&dialling);
        net_close(&net);
    }
}

static void idle_connection_to_a_dead_machine_stays_open(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_connect(&net, seed);
        duress_sim_host_crash(net.b);
        net_pass_until(&net, duress_sim_now_ns(net.sim) + 24 * 3600 * DURESS_S);
        assert_int_equal(net.client.seen, DURESS_STREAM_CONNECTED);
        assert_int_equal(net.client.end, 0);
        net_close(&net);
    }
}

static void crash_of_the_caller_ends_its_connect(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        net_open_steady(&net, seed, 0);
        net_dial(&net);
        net_pass_until(&net, DURESS_S + (seed % 2 == 0 ? 500 : 1500) * DURESS_US);
        duress_sim_host_crash(net.a);
        duress_sim_host_restart(net.a);
        assert_int_equal(net_rest(&net), DURESS_E_END);
        assert_int_equal(net.client.seen, 0);
        assert_int_equal(net.door.accepted, 0);
        assert_true(duress_sim_now_ns(net.sim) < 2 * DURESS_S); /* No SYN is repeated. */
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

/* More than a process may have open here and there; none of them is answered. */
static void without_descriptors_accepting_pauses_and_connects_fail(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed)
    {
        struct net net;
        struct duress_stream *stream = NULL;
        net_connect(&net, seed);
        duress_sim_host_descriptors(net.b, 1);
        struct peer second = {.world = duress_sim_host_world(net.a)};
        struct peer third = {.world = duress_sim_host_world(net.a)};
        struct duress_address address = duress_sim_host_address(net.b, PORT);
        assert_int_equal(peer_connect(&second, second.world, address), DURESS_OK);
        assert_int_equal(peer_connect(&third, third.world, address), DURESS_OK);
        net_pass_until(&net, duress_sim_now_ns(net.sim) + 500 * DURESS_MS);
        assert_true(second.seen & DURESS_STREAM_CONNECTED); /* by the kernel */
        assert_true(third.seen & DURESS_STREAM_CONNECTED);
        assert_int_equal(net.door.accepted, 2); /* but there was room for one more only */
        assert_int_equal(duress_sim_host_queued(net.b), 1);
        address = duress_sim_host_address(net.a, PORT);
        assert_int_equal(duress_world_connect(duress_sim_host_world(net.b), &address, stream_told, NULL, &stream),
                         DURESS_E_NO_DESCRIPTORS);

        peer_close(&net.server); /* one comes back */
        uint64_t back_ns = duress_sim_now_ns(net.sim);
        net_pass_until(&net, back_ns + 20 * DURESS_MS);
        assert_int_equal(net.door.accepted, 3);
        assert_int_equal(duress_sim_host_queued(net.b), 0);
        duress_sim_host_descriptors(net.b, UINT32_MAX);
        assert_int_equal(duress_world_connect(duress_sim_host_world(net.b), &address, stream_told, NULL, &stream),
                         DURESS_OK);
        peer_close(&second);
        peer_close(&third);
        net_close(&net);
    }
}

static void descriptors_never_run_out(void **state)
{
    (void)state;
    enum { STREAMS = 25000 };
    struct net net;
    struct duress_stream *first = NULL;
    net_open(&net, 0);
    duress_sim_host_silence(net.b, PORT, true);
    struct duress_address address = duress_sim_host_address(net.b, PORT);
    for (int i = 0; i < STREAMS; i++) {
        struct duress_stream *stream = NULL;
        assert_int_equal(duress_world_connect(duress_sim_host_world(net.a), &address, stream_told, NULL, &stream),
                         DURESS_OK);
        first = first == NULL ? stream : first;
    }
    net_pass_until(&net, 2 * DURESS_S);
    assert_int_equal(duress_stream_error(first), DURESS_OK);
    net_close(&net);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_process_is_closed_by_its_kernel),
        cmocka_unit_test(killed_process_with_unread_bytes_is_reset),
        cmocka_unit_test(killed_process_works_again_after_restart),
        cmocka_unit_test(crashed_machine_is_silent_and_resets_stale_connections_once_it_is_back),
        cmocka_unit_test(idle_connection_to_a_dead_machine_stays_open),
        cmocka_unit_test(crash_of_the_caller_ends_its_connect),
        cmocka_unit_test(crash_loses_what_was_not_sent_yet),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_connects_fail),
        cmocka_unit_test(descriptors_never_run_out),
        cmocka_unit_test(process_may_end_in_its_own_callback_and_its_connect_with_it),
    };
    return cmocka_run_group_tests_name("sim_host", tests, NULL, NULL);
}
