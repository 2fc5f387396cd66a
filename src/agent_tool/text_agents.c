/* SPDX-License-Identifier: Apache-2.0
 *
 * Echo and reverse. */
#include <duress/agent_tool/agents.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>

enum { CHUNKS_MAX = 64 };

/* What is left of |rest| after the next chunk: a word with the spaces behind it, at least |bytes_min| bytes. */
static struct duress_slice rest_after_chunk(struct duress_slice rest, size_t bytes_min)
{
    size_t at = 0;
    while (at < rest.length && (at < bytes_min || rest.data[at] != ' '))
        at++;
    while (at < rest.length && rest.data[at] == ' ')
        at++;
    return duress_slice_bytes(rest.data + at, rest.length - at);
}

static struct duress_message *answer_new(struct duress_call *call, struct duress_slice content)
{
    struct duress_message *message = NULL;
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = content,
        .metadata = duress_message_metadata(call->request),
        .allocator = call->agent->allocator,
    };
    return duress_message_new(&options, &message) == DURESS_OK ? message : NULL;
}

static void fail_for_memory(struct duress_call *call)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
    duress_call_fail(call, &failure);
}

static void answer_stream(struct duress_call *call, struct duress_slice content)
{
    size_t bytes_min = content.length / CHUNKS_MAX;
    struct duress_message *chunk = NULL;
    do {
        struct duress_slice rest = rest_after_chunk(content, bytes_min);
        duress_message_unref(chunk);
        chunk = answer_new(call, duress_slice_bytes(content.data, content.length - rest.length));
        if (chunk == NULL) {
            fail_for_memory(call);
            return;
        }
        duress_call_emit(call, chunk);
        content = rest;
    } while (content.length > 0);
    duress_call_reply(call, chunk);
    duress_message_unref(chunk);
}

static void answer(struct duress_call *call, struct duress_slice content)
{
    if (call->streaming) {
        answer_stream(call, content);
        return;
    }
    struct duress_message *reply = answer_new(call, content);
    if (reply == NULL) {
        fail_for_memory(call);
        return;
    }
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static void echo_begin(void *context, struct duress_call *call)
{
    (void)context;
    answer(call, duress_message_content(call->request));
}

/* The bytes of the character that ends at |end|; what is no UTF-8 counts as characters too, of some bytes each. */
static size_t character_bytes(const uint8_t *bytes, size_t end)
{
    size_t count = 1;
    while (count < 4 && count < end && (bytes[end - count] & 0xc0) == 0x80)
        count++;
    return count;
}

static void reverse_begin(void *context, struct duress_call *call)
{
    (void)context;
    struct duress_slice content = duress_message_content(call->request);
    uint8_t *reversed = duress_call_allocate(call, content.length + 1);
    if (reversed == NULL) {
        fail_for_memory(call);
        return;
    }
    size_t length = 0;
    for (size_t end = content.length; end > 0;) {
        size_t count = character_bytes(content.data, end);
        end -= count;
        memcpy(reversed + length, content.data + end, count);
        length += count;
    }
    answer(call, duress_slice_bytes(reversed, length));
}

int duress__echo_agent_new(struct duress_world *world, struct duress_agent **agent)
{
    return duress_function_async_new(world, "echo", echo_begin, NULL, NULL, agent);
}

int duress__reverse_agent_new(struct duress_world *world, struct duress_agent **agent)
{
    return duress_function_async_new(world, "reverse", reverse_begin, NULL, NULL, agent);
}
