/* SPDX-License-Identifier: Apache-2.0 */
#include "event_stream.h"

static const char data_field[] = "data:";

enum { FIELD_BYTES_MAX = 8 }; /* "data: " and a CR are no part of what the limit is about */

void duress__event_stream_init(struct event_stream *stream, size_t event_bytes_max,
                               const struct duress_allocator *allocator)
{
    *stream = (struct event_stream){.event_bytes_max = event_bytes_max};
    duress_buffer_init(&stream->line, event_bytes_max + FIELD_BYTES_MAX, allocator);
    duress_buffer_init(&stream->data, event_bytes_max, allocator);
}

void duress__event_stream_close(struct event_stream *stream)
{
    duress_buffer_close(&stream->line);
    duress_buffer_close(&stream->data);
    stream->yielded = false;
    stream->error = DURESS_OK;
}

void duress__event_stream_restart(struct event_stream *stream, size_t kept_bytes)
{
    duress_buffer_clear(&stream->line);
    duress_buffer_clear(&stream->data);
    duress_buffer_trim(&stream->line, kept_bytes);
    duress_buffer_trim(&stream->data, kept_bytes);
    stream->yielded = false;
    stream->error = DURESS_OK;
}

/* One line without its end. True where it ends an event that has data. */
static bool stream_line(struct event_stream *stream, struct duress_slice line)
{
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    if (line.length == 0)
        return duress_buffer_length(&stream->data) > 0;
    size_t field = sizeof data_field - 1;
    if (line.length < field || memcmp(line.data, data_field, field) != 0)
        return false;
    struct duress_slice value = duress_slice_bytes(line.data + field, line.length - field);
    if (value.length > 0 && value.data[0] == ' ') {
        value.data++;
        value.length--;
    }
    if (value.length > 0)
        stream->error = duress_buffer_append(&stream->data, value);
    return false;
}

/* The buffers' own limit is what the peer broke. */
static int stream_break(struct event_stream *stream, int error)
{
    stream->error = error == DURESS_E_TOO_LARGE ? DURESS_E_MALFORMED : error;
    return stream->error;
}

int duress__event_stream_next(struct event_stream *stream, struct duress_slice *input, struct duress_slice *event)
{
    if (stream->error != DURESS_OK)
        return stream->error;
    if (stream->yielded)
        duress_buffer_clear(&stream->data);
    stream->yielded = false;
    while (input->length > 0) {
        const uint8_t *newline = memchr(input->data, '\n', input->length);
        struct duress_slice piece = *input;
        if (newline != NULL)
            piece.length = (size_t)(newline - input->data);
        bool split = newline == NULL || duress_buffer_length(&stream->line) > 0;
        int error = split && piece.length > 0 ? duress_buffer_append(&stream->line, piece) : DURESS_OK;
        if (error != DURESS_OK)
            return stream_break(stream, error);
        if (newline == NULL) {
            *input = duress_slice_bytes(NULL, 0);
            break;
        }
        if (piece.length > stream->event_bytes_max + FIELD_BYTES_MAX) /* as where it arrives in pieces */
            return stream_break(stream, DURESS_E_MALFORMED);
        *input = duress_slice_bytes(newline + 1, input->length - piece.length - 1);
        stream->yielded = stream_line(stream, split ? duress_buffer_slice(&stream->line) : piece);
        duress_buffer_clear(&stream->line);
        if (stream->error != DURESS_OK)
            return stream_break(stream, stream->error);
        if (stream->yielded) {
            *event = duress_buffer_slice(&stream->data);
            return DURESS_OK;
        }
    }
    return DURESS_E_AGAIN;
}
