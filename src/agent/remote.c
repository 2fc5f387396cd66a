/* SPDX-License-Identifier: Apache-2.0 */
#include "remote_private.h"

#include <string.h>

#include <duress/wire/utf8.h>

#define ID_PURPOSE UINT64_C(0x64757265737369) /* the ids' prefix among the world's random streams */

#define CONNECT_TIMEOUT_NS_DEFAULT (10 * DURESS_S)
#define IDLE_TIMEOUT_NS_DEFAULT (30 * DURESS_S)
#define CONNECTIONS_DEFAULT 64
#define CONNECTIONS_MAX 65536
#define WAITING_DEFAULT 1024
#define FRAME_BYTES_MIN 256

void duress__remote_want_pump(struct remote *remote)
{
    duress_world_defer(remote->base.world, &remote->pump);
}

/* --- giving waiting calls a connection --- */

static void remote_fail(struct remote_call *call, int code, enum duress_origin origin, const char *detail)
{
    struct duress_failure failure;
    duress_failure_set(&failure, (enum duress_error)code, origin, "%s", detail);
    failure.ambiguous = false;
    duress_call_fail(call->call, &failure);
}

/* A connection with room: an idle one, so that calls run side by side, then one in use, then a new one. NULL with
 * *error DURESS_OK: the call has to wait. */
static struct remote_connection *remote_choose(struct remote *remote, int *error)
{
    *error = DURESS_OK;
    uint64_t now_ns = duress_world_now_ns(remote->base.world);
    while (!list_is_empty(&remote->idle)) {
        struct remote_connection *idle = LIST_OWNER(remote->idle.next, struct remote_connection, link);
        if (duress__connection_is_fresh(idle, now_ns))
            return idle;
    }
    if (!list_is_empty(&remote->roomy))
        return LIST_OWNER(remote->roomy.next, struct remote_connection, link);
    if (remote->counts.connections_open >= remote->connections_max)
        return NULL;
    struct remote_connection *made = duress__connection_new(remote);
    if (made == NULL)
        *error = DURESS_E_NO_MEMORY;
    return made;
}

static void remote_place(struct remote_connection *connection, struct remote_call *call)
{
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    int error = duress__connection_assign(connection, call, &diagnostics);
    if (error == DURESS_OK) {
        if (connection->phase == CONNECTION_NEW)
            duress__connection_begin(connection);
        return;
    }
    if (connection->phase == CONNECTION_NEW)
        duress__connection_close(connection);
    remote_fail(call, error, error == DURESS_E_NO_MEMORY ? DURESS_ORIGIN_SEND : DURESS_ORIGIN_CALLER,
                diagnostics.reason != NULL ? diagnostics.reason : duress_strerror(error));
}

static void remote_pump(void *context)
{
    struct remote *remote = context;
    duress_agent_ref(&remote->base);
    while (!wait_queue_is_empty(&remote->waiting)) {
        int error;
        struct remote_connection *connection = remote_choose(remote, &error);
        if (connection == NULL && error == DURESS_OK)
            break;
        struct remote_call *call = LIST_OWNER(wait_queue_take(&remote->waiting), struct remote_call, place);
        if (connection != NULL)
            remote_place(connection, call);
        else
            remote_fail(call, error, DURESS_ORIGIN_CONNECT, "no memory for a connection");
    }
    while (!list_is_empty(&remote->dirty))
        duress__connection_flush(LIST_OWNER(remote->dirty.next, struct remote_connection, dirty));
    duress_agent_unref(&remote->base);
}

/* --- the agent --- */

static void remote_process(struct duress_agent *agent, struct duress_call *call)
{
    struct remote *remote = (struct remote *)agent;
    struct duress_failure failure;
    struct remote_call *state = duress_call_allocate(call, sizeof *state);
    if (state == NULL) {
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_SEND, NULL);
        duress_call_fail(call, &failure);
        return;
    }
    *state = (struct remote_call){.call = call, .slot = REMOTE_SLOT_NONE};
    wait_place_init(&state->place);
    call->state = state;
    uint64_t room = (uint64_t)remote->connections_max * remote->in_flight_max - remote->in_flight_count;
    if (wait_queue_is_full(&remote->waiting, room)) {
        duress_failure_set(&failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_CONNECT,
                           "%u calls wait for a connection already", remote->waiting.count_max);
        failure.ambiguous = false;
        duress_call_fail(call, &failure);
        return;
    }
    duress_call_mark_stage(call, DURESS_ORIGIN_CONNECT);
    wait_queue_append(&remote->waiting, &state->place);
    duress__remote_want_pump(remote);
}

static void remote_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct remote *remote = (struct remote *)agent;
    struct remote_call *state = call->state;
    if (state == NULL)
        return;
    wait_queue_leave(&remote->waiting, &state->place);
    duress_message_unref(state->last_chunk);
    state->last_chunk = NULL;
    if (state->connection != NULL)
        duress__connection_give_up(state->connection, state->slot);
}

static void remote_close_list(struct list_link *connections)
{
    while (!list_is_empty(connections))
        duress__connection_close(LIST_OWNER(connections->next, struct remote_connection, link));
}

static void remote_free(struct duress_agent *agent)
{
    struct remote *remote = (struct remote *)agent;
    DURESS_ASSERT(wait_queue_is_empty(&remote->waiting));
    remote_close_list(&remote->idle);
    remote_close_list(&remote->roomy);
    remote_close_list(&remote->full);
    DURESS_ASSERT(remote->counts.connections_open == 0);
    duress_world_disarm(agent->world, &remote->idle_timer);
    duress_world_undefer(agent->world, &remote->pump);
    duress_buffer_close(&remote->scratch);
    duress_release(agent->allocator, remote->agent_name);
    duress_release(agent->allocator, remote);
}

static const struct duress_agent_ops remote_ops = {remote_process, remote_cancel, remote_free};

/* Closes what has not been used for too long; the list is ordered by last use. */
static void remote_idle_expired(void *context)
{
    struct remote *remote = context;
    uint64_t now_ns = duress_world_now_ns(remote->base.world);
    while (!list_is_empty(&remote->idle)) {
        struct remote_connection *oldest = LIST_OWNER(remote->idle.previous, struct remote_connection, link);
        uint64_t due_ns = duress_time_add(oldest->idle_since_ns, remote->idle_timeout_ns);
        if (due_ns > now_ns) {
            duress_world_arm(remote->base.world, &remote->idle_timer, due_ns);
            return;
        }
        duress__connection_close(oldest);
    }
}

/* --- making one --- */

static int option_refuse(struct duress_failure *why, const char *field, uint64_t given, uint64_t low, uint64_t high)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %llu is not from %llu to %llu", field,
                           (unsigned long long)given, (unsigned long long)low, (unsigned long long)high);
    return DURESS_E_INVALID;
}

static int pointer_refuse(struct duress_failure *why, const char *field)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: must be given", field);
    return DURESS_E_INVALID;
}

static int memory_refuse(struct duress_failure *why)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    return DURESS_E_NO_MEMORY;
}

static int options_check(const struct duress_remote_options *options, struct endpoint *endpoint,
                         struct duress_failure *why)
{
    const char *reason = NULL;
    if (options == NULL || options->world == NULL)
        return pointer_refuse(why, "world");
    if (duress__endpoint_parse(options->endpoint, endpoint, &reason) != DURESS_OK) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "endpoint: \"%.64s\": %s",
                               options->endpoint != NULL ? options->endpoint : "", reason);
        return DURESS_E_INVALID;
    }
    if (!duress_utf8_is_valid(duress_slice_text(options->agent_name))) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "agent_name: must be UTF-8");
        return DURESS_E_INVALID;
    }
    if (options->connections_max > CONNECTIONS_MAX)
        return option_refuse(why, "connections_max", options->connections_max, 1, CONNECTIONS_MAX);
    if (options->in_flight_max > REMOTE_IN_FLIGHT_MAX)
        return option_refuse(why, "in_flight_max", options->in_flight_max, 1, REMOTE_IN_FLIGHT_MAX);
    size_t frame_bytes = options->frame_bytes_max;
    if (frame_bytes != 0 && (frame_bytes < FRAME_BYTES_MIN || frame_bytes > UINT32_MAX))
        return option_refuse(why, "frame_bytes_max", frame_bytes, FRAME_BYTES_MIN, UINT32_MAX);
    return DURESS_OK;
}

static void remote_configure(struct remote *remote, const struct duress_remote_options *options)
{
    size_t frame_bytes = options->frame_bytes_max != 0 ? options->frame_bytes_max : DURESS_FRAME_BYTES_MAX_DEFAULT;
    remote->connect_timeout_ns =
        options->connect_timeout_ns != 0 ? options->connect_timeout_ns : CONNECT_TIMEOUT_NS_DEFAULT;
    remote->idle_timeout_ns = options->idle_timeout_ns != 0 ? options->idle_timeout_ns : IDLE_TIMEOUT_NS_DEFAULT;
    remote->connections_max = options->connections_max != 0 ? options->connections_max : CONNECTIONS_DEFAULT;
    remote->in_flight_max = options->in_flight_max != 0 ? options->in_flight_max : 1;
    wait_queue_init(&remote->waiting, options->waiting_max != 0 ? options->waiting_max : WAITING_DEFAULT);
    remote->limits = (struct duress_envelope_limits)DURESS_ENVELOPE_LIMITS_DEFAULT;
    remote->limits.envelope_bytes_max = frame_bytes;
    remote->limits.string_bytes_max = frame_bytes;
}

static void remote_ready(struct remote *remote, struct duress_world *world)
{
    struct duress_prng prng;
    duress_world_prng(world, ID_PURPOSE, &prng);
    remote->id_prefix = duress_prng_next(&prng);
    remote->pump.fn = remote_pump;
    remote->pump.context = remote;
    list_init(&remote->idle);
    list_init(&remote->roomy);
    list_init(&remote->full);
    list_init(&remote->dirty);
    duress_timer_init(&remote->idle_timer, remote_idle_expired, remote);
    duress_buffer_init(&remote->scratch, 0, remote->base.allocator);
}

int duress_remote_new(const struct duress_remote_options *options, struct duress_agent **agent,
                      struct duress_failure *why)
{
    struct endpoint endpoint;
    int error = agent != NULL ? options_check(options, &endpoint, why) : pointer_refuse(why, "agent");
    if (error != DURESS_OK)
        return error;
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_world_allocator(options->world);
    struct remote *remote = duress_allocate_zeroed(allocator, 1, sizeof *remote);
    if (remote == NULL)
        return memory_refuse(why);
    if (options->agent_name != NULL) {
        size_t bytes = strlen(options->agent_name) + 1;
        remote->agent_name = duress_allocate(allocator, bytes);
        if (remote->agent_name == NULL) {
            duress_release(allocator, remote);
            return memory_refuse(why);
        }
        memcpy(remote->agent_name, options->agent_name, bytes);
    }
    duress_agent_init(&remote->base, &remote_ops, options->world, allocator,
                      options->agent_name != NULL ? options->agent_name : options->endpoint);
    remote->endpoint = endpoint;
    remote_configure(remote, options);
    remote_ready(remote, options->world);
    *agent = &remote->base;
    return DURESS_OK;
}

struct duress_remote_counts duress_remote_counts(const struct duress_agent *agent)
{
    struct duress_remote_counts none = {.connects_begun = 0};
    if (agent == NULL || agent->ops != &remote_ops)
        return none;
    const struct remote *remote = (const struct remote *)agent;
    struct duress_remote_counts counts = remote->counts;
    counts.calls_waiting = remote->waiting.count;
    return counts;
}
