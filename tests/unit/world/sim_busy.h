/* SPDX-License-Identifier: Apache-2.0
 *
 * A busy simulated system: clients that resolve, connect directly and through a relay, ask, time out and try again,
 * while a driver draws faults of every kind. Whatever fails, it goes on as far as it can. */
#ifndef SIM_BUSY_H
#define SIM_BUSY_H

#include <duress/world/sim.h>

struct busy_result {
    uint64_t trace_hash;
    uint64_t event_count;
    uint64_t reply_count;
    uint64_t failure_count; /* of requests */
    uint64_t fault_count;
};

/* Runs it for |duration_ns| of virtual time. DURESS_OK, or why the universe could not be set up. |trace| may be NULL.
 */
int busy_run(const struct duress_allocator *allocator, uint64_t seed, uint64_t duration_ns, duress_sim_trace_fn trace,
             void *context, struct busy_result *result);

#endif
