/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/bucket.h>

#include <stddef.h>

#include "option.h"

/* The circle of 2^64 ticks, seen from the clock's: the last quarter lies ahead of it, where tokens are spent for those
 * whose clock is later than this caller's. Everything else lies behind. A full bucket is a small part of that. */
#define TICKS_AHEAD (UINT64_C(3) << 62)
#define TICKS_IDLE (UINT64_C(1) << 62)
#define TICKS_QUEUED_MAX (UINT64_C(1) << 61)
#define TICKS_CAPACITY_MAX (UINT64_C(1) << 60)

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int duress_bucket_init(struct duress_bucket *bucket, const struct duress_bucket_options *options,
                       struct duress_failure *why)
{
    struct duress_bucket_options filled = {0};
    if (!duress__option_given("bucket", bucket, why))
        return DURESS_E_INVALID;
    if (options != NULL)
        filled = *options;
    filled.rate = option_or_u32(filled.rate, DURESS_BUCKET_RATE_DEFAULT);
    filled.burst = option_or_u32(filled.burst, DURESS_BUCKET_BURST_DEFAULT);
    filled.per_ns = option_or_u64(filled.per_ns, DURESS_BUCKET_PER_NS_DEFAULT);
    if (!duress__option_in_range("bucket.rate", filled.rate, 1, DURESS_BUCKET_RATE_MAX, why) ||
        !duress__option_in_range("bucket.per_ns", filled.per_ns, DURESS_BUCKET_PER_NS_MIN, DURESS_BUCKET_PER_NS_MAX,
                                 why))
        return DURESS_E_INVALID;
    uint64_t divisor = common_divisor(filled.rate, filled.per_ns);
    uint64_t ticks_per_ns = filled.rate / divisor;
    uint64_t ticks_per_token = filled.per_ns / divisor;
    uint64_t burst_max = duress_time_min(TICKS_CAPACITY_MAX / ticks_per_token, DURESS_BUCKET_BURST_MAX);
    if (!duress__option_in_range("bucket.burst", filled.burst, 1, burst_max, why))
        return DURESS_E_INVALID;
    uint64_t capacity = filled.burst * ticks_per_token;
    *bucket = (struct duress_bucket){
        .spent = {0 - capacity}, /* full at any instant */
        .ticks_per_ns = ticks_per_ns,
        .ticks_per_token = ticks_per_token,
        .capacity = capacity,
        .idle_ns = TICKS_IDLE / ticks_per_ns,
        .burst = filled.burst,
    };
    return DURESS_OK;
}

/* The tick from which on tokens can be taken at |now_ns|: |spent|, or where a full bucket begins. |spent| was loaded
 * before this: whoever has moved it since a caller's instant was noted is in |latest_ns|, so that a |spent| that is
 * taken for an old one is old. */
static uint64_t bucket_base(const struct duress_bucket *bucket, uint64_t spent, uint64_t now_ns)
{
    uint64_t clock = now_ns * bucket->ticks_per_ns; /* wraps */
    uint64_t full = clock - bucket->capacity;
    if (now_ns >= duress_time_add(duress__atomic_load(&bucket->latest_ns), bucket->idle_ns))
        return full;
    uint64_t behind = clock - spent;
    return behind > bucket->capacity && behind < TICKS_AHEAD ? full : spent;
}

/* When the clock comes to |tick|, which lies at most half a circle from it. */
static uint64_t bucket_at_ns(const struct duress_bucket *bucket, uint64_t tick, uint64_t now_ns)
{
    uint64_t missing = tick - now_ns * bucket->ticks_per_ns;
    if (missing > INT64_MAX) /* it has */
        return now_ns;
    uint64_t wait_ns = missing / bucket->ticks_per_ns + (missing % bucket->ticks_per_ns != 0);
    return duress_time_add(now_ns, wait_ns);
}

static bool bucket_refuse(uint64_t *ready_at_ns, uint64_t at_ns)
{
    if (ready_at_ns != NULL)
        *ready_at_ns = at_ns;
    return false;
}

bool duress_bucket_acquire(struct duress_bucket *bucket, uint32_t tokens, uint64_t now_ns, uint64_t *ready_at_ns)
{
    if (tokens > bucket->burst)
        return bucket_refuse(ready_at_ns, DURESS_TIME_NEVER);
    uint64_t cost = tokens * bucket->ticks_per_token;
    uint64_t clock = now_ns * bucket->ticks_per_ns;
    uint64_t seen = duress__atomic_load(&bucket->spent);
    for (;;) {
        uint64_t wanted = bucket_base(bucket, seen, now_ns) + cost;
        if (clock - wanted > INT64_MAX)
            return bucket_refuse(ready_at_ns, bucket_at_ns(bucket, wanted, now_ns));
        /* First the instant, then the tokens: who finds these spent knows since when. */
        duress__atomic_raise(&bucket->latest_ns, now_ns);
        if (duress__atomic_swap_if(&bucket->spent, &seen, wanted))
            return true;
    }
}

uint64_t duress_bucket_ready_ns(const struct duress_bucket *bucket, uint64_t tokens, uint64_t now_ns)
{
    if (tokens > TICKS_QUEUED_MAX / bucket->ticks_per_token)
        return DURESS_TIME_NEVER;
    uint64_t base = bucket_base(bucket, duress__atomic_load(&bucket->spent), now_ns);
    return bucket_at_ns(bucket, base + tokens * bucket->ticks_per_token, now_ns);
}

/* What is left of |ticks| that were taken at |taken_ns|, after all that can have come in until |until_ns|. */
static uint64_t bucket_unspent(const struct duress_bucket *bucket, uint64_t ticks, uint64_t taken_ns, uint64_t until_ns)
{
    uint64_t elapsed_ns = duress_time_until(taken_ns, until_ns);
    if (elapsed_ns > ticks / bucket->ticks_per_ns)
        return 0;
    return ticks - elapsed_ns * bucket->ticks_per_ns;
}

void duress_bucket_give_back(struct duress_bucket *bucket, uint32_t tokens, uint64_t taken_ns, uint64_t now_ns)
{
    uint64_t ticks = (tokens < bucket->burst ? tokens : bucket->burst) * bucket->ticks_per_token;
    uint64_t seen = duress__atomic_load(&bucket->spent);
    for (;;) {
        uint64_t latest_ns = duress__atomic_load(&bucket->latest_ns);
        uint64_t unspent = bucket_unspent(bucket, ticks, taken_ns, latest_ns > now_ns ? latest_ns : now_ns);
        if (unspent == 0 || duress__atomic_swap_if(&bucket->spent, &seen, seen - unspent))
            return;
    }
}

uint32_t duress_bucket_tokens(const struct duress_bucket *bucket, uint64_t now_ns)
{
    uint64_t base = bucket_base(bucket, duress__atomic_load(&bucket->spent), now_ns);
    uint64_t level = now_ns * bucket->ticks_per_ns - base;
    return level > INT64_MAX ? 0 : (uint32_t)(level / bucket->ticks_per_token);
}

uint32_t duress_bucket_burst(const struct duress_bucket *bucket)
{
    return bucket->burst;
}
