/* SPDX-License-Identifier: Apache-2.0
 *
 * noop, blackhole and corrupt: what becomes of the bytes themselves. */
#include "link_rig.h"

static void noop_changes_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_NOOP);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_update(&rig, toxic);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@0 20@0");
    assert_string_equal(rig_actions(&rig), "shutdown-client@0");
    assert_true(duress_link_toxic_is_active(rig.link, 1));
    rig_close(&rig);
}

static void blackhole_swallows_bytes_and_the_end(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_BLACKHOLE);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_push(&rig, DURESS_UPSTREAM, 3);
    rig_run(&rig, 1000 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "3@0");
    assert_string_equal(rig_actions(&rig), "");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 100);
    rig_close(&rig);
}

/* The side whose RST vanished is closed; the other one learns nothing. */
static void blackhole_swallows_a_reset(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_BLACKHOLE);
    rig_open(&rig, &toxic, 1);
    rig_reset(&rig, DURESS_SIDE_SERVER);
    rig_run(&rig, 1000 * DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-server@0");
    assert_false(duress_link_is_done(rig.link));
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "close-server@0 reset-client@1000000");
    assert_true(duress_link_is_done(rig.link));
    rig_close(&rig);
}

static void blackhole_removed_closes_nothing_and_lets_a_held_end_go(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_BLACKHOLE);
    rig_open(&rig, &toxic, 1);
    rig.is_hole_allowed[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_remove(&rig, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@0");
    assert_string_equal(rig_actions(&rig), "");
    rig_add(&rig, toxic);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_string_equal(rig_actions(&rig), "");
    rig_run(&rig, 5 * DURESS_MS);
    rig_remove(&rig, 1);
    assert_string_equal(rig_actions(&rig), "shutdown-client@5");
    rig_close(&rig);
}

/* What drops needs no room behind it: a full queue there does not make it hold a byte. */
static void dropping_toxics_drop_before_a_full_queue(void **unused)
{
    (void)unused;
    const enum duress_toxic_type types[] = {DURESS_TOXIC_BLACKHOLE, DURESS_TOXIC_TIMEOUT, DURESS_TOXIC_RESET_PEER};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct rig rig;
        struct duress_toxic dropping = toxic_of(1, types[i]);
        dropping.as.reset_peer.timeout_ns = types[i] == DURESS_TOXIC_RESET_PEER ? DURESS_S : 0;
        struct duress_toxic spared = dropping;
        spared.toxicity_ppm = 0;
        struct duress_toxic toxics[] = {spared, toxic_bandwidth(2, 0)};
        rig_open(&rig, toxics, 2);
        for (int pushes = 0; pushes < PIPE_QUEUE_CHUNKS_MAX; pushes++)
            rig_push(&rig, DURESS_DOWNSTREAM, 1);
        rig_update(&rig, dropping);
        rig_push(&rig, DURESS_DOWNSTREAM, 1);
        assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 1);
        rig_close(&rig);
    }
}

static void corrupt_flips_all_bits_at_the_given_offsets(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_CORRUPT);
    toxic.as.corrupt.offset_count = 3;
    toxic.as.corrupt.offsets[0] = 5;
    toxic.as.corrupt.offsets[1] = 29;
    toxic.as.corrupt.offsets[2] = UINT64_MAX;
    struct duress_toxic toxics[] = {toxic_slicer(2, 4, 0, 0), toxic};
    rig_open(&rig, toxics, 2);
    rig.is_change_allowed[DURESS_DOWNSTREAM] = true;
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    uint64_t offset = 0;
    while (duress_link_pending(rig.link, DURESS_DOWNSTREAM, 0).length > 0) {
        struct duress_slice pending = duress_link_pending(rig.link, DURESS_DOWNSTREAM, 0);
        for (size_t i = 0; i < pending.length; i++, offset++) {
            uint8_t flipped = offset == 5 || offset == 29 ? 0xff : 0;
            assert_int_equal(pending.data[i], rig_byte(DURESS_DOWNSTREAM, offset) ^ flipped);
        }
        duress_link_written(rig.link, DURESS_DOWNSTREAM, pending.length, 0);
    }
    assert_int_equal(offset, 40);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_corrupted, 2);
    rig_close(&rig);
}

/* An offset counts the bytes of the direction, those that passed before the toxic came included. */
static void corrupt_counts_offsets_from_the_beginning_of_the_stream(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    duress_link_moved(rig.link, DURESS_DOWNSTREAM, 10);
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_CORRUPT);
    toxic.as.corrupt.offset_count = 2;
    toxic.as.corrupt.offsets[0] = 3;
    toxic.as.corrupt.offsets[1] = 23;
    rig_add(&rig, toxic);
    rig.is_hole_allowed[DURESS_DOWNSTREAM] = true; /* for the rig, which did not see what was moved */
    rig.is_change_allowed[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_corrupted, 1);
    assert_int_equal(rig.last_written[3], rig_byte(DURESS_DOWNSTREAM, 13) ^ 0xff);
    rig_close(&rig);
}

/* About 1 % of a megabyte; each changed byte differs in exactly one bit; the same seed changes the same bytes. */
static void corrupt_flips_single_bits_at_its_rate(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_CORRUPT);
    toxic.as.corrupt.rate_ppm = 10000;
    rig_open(&rig, &toxic, 1);
    rig.is_change_allowed[DURESS_DOWNSTREAM] = true;
    uint64_t changed = 0;
    unsigned bits_seen = 0;
    for (uint64_t sent = 0; sent < 32; sent++) {
        rig_push(&rig, DURESS_DOWNSTREAM, DURESS_LINK_CHUNK_BYTES_MAX);
        for (size_t i = 0; i < rig.last_written_bytes; i++) {
            unsigned difference =
                rig.last_written[i] ^ rig_byte(DURESS_DOWNSTREAM, sent * DURESS_LINK_CHUNK_BYTES_MAX + i);
            assert_int_equal(difference & (difference - 1U), 0);
            bits_seen |= difference;
            changed += difference != 0;
        }
    }
    assert_in_range(changed, 9900, 11100); /* 10485.76 expected, six standard deviations either way */
    assert_int_equal(bits_seen, 0xff);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_corrupted, changed);
    rig_close(&rig);
}

static void corrupt_at_certainty_changes_every_byte(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_CORRUPT);
    toxic.as.corrupt.rate_ppm = DURESS_PPM;
    toxic.as.corrupt.offset_count = 1;
    toxic.as.corrupt.offsets[0] = 50;
    rig_open(&rig, &toxic, 1);
    rig.is_change_allowed[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_not_equal(rig.last_written[i], rig_byte(DURESS_DOWNSTREAM, i));
    assert_int_equal(rig.last_written[50], rig_byte(DURESS_DOWNSTREAM, 50) ^ 0xff);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_corrupted, 100);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noop_changes_nothing),
        cmocka_unit_test(blackhole_swallows_bytes_and_the_end),
        cmocka_unit_test(blackhole_swallows_a_reset),
        cmocka_unit_test(blackhole_removed_closes_nothing_and_lets_a_held_end_go),
        cmocka_unit_test(dropping_toxics_drop_before_a_full_queue),
        cmocka_unit_test(corrupt_flips_all_bits_at_the_given_offsets),
        cmocka_unit_test(corrupt_counts_offsets_from_the_beginning_of_the_stream),
        cmocka_unit_test(corrupt_flips_single_bits_at_its_rate),
        cmocka_unit_test(corrupt_at_certainty_changes_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
