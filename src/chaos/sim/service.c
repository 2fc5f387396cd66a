/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulated services: a host each, whose process is killed, stopped and started in virtual time. */
#include "sim.h"

#include <stddef.h>
#include <string.h>

enum { SERVICE_PORT = 7000 };
/* What the kernel would call these signals. */
enum { NUMBER_OF_SIGKILL = 9, NUMBER_OF_SIGSEGV = 11 };

struct sim_service {
    struct chaos_service *service;
    struct duress_sim_host *host;
    struct chaos_service_host *inside;
    struct duress_timer terminate; /* SIGTERM, which a stopped process sees when it goes on */
    struct duress_later clean;     /* what a dead process has left is freed once none of its code runs */
    struct duress_later tell;      /* the test's side learns of an end that came from inside */
    enum chaos_end_how end;
    int end_code;
    bool running;
};

static void service_clean(struct sim_service *state)
{
    duress_world_undefer(state->service->chaos->world, &state->clean);
    chaos__service_host_close(state->inside);
    state->inside = NULL;
}

static void clean_due(void *context)
{
    service_clean(context);
}

static void tell_due(void *context)
{
    struct sim_service *state = context;
    chaos__service_ended(state->service, state->end, state->end_code);
}

/* The process ends at this instant, whoever's code runs now. */
static void process_end(struct sim_service *state, enum chaos_end_how how, int code)
{
    struct duress_world *world = state->service->chaos->world;
    if (!state->running)
        return;
    state->running = false;
    state->end = how;
    state->end_code = code;
    duress_sim_host_kill(state->host);
    duress_world_defer(world, &state->clean);
    duress_world_defer(world, &state->tell);
}

static void process_die(void *context, enum chaos_crash how)
{
    if (how == CHAOS_CRASH_SIGSEGV)
        process_end(context, CHAOS_END_SIGSEGV, NUMBER_OF_SIGSEGV);
    else
        process_end(context, CHAOS_END_SIGKILL, NUMBER_OF_SIGKILL);
}

static void service_drained(void *context, bool complete)
{
    process_end(context, CHAOS_END_EXITED, complete ? 0 : CHAOS_EXIT_INCOMPLETE);
}

static void service_terminate(void *context)
{
    struct sim_service *state = context;
    chaos__service_host_drain(state->inside, service_drained, state);
}

static int service_listen(struct chaos_service *service, struct duress_failure *why)
{
    struct sim_service *state = service->driver_state;
    const struct chaos_outside outside = {.die = process_die, .context = state};
    service->address = duress_sim_host_address(state->host, SERVICE_PORT);
    int error = chaos__service_host_open(duress_sim_host_world(state->host), service->shared, &outside,
                                         &service->address, &state->inside, why);
    state->running = error == DURESS_OK;
    return error;
}

static int service_create(struct chaos_service *service, struct duress_failure *why)
{
    struct chaos *chaos = service->chaos;
    struct sim_service *state = chaos__allocate(chaos, sizeof *state);
    service->driver_state = state;
    state->service = service;
    duress_timer_init(&state->terminate, service_terminate, state);
    state->clean = (struct duress_later){.fn = clean_due, .context = state};
    state->tell = (struct duress_later){.fn = tell_due, .context = state};
    service->shared = duress_allocate(&chaos->heap.allocator, sizeof *service->shared);
    if (service->shared == NULL)
        return DURESS_E_NO_MEMORY;
    memset(service->shared, 0, offsetof(struct chaos_shared, log.entries)); /* the rest is long, and written first */
    service->shared->config = service->config;
    int error = duress_sim_host_new(chaos__sim_of(chaos), service->name, &state->host);
    return error != DURESS_OK ? error : service_listen(service, why);
}

int chaos__sim_service_start(struct chaos_service *service, struct duress_failure *why)
{
    if (service->driver_state == NULL)
        return service_create(service, why);
    struct sim_service *state = service->driver_state;
    service_clean(state);
    duress_sim_host_restart(state->host);
    return service_listen(service, why);
}

bool chaos__sim_service_is_ready(struct chaos_service *service)
{
    return ((struct sim_service *)service->driver_state)->running;
}

void chaos__sim_service_crash(struct chaos_service *service, enum chaos_crash how)
{
    struct sim_service *state = service->driver_state;
    process_die(state, how);
    service_clean(state); /* Only the test's own code runs now. */
    duress_world_undefer(service->chaos->world, &state->tell);
    tell_due(state);
}

void chaos__sim_service_stop(struct chaos_service *service)
{
    struct sim_service *state = service->driver_state;
    struct duress_world *world = duress_sim_host_world(state->host);
    duress_world_arm(world, &state->terminate, duress_world_now_ns(world));
}

bool chaos__sim_service_freeze(struct chaos_service *service, bool frozen)
{
    const struct sim_service *state = service->driver_state;
    duress_sim_host_freeze(state->host, frozen);
    return state->running;
}

void chaos__sim_service_free(struct chaos_service *service)
{
    struct sim_service *state = service->driver_state;
    if (state != NULL) {
        service_clean(state);
        duress_world_undefer(service->chaos->world, &state->tell);
    }
    duress_release(&service->chaos->heap.allocator, state);
    duress_release(&service->chaos->heap.allocator, service->shared);
}
