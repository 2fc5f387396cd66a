/* SPDX-License-Identifier: Apache-2.0
 *
 * Virtual time: timers, deferred calls, posts, and how a run ends. */
#include "world_peer.h"

#include <duress/world/sim.h>

#define TIMER_COUNT 20

struct fixture {
    struct duress_sim *sim;
    struct duress_sim_host *host;
    struct duress_world *world;
};

struct shot {
    struct duress_timer timer;
    struct fixture *fixture;
    int name;
    uint64_t at_ns;
};

static int order[64];
static size_t order_count;

static void open_seed(struct fixture *fixture, uint64_t seed)
{
    struct duress_sim_options options = {.seed = seed, .events_max = 1000};
    order_count = 0;
    assert_int_equal(duress_sim_new(&options, &fixture->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(fixture->sim, "host", &fixture->host), DURESS_OK);
    fixture->world = duress_sim_host_world(fixture->host);
}

static int run_out(struct fixture *fixture)
{
    return duress_sim_run_until(fixture->sim, NULL, NULL, DURESS_TIME_NEVER);
}

static void shot_fired(void *context)
{
    struct shot *shot = context;
    shot->at_ns = duress_world_now_ns(shot->fixture->world);
    order[order_count++] = shot->name;
}

static void shot_init(struct shot *shot, struct fixture *fixture, int name)
{
    *shot = (struct shot){.fixture = fixture, .name = name};
    duress_timer_init(&shot->timer, shot_fired, shot);
}

static void timers_fire_at_their_instant_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot shots[TIMER_COUNT];
    open_seed(&fixture, 0);
    for (int i = 0; i < TIMER_COUNT; i++) {
        shot_init(&shots[i], &fixture, i);
        duress_world_arm(fixture.world, &shots[i].timer, DURESS_S + (uint64_t)((i * 7) % TIMER_COUNT) * DURESS_MS);
    }
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, TIMER_COUNT);
    for (int i = 0; i < TIMER_COUNT; i++) {
        assert_int_equal((order[i] * 7) % TIMER_COUNT, i);
        assert_int_equal(shots[order[i]].at_ns, DURESS_S + (uint64_t)i * DURESS_MS);
    }
    duress_sim_free(fixture.sim);
}

static void equal_order(uint64_t seed, int *names)
{
    struct fixture fixture;
    struct shot shots[TIMER_COUNT];
    open_seed(&fixture, seed);
    for (int i = 0; i < TIMER_COUNT; i++) {
        shot_init(&shots[i], &fixture, i);
        duress_world_arm(fixture.world, &shots[i].timer, 2 * DURESS_S);
    }
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    memcpy(names, order, sizeof(int) * TIMER_COUNT);
    duress_sim_free(fixture.sim);
}

static void equal_instants_follow_arming_on_seed_0_and_the_seed_on_others(void **state)
{
    (void)state;
    int plain[TIMER_COUNT];
    int one[TIMER_COUNT];
    int again[TIMER_COUNT];
    int two[TIMER_COUNT];
    equal_order(0, plain);
    equal_order(1, one);
    equal_order(1, again);
    equal_order(2, two);
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_int_equal(plain[i], i);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one, plain, sizeof one);
    assert_memory_not_equal(one, two, sizeof one);
}

static void a_timer_is_moved_and_disarmed(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot moved;
    struct shot gone;
    open_seed(&fixture, 3);
    shot_init(&moved, &fixture, 1);
    shot_init(&gone, &fixture, 2);
    duress_world_arm(fixture.world, &moved.timer, 2 * DURESS_S);
    duress_world_arm(fixture.world, &moved.timer, 3 * DURESS_S);
    duress_world_arm(fixture.world, &gone.timer, 2 * DURESS_S);
    duress_world_arm(fixture.world, &gone.timer, DURESS_TIME_NEVER);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, 1);
    assert_int_equal(moved.at_ns, 3 * DURESS_S);
    duress_sim_free(fixture.sim);
}

struct chain {
    struct duress_later later;
    struct duress_later second;
    struct fixture *fixture;
    struct shot *shot;
};

static void second_called(void *context)
{
    struct chain *chain = context;
    assert_int_equal(chain->shot->at_ns, 0);
    order[order_count++] = 11;
}

static void first_called(void *context)
{
    struct chain *chain = context;
    order[order_count++] = 10;
    duress_world_defer(chain->fixture->world, &chain->second);
}

static void deferred_calls_come_before_time_passes_even_those_they_defer(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot shot;
    open_seed(&fixture, 0);
    shot_init(&shot, &fixture, 1);
    struct chain chain = {.fixture = &fixture, .shot = &shot};
    chain.later = (struct duress_later){.fn = first_called, .context = &chain};
    chain.second = (struct duress_later){.fn = second_called, .context = &chain};
    struct duress_later never = {.fn = first_called, .context = &chain};
    duress_world_arm(fixture.world, &shot.timer, DURESS_S); /* due already */
    duress_world_defer(fixture.world, &chain.later);
    duress_world_defer(fixture.world, &chain.later); /* queued already: once */
    duress_world_defer(fixture.world, &never);
    duress_world_undefer(fixture.world, &never);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, 3);
    assert_int_equal(order[0], 10);
    assert_int_equal(order[1], 11);
    assert_int_equal(order[2], 1);
    duress_sim_free(fixture.sim);
}

static void note_order(void *context)
{
    order[order_count++] = *(int *)context;
}

static void posts_are_called_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    int names[3] = {0, 1, 2};
    struct duress_post posts[3];
    open_seed(&fixture, 0);
    for (int i = 0; i < 3; i++) {
        posts[i] = (struct duress_post){.fn = note_order, .context = &names[i]};
        duress_world_post(fixture.world, &posts[i]);
    }
    assert_int_equal(order_count, 0);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(order[i], i);
    duress_sim_free(fixture.sim);
}

static bool has_fired(void *context)
{
    return ((struct shot *)context)->at_ns != 0;
}

static void runs_end_as_the_header_says(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot shot;
    open_seed(&fixture, 0);
    shot_init(&shot, &fixture, 1);
    duress_world_arm(fixture.world, &shot.timer, 5 * DURESS_S);
    assert_int_equal(duress_world_run_until(fixture.world, NULL, NULL, 3 * DURESS_S), DURESS_E_DEADLINE);
    assert_int_equal(duress_sim_now_ns(fixture.sim), 3 * DURESS_S);
    assert_int_equal(duress_world_run_until(fixture.world, has_fired, &shot, 5 * DURESS_S), DURESS_OK);
    assert_int_equal(duress_sim_now_ns(fixture.sim), 5 * DURESS_S);
    assert_int_equal(duress_world_run_until(fixture.world, NULL, NULL, 9 * DURESS_S), DURESS_E_END);
    assert_int_equal(duress_sim_now_ns(fixture.sim), 5 * DURESS_S);
    duress_sim_free(fixture.sim);
}

static void spin(void *context)
{
    struct chain *chain = context;
    assert_int_equal(duress_world_run_until(chain->fixture->world, NULL, NULL, 9 * DURESS_S), DURESS_E_INVALID);
    duress_world_defer(chain->fixture->world, &chain->later);
}

static void a_livelock_spends_the_event_budget(void **state)
{
    (void)state;
    struct fixture fixture;
    open_seed(&fixture, 0);
    struct chain chain = {.fixture = &fixture};
    chain.later = (struct duress_later){.fn = spin, .context = &chain};
    duress_world_defer(fixture.world, &chain.later);
    assert_int_equal(run_out(&fixture), DURESS_E_TOO_LARGE);
    assert_int_equal(duress_sim_event_count(fixture.sim), 1000);
    duress_sim_free(fixture.sim);
}

static void a_killed_host_forgets_its_timers_and_calls_and_no_others(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot mine[TIMER_COUNT];
    struct shot theirs[TIMER_COUNT];
    struct duress_sim_host *other;
    open_seed(&fixture, 4);
    assert_int_equal(duress_sim_host_new(fixture.sim, "other", &other), DURESS_OK);
    for (int i = 0; i < TIMER_COUNT; i++) {
        shot_init(&mine[i], &fixture, 100);
        shot_init(&theirs[i], &fixture, i);
        duress_world_arm(fixture.world, &mine[i].timer, (uint64_t)(2 + (i * 7) % 5) * DURESS_S);
        duress_world_arm(duress_sim_host_world(other), &theirs[i].timer, (uint64_t)(2 + (i * 3) % 5) * DURESS_S);
    }
    struct chain chain = {.fixture = &fixture};
    chain.later = (struct duress_later){.fn = first_called, .context = &chain};
    duress_world_defer(fixture.world, &chain.later);
    int name = 100;
    struct duress_post post = {.fn = note_order, .context = &name};
    duress_world_post(fixture.world, &post);
    duress_sim_host_kill(fixture.host);
    assert_false(duress_sim_host_is_up(fixture.host));
    duress_sim_host_restart(fixture.host); /* What was queued before is not for the new process. */
    assert_int_equal(duress_sim_run_until(fixture.sim, NULL, NULL, DURESS_S), DURESS_E_DEADLINE);
    assert_int_equal(order_count, 0);
    duress_sim_host_kill(fixture.host);
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_false(duress_timer_is_armed(&mine[i].timer));
    duress_world_arm(fixture.world, &mine[0].timer, 2 * DURESS_S); /* Dead: nothing. */
    duress_world_defer(fixture.world, &chain.later);
    duress_world_disarm(fixture.world, &mine[1].timer);
    duress_world_undefer(fixture.world, &chain.later);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, TIMER_COUNT);
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_true(order[i] < TIMER_COUNT);

    order_count = 0;
    duress_sim_host_restart(fixture.host);
    duress_world_arm(fixture.world, &mine[0].timer, 20 * DURESS_S);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, 1);
    duress_sim_free(fixture.sim);
}

static void a_frozen_host_catches_up_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    struct shot shots[3];
    open_seed(&fixture, 0);
    for (int i = 0; i < 3; i++) {
        shot_init(&shots[i], &fixture, i);
        duress_world_arm(fixture.world, &shots[i].timer, (uint64_t)(4 - i) * DURESS_S);
    }
    duress_sim_host_freeze(fixture.host, true);
    assert_int_equal(duress_sim_run_until(fixture.sim, NULL, NULL, 3 * DURESS_S), DURESS_E_DEADLINE);
    assert_int_equal(order_count, 0);
    duress_world_disarm(fixture.world, &shots[1].timer); /* held already: 3 s */
    duress_sim_host_freeze(fixture.host, false);
    assert_int_equal(run_out(&fixture), DURESS_E_END);
    assert_int_equal(order_count, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 0);
    assert_int_equal(shots[2].at_ns, 3 * DURESS_S);
    assert_int_equal(shots[0].at_ns, 4 * DURESS_S);
    duress_sim_free(fixture.sim);
}

static void streams_of_chance_differ_by_call_host_purpose_and_seed(void **state)
{
    (void)state;
    uint64_t draws[2][5];
    for (int run = 0; run < 2; run++) {
        struct fixture fixture;
        struct duress_sim_host *other;
        struct duress_prng prng;
        open_seed(&fixture, 7);
        assert_int_equal(duress_sim_host_new(fixture.sim, "other", &other), DURESS_OK);
        for (int i = 0; i < 4; i++) {
            struct duress_world *world = i < 3 ? fixture.world : duress_sim_host_world(other);
            duress_world_prng(world, i == 2 ? 2 : 1, &prng);
            draws[run][i] = duress_prng_next(&prng);
        }
        duress_sim_free(fixture.sim);
        open_seed(&fixture, 8);
        duress_world_prng(fixture.world, 1, &prng);
        draws[run][4] = duress_prng_next(&prng);
        duress_sim_free(fixture.sim);
    }
    assert_memory_equal(draws[0], draws[1], sizeof draws[0]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(draws[0][i], draws[0][j]);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    struct duress_sim *sim = NULL;
    static const struct {
        struct duress_sim_options options;
        const char *detail;
    } bad[] = {
        {{.delay_ns_min = 2, .delay_ns_max = 1}, "delay_ns_min: 2 given, allowed 0 to 1"},
        {{.delay_ns_max = DURESS_TIME_NEVER}, "delay_ns_max: 18446744073709551615 given, allowed 0 to "},
        {{.send_buffer_bytes = 1073741825}, "send_buffer_bytes: 1073741825 given, allowed 0 to 1073741824"},
        {{.receive_buffer_bytes = 1073741825}, "receive_buffer_bytes: 1073741825 given, allowed 0 to 1073741824"},
    };
    struct duress_failure why;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(duress_sim_new(&bad[i].options, &sim, NULL), DURESS_E_INVALID);
        assert_int_equal(duress_sim_new(&bad[i].options, &sim, &why), DURESS_E_INVALID);
        assert_memory_equal(why.detail, bad[i].detail, strlen(bad[i].detail));
    }
    assert_null(sim);
    assert_int_equal(duress_sim_new(NULL, &sim, NULL), DURESS_OK);
    struct duress_sim_host *host;
    assert_int_equal(duress_sim_host_new(sim, "", &host), DURESS_E_INVALID);
    assert_int_equal(duress_sim_host_new(sim, "a", &host), DURESS_OK);
    assert_int_equal(duress_sim_host_new(sim, "A", &host), DURESS_E_INVALID);
    duress_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_at_their_instant_in_order),
        cmocka_unit_test(equal_instants_follow_arming_on_seed_0_and_the_seed_on_others),
        cmocka_unit_test(a_timer_is_moved_and_disarmed),
        cmocka_unit_test(deferred_calls_come_before_time_passes_even_those_they_defer),
        cmocka_unit_test(posts_are_called_in_order),
        cmocka_unit_test(runs_end_as_the_header_says),
        cmocka_unit_test(a_livelock_spends_the_event_budget),
        cmocka_unit_test(a_killed_host_forgets_its_timers_and_calls_and_no_others),
        cmocka_unit_test(a_frozen_host_catches_up_in_order),
        cmocka_unit_test(streams_of_chance_differ_by_call_host_purpose_and_seed),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests_name("sim_time", tests, NULL, NULL);
}
