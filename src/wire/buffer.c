/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/wire/buffer.h>

#include <string.h>

#include <duress/error.h>

#define CAPACITY_BYTES_MIN 256

void duress_buffer_init(struct duress_buffer *buffer, size_t bytes_max, const struct duress_allocator *allocator)
{
    *buffer = (struct duress_buffer){
        .allocator = allocator,
        .bytes_max = bytes_max == 0 ? SIZE_MAX / 4 : bytes_max,
    };
}

void duress_buffer_close(struct duress_buffer *buffer)
{
    duress_release(buffer->allocator, buffer->data);
    buffer->data = NULL;
    buffer->begin = 0;
    buffer->end = 0;
    buffer->capacity = 0;
}

/* Moves the live bytes into new memory for |needed| bytes and half as much again. */
static int buffer_grow(struct duress_buffer *buffer, size_t needed)
{
    size_t capacity = needed + needed / 2;
    if (capacity < CAPACITY_BYTES_MIN)
        capacity = CAPACITY_BYTES_MIN;
    uint8_t *data = duress_allocate(buffer->allocator, capacity);
    if (data == NULL)
        return DURESS_E_NO_MEMORY;
    size_t length = duress_buffer_length(buffer);
    if (buffer->data != NULL)
        memcpy(data, buffer->data + buffer->begin, length);
    duress_release(buffer->allocator, buffer->data);
    buffer->data = data;
    buffer->begin = 0;
    buffer->end = length;
    buffer->capacity = capacity;
    return DURESS_OK;
}

static void buffer_move_to_front(struct duress_buffer *buffer)
{
    size_t length = duress_buffer_length(buffer);
    memmove(buffer->data, buffer->data + buffer->begin, length);
    buffer->begin = 0;
    buffer->end = length;
}

int duress_buffer_reserve(struct duress_buffer *buffer, size_t count, uint8_t **room)
{
    if (buffer == NULL || room == NULL)
        return DURESS_E_INVALID;
    size_t length = duress_buffer_length(buffer);
    if (length > buffer->bytes_max || count > buffer->bytes_max - length)
        return DURESS_E_TOO_LARGE;
    if (buffer->data == NULL || count > buffer->capacity - buffer->end) {
        /* Either at least as many bytes were consumed as have to be moved, or as much room is won as new memory would
         * bring: so the cost of moving is spread over the bytes that come and go. */
        size_t needed = length + count;
        bool roomy = needed <= buffer->capacity && (buffer->begin >= length || needed + needed / 2 <= buffer->capacity);
        if (buffer->data != NULL && roomy) {
            buffer_move_to_front(buffer);
        } else {
            int code = buffer_grow(buffer, needed);
            if (code != DURESS_OK)
                return code;
        }
    }
    *room = buffer->data + buffer->end;
    return DURESS_OK;
}

void duress_buffer_commit(struct duress_buffer *buffer, size_t count)
{
    DURESS_ASSERT(count <= buffer->capacity - buffer->end);
    buffer->end += count;
}

int duress_buffer_append(struct duress_buffer *buffer, struct duress_slice bytes)
{
    if (buffer != NULL && bytes.length == 0)
        return DURESS_OK;
    uint8_t *room;
    int code = duress_buffer_reserve(buffer, bytes.length, &room);
    if (code != DURESS_OK)
        return code;
    memcpy(room, bytes.data, bytes.length);
    duress_buffer_commit(buffer, bytes.length);
    return DURESS_OK;
}

void duress_buffer_consume(struct duress_buffer *buffer, size_t count)
{
    DURESS_ASSERT(count <= duress_buffer_length(buffer));
    buffer->begin += count;
    if (buffer->begin == buffer->end)
        duress_buffer_clear(buffer);
}

void duress_buffer_truncate(struct duress_buffer *buffer, size_t length)
{
    DURESS_ASSERT(length <= duress_buffer_length(buffer));
    buffer->end = buffer->begin + length;
}

void duress_buffer_clear(struct duress_buffer *buffer)
{
    buffer->begin = 0;
    buffer->end = 0;
}

void duress_buffer_trim(struct duress_buffer *buffer, size_t capacity_bytes)
{
    if (duress_buffer_length(buffer) == 0 && buffer->capacity > capacity_bytes)
        duress_buffer_close(buffer);
}
