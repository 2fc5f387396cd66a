/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks: the bytes of one push, or a piece of them. The bytes lie in a block of exactly their size, which the chunk
 * and the pieces cut from it share; so moving and cutting copy nothing. One allocation a push, one a further piece. */
#ifndef DURESS_TOXIC_CHUNK_H
#define DURESS_TOXIC_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/slice.h>

struct block;

struct chunk {
    struct chunk *next;
    struct block *block;
    uint8_t *data; /* within the block; nobody else's chunk covers these bytes */
    uint32_t length;
    bool is_last;        /* holds the last byte of what was pushed (or of what a toxic left of it) */
    bool was_cut;        /* a piece, or the rest behind one */
    uint64_t offset;     /* of its first byte in the stream of the direction */
    uint64_t arrived_ns; /* when it was pushed */
    uint64_t stamp_ns;   /* when it was pushed, moved forward by what latency toxics made it wait */
    uint64_t entered_ns; /* when it came to the stage that has it */
};

/* First in, first out. All zero is an empty queue. */
struct chunk_queue {
    struct chunk *first;
    struct chunk *last;
    size_t count;
    size_t bytes;
};

/* Copies |bytes| (not empty, at most UINT32_MAX) into a new chunk; NULL where memory is short. Free with
 * duress__chunk_free(). */
struct chunk *duress__chunk_new(const struct duress_allocator *allocator, struct duress_slice bytes, uint64_t offset,
                                uint64_t now_ns);

/* NULL is allowed. */
void duress__chunk_free(const struct duress_allocator *allocator, struct chunk *chunk);

/* Cuts the first |bytes| (more than 0, less than all) off |chunk| into a chunk of their own, which is returned; |chunk|
 * keeps the rest. NULL where memory is short, and nothing changed. */
struct chunk *duress__chunk_cut(const struct duress_allocator *allocator, struct chunk *chunk, size_t bytes);

/* Takes the chunk. */
void duress__chunk_queue_append(struct chunk_queue *queue, struct chunk *chunk);

/* Gives the first chunk to the caller; NULL where the queue is empty. */
struct chunk *duress__chunk_queue_take(struct chunk_queue *queue);

/* Takes |bytes| off the front of the first chunk, which keeps at least one. */
void duress__chunk_queue_trim(struct chunk_queue *queue, size_t bytes);

/* Frees all chunks. Returns how many bytes they held. */
size_t duress__chunk_queue_clear(const struct duress_allocator *allocator, struct chunk_queue *queue);

#endif
