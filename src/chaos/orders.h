/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test orders of a service that runs. The test writes it, the service obeys; live, it lies in memory that both
 * processes share. */
#ifndef DURESS_CHAOS_ORDERS_H
#define DURESS_CHAOS_ORDERS_H

#include <stdatomic.h>
#include <stdint.h>

#include <duress/chaos/fault.h>

enum chaos_death_when {
    CHAOS_DEATH_NEVER = 0,
    CHAOS_DEATH_ON_ARRIVAL,
    CHAOS_DEATH_IN_REPLY,
};

enum { CHAOS_DELAY_POINT_COUNT = 5 };

/* How a service ends that has not answered everything in time. */
enum { CHAOS_EXIT_INCOMPLETE = 3 };

struct chaos_orders {
    _Atomic uint32_t death_when; /* published after the rest of it */
    _Atomic uint32_t death_how;  /* enum chaos_crash */
    _Atomic uint64_t death_at;   /* the arrival's number, from 1 */
    _Atomic uint64_t death_after_bytes;
    _Atomic uint32_t slow; /* published after |delays_ns|; 0: as configured */
    _Atomic uint64_t delays_ns[CHAOS_DELAY_POINT_COUNT];
    _Atomic uint32_t disk; /* enum chaos_disk */
    _Atomic int64_t wall_step_ns;
};

/* What a service needs of the world that it runs in, beside the world itself. */
struct chaos_outside {
    /* Takes memory that is never given back; false where there is none. */
    bool (*leak)(void *context, uint64_t bytes);
    /* Takes |work_ns| of the host's one processor. Live, it has when this returns; simulated, the host's time stands
     * still afterwards for as long as it takes. */
    void (*compute)(void *context, uint64_t work_ns);
    /* The same without the processor: the host's one thread waits. */
    void (*hold)(void *context, uint64_t hold_ns);
    /* How long the host's time will stand still yet. */
    uint64_t (*busy_ns)(void *context);
    /* Appends to the journal, and syncs. What the kernel refused, or CHAOS_SCARCITY_COUNT where all went well. */
    enum chaos_scarcity (*journal)(void *context, uint64_t bytes);
    /* Ends the process. Live, this does not return; simulated, nothing of the host has any effect afterwards. */
    void (*die)(void *context, enum chaos_crash how);
    void *context;
};

#endif
