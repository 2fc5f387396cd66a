/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. Instants and durations are unsigned 64-bit nanoseconds; instants are on the monotonic clock of a world. Sums
 * saturate at DURESS_TIME_NEVER, so that "never plus anything" is never, and no deadline wraps into the past. */
#ifndef DURESS_TIME_H
#define DURESS_TIME_H

#include <stdint.h>

#define DURESS_NS UINT64_C(1)
#define DURESS_US UINT64_C(1000)
#define DURESS_MS UINT64_C(1000000)
#define DURESS_S UINT64_C(1000000000)

/* No deadline; not due. */
#define DURESS_TIME_NEVER UINT64_MAX

/* |at_ns| + |delta_ns|, at most DURESS_TIME_NEVER. */
static inline uint64_t duress_time_add(uint64_t at_ns, uint64_t delta_ns)
{
    return delta_ns > DURESS_TIME_NEVER - at_ns ? DURESS_TIME_NEVER : at_ns + delta_ns;
}

/* How long from |from_ns| until |to_ns|; 0 where |to_ns| has passed, DURESS_TIME_NEVER where it never comes. */
static inline uint64_t duress_time_until(uint64_t from_ns, uint64_t to_ns)
{
    if (to_ns == DURESS_TIME_NEVER)
        return DURESS_TIME_NEVER;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* |duration_ns| * |factor|, at most DURESS_TIME_NEVER. */
static inline uint64_t duress_time_multiply(uint64_t duration_ns, uint64_t factor)
{
    if (factor != 0 && duration_ns > DURESS_TIME_NEVER / factor)
        return DURESS_TIME_NEVER;
    return duration_ns * factor;
}

static inline uint64_t duress_time_min(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

#endif
