/* SPDX-License-Identifier: Apache-2.0
 *
 * Fault injection: which fault the n-th call gets. For tests of what stands around a service, without a network.
 *
 * - By an exact pattern: fail, fail, succeed; repeated, or once and then nothing more.
 * - Or by chance: so many calls in a million get each fault, drawn from a generator that is handed in, so that a seed
 *   replays them.
 * - And the service may crash after so many calls: from then on every call fails, until it is reset.
 *
 * A call gets one fault at the most. This says which; what becomes of the call is the layer's
 * (duress/middleware/faults.h).
 *
 * Pure: chance comes in as an argument. Not thread-safe: one owner for each. */
#ifndef DURESS_POLICY_FAULTS_H
#define DURESS_POLICY_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/prng.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum duress_fault {
    DURESS_FAULT_NONE = 0,
    DURESS_FAULT_ERROR,       /* fails, and the service is not asked */
    DURESS_FAULT_ERROR_AFTER, /* the service is asked, and its answer is lost: the call fails */
    DURESS_FAULT_DELAY,       /* the service is asked later */
    DURESS_FAULT_HANG,        /* never ends by itself, and the service is not asked */
    DURESS_FAULT_CORRUPT,     /* some bytes of the reply are others */
    DURESS_FAULT_TRUNCATE,    /* the reply is cut short, and looks whole */
    DURESS_FAULT_CRASH,       /* fails, as do all calls after it until duress_faults_reset() */
};
#define DURESS_FAULT_COUNT 8

/* The same for what is told of a failure: whether it may have been executed. */
enum duress_fault_ambiguity {
    DURESS_FAULT_AMBIGUITY_OF_CODE = 0, /* duress_error_is_after_send() */
    DURESS_FAULT_AMBIGUOUS,
    DURESS_FAULT_NOT_AMBIGUOUS,
};

#define DURESS_FAULTS_PATTERN_MAX 64
#define DURESS_FAULTS_DELAY_NS_DEFAULT (100 * DURESS_MS)
#define DURESS_FAULTS_DELAY_NS_MAX (24 * 3600 * DURESS_S)

/* All zero: no faults. Either |pattern| or |ppm|; either with |crash_after|. */
struct duress_faults_options {
    enum duress_fault pattern[DURESS_FAULTS_PATTERN_MAX]; /* of the first |pattern_count| calls, in order */
    uint32_t pattern_count;                               /* 0 to DURESS_FAULTS_PATTERN_MAX */
    bool pattern_once;                /* after the pattern there are no more faults; else it begins anew */
    uint32_t ppm[DURESS_FAULT_COUNT]; /* by fault, calls in a million; together at most DURESS_PPM; not of NONE */
    uint64_t crash_after;             /* calls that go well, or as said above, before the crash; 0: no crash by count */
    enum duress_error code;           /* of ERROR and ERROR_AFTER; 0 = REFUSED for the first, RESET for the second */
    enum duress_fault_ambiguity ambiguity; /* of ERROR and ERROR_AFTER */
    uint64_t retry_after_ns;               /* that ERROR tells; 0 = says nothing; to DURESS_FAULTS_DELAY_NS_MAX */
    uint64_t delay_ns_min; /* DELAY is uniform in these; to DURESS_FAULTS_DELAY_NS_MAX. Both 0 = 100 ms; a maximum */
    uint64_t delay_ns_max; /* of 0 is the minimum, a minimum of 0 is 1 ns */
};

/* Transparent, to be embedded; every field is private. */
struct duress_faults {
    struct duress_faults_options options;
    uint64_t calls; /* since the beginning, or the reset */
    bool by_chance;
    bool crashed;
};

/* Readies |faults|. Copies |options|; NULL for no faults. DURESS_E_INVALID with the field in |why| (may be NULL):
 * out of range, or settings that contradict each other or mean nothing. */
DURESS_API DURESS_MUST_CHECK int duress_faults_init(struct duress_faults *faults,
                                                    const struct duress_faults_options *options,
                                                    struct duress_failure *why);

struct duress_fault_decision {
    enum duress_fault fault;
    uint64_t delay_ns; /* of DELAY; else 0 */
    uint64_t seed;     /* of CORRUPT and TRUNCATE: for the functions below; else 0 */
};

/* What the next call gets. Draws from |prng| where chance decides: once for the fault, and once more for DELAY, CORRUPT
 * and TRUNCATE. */
DURESS_API struct duress_fault_decision duress_faults_decide(struct duress_faults *faults, struct duress_prng *prng)
    DURESS_NONNULL(1);

/* Begins anew: the pattern, and the count of calls before the crash. */
DURESS_API void duress_faults_reset(struct duress_faults *faults) DURESS_NONNULL(1);

/* Whether the service has crashed, so that all calls fail. */
DURESS_API bool duress_faults_has_crashed(const struct duress_faults *faults) DURESS_NONNULL(1);

/* How a call with ERROR, ERROR_AFTER or CRASH fails. A crashed service refuses connections, not ambiguously. */
DURESS_API void duress_faults_failure(const struct duress_faults *faults, enum duress_fault fault,
                                      struct duress_failure *failure) DURESS_NONNULL(1);

#define DURESS_FAULTS_CORRUPT_BYTES_MAX 8

/* Changes one to DURESS_FAULTS_CORRUPT_BYTES_MAX of |length| bytes, each to another value. Equal arguments, equal
 * changes. Nothing where |length| is 0. */
DURESS_API void duress_faults_corrupt(uint64_t seed, uint8_t *bytes, size_t length);

/* How many of |length| bytes a truncated reply keeps: fewer than all of them. Equal arguments, equal result. 0 where
 * |length| is 0. */
DURESS_API size_t duress_faults_keep_bytes(uint64_t seed, size_t length);

/* "none", "error", "error_after", …; never NULL. */
DURESS_API const char *duress_fault_name(enum duress_fault fault);

#ifdef __cplusplus
}
#endif

#endif
