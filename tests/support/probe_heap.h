/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that counts what lives and fails from the n-th allocation on, for the tests of running out of memory:
 *
 *     for (uint64_t after = 0;; after++) {
 *         struct probe_heap heap;
 *         probe_heap_init(&heap, after);
 *         int error = scenario(&heap.allocator);
 *         assert_int_equal(heap.live_count, 0);
 *         if (!heap.tripped)
 *             break;
 *         assert_int_equal(error, DURESS_E_NO_MEMORY);
 *     }
 *
 * Not thread-safe. */
#ifndef DURESS_TESTS_PROBE_HEAP_H
#define DURESS_TESTS_PROBE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <duress/allocator.h>

struct probe_heap {
    struct duress_allocator allocator;
    uint64_t fail_after; /* so many allocations go well */
    bool fail_once;      /* the next ones go well again */
    uint64_t allocation_count;
    uint64_t live_count;
    size_t largest_bytes; /* the largest block that was ever asked for; set to 0 to begin anew */
    bool tripped;
};

static inline bool probe_heap_fails(struct probe_heap *heap, size_t bytes)
{
    if (bytes > heap->largest_bytes)
        heap->largest_bytes = bytes;
    bool fails =
        heap->fail_once ? heap->allocation_count == heap->fail_after : heap->allocation_count >= heap->fail_after;
    heap->allocation_count++;
    heap->tripped = heap->tripped || fails;
    return fails;
}

static inline void *probe_heap_allocate(void *context, size_t bytes)
{
    struct probe_heap *heap = (struct probe_heap *)context;
    void *memory = probe_heap_fails(heap, bytes) ? NULL : malloc(bytes);
    heap->live_count += memory != NULL;
    return memory;
}

static inline void *probe_heap_reallocate(void *context, void *memory, size_t bytes)
{
    struct probe_heap *heap = (struct probe_heap *)context;
    void *moved = probe_heap_fails(heap, bytes) ? NULL : realloc(memory, bytes);
    heap->live_count += moved != NULL && memory == NULL;
    return moved;
}

static inline void probe_heap_release(void *context, void *memory)
{
    struct probe_heap *heap = (struct probe_heap *)context;
    heap->live_count -= memory != NULL;
    free(memory);
}

/* Readies |heap|; UINT64_MAX never fails. */
static inline void probe_heap_init(struct probe_heap *heap, uint64_t fail_after)
{
    *heap = (struct probe_heap){
        .allocator = {heap, probe_heap_allocate, probe_heap_reallocate, probe_heap_release},
        .fail_after = fail_after,
    };
}

#endif
