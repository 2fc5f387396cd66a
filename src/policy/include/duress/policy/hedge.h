/* SPDX-License-Identifier: Apache-2.0
 *
 * Hedging: when an attempt takes longer than most do, begin another one beside it and take the answer that comes first.
 * It cuts the tail of the latencies (a slow replica, a pause, a lost packet) at the price of a few more requests. The
 * idea and the rule are Dean and Barroso's (The Tail at Scale, Communications of the ACM 56(2), 2013): defer the second
 * request until the first has been outstanding for more than the 95th percentile, which bounds the additional load to
 * about 5 %.
 *
 *     attempt 1  |-------------------------------- … given up
 *     attempt 2  |<-- delay -->|-------- answer
 *     attempt 3                |<-- delay -->|      not begun: the answer came first
 *
 * The delay is fixed, or measured: the quantile (95 % by default) of the latencies of the attempts that succeeded
 * lately, within a floor and a ceiling; the histogram tells it at most 1/64 too long. "Lately" is two windows in turn:
 * the one that is being filled, and the one before it. No sample is older than twice |window_ns|, and right after a
 * change of windows there is still a full one to go by. Until |samples_min| samples are in them the delay is the
 * ceiling: what is slow is not known yet, but for that.
 *
 * What is measured. An attempt that was given up, because another was faster or the caller gave up, has no latency, and
 * leaving it out would be wrong: the slowest would be the ones left out, the quantile would sink, still more would be
 * hedged, and so on down. What is known of such an attempt is that it took longer than it ran. If it ran for the delay
 * or longer it is counted as one of exactly the delay, which leaves the quantile where it is; given up before that, it
 * is not counted. (To count it as the time it ran would be wrong too: that time is the delay and the latency of its
 * rival, so where more than 5 % hang the delay would grow with every window.) Failures are not counted: their speed
 * says nothing about answers.
 *
 * Rules of one call:
 *
 * - Only a call that is idempotent is hedged: its attempts may all be executed.
 * - The first success wins, or the first chunk of a streamed reply; the others are to be given up.
 * - A failure begins no attempt (that is the work of a retry, outside), and hastens none. While another attempt runs
 * the call goes on; when the last one that runs has failed, the call fails, though the delay may not have passed yet.
 * - No attempt is begun at or after the call's deadline, nor after stop().
 *
 * Hedges are bounded by a budget beside this policy (duress/policy/retry_budget.h): where most attempts become slow, it
 * is not the tail that is slow, and doubling the load would be the end of the service.
 *
 * Pure: time is an argument. Time that goes backwards is time that stands still. Threads: a hedge belongs to one thread
 * at a time. */
#ifndef DURESS_POLICY_HEDGE_H
#define DURESS_POLICY_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/histogram.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_HEDGE_ATTEMPTS_DEFAULT 2
#define DURESS_HEDGE_ATTEMPTS_MAX 8
#define DURESS_HEDGE_QUANTILE_PPM_DEFAULT 950000
#define DURESS_HEDGE_QUANTILE_PPM_MIN 500000
#define DURESS_HEDGE_QUANTILE_PPM_MAX 999999
#define DURESS_HEDGE_SAMPLES_MIN_DEFAULT 20 /* one in twenty is above the default quantile */
#define DURESS_HEDGE_SAMPLES_MIN_MAX 1000000
#define DURESS_HEDGE_WINDOW_NS_DEFAULT (30 * DURESS_S)
#define DURESS_HEDGE_DELAY_FLOOR_NS_DEFAULT (1 * DURESS_MS)
#define DURESS_HEDGE_DELAY_CEILING_NS_DEFAULT (10 * DURESS_S)
#define DURESS_HEDGE_DURATION_NS_MAX (3600 * DURESS_S)

/* 0 anywhere means the default. With a fixed delay everything after it must be 0. */
struct duress_hedge_options {
    uint32_t attempts_max; /* at most, of one call, counting the first: 2 to DURESS_HEDGE_ATTEMPTS_MAX */
    uint64_t delay_ns; /* fixed, between the begins of two attempts: 1 to DURESS_HEDGE_DURATION_NS_MAX; 0 = measured */
    uint32_t quantile_ppm;     /* DURESS_HEDGE_QUANTILE_PPM_MIN to DURESS_HEDGE_QUANTILE_PPM_MAX */
    uint32_t samples_min;      /* before the delay is measured: 1 to DURESS_HEDGE_SAMPLES_MIN_MAX */
    uint64_t window_ns;        /* 1 to DURESS_HEDGE_DURATION_NS_MAX */
    uint64_t delay_floor_ns;   /* 1 to DURESS_HEDGE_DURATION_NS_MAX; the default is kept below the ceiling */
    uint64_t delay_ceiling_ns; /* delay_floor_ns to DURESS_HEDGE_DURATION_NS_MAX; the default is kept above the floor */
};

/* What is known of one service. Transparent, to be embedded (38 KB, for the two windows); every field is private. */
struct duress_hedge {
    struct duress_hedge_options options; /* complete */
    uint64_t window_begun_ns;            /* DURESS_TIME_NEVER: nothing was measured yet */
    struct duress_histogram window;      /* the one that is being filled */
    struct duress_histogram both;        /* with the one before it */
    struct duress_histogram_cursor cursor;
};

/* Readies a hedge of the caller's memory. Copies |options|; NULL for all defaults. DURESS_E_INVALID where an option is
 * out of range, and |why| (NULL where it does not matter) says which, what was given and what is allowed. */
DURESS_API DURESS_MUST_CHECK int
duress_hedge_init(struct duress_hedge *hedge, const struct duress_hedge_options *options, struct duress_failure *why);

/* The delay that holds for a call that begins at |now_ns|. */
DURESS_API uint64_t duress_hedge_delay_ns(struct duress_hedge *hedge, uint64_t now_ns) DURESS_NONNULL(1);

/* How many samples the delay goes by as of the last call of a function that was given the time. */
DURESS_API uint64_t duress_hedge_samples(const struct duress_hedge *hedge) DURESS_NONNULL(1);

/* One call. Transparent; every field is private. */
struct duress_hedge_call {
    uint64_t delay_ns; /* as of its begin */
    uint64_t next_ns;
    uint64_t deadline_ns;
    uint32_t attempts_left; /* that may be begun yet */
    uint32_t running;
    bool answering; /* a first chunk has come */
};

/* A call and its first attempt begin at |now_ns|. |deadline_ns|: DURESS_TIME_NEVER for none. */
DURESS_API void duress_hedge_begin(struct duress_hedge *hedge, struct duress_hedge_call *call, bool idempotent,
                                   uint64_t deadline_ns, uint64_t now_ns) DURESS_NONNULL(1);

/* When another attempt is due, or DURESS_TIME_NEVER. */
DURESS_API uint64_t duress_hedge_next_ns(const struct duress_hedge_call *call) DURESS_NONNULL(1);

/* Another attempt was due, and begins at |now_ns|: the next one is due a delay later. Where it was due but cannot be
 * begun (the budget, memory) call duress_hedge_stop() instead. */
DURESS_API void duress_hedge_another(struct duress_hedge_call *call, uint64_t now_ns) DURESS_NONNULL(1);

/* No further attempt is to be begun. */
DURESS_API void duress_hedge_stop(struct duress_hedge_call *call) DURESS_NONNULL(1);

/* What becomes of the call. */
enum duress_hedge_verdict {
    DURESS_HEDGE_WON = 0, /* it ends with this answer; the other attempts are to be given up */
    DURESS_HEDGE_GOES_ON, /* another attempt is running */
    DURESS_HEDGE_LOST,    /* it ends with this failure: it was the last that ran */
};

/* An attempt that began at |begun_ns| ended at |now_ns|, with a success or a failure. Afterwards, but for GOES_ON, no
 * further attempt is due. */
DURESS_API enum duress_hedge_verdict duress_hedge_ended(struct duress_hedge *hedge, struct duress_hedge_call *call,
                                                        bool success, uint64_t begun_ns, uint64_t now_ns)
    DURESS_NONNULL(1);

/* The first chunk of a streamed reply came at |now_ns|, of an attempt that began at |begun_ns|: it has won, and its
 * latency is the time until here; how long the rest takes is not measured. The others have been given up before. */
DURESS_API void duress_hedge_answering(struct duress_hedge *hedge, struct duress_hedge_call *call, uint64_t begun_ns,
                                       uint64_t now_ns) DURESS_NONNULL(1);

/* An attempt that began at |begun_ns| was given up at |now_ns|. */
DURESS_API void duress_hedge_given_up(struct duress_hedge *hedge, struct duress_hedge_call *call, uint64_t begun_ns,
                                      uint64_t now_ns) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
