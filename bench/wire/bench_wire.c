/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to read and write envelopes and frames. The promise: decode and encode of a 270-byte envelope take at
 * most 1 µs together. Each figure is measured on input that is checked first, and without any allocation after the
 * first iteration. */
#include <stdlib.h>
#include <string.h>

#include <bench.h>

#include <duress/error.h>
#include <duress/wire/envelope.h>

#define MESSAGE_ITERATIONS 1000000
#define LARGE_ITERATIONS 100
#define LARGE_BYTES ((size_t)1024 * 1024)
#define FRAMES_A_RUN 16

static const char request_text[] =
    "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\","
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\",\"payload\":{\"method\":\"process\",\"agent_name\":\"adder\","
    "\"message\":{\"role\":\"user\",\"content\":\"2+2\",\"metadata\":{},"
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\"}}}";

/* Escapes that have to be undone and done again, and characters beyond ASCII. */
static const char escaped_text[] =
    "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\","
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\",\"payload\":{\"method\":\"process\",\"message\":{\"role\":\"user\","
    "\"content\":\"\\\"2+2\\\"\\n\xe2\x82\xac \xc3\xa9\\t\",\"metadata\":{},"
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\"}}}";

struct fixture {
    struct duress_slice text;
    struct duress_envelope envelope;
    struct duress_buffer scratch;
    struct duress_buffer out;
};

static void require(int code, const char *what)
{
    if (code != DURESS_OK)
        bench_fail("%s: %s", what, duress_strerror(code));
}

static void fixture_open(struct fixture *fixture, struct duress_slice text)
{
    fixture->text = text;
    duress_buffer_init(&fixture->scratch, 0, NULL);
    duress_buffer_init(&fixture->out, 0, NULL);
    require(duress_envelope_decode(text, NULL, &fixture->scratch, &fixture->envelope, NULL), "decode");
    require(duress_envelope_encode(&fixture->envelope, NULL, &fixture->out, NULL), "encode");
    if (!duress_slice_equal(duress_buffer_slice(&fixture->out), text))
        bench_fail("encode does not undo decode");
}

static void fixture_close(struct fixture *fixture)
{
    duress_buffer_close(&fixture->scratch);
    duress_buffer_close(&fixture->out);
}

static void decode_often(void *context, uint64_t iterations)
{
    struct fixture *fixture = context;
    for (uint64_t index = 0; index < iterations; index++) {
        require(duress_envelope_decode(fixture->text, NULL, &fixture->scratch, &fixture->envelope, NULL), "decode");
        bench_keep(fixture->envelope.content.length);
    }
}

static void encode_often(void *context, uint64_t iterations)
{
    struct fixture *fixture = context;
    for (uint64_t index = 0; index < iterations; index++) {
        duress_buffer_clear(&fixture->out);
        require(duress_envelope_encode(&fixture->envelope, NULL, &fixture->out, NULL), "encode");
        bench_keep(duress_buffer_length(&fixture->out));
    }
}

static void decode_and_encode_often(void *context, uint64_t iterations)
{
    struct fixture *fixture = context;
    for (uint64_t index = 0; index < iterations; index++) {
        require(duress_envelope_decode(fixture->text, NULL, &fixture->scratch, &fixture->envelope, NULL), "decode");
        duress_buffer_clear(&fixture->out);
        require(duress_envelope_encode(&fixture->envelope, NULL, &fixture->out, NULL), "encode");
        bench_keep(duress_buffer_length(&fixture->out));
    }
}

/* Reads FRAMES_A_RUN frames that arrive in runs of |run_bytes|; an iteration is one frame. */
struct frames {
    struct duress_buffer stream;
    size_t run_bytes;
};

static void frames_read_often(void *context, uint64_t iterations)
{
    struct frames *frames = context;
    struct duress_slice all = duress_buffer_slice(&frames->stream);
    struct duress_frame_reader reader;
    uint64_t seen = 0;
    duress_frame_reader_init(&reader, 0, NULL);
    while (seen < iterations) {
        for (size_t fed = 0; fed < all.length;) {
            size_t count = frames->run_bytes < all.length - fed ? frames->run_bytes : all.length - fed;
            struct duress_slice run = duress_slice_bytes(all.data + fed, count);
            struct duress_slice frame;
            fed += count;
            for (; duress_frame_reader_next(&reader, &run, &frame) == DURESS_OK; seen++)
                bench_keep(frame.length);
        }
    }
    if (duress_frame_reader_end(&reader) != DURESS_E_END)
        bench_fail("the frames did not come whole");
    duress_frame_reader_close(&reader);
}

static void bench_frames(void)
{
    struct frames frames;
    size_t mark;
    duress_buffer_init(&frames.stream, 0, NULL);
    for (int index = 0; index < FRAMES_A_RUN; index++) {
        require(duress_frame_begin(&frames.stream, &mark), "frame");
        require(duress_buffer_append(&frames.stream, duress_slice_text(request_text)), "frame");
        require(duress_frame_finish(&frames.stream, mark, 0), "frame");
    }
    frames.run_bytes = duress_buffer_length(&frames.stream);
    (void)bench_time_each("frame reader, 270-byte frames, 16 in one run", MESSAGE_ITERATIONS, frames_read_often,
                          &frames);
    frames.run_bytes = 137;
    (void)bench_time_each("frame reader, 270-byte frames, halved", MESSAGE_ITERATIONS, frames_read_often, &frames);
    duress_buffer_close(&frames.stream);
}

static void bench_messages(void)
{
    struct fixture fixture;
    fixture_open(&fixture, duress_slice_text(request_text));
    (void)bench_time_each("envelope decode, 270 bytes", MESSAGE_ITERATIONS, decode_often, &fixture);
    (void)bench_time_each("envelope encode, 270 bytes", MESSAGE_ITERATIONS, encode_often, &fixture);
    (void)bench_time_each("envelope decode and encode, 270 bytes", MESSAGE_ITERATIONS, decode_and_encode_often,
                          &fixture);
    fixture_close(&fixture);
    fixture_open(&fixture, duress_slice_text(escaped_text));
    (void)bench_time_each("envelope decode and encode, with escapes", MESSAGE_ITERATIONS, decode_and_encode_often,
                          &fixture);
    fixture_close(&fixture);
}

/* A long plain content: the cost of a byte, as gigabytes a second would hide the rest. */
static void bench_large(void)
{
    struct fixture fixture;
    struct duress_buffer text;
    char *content = malloc(LARGE_BYTES);
    if (content == NULL)
        bench_fail("out of memory");
    memset(content, 'a', LARGE_BYTES);
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_RESPONSE,
        .id = duress_slice_text("i"),
        .role = duress_slice_text("agent"),
        .content = duress_slice_bytes(content, LARGE_BYTES),
    };
    duress_buffer_init(&text, 0, NULL);
    require(duress_envelope_encode(&envelope, NULL, &text, NULL), "encode");
    fixture_open(&fixture, duress_buffer_slice(&text));
    (void)bench_time_each("envelope decode and encode, 1 MiB of content", LARGE_ITERATIONS, decode_and_encode_often,
                          &fixture);
    fixture_close(&fixture);
    duress_buffer_close(&text);
    free(content);
}

int main(void)
{
    if (strlen(request_text) != 270)
        bench_fail("the envelope has %zu bytes", strlen(request_text));
    bench_messages();
    bench_large();
    bench_frames();
    return 0;
}
