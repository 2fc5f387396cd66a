/* SPDX-License-Identifier: Apache-2.0
 *
 * Text that is written twice by the same code: first to measure it (bytes is NULL), then into memory of that length. */
#ifndef DURESS_COMPOSE_TEXT_H
#define DURESS_COMPOSE_TEXT_H

#include <stdio.h>
#include <string.h>

#include <duress/slice.h>

struct text {
    char *bytes; /* NULL: measures */
    size_t length;
};

static inline void text_put(struct text *text, struct duress_slice slice)
{
    if (text->bytes != NULL && slice.length > 0)
        memcpy(text->bytes + text->length, slice.data, slice.length);
    text->length += slice.length;
}

static inline void text_puts(struct text *text, const char *string)
{
    text_put(text, duress_slice_text(string));
}

static inline void text_put_number(struct text *text, size_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%zu", number);
    text_puts(text, digits);
}

/* |string| as it stands between the quotes of a JSON string. */
static inline void text_put_escaped(struct text *text, const char *string)
{
    for (; *string != '\0'; string++) {
        unsigned char byte = (unsigned char)*string;
        char escape[8];
        if (byte < 0x20)
            (void)snprintf(escape, sizeof escape, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            (void)snprintf(escape, sizeof escape, "\\%c", byte);
        else
            (void)snprintf(escape, sizeof escape, "%c", byte);
        text_puts(text, escape);
    }
}

#endif
