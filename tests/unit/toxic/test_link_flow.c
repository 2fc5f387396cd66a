/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes and back-pressure, the transparent case, and the building of a link. */
#include "link_rig.h"

static void flow_gives_what_it_was_given_piece_by_piece(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_push(&rig, DURESS_UPSTREAM, 10);
    rig_push(&rig, DURESS_UPSTREAM, 3 * DURESS_LINK_CHUNK_BYTES_MAX + 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 5);
    assert_string_equal(rig_writes(&rig, DURESS_UPSTREAM), "10@0 32768@0 32768@0 32768@0 1@0");
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "5@0");
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->chunks_in, 5);
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->chunks_delayed, 0);
    rig_close(&rig);
}

static void flow_keeps_the_rest_of_a_short_write(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    rig_push(&rig, DURESS_UPSTREAM, 10);
    duress_link_written(rig.link, DURESS_UPSTREAM, 3, 0);
    struct duress_slice pending = duress_link_pending(rig.link, DURESS_UPSTREAM, 0);
    assert_int_equal(pending.length, 7);
    assert_int_equal(pending.data[0], rig_byte(DURESS_UPSTREAM, 3));
    assert_int_equal(duress_link_buffered_bytes(rig.link, DURESS_UPSTREAM), 7);
    duress__link_check(rig.link);
    rig_close(&rig);
}

static void flow_stops_at_the_buffers_limit(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_link_options options = {.buffer_bytes_max = 1000};
    rig_open_dialing(&rig, &options);
    duress_link_dialed(rig.link, DURESS_OK, 0);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 1000);
    rig_push(&rig, DURESS_UPSTREAM, 999);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 1);
    rig_push(&rig, DURESS_UPSTREAM, 1);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    assert_int_equal(duress_link_wants(rig.link, DURESS_DOWNSTREAM), 1000); /* each direction has its own */
    uint8_t byte = 0;
    assert_int_equal(duress_link_push(rig.link, DURESS_UPSTREAM, duress_slice_bytes(&byte, 1), 0), DURESS_E_INVALID);
    duress_link_written(rig.link, DURESS_UPSTREAM, 10, 0);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 10);
    rig_close(&rig);
}

static void flow_wants_a_chunk_at_the_most(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), DURESS_LINK_CHUNK_BYTES_MAX);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    rig_push(&rig, DURESS_UPSTREAM, DURESS_LINK_BUFFER_BYTES_DEFAULT);
    assert_int_equal(duress_link_wants(rig.link, DURESS_UPSTREAM), 0);
    rig_close(&rig);
}

/* Single bytes: the number of chunks is bounded as well, and nothing is lost by it. */
static void flow_bounds_the_number_of_chunks(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 100, 0), toxic_bandwidth(2, 0)};
    rig_open(&rig, toxics, 2);
    unsigned pushes = 0;
    while (duress_link_wants(rig.link, DURESS_DOWNSTREAM) > 0) {
        rig_push(&rig, DURESS_DOWNSTREAM, 1);
        pushes++;
        assert_in_range(pushes, 1, PIPE_QUEUE_CHUNKS_MAX);
    }
    assert_int_equal(pushes, PIPE_QUEUE_CHUNKS_MAX);
    rig_run(&rig, DURESS_S);
    while (duress_link_wants(rig.link, DURESS_DOWNSTREAM) > 0) {
        rig_push(&rig, DURESS_DOWNSTREAM, 1);
        pushes++;
        assert_in_range(pushes, 1, 2 * PIPE_QUEUE_CHUNKS_MAX);
    }
    assert_int_equal(pushes, 2 * PIPE_QUEUE_CHUNKS_MAX);
    rig_run(&rig, 2 * DURESS_S);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER); /* No room behind: it waits for that. */
    rig_remove(&rig, 2);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 2 * PIPE_QUEUE_CHUNKS_MAX);
    rig_close(&rig);
}

/* Room that a toxic further on makes without the sink's help is used at that same instant. */
static void flow_goes_on_when_a_toxic_behind_makes_room(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic stalling = toxic_bandwidth(2, 0);
    struct duress_toxic toxics[] = {toxic_latency(1, 0, 0), stalling, toxic_of(3, DURESS_TOXIC_BLACKHOLE)};
    rig_open(&rig, toxics, 3);
    rig_push(&rig, DURESS_DOWNSTREAM, 1);
    for (int pushes = 0; pushes < PIPE_QUEUE_CHUNKS_MAX + 100; pushes++)
        rig_push(&rig, DURESS_DOWNSTREAM, 1);
    assert_int_equal(duress_link_buffered_bytes(rig.link, DURESS_DOWNSTREAM), PIPE_QUEUE_CHUNKS_MAX + 101);
    stalling.toxicity_ppm = 0;
    rig_update(&rig, stalling);
    assert_int_equal(duress_link_buffered_bytes(rig.link, DURESS_DOWNSTREAM), 0);
    rig_close(&rig);
}

/* A slicer to single bytes before a reader that takes nothing makes no more pieces than a queue holds. */
static void flow_stops_a_slicer_behind_a_full_queue(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_slicer(1, 1, 0, 0);
    rig_open(&rig, &toxic, 1);
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, DURESS_LINK_CHUNK_BYTES_MAX);
    assert_in_range(rig.heap.live_count, 1, PIPE_QUEUE_CHUNKS_MAX + 10);
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], DURESS_LINK_CHUNK_BYTES_MAX);
    rig_close(&rig);
}

/* A small chunk costs about its size, not that of the greatest one. */
static void flow_holds_small_chunks_in_small_blocks(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    size_t before_count = rig.heap.live_count;
    rig_push(&rig, DURESS_UPSTREAM, 10);
    assert_int_equal(rig.heap.live_count - before_count, 1);
    assert_true(sizeof(struct chunk) <= 80);
    rig_close(&rig);
}

/* The driver asked, read, and came back a moment later; meanwhile a toxic had closed the stream. */
static void flow_drops_what_was_read_while_a_toxic_closed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 100);
    rig_open(&rig, &toxic, 1);
    assert_true(duress_link_wants(rig.link, DURESS_DOWNSTREAM) > 0);
    uint8_t byte = 0;
    rig.now_ns = 101 * DURESS_MS;
    assert_int_equal(duress_link_push(rig.link, DURESS_DOWNSTREAM, duress_slice_bytes(&byte, 1), rig.now_ns),
                     DURESS_OK);
    rig_outputs(&rig);
    assert_string_equal(rig_actions(&rig), "close-client@101 close-server@101");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_in, 1);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_dropped, 1);
    rig_close(&rig);
}

/* Bytes that went to the socket before the connection closed went out, even if it is said a moment later. */
static void flow_counts_what_was_written_while_a_toxic_closed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_timeout(1, 100);
    rig_open(&rig, &toxic, 1);
    rig.is_stalled[DURESS_UPSTREAM] = true;
    rig_push(&rig, DURESS_UPSTREAM, 10);
    assert_int_equal(duress_link_pending(rig.link, DURESS_UPSTREAM, 0).length, 10);
    rig.now_ns = 101 * DURESS_MS;
    duress_link_written(rig.link, DURESS_UPSTREAM, 10, rig.now_ns);
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->bytes_out, 10);
    rig_close(&rig);
}

static void transparent_while_the_chain_is_empty_and_nothing_is_held(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig.is_stalled[DURESS_DOWNSTREAM] = true;
    rig_push(&rig, DURESS_DOWNSTREAM, 1);
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    assert_true(duress_link_is_transparent(rig.link, DURESS_UPSTREAM));
    rig_unstall(&rig, DURESS_DOWNSTREAM);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_add(&rig, toxic_latency(1, 0, 0));
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_remove(&rig, 1);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_close(&rig);
}

static void transparent_through_toxics_that_touch_no_byte(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic spared = toxic_latency(1, 100, 0);
    spared.toxicity_ppm = 0;
    struct duress_toxic toxics[] = {spared, toxic_of(2, DURESS_TOXIC_NOOP), toxic_slow_close(3, 100)};
    rig_open(&rig, toxics, 3);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_update(&rig, toxic_latency(1, 100, 0));
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_close(&rig);
}

static void moved_bytes_are_counted(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    duress_link_moved(rig.link, DURESS_DOWNSTREAM, 5000);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_in, 5000);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->bytes_out, 5000);
    assert_int_equal(rig_stats(&rig, DURESS_UPSTREAM)->bytes_in, 0);
    duress__link_check(rig.link);
    rig_close(&rig);
}

static void time_that_goes_back_is_no_time(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_latency(1, 100, 0);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, DURESS_S);
    uint8_t byte = rig_byte(DURESS_DOWNSTREAM, 0);
    assert_int_equal(duress_link_push(rig.link, DURESS_DOWNSTREAM, duress_slice_bytes(&byte, 1), 5), DURESS_OK);
    assert_int_equal(duress_link_next_ns(rig.link), 1100 * DURESS_MS);
    duress_link_tick(rig.link, 7);
    assert_int_equal(duress_link_next_ns(rig.link), 1100 * DURESS_MS);
    rig_close(&rig);
}

static void time_at_its_very_end_is_no_loop(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {toxic_latency(1, 0, 0), toxic_timeout(2, 0)};
    toxics[0].as.latency.latency_ns = UINT64_MAX;
    toxics[1].as.timeout.timeout_ns = UINT64_MAX;
    toxics[1].direction = DURESS_UPSTREAM;
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    duress_link_tick(rig.link, UINT64_MAX);
    duress_link_tick(rig.link, UINT64_MAX);
    duress__link_check(rig.link);
    rig_close(&rig);
}

static void new_refuses_bad_options_and_says_why(void **unused)
{
    (void)unused;
    struct duress_link *link = NULL;
    struct duress_failure why;
    struct duress_toxic toxics[2] = {toxic_latency(1, 1, 0), toxic_latency(1, 2, 0)};
    struct duress_link_options options = {.toxics = toxics, .toxic_count = 2};
    assert_int_equal(duress_link_new(NULL, 0, &link, &why), DURESS_E_INVALID);
    assert_int_equal(duress_link_new(&options, 0, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_link_new(&options, 0, &link, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "toxic id 1 is present on this link");
    toxics[1].id = 2;
    toxics[1].type = (enum duress_toxic_type)99;
    assert_int_equal(duress_link_new(&options, 0, &link, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "type is 99, allowed is 0 to 20");
    options.toxics = NULL;
    assert_int_equal(duress_link_new(&options, 0, &link, NULL), DURESS_E_INVALID);
    assert_null(link);
    duress_link_free(NULL);
}

static void toxic_calls_refuse_what_does_not_fit(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_failure why;
    struct duress_toxic toxic = toxic_latency(1, 1, 0);
    rig_open(&rig, &toxic, 1);
    assert_int_equal(duress_link_toxic_add(rig.link, &toxic, 0, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "toxic id 1 is present on this link");
    toxic.direction = DURESS_UPSTREAM;
    assert_int_equal(duress_link_toxic_add(rig.link, &toxic, 0, &why), DURESS_E_INVALID);
    assert_int_equal(duress_link_toxic_update(rig.link, &toxic, 0, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "toxic id 1 is of the other direction, which can't change");
    toxic = toxic_timeout(1, 1);
    assert_int_equal(duress_link_toxic_update(rig.link, &toxic, 0, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "toxic id 1 is of another type, which can't change");
    toxic.id = 2;
    assert_int_equal(duress_link_toxic_update(rig.link, &toxic, 0, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "toxic id 2 is not on this link");
    assert_int_equal(duress_link_toxic_add(rig.link, NULL, 0, &why), DURESS_E_INVALID);
    assert_int_equal(duress_link_toxic_update(rig.link, NULL, 0, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_link_toxic_remove(rig.link, 2, 0), DURESS_E_INVALID);
    assert_false(duress_link_toxic_is_active(rig.link, 2));
    assert_true(duress_link_toxic_is_active(rig.link, 1));
    rig_close(&rig);
}

static void toxic_check_names_the_field_and_the_allowed_range(void **unused)
{
    (void)unused;
    struct duress_failure why;
    struct duress_toxic toxic = toxic_of(1, DURESS_TOXIC_CORRUPT);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_OK);
    toxic.as.corrupt.rate_ppm = DURESS_PPM + 1;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "corrupt.rate_ppm is 1000001, allowed is 0 to 1000000");
    toxic.as.corrupt.rate_ppm = DURESS_PPM;
    toxic.as.corrupt.offset_count = DURESS_CORRUPT_OFFSETS_MAX + 1;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "corrupt.offset_count is 9, allowed is 0 to 8");
    toxic.as.corrupt.offset_count = 2;
    toxic.as.corrupt.offsets[0] = toxic.as.corrupt.offsets[1] = 7;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "corrupt.offsets holds 7 twice, allowed is once");
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_E_INVALID);
    toxic = toxic_cut(1, 0, (enum duress_cut_how)2);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "cut.how is 2, allowed is 0 to 1");
    toxic = toxic_of(1, DURESS_TOXIC_NOOP);
    toxic.direction = (enum duress_direction)2;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "direction is 2, allowed is 0 to 1");
}

static void toxic_types_have_the_names_of_the_api(void **unused)
{
    (void)unused;
    enum duress_toxic_type type = DURESS_TOXIC_NOOP;
    for (unsigned i = 0; i < DURESS_TOXIC_TYPE_COUNT; i++) {
        assert_true(duress_toxic_type_from_name(duress_toxic_type_name((enum duress_toxic_type)i), &type));
        assert_int_equal(type, i);
    }
    assert_string_equal(duress_toxic_type_name(DURESS_TOXIC_SLOW_CLOSE), "slow_close");
    assert_null(duress_toxic_type_name(DURESS_TOXIC_TYPE_COUNT));
    assert_false(duress_toxic_type_from_name("Latency", &type));
    assert_false(duress_toxic_type_from_name("", &type));
    assert_false(duress_toxic_type_from_name(NULL, &type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flow_gives_what_it_was_given_piece_by_piece),
        cmocka_unit_test(flow_keeps_the_rest_of_a_short_write),
        cmocka_unit_test(flow_stops_at_the_buffers_limit),
        cmocka_unit_test(flow_wants_a_chunk_at_the_most),
        cmocka_unit_test(flow_bounds_the_number_of_chunks),
        cmocka_unit_test(flow_goes_on_when_a_toxic_behind_makes_room),
        cmocka_unit_test(flow_stops_a_slicer_behind_a_full_queue),
        cmocka_unit_test(flow_holds_small_chunks_in_small_blocks),
        cmocka_unit_test(flow_drops_what_was_read_while_a_toxic_closed),
        cmocka_unit_test(flow_counts_what_was_written_while_a_toxic_closed),
        cmocka_unit_test(transparent_while_the_chain_is_empty_and_nothing_is_held),
        cmocka_unit_test(transparent_through_toxics_that_touch_no_byte),
        cmocka_unit_test(moved_bytes_are_counted),
        cmocka_unit_test(time_that_goes_back_is_no_time),
        cmocka_unit_test(time_at_its_very_end_is_no_loop),
        cmocka_unit_test(new_refuses_bad_options_and_says_why),
        cmocka_unit_test(toxic_calls_refuse_what_does_not_fit),
        cmocka_unit_test(toxic_check_names_the_field_and_the_allowed_range),
        cmocka_unit_test(toxic_types_have_the_names_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
