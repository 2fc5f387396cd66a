/* SPDX-License-Identifier: Apache-2.0
 *
 * What the blocking door costs where nothing goes wrong: deadline, retry with its budget, and breaker around a function
 * that does nothing, on the live clock. */
#include <bench.h>

#include <duress/middleware/guard.h>

static int work(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    bench_keep((uintptr_t)context ^ attempt ^ deadline_ns);
    return DURESS_OK;
}

static void run_often(void *context, uint64_t iterations)
{
    struct duress_guard *guard = context;
    struct duress_guard_call call = {.deadline_ns = duress_clock_live()->now_ns(NULL) + 3600 * DURESS_S};
    for (uint64_t i = 0; i < iterations; i++)
        if (duress_guard_run(guard, work, guard, &call, NULL) != DURESS_OK)
            bench_fail("a run of the guard failed");
}

int main(void)
{
    static const struct duress_retry_options retry = {.attempts_max = 3};
    static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    static struct duress_breaker breaker;
    static struct duress_retry_budget budget;
    struct duress_guard guard;
    struct duress_guard_options options = {
        .clock = duress_clock_live(),
        .retry = &retry,
        .retry_budget = &budget,
        .breaker = &breaker,
        .timeout = &timeout,
    };
    if (duress_breaker_init(&breaker, NULL, NULL) != DURESS_OK ||
        duress_retry_budget_init(&budget, NULL, NULL) != DURESS_OK ||
        duress_guard_init(&guard, &options, NULL) != DURESS_OK)
        bench_fail("cannot make the guard");
    (void)bench_time_each("blocking door around an empty function", 1000000, run_often, &guard);
    return 0;
}
