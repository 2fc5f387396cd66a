/* SPDX-License-Identifier: Apache-2.0
 *
 * How long dials took, as a histogram. Written by one thread, read by any. Private to proxy/. */
#ifndef DURESS_PROXY_DIAL_TIMES_H
#define DURESS_PROXY_DIAL_TIMES_H

#include <stdatomic.h>
#include <stdint.h>

#include <duress/proxy/workers.h>

struct dial_times {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t counts[DURESS_WORKERS_DIAL_BUCKET_COUNT];
};

void duress__dial_times_add(struct dial_times *times, uint64_t took_ns);

/* Adds what was counted to |counts|. */
void duress__dial_times_tell(const struct dial_times *times, struct duress_workers_counts *counts);

#endif
