/* SPDX-License-Identifier: Apache-2.0
 *
 * How a link ends: FIN, RST, the dial, down and cut, alone and meeting one another. */
#include "link_rig.h"

static void fin_leaves_the_other_direction_open(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_end(&rig, DURESS_UPSTREAM);
    assert_string_equal(rig_actions(&rig), "shutdown-server@0");
    rig_run(&rig, DURESS_S);
    rig_push(&rig, DURESS_DOWNSTREAM, 20); /* the answer after the half-close */
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "20@1000");
    assert_false(duress_link_is_done(rig.link));
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    rig_close(&rig);
}

static void fin_of_both_sides_closes_both(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_run(&rig, DURESS_MS);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_run(&rig, 2 * DURESS_MS);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_actions(&rig), "shutdown-server@1 shutdown-client@2 close-client@2 close-server@2");
    assert_true(duress_link_is_done(rig.link));
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->fin_in_ns, DURESS_MS);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->fin_out_ns, 2 * DURESS_MS);
    assert_int_equal(duress_link_stats(rig.link)->close_out_ns[DURESS_SIDE_SERVER], 2 * DURESS_MS);
    rig_close(&rig);
}

static void fin_waits_for_the_bytes_before_it(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_end(&rig, DURESS_UPSTREAM);
    duress_link_written(rig.link, DURESS_UPSTREAM, 10, 0);
    duress_link_written(rig.link, DURESS_UPSTREAM, 9, 0);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "");
    duress_link_written(rig.link, DURESS_UPSTREAM, 1, 0);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "shutdown-server@0");
    rig_close(&rig);
}

static void fin_twice_is_one_fin(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_end(&rig, DURESS_UPSTREAM);
    assert_string_equal(rig_actions(&rig), "shutdown-server@0");
    rig_close(&rig);
}

static void fin_while_dialing_follows_the_dial(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_link_options options = {.seed = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, DURESS_MS);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_run(&rig, 5 * DURESS_MS);
    assert_string_equal(rig_actions(&rig), "");
    duress_link_dialed(rig.link, DURESS_OK, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "shutdown-server@5");
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->fin_in_ns, DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 3);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "3@5");
    rig_close(&rig);
}

static void rst_closes_its_side_and_resets_the_other(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_run(&rig, DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "close-client@1 reset-server@1");
    assert_int_equal(duress_link_stats(rig.link)->reset_in_ns[DURESS_SIDE_CLIENT], DURESS_MS);
    assert_int_equal(duress_link_stats(rig.link)->reset_out_ns[DURESS_SIDE_SERVER], DURESS_MS);
    assert_int_equal(duress_link_stats(rig.link)->reset_out_ns[DURESS_SIDE_CLIENT], 0);
    assert_true(duress_link_is_done(rig.link));
    rig_close(&rig);
}

static void rst_follows_the_data_before_it_through_the_toxics(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 50 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    assert_string_equal(rig_actions(&rig), "close-server@50");
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@200 20@250");
    assert_string_equal(rig_actions(&rig), "close-server@50 reset-client@250");
    rig_close(&rig);
}

static void rst_drops_what_was_meant_for_its_side(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 200, 0), toxic_latency(2, 200, 0)};
    toxics[1].direction = DURESS_UPSTREAM;
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->bytes_dropped, 10);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0); /* The client is not read any more. */
    assert_int_equal(duress_link_wants(rig.link, DURESS_DOWNSTREAM), 0);
    assert_false(duress_link_is_transparent(rig.link, DURESS_UPSTREAM));
    rig_end(&rig, DURESS_UPSTREAM); /* Its FIN changes nothing. */
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "");
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "20@200");
    assert_string_equal(rig_actions(&rig), "close-server@0 reset-client@200");
    rig_close(&rig);
}

static void rst_after_a_fin_that_was_passed_on_resets_the_other_side(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_run(&rig, DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "shutdown-server@0 close-client@1 reset-server@1");
    rig_close(&rig);
}

static void rst_after_a_fin_that_waits_takes_its_place(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@200");
    assert_string_equal(rig_actions(&rig), "close-server@0 reset-client@200");
    rig_close(&rig);
}

static void rst_of_both_sides_closes_each_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "close-server@0 close-client@0");
    assert_true(duress_link_is_done(rig.link));
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 10);
    rig_close(&rig);
}

/* A shutdown that was owed to a side is owed no more once that side sent its RST. */
static void rst_takes_back_a_shutdown_that_was_not_polled(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    duress_link_end(rig.link, DURESS_UPSTREAM, 0);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    assert_string_equal(rig_actions(&rig), "reset-client@0 close-server@0");
    rig_close(&rig);
}

static void rst_while_dialing_ends_the_dial(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_link_options options = {.seed = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "close-client@1 close-server@1");
    assert_true(duress_link_is_done(rig.link));
    duress_link_dialed(rig.link, DURESS_OK, rig.now_ns); /* Came too late. */
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@1 close-server@1");
    assert_int_equal(duress_link_wants(rig.link, DURESS_DOWNSTREAM), 0);
    rig_close(&rig);
}

/* The server is gone and its answer is on the way: when the client goes too, nothing is left to do. */
static void rst_of_a_side_with_a_mark_under_way_to_it(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 5);
    struct duress_toxic toxics[] = {toxic, toxic_latency(2, 200, 0)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 100 * DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "close-client@100 reset-server@100");
    rig_run(&rig, DURESS_S);
    assert_true(duress_link_is_done(rig.link));
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    rig_close(&rig);
}

/* The source sent an RST while a toxic's close is under way: the sink gets the stronger of the two. */
static void rst_of_the_source_behind_a_toxics_close(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_limit_data(1, 5), toxic_latency(2, 200, 0)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "5@200");
    assert_string_equal(rig_actions(&rig), "close-server@0 reset-client@200");
    rig_close(&rig);
}

static void dial_that_failed_closes_both_sides(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_link_options options = {.seed = 1};
    rig_open_dialing(&rig, &options);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    assert_false(duress_link_is_transparent(rig.link, DURESS_UPSTREAM));
    rig_run(&rig, 3 * DURESS_MS);
    duress_link_dialed(rig.link, DURESS_E_REFUSED, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@3 close-server@3");
    assert_int_equal(duress_link_stats(rig.link)->dial_error, DURESS_E_REFUSED);
    assert_int_equal(duress_link_stats(rig.link)->dialed_ns, 3 * DURESS_MS);
    rig_close(&rig);
}

static void down_closes_both_sides_and_drops_what_is_held(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 200, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_MS);
    duress_link_down(rig.link, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@1 close-server@1");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 10);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    duress_link_cut(rig.link, rig.now_ns); /* Nothing is left to cut. */
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@1 close-server@1");
    rig_close(&rig);
}

static void down_while_dialing_closes_both_sides(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_link_options options = {.seed = 1};
    rig_open_dialing(&rig, &options);
    duress_link_down(rig.link, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

static void cut_by_call_resets_both_sides_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_run(&rig, DURESS_MS);
    duress_link_cut(rig.link, rig.now_ns);
    assert_int_equal(duress_link_pending(rig.link, DURESS_UPSTREAM, rig.now_ns).length, 0);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "reset-client@1 reset-server@1");
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->bytes_dropped, 10);
    rig_close(&rig);
}

static void closed_link_takes_every_call_and_does_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    duress_link_down(rig.link, 0);
    rig_outputs(&rig);
    uint8_t byte = 0;
    assert_int_equal(duress_link_push(rig.link, DURESS_UPSTREAM, duress_slice_bytes(&byte, 1), 0), DURESS_E_INVALID);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    duress_link_dialed(rig.link, DURESS_OK, 0);
    duress_link_written(rig.link, DURESS_UPSTREAM, 5, 0);
    duress_link_down(rig.link, 0);
    rig_add(&rig, toxic_cut(1, 0, DURESS_CUT_RST));
    rig_update(&rig, toxic_cut(1, 0, DURESS_CUT_FIN));
    rig_remove(&rig, 1);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

/* A direction that has ended is over: no toxic there acts on its own any more. */
static void ended_direction_ignores_toxics(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_add(&rig, toxic_timeout(1, 100));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "shutdown-client@0");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fin_leaves_the_other_direction_open),
        cmocka_unit_test(fin_of_both_sides_closes_both),
        cmocka_unit_test(fin_waits_for_the_bytes_before_it),
        cmocka_unit_test(fin_twice_is_one_fin),
        cmocka_unit_test(fin_while_dialing_follows_the_dial),
        cmocka_unit_test(rst_closes_its_side_and_resets_the_other),
        cmocka_unit_test(rst_follows_the_data_before_it_through_the_toxics),
        cmocka_unit_test(rst_drops_what_was_meant_for_its_side),
        cmocka_unit_test(rst_after_a_fin_that_was_passed_on_resets_the_other_side),
        cmocka_unit_test(rst_after_a_fin_that_waits_takes_its_place),
        cmocka_unit_test(rst_of_both_sides_closes_each_once),
        cmocka_unit_test(rst_takes_back_a_shutdown_that_was_not_polled),
        cmocka_unit_test(rst_while_dialing_ends_the_dial),
        cmocka_unit_test(rst_of_a_side_with_a_mark_under_way_to_it),
        cmocka_unit_test(rst_of_the_source_behind_a_toxics_close),
        cmocka_unit_test(dial_that_failed_closes_both_sides),
        cmocka_unit_test(down_closes_both_sides_and_drops_what_is_held),
        cmocka_unit_test(down_while_dialing_closes_both_sides),
        cmocka_unit_test(cut_by_call_resets_both_sides_at_once),
        cmocka_unit_test(closed_link_takes_every_call_and_does_nothing),
        cmocka_unit_test(ended_direction_ignores_toxics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
