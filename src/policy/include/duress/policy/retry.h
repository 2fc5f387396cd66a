/* SPDX-License-Identifier: Apache-2.0
 *
 * Retry: whether a failed attempt is worth another one, and when.
 *
 * The waits grow from |backoff_ns| by |multiplier_milli| / 1000 (rounded up) up to |backoff_cap_ns|: for the k-th wait
 *
 *     ceiling(k) = min(cap, base * multiplier^(k - 1))
 *
 * and jitter draws the wait from that, after the four forms of M. Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015:
 *
 *     none           ceiling
 *     full           uniform in [0, ceiling]                            the default: it spreads callers best
 *     equal          ceiling / 2 (rounded up) + uniform in [0, ceiling / 2]
 *     decorrelated   min(cap, uniform in [base, 3 * previous wait]), where the wait before the first is the base; the
 *                    multiplier has no part in it
 *
 * The cap bounds the first wait too, also where the base is above it. Every sum and product saturates.
 *
 * Given up at once, with the attempt's own failure as the answer, are: failures that the mask rules out; an ambiguous
 * failure (the request may have been executed) of a call that is not idempotent; the last attempt; and a wait that
 * would reach or pass the deadline: sleeping into a deadline helps nobody, and loses the real error.
 *
 * A retry-after that the peer sent is a floor: without jitter the wait is the longer of the two; with jitter the drawn
 * wait comes on top, lest all callers that the peer sent away come back together. One that is longer than the cap is
 * given up: the peer will not be well within a time that is worth waiting here.
 *
 * Pure: time and chance come in as arguments, and nothing is shared but the options, which do not change. */
#ifndef DURESS_POLICY_RETRY_H
#define DURESS_POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/prng.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Defaults, agenkit's but for the jitter. */
#define DURESS_RETRY_ATTEMPTS_DEFAULT 3
#define DURESS_RETRY_BACKOFF_NS_DEFAULT (1 * DURESS_S)
#define DURESS_RETRY_BACKOFF_CAP_NS_DEFAULT (30 * DURESS_S)
#define DURESS_RETRY_MULTIPLIER_MILLI_DEFAULT 2000

/* Limits. */
#define DURESS_RETRY_ATTEMPTS_MAX 1000
#define DURESS_RETRY_BACKOFF_NS_MAX (366 * 24 * 3600 * DURESS_S)
#define DURESS_RETRY_MULTIPLIER_MILLI_MAX 1000000

enum duress_jitter {
    DURESS_JITTER_FULL = 0,
    DURESS_JITTER_NONE,
    DURESS_JITTER_EQUAL,
    DURESS_JITTER_DECORRELATED,
};

/* The bit of |code| (DURESS_E_*) in duress_retry_options.retryable_mask; 0 for DURESS_OK and unknown codes. */
#define DURESS_RETRY_BIT(code)                                                                                         \
    ((code) < 0 && (code) > -DURESS_ERROR_NUMBER_END ? UINT64_C(1) << (unsigned)(-(code)) : UINT64_C(0))

/* 0 anywhere means the default. */
struct duress_retry_options {
    uint32_t attempts_max;     /* counts the first one: 1 = never retry; to DURESS_RETRY_ATTEMPTS_MAX */
    uint64_t backoff_ns;       /* ceiling of the first wait: 1 to DURESS_RETRY_BACKOFF_NS_MAX */
    uint64_t backoff_cap_ns;   /* of every wait: 1 to DURESS_RETRY_BACKOFF_NS_MAX */
    uint32_t multiplier_milli; /* 1000 (no growth) to DURESS_RETRY_MULTIPLIER_MILLI_MAX */
    enum duress_jitter jitter;
    uint64_t retryable_mask; /* of DURESS_RETRY_BIT()s; by default the codes that duress_error_is_retryable() */
};

/* Fills |options| from |given| (NULL for all defaults; may be |options| itself) with the defaults in place of zeros.
 * DURESS_E_INVALID where a field is out of range: |why| (NULL where it does not matter) then names the field, what was
 * given and what is allowed, and |options| is as it was. Any number of calls and threads may share the result. */
DURESS_API DURESS_MUST_CHECK int duress_retry_options_init(struct duress_retry_options *options,
                                                           const struct duress_retry_options *given,
                                                           struct duress_failure *why);

/* What one call must remember between its attempts. Transparent; fields are private but for |attempts|. */
struct duress_retry {
    uint32_t attempts;    /* begun so far */
    uint64_t ceiling_ns;  /* of the next wait */
    uint64_t previous_ns; /* the last wait that was drawn */
};

enum duress_retry_verdict {
    DURESS_RETRY_WAIT = 0, /* begin the next attempt at |at_ns| */
    DURESS_RETRY_GIVE_UP,  /* the call ends with the failure of its last attempt */
};

/* Why it was given up. */
enum duress_retry_reason {
    DURESS_RETRY_GOES_ON = 0,       /* it was not */
    DURESS_RETRY_NOT_RETRYABLE,     /* the mask rules the code out */
    DURESS_RETRY_AMBIGUOUS,         /* it may have been executed, and is not idempotent */
    DURESS_RETRY_ATTEMPTS_SPENT,    /* that was the last attempt */
    DURESS_RETRY_AFTER_TOO_LONG,    /* the peer asked for a longer wait than the cap */
    DURESS_RETRY_DEADLINE_TOO_NEAR, /* the wait would reach or pass it */
};

struct duress_retry_decision {
    enum duress_retry_verdict verdict;
    enum duress_retry_reason reason;
    uint64_t at_ns; /* DURESS_RETRY_WAIT: when; else DURESS_TIME_NEVER */
};

/* Begins a call: its first attempt is under way. |options| come from duress_retry_options_init(). */
DURESS_API void duress_retry_init(struct duress_retry *retry, const struct duress_retry_options *options)
    DURESS_NONNULL(1);

/* Decides about the attempt that failed with |failure| at |now_ns|. |idempotent|: the call may be executed twice.
 * |deadline_ns|: the whole call's, or DURESS_TIME_NEVER. On DURESS_RETRY_WAIT the next attempt counts as begun. Draws
 * from |prng| only where a wait is worked out, and jitter is not none. Borrows its arguments for the call. Thread-safe
 * for calls with a |retry| and a |prng| of their own. */
DURESS_API struct duress_retry_decision duress_retry_decide(struct duress_retry *retry,
                                                            const struct duress_retry_options *options,
                                                            const struct duress_failure *failure, bool idempotent,
                                                            uint64_t deadline_ns, uint64_t now_ns,
                                                            struct duress_prng *prng) DURESS_NONNULL(1);

/* Names in lower case ("attempts spent"); never NULL. Thread-safe. */
DURESS_API const char *duress_retry_reason_name(enum duress_retry_reason reason);

#ifdef __cplusplus
}
#endif

#endif
