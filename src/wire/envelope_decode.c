/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an envelope is two steps. The scan checks the whole text and notes where each member of the grammar stands
 * and what kind of value it is; it cannot judge yet, because the payload may come before the type. Then the envelope is
 * judged, and the strings that held escapes are unescaped into the scratch buffer. */
#include "envelope_private.h"

#include "json_scan.h"
#include "instant.h"

/* The members of the grammar, each level's in one run, so that a level that comes twice can be forgotten at once. */
enum member {
    MEMBER_VERSION,
    MEMBER_TYPE,
    MEMBER_ID,
    MEMBER_TIMESTAMP,
    MEMBER_PAYLOAD,

    MEMBER_METHOD,
    MEMBER_AGENT_NAME,
    MEMBER_ERROR_CODE,
    MEMBER_ERROR_MESSAGE,
    MEMBER_ERROR_DETAILS,
    MEMBER_MESSAGE,
    MEMBER_ERROR,

    MEMBER_ROLE,
    MEMBER_CONTENT,
    MEMBER_METADATA,
    MEMBER_MESSAGE_TIMESTAMP,

    MEMBER_NESTED_CODE,
    MEMBER_NESTED_MESSAGE,

    MEMBER_END,
};

struct decoder {
    struct json_scan scan;
    struct json_field fields[MEMBER_END];
    uint8_t *scratch; /* where the next unescaped string goes */
    enum duress_envelope_defect defect;
    const uint8_t *place;
    const char *reason;
};

#define KEY_IS(key, text) ((key).length == sizeof(text) - 1 && memcmp((key).data, (text), sizeof(text) - 1) == 0)

static bool scan_unknown(struct json_scan *scan)
{
    struct json_field dropped;
    return duress__json_scan_value(scan, &dropped);
}

/* Scans a member whose object has a grammar of its own, of which |first| to |last| may still hold an earlier copy. */
static bool scan_level(struct decoder *decoder, enum member level, enum member first, enum member last,
                       json_member_fn member)
{
    memset(&decoder->fields[first], 0, (size_t)(last - first + 1) * sizeof decoder->fields[0]);
    return duress__json_scan_value_members(&decoder->scan, &decoder->fields[level], member, decoder);
}

static bool message_member(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct decoder *decoder = context;
    if (KEY_IS(key, "role"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_ROLE]);
    if (KEY_IS(key, "content"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_CONTENT]);
    if (KEY_IS(key, "metadata"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_METADATA]);
    if (KEY_IS(key, "timestamp"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_MESSAGE_TIMESTAMP]);
    return scan_unknown(scan);
}

static bool error_member(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct decoder *decoder = context;
    if (KEY_IS(key, "code"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_NESTED_CODE]);
    if (KEY_IS(key, "message"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_NESTED_MESSAGE]);
    return scan_unknown(scan);
}

static bool payload_member(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct decoder *decoder = context;
    if (KEY_IS(key, "method"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_METHOD]);
    if (KEY_IS(key, "agent_name"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_AGENT_NAME]);
    if (KEY_IS(key, "message"))
        return scan_level(decoder, MEMBER_MESSAGE, MEMBER_ROLE, MEMBER_MESSAGE_TIMESTAMP, message_member);
    if (KEY_IS(key, "error"))
        return scan_level(decoder, MEMBER_ERROR, MEMBER_NESTED_CODE, MEMBER_NESTED_MESSAGE, error_member);
    if (KEY_IS(key, "error_code"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_ERROR_CODE]);
    if (KEY_IS(key, "error_message"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_ERROR_MESSAGE]);
    if (KEY_IS(key, "error_details"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_ERROR_DETAILS]);
    return scan_unknown(scan);
}

static bool envelope_member(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct decoder *decoder = context;
    if (KEY_IS(key, "version"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_VERSION]);
    if (KEY_IS(key, "type"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_TYPE]);
    if (KEY_IS(key, "id"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_ID]);
    if (KEY_IS(key, "timestamp"))
        return duress__json_scan_value(scan, &decoder->fields[MEMBER_TIMESTAMP]);
    if (KEY_IS(key, "payload"))
        return scan_level(decoder, MEMBER_PAYLOAD, MEMBER_METHOD, MEMBER_NESTED_MESSAGE, payload_member);
    return scan_unknown(scan);
}

/* Refuses |field|, or what is missing at the end of the text. */
static bool judge_refuse(struct decoder *decoder, const struct json_field *field, const char *reason)
{
    decoder->defect = DURESS_DEFECT_FIELD;
    decoder->place = field->kind == JSON_ABSENT ? decoder->scan.end : field->start;
    decoder->reason = reason;
    return false;
}

/* The meaning of a string, which the scratch has room for. */
static struct duress_slice field_text(struct decoder *decoder, const struct json_field *field)
{
    struct duress_slice text = {field->start, field->length};
    if (field->escaped) {
        text.length = duress__json_unescape(field->start, field->length, decoder->scratch);
        text.data = decoder->scratch;
        decoder->scratch += text.length;
    }
    return text;
}

static bool field_is_none(const struct json_field *field)
{
    return field->kind == JSON_ABSENT || field->kind == JSON_NULL;
}

static bool text_required(struct decoder *decoder, enum member member, struct duress_slice *text, const char *reason)
{
    const struct json_field *field = &decoder->fields[member];
    if (field->kind != JSON_STRING || field->length == 0)
        return judge_refuse(decoder, field, reason);
    *text = field_text(decoder, field);
    return true;
}

static bool text_optional(struct decoder *decoder, enum member member, struct duress_slice *text, const char *reason)
{
    const struct json_field *field = &decoder->fields[member];
    if (field_is_none(field))
        return true;
    if (field->kind != JSON_STRING)
        return judge_refuse(decoder, field, reason);
    *text = field_text(decoder, field);
    return true;
}

static bool object_optional(struct decoder *decoder, enum member member, struct duress_slice *text, const char *reason)
{
    const struct json_field *field = &decoder->fields[member];
    *text = duress_slice_bytes("{}", 2);
    if (field_is_none(field))
        return true;
    if (field->kind != JSON_OBJECT)
        return judge_refuse(decoder, field, reason);
    *text = duress_slice_bytes(field->start, field->length);
    return true;
}

static bool instant_optional(struct decoder *decoder, enum member member, uint64_t *ns, const char *reason)
{
    const struct json_field *field = &decoder->fields[member];
    struct duress_slice text = {NULL, 0};
    if (!text_optional(decoder, member, &text, reason))
        return false;
    if (text.length == 0)
        return true;
    return duress__instant_parse(text, ns) || judge_refuse(decoder, field, reason);
}

static bool message_judge(struct decoder *decoder, struct duress_envelope *envelope)
{
    const struct json_field *message = &decoder->fields[MEMBER_MESSAGE];
    const struct json_field *content = &decoder->fields[MEMBER_CONTENT];
    if (message->kind != JSON_OBJECT)
        return judge_refuse(decoder, message, "message is missing or no object");
    if (content->kind == JSON_ABSENT)
        return judge_refuse(decoder, message, "message has no content");
    envelope->content = content->kind == JSON_STRING ? field_text(decoder, content)
                                                     : duress_slice_bytes(content->start, content->length);
    return text_required(decoder, MEMBER_ROLE, &envelope->role, "role is missing, empty or no string") &&
           object_optional(decoder, MEMBER_METADATA, &envelope->metadata, "metadata is no object") &&
           instant_optional(decoder, MEMBER_MESSAGE_TIMESTAMP, &envelope->message_timestamp_ns,
                            "timestamp of the message is no RFC 3339 text");
}

static bool request_judge(struct decoder *decoder, struct duress_envelope *envelope)
{
    return text_optional(decoder, MEMBER_METHOD, &envelope->method, "method is no string") &&
           text_optional(decoder, MEMBER_AGENT_NAME, &envelope->agent_name, "agent_name is no string") &&
           message_judge(decoder, envelope);
}

/* Takes each part from the flat shape where that has it, else from the nested one. */
static bool error_judge(struct decoder *decoder, struct duress_envelope *envelope)
{
    bool flat_code = !field_is_none(&decoder->fields[MEMBER_ERROR_CODE]);
    bool flat_message = !field_is_none(&decoder->fields[MEMBER_ERROR_MESSAGE]);
    return text_required(decoder, flat_code ? MEMBER_ERROR_CODE : MEMBER_NESTED_CODE, &envelope->error_code,
                         "error code is missing, empty or no string") &&
           text_optional(decoder, flat_message ? MEMBER_ERROR_MESSAGE : MEMBER_NESTED_MESSAGE, &envelope->error_message,
                         "error message is no string") &&
           object_optional(decoder, MEMBER_ERROR_DETAILS, &envelope->error_details, "error_details is no object");
}

static bool version_judge(struct decoder *decoder)
{
    struct duress_slice version;
    if (!text_required(decoder, MEMBER_VERSION, &version, "version is missing, empty or no string"))
        return false;
    if (duress_slice_is(version, DURESS_ENVELOPE_VERSION))
        return true;
    (void)judge_refuse(decoder, &decoder->fields[MEMBER_VERSION], "unsupported version");
    decoder->defect = DURESS_DEFECT_VERSION;
    return false;
}

static bool type_judge(struct decoder *decoder, struct duress_envelope *envelope)
{
    struct duress_slice name;
    if (!text_required(decoder, MEMBER_TYPE, &name, "type is missing, empty or no string"))
        return false;
    envelope->type = duress__envelope_type_from_name(name);
    return envelope->type != DURESS_ENVELOPE_NONE ||
           judge_refuse(decoder, &decoder->fields[MEMBER_TYPE], "unknown type");
}

/* The id comes first: answers to what is wrong further on can still name it. */
static bool envelope_judge(struct decoder *decoder, struct duress_envelope *envelope)
{
    if (!text_required(decoder, MEMBER_ID, &envelope->id, "id is missing, empty or no string") ||
        !version_judge(decoder) || !type_judge(decoder, envelope) ||
        !instant_optional(decoder, MEMBER_TIMESTAMP, &envelope->timestamp_ns, "timestamp is no RFC 3339 text"))
        return false;
    if (decoder->fields[MEMBER_PAYLOAD].kind != JSON_OBJECT)
        return judge_refuse(decoder, &decoder->fields[MEMBER_PAYLOAD], "payload is missing or no object");
    switch (envelope->type) {
    case DURESS_ENVELOPE_REQUEST:
        return request_judge(decoder, envelope);
    case DURESS_ENVELOPE_RESPONSE:
    case DURESS_ENVELOPE_STREAM_CHUNK:
        return message_judge(decoder, envelope);
    case DURESS_ENVELOPE_ERROR:
        return error_judge(decoder, envelope);
    default:
        return true;
    }
}

static bool envelope_scan(struct decoder *decoder)
{
    struct json_scan *scan = &decoder->scan;
    if (!duress__json_scan_peek(scan))
        return false;
    if (*scan->at != '{') {
        scan->code = DURESS_E_MALFORMED;
        scan->defect = DURESS_DEFECT_SYNTAX;
        scan->place = scan->at;
        scan->reason = "no JSON object";
        return false;
    }
    return duress__json_scan_object(scan, envelope_member, decoder) && duress__json_scan_finish(scan);
}

/* Makes room for every string that has to be unescaped: at most as many bytes as the text has. */
static int scratch_reserve(struct decoder *decoder, struct duress_buffer *scratch)
{
    size_t escaped_bytes = 0;
    for (int member = 0; member < MEMBER_END; member++) {
        const struct json_field *field = &decoder->fields[member];
        if (field->escaped)
            escaped_bytes += field->length;
    }
    if (escaped_bytes == 0)
        return DURESS_OK;
    int code = duress_buffer_reserve(scratch, escaped_bytes, &decoder->scratch);
    if (code != DURESS_OK)
        return DURESS_E_NO_MEMORY;
    duress_buffer_commit(scratch, escaped_bytes);
    return DURESS_OK;
}

int duress_envelope_decode(struct duress_slice input, const struct duress_envelope_limits *limits,
                           struct duress_buffer *scratch, struct duress_envelope *envelope,
                           struct duress_envelope_diagnostics *diagnostics)
{
    struct decoder decoder;
    struct duress_envelope result = {.type = DURESS_ENVELOPE_NONE};
    limits = duress__envelope_limits(limits);
    duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, NULL);
    if (scratch == NULL || envelope == NULL || (input.data == NULL && input.length > 0) ||
        duress_envelope_limits_check(limits, NULL) != DURESS_OK)
        return DURESS_E_INVALID;
    *envelope = result;
    duress_buffer_clear(scratch);
    if (input.length > limits->envelope_bytes_max) {
        duress__envelope_diagnose(diagnostics, DURESS_DEFECT_LIMIT, limits->envelope_bytes_max, "envelope too long");
        return DURESS_E_MALFORMED;
    }
    memset(decoder.fields, 0, sizeof decoder.fields);
    duress__json_scan_init(&decoder.scan, input, limits);
    if (!envelope_scan(&decoder)) {
        struct json_scan *scan = &decoder.scan;
        duress__envelope_diagnose(diagnostics, scan->defect, (size_t)(scan->place - scan->start), scan->reason);
        return scan->code;
    }
    int code = scratch_reserve(&decoder, scratch);
    if (code != DURESS_OK) {
        duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, "no memory for strings with escapes");
        return code;
    }
    if (!envelope_judge(&decoder, &result)) {
        envelope->id = result.id;
        duress__envelope_diagnose(diagnostics, decoder.defect, (size_t)(decoder.place - decoder.scan.start),
                                  decoder.reason);
        return DURESS_E_MALFORMED;
    }
    *envelope = result;
    return DURESS_OK;
}
