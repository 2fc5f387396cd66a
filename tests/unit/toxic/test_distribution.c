/* SPDX-License-Identifier: Apache-2.0
 *
 * Delays by distribution: beside the same rules in floating point, beside the theory, and pinned, so that they are the
 * same with every compiler. */
#include "link_rig.h"

#include <math.h>

#include "distribution.h"

enum { DRAWS = 200000 };

static void assert_close(double value, double wanted, double slack)
{
    if (fabs(value - wanted) > slack)
        fail_msg("%f, wanted is %f", value, wanted);
}

static double fraction_of(struct duress_prng *prng)
{
    return (double)((duress_prng_next(prng) >> 32) + 1) / 4294967296.0;
}

static void pareto_is_inversion(void **unused)
{
    (void)unused;
    static const uint64_t shapes[] = {50, 100, 137, 200, 350, 5000};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct duress_prng prng;
        struct duress_prng plain;
        duress_prng_init(&prng, 3, i);
        duress_prng_init(&plain, 3, i);
        for (int draw = 0; draw < 20000; draw++) {
            double wanted = 20e6 * pow(fraction_of(&plain), -100.0 / (double)shapes[i]);
            uint64_t delay_ns = duress__draw_pareto_ns(&prng, 20 * DURESS_MS, shapes[i], 0);
            if (wanted > 1e19)
                continue;
            assert_close((double)delay_ns / wanted, 1, 1e-5);
        }
    }
}

static void pareto_keeps_its_limits(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    duress_prng_init(&prng, 3, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        assert_in_range(duress__draw_pareto_ns(&prng, 20 * DURESS_MS, 100, DURESS_S), 20 * DURESS_MS, DURESS_S);
        assert_true(duress__draw_pareto_ns(&prng, DURESS_S, 1, 0) >= DURESS_S); /* beyond all clocks, mostly */
        assert_int_equal(duress__draw_pareto_ns(&prng, 0, 1, 0), 0);
    }
}

/* A share u of all is above least · u^(-1/shape). */
static void pareto_has_its_tail(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    unsigned above_4 = 0;
    unsigned above_10 = 0;
    duress_prng_init(&prng, 17, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        uint64_t delay_ns = duress__draw_pareto_ns(&prng, 1000000, 200, 0);
        above_4 += delay_ns > 4000000;
        above_10 += delay_ns > 10000000;
    }
    assert_close((double)above_4 / DRAWS, 1.0 / 16, 0.003);
    assert_close((double)above_10 / DRAWS, 1.0 / 100, 0.001);
}

/* Ratio of uniforms in floating point, on the same numbers. */
static double plain_normal(struct duress_prng *prng)
{
    for (;;) {
        double u = fraction_of(prng);
        double v = (double)duress_prng_below(prng, UINT64_C(3684067843) + 1) / 4294967296.0;
        double x = v / u;
        if (x * x <= -4 * log(u))
            return duress_prng_next(prng) % 2 == 0 ? -x : x;
    }
}

/* On the very edge of the region the two may take a point or not; then they go on with other numbers. */
static void normal_is_the_ratio_of_uniforms(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    unsigned different_count = 0;
    duress_prng_init(&prng, 23, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        struct duress_prng plain = prng;
        double wanted = 1e9 + 2e7 * plain_normal(&plain);
        uint64_t delay_ns = duress__draw_normal_ns(&prng, DURESS_S, 20 * DURESS_MS);
        different_count += fabs((double)delay_ns - wanted) > 1000;
    }
    assert_in_range(different_count, 0, 20);
}

static void normal_has_its_mean_deviation_and_tails(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    double sum = 0;
    double squares = 0;
    unsigned within[5] = {0};
    static const double wanted[5] = {0, 0.682689, 0.954500, 0.997300, 0.999937};
    duress_prng_init(&prng, 31, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        double off = ((double)duress__draw_normal_ns(&prng, DURESS_S, DURESS_MS) - 1e9) / 1e6;
        sum += off;
        squares += off * off;
        for (int i = 1; i < 5; i++)
            within[i] += fabs(off) <= i;
    }
    assert_close(sum / DRAWS, 0, 0.01);
    assert_close(squares / DRAWS, 1, 0.015);
    for (int i = 1; i < 5; i++)
        assert_close((double)within[i] / DRAWS, wanted[i], 0.0035 / i);
}

static void normal_stops_at_zero_and_at_never(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    unsigned zero_count = 0;
    duress_prng_init(&prng, 5, 0);
    for (int draw = 0; draw < 10000; draw++) {
        zero_count += duress__draw_normal_ns(&prng, 0, DURESS_S) == 0;
        (void)duress__draw_normal_ns(&prng, UINT64_MAX, UINT64_MAX);
        assert_int_equal(duress__draw_normal_ns(&prng, 12345, 0), 12345);
    }
    assert_in_range(zero_count, 4800, 5200);
}

static void quantiles_are_met(void **unused)
{
    (void)unused;
    const uint64_t quantiles_ns[DURESS_QUANTILE_COUNT] = {100, 2000, 5000, 20000, 80000, 300000};
    static const double shares[DURESS_QUANTILE_COUNT] = {0, 0.5, 0.9, 0.99, 0.999, 1};
    struct duress_prng prng;
    unsigned below[DURESS_QUANTILE_COUNT] = {0};
    duress_prng_init(&prng, 5, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        uint64_t delay_ns = duress__draw_quantiles_ns(&prng, quantiles_ns);
        assert_in_range(delay_ns, 100, 300000);
        for (int i = 0; i < DURESS_QUANTILE_COUNT; i++)
            below[i] += delay_ns <= quantiles_ns[i];
    }
    for (int i = 0; i < DURESS_QUANTILE_COUNT; i++)
        assert_close((double)below[i] / DRAWS, shares[i], 0.003);
}

static void quantiles_that_were_not_measured_lie_between(void **unused)
{
    (void)unused;
    const uint64_t line_ns[DURESS_QUANTILE_COUNT] = {0, 0, 0, 99000, 0, 0};
    struct duress_prng prng;
    unsigned below_half = 0;
    unsigned at_end = 0;
    duress_prng_init(&prng, 5, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        uint64_t delay_ns = duress__draw_quantiles_ns(&prng, line_ns);
        assert_true(delay_ns <= 99000);
        below_half += delay_ns < 49500;
        at_end += delay_ns == 99000;
    }
    assert_close((double)below_half / DRAWS, 0.495, 0.005);
    assert_close((double)at_end / DRAWS, 0.01, 0.002);
    const uint64_t none_ns[DURESS_QUANTILE_COUNT] = {7, 0, 0, 0, 0, 0};
    assert_int_equal(duress__draw_quantiles_ns(&prng, none_ns), 7);
}

static void quantiles_that_fall_are_refused(void **unused)
{
    (void)unused;
    struct duress_failure why;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_LATENCY_QUANTILES);
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_OK);
    toxic.as.latency_quantiles.quantiles_ns[1] = 50;
    toxic.as.latency_quantiles.quantiles_ns[4] = 49;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail,
                        "latency_quantiles.quantiles_ns[4] is 49, allowed is 0, or 50 and more as the one before");
    toxic = toxic_of(1, DURESS_TOXIC_LATENCY_PARETO);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "latency_pareto.shape_hundredths is 0, allowed is 1 and more");
}

/* The same numbers with every compiler and on every machine, or replays from a seed would differ. */
static void draws_are_pinned(void **unused)
{
    (void)unused;
    const uint64_t quantiles_ns[DURESS_QUANTILE_COUNT] = {100, 2000, 5000, 20000, 80000, 300000};
    struct duress_prng prng;
    uint64_t hash = 0;
    duress_prng_init(&prng, 2026, 0);
    for (int draw = 0; draw < 10000; draw++) {
        hash = duress_prng_mix(hash, duress__draw_normal_ns(&prng, DURESS_S, 20 * DURESS_MS));
        hash = duress_prng_mix(hash, duress__draw_pareto_ns(&prng, 20 * DURESS_MS, 150, 0));
        hash = duress_prng_mix(hash, duress__draw_quantiles_ns(&prng, quantiles_ns));
    }
    assert_int_equal(hash, UINT64_C(0xb26ec2768cf35ccf));
}

/* As toxics: the delay counts from the arrival, and order is kept. */
static void chunks_leave_by_the_distribution(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_LATENCY_QUANTILES);
    toxic.as.latency_quantiles.quantiles_ns[0] = 30 * DURESS_MS;
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 20 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@30 20@50");
    toxic = toxic_of(2, DURESS_TOXIC_LATENCY_NORMAL);
    toxic.as.latency_normal.latency_ns = 5 * DURESS_MS;
    rig_add(&rig, toxic);
    toxic = toxic_of(3, DURESS_TOXIC_LATENCY_PARETO);
    toxic.as.latency_pareto.latency_ns = 1 * DURESS_MS;
    toxic.as.latency_pareto.shape_hundredths = 200;
    toxic.as.latency_pareto.limit_ns = 1 * DURESS_MS;
    rig_add(&rig, toxic);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@30 20@50 7@1036");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pareto_is_inversion),
        cmocka_unit_test(pareto_keeps_its_limits),
        cmocka_unit_test(pareto_has_its_tail),
        cmocka_unit_test(normal_is_the_ratio_of_uniforms),
        cmocka_unit_test(normal_has_its_mean_deviation_and_tails),
        cmocka_unit_test(normal_stops_at_zero_and_at_never),
        cmocka_unit_test(quantiles_are_met),
        cmocka_unit_test(quantiles_that_were_not_measured_lie_between),
        cmocka_unit_test(quantiles_that_fall_are_refused),
        cmocka_unit_test(draws_are_pinned),
        cmocka_unit_test(chunks_leave_by_the_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
