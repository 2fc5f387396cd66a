/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of bytes: what lies in a socket's buffer. It grows by doubling; who fills it keeps the limit. All zero is an
 * empty one. */
#ifndef DURESS_WORLD_SIM_BUFFER_H
#define DURESS_WORLD_SIM_BUFFER_H

#include <duress/allocator.h>
#include <duress/slice.h>

struct sim_buffer {
    uint8_t *bytes;
    size_t capacity; /* a power of two, or 0 */
    size_t first;
    size_t length;
};

void duress__sim_buffer_free(struct sim_buffer *buffer, const struct duress_allocator *allocator);

/* Appends a copy. DURESS_E_NO_MEMORY: nothing changed. */
int duress__sim_buffer_append(struct sim_buffer *buffer, const struct duress_allocator *allocator,
                              struct duress_slice bytes);

/* The first run of at most |bytes_max| bytes that lie side by side. */
struct duress_slice duress__sim_buffer_front(const struct sim_buffer *buffer, size_t bytes_max);

/* Drops the first |count|, which are there. */
void duress__sim_buffer_drop(struct sim_buffer *buffer, size_t count);

/* Keeps the first |count| alone. */
static inline void duress__sim_buffer_truncate(struct sim_buffer *buffer, size_t count)
{
    if (count < buffer->length)
        buffer->length = count;
}

/* Moves at most |capacity| bytes out; returns how many. */
size_t duress__sim_buffer_take(struct sim_buffer *buffer, void *bytes, size_t capacity);

#endif
