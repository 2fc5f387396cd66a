/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a service under test: an agent behind the framed server, with an arrival log. Live, it runs in a
 * process of its own; simulated, on a host of its own. Same code, same bytes. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>

struct chaos_service_host {
    struct duress_world *world;
    struct chaos_service_world *between;
    struct chaos_outside outside;
    struct chaos_service_config config;
    struct chaos_orders *orders;
    struct chaos_log *log;
    struct duress_prng prng;
    struct duress_agent *agent;
    struct duress_agent *onward; /* NULL: it answers by itself */
    struct duress_server *server;
    uint64_t arrival_index; /* of the arrival whose request the agent is asked next */
    uint64_t request_count; /* since this process began */
    bool is_dead;           /* simulated: what this process still does has no effect */
};

struct service_request {
    struct chaos_service_host *host;
    struct duress_call *call;
    struct duress_timer timer;
    struct duress_call *onward; /* the call that it waits for, if any */
    uint64_t arrival_index;
    uint32_t chunk_count; /* made so far */
    bool fails;
};

static struct chaos_log_entry *log_entry(struct chaos_log *log, uint64_t index)
{
    return index < CHAOS_LOG_ENTRIES_MAX ? &log->entries[index] : NULL;
}

/* --- orders --- */

static bool death_is_due(struct chaos_service_host *host, enum chaos_death_when when, uint64_t number)
{
    return atomic_load(&host->orders->death_when) == when && atomic_load(&host->orders->death_at) == number;
}

static void host_die(void *context, enum chaos_crash how)
{
    struct chaos_service_host *host = context;
    host->is_dead = true;
    host->outside.die(host->outside.context, how);
}

static enum chaos_crash death_how(const struct chaos_service_host *host)
{
    return (enum chaos_crash)atomic_load(&host->orders->death_how);
}

/* How long the request |number| (from 0, of this process) is to think. */
static uint64_t think_draw(struct chaos_service_host *host, uint64_t number)
{
    /* What lies below each point, in a million. */
    static const uint64_t points_ppm[CHAOS_DELAY_POINT_COUNT] = {0, 500000, 900000, 990000, DURESS_PPM};
    const struct chaos_service_config *config = &host->config;
    if (atomic_load(&host->orders->slow) == 0)
        return config->slow_count == 0 || number < config->slow_count ? config->reply_after_ns : 0;
    uint64_t drawn_ppm = duress_prng_between(&host->prng, 0, DURESS_PPM - 1);
    size_t point = 1;
    while (drawn_ppm >= points_ppm[point])
        point++;
    uint64_t low_ns = atomic_load(&host->orders->delays_ns[point - 1]);
    uint64_t high_ns = atomic_load(&host->orders->delays_ns[point]);
    return low_ns < high_ns ? duress_prng_between(&host->prng, low_ns, high_ns) : low_ns;
}

/* --- requests --- */

static void service_arrived(void *context, const struct duress_arrival *arrival)
{
    struct chaos_service_host *host = context;
    if (host->is_dead)
        return;
    uint64_t index = atomic_load(&host->log->count);
    struct chaos_log_entry *entry = log_entry(host->log, index);
    host->arrival_index = index;
    if (entry != NULL) {
        entry->at_ns = arrival->at_ns;
        entry->connection_number = arrival->connection_number;
        entry->wall_ns = duress_world_wall_ns(host->world);
        atomic_store(&entry->think_ns, 0);
        atomic_store(&entry->ended_ns, 0);
        atomic_store(&entry->cancelled, false);
        atomic_store(&entry->chunk_count, 0);
        size_t length = arrival->content.length;
        length = length < sizeof entry->text - 1 ? length : sizeof entry->text - 1;
        if (length > 0)
            memcpy(entry->text, arrival->content.data, length);
        entry->text[length] = '\0';
    }
    atomic_store(&host->log->count, index + 1);
    if (death_is_due(host, CHAOS_DEATH_ON_ARRIVAL, index + 1))
        host_die(host, death_how(host));
}

static void request_log_end(struct service_request *request, bool cancelled)
{
    struct chaos_log *log = request->host->log;
    struct chaos_log_entry *entry = log_entry(log, request->arrival_index);
    if (request->host->is_dead)
        return;
    if (cancelled)
        atomic_fetch_add(&log->cancelled_count, 1);
    if (entry == NULL)
        return;
    atomic_store(&entry->cancelled, cancelled);
    atomic_store(&entry->ended_ns, duress_world_now_ns(request->host->world));
}

static void request_fail(struct service_request *request, enum duress_error code, const char *text)
{
    struct duress_failure failure;
    duress_failure_set(&failure, code, DURESS_ORIGIN_AGENT, "%s", text);
    duress_call_fail(request->call, &failure);
}

/* Sets *content, the request's, to that of the reply, or of its chunk |number| (from 1). *bytes is to be released. */
static int reply_content(const struct chaos_service_host *host, uint32_t number, struct duress_slice *content,
                         char **bytes)
{
    enum { NUMBER_BYTES_MAX = 12 };
    size_t length = host->config.reply_bytes;
    *bytes = NULL;
    if (length == 0 && number == 0)
        return DURESS_OK;
    size_t room = length > 0 ? length : content->length + NUMBER_BYTES_MAX;
    *bytes = duress_allocate(duress_world_allocator(host->world), room);
    if (*bytes == NULL)
        return DURESS_E_NO_MEMORY;
    for (size_t i = 0; i < length; i++)
        (*bytes)[i] = (char)('a' + i % 26);
    if (length == 0) {
        length = content->length;
        if (length > 0)
            memcpy(*bytes, content->data, length);
        length += (size_t)snprintf(*bytes + length, NUMBER_BYTES_MAX, " %" PRIu32, number);
    }
    *content = duress_slice_bytes(*bytes, length);
    return DURESS_OK;
}

static int reply_new(const struct chaos_service_host *host, const struct duress_message *request, uint32_t number,
                     struct duress_message **reply)
{
    const struct duress_allocator *allocator = duress_world_allocator(host->world);
    char *bytes;
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = duress_message_content(request),
        .timestamp_ns = duress_world_wall_ns(host->world),
        .allocator = allocator,
    };
    int error = reply_content(host, number, &options.content, &bytes);
    if (error == DURESS_OK)
        error = duress_message_new(&options, reply);
    duress_release(allocator, bytes);
    return error;
}

static void request_wait(struct service_request *request, uint64_t wait_ns)
{
    struct duress_world *world = request->host->world;
    duress_world_arm(world, &request->timer, duress_time_add(duress_world_now_ns(world), wait_ns));
}

/* Makes the next chunk, and ends with the last. */
static void request_chunk(struct service_request *request)
{
    const struct chaos_service_host *host = request->host;
    struct duress_call *call = request->call;
    struct chaos_log_entry *entry = log_entry(host->log, request->arrival_index);
    struct duress_message *chunk = NULL;
    if (reply_new(host, call->request, request->chunk_count + 1, &chunk) != DURESS_OK) {
        request_log_end(request, false);
        request_fail(request, DURESS_E_NO_MEMORY, "no memory for a chunk of the reply");
        return;
    }
    bool last = ++request->chunk_count == host->config.chunk_count;
    if (entry != NULL)
        atomic_store(&entry->chunk_count, request->chunk_count);
    if (last)
        request_log_end(request, false);
    else
        request_wait(request, host->config.chunk_gap_ns);
    duress_call_emit(call, chunk); /* where it is given up meanwhile, service_cancel() has been told */
    if (last && duress_call_is_live(call))
        duress_call_reply(call, chunk);
    duress_message_unref(chunk);
}

static bool request_goes_onward(const struct service_request *request)
{
    static const char local[] = "local";
    struct duress_slice content = duress_message_content(request->call->request);
    bool is_local = content.length >= sizeof local - 1 && memcmp(content.data, local, sizeof local - 1) == 0;
    return request->host->onward != NULL && !is_local;
}

static void onward_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct service_request *request = context;
    (void)child;
    request->onward = NULL;
    request_log_end(request, false);
    duress_call_pass(request->call, result);
}

static void request_onward(struct service_request *request)
{
    const struct duress_child child = {.agent = request->host->onward, .on_end = onward_ended, .context = request};
    if (duress_call_begin(request->call, &child, &request->onward) == DURESS_OK)
        return;
    request_log_end(request, false);
    request_fail(request, DURESS_E_NO_MEMORY, "no memory to ask onward");
}

static void request_answer(void *context)
{
    struct service_request *request = context;
    struct duress_message *reply = NULL;
    bool is_stream = request->call->streaming && request->host->config.chunk_count > 0 && !request->fails;
    if (request->chunk_count == 0 && death_is_due(request->host, CHAOS_DEATH_IN_REPLY, request->arrival_index + 1))
        chaos__service_world_die_after(request->host->between, atomic_load(&request->host->orders->death_after_bytes),
                                       death_how(request->host));
    if (is_stream) {
        request_chunk(request);
        return;
    }
    if (!request->fails && request_goes_onward(request)) {
        request_onward(request);
        return;
    }
    request_log_end(request, false);
    if (request->fails) {
        request_fail(request, DURESS_E_REMOTE, "ordered to fail");
        return;
    }
    if (reply_new(request->host, request->call->request, 0, &reply) != DURESS_OK) {
        request_fail(request, DURESS_E_NO_MEMORY, "no memory for the reply");
        return;
    }
    duress_call_reply(request->call, reply);
    duress_message_unref(reply);
}

static void request_refuse(struct service_request *request, enum chaos_scarcity what)
{
    static const char *const texts[] = {
        [CHAOS_NO_MEMORY] = "Cannot allocate memory",
        [CHAOS_NO_SPACE] = "No space left on device",
        [CHAOS_DISK_IS_READ_ONLY] = "Read-only file system",
        [CHAOS_DISK_FAILED] = "Input/output error",
    };
    atomic_fetch_add(&request->host->log->refused[what], 1);
    request_log_end(request, false);
    request_fail(request, DURESS_E_REMOTE, texts[what]);
}

/* Takes what the request needs of the machine. False where it could not, and has been answered so. */
static bool request_take(struct service_request *request)
{
    struct chaos_service_host *host = request->host;
    const struct chaos_outside *outside = &host->outside;
    if (host->config.work_ns > 0)
        outside->compute(outside->context, host->config.work_ns);
    if (host->config.hold_ns > 0)
        outside->hold(outside->context, host->config.hold_ns);
    if (host->config.leak_bytes > 0 && !outside->leak(outside->context, host->config.leak_bytes)) {
        request_refuse(request, CHAOS_NO_MEMORY);
        return false;
    }
    if (host->config.journal_bytes == 0)
        return true;
    enum chaos_scarcity refused = outside->journal(outside->context, host->config.journal_bytes);
    if (refused == CHAOS_SCARCITY_COUNT)
        return true;
    request_refuse(request, refused);
    return false;
}

static void service_begin(void *context, struct duress_call *call)
{
    struct chaos_service_host *host = context;
    if (host->is_dead)
        return;
    struct service_request *request = duress_call_allocate(call, sizeof *request);
    if (request == NULL) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
        duress_call_fail(call, &failure);
        return;
    }
    *request = (struct service_request){.host = host, .call = call, .arrival_index = host->arrival_index};
    call->state = request;
    duress_timer_init(&request->timer, request_answer, request);
    uint64_t number = host->request_count++;
    request->fails = number < host->config.fail_count;
    uint64_t think_ns = think_draw(host, number);
    if (!request_take(request) || host->is_dead)
        return;
    struct chaos_log_entry *entry = log_entry(host->log, request->arrival_index);
    if (entry != NULL)
        atomic_store(&entry->think_ns, think_ns);
    uint64_t wait_ns = duress_time_add(host->outside.busy_ns(host->outside.context), think_ns);
    if (wait_ns == 0)
        request_answer(request);
    else
        request_wait(request, wait_ns);
}

static void service_cancel(void *context, struct duress_call *call)
{
    struct chaos_service_host *host = context;
    struct service_request *request = call->state;
    if (request == NULL)
        return; /* It arrived as the process died. */
    duress_world_disarm(host->world, &request->timer);
    if (request->onward != NULL)
        duress_call_abandon(request->onward);
    request_log_end(request, true);
}

/* --- life --- */

static int host_serve(struct chaos_service_host *host, const struct duress_address *address, struct duress_failure *why)
{
    int error = duress_function_async_new(host->world, "service", service_begin, service_cancel, host, &host->agent);
    if (error != DURESS_OK)
        return error;
    struct duress_server_options options = {
        .world = host->world,
        .agent = host->agent,
        .address = *address,
        .in_flight_max = host->config.in_flight_max,
        .requests_max = host->config.requests_max,
        .on_arrival = service_arrived,
        .context = host,
    };
    error = duress_server_new(&options, &host->server, why);
    duress_agent_unref(host->agent);
    return error;
}

int chaos__service_host_open(struct duress_world *world, struct chaos_shared *shared,
                             const struct chaos_outside *outside, const struct duress_address *address,
                             struct chaos_service_host **host, struct duress_failure *why)
{
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct chaos_service_host *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->world = world;
    made->outside = *outside;
    made->config = shared->config;
    made->orders = &shared->orders;
    made->log = &shared->log;
    duress_world_prng(world, UINT64_C(0x736c6f77), &made->prng);
    struct chaos_outside guarded = {.die = host_die, .context = made};
    int error = chaos__service_world_open(world, &guarded, &shared->orders.wall_step_ns, &made->between);
    if (error == DURESS_OK)
        error = chaos__onward_open(world, &made->config.onward, &made->onward, why);
    if (error == DURESS_OK)
        error = host_serve(made, address, why);
    if (error != DURESS_OK) {
        duress_agent_unref(made->onward);
        chaos__service_world_close(made->between);
        duress_release(allocator, made);
        return error;
    }
    *host = made;
    return DURESS_OK;
}

struct duress_server *chaos__service_host_server(struct chaos_service_host *host)
{
    return host->server;
}

void chaos__service_host_drain(struct chaos_service_host *host, duress_drained_fn drained, void *context)
{
    uint64_t deadline_ns = duress_time_add(duress_world_now_ns(host->world), host->config.drain_ns);
    duress_server_stop(host->server, deadline_ns, drained, context);
}

void chaos__service_host_close(struct chaos_service_host *host)
{
    if (host == NULL)
        return;
    const struct duress_allocator *allocator = duress_world_allocator(host->world);
    host->is_dead = true;
    duress_server_free(host->server);
    duress_agent_unref(host->onward);
    chaos__service_world_close(host->between);
    duress_release(allocator, host);
}
