/* SPDX-License-Identifier: Apache-2.0
 *
 * The times of HTTP's headers: dates, and how long a server asks to wait in Retry-After (RFC 9110, 5.6.7 and 10.2.3).
 * Pure and thread-safe: the clock is an argument. The HTTP agent uses these for 429 and 503; they serve as well who
 * puts an HTTP client of their own behind the retry. */
#ifndef DURESS_AGENT_HTTP_RETRY_AFTER_H
#define DURESS_AGENT_HTTP_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/export.h>
#include <duress/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a date in any of the three forms that HTTP knows, spaces around it allowed:
 *
 *   Sun, 06 Nov 1994 08:49:37 GMT     the one that is written today
 *   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850; a year that would lie more than 50 years after |now_ns| is of the
 *                                     century before
 *   Sun Nov  6 08:49:37 1994          asctime()
 *
 * The name of the day must be one, but is not held against the date. On true *date_ns has the instant on the wall
 * clock, nanoseconds since 1970-01-01 UTC: 0 for what lies before, at most what 64 bits hold (2554-07-21). False where
 * |text| is no date; *date_ns is then left as it was. |now_ns|: the wall clock. */
DURESS_API bool duress_http_date_read(struct duress_slice text, uint64_t now_ns, uint64_t *date_ns);

/* How long the value of a Retry-After header asks to wait from |now_ns| (wall clock) on: a number of seconds, or until
 * a date. At most DURESS_TIME_NEVER; 0 where the date has passed, and for what is neither. */
DURESS_API uint64_t duress_http_retry_after_ns(struct duress_slice value, uint64_t now_ns);

#ifdef __cplusplus
}
#endif

#endif
