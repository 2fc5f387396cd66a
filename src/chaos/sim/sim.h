/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the simulated driver. */
#ifndef DURESS_CHAOS_SIM_SIM_H
#define DURESS_CHAOS_SIM_SIM_H

#include "../internal.h"

#include <duress/world/sim.h>

struct sim_run {
    struct duress_sim *sim;
};

static inline struct duress_sim *chaos__sim_of(struct chaos *chaos)
{
    return ((struct sim_run *)chaos->driver_state)->sim;
}

/* Of the table of functions, whose comments say what they do. */
int chaos__sim_service_start(struct chaos_service *service, struct duress_failure *why);
bool chaos__sim_service_is_ready(struct chaos_service *service);
void chaos__sim_service_crash(struct chaos_service *service, enum chaos_crash how);
void chaos__sim_service_stop(struct chaos_service *service);
bool chaos__sim_service_freeze(struct chaos_service *service, bool frozen);
int chaos__sim_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes,
                              struct duress_failure *why);
int chaos__sim_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm,
                           struct duress_failure *why);
struct chaos_cpu_time chaos__sim_service_cpu_time(struct chaos_service *service);
int chaos__sim_service_descriptors(struct chaos_service *service, uint32_t more, struct duress_failure *why);
uint64_t chaos__sim_service_queued(struct chaos_service *service);
void chaos__sim_service_free(struct chaos_service *service);

#endif
