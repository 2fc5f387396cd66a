/* SPDX-License-Identifier: Apache-2.0
 *
 * Each limit at its bound and one beyond it, in both directions, and memory that runs out. */
#include "wire_test_support.h"

#include <stdio.h>
#include <string.h>

static struct duress_envelope_limits limits_wide(void)
{
    struct duress_envelope_limits limits = DURESS_ENVELOPE_LIMITS_DEFAULT;
    return limits;
}

static struct duress_envelope response_with(const char *content, const char *metadata)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_RESPONSE,
        .id = duress_slice_text("i"),
        .role = duress_slice_text("agent"),
        .content = duress_slice_text(content),
        .metadata = duress_slice_text(metadata),
    };
    return envelope;
}

static int decode(const char *text, const struct duress_envelope_limits *limits, enum duress_envelope_defect *defect)
{
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    struct duress_envelope_diagnostics diagnostics;
    struct test_allocator test;
    test_allocator_init(&test);
    duress_buffer_init(&scratch, 0, &test.allocator);
    int code = duress_envelope_decode(duress_slice_text(text), limits, &scratch, &envelope, &diagnostics);
    if (code != DURESS_OK)
        assert_int_equal(test.calls, 0); /* refused before anything was allocated */
    *defect = diagnostics.defect;
    duress_buffer_close(&scratch);
    return code;
}

static void decode_expect(const char *text, const struct duress_envelope_limits *limits, bool within)
{
    enum duress_envelope_defect defect;
    assert_int_equal(decode(text, limits, &defect), within ? DURESS_OK : DURESS_E_MALFORMED);
    assert_int_equal(defect, within ? DURESS_DEFECT_NONE : DURESS_DEFECT_LIMIT);
}

static void encode_expect(const struct duress_envelope *envelope, const struct duress_envelope_limits *limits, int code)
{
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode(envelope, limits, &buffer, NULL), code);
    assert_int_equal(duress_buffer_length(&buffer) > 0, code == DURESS_OK);
    duress_buffer_close(&buffer);
}

static void length_of_the_envelope(void **state)
{
    (void)state;
    struct duress_envelope_limits limits = limits_wide();
    struct duress_envelope envelope = response_with("a \n b", "{\"k\":1}");
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode(&envelope, NULL, &buffer, NULL), DURESS_OK);
    size_t length = duress_buffer_length(&buffer);
    duress_buffer_close(&buffer);
    limits.envelope_bytes_max = length;
    encode_expect(&envelope, &limits, DURESS_OK);
    limits.envelope_bytes_max = length - 1;
    encode_expect(&envelope, &limits, DURESS_E_TOO_LARGE);
    limits.envelope_bytes_max = 64;
    encode_expect(&envelope, &limits, DURESS_E_TOO_LARGE);
    limits.envelope_bytes_max = 270;
    decode_expect(EXAMPLE_REQUEST, &limits, true);
    limits.envelope_bytes_max = 269;
    decode_expect(EXAMPLE_REQUEST, &limits, false);
}

/* What is known to be too large is refused with the memory untouched; what turns out to be, within the limit. */
static void oversize_content_costs_nothing(void **state)
{
    (void)state;
    enum { BYTES = 200000 };
    static char content[BYTES + 1];
    struct duress_envelope_limits limits = limits_wide();
    struct test_allocator test;
    struct duress_buffer buffer;
    memset(content, 'a', BYTES);
    struct duress_envelope envelope = response_with(content, "");
    limits.envelope_bytes_max = BYTES - 1;
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    assert_int_equal(duress_envelope_encode(&envelope, &limits, &buffer, NULL), DURESS_E_TOO_LARGE);
    assert_int_equal(test.calls, 0);
    memset(content, '\x01', BYTES);
    limits.envelope_bytes_max = 2 * BYTES;
    assert_int_equal(duress_envelope_encode(&envelope, &limits, &buffer, NULL), DURESS_E_TOO_LARGE);
    assert_true(test.bytes_peak < 6 * BYTES);
    assert_int_equal(duress_buffer_length(&buffer), 0);
    duress_buffer_close(&buffer);
    assert_int_equal(test.live_count, 0);
}

static void length_of_a_string(void **state)
{
    (void)state;
    struct duress_envelope_limits limits = limits_wide();
    char text[512];
    limits.string_bytes_max = 64;
    for (int length = 64; length <= 65; length++) {
        static const char *const forms[] = {
            "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"%0*d\",\"payload\":{}}",
            "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"i\",\"payload\":{\"x\":[\"%0*d\"]}}",
            "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"i\",\"payload\":{\"%0*d\":1}}",
        };
        for (int form = 0; form < 3; form++) {
            snprintf(text, sizeof text, forms[form], length, 0);
            decode_expect(text, &limits, length == 64);
        }
        snprintf(text, sizeof text, "%0*d", length, 0);
        struct duress_envelope envelope = response_with(text, "");
        encode_expect(&envelope, &limits, length == 64 ? DURESS_OK : DURESS_E_TOO_LARGE);
        snprintf(text, sizeof text, "\n%0*d", length - 2, 0); /* an escape counts as it stands in the text */
        envelope = response_with(text, "");
        encode_expect(&envelope, &limits, length == 64 ? DURESS_OK : DURESS_E_TOO_LARGE);
        snprintf(text, sizeof text, "{\"k\":\"%0*d\"}", length, 0);
        envelope = response_with("", text);
        encode_expect(&envelope, &limits, length == 64 ? DURESS_OK : DURESS_E_INVALID);
    }
}

/* A JSON object of |containers| containers inside each other, arrays within the outermost where |arrays| says so. */
static void object_nest(char *out, int containers, bool arrays)
{
    size_t length = 0;
    for (int index = 0; index < containers; index++) {
        const char *open = index + 1 < containers ? "{\"k\":" : "{";
        if (arrays && index > 0)
            open = "[";
        memcpy(out + length, open, strlen(open));
        length += strlen(open);
    }
    for (int index = containers; index-- > 0;)
        out[length++] = arrays && index > 0 ? ']' : '}';
    out[length] = '\0';
}

/* The envelope, its payload and the message are the first three. */
static void depth_of_nesting(void **state)
{
    (void)state;
    static const uint32_t depths[] = {4, 5, 32, 128};
    for (size_t index = 0; index < sizeof depths / sizeof depths[0]; index++) {
        struct duress_envelope_limits limits = limits_wide();
        limits.depth_max = depths[index];
        for (int over = 0; over <= 1; over++) {
            for (int arrays = 0; arrays <= 1; arrays++) {
                char object[1024];
                char text[2048];
                int within = (int)depths[index] - 3;
                object_nest(object, within + over, arrays);
                snprintf(text, sizeof text,
                         "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"i\",\"payload\":{\"message\":"
                         "{\"role\":\"r\",\"content\":\"c\",\"metadata\":%s}}}",
                         object);
                decode_expect(text, &limits, over == 0);
                struct duress_envelope envelope = response_with("c", object);
                encode_expect(&envelope, &limits, over == 0 ? DURESS_OK : DURESS_E_INVALID);
                assert_int_equal(duress_envelope_metadata_check(envelope.metadata, &limits, NULL),
                                 over == 0 ? DURESS_OK : DURESS_E_MALFORMED);
                object_nest(object, within + 1 + over, arrays); /* an error's details stand one higher */
                envelope.type = DURESS_ENVELOPE_ERROR;
                envelope.error_code = duress_slice_text("C");
                envelope.error_details = duress_slice_text(object);
                encode_expect(&envelope, &limits, over == 0 ? DURESS_OK : DURESS_E_INVALID);
            }
        }
    }
}

static void default_depth_is_32(void **state)
{
    (void)state;
    char object[256];
    object_nest(object, 29, false);
    assert_int_equal(duress_envelope_metadata_check(duress_slice_text(object), NULL, NULL), DURESS_OK);
    object_nest(object, 30, false);
    assert_int_equal(duress_envelope_metadata_check(duress_slice_text(object), NULL, NULL), DURESS_E_MALFORMED);
}

/* A text that only opens is refused at the depth limit, whatever its length. */
static void endless_nesting_is_refused(void **state)
{
    (void)state;
    static char text[1 << 20];
    struct duress_envelope_limits limits = limits_wide();
    limits.depth_max = DURESS_ENVELOPE_DEPTH_MAX_MAX;
    memset(text, '[', sizeof text - 1);
    memcpy(text, "{\"x\":", 5);
    decode_expect(text, NULL, false);
    decode_expect(text, &limits, false);
}

/* The array stands among: envelope, version, type, id, payload, and itself. */
static void number_of_values(void **state)
{
    (void)state;
    struct duress_envelope_limits limits = limits_wide();
    limits.values_max = 64;
    for (int count = 58; count <= 59; count++) {
        char elements[256] = "";
        char text[512];
        for (int index = 0; index < count; index++)
            snprintf(elements + 2 * index, 3, index + 1 < count ? "0," : "0");
        snprintf(text, sizeof text,
                 "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"i\",\"payload\":{\"x\":[%s]}}", elements);
        decode_expect(text, &limits, count == 58);
    }
    for (int count = 50; count <= 51; count++) {
        char metadata[512] = "{\"k\":[";
        for (int index = 0; index < count; index++)
            snprintf(metadata + 6 + 3 * index, 4, index + 1 < count ? "{}," : "{}");
        memcpy(metadata + strlen(metadata), "]}", 3);
        struct duress_envelope envelope = response_with("c", metadata);
        envelope.type = DURESS_ENVELOPE_REQUEST;
        envelope.method = duress_slice_text("m");
        envelope.agent_name = duress_slice_text("a");
        encode_expect(&envelope, &limits, count == 50 ? DURESS_OK : DURESS_E_INVALID);
        if (count == 50) {
            struct duress_buffer buffer;
            duress_buffer_init(&buffer, 0, NULL);
            assert_int_equal(duress_envelope_encode(&envelope, &limits, &buffer, NULL), DURESS_OK);
            assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes("", 1)), DURESS_OK);
            decode_expect((const char *)duress_buffer_slice(&buffer).data, &limits, true);
            duress_buffer_close(&buffer);
        }
    }
}

static void limits_are_checked_with_name_and_range(void **state)
{
    (void)state;
    struct duress_failure failure;
    struct duress_envelope_limits limits = limits_wide();
    assert_int_equal(duress_envelope_limits_check(&limits, &failure), DURESS_OK);
    assert_int_equal(duress_envelope_limits_check(NULL, &failure), DURESS_OK);
    const struct {
        struct duress_envelope_limits limits;
        const char *detail;
    } cases[] = {
        {{63, 64, 4, 64}, "envelope_bytes_max is 63, allowed are 64 to 4294967295"},
        {{(size_t)UINT32_MAX + 1, 64, 4, 64}, "envelope_bytes_max is 4294967296, allowed are 64 to 4294967295"},
        {{64, 63, 4, 64}, "string_bytes_max is 63, allowed are 64 to 18446744073709551615"},
        {{64, 64, 3, 64}, "depth_max is 3, allowed are 4 to 128"},
        {{64, 64, 129, 64}, "depth_max is 129, allowed are 4 to 128"},
        {{64, 64, 4, 63}, "values_max is 63, allowed are 64 to 4294967295"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(duress_envelope_limits_check(&cases[index].limits, &failure), DURESS_E_INVALID);
        assert_int_equal(failure.code, DURESS_E_INVALID);
        assert_string_equal(failure.detail, cases[index].detail);
        assert_int_equal(duress_envelope_limits_check(&cases[index].limits, NULL), DURESS_E_INVALID);
    }
    const struct duress_envelope_limits lowest = {64, 64, 4, 64};
    const struct duress_envelope_limits highest = {UINT32_MAX, SIZE_MAX, 128, UINT32_MAX};
    assert_int_equal(duress_envelope_limits_check(&lowest, &failure), DURESS_OK);
    assert_int_equal(duress_envelope_limits_check(&highest, &failure), DURESS_OK);
}

static void memory_runs_out_while_reading(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    const char *plain = "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"id\",\"payload\":{\"x\":\"\\n\"}}";
    const char *escaped = "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"i\\td\",\"payload\":{}}";
    test_allocator_init(&test);
    test.fail_at = 1;
    duress_buffer_init(&scratch, 0, &test.allocator);
    assert_int_equal(duress_envelope_decode(duress_slice_text(plain), NULL, &scratch, &envelope, NULL), DURESS_OK);
    assert_int_equal(test.calls, 0); /* strings without escapes need no memory */
    assert_int_equal(duress_envelope_decode(duress_slice_text(escaped), NULL, &scratch, &envelope, NULL),
                     DURESS_E_NO_MEMORY);
    assert_int_equal(envelope.type, DURESS_ENVELOPE_NONE);
    test.fail_at = 0;
    assert_int_equal(duress_envelope_decode(duress_slice_text(escaped), NULL, &scratch, &envelope, NULL), DURESS_OK);
    test_slice_assert(envelope.id, "i\td");
    duress_buffer_close(&scratch);
    duress_buffer_init(&scratch, 3, NULL);
    assert_int_equal(duress_envelope_decode(duress_slice_text(escaped), NULL, &scratch, &envelope, NULL),
                     DURESS_E_NO_MEMORY);
    duress_buffer_close(&scratch);
    assert_int_equal(test.live_count, 0);
}

static void memory_runs_out_while_writing(void **state)
{
    (void)state;
    static char content[3000];
    memset(content, '\x02', sizeof content - 1);
    struct duress_envelope envelope = response_with(content, "{\"k\":[1,2,3]}");
    uint64_t failed = 0;
    int code = DURESS_E_NO_MEMORY;
    for (uint64_t fail_at = 1; code != DURESS_OK; fail_at++) {
        struct test_allocator test;
        struct duress_buffer buffer;
        test_allocator_init(&test);
        duress_buffer_init(&buffer, 0, &test.allocator);
        assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("before")), DURESS_OK);
        test.fail_at = test.calls + fail_at;
        code = duress_envelope_encode_framed(&envelope, NULL, &buffer, NULL);
        if (code != DURESS_OK) {
            failed++;
            assert_int_equal(code, DURESS_E_NO_MEMORY);
            test_slice_assert(duress_buffer_slice(&buffer), "before");
        }
        duress_buffer_close(&buffer);
        assert_int_equal(test.live_count, 0);
    }
    assert_true(failed >= 2);
}

/* A write queue with little room left takes an envelope that just fits, and no larger one. */
static void full_buffer_is_told_exactly(void **state)
{
    (void)state;
    struct duress_envelope envelope = response_with("content \n", "{\"k\":1}");
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode_framed(&envelope, NULL, &buffer, NULL), DURESS_OK);
    size_t length = duress_buffer_length(&buffer);
    duress_buffer_close(&buffer);
    for (size_t room = 0; room <= length; room++) {
        duress_buffer_init(&buffer, room + 3, NULL);
        assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("abc")), DURESS_OK);
        int code = duress_envelope_encode_framed(&envelope, NULL, &buffer, NULL);
        assert_int_equal(code, room == length ? DURESS_OK : DURESS_E_TOO_LARGE);
        assert_int_equal(duress_buffer_length(&buffer), room == length ? length + 3 : 3);
        duress_buffer_close(&buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_of_the_envelope),
        cmocka_unit_test(oversize_content_costs_nothing),
        cmocka_unit_test(length_of_a_string),
        cmocka_unit_test(depth_of_nesting),
        cmocka_unit_test(default_depth_is_32),
        cmocka_unit_test(endless_nesting_is_refused),
        cmocka_unit_test(number_of_values),
        cmocka_unit_test(limits_are_checked_with_name_and_range),
        cmocka_unit_test(memory_runs_out_while_reading),
        cmocka_unit_test(memory_runs_out_while_writing),
        cmocka_unit_test(full_buffer_is_told_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
