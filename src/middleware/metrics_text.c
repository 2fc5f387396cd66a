/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics_private.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void text_add(struct text *text, const char *bytes, size_t count)
{
    if (text->length < text->bytes) {
        size_t room = text->bytes - text->length;
        memcpy(text->buffer + text->length, bytes, count < room ? count : room);
    }
    text->length += count;
}

void duress__text_put(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void duress__text_format(struct text *text, const char *format, ...)
{
    char piece[256]; /* what is formatted is numbers between short words */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    DURESS_ASSERT(length >= 0 && (size_t)length < sizeof piece);
    text_add(text, piece, (size_t)length);
}

void duress__text_seconds(struct text *text, uint64_t nanoseconds)
{
    char piece[32];
    int length =
        snprintf(piece, sizeof piece, "%" PRIu64 ".%09" PRIu64, nanoseconds / DURESS_S, nanoseconds % DURESS_S);
    while (piece[length - 1] == '0')
        length--;
    if (piece[length - 1] == '.')
        length--;
    text_add(text, piece, (size_t)length);
}

/* How many bytes the UTF-8 sequence at |string| has, which ends with a NUL; 0 where there is no valid one. By the table
 * of well-formed sequences in the Unicode standard (3-7): no overlong ones, no surrogates, nothing above U+10FFFF. */
static size_t utf8_length(const unsigned char *string)
{
    unsigned char first = string[0];
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4 || string[1] < low || string[1] > high)
        return 0;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 2; i < length; i++) {
        if (string[i] < 0x80 || string[i] > 0xbf) /* a NUL too, so nothing is read beyond it */
            return 0;
    }
    return length;
}

static void text_escaped(struct text *text, enum text_escape escape, char byte)
{
    if (byte == '"' || byte == '\\')
        duress__text_format(text, "\\%c", byte);
    else if (byte == '\n')
        duress__text_put(text, "\\n");
    else if (escape == TEXT_JSON && (unsigned char)byte < 0x20)
        duress__text_format(text, "\\u%04x", (unsigned)(unsigned char)byte);
    else
        text_add(text, &byte, 1);
}

void duress__text_quoted(struct text *text, enum text_escape escape, const char *string)
{
    while (*string != '\0') {
        size_t length = utf8_length((const unsigned char *)string);
        if (length == 0)
            duress__text_put(text, "\xef\xbf\xbd"); /* U+FFFD */
        else if (length == 1)
            text_escaped(text, escape, *string);
        else
            text_add(text, string, length);
        string += length > 0 ? length : 1;
    }
}

void duress__text_error_name(struct text *text, int code)
{
    for (const char *name = duress_error_name(code); *name != '\0'; name++) {
        char lower = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        text_add(text, &lower, 1);
    }
}

int duress__text_end(struct text *text)
{
    if (text->bytes > 0)
        text->buffer[text->length < text->bytes ? text->length : text->bytes - 1] = '\0';
    return text->length <= INT_MAX ? (int)text->length : DURESS_E_TOO_LARGE;
}
