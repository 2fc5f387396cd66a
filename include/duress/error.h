/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors. Functions return 0 (DURESS_OK) or a negative code from the one list below; nothing leaks through errno. Codes
 * tell causes apart that callers treat differently. Verdicts of policies (admit, refuse, wait until) are enums of their
 * own: a full bulkhead is a result, not a failure.
 *
 * NULL where a header does not allow it: a function that returns an error code says DURESS_E_INVALID. For any other an
 * object that is not there does nothing and says nothing: 0, false, NULL, an empty struct. What is marked
 * DURESS_NONNULL must be there, as strings must for strlen(): structs whose memory is the caller's, and what the
 * library hands to functions of the caller's own. Compilers warn of a NULL that they see, and the undefined behaviour
 * sanitizer stops.
 *
 * A number is never reused. |retryable|: a retry may help (subject to idempotence and ambiguity). |counted|: a circuit
 * breaker takes it as a sign of the service's ill health; caller's mistakes, refusals by our own layers and
 * cancellation are not. |after_send|: the code by its nature arises after the request may have reached the peer, so
 * that a failure with it is ambiguous unless the layer that raised it knows better. */
#ifndef DURESS_ERROR_H
#define DURESS_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  X(number, NAME, text, retryable, counted, after_send) */
#define DURESS_ERROR_LIST(X)                                                                                           \
    X(1, NAME_NOT_FOUND, "the host name does not exist", 0, 1, 0)                                                      \
    X(2, NAME_TEMPORARY, "the name server failed temporarily", 1, 1, 0)                                                \
    X(3, NAME_SILENT, "the name server did not answer", 1, 1, 0)                                                       \
    X(4, REFUSED, "connection refused", 1, 1, 0)                                                                       \
    X(5, UNREACHABLE, "host or network unreachable", 1, 1, 0)                                                          \
    X(6, CONNECT_TIMEOUT, "no answer to the connect in time", 1, 1, 0)                                                 \
    X(7, RESET, "connection reset by the peer", 1, 1, 1)                                                               \
    X(8, TRUNCATED, "connection ended in the middle of a message", 1, 1, 1)                                            \
    X(9, MALFORMED, "the peer sent bytes that are no valid message", 1, 1, 1)                                          \
    X(10, REMOTE, "the peer reported an error of its own", 1, 1, 1)                                                    \
    X(11, OVERLOADED, "the peer is overloaded", 1, 1, 0)                                                               \
    X(12, DEADLINE, "the deadline passed", 1, 1, 1)                                                                    \
    X(13, CANCELLED, "cancelled by the caller", 0, 0, 1)                                                               \
    X(14, CIRCUIT_OPEN, "the circuit breaker is open", 0, 0, 0)                                                        \
    X(15, RATE_LIMITED, "the rate limit is reached", 0, 0, 0)                                                          \
    X(16, BULKHEAD_FULL, "the bulkhead is full", 0, 0, 0)                                                              \
    X(17, RETRY_BUDGET_SPENT, "the retry budget is spent", 0, 0, 0)                                                    \
    X(18, NO_MEMORY, "out of memory", 0, 0, 0)                                                                         \
    X(19, INVALID, "invalid argument or configuration", 0, 0, 0)                                                       \
    X(20, UNSUPPORTED, "not supported here", 0, 0, 0)                                                                  \
    X(21, AGAIN, "would block", 0, 0, 0)                                                                               \
    X(22, END, "end of the stream", 0, 0, 0)                                                                           \
    X(23, ADDRESS_IN_USE, "address already in use", 0, 0, 0)                                                           \
    X(24, ADDRESS_UNAVAILABLE, "address not available on this host", 0, 0, 0)                                          \
    X(25, NO_DESCRIPTORS, "no file descriptor left", 1, 0, 0)                                                          \
    X(26, PERMISSION, "permission denied", 0, 0, 0)                                                                    \
    X(27, CLOSED, "already closed", 0, 0, 0)                                                                           \
    X(28, TOO_LARGE, "larger than the limit", 0, 0, 0)                                                                 \
    X(29, SYSTEM, "unexpected error of the operating system", 0, 0, 0)                                                 \
    X(30, UNTRUSTED, "the peer's certificate is not trusted", 0, 1, 0)                                                 \
    X(31, NO_QUORUM, "too few replies agree", 1, 1, 1)

enum duress_error {
    DURESS_OK = 0,
#define X(number, name, text, retryable, counted, after_send) DURESS_E_##name = -(number),
    DURESS_ERROR_LIST(X)
#undef X
};

/* One more than the largest number above: sizes tables and masks indexed by -code. */
#define DURESS_ERROR_NUMBER_END 32

/* Where a failure arose. */
enum duress_origin {
    DURESS_ORIGIN_NONE = 0,
    DURESS_ORIGIN_CALLER,  /* bad arguments, cancellation */
    DURESS_ORIGIN_NAME,    /* name resolution */
    DURESS_ORIGIN_CONNECT, /* opening the connection */
    DURESS_ORIGIN_SEND,    /* writing the request */
    DURESS_ORIGIN_RECEIVE, /* waiting for or reading the reply */
    DURESS_ORIGIN_PEER,    /* the peer's own report */
    DURESS_ORIGIN_AGENT,   /* a local agent's function */
    DURESS_ORIGIN_TIMEOUT, /* the timeout middleware */
    DURESS_ORIGIN_RETRY,
    DURESS_ORIGIN_BREAKER,
    DURESS_ORIGIN_LIMITER,
    DURESS_ORIGIN_BULKHEAD,
    DURESS_ORIGIN_COMPOSITION,
    DURESS_ORIGIN_CACHE,
    DURESS_ORIGIN_BATCH,
};

#define DURESS_DETAIL_BYTES_MAX 160

/* How a call failed. A plain value, copied freely. */
struct duress_failure {
    enum duress_error code;    /* never DURESS_OK in a failure */
    enum duress_origin origin; /* where it arose */
    uint32_t attempts;         /* how many attempts were begun; 0 where no layer counts them */
    bool ambiguous;            /* some byte of a request had reached the transport: it may have been executed */
    uint64_t retry_after_ns;   /* what the refusing side asked to wait, from now; 0 = said nothing */
    char detail[DURESS_DETAIL_BYTES_MAX]; /* one line for people, NUL-terminated; may be empty */
};

/* English text of a code; never NULL. "unknown error" for a number outside the list. Thread-safe. */
DURESS_API const char *duress_strerror(int code);

/* Name of a code without its prefix ("REFUSED"; "OK"); never NULL. Thread-safe. */
DURESS_API const char *duress_error_name(int code);

/* The code whose name (without prefix) is |name|, or DURESS_OK where there is none. */
DURESS_API enum duress_error duress_error_from_name(const char *name);

/* Columns of the list. Unknown codes: false. Thread-safe. */
DURESS_API bool duress_error_is_retryable(int code);
DURESS_API bool duress_error_is_counted(int code);
DURESS_API bool duress_error_is_after_send(int code);

/* Name of an origin in lower case ("connect"); never NULL. */
DURESS_API const char *duress_origin_name(enum duress_origin origin);

/* Fills |failure| with |code|, |origin|, the list's default for ambiguity, and a printf-formatted detail (cut to fit;
 * NULL for none). */
DURESS_API void duress_failure_set(struct duress_failure *failure, enum duress_error code, enum duress_origin origin,
                                   const char *format, ...) DURESS_PRINTF(4, 5) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
