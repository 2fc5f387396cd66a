/* SPDX-License-Identifier: Apache-2.0 */
#include "dial_times.h"

#include <duress/time.h>

const uint64_t duress_workers_dial_bounds_ns[DURESS_WORKERS_DIAL_BUCKET_COUNT - 1] = {
    100 * DURESS_US, 250 * DURESS_US,  500 * DURESS_US, DURESS_MS,       5 * DURESS_MS / 2, 5 * DURESS_MS,
    10 * DURESS_MS,  25 * DURESS_MS,   50 * DURESS_MS,  100 * DURESS_MS, 250 * DURESS_MS,   500 * DURESS_MS,
    DURESS_S,        5 * DURESS_S / 2, 5 * DURESS_S,    10 * DURESS_S,
};

static void add(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

void duress__dial_times_add(struct dial_times *times, uint64_t took_ns)
{
    size_t bucket = 0;
    while (bucket < DURESS_WORKERS_DIAL_BUCKET_COUNT - 1 && took_ns > duress_workers_dial_bounds_ns[bucket])
        bucket++;
    add(&times->counts[bucket], 1);
    add(&times->sum_ns, took_ns);
}

void duress__dial_times_tell(const struct dial_times *times, struct duress_workers_counts *counts)
{
    counts->dial_sum_ns += atomic_load_explicit(&times->sum_ns, memory_order_relaxed);
    for (size_t i = 0; i < DURESS_WORKERS_DIAL_BUCKET_COUNT; i++)
        counts->dials[i] += atomic_load_explicit(&times->counts[i], memory_order_relaxed);
}
