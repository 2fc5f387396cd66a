/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket, rule by rule. */
#include "policy_test.h"

#include <duress/policy/bucket.h>

#define T0 (1000 * DURESS_S)
#define REFUSED DURESS_TIME_NEVER

static struct duress_bucket bucket_with(struct duress_bucket_options options)
{
    struct duress_bucket bucket;
    assert_int_equal(duress_bucket_init(&bucket, &options, NULL), DURESS_OK);
    return bucket;
}

static void takes(struct duress_bucket *bucket, uint32_t tokens, uint64_t now_ns)
{
    assert_true(duress_bucket_acquire(bucket, tokens, now_ns, NULL));
}

static void waits_until(struct duress_bucket *bucket, uint32_t tokens, uint64_t now_ns, uint64_t ready_ns)
{
    uint64_t told_ns = 0;
    assert_false(duress_bucket_acquire(bucket, tokens, now_ns, &told_ns));
    assert_int_equal(told_ns, ready_ns);
    assert_false(duress_bucket_acquire(bucket, tokens, now_ns, NULL));
}

static void starts_full_whatever_the_time(void **state)
{
    (void)state;
    static const uint64_t starts_ns[] = {0, 1, DURESS_MS, T0, UINT64_MAX / 2, DURESS_TIME_NEVER - 1};
    for (size_t i = 0; i < sizeof starts_ns / sizeof starts_ns[0]; i++) {
        struct duress_bucket bucket;
        assert_int_equal(duress_bucket_init(&bucket, NULL, NULL), DURESS_OK);
        assert_int_equal(duress_bucket_burst(&bucket), 10);
        for (uint32_t left = 10; left > 0; left--) {
            assert_int_equal(duress_bucket_tokens(&bucket, starts_ns[i]), left);
            takes(&bucket, 1, starts_ns[i]);
        }
        assert_int_equal(duress_bucket_tokens(&bucket, starts_ns[i]), 0);
        waits_until(&bucket, 1, starts_ns[i], duress_time_add(starts_ns[i], 100 * DURESS_MS));
    }
}

/* agenkit refuses a single waiter for ever, because the wait was cut to whole milliseconds (L2). */
static void tokens_are_there_at_the_instant_told_and_not_before_l2(void **state)
{
    (void)state;
    static const uint32_t rates[] = {3, 7, 10, 1500, 5000, 999983};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = rates[i], .burst = 1});
        uint64_t now_ns = T0;
        takes(&bucket, 1, now_ns);
        for (uint32_t token = 1; token <= 2 * rates[i] && token <= 20000; token++) {
            uint64_t ready_ns = duress_bucket_ready_ns(&bucket, 1, now_ns);
            waits_until(&bucket, 1, ready_ns - 1, ready_ns);
            takes(&bucket, 1, ready_ns);
            now_ns = ready_ns;
        }
        assert_in_range(now_ns - T0, duress_time_min(2 * DURESS_S, 20000 * DURESS_S / rates[i]), 2 * DURESS_S + 20000);
    }
}

/* A year of taking a thousand as soon as they are there, which at 3 a second is hardly ever a whole nanosecond. */
static void nothing_drifts_in_a_year(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 3, .burst = 2000});
    takes(&bucket, 2000, T0);
    for (uint64_t lot = 1; lot <= 94608; lot++) {
        uint64_t ready_ns = T0 + (lot * 1000 * DURESS_S + 2) / 3;
        waits_until(&bucket, 1000, ready_ns - 1, ready_ns);
        takes(&bucket, 1000, ready_ns);
    }
}

static void a_lot_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 10, .burst = 5});
    takes(&bucket, 3, T0);
    waits_until(&bucket, 4, T0, T0 + 200 * DURESS_MS);
    assert_int_equal(duress_bucket_tokens(&bucket, T0), 2);
    takes(&bucket, 2, T0);
    takes(&bucket, 0, T0);
    waits_until(&bucket, 6, T0 + DURESS_S, REFUSED); /* more than it ever holds */
    takes(&bucket, 5, T0 + 500 * DURESS_MS);
}

static void a_queue_is_told_when_its_turn_comes(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 10, .burst = 5});
    assert_int_equal(duress_bucket_ready_ns(&bucket, 5, T0), T0);
    assert_int_equal(duress_bucket_ready_ns(&bucket, 105, T0), T0 + 10 * DURESS_S);
    takes(&bucket, 5, T0);
    assert_int_equal(duress_bucket_ready_ns(&bucket, 0, T0), T0);
    assert_int_equal(duress_bucket_ready_ns(&bucket, 1, T0 + 50 * DURESS_MS), T0 + 100 * DURESS_MS);
    assert_int_equal(duress_bucket_ready_ns(&bucket, 1000000, T0), T0 + 100000 * DURESS_S);
    uint64_t tokens_most = (UINT64_C(1) << 61) / (DURESS_S / 10);
    assert_int_equal(duress_bucket_ready_ns(&bucket, tokens_most, T0), T0 + tokens_most * (DURESS_S / 10));
    assert_int_equal(duress_bucket_ready_ns(&bucket, tokens_most + 1, T0), DURESS_TIME_NEVER);
    assert_int_equal(duress_bucket_ready_ns(&bucket, UINT64_MAX, T0), DURESS_TIME_NEVER);
    assert_int_equal(duress_bucket_ready_ns(&bucket, 1, DURESS_TIME_NEVER - 1), DURESS_TIME_NEVER - 1);
}

/* agenkit's bucket goes far below zero when the clock is set back (L3). */
static void an_earlier_clock_takes_what_had_come_in_by_then_l3(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 10, .burst = 10});
    takes(&bucket, 9, T0 + 60 * DURESS_S);
    waits_until(&bucket, 1, T0, T0 + 60 * DURESS_S);
    assert_int_equal(duress_bucket_tokens(&bucket, T0), 0);
    takes(&bucket, 1, T0 + 60 * DURESS_S);
    takes(&bucket, 1, T0 + 60100 * DURESS_MS);
    waits_until(&bucket, 1, T0 + 60100 * DURESS_MS, T0 + 60200 * DURESS_MS);
}

static void what_is_given_back_at_once_can_be_taken_by_others(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 10, .burst = 3});
    takes(&bucket, 2, T0);
    takes(&bucket, 1, T0);
    duress_bucket_give_back(&bucket, 2, T0, T0);
    assert_int_equal(duress_bucket_tokens(&bucket, T0), 2);
    takes(&bucket, 2, T0);
    waits_until(&bucket, 1, T0, T0 + 100 * DURESS_MS);
    duress_bucket_give_back(&bucket, 100, T0, T0); /* never more than full */
    takes(&bucket, 3, T0);
    waits_until(&bucket, 1, T0, T0 + 100 * DURESS_MS);
    bucket = bucket_with((struct duress_bucket_options){.rate = 1, .per_ns = 24 * 3600 * DURESS_S, .burst = 3});
    takes(&bucket, 3, T0);
    duress_bucket_give_back(&bucket, 200000, T0, T0); /* nor where that is more ticks than can be counted */
    assert_int_equal(duress_bucket_tokens(&bucket, T0), 3);
}

/* The bucket was full again before the tokens came back: as many as came in meanwhile would have been lost. */
static void what_is_given_back_late_makes_no_second_burst(void **state)
{
    (void)state;
    struct duress_bucket bucket = bucket_with((struct duress_bucket_options){.rate = 10, .burst = 10});
    takes(&bucket, 10, T0);
    takes(&bucket, 4, T0 + DURESS_S);
    duress_bucket_give_back(&bucket, 10, T0, T0 + DURESS_S);
    assert_int_equal(duress_bucket_tokens(&bucket, T0 + DURESS_S), 6);
    takes(&bucket, 6, T0 + DURESS_S);
    duress_bucket_give_back(&bucket, 10, T0, T0); /* nor by a caller whose clock was read before */
    waits_until(&bucket, 1, T0 + DURESS_S, T0 + 1100 * DURESS_MS);
    takes(&bucket, 5, T0 + 1500 * DURESS_MS);
    duress_bucket_give_back(&bucket, 5, T0 + 1500 * DURESS_MS, T0 + 1700 * DURESS_MS);
    assert_int_equal(duress_bucket_tokens(&bucket, T0 + 1700 * DURESS_MS), 5); /* 3 of it, and 2 that came in */
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct duress_bucket_options options;
        const char *detail;
    } all[] = {
        {{.rate = 1000001}, "bucket.rate: 1000001 given, allowed 1 to 1000000"},
        {{.burst = 1000001}, "bucket.burst: 1000001 given, allowed 1 to 1000000"},
        {{.per_ns = 999}, "bucket.per_ns: 999 given, allowed 1000 to 86400000000000"},
        {{.per_ns = 86400000000001}, "bucket.per_ns: 86400000000001 given, allowed 1000 to 86400000000000"},
        /* a bucket of 36 years */
        {{.rate = 1, .per_ns = 86400000000000, .burst = 13344}, "bucket.burst: 13344 given, allowed 1 to 13343"},
    };
    struct duress_bucket bucket;
    struct duress_failure why;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(duress_bucket_init(&bucket, &all[i].options, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, all[i].detail);
        assert_int_equal(duress_bucket_init(&bucket, &all[i].options, NULL), DURESS_E_INVALID);
    }
    assert_int_equal(duress_bucket_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "bucket: NULL given, must be a pointer");
    bucket = bucket_with((struct duress_bucket_options){.rate = 1000000, .per_ns = 1000, .burst = 1000000});
    takes(&bucket, 1000000, T0);
    waits_until(&bucket, 1000, T0, T0 + 1);
    bucket = bucket_with((struct duress_bucket_options){.rate = 1, .per_ns = 86400000000000, .burst = 13343});
    takes(&bucket, 13343, T0);
    waits_until(&bucket, 1, T0, T0 + 24 * 3600 * DURESS_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_full_whatever_the_time),
        cmocka_unit_test(tokens_are_there_at_the_instant_told_and_not_before_l2),
        cmocka_unit_test(nothing_drifts_in_a_year),
        cmocka_unit_test(a_lot_is_taken_whole_or_not_at_all),
        cmocka_unit_test(a_queue_is_told_when_its_turn_comes),
        cmocka_unit_test(an_earlier_clock_takes_what_had_come_in_by_then_l3),
        cmocka_unit_test(what_is_given_back_at_once_can_be_taken_by_others),
        cmocka_unit_test(what_is_given_back_late_makes_no_second_burst),
        cmocka_unit_test(bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
