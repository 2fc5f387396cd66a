/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decision costs. The figures to hold: acquire and report on a closed circuit at most 25 ns on one thread, a
 * decision about a retry at most 10 ns, tokens from a bucket at most 25 ns, a slot of a bulkhead taken and given back
 * at most 25 ns an operation. */
#include <pthread.h>
#include <stddef.h>

#include <duress/policy/breaker.h>
#include <duress/policy/bucket.h>
#include <duress/policy/bulkhead.h>
#include <duress/policy/retry.h>
#include <duress/policy/retry_budget.h>

#include "bench.h"

#define CALLS UINT64_C(4000000)
#define THREADS 2

static void breaker_ready(struct duress_breaker *breaker, const struct duress_breaker_options *options)
{
    if (duress_breaker_init(breaker, options, NULL) != DURESS_OK)
        bench_fail("the breaker refuses its options");
}

/* One call after another, all of which succeed, a nanosecond apart. */
static void breaker_succeed(void *context, uint64_t iterations)
{
    struct duress_breaker *breaker = context;
    for (uint64_t now_ns = 1; now_ns <= iterations; now_ns++) {
        struct duress_permit permit;
        if (duress_breaker_acquire(breaker, now_ns, &permit, NULL) != DURESS_ADMIT)
            bench_fail("a closed circuit refused");
        duress_breaker_report(breaker, permit, DURESS_OUTCOME_SUCCESS, now_ns);
    }
}

/* As above, but each second call fails: the count moves up and down. */
static void breaker_waver(void *context, uint64_t iterations)
{
    struct duress_breaker *breaker = context;
    for (uint64_t now_ns = 1; now_ns <= iterations; now_ns++) {
        struct duress_permit permit;
        if (duress_breaker_acquire(breaker, now_ns, &permit, NULL) != DURESS_ADMIT)
            bench_fail("a closed circuit refused");
        duress_breaker_report(breaker, permit, now_ns % 2 ? DURESS_OUTCOME_FAILURE : DURESS_OUTCOME_SUCCESS, now_ns);
    }
}

static void breaker_refuse(void *context, uint64_t iterations)
{
    struct duress_breaker *breaker = context;
    for (uint64_t i = 0; i < iterations; i++) {
        struct duress_permit permit;
        uint64_t retry_at_ns;
        if (duress_breaker_acquire(breaker, 1, &permit, &retry_at_ns) != DURESS_REFUSE_OPEN)
            bench_fail("an open circuit admitted");
        bench_keep(retry_at_ns);
    }
}

struct share {
    struct duress_breaker *breaker;
    uint64_t iterations;
    pthread_barrier_t *start;
};

static void *share_run(void *context)
{
    struct share *share = context;
    (void)pthread_barrier_wait(share->start);
    breaker_succeed(share->breaker, share->iterations);
    return NULL;
}

/* The time of one call of one thread while THREADS of them share the breaker. */
static void breaker_succeed_side_by_side(void *context, uint64_t iterations)
{
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    struct share share = {.breaker = context, .iterations = iterations, .start = &start};
    if (pthread_barrier_init(&start, NULL, THREADS) != 0)
        bench_fail("no barrier");
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, share_run, &share) != 0)
            bench_fail("no thread");
    }
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&start);
}

static void bench_breaker(void)
{
    struct duress_breaker breaker;
    breaker_ready(&breaker, NULL);
    double closed_ns = bench_time_each("breaker acquire+report, closed", CALLS, breaker_succeed, &breaker);
    bench_time_each("breaker acquire+report, closed, half of them failures", CALLS, breaker_waver, &breaker);

    struct bench_samples shared = {.name = "breaker acquire+report, closed, 2 threads", .unit = "ns"};
    bench_sample_each(&shared, CALLS / 4, breaker_succeed_side_by_side, &breaker);
    bench_print_against(&shared, "breaker acquire+report, closed", closed_ns);

    breaker_ready(&breaker, &(struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS});
    bench_time_each("breaker acquire+report, closed, rate of the last 100 calls", CALLS, breaker_succeed, &breaker);
    breaker_ready(&breaker, &(struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME});
    bench_time_each("breaker acquire+report, closed, rate of the last 10 s", CALLS, breaker_succeed, &breaker);

    breaker_ready(&breaker, &(struct duress_breaker_options){.failures_to_open = 1});
    struct duress_permit permit;
    (void)duress_breaker_acquire(&breaker, 1, &permit, NULL);
    duress_breaker_report(&breaker, permit, DURESS_OUTCOME_FAILURE, 1);
    bench_time_each("breaker acquire, open", CALLS, breaker_refuse, &breaker);
}

struct retry_bench {
    struct duress_retry_options options;
    struct duress_failure failure;
    struct duress_prng prng;
};

/* Calls of three failed attempts each: two decisions to wait and one to give up. */
static void retry_often(void *context, uint64_t iterations)
{
    struct retry_bench *bench = context;
    uint64_t decisions = 0;
    while (decisions < iterations) {
        struct duress_retry retry;
        struct duress_retry_decision decision;
        duress_retry_init(&retry, &bench->options);
        do {
            decision = duress_retry_decide(&retry, &bench->options, &bench->failure, true, DURESS_TIME_NEVER, decisions,
                                           &bench->prng);
            bench_keep(decision.at_ns);
            decisions++;
        } while (decision.verdict == DURESS_RETRY_WAIT);
    }
}

static void bench_retry(const char *name, enum duress_jitter jitter)
{
    struct retry_bench bench;
    struct duress_retry_options given = {.jitter = jitter};
    if (duress_retry_options_init(&bench.options, &given, NULL) != DURESS_OK)
        bench_fail("retry refuses its options");
    duress_failure_set(&bench.failure, DURESS_E_RESET, DURESS_ORIGIN_RECEIVE, NULL);
    duress_prng_init(&bench.prng, 1, 1);
    bench_time_each(name, CALLS, retry_often, &bench);
}

/* Ten deposits and one withdrawal: as much as the default share allows. */
static void budget_often(void *context, uint64_t iterations)
{
    struct duress_retry_budget *budget = context;
    for (uint64_t i = 0; i < iterations; i++) {
        duress_retry_budget_deposit(budget);
        if (i % 10 == 9 && !duress_retry_budget_withdraw(budget))
            bench_fail("the budget ran dry");
    }
}

static void bench_budget(void)
{
    struct duress_retry_budget budget;
    if (duress_retry_budget_init(&budget, NULL, NULL) != DURESS_OK)
        bench_fail("the budget refuses its options");
    bench_time_each("retry budget, a call's deposit and its share of a withdrawal", CALLS, budget_often, &budget);
}

struct bucket_bench {
    struct duress_bucket bucket;
    uint64_t now_ns;
};

/* A token a call, as fast as they come in: a nanosecond apart. */
static void bucket_take(void *context, uint64_t iterations)
{
    struct bucket_bench *bench = context;
    for (uint64_t i = 0; i < iterations; i++) {
        if (!duress_bucket_acquire(&bench->bucket, 1, ++bench->now_ns, NULL))
            bench_fail("the bucket ran dry");
    }
}

static void bucket_refuse(void *context, uint64_t iterations)
{
    struct bucket_bench *bench = context;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t ready_at_ns;
        if (duress_bucket_acquire(&bench->bucket, 1, bench->now_ns, &ready_at_ns))
            bench_fail("an empty bucket gave");
        bench_keep(ready_at_ns);
    }
}

static void bench_bucket(void)
{
    struct bucket_bench bench = {.now_ns = 1};
    struct duress_bucket_options fast = {.rate = 1000, .per_ns = DURESS_US, .burst = 10};
    struct duress_bucket_options odd = {.rate = 999983, .burst = 10};
    if (duress_bucket_init(&bench.bucket, &fast, NULL) != DURESS_OK)
        bench_fail("the bucket refuses its options");
    bench_time_each("token bucket acquire, granted", CALLS, bucket_take, &bench);
    if (duress_bucket_init(&bench.bucket, &odd, NULL) != DURESS_OK ||
        !duress_bucket_acquire(&bench.bucket, 10, bench.now_ns, NULL))
        bench_fail("the bucket refuses its options");
    bench_time_each("token bucket acquire, refused", CALLS, bucket_refuse, &bench);
}

/* Two operations an iteration. */
static void bulkhead_pass(void *context, uint64_t iterations)
{
    struct duress_bulkhead *bulkhead = context;
    for (uint64_t i = 0; i < iterations; i++) {
        if (!duress_bulkhead_acquire(bulkhead))
            bench_fail("an empty bulkhead refused");
        if (duress_bulkhead_release(bulkhead) != NULL)
            bench_fail("a bulkhead without a queue woke one");
    }
}

static void bulkhead_refuse(void *context, uint64_t iterations)
{
    struct duress_bulkhead *bulkhead = context;
    for (uint64_t i = 0; i < iterations; i++) {
        if (duress_bulkhead_acquire(bulkhead))
            bench_fail("a full bulkhead admitted");
    }
}

static void bench_bulkhead(void)
{
    struct duress_bulkhead bulkhead;
    if (duress_bulkhead_init(&bulkhead, &(struct duress_bulkhead_options){.limit = 1}, NULL) != DURESS_OK)
        bench_fail("the bulkhead refuses its options");
    bench_time_each("bulkhead acquire+release, uncontended", CALLS, bulkhead_pass, &bulkhead);
    if (!duress_bulkhead_acquire(&bulkhead))
        bench_fail("an empty bulkhead refused");
    bench_time_each("bulkhead acquire, refused", CALLS, bulkhead_refuse, &bulkhead);
}

int main(void)
{
    bench_breaker();
    bench_retry("retry decision, full jitter", DURESS_JITTER_FULL);
    bench_retry("retry decision, no jitter", DURESS_JITTER_NONE);
    bench_retry("retry decision, decorrelated jitter", DURESS_JITTER_DECORRELATED);
    bench_budget();
    bench_bucket();
    bench_bulkhead();
    return 0;
}
