/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata.h"

#include "text.h"

static uint8_t byte_at(struct duress_slice text, size_t at)
{
    return at < text.length ? text.data[at] : '\0';
}

static size_t spaces_skip(struct duress_slice text, size_t at)
{
    while (byte_at(text, at) == ' ' || byte_at(text, at) == '\t' || byte_at(text, at) == '\n' ||
           byte_at(text, at) == '\r')
        at++;
    return at;
}

/* |*at| is at the opening quote, and then behind the closing one. */
static bool string_skip(struct duress_slice text, size_t *at)
{
    if (byte_at(text, *at) != '"')
        return false;
    for (size_t i = *at + 1; i < text.length && text.data[i] >= 0x20; i++) {
        if (text.data[i] == '"') {
            *at = i + 1;
            return true;
        }
        i += text.data[i] == '\\';
    }
    return false;
}

static bool byte_is_literal(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '-' || byte == '+' || byte == '.';
}

static bool literal_skip(struct duress_slice text, size_t *at)
{
    size_t begin = *at;
    while (byte_is_literal(byte_at(text, *at)))
        ++*at;
    return *at > begin;
}

/* Objects and arrays are skipped by the depth of their brackets: no stack, whatever the nesting. */
static bool value_skip(struct duress_slice text, size_t *at)
{
    size_t depth = 0;
    do {
        *at = spaces_skip(text, *at);
        uint8_t byte = byte_at(text, *at);
        bool opens = byte == '{' || byte == '[';
        bool closes = depth > 0 && (byte == '}' || byte == ']');
        bool separates = depth > 0 && (byte == ',' || byte == ':');
        if (opens || closes || separates) {
            depth = depth + opens - closes;
            ++*at;
        } else if (!(byte == '"' ? string_skip(text, at) : literal_skip(text, at))) {
            return false;
        }
    } while (depth > 0);
    return true;
}

static enum metadata_step object_end(struct duress_slice text, size_t at)
{
    return spaces_skip(text, at + 1) == text.length ? METADATA_END : METADATA_MALFORMED;
}

enum metadata_step duress__metadata_next(struct duress_slice text, size_t *at, struct metadata_member *member)
{
    bool first = *at == 0;
    size_t i = spaces_skip(text, *at);
    if (!first && byte_at(text, i) == '}')
        return object_end(text, i);
    if (byte_at(text, i) != (first ? '{' : ','))
        return METADATA_MALFORMED;
    i = spaces_skip(text, i + 1);
    if (first && byte_at(text, i) == '}')
        return object_end(text, i);
    size_t begin = i;
    if (!string_skip(text, &i))
        return METADATA_MALFORMED;
    member->key = duress_slice_bytes(text.data + begin + 1, i - begin - 2);
    i = spaces_skip(text, i);
    if (byte_at(text, i) != ':')
        return METADATA_MALFORMED;
    i = spaces_skip(text, i + 1);
    begin = i;
    if (!value_skip(text, &i))
        return METADATA_MALFORMED;
    member->value = duress_slice_bytes(text.data + begin, i - begin);
    *at = i;
    return METADATA_MEMBER;
}

bool duress__metadata_is_object(struct duress_slice text)
{
    struct metadata_member member;
    size_t at = 0;
    enum metadata_step step = METADATA_MEMBER;
    while (step == METADATA_MEMBER)
        step = duress__metadata_next(text, &at, &member);
    return step == METADATA_END;
}

static void annotated_write(struct text *text, struct duress_slice metadata, const struct annotation *annotation)
{
    struct metadata_member member;
    size_t at = 0;
    bool whole = duress__metadata_is_object(metadata);
    text_puts(text, "{");
    while (whole && duress__metadata_next(metadata, &at, &member) == METADATA_MEMBER) {
        if (duress_slice_is(member.key, annotation->agent_key) || duress_slice_is(member.key, annotation->place_key))
            continue;
        text_puts(text, "\"");
        text_put(text, member.key);
        text_puts(text, "\":");
        text_put(text, member.value);
        text_puts(text, ",");
    }
    text_puts(text, "\"");
    text_puts(text, annotation->agent_key);
    text_puts(text, "\":\"");
    text_put_escaped(text, annotation->agent_name);
    text_puts(text, "\",\"");
    text_puts(text, annotation->place_key);
    text_puts(text, "\":");
    if (annotation->place == 0)
        text_puts(text, "\"default\"");
    else
        text_put_number(text, annotation->place);
    text_puts(text, "}");
}

int duress__metadata_annotate(struct duress_world *world, const struct duress_message *message,
                              const struct annotation *annotation, struct duress_message **annotated)
{
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct duress_slice metadata = duress_message_metadata(message);
    struct text text = {.bytes = NULL};
    annotated_write(&text, metadata, annotation);
    text = (struct text){.bytes = duress_allocate(allocator, text.length)};
    if (text.bytes == NULL)
        return DURESS_E_NO_MEMORY;
    annotated_write(&text, metadata, annotation);
    struct duress_message_options options = {
        .role = duress_message_role(message),
        .content = duress_message_content(message),
        .metadata = duress_slice_bytes(text.bytes, text.length),
        .timestamp_ns = duress_message_timestamp_ns(message),
        .allocator = allocator,
    };
    int error = duress_message_new(&options, annotated);
    duress_release(allocator, text.bytes);
    return error;
}
