/* SPDX-License-Identifier: Apache-2.0
 *
 * The validator against the definition of UTF-8 itself: decode, and ask whether the shortest encoding of the character
 * is what was read. */
#include "wire_test_support.h"

#include <string.h>

#include <duress/wire/utf8.h>

/* The shortest encoding of |point|, by RFC 3629 section 3; 0 for a surrogate or what lies above U+10FFFF. */
static size_t reference_encode(uint32_t point, uint8_t out[4])
{
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t count = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t index = count - 1; index > 0; index--) {
        out[index] = (uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (uint8_t)(0xf00u >> count | point);
    return count;
}

/* Whether |count| bytes are exactly one character. */
static bool reference_is_character(const uint8_t *bytes, size_t count)
{
    uint8_t again[4];
    uint32_t point = count == 1 ? bytes[0] : bytes[0] & (0x7fu >> count);
    for (size_t index = 1; index < count; index++)
        point = point << 6 | (bytes[index] & 0x3fu);
    return reference_encode(point, again) == count && memcmp(again, bytes, count) == 0;
}

static bool reference_is_valid(const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        size_t taken = 0;
        for (size_t width = 1; width <= 4 && width <= count && taken == 0; width++)
            taken = reference_is_character(bytes, width) ? width : 0;
        if (taken == 0)
            return false;
        bytes += taken;
        count -= taken;
    }
    return true;
}

static void every_character_is_valid(void **state)
{
    (void)state;
    uint8_t bytes[4];
    for (uint32_t point = 0; point < 0x120000; point++) {
        size_t count = reference_encode(point, bytes);
        if (count > 0 && !duress_utf8_is_valid(duress_slice_bytes(bytes, count)))
            fail_msg("U+%04X is refused", (unsigned)point);
    }
}

static void every_pair_and_triple_of_bytes_agrees(void **state)
{
    (void)state;
    for (uint32_t word = 0; word < 1u << 24; word += 1) {
        /* Continuation bytes behave alike within 0x80-0x8f and so on: every fourth third byte will do. */
        if ((word & 0xff) % 4 != 0 && (word & 0xff) != 0xbf && (word & 0xff) != 0x7f)
            continue;
        uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
        if (duress_utf8_is_valid(duress_slice_bytes(bytes, 3)) != reference_is_valid(bytes, 3))
            fail_msg("%02x %02x %02x is judged wrongly", bytes[0], bytes[1], bytes[2]);
        if (bytes[2] == 0 && duress_utf8_is_valid(duress_slice_bytes(bytes, 2)) != reference_is_valid(bytes, 2))
            fail_msg("%02x %02x is judged wrongly", bytes[0], bytes[1]);
    }
}

static void every_corner_of_four_bytes_agrees(void **state)
{
    (void)state;
    static const uint8_t tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const size_t count = sizeof tails;
    for (uint32_t first = 0xe0; first <= 0xff; first++) {
        for (size_t index = 0; index < count * count * count; index++) {
            uint8_t bytes[4] = {(uint8_t)first, tails[index % count], tails[index / count % count],
                                tails[index / count / count]};
            if (duress_utf8_is_valid(duress_slice_bytes(bytes, 4)) != reference_is_valid(bytes, 4))
                fail_msg("%02x %02x %02x %02x is judged wrongly", bytes[0], bytes[1], bytes[2], bytes[3]);
        }
    }
}

/* Whatever the place of a character in the words of eight bytes, and right before an unreadable page. */
static void place_in_the_text_does_not_matter(void **state)
{
    (void)state;
    struct test_guard guard;
    uint8_t text[40];
    test_guard_open(&guard, sizeof text);
    for (size_t length = 0; length <= sizeof text; length++) {
        memset(text, 'a', sizeof text);
        assert_true(duress_utf8_is_valid(test_guard_at_end(&guard, duress_slice_bytes(text, length))));
        for (size_t place = 0; place < length; place++) {
            memset(text, 'a', sizeof text);
            memcpy(text + place, "\xf0\x9f\x98\x80", place + 4 <= sizeof text ? 4 : sizeof text - place);
            struct duress_slice placed = test_guard_at_end(&guard, duress_slice_bytes(text, length));
            assert_int_equal(duress_utf8_is_valid(placed), place + 4 <= length);
            memset(text, 'a', sizeof text);
            text[place] = 0x80;
            assert_false(duress_utf8_is_valid(test_guard_at_end(&guard, duress_slice_bytes(text, length))));
        }
    }
    test_guard_close(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_valid),
        cmocka_unit_test(every_pair_and_triple_of_bytes_agrees),
        cmocka_unit_test(every_corner_of_four_bytes_agrees),
        cmocka_unit_test(place_in_the_text_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
