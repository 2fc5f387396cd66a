/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/wire/utf8.h>

#include "text_run.h"

/* Bytes of a sequence by its first byte, and the range of its second, which alone rules out overlong forms, surrogates
 * and what lies above U+10FFFF (Unicode standard, table 3-7). */
struct lead {
    int bytes;
    uint8_t second_min;
    uint8_t second_max;
};

static struct lead lead_of(uint8_t byte)
{
    if (byte < 0xc2)
        return (struct lead){0, 0, 0};
    if (byte < 0xe0)
        return (struct lead){2, 0x80, 0xbf};
    if (byte < 0xf0)
        return (struct lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    if (byte < 0xf5)
        return (struct lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    return (struct lead){0, 0, 0};
}

int duress__utf8_sequence_bytes(const uint8_t *at, const uint8_t *end)
{
    struct lead lead = lead_of(*at);
    if (lead.bytes == 0)
        return 0;
    if (end - at < 2)
        return -1;
    if (at[1] < lead.second_min || at[1] > lead.second_max)
        return 0;
    for (int index = 2; index < lead.bytes; index++) {
        if (end - at <= index)
            return -1;
        if ((at[index] & 0xc0) != 0x80)
            return 0;
    }
    return lead.bytes;
}

const uint8_t *duress__text_run(const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        at = text_run_ascii(at, end);
        if (at == end || *at < 0x80)
            return at;
        int bytes = duress__utf8_sequence_bytes(at, end);
        if (bytes <= 0)
            return at;
        at += bytes;
    }
}

bool duress_utf8_is_valid(struct duress_slice text)
{
    if (text.length == 0)
        return true;
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.length;
    for (;;) {
        while (end - at >= 8 && (text_run_load(at) & TEXT_RUN_HIGHS) == 0)
            at += 8;
        while (at < end && *at < 0x80)
            at++;
        if (at == end)
            return true;
        int bytes = duress__utf8_sequence_bytes(at, end);
        if (bytes <= 0)
            return false;
        at += bytes;
    }
}
