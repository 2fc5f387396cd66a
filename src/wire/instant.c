/* SPDX-License-Identifier: Apache-2.0 */
#include "instant.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define DAY_SECONDS INT64_C(86400)
#define ERA_DAYS INT64_C(146097)       /* of 400 years, after which the Gregorian calendar repeats */
#define EPOCH_ERA_DAYS INT64_C(719468) /* from 0000-03-01 to 1970-01-01 */

struct civil {
    unsigned year;
    unsigned month;
    unsigned day;
};

/* Days from 1970-01-01. The year is taken to begin in March, so that the leap day is its last and the lengths of the
 * months follow (153 m + 2) / 5; after Howard Hinnant, "chrono-compatible low-level date algorithms". */
static int64_t days_from_civil(struct civil date)
{
    int64_t year = (int64_t)date.year + 400 - (date.month <= 2); /* one era up keeps it positive */
    int64_t era = year / 400;
    int64_t year_of_era = year % 400;
    int64_t month = date.month > 2 ? (int64_t)date.month - 3 : (int64_t)date.month + 9;
    int64_t day_of_year = (153 * month + 2) / 5 + (int64_t)date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (era - 1) * ERA_DAYS + day_of_era - EPOCH_ERA_DAYS;
}

/* The inverse, for days from 1970 on. */
static struct civil civil_from_days(uint32_t days)
{
    uint32_t shifted = days + (uint32_t)EPOCH_ERA_DAYS;
    uint32_t era = shifted / (uint32_t)ERA_DAYS;
    uint32_t day_of_era = shifted % (uint32_t)ERA_DAYS;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month = (5 * day_of_year + 2) / 153;
    struct civil date = {
        .year = year_of_era + era * 400 + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
    return date;
}

static bool year_is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && year_is_leap(year) ? 29 : days[month - 1];
}

/* Reads exactly |count| digits and moves on; false where there are fewer. */
static bool digits_read(struct duress_slice *text, unsigned count, unsigned *value)
{
    if (text->length < count)
        return false;
    unsigned sum = 0;
    for (unsigned index = 0; index < count; index++) {
        unsigned digit = (unsigned)text->data[index] - '0';
        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
    }
    text->data += count;
    text->length -= count;
    *value = sum;
    return true;
}

/* Reads one of the bytes of |allowed| and moves on. */
static inline bool mark_read(struct duress_slice *text, const char *allowed)
{
    if (text->length == 0)
        return false;
    while (*allowed != '\0' && (uint8_t)*allowed != text->data[0])
        allowed++;
    if (*allowed == '\0')
        return false;
    text->data++;
    text->length--;
    return true;
}

static bool date_read(struct duress_slice *text, int64_t *days)
{
    struct civil date;
    if (!digits_read(text, 4, &date.year) || !mark_read(text, "-") || !digits_read(text, 2, &date.month) ||
        !mark_read(text, "-") || !digits_read(text, 2, &date.day))
        return false;
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > month_days(date.year, date.month))
        return false;
    *days = days_from_civil(date);
    return true;
}

/* Seconds since midnight. No leap second: neither Python nor Go writes or reads one. */
static bool clock_read(struct duress_slice *text, unsigned *seconds)
{
    unsigned hour;
    unsigned minute;
    unsigned second;
    if (!digits_read(text, 2, &hour) || !mark_read(text, ":") || !digits_read(text, 2, &minute) ||
        !mark_read(text, ":") || !digits_read(text, 2, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return hour <= 23 && minute <= 59 && second <= 59;
}

/* A point and 1 to 9 digits, or nothing. */
static bool fraction_read(struct duress_slice *text, uint64_t *fraction_ns)
{
    *fraction_ns = 0;
    if (!mark_read(text, "."))
        return true;
    uint64_t unit_ns = SECOND_NS / 10;
    unsigned count = 0;
    unsigned digit;
    for (; digits_read(text, 1, &digit); count++) {
        *fraction_ns += digit * unit_ns;
        unit_ns /= 10;
    }
    return count >= 1 && count <= 9;
}

/* Z, or a sign with hours and minutes; nothing may follow. */
static bool offset_read(struct duress_slice *text, int64_t *offset_seconds)
{
    *offset_seconds = 0;
    if (mark_read(text, "Zz"))
        return text->length == 0;
    bool west = text->length > 0 && text->data[0] == '-';
    unsigned hours;
    unsigned minutes;
    if (!mark_read(text, "+-") || !digits_read(text, 2, &hours) || !mark_read(text, ":") ||
        !digits_read(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    int64_t seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *offset_seconds = west ? -seconds : seconds;
    return text->length == 0;
}

bool duress__instant_parse(struct duress_slice text, uint64_t *ns)
{
    int64_t days;
    unsigned clock_seconds;
    uint64_t fraction_ns;
    int64_t offset_seconds;
    if (!date_read(&text, &days) || !mark_read(&text, "Tt ") || !clock_read(&text, &clock_seconds) ||
        !fraction_read(&text, &fraction_ns) || !offset_read(&text, &offset_seconds))
        return false;
    int64_t seconds = days * DAY_SECONDS + (int64_t)clock_seconds - offset_seconds;
    if (seconds < 0) {
        *ns = 0;
        return true;
    }
    if (__builtin_mul_overflow((uint64_t)seconds, SECOND_NS, ns) || __builtin_add_overflow(*ns, fraction_ns, ns))
        *ns = UINT64_MAX;
    return true;
}

static uint8_t *digits_write(uint8_t *at, uint32_t value, unsigned count)
{
    for (unsigned index = count; index-- > 0; value /= 10)
        at[index] = (uint8_t)('0' + value % 10);
    return at + count;
}

void duress__instant_format(uint64_t ns, uint8_t text[INSTANT_BYTES])
{
    uint64_t seconds = ns / SECOND_NS;
    uint32_t micros = (uint32_t)(ns % SECOND_NS / 1000);
    uint32_t of_day = (uint32_t)(seconds % (uint64_t)DAY_SECONDS);
    struct civil date = civil_from_days((uint32_t)(seconds / (uint64_t)DAY_SECONDS));
    memcpy(text, "0000-00-00T00:00:00.000000Z", INSTANT_BYTES);
    (void)digits_write(text, date.year, 4);
    (void)digits_write(text + 5, date.month, 2);
    (void)digits_write(text + 8, date.day, 2);
    (void)digits_write(text + 11, of_day / 3600, 2);
    (void)digits_write(text + 14, of_day / 60 % 60, 2);
    (void)digits_write(text + 17, of_day % 60, 2);
    (void)digits_write(text + 20, micros, 6);
}
