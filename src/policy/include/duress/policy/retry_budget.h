/* SPDX-License-Identifier: Apache-2.0
 *
 * The retry budget: keeps retries a small share of all calls to a service, however many callers retry, so that they do
 * not multiply the load just when the service is weak.
 *
 * A bucket of tokens, shared by all callers of a service. The rule is Finagle's (RetryBudget: each request deposits a
 * share of a token, each retry withdraws a whole one), in the bounds of gRPC's retry throttling (proposal A6: a bucket
 * of at most 1000 tokens that starts full, shares in thousandths of a token). Unlike Finagle there is no reserve for
 * each second and deposits do not expire, because the bucket has no clock: its capacity alone bounds the burst. Unlike
 * gRPC a failure costs nothing by itself, and the whole bucket may be spent, not its upper half.
 *
 *     retries in any stretch of time <= capacity + calls in it * deposit_milli / 1000
 *
 * So with the defaults a failing service sees 10 retries at once and then one for each ten calls. Deposit when a call
 * begins its first attempt (never for a retry: retries would pay for retries), withdraw before each retry, and end the
 * call with its last failure where that is refused.
 *
 * Threads: lock-free, never waits, sequentially consistent. The deposit into a full bucket is one load. */
#ifndef DURESS_POLICY_RETRY_BUDGET_H
#define DURESS_POLICY_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/atomic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_RETRY_BUDGET_CAPACITY_DEFAULT 10
#define DURESS_RETRY_BUDGET_CAPACITY_MAX 1000
#define DURESS_RETRY_BUDGET_DEPOSIT_MILLI_DEFAULT 100
#define DURESS_RETRY_BUDGET_DEPOSIT_MILLI_MAX 1000 /* one retry for each call */
#define DURESS_RETRY_BUDGET_TOKEN_MILLI 1000       /* what a retry costs */

/* 0 anywhere means the default. */
struct duress_retry_budget_options {
    uint32_t capacity;      /* tokens: 1 to DURESS_RETRY_BUDGET_CAPACITY_MAX. The bucket starts full. */
    uint32_t deposit_milli; /* thousandths of a token for each call: 1 to DURESS_RETRY_BUDGET_DEPOSIT_MILLI_MAX */
};

struct duress_retry_budget_snapshot {
    uint64_t tokens_milli; /* in the bucket */
    uint64_t withdrawn;    /* retries granted since it was made */
    uint64_t refused;      /* retries refused since it was made */
};

/* Transparent, to be embedded; every field is private. Neither copied nor moved once in use. */
struct duress_retry_budget {
    struct duress__atomic tokens_milli;
    struct duress__atomic withdrawn;
    struct duress__atomic refused;
    uint64_t capacity_milli;
    uint64_t deposit_milli;
};

/* Readies a budget of the caller's memory. Copies |options|; NULL for all defaults. DURESS_E_INVALID where an option is
 * out of range, and |why| (NULL where it does not matter) says which, what was given and what is allowed. */
DURESS_API DURESS_MUST_CHECK int duress_retry_budget_init(struct duress_retry_budget *budget,
                                                          const struct duress_retry_budget_options *options,
                                                          struct duress_failure *why);

/* Pays in for one call. What is above the capacity is lost. Thread-safe, never waits. */
DURESS_API void duress_retry_budget_deposit(struct duress_retry_budget *budget) DURESS_NONNULL(1);

/* Takes a token for one retry: true where there was one. Thread-safe, never waits. */
DURESS_API DURESS_MUST_CHECK bool duress_retry_budget_withdraw(struct duress_retry_budget *budget) DURESS_NONNULL(1);

/* What is to be seen; each figure is of an instant of its own. Thread-safe. */
DURESS_API void duress_retry_budget_snapshot(const struct duress_retry_budget *budget,
                                             struct duress_retry_budget_snapshot *snapshot) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
