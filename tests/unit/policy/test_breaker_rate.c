/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate modes of the circuit breaker at the edges that short stories do not reach: full rings, long silences, exact
 * rates. */
#include "policy_test.h"

#define T0 (1000 * DURESS_S)

/* A call that takes |duration_ns| and ends at |now_ns|. */
static void call_slowly(struct duress_breaker *breaker, uint64_t duration_ns, enum duress_outcome outcome,
                        uint64_t now_ns)
{
    struct duress_permit permit = admitted(breaker, now_ns - duration_ns);
    duress_breaker_report(breaker, permit, outcome, now_ns);
}

/* Four failures and one success, over and over: 80 % failures, and never five in a row. Counting in a row never opens;
 * a rate does, and as soon as there are results enough to speak of one. */
static void four_in_five_fail_b11(void **state)
{
    (void)state;
    struct duress_breaker in_a_row = breaker_with((struct duress_breaker_options){.failures_to_open = 5});
    struct duress_breaker rate = breaker_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS});
    for (uint64_t call = 0; call < 100; call++) {
        enum duress_outcome outcome = call % 5 == 4 ? DURESS_OUTCOME_SUCCESS : DURESS_OUTCOME_FAILURE;
        calls(&in_a_row, 1, outcome, T0 + call);
        if (call < 20)
            calls(&rate, 1, outcome, T0 + call);
    }
    state_is(&in_a_row, DURESS_BREAKER_CLOSED);
    state_is(&rate, DURESS_BREAKER_OPEN);
    assert_int_equal(last_change(&rate).at_ns, T0 + 19);
    assert_int_equal(last_change(&rate).reason, DURESS_BREAKER_BY_FAILURE_RATE);
}

static void a_rate_is_reached_exactly_at_its_figure(void **state)
{
    (void)state;
    struct duress_breaker_options options = {
        .mode = DURESS_BREAKER_RATE_OF_CALLS, .window_calls = 1000, .calls_min = 1000, .failure_rate_ppm = 251000};
    struct duress_breaker below = breaker_with(options);
    calls(&below, 250, DURESS_OUTCOME_FAILURE, T0);
    calls(&below, 750, DURESS_OUTCOME_SUCCESS, T0);
    state_is(&below, DURESS_BREAKER_CLOSED);
    struct duress_breaker at = breaker_with(options);
    calls(&at, 251, DURESS_OUTCOME_FAILURE, T0);
    calls(&at, 749, DURESS_OUTCOME_SUCCESS, T0);
    state_is(&at, DURESS_BREAKER_OPEN);
}

/* Goal: the ring is right after many turns, for sizes around a word of bits. Method: at 100 % it must open with the
 * failure that drives out the last success, neither before nor after. */
static void the_ring_turns_and_turns(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 10, 63, 64, 65, 128, 1000, DURESS_BREAKER_WINDOW_CALLS_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
            .mode = DURESS_BREAKER_RATE_OF_CALLS,
            .window_calls = sizes[i],
            .calls_min = sizes[i],
            .failure_rate_ppm = 1000000,
        });
        calls(&breaker, 3 * sizes[i] + 7, DURESS_OUTCOME_SUCCESS, T0);
        calls(&breaker, sizes[i] - 1, DURESS_OUTCOME_FAILURE, T0);
        state_is(&breaker, DURESS_BREAKER_CLOSED);
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
        state_is(&breaker, DURESS_BREAKER_OPEN);
    }
}

/* Four failures in every ten calls, at 50 %: it stays closed only if each failure is forgotten when it leaves. */
static void old_failures_leave_the_window_of_calls(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .mode = DURESS_BREAKER_RATE_OF_CALLS, .window_calls = 10, .calls_min = 10, .failure_rate_ppm = 500000});
    for (int round = 0; round < 100; round++) {
        calls(&breaker, 4, DURESS_OUTCOME_FAILURE, T0);
        calls(&breaker, 6, DURESS_OUTCOME_SUCCESS, T0);
    }
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 4, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

/* A window of 10 s in 10 buckets: what failed in a bucket counts until nine more have begun. */
static void old_failures_leave_the_window_of_time(void **state)
{
    (void)state;
    for (uint64_t seconds = 1; seconds < 15; seconds++) {
        struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
            .mode = DURESS_BREAKER_RATE_OF_TIME, .calls_min = 4, .failure_rate_ppm = 1000000});
        calls(&breaker, 3, DURESS_OUTCOME_FAILURE, T0);
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + seconds * DURESS_S);
        state_is(&breaker, seconds < 10 ? DURESS_BREAKER_OPEN : DURESS_BREAKER_CLOSED);
    }
}

static void a_year_of_silence_empties_the_window(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with(
        (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME, .calls_min = 4, .window_buckets = 32});
    calls(&breaker, 3, DURESS_OUTCOME_FAILURE, T0);
    uint64_t later_ns = T0 + 365 * 24 * 3600 * DURESS_S;
    calls(&breaker, 3, DURESS_OUTCOME_FAILURE, later_ns);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, later_ns);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void time_going_back_fills_the_newest_bucket(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with(
        (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME, .calls_min = 4, .failure_rate_ppm = 1});
    calls(&breaker, 2, DURESS_OUTCOME_SUCCESS, T0);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0 - 500 * DURESS_S);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + 9 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void slow_calls_open_it_too(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .mode = DURESS_BREAKER_RATE_OF_CALLS,
        .window_calls = 10,
        .calls_min = 4,
        .slow_call_ns = DURESS_S,
        .slow_rate_ppm = 750000,
    });
    call_slowly(&breaker, DURESS_S - 1, DURESS_OUTCOME_SUCCESS, T0);
    call_slowly(&breaker, DURESS_S, DURESS_OUTCOME_SUCCESS, T0);
    call_slowly(&breaker, 9 * DURESS_S, DURESS_OUTCOME_SUCCESS, T0);
    call_slowly(&breaker, 9 * DURESS_S, DURESS_OUTCOME_CANCELLED, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    call_slowly(&breaker, DURESS_S, DURESS_OUTCOME_SUCCESS, T0 + 1);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(last_change(&breaker).reason, DURESS_BREAKER_BY_SLOW_RATE);
}

/* It opened because the service was slow; a slow probe is no sign of recovery. */
static void a_slow_probe_reopens(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .mode = DURESS_BREAKER_RATE_OF_CALLS,
        .window_calls = 1,
        .successes_to_close = 1,
        .slow_call_ns = DURESS_S,
    });
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    call_slowly(&breaker, DURESS_S, DURESS_OUTCOME_SUCCESS, T0 + 61 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(last_change(&breaker).reason, DURESS_BREAKER_BY_PROBE_FAILED);
    call_slowly(&breaker, DURESS_S - 1, DURESS_OUTCOME_SUCCESS, T0 + 122 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

static void a_closed_circuit_begins_with_an_empty_window(void **state)
{
    (void)state;
    for (int mode = DURESS_BREAKER_RATE_OF_CALLS; mode <= DURESS_BREAKER_RATE_OF_TIME; mode++) {
        struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
            .mode = (enum duress_breaker_mode)mode, .calls_min = 4, .successes_to_close = 1, .recovery_ns = 1});
        calls(&breaker, 4, DURESS_OUTCOME_FAILURE, T0);
        calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0 + 1);
        calls(&breaker, 3, DURESS_OUTCOME_FAILURE, T0 + 2);
        state_is(&breaker, DURESS_BREAKER_CLOSED);
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + 2);
        state_is(&breaker, DURESS_BREAKER_OPEN);
    }
}

/* The window knows a generation by its last 16 bits: one in which they are zero is a generation like any other. */
static void results_count_in_a_generation_that_ends_with_zeros(void **state)
{
    (void)state;
    struct duress_breaker_snapshot seen;
    struct duress_breaker breaker = breaker_with(
        (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS, .calls_min = 2, .successes_to_close = 1});
    duress_breaker_force_open(&breaker, T0);
    duress_breaker_release(&breaker, T0);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0); /* closed, and the generation is even */
    do {
        duress_breaker_force_closed(&breaker, T0);
        duress_breaker_release(&breaker, T0);
        duress_breaker_snapshot(&breaker, &seen);
    } while ((seen.generation & 0xffff) != 0);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_in_five_fail_b11),
        cmocka_unit_test(a_rate_is_reached_exactly_at_its_figure),
        cmocka_unit_test(the_ring_turns_and_turns),
        cmocka_unit_test(old_failures_leave_the_window_of_calls),
        cmocka_unit_test(old_failures_leave_the_window_of_time),
        cmocka_unit_test(a_year_of_silence_empties_the_window),
        cmocka_unit_test(time_going_back_fills_the_newest_bucket),
        cmocka_unit_test(slow_calls_open_it_too),
        cmocka_unit_test(a_slow_probe_reopens),
        cmocka_unit_test(a_closed_circuit_begins_with_an_empty_window),
        cmocka_unit_test(results_count_in_a_generation_that_ends_with_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
