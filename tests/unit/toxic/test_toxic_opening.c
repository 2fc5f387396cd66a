/* SPDX-License-Identifier: Apache-2.0
 *
 * slow_open, refuse and fail_first: what becomes of a connection before it is dialed. */
#include "link_rig.h"

#include <string.h>

static void open_with(struct rig *rig, const struct duress_toxic *toxics, size_t count, uint64_t number)
{
    struct duress_link_options options = {
        .seed = 3,
        .connection_number = number,
        .toxics = toxics,
        .toxic_count = count,
    };
    rig_open_dialing(rig, &options);
    rig_outputs(rig);
}

static void link_without_such_toxics_is_dialed_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    open_with(&rig, NULL, 0, 0);
    assert_true(duress_link_wants_dial(rig.link));
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_dial(&rig);
    assert_int_equal(duress_link_stats(rig.link)->dial_ns, 0);
    rig_close(&rig);
}

static void slow_open_delays_the_dial_exactly(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    open_with(&rig, &toxic, 1, 1);
    assert_false(duress_link_wants_dial(rig.link));
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    assert_int_equal(duress_link_next_ns(rig.link), 300 * DURESS_MS);
    rig_run(&rig, 300 * DURESS_MS - 1);
    assert_false(duress_link_wants_dial(rig.link));
    rig_run(&rig, 300 * DURESS_MS);
    rig_dial(&rig);
    assert_int_equal(duress_link_stats(rig.link)->dial_ns, 300 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@300");
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_close(&rig);
}

static void slow_opens_of_both_directions_add_up(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_slow_open(1, 300), toxic_slow_open(2, 50)};
    toxics[1].direction = DURESS_UPSTREAM;
    open_with(&rig, toxics, 2, 1);
    assert_int_equal(duress_link_next_ns(rig.link), 350 * DURESS_MS);
    rig_close(&rig);
}

static void slow_open_that_missed_the_draw_delays_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    toxic.toxicity_ppm = 0;
    open_with(&rig, &toxic, 1, 1);
    assert_true(duress_link_wants_dial(rig.link));
    rig_close(&rig);
}

/* A change counts from the accept, and removal lets the dial begin at once. */
static void slow_open_changes_while_it_waits(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    open_with(&rig, &toxic, 1, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_update(&rig, toxic_slow_open(1, 500));
    assert_int_equal(duress_link_next_ns(rig.link), 500 * DURESS_MS);
    rig_add(&rig, toxic_slow_open(2, 200));
    assert_int_equal(duress_link_next_ns(rig.link), 700 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_int_equal(duress_link_next_ns(rig.link), 200 * DURESS_MS);
    rig_remove(&rig, 2);
    rig_dial(&rig);
    assert_int_equal(duress_link_stats(rig.link)->dial_ns, 100 * DURESS_MS);
    rig_close(&rig);
}

static void slow_open_ends_with_its_time_to_live(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 1000);
    toxic.ttl_ns = 400 * DURESS_MS;
    open_with(&rig, &toxic, 1, 1);
    rig_run(&rig, 400 * DURESS_MS - 1);
    assert_false(duress_link_wants_dial(rig.link));
    rig_run(&rig, 400 * DURESS_MS);
    assert_true(duress_link_wants_dial(rig.link));
    rig_close(&rig);
}

static void client_that_leaves_before_the_dial_closes_the_link(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    open_with(&rig, &toxic, 1, 1);
    rig_run(&rig, 100 * DURESS_MS);
    rig_reset(&rig, DURESS_SIDE_CLIENT);
    assert_string_equal(rig_actions(&rig), "close-client@100 close-server@100");
    assert_false(duress_link_wants_dial(rig.link));
    assert_true(duress_link_is_done(rig.link));
    rig_run(&rig, DURESS_S);
    rig_close(&rig);
}

/* An end before the dial goes on once the server is there, as it does without the toxic. */
static void end_before_the_dial_is_kept(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    open_with(&rig, &toxic, 1, 1);
    rig_end(&rig, DURESS_UPSTREAM);
    rig_run(&rig, 300 * DURESS_MS);
    rig_dial(&rig);
    assert_string_equal(rig_actions(&rig), "shutdown-server@300");
    rig_close(&rig);
}

static void proxy_that_goes_down_ends_a_waiting_link(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slow_open(1, 300);
    open_with(&rig, &toxic, 1, 1);
    duress_link_down(rig.link, 0);
    rig_outputs(&rig);
    assert_true(duress_link_is_done(rig.link));
    rig_close(&rig);
}

static void refuse_resets_the_client_and_never_dials(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(9, DURESS_TOXIC_REFUSE);
    open_with(&rig, &toxic, 1, 1);
    assert_string_equal(rig_actions(&rig), "reset-client@0 close-server@0");
    assert_false(duress_link_wants_dial(rig.link));
    assert_true(duress_link_is_done(rig.link));
    assert_int_equal(duress_link_stats(rig.link)->tripped_by, 9);
    assert_int_equal(duress_link_stats(rig.link)->dialed_ns, 0);
    rig_close(&rig);
}

static void refuse_waits_for_slow_open(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_of(1, DURESS_TOXIC_REFUSE), toxic_slow_open(2, 70)};
    open_with(&rig, toxics, 2, 1);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "reset-client@70 close-server@70");
    assert_int_equal(duress_link_stats(rig.link)->tripped_ns, 70 * DURESS_MS);
    rig_close(&rig);
}

static void refuse_leaves_open_connections_alone(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_add(&rig, toxic_of(1, DURESS_TOXIC_REFUSE));
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0");
    assert_string_equal(rig_actions(&rig), "");
    rig_close(&rig);
}

static void refuse_hits_its_share_of_connections(void **unused)
{
    (void)unused;
    unsigned refused_count = 0;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_REFUSE);
    toxic.toxicity_ppm = 300000;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct rig rig;
        struct duress_link_options options = {.seed = seed, .toxics = &toxic, .toxic_count = 1};
        rig_open_dialing(&rig, &options);
        assert_int_equal(duress_link_wants_dial(rig.link), !duress_link_toxic_is_active(rig.link, 1));
        refused_count += !duress_link_wants_dial(rig.link);
        rig_close(&rig);
    }
    assert_in_range(refused_count, 500, 700);
}

/* |after| and |connections| beside the slowest way of counting there is. */
static void fail_first_refuses_just_those_connections(void **unused)
{
    (void)unused;
    for (uint64_t after = 0; after < 5; after++)
        for (uint64_t connections = 0; connections < 5; connections++) {
            uint64_t left = connections;
            for (uint64_t number = 1; number < 12; number++) {
                struct rig rig;
                struct duress_toxic toxic = toxic_fail_first(1, connections);
                toxic.as.fail_first.after_connection = after;
                bool is_refused = number > after && left > 0;
                left -= is_refused;
                open_with(&rig, &toxic, 1, number);
                assert_int_equal(duress_link_wants_dial(rig.link), !is_refused);
                assert_string_equal(rig_actions(&rig), is_refused ? "reset-client@0 close-server@0" : "");
                rig_close(&rig);
            }
        }
}

static void fail_first_without_a_number_fails_nobody(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_fail_first(1, UINT64_MAX);
    open_with(&rig, &toxic, 1, 0);
    assert_true(duress_link_wants_dial(rig.link));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_without_such_toxics_is_dialed_at_once),
        cmocka_unit_test(slow_open_delays_the_dial_exactly),
        cmocka_unit_test(slow_opens_of_both_directions_add_up),
        cmocka_unit_test(slow_open_that_missed_the_draw_delays_nothing),
        cmocka_unit_test(slow_open_changes_while_it_waits),
        cmocka_unit_test(slow_open_ends_with_its_time_to_live),
        cmocka_unit_test(client_that_leaves_before_the_dial_closes_the_link),
        cmocka_unit_test(end_before_the_dial_is_kept),
        cmocka_unit_test(proxy_that_goes_down_ends_a_waiting_link),
        cmocka_unit_test(refuse_resets_the_client_and_never_dials),
        cmocka_unit_test(refuse_waits_for_slow_open),
        cmocka_unit_test(refuse_leaves_open_connections_alone),
        cmocka_unit_test(refuse_hits_its_share_of_connections),
        cmocka_unit_test(fail_first_refuses_just_those_connections),
        cmocka_unit_test(fail_first_without_a_number_fails_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
