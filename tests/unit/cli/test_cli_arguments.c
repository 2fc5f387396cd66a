/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of options: what they are read as, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <duress/time.h>

#include "arguments.h"

#define HOUR_NS (3600 * DURESS_S)

static void durations_have_a_unit_and_perhaps_a_fraction(void **state)
{
    static const struct {
        const char *text;
        uint64_t duration_ns;
    } cases[] = {
        {"1ns", 1},
        {"250ms", 250 * DURESS_MS},
        {"1.5s", 1500 * DURESS_MS},
        {"0.000000001s", 1},
        {"1.999999999s", 2 * DURESS_S - 1},
        {"2.5us", 2500},
        {"0.5ms", 500 * DURESS_US},
        {"3m", 180 * DURESS_S},
        {"1.25h", HOUR_NS + HOUR_NS / 4},
        {"0.999999999h", HOUR_NS - 3600},
        {"0s", 0},
        {"007s", 7 * DURESS_S},
        {"18446744073s", UINT64_C(18446744073) * DURESS_S},
        {"18446744073709551615ns", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seen_ns = 12345;
        assert_true(argument_duration("test", "--time", cases[i].text, 0, UINT64_MAX, &seen_ns));
        assert_int_equal(seen_ns, cases[i].duration_ns);
    }
}

static void durations_that_are_none_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "s",
        "1",
        "1 s",
        " 1s",
        "+1s",
        "-1s",
        "1S",
        "1ss",
        "1.s",
        ".5s",
        "1e3s",
        "0x1s",
        "1,5s",
        "1.0000000001s",
        "1.5ns",
        "1d",
        "18446744074s",
        "18446744073709551616ns",
        "5124095577h",
        "99999999999999999999999s",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t seen_ns = 12345;
        assert_false(argument_duration("test", "--time", texts[i], 0, UINT64_MAX, &seen_ns));
        assert_int_equal(seen_ns, 12345);
    }
}

static void durations_have_bounds(void **state)
{
    (void)state;
    uint64_t seen_ns = 0;
    assert_true(argument_duration("test", "--time", "1ms", DURESS_MS, DURESS_S, &seen_ns));
    assert_true(argument_duration("test", "--time", "1s", DURESS_MS, DURESS_S, &seen_ns));
    assert_false(argument_duration("test", "--time", "999999ns", DURESS_MS, DURESS_S, &seen_ns));
    assert_false(argument_duration("test", "--time", "1000000001ns", DURESS_MS, DURESS_S, &seen_ns));
    assert_int_equal(seen_ns, DURESS_S);
}

static void numbers_are_decimal_and_have_bounds(void **state)
{
    (void)state;
    uint64_t number = 0;
    assert_true(argument_number("test", "--number", "18446744073709551615", 0, UINT64_MAX, &number));
    assert_int_equal(number, UINT64_MAX);
    assert_true(argument_number("test", "--number", "010", 10, 10, &number));
    assert_int_equal(number, 10);
    static const char *const texts[] = {"",    "9",   "11",  "1.0",  "10.", "10 ",
                                        " 10", "+10", "-10", "0x10", "10k", "18446744073709551616"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(argument_number("test", "--number", texts[i], 10, 10, &number));
    uint32_t count = 0;
    assert_true(argument_count("test", "--count", "4294967295", 0, UINT32_MAX, &count));
    assert_int_equal(count, UINT32_MAX);
    assert_false(argument_count("test", "--count", "4294967296", 0, UINT32_MAX, &count));
    assert_int_equal(count, UINT32_MAX);
}

static void shares_are_millionths(void **state)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } cases[] = {
        {"0", 0},          {"1", 1000000},  {"0.25", 250000}, {"25%", 250000},      {"100%", 1000000}, {"0%", 0},
        {"12.5%", 125000}, {"0.000001", 1}, {"0.0001%", 1},   {"99.9999%", 999999}, {"1.0", 1000000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t seen_ppm = 12345;
        assert_true(argument_share("test", "--share", cases[i].text, &seen_ppm));
        assert_int_equal(seen_ppm, cases[i].ppm);
    }
    static const char *const texts[] = {"", "%", "1.000001", "2", "100.0001%", "101%", "-1", "half", "25 %", "25%%"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint32_t seen_ppm = 12345;
        assert_false(argument_share("test", "--share", texts[i], &seen_ppm));
        assert_int_equal(seen_ppm, 12345);
    }
}

static void sizes_may_have_a_unit(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(argument_bytes("test", "--size", "1000", 0, UINT64_MAX, &bytes));
    assert_int_equal(bytes, 1000);
    assert_true(argument_bytes("test", "--size", "64KiB", 0, UINT64_MAX, &bytes));
    assert_int_equal(bytes, 65536);
    assert_true(argument_bytes("test", "--size", "1.5MiB", 0, UINT64_MAX, &bytes));
    assert_int_equal(bytes, 1572864);
    assert_true(argument_bytes("test", "--size", "2GiB", 0, UINT64_MAX, &bytes));
    assert_int_equal(bytes, UINT64_C(2) << 30);
    static const char *const texts[] = {"", "KiB", "1KB", "1kib", "1.5", "-1", "17179869184GiB"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(argument_bytes("test", "--size", texts[i], 0, UINT64_MAX, &bytes));
    assert_false(argument_bytes("test", "--size", "2KiB", 0, 2047, &bytes));
}

static void parts_are_split_at_the_first_separator(void **state)
{
    (void)state;
    char part[ARGUMENT_PART_BYTES_MAX];
    assert_string_equal(argument_split("5,10s,x", ",", part), "10s,x");
    assert_string_equal(part, "5");
    assert_string_equal(argument_split("1.5s..2s", "..", part), "2s");
    assert_string_equal(part, "1.5s");
    assert_string_equal(argument_split(",", ",", part), "");
    assert_string_equal(part, "");
    assert_null(argument_split("whole", ",", part));
    assert_string_equal(part, "whole");
    char large[2 * ARGUMENT_PART_BYTES_MAX];
    memset(large, '7', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_null(argument_split(large, ",", part));
    assert_int_equal(strlen(part), ARGUMENT_PART_BYTES_MAX - 1);
}

static void durations_are_told_in_three_digits(void **state)
{
    static const struct {
        uint64_t duration_ns;
        const char *text;
    } cases[] = {
        {0, "0 ns"},
        {999, "999 ns"},
        {1000, "1.00 us"},
        {12345, "12.3 us"},
        {123456, "123 us"},
        {9995000, "10.0 ms"},
        {9994000, "9.99 ms"},
        {99950000, "100 ms"},
        {1500 * DURESS_MS, "1.50 s"},
        {59 * DURESS_S, "59.0 s"},
        {90 * DURESS_S, "1.50 min"},
        {24 * HOUR_NS, "24.0 h"},
        {100000 * HOUR_NS, "100000 h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        assert_string_equal(duration_format(cases[i].duration_ns, text, sizeof text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_a_unit_and_perhaps_a_fraction),
        cmocka_unit_test(durations_that_are_none_are_refused),
        cmocka_unit_test(durations_have_bounds),
        cmocka_unit_test(numbers_are_decimal_and_have_bounds),
        cmocka_unit_test(shares_are_millionths),
        cmocka_unit_test(sizes_may_have_a_unit),
        cmocka_unit_test(parts_are_split_at_the_first_separator),
        cmocka_unit_test(durations_are_told_in_three_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
