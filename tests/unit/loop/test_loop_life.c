/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop's life: on a caller's libuv loop, out of memory, many sockets, and nothing left behind. */
#include "loop_test.h"
#include "probe_heap.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

/* --- on a caller's loop --- */

struct caller {
    uv_loop_t uv;
    uv_timer_t timer;
    struct duress_loop *loop;
    struct duress_timer tick;
    struct duress_later later;
    unsigned ticks;
    unsigned laters;
    unsigned uv_timers;
};

static void caller_ticked(void *context)
{
    struct caller *caller = context;
    caller->ticks++;
}

static void caller_later(void *context)
{
    struct caller *caller = context;
    caller->laters++;
    uv_stop(&caller->uv);
}

/* A callback of the caller's own uses the loop from outside of its turns. */
static void caller_uv_timer_fired(uv_timer_t *timer)
{
    struct caller *caller = timer->data;
    caller->uv_timers++;
    duress__loop_arm(caller->loop, &caller->tick, duress__loop_now_ns(caller->loop));
    duress__loop_defer(caller->loop, &caller->later);
}

static void the_loop_runs_on_a_callers_libuv_loop(void **state)
{
    (void)state;
    size_t descriptors = descriptors_count();
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    struct caller caller = {.later = {.fn = caller_later, .context = &caller}};
    duress_timer_init(&caller.tick, caller_ticked, &caller);
    assert_int_equal(uv_loop_init(&caller.uv), 0);
    assert_int_equal(duress__loop_new(&heap.allocator, &caller.uv, &caller.loop), DURESS_OK);
    assert_ptr_equal(duress__loop_uv(caller.loop), &caller.uv);
    assert_int_equal(uv_timer_init(&caller.uv, &caller.timer), 0);
    caller.timer.data = &caller;
    assert_int_equal(uv_timer_start(&caller.timer, caller_uv_timer_fired, 1, 0), 0);
    (void)uv_run(&caller.uv, UV_RUN_DEFAULT);
    assert_int_equal(caller.uv_timers, 1);
    assert_int_equal(caller.laters, 1);
    assert_int_equal(caller.ticks, 1);

    struct end a;
    struct end b;
    tcp_pair_open(caller.loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_write(&a, "x", 1);
    while (b.calls == 0)
        (void)uv_run(&caller.uv, UV_RUN_ONCE);

    duress__loop_free(caller.loop); /* in the middle of things, with sockets open */
    uv_close((uv_handle_t *)&caller.timer, NULL);
    assert_int_equal(uv_run(&caller.uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(heap.live_count, 0);
    assert_int_equal(uv_loop_close(&caller.uv), 0);
    assert_int_equal(descriptors_count(), descriptors);
}

static bool uv_timer_fired(void *context)
{
    const struct caller *caller = context;
    return caller->uv_timers > 0;
}

static void a_run_serves_other_handles_on_the_same_loop(void **state)
{
    (void)state;
    struct caller caller = {.loop = loop_open(), .later = {.fn = caller_ticked, .context = &caller}};
    duress_timer_init(&caller.tick, caller_ticked, &caller);
    assert_int_equal(uv_timer_init(duress__loop_uv(caller.loop), &caller.timer), 0);
    caller.timer.data = &caller;
    assert_int_equal(uv_timer_start(&caller.timer, caller_uv_timer_fired, 1, 0), 0);
    loop_await(caller.loop, uv_timer_fired, &caller);
    duress__loop_free(caller.loop); /* closes the foreign handle too, as the libuv loop goes */
}

/* --- out of memory, out of descriptors --- */

static void out_of_memory_the_loop_is_not_made(void **state)
{
    (void)state;
    size_t descriptors = descriptors_count();
    for (uint64_t after = 0;; after++) {
        struct probe_heap heap;
        probe_heap_init(&heap, after);
        struct duress_loop *loop = NULL;
        int error = duress__loop_new(&heap.allocator, NULL, &loop);
        duress__loop_free(loop);
        assert_int_equal(heap.live_count, 0);
        assert_int_equal(descriptors_count(), descriptors);
        if (!heap.tripped)
            break;
        assert_int_equal(error, DURESS_E_NO_MEMORY);
    }
}

static void out_of_descriptors_the_loop_is_not_made(void **state)
{
    (void)state;
    struct rlimit whole;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &whole), 0);
    size_t descriptors = descriptors_count();
    int next_fd = dup(0);
    (void)close(next_fd);
    int error = DURESS_E_NO_DESCRIPTORS;
    unsigned refusals = 0;
    for (unsigned left = 0; error != DURESS_OK; left++) {
        struct rlimit limit = {.rlim_cur = (rlim_t)next_fd + left, .rlim_max = whole.rlim_max};
        struct duress_loop *loop = NULL;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        error = duress__loop_new(NULL, NULL, &loop);
        duress__loop_free(loop);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &whole), 0);
        assert_true(error == DURESS_OK || error == DURESS_E_NO_DESCRIPTORS);
        assert_true(error == DURESS_OK || descriptors_count() == descriptors);
        refusals += error != DURESS_OK;
    }
    assert_true(refusals >= 3); /* at least our own three descriptors can be missing */
}

/* --- many --- */

enum { PAIRS = 2000 };

struct crowd {
    struct end *ends;
    unsigned told;
};

static bool crowd_is_told(void *context)
{
    struct crowd *crowd = context;
    for (; crowd->told < PAIRS; crowd->told++)
        if ((crowd->ends[2 * crowd->told].events & DURESS_SOCKET_READABLE) == 0)
            return false;
    return true;
}

static void thousands_of_sockets_are_all_told(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
    if (raised.rlim_cur < 2 * PAIRS + 64)
        skip();
    size_t descriptors = descriptors_count();
    struct duress_loop *loop = loop_open();
    struct crowd crowd = {.ends = calloc(2 * PAIRS, sizeof *crowd.ends)};
    assert_non_null(crowd.ends);
    for (size_t i = 0; i < PAIRS; i++) {
        unix_pair_open(loop, &crowd.ends[2 * i], &crowd.ends[2 * i + 1]);
        duress__socket_want(&crowd.ends[2 * i].socket, DURESS_SOCKET_READABLE);
    }
    for (size_t i = 0; i < PAIRS; i++)
        end_write(&crowd.ends[2 * i + 1], "x", 1);
    loop_await(loop, crowd_is_told, &crowd);
    for (size_t i = 0; i < 2 * PAIRS; i += 3)
        duress__socket_close(&crowd.ends[i].socket);
    duress__loop_free(loop);
    assert_int_equal(descriptors_count(), descriptors);
    free(crowd.ends);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_descriptors_the_loop_is_not_made), /* before libuv has opened anything for good */
        cmocka_unit_test(the_loop_runs_on_a_callers_libuv_loop),
        cmocka_unit_test(a_run_serves_other_handles_on_the_same_loop),
        cmocka_unit_test(out_of_memory_the_loop_is_not_made),
        cmocka_unit_test(thousands_of_sockets_are_all_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
