/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_buffer.h"

#include <duress/error.h>
#include <duress/export.h>

#define CAPACITY_MIN 1024 /* a power of two */

void duress__sim_buffer_free(struct sim_buffer *buffer, const struct duress_allocator *allocator)
{
    duress_release(allocator, buffer->bytes);
    *buffer = (struct sim_buffer){0};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int buffer_grow(struct sim_buffer *buffer, const struct duress_allocator *allocator, size_t length)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : CAPACITY_MIN;
    while (capacity < length) {
        if (capacity > SIZE_MAX / 2)
            return DURESS_E_NO_MEMORY;
        capacity *= 2;
    }
    uint8_t *bytes = duress_allocate(allocator, capacity);
    if (bytes == NULL)
        return DURESS_E_NO_MEMORY;
    size_t kept = duress__sim_buffer_take(buffer, bytes, buffer->length);
    duress_release(allocator, buffer->bytes);
    *buffer = (struct sim_buffer){.bytes = bytes, .capacity = capacity, .length = kept};
    return DURESS_OK;
}

int duress__sim_buffer_append(struct sim_buffer *buffer, const struct duress_allocator *allocator,
                              struct duress_slice bytes)
{
    if (bytes.length == 0)
        return DURESS_OK;
    if (bytes.length > buffer->capacity - buffer->length) {
        int error = buffer_grow(buffer, allocator, buffer->length + bytes.length);
        if (error != DURESS_OK)
            return error;
    }
    size_t end = (buffer->first + buffer->length) & (buffer->capacity - 1);
    size_t run = least(bytes.length, buffer->capacity - end);
    memcpy(buffer->bytes + end, bytes.data, run);
    memcpy(buffer->bytes, bytes.data + run, bytes.length - run);
    buffer->length += bytes.length;
    return DURESS_OK;
}

struct duress_slice duress__sim_buffer_front(const struct sim_buffer *buffer, size_t bytes_max)
{
    if (buffer->length == 0)
        return duress_slice_bytes(NULL, 0);
    size_t run = least(buffer->length, buffer->capacity - buffer->first);
    return duress_slice_bytes(buffer->bytes + buffer->first, least(run, bytes_max));
}

void duress__sim_buffer_drop(struct sim_buffer *buffer, size_t count)
{
    DURESS_ASSERT(count <= buffer->length);
    buffer->length -= count;
    buffer->first = buffer->length == 0 ? 0 : (buffer->first + count) & (buffer->capacity - 1);
}

size_t duress__sim_buffer_take(struct sim_buffer *buffer, void *bytes, size_t capacity)
{
    size_t taken = 0;
    while (taken < capacity && buffer->length > 0) {
        struct duress_slice run = duress__sim_buffer_front(buffer, capacity - taken);
        memcpy((uint8_t *)bytes + taken, run.data, run.length);
        duress__sim_buffer_drop(buffer, run.length);
        taken += run.length;
    }
    return taken;
}
