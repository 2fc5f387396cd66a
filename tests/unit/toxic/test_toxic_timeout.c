/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

static void timeout_closes_an_idle_connection(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@500 close-server@500");
    assert_int_equal(duress_link_stats(rig.link)->tripped_ns, 500 * DURESS_MS);
    assert_int_equal(duress_link_stats(rig.link)->tripped_by, 1);
    assert_true(duress_link_is_done(rig.link));
    rig_close(&rig);
}

/* 500 ms with a byte each 300 ms for 1.8 s: the last at 1.5 s, closed at 2.0 s. */
static void timeout_on_a_chatty_connection_restarts_with_each_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    rig_open(&rig, &toxic, 1);
    for (int i = 0; i < 6; i++) {
        rig_push(&rig, DURESS_DOWNSTREAM, 1);
        rig_run(&rig, rig.now_ns + 300 * DURESS_MS);
    }
    rig_run(&rig, 5 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_actions(&rig), "close-client@2000 close-server@2000");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 6);
    rig_close(&rig);
}

static void timeout_of_zero_drops_and_never_closes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_run(&rig, 1000 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

static void timeout_starts_when_the_toxic_is_added(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_run(&rig, 300 * DURESS_MS);
    rig_add(&rig, toxic_timeout(1, 500));
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@800 close-server@800");
    rig_close(&rig);
}

/* The clock starts with the link, that is when the dial has succeeded. */
static void timeout_does_not_run_while_dialing(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    struct duress_link_options options = {.toxics = &toxic, .toxic_count = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "");
    duress_link_dialed(rig.link, DURESS_OK, rig.now_ns);
    rig_run(&rig, 4 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@2500 close-server@2500");
    rig_close(&rig);
}

static void timeout_lets_the_peers_end_pass(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "shutdown-client@100");
    rig_close(&rig);
}

static void timeout_that_dropped_closes_when_it_is_removed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "close-client@100 close-server@100");
    rig_close(&rig);
}

static void timeout_that_dropped_nothing_is_removed_without_a_trace(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_remove(&rig, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@100");
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

/* In the reference, removing a timeout kills connections that the draw had spared. */
static void timeout_that_the_draw_spared_is_removed_without_a_trace(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    toxic.toxicity_ppm = 0;
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_run(&rig, DURESS_S);
    rig_remove(&rig, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@0 7@1000");
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

static void timeout_update_restarts_the_clock(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 500);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 400 * DURESS_MS);
    rig_update(&rig, toxic_timeout(1, 300));
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@700 close-server@700");
    rig_close(&rig);
}

/* What passed the timeout before is delivered first, however long that takes. */
static void timeout_in_the_middle_delivers_what_passed_it_before(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic latency = toxic_latency(1, 300, 0);
    rig_open(&rig, &latency, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_remove(&rig, 1);
    struct duress_toxic spared = toxic_timeout(2, 100);
    spared.toxicity_ppm = 0;
    rig_add(&rig, spared);
    rig_add(&rig, toxic_latency(3, 300, 0));
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_update(&rig, toxic_timeout(2, 100));
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0 20@300");
    assert_string_equal(rig_actions(&rig), "close-client@300 close-server@300");
    assert_int_equal(duress_link_stats(rig.link)->tripped_ns, 100 * DURESS_MS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeout_closes_an_idle_connection),
        cmocka_unit_test(timeout_on_a_chatty_connection_restarts_with_each_chunk),
        cmocka_unit_test(timeout_of_zero_drops_and_never_closes),
        cmocka_unit_test(timeout_starts_when_the_toxic_is_added),
        cmocka_unit_test(timeout_does_not_run_while_dialing),
        cmocka_unit_test(timeout_lets_the_peers_end_pass),
        cmocka_unit_test(timeout_that_dropped_closes_when_it_is_removed),
        cmocka_unit_test(timeout_that_dropped_nothing_is_removed_without_a_trace),
        cmocka_unit_test(timeout_that_the_draw_spared_is_removed_without_a_trace),
        cmocka_unit_test(timeout_update_restarts_the_clock),
        cmocka_unit_test(timeout_in_the_middle_delivers_what_passed_it_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
