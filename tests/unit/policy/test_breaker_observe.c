/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be seen of a breaker and done to it from outside: options, forced states, snapshot, log, names. */
#include <string.h>

#include "policy_test.h"

#define T0 (1000 * DURESS_S)

struct refusal {
    struct duress_breaker_options options;
    const char *detail;
};

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
#define CALLS_MODE .mode = DURESS_BREAKER_RATE_OF_CALLS
#define TIME_MODE .mode = DURESS_BREAKER_RATE_OF_TIME
    static const struct refusal refusals[] = {
        {{.mode = (enum duress_breaker_mode)3}, "breaker.mode: 3 given, allowed 0 to 2"},
        {{.failures_to_open = 1001}, "breaker.failures_to_open: 1001 given, allowed 1 to 1000"},
        {{.successes_to_close = 1001}, "breaker.successes_to_close: 1001 given, allowed 1 to 1000"},
        {{.recovery_ns = DURESS_TIME_NEVER},
         "breaker.recovery_ns: 18446744073709551615 given, allowed 1 to 31622400000000000"},
        {{.probes_max = 9}, "breaker.probes_max: 9 given, allowed 1 to 8"},
        {{.probe_lease_ns = DURESS_BREAKER_DURATION_NS_MAX + 1},
         "breaker.probe_lease_ns: 31622400000000001 given, allowed 1 to 31622400000000000"},
        {{.window_calls = 5}, "breaker.window_calls: 5 given, must be 0 in consecutive mode"},
        {{.window_ns = 5}, "breaker.window_ns: 5 given, must be 0 in consecutive mode"},
        {{.window_buckets = 5}, "breaker.window_buckets: 5 given, must be 0 in consecutive mode"},
        {{.calls_min = 5}, "breaker.calls_min: 5 given, must be 0 in consecutive mode"},
        {{.failure_rate_ppm = 5}, "breaker.failure_rate_ppm: 5 given, must be 0 in consecutive mode"},
        {{.slow_call_ns = 5}, "breaker.slow_call_ns: 5 given, must be 0 in consecutive mode"},
        {{.slow_rate_ppm = 5}, "breaker.slow_rate_ppm: 5 given, must be 0 in consecutive mode"},
        {{CALLS_MODE, .failures_to_open = 5}, "breaker.failures_to_open: 5 given, must be 0 in the rate modes"},
        {{CALLS_MODE, .window_ns = 5}, "breaker.window_ns: 5 given, must be 0 with a window of calls"},
        {{CALLS_MODE, .window_buckets = 5}, "breaker.window_buckets: 5 given, must be 0 with a window of calls"},
        {{TIME_MODE, .window_calls = 5}, "breaker.window_calls: 5 given, must be 0 with a window of time"},
        {{TIME_MODE, .failures_to_open = 5}, "breaker.failures_to_open: 5 given, must be 0 in the rate modes"},
        {{TIME_MODE, .slow_rate_ppm = 5}, "breaker.slow_rate_ppm: 5 given, must be 0 without slow_call_ns"},
        {{CALLS_MODE, .window_calls = 1025}, "breaker.window_calls: 1025 given, allowed 1 to 1024"},
        {{CALLS_MODE, .window_calls = 10, .calls_min = 11}, "breaker.calls_min: 11 given, allowed 1 to 10"},
        {{CALLS_MODE, .failure_rate_ppm = 1000001}, "breaker.failure_rate_ppm: 1000001 given, allowed 1 to 1000000"},
        {{TIME_MODE, .window_buckets = 33}, "breaker.window_buckets: 33 given, allowed 1 to 32"},
        {{TIME_MODE, .window_ns = 9}, "breaker.window_ns: 9 given, allowed 10 to 31622400000000000"},
        {{TIME_MODE, .calls_min = 1000001}, "breaker.calls_min: 1000001 given, allowed 1 to 1000000"},
        {{TIME_MODE, .slow_call_ns = DURESS_TIME_NEVER},
         "breaker.slow_call_ns: 18446744073709551615 given, allowed 0 to 31622400000000000"},
        {{TIME_MODE, .slow_call_ns = 1, .slow_rate_ppm = 1000001},
         "breaker.slow_rate_ppm: 1000001 given, allowed 1 to 1000000"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct duress_breaker breaker;
        struct duress_failure why;
        assert_int_equal(duress_breaker_init(&breaker, &refusals[i].options, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, refusals[i].detail);
        assert_int_equal(why.code, DURESS_E_INVALID);
        assert_int_equal(duress_breaker_init(&breaker, &refusals[i].options, NULL), DURESS_E_INVALID);
    }
}

static void no_breaker_is_refused_by_name(void **state)
{
    (void)state;
    struct duress_failure why;
    assert_int_equal(duress_breaker_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "breaker: NULL given, must be a pointer");
    assert_int_equal(duress_breaker_init(NULL, NULL, NULL), DURESS_E_INVALID);
}

static void the_ends_of_every_range_are_allowed(void **state)
{
    (void)state;
    const struct duress_breaker_options allowed[] = {
        {.failures_to_open = 1, .successes_to_close = 1, .recovery_ns = 1, .probes_max = 1, .probe_lease_ns = 1},
        {.failures_to_open = DURESS_BREAKER_COUNT_MAX,
         .successes_to_close = DURESS_BREAKER_COUNT_MAX,
         .recovery_ns = DURESS_BREAKER_DURATION_NS_MAX,
         .probes_max = DURESS_BREAKER_PROBES_MAX,
         .probe_lease_ns = DURESS_BREAKER_DURATION_NS_MAX},
        {CALLS_MODE, .window_calls = 1, .calls_min = 1, .failure_rate_ppm = 1, .slow_call_ns = 1, .slow_rate_ppm = 1},
        {CALLS_MODE, .window_calls = DURESS_BREAKER_WINDOW_CALLS_MAX, .calls_min = DURESS_BREAKER_WINDOW_CALLS_MAX,
         .failure_rate_ppm = 1000000, .slow_call_ns = DURESS_BREAKER_DURATION_NS_MAX, .slow_rate_ppm = 1000000},
        {TIME_MODE, .window_buckets = 1, .window_ns = 1},
        {TIME_MODE, .window_buckets = 32, .window_ns = DURESS_BREAKER_DURATION_NS_MAX, .calls_min = 1000000},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        struct duress_breaker breaker;
        assert_int_equal(duress_breaker_init(&breaker, &allowed[i], NULL), DURESS_OK);
    }
}

/* A small window makes the default minimum small, instead of an error about an option that nobody gave. */
static void the_default_minimum_fits_a_small_window(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){CALLS_MODE, .window_calls = 3, .failure_rate_ppm = 1000000});
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void forced_open_refuses_until_released(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.successes_to_close = 1});
    struct duress_permit before = admitted(&breaker, T0);
    duress_breaker_force_open(&breaker, T0 + 1);
    refused(&breaker, T0 + 1000 * DURESS_S, DURESS_REFUSE_OPEN, DURESS_TIME_NEVER);
    assert_int_equal(duress_breaker_next_ns(&breaker), DURESS_TIME_NEVER);
    duress_breaker_report(&breaker, before, DURESS_OUTCOME_SUCCESS, T0 + 2);
    assert_int_equal(counters_of(&breaker).late, 1);
    duress_breaker_release(&breaker, T0 + 3);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    assert_int_equal(duress_breaker_next_ns(&breaker), 0);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0 + 4);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

static void forced_closed_admits_until_released(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    duress_breaker_force_closed(&breaker, T0);
    calls(&breaker, 1000, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_FORCED_CLOSED);
    assert_int_equal(counters_of(&breaker).failures, 1001);
    struct duress_permit straggler = admitted(&breaker, T0);
    duress_breaker_release(&breaker, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    duress_breaker_report(&breaker, straggler, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void release_is_for_the_forced_alone(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    duress_breaker_release(&breaker, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    duress_breaker_release(&breaker, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    struct duress_breaker_transition changes[4];
    assert_int_equal(duress_breaker_log(&breaker, changes, 4), 1);
}

static void tick_gives_up_lapsed_probes(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 1, .probe_lease_ns = 10});
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    uint64_t probed_ns = T0 + 60 * DURESS_S;
    duress_breaker_tick(&breaker, probed_ns);
    state_is(&breaker, DURESS_BREAKER_OPEN); /* half-open needs a call to come */
    (void)admitted(&breaker, probed_ns);
    duress_breaker_tick(&breaker, probed_ns + 9);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    duress_breaker_tick(&breaker, probed_ns + 10);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void the_snapshot_shows_what_counts(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.probes_max = 3});
    struct duress_breaker_snapshot snapshot;
    calls(&breaker, 3, DURESS_OUTCOME_FAILURE, T0);
    (void)admitted(&breaker, T0);
    duress_breaker_snapshot(&breaker, &snapshot);
    assert_int_equal(snapshot.generation, 1);
    assert_int_equal(snapshot.failures_in_a_row, 3);
    assert_int_equal(snapshot.opened_ns, 0);
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    struct duress_permit probe = admitted(&breaker, T0 + 60 * DURESS_S);
    (void)admitted(&breaker, T0 + 60 * DURESS_S);
    (void)admitted(&breaker, T0 + 60 * DURESS_S);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, T0 + 60 * DURESS_S);
    duress_breaker_snapshot(&breaker, &snapshot);
    assert_int_equal(snapshot.state, DURESS_BREAKER_HALF_OPEN);
    assert_int_equal(snapshot.generation, 3);
    assert_int_equal(snapshot.probes_good, 1);
    assert_int_equal(snapshot.probes_in_flight, 2);
    assert_int_equal(snapshot.failures_in_a_row, 0);
    assert_int_equal(snapshot.opened_ns, T0);
    assert_int_equal(snapshot.counters.admitted, 9);
    assert_int_equal(snapshot.counters.failures, 5);
    assert_int_equal(snapshot.counters.successes, 1);
}

/* Far more changes than the log holds: the last ones are there, whole and in order. */
static void the_log_keeps_the_last_changes(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){0});
    struct duress_breaker_transition changes[DURESS_BREAKER_LOG_COUNT + 8];
    assert_int_equal(duress_breaker_log(&breaker, changes, DURESS_BREAKER_LOG_COUNT), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        duress_breaker_force_open(&breaker, T0 + 2 * i);
        duress_breaker_force_closed(&breaker, T0 + 2 * i + 1);
        uint64_t wanted = 2 * i + 2 < DURESS_BREAKER_LOG_COUNT ? 2 * i + 2 : DURESS_BREAKER_LOG_COUNT;
        assert_int_equal(duress_breaker_log(&breaker, changes, DURESS_BREAKER_LOG_COUNT + 8), wanted);
        for (size_t k = 0; k < wanted; k++) {
            uint64_t number = 2 * i + 2 - wanted + k; /* of the change, from 0 */
            assert_int_equal(changes[k].generation, number + 2);
            assert_int_equal(changes[k].at_ns, T0 + number);
            assert_int_equal(changes[k].to,
                             number % 2 == 0 ? DURESS_BREAKER_FORCED_OPEN : DURESS_BREAKER_FORCED_CLOSED);
            assert_int_equal(changes[k].reason, DURESS_BREAKER_BY_FORCE);
        }
    }
    assert_int_equal(duress_breaker_log(&breaker, changes, 0), 0);
    assert_int_equal(duress_breaker_log(&breaker, changes, 3), 3);
    assert_int_equal(changes[2].generation, 2001);
}

static void everything_has_a_name(void **state)
{
    (void)state;
    static const char *const states[] = {"closed", "open", "half-open", "forced open", "forced closed", "unknown"};
    for (int i = 0; i < 6; i++)
        assert_string_equal(duress_breaker_state_name((enum duress_breaker_state)i), states[i]);
    static const char *const reasons[] = {"failures in a row", "failure rate", "slow-call rate",   "recovery time over",
                                          "probe failed",      "probe lapsed", "probes succeeded", "forced",
                                          "released",          "unknown"};
    for (int i = 0; i < 10; i++)
        assert_string_equal(duress_breaker_reason_name((enum duress_breaker_reason)i), reasons[i]);
}

/* The log holds the last changes, the counters hold all of them. */
static void changes_are_counted_by_their_reason(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .failures_to_open = 1, .successes_to_close = 1, .recovery_ns = DURESS_S, .probe_lease_ns = DURESS_S});
    uint64_t now_ns = T0;
    for (int round = 0; round < 3; round++) {
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, now_ns);                /* opens */
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, now_ns + 1 * DURESS_S); /* a probe that fails */
        (void)admitted(&breaker, now_ns + 2 * DURESS_S);                   /* one that is never reported */
        duress_breaker_tick(&breaker, now_ns + 3 * DURESS_S);
        calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, now_ns + 4 * DURESS_S); /* one that closes */
        now_ns += 10 * DURESS_S;
    }
    duress_breaker_force_open(&breaker, now_ns);
    duress_breaker_release(&breaker, now_ns);
    struct duress_breaker_counters counters = counters_of(&breaker);
    const uint64_t expected[DURESS_BREAKER_REASON_COUNT] = {
        [DURESS_BREAKER_BY_FAILURES] = 3,     [DURESS_BREAKER_BY_RECOVERY] = 9,    [DURESS_BREAKER_BY_PROBE_FAILED] = 3,
        [DURESS_BREAKER_BY_PROBE_LAPSED] = 3, [DURESS_BREAKER_BY_PROBES_GOOD] = 3, [DURESS_BREAKER_BY_FORCE] = 1,
        [DURESS_BREAKER_BY_RELEASE] = 1,
    };
    for (int reason = 0; reason < DURESS_BREAKER_REASON_COUNT; reason++)
        assert_int_equal(counters.transitions[reason], expected[reason]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(no_breaker_is_refused_by_name),
        cmocka_unit_test(the_ends_of_every_range_are_allowed),
        cmocka_unit_test(the_default_minimum_fits_a_small_window),
        cmocka_unit_test(forced_open_refuses_until_released),
        cmocka_unit_test(forced_closed_admits_until_released),
        cmocka_unit_test(release_is_for_the_forced_alone),
        cmocka_unit_test(changes_are_counted_by_their_reason),
        cmocka_unit_test(tick_gives_up_lapsed_probes),
        cmocka_unit_test(the_snapshot_shows_what_counts),
        cmocka_unit_test(the_log_keeps_the_last_changes),
        cmocka_unit_test(everything_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
