/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

/* Acceptance 9: the delay counts from the arrival, so pipelined chunks overlap. */
static void latency_delays_each_chunk_from_its_arrival(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    for (int i = 0; i < 3; i++) {
        rig_push(&rig, DURESS_DOWNSTREAM, 10);
        rig_run(&rig, rig.now_ns + 50 * DURESS_MS);
    }
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@200 10@250 10@300");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->chunks_delayed, 3);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->delay_ns_max, 200 * DURESS_MS);
    rig_close(&rig);
}

static void latency_of_two_toxics_adds_up(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 100, 0), toxic_latency(2, 150, 0)};
    rig_open(&rig, toxics, 2);
    for (int i = 0; i < 3; i++) {
        rig_push(&rig, DURESS_DOWNSTREAM, 10);
        rig_run(&rig, rig.now_ns + 50 * DURESS_MS);
    }
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@250 10@300 10@350");
    rig_close(&rig);
}

/* Time lost in an earlier toxic counts against the delay. */
static void latency_after_bandwidth_is_absorbed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_bandwidth(1, 1000), toxic_latency(2, 50, 0), toxic_latency(3, 50, 0)};
    rig_open(&rig, toxics, 3);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100");
    rig_close(&rig);
}

static void latency_before_bandwidth_is_paid_in_full(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 50, 0), toxic_latency(2, 50, 0), toxic_bandwidth(3, 1000)};
    rig_open(&rig, toxics, 3);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@200");
    rig_close(&rig);
}

static void latency_does_not_delay_an_end_without_data(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 10 * DURESS_MS);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_actions(&rig), "shutdown-client@10");
    rig_close(&rig);
}

static void latency_lets_the_end_follow_the_last_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 10 * DURESS_MS);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@200");
    assert_string_equal(rig_actions(&rig), "shutdown-client@200");
    rig_close(&rig);
}

/* 1000 ms changed to 400 ms at 200 ms: the chunk in hand leaves at once, the next counts from its own arrival. */
static void latency_update_releases_the_chunk_in_hand(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 1000, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, 200 * DURESS_MS);
    rig_update(&rig, toxic_latency(1, 400, 0));
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@200 20@500");
    rig_close(&rig);
}

static void latency_removal_releases_everything_in_order(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 1000, 0);
    rig_open(&rig, &toxic, 1);
    for (size_t i = 1; i <= 3; i++)
        rig_push(&rig, DURESS_DOWNSTREAM, i);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 20 * DURESS_MS);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    rig_remove(&rig, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "1@20 2@20 3@20");
    assert_string_equal(rig_actions(&rig), "shutdown-client@20");
    rig_close(&rig);
}

/* Each delay lies in [latency - jitter, latency + jitter), both halves are drawn, and no chunk overtakes another. */
static void latency_jitter_stays_in_its_bounds_and_keeps_order(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 100, 40);
    rig_open(&rig, &toxic, 1);
    unsigned early_count = 0;
    unsigned late_count = 0;
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t sent_ns = i * DURESS_S;
        rig_run(&rig, sent_ns);
        rig_push(&rig, DURESS_DOWNSTREAM, 4);
        uint64_t due_ns = duress_link_next_ns(rig.link);
        assert_in_range(due_ns - sent_ns, 60 * DURESS_MS, 140 * DURESS_MS - 1);
        if (due_ns - sent_ns < 100 * DURESS_MS)
            early_count++;
        else
            late_count++;
    }
    assert_in_range(early_count, 180, 320);
    assert_in_range(late_count, 180, 320);
    rig_run(&rig, rig.now_ns + DURESS_S);
    for (int i = 0; i < 200; i++) {
        rig_push(&rig, DURESS_DOWNSTREAM, 4); /* The rig compares the bytes: order. */
        rig_run(&rig, rig.now_ns + DURESS_MS);
    }
    rig_run(&rig, rig.now_ns + DURESS_S);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 700 * 4);
    rig_close(&rig);
}

static void latency_jitter_above_the_latency_means_no_wait(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 0, 50);
    rig_open(&rig, &toxic, 1);
    unsigned at_once_count = 0;
    for (uint64_t i = 0; i < 200; i++) {
        rig_run(&rig, i * DURESS_S);
        rig_push(&rig, DURESS_DOWNSTREAM, 4);
        at_once_count += duress_link_buffered_bytes(rig.link, DURESS_DOWNSTREAM) == 0;
    }
    assert_in_range(at_once_count, 60, 140);
    rig_close(&rig);
}

/* The reader that comes back gets all that became due meanwhile, at once: the delay does not begin anew. */
static void latency_goes_on_behind_a_stalled_reader(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 100, 0);
    rig_open(&rig, &toxic, 1);
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, 500 * DURESS_MS);
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@500 20@500");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latency_delays_each_chunk_from_its_arrival),
        cmocka_unit_test(latency_of_two_toxics_adds_up),
        cmocka_unit_test(latency_after_bandwidth_is_absorbed),
        cmocka_unit_test(latency_before_bandwidth_is_paid_in_full),
        cmocka_unit_test(latency_does_not_delay_an_end_without_data),
        cmocka_unit_test(latency_lets_the_end_follow_the_last_chunk),
        cmocka_unit_test(latency_update_releases_the_chunk_in_hand),
        cmocka_unit_test(latency_removal_releases_everything_in_order),
        cmocka_unit_test(latency_jitter_stays_in_its_bounds_and_keeps_order),
        cmocka_unit_test(latency_jitter_above_the_latency_means_no_wait),
        cmocka_unit_test(latency_goes_on_behind_a_stalled_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
