/* SPDX-License-Identifier: Apache-2.0
 *
 * The adaptive limit, rule by rule, beside the formulas of its header in floating point, and in a loop with a service
 * that bears so many calls and no more. */
#include "policy_test.h"

#include <math.h>

#include <duress/policy/adaptive_limit.h>
#include <duress/prng.h>

static struct duress_adaptive_limit limit_with(struct duress_adaptive_limit_options options)
{
    struct duress_adaptive_limit adaptive;
    assert_int_equal(duress_adaptive_limit_init(&adaptive, &options, NULL), DURESS_OK);
    return adaptive;
}

/* A window of ten calls that ends with the last of them. */
static uint32_t window(struct duress_adaptive_limit *adaptive, uint64_t *now_ns, uint64_t took_ns, uint32_t in_use,
                       uint32_t dropped_count)
{
    uint32_t limit = 0;
    for (uint32_t i = 0; i < 10; i++) {
        limit = duress_adaptive_limit_sample(adaptive, *now_ns, took_ns, in_use, i < dropped_count);
        *now_ns += i < 9 ? DURESS_S / 9 + 1 : 1;
    }
    return limit;
}

static void a_window_needs_time_and_samples(void **state)
{
    (void)state;
    struct duress_adaptive_limit adaptive = limit_with((struct duress_adaptive_limit_options){
        .rule = DURESS_ADAPTIVE_AIMD,
        .limit_initial = 10,
    });
    for (uint64_t i = 0; i < 100; i++) /* many samples, but within one window */
        assert_int_equal(duress_adaptive_limit_sample(&adaptive, i * DURESS_MS, DURESS_MS, 10, false), 10);
    assert_int_equal(duress_adaptive_limit_sample(&adaptive, DURESS_S - 1, DURESS_MS, 10, false), 10);
    assert_int_equal(duress_adaptive_limit_sample(&adaptive, DURESS_S, DURESS_MS, 10, false), 11);
    for (uint64_t i = 0; i < 9; i++) /* long enough, but too few */
        assert_int_equal(duress_adaptive_limit_sample(&adaptive, (10 + i) * DURESS_S, DURESS_MS, 10, false), 11);
    assert_int_equal(duress_adaptive_limit_sample(&adaptive, 30 * DURESS_S, DURESS_MS, 10, false), 12);
}

static void additive_increase_and_multiplicative_decrease(void **state)
{
    (void)state;
    struct duress_adaptive_limit adaptive = limit_with((struct duress_adaptive_limit_options){
        .rule = DURESS_ADAPTIVE_AIMD,
        .limit_initial = 20,
        .limit_min = 15,
        .limit_max = 22,
    });
    uint64_t now_ns = DURESS_S;
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 9, 0), 20); /* less than half of it was in use */
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 10, 0), 21);
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 21, 0), 22);
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 22, 0), 22); /* limit_max */
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 1, 1), 19);  /* 22 * 0.9 */
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 1, 10), 17); /* 19.8 * 0.9 = 17.82 */
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 1, 1), 16);
    assert_int_equal(window(&adaptive, &now_ns, DURESS_MS, 1, 1), 15); /* limit_min */
}

static void the_gradient_follows_its_formula(void **state)
{
    (void)state;
    struct duress_prng prng;
    duress_prng_init(&prng, 7, 1);
    struct duress_adaptive_limit adaptive = limit_with((struct duress_adaptive_limit_options){
        .long_windows = 20,
        .tolerance_ppm = 1200000,
        .limit_max = 1000,
    });
    double limit = 20;
    double average = 0;
    uint64_t now_ns = DURESS_S;
    for (int round = 1; round <= 2000; round++) {
        uint64_t took_ns = DURESS_MS + duress_prng_below(&prng, round % 100 < 30 ? 100 * DURESS_MS : 20 * DURESS_MS);
        bool dropped = duress_prng_below(&prng, 20) == 0;
        bool used = duress_prng_below(&prng, 10) > 0;
        if (round % 300 == 0)
            took_ns = 10 * DURESS_S;
        average += ((double)took_ns - average) / (round < 20 ? round : 20);
        if (average > 2 * (double)took_ns)
            average *= 0.9;
        double gradient = fmax(0.5, fmin(1, 1.2 * average / (double)took_ns));
        if (dropped)
            limit *= 0.9;
        else if (used)
            limit = limit * 0.8 + (limit * gradient + 4) * 0.2;
        limit = fmax(4, fmin(1000, limit));
        /* One sample dropped of ten: the average is of the others, which are equal. */
        uint32_t is = window(&adaptive, &now_ns, took_ns, used ? 1000 : 1, dropped ? 1 : 0);
        assert_true(fabs((double)is + 0.5 - limit) < 1.0);
        limit = (double)adaptive.limit_milli / 1000; /* rounding must not add up over two thousand rounds */
        average = (double)adaptive.long_ns;
    }
}

static void a_service_of_fifty_is_found_out(void **state)
{
    (void)state;
    /* Up to 50 at once take 10 ms each; more than that queue in it. */
    struct duress_adaptive_limit adaptive = limit_with((struct duress_adaptive_limit_options){.limit_initial = 4});
    uint64_t now_ns = DURESS_S;
    uint32_t limit = 4;
    for (int i = 0; i < 300; i++) {
        uint64_t took_ns = limit <= 50 ? 10 * DURESS_MS : 10 * DURESS_MS * limit / 50;
        limit = window(&adaptive, &now_ns, took_ns, limit, 0);
    }
    assert_in_range(limit, 50, 80);
    for (int i = 0; i < 60; i++) { /* it gets ten times slower */
        uint64_t took_ns = limit <= 5 ? 10 * DURESS_MS : 10 * DURESS_MS * limit / 5;
        limit = window(&adaptive, &now_ns, took_ns, limit, 0);
    }
    assert_in_range(limit, 4, 25);
}

static void odd_samples_do_no_harm(void **state)
{
    (void)state;
    struct duress_adaptive_limit adaptive = limit_with((struct duress_adaptive_limit_options){.limit_max = 1000000});
    uint64_t now_ns = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t took_ns = i % 3 == 0 ? 0 : UINT64_MAX;
        uint32_t limit = window(&adaptive, &now_ns, took_ns, UINT32_MAX, i % 7 == 0 ? 10 : 0);
        assert_in_range(limit, 4, 1000000);
    }
    adaptive = limit_with((struct duress_adaptive_limit_options){.window_ns = DURESS_ADAPTIVE_WINDOW_NS_MAX});
    for (uint32_t i = 1; i < UINT32_C(1) << 20; i++)
        (void)duress_adaptive_limit_sample(&adaptive, 5, UINT64_MAX, 20, false);
    assert_int_equal(adaptive.samples, (UINT32_C(1) << 20) - 1);
    (void)duress_adaptive_limit_sample(&adaptive, 5, UINT64_MAX, 20, false); /* the window is full */
    assert_int_equal(adaptive.samples, 0);
    /* Another thread is inside: the sample is dropped. */
    adaptive.busy.value = 1;
    assert_int_equal(duress_adaptive_limit_sample(&adaptive, 5, 1, 20, false), duress_adaptive_limit_limit(&adaptive));
    assert_int_equal(adaptive.samples, 0);
}

static void refused_with(struct duress_adaptive_limit_options options, const char *detail)
{
    struct duress_adaptive_limit adaptive;
    struct duress_failure why;
    assert_int_equal(duress_adaptive_limit_init(&adaptive, &options, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, detail);
    assert_int_equal(duress_adaptive_limit_init(&adaptive, &options, NULL), DURESS_E_INVALID);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    typedef struct duress_adaptive_limit_options options;
    struct duress_failure why;
    assert_int_equal(duress_adaptive_limit_init(NULL, NULL, &why), DURESS_E_INVALID);
    refused_with((options){.rule = (enum duress_adaptive_rule)2}, "adaptive_limit.rule: 2 given, allowed 0 to 1");
    refused_with((options){.limit_max = 1000001}, "adaptive_limit.limit_max: 1000001 given, allowed 1 to 1000000");
    refused_with((options){.limit_min = 201}, "adaptive_limit.limit_min: 201 given, allowed 1 to 200");
    refused_with((options){.limit_initial = 3}, "adaptive_limit.limit_initial: 3 given, allowed 4 to 200");
    refused_with((options){.window_ns = 3600 * DURESS_S + 1},
                 "adaptive_limit.window_ns: 3600000000001 given, allowed 1 to 3600000000000");
    refused_with((options){.samples_min = 1000001}, "adaptive_limit.samples_min: 1000001 given, allowed 1 to 1000000");
    refused_with((options){.backoff_ppm = 1000000},
                 "adaptive_limit.backoff_ppm: 1000000 given, allowed 500000 to 999999");
    refused_with((options){.smoothing_ppm = 1000001},
                 "adaptive_limit.smoothing_ppm: 1000001 given, allowed 1 to 1000000");
    refused_with((options){.tolerance_ppm = 999999},
                 "adaptive_limit.tolerance_ppm: 999999 given, allowed 1000000 to 10000000");
    refused_with((options){.queue_allowance = 201}, "adaptive_limit.queue_allowance: 201 given, allowed 1 to 200");
    refused_with((options){.long_windows = 1}, "adaptive_limit.long_windows: 1 given, allowed 2 to 100000");
    options aimd = {.rule = DURESS_ADAPTIVE_AIMD, .smoothing_ppm = 1};
    refused_with(aimd, "adaptive_limit.smoothing_ppm: 1 given, must be 0 with additive increase");
    aimd = (options){.rule = DURESS_ADAPTIVE_AIMD, .tolerance_ppm = 2};
    refused_with(aimd, "adaptive_limit.tolerance_ppm: 2 given, must be 0 with additive increase");
    aimd = (options){.rule = DURESS_ADAPTIVE_AIMD, .queue_allowance = 3};
    refused_with(aimd, "adaptive_limit.queue_allowance: 3 given, must be 0 with additive increase");
    aimd = (options){.rule = DURESS_ADAPTIVE_AIMD, .long_windows = 4};
    refused_with(aimd, "adaptive_limit.long_windows: 4 given, must be 0 with additive increase");
}

static void defaults_fit_together(void **state)
{
    (void)state;
    struct duress_adaptive_limit adaptive;
    assert_int_equal(duress_adaptive_limit_init(&adaptive, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_adaptive_limit_limit(&adaptive), 20);
    adaptive = limit_with((struct duress_adaptive_limit_options){.limit_max = 2});
    assert_int_equal(duress_adaptive_limit_limit(&adaptive), 2);
    assert_int_equal(adaptive.options.limit_min, 2);
    assert_int_equal(adaptive.options.queue_allowance, 2);
    adaptive = limit_with((struct duress_adaptive_limit_options){.limit_min = 30});
    assert_int_equal(duress_adaptive_limit_limit(&adaptive), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_needs_time_and_samples),
        cmocka_unit_test(additive_increase_and_multiplicative_decrease),
        cmocka_unit_test(the_gradient_follows_its_formula),
        cmocka_unit_test(a_service_of_fifty_is_found_out),
        cmocka_unit_test(odd_samples_do_no_harm),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(defaults_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
