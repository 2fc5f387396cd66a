/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "dial_times.h"

/* Its bounds and their neighbours, against counting by hand. */
static void each_time_is_in_the_first_bucket_whose_bound_it_does_not_pass(void **state)
{
    (void)state;
    for (size_t bound = 0; bound < DURESS_WORKERS_DIAL_BUCKET_COUNT - 1; bound++) {
        struct dial_times times = {.sum_ns = 0};
        struct duress_workers_counts counts = {.dial_sum_ns = 5, .dials = {[3] = 7}};
        uint64_t bound_ns = duress_workers_dial_bounds_ns[bound];
        uint64_t expected[DURESS_WORKERS_DIAL_BUCKET_COUNT] = {[3] = 7};
        assert_true(bound == 0 || bound_ns > duress_workers_dial_bounds_ns[bound - 1]);
        duress__dial_times_add(&times, bound_ns - 1);
        duress__dial_times_add(&times, bound_ns);
        duress__dial_times_add(&times, bound_ns + 1);
        duress__dial_times_tell(&times, &counts);
        expected[bound] += 2;
        expected[bound + 1] += 1;
        assert_memory_equal(counts.dials, expected, sizeof expected);
        assert_int_equal(counts.dial_sum_ns, 5 + 3 * bound_ns);
    }
}

static void bounds_reach_from_a_tenth_of_a_millisecond_to_the_dials_limit(void **state)
{
    struct dial_times times = {.sum_ns = 0};
    struct duress_workers_counts counts = {.dial_sum_ns = 0};
    (void)state;
    assert_int_equal(duress_workers_dial_bounds_ns[0], 100 * DURESS_US);
    assert_int_equal(duress_workers_dial_bounds_ns[DURESS_WORKERS_DIAL_BUCKET_COUNT - 2], 10 * DURESS_S);
    duress__dial_times_add(&times, 0);
    duress__dial_times_add(&times, DURESS_TIME_NEVER);
    duress__dial_times_tell(&times, &counts);
    assert_int_equal(counts.dials[0], 1);
    assert_int_equal(counts.dials[DURESS_WORKERS_DIAL_BUCKET_COUNT - 1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_time_is_in_the_first_bucket_whose_bound_it_does_not_pass),
        cmocka_unit_test(bounds_reach_from_a_tenth_of_a_millisecond_to_the_dials_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
