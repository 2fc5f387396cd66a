/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking door, for programs without a loop: bulkhead, rate limiter, retry (with its budget), circuit breaker and
 * deadline, in this order from the outside in, around a plain function that blocks. One guard stands for one service,
 * and any number of threads may run calls through it at once.
 *
 * It is cooperative: the function is told its deadline, and has to keep it (with socket timeouts and the like). Nothing
 * can stop it from outside. One that returns late is reported as such: the call fails with DURESS_E_DEADLINE, whatever
 * the function returned, the detail names that and the overrun, and the overrun is counted. Waits between attempts are
 * never begun where they would reach the deadline.
 *
 * A bulkhead refuses where all of its slots are taken, and a run holds its slot to its end. A rate limiter makes a run
 * wait for its tokens, as the options say, or refuses it; threads that wait count as a queue, whose order is that of
 * their clocks. Both may be shared with other guards, and with the layers of agents on any thread.
 *
 * Chance: the waits of each run are drawn from a generator of that run, seeded with the guard's seed and the number of
 * the run. So threads share no generator and take no lock, and where runs are made one after another a seed replays
 * them. */
#ifndef DURESS_MIDDLEWARE_GUARD_H
#define DURESS_MIDDLEWARE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/middleware/breaker.h>
#include <duress/policy/atomic.h>
#include <duress/policy/bucket.h>
#include <duress/policy/bulkhead.h>
#include <duress/policy/rate_limit.h>
#include <duress/policy/retry.h>
#include <duress/policy/retry_budget.h>
#include <duress/policy/timeout.h>
#include <duress/world/clock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does the work, blocking, by |deadline_ns| on the guard's clock (DURESS_TIME_NEVER: none). |attempt| counts from 1.
 * Returns DURESS_OK or a DURESS_E_*. Whether the failure is ambiguous follows from the code: see error.h. */
typedef int (*duress_guard_fn)(void *context, uint32_t attempt, uint64_t deadline_ns);

/* A NULL pointer leaves its part out. */
struct duress_guard_options {
    const struct duress_clock *clock; /* borrowed, outlives the guard; duress_clock_live() for programs */
    struct duress_bulkhead *bulkhead; /* borrowed, outlives the guard; may be shared */
    struct duress_bucket *bucket;     /* borrowed, outlives the guard; may be shared */
    const struct duress_rate_limit_options *rate_limit; /* how runs wait for tokens; copied; NULL: its defaults. Only
                                                         * with |bucket| */
    const struct duress_retry_options *retry;           /* copied */
    struct duress_retry_budget *retry_budget;     /* borrowed, outlives the guard; may be shared. Only with |retry| */
    struct duress_breaker *breaker;               /* borrowed, outlives the guard; may be shared */
    duress_outcome_fn outcome_of;                 /* NULL: duress_outcome_of() of the failure's code */
    void *context;                                /* of |outcome_of|, which is called from many threads */
    const struct duress_timeout_options *timeout; /* of one attempt; copied. gap_ns must be 0: nothing is streamed */
    uint64_t seed;                                /* of the waits */
};

/* Transparent, to be embedded without a heap; every field is private. Not to be moved while a call runs. */
struct duress_guard {
    const struct duress_clock *clock;
    struct duress_retry_options retry;
    struct duress_timeout_options timeout;
    struct duress_rate_limit_options rate_limit;
    struct duress_bulkhead *bulkhead;
    struct duress_bucket *bucket;
    struct duress_retry_budget *retry_budget;
    struct duress_breaker *breaker;
    duress_outcome_fn outcome_of;
    void *context;
    uint64_t seed;
    bool retries;
    bool limited;
    struct duress__atomic begun;
    struct duress__atomic succeeded;
    struct duress__atomic failed;
    struct duress__atomic timed_out;
    struct duress__atomic refused;
    struct duress__atomic refused_full;
    struct duress__atomic refused_rate;
    struct duress__atomic waiting;
    struct duress__atomic waited;
    struct duress__atomic attempts;
    struct duress__atomic budget_refusals;
    struct duress__atomic late;
    struct duress__atomic overrun_ns_max;
};

/* Readies a guard of the caller's memory. DURESS_E_INVALID with the field in |why| (may be NULL). There is nothing to
 * undo. */
DURESS_API DURESS_MUST_CHECK int
duress_guard_init(struct duress_guard *guard, const struct duress_guard_options *options, struct duress_failure *why);

struct duress_guard_call {
    uint64_t deadline_ns; /* of the whole call, absolute on the guard's clock; 0 = DURESS_TIME_NEVER = none */
    bool idempotent;      /* may be executed twice without harm: needed for retries after an ambiguous failure */
    uint64_t *overrun_ns; /* how late the last attempt returned, 0 for in time; may be NULL */
};

/* Runs |fn| through the guard and waits for the end. |call| may be NULL: no deadline, not idempotent. Returns
 * DURESS_OK, or the failure's code with *failure filled (may be NULL): that of the last attempt, with |attempts|;
 * CIRCUIT_OPEN with retry_after_ns where the breaker refused (origin BREAKER); BULKHEAD_FULL (origin BULKHEAD) and
 * RATE_LIMITED with retry_after_ns (origin LIMITER), both without an attempt and not ambiguous; DEADLINE where an
 * attempt returned late (origin TIMEOUT; ambiguous) or the deadline had passed before the first attempt (origin CALLER;
 * not ambiguous); INVALID for a NULL |guard| or |fn|. Thread-safe. */
DURESS_API int duress_guard_run(struct duress_guard *guard, duress_guard_fn fn, void *context,
                                const struct duress_guard_call *call, struct duress_failure *failure);

/* The calls of a guard. begun = succeeded + failed + timed_out + refused + in_flight, where no call runs; while calls
 * run each figure is of an instant of its own. */
struct duress_guard_counts {
    uint64_t begun;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t timed_out; /* ended with DURESS_E_DEADLINE by a limit of the guard or of the call */
    uint64_t refused;   /* by the bulkhead, the rate limiter or the breaker */
    uint64_t in_flight;
    uint64_t refused_full; /* of refused: by the bulkhead */
    uint64_t refused_rate; /* of refused: by the rate limiter */
    uint64_t waiting;      /* of in_flight: for tokens */
    uint64_t waited;       /* runs that waited and got their tokens */
    uint64_t attempts;
    uint64_t budget_refusals;
    uint64_t late;           /* attempts that returned after their deadline */
    uint64_t overrun_ns_max; /* the longest of them */
};
DURESS_API struct duress_guard_counts duress_guard_counts(const struct duress_guard *guard);

#ifdef __cplusplus
}
#endif

#endif
