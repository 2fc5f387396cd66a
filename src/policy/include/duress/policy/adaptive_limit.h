/* SPDX-License-Identifier: Apache-2.0
 *
 * The adaptive limit: finds out how many calls at once a service bears, from how long its answers take. For a bulkhead
 * (duress/policy/bulkhead.h) whose right limit nobody knows, or which changes.
 *
 * Samples are gathered in windows: of window_ns at the least, and of samples_min calls. At the end of each the limit
 * moves once, after one of two rules, both in the manner of Netflix's concurrency-limits
 * (github.com/Netflix/concurrency-limits, Gradient2Limit and AIMDLimit):
 *
 * gradient:
 *
 *     long      = the average answer time, smoothed over long_windows windows (at first over all there were);
 *                 a tenth less for each window in which it is more than twice the window's own average
 *     gradient  = long * tolerance / the window's average, but 1/2 at the least and 1 at the most
 *     limit     = limit * (1 - smoothing) + (limit * gradient + queue_allowance) * smoothing
 *
 * additive increase, multiplicative decrease: limit + 1 after a window without a drop, limit * backoff after one with.
 *
 * Unlike there, a window in which a call was dropped (refused as overloaded, or out of time) backs off in both: the
 * answer times of those that came through say nothing about those that did not. Without a drop the limit only moves
 * where it was in the way: where at least half of it was in use at once.
 *
 * Integers alone: the limit is kept in thousandths, so that equal samples give equal limits on every machine.
 *
 * Threads: one caller at a time gathers, and nobody waits: a sample that comes while another thread adds its own is
 * dropped. What is learned is a statistic; one sample more or less does not change it. */
#ifndef DURESS_POLICY_ADAPTIVE_LIMIT_H
#define DURESS_POLICY_ADAPTIVE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/atomic.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_ADAPTIVE_LIMIT_INITIAL_DEFAULT 20
#define DURESS_ADAPTIVE_LIMIT_MIN_DEFAULT 4
#define DURESS_ADAPTIVE_LIMIT_MAX_DEFAULT 200
#define DURESS_ADAPTIVE_LIMIT_LIMIT_MAX 1000000
#define DURESS_ADAPTIVE_WINDOW_NS_DEFAULT DURESS_S
#define DURESS_ADAPTIVE_WINDOW_NS_MAX (3600 * DURESS_S)
#define DURESS_ADAPTIVE_SAMPLES_MIN_DEFAULT 10
#define DURESS_ADAPTIVE_SAMPLES_MIN_MAX 1000000
#define DURESS_ADAPTIVE_BACKOFF_PPM_DEFAULT 900000
#define DURESS_ADAPTIVE_SMOOTHING_PPM_DEFAULT 200000
#define DURESS_ADAPTIVE_TOLERANCE_PPM_DEFAULT 1000000
#define DURESS_ADAPTIVE_TOLERANCE_PPM_MAX 10000000
#define DURESS_ADAPTIVE_QUEUE_ALLOWANCE_DEFAULT 4
#define DURESS_ADAPTIVE_LONG_WINDOWS_DEFAULT 600
#define DURESS_ADAPTIVE_LONG_WINDOWS_MAX 100000

enum duress_adaptive_rule {
    DURESS_ADAPTIVE_GRADIENT = 0,
    DURESS_ADAPTIVE_AIMD,
};

/* 0 anywhere means the default. */
struct duress_adaptive_limit_options {
    enum duress_adaptive_rule rule;
    uint32_t limit_initial;   /* between limit_min and limit_max; by default 20, or the nearer of the two */
    uint32_t limit_min;       /* 1 to limit_max; 4 */
    uint32_t limit_max;       /* to DURESS_ADAPTIVE_LIMIT_LIMIT_MAX; 200 */
    uint64_t window_ns;       /* 1 to DURESS_ADAPTIVE_WINDOW_NS_MAX; 1 s */
    uint32_t samples_min;     /* 1 to DURESS_ADAPTIVE_SAMPLES_MIN_MAX; 10 */
    uint32_t backoff_ppm;     /* what is left of the limit after a window with a drop: 500000 to 999999; 900000 */
    uint32_t smoothing_ppm;   /* 1 to 1000000; 200000. Gradient alone */
    uint32_t tolerance_ppm;   /* 1000000 to DURESS_ADAPTIVE_TOLERANCE_PPM_MAX: how much slower than in the long run is
                               * still well; 1000000. Gradient alone */
    uint32_t queue_allowance; /* how many calls may queue in the service: 1 to limit_max; 4. Gradient alone */
    uint32_t long_windows;    /* 2 to DURESS_ADAPTIVE_LONG_WINDOWS_MAX; 600. Gradient alone */
};

/* Transparent, to be embedded; every field is private. Neither copied nor moved once in use. */
struct duress_adaptive_limit {
    struct duress_adaptive_limit_options options; /* complete */
    struct duress__atomic limit;                  /* whole calls, for those who look */
    struct duress__atomic busy;                   /* 1: a thread is in what follows */
    uint64_t limit_milli;
    uint64_t long_ns;    /* the long-run average; 0: none yet */
    uint32_t long_count; /* windows in it, up to long_windows */
    uint64_t opened_ns;  /* the window: since its first sample */
    uint64_t total_ns;   /* of its answered samples */
    uint32_t answered;   /* samples with an answer time */
    uint32_t samples;    /* with those that were dropped */
    uint32_t in_use_max;
    bool dropped;
};

/* Readies a limit of the caller's memory. Copies |options|; NULL for all defaults. DURESS_E_INVALID where an option is
 * out of range or means nothing for the rule, and |why| (may be NULL) says which. There is nothing to undo. */
DURESS_API DURESS_MUST_CHECK int duress_adaptive_limit_init(struct duress_adaptive_limit *adaptive,
                                                            const struct duress_adaptive_limit_options *options,
                                                            struct duress_failure *why);

/* One call has ended at |now_ns|, |took_ns| after it began, while |in_use| calls ran (itself included). |dropped|: the
 * service was overloaded or did not answer in time, and |took_ns| is not looked at. Calls that failed otherwise or were
 * cancelled are no samples. Returns the limit from now on. Thread-safe, never waits. */
DURESS_API uint32_t duress_adaptive_limit_sample(struct duress_adaptive_limit *adaptive, uint64_t now_ns,
                                                 uint64_t took_ns, uint32_t in_use, bool dropped) DURESS_NONNULL(1);

/* The limit: limit_min to limit_max. Thread-safe. */
DURESS_API uint32_t duress_adaptive_limit_limit(const struct duress_adaptive_limit *adaptive) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
