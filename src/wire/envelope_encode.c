/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope_private.h"

#include <string.h>

#include "text_run.h"
#include "instant.h"

/* More than the fixed text of any envelope: keys, punctuation, two timestamps, the longest type. */
#define SKELETON_BYTES_MAX 320

/* Appends to a buffer, straight into its room. The first failure is kept, and what is written after it is dropped with
 * the rest at the end. */
struct writer {
    struct duress_buffer *buffer;
    uint8_t *room; /* reserved last; what is written from here to |at| is not committed yet */
    uint8_t *at;
    uint8_t *end;
    size_t start_bytes; /* the buffer's length at the start */
    const struct duress_envelope_limits *limits;
    int code;
    const char *reason;
};

static bool writer_fail(struct writer *writer, int code, const char *reason)
{
    if (writer->code == DURESS_OK) {
        writer->code = code;
        writer->reason = reason;
    }
    return false;
}

static size_t writer_length(const struct writer *writer)
{
    return duress_buffer_length(writer->buffer) - writer->start_bytes + (size_t)(writer->at - writer->room);
}

/* Commits what was written and makes room for |count| bytes more, checked against the limit first. */
static bool writer_grow(struct writer *writer, size_t count)
{
    if (writer->code != DURESS_OK)
        return false;
    size_t length = writer_length(writer);
    if (length > writer->limits->envelope_bytes_max || count > writer->limits->envelope_bytes_max - length)
        return writer_fail(writer, DURESS_E_TOO_LARGE, "envelope too long");
    duress_buffer_commit(writer->buffer, (size_t)(writer->at - writer->room));
    writer->room = writer->at;
    int code = duress_buffer_reserve(writer->buffer, count, &writer->room);
    if (code != DURESS_OK)
        return writer_fail(writer, code, code == DURESS_E_TOO_LARGE ? "buffer is full" : "out of memory");
    writer->at = writer->room;
    writer->end = writer->room + count;
    return true;
}

/* Reserves at once what an envelope with |texts_bytes| of texts takes where nothing has to be escaped. That is a guess
 * upwards: a buffer that cannot hold it may still hold the envelope, so a failure is left to the writes. */
static void writer_init(struct writer *writer, struct duress_buffer *buffer,
                        const struct duress_envelope_limits *limits, size_t texts_bytes)
{
    static uint8_t nowhere[1];
    *writer = (struct writer){
        .buffer = buffer,
        .room = nowhere,
        .at = nowhere,
        .end = nowhere,
        .start_bytes = duress_buffer_length(buffer),
        .limits = limits,
    };
    size_t guess = SKELETON_BYTES_MAX + texts_bytes;
    if (texts_bytes > limits->envelope_bytes_max) {
        (void)writer_fail(writer, DURESS_E_TOO_LARGE, "envelope too long");
    } else if (duress_buffer_reserve(buffer, guess, &writer->room) == DURESS_OK) {
        writer->at = writer->room;
        writer->end = writer->room + guess;
    }
}

/* Whether |count| bytes may be written at |at|. */
static inline bool writer_room(struct writer *writer, size_t count)
{
    return (size_t)(writer->end - writer->at) >= count || writer_grow(writer, count);
}

static inline void write_bytes(struct writer *writer, const void *bytes, size_t count)
{
    if (count == 0 || !writer_room(writer, count))
        return;
    memcpy(writer->at, bytes, count);
    writer->at += count;
}

#define WRITE_LITERAL(writer, text) write_bytes((writer), (text), sizeof(text) - 1)

static void write_text(struct writer *writer, const char *text)
{
    write_bytes(writer, text, strlen(text));
}

/* A quotation mark, backslash or control character. */
static void write_escape(struct writer *writer, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 0x0f]};
    size_t count = sizeof escape;
    if (byte >= 0x20) {
        escape[1] = (char)byte;
        count = 2;
    } else if (letters[byte] != 0) {
        escape[1] = letters[byte];
        count = 2;
    }
    write_bytes(writer, escape, count);
}

/* |text| as a JSON string; |refusal| is said of what is no UTF-8. */
static void write_string(struct writer *writer, struct duress_slice text, const char *refusal)
{
    WRITE_LITERAL(writer, "\"");
    size_t before = writer_length(writer);
    const uint8_t *at = text.data;
    const uint8_t *end = text.length == 0 ? at : at + text.length;
    while (at < end && writer->code == DURESS_OK) {
        const uint8_t *stop = duress__text_run(at, end);
        write_bytes(writer, at, (size_t)(stop - at));
        if (stop == end)
            break;
        if (*stop >= 0x80) {
            (void)writer_fail(writer, DURESS_E_INVALID, refusal);
            return;
        }
        write_escape(writer, *stop);
        at = stop + 1;
    }
    if (writer_length(writer) - before > writer->limits->string_bytes_max)
        (void)writer_fail(writer, DURESS_E_TOO_LARGE, "string too long");
    WRITE_LITERAL(writer, "\"");
}

static void write_string_required(struct writer *writer, struct duress_slice text, const char *refusal)
{
    if (text.length == 0)
        (void)writer_fail(writer, DURESS_E_INVALID, refusal);
    write_string(writer, text, refusal);
}

static void write_object(struct writer *writer, struct duress_slice text, uint32_t depth, const char *refusal)
{
    if (text.length == 0) {
        WRITE_LITERAL(writer, "{}");
        return;
    }
    if (!duress_slice_is(text, "{}") && duress__envelope_object_check(text, writer->limits, depth, NULL) != DURESS_OK)
        (void)writer_fail(writer, DURESS_E_INVALID, refusal);
    write_bytes(writer, text.data, text.length);
}

static void write_instant(struct writer *writer, uint64_t ns)
{
    if (!writer_room(writer, INSTANT_BYTES + 2))
        return;
    writer->at[0] = '"';
    duress__instant_format(ns, writer->at + 1);
    writer->at[INSTANT_BYTES + 1] = '"';
    writer->at += INSTANT_BYTES + 2;
}

static void write_message(struct writer *writer, const struct duress_envelope *envelope)
{
    WRITE_LITERAL(writer, "\"message\":{\"role\":");
    write_string_required(writer, envelope->role, "role is empty or no UTF-8");
    WRITE_LITERAL(writer, ",\"content\":");
    write_string(writer, envelope->content, "content is no UTF-8");
    WRITE_LITERAL(writer, ",\"metadata\":");
    write_object(writer, envelope->metadata, ENVELOPE_METADATA_DEPTH,
                 "metadata is not the text of a JSON object within the limits");
    WRITE_LITERAL(writer, ",\"timestamp\":");
    write_instant(writer, envelope->message_timestamp_ns);
    WRITE_LITERAL(writer, "}");
}

static void write_request(struct writer *writer, const struct duress_envelope *envelope)
{
    WRITE_LITERAL(writer, "\"method\":");
    write_string(writer, envelope->method, "method is no UTF-8");
    WRITE_LITERAL(writer, ",");
    if (envelope->agent_name.length > 0) {
        WRITE_LITERAL(writer, "\"agent_name\":");
        write_string(writer, envelope->agent_name, "agent_name is no UTF-8");
        WRITE_LITERAL(writer, ",");
    }
    write_message(writer, envelope);
}

static void write_error(struct writer *writer, const struct duress_envelope *envelope)
{
    WRITE_LITERAL(writer, "\"error_code\":");
    write_string_required(writer, envelope->error_code, "error_code is empty or no UTF-8");
    WRITE_LITERAL(writer, ",\"error_message\":");
    write_string(writer, envelope->error_message, "error_message is no UTF-8");
    WRITE_LITERAL(writer, ",\"error_details\":");
    write_object(writer, envelope->error_details, ENVELOPE_DETAILS_DEPTH,
                 "error_details is not the text of a JSON object within the limits");
    WRITE_LITERAL(writer, ",\"error\":{\"code\":");
    write_string(writer, envelope->error_code, "error_code is no UTF-8");
    WRITE_LITERAL(writer, ",\"message\":");
    write_string(writer, envelope->error_message, "error_message is no UTF-8");
    WRITE_LITERAL(writer, "}");
}

static void write_payload(struct writer *writer, const struct duress_envelope *envelope)
{
    switch (envelope->type) {
    case DURESS_ENVELOPE_REQUEST:
        write_request(writer, envelope);
        return;
    case DURESS_ENVELOPE_RESPONSE:
    case DURESS_ENVELOPE_STREAM_CHUNK:
        write_message(writer, envelope);
        return;
    case DURESS_ENVELOPE_ERROR:
        write_error(writer, envelope);
        return;
    default:
        return; /* the other types have an empty payload */
    }
}

static void write_envelope(struct writer *writer, const struct duress_envelope *envelope)
{
    WRITE_LITERAL(writer, "{\"version\":\"" DURESS_ENVELOPE_VERSION "\",\"type\":\"");
    write_text(writer, duress_envelope_type_name(envelope->type));
    WRITE_LITERAL(writer, "\",\"id\":");
    write_string_required(writer, envelope->id, "id is empty or no UTF-8");
    WRITE_LITERAL(writer, ",\"timestamp\":");
    write_instant(writer, envelope->timestamp_ns);
    WRITE_LITERAL(writer, ",\"payload\":{");
    write_payload(writer, envelope);
    WRITE_LITERAL(writer, "}}");
}

/* Bytes of all texts: what the envelope has at the least. */
static size_t envelope_texts_bytes(const struct duress_envelope *envelope)
{
    size_t bytes = envelope->id.length;
    if (envelope->type == DURESS_ENVELOPE_ERROR)
        return bytes + 2 * envelope->error_code.length + 2 * envelope->error_message.length +
               envelope->error_details.length;
    return bytes + envelope->method.length + envelope->agent_name.length + envelope->role.length +
           envelope->content.length + envelope->metadata.length;
}

static bool type_is_known(enum duress_envelope_type type)
{
    return (int)type > DURESS_ENVELOPE_NONE && (int)type < DURESS_ENVELOPE_TYPE_END;
}

int duress_envelope_encode(const struct duress_envelope *envelope, const struct duress_envelope_limits *limits,
                           struct duress_buffer *buffer, struct duress_envelope_diagnostics *diagnostics)
{
    limits = duress__envelope_limits(limits);
    duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, NULL);
    if (envelope == NULL || buffer == NULL || duress_envelope_limits_check(limits, NULL) != DURESS_OK)
        return DURESS_E_INVALID;
    if (!type_is_known(envelope->type)) {
        duress__envelope_diagnose(diagnostics, DURESS_DEFECT_FIELD, 0, "type is none");
        return DURESS_E_INVALID;
    }
    struct writer writer;
    writer_init(&writer, buffer, limits, envelope_texts_bytes(envelope));
    write_envelope(&writer, envelope);
    if (writer_length(&writer) > limits->envelope_bytes_max)
        (void)writer_fail(&writer, DURESS_E_TOO_LARGE, "envelope too long");
    if (writer.code != DURESS_OK) {
        duress_buffer_truncate(buffer, writer.start_bytes);
        duress__envelope_diagnose(
            diagnostics, writer.code == DURESS_E_INVALID ? DURESS_DEFECT_FIELD : DURESS_DEFECT_LIMIT, 0, writer.reason);
        return writer.code;
    }
    duress_buffer_commit(buffer, (size_t)(writer.at - writer.room));
    return DURESS_OK;
}

int duress_envelope_encode_framed(const struct duress_envelope *envelope, const struct duress_envelope_limits *limits,
                                  struct duress_buffer *buffer, struct duress_envelope_diagnostics *diagnostics)
{
    size_t mark;
    duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, NULL);
    if (envelope == NULL || buffer == NULL)
        return DURESS_E_INVALID;
    int code = duress_frame_begin(buffer, &mark);
    if (code != DURESS_OK)
        return code;
    code = duress_envelope_encode(envelope, limits, buffer, diagnostics);
    if (code != DURESS_OK) {
        duress_buffer_truncate(buffer, mark);
        return code;
    }
    return duress_frame_finish(buffer, mark, duress__envelope_limits(limits)->envelope_bytes_max);
}
