/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/wire/frame.h>

#include <string.h>

#include <duress/error.h>

/* Memory that a reader keeps between split frames. */
#define BODY_BYTES_KEPT ((size_t)64 * 1024)

static size_t limit_of(size_t frame_bytes_max)
{
    if (frame_bytes_max == 0)
        return DURESS_FRAME_BYTES_MAX_DEFAULT;
    return frame_bytes_max > UINT32_MAX ? UINT32_MAX : frame_bytes_max;
}

static size_t head_read(const uint8_t head[DURESS_FRAME_HEAD_BYTES])
{
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | (size_t)head[3];
}

static void head_write(uint8_t head[DURESS_FRAME_HEAD_BYTES], size_t body_bytes)
{
    head[0] = (uint8_t)(body_bytes >> 24);
    head[1] = (uint8_t)(body_bytes >> 16);
    head[2] = (uint8_t)(body_bytes >> 8);
    head[3] = (uint8_t)body_bytes;
}

void duress_frame_reader_init(struct duress_frame_reader *reader, size_t frame_bytes_max,
                              const struct duress_allocator *allocator)
{
    *reader = (struct duress_frame_reader){.frame_bytes_max = limit_of(frame_bytes_max)};
    duress_buffer_init(&reader->body, reader->frame_bytes_max, allocator);
}

void duress_frame_reader_close(struct duress_frame_reader *reader)
{
    duress_buffer_close(&reader->body);
    reader->head_bytes = 0;
    reader->body_bytes = 0;
    reader->body_yielded = false;
    reader->error = DURESS_OK;
}

static struct duress_slice input_take(struct duress_slice *input, size_t count)
{
    struct duress_slice taken = {input->data, count};
    input->data += count;
    input->length -= count;
    return taken;
}

/* Completes the head from the input. DURESS_E_AGAIN where the input is too short for that. */
static int head_fill(struct duress_frame_reader *reader, struct duress_slice *input)
{
    size_t missing = DURESS_FRAME_HEAD_BYTES - reader->head_bytes;
    size_t count = input->length < missing ? input->length : missing;
    if (count == 0)
        return DURESS_E_AGAIN;
    struct duress_slice taken = input_take(input, count);
    memcpy(reader->head + reader->head_bytes, taken.data, count);
    reader->head_bytes += count;
    if (count < missing)
        return DURESS_E_AGAIN;
    reader->body_bytes = head_read(reader->head);
    return reader->body_bytes > reader->frame_bytes_max ? DURESS_E_MALFORMED : DURESS_OK;
}

/* Yields the body: straight from the input where all of it is there, else through the reader's own memory. */
static int body_fill(struct duress_frame_reader *reader, struct duress_slice *input, struct duress_slice *frame)
{
    size_t arrived = duress_buffer_length(&reader->body);
    size_t missing = reader->body_bytes - arrived;
    if (arrived == 0 && input->length >= missing) {
        *frame = input_take(input, missing);
        reader->head_bytes = 0;
        return DURESS_OK;
    }
    size_t count = input->length < missing ? input->length : missing;
    if (count == 0)
        return DURESS_E_AGAIN;
    int code = duress_buffer_append(&reader->body, (struct duress_slice){input->data, count});
    if (code != DURESS_OK)
        return code;
    (void)input_take(input, count);
    if (count < missing)
        return DURESS_E_AGAIN;
    *frame = duress_buffer_slice(&reader->body);
    reader->body_yielded = true;
    reader->head_bytes = 0;
    return DURESS_OK;
}

int duress_frame_reader_next(struct duress_frame_reader *reader, struct duress_slice *input, struct duress_slice *frame)
{
    if (reader == NULL || input == NULL || frame == NULL)
        return DURESS_E_INVALID;
    *frame = (struct duress_slice){NULL, 0};
    if (reader->error != DURESS_OK)
        return reader->error;
    if (reader->body_yielded) {
        reader->body_yielded = false;
        duress_buffer_clear(&reader->body);
        duress_buffer_trim(&reader->body, BODY_BYTES_KEPT);
    }
    int code = DURESS_OK;
    if (reader->head_bytes < DURESS_FRAME_HEAD_BYTES)
        code = head_fill(reader, input);
    if (code == DURESS_OK)
        code = body_fill(reader, input, frame);
    if (code != DURESS_OK && code != DURESS_E_AGAIN)
        reader->error = code;
    return code;
}

int duress_frame_reader_end(const struct duress_frame_reader *reader)
{
    if (reader == NULL)
        return DURESS_E_INVALID;
    if (reader->error != DURESS_OK)
        return reader->error;
    return reader->head_bytes == 0 ? DURESS_E_END : DURESS_E_TRUNCATED;
}

int duress_frame_begin(struct duress_buffer *buffer, size_t *mark)
{
    uint8_t *head;
    if (mark == NULL)
        return DURESS_E_INVALID;
    int code = duress_buffer_reserve(buffer, DURESS_FRAME_HEAD_BYTES, &head);
    if (code != DURESS_OK)
        return code;
    memset(head, 0, DURESS_FRAME_HEAD_BYTES);
    *mark = duress_buffer_length(buffer);
    duress_buffer_commit(buffer, DURESS_FRAME_HEAD_BYTES);
    return DURESS_OK;
}

int duress_frame_finish(struct duress_buffer *buffer, size_t mark, size_t frame_bytes_max)
{
    if (buffer == NULL)
        return DURESS_E_INVALID;
    size_t length = duress_buffer_length(buffer);
    DURESS_ASSERT(mark <= length && length - mark >= DURESS_FRAME_HEAD_BYTES);
    size_t body_bytes = length - mark - DURESS_FRAME_HEAD_BYTES;
    if (body_bytes > limit_of(frame_bytes_max)) {
        duress_buffer_truncate(buffer, mark);
        return DURESS_E_TOO_LARGE;
    }
    head_write(buffer->data + buffer->begin + mark, body_bytes);
    return DURESS_OK;
}
