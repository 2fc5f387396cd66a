/* SPDX-License-Identifier: Apache-2.0
 *
 * Timeout: until when a call or an attempt may run. Used twice in a stack: once around the whole call, once around each
 * attempt; the inner one shortens the deadline that comes with the call and never lengthens it:
 *
 *     deadline = min(the call's own deadline, begin + limit_ns, last sign of life + gap_ns)
 *
 * |limit_ns| covers everything to the last chunk of the reply. |gap_ns| covers the time from the begin to the first
 * chunk and from each chunk to the next: with it a long stream may go on for as long as it moves, while a silent
 * producer is noticed. Either may be used alone or both together. A timeout says whose limit it was that passed, so
 * that no layer reports another's deadline as its own.
 *
 * Pure: time is an argument. Time that goes backwards never moves a deadline forward or back. */
#ifndef DURESS_POLICY_TIMEOUT_H
#define DURESS_POLICY_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_TIMEOUT_LIMIT_NS_DEFAULT (30 * DURESS_S) /* agenkit's */
#define DURESS_TIMEOUT_NS_MAX (366 * 24 * 3600 * DURESS_S)

struct duress_timeout_options {
    uint64_t limit_ns; /* 1 to DURESS_TIMEOUT_NS_MAX; DURESS_TIME_NEVER = no limit; 0 = the default: 30 s, or no limit
                        * where gap_ns is set */
    uint64_t gap_ns;   /* 1 to DURESS_TIMEOUT_NS_MAX; DURESS_TIME_NEVER or 0 = no limit, the default */
};

/* Fills |options| from |given| (NULL for all defaults; may be |options| itself) with the defaults in place of zeros.
 * DURESS_E_INVALID where a field is out of range: |why| (NULL where it does not matter) then names the field, what was
 * given and what is allowed, and |options| is as it was. Any number of calls and threads may share the result. */
DURESS_API DURESS_MUST_CHECK int duress_timeout_options_init(struct duress_timeout_options *options,
                                                             const struct duress_timeout_options *given,
                                                             struct duress_failure *why);

/* The deadline of something that begins at |now_ns| inside a call whose deadline is |call_deadline_ns| (or
 * DURESS_TIME_NEVER), until its first chunk. |options| come from duress_timeout_options_init(). Thread-safe. */
DURESS_API uint64_t duress_timeout_deadline_ns(const struct duress_timeout_options *options, uint64_t call_deadline_ns,
                                               uint64_t now_ns) DURESS_NONNULL(1);

/* Which limit has passed. */
enum duress_timeout_expiry {
    DURESS_TIMEOUT_RUNNING = 0, /* none */
    DURESS_TIMEOUT_BY_CALL,     /* the deadline that came with the call; also where it coincides with another */
    DURESS_TIMEOUT_BY_LIMIT,    /* limit_ns; also where it coincides with the gap */
    DURESS_TIMEOUT_BY_GAP,      /* gap_ns */
};

/* One call or attempt under way. Transparent; fields are private. */
struct duress_timeout {
    uint64_t call_deadline_ns;
    uint64_t limit_deadline_ns;
    uint64_t gap_deadline_ns;
};

/* Begins at |now_ns|. */
DURESS_API void duress_timeout_init(struct duress_timeout *timeout, const struct duress_timeout_options *options,
                                    uint64_t call_deadline_ns, uint64_t now_ns) DURESS_NONNULL(1);

/* A chunk came at |now_ns|: the gap begins anew. Without effect where the deadline has passed: what is over stays over.
 */
DURESS_API void duress_timeout_chunk(struct duress_timeout *timeout, const struct duress_timeout_options *options,
                                     uint64_t now_ns) DURESS_NONNULL(1);

/* The instant at which it is over unless a chunk comes before, or DURESS_TIME_NEVER. */
DURESS_API uint64_t duress_timeout_at_ns(const struct duress_timeout *timeout) DURESS_NONNULL(1);

/* Whether it is over at |now_ns|, and by whose limit: the one that passed first. A deadline has passed at its instant.
 */
DURESS_API enum duress_timeout_expiry duress_timeout_expiry(const struct duress_timeout *timeout, uint64_t now_ns)
    DURESS_NONNULL(1);

/* Names in lower case ("limit"); never NULL. Thread-safe. */
DURESS_API const char *duress_timeout_expiry_name(enum duress_timeout_expiry expiry);

#ifdef __cplusplus
}
#endif

#endif
