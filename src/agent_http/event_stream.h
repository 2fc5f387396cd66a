/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, as far as agenkit uses them: an event is one or more lines "data: …" and an empty line. The texts
 * of several data lines are joined without a newline, as agenkit's clients do; an envelope is JSON, where that makes no
 * difference. Other fields and comments are skipped. Lines end with LF or CR LF; one space after the colon is dropped.
 * What is left without its empty line at the end of the stream is no event.
 *
 * Pure: bytes in, events out. */
#ifndef DURESS_AGENT_HTTP_EVENT_STREAM_H
#define DURESS_AGENT_HTTP_EVENT_STREAM_H

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/slice.h>
#include <duress/wire/buffer.h>

/* Lives in its owner's memory. */
struct event_stream {
    struct duress_buffer line; /* the part of a line that has arrived */
    struct duress_buffer data; /* of the event that is arriving, or of the one yielded last */
    size_t event_bytes_max;    /* of data, and of one line */
    bool yielded;
    int error; /* 0, or what it broke with */
};

/* Readies a reader at the start of a stream; allocates nothing. Borrows |allocator|. */
void duress__event_stream_init(struct event_stream *stream, size_t event_bytes_max,
                               const struct duress_allocator *allocator);

/* Frees what it came to hold; it is then as just initialised. */
void duress__event_stream_close(struct event_stream *stream);

/* As that, but keeps up to |kept_bytes| of memory for the next stream. */
void duress__event_stream_restart(struct event_stream *stream, size_t kept_bytes);

/* Takes bytes from the front of *input (which is moved on) up to the end of the next event, and gives its data in
 * *event, borrowed until the next call with this reader. Memory grows with what has arrived.
 *
 * DURESS_OK: look for more. DURESS_E_AGAIN: the input is used up. DURESS_E_MALFORMED: a line or an event above the
 * limit. DURESS_E_NO_MEMORY. The last two are final. */
DURESS_MUST_CHECK int duress__event_stream_next(struct event_stream *stream, struct duress_slice *input,
                                                struct duress_slice *event);

#endif
