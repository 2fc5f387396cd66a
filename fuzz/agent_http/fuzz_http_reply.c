/* SPDX-License-Identifier: Apache-2.0
 *
 * What the HTTP agent reads by itself. The first byte of the input chooses: even, the rest is an event stream, read
 * whole and in runs whose length is that byte's, which must give the same events and the same end; odd, the value of a
 * Retry-After header, whose wait must be in reach of what a date can say. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <duress/agent_http/retry_after.h>
#include <duress/time.h>

#include "event_stream.h"

#define EVENT_BYTES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* The events one behind the other, each ended by a newline, which no event has in it. */
struct seen {
    struct duress_buffer events;
    int end;
};

static void stream_read(struct duress_slice text, size_t run_length, struct seen *seen)
{
    struct event_stream stream;
    duress_buffer_init(&seen->events, 0, NULL);
    duress__event_stream_init(&stream, EVENT_BYTES_MAX, NULL);
    seen->end = DURESS_E_AGAIN;
    while (text.length > 0 && seen->end == DURESS_E_AGAIN) {
        size_t count = run_length < text.length ? run_length : text.length;
        uint8_t *copy = malloc(count);
        require(copy != NULL);
        memcpy(copy, text.data, count);
        struct duress_slice run = {copy, count};
        struct duress_slice event;
        while ((seen->end = duress__event_stream_next(&stream, &run, &event)) == DURESS_OK) {
            require(event.length > 0 && event.length <= EVENT_BYTES_MAX);
            require(memchr(event.data, '\n', event.length) == NULL);
            require(duress_buffer_append(&seen->events, event) == DURESS_OK);
            require(duress_buffer_append(&seen->events, duress_slice_text("\n")) == DURESS_OK);
        }
        require(seen->end == DURESS_E_MALFORMED || (seen->end == DURESS_E_AGAIN && run.length == 0));
        free(copy);
        text.data += count;
        text.length -= count;
    }
    duress__event_stream_close(&stream);
}

static void stream_compare(struct duress_slice text, size_t run_length)
{
    struct seen whole;
    struct seen split;
    stream_read(text, text.length, &whole);
    stream_read(text, run_length, &split);
    require(whole.end == split.end);
    require(duress_slice_equal(duress_buffer_slice(&whole.events), duress_buffer_slice(&split.events)));
    duress_buffer_close(&whole.events);
    duress_buffer_close(&split.events);
}

static void retry_after_read(struct duress_slice value)
{
    static const uint64_t nows_ns[] = {0, UINT64_C(1767225600) * DURESS_S, DURESS_TIME_NEVER};
    uint8_t *copy = malloc(value.length > 0 ? value.length : 1);
    require(copy != NULL);
    if (value.length > 0)
        memcpy(copy, value.data, value.length);
    struct duress_slice text = {copy, value.length};
    for (size_t i = 0; i < sizeof nows_ns / sizeof nows_ns[0]; i++) {
        uint64_t date_ns = 0;
        uint64_t wait_ns = duress_http_retry_after_ns(text, nows_ns[i]);
        if (duress_http_date_read(text, nows_ns[i], &date_ns))
            require(wait_ns == (date_ns > nows_ns[i] ? date_ns - nows_ns[i] : 0));
        else
            require(wait_ns % DURESS_S == 0 || wait_ns == DURESS_TIME_NEVER);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct duress_slice rest = {data + 1, size - 1};
    if (data[0] % 2 == 0 && rest.length > 0)
        stream_compare(rest, (size_t)data[0] / 2 + 1);
    else
        retry_after_read(rest);
    return 0;
}
