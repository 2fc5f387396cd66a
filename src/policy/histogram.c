/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/histogram.h>

#include <assert.h>
#include <stddef.h>

#define PARTS (UINT32_C(1) << DURESS_HISTOGRAM_PRECISION_BITS) /* of one power of two */
#define BEYOND DURESS_HISTOGRAM_BUCKET_COUNT
#define SHARE_PPM_MAX 1000000

/* Bucket |i| of shift |s| holds the values whose upper seven bits, value >> s, are i - s * PARTS: those are PARTS to
 * 2 * PARTS - 1, but for shift 0, where they begin at 0. So the index is continuous across the powers of two. */
static uint32_t bucket_of(uint64_t value)
{
    if (value > DURESS_HISTOGRAM_VALUE_MAX)
        return BEYOND;
    if (value < 2 * PARTS)
        return (uint32_t)value;
    uint32_t highest_bit = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = highest_bit - DURESS_HISTOGRAM_PRECISION_BITS;
    return shift * PARTS + (uint32_t)(value >> shift);
}

/* The greatest value that falls into bucket |index|, which is not BEYOND. */
static uint64_t bucket_top(uint32_t index)
{
    if (index < 2 * PARTS)
        return index;
    uint32_t shift = index / PARTS - 1;
    uint64_t upper_bits = index - shift * PARTS;
    return ((upper_bits + 1) << shift) - 1;
}

static_assert(SHARE_PPM_MAX < UINT64_MAX / SHARE_PPM_MAX, "the product in rank_of() fits");

/* Which number, counted from 1 in ascending order, is the quantile; 0 where there is none. */
static uint64_t rank_of(uint64_t count, uint32_t share_ppm)
{
    uint64_t share = share_ppm < SHARE_PPM_MAX ? share_ppm : SHARE_PPM_MAX;
    uint64_t rest = count % SHARE_PPM_MAX; /* taken apart, because the whole product would not fit */
    uint64_t rank = count / SHARE_PPM_MAX * share + (rest * share + SHARE_PPM_MAX - 1) / SHARE_PPM_MAX;
    return rank == 0 && count > 0 ? 1 : rank;
}

void duress_histogram_reset(struct duress_histogram *histogram)
{
    *histogram = (struct duress_histogram){.count = 0};
}

void duress_histogram_record(struct duress_histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->sum = value > UINT64_MAX - histogram->sum ? UINT64_MAX : histogram->sum + value;
    histogram->count++;
    histogram->buckets[bucket_of(value)]++;
}

void duress_histogram_merge(struct duress_histogram *histogram, const struct duress_histogram *other)
{
    if (other->count == 0)
        return;
    if (histogram->count == 0 || other->min < histogram->min)
        histogram->min = other->min;
    if (other->max > histogram->max)
        histogram->max = other->max;
    histogram->sum = other->sum > UINT64_MAX - histogram->sum ? UINT64_MAX : histogram->sum + other->sum;
    histogram->count += other->count;
    for (uint32_t i = 0; i <= BEYOND; i++)
        histogram->buckets[i] += other->buckets[i];
}

/* --- one quantile --- */

/* Moves on to where the quantile is; each step leaves |below| the sum of the buckets before |at|. */
static void cursor_settle(struct duress_histogram_cursor *cursor, const struct duress_histogram *histogram)
{
    uint64_t rank = rank_of(histogram->count, cursor->share_ppm);
    while (cursor->below >= rank && cursor->at > 0) {
        cursor->at--;
        cursor->below -= histogram->buckets[cursor->at];
    }
    while (cursor->below + histogram->buckets[cursor->at] < rank) {
        cursor->below += histogram->buckets[cursor->at];
        cursor->at++;
    }
}

void duress_histogram_cursor_seek(struct duress_histogram_cursor *cursor, const struct duress_histogram *histogram,
                                  uint32_t share_ppm)
{
    *cursor = (struct duress_histogram_cursor){.share_ppm = share_ppm};
    cursor_settle(cursor, histogram);
}

void duress_histogram_cursor_record(struct duress_histogram_cursor *cursor, struct duress_histogram *histogram,
                                    uint64_t value)
{
    duress_histogram_record(histogram, value);
    if (bucket_of(value) < cursor->at)
        cursor->below++;
    cursor_settle(cursor, histogram);
}

uint64_t duress_histogram_cursor_bound(const struct duress_histogram_cursor *cursor,
                                       const struct duress_histogram *histogram)
{
    return cursor->at == BEYOND ? histogram->max : bucket_top(cursor->at);
}

uint64_t duress_histogram_cursor_value(const struct duress_histogram_cursor *cursor,
                                       const struct duress_histogram *histogram)
{
    uint64_t bound = duress_histogram_cursor_bound(cursor, histogram);
    return bound < histogram->max ? bound : histogram->max;
}

uint64_t duress_histogram_quantile(const struct duress_histogram *histogram, uint32_t share_ppm)
{
    struct duress_histogram_cursor cursor;
    duress_histogram_cursor_seek(&cursor, histogram, share_ppm);
    return duress_histogram_cursor_value(&cursor, histogram);
}

/* --- views --- */

uint64_t duress_histogram_count_at_most(const struct duress_histogram *histogram, uint64_t value)
{
    uint32_t last = bucket_of(value);
    uint64_t count = 0;
    for (uint32_t i = 0; i <= last; i++)
        count += histogram->buckets[i];
    return count;
}

void duress_histogram_summary(const struct duress_histogram *histogram, struct duress_histogram_summary *summary)
{
    *summary = (struct duress_histogram_summary){
        .count = histogram->count,
        .sum = histogram->sum,
        .min = histogram->min,
        .max = histogram->max,
        .p50 = duress_histogram_quantile(histogram, 500000),
        .p90 = duress_histogram_quantile(histogram, 900000),
        .p95 = duress_histogram_quantile(histogram, 950000),
        .p99 = duress_histogram_quantile(histogram, 990000),
        .p999 = duress_histogram_quantile(histogram, 999000),
    };
}
