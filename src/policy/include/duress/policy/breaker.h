/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker: stops calling a service that fails, and finds out gently when it has recovered.
 *
 *                  failures_to_open in a row, or a rate of the window
 *        +--------+ ----------------------------------------------> +------+
 *        | closed |                                                 | open | <-------------+
 *        +--------+                                                 +------+               |
 *             ^                                                        | recovery_ns       | a probe failed, or
 *             | successes_to_close probes succeeded                    v after the opening | its lease ended
 *             +-------------------------------------------------- +-----------+            |
 *                                                                 | half-open | -----------+
 *                                                                 +-----------+
 *
 * Pure: no clock, no allocation, no I/O. Ask duress_breaker_acquire() before a call, tell duress_breaker_report() how
 * it ended. There is no timer: what time alone brings about (the end of the recovery, the end of a lease) is worked out
 * at the next call of a function that is given the time, and is dated as if a timer had fired.
 *
 * The rules that simple breakers get wrong:
 *
 * - Generations. Each change of state begins a generation, and a permit belongs to the one it was given in. A result of
 *   an earlier generation is counted in the totals (and as |late|) and never moves the state: neither can a straggler
 *   from before the opening close the circuit or renew its open time, nor can it spoil a round of probes.
 * - Recovery is measured from the instant of the opening.
 * - Half-open lets through at most |probes_max| calls at once, whatever the number of callers.
 * - A probe has a lease. One that has not reported when its lease ends is given up, and that counts as a failed probe:
 *   the circuit reopens as of that instant. (The other choice, to free the slot and probe again at once, would send a
 *   probe for each lease into a service that swallows calls: the lease would take the place of the recovery time. It
 *   also would let a caller that leaks permits run as many calls at a time as it likes.) Set the lease longer than the
 *   timeout of the call, so that only a lost permit lapses. A report at or after the end of the lease is late.
 * - A cancelled call says nothing about the service: it is not counted, and a probe's slot is free again. Nor is an
 *   ignored one (the caller's own mistake, a refusal by one of our layers): see duress_outcome_of().
 * - Time that goes backwards is time that stands still: an instant before the breaker's last change of state, or before
 *   the admission of the permit that is reported, is taken as that instant.
 *
 * Threads: every function may be called from any thread at any time, but for duress_breaker_init(), and none ever
 * waits. The state, its generation, its count and the probes in flight are one 64-bit word that changes by compare and
 * swap; every atomic operation is sequentially consistent. Beside the word stand instants that only grow: the last
 * opening, the last change, the end of each slot's lease. Who wants to change the word raises the instant *first*, so
 * that whoever sees the new state sees an instant that belongs to it, or a later one. A thread that raised it and then
 * lost the swap had read the old state before the winner's swap, and so came with an instant that is not later than
 * that swap: however threads meet, no opening and no lease is dated after it happened.
 *
 * On a closed circuit without recent failures acquire and report are one load and one addition each. The consecutive
 * mode is lock-free throughout. In the rate modes acquire is too, and so are reports on a circuit that is not closed. A
 * report on a closed one puts its result into a word that is shared, and then tries to enter the section in which the
 * window is kept: if another thread is inside, that thread weighs the result before it is done, and this one goes its
 * way. So nobody spins or sleeps, nothing is held across a call, and what a stalled thread can hold up is the weighing
 * of the window, not a caller. (Results weighed for others are dated by the thread that weighs them. Of more than
 * 65,535 results left behind during one stall the rest is not weighed; the rate of so many speaks for all.)
 *
 * Limits: a generation has 35 bits. A permit held for exactly 2^35 changes of state would be taken for a current one.
 */
#ifndef DURESS_POLICY_BREAKER_H
#define DURESS_POLICY_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/atomic.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Defaults; the first three are agenkit's. */
#define DURESS_BREAKER_FAILURES_TO_OPEN_DEFAULT 5
#define DURESS_BREAKER_SUCCESSES_TO_CLOSE_DEFAULT 2
#define DURESS_BREAKER_RECOVERY_NS_DEFAULT (60 * DURESS_S)
#define DURESS_BREAKER_PROBES_DEFAULT 1
#define DURESS_BREAKER_PROBE_LEASE_NS_DEFAULT (60 * DURESS_S) /* twice the default timeout of a call */
#define DURESS_BREAKER_WINDOW_CALLS_DEFAULT 100
#define DURESS_BREAKER_WINDOW_NS_DEFAULT (10 * DURESS_S)
#define DURESS_BREAKER_WINDOW_BUCKETS_DEFAULT 10
#define DURESS_BREAKER_CALLS_MIN_DEFAULT 20
#define DURESS_BREAKER_FAILURE_RATE_PPM_DEFAULT 500000
#define DURESS_BREAKER_SLOW_RATE_PPM_DEFAULT 1000000

/* Limits. */
#define DURESS_BREAKER_COUNT_MAX 1000 /* of failures_to_open and successes_to_close */
#define DURESS_BREAKER_PROBES_MAX 8
#define DURESS_BREAKER_WINDOW_CALLS_MAX 1024
#define DURESS_BREAKER_WINDOW_BUCKETS_MAX 32
#define DURESS_BREAKER_DURATION_NS_MAX (366 * 24 * 3600 * DURESS_S)
#define DURESS_BREAKER_LOG_COUNT 32

enum duress_breaker_mode {
    DURESS_BREAKER_CONSECUTIVE = 0, /* opens after so many failures in a row */
    DURESS_BREAKER_RATE_OF_CALLS,   /* opens by the share of bad ones among the last |window_calls| results */
    DURESS_BREAKER_RATE_OF_TIME,    /* opens by the share of bad ones among the results of the last |window_ns| */
};

enum duress_breaker_state {
    DURESS_BREAKER_CLOSED = 0,
    DURESS_BREAKER_OPEN,
    DURESS_BREAKER_HALF_OPEN,
    DURESS_BREAKER_FORCED_OPEN,   /* refuses everything until released */
    DURESS_BREAKER_FORCED_CLOSED, /* admits everything until released */
};

/* Why a state changed. */
enum duress_breaker_reason {
    DURESS_BREAKER_BY_FAILURES = 0, /* closed -> open: failures in a row */
    DURESS_BREAKER_BY_FAILURE_RATE, /* closed -> open */
    DURESS_BREAKER_BY_SLOW_RATE,    /* closed -> open */
    DURESS_BREAKER_BY_RECOVERY,     /* open -> half-open: the recovery time is over and a call came */
    DURESS_BREAKER_BY_PROBE_FAILED, /* half-open -> open */
    DURESS_BREAKER_BY_PROBE_LAPSED, /* half-open -> open: a lease ended without a report */
    DURESS_BREAKER_BY_PROBES_GOOD,  /* half-open -> closed */
    DURESS_BREAKER_BY_FORCE,        /* any -> forced open or forced closed */
    DURESS_BREAKER_BY_RELEASE,      /* forced open -> half-open, forced closed -> closed */
};

#define DURESS_BREAKER_REASON_COUNT 9

/* A verdict, not an error. */
enum duress_verdict {
    DURESS_ADMIT = 0,
    DURESS_REFUSE_OPEN,    /* open */
    DURESS_REFUSE_PROBING, /* half-open, with all of its probes in flight */
};

/* How an admitted call ended. */
enum duress_outcome {
    DURESS_OUTCOME_SUCCESS = 0,
    DURESS_OUTCOME_FAILURE,
    DURESS_OUTCOME_CANCELLED, /* by the caller: not counted for or against the service */
    DURESS_OUTCOME_IGNORED,   /* failed for reasons that say nothing about the service: likewise */
};

/* 0 anywhere means the default. What belongs to another mode must be 0. */
struct duress_breaker_options {
    enum duress_breaker_mode mode;
    uint32_t failures_to_open;   /* consecutive mode: 1 to DURESS_BREAKER_COUNT_MAX */
    uint32_t successes_to_close; /* successful probes: 1 to DURESS_BREAKER_COUNT_MAX */
    uint64_t recovery_ns;        /* how long it stays open: 1 to DURESS_BREAKER_DURATION_NS_MAX */
    uint32_t probes_max;         /* at once: 1 to DURESS_BREAKER_PROBES_MAX */
    uint64_t probe_lease_ns;     /* longer than a call's timeout: 1 to DURESS_BREAKER_DURATION_NS_MAX */

    /* The rate modes. A rate is reached at or above the figure, once |calls_min| results are in the window. */
    uint32_t window_calls;     /* of calls: 1 to DURESS_BREAKER_WINDOW_CALLS_MAX */
    uint64_t window_ns;        /* of time: window_buckets to DURESS_BREAKER_DURATION_NS_MAX */
    uint32_t window_buckets;   /* of time: 1 to DURESS_BREAKER_WINDOW_BUCKETS_MAX. Moves on by a bucket of window_ns /
                                * window_buckets (rounded up) at a time; spans the bucket of now and those before. */
    uint32_t calls_min;        /* 1 to 1,000,000, of calls at most window_calls; the default is kept below that too */
    uint32_t failure_rate_ppm; /* 1 to 1,000,000 */
    uint64_t slow_call_ns;     /* results that took at least this are slow, and so is a probe, which then counts as
                                * failed; 0 to DURESS_BREAKER_DURATION_NS_MAX, 0 = no call is slow */
    uint32_t slow_rate_ppm;    /* 1 to 1,000,000; only with slow_call_ns */
};

/* Leave for one call. A plain value. */
struct duress_permit {
    uint64_t generation;  /* private; 0 in one that was not given */
    uint64_t admitted_ns; /* when it was given: the duration of the call is measured from here */
    uint32_t slot;        /* private; which probe it is, if it is one */
};

struct duress_breaker_transition {
    uint64_t at_ns;      /* never before that of an earlier one */
    uint64_t generation; /* that it began; the breaker is made in generation 1 */
    enum duress_breaker_state from;
    enum duress_breaker_state to;
    enum duress_breaker_reason reason;
};

/* Totals since the breaker was made. admitted = successes + failures + cancelled + ignored + those not yet reported. */
struct duress_breaker_counters {
    uint64_t admitted;
    uint64_t refused_open;
    uint64_t refused_probing;
    uint64_t successes;
    uint64_t failures;
    uint64_t cancelled;
    uint64_t ignored;
    uint64_t late;                                     /* of the four above: reports of an earlier generation */
    uint64_t lapsed;                                   /* rounds of probes that ended because a lease did */
    uint64_t transitions[DURESS_BREAKER_REASON_COUNT]; /* changes of state by enum duress_breaker_reason */
};

struct duress_breaker_snapshot {
    enum duress_breaker_state state;
    uint64_t generation;
    uint32_t failures_in_a_row; /* closed, consecutive mode */
    uint32_t probes_good;       /* half-open */
    uint32_t probes_in_flight;  /* half-open */
    uint64_t opened_ns;         /* the last opening; 0 where there was none */
    struct duress_breaker_counters counters;
};

/* The pieces of the breaker; private. */
struct duress__breaker_counts {
    uint32_t calls;
    uint32_t failures;
    uint32_t slow;
};

struct duress__breaker_window {
    struct duress__atomic pending; /* results that wait to be weighed */
    struct duress__atomic entered; /* 1 while a thread is in the section that guards the rest */
    uint64_t generation;           /* whose results it holds */
    struct duress__breaker_counts sum;
    uint32_t next;   /* of calls: where the next result goes */
    uint64_t newest; /* of time: number of the newest bucket since instant 0 */
    union {
        struct {
            uint64_t failed[DURESS_BREAKER_WINDOW_CALLS_MAX / 64];
            uint64_t slow[DURESS_BREAKER_WINDOW_CALLS_MAX / 64];
        } calls;
        struct duress__breaker_counts buckets[DURESS_BREAKER_WINDOW_BUCKETS_MAX];
    } held;
};

struct duress__breaker_log_entry {
    struct duress__atomic header; /* generation, states and reason; see breaker_log.c */
    struct duress__atomic at_ns;
};

/* Transparent, to be embedded without a heap; every field is private. Neither copied nor moved once in use. */
struct duress_breaker {
    struct duress__atomic word;       /* state, generation, count and probes: see breaker_word.h */
    struct duress__atomic opened_ns;  /* only grows */
    struct duress__atomic changed_ns; /* the last change of state; only grows */
    struct duress__atomic lease_end_ns[DURESS_BREAKER_PROBES_MAX]; /* of the probe in each slot; only grows */
    struct duress__atomic admitted;
    struct duress__atomic outcomes[4]; /* by enum duress_outcome */
    struct duress__atomic refused_open;
    struct duress__atomic refused_probing;
    struct duress__atomic late;
    struct duress__atomic lapsed;
    struct duress__atomic transitions[DURESS_BREAKER_REASON_COUNT];
    struct duress__breaker_log_entry log[DURESS_BREAKER_LOG_COUNT];
    struct duress_breaker_options options; /* complete: defaults filled in */
    struct duress__breaker_window window;
};

/* Readies a breaker of the caller's memory, closed. Copies |options|; NULL for all defaults. DURESS_E_INVALID where an
 * option is out of range: |why| (NULL where it does not matter) then names the field, what was given and what is
 * allowed. There is nothing to undo. */
DURESS_API DURESS_MUST_CHECK int duress_breaker_init(struct duress_breaker *breaker,
                                                     const struct duress_breaker_options *options,
                                                     struct duress_failure *why);

/* Asks for leave to make one call at |now_ns|. On DURESS_ADMIT *permit must be reported exactly once. A refusal is a
 * verdict, not an error: nothing is owed, and *retry_at_ns (NULL where it does not matter) says when to ask again. When
 * open that is the end of the recovery; when probing, the instant by which the oldest probe has reported or is given
 * up; when forced open DURESS_TIME_NEVER; on DURESS_ADMIT |now_ns|. Thread-safe, never waits. */
DURESS_API enum duress_verdict duress_breaker_acquire(struct duress_breaker *breaker, uint64_t now_ns,
                                                      struct duress_permit *permit, uint64_t *retry_at_ns)
    DURESS_NONNULL(1);

/* Says how the call of |permit| ended at |now_ns|. A permit from before the breaker's last change of state is counted
 * in the totals, and never moves the state. Thread-safe, never waits. */
DURESS_API void duress_breaker_report(struct duress_breaker *breaker, struct duress_permit permit,
                                      enum duress_outcome outcome, uint64_t now_ns) DURESS_NONNULL(1);

/* What a call that ended with |code| (0 or DURESS_E_*) says about its service: success; cancelled; failure where the
 * list of errors counts the code; else ignored. Unknown codes are failures. Thread-safe. */
DURESS_API enum duress_outcome duress_outcome_of(int code);

/* Gives up the probes whose leases have ended by |now_ns|, as the next acquire or report would. Never needed; for those
 * who watch the state of a breaker without traffic. Thread-safe, never waits. */
DURESS_API void duress_breaker_tick(struct duress_breaker *breaker, uint64_t now_ns) DURESS_NONNULL(1);

/* Refuses or admits everything from now on, whatever happens, until released: for maintenance, drills and tests.
 * Results are counted in the totals alone. Thread-safe, never waits. */
DURESS_API void duress_breaker_force_open(struct duress_breaker *breaker, uint64_t now_ns) DURESS_NONNULL(1);
DURESS_API void duress_breaker_force_closed(struct duress_breaker *breaker, uint64_t now_ns) DURESS_NONNULL(1);

/* Back to automatic. After forced closed it is closed, with nothing counted. After forced open it is half-open, because
 * nobody knows how the service is, and a probe finds out at less risk than the crowd. Without effect on a breaker that
 * is not forced. Thread-safe, never waits. */
DURESS_API void duress_breaker_release(struct duress_breaker *breaker, uint64_t now_ns) DURESS_NONNULL(1);

/* When a probe will next be let through: 0 where one would be now, the same instants as acquire's *retry_at_ns where
 * one would be refused, DURESS_TIME_NEVER where calls are no probes (closed, forced). Thread-safe. */
DURESS_API uint64_t duress_breaker_next_ns(const struct duress_breaker *breaker) DURESS_NONNULL(1);

/* The state as of the last call that was given the time. Thread-safe. */
DURESS_API enum duress_breaker_state duress_breaker_state(const struct duress_breaker *breaker) DURESS_NONNULL(1);

/* All there is to see. The state and its counts are of one instant, each total is of an instant of its own, and
 * |admitted| is never less than the outcomes add up to. Thread-safe. */
DURESS_API void duress_breaker_snapshot(const struct duress_breaker *breaker, struct duress_breaker_snapshot *snapshot)
    DURESS_NONNULL(1);

/* Copies the last changes of state, oldest first, at most |capacity| and at most DURESS_BREAKER_LOG_COUNT of them, to
 * |transitions| and returns their number. A change may be missing for as long as the thread that made it has not yet
 * written it down; the generations of neighbours show such a gap. Thread-safe. */
DURESS_API size_t duress_breaker_log(const struct duress_breaker *breaker,
                                     struct duress_breaker_transition *transitions, size_t capacity) DURESS_NONNULL(1);

/* Names in lower case ("half-open", "probe failed"); never NULL. Thread-safe. */
DURESS_API const char *duress_breaker_state_name(enum duress_breaker_state state);
DURESS_API const char *duress_breaker_reason_name(enum duress_breaker_reason reason);

#ifdef __cplusplus
}
#endif

#endif
