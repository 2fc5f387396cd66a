/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates and Retry-After: the three forms, the calendar against a plain walk from day to day, and what is no date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <duress/agent_http/retry_after.h>
#include <duress/time.h>

#define NOW_NS (UINT64_C(1767225600) * DURESS_S) /* 2026-01-01 00:00:00 */

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static uint64_t date_s(const char *text)
{
    uint64_t date_ns = 0;
    if (!duress_http_date_read(duress_slice_text(text), NOW_NS, &date_ns))
        fail_msg("no date: %s", text);
    assert_int_equal(date_ns % DURESS_S, 0);
    return date_ns / DURESS_S;
}

static bool is_date(const char *text)
{
    uint64_t date_ns = 77;
    bool is = duress_http_date_read(duress_slice_text(text), NOW_NS, &date_ns);
    assert_true(is || date_ns == 77); /* left as it was */
    return is;
}

static uint64_t after_ns(const char *value)
{
    return duress_http_retry_after_ns(duress_slice_text(value), NOW_NS);
}

/* RFC 9110's own example in each of its forms. */
static void the_three_forms_say_the_same(void **state)
{
    (void)state;
    assert_int_equal(date_s("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(date_s("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(date_s("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(date_s("  Sun, 06 Nov 1994 08:49:37 GMT\t"), 784111777);
    assert_int_equal(date_s("Wed Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month] + (month == 1 && leap ? 1 : 0);
}

/* Each day from 1970 to 2554, counted one by one. */
static void every_day_is_the_one_after_the_day_before(void **state)
{
    (void)state;
    uint64_t day_count = 0;
    for (uint32_t year = 1970; year < 2554; year++)
        for (uint32_t month = 0; month < 12; month++)
            for (uint32_t day = 1; day <= days_of_month(year, month); day++) {
                char text[64];
                (void)snprintf(text, sizeof text, "Thu, %02u %s %04u 23:59:59 GMT", day, months[month], year);
                assert_int_equal(date_s(text), day_count * 86400 + 86399);
                day_count++;
            }
}

static void a_day_that_no_month_has_is_no_date(void **state)
{
    (void)state;
    char text[64];
    for (uint32_t year = 1996; year <= 2104; year++)
        for (uint32_t month = 0; month < 12; month++)
            for (uint32_t day = 0; day < 100; day++) {
                (void)snprintf(text, sizeof text, "Thu, %02u %s %04u 00:00:00 GMT", day, months[month], year);
                assert_int_equal(is_date(text), day >= 1 && day <= days_of_month(year, month));
            }
}

static void instants_beyond_64_bits_are_held_at_the_ends(void **state)
{
    (void)state;
    uint64_t date_ns = 1;
    assert_true(duress_http_date_read(duress_slice_text("Wed, 31 Dec 1969 23:59:59 GMT"), NOW_NS, &date_ns));
    assert_int_equal(date_ns, 0);
    assert_true(duress_http_date_read(duress_slice_text("Mon, 31 Dec 9999 23:59:59 GMT"), NOW_NS, &date_ns));
    assert_int_equal(date_ns, DURESS_TIME_NEVER);
    assert_true(duress_http_date_read(duress_slice_text("Mon, 01 Jan 0000 00:00:00 GMT"), NOW_NS, &date_ns));
    assert_int_equal(date_ns, 0);
}

/* 2026: up to 76 is this century, 77 and above the one before; whatever the clock says, no crash. */
static void two_digits_of_a_year_lie_no_more_than_50_years_ahead(void **state)
{
    (void)state;
    assert_int_equal(date_s("Thursday, 01-Jan-76 00:00:00 GMT"), date_s("Thu, 01 Jan 2076 00:00:00 GMT"));
    assert_int_equal(date_s("Thursday, 01-Jan-77 00:00:00 GMT"), date_s("Thu, 01 Jan 1977 00:00:00 GMT"));
    assert_int_equal(date_s("Thursday, 01-Jan-26 00:00:00 GMT"), NOW_NS / DURESS_S);
    uint64_t date_ns;
    const struct duress_slice text = duress_slice_text("Thursday, 31-Dec-99 23:59:59 GMT");
    assert_true(duress_http_date_read(text, 0, &date_ns));
    assert_int_equal(date_ns / DURESS_S, 946684799); /* 1999: 29 years after 1970 */
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "Sun",
        "Sun,",
        "now",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 23:60:00 GMT",
        "Sun, 06 Nov 1994 23:59:61 GMT",
        "Sun, 06 Nov 1994 23:59 GMT",
        "Sun, 06 Nov 1994 2a:59:00 GMT",
        "Sun, +6 Nov 1994 23:59:00 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov  0 08:49:37 1994",
        "1994-11-06T08:49:37Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (is_date(texts[i]))
            fail_msg("taken for a date: %s", texts[i]);
    assert_true(is_date("Sat, 31 Dec 2016 23:59:60 GMT")); /* a leap second */
}

/* Every prefix of every form, at the end of readable memory as far as a sanitizer can see it. */
static void a_date_cut_short_is_no_date(void **state)
{
    (void)state;
    static const char *const texts[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t length = 0; length < strlen(texts[i]); length++) {
            uint8_t *cut = malloc(length + 1);
            uint64_t date_ns;
            assert_non_null(cut);
            uint8_t *text = realloc(cut, length > 0 ? length : 1);
            assert_non_null(text);
            memcpy(text, texts[i], length);
            assert_false(duress_http_date_read(duress_slice_bytes(text, length), NOW_NS, &date_ns));
            free(text);
        }
}

static void retry_after_takes_seconds_and_dates(void **state)
{
    (void)state;
    assert_int_equal(after_ns("120"), 120 * DURESS_S);
    assert_int_equal(after_ns(" 7 "), 7 * DURESS_S);
    assert_int_equal(after_ns("0"), 0);
    assert_int_equal(after_ns("99999999999999999999999"), DURESS_TIME_NEVER);
    assert_int_equal(after_ns("Thu, 01 Jan 2026 00:01:30 GMT"), 90 * DURESS_S);
    assert_int_equal(after_ns("Thursday, 01-Jan-26 00:01:30 GMT"), 90 * DURESS_S);
    assert_int_equal(after_ns("Thu Jan  1 00:01:30 2026"), 90 * DURESS_S);
    assert_int_equal(after_ns("Thu, 01 Jan 2026 00:00:00 GMT"), 0);
    assert_int_equal(after_ns("Wed, 31 Dec 2025 23:59:59 GMT"), 0);
}

static void retry_after_that_says_neither_is_no_wait(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "soon", "-1", "+1", "1.5", "1s", "0x10", "1 2", "12, 13"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(after_ns(texts[i]), 0);
    assert_int_equal(duress_http_retry_after_ns(duress_slice_text(NULL), NOW_NS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_say_the_same),
        cmocka_unit_test(every_day_is_the_one_after_the_day_before),
        cmocka_unit_test(a_day_that_no_month_has_is_no_date),
        cmocka_unit_test(instants_beyond_64_bits_are_held_at_the_ends),
        cmocka_unit_test(two_digits_of_a_year_lie_no_more_than_50_years_ahead),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(a_date_cut_short_is_no_date),
        cmocka_unit_test(retry_after_takes_seconds_and_dates),
        cmocka_unit_test(retry_after_that_says_neither_is_no_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
