/* SPDX-License-Identifier: Apache-2.0
 *
 * What every benchmark needs: a monotonic clock, samples with their median, and the one line of JSON a figure that
 * bench/run.sh collects:
 *
 *     {"name":"breaker acquire and report, closed","unit":"ns","value":9.81,"min":9.77,"max":10.4,"runs":7}
 *
 * "value" is the median over "runs" samples. A figure that compares carries "against" (what it is compared with) and
 * "ratio" (this median over that one: 0.5 is half, 2 is twice). The usual shapes:
 *
 *     double each_ns = bench_time_each("retry decision", 1000000, decide_often, &fixture);   // ns an operation
 *     double rate = bench_rate("framed calls, 16 in flight", 60000, call_often, &fixture);   // operations a second
 *
 * and, where something else is measured, samples by hand:
 *
 *     struct bench_samples samples = {.name = "p99 of a call", .unit = "ns"};
 *     for (size_t run = 0; run < bench_runs(); run++)
 *         bench_samples_add(&samples, measure());
 *     bench_print(&samples);
 *
 * A benchmark that cannot measure what it promises must end with bench_fail(), so that no figure is printed that is
 * none. Everything here is for one thread. */
#ifndef DURESS_BENCH_H
#define DURESS_BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_RUNS_MIN 5 /* fewer make no median */
#define BENCH_RUNS_DEFAULT 7
#define BENCH_RUNS_MAX 101

/* The samples of one figure. Set |name| and |unit|, leave the rest zero. */
struct bench_samples {
    const char *name; /* for people; unique in its program; no quotes, backslashes or control characters */
    const char *unit; /* "ns", "1/s", "bytes", … */
    double values[BENCH_RUNS_MAX];
    size_t count;
};

/* Does the measured thing |iterations| times. */
typedef void (*bench_fn)(void *context, uint64_t iterations);

/* The monotonic clock. */
uint64_t bench_now_ns(void);

/* How many samples a figure has: BENCH_RUNS_DEFAULT, or what DURESS_BENCH_RUNS in the environment says, kept within
 * BENCH_RUNS_MIN and BENCH_RUNS_MAX. */
size_t bench_runs(void);

/* Adds a sample; those beyond BENCH_RUNS_MAX end the program with bench_fail(). */
void bench_samples_add(struct bench_samples *samples, double value);

/* 0 where there is no sample. */
double bench_samples_min(const struct bench_samples *samples);
double bench_samples_median(const struct bench_samples *samples);
double bench_samples_max(const struct bench_samples *samples);

/* Prints the figure's line and flushes. */
void bench_print(const struct bench_samples *samples);

/* As bench_print(), compared with a figure called |against| whose median was |against_median|. */
void bench_print_against(const struct bench_samples *samples, const char *against, double against_median);

/* Fills |samples| with the nanoseconds of one iteration, a sample a run of |iterations|, after one run to warm up. */
void bench_sample_each(struct bench_samples *samples, uint64_t iterations, bench_fn fn, void *context);

/* bench_sample_each() and bench_print(); returns the median in nanoseconds. */
double bench_time_each(const char *name, uint64_t iterations, bench_fn fn, void *context);

/* As bench_time_each(), in iterations a second. */
double bench_rate(const char *name, uint64_t iterations, bench_fn fn, void *context);

/* Says why on standard error and ends the program with status 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The compiler must work out |value| and must not move memory accesses across. */
static inline void bench_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#endif
