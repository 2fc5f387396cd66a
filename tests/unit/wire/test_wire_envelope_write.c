/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written, byte for byte, and that it is read back to the same values. */
#include "wire_test_support.h"

#include <stdio.h>
#include <string.h>

#define EXAMPLE_NS (EXAMPLE_S * UINT64_C(1000000000))
#define EXAMPLE_ID "0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0"

static struct duress_envelope request_example(void)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_text(EXAMPLE_ID),
        .timestamp_ns = EXAMPLE_NS + 250000000,
        .method = duress_slice_text("process"),
        .agent_name = duress_slice_text("adder"),
        .role = duress_slice_text("user"),
        .content = duress_slice_text("2+2"),
        .message_timestamp_ns = EXAMPLE_NS + 250000000,
    };
    return envelope;
}

static void write_expect(const struct duress_envelope *envelope, const char *text)
{
    struct duress_buffer buffer;
    struct duress_envelope_diagnostics diagnostics;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode(envelope, NULL, &buffer, &diagnostics), DURESS_OK);
    assert_null(diagnostics.reason);
    test_slice_assert(duress_buffer_slice(&buffer), text);
    duress_buffer_close(&buffer);
}

static void worked_examples_byte_for_byte(void **state)
{
    (void)state;
    struct duress_envelope request = request_example();
    struct duress_envelope response = {
        .type = DURESS_ENVELOPE_RESPONSE,
        .id = duress_slice_text(EXAMPLE_ID),
        .timestamp_ns = EXAMPLE_NS + 251000999, /* cut, not rounded */
        .role = duress_slice_text("agent"),
        .content = duress_slice_text("4"),
        .metadata = duress_slice_text("{\"unit\":\"none\"}"),
        .message_timestamp_ns = EXAMPLE_NS + 251000000,
    };
    struct duress_envelope error = {
        .type = DURESS_ENVELOPE_ERROR,
        .id = duress_slice_text(EXAMPLE_ID),
        .timestamp_ns = EXAMPLE_NS + 251000000,
        .error_code = duress_slice_text("EXECUTION_ERROR"),
        .error_message = duress_slice_text("division by zero"),
    };
    struct duress_envelope end = {
        .type = DURESS_ENVELOPE_STREAM_END,
        .id = duress_slice_text("s1"),
        .timestamp_ns = EXAMPLE_NS + 1001000000,
    };
    assert_int_equal(strlen(EXAMPLE_REQUEST), 270);
    assert_int_equal(strlen(EXAMPLE_RESPONSE), 243);
    assert_int_equal(strlen(EXAMPLE_ERROR), 279);
    assert_int_equal(strlen("data: " EXAMPLE_STREAM_CHUNK "\n\n"), 211);
    assert_int_equal(strlen("data: " EXAMPLE_STREAM_END "\n\n"), 110);
    write_expect(&request, EXAMPLE_REQUEST);
    write_expect(&response, EXAMPLE_RESPONSE);
    write_expect(&error, EXAMPLE_ERROR);
    write_expect(&end, EXAMPLE_STREAM_END);
    response.type = DURESS_ENVELOPE_STREAM_CHUNK;
    response.id = duress_slice_text("s1");
    response.timestamp_ns = response.message_timestamp_ns = EXAMPLE_NS + 1000000000;
    response.content = duress_slice_text("four");
    response.metadata = duress_slice_text("");
    write_expect(&response, EXAMPLE_STREAM_CHUNK);
}

static void smallest_of_each_type(void **state)
{
    (void)state;
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_HEARTBEAT, .id = duress_slice_text("i")};
    write_expect(&envelope, "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\","
                            "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"payload\":{}}");
    envelope.type = DURESS_ENVELOPE_REQUEST;
    envelope.role = duress_slice_text("u");
    write_expect(&envelope, "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\","
                            "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"payload\":{\"method\":\"\",\"message\":{"
                            "\"role\":\"u\",\"content\":\"\",\"metadata\":{},"
                            "\"timestamp\":\"1970-01-01T00:00:00.000000Z\"}}}");
}

static void only_what_must_be_is_escaped(void **state)
{
    (void)state;
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_HEARTBEAT};
    char text[256];
    for (int byte = 0; byte < 0x80; byte++) {
        char id = (char)byte;
        char escaped[8];
        static const char letters[] = "\b\f\n\r\t\"\\";
        const char *letter = byte == 0 ? NULL : strchr(letters, id);
        if (letter != NULL)
            snprintf(escaped, sizeof escaped, "\\%c", "bfnrt\"\\"[letter - letters]);
        else if (byte < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)byte);
        else
            snprintf(escaped, sizeof escaped, "%c", id);
        snprintf(text, sizeof text,
                 "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"%s\","
                 "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"payload\":{}}",
                 escaped);
        envelope.id = duress_slice_bytes(&id, 1);
        write_expect(&envelope, text);
    }
    envelope.id = duress_slice_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    write_expect(&envelope,
                 "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\","
                 "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"payload\":{}}");
}

/* Whatever was drawn comes back, and the second time byte for byte. */
static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static uint8_t memory[8 * 700];
    struct duress_buffer text;
    struct duress_buffer again;
    struct duress_buffer scratch;
    struct duress_envelope_diagnostics diagnostics;
    duress_buffer_init(&text, 0, NULL);
    duress_buffer_init(&again, 0, NULL);
    duress_buffer_init(&scratch, 0, NULL);
    for (uint64_t seed = 1; seed <= 30000; seed++) {
        struct duress_prng prng;
        struct duress_envelope drawn;
        struct duress_envelope decoded;
        duress_prng_init(&prng, seed, 1);
        test_envelope_draw(&prng, memory, seed % 10 == 0 ? 600 : 40, &drawn);
        duress_buffer_clear(&text);
        duress_buffer_clear(&again);
        assert_int_equal(duress_envelope_encode(&drawn, NULL, &text, &diagnostics), DURESS_OK);
        struct duress_slice written = duress_buffer_slice(&text);
        assert_int_equal(duress_envelope_decode(written, NULL, &scratch, &decoded, &diagnostics), DURESS_OK);
        assert_true(duress_buffer_length(&scratch) <= written.length);
        test_envelope_assert_sound(&decoded);
        test_envelope_assert_equal(&drawn, &decoded);
        assert_int_equal(duress_envelope_encode(&decoded, NULL, &again, &diagnostics), DURESS_OK);
        assert_true(duress_slice_equal(written, duress_buffer_slice(&again)));
    }
    duress_buffer_close(&text);
    duress_buffer_close(&again);
    duress_buffer_close(&scratch);
}

/* Many envelopes as frames in one stream, fed byte by byte and in random runs. */
static void framed_stream_is_read_back(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static uint8_t memory[COUNT][8 * 80];
    static struct duress_envelope drawn[COUNT];
    struct duress_prng prng;
    struct duress_buffer stream;
    struct duress_buffer scratch;
    duress_prng_init(&prng, 99, 1);
    duress_buffer_init(&stream, 0, NULL);
    duress_buffer_init(&scratch, 0, NULL);
    for (size_t index = 0; index < COUNT; index++) {
        test_envelope_draw(&prng, memory[index], 60, &drawn[index]);
        assert_int_equal(duress_envelope_encode_framed(&drawn[index], NULL, &stream, NULL), DURESS_OK);
    }
    struct duress_slice all = duress_buffer_slice(&stream);
    static const size_t run_max[] = {1, 7, 500, SIZE_MAX};
    for (size_t index = 0; index < sizeof run_max / sizeof run_max[0]; index++) {
        struct duress_frame_reader reader;
        size_t seen = 0;
        duress_frame_reader_init(&reader, 0, NULL);
        for (size_t fed = 0; fed < all.length;) {
            size_t count = (size_t)duress_prng_between(&prng, 1, run_max[index]);
            count = count < all.length - fed ? count : all.length - fed;
            struct duress_slice run = duress_slice_bytes(all.data + fed, count);
            struct duress_slice frame;
            fed += count;
            while (duress_frame_reader_next(&reader, &run, &frame) == DURESS_OK) {
                struct duress_envelope decoded;
                assert_int_equal(duress_envelope_decode(frame, NULL, &scratch, &decoded, NULL), DURESS_OK);
                test_envelope_assert_equal(&drawn[seen++], &decoded);
            }
        }
        assert_int_equal(seen, COUNT);
        assert_int_equal(duress_frame_reader_end(&reader), DURESS_E_END);
        duress_frame_reader_close(&reader);
    }
    duress_buffer_close(&stream);
    duress_buffer_close(&scratch);
}

static void refuse(const struct duress_envelope *envelope, int code)
{
    struct duress_buffer buffer;
    struct duress_envelope_diagnostics diagnostics;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("before")), DURESS_OK);
    assert_int_equal(duress_envelope_encode(envelope, NULL, &buffer, &diagnostics), code);
    assert_non_null(diagnostics.reason);
    assert_int_not_equal(diagnostics.defect, DURESS_DEFECT_NONE);
    assert_int_equal(duress_envelope_encode_framed(envelope, NULL, &buffer, NULL), code);
    test_slice_assert(duress_buffer_slice(&buffer), "before");
    duress_buffer_close(&buffer);
}

static void what_must_not_go_out_is_refused(void **state)
{
    (void)state;
    struct duress_envelope good = request_example();
    struct duress_slice bad_text = duress_slice_text("12345678\xe2\x82");
    struct duress_slice empty = duress_slice_text("");
    struct duress_envelope bad = good;
    bad.type = DURESS_ENVELOPE_NONE;
    refuse(&bad, DURESS_E_INVALID);
    bad.type = DURESS_ENVELOPE_TYPE_END;
    refuse(&bad, DURESS_E_INVALID);
    struct duress_slice *const texts[] = {&bad.id, &bad.method, &bad.agent_name, &bad.role, &bad.content};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        bad = good;
        *texts[index] = bad_text;
        refuse(&bad, DURESS_E_INVALID);
    }
    bad = good;
    bad.id = empty;
    refuse(&bad, DURESS_E_INVALID);
    bad = good;
    bad.role = empty;
    refuse(&bad, DURESS_E_INVALID);
    bad = good;
    bad.type = DURESS_ENVELOPE_ERROR;
    refuse(&bad, DURESS_E_INVALID); /* no code */
    bad.error_code = duress_slice_text("C");
    bad.error_message = bad_text;
    refuse(&bad, DURESS_E_INVALID);
    static const char *const objects[] = {"[]",    "{",  "{}}", "null", "7", " ", "{\"a\":NaN}", "{\"a\":\"\xff\"}",
                                          "{a:1}", "x}", " {}", "{} "};
    for (size_t index = 0; index < sizeof objects / sizeof objects[0]; index++) {
        bad = good;
        bad.metadata = duress_slice_text(objects[index]);
        refuse(&bad, DURESS_E_INVALID);
        bad.type = DURESS_ENVELOPE_ERROR;
        bad.error_code = duress_slice_text("C");
        bad.error_details = duress_slice_text(objects[index]);
        refuse(&bad, DURESS_E_INVALID);
    }
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct duress_envelope envelope = request_example();
    struct duress_envelope_limits limits = DURESS_ENVELOPE_LIMITS_DEFAULT;
    struct duress_slice text = duress_slice_text(EXAMPLE_REQUEST);
    struct duress_slice nowhere = {NULL, 5};
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode(NULL, NULL, &buffer, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_encode(&envelope, NULL, NULL, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_encode_framed(NULL, NULL, &buffer, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_encode_framed(&envelope, NULL, NULL, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_decode(text, NULL, NULL, &envelope, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_decode(text, NULL, &buffer, NULL, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_decode(nowhere, NULL, &buffer, &envelope, NULL), DURESS_E_INVALID);
    limits.depth_max = 3;
    assert_int_equal(duress_envelope_encode(&envelope, &limits, &buffer, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_decode(text, &limits, &buffer, &envelope, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_envelope_metadata_check(duress_slice_text("{}"), &limits, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_buffer_length(&buffer), 0);
    duress_buffer_close(&buffer);
}

static void type_names(void **state)
{
    (void)state;
    assert_string_equal(duress_envelope_type_name(DURESS_ENVELOPE_REQUEST), "request");
    assert_string_equal(duress_envelope_type_name(DURESS_ENVELOPE_STREAM_END), "stream_end");
    assert_string_equal(duress_envelope_type_name(DURESS_ENVELOPE_NONE), "none");
    assert_string_equal(duress_envelope_type_name((enum duress_envelope_type) - 1), "none");
    assert_string_equal(duress_envelope_type_name(DURESS_ENVELOPE_TYPE_END), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_examples_byte_for_byte), cmocka_unit_test(smallest_of_each_type),
        cmocka_unit_test(only_what_must_be_is_escaped),  cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(framed_stream_is_read_back),    cmocka_unit_test(what_must_not_go_out_is_refused),
        cmocka_unit_test(arguments_are_checked),         cmocka_unit_test(type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
