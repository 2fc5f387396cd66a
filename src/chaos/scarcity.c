/* SPDX-License-Identifier: Apache-2.0
 *
 * Scarcity: the orders that leave a service too little of its machine, and the evidence that they owe. */
#include "internal.h"

/* Skips the test where the machine does not allow what it needs. */
static void scarcity_check(struct chaos_service *service, int error, const char *what, const struct duress_failure *why)
{
    if (error == DURESS_OK)
        return;
    if (error == DURESS_E_PERMISSION || error == DURESS_E_UNSUPPORTED)
        chaos_skip(service->chaos, "%s", why->detail);
    chaos__broken(service->chaos, what, why);
}

static void refusal_owe(struct chaos_service *service, enum chaos_scarcity what)
{
    struct chaos_evidence *evidence = chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_REFUSED, NULL, service);
    evidence->scarcity = what;
    evidence->refused_before = chaos_service_refused(service, what);
}

uint64_t chaos_service_refused(struct chaos_service *service, enum chaos_scarcity what)
{
    return what < CHAOS_SCARCITY_COUNT ? atomic_load(&service->shared->log.refused[what]) : 0;
}

/* --- memory --- */

void chaos_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes)
{
    struct duress_failure why = {0};
    if (how == CHAOS_MEMORY_FAIL && !chaos__service_is_ours(service, "telling of failed allocations"))
        return;
    scarcity_check(service, service->chaos->driver->service_memory(service, how, bytes, &why), "limit the memory",
                   &why);
    if (how == CHAOS_MEMORY_KILL)
        chaos__end_owe(service, CHAOS_END_OOM);
    else
        refusal_owe(service, CHAOS_NO_MEMORY);
    chaos_note(service->chaos, "service %s may take %.1f KiB more memory, else %s", service->name, (double)bytes / 1024,
               how == CHAOS_MEMORY_KILL ? "it is killed" : "its allocations fail");
}

/* --- processor --- */

static struct chaos_cpu_time cpu_since(struct chaos_service *service, struct chaos_cpu_time before)
{
    struct chaos_cpu_time now = service->chaos->driver->service_cpu_time(service);
    if (now.run_ns < before.run_ns || now.wait_ns < before.wait_ns)
        return now; /* of another process */
    return (struct chaos_cpu_time){now.run_ns - before.run_ns, now.wait_ns - before.wait_ns};
}

/* A scheduler shares fairly in the long run; a quarter of that is enough to show it. */
bool chaos__cpu_was_scarce(const struct chaos_evidence *evidence)
{
    struct chaos_cpu_time seen = cpu_since(evidence->service, evidence->cpu_before);
    uint64_t fair_ns = duress_time_multiply(seen.run_ns / 1000, evidence->cpu_others_ppm / 1000);
    return seen.run_ns > 0 && seen.wait_ns > 0 && seen.wait_ns >= fair_ns / 4;
}

/* What is shown of the burners that go now is settled. */
static void cpu_settle(struct chaos_service *service)
{
    for (struct chaos_evidence *each = service->chaos->evidence; each != NULL; each = each->next)
        if (each->kind == CHAOS_EVIDENCE_CPU && each->service == service && !each->removed) {
            each->shown = chaos__cpu_was_scarce(each);
            each->removed = true;
        }
}

void chaos_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm)
{
    struct duress_failure why = {0};
    uint32_t duty = duty_ppm > 0 && duty_ppm < DURESS_PPM ? duty_ppm : (uint32_t)DURESS_PPM;
    cpu_settle(service);
    scarcity_check(service, service->chaos->driver->service_cpu(service, burners, duty, &why), "burn a processor",
                   &why);
    service->cpu_before = service->chaos->driver->service_cpu_time(service);
    if (burners > 0) {
        struct chaos_evidence *evidence = chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_CPU, NULL, service);
        evidence->cpu_before = service->cpu_before;
        evidence->cpu_others_ppm = (uint64_t)burners * duty;
    }
    chaos_note(service->chaos, "service %s shares its processor with %u burners", service->name, burners);
}

uint64_t chaos_service_cpu_share_ppm(struct chaos_service *service)
{
    struct chaos_cpu_time seen = cpu_since(service, service->cpu_before);
    uint64_t wanted_us = (seen.run_ns + seen.wait_ns) / 1000;
    return wanted_us > 0 ? seen.run_ns / 1000 * DURESS_PPM / wanted_us : DURESS_PPM;
}

/* --- disk --- */

void chaos_service_disk(struct chaos_service *service, enum chaos_disk state)
{
    static const char *const names[] = {"well", "full", "read-only", "broken"};
    static const enum chaos_scarcity refusals[] = {
        [CHAOS_DISK_WELL] = CHAOS_SCARCITY_COUNT,
        [CHAOS_DISK_FULL] = CHAOS_NO_SPACE,
        [CHAOS_DISK_READ_ONLY] = CHAOS_DISK_IS_READ_ONLY,
        [CHAOS_DISK_BROKEN] = CHAOS_DISK_FAILED,
    };
    if (!chaos__service_is_ours(service, "its disk"))
        return;
    if (state != CHAOS_DISK_WELL)
        refusal_owe(service, refusals[state]);
    atomic_store(&service->shared->orders.disk, (uint32_t)state);
    chaos_note(service->chaos, "the disk of service %s is %s", service->name, names[state]);
}

/* --- descriptors --- */

void chaos_service_descriptors(struct chaos_service *service, uint32_t more)
{
    struct chaos *chaos = service->chaos;
    struct duress_failure why = {0};
    for (struct chaos_evidence *each = chaos->evidence; each != NULL; each = each->next)
        if (each->kind == CHAOS_EVIDENCE_QUEUED && each->service == service && !each->removed) {
            each->shown = chaos->driver->service_queued(service) > 0;
            each->removed = true;
        }
    scarcity_check(service, chaos->driver->service_descriptors(service, more, &why), "limit the descriptors", &why);
    if (more != UINT32_MAX)
        (void)chaos__evidence_add(chaos, CHAOS_EVIDENCE_QUEUED, NULL, service);
    chaos_note(chaos, "service %s may have %u more descriptors", service->name, more);
}

/* --- wall clock --- */

void chaos_service_wall_step(struct chaos_service *service, int64_t step_ns)
{
    struct chaos *chaos = service->chaos;
    if (!chaos__service_is_ours(service, "its wall clock"))
        return;
    struct chaos_evidence *evidence = chaos__evidence_add(chaos, CHAOS_EVIDENCE_WALL, NULL, service);
    evidence->wall_ahead_ns = duress_world_wall_ns(chaos->world) - chaos_now_ns(chaos) -
                              (uint64_t)atomic_load(&chaos->wall_step_ns) +
                              (uint64_t)atomic_load(&service->shared->orders.wall_step_ns);
    evidence->wall_step_ns = step_ns;
    (void)atomic_fetch_add(&service->shared->orders.wall_step_ns, step_ns);
    chaos_note(chaos, "the wall clock of service %s steps by %.3f s", service->name, (double)step_ns / 1e9);
}

void chaos_wall_step(struct chaos *chaos, int64_t step_ns)
{
    const struct chaos_outside nothing = {0};
    if (chaos->between == NULL &&
        chaos__service_world_open(chaos->world, &nothing, &chaos->wall_step_ns, &chaos->between) != DURESS_OK) {
        struct duress_failure why;
        duress_failure_set(&why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_NONE, NULL);
        chaos__broken(chaos, "step the wall clock", &why);
        return;
    }
    (void)atomic_fetch_add(&chaos->wall_step_ns, step_ns);
    chaos_note(chaos, "the test's wall clock steps by %.3f s", (double)step_ns / 1e9);
}

uint64_t chaos_service_wall_ns(struct chaos_service *service, uint64_t index)
{
    const struct chaos_log *log = &service->shared->log;
    bool is_logged = index < atomic_load(&log->count) && index < CHAOS_LOG_ENTRIES_MAX;
    return is_logged ? log->entries[index].wall_ns : 0;
}
