/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads Prometheus' text format, version 0.0.4, strictly: what a scraper would refuse or misread fails the test. */
#ifndef DURESS_TESTS_EXPOSITION_H
#define DURESS_TESTS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

enum { EXPOSITION_SAMPLES_MAX = 2048, EXPOSITION_TEXT_MAX = 512 };

struct exposition_sample {
    char family[128];                 /* that HELP and TYPE name */
    char series[EXPOSITION_TEXT_MAX]; /* name{labels}, as it stands */
    char type[16];
    double value;
};

struct exposition {
    struct exposition_sample samples[EXPOSITION_SAMPLES_MAX];
    size_t count;
    size_t families;
};

/* Asserts that |text| keeps the grammar and the rules of the format:
 *
 * - lines end with a newline; names, label names and values are well-formed, the text is UTF-8;
 * - a family has one HELP and one TYPE, before its samples, which stand together; no series comes twice;
 * - counters end in _total and are not negative; a histogram has only _bucket, _sum and _count, its buckets ascend,
 * never fall, end with +Inf, and that one is the count. */
void exposition_read(struct exposition *exposition, const char *text);

/* The value of the series that stands as |series|; fails the test where there is none. */
double exposition_value(const struct exposition *exposition, const char *series);

bool exposition_has(const struct exposition *exposition, const char *series);

#endif
