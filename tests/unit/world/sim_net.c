/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_net.h"

void net_open_with(struct net *net, const struct duress_sim_options *options, uint32_t backlog)
{
    *net = (struct net){0};
    assert_int_equal(duress_sim_new(options, &net->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "a", &net->a), DURESS_OK);
    assert_int_equal(duress_sim_host_new(net->sim, "b", &net->b), DURESS_OK);
    assert_int_equal(door_open(&net->door, duress_sim_host_world(net->b), duress_sim_host_address(net->b, PORT),
                               backlog, &net->server),
                     DURESS_OK);
}

void net_open(struct net *net, uint64_t seed)
{
    struct duress_sim_options options = {.seed = seed};
    net_open_with(net, &options, 0);
}

void net_open_steady(struct net *net, uint64_t seed, uint32_t backlog)
{
    struct duress_sim_options options = {.seed = seed, .delay_ns_min = DURESS_MS, .delay_ns_max = DURESS_MS};
    net_open_with(net, &options, backlog);
}

void net_connect(struct net *net, uint64_t seed)
{
    net_open(net, seed);
    net_dial(net);
    assert_int_equal(net_rest(net), DURESS_E_END);
    assert_int_equal(net->client.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(net->door.accepted, 1);
}

void net_close(struct net *net)
{
    peer_close(&net->client);
    peer_close(&net->server);
    if (net->door.listener != NULL)
        door_close(&net->door);
    duress_sim_free(net->sim);
}

void net_dial(struct net *net)
{
    struct duress_address address = duress_sim_host_address(net->b, PORT);
    assert_int_equal(peer_connect(&net->client, duress_sim_host_world(net->a), address), DURESS_OK);
}

int net_rest(struct net *net)
{
    return duress_sim_run_until(net->sim, NULL, NULL, DURESS_TIME_NEVER);
}

static void nothing(void *context)
{
    (void)context;
}

void net_pass_until(struct net *net, uint64_t at_ns)
{
    struct duress_timer timer;
    duress_timer_init(&timer, nothing, NULL);
    duress_world_arm(duress_sim_host_world(net->a), &timer, at_ns + 1);
    assert_int_equal(duress_sim_run_until(net->sim, NULL, NULL, at_ns), DURESS_E_DEADLINE);
    duress_world_disarm(duress_sim_host_world(net->a), &timer);
}

uint64_t net_hop_ns(const struct net *net)
{
    return duress_sim_delay_ns_max(net->sim);
}

void assert_between(uint64_t value, uint64_t low, uint64_t high)
{
    assert_true(value >= low);
    assert_true(value <= high);
}

size_t peer_flood(struct peer *peer)
{
    static const uint8_t bytes[65536];
    size_t total = 0;
    for (;;) {
        struct duress_slice slice = {bytes, sizeof bytes};
        size_t count = 0;
        int error = duress_stream_write(peer->stream, &slice, 1, &count);
        if (error == DURESS_E_AGAIN)
            return total;
        assert_int_equal(error, DURESS_OK);
        total += count;
    }
}
