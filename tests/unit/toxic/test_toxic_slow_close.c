/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

static void slow_close_holds_the_end_and_not_the_data(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@100");
    assert_string_equal(rig_actions(&rig), "shutdown-client@500");
    rig_close(&rig);
}

static void slow_close_removed_while_it_waits_closes_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 100 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "shutdown-client@100");
    rig_close(&rig);
}

static void slow_close_update_restarts_the_full_delay(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 300 * DURESS_MS);
    rig_update(&rig, toxic_slow_close(1, 200));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "shutdown-client@500");
    rig_close(&rig);
}

static void slow_close_does_not_hold_up_the_proxy_going_down(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 100 * DURESS_MS);
    duress_link_down(rig.link, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@100 close-server@100");
    rig_close(&rig);
}

/* The end of a stream that waits here may become an RST: it is still held, and comes out as an RST. */
static void slow_close_holds_a_reset_that_overtakes_the_end(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 100 * DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-server@100 reset-client@400");
    rig_close(&rig);
}

static void slow_close_holds_a_reset_after_the_end_for_a_delay_of_its_own(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_close(1, 400);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 500 * DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "shutdown-client@400 close-server@500 reset-client@900");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_close_holds_the_end_and_not_the_data),
        cmocka_unit_test(slow_close_removed_while_it_waits_closes_at_once),
        cmocka_unit_test(slow_close_update_restarts_the_full_delay),
        cmocka_unit_test(slow_close_does_not_hold_up_the_proxy_going_down),
        cmocka_unit_test(slow_close_holds_a_reset_that_overtakes_the_end),
        cmocka_unit_test(slow_close_holds_a_reset_after_the_end_for_a_delay_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
