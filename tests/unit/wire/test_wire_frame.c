/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test_support.h"

#include <string.h>

#include <duress/wire/frame.h>

#define STREAM_FRAMES 50

/* A stream of random frames, several of them empty. */
struct stream {
    struct duress_buffer bytes;
    size_t ends[STREAM_FRAMES]; /* offset behind each frame */
    size_t lengths[STREAM_FRAMES];
};

static void stream_draw(struct stream *stream, struct duress_prng *prng)
{
    duress_buffer_init(&stream->bytes, 0, NULL);
    for (size_t index = 0; index < STREAM_FRAMES; index++) {
        size_t mark;
        uint8_t *body;
        size_t length = index % 5 == 0 ? 0 : (size_t)duress_prng_below(prng, index % 7 == 0 ? 2000 : 60);
        assert_int_equal(duress_frame_begin(&stream->bytes, &mark), DURESS_OK);
        assert_int_equal(duress_buffer_reserve(&stream->bytes, length, &body), DURESS_OK);
        for (size_t at = 0; at < length; at++)
            body[at] = (uint8_t)duress_prng_next(prng);
        duress_buffer_commit(&stream->bytes, length);
        assert_int_equal(duress_frame_finish(&stream->bytes, mark, 0), DURESS_OK);
        stream->lengths[index] = length;
        stream->ends[index] = duress_buffer_length(&stream->bytes);
    }
}

static void frame_check(const struct stream *stream, size_t index, struct duress_slice frame)
{
    const uint8_t *bytes = duress_buffer_slice(&stream->bytes).data;
    assert_true(index < STREAM_FRAMES);
    size_t length = stream->lengths[index];
    assert_true(duress_slice_equal(frame, duress_slice_bytes(bytes + stream->ends[index] - length, length)));
}

/* Feeds the stream in runs of |run_max| bytes at most (0: all at once), each of them copied against an unreadable page,
 * so that neither a look beyond the run nor a borrow that outlives it goes unseen. */
static void stream_read(const struct stream *stream, struct duress_prng *prng, size_t run_max,
                        const struct duress_allocator *allocator)
{
    struct duress_frame_reader reader;
    struct test_guard guard;
    struct duress_slice all = duress_buffer_slice(&stream->bytes);
    size_t frames = 0;
    size_t fed = 0;
    test_guard_open(&guard, all.length);
    duress_frame_reader_init(&reader, 0, allocator);
    while (fed < all.length) {
        size_t count = run_max == 0 ? all.length : (size_t)duress_prng_between(prng, 1, run_max);
        count = count < all.length - fed ? count : all.length - fed;
        struct duress_slice run = test_guard_at_end(&guard, duress_slice_bytes(all.data + fed, count));
        struct duress_slice frame;
        fed += count;
        int code;
        while ((code = duress_frame_reader_next(&reader, &run, &frame)) == DURESS_OK)
            frame_check(stream, frames++, frame);
        assert_int_equal(code, DURESS_E_AGAIN);
        assert_int_equal(run.length, 0);
        bool between = frames > 0 ? stream->ends[frames - 1] == fed : fed == 0;
        assert_int_equal(duress_frame_reader_end(&reader), between ? DURESS_E_END : DURESS_E_TRUNCATED);
    }
    assert_int_equal(frames, STREAM_FRAMES);
    duress_frame_reader_close(&reader);
    test_guard_close(&guard);
}

static void frames_come_whole_however_they_are_split(void **state)
{
    (void)state;
    struct duress_prng prng;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct stream stream;
        struct test_allocator test;
        duress_prng_init(&prng, seed, 1);
        test_allocator_init(&test);
        stream_draw(&stream, &prng);
        stream_read(&stream, &prng, 0, &test.allocator);
        assert_int_equal(test.calls, 0); /* nothing is copied where whole frames arrive */
        stream_read(&stream, &prng, 1, &test.allocator);
        stream_read(&stream, &prng, 9, &test.allocator);
        stream_read(&stream, &prng, 3000, &test.allocator);
        assert_true(test.calls > 0);
        assert_int_equal(test.live_count, 0);
        duress_buffer_close(&stream.bytes);
    }
}

static void worked_example_has_these_bytes(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    size_t mark;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(strlen(EXAMPLE_REQUEST), 270);
    assert_int_equal(strlen(EXAMPLE_RESPONSE), 243);
    assert_int_equal(duress_frame_begin(&buffer, &mark), DURESS_OK);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text(EXAMPLE_REQUEST)), DURESS_OK);
    assert_int_equal(duress_frame_finish(&buffer, mark, 0), DURESS_OK);
    assert_int_equal(duress_frame_begin(&buffer, &mark), DURESS_OK);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text(EXAMPLE_RESPONSE)), DURESS_OK);
    assert_int_equal(duress_frame_finish(&buffer, mark, 0), DURESS_OK);
    struct duress_slice bytes = duress_buffer_slice(&buffer);
    assert_int_equal(bytes.length, 4 + 270 + 4 + 243);
    assert_memory_equal(bytes.data, "\0\0\x01\x0e{\"version", 13);
    assert_memory_equal(bytes.data + 274, "\0\0\0\xf3{\"version", 13);
    duress_buffer_close(&buffer);
}

static int reader_feed(struct duress_frame_reader *reader, const void *bytes, size_t count, struct duress_slice *frame)
{
    struct duress_slice input = duress_slice_bytes(bytes, count);
    return duress_frame_reader_next(reader, &input, frame);
}

static void length_is_limited_exactly(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_frame_reader reader;
    struct duress_slice frame;
    test_allocator_init(&test);
    duress_frame_reader_init(&reader, 5, &test.allocator);
    assert_int_equal(reader_feed(&reader,
                                 "\0\0\0\x05"
                                 "abcde",
                                 9, &frame),
                     DURESS_OK);
    test_slice_assert(frame, "abcde");
    assert_int_equal(reader_feed(&reader,
                                 "\0\0\0\x06"
                                 "abcdef",
                                 10, &frame),
                     DURESS_E_MALFORMED);
    assert_int_equal(frame.length, 0);
    assert_int_equal(reader_feed(&reader,
                                 "\0\0\0\x01"
                                 "a",
                                 5, &frame),
                     DURESS_E_MALFORMED);
    assert_int_equal(duress_frame_reader_end(&reader), DURESS_E_MALFORMED);
    duress_frame_reader_close(&reader);
    assert_int_equal(reader_feed(&reader,
                                 "\0\0\0\x01"
                                 "a",
                                 5, &frame),
                     DURESS_OK);
    assert_int_equal(test.calls, 0);
    duress_frame_reader_close(&reader);
}

static void default_limit_is_ten_mebibytes(void **state)
{
    (void)state;
    struct duress_frame_reader reader;
    struct duress_slice frame;
    duress_frame_reader_init(&reader, 0, NULL);
    assert_int_equal(reader_feed(&reader, "\x00\xa0\x00\x00", 4, &frame), DURESS_E_AGAIN);
    duress_frame_reader_close(&reader);
    assert_int_equal(reader_feed(&reader, "\x00\xa0\x00\x01", 4, &frame), DURESS_E_MALFORMED);
    duress_frame_reader_close(&reader);
    assert_int_equal(reader_feed(&reader, "\x01\x00\x00\x00", 4, &frame), DURESS_E_MALFORMED);
    duress_frame_reader_init(&reader, SIZE_MAX, NULL);
    assert_int_equal(reader_feed(&reader, "\xff\xff\xff\xff", 4, &frame), DURESS_E_AGAIN);
    duress_frame_reader_close(&reader);
}

/* An announcement alone costs nothing, and a little of what was announced costs little. */
static void memory_follows_what_arrives(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_frame_reader reader;
    struct duress_slice frame;
    static const uint8_t zeros[1000];
    test_allocator_init(&test);
    duress_frame_reader_init(&reader, 0, &test.allocator);
    assert_int_equal(reader_feed(&reader, "\x00\xa0\x00\x00", 4, &frame), DURESS_E_AGAIN);
    assert_int_equal(test.calls, 0);
    for (size_t arrived = 1000; arrived <= 100000; arrived += 1000) {
        assert_int_equal(reader_feed(&reader, zeros, 1000, &frame), DURESS_E_AGAIN);
        assert_true(test.bytes_live < 2 * arrived + 64);
    }
    assert_true(test.calls < 20);
    duress_frame_reader_close(&reader);
    assert_int_equal(test.live_count, 0);
}

static void large_frame_is_not_paid_for_ever_after(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_frame_reader reader;
    struct duress_slice frame;
    static uint8_t large[4 + 200000] = {0x00, 0x03, 0x0d, 0x40};
    test_allocator_init(&test);
    duress_frame_reader_init(&reader, 0, &test.allocator);
    assert_int_equal(reader_feed(&reader, large, 100000, &frame), DURESS_E_AGAIN);
    assert_int_equal(reader_feed(&reader, large + 100000, sizeof large - 100000, &frame), DURESS_OK);
    assert_int_equal(frame.length, 200000);
    assert_int_equal(test.live_count, 1);
    assert_int_equal(reader_feed(&reader, "", 0, &frame), DURESS_E_AGAIN);
    assert_int_equal(test.live_count, 0);
    assert_int_equal(duress_frame_reader_end(&reader), DURESS_E_END);
    duress_frame_reader_close(&reader);
}

static void end_of_the_stream_tells_where_it_came(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\x03"
                                "abc";
    struct duress_frame_reader reader;
    struct duress_slice frame;
    duress_frame_reader_init(&reader, 0, NULL);
    assert_int_equal(duress_frame_reader_end(&reader), DURESS_E_END);
    for (size_t at = 0; at < 7; at++) {
        assert_int_equal(reader_feed(&reader, bytes + at, 1, &frame), at == 6 ? DURESS_OK : DURESS_E_AGAIN);
        assert_int_equal(duress_frame_reader_end(&reader), at == 6 ? DURESS_E_END : DURESS_E_TRUNCATED);
    }
    test_slice_assert(frame, "abc");
    duress_frame_reader_close(&reader);
}

/* The n-th allocation fails, for every n: the reader says so, and goes on saying so. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const uint8_t bytes[4 + 3000] = {0x00, 0x00, 0x0b, 0xb8};
    uint64_t failed = 0;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct test_allocator test;
        struct duress_frame_reader reader;
        struct duress_slice frame;
        int code = DURESS_E_AGAIN;
        test_allocator_init(&test);
        test.fail_at = fail_at;
        duress_frame_reader_init(&reader, 0, &test.allocator);
        for (size_t at = 0; at < sizeof bytes && code == DURESS_E_AGAIN; at += 4)
            code = reader_feed(&reader, bytes + at, 4, &frame);
        if (code == DURESS_OK) {
            assert_int_equal(frame.length, 3000);
            duress_frame_reader_close(&reader);
            break;
        }
        failed++;
        assert_int_equal(code, DURESS_E_NO_MEMORY);
        test.fail_at = 0;
        assert_int_equal(reader_feed(&reader, bytes, 4, &frame), DURESS_E_NO_MEMORY);
        assert_int_equal(duress_frame_reader_end(&reader), DURESS_E_NO_MEMORY);
        duress_frame_reader_close(&reader);
        assert_int_equal(test.live_count, 0);
    }
    assert_true(failed >= 3);
}

static void oversize_frame_is_dropped_by_the_writer(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    size_t mark;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("before")), DURESS_OK);
    for (size_t length = 5; length <= 6; length++) {
        assert_int_equal(duress_frame_begin(&buffer, &mark), DURESS_OK);
        assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes("abcdef", length)), DURESS_OK);
        int code = duress_frame_finish(&buffer, mark, 5);
        assert_int_equal(code, length == 5 ? DURESS_OK : DURESS_E_TOO_LARGE);
    }
    struct duress_slice bytes = duress_buffer_slice(&buffer);
    assert_true(duress_slice_equal(bytes, duress_slice_bytes("before\0\0\0\x05"
                                                             "abcde",
                                                             15)));
    duress_buffer_close(&buffer);
}

/* A write queue that is being consumed: the mark counts from its front, wherever that lies in memory. */
static void frame_is_patched_behind_consumed_bytes(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    size_t mark;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("0123456789")), DURESS_OK);
    duress_buffer_consume(&buffer, 7);
    assert_int_equal(duress_frame_begin(&buffer, &mark), DURESS_OK);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("xy")), DURESS_OK);
    assert_int_equal(duress_frame_finish(&buffer, mark, 0), DURESS_OK);
    assert_true(duress_slice_equal(duress_buffer_slice(&buffer), duress_slice_bytes("789\0\0\0\x02xy", 9)));
    duress_buffer_close(&buffer);
    duress_buffer_init(&buffer, 3, NULL);
    assert_int_equal(duress_frame_begin(&buffer, &mark), DURESS_E_TOO_LARGE);
    duress_buffer_close(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_whole_however_they_are_split),
        cmocka_unit_test(worked_example_has_these_bytes),
        cmocka_unit_test(length_is_limited_exactly),
        cmocka_unit_test(default_limit_is_ten_mebibytes),
        cmocka_unit_test(memory_follows_what_arrives),
        cmocka_unit_test(large_frame_is_not_paid_for_ever_after),
        cmocka_unit_test(end_of_the_stream_tells_where_it_came),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(oversize_frame_is_dropped_by_the_writer),
        cmocka_unit_test(frame_is_patched_behind_consumed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
