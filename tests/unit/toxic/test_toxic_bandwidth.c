/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

/* Acceptance 10: 1 KB/s, 250 bytes. */
static void bandwidth_sends_pieces_of_100_ms_and_then_the_rest(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 250);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100 100@200 50@250");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->chunks_delayed, 1); /* three pieces of one chunk */
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->delay_ns_max, 250 * DURESS_MS);
    rig_close(&rig);
}

static void bandwidth_before_a_limit_counts_the_cut_chunk_as_delayed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_bandwidth(1, 1000), toxic_limit_data(2, 150)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 250);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100 50@200");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->chunks_delayed, 1);
    rig_close(&rig);
}

static void bandwidth_100_takes_500_ms_for_50000_bytes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 100000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 32768);
    rig_push(&rig, DURESS_DOWNSTREAM, 50000 - 32768);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM),
                        "10000@100 10000@200 10000@300 2768@327.68 10000@427.68 7232@500");
    rig_close(&rig);
}

static void bandwidth_1000_sends_whole_chunks_every_33_ms(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 3 * 32768);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "32768@32.768 32768@65.536 32768@98.304");
    rig_close(&rig);
}

static void bandwidth_idle_time_earns_no_credit(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 5 * DURESS_S);
    rig_push(&rig, DURESS_DOWNSTREAM, 200);
    rig_run(&rig, 6 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@10 100@5100 100@5200");
    rig_close(&rig);
}

/* A driver that wakes late does not slow the stream down: what was due is there, stamped by the schedule. */
static void bandwidth_mean_is_exact_for_a_driver_that_wakes_late(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    for (uint64_t late_ns = 137 * DURESS_MS; late_ns < 2 * DURESS_S; late_ns += 137 * DURESS_MS) {
        duress_link_tick(rig.link, late_ns);
        rig.now_ns = late_ns;
        rig_outputs(&rig);
        uint64_t due_bytes = late_ns / (100 * DURESS_MS) * 100;
        assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], due_bytes < 1000 ? due_bytes : 1000);
    }
    rig_close(&rig);
}

/* 3 bytes a second: a third of a second is no whole number of nanoseconds, yet 3000 bytes take 1000 s. */
static void bandwidth_mean_is_exact_at_rates_that_do_not_divide(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 3);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 3000);
    rig_run(&rig, 1000 * DURESS_S - 1);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 2999);
    rig_run(&rig, 1000 * DURESS_S);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 3000);
    rig_close(&rig);
}

/* Acceptance 10: rate 0 stalls and resumes without loss. */
static void bandwidth_zero_stalls_and_resumes_without_loss(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_run(&rig, 3600 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_actions(&rig), "");
    rig_remove(&rig, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "1000@3600000 1000@3600000");
    assert_string_equal(rig_actions(&rig), "shutdown-client@3600000");
    rig_close(&rig);
}

static void bandwidth_zero_lets_an_end_without_data_pass(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_actions(&rig), "shutdown-client@0");
    rig_close(&rig);
}

static void bandwidth_update_releases_the_rest_of_the_chunk_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 300);
    rig_push(&rig, DURESS_DOWNSTREAM, 300);
    rig_run(&rig, 150 * DURESS_MS);
    rig_update(&rig, toxic_bandwidth(1, 2000));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100 200@150 200@250 100@300");
    rig_close(&rig);
}

static void bandwidth_removal_releases_everything_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_bandwidth(1, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 300);
    rig_push(&rig, DURESS_DOWNSTREAM, 400);
    rig_run(&rig, 150 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100 200@150 400@150");
    rig_close(&rig);
}

static void bandwidth_of_two_toxics_is_the_smaller_one(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_bandwidth(1, 1000), toxic_bandwidth(2, 2000)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 300);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@150 100@250 100@350");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bandwidth_sends_pieces_of_100_ms_and_then_the_rest),
        cmocka_unit_test(bandwidth_before_a_limit_counts_the_cut_chunk_as_delayed),
        cmocka_unit_test(bandwidth_100_takes_500_ms_for_50000_bytes),
        cmocka_unit_test(bandwidth_1000_sends_whole_chunks_every_33_ms),
        cmocka_unit_test(bandwidth_idle_time_earns_no_credit),
        cmocka_unit_test(bandwidth_mean_is_exact_for_a_driver_that_wakes_late),
        cmocka_unit_test(bandwidth_mean_is_exact_at_rates_that_do_not_divide),
        cmocka_unit_test(bandwidth_zero_stalls_and_resumes_without_loss),
        cmocka_unit_test(bandwidth_zero_lets_an_end_without_data_pass),
        cmocka_unit_test(bandwidth_update_releases_the_rest_of_the_chunk_at_once),
        cmocka_unit_test(bandwidth_removal_releases_everything_at_once),
        cmocka_unit_test(bandwidth_of_two_toxics_is_the_smaller_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
