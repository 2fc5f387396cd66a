/* SPDX-License-Identifier: Apache-2.0
 *
 * A histogram of latencies (or of any other numbers): of fixed size, filled at the cost of a few instructions, exact
 * for small numbers and within 1/64 for large ones.
 *
 * The buckets are log-linear, as in HdrHistogram (Gil Tene, 2012): each power of two is cut into 64 equal parts. So a
 * bucket is never wider than 1/64 of the numbers in it, whatever their size:
 *
 *     0 … 127         a bucket each
 *     128 … 255       a bucket for each 2
 *     256 … 511       a bucket for each 4
 *     …
 *     2^41 … 2^42-1   a bucket for each 2^35
 *     2^42 and more   one bucket: "beyond"
 *
 * In nanoseconds that is from a nanosecond to 73 minutes in 2,369 buckets, 19 KB. What is reported is the upper end of
 * a bucket, or the greatest number that was recorded where that is less: a quantile is never told too small,
 *
 *     true value <= reported value <= true value + true value / 64
 *
 * and where it lies beyond, the greatest recorded number stands for it. DURESS_TIME_NEVER is such a number like any
 * other.
 *
 * Integers only, no allocation, no clock. Threads: a histogram belongs to one thread at a time. For many threads give
 * each one of its own, and merge them to read. */
#ifndef DURESS_POLICY_HISTOGRAM_H
#define DURESS_POLICY_HISTOGRAM_H

#include <stdint.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_HISTOGRAM_PRECISION_BITS 6 /* a power of two is cut into 2^6 buckets */
#define DURESS_HISTOGRAM_VALUE_BITS 42
#define DURESS_HISTOGRAM_VALUE_MAX ((UINT64_C(1) << DURESS_HISTOGRAM_VALUE_BITS) - 1) /* what is above lies beyond */
#define DURESS_HISTOGRAM_BUCKET_COUNT                                                                                  \
    ((DURESS_HISTOGRAM_VALUE_BITS - DURESS_HISTOGRAM_PRECISION_BITS + 1) << DURESS_HISTOGRAM_PRECISION_BITS)

/* Transparent, to be embedded; every field is private. May be copied. Zeroed memory is an empty histogram. */
struct duress_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* where |count| is not 0 */
    uint64_t max;
    uint64_t buckets[DURESS_HISTOGRAM_BUCKET_COUNT + 1]; /* the last one holds what lies beyond */
};

/* Forgets everything. */
DURESS_API void duress_histogram_reset(struct duress_histogram *histogram) DURESS_NONNULL(1);

/* Counts |value| once. */
DURESS_API void duress_histogram_record(struct duress_histogram *histogram, uint64_t value) DURESS_NONNULL(1);

/* Adds all that |other| holds, as if it had been recorded in |histogram| too. */
DURESS_API void duress_histogram_merge(struct duress_histogram *histogram, const struct duress_histogram *other)
    DURESS_NONNULL(1);

/* The smallest number that at least |share_ppm| millionths of the recorded ones do not exceed, within the bound above:
 * 500000 for the median, 999000 for p99.9, 1000000 (or more) for the greatest number, exactly. 0 where nothing is
 * recorded. Takes about a microsecond. */
DURESS_API uint64_t duress_histogram_quantile(const struct duress_histogram *histogram, uint32_t share_ppm)
    DURESS_NONNULL(1);

/* How many recorded numbers are at most |value|; those in the bucket of |value| are all counted, so numbers up to 1/64
 * greater may be among them. Never falls as |value| grows; all for |value| beyond. */
DURESS_API uint64_t duress_histogram_count_at_most(const struct duress_histogram *histogram, uint64_t value)
    DURESS_NONNULL(1);

struct duress_histogram_summary {
    uint64_t count;
    uint64_t sum; /* of all numbers, exact; stops at UINT64_MAX */
    uint64_t min; /* exact, as is |max|; both 0 where nothing is recorded */
    uint64_t max;
    uint64_t p50; /* as duress_histogram_quantile() says */
    uint64_t p90;
    uint64_t p95;
    uint64_t p99;
    uint64_t p999; /* 99.9 % */
};
/* Fills |summary| with what |histogram| holds now. */
DURESS_API void duress_histogram_summary(const struct duress_histogram *histogram,
                                         struct duress_histogram_summary *summary) DURESS_NONNULL(1);

/* Follows one quantile while numbers are recorded, at the cost of a step or two for each, where
 * duress_histogram_quantile() would walk over all buckets. A plain value; every field is private. */
struct duress_histogram_cursor {
    uint32_t share_ppm;
    uint32_t at;    /* the bucket that the quantile lies in */
    uint64_t below; /* numbers in the buckets before it */
};

/* Finds the quantile of |share_ppm| millionths in |histogram|, from scratch: to begin with, and after a reset or a
 * merge. */
DURESS_API void duress_histogram_cursor_seek(struct duress_histogram_cursor *cursor,
                                             const struct duress_histogram *histogram, uint32_t share_ppm)
    DURESS_NONNULL(1);

/* duress_histogram_record(), and |cursor|, which was up to date, goes along. */
DURESS_API void duress_histogram_cursor_record(struct duress_histogram_cursor *cursor,
                                               struct duress_histogram *histogram, uint64_t value) DURESS_NONNULL(1);

/* What duress_histogram_quantile() would say. */
DURESS_API uint64_t duress_histogram_cursor_value(const struct duress_histogram_cursor *cursor,
                                                  const struct duress_histogram *histogram) DURESS_NONNULL(1);

/* The upper end of the bucket that the quantile lies in, also where no number as great was recorded (but for what lies
 * beyond): within the same bound, and longer than nearly all numbers in the bucket. */
DURESS_API uint64_t duress_histogram_cursor_bound(const struct duress_histogram_cursor *cursor,
                                                  const struct duress_histogram *histogram) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
