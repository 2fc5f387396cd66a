/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory fails at the n-th allocation, for every n that a busy run makes: nothing crashes, nothing leaks. */
#include "world_peer.h"

#include "sim_busy.h"

#define PORT 80

static void run_failing(uint64_t seed, bool is_lasting)
{
    for (uint64_t n = 1;; n++) {
        struct counting_allocator counting;
        struct busy_result result;
        counting_allocator_init(&counting);
        counting.fail_at = n;
        counting.is_lasting = is_lasting;
        int error = busy_run(&counting.allocator, seed, 400 * DURESS_MS, NULL, NULL, &result);
        assert_int_equal(counting.live_count, 0);
        assert_true(error == DURESS_OK || error == DURESS_E_NO_MEMORY);
        assert_true(error == DURESS_OK || counting.has_failed);
        if (!counting.has_failed)
            break;
    }
}

static void one_failure_anywhere_is_survived(void **state)
{
    (void)state;
    run_failing(0, false);
    run_failing(3, false);
}

static void lasting_failure_from_anywhere_is_survived(void **state)
{
    (void)state;
    run_failing(0, true);
    run_failing(3, true);
}

struct pair {
    struct counting_allocator counting;
    struct duress_sim *sim;
    struct duress_world *world;
    struct duress_address address;
    struct door door;
    struct peer client;
    struct peer server;
};

static void pair_open(struct pair *pair)
{
    struct duress_sim_host *host;
    *pair = (struct pair){0};
    counting_allocator_init(&pair->counting);
    struct duress_sim_options options = {.allocator = &pair->counting.allocator, .seed = 1};
    assert_int_equal(duress_sim_new(&options, &pair->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(pair->sim, "host", &host), DURESS_OK);
    pair->world = duress_sim_host_world(host);
    pair->address = duress_sim_host_address(host, PORT);
    assert_int_equal(door_open(&pair->door, pair->world, pair->address, 0, &pair->server), DURESS_OK);
}

static void pair_rest(struct pair *pair)
{
    assert_int_equal(duress_sim_run_until(pair->sim, NULL, NULL, DURESS_TIME_NEVER), DURESS_E_END);
}

static void pair_close(struct pair *pair)
{
    peer_close(&pair->client);
    peer_close(&pair->server);
    door_close(&pair->door);
    duress_sim_free(pair->sim);
    assert_int_equal(pair->counting.live_count, 0);
}

/* The next allocation, and all after it, fail. */
static void pair_starve(struct pair *pair)
{
    pair->counting.fail_at = pair->counting.calls + 1;
    pair->counting.is_lasting = true;
}

static void connect_listen_resolve_and_write_tell_of_it(void **state)
{
    (void)state;
    struct pair pair;
    struct door second = {0};
    struct duress_resolution *resolution;
    pair_open(&pair);
    assert_int_equal(peer_connect(&pair.client, pair.world, pair.address), DURESS_OK);
    pair_rest(&pair);
    pair_starve(&pair);
    struct peer late = {0};
    struct duress_address other = pair.address;
    other.port++;
    struct duress_slice slice = duress_slice_text("x");
    size_t count = 1;
    assert_int_equal(peer_connect(&late, pair.world, pair.address), DURESS_E_NO_MEMORY);
    assert_int_equal(door_open(&second, pair.world, other, 0, NULL), DURESS_E_NO_MEMORY);
    assert_int_equal(duress_world_resolve(pair.world, "host", 1, (duress_resolve_fn)NULL, NULL, &resolution),
                     DURESS_E_INVALID);
    assert_int_equal(duress_stream_write(pair.client.stream, &slice, 1, &count), DURESS_E_NO_MEMORY);
    assert_int_equal(count, 0);
    pair.counting.fail_at = 0;
    assert_int_equal(duress_stream_write(pair.client.stream, &slice, 1, &count), DURESS_OK); /* and it goes on */
    pair_rest(&pair);
    peer_assert_heard(&pair.server, "x");
    pair_close(&pair);
}

static void connection_is_reset_where_arriving_bytes_find_no_memory(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_int_equal(peer_connect(&pair.client, pair.world, pair.address), DURESS_OK);
    pair_rest(&pair);
    peer_say(&pair.client, "no room for this");
    pair_starve(&pair);
    pair_rest(&pair);
    assert_int_equal(pair.client.end, DURESS_E_RESET);
    assert_int_equal(pair.server.end, DURESS_E_RESET);
    assert_int_equal(pair.server.received, 0);
    pair_close(&pair);
}

static void connection_is_reset_where_accepting_finds_no_memory(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_int_equal(peer_connect(&pair.client, pair.world, pair.address), DURESS_OK);
    pair_starve(&pair);
    pair_rest(&pair);
    assert_int_equal(pair.door.accepted, 0);
    assert_int_equal(pair.client.end, DURESS_E_RESET);
    pair_close(&pair);
}

static void a_warm_exchange_allocates_nothing(void **state)
{
    (void)state;
    struct pair pair;
    uint64_t calls = 0;
    pair_open(&pair);
    assert_int_equal(peer_connect(&pair.client, pair.world, pair.address), DURESS_OK);
    pair_rest(&pair);
    for (int i = 0; i < 100; i++) {
        if (i == 10)
            calls = pair.counting.calls;
        peer_say(&pair.client, "question");
        pair_rest(&pair);
        peer_say(&pair.server, "answer");
        pair_rest(&pair);
    }
    assert_int_equal(pair.client.received, 600);
    assert_int_equal(pair.counting.calls, calls);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failure_anywhere_is_survived),
        cmocka_unit_test(lasting_failure_from_anywhere_is_survived),
        cmocka_unit_test(connect_listen_resolve_and_write_tell_of_it),
        cmocka_unit_test(connection_is_reset_where_arriving_bytes_find_no_memory),
        cmocka_unit_test(connection_is_reset_where_accepting_finds_no_memory),
        cmocka_unit_test(a_warm_exchange_allocates_nothing),
    };
    return cmocka_run_group_tests_name("sim_memory", tests, NULL, NULL);
}
