/* SPDX-License-Identifier: Apache-2.0 */
#include "json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES_MAX 64

static void append(struct json_out *out, const void *bytes, size_t length)
{
    if (out->error == DURESS_OK)
        out->error = duress_buffer_append(out->buffer, duress_slice_bytes(bytes, length));
}

void duress__json_raw(struct json_out *out, const char *text)
{
    append(out, text, strlen(text));
}

/* --- strings --- */

/* Length of the UTF-8 sequence at |at|; 0 where there is none. Overlong forms, surrogates and what lies beyond U+10FFFF
 * are none. */
static size_t sequence_length(const unsigned char *at)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t length = 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (length == 0 || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return length;
}

/* What stands for the character at |at|, of |length| bytes, in place of itself; NULL where it stands for itself. */
static const char *escape_of(const unsigned char *at, size_t length, char text[8])
{
    switch (at[0]) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (at[0] < 0x20 || at[0] == '<' || at[0] == '>' || at[0] == '&') {
        (void)snprintf(text, 8, "\\u%04x", at[0]);
        return text;
    }
    if (length == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9))
        return at[2] == 0xa8 ? "\\u2028" : "\\u2029";
    return NULL;
}

/* Bytes that stand for themselves, and begin no sequence: most strings are made of these alone. */
static bool is_plain(unsigned char byte)
{
    static const bool odd[0x80] = {['"'] = true, ['\\'] = true, ['<'] = true, ['>'] = true, ['&'] = true};
    return byte >= 0x20 && byte < 0x80 && !odd[byte];
}

static void string_escape(struct json_out *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *begin = at; /* of what was not written yet */
    append(out, "\"", 1);
    while (*at != '\0') {
        char escaped[8];
        size_t length = sequence_length(at);
        const char *instead = length == 0 ? "\\ufffd" : escape_of(at, length, escaped);
        length = length == 0 ? 1 : length;
        if (instead != NULL) {
            append(out, begin, (size_t)(at - begin));
            duress__json_raw(out, instead);
            begin = at + length;
        }
        at += length;
    }
    append(out, begin, (size_t)(at - begin));
    append(out, "\"", 1);
}

void duress__json_string(struct json_out *out, const char *text)
{
    uint8_t *room = NULL;
    size_t length = 0;
    while (is_plain((unsigned char)text[length]))
        length++;
    if (text[length] != '\0') {
        string_escape(out, text);
        return;
    }
    if (out->error == DURESS_OK)
        out->error = duress_buffer_reserve(out->buffer, length + 2, &room);
    if (out->error != DURESS_OK)
        return;
    room[0] = '"';
    memcpy(room + 1, text, length);
    room[length + 1] = '"';
    duress_buffer_commit(out->buffer, length + 2);
}

void duress__json_member(struct json_out *out, const char *key, const char *text)
{
    append(out, "\"", 1);
    duress__json_raw(out, key);
    append(out, "\":", 2);
    duress__json_string(out, text);
}

/* --- numbers --- */

void duress__json_integer(struct json_out *out, int64_t value)
{
    char text[NUMBER_BYTES_MAX];
    append(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void duress__json_unsigned(struct json_out *out, uint64_t value)
{
    char text[NUMBER_BYTES_MAX];
    append(out, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, value));
}

void duress__json_bool(struct json_out *out, bool value)
{
    duress__json_raw(out, value ? "true" : "false");
}

/* |digits| of the form d.ddde±xx, laid out as Go does: plainly, or with an exponent that has no leading zero. */
static void number_lay_out(struct json_out *out, const char *digits, bool plainly)
{
    char text[NUMBER_BYTES_MAX];
    const char *mark = strchr(digits, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    int fraction = (int)(mark - digits) - (digits[0] == '-' ? 3 : 2); /* digits behind the point */
    if (!plainly) {
        append(out, digits, (size_t)(mark - digits));
        append(out, text, (size_t)snprintf(text, sizeof text, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent)));
        return;
    }
    fraction = (fraction > 0 ? fraction : 0) - exponent;
    append(out, text, (size_t)snprintf(text, sizeof text, "%.*f", fraction > 0 ? fraction : 0, strtod(digits, NULL)));
}

void duress__json_float(struct json_out *out, float value)
{
    char digits[NUMBER_BYTES_MAX];
    for (int precision = 0; precision <= 9; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*e", precision, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    /* Compared as what it is: the float next to 1e-6 is below 1e-6. */
    float size = fabsf(value);
    number_lay_out(out, digits, size == 0 || (size >= 1e-6F && size < 1e21F));
}

void duress__json_double(struct json_out *out, double value)
{
    char digits[NUMBER_BYTES_MAX];
    for (int precision = 0; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*e", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    double size = fabs(value);
    number_lay_out(out, digits, size == 0 || (size >= 1e-6 && size < 1e21));
}
