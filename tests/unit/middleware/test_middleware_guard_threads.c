/* SPDX-License-Identifier: Apache-2.0
 *
 * One guard, one breaker and one budget under many threads: for the thread sanitizer, and for sums that must come out.
 * The live clock is looked at here too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include <duress/middleware/guard.h>

enum { THREAD_COUNT = 8, RUNS_PER_THREAD = 5000 };

struct worker {
    pthread_t thread;
    struct duress_guard *guard;
    uint32_t number;
    uint64_t calls;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t refused;
};

static int worker_do(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    struct worker *worker = context;
    (void)deadline_ns;
    worker->calls++;
    return (worker->calls + worker->number + attempt) % 5 == 0 ? DURESS_E_REFUSED : DURESS_OK;
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    struct duress_failure failure;
    for (int i = 0; i < RUNS_PER_THREAD; i++) {
        int error = duress_guard_run(worker->guard, worker_do, worker, NULL, &failure);
        worker->succeeded += error == DURESS_OK;
        worker->refused += error == DURESS_E_CIRCUIT_OPEN;
        worker->failed += error == DURESS_E_REFUSED;
    }
    return NULL;
}

static void the_sums_of_many_threads_come_out(void **state)
{
    static const struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 1};
    static struct worker workers[THREAD_COUNT];
    static struct duress_breaker breaker;
    struct duress_retry_budget budget;
    struct duress_guard guard;
    struct duress_breaker_options open_late = {.failures_to_open = 4, .recovery_ns = 20 * DURESS_US};
    (void)state;
    assert_int_equal(duress_breaker_init(&breaker, &open_late, NULL), DURESS_OK);
    assert_int_equal(duress_retry_budget_init(&budget, NULL, NULL), DURESS_OK);
    struct duress_guard_options options = {
        .clock = duress_clock_live(),
        .retry = &retry,
        .retry_budget = &budget,
        .breaker = &breaker,
    };
    assert_int_equal(duress_guard_init(&guard, &options, NULL), DURESS_OK);
    for (uint32_t i = 0; i < THREAD_COUNT; i++) {
        workers[i] = (struct worker){.guard = &guard, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    struct worker sum = {.guard = NULL};
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        sum.calls += workers[i].calls;
        sum.succeeded += workers[i].succeeded;
        sum.failed += workers[i].failed;
        sum.refused += workers[i].refused;
    }
    struct duress_guard_counts counts = duress_guard_counts(&guard);
    struct duress_breaker_snapshot policy;
    duress_breaker_snapshot(&breaker, &policy);
    assert_int_equal(counts.begun, THREAD_COUNT * RUNS_PER_THREAD);
    assert_int_equal(counts.in_flight, 0);
    assert_int_equal(counts.succeeded, sum.succeeded);
    assert_int_equal(counts.failed, sum.failed);
    assert_int_equal(counts.refused, sum.refused);
    assert_int_equal(counts.attempts, sum.calls);
    assert_int_equal(policy.counters.admitted, sum.calls);
    assert_int_equal(policy.counters.admitted, policy.counters.successes + policy.counters.failures);
}

static void the_live_clock_never_wakes_early(void **state)
{
    const struct duress_clock *clock = duress_clock_live();
    (void)state;
    for (int i = 0; i < 20; i++) {
        uint64_t at_ns = clock->now_ns(clock->context) + 200 * DURESS_US;
        clock->wait_until_ns(clock->context, at_ns);
        assert_true(clock->now_ns(clock->context) >= at_ns);
    }
    clock->wait_until_ns(clock->context, 1); /* long past: returns at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sums_of_many_threads_come_out),
        cmocka_unit_test(the_live_clock_never_wakes_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
