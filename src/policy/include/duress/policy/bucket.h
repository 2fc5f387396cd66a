/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket: how many calls may begin, and when the next one may. Tokens come in at a steady rate, a full bucket
 * holds |burst| of them and takes no more, a call takes its tokens or is told when they will be there. It starts full.
 *
 *     tokens taken in any stretch of time T  <=  burst + rate * T / per_ns
 *
 * That holds to the last nanosecond, for every stretch, whoever takes: the arithmetic is exact. In the manner of the
 * virtual scheduling of the generic cell rate algorithm (ITU-T I.371, annex A) there is no refill: one number says up
 * to where the stream of tokens is spent, and the clock says up to where it has come in. Both count in ticks, of which
 * a token has ticks_per_token and a nanosecond brings ticks_per_ns, whole numbers whatever the rate: 3 tokens a second
 * are 3 ticks a nanosecond and 10^9 ticks a token. So nothing is rounded, and nothing drifts. (Who takes all of a full
 * bucket at each instant told, which is a whole nanosecond, loses what has come in beyond it: leave room for one more.)
 *
 * Ticks wrap at 2^64 (for 10 a second after 584 years, for 999,983 a second after five hours), which nobody notices: a
 * second number, the latest instant at which tokens were taken, tells a bucket that has been idle for longer than half
 * of that from one that was just used.
 *
 * Instants come from one monotonic clock. One that is earlier than another caller's counts as it is: what has not come
 * in by then is not there.
 *
 * Threads: lock-free and try-only, sequentially consistent; a refusal writes nothing. Nobody waits here: who wants to
 * wait is told until when, and asks again (duress/middleware/rate_limiter.h, or a blocking program with its clock). No
 * order among those who ask. */
#ifndef DURESS_POLICY_BUCKET_H
#define DURESS_POLICY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/atomic.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* agenkit's: ten a second, ten at once. */
#define DURESS_BUCKET_RATE_DEFAULT 10
#define DURESS_BUCKET_RATE_MAX 1000000
#define DURESS_BUCKET_PER_NS_DEFAULT DURESS_S
#define DURESS_BUCKET_PER_NS_MIN DURESS_US
#define DURESS_BUCKET_PER_NS_MAX (24 * 3600 * DURESS_S)
#define DURESS_BUCKET_BURST_DEFAULT 10
#define DURESS_BUCKET_BURST_MAX 1000000

/* 0 anywhere means the default. */
struct duress_bucket_options {
    uint32_t rate;   /* tokens for each |per_ns|: 1 to DURESS_BUCKET_RATE_MAX */
    uint32_t burst;  /* tokens in a full bucket: 1 to DURESS_BUCKET_BURST_MAX, and at most 2^60 ticks */
    uint64_t per_ns; /* DURESS_BUCKET_PER_NS_MIN to _MAX; a second */
};

/* Transparent, to be embedded; every field is private. Neither copied nor moved once in use. */
struct duress_bucket {
    struct duress__atomic spent;     /* the tick up to which tokens are spent, modulo 2^64 */
    struct duress__atomic latest_ns; /* no tokens were taken at a later instant */
    uint64_t ticks_per_ns;
    uint64_t ticks_per_token;
    uint64_t capacity; /* ticks of a full bucket */
    uint64_t idle_ns;  /* unused for so long it is full, and |spent| is too old to say so */
    uint32_t burst;
};

/* Readies a bucket of the caller's memory. Copies |options|; NULL for all defaults. DURESS_E_INVALID where an option is
 * out of range, and |why| (NULL where it does not matter) says which, what was given and what is allowed. */
DURESS_API DURESS_MUST_CHECK int duress_bucket_init(struct duress_bucket *bucket,
                                                    const struct duress_bucket_options *options,
                                                    struct duress_failure *why);

/* Takes |tokens| at |now_ns| (below DURESS_TIME_NEVER), all or none: true where they were there. Else nothing has
 * changed, and *ready_at_ns (may be NULL) is the instant at which they will be there if nobody else takes any: the
 * first one at which asking again can help; DURESS_TIME_NEVER for more than |burst|. Thread-safe, never waits. */
DURESS_API DURESS_MUST_CHECK bool duress_bucket_acquire(struct duress_bucket *bucket, uint32_t tokens, uint64_t now_ns,
                                                        uint64_t *ready_at_ns) DURESS_NONNULL(1);

/* When |tokens| will have come in, taken one lot after the other by nobody but a queue of callers: |tokens| may be more
 * than |burst|, for the caller at the end of it. |now_ns| where they are there; DURESS_TIME_NEVER where that is 2^61
 * ticks off (half an hour at the oddest rate, 73 years at 10 a second). Takes nothing. Thread-safe. */
DURESS_API uint64_t duress_bucket_ready_ns(const struct duress_bucket *bucket, uint64_t tokens, uint64_t now_ns)
    DURESS_NONNULL(1);

/* Gives |tokens| back that were taken at |taken_ns| (the instant given then) and not used. What has come in since, or
 * could have, is subtracted: meanwhile the bucket may have been as full as it gets, and would have lost what is now
 * given back. So at the same instant all of it comes back, and after burst * per_ns / rate nothing. Those who wait
 * elsewhere are not told. Thread-safe, never waits. */
DURESS_API void duress_bucket_give_back(struct duress_bucket *bucket, uint32_t tokens, uint64_t taken_ns,
                                        uint64_t now_ns) DURESS_NONNULL(1);

/* Whole tokens in the bucket at |now_ns|. Thread-safe. */
DURESS_API uint32_t duress_bucket_tokens(const struct duress_bucket *bucket, uint64_t now_ns) DURESS_NONNULL(1);

/* As it was made. */
DURESS_API uint32_t duress_bucket_burst(const struct duress_bucket *bucket) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
