/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking for streams: each chunk is kept with its instant, as it came. */
#include "internal.h"

#include <string.h>

static struct chaos_chunk *chunk_new(struct chaos_call *call)
{
    if (call->chunk_count == call->chunk_capacity) {
        size_t capacity = call->chunk_capacity == 0 ? 16 : call->chunk_capacity * 2;
        struct chaos_chunk *chunks =
            duress_reallocate(&call->chaos->heap.allocator, call->chunks, capacity * sizeof *chunks);
        if (chunks == NULL)
            return NULL;
        call->chunks = chunks;
        call->chunk_capacity = capacity;
    }
    return &call->chunks[call->chunk_count++];
}

static void call_chunk(void *context, struct duress_call *duress_call, struct duress_message *message)
{
    (void)duress_call;
    struct chaos_call *call = context;
    if (call->ended)
        chaos__fail(call->chaos, __FILE__, __LINE__, "expected: nothing comes after the end; seen: a chunk");
    struct chaos_chunk *chunk = chunk_new(call);
    if (chunk == NULL) {
        struct duress_failure why;
        duress_failure_set(&why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        chaos__broken(call->chaos, "keep a chunk", &why);
        return;
    }
    struct duress_slice content = duress_message_content(message);
    size_t length = content.length < sizeof chunk->text - 1 ? content.length : sizeof chunk->text - 1;
    *chunk = (struct chaos_chunk){.at_ns = chaos_now_ns(call->chaos), .content_bytes = content.length};
    if (length > 0)
        memcpy(chunk->text, content.data, length);
}

struct chaos_call *chaos_begin_stream(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                      uint64_t within_ns, bool idempotent)
{
    struct duress_ask how = {
        .deadline_ns = duress_time_add(chaos_now_ns(chaos), within_ns),
        .idempotent = idempotent,
        .on_chunk = call_chunk,
    };
    return chaos__begin(chaos, agent, text, &how);
}

struct chaos_stream chaos_await_stream(struct chaos *chaos, struct chaos_call *call)
{
    struct chaos_answer end = chaos_await(chaos, call);
    return (struct chaos_stream){.end = end, .chunk_count = call->chunk_count, .chunks = call->chunks};
}

size_t chaos_call_chunk_count(const struct chaos_call *call)
{
    return call->chunk_count;
}

struct chaos_stream chaos_ask_stream(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                     uint64_t within_ns)
{
    return chaos_await_stream(chaos, chaos_begin_stream(chaos, agent, text, within_ns, false));
}

struct chaos_stream chaos_ask_stream_idempotent(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                                uint64_t within_ns)
{
    return chaos_await_stream(chaos, chaos_begin_stream(chaos, agent, text, within_ns, true));
}
