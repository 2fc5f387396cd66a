/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

static void reset_peer_resets_both_sides_after_the_first_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 200);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 200 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10); /* A later chunk does not put it off. */
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_actions(&rig), "reset-client@300 reset-server@300");
    assert_int_equal(duress_link_stats(rig.link)->reset_out_ns[DURESS_SIDE_CLIENT], 300 * DURESS_MS);
    assert_int_equal(duress_link_stats(rig.link)->tripped_by, 1);
    rig_close(&rig);
}

static void reset_peer_resets_after_an_end_too(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 200);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "reset-client@200 reset-server@200");
    rig_close(&rig);
}

static void reset_peer_of_zero_resets_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_string_equal(rig_actions(&rig), "reset-client@100 reset-server@100");
    rig_close(&rig);
}

static void reset_peer_never_resets_an_idle_connection(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 200);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_UPSTREAM, 10); /* not its direction */
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_run(&rig, 100 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

/* The reference sets linger whatever the draw says, so that even the ordinary close is an RST. */
static void reset_peer_that_the_draw_spared_closes_in_the_ordinary_way(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 0);
    toxic.toxicity_ppm = 0;
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_end(&rig, DURESS_UPSTREAM);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0");
    assert_string_equal(rig_actions(&rig), "shutdown-client@0 shutdown-server@0 close-client@0 close-server@0");
    rig_close(&rig);
}

/* On a live connection it gives an RST, where the reference gives a FIN. */
static void reset_peer_added_to_a_live_connection_resets(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_add(&rig, toxic_reset_peer(1, 0));
    rig_run(&rig, 100 * DURESS_MS);
    assert_string_equal(rig_actions(&rig), "");
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0");
    assert_string_equal(rig_actions(&rig), "reset-client@100 reset-server@100");
    rig_close(&rig);
}

/* The wait of the reference can't be interrupted; ours counts the new timeout from the same first chunk. */
static void reset_peer_update_takes_effect_while_it_waits(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 3600 * 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 100 * DURESS_MS);
    rig_update(&rig, toxic_reset_peer(1, 400));
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "reset-client@400 reset-server@400");
    rig_close(&rig);
}

static void reset_peer_that_dropped_resets_when_it_is_removed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 3600 * 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 100 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "reset-client@100 reset-server@100");
    rig_close(&rig);
}

static void reset_peer_that_held_an_end_lets_it_go_when_removed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_reset_peer(1, 3600 * 1000);
    rig_open(&rig, &toxic, 1);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 100 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "shutdown-client@100");
    rig_close(&rig);
}

static void reset_peer_delivers_what_passed_it_before(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic spared = toxic_reset_peer(1, 0);
    spared.toxicity_ppm = 0;
    struct duress_toxic toxics[] = {spared, toxic_latency(2, 300, 0)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_update(&rig, toxic_reset_peer(1, 0));
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@300");
    assert_string_equal(rig_actions(&rig), "reset-client@300 reset-server@300");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_peer_resets_both_sides_after_the_first_chunk),
        cmocka_unit_test(reset_peer_resets_after_an_end_too),
        cmocka_unit_test(reset_peer_of_zero_resets_at_once),
        cmocka_unit_test(reset_peer_never_resets_an_idle_connection),
        cmocka_unit_test(reset_peer_that_the_draw_spared_closes_in_the_ordinary_way),
        cmocka_unit_test(reset_peer_added_to_a_live_connection_resets),
        cmocka_unit_test(reset_peer_update_takes_effect_while_it_waits),
        cmocka_unit_test(reset_peer_that_dropped_resets_when_it_is_removed),
        cmocka_unit_test(reset_peer_that_held_an_end_lets_it_go_when_removed),
        cmocka_unit_test(reset_peer_delivers_what_passed_it_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
