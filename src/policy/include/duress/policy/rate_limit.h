/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limit: what becomes of a call that wants tokens of a bucket (duress/policy/bucket.h). It passes, or it waits
 * until an instant and asks again, or it is refused at once because waiting is not wanted or cannot help.
 *
 * Waiting is first come, first served among the callers of one queue, which is the caller's own (that of one loop): who
 * asks says how many of it are ahead. Nothing is reserved. A call that gives up costs the others nothing, and they move
 * up. Where a bucket has one queue, a call that was told to wait gets its tokens at that instant or, where others give
 * up, before; where a bucket is shared by queues, others may be quicker, and asking again may tell a later instant.
 *
 * Pure but for the bucket: the options are never written to after duress_rate_limit_options_init(), and may be shared
 * by threads. */
#ifndef DURESS_POLICY_RATE_LIMIT_H
#define DURESS_POLICY_RATE_LIMIT_H

#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/bucket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_RATE_LIMIT_TOKENS_DEFAULT 1
#define DURESS_RATE_LIMIT_WAITING_MAX_DEFAULT 1000
#define DURESS_RATE_LIMIT_WAITING_MAX_MAX 1000000

enum duress_rate_limit_mode {
    DURESS_RATE_LIMIT_WAIT = 0, /* as agenkit's */
    DURESS_RATE_LIMIT_REFUSE,   /* never waits */
};

/* All zero: waits, as long as its deadline allows, for one token, behind at most a thousand others. */
struct duress_rate_limit_options {
    enum duress_rate_limit_mode mode;
    uint32_t tokens_per_request; /* 1 to the bucket's burst; 0 = 1 */
    uint32_t waiting_max;        /* calls in the queue: 1 to DURESS_RATE_LIMIT_WAITING_MAX_MAX; 0 = 1000. Not where
                                  * calls are refused */
    uint64_t wait_ns_max;        /* of one call; 0 = DURESS_TIME_NEVER = unlimited. Not where calls are refused */
};

/* Checks |given| (NULL for all defaults) for use with |bucket|, and writes it with the defaults filled in to
 * *complete. DURESS_E_INVALID with the field in |why| (may be NULL). */
DURESS_API DURESS_MUST_CHECK int duress_rate_limit_options_init(struct duress_rate_limit_options *complete,
                                                                const struct duress_rate_limit_options *given,
                                                                const struct duress_bucket *bucket,
                                                                struct duress_failure *why);

enum duress_rate_verdict {
    DURESS_RATE_PASS = 0, /* it has its tokens */
    DURESS_RATE_WAIT,     /* until at_ns, and asks again; it is owed nothing */
    DURESS_RATE_REFUSE,   /* for |reason| */
};

/* Why a call is refused. */
enum duress_rate_reason {
    DURESS_RATE_BY_NOTHING = 0, /* it is not */
    DURESS_RATE_BY_RATE,        /* no tokens, and waiting is not wanted */
    DURESS_RATE_BY_QUEUE,       /* as many wait as may */
    DURESS_RATE_BY_WAIT,        /* it would have to wait for longer than wait_ns_max */
    DURESS_RATE_BY_DEADLINE,    /* its deadline is not after the tokens' instant */
};
#define DURESS_RATE_REASON_COUNT 5

/* "no tokens left", for messages; never NULL. */
DURESS_API const char *duress_rate_reason_name(enum duress_rate_reason reason);

/* A call that asks. */
struct duress_rate_request {
    uint32_t ahead;       /* calls of the same queue that wait and come first */
    uint64_t since_ns;    /* when it asked for the first time */
    uint64_t deadline_ns; /* DURESS_TIME_NEVER: none */
};

struct duress_rate_decision {
    enum duress_rate_verdict verdict;
    enum duress_rate_reason reason;
    uint64_t at_ns; /* when its tokens will be there, as far as is known; |now_ns| where it passes */
};

/* Decides about one call at |now_ns|, with |options| from duress_rate_limit_options_init(). Where it passes the tokens
 * are taken; otherwise nothing has changed. Thread-safe, never waits. */
DURESS_API struct duress_rate_decision duress_rate_limit_decide(const struct duress_rate_limit_options *options,
                                                                struct duress_bucket *bucket,
                                                                const struct duress_rate_request *request,
                                                                uint64_t now_ns) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
