/* SPDX-License-Identifier: Apache-2.0
 *
 * limit_data and cut: what ends a connection after so many bytes. */
#include "link_rig.h"

static void limit_data_cuts_the_crossing_chunk_to_fit_and_closes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 100);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_run(&rig, 10 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "60@0 40@10");
    assert_string_equal(rig_actions(&rig), "close-client@10 close-server@10");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 20);
    rig_close(&rig);
}

static void limit_data_reached_exactly_closes_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 100);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 99);
    assert_string_equal(rig_actions(&rig), "");
    rig_push(&rig, DURESS_DOWNSTREAM, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "99@0 1@0");
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

static void limit_data_of_zero_closes_on_the_first_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_S);
    assert_string_equal(rig_actions(&rig), ""); /* An idle connection stays open. */
    rig_push(&rig, DURESS_DOWNSTREAM, 1);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_actions(&rig), "close-client@100000 close-server@100000");
    rig_close(&rig);
}

static void limit_data_raised_lets_more_pass(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 100);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_update(&rig, toxic_limit_data(1, 150));
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    assert_string_equal(rig_actions(&rig), "");
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "60@0 60@0 30@0");
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

static void limit_data_lowered_below_the_count_closes_on_the_next_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 100);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_update(&rig, toxic_limit_data(1, 50));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "");
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "60@0");
    assert_string_equal(rig_actions(&rig), "close-client@1000 close-server@1000");
    rig_close(&rig);
}

static void limit_data_counts_from_when_it_was_added(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    rig_add(&rig, toxic_limit_data(1, 10));
    rig_push(&rig, DURESS_DOWNSTREAM, 9);
    assert_string_equal(rig_actions(&rig), "");
    rig_push(&rig, DURESS_DOWNSTREAM, 9);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "1000@0 9@0 1@0");
    rig_close(&rig);
}

/* What passed the limit is delivered first; the close follows it through the latency behind. */
static void limit_data_in_the_middle_delivers_what_passed_it(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_limit_data(1, 50), toxic_latency(2, 300, 0)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    assert_int_equal(duress_link_wants(rig.link, DURESS_DOWNSTREAM), 0);
    assert_true(duress_link_wants(rig.link, DURESS_UPSTREAM) > 0);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_UPSTREAM, 5); /* The other direction goes on until then. */
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "5@100");
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "50@300");
    assert_string_equal(rig_actions(&rig), "close-client@300 close-server@300");
    rig_close(&rig);
}

/* What a toxic before it still holds is dropped: the limit ended the stream. */
static void limit_data_drops_what_waits_before_it(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 300, 0), toxic_limit_data(2, 50)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "50@300");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 70);
    rig_close(&rig);
}

static void limit_data_waits_for_a_stalled_reader(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_limit_data(1, 50);
    rig_open(&rig, &toxic, 1);
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 60);
    rig_run(&rig, 10 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "");
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "50@10000");
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@10000 close-server@10000");
    rig_close(&rig);
}

static void cut_resets_both_sides_behind_the_bytes_let_through(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_cut(1, 40, DURESS_CUT_RST);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    rig_run(&rig, 10 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "30@0 10@10");
    assert_string_equal(rig_actions(&rig), "reset-client@10 reset-server@10");
    rig_close(&rig);
}

static void cut_with_fin_closes_both_sides(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_cut(1, 40, DURESS_CUT_FIN);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 41);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "40@0");
    assert_string_equal(rig_actions(&rig), "close-client@0 close-server@0");
    rig_close(&rig);
}

static void cut_after_zero_does_not_wait_for_a_byte(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 50 * DURESS_MS);
    rig_add(&rig, toxic_cut(9, 0, DURESS_CUT_RST));
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0");
    assert_string_equal(rig_actions(&rig), "reset-client@50 reset-server@50");
    assert_int_equal(duress_link_stats(rig.link)->tripped_by, 9);
    rig_close(&rig);
}

static void cut_present_from_the_start_acts_when_the_dial_has_succeeded(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_cut(1, 0, DURESS_CUT_RST);
    struct duress_link_options options = {.toxics = &toxic, .toxic_count = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, 10 * DURESS_MS);
    assert_string_equal(rig_actions(&rig), "");
    duress_link_dialed(rig.link, DURESS_OK, rig.now_ns);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "reset-client@10 reset-server@10");
    rig_close(&rig);
}

static void cut_lowered_to_what_has_passed_cuts_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_cut(1, 1000, DURESS_CUT_RST);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_update(&rig, toxic_cut(1, 11, DURESS_CUT_RST));
    assert_string_equal(rig_actions(&rig), "");
    rig_update(&rig, toxic_cut(1, 10, DURESS_CUT_RST));
    assert_string_equal(rig_actions(&rig), "reset-client@0 reset-server@0");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_data_cuts_the_crossing_chunk_to_fit_and_closes),
        cmocka_unit_test(limit_data_reached_exactly_closes_at_once),
        cmocka_unit_test(limit_data_of_zero_closes_on_the_first_chunk),
        cmocka_unit_test(limit_data_raised_lets_more_pass),
        cmocka_unit_test(limit_data_lowered_below_the_count_closes_on_the_next_chunk),
        cmocka_unit_test(limit_data_counts_from_when_it_was_added),
        cmocka_unit_test(limit_data_in_the_middle_delivers_what_passed_it),
        cmocka_unit_test(limit_data_drops_what_waits_before_it),
        cmocka_unit_test(limit_data_waits_for_a_stalled_reader),
        cmocka_unit_test(cut_resets_both_sides_behind_the_bytes_let_through),
        cmocka_unit_test(cut_with_fin_closes_both_sides),
        cmocka_unit_test(cut_after_zero_does_not_wait_for_a_byte),
        cmocka_unit_test(cut_present_from_the_start_acts_when_the_dial_has_succeeded),
        cmocka_unit_test(cut_lowered_to_what_has_passed_cuts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
