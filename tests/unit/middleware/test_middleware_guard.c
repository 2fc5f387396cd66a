/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking door, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <string.h>

#include <duress/middleware/guard.h>

/* A clock that stands still but for what the guarded function takes and what is waited. */
struct virtual_clock {
    struct duress_clock clock;
    uint64_t now_ns;
    uint64_t oversleep_ns;
    uint32_t waits;
};

static uint64_t virtual_now_ns(void *context)
{
    return ((const struct virtual_clock *)context)->now_ns;
}

static void virtual_wait_until_ns(void *context, uint64_t at_ns)
{
    struct virtual_clock *clock = context;
    assert_true(at_ns >= clock->now_ns);
    clock->now_ns = at_ns + clock->oversleep_ns;
    clock->waits++;
}

/* A function that takes |takes_ns| and returns |codes|, the last one for ever. */
struct work {
    struct virtual_clock clock;
    struct duress_guard guard;
    int codes[8];
    uint32_t code_count;
    uint64_t takes_ns;
    uint32_t calls;
    uint32_t last_attempt;
    uint64_t last_deadline_ns;
    uint64_t begun_ns[8];
    struct duress_failure failure;
};

static int work_do(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    struct work *work = context;
    work->last_attempt = attempt;
    work->last_deadline_ns = deadline_ns;
    if (work->calls < 8)
        work->begun_ns[work->calls] = work->clock.now_ns;
    uint32_t index = work->calls < work->code_count ? work->calls : work->code_count - 1;
    work->calls++;
    work->clock.now_ns += work->takes_ns;
    return work->code_count == 0 ? DURESS_OK : work->codes[index];
}

static struct work the_work;

static int setup(void **state)
{
    the_work = (struct work){.calls = 0};
    the_work.clock.clock = (struct duress_clock){&the_work.clock, virtual_now_ns, virtual_wait_until_ns};
    the_work.clock.now_ns = DURESS_S;
    *state = &the_work;
    return 0;
}

static void guard(struct work *work, struct duress_guard_options options)
{
    options.clock = &work->clock.clock;
    assert_int_equal(duress_guard_init(&work->guard, &options, NULL), DURESS_OK);
}

static int run(struct work *work, struct duress_guard_call call)
{
    return duress_guard_run(&work->guard, work_do, work, &call, &work->failure);
}

static const struct duress_retry_options retry = {
    .attempts_max = 4,
    .backoff_ns = 100 * DURESS_MS,
    .jitter = DURESS_JITTER_NONE,
};
static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};

static void a_function_that_succeeds_is_called_once(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry, .timeout = &timeout});
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 10 * DURESS_S}), DURESS_OK);
    assert_int_equal(work->calls, 1);
    assert_int_equal(work->last_attempt, 1);
    assert_int_equal(work->last_deadline_ns, 2 * DURESS_S); /* the attempt's limit is nearer than the call's */
    assert_int_equal(duress_guard_run(&work->guard, work_do, work, NULL, NULL), DURESS_OK);
    struct duress_guard_counts counts = duress_guard_counts(&work->guard);
    assert_int_equal(counts.begun, 2);
    assert_int_equal(counts.succeeded, 2);
    assert_int_equal(counts.in_flight, 0);
}

static void transient_failures_are_ridden_out_with_growing_waits(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    work->codes[0] = work->codes[1] = DURESS_E_REFUSED;
    work->code_count = 3;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_OK);
    assert_int_equal(work->calls, 3);
    assert_int_equal(work->last_attempt, 3);
    assert_int_equal(work->begun_ns[1] - work->begun_ns[0], 100 * DURESS_MS);
    assert_int_equal(work->begun_ns[2] - work->begun_ns[1], 200 * DURESS_MS);
    assert_int_equal(duress_guard_counts(&work->guard).attempts, 3);
}

static void without_retry_the_first_failure_is_the_answer(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = NULL});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    assert_int_equal(run(work, (struct duress_guard_call){.idempotent = true}), DURESS_E_REFUSED);
    assert_int_equal(work->failure.attempts, 1);
    assert_int_equal(work->failure.origin, DURESS_ORIGIN_AGENT);
    assert_int_equal(work->last_deadline_ns, DURESS_TIME_NEVER);
    assert_int_equal(duress_guard_counts(&work->guard).failed, 1);
}

static void an_ambiguous_failure_is_repeated_only_for_idempotent_calls(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    work->codes[0] = DURESS_E_RESET;
    work->code_count = 1;
    assert_int_equal(run(work, (struct duress_guard_call){.idempotent = false}), DURESS_E_RESET);
    assert_int_equal(work->calls, 1);
    assert_true(work->failure.ambiguous);
    assert_int_equal(run(work, (struct duress_guard_call){.idempotent = true}), DURESS_E_RESET);
    assert_int_equal(work->calls, 1 + 4);
    assert_int_equal(work->failure.attempts, 4);
    assert_non_null(strstr(work->failure.detail, "gave up: attempts spent"));
}

/* agenkit's Go records it as a success (B8). */
static void a_late_return_is_reported_as_such_with_its_overrun(void **state)
{
    struct work *work = *state;
    uint64_t overrun_ns = 1;
    guard(work, (struct duress_guard_options){.timeout = &timeout});
    work->takes_ns = 1500 * DURESS_MS;
    assert_int_equal(run(work, (struct duress_guard_call){.overrun_ns = &overrun_ns}), DURESS_E_DEADLINE);
    assert_int_equal(overrun_ns, 500 * DURESS_MS);
    assert_int_equal(work->failure.origin, DURESS_ORIGIN_TIMEOUT);
    assert_true(work->failure.ambiguous);
    assert_string_equal(work->failure.detail, "returned 500000 us after its deadline, with OK");
    struct duress_guard_counts counts = duress_guard_counts(&work->guard);
    assert_int_equal(counts.late, 1);
    assert_int_equal(counts.overrun_ns_max, 500 * DURESS_MS);
    assert_int_equal(counts.timed_out, 1);
    work->takes_ns = DURESS_S; /* exactly on time */
    assert_int_equal(run(work, (struct duress_guard_call){.overrun_ns = &overrun_ns}), DURESS_OK);
    assert_int_equal(overrun_ns, 0);
}

static void no_wait_reaches_into_the_deadline(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    uint64_t begun_ns = work->clock.now_ns;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = begun_ns + 250 * DURESS_MS}),
                     DURESS_E_REFUSED);
    assert_int_equal(work->calls, 2); /* at 0 and 100 ms; the next would begin at 300 */
    assert_int_equal(work->clock.now_ns, begun_ns + 100 * DURESS_MS);
    assert_non_null(strstr(work->failure.detail, "deadline too near"));
}

static void a_machine_that_oversleeps_begins_nothing_after_the_deadline(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    work->clock.oversleep_ns = DURESS_S;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = work->clock.now_ns + DURESS_S}),
                     DURESS_E_REFUSED);
    assert_int_equal(work->calls, 1);
    assert_int_equal(work->failure.attempts, 1);
}

static void a_deadline_that_has_passed_calls_nothing(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = work->clock.now_ns}), DURESS_E_DEADLINE);
    assert_int_equal(work->calls, 0);
    assert_int_equal(work->failure.origin, DURESS_ORIGIN_CALLER);
    assert_false(work->failure.ambiguous);
    assert_int_equal(duress_guard_counts(&work->guard).timed_out, 1);
}

static void the_breaker_opens_and_refuses_without_a_call(void **state)
{
    struct work *work = *state;
    struct duress_breaker breaker;
    struct duress_breaker_options options = {.failures_to_open = 3, .recovery_ns = 10 * DURESS_S};
    assert_int_equal(duress_breaker_init(&breaker, &options, NULL), DURESS_OK);
    guard(work, (struct duress_guard_options){.breaker = &breaker});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_REFUSED);
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_CIRCUIT_OPEN);
    assert_int_equal(work->calls, 3);
    assert_int_equal(work->failure.origin, DURESS_ORIGIN_BREAKER);
    assert_int_equal(work->failure.retry_after_ns, 10 * DURESS_S);
    assert_false(work->failure.ambiguous);
    work->clock.now_ns += 10 * DURESS_S;
    work->codes[0] = DURESS_OK;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_OK);
    assert_int_equal(duress_breaker_state(&breaker), DURESS_BREAKER_CLOSED);
    assert_int_equal(duress_guard_counts(&work->guard).refused, 1);
}

static void late_returns_open_the_breaker(void **state)
{
    struct work *work = *state;
    struct duress_breaker breaker;
    struct duress_breaker_options options = {.failures_to_open = 2};
    assert_int_equal(duress_breaker_init(&breaker, &options, NULL), DURESS_OK);
    guard(work, (struct duress_guard_options){.breaker = &breaker, .timeout = &timeout});
    work->takes_ns = 2 * DURESS_S;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_DEADLINE);
    assert_int_equal(duress_breaker_state(&breaker), DURESS_BREAKER_OPEN);
}

static void a_spent_budget_ends_with_the_real_failure(void **state)
{
    struct work *work = *state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options small = {.capacity = 1, .deposit_milli = 1};
    assert_int_equal(duress_retry_budget_init(&budget, &small, NULL), DURESS_OK);
    guard(work, (struct duress_guard_options){.retry = &retry, .retry_budget = &budget});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_REFUSED);
    assert_int_equal(work->calls, 2);
    assert_non_null(strstr(work->failure.detail, "retry budget spent"));
    assert_int_equal(duress_guard_counts(&work->guard).budget_refusals, 1);
}

static void a_seed_replays_the_waits_and_runs_differ(void **state)
{
    struct work *work = *state;
    static const struct duress_retry_options jittered = {.attempts_max = 2, .backoff_ns = DURESS_S};
    uint64_t waits_ns[2][4];
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    for (int round = 0; round < 2; round++) {
        guard(work, (struct duress_guard_options){.retry = &jittered, .seed = 7});
        for (int i = 0; i < 4; i++) {
            uint64_t begun_ns = work->clock.now_ns;
            assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_REFUSED);
            waits_ns[round][i] = work->clock.now_ns - begun_ns;
        }
    }
    assert_memory_equal(waits_ns[0], waits_ns[1], sizeof waits_ns[0]);
    assert_int_not_equal(waits_ns[0][0], waits_ns[0][1]);
    assert_int_not_equal(waits_ns[0][1], waits_ns[0][2]);
}

static void a_code_outside_the_list_is_no_success(void **state)
{
    struct work *work = *state;
    guard(work, (struct duress_guard_options){.retry = &retry});
    static const int no_codes[] = {1, -DURESS_ERROR_NUMBER_END, INT_MIN};
    for (uint32_t i = 0; i < 3; i++) {
        work->codes[i] = no_codes[i];
        work->code_count = i + 1;
        assert_int_equal(run(work, (struct duress_guard_call){.idempotent = true}), DURESS_E_INVALID);
        assert_int_equal(work->calls, i + 1);
    }
}

static void bad_options_are_refused_by_name(void **state)
{
    struct work *work = *state;
    struct duress_failure why;
    struct duress_guard_options options = {.seed = 1};
    assert_int_equal(duress_guard_init(&work->guard, &options, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "clock"));
    struct duress_timeout_options gap = {.gap_ns = 1};
    options = (struct duress_guard_options){.clock = &work->clock.clock, .timeout = &gap};
    assert_int_equal(duress_guard_init(&work->guard, &options, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "gap_ns"));
    struct duress_retry_budget budget;
    options = (struct duress_guard_options){.clock = &work->clock.clock, .retry_budget = &budget};
    assert_int_equal(duress_guard_init(&work->guard, &options, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "retry_budget"));
    struct duress_retry_options many = {.attempts_max = DURESS_RETRY_ATTEMPTS_MAX + 1};
    options = (struct duress_guard_options){.clock = &work->clock.clock, .retry = &many};
    assert_int_equal(duress_guard_init(&work->guard, &options, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "attempts_max"));
    assert_int_equal(duress_guard_init(NULL, &options, &why), DURESS_E_INVALID);
    assert_int_equal(duress_guard_init(&work->guard, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_guard_run(NULL, work_do, work, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_guard_run(&work->guard, NULL, work, NULL, NULL), DURESS_E_INVALID);
}

static void a_breaker_that_probes_or_is_forced_open_says_so(void **state)
{
    struct work *work = *state;
    struct duress_breaker breaker;
    struct duress_permit probe;
    struct duress_breaker_options options = {.failures_to_open = 1, .recovery_ns = DURESS_S, .probes_max = 1};
    assert_int_equal(duress_breaker_init(&breaker, &options, NULL), DURESS_OK);
    guard(work, (struct duress_guard_options){.breaker = &breaker});
    work->codes[0] = DURESS_E_REFUSED;
    work->code_count = 1;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_REFUSED);
    work->clock.now_ns += DURESS_S;
    assert_int_equal(duress_breaker_acquire(&breaker, work->clock.now_ns, &probe, NULL), DURESS_ADMIT);
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_CIRCUIT_OPEN);
    assert_string_equal(work->failure.detail, "half-open: all probes are in flight");
    assert_true(work->failure.retry_after_ns > 0); /* the probe's lease */
    duress_breaker_force_open(&breaker, work->clock.now_ns);
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_CIRCUIT_OPEN);
    assert_string_equal(work->failure.detail, "open");
    assert_int_equal(work->failure.retry_after_ns, 0); /* nobody knows when */
    assert_int_equal(work->calls, 1);
}

static enum duress_outcome refusals_are_good(void *context, const struct duress_failure *failure)
{
    unsigned *asked = context;
    ++*asked;
    return failure->code == DURESS_E_REFUSED ? DURESS_OUTCOME_SUCCESS : DURESS_OUTCOME_FAILURE;
}

static void the_caller_may_say_what_the_breaker_counts(void **state)
{
    struct work *work = *state;
    struct duress_breaker breaker;
    unsigned asked = 0;
    struct duress_breaker_options options = {.failures_to_open = 2};
    assert_int_equal(duress_breaker_init(&breaker, &options, NULL), DURESS_OK);
    guard(work, (struct duress_guard_options){.breaker = &breaker, .outcome_of = refusals_are_good, .context = &asked});
    work->codes[0] = DURESS_E_REFUSED;
    work->codes[1] = DURESS_E_RESET;
    work->code_count = 2;
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_REFUSED);
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_RESET);
    assert_int_equal(duress_breaker_state(&breaker), DURESS_BREAKER_CLOSED);
    assert_int_equal(run(work, (struct duress_guard_call){.deadline_ns = 0}), DURESS_E_RESET);
    assert_int_equal(duress_breaker_state(&breaker), DURESS_BREAKER_OPEN);
    assert_int_equal(asked, 3);
    struct duress_breaker_snapshot seen;
    duress_breaker_snapshot(&breaker, &seen);
    assert_int_equal(seen.counters.successes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_function_that_succeeds_is_called_once, setup),
        cmocka_unit_test_setup(transient_failures_are_ridden_out_with_growing_waits, setup),
        cmocka_unit_test_setup(without_retry_the_first_failure_is_the_answer, setup),
        cmocka_unit_test_setup(an_ambiguous_failure_is_repeated_only_for_idempotent_calls, setup),
        cmocka_unit_test_setup(a_late_return_is_reported_as_such_with_its_overrun, setup),
        cmocka_unit_test_setup(no_wait_reaches_into_the_deadline, setup),
        cmocka_unit_test_setup(a_machine_that_oversleeps_begins_nothing_after_the_deadline, setup),
        cmocka_unit_test_setup(a_deadline_that_has_passed_calls_nothing, setup),
        cmocka_unit_test_setup(the_breaker_opens_and_refuses_without_a_call, setup),
        cmocka_unit_test_setup(late_returns_open_the_breaker, setup),
        cmocka_unit_test_setup(a_spent_budget_ends_with_the_real_failure, setup),
        cmocka_unit_test_setup(a_seed_replays_the_waits_and_runs_differ, setup),
        cmocka_unit_test_setup(a_code_outside_the_list_is_no_success, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(a_breaker_that_probes_or_is_forced_open_says_so, setup),
        cmocka_unit_test_setup(the_caller_may_say_what_the_breaker_counts, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
