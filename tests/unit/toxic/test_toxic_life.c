/* SPDX-License-Identifier: Apache-2.0
 *
 * limit_time and unplug: what works for a time. */
#include "link_rig.h"

static void limit_time_closes_though_data_flows(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 250);
    rig_open(&rig, &toxic, 1);
    for (uint64_t at_ms = 0; at_ms < 250; at_ms += 100) {
        rig_run(&rig, at_ms * DURESS_MS);
        rig_push(&rig, DURESS_DOWNSTREAM, 10);
        rig_push(&rig, DURESS_UPSTREAM, 20);
    }
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0 10@100 10@200");
    assert_string_equal(rig_actions(&rig), "close-client@250 close-server@250");
    assert_int_equal(duress_link_stats(rig.link)->tripped_by, 1);
    assert_int_equal(duress_link_stats(rig.link)->tripped_ns, 250 * DURESS_MS);
    rig_close(&rig);
}

/* The clock is that of the connection, and the wait for the dial is none of its life. */
static void limit_time_counts_from_the_dials_end(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 250);
    struct duress_link_options options = {.toxics = &toxic, .toxic_count = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, 500 * DURESS_MS);
    rig_dial(&rig);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@750 close-server@750");
    rig_close(&rig);
}

static void limit_time_added_later_counts_from_then(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_run(&rig, 100 * DURESS_MS);
    rig_add(&rig, toxic_limit_time(1, 250));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@350 close-server@350");
    rig_close(&rig);
}

static void limit_time_changed_counts_from_the_same_instant(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 250);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 200 * DURESS_MS);
    rig_update(&rig, toxic_limit_time(1, 400));
    rig_run(&rig, 300 * DURESS_MS);
    assert_string_equal(rig_actions(&rig), "");
    rig_update(&rig, toxic_limit_time(1, 50));
    assert_string_equal(rig_actions(&rig), "close-client@300 close-server@300");
    rig_close(&rig);
}

static void limit_time_of_zero_closes_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 0);
    rig_open(&rig, &toxic, 1);
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

static void limit_time_removed_in_time_leaves_no_trace(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 250);
    rig_open(&rig, &toxic, 1);
    rig_remove(&rig, 1);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_close(&rig);
}

/* What had passed it is delivered before the close; what comes later is dropped. */
static void limit_time_delivers_what_had_passed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_limit_time(1, 250), toxic_latency(2, 100, 0)};
    rig_open(&rig, toxics, 2);
    rig_run(&rig, 200 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@300");
    assert_string_equal(rig_actions(&rig), "close-client@300 close-server@300");
    rig_close(&rig);
}

static void limit_time_lets_the_driver_move_bytes_itself(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_time(1, 250);
    rig_open(&rig, &toxic, 1);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    duress_link_moved(rig.link, DURESS_DOWNSTREAM, 1000);
    rig_run(&rig, DURESS_S);
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    assert_string_equal(rig_actions(&rig), "close-client@250 close-server@250");
    rig_close(&rig);
}

static void unplug_passes_and_then_holds_everything(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_unplug(1, 200);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 200 * DURESS_MS - 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, 200 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_push(&rig, DURESS_UPSTREAM, 5);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_run(&rig, 3600 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0 20@199.999999");
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "5@200");
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

static void unplug_holds_an_end_without_data(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_unplug(1, 200);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 300 * DURESS_MS);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "");
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "shutdown-client@1000");
    rig_close(&rig);
}

static void unplug_put_back_loses_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_unplug(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    rig_push(&rig, DURESS_DOWNSTREAM, 40);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-server@0"); /* whose socket is of no use; the client hears nothing */
    rig_remove(&rig, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "30@1000 40@1000");
    assert_string_equal(rig_actions(&rig), "close-server@0 reset-client@1000");
    rig_close(&rig);
}

static void unplug_changed_to_later_works_again(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_unplug(1, 100);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 150 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 160 * DURESS_MS);
    rig_update(&rig, toxic_unplug(1, 300));
    rig_run(&rig, 300 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@160");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_time_closes_though_data_flows),
        cmocka_unit_test(limit_time_counts_from_the_dials_end),
        cmocka_unit_test(limit_time_added_later_counts_from_then),
        cmocka_unit_test(limit_time_changed_counts_from_the_same_instant),
        cmocka_unit_test(limit_time_of_zero_closes_at_once),
        cmocka_unit_test(limit_time_removed_in_time_leaves_no_trace),
        cmocka_unit_test(limit_time_delivers_what_had_passed),
        cmocka_unit_test(limit_time_lets_the_driver_move_bytes_itself),
        cmocka_unit_test(unplug_passes_and_then_holds_everything),
        cmocka_unit_test(unplug_holds_an_end_without_data),
        cmocka_unit_test(unplug_put_back_loses_nothing),
        cmocka_unit_test(unplug_changed_to_later_works_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
