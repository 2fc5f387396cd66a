/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_pool.h"

#include <stddef.h>
#include <string.h>

#define CLASS_BYTES_MIN ((size_t)64)
#define CLASS_NONE POOL_CLASS_COUNT /* too large to be kept */

/* Before the memory that is handed out, which must be aligned for anything. */
union sim_pool_head {
    struct {
        size_t bytes; /* that were asked for */
        uint32_t class_number;
    } taken;
    max_align_t alignment;
};

struct sim_pool_block {
    struct sim_pool_block *next;
};

static size_t class_bytes(uint32_t class_number)
{
    return CLASS_BYTES_MIN << class_number;
}

static uint32_t class_of(size_t bytes)
{
    uint32_t class_number = 0;
    while (class_number < POOL_CLASS_COUNT && class_bytes(class_number) < bytes)
        class_number++;
    return class_number;
}

static union sim_pool_head *head_of(void *memory)
{
    return (union sim_pool_head *)memory - 1;
}

static void *pool_allocate(void *context, size_t bytes)
{
    struct sim_pool *pool = context;
    if (bytes > SIZE_MAX - sizeof(union sim_pool_head))
        return NULL;
    size_t whole_bytes = bytes + sizeof(union sim_pool_head);
    uint32_t class_number = class_of(whole_bytes);
    union sim_pool_head *head;
    if (class_number < CLASS_NONE && pool->free_blocks[class_number] != NULL) {
        head = (union sim_pool_head *)(void *)pool->free_blocks[class_number];
        pool->free_blocks[class_number] = pool->free_blocks[class_number]->next;
        pool->free_counts[class_number]--;
    } else {
        head = duress_allocate(pool->from, class_number < CLASS_NONE ? class_bytes(class_number) : whole_bytes);
    }
    if (head == NULL)
        return NULL;
    head->taken.bytes = bytes;
    head->taken.class_number = class_number;
    return head + 1;
}

static void pool_release(void *context, void *memory)
{
    struct sim_pool *pool = context;
    if (memory == NULL)
        return;
    union sim_pool_head *head = head_of(memory);
    uint32_t class_number = head->taken.class_number;
    if (class_number == CLASS_NONE || pool->free_counts[class_number] >= POOL_CACHED_MAX) {
        duress_release(pool->from, head);
        return;
    }
    struct sim_pool_block *block = (struct sim_pool_block *)(void *)head;
    block->next = pool->free_blocks[class_number];
    pool->free_blocks[class_number] = block;
    pool->free_counts[class_number]++;
}

static void *pool_reallocate(void *context, void *memory, size_t bytes)
{
    void *moved = pool_allocate(context, bytes);
    if (moved == NULL || memory == NULL)
        return moved;
    size_t old_bytes = head_of(memory)->taken.bytes;
    memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
    pool_release(context, memory);
    return moved;
}

void duress__sim_pool_init(struct sim_pool *pool, const struct duress_allocator *from)
{
    *pool = (struct sim_pool){
        .allocator = {pool, pool_allocate, pool_reallocate, pool_release},
        .from = from,
    };
}

void duress__sim_pool_deinit(struct sim_pool *pool)
{
    for (uint32_t i = 0; i < POOL_CLASS_COUNT; i++) {
        while (pool->free_blocks[i] != NULL) {
            struct sim_pool_block *block = pool->free_blocks[i];
            pool->free_blocks[i] = block->next;
            duress_release(pool->from, block);
        }
    }
}
