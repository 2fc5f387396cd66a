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
    bool is_stopped; /* by SIGSTOP */
    bool is_busy;    /* computes until |idle_at_ns|, or for |busy_left_ns| once it goes on */
    uint64_t idle_at_ns;
    uint64_t busy_left_ns;
    struct duress_timer idle;
    uint64_t burners_ppm; /* what others want of the processor */
    struct chaos_cpu_time cpu_time;
    bool is_memory_limited;
    enum chaos_memory memory_how;
    uint64_t memory_left_bytes;
    uint64_t disk_used_bytes;
};

static struct duress_world *test_world(const struct sim_service *state)
{
    return state->service->chaos->world;
}

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
    struct duress_world *world = test_world(state);
    if (!state->running)
        return;
    state->running = false;
    state->is_stopped = false;
    state->is_busy = false;
    state->is_memory_limited = false;
    state->disk_used_bytes = 0;
    duress_world_disarm(world, &state->idle);
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

/* --- what the process needs of its machine --- */

/* A stopped process computes no more until it goes on. */
static void process_hold(struct sim_service *state)
{
    uint64_t now_ns = duress_world_now_ns(test_world(state));
    duress_sim_host_freeze(state->host, state->is_stopped || state->is_busy);
    if (!state->is_busy)
        return;
    if (state->is_stopped && duress_timer_is_armed(&state->idle)) {
        state->busy_left_ns = state->idle_at_ns - now_ns;
        duress_world_disarm(test_world(state), &state->idle);
    } else if (!state->is_stopped && !duress_timer_is_armed(&state->idle)) {
        state->idle_at_ns = duress_time_add(now_ns, state->busy_left_ns);
        duress_world_arm(test_world(state), &state->idle, state->idle_at_ns);
    }
}

static void process_idle(void *context)
{
    struct sim_service *state = context;
    state->is_busy = false;
    process_hold(state);
}

/* While its one thread is held up, nothing of the process happens: its host stands still, and its kernel goes on. */
static void process_hold_up(void *context, uint64_t hold_ns)
{
    struct sim_service *state = context;
    uint64_t now_ns = duress_world_now_ns(test_world(state));
    state->idle_at_ns = duress_time_add(state->is_busy ? state->idle_at_ns : now_ns, hold_ns);
    state->is_busy = true;
    duress_sim_host_freeze(state->host, true);
    duress_world_arm(test_world(state), &state->idle, state->idle_at_ns);
}

static void process_compute(void *context, uint64_t work_ns)
{
    struct sim_service *state = context;
    uint64_t wait_ns = work_ns / 1000 * state->burners_ppm / 1000;
    state->cpu_time.run_ns += work_ns;
    state->cpu_time.wait_ns += wait_ns;
    process_hold_up(state, work_ns + wait_ns);
}

static uint64_t process_busy_ns(void *context)
{
    const struct sim_service *state = context;
    return state->is_busy ? state->idle_at_ns - duress_world_now_ns(test_world(state)) : 0;
}

static bool process_leak(void *context, uint64_t bytes)
{
    struct sim_service *state = context;
    if (!state->is_memory_limited)
        return true;
    if (bytes <= state->memory_left_bytes) {
        state->memory_left_bytes -= bytes;
        return true;
    }
    if (state->memory_how == CHAOS_MEMORY_KILL)
        process_end(state, CHAOS_END_OOM, NUMBER_OF_SIGKILL);
    return false;
}

static enum chaos_scarcity process_journal(void *context, uint64_t bytes)
{
    struct sim_service *state = context;
    uint64_t disk_bytes = state->service->config.disk_bytes;
    switch ((enum chaos_disk)atomic_load(&state->service->shared->orders.disk)) {
    case CHAOS_DISK_FULL:
        return CHAOS_NO_SPACE;
    case CHAOS_DISK_READ_ONLY:
        return CHAOS_DISK_IS_READ_ONLY;
    case CHAOS_DISK_BROKEN:
        return CHAOS_DISK_FAILED;
    case CHAOS_DISK_WELL:
        break;
    }
    if (disk_bytes > 0 && state->disk_used_bytes + bytes > disk_bytes)
        return CHAOS_NO_SPACE;
    state->disk_used_bytes += bytes;
    return CHAOS_SCARCITY_COUNT;
}

/* --- life --- */

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
    const struct chaos_outside outside = {
        .leak = process_leak,
        .compute = process_compute,
        .hold = process_hold_up,
        .busy_ns = process_busy_ns,
        .journal = process_journal,
        .die = process_die,
        .context = state,
    };
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
    duress_timer_init(&state->idle, process_idle, state);
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
    struct sim_service *state = service->driver_state;
    if (!state->running)
        return false;
    state->is_stopped = frozen;
    process_hold(state);
    return true;
}

/* --- scarcity --- */

int chaos__sim_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes,
                              struct duress_failure *why)
{
    struct sim_service *state = service->driver_state;
    (void)why;
    state->is_memory_limited = true;
    state->memory_how = how;
    state->memory_left_bytes = bytes;
    return DURESS_OK;
}

int chaos__sim_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm,
                           struct duress_failure *why)
{
    struct sim_service *state = service->driver_state;
    (void)why;
    state->burners_ppm = (uint64_t)burners * duty_ppm;
    return DURESS_OK;
}

struct chaos_cpu_time chaos__sim_service_cpu_time(struct chaos_service *service)
{
    return ((struct sim_service *)service->driver_state)->cpu_time;
}

int chaos__sim_service_descriptors(struct chaos_service *service, uint32_t more, struct duress_failure *why)
{
    const struct sim_service *state = service->driver_state;
    (void)why;
    duress_sim_host_descriptors(state->host, more);
    return DURESS_OK;
}

uint64_t chaos__sim_service_queued(struct chaos_service *service)
{
    const struct sim_service *state = service->driver_state;
    return duress_sim_host_queued(state->host);
}

void chaos__sim_service_free(struct chaos_service *service)
{
    struct sim_service *state = service->driver_state;
    if (state != NULL) {
        service_clean(state);
        duress_world_undefer(service->chaos->world, &state->tell);
        duress_world_disarm(service->chaos->world, &state->idle);
    }
    duress_release(&service->chaos->heap.allocator, state);
    duress_release(&service->chaos->heap.allocator, service->shared);
}
