/* SPDX-License-Identifier: Apache-2.0
 *
 * Services under test, as the test sees them: started, killed, and read by their arrival log. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define SERVICE_START_LIMIT_NS (20 * DURESS_S)

static bool service_is_ready(void *context)
{
    struct chaos_service *service = context;
    return service->chaos->driver->service_is_ready(service);
}

static void service_begin(struct chaos_service *service)
{
    struct duress_failure why = {0};
    if (service->chaos->driver->service_start(service, &why) != DURESS_OK)
        chaos__broken(service->chaos, "start a service", &why);
    if (chaos_until(service->chaos, service_is_ready, service, SERVICE_START_LIMIT_NS))
        return;
    duress_failure_set(&why, DURESS_E_DEADLINE, DURESS_ORIGIN_NONE, "%s did not listen in time", service->name);
    chaos__broken(service->chaos, "start a service", &why);
}

struct chaos_service *chaos_service_start_with(struct chaos *chaos, const struct chaos_service_options *options)
{
    struct chaos_service *service = chaos__allocate(chaos, sizeof *service);
    service->chaos = chaos;
    (void)snprintf(service->name, sizeof service->name, "%s", options->name != NULL ? options->name : "service");
    service->config = (struct chaos_service_config){
        .reply_after_ns = options->reply_after_ns,
        .slow_count = options->slow_count,
        .fail_count = options->fail_count,
        .reply_bytes = options->reply_bytes,
        .in_flight_max = options->in_flight_max,
        .requests_max = options->requests_max,
        .chunk_count = options->chunk_count,
        .chunk_gap_ns = options->chunk_gap_ns,
    };
    service->next = chaos->services;
    chaos->services = service;
    service_begin(service);
    if (options->reply_after_ns > 0)
        (void)chaos__evidence_add(chaos, CHAOS_EVIDENCE_SLOW, NULL, service);
    if (options->chunk_count > 0)
        (void)chaos__evidence_add(chaos, CHAOS_EVIDENCE_CHUNKS, NULL, service);
    chaos_note(chaos, "service %s listens", service->name);
    return service;
}

void chaos_service_kill(struct chaos_service *service)
{
    service->kills++;
    service->chaos->driver->service_kill(service);
    (void)chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_KILL, NULL, service);
    chaos_note(service->chaos, "service %s is killed", service->name);
}

void chaos_service_restart(struct chaos_service *service)
{
    for (struct chaos_evidence *evidence = service->chaos->evidence; evidence != NULL; evidence = evidence->next)
        if (evidence->kind == CHAOS_EVIDENCE_KILL && evidence->service == service)
            evidence->shown = evidence->shown || service->chaos->driver->service_kill_is_shown(service);
    service_begin(service);
    chaos_note(service->chaos, "service %s listens again", service->name);
}

uint64_t chaos_service_arrivals(struct chaos_service *service)
{
    return atomic_load(&service->log->count);
}

uint64_t chaos_service_cancelled(struct chaos_service *service)
{
    return atomic_load(&service->log->cancelled_count);
}

struct chaos_arrival chaos_service_arrival(struct chaos_service *service, uint64_t index)
{
    struct chaos_arrival arrival = {0};
    if (index >= atomic_load(&service->log->count) || index >= CHAOS_LOG_ENTRIES_MAX)
        return arrival;
    struct chaos_log_entry *entry = &service->log->entries[index];
    arrival.at_ns = entry->at_ns;
    arrival.connection_number = entry->connection_number;
    arrival.ended_ns = atomic_load(&entry->ended_ns);
    arrival.cancelled = atomic_load(&entry->cancelled);
    arrival.chunk_count = atomic_load(&entry->chunk_count);
    memcpy(arrival.text, entry->text, sizeof arrival.text);
    return arrival;
}
