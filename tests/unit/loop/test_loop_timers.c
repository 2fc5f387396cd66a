/* SPDX-License-Identifier: Apache-2.0
 *
 * Timers never fire early, fire in order, and starve nobody; deferred calls keep their place. */
#include "loop_test.h"

#include <duress/prng.h>

enum { TIMERS = 5000, RECORDS_MAX = 64 };

struct tick {
    struct duress_timer timer;
    struct tally *tally;
    uint64_t fired_ns;
    unsigned fired;
};

struct tally {
    struct duress_loop *loop;
    struct tick *order[RECORDS_MAX];
    size_t fired;
    size_t expected;
    struct tick *to_disarm;
    struct tick *to_arm;
    uint64_t to_arm_at_ns;
};

static void tick_fired(void *context)
{
    struct tick *tick = context;
    struct tally *tally = tick->tally;
    tick->fired_ns = duress__loop_now_ns(tally->loop);
    tick->fired++;
    assert_false(duress_timer_is_armed(&tick->timer));
    if (tally->fired < RECORDS_MAX)
        tally->order[tally->fired] = tick;
    tally->fired++;
    if (tally->to_disarm != NULL)
        duress__loop_disarm(tally->loop, &tally->to_disarm->timer);
    if (tally->to_arm != NULL)
        duress__loop_arm(tally->loop, &tally->to_arm->timer, tally->to_arm_at_ns);
    tally->to_disarm = tally->to_arm = NULL;
}

static void tick_init(struct tick *tick, struct tally *tally)
{
    *tick = (struct tick){.tally = tally};
    duress_timer_init(&tick->timer, tick_fired, tick);
}

static bool tally_is_full(void *context)
{
    const struct tally *tally = context;
    return tally->fired >= tally->expected;
}

static void timers_never_fire_early(void **state)
{
    (void)state;
    static struct tick ticks[TIMERS];
    struct tally tally = {.loop = loop_open(), .expected = TIMERS};
    struct duress_prng prng;
    duress_prng_init(&prng, 1, 0);
    uint64_t start_ns = duress__loop_now_ns(tally.loop);
    for (size_t i = 0; i < TIMERS; i++) {
        tick_init(&ticks[i], &tally);
        duress__loop_arm(tally.loop, &ticks[i].timer, start_ns + duress_prng_below(&prng, 200 * DURESS_MS));
    }
    loop_await(tally.loop, tally_is_full, &tally);
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(ticks[i].fired, 1);
        assert_true(ticks[i].fired_ns >= duress_timer_at_ns(&ticks[i].timer));
    }
    duress__loop_free(tally.loop);
}

/* One timer at a time, so that each instant is waited for by the timerfd and not met on the way to another. */
static void a_lone_timer_never_fires_early(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open()};
    struct tick tick;
    tick_init(&tick, &tally);
    struct duress_prng prng;
    duress_prng_init(&prng, 2, 0);
    for (tally.expected = 1; tally.expected <= 500; tally.expected++) {
        uint64_t at_ns = duress__loop_now_ns(tally.loop) + duress_prng_below(&prng, 300 * DURESS_US);
        duress__loop_arm(tally.loop, &tick.timer, at_ns);
        loop_await(tally.loop, tally_is_full, &tally);
        assert_true(tick.fired_ns >= at_ns);
    }
    duress__loop_free(tally.loop);
}

static void due_timers_fire_by_instant_then_by_arming(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open(), .expected = 6};
    struct tick ticks[6];
    uint64_t now_ns = duress__loop_now_ns(tally.loop);
    static const uint64_t offset_ns[6] = {3, 1, 2, 1, 3, 0};
    static const size_t order[6] = {5, 1, 3, 2, 0, 4};
    for (size_t i = 0; i < 6; i++) {
        tick_init(&ticks[i], &tally);
        duress__loop_arm(tally.loop, &ticks[i].timer, now_ns + 2 * DURESS_MS + offset_ns[i]);
    }
    loop_await(tally.loop, tally_is_full, &tally);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(tally.order[i], &ticks[order[i]]);
    duress__loop_free(tally.loop);
}

/* Both are due in the same turn: the first one disarms the second, which must not fire then. */
static void a_due_timer_can_be_disarmed(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open(), .expected = 2};
    struct tick ticks[3];
    for (size_t i = 0; i < 3; i++) {
        tick_init(&ticks[i], &tally);
        duress__loop_arm(tally.loop, &ticks[i].timer, i);
    }
    tally.to_disarm = &ticks[1];
    loop_await(tally.loop, tally_is_full, &tally);
    assert_int_equal(ticks[0].fired, 1);
    assert_int_equal(ticks[1].fired, 0);
    assert_false(duress_timer_is_armed(&ticks[1].timer));
    assert_int_equal(ticks[2].fired, 1);
    duress__loop_free(tally.loop);
}

static void a_due_timer_can_be_moved(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open(), .expected = 2};
    struct tick ticks[2];
    for (size_t i = 0; i < 2; i++) {
        tick_init(&ticks[i], &tally);
        duress__loop_arm(tally.loop, &ticks[i].timer, i);
    }
    uint64_t later_ns = duress__loop_now_ns(tally.loop) + 5 * DURESS_MS;
    tally.to_arm = &ticks[1];
    tally.to_arm_at_ns = later_ns;
    loop_await(tally.loop, tally_is_full, &tally);
    assert_int_equal(ticks[1].fired, 1);
    assert_true(ticks[1].fired_ns >= later_ns);
    duress__loop_free(tally.loop);
}

/* The timerfd is set for the far instant first; a nearer one must not wait for it, nor a farther one be forgotten. */
static void the_nearest_instant_wakes_the_loop(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open(), .expected = 1};
    struct tick far;
    struct tick near;
    tick_init(&far, &tally);
    tick_init(&near, &tally);
    uint64_t now_ns = duress__loop_now_ns(tally.loop);
    duress__loop_arm(tally.loop, &far.timer, now_ns + 3600 * DURESS_S);
    duress__loop_arm(tally.loop, &near.timer, now_ns + DURESS_MS);
    loop_await(tally.loop, tally_is_full, &tally);
    assert_int_equal(near.fired, 1);
    tally.expected = 2;
    duress__loop_arm(tally.loop, &near.timer, duress__loop_now_ns(tally.loop) + DURESS_MS);
    duress__loop_arm(tally.loop, &near.timer, duress__loop_now_ns(tally.loop) + 4 * DURESS_MS); /* away again */
    loop_await(tally.loop, tally_is_full, &tally);
    assert_int_equal(near.fired, 2);
    duress__loop_arm(tally.loop, &far.timer, DURESS_TIME_NEVER);
    assert_false(duress_timer_is_armed(&far.timer));
    duress__loop_free(tally.loop);
}

/* --- starving --- */

struct greedy {
    struct duress_loop *loop;
    struct duress_timer timer;
    uint64_t count;
};

static void greedy_fired(void *context)
{
    struct greedy *greedy = context;
    greedy->count++;
    duress__loop_arm(greedy->loop, &greedy->timer, 0);
}

static void a_timer_of_length_zero_starves_nobody(void **state)
{
    (void)state;
    struct greedy greedy = {.loop = loop_open()};
    duress_timer_init(&greedy.timer, greedy_fired, &greedy);
    duress__loop_arm(greedy.loop, &greedy.timer, 0);
    struct end a;
    struct end b;
    tcp_pair_open(greedy.loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_write(&a, "x", 1);
    end_await(greedy.loop, &b, DURESS_SOCKET_READABLE);
    struct tally tally = {.loop = greedy.loop, .expected = 1};
    struct tick tick;
    tick_init(&tick, &tally);
    duress__loop_arm(greedy.loop, &tick.timer, duress__loop_now_ns(greedy.loop) + DURESS_MS);
    loop_await(greedy.loop, tally_is_full, &tally);
    assert_true(greedy.count > 1);
    duress__loop_free(greedy.loop);
}

static void no_turn_fires_a_timer_twice(void **state)
{
    (void)state;
    struct greedy greedy = {.loop = loop_open()};
    duress_timer_init(&greedy.timer, greedy_fired, &greedy);
    duress__loop_arm(greedy.loop, &greedy.timer, 0);
    for (uint64_t turn = 1; turn <= 100; turn++) {
        assert_int_equal(duress__loop_run_until(greedy.loop, NULL, NULL, 0), DURESS_E_DEADLINE);
        assert_int_equal(greedy.count, turn);
    }
    duress__loop_free(greedy.loop);
}

/* --- freeing --- */

static void freeing_forgets_timers_and_calls(void **state)
{
    (void)state;
    struct tally tally = {.loop = loop_open()};
    struct tick ticks[3];
    struct duress_later later = {.fn = tick_fired, .context = &ticks[0]};
    for (size_t i = 0; i < 3; i++) {
        tick_init(&ticks[i], &tally);
        duress__loop_arm(tally.loop, &ticks[i].timer, i * 3600 * DURESS_S);
    }
    duress__loop_defer(tally.loop, &later);
    duress__loop_free(tally.loop);
    assert_int_equal(tally.fired, 0);
    assert_null(later.previous);
    for (size_t i = 0; i < 3; i++)
        assert_false(duress_timer_is_armed(&ticks[i].timer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_never_fire_early),
        cmocka_unit_test(a_lone_timer_never_fires_early),
        cmocka_unit_test(due_timers_fire_by_instant_then_by_arming),
        cmocka_unit_test(a_due_timer_can_be_disarmed),
        cmocka_unit_test(a_due_timer_can_be_moved),
        cmocka_unit_test(the_nearest_instant_wakes_the_loop),
        cmocka_unit_test(a_timer_of_length_zero_starves_nobody),
        cmocka_unit_test(no_turn_fires_a_timer_twice),
        cmocka_unit_test(freeing_forgets_timers_and_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
