/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t bench_now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        bench_fail("no monotonic clock");
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

size_t bench_runs(void)
{
    const char *text = getenv("DURESS_BENCH_RUNS");
    if (text == NULL)
        return BENCH_RUNS_DEFAULT;
    unsigned long runs = strtoul(text, NULL, 10);
    if (runs < BENCH_RUNS_MIN)
        return BENCH_RUNS_MIN;
    return runs > BENCH_RUNS_MAX ? BENCH_RUNS_MAX : runs;
}

void bench_samples_add(struct bench_samples *samples, double value)
{
    if (samples->count == BENCH_RUNS_MAX)
        bench_fail("%s: more than %d samples", samples->name, BENCH_RUNS_MAX);
    samples->values[samples->count++] = value;
}

static int double_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The smallest (0), middle (0.5) or largest (1) of the samples. */
static double samples_at(const struct bench_samples *samples, double quantile)
{
    if (samples->count == 0)
        return 0;
    double sorted[BENCH_RUNS_MAX];
    memcpy(sorted, samples->values, samples->count * sizeof sorted[0]);
    qsort(sorted, samples->count, sizeof sorted[0], double_compare);
    double place = quantile * (double)(samples->count - 1);
    size_t below = (size_t)place;
    size_t above = (double)below < place ? below + 1 : below;
    return (sorted[below] + sorted[above]) / 2;
}

double bench_samples_min(const struct bench_samples *samples)
{
    return samples_at(samples, 0);
}

double bench_samples_median(const struct bench_samples *samples)
{
    return samples_at(samples, 0.5);
}

double bench_samples_max(const struct bench_samples *samples)
{
    return samples_at(samples, 1);
}

static void line_begin(const struct bench_samples *samples)
{
    if (samples->count < BENCH_RUNS_MIN)
        bench_fail("%s: %zu samples, at least %d make a figure", samples->name, samples->count, BENCH_RUNS_MIN);
    printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%zu", samples->name,
           samples->unit, bench_samples_median(samples), bench_samples_min(samples), bench_samples_max(samples),
           samples->count);
}

static void line_end(void)
{
    if (puts("}") == EOF || fflush(stdout) != 0)
        bench_fail("cannot write the figure");
}

void bench_print(const struct bench_samples *samples)
{
    line_begin(samples);
    line_end();
}

void bench_print_against(const struct bench_samples *samples, const char *against, double against_median)
{
    if (!(against_median > 0))
        bench_fail("%s: %s was not measured", samples->name, against);
    line_begin(samples);
    printf(",\"against\":\"%s\",\"ratio\":%.4g", against, bench_samples_median(samples) / against_median);
    line_end();
}

static double run_ns(uint64_t iterations, bench_fn fn, void *context)
{
    uint64_t begun_ns = bench_now_ns();
    fn(context, iterations);
    return (double)(bench_now_ns() - begun_ns);
}

void bench_sample_each(struct bench_samples *samples, uint64_t iterations, bench_fn fn, void *context)
{
    if (iterations == 0)
        bench_fail("%s: no iterations", samples->name);
    (void)run_ns(iterations, fn, context);
    for (size_t run = 0; run < bench_runs(); run++)
        bench_samples_add(samples, run_ns(iterations, fn, context) / (double)iterations);
}

double bench_time_each(const char *name, uint64_t iterations, bench_fn fn, void *context)
{
    struct bench_samples samples = {.name = name, .unit = "ns"};
    bench_sample_each(&samples, iterations, fn, context);
    bench_print(&samples);
    return bench_samples_median(&samples);
}

double bench_rate(const char *name, uint64_t iterations, bench_fn fn, void *context)
{
    struct bench_samples each = {.name = name, .unit = "ns"};
    struct bench_samples rates = {.name = name, .unit = "1/s"};
    bench_sample_each(&each, iterations, fn, context);
    for (size_t i = 0; i < each.count; i++) {
        if (!(each.values[i] > 0))
            bench_fail("%s: too few iterations to measure", name);
        bench_samples_add(&rates, 1e9 / each.values[i]);
    }
    bench_print(&rates);
    return bench_samples_median(&rates);
}

_Noreturn void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("bench: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}
