/* SPDX-License-Identifier: Apache-2.0
 *
 * Oracle: the C library's timegm() and gmtime_r(), which compute and read no clock. */
#include "wire_test_support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <instant.h>

#define SECOND UINT64_C(1000000000)

static void expect(const char *text, uint64_t expected_ns)
{
    uint64_t ns = 1;
    if (!duress__instant_parse(duress_slice_text(text), &ns))
        fail_msg("%s is refused", text);
    if (ns != expected_ns)
        fail_msg("%s is read as %llu", text, (unsigned long long)ns);
}

static void forms_that_peers_write(void **state)
{
    (void)state;
    expect("1970-01-01T00:00:00Z", 0);
    expect("1970-01-01T00:00:01+00:00", SECOND);
    expect("2026-01-15T09:30:00.250000Z", EXAMPLE_S * SECOND + 250000000);
    expect("2026-01-15T09:30:00.25Z", EXAMPLE_S * SECOND + 250000000);
    expect("2026-01-15T09:30:00Z", EXAMPLE_S * SECOND);
    expect("2026-01-15 09:30:00z", EXAMPLE_S * SECOND);
    expect("2026-01-15t09:30:00.000001+00:00", EXAMPLE_S * SECOND + 1000);
    expect("2026-01-15T11:00:00.123456789+01:30", EXAMPLE_S * SECOND + 123456789);
    expect("2026-01-14T21:30:00-12:00", EXAMPLE_S * SECOND);
    expect("2026-01-15T09:30:00-00:00", EXAMPLE_S * SECOND);
}

static void every_number_of_fraction_digits(void **state)
{
    (void)state;
    uint64_t unit = SECOND;
    char text[64] = "1970-01-01T00:00:00.";
    for (int digits = 1; digits <= 9; digits++) {
        unit /= 10;
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%sZ", digits == 9 ? "7" : "0");
        expect(text, digits == 9 ? 7 : 0);
        text[length] = '9';
        expect(text, 9 * unit);
        text[length] = '0';
        text[length + 1] = '\0';
    }
    uint64_t ns;
    assert_false(duress__instant_parse(duress_slice_text("1970-01-01T00:00:00.0000000000Z"), &ns));
    assert_false(duress__instant_parse(duress_slice_text("1970-01-01T00:00:00.Z"), &ns));
}

static void ends_of_the_range_saturate(void **state)
{
    (void)state;
    expect("0001-01-01T00:00:00Z", 0);
    expect("0000-01-01T00:00:00Z", 0);
    expect("1969-12-31T23:59:59.999999999Z", 0);
    expect("1969-12-31T23:00:00-01:00", 0);
    expect("1969-12-31T23:00:02-01:00", 2 * SECOND);
    expect("1970-01-01T00:59:59+01:00", 0);
    expect("2554-07-21T23:34:33.709551615Z", UINT64_MAX);
    expect("2554-07-21T23:34:33.709551614Z", UINT64_MAX - 1);
    expect("2554-07-21T23:34:33.709551616Z", UINT64_MAX);
    expect("2554-07-21T23:34:34Z", UINT64_MAX);
    expect("9999-12-31T23:59:59Z", UINT64_MAX);
}

static void what_is_no_timestamp(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "now",
        "2026-01-15",
        "2026-01-15T09:30:00",
        "2026-01-15T09:30Z",
        "2026-1-15T09:30:00Z",
        "2026-01-15T9:30:00Z",
        "2026-00-15T09:30:00Z",
        "2026-13-15T09:30:00Z",
        "2026-01-00T09:30:00Z",
        "2026-01-32T09:30:00Z",
        "2026-04-31T09:30:00Z",
        "2026-02-29T09:30:00Z",
        "1900-02-29T09:30:00Z",
        "2026-01-15T24:00:00Z",
        "2026-01-15T09:60:00Z",
        "2026-01-15T09:30:60Z",
        "2026-01-15T09:30:00,5Z",
        "2026-01-15T09:30:00ZZ",
        "2026-01-15T09:30:00Z ",
        " 2026-01-15T09:30:00Z",
        "2026-01-15T09:30:00+1:00",
        "2026-01-15T09:30:00+01",
        "2026-01-15T09:30:00+0100",
        "2026-01-15T09:30:00+24:00",
        "2026-01-15T09:30:00+01:60",
        "2026-01-15T09:30:00+01:00Z",
        "2026/01/15T09:30:00Z",
        "2026-01-15_09:30:00Z",
        "+026-01-15T09:30:00Z",
        "1768469400",
    };
    uint64_t ns;
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        if (duress__instant_parse(duress_slice_text(texts[index]), &ns))
            fail_msg("\"%s\" is accepted", texts[index]);
    }
    assert_false(duress__instant_parse(duress_slice_bytes("2026-01-15\0"
                                                          "09:30:00Z",
                                                          20),
                                       &ns));
}

static void format_check(uint64_t ns)
{
    uint8_t text[INSTANT_BYTES];
    char expected[64];
    struct tm civil;
    time_t seconds = (time_t)(ns / SECOND);
    assert_non_null(gmtime_r(&seconds, &civil));
    snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", civil.tm_year + 1900, civil.tm_mon + 1,
             civil.tm_mday, civil.tm_hour, civil.tm_min, civil.tm_sec, (unsigned)(ns % SECOND / 1000));
    duress__instant_format(ns, text);
    test_slice_assert(duress_slice_bytes(text, sizeof text), expected);
    expect(expected, ns / 1000 * 1000);
}

static void every_day_is_written_and_read(void **state)
{
    (void)state;
    struct duress_prng prng;
    duress_prng_init(&prng, 11, 1);
    for (uint64_t day = 0; day <= UINT64_MAX / SECOND / 86400 - 1; day++)
        format_check(day * 86400 * SECOND + duress_prng_below(&prng, 86400 * SECOND));
    format_check(UINT64_MAX);
}

/* Each field takes every value of two digits: exactly the days and times that there are. */
static void every_month_and_day_of_four_kinds_of_year(void **state)
{
    (void)state;
    static const int years[] = {1999, 2000, 2024, 2100};
    for (int index = 0; index < 4 * 100 * 100; index++) {
        struct tm civil = {.tm_year = years[index % 4] - 1900, .tm_mon = index / 4 % 100 - 1, .tm_mday = index / 400};
        struct tm again = civil;
        char text[64];
        uint64_t ns;
        snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", civil.tm_year + 1900, civil.tm_mon + 1, civil.tm_mday);
        time_t seconds = timegm(&again);
        bool real = again.tm_year == civil.tm_year && again.tm_mon == civil.tm_mon && again.tm_mday == civil.tm_mday;
        if (duress__instant_parse(duress_slice_text(text), &ns) != real)
            fail_msg("%s is judged wrongly", text);
        if (real)
            assert_int_equal(ns, (uint64_t)seconds * SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_that_peers_write),        cmocka_unit_test(every_number_of_fraction_digits),
        cmocka_unit_test(ends_of_the_range_saturate),    cmocka_unit_test(what_is_no_timestamp),
        cmocka_unit_test(every_day_is_written_and_read), cmocka_unit_test(every_month_and_day_of_four_kinds_of_year),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
