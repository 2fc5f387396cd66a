/* SPDX-License-Identifier: Apache-2.0
 *
 * An empty function that succeeds, through the blocking door: behind a closed circuit breaker, and behind a retry of
 * three attempts. What libraries of other languages need for the same stands in bench/peers/go and bench/peers/python.
 * Prints "name nanoseconds", a line a sample. */
#include <stdio.h>

#include <bench.h>

#include <duress/middleware/guard.h>

static int work(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    bench_keep((uintptr_t)context ^ attempt ^ deadline_ns);
    return DURESS_OK;
}

static void run_often(void *context, uint64_t iterations)
{
    struct duress_guard_call call = {.idempotent = true};
    for (uint64_t i = 0; i < iterations; i++)
        if (duress_guard_run(context, work, context, &call, NULL) != DURESS_OK)
            bench_fail("a run of the guard failed");
}

static void measure(const char *name, const struct duress_guard_options *options)
{
    struct duress_guard guard;
    struct bench_samples samples = {.name = name, .unit = "ns"};
    if (duress_guard_init(&guard, options, NULL) != DURESS_OK)
        bench_fail("cannot make the guard");
    bench_sample_each(&samples, 1000000, run_often, &guard);
    for (size_t i = 0; i < samples.count; i++)
        (void)printf("%s %.6g\n", name, samples.values[i]);
}

int main(void)
{
    static struct duress_breaker breaker;
    static const struct duress_retry_options retry = {.attempts_max = 3};
    if (duress_breaker_init(&breaker, NULL, NULL) != DURESS_OK)
        bench_fail("cannot make the breaker");
    measure("breaker:duress", &(struct duress_guard_options){.clock = duress_clock_live(), .breaker = &breaker});
    measure("retry:duress", &(struct duress_guard_options){.clock = duress_clock_live(), .retry = &retry});
    return 0;
}
