/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop that looks busily before it blocks: it does look, it does block in the end, and all that wakes a blocked loop
 * ends the look. Whether a thread blocked is what the kernel counts as its voluntary switches. */
#include "loop_test.h"

#include <duress/prng.h>

#include <pthread.h>
#include <sys/resource.h>

#include <uv.h>

static void count_up(void *context)
{
    unsigned *count = context;
    ++*count;
}

static bool is_counted(void *context)
{
    return *(unsigned *)context > 0;
}

static long blocks_count(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

/* libuv has not put our descriptors into its set before its first turns, and does not wait in them. */
static struct duress_loop *busy_loop_open(uint64_t busy_ns)
{
    struct duress_loop *loop = loop_open();
    loop_settle(loop);
    duress__loop_busy_poll(loop, busy_ns);
    return loop;
}

/* Waits for a timer |wait_ns| from now; returns how often the thread blocked. */
static long wait_blocks(struct duress_loop *loop, uint64_t wait_ns)
{
    unsigned fired = 0;
    struct duress_timer timer;
    duress_timer_init(&timer, count_up, &fired);
    uint64_t at_ns = duress__loop_now_ns(loop) + wait_ns;
    duress__loop_arm(loop, &timer, at_ns);
    long before = blocks_count();
    loop_await(loop, is_counted, &fired);
    assert_true(duress__loop_now_ns(loop) >= at_ns);
    return blocks_count() - before;
}

static void a_busy_loop_does_not_block_for_what_comes_soon(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(10 * DURESS_S);
    long blocks = 1;
    for (unsigned attempt = 0; blocks > 0 && attempt < 20; attempt++) /* a page fault may block too */
        blocks = wait_blocks(loop, 3 * DURESS_MS);
    assert_int_equal(blocks, 0);
    duress__loop_free(loop);
}

static void a_busy_loop_blocks_in_the_end(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(DURESS_MS);
    assert_true(wait_blocks(loop, 30 * DURESS_MS) > 0);
    duress__loop_busy_poll(loop, 10 * DURESS_S);
    duress__loop_busy_poll(loop, 0);
    assert_true(wait_blocks(loop, 3 * DURESS_MS) > 0);
    duress__loop_free(loop);
}

/* Waits shorter, about as long, and longer than the look. */
static void a_busy_loop_fires_no_timer_early(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(100 * DURESS_US);
    struct duress_prng prng;
    duress_prng_init(&prng, 3, 0);
    for (unsigned i = 0; i < 500; i++)
        (void)wait_blocks(loop, duress_prng_below(&prng, 300 * DURESS_US)); /* which checks the instant */
    duress__loop_free(loop);
}

/* --- what ends the look --- */

#define FOR_EVER_NS (2 * PATIENCE_NS) /* the look, were it not ended */
#define SOON_NS (10 * DURESS_S)

static void await_soon(struct duress_loop *loop, duress_loop_done_fn done, void *context)
{
    uint64_t begun_ns = duress__loop_now_ns(loop);
    loop_await(loop, done, context);
    assert_true(duress__loop_now_ns(loop) - begun_ns < SOON_NS);
}

struct posting {
    struct duress_loop *loop;
    struct duress_post post;
    unsigned count;
};

static void *posting_run(void *context)
{
    struct posting *posting = context;
    duress__loop_post(posting->loop, &posting->post);
    return NULL;
}

static void a_post_ends_the_look(void **state)
{
    (void)state;
    struct posting posting = {.loop = busy_loop_open(FOR_EVER_NS)};
    posting.post = (struct duress_post){.fn = count_up, .context = &posting.count};
    for (unsigned i = 0; i < 100; i++) {
        pthread_t thread;
        posting.count = 0;
        assert_int_equal(pthread_create(&thread, NULL, posting_run, &posting), 0);
        await_soon(posting.loop, is_counted, &posting.count);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    duress__loop_free(posting.loop);
}

static void bytes_end_the_look(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(FOR_EVER_NS);
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_write(&a, "x", 1);
    end_await(loop, &b, DURESS_SOCKET_READABLE);
    duress__socket_reset(&a.socket);
    end_await(loop, &b, DURESS_SOCKET_HANGUP);
    duress__loop_free(loop);
}

static void uv_count_up(uv_timer_t *timer)
{
    unsigned *count = timer->data;
    ++*count;
}

static void uv_async_count_up(uv_async_t *async)
{
    unsigned *count = async->data;
    ++*count;
}

static void what_others_have_on_the_libuv_loop_ends_the_look(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(FOR_EVER_NS);
    unsigned count = 0;
    uv_timer_t timer;
    uv_async_t async;
    assert_int_equal(uv_timer_init(duress__loop_uv(loop), &timer), 0);
    timer.data = &count;
    assert_int_equal(uv_timer_start(&timer, uv_count_up, 2, 0), 0);
    await_soon(loop, is_counted, &count);
    assert_int_equal(uv_async_init(duress__loop_uv(loop), &async, uv_async_count_up), 0);
    async.data = &count;
    count = 0;
    assert_int_equal(uv_async_send(&async), 0);
    await_soon(loop, is_counted, &count);
    duress__loop_free(loop); /* closes both, as the libuv loop goes */
}

/* libuv calls its timers before it blocks, and before we look. */
static void a_libuv_timer_that_is_due_at_once_ends_the_wait(void **state)
{
    (void)state;
    for (unsigned busily = 0; busily <= 1; busily++) {
        struct duress_loop *loop = busy_loop_open(busily ? FOR_EVER_NS : 0);
        unsigned count = 0;
        uv_timer_t timer;
        assert_int_equal(uv_timer_init(duress__loop_uv(loop), &timer), 0);
        timer.data = &count;
        assert_int_equal(uv_timer_start(&timer, uv_count_up, 0, 0), 0);
        await_soon(loop, is_counted, &count);
        duress__loop_free(loop);
    }
}

static void work_that_waits_is_not_kept_waiting(void **state)
{
    (void)state;
    struct duress_loop *loop = busy_loop_open(FOR_EVER_NS);
    unsigned count = 0;
    struct duress_later later = {.fn = count_up, .context = &count};
    uint64_t begun_ns = duress__loop_now_ns(loop);
    duress__loop_defer(loop, &later);
    (void)uv_run(duress__loop_uv(loop), UV_RUN_ONCE);
    assert_int_equal(count, 1);
    loop_settle(loop);
    assert_true(duress__loop_now_ns(loop) - begun_ns < SOON_NS);
    duress__loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_loop_does_not_block_for_what_comes_soon),
        cmocka_unit_test(a_busy_loop_blocks_in_the_end),
        cmocka_unit_test(a_busy_loop_fires_no_timer_early),
        cmocka_unit_test(a_post_ends_the_look),
        cmocka_unit_test(bytes_end_the_look),
        cmocka_unit_test(what_others_have_on_the_libuv_loop_ends_the_look),
        cmocka_unit_test(a_libuv_timer_that_is_due_at_once_ends_the_wait),
        cmocka_unit_test(work_that_waits_is_not_kept_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
