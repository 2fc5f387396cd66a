/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

struct pieces {
    size_t count;
    size_t bytes_min;
    size_t bytes_max;
};

/* Pushes one chunk of |bytes| and writes what comes out, piece by piece. */
static struct pieces slice(struct rig *rig, size_t bytes)
{
    struct pieces pieces = {.bytes_min = SIZE_MAX};
    uint64_t before_bytes = rig->written_bytes[DURESS_DOWNSTREAM];
    rig->is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(rig, DURESS_DOWNSTREAM, bytes);
    for (;;) {
        struct duress_slice pending = duress_link_pending(rig->link, DURESS_DOWNSTREAM, rig->now_ns);
        if (pending.length == 0)
            break;
        pieces.count++;
        pieces.bytes_min = pending.length < pieces.bytes_min ? pending.length : pieces.bytes_min;
        pieces.bytes_max = pending.length > pieces.bytes_max ? pending.length : pieces.bytes_max;
        rig_write_some(rig, DURESS_DOWNSTREAM, pending.length);
    }
    assert_int_equal(rig->written_bytes[DURESS_DOWNSTREAM] - before_bytes, bytes);
    return pieces;
}

/* Observed: average 10, variation 2 on 100 bytes gave pieces of 6 to 12. */
static void slicer_pieces_are_at_most_average_plus_variation(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 10, 2, 0);
    rig_open(&rig, &toxic, 1);
    struct pieces all = {.bytes_min = SIZE_MAX};
    for (int i = 0; i < 500; i++) {
        struct pieces pieces = slice(&rig, 100);
        all.count += pieces.count;
        all.bytes_min = pieces.bytes_min < all.bytes_min ? pieces.bytes_min : all.bytes_min;
        all.bytes_max = pieces.bytes_max > all.bytes_max ? pieces.bytes_max : all.bytes_max;
    }
    assert_int_equal(all.bytes_max, 12);
    assert_int_equal(all.bytes_min, 4);                  /* 13 bytes, cut two before their middle */
    assert_in_range(500 * 100 * 10 / all.count, 70, 85); /* the mean, in tenths: below the nominal one */
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->pieces_sliced, all.count);
    rig_close(&rig);
}

static void slicer_without_variation_halves(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 30, 0, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "25@0 25@0 25@0 25@0");
    rig_push(&rig, DURESS_DOWNSTREAM, 30);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "25@0 25@0 25@0 25@0 30@0");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->pieces_sliced, 4);
    rig_close(&rig);
}

static void slicer_pauses_after_each_piece_the_last_included(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 30, 0, 500);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 50);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "25@0 25@0.5 10@1");
    assert_string_equal(rig_actions(&rig), "shutdown-client@1.5");
    rig_close(&rig);
}

static void slicer_update_sends_the_rest_as_one_piece(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 30, 0, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 200);
    rig_push(&rig, DURESS_DOWNSTREAM, 50);
    rig_run(&rig, DURESS_MS + DURESS_MS / 2);
    rig_update(&rig, toxic_slicer(1, 25, 0, 1000));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "25@0 25@1 150@1.5 25@1.5 25@2.5");
    rig_close(&rig);
}

/* Between two chunks there is none in hand: the pause ends, and the next chunk is sliced by the new settings. */
static void slicer_update_in_the_last_pause_slices_the_next_chunk(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 100, 0, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_run(&rig, DURESS_MS / 2);
    rig_update(&rig, toxic_slicer(1, 50, 0, 1000));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@0 50@0.5 50@1.5");
    rig_close(&rig);
}

static void slicer_removal_sends_the_rest_as_one_piece(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 30, 0, 1000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 200);
    rig_run(&rig, DURESS_MS / 2);
    rig_remove(&rig, 1);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "25@0 175@0.5");
    rig_close(&rig);
}

/* The defaults of the API: the reference dies of them. */
static void slicer_of_size_zero_does_not_slice(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_slicer(1, 0, 0, 0), toxic_slicer(2, 0, 50, 0)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "1000@0");
    rig_close(&rig);
}

static void slicer_variation_is_clamped_to_the_average(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 10, UINT64_MAX, 0);
    rig_open(&rig, &toxic, 1);
    for (int i = 0; i < 200; i++)
        assert_in_range(slice(&rig, 1000).bytes_max, 1, 20);
    rig_close(&rig);
}

/* Every size of chunk through the meanest settings: no empty piece, no endless cut, no byte lost. */
static void slicer_cuts_every_size_to_single_bytes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_slicer(1, 1, 1, 0), toxic_slicer(2, 1, 0, 0)};
    rig_open(&rig, toxics, 2);
    for (size_t bytes = 1; bytes <= 300; bytes++)
        assert_int_equal(slice(&rig, bytes).count, bytes);
    assert_int_equal(slice(&rig, DURESS_LINK_CHUNK_BYTES_MAX).count, DURESS_LINK_CHUNK_BYTES_MAX);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slicer_pieces_are_at_most_average_plus_variation),
        cmocka_unit_test(slicer_without_variation_halves),
        cmocka_unit_test(slicer_pauses_after_each_piece_the_last_included),
        cmocka_unit_test(slicer_update_sends_the_rest_as_one_piece),
        cmocka_unit_test(slicer_update_in_the_last_pause_slices_the_next_chunk),
        cmocka_unit_test(slicer_removal_sends_the_rest_as_one_piece),
        cmocka_unit_test(slicer_of_size_zero_does_not_slice),
        cmocka_unit_test(slicer_variation_is_clamped_to_the_average),
        cmocka_unit_test(slicer_cuts_every_size_to_single_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
