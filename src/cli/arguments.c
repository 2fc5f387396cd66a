/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <duress/time.h>

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit time_units[] = {
    {"ns", 1}, {"us", DURESS_US}, {"ms", DURESS_MS}, {"s", DURESS_S}, {"m", 60 * DURESS_S}, {"h", 3600 * DURESS_S},
    {NULL, 0},
};
static const struct unit byte_units[] = {
    {"", 1}, {"KiB", UINT64_C(1) << 10}, {"MiB", UINT64_C(1) << 20}, {"GiB", UINT64_C(1) << 30}, {NULL, 0},
};

bool argument_refuse(const char *program, const char *option, const char *text, const char *allowed)
{
    (void)fprintf(stderr, "%s: %s: '%s' given, %s allowed\n", program, option, text, allowed);
    return false;
}

/* A decimal number with up to nine digits behind its point, times |unit|, rounded down. *end is what follows it. False
 * where there is no digit, or the product has no room. */
static bool decimal_read(const char *text, uint64_t *whole, uint64_t *fraction_e9, const char **end)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (at == text)
        return false;
    uint64_t fraction = 0;
    if (*at == '.') {
        uint64_t weight = 100000000;
        const char *first = ++at;
        for (; *at >= '0' && *at <= '9' && weight > 0; at++, weight /= 10)
            fraction += weight * (uint64_t)(*at - '0');
        if (at == first)
            return false;
    }
    *whole = value;
    *fraction_e9 = fraction;
    *end = at;
    return true;
}

/* |whole|.|fraction_e9| * |unit|, rounded down. False where it has no room. */
static bool scale(uint64_t whole, uint64_t fraction_e9, uint64_t unit, uint64_t *product)
{
    if (whole > UINT64_MAX / unit)
        return false;
    /* In two steps, as an hour times a fraction of nine digits has no room. */
    uint64_t part = unit / 1000000000 * fraction_e9 + unit % 1000000000 * fraction_e9 / 1000000000;
    *product = whole * unit;
    if (part > UINT64_MAX - *product)
        return false;
    *product += part;
    return true;
}

static bool quantity_read(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t whole;
    uint64_t fraction_e9;
    const char *end;
    if (!decimal_read(text, &whole, &fraction_e9, &end))
        return false;
    for (const struct unit *unit = units; unit->name != NULL; unit++)
        if (strcmp(end, unit->name) == 0)
            return (fraction_e9 == 0 || unit->size > 1) && scale(whole, fraction_e9, unit->size, value);
    return false;
}

bool argument_number(const char *program, const char *option, const char *text, uint64_t low, uint64_t high,
                     uint64_t *number)
{
    uint64_t whole;
    uint64_t fraction_e9;
    const char *end;
    if (decimal_read(text, &whole, &fraction_e9, &end) && *end == '\0' && strchr(text, '.') == NULL && whole >= low &&
        whole <= high) {
        *number = whole;
        return true;
    }
    char allowed[80];
    (void)snprintf(allowed, sizeof allowed, "a number from %" PRIu64 " to %" PRIu64, low, high);
    return argument_refuse(program, option, text, allowed);
}

bool argument_count(const char *program, const char *option, const char *text, uint32_t low, uint32_t high,
                    uint32_t *count)
{
    uint64_t number;
    if (!argument_number(program, option, text, low, high, &number))
        return false;
    *count = (uint32_t)number;
    return true;
}

bool argument_duration(const char *program, const char *option, const char *text, uint64_t low_ns, uint64_t high_ns,
                       uint64_t *duration_ns)
{
    uint64_t value_ns;
    if (quantity_read(text, time_units, &value_ns) && value_ns >= low_ns && value_ns <= high_ns) {
        *duration_ns = value_ns;
        return true;
    }
    char low[32];
    char high[32];
    char allowed[128];
    (void)snprintf(allowed, sizeof allowed, "a number with its unit (ns, us, ms, s, m, h) from %s to %s",
                   duration_format(low_ns, low, sizeof low), duration_format(high_ns, high, sizeof high));
    return argument_refuse(program, option, text, allowed);
}

bool argument_share(const char *program, const char *option, const char *text, uint32_t *share_ppm)
{
    uint64_t whole;
    uint64_t fraction_e9;
    const char *end;
    uint64_t ppm = UINT64_MAX;
    if (decimal_read(text, &whole, &fraction_e9, &end) && whole <= 100) {
        if (*end == '\0')
            ppm = whole * 1000000 + fraction_e9 / 1000;
        else if (strcmp(end, "%") == 0)
            ppm = whole * 10000 + fraction_e9 / 100000;
    }
    if (ppm > 1000000)
        return argument_refuse(program, option, text, "a share from 0 to 1, or from 0% to 100%,");
    *share_ppm = (uint32_t)ppm;
    return true;
}

bool argument_bytes(const char *program, const char *option, const char *text, uint64_t low, uint64_t high,
                    uint64_t *bytes)
{
    uint64_t value;
    if (quantity_read(text, byte_units, &value) && value >= low && value <= high) {
        *bytes = value;
        return true;
    }
    char allowed[128];
    (void)snprintf(allowed, sizeof allowed,
                   "a number of bytes, or of KiB, MiB or GiB, from %" PRIu64 " to %" PRIu64 " bytes", low, high);
    return argument_refuse(program, option, text, allowed);
}

const char *argument_split(const char *text, const char *separator, char part[ARGUMENT_PART_BYTES_MAX])
{
    const char *at = strstr(text, separator);
    size_t length = at == NULL ? strlen(text) : (size_t)(at - text);
    if (length >= ARGUMENT_PART_BYTES_MAX)
        length = ARGUMENT_PART_BYTES_MAX - 1;
    memcpy(part, text, length);
    part[length] = '\0';
    return at == NULL ? NULL : at + strlen(separator);
}

const char *duration_format(uint64_t duration_ns, char *text, size_t capacity)
{
    static const struct {
        const char *name;
        double size_ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}};
    double value = (double)duration_ns;
    if (duration_ns < DURESS_US) {
        (void)snprintf(text, capacity, "%" PRIu64 " ns", duration_ns);
        return text;
    }
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof units[0] && value >= units[unit + 1].size_ns)
        unit++;
    value /= units[unit].size_ns;
    int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    (void)snprintf(text, capacity, "%.*f %s", digits, value, units[unit].name);
    return text;
}
