/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop that waits for its own epoll set: the same calls, in the same order, without libuv. */
#include "loop_test.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

static bool is_true(void *context)
{
    return *(bool *)context;
}

/* --- timers, calls and posts --- */

struct ring {
    struct duress_loop *loop;
    struct duress_timer timer;
    struct duress_later later;
    struct duress_post post;
    uint64_t armed_ns;
    uint64_t fired_ns;
    bool was_deferred;
    bool is_over;
    pthread_t thread;
};

static void post_called(void *context)
{
    struct ring *ring = context;
    ring->is_over = true;
}

static void *other_thread(void *context)
{
    struct ring *ring = context;
    duress__loop_post(ring->loop, &ring->post);
    return NULL;
}

static void later_called(void *context)
{
    struct ring *ring = context;
    ring->was_deferred = true;
    assert_int_equal(pthread_create(&ring->thread, NULL, other_thread, ring), 0);
}

static void timer_fired(void *context)
{
    struct ring *ring = context;
    ring->fired_ns = duress__loop_now_ns(ring->loop);
    duress__loop_defer(ring->loop, &ring->later);
}

static void timers_calls_and_posts_come(void **state)
{
    (void)state;
    struct ring ring = {.loop = loop_open()};
    ring.later = (struct duress_later){.fn = later_called, .context = &ring};
    ring.post = (struct duress_post){.fn = post_called, .context = &ring};
    duress_timer_init(&ring.timer, timer_fired, &ring);
    for (unsigned round = 0; round < 2; round++) { /* it can be run again, in either way */
        ring.is_over = ring.was_deferred = false;
        ring.armed_ns = duress__loop_now_ns(ring.loop) + 3 * DURESS_MS;
        duress__loop_arm(ring.loop, &ring.timer, ring.armed_ns);
        assert_int_equal(duress__loop_run_direct(ring.loop, is_true, &ring.is_over), DURESS_OK);
        assert_true(ring.fired_ns >= ring.armed_ns);
        assert_true(ring.was_deferred);
        assert_int_equal(pthread_join(ring.thread, NULL), 0);
        loop_settle(ring.loop);
    }
    duress__loop_free(ring.loop);
}

/* --- sockets --- */

struct echo {
    struct duress_loop *loop;
    struct end a;
    struct end b;
    unsigned rounds;
    bool is_over;
};

static void byte_send(struct end *end)
{
    size_t count = 0;
    struct duress_slice byte = {(const uint8_t *)"x", 1};
    assert_int_equal(duress__socket_write(&end->socket, &byte, 1, &count), DURESS_OK);
}

static void echo_spoke(void *context, unsigned events)
{
    struct echo *echo = context;
    struct end *from = (echo->rounds % 2) == 0 ? &echo->b : &echo->a;
    char byte;
    size_t count = 0;
    assert_int_equal(events & DURESS_SOCKET_READABLE, DURESS_SOCKET_READABLE);
    assert_int_equal(duress__socket_read(&from->socket, &byte, 1, &count), DURESS_OK);
    echo->rounds++;
    echo->is_over = echo->rounds == 100;
    if (!echo->is_over)
        byte_send(from);
}

static void sockets_speak_and_close_for_good(void **state)
{
    (void)state;
    struct echo echo = {.loop = loop_open()};
    size_t before = descriptors_count();
    tcp_pair_open(echo.loop, &echo.a, &echo.b);
    duress__socket_handle(&echo.a.socket, echo_spoke, &echo);
    duress__socket_handle(&echo.b.socket, echo_spoke, &echo);
    duress__socket_want(&echo.a.socket, DURESS_SOCKET_READABLE);
    duress__socket_want(&echo.b.socket, DURESS_SOCKET_READABLE);
    byte_send(&echo.a);
    assert_int_equal(duress__loop_run_direct(echo.loop, is_true, &echo.is_over), DURESS_OK);
    assert_int_equal(echo.rounds, 100);
    duress__socket_close(&echo.a.socket);
    duress__socket_close(&echo.b.socket);
    assert_int_equal(descriptors_count(), before);
    duress__loop_free(echo.loop);
}

static void callers_libuv_loop_is_refused(void **state)
{
    uv_loop_t uv;
    struct duress_loop *loop = NULL;
    bool over = true;
    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(duress__loop_new(NULL, &uv, &loop), DURESS_OK);
    assert_int_equal(duress__loop_run_direct(loop, is_true, &over), DURESS_E_INVALID);
    duress__loop_free(loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_calls_and_posts_come),
        cmocka_unit_test(sockets_speak_and_close_for_good),
        cmocka_unit_test(callers_libuv_loop_is_refused),
    };
    return cmocka_run_group_tests_name("a loop that waits directly", tests, NULL, NULL);
}
