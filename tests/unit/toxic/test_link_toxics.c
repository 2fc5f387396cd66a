/* SPDX-License-Identifier: Apache-2.0
 *
 * Toxics added, changed and removed in flight: the draw, the place in the chain, and readers that stall. */
#include "link_rig.h"

#include <string.h>

static bool draw(uint64_t seed, uint64_t id, uint32_t toxicity_ppm)
{
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(id, 100, 0);
    toxic.toxicity_ppm = toxicity_ppm;
    struct duress_link_options options = {.seed = seed, .toxics = &toxic, .toxic_count = 1};
    rig_open_dialing(&rig, &options);
    bool is_active = duress_link_toxic_is_active(rig.link, id);
    rig_close(&rig);
    return is_active;
}

static void draw_hits_its_share_of_connections(void **unused)
{
    (void)unused;
    unsigned hit_count = 0;
    for (uint64_t seed = 0; seed < 10000; seed++) {
        hit_count += draw(seed, 1, 250000);
        assert_true(draw(seed, 1, DURESS_PPM));
        assert_true(draw(seed, 1, UINT32_MAX));
        assert_false(draw(seed, 1, 0));
    }
    assert_in_range(hit_count, 2300, 2700);
}

/* Draws depend on (seed, id) alone, and those of two toxics have nothing to do with one another. */
static void draw_is_each_toxics_own(void **unused)
{
    (void)unused;
    unsigned both_count = 0;
    for (uint64_t seed = 0; seed < 10000; seed++) {
        assert_int_equal(draw(seed, 1, 500000), draw(seed, 1, 500000));
        both_count += draw(seed, 1, 500000) && draw(seed, 2, 500000);
    }
    assert_in_range(both_count, 2300, 2700);
}

/* The reference draws again with each update, and whenever the neighbour comes or goes. Here a connection has one draw
 * for good, and toxicity is the mark that it stands below or not. */
static void draw_is_made_once_and_toxicity_moves_the_mark(void **unused)
{
    (void)unused;
    unsigned hit_count[3] = {0};
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct rig rig;
        struct duress_toxic toxic = toxic_latency(1, 100, 0);
        toxic.toxicity_ppm = 500000;
        struct duress_link_options options = {.seed = seed, .toxics = &toxic, .toxic_count = 1};
        rig_open_dialing(&rig, &options);
        duress_link_dialed(rig.link, DURESS_OK, 0);
        bool was_active = duress_link_toxic_is_active(rig.link, 1);
        hit_count[0] += was_active;
        for (uint64_t i = 0; i < 5; i++) {
            toxic.as.latency.latency_ns = i;
            rig_push(&rig, DURESS_DOWNSTREAM, 1); /* what jitter and losses draw must not matter */
            rig_update(&rig, toxic);
            rig_add(&rig, toxic_of(2, DURESS_TOXIC_NOOP));
            rig_remove(&rig, 2);
            assert_int_equal(duress_link_toxic_is_active(rig.link, 1), was_active);
        }
        toxic.toxicity_ppm = 750000;
        rig_update(&rig, toxic);
        hit_count[1] += duress_link_toxic_is_active(rig.link, 1);
        assert_true(duress_link_toxic_is_active(rig.link, 1) || !was_active);
        toxic.toxicity_ppm = 250000;
        rig_update(&rig, toxic);
        hit_count[2] += duress_link_toxic_is_active(rig.link, 1);
        assert_true(!duress_link_toxic_is_active(rig.link, 1) || was_active);
        toxic.toxicity_ppm = 500000;
        rig_remove(&rig, 1);
        rig_add(&rig, toxic);
        assert_int_equal(duress_link_toxic_is_active(rig.link, 1), was_active); /* as it was: the same seed and id */
        rig_close(&rig);
    }
    assert_in_range(hit_count[0], 430, 570);
    assert_in_range(hit_count[1], 690, 810);
    assert_in_range(hit_count[2], 190, 310);
}

static void toxicity_lowered_to_zero_lets_everything_go(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 1000, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    toxic.toxicity_ppm = 0;
    rig_run(&rig, DURESS_MS);
    rig_update(&rig, toxic);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@1 20@1");
    rig_close(&rig);
}

/* Chain order is the order of creation, and shows in the timing: bandwidth first makes the latency free. */
static void toxic_is_added_at_the_receivers_end(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_add(&rig, toxic_bandwidth(1, 1000));
    rig_add(&rig, toxic_latency(2, 100, 0));
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@100");
    rig_close(&rig);
}

static void toxic_added_takes_what_was_not_written_yet(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_push(&rig, DURESS_DOWNSTREAM, 50);
    rig_write_some(&rig, DURESS_DOWNSTREAM, 30);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_add(&rig, toxic_bandwidth(1, 1000));
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "30@0");
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "30@0 70@70 50@120");
    assert_string_equal(rig_actions(&rig), "shutdown-client@120");
    rig_close(&rig);
}

static void toxic_removed_from_the_middle_keeps_the_order(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 100, 0), toxic_bandwidth(2, 0), toxic_latency(3, 300, 0)};
    rig_open(&rig, toxics, 3);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 150 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, 200 * DURESS_MS);
    rig_remove(&rig, 2);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@400 20@550");
    rig_close(&rig);
}

static void toxics_of_the_two_directions_do_not_meet(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic upstream = toxic_latency(1, 100, 0);
    upstream.direction = DURESS_UPSTREAM;
    rig_open(&rig, &upstream, 1);
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "10@100");
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "20@0");
    rig_close(&rig);
}

/* Acceptance 12: every toxic that may lose nothing, added, updated and removed under a reader that takes nothing for an
 * hour. The rig compares the 4-byte counter stream end to end. */
static void toxics_changed_under_a_stalled_reader_lose_nothing(void **unused)
{
    (void)unused;
    const struct duress_toxic lossless[] = {
        toxic_of(1, DURESS_TOXIC_NOOP), toxic_latency(2, 100, 50),   toxic_bandwidth(3, 1000), toxic_bandwidth(4, 0),
        toxic_slow_close(5, 100),       toxic_slicer(6, 20, 5, 100), toxic_slicer(7, 1, 0, 0),
    };
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    for (size_t i = 0; i < sizeof lossless / sizeof lossless[0]; i++) {
        rig_push(&rig, DURESS_DOWNSTREAM, 20000);
        rig_add(&rig, lossless[i]);
        rig_push(&rig, DURESS_DOWNSTREAM, 333);
        rig_run(&rig, rig.now_ns + 600 * DURESS_S);
        rig_update(&rig, lossless[i]);
        rig_push(&rig, DURESS_DOWNSTREAM, 444);
        rig_run(&rig, rig.now_ns + 50 * DURESS_MS);
    }
    for (uint64_t id = 1; id <= sizeof lossless / sizeof lossless[0]; id++)
        rig_remove(&rig, id);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 0);
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 7 * (20000 + 333 + 444));
    assert_non_null(strstr(rig_actions(&rig), "shutdown-client"));
    rig_close(&rig);
}

/* Acceptance 15: the ends of the range on every field of every toxic, alone, under a stream that ends. */
static void toxics_with_hostile_values_neither_overflow_nor_hang(void **unused)
{
    (void)unused;
    const uint64_t hostile[] = {0, 1, DURESS_S, UINT64_MAX / 2, UINT64_MAX / 2 + 1, UINT64_MAX - 1, UINT64_MAX};
    const size_t count = sizeof hostile / sizeof hostile[0];
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        for (size_t i = 0; i < count * count * count; i++) {
            struct rig rig;
            struct duress_toxic toxic = toxic_of(UINT64_MAX, (enum duress_toxic_type)type);
            uint64_t fields[3] = {hostile[i % count], hostile[i / count % count], hostile[i / count / count]};
            if (type != DURESS_TOXIC_CORRUPT && type != DURESS_TOXIC_CUT)
                memcpy(&toxic.as, fields, sizeof fields); /* All of them begin with numbers. */
            else if (type == DURESS_TOXIC_CUT)
                toxic.as.cut.after_bytes = fields[0];
            else
                toxic.as.corrupt.offsets[toxic.as.corrupt.offset_count++] = fields[0];
            if (type == DURESS_TOXIC_SHARED_BANDWIDTH)
                toxic.as.shared_bandwidth.pool = NULL;
            if (duress_toxic_check(&toxic, NULL) != DURESS_OK)
                continue;
            rig_open(&rig, &toxic, 1);
            rig.is_hole_allowed[DURESS_DOWNSTREAM] = true;
            rig.is_change_allowed[DURESS_DOWNSTREAM] = type == DURESS_TOXIC_CORRUPT;
            for (int pushes = 0; pushes < 3; pushes++)
                if (duress_link_wants(rig.link, DURESS_DOWNSTREAM) > 0)
                    rig_push(&rig, DURESS_DOWNSTREAM, 40);
            rig_update(&rig, toxic);
            rig_end(&rig, DURESS_DOWNSTREAM);
            rig_run(&rig, UINT64_MAX - 10);
            rig_run(&rig, UINT64_MAX);
            rig_remove(&rig, toxic.id);
            assert_int_equal(duress_link_buffered_bytes(rig.link, DURESS_DOWNSTREAM), 0);
            rig_close(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draw_hits_its_share_of_connections),
        cmocka_unit_test(draw_is_each_toxics_own),
        cmocka_unit_test(draw_is_made_once_and_toxicity_moves_the_mark),
        cmocka_unit_test(toxicity_lowered_to_zero_lets_everything_go),
        cmocka_unit_test(toxic_is_added_at_the_receivers_end),
        cmocka_unit_test(toxic_added_takes_what_was_not_written_yet),
        cmocka_unit_test(toxic_removed_from_the_middle_keeps_the_order),
        cmocka_unit_test(toxics_of_the_two_directions_do_not_meet),
        cmocka_unit_test(toxics_changed_under_a_stalled_reader_lose_nothing),
        cmocka_unit_test(toxics_with_hostile_values_neither_overflow_nor_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
