/* SPDX-License-Identifier: Apache-2.0
 *
 * Services under test, as the test sees them: their life, the faults ordered of them, and their arrival log. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define SERVICE_START_LIMIT_NS (20 * DURESS_S)
#define DRAIN_NS (10 * DURESS_S)
/* What another process did is seen by looking. */
#define LOOK_NS (1 * DURESS_MS)

/* --- life: down, starting, up, stopping --- */

static void service_arm(struct chaos_service *service, uint64_t delay_ns)
{
    struct duress_world *world = service->chaos->world;
    duress_world_arm(world, &service->timer, duress_time_add(duress_world_now_ns(world), delay_ns));
}

static void service_look(struct chaos_service *service)
{
    if (!service->chaos->driver->service_is_ready(service)) {
        service_arm(service, LOOK_NS);
        return;
    }
    service->phase = CHAOS_SERVICE_UP;
    service->up_since_ns = chaos_now_ns(service->chaos);
    chaos_note(service->chaos, "service %s listens%s", service->name, service->end.number > 0 ? " again" : "");
    if (service->crashes_left > 0)
        service_arm(service, service->crash_up_ns);
}

static void service_launch(struct chaos_service *service)
{
    struct duress_failure why = {0};
    if (service->shared != NULL) { /* What was ordered of the process before is not the new one's. */
        atomic_store(&service->shared->orders.death_when, CHAOS_DEATH_NEVER);
        atomic_store(&service->shared->orders.disk, CHAOS_DISK_WELL);
    }
    if (service->chaos->driver->service_start(service, &why) != DURESS_OK) {
        chaos__broken(service->chaos, "start a service", &why);
        return;
    }
    service->phase = CHAOS_SERVICE_STARTING;
    service_look(service);
}

static void service_due(void *context)
{
    struct chaos_service *service = context;
    if (service->phase == CHAOS_SERVICE_DOWN)
        service_launch(service);
    else if (service->phase == CHAOS_SERVICE_STARTING)
        service_look(service);
    else if (service->phase == CHAOS_SERVICE_UP && service->crashes_left > 0) {
        service->crashes_left--;
        chaos_service_crash(service, service->crash);
    }
}

static void service_begin(struct chaos_service *service)
{
    service_launch(service);
    if (chaos_service_await_start(service, SERVICE_START_LIMIT_NS))
        return;
    struct duress_failure why;
    duress_failure_set(&why, DURESS_E_DEADLINE, DURESS_ORIGIN_NONE, "%s did not listen in time", service->name);
    chaos__broken(service->chaos, "start a service", &why);
}

/* --- ends --- */

static const char *end_format(enum chaos_end_how how, int code, char *text, size_t capacity)
{
    if (how == CHAOS_END_EXITED)
        (void)snprintf(text, capacity, "it ended by itself with code %d", code);
    else
        (void)snprintf(text, capacity, "it died of signal %d", code);
    return text;
}

/* Whether a test has ordered such an end, and not seen it yet. A command that was told to stop may end as it likes. */
static bool end_settle(struct chaos_service *service, enum chaos_end_how how, int code)
{
    bool is_command = service->command.arguments != NULL;
    if (is_command && service->phase == CHAOS_SERVICE_STOPPING)
        how = CHAOS_END_EXITED;
    else if (how == CHAOS_END_EXITED && code != 0)
        return false;
    for (struct chaos_evidence *evidence = service->chaos->evidence; evidence != NULL; evidence = evidence->next)
        if (evidence->kind == CHAOS_EVIDENCE_END && evidence->service == service && evidence->end == how &&
            !evidence->shown) {
            evidence->shown = true;
            return true;
        }
    return false;
}

void chaos__service_ended(struct chaos_service *service, enum chaos_end_how how, int code)
{
    struct chaos *chaos = service->chaos;
    char text[64];
    duress_world_disarm(chaos->world, &service->timer);
    service->end = (struct chaos_end){how, code, chaos_now_ns(chaos), service->end.number + 1};
    chaos_note(chaos, "service %s: %s", service->name, end_format(how, code, text, sizeof text));
    bool is_ordered = end_settle(service, how, code);
    service->phase = CHAOS_SERVICE_DOWN;
    if (!is_ordered) {
        chaos__fail(chaos, chaos->test->file, chaos->test->line, "expected: %s ends as ordered, or lives; seen: %s",
                    service->name, text);
        return;
    }
    if (service->restarts_left == 0)
        return;
    if (service->restarts_left != UINT32_MAX)
        service->restarts_left--;
    service_arm(service, service->restart_delay_ns);
}

static struct chaos_evidence *end_owe(struct chaos_service *service, enum chaos_end_how how)
{
    struct chaos_evidence *evidence = chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_END, NULL, service);
    evidence->end = how;
    return evidence;
}

void chaos__end_owe(struct chaos_service *service, enum chaos_end_how how)
{
    (void)end_owe(service, how);
}

static enum chaos_end_how crash_end(enum chaos_crash how)
{
    return how == CHAOS_CRASH_SIGSEGV ? CHAOS_END_SIGSEGV : CHAOS_END_SIGKILL;
}

static void service_die(struct chaos_service *service, enum chaos_crash how)
{
    if (service->phase == CHAOS_SERVICE_DOWN)
        return;
    chaos_note(service->chaos, "service %s is killed", service->name);
    service->chaos->driver->service_crash(service, how);
}

void chaos_service_crash(struct chaos_service *service, enum chaos_crash how)
{
    if (service->phase == CHAOS_SERVICE_DOWN)
        return;
    (void)end_owe(service, crash_end(how));
    service_die(service, how);
}

void chaos_service_kill(struct chaos_service *service)
{
    chaos_service_crash(service, CHAOS_CRASH_SIGKILL);
}

static void sigkill_due(void *context)
{
    service_die(context, CHAOS_CRASH_SIGKILL);
}

static void sigsegv_due(void *context)
{
    service_die(context, CHAOS_CRASH_SIGSEGV);
}

void chaos_service_crash_after(struct chaos_service *service, enum chaos_crash how, uint64_t delay_ns)
{
    (void)end_owe(service, crash_end(how));
    chaos_after(service->chaos, delay_ns, how == CHAOS_CRASH_SIGSEGV ? sigsegv_due : sigkill_due, service);
}

static void death_order(struct chaos_service *service, enum chaos_death_when when, enum chaos_crash how, uint64_t count,
                        uint64_t after_bytes)
{
    if (!chaos__service_is_ours(service, "requests"))
        return;
    struct chaos_orders *orders = &service->shared->orders;
    (void)end_owe(service, crash_end(how));
    atomic_store(&orders->death_when, CHAOS_DEATH_NEVER);
    atomic_store(&orders->death_how, (uint32_t)how);
    atomic_store(&orders->death_at, chaos_service_arrivals(service) + (count > 0 ? count : 1));
    atomic_store(&orders->death_after_bytes, after_bytes);
    atomic_store(&orders->death_when, when);
}

void chaos_service_crash_at_request(struct chaos_service *service, enum chaos_crash how, uint64_t count)
{
    death_order(service, CHAOS_DEATH_ON_ARRIVAL, how, count, 0);
}

void chaos_service_crash_in_reply(struct chaos_service *service, enum chaos_crash how, uint64_t count,
                                  uint64_t after_bytes)
{
    death_order(service, CHAOS_DEATH_IN_REPLY, how, count, after_bytes);
}

void chaos_service_crash_loop(struct chaos_service *service, enum chaos_crash how, uint32_t crashes, uint64_t up_ns)
{
    if (crashes == 0)
        return;
    service->crash = how;
    service->crash_up_ns = up_ns;
    service->crashes_left = crashes - 1;
    chaos_service_crash(service, how);
}

void chaos_service_stop(struct chaos_service *service)
{
    if (service->phase != CHAOS_SERVICE_UP)
        return;
    (void)end_owe(service, CHAOS_END_EXITED);
    service->phase = CHAOS_SERVICE_STOPPING;
    chaos_note(service->chaos, "service %s is told to stop", service->name);
    service->chaos->driver->service_stop(service);
}

struct end_wait {
    const struct chaos_service *service;
    uint32_t number;
};

static bool has_ended(void *context)
{
    const struct end_wait *wait = context;
    return wait->service->end.number >= wait->number;
}

static bool service_is_up(void *context)
{
    return ((struct chaos_service *)context)->phase == CHAOS_SERVICE_UP;
}

bool chaos_service_await_end(struct chaos_service *service, uint32_t number, uint64_t within_ns)
{
    struct end_wait wait = {service, number};
    return chaos_until(service->chaos, has_ended, &wait, within_ns);
}

bool chaos_service_await_start(struct chaos_service *service, uint64_t within_ns)
{
    return chaos_until(service->chaos, service_is_up, service, within_ns);
}

void chaos_service_restart_after(struct chaos_service *service, uint64_t delay_ns, uint32_t restarts)
{
    service->restart_delay_ns = delay_ns;
    service->restarts_left = restarts > 0 ? restarts : UINT32_MAX;
    if (service->phase != CHAOS_SERVICE_DOWN)
        return;
    if (service->restarts_left != UINT32_MAX)
        service->restarts_left--;
    service_arm(service, delay_ns);
}

void chaos_service_restart(struct chaos_service *service)
{
    if (service->phase == CHAOS_SERVICE_DOWN) {
        service_begin(service);
        return;
    }
    chaos__fail(service->chaos, service->chaos->test->file, service->chaos->test->line,
                "expected: %s has ended when it is restarted; seen: it runs", service->name);
}

struct chaos_end chaos_service_end(const struct chaos_service *service)
{
    return service->end;
}

bool chaos_service_is_up(const struct chaos_service *service)
{
    return service->phase == CHAOS_SERVICE_UP;
}

uint64_t chaos_service_up_since_ns(const struct chaos_service *service)
{
    return service->up_since_ns;
}

/* --- freeze --- */

void chaos_service_freeze(struct chaos_service *service)
{
    struct chaos_evidence *evidence = chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_FREEZE, NULL, service);
    evidence->shown = service->chaos->driver->service_freeze(service, true);
    chaos_note(service->chaos, "service %s is frozen", service->name);
}

void chaos_service_thaw(struct chaos_service *service)
{
    (void)service->chaos->driver->service_freeze(service, false);
    chaos_note(service->chaos, "service %s goes on", service->name);
}

/* --- slow replies --- */

void chaos_service_slow_by(struct chaos_service *service, const struct chaos_delays *delays)
{
    if (!chaos__service_is_ours(service, "thinking times"))
        return;
    struct chaos_orders *orders = &service->shared->orders;
    const uint64_t points[CHAOS_DELAY_POINT_COUNT] = {delays->p0_ns, delays->p50_ns, delays->p90_ns, delays->p99_ns,
                                                      delays->p100_ns};
    for (size_t i = 0; i < CHAOS_DELAY_POINT_COUNT; i++) {
        if (i > 0 && points[i] < points[i - 1])
            chaos__fail(service->chaos, service->chaos->test->file, service->chaos->test->line,
                        "expected: delays that do not descend; seen: point %zu is below point %zu", i, i - 1);
        atomic_store(&orders->delays_ns[i], points[i]);
    }
    atomic_store(&orders->slow, 1);
    if (delays->p100_ns > 0)
        (void)chaos__evidence_add(service->chaos, CHAOS_EVIDENCE_SLOW, NULL, service);
    chaos_note(service->chaos, "service %s thinks for %.3f to %.3f ms", service->name, (double)points[0] / 1e6,
               (double)points[CHAOS_DELAY_POINT_COUNT - 1] / 1e6);
}

void chaos_service_slow(struct chaos_service *service, uint64_t delay_ns)
{
    const struct chaos_delays delays = {delay_ns, delay_ns, delay_ns, delay_ns, delay_ns};
    chaos_service_slow_by(service, &delays);
}

/* --- start, and the log --- */

static void onward_configure(struct chaos_service *service, const struct chaos_onward *onward)
{
    struct chaos_onward_config *config = &service->config.onward;
    struct duress_address address = service->chaos->driver->relay_address(onward->link->relay);
    char place[DURESS_ADDRESS_TEXT_BYTES_MAX];
    (void)snprintf(config->endpoint, sizeof config->endpoint, "tcp://%s",
                   duress_address_format(&address, place, sizeof place));
    config->timeout_ns = onward->timeout_ns;
    config->failures_to_open = onward->failures_to_open;
    config->recovery_ns = onward->recovery_ns;
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
        .work_ns = options->work_ns,
        .hold_ns = options->hold_ns,
        .leak_bytes = options->leak_bytes,
        .journal_bytes = options->journal_bytes,
        .disk_bytes = options->disk_bytes,
        .drain_ns = DRAIN_NS,
    };
    if (options->command != NULL && !chaos_is_live(chaos)) {
        duress_release(&chaos->heap.allocator, service);
        chaos_skip(chaos, "runs a command, which cannot be simulated; use --world live");
    }
    if (options->onward.link != NULL)
        onward_configure(service, &options->onward);
    duress_timer_init(&service->timer, service_due, service);
    service->next = chaos->services;
    chaos->services = service;
    if (options->command != NULL)
        chaos__command_take(service, options);
    service_begin(service);
    if (options->reply_after_ns > 0)
        (void)chaos__evidence_add(chaos, CHAOS_EVIDENCE_SLOW, NULL, service);
    if (options->chunk_count > 0)
        (void)chaos__evidence_add(chaos, CHAOS_EVIDENCE_CHUNKS, NULL, service);
    return service;
}

uint64_t chaos_service_arrivals(struct chaos_service *service)
{
    return atomic_load(&service->shared->log.count);
}

uint64_t chaos_service_cancelled(struct chaos_service *service)
{
    return atomic_load(&service->shared->log.cancelled_count);
}

struct chaos_arrival chaos_service_arrival(struct chaos_service *service, uint64_t index)
{
    struct chaos_arrival arrival = {0};
    if (index >= atomic_load(&service->shared->log.count) || index >= CHAOS_LOG_ENTRIES_MAX)
        return arrival;
    struct chaos_log_entry *entry = &service->shared->log.entries[index];
    arrival.at_ns = entry->at_ns;
    arrival.connection_number = entry->connection_number;
    arrival.ended_ns = atomic_load(&entry->ended_ns);
    arrival.cancelled = atomic_load(&entry->cancelled);
    arrival.chunk_count = atomic_load(&entry->chunk_count);
    memcpy(arrival.text, entry->text, sizeof arrival.text);
    return arrival;
}

uint64_t chaos_service_thinking_ns(struct chaos_service *service, uint64_t index)
{
    const struct chaos_log *log = &service->shared->log;
    bool is_logged = index < atomic_load(&log->count) && index < CHAOS_LOG_ENTRIES_MAX;
    return is_logged ? atomic_load(&log->entries[index].think_ns) : 0;
}
