/* SPDX-License-Identifier: Apache-2.0 */
#include "combine.h"

#include "metadata.h"
#include "text.h"

static void content_write(struct text *text, const struct duress_part *parts, size_t count)
{
    const char *between = "";
    for (size_t i = 0; i < count; i++) {
        if (parts[i].state != DURESS_PART_REPLIED)
            continue;
        text_puts(text, between);
        text_puts(text, "[");
        text_puts(text, duress_agent_name(parts[i].agent));
        text_puts(text, "]: ");
        text_put(text, duress_message_content(parts[i].reply));
        between = "\n";
    }
}

/* How many agents of the same name stand before |part|. */
static size_t namesakes(const struct duress_part *parts, size_t part)
{
    size_t found = 0;
    for (size_t i = 0; i < part; i++)
        found += strcmp(duress_agent_name(parts[i].agent), duress_agent_name(parts[part].agent)) == 0;
    return found;
}

static void members_write(struct text *text, const struct duress_part *parts, size_t part)
{
    struct duress_slice metadata = duress_message_metadata(parts[part].reply);
    struct metadata_member member;
    size_t at = 0;
    if (!duress__metadata_is_object(metadata))
        return;
    size_t before = namesakes(parts, part);
    while (duress__metadata_next(metadata, &at, &member) == METADATA_MEMBER) {
        text_puts(text, "\"");
        text_put_escaped(text, duress_agent_name(parts[part].agent));
        if (before > 0) {
            text_puts(text, "#");
            text_put_number(text, before + 1);
        }
        text_puts(text, ".");
        text_put(text, member.key);
        text_puts(text, "\":");
        text_put(text, member.value);
        text_puts(text, ",");
    }
}

static void errors_write(struct text *text, const struct duress_part *parts, size_t count)
{
    const char *between = ",\"errors\":[";
    for (size_t i = 0; i < count; i++) {
        bool failed = parts[i].state == DURESS_PART_FAILED;
        if (!failed && parts[i].state != DURESS_PART_LATE)
            continue;
        text_puts(text, between);
        text_puts(text, "{\"agent\":\"");
        text_put_escaped(text, duress_agent_name(parts[i].agent));
        text_puts(text, "\",\"error\":\"");
        text_puts(text, duress_error_name(failed ? parts[i].failure->code : DURESS_E_DEADLINE));
        text_puts(text, "\"}");
        between = ",";
    }
    if (strcmp(between, ",") == 0)
        text_puts(text, "]");
}

static void metadata_write(struct text *text, const struct duress_part *parts, size_t count)
{
    size_t replied = 0;
    text_puts(text, "{");
    for (size_t i = 0; i < count; i++) {
        if (parts[i].state != DURESS_PART_REPLIED)
            continue;
        replied++;
        members_write(text, parts, i);
    }
    text_puts(text, "\"parallel_agents\":");
    text_put_number(text, count);
    text_puts(text, ",\"successful_agents\":");
    text_put_number(text, replied);
    errors_write(text, parts, count);
    text_puts(text, "}");
}

int duress__combine(struct duress_world *world, const struct duress_part *parts, size_t count,
                    struct duress_message **reply)
{
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct text content = {.bytes = NULL};
    struct text metadata = {.bytes = NULL};
    content_write(&content, parts, count);
    metadata_write(&metadata, parts, count);
    char *memory = duress_allocate(allocator, content.length + metadata.length);
    if (memory == NULL)
        return DURESS_E_NO_MEMORY;
    metadata = (struct text){.bytes = memory + content.length};
    content = (struct text){.bytes = memory};
    content_write(&content, parts, count);
    metadata_write(&metadata, parts, count);
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = duress_slice_bytes(content.bytes, content.length),
        .metadata = duress_slice_bytes(metadata.bytes, metadata.length),
        .timestamp_ns = duress_world_wall_ns(world),
        .allocator = allocator,
    };
    int error = duress_message_new(&options, reply);
    duress_release(allocator, memory);
    return error;
}
