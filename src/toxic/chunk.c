/* SPDX-License-Identifier: Apache-2.0 */
#include "chunk.h"

#include <string.h>

#include <duress/export.h>

struct block {
    size_t references;  /* chunks that point here */
    struct chunk first; /* the chunk of the whole block: most are never cut, and this saves them an allocation */
    uint8_t bytes[];
};

struct chunk *duress__chunk_new(const struct duress_allocator *allocator, struct duress_slice bytes, uint64_t offset,
                                uint64_t now_ns)
{
    DURESS_ASSERT(bytes.length > 0);
    DURESS_ASSERT(bytes.length <= UINT32_MAX);
    struct block *block = duress_allocate(allocator, sizeof *block + bytes.length);
    if (block == NULL)
        return NULL;
    block->references = 1;
    memcpy(block->bytes, bytes.data, bytes.length);
    block->first = (struct chunk){
        .block = block,
        .data = block->bytes,
        .length = (uint32_t)bytes.length,
        .is_last = true,
        .offset = offset,
        .arrived_ns = now_ns,
        .stamp_ns = now_ns,
        .entered_ns = now_ns,
    };
    return &block->first;
}

void duress__chunk_free(const struct duress_allocator *allocator, struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    struct block *block = chunk->block;
    if (chunk != &block->first)
        duress_release(allocator, chunk);
    DURESS_ASSERT(block->references > 0);
    block->references--;
    if (block->references == 0)
        duress_release(allocator, block);
}

struct chunk *duress__chunk_cut(const struct duress_allocator *allocator, struct chunk *chunk, size_t bytes)
{
    DURESS_ASSERT(bytes > 0);
    DURESS_ASSERT(bytes < chunk->length);
    struct chunk *piece = duress_allocate(allocator, sizeof *piece);
    if (piece == NULL)
        return NULL;
    *piece = *chunk;
    piece->next = NULL;
    piece->length = (uint32_t)bytes;
    piece->is_last = false;
    piece->was_cut = true;
    chunk->data += bytes;
    chunk->length -= (uint32_t)bytes;
    chunk->offset += bytes;
    chunk->was_cut = true;
    chunk->block->references++;
    return piece;
}

void duress__chunk_queue_append(struct chunk_queue *queue, struct chunk *chunk)
{
    chunk->next = NULL;
    if (queue->last != NULL)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    queue->count++;
    queue->bytes += chunk->length;
}

struct chunk *duress__chunk_queue_take(struct chunk_queue *queue)
{
    struct chunk *chunk = queue->first;
    if (chunk == NULL)
        return NULL;
    queue->first = chunk->next;
    if (queue->first == NULL)
        queue->last = NULL;
    chunk->next = NULL;
    DURESS_ASSERT(queue->bytes >= chunk->length);
    queue->count--;
    queue->bytes -= chunk->length;
    return chunk;
}

void duress__chunk_queue_trim(struct chunk_queue *queue, size_t bytes)
{
    struct chunk *chunk = queue->first;
    DURESS_ASSERT(chunk != NULL);
    DURESS_ASSERT(bytes < chunk->length);
    chunk->data += bytes;
    chunk->length -= (uint32_t)bytes;
    chunk->offset += bytes;
    queue->bytes -= bytes;
}

size_t duress__chunk_queue_clear(const struct duress_allocator *allocator, struct chunk_queue *queue)
{
    size_t bytes = queue->bytes;
    struct chunk *chunk;
    while ((chunk = duress__chunk_queue_take(queue)) != NULL)
        duress__chunk_free(allocator, chunk);
    return bytes;
}
