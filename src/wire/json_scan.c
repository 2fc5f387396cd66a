/* SPDX-License-Identifier: Apache-2.0 */
#include "json_scan.h"

#include <string.h>

#include "text_run.h"

void duress__json_scan_init(struct json_scan *scan, struct duress_slice text,
                            const struct duress_envelope_limits *limits)
{
    static const uint8_t nothing[1];
    scan->start = text.length == 0 ? nothing : text.data;
    scan->at = scan->start;
    scan->end = scan->start + text.length;
    scan->string_bytes_max = limits->string_bytes_max;
    scan->depth_max = limits->depth_max;
    scan->depth = 0;
    scan->values_left = limits->values_max;
    scan->code = DURESS_OK;
    scan->defect = DURESS_DEFECT_NONE;
    scan->place = scan->start;
    scan->reason = NULL;
}

static bool scan_fail(struct json_scan *scan, const uint8_t *place, const char *reason)
{
    scan->code = DURESS_E_MALFORMED;
    scan->defect = DURESS_DEFECT_SYNTAX;
    scan->place = place;
    scan->reason = reason;
    return false;
}

static bool scan_fail_limit(struct json_scan *scan, const uint8_t *place, const char *reason)
{
    (void)scan_fail(scan, place, reason);
    scan->defect = DURESS_DEFECT_LIMIT;
    return false;
}

/* The text is right as far as it goes. */
static bool scan_fail_cut(struct json_scan *scan)
{
    (void)scan_fail(scan, scan->end, "ends too early");
    scan->code = DURESS_E_TRUNCATED;
    return false;
}

static bool byte_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

bool duress__json_scan_peek(struct json_scan *scan)
{
    while (scan->at < scan->end && byte_is_space(*scan->at))
        scan->at++;
    return scan->at < scan->end || scan_fail_cut(scan);
}

bool duress__json_scan_finish(struct json_scan *scan)
{
    while (scan->at < scan->end && byte_is_space(*scan->at))
        scan->at++;
    return scan->at == scan->end || scan_fail(scan, scan->at, "bytes after the end");
}

static bool scan_count(struct json_scan *scan)
{
    if (scan->values_left == 0)
        return scan_fail_limit(scan, scan->at, "too many values");
    scan->values_left--;
    return true;
}

/* Value of a hexadecimal digit; -1 for any other byte. */
static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four digits, known to be there and right. */
static uint32_t hex_unit(const uint8_t *at)
{
    uint32_t unit = 0;
    for (int index = 0; index < 4; index++)
        unit = unit << 4 | (uint32_t)hex_value(at[index]);
    return unit;
}

static bool unit_is_high_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static bool unit_is_low_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xdc00;
}

/* Checks "\u" and four digits at |at|. */
static bool scan_unit(struct json_scan *scan, const uint8_t *at, uint32_t *unit)
{
    static const uint8_t lead[2] = {'\\', 'u'};
    for (int index = 0; index < 6; index++) {
        if (scan->end - at <= index)
            return scan_fail_cut(scan);
        if (index < 2 && at[index] != lead[index])
            return scan_fail(scan, at, "half of a surrogate pair");
        if (index >= 2 && hex_value(at[index]) < 0)
            return scan_fail(scan, at + index, "bad hexadecimal digit in an escape");
    }
    *unit = hex_unit(at + 2);
    return true;
}

/* Checks the escape at *at and moves on behind it. */
static bool scan_escape(struct json_scan *scan, const uint8_t **at)
{
    const uint8_t *start = *at;
    if (scan->end - start < 2)
        return scan_fail_cut(scan);
    if (start[1] != 'u') {
        if (start[1] == '\0' || strchr("\"\\/bfnrt", start[1]) == NULL)
            return scan_fail(scan, start, "unknown escape");
        *at = start + 2;
        return true;
    }
    uint32_t unit;
    uint32_t second;
    if (!scan_unit(scan, start, &unit))
        return false;
    *at = start + 6;
    if (unit_is_low_surrogate(unit))
        return scan_fail(scan, start, "half of a surrogate pair");
    if (!unit_is_high_surrogate(unit))
        return true;
    if (!scan_unit(scan, start + 6, &second))
        return false;
    if (!unit_is_low_surrogate(second))
        return scan_fail(scan, start, "half of a surrogate pair");
    *at = start + 12;
    return true;
}

/* Says what stopped a run of text inside a string, other than its end and an escape. */
static bool scan_fail_text(struct json_scan *scan, const uint8_t *at)
{
    if (*at < 0x20)
        return scan_fail(scan, at, "control character in a string");
    if (duress__utf8_sequence_bytes(at, scan->end) < 0)
        return scan_fail_cut(scan);
    return scan_fail(scan, at, "no UTF-8");
}

/* A string whose quotation mark the scan stands at. */
static bool scan_string(struct json_scan *scan, struct json_field *field)
{
    const uint8_t *start = scan->at + 1;
    const uint8_t *at = start;
    bool escaped = false;
    for (;;) {
        at = duress__text_run(at, scan->end);
        if (at == scan->end)
            return scan_fail_cut(scan);
        if (*at == '"')
            break;
        if (*at != '\\')
            return scan_fail_text(scan, at);
        escaped = true;
        if (!scan_escape(scan, &at))
            return false;
    }
    if ((size_t)(at - start) > scan->string_bytes_max)
        return scan_fail_limit(scan, start, "string too long");
    *field = (struct json_field){JSON_STRING, escaped, start, (size_t)(at - start)};
    scan->at = at + 1;
    return true;
}

static bool byte_is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* One digit or more. */
static bool scan_digits(struct json_scan *scan)
{
    if (scan->at == scan->end)
        return scan_fail_cut(scan);
    if (!byte_is_digit(*scan->at))
        return scan_fail(scan, scan->at, "bad number");
    while (scan->at < scan->end && byte_is_digit(*scan->at))
        scan->at++;
    return true;
}

static bool scan_number(struct json_scan *scan)
{
    if (*scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++; /* and no digit may follow: that is refused where the value ends */
    else if (!scan_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        return scan_digits(scan);
    }
    return true;
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    const uint8_t *start = scan->at;
    for (size_t index = 0; word[index] != '\0'; index++) {
        if (scan->at == scan->end)
            return scan_fail_cut(scan);
        if (*scan->at != (uint8_t)word[index])
            return scan_fail(scan, start, "no JSON value");
        scan->at++;
    }
    return true;
}

static bool scan_scalar(struct json_scan *scan, struct json_field *field)
{
    const uint8_t *start = scan->at;
    bool well;
    if (!scan_count(scan))
        return false;
    switch (*start) {
    case '"':
        return scan_string(scan, field);
    case 't':
        field->kind = JSON_LITERAL;
        well = scan_word(scan, "true");
        break;
    case 'f':
        field->kind = JSON_LITERAL;
        well = scan_word(scan, "false");
        break;
    case 'n':
        field->kind = JSON_NULL;
        well = scan_word(scan, "null");
        break;
    default:
        field->kind = JSON_NUMBER;
        if (*start != '-' && !byte_is_digit(*start))
            return scan_fail(scan, start, "no JSON value");
        well = scan_number(scan);
    }
    field->escaped = false;
    field->start = start;
    field->length = (size_t)(scan->at - start);
    return well;
}

/* A bracket opens. */
static bool scan_open(struct json_scan *scan)
{
    if (!scan_count(scan))
        return false;
    if (scan->depth >= scan->depth_max)
        return scan_fail_limit(scan, scan->at, "nested too deeply");
    scan->depth++;
    scan->at++;
    return true;
}

static bool scan_close(struct json_scan *scan)
{
    scan->depth--;
    scan->at++;
    return true;
}

/* A key and its colon; the key's meaning in *key. */
static bool scan_key(struct json_scan *scan, struct duress_slice *key)
{
    struct json_field field;
    if (!duress__json_scan_peek(scan))
        return false;
    if (*scan->at != '"')
        return scan_fail(scan, scan->at, "no key");
    if (!scan_string(scan, &field) || !duress__json_scan_peek(scan))
        return false;
    if (*scan->at != ':')
        return scan_fail(scan, scan->at, "no colon after a key");
    scan->at++;
    *key = (struct duress_slice){field.start, field.length};
    if (!field.escaped)
        return true;
    if (field.length > sizeof scan->key)
        *key = (struct duress_slice){NULL, 0};
    else
        *key = (struct duress_slice){scan->key, duress__json_unescape(field.start, field.length, scan->key)};
    return true;
}

bool duress__json_scan_object(struct json_scan *scan, json_member_fn member, void *context)
{
    struct duress_slice key;
    if (!scan_open(scan) || !duress__json_scan_peek(scan))
        return false;
    if (*scan->at == '}')
        return scan_close(scan);
    for (;;) {
        if (!scan_key(scan, &key) || !member(scan, context, key) || !duress__json_scan_peek(scan))
            return false;
        if (*scan->at == '}')
            return scan_close(scan);
        if (*scan->at != ',')
            return scan_fail(scan, scan->at, "no comma or brace after a member");
        scan->at++;
    }
}

static bool scan_array(struct json_scan *scan)
{
    struct json_field element;
    if (!scan_open(scan) || !duress__json_scan_peek(scan))
        return false;
    if (*scan->at == ']')
        return scan_close(scan);
    for (;;) {
        if (!duress__json_scan_value(scan, &element) || !duress__json_scan_peek(scan))
            return false;
        if (*scan->at == ']')
            return scan_close(scan);
        if (*scan->at != ',')
            return scan_fail(scan, scan->at, "no comma or bracket after an element");
        scan->at++;
    }
}

/* A member that nobody asked for: checked and dropped. */
static bool member_skip(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct json_field dropped;
    (void)context;
    (void)key;
    return duress__json_scan_value(scan, &dropped);
}

bool duress__json_scan_value(struct json_scan *scan, struct json_field *field)
{
    return duress__json_scan_value_members(scan, field, member_skip, NULL);
}

bool duress__json_scan_value_members(struct json_scan *scan, struct json_field *field, json_member_fn member,
                                     void *context)
{
    if (!duress__json_scan_peek(scan))
        return false;
    if (*scan->at != '{' && *scan->at != '[')
        return scan_scalar(scan, field);
    const uint8_t *start = scan->at;
    bool object = *start == '{';
    if (!(object ? duress__json_scan_object(scan, member, context) : scan_array(scan)))
        return false;
    *field = (struct json_field){object ? JSON_OBJECT : JSON_ARRAY, false, start, (size_t)(scan->at - start)};
    return true;
}

static uint8_t *codepoint_write(uint8_t *out, uint32_t point)
{
    if (point < 0x80) {
        *out++ = (uint8_t)point;
        return out;
    }
    if (point < 0x800) {
        *out++ = (uint8_t)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = (uint8_t)(0xe0 | point >> 12);
        } else {
            *out++ = (uint8_t)(0xf0 | point >> 18);
            *out++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        }
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    }
    *out++ = (uint8_t)(0x80 | (point & 0x3f));
    return out;
}

static uint8_t escape_meaning(uint8_t letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter; /* quotation mark, backslash, slash stand for themselves */
    }
}

size_t duress__json_unescape(const uint8_t *start, size_t length, uint8_t *out)
{
    const uint8_t *at = start;
    const uint8_t *end = start + length;
    uint8_t *to = out;
    while (at < end) {
        const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash == NULL ? end : backslash) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (backslash == NULL)
            break;
        if (at[1] != 'u') {
            *to++ = escape_meaning(at[1]);
            at += 2;
            continue;
        }
        uint32_t point = hex_unit(at + 2);
        at += 6;
        if (unit_is_high_surrogate(point)) {
            point = 0x10000 + ((point & 0x3ff) << 10 | (hex_unit(at + 2) & 0x3ff));
            at += 6;
        }
        to = codepoint_write(to, point);
    }
    return (size_t)(to - out);
}
