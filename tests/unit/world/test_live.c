/* SPDX-License-Identifier: Apache-2.0
 *
 * What only the live world has: a libuv loop that may be the caller's, descriptors, the machine's clock and chance.
 * How its streams behave stands in both_worlds.c, for both worlds. */
#include "probe_heap.h"
#include "world_peer.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <uv.h>

#include <duress/loop/loop.h>
#include <duress/world/live.h>
#include <duress/world/live_loop.h>

#define PATIENCE_NS (30 * DURESS_S)

static struct duress_world *world_open(const struct duress_world_live_options *options)
{
    struct duress_world *world = NULL;
    assert_int_equal(duress_world_live_new(options, &world, NULL), DURESS_OK);
    return world;
}

static void world_await(struct duress_world *world, duress_done_fn done, void *context)
{
    uint64_t deadline_ns = duress_world_now_ns(world) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(world, done, context, deadline_ns), DURESS_OK);
}

static size_t descriptors_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void count_up(void *context)
{
    unsigned *count = context;
    ++*count;
}

static bool is_counted(void *context)
{
    return *(unsigned *)context > 0;
}

/* --- an exchange: a client says "ping", a server says "pong" and closes --- */

struct exchange {
    struct duress_listener *listener;
    struct duress_stream *client;
    struct duress_stream *server;
    size_t heard;
    int ended; /* what the client's last read said; 0 before */
};

static void exchange_server_spoke(void *context, struct duress_stream *stream, unsigned events)
{
    (void)events;
    struct exchange *exchange = context;
    char bytes[8];
    size_t count = 0;
    if (duress_stream_read(stream, bytes, sizeof bytes, &count) != DURESS_OK)
        return;
    struct duress_slice slice = duress_slice_text("pong");
    assert_int_equal(duress_stream_write(stream, &slice, 1, &count), DURESS_OK);
    duress_stream_close(stream);
    exchange->server = NULL;
}

static void exchange_accepted(void *context, struct duress_stream *stream)
{
    struct exchange *exchange = context;
    exchange->server = stream;
    duress_stream_handle(stream, exchange_server_spoke, exchange);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

static void exchange_client_spoke(void *context, struct duress_stream *stream, unsigned events)
{
    struct exchange *exchange = context;
    size_t count = 0;
    if ((events & DURESS_STREAM_CONNECTED) != 0) {
        struct duress_slice slice = duress_slice_text("ping");
        assert_int_equal(duress_stream_write(stream, &slice, 1, &count), DURESS_OK);
        duress_stream_want(stream, DURESS_STREAM_READABLE);
    }
    if ((events & DURESS_STREAM_FAILED) != 0)
        exchange->ended = duress_stream_error(stream);
    if ((events & DURESS_STREAM_READABLE) == 0)
        return;
    char bytes[8];
    int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    if (error == DURESS_OK)
        exchange->heard += count;
    else if (error != DURESS_E_AGAIN)
        exchange->ended = error;
}

static int exchange_start(struct exchange *exchange, struct duress_world *world)
{
    *exchange = (struct exchange){.heard = 0};
    struct duress_listen_options options = {.address = duress_address_loopback(0)};
    int error = duress_world_listen(world, &options, exchange_accepted, exchange, &exchange->listener);
    if (error != DURESS_OK)
        return error;
    struct duress_address address = duress_listener_address(exchange->listener);
    return duress_world_connect(world, &address, exchange_client_spoke, exchange, &exchange->client);
}

static void exchange_stop(struct exchange *exchange)
{
    duress_stream_close(exchange->client);
    duress_stream_close(exchange->server);
    duress_listener_close(exchange->listener);
}

static bool exchange_has_ended(void *context)
{
    const struct exchange *exchange = context;
    return exchange->ended != 0;
}

static void bytes_go_there_and_back_and_nothing_stays(void **state)
{
    (void)state;
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    struct duress_world *warm = world_open(NULL); /* libuv keeps some descriptors for good */
    duress_world_free(warm);
    size_t descriptors = descriptors_count();
    struct duress_world *world = world_open(&(struct duress_world_live_options){.allocator = &heap.allocator});
    struct exchange exchange;
    assert_int_equal(exchange_start(&exchange, world), DURESS_OK);
    world_await(world, exchange_has_ended, &exchange);
    assert_int_equal(exchange.ended, DURESS_E_END);
    assert_int_equal(exchange.heard, 4);
    struct duress_address there = duress_stream_peer(exchange.client);
    struct duress_address here = duress_stream_local(exchange.client);
    struct duress_address listening = duress_listener_address(exchange.listener);
    assert_true(duress_address_equal(&there, &listening));
    assert_int_equal(here.family, DURESS_FAMILY_IPV4);
    assert_int_not_equal(here.port, 0);
    exchange_stop(&exchange);
    duress_world_free(world);
    assert_int_equal(heap.live_count, 0);
    assert_int_equal(descriptors_count(), descriptors);
}

static void a_world_is_freed_with_all_that_it_holds(void **state)
{
    (void)state;
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    size_t descriptors = descriptors_count();
    struct duress_world *world = world_open(&(struct duress_world_live_options){.allocator = &heap.allocator});
    struct exchange exchange;
    assert_int_equal(exchange_start(&exchange, world), DURESS_OK);
    void *block = duress_world_block_new(world);
    duress_world_block_free(world, block);
    duress_world_free(world);
    assert_int_equal(exchange.ended, 0);
    assert_int_equal(heap.live_count, 0);
    assert_int_equal(descriptors_count(), descriptors);
}

/* For every n, the n-th allocation and all after it fail: the world is not made, the listen or the connect is refused,
 * or the client sees its connection end. */
static void out_of_memory_nothing_leaks_or_hangs(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct probe_heap heap;
        probe_heap_init(&heap, after);
        struct duress_world *world = NULL;
        struct exchange exchange = {.ended = 0};
        int error =
            duress_world_live_new(&(struct duress_world_live_options){.allocator = &heap.allocator}, &world, NULL);
        if (error == DURESS_OK) {
            error = exchange_start(&exchange, world);
            if (error == DURESS_OK)
                world_await(world, exchange_has_ended, &exchange);
            exchange_stop(&exchange);
        }
        duress_world_free(world);
        assert_int_equal(heap.live_count, 0);
        if (!heap.tripped) {
            assert_int_equal(exchange.heard, 4);
            break;
        }
        assert_true(error == DURESS_E_NO_MEMORY || (error == DURESS_OK && exchange.heard == 0));
    }
}

/* --- the caller's loop --- */

static void it_runs_on_a_callers_loop(void **state)
{
    (void)state;
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    uv_loop_t uv;
    assert_int_equal(uv_loop_init(&uv), 0);
    struct duress_world *world =
        world_open(&(struct duress_world_live_options){.allocator = &heap.allocator, .loop = &uv});
    assert_ptr_equal(duress_world_live_uv_loop(world), &uv);
    assert_ptr_equal(duress__loop_uv(duress__world_live_loop(world)), &uv);
    struct exchange exchange;
    assert_int_equal(exchange_start(&exchange, world), DURESS_OK);
    while (exchange.ended == 0)
        (void)uv_run(&uv, UV_RUN_ONCE);
    assert_int_equal(exchange.ended, DURESS_E_END);
    exchange_stop(&exchange);
    duress_world_free(world);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(heap.live_count, 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

/* --- threads and signals --- */

struct posting {
    struct duress_world *world;
    struct duress_post post;
    unsigned count;
};

static void *posting_run(void *context)
{
    struct posting *posting = context;
    duress_world_post(posting->world, &posting->post);
    return NULL;
}

static void a_post_of_another_thread_wakes_the_world(void **state)
{
    (void)state;
    struct posting posting = {.world = world_open(NULL)};
    posting.post = (struct duress_post){.fn = count_up, .context = &posting.count};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, posting_run, &posting), 0);
    world_await(posting.world, is_counted, &posting.count);
    assert_int_equal(pthread_join(thread, NULL), 0);
    duress_world_free(posting.world);
}

static bool door_is_passed(void *context)
{
    const struct door *door = context;
    return door->accepted > 0;
}

/* The default action of SIGPIPE would end this program. */
static void writing_to_nobody_raises_no_signal(void **state)
{
    (void)state;
    void (*before)(int) = signal(SIGPIPE, SIG_DFL);
    struct duress_world *world = world_open(NULL);
    static struct peer client;
    static struct peer server;
    struct door door = {.accepted = 0};
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    assert_int_equal(door_open(&door, world, duress_address_loopback(0), 0, &server), DURESS_OK);
    assert_int_equal(peer_connect(&client, world, duress_listener_address(door.listener)), DURESS_OK);
    world_await(world, door_is_passed, &door);
    for (unsigned turn = 0; turn < 10; turn++)
        (void)duress_world_run_until(world, NULL, NULL, 0);
    assert_int_equal(client.seen, DURESS_STREAM_CONNECTED);
    peer_abort(&server);
    struct duress_slice slice = duress_slice_text("anybody?");
    int error = DURESS_OK;
    for (size_t count = 0; error == DURESS_OK || error == DURESS_E_AGAIN;)
        error = duress_stream_write(client.stream, &slice, 1, &count);
    assert_int_equal(error, DURESS_E_RESET);
    size_t count;
    assert_int_equal(duress_stream_write(client.stream, &slice, 1, &count), DURESS_E_RESET);
    peer_close(&client);
    door_close(&door);
    duress_world_free(world);
    (void)signal(SIGPIPE, before);
}

/* --- time and chance --- */

static void the_clocks_are_the_machines(void **state)
{
    (void)state;
    struct duress_world *world = world_open(NULL);
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    uint64_t before_ns = (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
    uint64_t now_ns = duress_world_now_ns(world);
    assert_in_range(now_ns, before_ns, before_ns + PATIENCE_NS);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    before_ns = (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
    assert_in_range(duress_world_wall_ns(world), before_ns - DURESS_S, before_ns + PATIENCE_NS);
    unsigned fired = 0;
    struct duress_timer timer;
    duress_timer_init(&timer, count_up, &fired);
    uint64_t at_ns = duress_world_now_ns(world) + DURESS_MS;
    duress_world_arm(world, &timer, at_ns);
    world_await(world, is_counted, &fired);
    assert_true(duress_world_now_ns(world) >= at_ns);
    duress_world_arm(world, &timer, 0);
    duress_world_arm(world, &timer, DURESS_TIME_NEVER);
    assert_false(duress_timer_is_armed(&timer));
    duress_world_free(world);
}

static void a_seed_makes_its_chance_repeat(void **state)
{
    (void)state;
    struct duress_world_live_options options = {.seed = 7};
    struct duress_world *one = world_open(&options);
    struct duress_world *two = world_open(&options);
    struct duress_world *drawn = world_open(NULL);
    struct duress_prng prngs[4];
    duress_world_prng(one, 5, &prngs[0]);
    duress_world_prng(two, 5, &prngs[1]);
    duress_world_prng(one, 5, &prngs[2]);
    duress_world_prng(drawn, 5, &prngs[3]);
    uint64_t first = duress_prng_next(&prngs[0]);
    assert_true(duress_prng_next(&prngs[1]) == first);
    assert_true(duress_prng_next(&prngs[2]) != first); /* the second one for the same purpose is another */
    assert_true(duress_prng_next(&prngs[3]) != first);
    duress_world_free(one);
    duress_world_free(two);
    duress_world_free(drawn);
}

static void a_busy_world_does_not_block_for_what_comes_soon(void **state)
{
    (void)state;
    struct duress_world *refused = NULL;
    struct duress_world_live_options options = {.busy_poll_ns = DURESS_S + 1};
    assert_int_equal(duress_world_live_new(&options, &refused, NULL), DURESS_E_INVALID);
    assert_null(refused);
    options.busy_poll_ns = DURESS_S;
    struct duress_world *world = world_open(&options);
    long blocks = 1;
    for (unsigned attempt = 0; blocks > 0 && attempt < 20; attempt++) { /* a page fault may block too */
        struct rusage before;
        struct rusage after;
        unsigned fired = 0;
        struct duress_timer timer;
        duress_timer_init(&timer, count_up, &fired);
        duress_world_arm(world, &timer, duress_world_now_ns(world) + 3 * DURESS_MS);
        assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
        world_await(world, is_counted, &fired);
        assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
        blocks = after.ru_nvcsw - before.ru_nvcsw;
    }
    assert_int_equal(blocks, 0);
    duress_world_free(world);
}

/* --- blocks --- */

static void blocks_are_kept_up_to_a_maximum(void **state)
{
    (void)state;
    enum { BLOCKS = 300, CACHED = 256 };
    static void *blocks[BLOCKS];
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    struct duress_world *world = world_open(&(struct duress_world_live_options){.allocator = &heap.allocator});
    uint64_t live_before = heap.live_count;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = duress_world_block_new(world);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0x5a, DURESS_WORLD_BLOCK_BYTES);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        duress_world_block_free(world, blocks[i]);
    duress_world_block_free(world, NULL);
    assert_int_equal(heap.live_count, live_before + CACHED);
    uint64_t allocations = heap.allocation_count;
    for (size_t i = 0; i < CACHED; i++)
        blocks[i] = duress_world_block_new(world);
    assert_int_equal(heap.allocation_count, allocations); /* warm: nothing is allocated */
    for (size_t i = 0; i < CACHED; i++)
        duress_world_block_free(world, blocks[i]);
    duress_world_free(world);
    assert_int_equal(heap.live_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_there_and_back_and_nothing_stays),
        cmocka_unit_test(a_world_is_freed_with_all_that_it_holds),
        cmocka_unit_test(out_of_memory_nothing_leaks_or_hangs),
        cmocka_unit_test(it_runs_on_a_callers_loop),
        cmocka_unit_test(a_post_of_another_thread_wakes_the_world),
        cmocka_unit_test(writing_to_nobody_raises_no_signal),
        cmocka_unit_test(the_clocks_are_the_machines),
        cmocka_unit_test(a_seed_makes_its_chance_repeat),
        cmocka_unit_test(a_busy_world_does_not_block_for_what_comes_soon),
        cmocka_unit_test(blocks_are_kept_up_to_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
