/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket shared by threads. Goal: no stretch of time has more tokens than burst + rate * T, by the callers'
 * own instants, also where some give back what they took; and none is lost or made. Method: four threads take on a
 * virtual clock that all of them push forward, and write down what they got; afterwards all of it is put in order of
 * time and poured into an exact bucket. Run under ThreadSanitizer as well. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "policy_test.h"

#include <duress/policy/bucket.h>
#include <duress/prng.h>

#define THREADS 4
#define TRIES_EACH 50000

struct take {
    uint64_t at_ns;
    uint32_t tokens;
};

struct crowd {
    struct duress_bucket bucket;
    struct duress_bucket_options options;
    atomic_uint_fast64_t now_ns;
    atomic_uint_fast64_t seeds;
    atomic_uint_fast64_t count;
    uint64_t step_ns_max;
    uint32_t give_back_ppm;
    struct take takes[THREADS * TRIES_EACH]; /* what was taken and kept */
};

static struct crowd the_crowd;

static void *taker_run(void *context)
{
    struct crowd *crowd = context;
    struct duress_prng prng;
    duress_prng_init(&prng, atomic_fetch_add(&crowd->seeds, 1), 1);
    for (int i = 0; i < TRIES_EACH; i++) {
        uint64_t now_ns = atomic_fetch_add(&crowd->now_ns, duress_prng_below(&prng, crowd->step_ns_max + 1));
        uint32_t tokens = 1 + (uint32_t)duress_prng_below(&prng, 3);
        if (!duress_bucket_acquire(&crowd->bucket, tokens, now_ns, NULL))
            continue;
        if (duress_prng_chance(&prng, crowd->give_back_ppm))
            duress_bucket_give_back(&crowd->bucket, tokens, now_ns,
                                    duress_prng_chance(&prng, 500000) ? now_ns : atomic_load(&crowd->now_ns));
        else
            crowd->takes[atomic_fetch_add(&crowd->count, 1)] = (struct take){.at_ns = now_ns, .tokens = tokens};
    }
    return NULL;
}

static int take_compare(const void *a, const void *b)
{
    const struct take *one = a;
    const struct take *other = b;
    return (one->at_ns > other->at_ns) - (one->at_ns < other->at_ns);
}

/* Every stretch keeps the bound exactly where the exact bucket never runs dry. Returns the tokens taken. */
static uint64_t takes_check(struct crowd *crowd)
{
    __extension__ typedef __int128 wide;
    wide full = (wide)crowd->options.burst * (wide)crowd->options.per_ns;
    wide level = full;
    uint64_t tokens = 0;
    uint64_t last_ns = 0;
    qsort(crowd->takes, crowd->count, sizeof crowd->takes[0], take_compare);
    for (uint64_t i = 0; i < crowd->count; i++) {
        const struct take *take = &crowd->takes[i];
        level += (wide)(take->at_ns - last_ns) * crowd->options.rate;
        level = level > full ? full : level;
        level -= (wide)take->tokens * (wide)crowd->options.per_ns;
        assert_true(level >= 0);
        last_ns = take->at_ns;
        tokens += take->tokens;
    }
    return tokens;
}

static uint64_t crowd_run(struct crowd *crowd, struct duress_bucket_options options, uint64_t step_ns_max,
                          uint32_t give_back_ppm)
{
    pthread_t threads[THREADS];
    assert_int_equal(duress_bucket_init(&crowd->bucket, &options, NULL), DURESS_OK);
    crowd->options = options;
    crowd->step_ns_max = step_ns_max;
    crowd->give_back_ppm = give_back_ppm;
    atomic_store(&crowd->now_ns, DURESS_S);
    atomic_store(&crowd->count, 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, taker_run, crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    return takes_check(crowd);
}

static void no_stretch_has_more_than_burst_and_rate(void **state)
{
    (void)state;
    static const struct duress_bucket_options all[] = {
        {.rate = 999983, .burst = 10, .per_ns = DURESS_S},       /* often empty */
        {.rate = 1700, .burst = 5, .per_ns = DURESS_US},         /* often full */
        {.rate = 7, .burst = 3, .per_ns = 9973},                 /* about as fast as they are taken */
        {.rate = 1000000, .burst = 100000, .per_ns = DURESS_MS}, /* hardly ever empty */
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint64_t tokens = crowd_run(&the_crowd, all[i], 200, 0);
        uint64_t stretch_ns = atomic_load(&the_crowd.now_ns) - DURESS_S;
        uint64_t allowed = all[i].burst + stretch_ns / 1000 * all[i].rate / (all[i].per_ns / 1000);
        uint64_t wanted = UINT64_C(2) * THREADS * TRIES_EACH;
        assert_in_range(tokens, duress_time_min(allowed, wanted) / 3, UINT64_MAX); /* and it lets calls through */
    }
}

static void nor_where_tokens_are_given_back(void **state)
{
    (void)state;
    struct duress_bucket_options slow = {.rate = 7, .burst = 5, .per_ns = 9973};
    struct duress_bucket_options fast = {.rate = 700, .burst = 5, .per_ns = 9973};
    assert_in_range(crowd_run(&the_crowd, slow, 200, 300000), 1000, UINT64_MAX);
    assert_in_range(crowd_run(&the_crowd, fast, 200, 300000), 1000, UINT64_MAX);
}

/* Time stands still: what was not kept is there in the end. */
static void no_token_is_lost_or_made(void **state)
{
    (void)state;
    struct duress_bucket_options options = {.rate = 1, .burst = 500000, .per_ns = DURESS_S};
    uint64_t tokens = crowd_run(&the_crowd, options, 0, 700000);
    assert_in_range(tokens, 50000, 500000);
    assert_int_equal(duress_bucket_tokens(&the_crowd.bucket, DURESS_S), 500000 - tokens);
    options.burst = 1000;
    assert_int_equal(crowd_run(&the_crowd, options, 0, 700000), 1000);
    assert_int_equal(duress_bucket_tokens(&the_crowd.bucket, DURESS_S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_stretch_has_more_than_burst_and_rate),
        cmocka_unit_test(nor_where_tokens_are_given_back),
        cmocka_unit_test(no_token_is_lost_or_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
