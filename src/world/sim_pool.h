/* SPDX-License-Identifier: Apache-2.0
 *
 * A cache in front of an allocator, for what a link takes and gives back with every chunk: a run that is warm asks the
 * allocator for nothing. Free blocks are kept in lists by size, at most POOL_CACHED_MAX in each. */
#ifndef DURESS_WORLD_SIM_POOL_H
#define DURESS_WORLD_SIM_POOL_H

#include <stdint.h>

#include <duress/allocator.h>

#define POOL_CLASS_COUNT 11 /* 64 bytes to 64 KiB */
#define POOL_CACHED_MAX 256

struct sim_pool_block;

struct sim_pool {
    struct duress_allocator allocator; /* what the users of the pool are given */
    const struct duress_allocator *from;
    struct sim_pool_block *free_blocks[POOL_CLASS_COUNT];
    uint32_t free_counts[POOL_CLASS_COUNT];
};

/* |from| is borrowed. The pool must stay where it is. */
void duress__sim_pool_init(struct sim_pool *pool, const struct duress_allocator *from);

/* Everything that was taken must have been given back. */
void duress__sim_pool_deinit(struct sim_pool *pool);

#endif
