/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker in consecutive mode, rule by rule, at exact virtual instants. The tests whose names end in b1 to
 * b11 hold it to the defects that were found in agenkit's breakers. */
#include "policy_test.h"

#define T0 (1000 * DURESS_S) /* when a story begins */

static struct duress_breaker opened(struct duress_breaker_options options)
{
    struct duress_breaker breaker = breaker_with(options);
    calls(&breaker, breaker.options.failures_to_open, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    return breaker;
}

static void defaults_are_agenkits(void **state)
{
    (void)state;
    struct duress_breaker breaker;
    assert_int_equal(duress_breaker_init(&breaker, NULL, NULL), DURESS_OK);
    calls(&breaker, 4, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    refused(&breaker, T0 + 60 * DURESS_S - 1, DURESS_REFUSE_OPEN, T0 + 60 * DURESS_S);
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, now_ns);
    refused(&breaker, now_ns, DURESS_REFUSE_PROBING, now_ns + 60 * DURESS_S);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

static void a_success_forgets_the_failures_before(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 3});
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0);
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(last_change(&breaker).reason, DURESS_BREAKER_BY_FAILURES);
}

static void the_largest_counts_work(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .failures_to_open = DURESS_BREAKER_COUNT_MAX,
        .successes_to_close = DURESS_BREAKER_COUNT_MAX,
        .probes_max = DURESS_BREAKER_PROBES_MAX,
    });
    calls(&breaker, DURESS_BREAKER_COUNT_MAX - 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    uint64_t now_ns = T0 + 60 * DURESS_S;
    calls(&breaker, DURESS_BREAKER_COUNT_MAX - 1, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

/* 50 callers arrive together when the recovery is over: one goes through, or as many as are set. */
static void half_open_admits_only_the_probes_b1(void **state)
{
    (void)state;
    for (uint32_t probes_max = 1; probes_max <= DURESS_BREAKER_PROBES_MAX; probes_max++) {
        struct duress_breaker breaker = opened((struct duress_breaker_options){.probes_max = probes_max});
        uint64_t now_ns = T0 + 60 * DURESS_S;
        uint32_t through = 0;
        for (int caller = 0; caller < 50; caller++) {
            struct duress_permit permit;
            through += duress_breaker_acquire(&breaker, now_ns, &permit, NULL) == DURESS_ADMIT;
        }
        assert_int_equal(through, probes_max);
        assert_int_equal(counters_of(&breaker).refused_probing, 50 - probes_max);
    }
}

/* A straggler from before the opening ends well while the probe runs: still half-open, and the probe decides. */
static void a_late_success_does_not_close_b2(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 1});
    struct duress_permit straggler = admitted(&breaker, T0);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, now_ns);
    duress_breaker_report(&breaker, straggler, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    assert_int_equal(counters_of(&breaker).late, 1);
    assert_int_equal(counters_of(&breaker).successes, 1);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_FAILURE, now_ns + 1);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void a_late_failure_does_not_reopen_b3(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 1});
    struct duress_permit straggler = admitted(&breaker, T0);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, now_ns);
    duress_breaker_report(&breaker, straggler, DURESS_OUTCOME_FAILURE, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    assert_int_equal(counters_of(&breaker).failures, 2);
}

/* Late results of the round of probes before must not count in the closed circuit either. */
static void a_late_failure_does_not_count_when_closed_again(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 2, .successes_to_close = 1});
    struct duress_permit straggler = admitted(&breaker, T0);
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, T0 + 60 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + 60 * DURESS_S);
    duress_breaker_report(&breaker, straggler, DURESS_OUTCOME_FAILURE, T0 + 60 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

/* Stragglers fail one after another while it is open: a probe goes out at opening + recovery all the same. */
static void stragglers_do_not_renew_the_open_time_b4(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    struct duress_permit stragglers[50];
    for (int i = 0; i < 50; i++)
        stragglers[i] = admitted(&breaker, T0);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + 1);
    for (uint64_t i = 0; i < 50; i++)
        duress_breaker_report(&breaker, stragglers[i], DURESS_OUTCOME_FAILURE, T0 + 1 + i * DURESS_S);
    assert_int_equal(duress_breaker_next_ns(&breaker), T0 + 1 + 60 * DURESS_S);
    refused(&breaker, T0 + 60 * DURESS_S, DURESS_REFUSE_OPEN, T0 + 1 + 60 * DURESS_S);
    (void)admitted(&breaker, T0 + 1 + 60 * DURESS_S);
    assert_int_equal(counters_of(&breaker).late, 50);
}

static void recovery_counts_from_the_opening_not_the_first_failure(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 3});
    for (uint64_t i = 0; i < 3; i++)
        calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 + i * DURESS_S);
    assert_int_equal(duress_breaker_next_ns(&breaker), T0 + 62 * DURESS_S);
}

/* There is no clock but the one that is handed in; and when that goes back, time stands still. */
static void time_going_back_stands_still_b5(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.successes_to_close = 1});
    refused(&breaker, T0 - 500 * DURESS_S, DURESS_REFUSE_OPEN, T0 + 60 * DURESS_S);
    refused(&breaker, 0, DURESS_REFUSE_OPEN, T0 + 60 * DURESS_S);
    uint64_t probed_ns = T0 + 70 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, probed_ns);
    refused(&breaker, T0, DURESS_REFUSE_PROBING, probed_ns + 60 * DURESS_S);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_FAILURE, T0);
    assert_int_equal(last_change(&breaker).at_ns, probed_ns);
    assert_int_equal(duress_breaker_next_ns(&breaker), probed_ns + 60 * DURESS_S);
}

static void a_probe_admitted_in_the_past_has_its_whole_lease(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.probe_lease_ns = 10, .probes_max = 2});
    uint64_t now_ns = T0 + 60 * DURESS_S;
    (void)admitted(&breaker, now_ns);
    struct duress_permit permit;
    assert_int_equal(duress_breaker_acquire(&breaker, T0, &permit, NULL), DURESS_ADMIT);
    assert_int_equal(permit.admitted_ns, now_ns);
    assert_int_equal(duress_breaker_next_ns(&breaker), now_ns + 10);
}

static void a_report_before_its_admission_is_taken_at_the_admission(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    struct duress_permit permit = admitted(&breaker, T0);
    duress_breaker_report(&breaker, permit, DURESS_OUTCOME_FAILURE, T0 - 7);
    assert_int_equal(last_change(&breaker).at_ns, T0);
}

/* Any number of cancelled calls, with a healthy service: closed. */
static void cancellation_is_not_failure_b6(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 3});
    calls(&breaker, 10, DURESS_OUTCOME_CANCELLED, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    assert_int_equal(counters_of(&breaker).cancelled, 10);
    assert_int_equal(counters_of(&breaker).failures, 0);
}

static void cancellation_is_not_success_either(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 3});
    calls(&breaker, 2, DURESS_OUTCOME_FAILURE, T0);
    calls(&breaker, 1, DURESS_OUTCOME_CANCELLED, T0);
    calls(&breaker, 1, DURESS_OUTCOME_IGNORED, T0);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
}

static void a_cancelled_probe_gives_its_slot_back(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.successes_to_close = 2});
    uint64_t now_ns = T0 + 60 * DURESS_S;
    for (int i = 0; i < 1000; i++) {
        struct duress_permit probe = admitted(&breaker, now_ns);
        refused(&breaker, now_ns, DURESS_REFUSE_PROBING, now_ns + 60 * DURESS_S);
        duress_breaker_report(&breaker, probe, i % 2 ? DURESS_OUTCOME_CANCELLED : DURESS_OUTCOME_IGNORED, now_ns);
        state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
        assert_int_equal(duress_breaker_next_ns(&breaker), 0);
    }
    calls(&breaker, 2, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

/* What the caller did wrong, and what our own layers refuse, is no outage. */
static void callers_mistakes_open_nothing_b7(void **state)
{
    (void)state;
    static const int ignored[] = {DURESS_E_INVALID,       DURESS_E_UNSUPPORTED,   DURESS_E_TOO_LARGE,
                                  DURESS_E_RATE_LIMITED,  DURESS_E_BULKHEAD_FULL, DURESS_E_CIRCUIT_OPEN,
                                  DURESS_E_NO_DESCRIPTORS};
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        assert_int_equal(duress_outcome_of(ignored[i]), DURESS_OUTCOME_IGNORED);
        calls(&breaker, 1, duress_outcome_of(ignored[i]), T0);
    }
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    assert_int_equal(counters_of(&breaker).ignored, 7);
}

static void outcomes_follow_the_list_of_errors(void **state)
{
    (void)state;
    assert_int_equal(duress_outcome_of(DURESS_OK), DURESS_OUTCOME_SUCCESS);
    assert_int_equal(duress_outcome_of(DURESS_E_CANCELLED), DURESS_OUTCOME_CANCELLED);
    assert_int_equal(duress_outcome_of(-DURESS_ERROR_NUMBER_END), DURESS_OUTCOME_FAILURE);
    assert_int_equal(duress_outcome_of(1), DURESS_OUTCOME_FAILURE);
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        if (-number == DURESS_E_CANCELLED)
            continue;
        assert_int_equal(duress_outcome_of(-number),
                         duress_error_is_counted(-number) ? DURESS_OUTCOME_FAILURE : DURESS_OUTCOME_IGNORED);
    }
}

/* The breaker has no timeout of its own: a call that takes a year is judged by how it ended. */
static void there_is_no_hidden_timeout_b8(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    struct duress_permit permit = admitted(&breaker, T0);
    duress_breaker_report(&breaker, permit, DURESS_OUTCOME_SUCCESS, T0 + 365 * 24 * 3600 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

static void a_probe_that_never_reports_is_given_up(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.probe_lease_ns = 5 * DURESS_S});
    uint64_t probed_ns = T0 + 60 * DURESS_S;
    uint64_t lapsed_ns = probed_ns + 5 * DURESS_S;
    (void)admitted(&breaker, probed_ns);
    refused(&breaker, lapsed_ns - 1, DURESS_REFUSE_PROBING, lapsed_ns);
    refused(&breaker, lapsed_ns, DURESS_REFUSE_OPEN, lapsed_ns + 60 * DURESS_S);
    assert_int_equal(last_change(&breaker).reason, DURESS_BREAKER_BY_PROBE_LAPSED);
    assert_int_equal(counters_of(&breaker).lapsed, 1);
}

/* Nobody looked when the lease ended: it is dated when it ended, and so is the recovery. */
static void a_lapse_is_dated_when_the_lease_ended(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.probe_lease_ns = 5 * DURESS_S});
    uint64_t probed_ns = T0 + 60 * DURESS_S;
    (void)admitted(&breaker, probed_ns);
    struct duress_permit next = admitted(&breaker, probed_ns + 65 * DURESS_S);
    struct duress_breaker_transition changes[4];
    assert_int_equal(duress_breaker_log(&breaker, changes, 4), 4);
    assert_int_equal(changes[2].at_ns, probed_ns + 5 * DURESS_S);
    assert_int_equal(changes[2].to, DURESS_BREAKER_OPEN);
    assert_int_equal(changes[3].at_ns, probed_ns + 65 * DURESS_S);
    assert_int_equal(changes[3].to, DURESS_BREAKER_HALF_OPEN);
    assert_int_equal(next.generation, changes[3].generation);
}

static void a_lapsed_probe_that_reports_late_moves_nothing(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        opened((struct duress_breaker_options){.probe_lease_ns = 5 * DURESS_S, .successes_to_close = 1});
    uint64_t probed_ns = T0 + 60 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, probed_ns);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, probed_ns + 5 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(counters_of(&breaker).late, 1);

    struct duress_permit second = admitted(&breaker, probed_ns + 65 * DURESS_S);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_FAILURE, probed_ns + 65 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    duress_breaker_report(&breaker, second, DURESS_OUTCOME_SUCCESS, probed_ns + 70 * DURESS_S - 1);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
}

static void a_reused_slot_has_a_lease_of_its_own(void **state)
{
    (void)state;
    struct duress_breaker breaker =
        opened((struct duress_breaker_options){.probe_lease_ns = 10 * DURESS_S, .successes_to_close = 3});
    uint64_t now_ns = T0 + 60 * DURESS_S;
    duress_breaker_report(&breaker, admitted(&breaker, now_ns), DURESS_OUTCOME_SUCCESS, now_ns + 9 * DURESS_S);
    struct duress_permit second = admitted(&breaker, now_ns + 9 * DURESS_S);
    duress_breaker_report(&breaker, second, DURESS_OUTCOME_SUCCESS, now_ns + 18 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    assert_int_equal(counters_of(&breaker).lapsed, 0);
}

static void one_failed_probe_ends_the_round(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.probes_max = 3, .successes_to_close = 2});
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct duress_permit probes[3];
    for (int i = 0; i < 3; i++)
        probes[i] = admitted(&breaker, now_ns);
    duress_breaker_report(&breaker, probes[0], DURESS_OUTCOME_SUCCESS, now_ns + 1);
    duress_breaker_report(&breaker, probes[1], DURESS_OUTCOME_FAILURE, now_ns + 2);
    duress_breaker_report(&breaker, probes[2], DURESS_OUTCOME_SUCCESS, now_ns + 3);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(last_change(&breaker).reason, DURESS_BREAKER_BY_PROBE_FAILED);
    assert_int_equal(duress_breaker_next_ns(&breaker), now_ns + 2 + 60 * DURESS_S);
    calls(&breaker, 1, DURESS_OUTCOME_SUCCESS, now_ns + 2 + 60 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN); /* the round begins anew: its good probe from before is forgotten */
}

static void a_probe_reported_twice_counts_once(void **state)
{
    (void)state;
    struct duress_breaker breaker = opened((struct duress_breaker_options){.successes_to_close = 2});
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct duress_permit probe = admitted(&breaker, now_ns);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, now_ns);
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    probe = admitted(&breaker, now_ns);
    probe.slot += 32; /* nor does one of a slot that there is none of */
    duress_breaker_report(&breaker, probe, DURESS_OUTCOME_SUCCESS, now_ns);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
}

static void a_permit_that_was_not_given_moves_nothing(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    duress_breaker_report(&breaker, (struct duress_permit){0}, DURESS_OUTCOME_FAILURE, T0);
    state_is(&breaker, DURESS_BREAKER_CLOSED);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    struct duress_permit permit;
    assert_int_equal(duress_breaker_acquire(&breaker, T0, &permit, NULL), DURESS_REFUSE_OPEN);
    assert_int_equal(permit.generation, 0);
}

static void an_unknown_outcome_is_a_failure(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){.failures_to_open = 1});
    duress_breaker_report(&breaker, admitted(&breaker, T0), (enum duress_outcome)9, T0);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(counters_of(&breaker).failures, 1);
}

/* The end of time: sums saturate, nothing wraps into the past. */
static void the_end_of_time_does_not_wrap(void **state)
{
    (void)state;
    uint64_t late_ns = DURESS_TIME_NEVER - 5;
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 1, .recovery_ns = 10});
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, late_ns);
    refused(&breaker, late_ns, DURESS_REFUSE_OPEN, DURESS_TIME_NEVER);
    refused(&breaker, DURESS_TIME_NEVER - 1, DURESS_REFUSE_OPEN, DURESS_TIME_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_agenkits),
        cmocka_unit_test(a_success_forgets_the_failures_before),
        cmocka_unit_test(the_largest_counts_work),
        cmocka_unit_test(half_open_admits_only_the_probes_b1),
        cmocka_unit_test(a_late_success_does_not_close_b2),
        cmocka_unit_test(a_late_failure_does_not_reopen_b3),
        cmocka_unit_test(a_late_failure_does_not_count_when_closed_again),
        cmocka_unit_test(stragglers_do_not_renew_the_open_time_b4),
        cmocka_unit_test(recovery_counts_from_the_opening_not_the_first_failure),
        cmocka_unit_test(time_going_back_stands_still_b5),
        cmocka_unit_test(a_probe_admitted_in_the_past_has_its_whole_lease),
        cmocka_unit_test(a_report_before_its_admission_is_taken_at_the_admission),
        cmocka_unit_test(cancellation_is_not_failure_b6),
        cmocka_unit_test(cancellation_is_not_success_either),
        cmocka_unit_test(a_cancelled_probe_gives_its_slot_back),
        cmocka_unit_test(callers_mistakes_open_nothing_b7),
        cmocka_unit_test(outcomes_follow_the_list_of_errors),
        cmocka_unit_test(there_is_no_hidden_timeout_b8),
        cmocka_unit_test(a_probe_that_never_reports_is_given_up),
        cmocka_unit_test(a_lapse_is_dated_when_the_lease_ended),
        cmocka_unit_test(a_lapsed_probe_that_reports_late_moves_nothing),
        cmocka_unit_test(a_reused_slot_has_a_lease_of_its_own),
        cmocka_unit_test(one_failed_probe_ends_the_round),
        cmocka_unit_test(a_probe_reported_twice_counts_once),
        cmocka_unit_test(a_permit_that_was_not_given_moves_nothing),
        cmocka_unit_test(an_unknown_outcome_is_a_failure),
        cmocka_unit_test(the_end_of_time_does_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
