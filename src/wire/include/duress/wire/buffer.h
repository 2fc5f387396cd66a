/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue of bytes in one contiguous run: written at the back, consumed from the front. Made for write queues, for
 * frames that arrive in pieces, and as reusable scratch memory. Grows by half of what it has to hold, so that its
 * memory stays below twice the largest length it ever had (or 256 bytes). Not thread-safe: one owner. */
#ifndef DURESS_WIRE_BUFFER_H
#define DURESS_WIRE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/export.h>
#include <duress/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private but for the functions below. Lives in the caller's memory. */
struct duress_buffer {
    const struct duress_allocator *allocator;
    uint8_t *data;
    size_t begin; /* of the live bytes */
    size_t end;
    size_t capacity;
    size_t bytes_max;
};

/* Readies an empty buffer; allocates nothing. |bytes_max|: the greatest length it may take; 0 = unlimited. Borrows
 * |allocator| (NULL for the default), which outlives it. Free what it came to hold with duress_buffer_close(). */
DURESS_API void duress_buffer_init(struct duress_buffer *buffer, size_t bytes_max,
                                   const struct duress_allocator *allocator) DURESS_NONNULL(1);

/* Frees its memory and leaves it empty and ready for use again. */
DURESS_API void duress_buffer_close(struct duress_buffer *buffer) DURESS_NONNULL(1);

/* Bytes it holds. */
static inline size_t duress_buffer_length(const struct duress_buffer *buffer)
{
    return buffer->end - buffer->begin;
}

/* The live bytes, borrowed until the buffer is next written to, consumed from, or closed. */
static inline struct duress_slice duress_buffer_slice(const struct duress_buffer *buffer)
{
    struct duress_slice live = {NULL, 0};
    if (buffer->end > buffer->begin)
        live = duress_slice_bytes(buffer->data + buffer->begin, buffer->end - buffer->begin);
    return live;
}

/* Makes room for |count| bytes at the back and gives its start in *room; tell with duress_buffer_commit() how much of
 * it was used. The live bytes may move. DURESS_E_TOO_LARGE (the length would pass bytes_max), DURESS_E_NO_MEMORY; the
 * buffer is then as it was. */
DURESS_API DURESS_MUST_CHECK int duress_buffer_reserve(struct duress_buffer *buffer, size_t count, uint8_t **room);

/* Counts in the first |count| bytes of the room reserved last; never more than were reserved. */
DURESS_API void duress_buffer_commit(struct duress_buffer *buffer, size_t count) DURESS_NONNULL(1);

/* Copies |bytes| to the back; they must not be the buffer's own. Errors as duress_buffer_reserve(). */
DURESS_API DURESS_MUST_CHECK int duress_buffer_append(struct duress_buffer *buffer, struct duress_slice bytes);

/* Drops the first |count| bytes, at most its length. */
DURESS_API void duress_buffer_consume(struct duress_buffer *buffer, size_t count) DURESS_NONNULL(1);

/* Drops all but the first |length| bytes, at most its length. */
DURESS_API void duress_buffer_truncate(struct duress_buffer *buffer, size_t length) DURESS_NONNULL(1);

/* Drops all bytes; keeps the memory. */
DURESS_API void duress_buffer_clear(struct duress_buffer *buffer) DURESS_NONNULL(1);

/* Gives the memory back where the buffer is empty and has more than |capacity_bytes| of it: one large message should
 * not be paid for ever after. */
DURESS_API void duress_buffer_trim(struct duress_buffer *buffer, size_t capacity_bytes) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
