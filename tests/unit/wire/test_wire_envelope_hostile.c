/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that a hostile or broken peer may send: cut anywhere, with any bit flipped, with any bytes at all, always
 * between unreadable pages so that a look beyond the text ends the test. */
#include "wire_test_support.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OF_ALL_KINDS                                                                                              \
    "{\"payload\":{\"message\":{\"metadata\":{\"a\":[1,-2.5e+10,true,false,null,{\"b\":\"\\u20ac\"}]},\"content\":"    \
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\ud83d\\ude00\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"role\":\"u\\u0073er\"}},"      \
    "\"id\":\"\xc3\xa9\",\"type\":\"response\",\"version\":\"1.0\"}"

#define TEXT_WITH_SPACE                                                                                                \
    "{ \"version\" : \"1.0\" , \"type\" : \"request\" , \"id\" : \"i\" , \"payload\" : { \"method\" : \"process\" , "  \
    "\"message\" : { \"role\" : \"user\" , \"content\" : [ 0 , { } , [ ] ] } } }"

static const char *const texts[] = {
    EXAMPLE_REQUEST,      EXAMPLE_RESPONSE,   EXAMPLE_ERROR,     EXAMPLE_ERROR_NESTED,
    EXAMPLE_STREAM_CHUNK, EXAMPLE_STREAM_END, TEXT_OF_ALL_KINDS, TEXT_WITH_SPACE,
};

#define TEXT_COUNT (sizeof texts / sizeof texts[0])

struct fixture {
    struct test_guard guard;
    struct duress_buffer scratch;
    struct duress_buffer again;
    struct duress_buffer scratch_again;
};

static int setup(void **state)
{
    static struct fixture fixture;
    test_guard_open(&fixture.guard, 8192);
    duress_buffer_init(&fixture.scratch, 0, NULL);
    duress_buffer_init(&fixture.again, 0, NULL);
    duress_buffer_init(&fixture.scratch_again, 0, NULL);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    test_guard_close(&fixture->guard);
    duress_buffer_close(&fixture->scratch);
    duress_buffer_close(&fixture->again);
    duress_buffer_close(&fixture->scratch_again);
    return 0;
}

/* Decodes |text| at both ends of the guarded memory. What is accepted must keep every promise and survive another trip
 * over the wire. */
static int decode(struct fixture *fixture, struct duress_slice text)
{
    struct duress_envelope envelope;
    struct duress_envelope again;
    struct duress_envelope_diagnostics diagnostics;
    struct duress_slice low = test_guard_at_start(&fixture->guard, text);
    int code_low = duress_envelope_decode(low, NULL, &fixture->scratch, &envelope, &diagnostics);
    struct duress_slice high = test_guard_at_end(&fixture->guard, text);
    int code = duress_envelope_decode(high, NULL, &fixture->scratch, &envelope, &diagnostics);
    assert_int_equal(code, code_low);
    if (code != DURESS_OK) {
        assert_true(code == DURESS_E_MALFORMED || code == DURESS_E_TRUNCATED);
        assert_true(diagnostics.defect != DURESS_DEFECT_NONE && diagnostics.reason != NULL);
        assert_true(diagnostics.offset <= text.length);
        assert_int_equal(envelope.type, DURESS_ENVELOPE_NONE);
        if (code == DURESS_E_TRUNCATED)
            assert_int_equal(diagnostics.offset, text.length);
        return code;
    }
    test_envelope_assert_sound(&envelope);
    duress_buffer_clear(&fixture->again);
    assert_int_equal(duress_envelope_encode(&envelope, NULL, &fixture->again, NULL), DURESS_OK);
    assert_int_equal(
        duress_envelope_decode(duress_buffer_slice(&fixture->again), NULL, &fixture->scratch_again, &again, NULL),
        DURESS_OK);
    test_envelope_assert_equal(&envelope, &again);
    return DURESS_OK;
}

/* Nothing in any of the texts is wrong, so that a part of it only ends too early. */
static void every_truncation_is_truncated(void **state)
{
    struct fixture *fixture = *state;
    for (size_t index = 0; index < TEXT_COUNT; index++) {
        size_t length = strlen(texts[index]);
        assert_int_equal(decode(fixture, duress_slice_text(texts[index])), DURESS_OK);
        for (size_t cut = 0; cut < length; cut++) {
            if (decode(fixture, duress_slice_bytes(texts[index], cut)) != DURESS_E_TRUNCATED)
                fail_msg("text %zu cut at %zu", index, cut);
        }
    }
}

/* Once wrong, no more bytes make it right: of a malformed text that was cut, more of it stays malformed. */
static void malformed_stays_malformed(void **state)
{
    struct fixture *fixture = *state;
    struct duress_prng prng;
    duress_prng_init(&prng, 5, 1);
    for (int round = 0; round < 300; round++) {
        uint8_t text[512];
        const char *source = texts[duress_prng_below(&prng, TEXT_COUNT)];
        size_t length = strlen(source);
        memcpy(text, source, length);
        text[duress_prng_below(&prng, length)] = (uint8_t)duress_prng_next(&prng);
        bool malformed = false;
        for (size_t cut = 0; cut <= length; cut++) {
            int code = decode(fixture, duress_slice_bytes(text, cut));
            if (malformed)
                assert_int_equal(code, DURESS_E_MALFORMED);
            malformed = code == DURESS_E_MALFORMED;
        }
    }
}

static void every_flipped_bit(void **state)
{
    struct fixture *fixture = *state;
    size_t accepted = 0;
    size_t refused = 0;
    for (size_t index = 0; index < TEXT_COUNT; index++) {
        uint8_t text[512];
        size_t length = strlen(texts[index]);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            memcpy(text, texts[index], length);
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (decode(fixture, duress_slice_bytes(text, length)) == DURESS_OK)
                accepted++;
            else
                refused++;
        }
    }
    assert_true(accepted > 500 && refused > 5000); /* both ways are gone: within strings, and in the structure */
}

static void every_byte_replaced_by_every_mark(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t marks[] = {'"', '\\', '{', '}', '[',  ']',  ':',  ',', ' ',
                                    '0', '-',  'e', 'u', 0x00, 0x80, 0xe2, 0xff};
    for (size_t index = 0; index < TEXT_COUNT; index++) {
        uint8_t text[512];
        size_t length = strlen(texts[index]);
        for (size_t at = 0; at < length; at++) {
            for (size_t mark = 0; mark < sizeof marks; mark++) {
                memcpy(text, texts[index], length);
                text[at] = marks[mark];
                (void)decode(fixture, duress_slice_bytes(text, length));
            }
        }
    }
}

/* Pieces of the grammar in random order reach further into it than random bytes do. */
static void random_pieces_of_the_grammar(void **state)
{
    struct fixture *fixture = *state;
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ":",
                                         ",",
                                         "\"",
                                         "\\",
                                         "\"version\":\"1.0\",",
                                         "\"type\":\"response\",",
                                         "\"type\":\"error\",",
                                         "\"id\":\"i\",",
                                         "\"payload\":{",
                                         "\"message\":{",
                                         "\"role\":\"r\",",
                                         "\"content\":",
                                         "\"metadata\":",
                                         "\"error\":{",
                                         "\"code\":\"c\"",
                                         "\"error_code\":\"c\",",
                                         "1",
                                         "-1.5e3",
                                         "null",
                                         "true",
                                         "\"\\u00e9\"",
                                         "\"\\ud83d\\ude00\"",
                                         "\xc3",
                                         " ",
                                         "\n",
                                         "\"timestamp\":\"2026-01-15T09:30:00Z\","};
    struct duress_prng prng;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        char text[2048] = "{\"version\":\"1.0\",\"id\":\"i\",";
        size_t length = seed % 2 == 0 ? 0 : strlen(text);
        duress_prng_init(&prng, seed, 1);
        for (uint64_t count = duress_prng_below(&prng, 24); count > 0; count--) {
            const char *piece = pieces[duress_prng_below(&prng, sizeof pieces / sizeof pieces[0])];
            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        }
        (void)decode(fixture, duress_slice_bytes(text, length));
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_truncated),     TEST(malformed_stays_malformed),    TEST(every_flipped_bit),
        TEST(every_byte_replaced_by_every_mark), TEST(random_pieces_of_the_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
