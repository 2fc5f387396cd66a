/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of bytes that need no attention, eight at a time. Private to wire/. */
#ifndef DURESS_WIRE_TEXT_RUN_H
#define DURESS_WIRE_TEXT_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEXT_RUN_ONES UINT64_C(0x0101010101010101)
#define TEXT_RUN_HIGHS UINT64_C(0x8080808080808080)

/* Length in bytes of the UTF-8 sequence at |at|, which is below |end| and not ASCII: 2 to 4. 0 where it is no valid
 * sequence, -1 where it is valid as far as |end|. */
int duress__utf8_sequence_bytes(const uint8_t *at, const uint8_t *end);

/* The first byte from |at| on that is no valid UTF-8 text or ends a run of plain text in a JSON string: a quotation
 * mark, a backslash, a control character, or |end|. */
const uint8_t *duress__text_run(const uint8_t *at, const uint8_t *end);

/* The eight bytes at |at|, the first one in the lowest bits. */
static inline uint64_t text_run_load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Marks the high bit of each byte of |word| that is zero. Bytes above a marked one may be marked wrongly (the borrow of
 * the subtraction runs upwards), so that only the lowest mark counts. */
static inline uint64_t text_run_zeros(uint64_t word)
{
    return (word - TEXT_RUN_ONES) & ~word & TEXT_RUN_HIGHS;
}

/* Marks bytes that are not plain ASCII text: quotation mark, backslash, below 0x20, above 0x7f. Only the lowest mark
 * counts, as above. */
static inline uint64_t text_run_stops(uint64_t word)
{
    uint64_t quotes = text_run_zeros(word ^ (TEXT_RUN_ONES * '"'));
    uint64_t backslashes = text_run_zeros(word ^ (TEXT_RUN_ONES * '\\'));
    uint64_t controls = (word - TEXT_RUN_ONES * 0x20) & ~word & TEXT_RUN_HIGHS;
    return quotes | backslashes | controls | (word & TEXT_RUN_HIGHS);
}

/* The first byte from |at| on that is not plain ASCII text, or |end|. */
static inline const uint8_t *text_run_ascii(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t stops = text_run_stops(text_run_load(at));
        if (stops != 0)
            return at + ((unsigned)__builtin_ctzll(stops) >> 3);
    }
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

#endif
