/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated driver: each service, each link and the caller on a host of its own, all in virtual time. */
#include "sim.h"

#include <stdio.h>

/* The path of one exchange has at most twelve hops that draw a delay: SYN and its answer to the relay and to the
 * service (4), request and reply over the relay (4), and the ends of the connections (4). */
#define SLACK_HOP_COUNT 12

/* One relay in both worlds' tables is an opaque pointer; here it is the simulated relay itself. */
static struct duress_sim_relay *relay_of(struct chaos_relay *relay)
{
    return (struct duress_sim_relay *)(void *)relay;
}

static int run_open(struct chaos *chaos, struct duress_failure *why)
{
    const struct duress_allocator *allocator = &chaos->heap.allocator;
    struct sim_run *run = duress_allocate_zeroed(allocator, 1, sizeof *run);
    if (run == NULL)
        return DURESS_E_NO_MEMORY;
    struct duress_sim_options options = {.allocator = allocator, .seed = chaos->seed};
    int error = duress_sim_new(&options, &run->sim, why);
    struct duress_sim_host *client = NULL;
    if (error == DURESS_OK)
        error = duress_sim_host_new(run->sim, "client", &client);
    if (error != DURESS_OK) {
        duress_sim_free(run->sim);
        duress_release(allocator, run);
        return error;
    }
    chaos->driver_state = run;
    chaos->world = duress_sim_host_world(client);
    return DURESS_OK;
}

static void run_close(struct chaos *chaos)
{
    duress_sim_free(chaos__sim_of(chaos));
    duress_release(&chaos->heap.allocator, chaos->driver_state);
}

static uint64_t run_slack_ns(struct chaos *chaos)
{
    return duress_time_multiply(duress_sim_delay_ns_max(chaos__sim_of(chaos)), SLACK_HOP_COUNT);
}

static void run_measure(struct chaos *chaos, struct chaos_outcome *outcome)
{
    struct duress_sim *sim = chaos__sim_of(chaos);
    outcome->virtual_ns = duress_sim_now_ns(sim) - outcome->started_ns;
    outcome->trace_hash = duress_sim_trace_hash(sim);
    outcome->event_count = duress_sim_event_count(sim);
}

/* --- links --- */

static int relay_open(struct chaos_link *link, struct duress_failure *why)
{
    (void)why;
    char name[32];
    (void)snprintf(name, sizeof name, "link-%u", (unsigned)link->number);
    struct duress_sim_host *host = NULL;
    int error = duress_sim_host_new(chaos__sim_of(link->chaos), name, &host);
    if (error != DURESS_OK)
        return error;
    struct duress_sim_relay *relay = NULL;
    error = duress_sim_relay_new(host, 0, &link->service->address, &relay);
    link->relay = (struct chaos_relay *)(void *)relay;
    return error;
}

static void relay_free(struct chaos_relay *relay)
{
    duress_sim_relay_free(relay_of(relay));
}

static struct duress_address relay_address(struct chaos_relay *relay)
{
    return duress_sim_relay_address(relay_of(relay));
}

static int relay_toxic_add(struct chaos_relay *relay, const struct duress_toxic *toxic, struct duress_failure *why)
{
    return duress_sim_relay_toxic_add(relay_of(relay), toxic, why);
}

static int relay_toxic_remove(struct chaos_relay *relay, uint64_t id)
{
    return duress_sim_relay_toxic_remove(relay_of(relay), id);
}

static void relay_cut(struct chaos_relay *relay)
{
    duress_sim_relay_cut(relay_of(relay));
}

static void relay_down(struct chaos_relay *relay)
{
    duress_sim_relay_down(relay_of(relay));
}

static int relay_up(struct chaos_relay *relay)
{
    return duress_sim_relay_up(relay_of(relay));
}

static int relay_silence(struct chaos_relay *relay, bool silent)
{
    duress_sim_relay_silence(relay_of(relay), silent);
    return DURESS_OK;
}

static void relay_visit(struct chaos_relay *relay, duress_link_visit_fn fn, void *context)
{
    duress_sim_relay_visit(relay_of(relay), fn, context);
}

static struct duress_relay_counts relay_counts(struct chaos_relay *relay)
{
    return duress_sim_relay_counts(relay_of(relay));
}

/* --- names --- */

static int name_set(struct chaos *chaos, const char *host, enum chaos_name_fault fault, uint32_t fault_count,
                    const struct duress_address *address)
{
    static const enum duress_sim_name_fault faults[] = {
        [CHAOS_NAME_OK] = DURESS_SIM_NAME_OK,
        [CHAOS_NAME_NOT_FOUND] = DURESS_SIM_NAME_NOT_FOUND,
        [CHAOS_NAME_TEMPORARY] = DURESS_SIM_NAME_TEMPORARY,
        [CHAOS_NAME_SILENT] = DURESS_SIM_NAME_SILENT,
    };
    struct duress_sim_name says = {.fault = faults[fault], .fault_count = fault_count, .address = *address};
    return duress_sim_name_set(chaos__sim_of(chaos), host, &says);
}

static uint64_t name_questions(struct chaos *chaos, const char *host)
{
    return duress_sim_name_questions(chaos__sim_of(chaos), host);
}

const struct chaos_driver chaos__driver_sim = {
    .name = "sim",
    .is_live = false,
    .open = run_open,
    .close = run_close,
    .slack_ns = run_slack_ns,
    .measure = run_measure,
    .service_start = chaos__sim_service_start,
    .service_is_ready = chaos__sim_service_is_ready,
    .service_crash = chaos__sim_service_crash,
    .service_stop = chaos__sim_service_stop,
    .service_freeze = chaos__sim_service_freeze,
    .service_memory = chaos__sim_service_memory,
    .service_cpu = chaos__sim_service_cpu,
    .service_cpu_time = chaos__sim_service_cpu_time,
    .service_descriptors = chaos__sim_service_descriptors,
    .service_queued = chaos__sim_service_queued,
    .service_free = chaos__sim_service_free,
    .relay_open = relay_open,
    .relay_free = relay_free,
    .relay_address = relay_address,
    .relay_toxic_add = relay_toxic_add,
    .relay_toxic_remove = relay_toxic_remove,
    .relay_cut = relay_cut,
    .relay_down = relay_down,
    .relay_up = relay_up,
    .relay_silence = relay_silence,
    .relay_visit = relay_visit,
    .relay_counts = relay_counts,
    .name_set = name_set,
    .name_questions = name_questions,
};
