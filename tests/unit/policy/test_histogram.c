/* SPDX-License-Identifier: Apache-2.0
 *
 * The histogram beside a sorted array of what was recorded. */
#include "policy_test.h"

#include <stdlib.h>
#include <string.h>

#include <duress/policy/histogram.h>
#include <duress/prng.h>

enum { SAMPLES_MAX = 3000 };

static const uint32_t shares_ppm[] = {0,      1,      1000,   10000,  250000, 500000,  750000,
                                      900000, 950000, 990000, 999000, 999999, 1000000, 4000000};

/* What the histogram stands for. */
struct model {
    uint64_t values[SAMPLES_MAX];
    size_t count;
};

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint64_t model_quantile(struct model *model, uint32_t share_ppm)
{
    if (model->count == 0)
        return 0;
    qsort(model->values, model->count, sizeof model->values[0], ascending);
    for (size_t i = 0; i < model->count; i++) { /* i + 1 of them are at most values[i] */
        if ((i + 1) * 1000000 >= model->count * share_ppm)
            return model->values[i];
    }
    return model->values[model->count - 1];
}

static void assert_close(const struct duress_histogram *histogram, uint64_t seen, uint64_t truth)
{
    if (truth > DURESS_HISTOGRAM_VALUE_MAX) {
        assert_int_equal(seen, histogram->max);
        return;
    }
    assert_true(seen >= truth);
    assert_true(seen - truth <= truth / 64);
}

static void assert_like_the_model(const struct duress_histogram *histogram, struct model *model)
{
    for (size_t i = 0; i < sizeof shares_ppm / sizeof shares_ppm[0]; i++)
        assert_close(histogram, duress_histogram_quantile(histogram, shares_ppm[i]),
                     model_quantile(model, shares_ppm[i]));
    struct duress_histogram_summary summary;
    duress_histogram_summary(histogram, &summary);
    uint64_t sum = 0;
    for (size_t i = 0; i < model->count; i++)
        sum = model->values[i] > UINT64_MAX - sum ? UINT64_MAX : sum + model->values[i];
    assert_int_equal(summary.count, model->count);
    assert_int_equal(summary.sum, sum);
    assert_int_equal(summary.min, model->count > 0 ? model->values[0] : 0);
    assert_int_equal(summary.max, model->count > 0 ? model->values[model->count - 1] : 0);
    assert_int_equal(summary.p50, duress_histogram_quantile(histogram, 500000));
    assert_int_equal(summary.p90, duress_histogram_quantile(histogram, 900000));
    assert_int_equal(summary.p95, duress_histogram_quantile(histogram, 950000));
    assert_int_equal(summary.p99, duress_histogram_quantile(histogram, 990000));
    assert_int_equal(summary.p999, duress_histogram_quantile(histogram, 999000));
}

/* Of any magnitude, one as likely as the other; now and then an end of a range. */
static uint64_t draw_value(struct duress_prng *prng, unsigned bits_max)
{
    uint64_t bits = duress_prng_below(prng, bits_max + 1);
    uint64_t top = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    return duress_prng_chance(prng, 100000) ? top : duress_prng_between(prng, top / 2, top);
}

static void an_empty_histogram_says_nothing(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    static struct model model;
    model.count = 0;
    assert_like_the_model(&histogram, &model);
    assert_int_equal(duress_histogram_count_at_most(&histogram, UINT64_MAX), 0);
}

/* The ends of all buckets, found by walking: none is wider than 1/64 of its smallest number, and none is missing. */
static void no_bucket_is_wider_than_a_64th(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    uint64_t first = 0;
    uint32_t buckets = 0;
    while (first <= DURESS_HISTOGRAM_VALUE_MAX) {
        duress_histogram_reset(&histogram);
        duress_histogram_record(&histogram, first);
        duress_histogram_record(&histogram, DURESS_HISTOGRAM_VALUE_MAX);
        uint64_t last = duress_histogram_quantile(&histogram, 1);
        assert_true(last >= first);
        assert_true((last - first + 1) <= (first < 64 ? 1 : first / 64));
        first = last + 1;
        buckets++;
    }
    assert_int_equal(first, DURESS_HISTOGRAM_VALUE_MAX + 1);
    assert_int_equal(buckets, DURESS_HISTOGRAM_BUCKET_COUNT);
}

static void small_numbers_are_told_exactly(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    duress_histogram_reset(&histogram);
    for (uint64_t value = 0; value < 128; value++)
        duress_histogram_record(&histogram, value);
    for (uint32_t rank = 1; rank <= 128; rank++)
        assert_int_equal(duress_histogram_quantile(&histogram, (rank * 1000000) / 128), rank - 1);
    assert_int_equal(duress_histogram_count_at_most(&histogram, 0), 1);
    assert_int_equal(duress_histogram_count_at_most(&histogram, 77), 78);
}

static void zero_never_and_what_lies_beyond_are_counted(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    struct duress_histogram_summary summary;
    duress_histogram_reset(&histogram);
    duress_histogram_record(&histogram, 0);
    duress_histogram_record(&histogram, DURESS_HISTOGRAM_VALUE_MAX);
    duress_histogram_record(&histogram, DURESS_HISTOGRAM_VALUE_MAX + 1);
    assert_int_equal(duress_histogram_quantile(&histogram, 1), 0);
    assert_int_equal(duress_histogram_quantile(&histogram, 500000), DURESS_HISTOGRAM_VALUE_MAX);
    assert_int_equal(duress_histogram_quantile(&histogram, 1000000), DURESS_HISTOGRAM_VALUE_MAX + 1);
    assert_int_equal(duress_histogram_count_at_most(&histogram, DURESS_HISTOGRAM_VALUE_MAX), 2);
    assert_int_equal(duress_histogram_count_at_most(&histogram, DURESS_HISTOGRAM_VALUE_MAX + 1), 3);
    duress_histogram_record(&histogram, UINT64_MAX);
    duress_histogram_summary(&histogram, &summary);
    assert_int_equal(summary.max, UINT64_MAX);
    assert_int_equal(summary.sum, UINT64_MAX); /* does not wrap */
    assert_int_equal(summary.p999, UINT64_MAX);
    assert_int_equal(summary.min, 0);
}

static void one_number_is_every_quantile(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    static const uint64_t values[] = {0, 1, 127, 128, 1000, 123456789, DURESS_HISTOGRAM_VALUE_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        duress_histogram_reset(&histogram);
        duress_histogram_record(&histogram, values[i]);
        for (size_t k = 0; k < sizeof shares_ppm / sizeof shares_ppm[0]; k++)
            assert_int_equal(duress_histogram_quantile(&histogram, shares_ppm[k]), values[i]);
    }
}

static void random_numbers_are_told_as_a_sorted_array_tells_them(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    static struct model model;
    struct duress_prng prng;
    for (uint64_t seed = 0; seed < 60; seed++) {
        duress_prng_init(&prng, seed, 1);
        duress_histogram_reset(&histogram);
        size_t count = 1 + duress_prng_below(&prng, seed < 30 ? 40 : SAMPLES_MAX);
        unsigned bits_max = seed % 3 == 0 ? 64 : 34;
        for (model.count = 0; model.count < count; model.count++) {
            model.values[model.count] = draw_value(&prng, bits_max);
            duress_histogram_record(&histogram, model.values[model.count]);
        }
        assert_like_the_model(&histogram, &model);
    }
}

/* The bound of count_at_most(): all that are at most |value|, and none that is more than 1/64 above. */
static void counts_up_to_a_value_are_within_the_bound(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    static struct model model;
    struct duress_prng prng;
    duress_prng_init(&prng, 5, 1);
    duress_histogram_reset(&histogram);
    for (model.count = 0; model.count < SAMPLES_MAX; model.count++) {
        model.values[model.count] = draw_value(&prng, 42);
        duress_histogram_record(&histogram, model.values[model.count]);
    }
    uint64_t before = 0;
    for (uint64_t limit = 1; limit < DURESS_HISTOGRAM_VALUE_MAX; limit += 1 + limit / 3) {
        uint64_t sure = 0;
        uint64_t most = 0;
        for (size_t i = 0; i < model.count; i++) {
            sure += model.values[i] <= limit;
            most += model.values[i] <= limit + limit / 64;
        }
        uint64_t seen = duress_histogram_count_at_most(&histogram, limit);
        assert_in_range(seen, sure, most);
        assert_true(seen >= before);
        before = seen;
    }
}

static void a_merge_is_as_if_all_had_been_recorded_in_one(void **state)
{
    (void)state;
    static struct duress_histogram parts[3];
    static struct duress_histogram whole;
    static struct duress_histogram merged;
    struct duress_prng prng;
    for (uint64_t seed = 0; seed < 20; seed++) {
        duress_prng_init(&prng, seed, 2);
        duress_histogram_reset(&whole);
        duress_histogram_reset(&merged);
        for (int part = 0; part < 3; part++) {
            duress_histogram_reset(&parts[part]);
            uint64_t count = duress_prng_below(&prng, 3) * 100; /* some are empty */
            /* In half of the runs each part lies below the one before it, so that each has a least number to bring. */
            uint64_t lowest = seed % 2 == 0 ? 0 : UINT64_C(1) << (30 - 10 * part);
            for (uint64_t i = 0; i < count; i++) {
                uint64_t value = lowest + draw_value(&prng, lowest == 0 ? 64 : 10);
                duress_histogram_record(&parts[part], value);
                duress_histogram_record(&whole, value);
            }
        }
        for (int part = 0; part < 3; part++)
            duress_histogram_merge(&merged, &parts[part]);
        assert_memory_equal(&merged, &whole, sizeof whole);
    }
}

static void a_reset_forgets_everything(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    static const struct duress_histogram empty;
    duress_histogram_record(&histogram, 5);
    duress_histogram_record(&histogram, UINT64_MAX);
    duress_histogram_reset(&histogram);
    assert_memory_equal(&histogram, &empty, sizeof empty);
}

/* After each number the cursor says what a walk from scratch says. The numbers jump between the ends of the range, so
 * that it has to go far in both directions. */
static void a_cursor_follows_its_quantile(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    struct duress_prng prng;
    for (size_t share = 0; share < sizeof shares_ppm / sizeof shares_ppm[0]; share++) {
        struct duress_histogram_cursor cursor;
        duress_prng_init(&prng, share, 3);
        duress_histogram_reset(&histogram);
        duress_histogram_cursor_seek(&cursor, &histogram, shares_ppm[share]);
        assert_int_equal(duress_histogram_cursor_value(&cursor, &histogram), 0);
        for (int i = 0; i < 2000; i++) {
            unsigned bits = i / 500 % 2 == 0 ? 64 : 8;
            duress_histogram_cursor_record(&cursor, &histogram, draw_value(&prng, bits));
            assert_int_equal(duress_histogram_cursor_value(&cursor, &histogram),
                             duress_histogram_quantile(&histogram, shares_ppm[share]));
            uint64_t bound = duress_histogram_cursor_bound(&cursor, &histogram);
            uint64_t value = duress_histogram_cursor_value(&cursor, &histogram);
            assert_true(bound >= value && bound - value <= histogram.max / 64);
        }
        assert_int_equal(histogram.count, 2000);
    }
}

/* Ranks of a great many numbers, which no array could hold: the arithmetic does not overflow. */
static void ranks_of_very_many_numbers_do_not_overflow(void **state)
{
    (void)state;
    static struct duress_histogram histogram;
    duress_histogram_reset(&histogram);
    duress_histogram_record(&histogram, 1);
    duress_histogram_record(&histogram, 2);
    for (int doubling = 0; doubling < 60; doubling++) {
        static struct duress_histogram copy;
        copy = histogram;
        duress_histogram_merge(&histogram, &copy);
    }
    assert_int_equal(histogram.count, UINT64_C(2) << 60);
    assert_int_equal(duress_histogram_quantile(&histogram, 500000), 1);
    assert_int_equal(duress_histogram_quantile(&histogram, 500001), 2);
    assert_int_equal(duress_histogram_quantile(&histogram, 1000000), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_says_nothing),
        cmocka_unit_test(no_bucket_is_wider_than_a_64th),
        cmocka_unit_test(small_numbers_are_told_exactly),
        cmocka_unit_test(zero_never_and_what_lies_beyond_are_counted),
        cmocka_unit_test(one_number_is_every_quantile),
        cmocka_unit_test(random_numbers_are_told_as_a_sorted_array_tells_them),
        cmocka_unit_test(counts_up_to_a_value_are_within_the_bound),
        cmocka_unit_test(a_merge_is_as_if_all_had_been_recorded_in_one),
        cmocka_unit_test(a_reset_forgets_everything),
        cmocka_unit_test(a_cursor_follows_its_quantile),
        cmocka_unit_test(ranks_of_very_many_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
