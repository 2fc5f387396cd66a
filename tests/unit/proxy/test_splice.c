/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk through kernel pipes: what is spliced, and that no byte is lost or out of its place when toxics come and go, the
 * receiver stalls, or an end dies. Streams are counters: the n-th word is n modulo a prime, so that no piece that is
 * lost, doubled or out of its place goes unseen. */
#include "workers_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "splice.h"

#define PERIOD_WORDS 65521
#define SLICE_BYTES 65536
#define PUMP_BYTES_MAX (512 << 10) /* sent and received before the loop has its turn again */

/* --- counter streams --- */

struct stream {
    int from;
    int to;
    uint64_t sent_bytes;
    uint64_t send_limit; /* UINT64_MAX: for ever */
    uint64_t received_bytes;
    bool is_stalled; /* nothing is received */
    bool is_wrong;
    enum end end;
};

/* The counter stream from |offset| on; at least SLICE_BYTES of it. */
static const uint8_t *stream_at(uint64_t offset)
{
    static uint32_t words[2 * PERIOD_WORDS];
    if (words[1] == 0) {
        for (uint32_t i = 0; i < 2 * PERIOD_WORDS; i++)
            words[i] = i % PERIOD_WORDS;
    }
    return (const uint8_t *)words + offset % (PERIOD_WORDS * sizeof words[0]);
}

static void stream_send(struct stream *stream)
{
    uint64_t until = stream->sent_bytes + PUMP_BYTES_MAX;
    while (stream->sent_bytes < stream->send_limit && stream->sent_bytes < until) {
        uint64_t left = stream->send_limit - stream->sent_bytes;
        size_t length = left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;
        ssize_t sent = send(stream->from, stream_at(stream->sent_bytes), length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            return;
        stream->sent_bytes += (uint64_t)sent;
    }
}

static void stream_receive(struct stream *stream)
{
    static uint8_t bytes[SLICE_BYTES];
    uint64_t until = stream->received_bytes + PUMP_BYTES_MAX;
    while (!stream->is_stalled && stream->end == END_NONE && stream->received_bytes < until) {
        size_t count = peer_read_now(stream->to, bytes, sizeof bytes, &stream->end);
        if (count == 0)
            return;
        stream->is_wrong = stream->is_wrong || memcmp(bytes, stream_at(stream->received_bytes), count) != 0;
        stream->received_bytes += count;
    }
}

static bool stream_pump(void *context)
{
    struct stream *stream = context;
    stream_send(stream);
    stream_receive(stream);
    return stream->is_wrong || stream->end != END_NONE ||
           (stream->sent_bytes == stream->send_limit && stream->received_bytes == stream->sent_bytes);
}

static void stream_run(struct workers_fixture *fixture, struct stream *stream)
{
    wait_until(&fixture->base, stream_pump, stream, "the stream to come through");
    assert_false(stream->is_wrong);
    assert_int_equal(stream->received_bytes, stream->sent_bytes);
}

/* Sends until nobody takes more: the receiver is stalled. */
static void stream_fill(struct workers_fixture *fixture, struct stream *stream)
{
    for (uint64_t before = UINT64_MAX; before != stream->sent_bytes; run_for(&fixture->base, 40 * DURESS_MS)) {
        before = stream->sent_bytes;
        stream_send(stream);
    }
}

static struct duress_workers_direction_counts upstream_counts(const struct workers_fixture *fixture)
{
    return duress_workers_proxy_counts(fixture->proxy).direction[DURESS_UPSTREAM];
}

/* --- what is spliced --- */

static void bulk_is_spliced_and_small_messages_are_not(void **state)
{
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair pair = workers_pair(&fixture);
    for (size_t i = 0; i < 100; i++) {
        peer_send_text(&fixture.base, pair.client, "message");
        peer_expect_text(&fixture.base, pair.server, "message");
    }
    assert_int_equal(upstream_counts(&fixture).bytes_spliced, 0);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_C(64) << 20};
    stream_run(&fixture, &stream);
    struct duress_workers_direction_counts counts = upstream_counts(&fixture);
    assert_int_equal(counts.bytes_out, stream.sent_bytes + 700);
    assert_int_equal(counts.bytes_in, counts.bytes_out);
    assert_true(counts.bytes_spliced >= stream.sent_bytes / 2); /* nearly all where nothing else runs */
    pair_close(&pair);
    workers_stop(&fixture);
}

static void bulk_through_a_toxic_is_not_spliced_and_goes_on_when_it_is_gone(void **state)
{
    struct workers_fixture fixture;
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    latency.as.latency.latency_ns = DURESS_MS;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair pair = workers_pair(&fixture);
    workers_toxic_add(&fixture, &latency);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_C(8) << 20};
    stream_run(&fixture, &stream);
    assert_int_equal(upstream_counts(&fixture).bytes_spliced, 0);
    workers_toxic_remove(&fixture, 1);
    stream.send_limit = UINT64_C(40) << 20;
    stream_run(&fixture, &stream);
    assert_true(upstream_counts(&fixture).bytes_spliced >= UINT64_C(8) << 20);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* After a stall the direction comes to rest and is spliced again. */
static void splicing_resumes_after_a_stall(void **state)
{
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair pair = workers_pair(&fixture);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_MAX, .is_stalled = true};
    stream_fill(&fixture, &stream);
    uint64_t before = upstream_counts(&fixture).bytes_spliced;
    stream.is_stalled = false;
    stream.send_limit = stream.sent_bytes + (UINT64_C(32) << 20);
    stream_run(&fixture, &stream);
    assert_true(upstream_counts(&fixture).bytes_spliced - before >= UINT64_C(4) << 20);
    pair_close(&pair);
    workers_stop(&fixture);
}

struct descriptor_wait {
    int count_max;
};

static bool descriptors_are_few(void *context)
{
    const struct descriptor_wait *wait = context;
    return descriptor_count() <= wait->count_max;
}

static void stalled_connections_keep_no_pipe(void **state)
{
    enum { COUNT = 12 };
    struct workers_fixture fixture;
    struct pair pairs[COUNT];
    (void)state;
    workers_start(&fixture, 1, NULL);
    for (size_t i = 0; i < COUNT; i++)
        pairs[i] = workers_pair(&fixture);
    int before = descriptor_count();
    for (size_t i = 0; i < COUNT; i++) {
        struct stream stream = {.from = pairs[i].client, .to = pairs[i].server, .send_limit = UINT64_MAX};
        stream_fill(&fixture, &stream);
    }
    struct descriptor_wait wait = {before + 2 * SPLICE_PIPES_IDLE_MAX};
    wait_until(&fixture.base, descriptors_are_few, &wait, "pipes to be given back");
    assert_true(upstream_counts(&fixture).bytes_spliced > 0);
    for (size_t i = 0; i < COUNT; i++)
        pair_close(&pairs[i]);
    workers_await_open(&fixture, 0);
    workers_stop(&fixture);
}

/* --- ends --- */

static void fin_comes_behind_the_last_byte(void **state)
{
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair pair = workers_pair(&fixture);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_MAX, .is_stalled = true};
    stream_fill(&fixture, &stream);
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    stream.send_limit = 0;
    stream.is_stalled = false;
    stream_run(&fixture, &stream);
    assert_int_equal(stream.end, END_FIN);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* A pipe with bytes of a dead connection must not serve another one. */
static void dead_connections_bytes_reach_nobody_else(void **state)
{
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 1, NULL);
    for (size_t round = 0; round < 20; round++) {
        struct pair dying = workers_pair(&fixture);
        struct stream lost = {.from = dying.client, .to = dying.server, .send_limit = UINT64_MAX};
        for (size_t i = 0; i < 2 + round % 5; i++) {
            stream_send(&lost);
            run_for(&fixture.base, DURESS_MS);
        }
        peer_reset(round % 2 == 0 ? &dying.client : &dying.server);
        struct pair pair = workers_pair(&fixture);
        struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_C(2) << 20};
        stream_run(&fixture, &stream);
        pair_close(&pair);
        pair_close(&dying);
    }
    workers_await_open(&fixture, 0);
    workers_stop(&fixture);
}

/* --- toxics that come and go --- */

/* What the receiver's kernel does not have yet when the order is answered has to pass the toxic: a bandwidth of 0. */
static void toxic_meets_every_byte_that_is_not_delivered(void **state)
{
    struct workers_fixture fixture;
    struct duress_toxic wall = toxic_make(1, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair pair = workers_pair(&fixture);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_MAX, .is_stalled = true};
    /* Bytes are in a pipe only until the stall is noticed: the change comes while they are under way. */
    for (size_t i = 0; i < 40; i++) {
        stream_send(&stream);
        run_for(&fixture.base, DURESS_MS / 4);
    }
    workers_toxic_add(&fixture, &wall);
    uint64_t delivered = upstream_counts(&fixture).bytes_out;
    assert_true(delivered < stream.sent_bytes);
    stream.is_stalled = false;
    stream.send_limit = stream.sent_bytes;
    for (uint64_t before = UINT64_MAX; before != stream.received_bytes; run_for(&fixture.base, 20 * DURESS_MS)) {
        before = stream.received_bytes;
        stream_receive(&stream);
    }
    assert_int_equal(stream.received_bytes, delivered);
    workers_toxic_remove(&fixture, 1);
    stream_run(&fixture, &stream);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* A change of toxics that loses nothing; the |n|-th of a series. */
static int change_give(struct workers_fixture *fixture, size_t n, struct answer *answer)
{
    struct duress_toxic toxic = {.id = 1 + n / 3 % 2, .direction = DURESS_UPSTREAM, .toxicity_ppm = DURESS_PPM};
    switch (n / 3 % 4) {
    case 0:
        toxic.type = DURESS_TOXIC_LATENCY;
        toxic.as.latency.latency_ns = (n % 3) * DURESS_MS;
        toxic.as.latency.jitter_ns = DURESS_MS;
        break;
    case 1:
        toxic.type = DURESS_TOXIC_SLICER;
        toxic.as.slicer.average_bytes = 2000 + n;
        break;
    case 2:
        toxic.type = DURESS_TOXIC_BANDWIDTH;
        toxic.as.bandwidth.rate_bytes_per_s = UINT64_C(400) << 20;
        break;
    default:
        toxic.type = DURESS_TOXIC_NOOP;
        break;
    }
    *answer = (struct answer){.is_there = false};
    if (n % 3 == 0)
        return duress_workers_proxy_toxic_add(fixture->proxy, &toxic, answered, answer, NULL);
    if (n % 3 == 1)
        return duress_workers_proxy_toxic_update(fixture->proxy, &toxic, answered, answer, NULL);
    return duress_workers_proxy_toxic_remove(fixture->proxy, toxic.id, answered, answer);
}

struct storm {
    struct workers_fixture *fixture;
    struct stream *stream;
    struct answer answer;
    size_t given;
    size_t count;
    uint64_t given_ns;
    uint64_t longest_ns;
};

static bool storm_pump(void *context)
{
    struct storm *storm = context;
    stream_send(storm->stream);
    stream_receive(storm->stream);
    if (storm->answer.is_there) {
        uint64_t took_ns = now_ns(&storm->fixture->base) - storm->given_ns;
        storm->longest_ns = storm->given > 0 && took_ns > storm->longest_ns ? took_ns : storm->longest_ns;
        assert_int_equal(storm->answer.error, DURESS_OK);
    }
    if (storm->answer.is_there && storm->given < storm->count) {
        storm->given_ns = now_ns(&storm->fixture->base);
        assert_int_equal(change_give(storm->fixture, storm->given, &storm->answer), DURESS_OK);
        storm->given++;
        return false;
    }
    return storm->stream->is_wrong || (storm->answer.is_there && storm->given == storm->count);
}

static void storm_of_changes(bool is_stalled)
{
    struct workers_fixture fixture;
    workers_start(&fixture, 2, NULL);
    struct pair pair = workers_pair(&fixture);
    struct stream stream = {.from = pair.client, .to = pair.server, .send_limit = UINT64_MAX};
    stream.is_stalled = is_stalled;
    struct storm storm = {.fixture = &fixture, .stream = &stream, .answer = {.is_there = true}, .count = 201};
    wait_until(&fixture.base, storm_pump, &storm, "all changes to be answered");
    assert_true(storm.longest_ns < DURESS_S); /* far above what it takes, for busy machines */
    stream.is_stalled = false;
    stream.send_limit = stream.sent_bytes + (UINT64_C(4) << 20);
    stream_run(&fixture, &stream);
    assert_true(stream.received_bytes > UINT64_C(4) << 20);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void changes_under_a_fast_reader_lose_and_reorder_nothing(void **state)
{
    (void)state;
    storm_of_changes(false);
}

static void changes_under_a_stalled_reader_are_answered_and_lose_nothing(void **state)
{
    (void)state;
    storm_of_changes(true);
}

/* --- the pool --- */

static void pool_has_a_limit_and_keeps_a_few(void **state)
{
    struct splice_pool pool;
    struct splice_pipe *pipes[SPLICE_PIPES_MAX];
    (void)state;
    int before = descriptor_count();
    duress__splice_pool_init(&pool, duress_allocator_default());
    for (size_t i = 0; i < SPLICE_PIPES_MAX; i++) {
        pipes[i] = duress__splice_borrow(&pool);
        assert_non_null(pipes[i]);
    }
    assert_null(duress__splice_borrow(&pool));
    for (size_t i = 0; i < SPLICE_PIPES_MAX; i++)
        duress__splice_give_back(&pool, pipes[i]);
    assert_int_equal(descriptor_count(), before + 2 * SPLICE_PIPES_IDLE_MAX);
    assert_ptr_equal(duress__splice_borrow(&pool), pipes[SPLICE_PIPES_IDLE_MAX - 1]);
    duress__splice_give_back(&pool, pipes[SPLICE_PIPES_IDLE_MAX - 1]);
    duress__splice_pool_deinit(&pool);
    assert_int_equal(descriptor_count(), before);
}

static void pipe_with_bytes_is_closed_when_it_is_given_back(void **state)
{
    struct splice_pool pool;
    (void)state;
    int before = descriptor_count();
    duress__splice_pool_init(&pool, duress_allocator_default());
    struct splice_pipe *pipe = duress__splice_borrow(&pool);
    assert_non_null(pipe);
    assert_int_equal(write(pipe->write_fd, "bytes", 5), 5);
    pipe->held_bytes = 5;
    duress__splice_give_back(&pool, pipe);
    assert_int_equal(descriptor_count(), before);
    duress__splice_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_is_spliced_and_small_messages_are_not),
        cmocka_unit_test(bulk_through_a_toxic_is_not_spliced_and_goes_on_when_it_is_gone),
        cmocka_unit_test(splicing_resumes_after_a_stall),
        cmocka_unit_test(stalled_connections_keep_no_pipe),
        cmocka_unit_test(fin_comes_behind_the_last_byte),
        cmocka_unit_test(dead_connections_bytes_reach_nobody_else),
        cmocka_unit_test(toxic_meets_every_byte_that_is_not_delivered),
        cmocka_unit_test(changes_under_a_fast_reader_lose_and_reorder_nothing),
        cmocka_unit_test(changes_under_a_stalled_reader_are_answered_and_lose_nothing),
        cmocka_unit_test(pool_has_a_limit_and_keeps_a_few),
        cmocka_unit_test(pipe_with_bytes_is_closed_when_it_is_given_back),
    };
    return cmocka_run_group_tests_name("splicing", tests, NULL, NULL);
}
