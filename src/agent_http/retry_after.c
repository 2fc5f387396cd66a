/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent_http/retry_after.h>

#include <duress/time.h>

struct civil {
    uint32_t year;
    uint32_t month; /* 1 … 12 */
    uint32_t day;   /* 1 … 31 */
    uint32_t second_of_day;
};

static struct duress_slice trimmed(struct duress_slice text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

/* --- reading from the front of a slice; each moves it on where it says true --- */

static bool take(struct duress_slice *text, const char *expected)
{
    size_t length = strlen(expected);
    if (text->length < length || memcmp(text->data, expected, length) != 0)
        return false;
    text->data += length;
    text->length -= length;
    return true;
}

/* Exactly |digit_count| digits. */
static bool take_number(struct duress_slice *text, size_t digit_count, uint32_t *number)
{
    if (text->length < digit_count)
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < digit_count; i++) {
        uint8_t byte = text->data[i];
        if (byte < '0' || byte > '9')
            return false;
        value = value * 10 + (uint32_t)(byte - '0');
    }
    text->data += digit_count;
    text->length -= digit_count;
    *number = value;
    return true;
}

/* One of |count| words; its place, counted from 0. */
static bool take_word(struct duress_slice *text, const char *const *words, uint32_t count, uint32_t *place)
{
    for (*place = 0; *place < count; (*place)++)
        if (take(text, words[*place]))
            return true;
    return false;
}

static bool take_month(struct duress_slice *text, uint32_t *month)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    bool found = take_word(text, months, 12, month);
    (*month)++;
    return found;
}

static bool take_clock(struct duress_slice *text, uint32_t *second_of_day)
{
    uint32_t hour, minute, second;
    if (!take_number(text, 2, &hour) || !take(text, ":") || !take_number(text, 2, &minute) || !take(text, ":") ||
        !take_number(text, 2, &second))
        return false;
    *second_of_day = (hour * 60 + minute) * 60 + second;
    return hour < 24 && minute < 60 && second <= 60; /* 60: a leap second */
}

/* --- the calendar --- */

static bool is_leap(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool civil_is_valid(const struct civil *civil)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t last = days[civil->month - 1] + (civil->month == 2 && is_leap(civil->year) ? 1U : 0U);
    return civil->day >= 1 && civil->day <= last;
}

/* Days from 1970-01-01 to the first of January of |year|, which is not before 1970. */
static uint64_t days_before_year(uint32_t year)
{
    uint32_t before = year - 1;
    uint32_t leaps = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return (uint64_t)(year - 1970) * 365 + leaps;
}

static uint64_t civil_ns(const struct civil *civil)
{
    static const uint16_t days_before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (civil->year < 1970)
        return 0;
    uint64_t days = days_before_year(civil->year) + days_before_month[civil->month - 1] + (civil->day - 1);
    days += civil->month > 2 && is_leap(civil->year);
    return duress_time_multiply(days * 86400 + civil->second_of_day, DURESS_S);
}

/* The year of an instant on the wall clock. */
static uint32_t year_at(uint64_t now_ns)
{
    uint64_t day = now_ns / DURESS_S / 86400;
    uint32_t year = 1970 + (uint32_t)(day / 366);
    while (days_before_year(year + 1) <= day)
        year++;
    return year;
}

/* RFC 9110, 5.6.7: a two-digit year that appears to be more than 50 years in the future is of the past. */
static uint32_t year_of_two_digits(uint32_t digits, uint64_t now_ns)
{
    uint32_t now = year_at(now_ns);
    uint32_t year = now - now % 100 + digits;
    return year > now + 50 ? year - 100 : year;
}

/* --- the three forms, after the name of the day --- */

/* ", 06 Nov 1994 08:49:37 GMT" and, of RFC 850, ", 06-Nov-94 08:49:37 GMT" */
static bool take_day_first(struct duress_slice *text, uint64_t now_ns, struct civil *civil)
{
    if (!take(text, ", ") || !take_number(text, 2, &civil->day))
        return false;
    bool dashes = take(text, "-");
    if (!dashes && !take(text, " "))
        return false;
    if (!take_month(text, &civil->month) || !take(text, dashes ? "-" : " ") ||
        !take_number(text, dashes ? 2 : 4, &civil->year))
        return false;
    if (dashes)
        civil->year = year_of_two_digits(civil->year, now_ns);
    return take(text, " ") && take_clock(text, &civil->second_of_day) && take(text, " GMT");
}

/* " Nov  6 08:49:37 1994" */
static bool take_month_first(struct duress_slice *text, struct civil *civil)
{
    if (!take(text, " ") || !take_month(text, &civil->month) || !take(text, " "))
        return false;
    bool short_day = take(text, " ");
    return take_number(text, short_day ? 1 : 2, &civil->day) && take(text, " ") &&
           take_clock(text, &civil->second_of_day) && take(text, " ") && take_number(text, 4, &civil->year);
}

bool duress_http_date_read(struct duress_slice text, uint64_t now_ns, uint64_t *date_ns)
{
    static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
                                       "Mon",    "Tue",     "Wed",       "Thu",      "Fri",    "Sat",      "Sun"};
    struct civil civil = {.year = 0};
    uint32_t place;
    text = trimmed(text);
    if (!take_word(&text, days, sizeof days / sizeof days[0], &place))
        return false;
    bool comma = text.length > 0 && text.data[0] == ',';
    if (!(comma ? take_day_first(&text, now_ns, &civil) : take_month_first(&text, &civil)))
        return false;
    if (text.length > 0 || !civil_is_valid(&civil))
        return false;
    *date_ns = civil_ns(&civil);
    return true;
}

/* Digits alone, however many. */
static bool seconds_read(struct duress_slice text, uint64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (byte < '0' || byte > '9')
            return false;
        *seconds = duress_time_add(duress_time_multiply(*seconds, 10), (uint64_t)(byte - '0'));
    }
    return text.length > 0;
}

uint64_t duress_http_retry_after_ns(struct duress_slice value, uint64_t now_ns)
{
    uint64_t seconds;
    uint64_t date_ns;
    value = trimmed(value);
    if (seconds_read(value, &seconds))
        return duress_time_multiply(seconds, DURESS_S);
    if (duress_http_date_read(value, now_ns, &date_ns))
        return date_ns > now_ns ? date_ns - now_ns : 0;
    return 0;
}
