/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: a length of 4 bytes, unsigned and big-endian, then as many bytes of body. The length counts the body alone.
 * A body may be empty here; that an envelope never is, the envelope's scanner says. */
#ifndef DURESS_WIRE_FRAME_H
#define DURESS_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/export.h>
#include <duress/slice.h>
#include <duress/wire/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_FRAME_HEAD_BYTES 4

/* Body of a frame unless configured otherwise: 10 MiB, as agenkit's client has it. */
#define DURESS_FRAME_BYTES_MAX_DEFAULT ((size_t)10 * 1024 * 1024)

/* Turns arbitrary runs of bytes into frames. Private but for the functions below; lives in the caller's memory. Not
 * thread-safe: one owner. */
struct duress_frame_reader {
    struct duress_buffer body; /* the part of a split body that has arrived */
    size_t frame_bytes_max;
    uint8_t head[DURESS_FRAME_HEAD_BYTES];
    size_t head_bytes; /* of the head that have arrived */
    size_t body_bytes; /* announced; meaningful once the head is whole */
    bool body_yielded; /* |body| holds the frame that was yielded last */
    int error;         /* 0, or what the stream broke with */
};

/* Readies a reader at the start of a stream; allocates nothing. |frame_bytes_max|: greatest body in bytes, 0 for the
 * default; values above 2^32 - 1 mean 2^32 - 1. Borrows |allocator| (NULL for the default), which outlives the reader.
 * Free what it came to hold with duress_frame_reader_close(). */
DURESS_API void duress_frame_reader_init(struct duress_frame_reader *reader, size_t frame_bytes_max,
                                         const struct duress_allocator *allocator) DURESS_NONNULL(1);

/* Frees its memory; the reader is then as just initialised. */
DURESS_API void duress_frame_reader_close(struct duress_frame_reader *reader) DURESS_NONNULL(1);

/* Takes bytes from the front of *input (which is moved on) up to the end of the next frame, and gives its body in
 * *frame. Call it until it says DURESS_E_AGAIN for every run of bytes that arrived.
 *
 * The body is borrowed: from the input where the whole body lay in it, else from the reader; until the next call with
 * this reader or the end of the input's memory. Memory grows with the bytes that really arrived (below twice of them,
 * or 256 bytes), never by an announced length alone.
 *
 * DURESS_OK: *frame is one frame, look for more. DURESS_E_AGAIN: the input is used up, the frame is not complete.
 * DURESS_E_MALFORMED: the announced length passes the limit; refused before anything is allocated. DURESS_E_NO_MEMORY.
 * The last two are final: every later call says the same and takes nothing. */
DURESS_API DURESS_MUST_CHECK int duress_frame_reader_next(struct duress_frame_reader *reader,
                                                          struct duress_slice *input, struct duress_slice *frame);

/* What the end of the stream means now: DURESS_E_END between two frames, DURESS_E_TRUNCATED in the middle of one (of
 * its head as well), or the final error of duress_frame_reader_next(). Changes nothing. */
DURESS_API DURESS_MUST_CHECK int duress_frame_reader_end(const struct duress_frame_reader *reader);

/* Begins a frame at the back of |buffer|: leaves room for the head, and gives in *mark where the frame stands. Append
 * the body, then call duress_frame_finish() with the same mark; consume nothing in between. DURESS_E_TOO_LARGE,
 * DURESS_E_NO_MEMORY as duress_buffer_reserve(); the buffer is then as it was. */
DURESS_API DURESS_MUST_CHECK int duress_frame_begin(struct duress_buffer *buffer, size_t *mark);

/* Ends the frame begun at |mark|: writes its length into the head. DURESS_E_TOO_LARGE where the body passes
 * |frame_bytes_max| (0 for the default; at most 2^32 - 1); the whole frame is then dropped from the buffer. */
DURESS_API DURESS_MUST_CHECK int duress_frame_finish(struct duress_buffer *buffer, size_t mark, size_t frame_bytes_max);

#ifdef __cplusplus
}
#endif

#endif
