/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/allocator.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *heap_allocate(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *heap_reallocate(void *context, void *memory, size_t bytes)
{
    (void)context;
    return realloc(memory, bytes);
}

static void heap_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

const struct duress_allocator *duress_allocator_default(void)
{
    static const struct duress_allocator heap = {NULL, heap_allocate, heap_reallocate, heap_release};
    return &heap;
}

static const struct duress_allocator *allocator_or_default(const struct duress_allocator *allocator)
{
    return allocator != NULL ? allocator : duress_allocator_default();
}

void *duress_allocate(const struct duress_allocator *allocator, size_t bytes)
{
    const struct duress_allocator *from = allocator_or_default(allocator);
    return from->allocate(from->context, bytes > 0 ? bytes : 1);
}

void *duress_allocate_zeroed(const struct duress_allocator *allocator, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *memory = duress_allocate(allocator, count * size);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

void *duress_reallocate(const struct duress_allocator *allocator, void *memory, size_t bytes)
{
    const struct duress_allocator *from = allocator_or_default(allocator);
    return from->reallocate(from->context, memory, bytes > 0 ? bytes : 1);
}

void duress_release(const struct duress_allocator *allocator, void *memory)
{
    if (memory == NULL)
        return;
    const struct duress_allocator *from = allocator_or_default(allocator);
    from->release(from->context, memory);
}
