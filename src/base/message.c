/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/message.h>

#include <stdatomic.h>
#include <string.h>

#include <duress/error.h>

enum { MESSAGE_ROLE_BYTES_MAX = 64 };

struct duress_message {
    atomic_size_t references;
    const struct duress_allocator *allocator;
    uint64_t timestamp_ns;
    size_t role_length;
    size_t content_length;
    size_t metadata_length;
    uint8_t bytes[]; /* role, content, metadata */
};

static void message_append(uint8_t **at, struct duress_slice slice)
{
    if (slice.length > 0)
        memcpy(*at, slice.data, slice.length);
    *at += slice.length;
}

int duress_message_new(const struct duress_message_options *options, struct duress_message **message)
{
    if (options == NULL || message == NULL)
        return DURESS_E_INVALID;
    struct duress_slice role = options->role.length > 0 ? options->role : duress_slice_text("user");
    struct duress_slice metadata = options->metadata.length > 0 ? options->metadata : duress_slice_text("{}");
    if (role.length > MESSAGE_ROLE_BYTES_MAX)
        return DURESS_E_INVALID;
    size_t limit = SIZE_MAX / 2 - sizeof(struct duress_message) - role.length;
    if (options->content.length > limit || metadata.length > limit - options->content.length)
        return DURESS_E_NO_MEMORY;
    size_t bytes = sizeof(struct duress_message) + role.length + options->content.length + metadata.length;
    struct duress_message *made = duress_allocate(options->allocator, bytes);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    atomic_init(&made->references, 1);
    made->allocator = options->allocator;
    made->timestamp_ns = options->timestamp_ns;
    made->role_length = role.length;
    made->content_length = options->content.length;
    made->metadata_length = metadata.length;
    uint8_t *at = made->bytes;
    message_append(&at, role);
    message_append(&at, options->content);
    message_append(&at, metadata);
    *message = made;
    return DURESS_OK;
}

int duress_message_text(const char *text, struct duress_message **message)
{
    struct duress_message_options options = {.content = duress_slice_text(text)};
    return text == NULL ? DURESS_E_INVALID : duress_message_new(&options, message);
}

struct duress_message *duress_message_ref(struct duress_message *message)
{
    /* Relaxed: who copies a reference holds one already, so the object cannot go away meanwhile. */
    if (message != NULL)
        atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
    return message;
}

void duress_message_unref(struct duress_message *message)
{
    if (message == NULL)
        return;
    /* Release by each owner, acquire by the last: it sees all that the others did before it frees. */
    if (atomic_fetch_sub_explicit(&message->references, 1, memory_order_acq_rel) == 1)
        duress_release(message->allocator, message);
}

struct duress_slice duress_message_role(const struct duress_message *message)
{
    if (message == NULL)
        return duress_slice_bytes(NULL, 0);
    return duress_slice_bytes(message->bytes, message->role_length);
}

struct duress_slice duress_message_content(const struct duress_message *message)
{
    if (message == NULL)
        return duress_slice_bytes(NULL, 0);
    return duress_slice_bytes(message->bytes + message->role_length, message->content_length);
}

struct duress_slice duress_message_metadata(const struct duress_message *message)
{
    if (message == NULL)
        return duress_slice_bytes(NULL, 0);
    return duress_slice_bytes(message->bytes + message->role_length + message->content_length,
                              message->metadata_length);
}

uint64_t duress_message_timestamp_ns(const struct duress_message *message)
{
    return message != NULL ? message->timestamp_ns : 0;
}
