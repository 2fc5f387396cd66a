/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame reader against a reader that has the whole stream before it. The first byte of the input says how many of
 * the following ones are the lengths of the runs, repeated as often as needed; the rest is the stream. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <duress/error.h>
#include <duress/wire/frame.h>

#define FRAME_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What the whole stream says at its start: a frame, that it is too large, or that it is not complete. */
static int oracle_next(struct duress_slice *stream, struct duress_slice *frame)
{
    if (stream->length < DURESS_FRAME_HEAD_BYTES)
        return DURESS_E_AGAIN;
    const uint8_t *head = stream->data;
    size_t length = ((size_t)head[0] * 256 + head[1]) * 65536 + (size_t)head[2] * 256 + head[3];
    if (length > FRAME_BYTES_MAX)
        return DURESS_E_MALFORMED;
    if (stream->length - DURESS_FRAME_HEAD_BYTES < length)
        return DURESS_E_AGAIN;
    *frame = duress_slice_bytes(head + DURESS_FRAME_HEAD_BYTES, length);
    stream->data += DURESS_FRAME_HEAD_BYTES + length;
    stream->length -= DURESS_FRAME_HEAD_BYTES + length;
    return DURESS_OK;
}

/* Feeds one run in memory of its own and compares each frame with the oracle's. Returns how the run ended. */
static int run_feed(struct duress_frame_reader *reader, struct duress_slice bytes, struct duress_slice *oracle)
{
    uint8_t *copy = malloc(bytes.length == 0 ? 1 : bytes.length);
    require(copy != NULL);
    if (bytes.length > 0)
        memcpy(copy, bytes.data, bytes.length);
    struct duress_slice run = {copy, bytes.length};
    struct duress_slice frame;
    struct duress_slice expected;
    int code;
    while ((code = duress_frame_reader_next(reader, &run, &frame)) == DURESS_OK) {
        require(oracle_next(oracle, &expected) == DURESS_OK);
        require(duress_slice_equal(frame, expected));
    }
    require(code == DURESS_E_MALFORMED || run.length == 0);
    free(copy);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t run_count = size > 0 ? data[0] : 0;
    if (size < 1 + run_count)
        return 0;
    const uint8_t *runs = data + 1;
    struct duress_slice stream = {runs + run_count, size - 1 - run_count};
    struct duress_slice oracle = stream;
    struct duress_slice rest;
    struct duress_frame_reader reader;
    int code = DURESS_E_AGAIN;
    duress_frame_reader_init(&reader, FRAME_BYTES_MAX, NULL);
    for (size_t index = 0; stream.length > 0 && code == DURESS_E_AGAIN; index++) {
        size_t count = run_count > 0 ? (size_t)runs[index % run_count] + (index % run_count == 0) : stream.length;
        count = count < stream.length ? count : stream.length;
        code = run_feed(&reader, duress_slice_bytes(stream.data, count), &oracle);
        stream.data += count;
        stream.length -= count;
    }
    require(oracle_next(&oracle, &rest) == code);
    int end = duress_frame_reader_end(&reader);
    if (code == DURESS_E_MALFORMED)
        require(end == DURESS_E_MALFORMED);
    else
        require(end == (oracle.length == 0 ? DURESS_E_END : DURESS_E_TRUNCATED));
    duress_frame_reader_close(&reader);
    return 0;
}
