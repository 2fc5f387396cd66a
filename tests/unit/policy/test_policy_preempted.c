/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: wherever a thread is stopped in the middle of an operation, others come through, and what comes out is what
 * some order of whole operations would give. Method: the policies are compiled with atomic operations of the test's own
 * (preempt_atomic.h). A first thread's operation is run again and again, stopped before its first, second, third …
 * atomic step, where a second thread's operations run from begin to end. That they end at all, with the first thread
 * stopped for good as far as they can tell, shows that nobody waits for anybody. */
#include "policy_test.h"

#include <duress/policy/retry_budget.h>

#define T0 (1000 * DURESS_S)
#define POINTS_MAX 100

static int points_left; /* until the second thread runs; below 0: it has */
static void (*second_thread)(void *context);
static void *second_context;
static bool met; /* the second thread ran amid the first one's operation */

void preempt_point(void)
{
    if (points_left < 0 || points_left-- > 0)
        return;
    met = true;
    second_thread(second_context);
}

/* From here on the atomic step number |point| lets |run| in. */
static void preempt_at(int point, void (*run)(void *context), void *context)
{
    met = false;
    second_thread = run;
    second_context = context;
    points_left = point;
}

/* True where the first thread's operation had as many steps; else the second thread runs now, after it. */
static bool preempt_end(void)
{
    points_left = -1;
    if (met)
        return true;
    second_thread(second_context);
    points_left = -1;
    return false;
}

struct pair {
    struct duress_breaker breaker;
    struct duress_permit permits[2]; /* each thread's */
    enum duress_outcome outcome;     /* of the second thread's call */
    enum duress_verdict verdict;     /* what the second thread was told */
    uint64_t retry_at_ns;
    uint64_t now_ns;                /* the second thread's */
    enum duress_breaker_state seen; /* by the second thread, before it changed it */
};

static struct pair pair_with(struct duress_breaker_options options)
{
    struct pair pair = {.breaker = breaker_with(options), .now_ns = T0};
    return pair;
}

static void second_reports(void *context)
{
    struct pair *pair = context;
    duress_breaker_report(&pair->breaker, pair->permits[1], pair->outcome, pair->now_ns);
}

static void second_acquires(void *context)
{
    struct pair *pair = context;
    pair->verdict = duress_breaker_acquire(&pair->breaker, pair->now_ns, &pair->permits[1], &pair->retry_at_ns);
}

static void second_cancels_and_acquires(void *context)
{
    second_reports(context);
    second_acquires(context);
}

/* Runs |body| for every point at which it can be stopped. */
static void at_every_point(void (*body)(int point), int points_min)
{
    int point = 0;
    for (; point < POINTS_MAX; point++) {
        body(point);
        if (points_left == -2)
            break;
    }
    assert_in_range(point, points_min, POINTS_MAX - 1);
}

/* Ends a body: notes where the operation had no such step any more. */
static void body_ends(void)
{
    if (!preempt_end())
        points_left = -2;
}

static void report_two_failures(int point, struct duress_breaker_options options)
{
    struct pair pair = pair_with(options);
    pair.permits[0] = admitted(&pair.breaker, T0);
    pair.permits[1] = admitted(&pair.breaker, T0);
    pair.outcome = DURESS_OUTCOME_FAILURE;
    preempt_at(point, second_reports, &pair);
    duress_breaker_report(&pair.breaker, pair.permits[0], DURESS_OUTCOME_FAILURE, T0);
    body_ends();
    state_is(&pair.breaker, DURESS_BREAKER_OPEN);
    assert_int_equal(counters_of(&pair.breaker).failures, 2);
    assert_int_equal(last_change(&pair.breaker).generation, 2);
}

static void in_a_row(int point)
{
    report_two_failures(point, (struct duress_breaker_options){.failures_to_open = 2});
}

static void of_calls(int point)
{
    report_two_failures(point, (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS, .calls_min = 2});
}

static void of_time(int point)
{
    report_two_failures(point, (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME, .calls_min = 2});
}

static void two_failures_are_two_wherever_they_meet(void **state)
{
    (void)state;
    at_every_point(in_a_row, 3);
    at_every_point(of_calls, 6);
    at_every_point(of_time, 6);
}

static struct duress_breaker opened_at(uint64_t at_ns, uint64_t lease_ns)
{
    struct duress_breaker breaker =
        breaker_with((struct duress_breaker_options){.failures_to_open = 1, .probe_lease_ns = lease_ns});
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, at_ns);
    return breaker;
}

/* The second caller's clock was read later: its lease is longer, and the first caller must not shorten it. */
static void two_probe(int point)
{
    uint64_t now_ns = T0 + 60 * DURESS_S;
    struct pair pair = {.breaker = opened_at(T0, DURESS_S), .now_ns = now_ns + 5};
    preempt_at(point, second_acquires, &pair);
    enum duress_verdict first = duress_breaker_acquire(&pair.breaker, now_ns, &pair.permits[0], NULL);
    body_ends();
    struct duress_permit probe = pair.permits[first == DURESS_ADMIT ? 0 : 1];
    assert_in_range(duress_breaker_next_ns(&pair.breaker), probe.admitted_ns + DURESS_S, now_ns + 5 + DURESS_S);
    assert_true((first == DURESS_ADMIT) != (pair.verdict == DURESS_ADMIT));
    assert_true(first == DURESS_REFUSE_PROBING || pair.verdict == DURESS_REFUSE_PROBING);
}

static void one_probe_goes_wherever_two_callers_meet(void **state)
{
    (void)state;
    at_every_point(two_probe, 6);
}

/* Who sees the circuit open must see when it opened: a caller in between is admitted as before or refused, and is not
 * taken for a probe because the opening seems to be long ago. */
static void open_beside_a_caller(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){.failures_to_open = 1});
    pair.permits[0] = admitted(&pair.breaker, T0);
    preempt_at(point, second_acquires, &pair);
    duress_breaker_report(&pair.breaker, pair.permits[0], DURESS_OUTCOME_FAILURE, T0);
    body_ends();
    assert_int_equal(duress_breaker_state(&pair.breaker), DURESS_BREAKER_OPEN);
    if (pair.verdict != DURESS_ADMIT)
        assert_int_equal(pair.retry_at_ns, T0 + 60 * DURESS_S);
}

static void an_opening_has_its_instant_from_the_first(void **state)
{
    (void)state;
    at_every_point(open_beside_a_caller, 5);
}

/* A caller finds that the lease of a probe has ended. Meanwhile, by a clock that was read just before that, the probe
 * is cancelled and another one takes its slot: either came first, but the new probe does not lapse by the old lease. */
static void lapse_beside_a_new_probe(int point)
{
    struct pair pair = {.breaker = opened_at(T0, 10)};
    uint64_t probed_ns = T0 + 60 * DURESS_S;
    pair.permits[1] = admitted(&pair.breaker, probed_ns);
    pair.outcome = DURESS_OUTCOME_CANCELLED;
    pair.now_ns = probed_ns + 9;
    preempt_at(point, second_cancels_and_acquires, &pair);
    enum duress_verdict first = duress_breaker_acquire(&pair.breaker, probed_ns + 10, &pair.permits[0], NULL);
    body_ends();
    if (pair.verdict == DURESS_ADMIT) {
        assert_int_equal(first, DURESS_REFUSE_PROBING);
        state_is(&pair.breaker, DURESS_BREAKER_HALF_OPEN);
    } else {
        assert_int_equal(first, DURESS_REFUSE_OPEN);
        state_is(&pair.breaker, DURESS_BREAKER_OPEN);
    }
}

static void a_new_probe_does_not_lapse_by_an_old_lease(void **state)
{
    (void)state;
    at_every_point(lapse_beside_a_new_probe, 5);
}

#define LAST_CHANGE (DURESS_BREAKER_LOG_COUNT + 2)

/* More changes than the log holds while one of them is being written down: gaps perhaps, but nothing torn. */
static void second_changes_often(void *context)
{
    struct pair *pair = context;
    for (uint64_t i = 0; i <= LAST_CHANGE; i++) {
        if (i % 2 == 0)
            duress_breaker_force_closed(&pair->breaker, T0 + 2 * i);
        else
            duress_breaker_force_open(&pair->breaker, T0 + 2 * i);
    }
}

static void log_beside_many_changes(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){0});
    preempt_at(point, second_changes_often, &pair);
    duress_breaker_force_open(&pair.breaker, T0 + 1);
    body_ends();
    struct duress_breaker_transition changes[DURESS_BREAKER_LOG_COUNT];
    size_t count = duress_breaker_log(&pair.breaker, changes, DURESS_BREAKER_LOG_COUNT);
    assert_in_range(count, DURESS_BREAKER_LOG_COUNT - 1, DURESS_BREAKER_LOG_COUNT);
    for (size_t i = 0; i < count; i++) {
        enum duress_breaker_state to =
            (changes[i].at_ns - T0) % 4 == 0 ? DURESS_BREAKER_FORCED_CLOSED : DURESS_BREAKER_FORCED_OPEN;
        if (changes[i].at_ns < T0 + 2 * LAST_CHANGE) /* at that instant the first thread's may follow */
            assert_int_equal(changes[i].to, to);
        if (i > 0) {
            assert_in_range(changes[i].at_ns, changes[i - 1].at_ns, UINT64_MAX);
            assert_in_range(changes[i].generation, changes[i - 1].generation + 1, UINT64_MAX);
        }
    }
}

static void log_check(const struct duress_breaker *breaker)
{
    struct duress_breaker_transition changes[DURESS_BREAKER_LOG_COUNT];
    size_t count = duress_breaker_log(breaker, changes, DURESS_BREAKER_LOG_COUNT);
    for (size_t i = 1; i < count; i++) {
        assert_in_range(changes[i].at_ns, changes[i - 1].at_ns, UINT64_MAX);
        assert_in_range(changes[i].generation, changes[i - 1].generation + 1, UINT64_MAX);
    }
}

static void second_reads_log(void *context)
{
    log_check(&((struct pair *)context)->breaker);
}

/* As above, and the log is read one step of the first thread later. */
static void second_changes_often_and_reads_later(void *context)
{
    second_changes_often(context);
    preempt_at(0, second_reads_log, context);
    met = true;
}

static void log_read_in_the_middle(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){0});
    preempt_at(point, second_changes_often_and_reads_later, &pair);
    duress_breaker_force_open(&pair.breaker, T0 + 1);
    body_ends();
}

static void read_beside_many_changes(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){0});
    duress_breaker_force_open(&pair.breaker, T0);
    preempt_at(point, second_changes_often, &pair);
    log_check(&pair.breaker);
    body_ends();
}

static void second_forces_earlier(void *context)
{
    duress_breaker_force_closed(&((struct pair *)context)->breaker, T0 + 5);
}

/* The second thread's clock was read before the first one's: its change is not dated before. */
static void log_beside_an_earlier_clock(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){0});
    preempt_at(point, second_forces_earlier, &pair);
    duress_breaker_force_open(&pair.breaker, T0 + 10);
    body_ends();
    log_check(&pair.breaker);
}

static void the_log_is_never_torn(void **state)
{
    (void)state;
    at_every_point(log_beside_many_changes, 6);
    at_every_point(log_read_in_the_middle, 6);
    at_every_point(log_beside_an_earlier_clock, 6);
    at_every_point(read_beside_many_changes, 4);
}

static void second_begins_anew_and_fails(void *context)
{
    struct pair *pair = context;
    duress_breaker_force_closed(&pair->breaker, T0);
    duress_breaker_release(&pair->breaker, T0);
    calls(&pair->breaker, 1, DURESS_OUTCOME_FAILURE, T0);
}

/* A result that was on its way into the window when a new generation began: it counts there neither for nor against,
 * and does not take the place of one that does. */
static void result_beside_a_new_generation(int point)
{
    struct pair pair = pair_with(
        (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS, .window_calls = 3, .calls_min = 2});
    pair.permits[0] = admitted(&pair.breaker, T0);
    preempt_at(point, second_begins_anew_and_fails, &pair);
    duress_breaker_report(&pair.breaker, pair.permits[0], DURESS_OUTCOME_FAILURE, T0);
    body_ends();
    state_is(&pair.breaker, DURESS_BREAKER_CLOSED);
    calls(&pair.breaker, 1, DURESS_OUTCOME_FAILURE, T0);
    state_is(&pair.breaker, DURESS_BREAKER_OPEN);
}

static void the_window_keeps_generations_apart(void **state)
{
    (void)state;
    at_every_point(result_beside_a_new_generation, 8);
}

/* One result more than can wait while a thread is stopped in the section: those that wait are not lost with it. */
enum { ONE_TOO_MANY = 0x10000 };

static void second_succeeds_often(void *context)
{
    struct pair *pair = context;
    calls(&pair->breaker, ONE_TOO_MANY, DURESS_OUTCOME_SUCCESS, T0);
}

static void result_beside_more_than_can_wait(int point)
{
    struct pair pair = pair_with(
        (struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS, .window_calls = 10, .calls_min = 10});
    pair.permits[0] = admitted(&pair.breaker, T0);
    preempt_at(point, second_succeeds_often, &pair);
    duress_breaker_report(&pair.breaker, pair.permits[0], DURESS_OUTCOME_SUCCESS, T0);
    body_ends();
    assert_int_equal(counters_of(&pair.breaker).successes, ONE_TOO_MANY + 1);
    calls(&pair.breaker, 4, DURESS_OUTCOME_FAILURE, T0);
    state_is(&pair.breaker, DURESS_BREAKER_CLOSED);
    calls(&pair.breaker, 1, DURESS_OUTCOME_FAILURE, T0); /* half of the last ten */
    state_is(&pair.breaker, DURESS_BREAKER_OPEN);
}

static void results_beyond_what_can_wait_are_left_out(void **state)
{
    (void)state;
    at_every_point(result_beside_more_than_can_wait, 6);
}

static void second_forces_closed(void *context)
{
    struct pair *pair = context;
    pair->seen = duress_breaker_state(&pair->breaker);
    duress_breaker_force_closed(&pair->breaker, T0);
}

/* A release that another thread's force overtakes releases what that one has forced. */
static void release_beside_a_force(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){0});
    duress_breaker_force_open(&pair.breaker, T0);
    preempt_at(point, second_forces_closed, &pair);
    duress_breaker_release(&pair.breaker, T0);
    body_ends();
    state_is(&pair.breaker,
             pair.seen == DURESS_BREAKER_FORCED_OPEN ? DURESS_BREAKER_CLOSED : DURESS_BREAKER_FORCED_CLOSED);
    assert_int_equal(counters_of(&pair.breaker).transitions[DURESS_BREAKER_BY_RELEASE], 1);
}

/* The instant that is told is that of one state. */
static void next_beside_an_opening(int point)
{
    struct pair pair = pair_with((struct duress_breaker_options){.failures_to_open = 1});
    pair.permits[1] = admitted(&pair.breaker, T0);
    pair.outcome = DURESS_OUTCOME_FAILURE;
    preempt_at(point, second_reports, &pair);
    uint64_t next_ns = duress_breaker_next_ns(&pair.breaker);
    bool amid = met;
    body_ends();
    assert_int_equal(next_ns, amid ? T0 + 60 * DURESS_S : DURESS_TIME_NEVER);
}

static void what_is_read_and_changed_is_of_one_state(void **state)
{
    (void)state;
    at_every_point(release_beside_a_force, 2);
    at_every_point(next_beside_an_opening, 2);
}

static struct duress_retry_budget purse;
static bool second_granted;

static void second_withdraws(void *context)
{
    (void)context;
    second_granted = duress_retry_budget_withdraw(&purse);
}

static void withdraw_beside_another(int point)
{
    struct duress_retry_budget_options options = {.capacity = 1};
    assert_int_equal(duress_retry_budget_init(&purse, &options, NULL), DURESS_OK);
    preempt_at(point, second_withdraws, NULL);
    bool granted = duress_retry_budget_withdraw(&purse);
    body_ends();
    assert_true(granted != second_granted);
}

static void deposit_beside_a_withdrawal(int point)
{
    struct duress_retry_budget_options options = {.capacity = 2, .deposit_milli = 300};
    assert_int_equal(duress_retry_budget_init(&purse, &options, NULL), DURESS_OK);
    assert_true(duress_retry_budget_withdraw(&purse));
    preempt_at(point, second_withdraws, NULL);
    duress_retry_budget_deposit(&purse);
    body_ends();
    assert_true(second_granted);
    assert_int_equal(purse.tokens_milli.value, 300);
}

static void the_last_token_goes_once(void **state)
{
    (void)state;
    at_every_point(withdraw_beside_another, 3);
    at_every_point(deposit_beside_a_withdrawal, 2);
}

int main(void)
{
    points_left = -1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_failures_are_two_wherever_they_meet),
        cmocka_unit_test(one_probe_goes_wherever_two_callers_meet),
        cmocka_unit_test(an_opening_has_its_instant_from_the_first),
        cmocka_unit_test(a_new_probe_does_not_lapse_by_an_old_lease),
        cmocka_unit_test(the_log_is_never_torn),
        cmocka_unit_test(the_window_keeps_generations_apart),
        cmocka_unit_test(results_beyond_what_can_wait_are_left_out),
        cmocka_unit_test(the_last_token_goes_once),
        cmocka_unit_test(what_is_read_and_changed_is_of_one_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
