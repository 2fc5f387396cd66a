/* SPDX-License-Identifier: Apache-2.0
 *
 * The C library's heap, counted: how many allocations a measured stretch makes. */
#ifndef DURESS_BENCH_COUNTING_HEAP_H
#define DURESS_BENCH_COUNTING_HEAP_H

#include <stdint.h>
#include <stdlib.h>

#include <duress/allocator.h>

struct counting_heap {
    struct duress_allocator allocator;
    uint64_t allocation_count;
};

static inline void *counting_heap_allocate(void *context, size_t bytes)
{
    ((struct counting_heap *)context)->allocation_count++;
    return malloc(bytes);
}

static inline void *counting_heap_reallocate(void *context, void *memory, size_t bytes)
{
    ((struct counting_heap *)context)->allocation_count++;
    return realloc(memory, bytes);
}

static inline void counting_heap_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static inline void counting_heap_init(struct counting_heap *heap)
{
    *heap = (struct counting_heap){
        .allocator = {heap, counting_heap_allocate, counting_heap_reallocate, counting_heap_release},
    };
}

#endif
