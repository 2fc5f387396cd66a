/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as it goes out: escapes, and the shortest numbers. */
#include "support.h"

#include <float.h>

#include "json_out.h"

static struct duress_buffer buffer;

static const char *string_written(const char *text)
{
    struct json_out out = {.buffer = &buffer};
    duress__json_string(&out, text);
    assert_int_equal(out.error, DURESS_OK);
    return buffer_text(&buffer);
}

static const char *float_written(float value)
{
    struct json_out out = {.buffer = &buffer};
    duress__json_float(&out, value);
    return buffer_text(&buffer);
}

static const char *double_written(double value)
{
    struct json_out out = {.buffer = &buffer};
    duress__json_double(&out, value);
    return buffer_text(&buffer);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(string_written(""), "\"\"");
    assert_string_equal(string_written("plain é €"), "\"plain é €\"");
    assert_string_equal(string_written("\"\\/"), "\"\\\"\\\\/\"");
    assert_string_equal(string_written("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    assert_string_equal(string_written("<a&b>"), "\"\\u003ca\\u0026b\\u003e\"");
    assert_string_equal(string_written("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\"\\u2028\\u2029\xe2\x80\xaa\"");
    assert_string_equal(string_written("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
}

static void what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    assert_string_equal(string_written("a\xff"
                                       "b"),
                        "\"a\\ufffdb\"");
    assert_string_equal(string_written("\xc0\x80"), "\"\\ufffd\\ufffd\"");
    assert_string_equal(string_written("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
    assert_string_equal(string_written("\xe0\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
    assert_string_equal(string_written("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    assert_string_equal(string_written("\xe2\x82"), "\"\\ufffd\\ufffd\"");
    assert_string_equal(string_written("\xc3"), "\"\\ufffd\"");
}

static void floats_are_as_short_as_they_can_be(void **state)
{
    (void)state;
    assert_string_equal(float_written(0), "0");
    assert_string_equal(float_written(1), "1");
    assert_string_equal(float_written(-1), "-1");
    assert_string_equal(float_written(0.1F), "0.1");
    assert_string_equal(float_written(0.5F), "0.5");
    assert_string_equal(float_written(5.25F), "5.25");
    assert_string_equal(float_written(1.0F / 3), "0.33333334");
    assert_string_equal(float_written(1e-6F), "0.000001");
    assert_string_equal(float_written(9.9e-7F), "9.9e-7");
    assert_string_equal(float_written(1e-7F), "1e-7");
    assert_string_equal(float_written(-1.5e-10F), "-1.5e-10");
    assert_string_equal(float_written(16777216), "16777216");
    assert_string_equal(float_written(123456789.0F), "123456790");
    assert_string_equal(float_written(1e20F), "100000000000000000000");
    assert_string_equal(float_written(1e21F), "1e+21");
    assert_string_equal(float_written(FLT_MAX), "3.4028235e+38");
    assert_string_equal(float_written(FLT_MIN), "1.1754944e-38");
}

static void doubles_too(void **state)
{
    (void)state;
    assert_string_equal(double_written(0.1), "0.1");
    assert_string_equal(double_written(1.0 / 3), "0.3333333333333333");
    assert_string_equal(double_written(1e-7), "1e-7");
    assert_string_equal(double_written(123456789012345680), "123456789012345680");
    assert_string_equal(double_written(1e300), "1e+300");
}

static void numbers_that_are_whole(void **state)
{
    struct json_out out = {.buffer = &buffer};
    (void)state;
    duress__json_integer(&out, INT64_MIN);
    duress__json_raw(&out, " ");
    duress__json_unsigned(&out, UINT64_MAX);
    duress__json_raw(&out, " ");
    duress__json_bool(&out, true);
    assert_string_equal(buffer_text(&buffer), "-9223372036854775808 18446744073709551615 true");
}

static void a_buffer_that_is_full_is_told_once(void **state)
{
    struct duress_buffer small;
    struct json_out out = {.buffer = &small};
    (void)state;
    duress_buffer_init(&small, 8, NULL);
    duress__json_string(&out, "longer than eight bytes");
    assert_int_equal(out.error, DURESS_E_TOO_LARGE);
    duress__json_raw(&out, "x");
    assert_int_equal(out.error, DURESS_E_TOO_LARGE);
    duress_buffer_close(&small);
}

static int ready(void **state)
{
    (void)state;
    duress_buffer_init(&buffer, 0, NULL);
    return 0;
}

static int done(void **state)
{
    (void)state;
    duress_buffer_close(&buffer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(what_is_no_utf8_is_replaced),
        cmocka_unit_test(floats_are_as_short_as_they_can_be),
        cmocka_unit_test(doubles_too),
        cmocka_unit_test(numbers_that_are_whole),
        cmocka_unit_test(a_buffer_that_is_full_is_told_once),
    };
    return cmocka_run_group_tests(tests, ready, done);
}
