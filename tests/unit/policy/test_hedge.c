/* SPDX-License-Identifier: Apache-2.0
 *
 * When another attempt is begun: the rules of one call, and where the measured delay comes to rest. */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/hedge.h>
#include <duress/prng.h>

#define T0 (1000 * DURESS_S)

static struct duress_hedge the_hedge;

static struct duress_hedge *hedge_with(struct duress_hedge_options options)
{
    assert_int_equal(duress_hedge_init(&the_hedge, &options, NULL), DURESS_OK);
    return &the_hedge;
}

/* A call that succeeds after |latency_ns|, never hedged. */
static void success(struct duress_hedge *hedge, uint64_t begun_ns, uint64_t latency_ns)
{
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, false, DURESS_TIME_NEVER, begun_ns);
    assert_int_equal(duress_hedge_ended(hedge, &call, true, begun_ns, begun_ns + latency_ns), DURESS_HEDGE_WON);
}

/* --- options --- */

struct refusal {
    struct duress_hedge_options options;
    const char *detail;
};

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {{.attempts_max = 1}, "hedge.attempts_max: 1 given, allowed 2 to 8"},
        {{.attempts_max = 9}, "hedge.attempts_max: 9 given, allowed 2 to 8"},
        {{.delay_ns = DURESS_HEDGE_DURATION_NS_MAX + 1},
         "hedge.delay_ns: 3600000000001 given, allowed 0 to 3600000000000"},
        {{.delay_ns = DURESS_TIME_NEVER}, "hedge.delay_ns: 18446744073709551615 given, allowed 0 to 3600000000000"},
        {{.quantile_ppm = 499999}, "hedge.quantile_ppm: 499999 given, allowed 500000 to 999999"},
        {{.quantile_ppm = 1000000}, "hedge.quantile_ppm: 1000000 given, allowed 500000 to 999999"},
        {{.samples_min = 1000001}, "hedge.samples_min: 1000001 given, allowed 1 to 1000000"},
        {{.window_ns = DURESS_TIME_NEVER}, "hedge.window_ns: 18446744073709551615 given, allowed 1 to 3600000000000"},
        {{.delay_floor_ns = DURESS_HEDGE_DURATION_NS_MAX + 1},
         "hedge.delay_floor_ns: 3600000000001 given, allowed 1 to 3600000000000"},
        {{.delay_ceiling_ns = DURESS_HEDGE_DURATION_NS_MAX + 1},
         "hedge.delay_ceiling_ns: 3600000000001 given, allowed 1000000 to 3600000000000"},
        {{.delay_floor_ns = 30, .delay_ceiling_ns = 20},
         "hedge.delay_ceiling_ns: 20 given, allowed 30 to 3600000000000"},
        {{.delay_ns = 5, .quantile_ppm = 950000}, "hedge.quantile_ppm: 950000 given, must be 0 with a fixed delay_ns"},
        {{.delay_ns = 5, .samples_min = 1}, "hedge.samples_min: 1 given, must be 0 with a fixed delay_ns"},
        {{.delay_ns = 5, .window_ns = 1}, "hedge.window_ns: 1 given, must be 0 with a fixed delay_ns"},
        {{.delay_ns = 5, .delay_floor_ns = 1}, "hedge.delay_floor_ns: 1 given, must be 0 with a fixed delay_ns"},
        {{.delay_ns = 5, .delay_ceiling_ns = 9}, "hedge.delay_ceiling_ns: 9 given, must be 0 with a fixed delay_ns"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct duress_failure why;
        assert_int_equal(duress_hedge_init(&the_hedge, &refusals[i].options, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, refusals[i].detail);
        assert_int_equal(duress_hedge_init(&the_hedge, &refusals[i].options, NULL), DURESS_E_INVALID);
    }
    struct duress_failure why;
    assert_int_equal(duress_hedge_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "hedge: NULL given, must be a pointer");
}

static void the_ends_of_every_range_are_allowed(void **state)
{
    (void)state;
    static const struct duress_hedge_options allowed[] = {
        {.attempts_max = 2, .delay_ns = 1},
        {.attempts_max = DURESS_HEDGE_ATTEMPTS_MAX, .delay_ns = DURESS_HEDGE_DURATION_NS_MAX},
        {.quantile_ppm = 500000, .samples_min = 1, .window_ns = 1, .delay_floor_ns = 1, .delay_ceiling_ns = 1},
        {.quantile_ppm = 999999,
         .samples_min = 1000000,
         .window_ns = DURESS_HEDGE_DURATION_NS_MAX,
         .delay_floor_ns = DURESS_HEDGE_DURATION_NS_MAX,
         .delay_ceiling_ns = DURESS_HEDGE_DURATION_NS_MAX},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        assert_int_equal(duress_hedge_init(&the_hedge, &allowed[i], NULL), DURESS_OK);
}

static void all_zero_means_the_documented_defaults(void **state)
{
    (void)state;
    assert_int_equal(duress_hedge_init(&the_hedge, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_hedge_delay_ns(&the_hedge, T0), 10 * DURESS_S); /* nothing measured: the ceiling */
    for (uint64_t i = 0; i < 20; i++)
        success(&the_hedge, T0 + i, 50 * DURESS_US);
    assert_int_equal(duress_hedge_delay_ns(&the_hedge, T0), DURESS_MS); /* the floor */
    struct duress_hedge_call call;
    duress_hedge_begin(&the_hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_another(&call, T0 + DURESS_MS);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER); /* two attempts */
}

/* A bound that was given moves the default of the other one, instead of an error about what nobody gave. */
static void the_default_of_one_bound_gives_way_to_the_other(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.delay_ceiling_ns = 5});
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 5);
    hedge = hedge_with((struct duress_hedge_options){.delay_floor_ns = 60 * DURESS_S});
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 60 * DURESS_S);
}

/* --- one call --- */

static void attempts_are_begun_a_delay_apart_up_to_the_maximum(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 3, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    assert_int_equal(duress_hedge_next_ns(&call), T0 + 10);
    duress_hedge_another(&call, T0 + 12); /* the caller came late */
    assert_int_equal(duress_hedge_next_ns(&call), T0 + 22);
    duress_hedge_another(&call, T0 + 22);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
}

static void a_call_that_is_not_idempotent_is_never_hedged(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 8, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, false, DURESS_TIME_NEVER, T0);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
}

static void no_attempt_is_begun_at_the_deadline_or_after(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 3, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, T0 + 10, T0);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
    duress_hedge_begin(hedge, &call, true, T0 + 11, T0);
    assert_int_equal(duress_hedge_next_ns(&call), T0 + 10);
    duress_hedge_another(&call, T0 + 10);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, DURESS_TIME_NEVER - 1);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER); /* saturates */
}

static void a_failure_ends_the_call_only_where_nothing_else_runs(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 3, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    assert_int_equal(duress_hedge_ended(hedge, &call, false, T0, T0 + 5), DURESS_HEDGE_LOST);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);

    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_another(&call, T0 + 10);
    assert_int_equal(duress_hedge_ended(hedge, &call, false, T0, T0 + 15), DURESS_HEDGE_GOES_ON);
    assert_int_equal(duress_hedge_next_ns(&call), T0 + 20); /* neither hastened nor called off */
    duress_hedge_another(&call, T0 + 20);
    assert_int_equal(duress_hedge_ended(hedge, &call, false, T0 + 10, T0 + 25), DURESS_HEDGE_GOES_ON);
    assert_int_equal(duress_hedge_ended(hedge, &call, false, T0 + 20, T0 + 25), DURESS_HEDGE_LOST);
}

static void the_first_success_wins_and_nothing_more_is_begun(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 3, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_another(&call, T0 + 10);
    assert_int_equal(duress_hedge_ended(hedge, &call, true, T0 + 10, T0 + 12), DURESS_HEDGE_WON);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
    duress_hedge_given_up(hedge, &call, T0, T0 + 12);
}

static void a_stopped_call_begins_nothing_more(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with((struct duress_hedge_options){.attempts_max = 3, .delay_ns = 10});
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_stop(&call);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
    assert_int_equal(duress_hedge_ended(hedge, &call, true, T0, T0 + 50), DURESS_HEDGE_WON);
}

/* --- what is measured --- */

static struct duress_hedge_options measured(uint32_t samples_min, uint64_t window_ns)
{
    return (struct duress_hedge_options){
        .samples_min = samples_min, .window_ns = window_ns, .delay_floor_ns = 1, .delay_ceiling_ns = 1000 * DURESS_S};
}

static void the_delay_is_the_quantile_once_there_are_enough_samples(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(100, DURESS_S));
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(duress_hedge_delay_ns(hedge, T0), 1000 * DURESS_S);
        success(hedge, T0, i);
    }
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 95);
    assert_int_equal(duress_hedge_samples(hedge), 100);
}

static void the_delay_keeps_within_floor_and_ceiling(void **state)
{
    (void)state;
    struct duress_hedge_options options = {.samples_min = 1, .delay_floor_ns = 50, .delay_ceiling_ns = 70};
    static const uint64_t latencies_ns[] = {10, 49, 50, 60, 70, 71, 500};
    static const uint64_t delays_ns[] = {50, 50, 50, 60, 70, 70, 70};
    for (size_t i = 0; i < sizeof delays_ns / sizeof delays_ns[0]; i++) {
        struct duress_hedge *hedge = hedge_with(options);
        success(hedge, T0, latencies_ns[i]);
        assert_int_equal(duress_hedge_delay_ns(hedge, T0), delays_ns[i]);
    }
}

static void failures_are_not_measured(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(1, DURESS_S));
    struct duress_hedge_call call;
    success(hedge, T0, 100);
    for (int i = 0; i < 100; i++) {
        duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
        assert_int_equal(duress_hedge_ended(hedge, &call, false, T0, T0 + 3), DURESS_HEDGE_LOST);
    }
    assert_int_equal(duress_hedge_samples(hedge), 1);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 100);
}

static void what_was_given_up_counts_as_the_delay_if_it_ran_so_long(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(1, DURESS_S));
    struct duress_hedge_call call;
    success(hedge, T0, 100);
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_given_up(hedge, &call, T0, T0 + 99); /* the caller lost patience: nothing is known */
    assert_int_equal(duress_hedge_samples(hedge), 1);
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_given_up(hedge, &call, T0, T0 + 5000);
    assert_int_equal(duress_hedge_samples(hedge), 2);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 100);
}

static void of_a_stream_the_time_to_the_first_chunk_is_measured(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(1, DURESS_S));
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_answering(hedge, &call, T0, T0 + 40);
    assert_int_equal(duress_hedge_next_ns(&call), DURESS_TIME_NEVER);
    assert_int_equal(duress_hedge_ended(hedge, &call, true, T0, T0 + 90000), DURESS_HEDGE_WON);
    assert_int_equal(duress_hedge_samples(hedge), 1);
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    duress_hedge_answering(hedge, &call, T0, T0 + 40);
    duress_hedge_given_up(hedge, &call, T0, T0 + 90000); /* the caller has read enough */
    assert_int_equal(duress_hedge_samples(hedge), 2);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0), 40);
}

static void samples_are_forgotten_after_two_windows(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(1, 1000));
    success(hedge, T0, 100);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0 + 999), 100);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0 + 1000), 100); /* the window before this one */
    success(hedge, T0 + 1500, 20);
    assert_int_equal(duress_hedge_samples(hedge), 2);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0 + 2000), 20);
    assert_int_equal(duress_hedge_samples(hedge), 1);
    assert_int_equal(duress_hedge_delay_ns(hedge, T0 + 4000), 1000 * DURESS_S); /* nothing lately: not known any more */
    assert_int_equal(duress_hedge_samples(hedge), 0);
}

static void the_delay_follows_the_service_within_two_windows(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(20, DURESS_S));
    uint64_t now_ns = T0;
    for (int phase = 0; phase < 4; phase++) {
        uint64_t latency_ns = phase % 2 == 0 ? 10 * DURESS_MS : 300 * DURESS_MS;
        for (uint64_t end_ns = now_ns + 2 * DURESS_S; now_ns < end_ns; now_ns += 10 * DURESS_MS)
            success(hedge, now_ns - latency_ns, latency_ns);
        assert_in_range(duress_hedge_delay_ns(hedge, now_ns), latency_ns, latency_ns + latency_ns / 64);
    }
}

static void time_that_goes_backwards_stands_still(void **state)
{
    (void)state;
    struct duress_hedge *hedge = hedge_with(measured(1, 1000));
    success(hedge, T0 + 1500, 30); /* the first instant; windows begin here */
    struct duress_hedge_call call;
    duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, T0);
    assert_int_equal(duress_hedge_ended(hedge, &call, true, T0, T0 - 500), DURESS_HEDGE_WON); /* took no time */
    assert_int_equal(duress_hedge_samples(hedge), 2);
    assert_int_equal(duress_hedge_delay_ns(hedge, 0), 30);
}

/* --- where the delay comes to rest --- */

/* |count| calls of a service whose attempts take 10 to 20 ms, but |slow_ppm| of them 10 s; every one hedged where it is
 * due. Returns how many were, in millionths. */
static uint64_t hedged_share_ppm(struct duress_hedge *hedge, uint64_t count, uint32_t slow_ppm,
                                 struct duress_prng *prng)
{
    uint64_t hedged = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t begun_ns = T0 + i * DURESS_MS;
        uint64_t took_ns[2];
        for (int k = 0; k < 2; k++) {
            took_ns[k] = duress_prng_between(prng, 10 * DURESS_MS, 20 * DURESS_MS);
            if (duress_prng_chance(prng, slow_ppm))
                took_ns[k] = 10 * DURESS_S;
        }
        struct duress_hedge_call call;
        duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, begun_ns);
        uint64_t second_ns = duress_hedge_next_ns(&call);
        if (begun_ns + took_ns[0] <= second_ns) {
            (void)duress_hedge_ended(hedge, &call, true, begun_ns, begun_ns + took_ns[0]);
            continue;
        }
        hedged++;
        duress_hedge_another(&call, second_ns);
        bool first_wins = begun_ns + took_ns[0] <= second_ns + took_ns[1];
        uint64_t end_ns = first_wins ? begun_ns + took_ns[0] : second_ns + took_ns[1];
        (void)duress_hedge_ended(hedge, &call, true, first_wins ? begun_ns : second_ns, end_ns);
        duress_hedge_given_up(hedge, &call, first_wins ? second_ns : begun_ns, end_ns);
    }
    return hedged * 1000000 / count;
}

/* If the attempts that lose were left out, a few per cent more would be hedged with each window, without end. */
static void the_share_of_hedged_calls_stays_where_the_quantile_puts_it(void **state)
{
    (void)state;
    struct duress_prng prng;
    duress_prng_init(&prng, 1, 1);
    struct duress_hedge *hedge = hedge_with(measured(20, DURESS_S));
    uint64_t share_ppm = hedged_share_ppm(hedge, 60000, 10000, &prng); /* 60 windows */
    assert_in_range(share_ppm, 40000, 65000);
    assert_in_range(duress_hedge_delay_ns(hedge, T0 + 60 * DURESS_S), 19 * DURESS_MS, 21 * DURESS_MS);
}

/* If they were counted as the time they ran, the delay would grow by a latency with each window, up to the ceiling. */
static void hanging_attempts_do_not_make_the_delay_grow(void **state)
{
    (void)state;
    struct duress_prng prng;
    duress_prng_init(&prng, 2, 1);
    struct duress_hedge_options options = measured(20, DURESS_S);
    options.delay_ceiling_ns = 30 * DURESS_MS; /* rescues those that hang before anything is known */
    struct duress_hedge *hedge = hedge_with(options);
    (void)hedged_share_ppm(hedge, 3000, 0, &prng);
    hedge->options.delay_ceiling_ns = 1000 * DURESS_S;
    uint64_t share_ppm = hedged_share_ppm(hedge, 60000, 100000, &prng); /* one in ten hangs: above the quantile */
    assert_in_range(share_ppm, 90000, 160000);
    assert_true(duress_hedge_delay_ns(hedge, T0 + 60 * DURESS_S) < 25 * DURESS_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(the_ends_of_every_range_are_allowed),
        cmocka_unit_test(all_zero_means_the_documented_defaults),
        cmocka_unit_test(the_default_of_one_bound_gives_way_to_the_other),
        cmocka_unit_test(attempts_are_begun_a_delay_apart_up_to_the_maximum),
        cmocka_unit_test(a_call_that_is_not_idempotent_is_never_hedged),
        cmocka_unit_test(no_attempt_is_begun_at_the_deadline_or_after),
        cmocka_unit_test(a_failure_ends_the_call_only_where_nothing_else_runs),
        cmocka_unit_test(the_first_success_wins_and_nothing_more_is_begun),
        cmocka_unit_test(a_stopped_call_begins_nothing_more),
        cmocka_unit_test(the_delay_is_the_quantile_once_there_are_enough_samples),
        cmocka_unit_test(the_delay_keeps_within_floor_and_ceiling),
        cmocka_unit_test(failures_are_not_measured),
        cmocka_unit_test(what_was_given_up_counts_as_the_delay_if_it_ran_so_long),
        cmocka_unit_test(of_a_stream_the_time_to_the_first_chunk_is_measured),
        cmocka_unit_test(samples_are_forgotten_after_two_windows),
        cmocka_unit_test(the_delay_follows_the_service_within_two_windows),
        cmocka_unit_test(time_that_goes_backwards_stands_still),
        cmocka_unit_test(the_share_of_hedged_calls_stays_where_the_quantile_puts_it),
        cmocka_unit_test(hanging_attempts_do_not_make_the_delay_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
