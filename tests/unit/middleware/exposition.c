/* SPDX-License-Identifier: Apache-2.0 */
#include "exposition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The line that is being read, for messages. */
#define REQUIRE(condition, line)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("exposition: \"%.*s\"\n", (int)strcspn(line, "\n"), line);                                     \
            fail_msg("%s", #condition);                                                                                \
        }                                                                                                              \
    } while (0)

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [a-zA-Z_:][a-zA-Z0-9_:]* for metrics, the same without colons for labels. Returns its length. */
static size_t name_length(const char *text, bool colons)
{
    size_t length = 0;
    while (is_letter(text[length]) || (colons && text[length] == ':') || (length > 0 && is_digit(text[length])))
        length++;
    return length;
}

/* Plain UTF-8, decoded the long way. */
static bool is_utf8(const char *string)
{
    const unsigned char *text = (const unsigned char *)string;
    while (*text != 0) {
        uint32_t lead = *text++;
        int more = lead < 0x80 ? 0 : lead < 0xc0 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf8 ? 3 : -1;
        static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (more < 0)
            return false;
        uint32_t point = more == 0 ? lead : lead & (0x3fU >> more);
        for (int i = 0; i < more; i++, text++) {
            if ((*text & 0xc0U) != 0x80)
                return false;
            point = point << 6 | (*text & 0x3fU);
        }
        if (point < smallest[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
    }
    return true;
}

/* Reads {label="value",…}; returns what follows. */
static const char *read_labels(const char *at, const char *line)
{
    REQUIRE(*at == '{', line);
    do {
        at++;
        size_t length = name_length(at, false);
        REQUIRE(length > 0, line);
        at += length;
        REQUIRE(at[0] == '=' && at[1] == '"', line);
        for (at += 2; *at != '"'; at++) {
            REQUIRE(*at != '\0' && *at != '\n', line);
            if (*at == '\\') {
                at++;
                REQUIRE(*at == '\\' || *at == '"' || *at == 'n', line);
            }
        }
        at++;
    } while (*at == ',');
    REQUIRE(*at == '}', line);
    return at + 1;
}

static double read_value(const char *at, const char *line)
{
    char *end = NULL;
    REQUIRE(is_digit(*at) || *at == '-' || *at == '+' || *at == 'N', line);
    double value = strtod(at, &end);
    REQUIRE(end != at && *end == '\n', line); /* we give no timestamps */
    return value;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Whether a sample called |name| belongs to |family| of |type|. */
static bool belongs(const char *name, size_t length, const char *family, const char *type)
{
    size_t family_length = strlen(family);
    if (strncmp(name, family, family_length) != 0)
        return false;
    const char *rest = name + family_length;
    size_t rest_length = length - family_length;
    if (strcmp(type, "histogram") != 0)
        return rest_length == 0;
    return (rest_length == 7 && strncmp(rest, "_bucket", 7) == 0) ||
           (rest_length == 4 && strncmp(rest, "_sum", 4) == 0) || (rest_length == 6 && strncmp(rest, "_count", 6) == 0);
}

static void read_sample(struct exposition *exposition, const char *line, const char *family, const char *type)
{
    assert_true(exposition->count < EXPOSITION_SAMPLES_MAX);
    struct exposition_sample *sample = &exposition->samples[exposition->count];
    size_t length = name_length(line, true);
    REQUIRE(length > 0 && belongs(line, length, family, type), line);
    const char *at = line[length] == '{' ? read_labels(line + length, line) : line + length;
    REQUIRE(*at == ' ', line);
    REQUIRE((size_t)(at - line) < sizeof sample->series, line);
    memcpy(sample->series, line, (size_t)(at - line));
    sample->series[at - line] = '\0';
    (void)snprintf(sample->family, sizeof sample->family, "%s", family);
    (void)snprintf(sample->type, sizeof sample->type, "%s", type);
    sample->value = read_value(at + 1, line);
    REQUIRE(strcmp(type, "gauge") == 0 || sample->value >= 0, line);
    REQUIRE(!exposition_has(exposition, sample->series), line);
    exposition->count++;
}

/* "# HELP name text" and the "# TYPE name type" that must follow it. Returns the line after them. */
static const char *read_heads(struct exposition *exposition, const char *line, char family[128], char type[16])
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    REQUIRE(strncmp(line, "# HELP ", 7) == 0, line);
    size_t length = name_length(line + 7, true);
    REQUIRE(length > 0 && length < 128 && line[7 + length] == ' ', line);
    memcpy(family, line + 7, length);
    family[length] = '\0';
    for (size_t i = 0; i < exposition->count; i++) /* together, and once */
        REQUIRE(strcmp(exposition->samples[i].family, family) != 0, line);
    line = strchr(line, '\n');
    assert_non_null(line);
    line++;
    REQUIRE(strncmp(line, "# TYPE ", 7) == 0 && strncmp(line + 7, family, length) == 0, line);
    REQUIRE(line[7 + length] == ' ', line);
    size_t type_length = strcspn(line + 8 + length, "\n");
    REQUIRE(type_length < 16, line);
    memcpy(type, line + 8 + length, type_length);
    type[type_length] = '\0';
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        known = known || strcmp(type, types[i]) == 0;
    REQUIRE(known, line);
    REQUIRE(strcmp(type, "counter") != 0 || ends_with(family, "_total"), line);
    exposition->families++;
    return line + 8 + length + type_length + 1;
}

/* The bound of a bucket's series, whose last label is le. */
static double bucket_bound(const struct exposition_sample *sample)
{
    const char *le = strstr(sample->series, ",le=\"");
    REQUIRE(le != NULL, sample->series);
    return strncmp(le + 5, "+Inf", 4) == 0 ? INFINITY : strtod(le + 5, NULL);
}

/* The buckets of one histogram stand together, then come its sum and its count. */
static void check_histograms(const struct exposition *exposition)
{
    double bound = -1;
    double below = 0;
    for (size_t i = 0; i < exposition->count; i++) {
        const struct exposition_sample *sample = &exposition->samples[i];
        if (strcmp(sample->type, "histogram") != 0)
            continue;
        if (strstr(sample->series, "_bucket{") != NULL) {
            double next = bucket_bound(sample);
            REQUIRE(next > bound && sample->value >= below, sample->series);
            bound = next;
            below = sample->value;
        } else if (strstr(sample->series, "_count{") != NULL) {
            REQUIRE(isinf(bound) && sample->value == below, sample->series);
            bound = -1;
            below = 0;
        } else {
            REQUIRE(isinf(bound), sample->series);
        }
    }
    assert_true(bound == -1);
}

void exposition_read(struct exposition *exposition, const char *text)
{
    char family[128] = "";
    char type[16] = "";
    exposition->count = 0;
    exposition->families = 0;
    assert_true(is_utf8(text));
    while (*text != '\0') {
        REQUIRE(strchr(text, '\n') != NULL, text);
        if (*text == '#') {
            text = read_heads(exposition, text, family, type);
            continue;
        }
        read_sample(exposition, text, family, type);
        text = strchr(text, '\n') + 1;
    }
    check_histograms(exposition);
}

bool exposition_has(const struct exposition *exposition, const char *series)
{
    for (size_t i = 0; i < exposition->count; i++)
        if (strcmp(exposition->samples[i].series, series) == 0)
            return true;
    return false;
}

double exposition_value(const struct exposition *exposition, const char *series)
{
    for (size_t i = 0; i < exposition->count; i++)
        if (strcmp(exposition->samples[i].series, series) == 0)
            return exposition->samples[i].value;
    fail_msg("no series %s", series);
    return 0;
}
