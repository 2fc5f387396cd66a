/* SPDX-License-Identifier: Apache-2.0
 *
 * What the links of a shared_bandwidth toxic share: the instant at which the line is free again. A piece reserves the
 * time that it costs, behind all reservations before it, and leaves when that time is over; so pieces of all links
 * leave one after another at exactly the rate, whoever sends, and idle time earns no credit (a virtual clock, L. Zhang
 * 1990, with one clock for all). Lock-free: links of several threads may share one, where their times are of one clock.
 * A link that ends loses the time that its piece, at most 10 ms worth, had reserved. */
#ifndef DURESS_TOXIC_BANDWIDTH_POOL_H
#define DURESS_TOXIC_BANDWIDTH_POOL_H

#include <stdint.h>

#include <duress/allocator.h>
#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_bandwidth_pool; /* opaque */

/* Makes one with one reference, the caller's. |allocator| is borrowed until the last reference is gone, and must be
 * thread-safe where several threads hold some; NULL for the default. NULL: out of memory. */
DURESS_API struct duress_bandwidth_pool *duress_bandwidth_pool_new(const struct duress_allocator *allocator);

/* One reference more. NULL is allowed, here and in the next. Thread-safe, as the rest is. */
DURESS_API void duress_bandwidth_pool_retain(struct duress_bandwidth_pool *pool);

/* One reference less; the last one frees. */
DURESS_API void duress_bandwidth_pool_release(struct duress_bandwidth_pool *pool);

/* Reserves |cost_ns| at |rate_bytes_per_s| from |now_ns| on. Returns the instant at which it is over. At another rate
 * than before what was reserved is void. */
DURESS_API uint64_t duress_bandwidth_pool_reserve(struct duress_bandwidth_pool *pool, uint64_t rate_bytes_per_s,
                                                  uint64_t now_ns, uint64_t cost_ns) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
