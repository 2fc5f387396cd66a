/* SPDX-License-Identifier: Apache-2.0 */
#include "server_private.h"

#define BACKLOG_DEFAULT 4096
#define CONNECTIONS_DEFAULT 10000
#define CONNECTIONS_MAX 1000000
#define IN_FLIGHT_DEFAULT 128
#define IN_FLIGHT_MAX 65536
#define REQUESTS_DEFAULT 10000
#define REQUESTS_MAX 1000000
#define OVERLOAD_RETRY_AFTER_NS_DEFAULT (1 * DURESS_S)
#define IDLE_TIMEOUT_NS_DEFAULT (60 * DURESS_S)
#define FRAME_TIMEOUT_NS_DEFAULT (30 * DURESS_S)
#define WRITE_BYTES_DEFAULT ((size_t)16 * 1024 * 1024)
#define FRAME_BYTES_MIN 256

static void drained_call(void *context)
{
    struct duress_server *server = context;
    duress_drained_fn drained = server->drained;
    if (drained == NULL)
        return;
    server->drained = NULL;
    drained(server->drained_context, server->complete);
}

void duress__server_check_drained(struct duress_server *server)
{
    if (server->stopping && list_is_empty(&server->connections)) {
        duress_world_disarm(server->options.world, &server->stop_timer);
        duress_world_defer(server->options.world, &server->drained_later);
    }
}

static void connections_close(struct duress_server *server)
{
    struct list_link *link = server->connections.next;
    while (link != &server->connections) {
        struct list_link *next = link->next;
        duress__server_connection_close(LIST_OWNER(link, struct server_connection, link), true);
        link = next;
    }
}

static void stop_expired(void *context)
{
    struct duress_server *server = context;
    for (struct list_link *link = server->connections.next; link != &server->connections; link = link->next) {
        const struct server_connection *connection = LIST_OWNER(link, struct server_connection, link);
        if (connection->request_count > 0 || duress_buffer_length(&connection->out) > 0)
            server->complete = false;
    }
    connections_close(server);
}

/* --- making and freeing --- */

static int option_refuse(struct duress_failure *why, const char *field, uint64_t given, uint64_t low, uint64_t high)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %llu is not from %llu to %llu", field,
                           (unsigned long long)given, (unsigned long long)low, (unsigned long long)high);
    return DURESS_E_INVALID;
}

static int server_refuse(struct duress_failure *why, enum duress_error code, const char *detail)
{
    if (why != NULL)
        duress_failure_set(why, code, DURESS_ORIGIN_CALLER, "%s", detail);
    return code;
}

static int options_check(const struct duress_server_options *options, struct duress_failure *why)
{
    if (options == NULL || options->world == NULL || options->agent == NULL)
        return server_refuse(why, DURESS_E_INVALID, "world and agent: must be given");
    if (duress_agent_world(options->agent) != options->world)
        return server_refuse(why, DURESS_E_INVALID, "agent: belongs to another world");
    if (options->connections_max > CONNECTIONS_MAX)
        return option_refuse(why, "connections_max", options->connections_max, 1, CONNECTIONS_MAX);
    if (options->in_flight_max > IN_FLIGHT_MAX)
        return option_refuse(why, "in_flight_max", options->in_flight_max, 1, IN_FLIGHT_MAX);
    if (options->requests_max > REQUESTS_MAX)
        return option_refuse(why, "requests_max", options->requests_max, 1, REQUESTS_MAX);
    size_t frame_bytes = options->frame_bytes_max;
    if (frame_bytes != 0 && (frame_bytes < FRAME_BYTES_MIN || frame_bytes > UINT32_MAX))
        return option_refuse(why, "frame_bytes_max", frame_bytes, FRAME_BYTES_MIN, UINT32_MAX);
    return DURESS_OK;
}

static void options_complete(struct duress_server_options *options)
{
    if (options->backlog == 0)
        options->backlog = BACKLOG_DEFAULT;
    if (options->connections_max == 0)
        options->connections_max = CONNECTIONS_DEFAULT;
    if (options->in_flight_max == 0)
        options->in_flight_max = IN_FLIGHT_DEFAULT;
    if (options->requests_max == 0)
        options->requests_max = REQUESTS_DEFAULT;
    if (options->overload_retry_after_ns == 0)
        options->overload_retry_after_ns = OVERLOAD_RETRY_AFTER_NS_DEFAULT;
    if (options->idle_timeout_ns == 0)
        options->idle_timeout_ns = IDLE_TIMEOUT_NS_DEFAULT;
    if (options->frame_timeout_ns == 0)
        options->frame_timeout_ns = FRAME_TIMEOUT_NS_DEFAULT;
    if (options->request_timeout_ns == 0)
        options->request_timeout_ns = DURESS_TIME_NEVER;
    if (options->frame_bytes_max == 0)
        options->frame_bytes_max = DURESS_FRAME_BYTES_MAX_DEFAULT;
    if (options->write_bytes_max == 0)
        options->write_bytes_max = WRITE_BYTES_DEFAULT;
}

static void server_ready(struct duress_server *server, const struct duress_server_options *options)
{
    server->options = *options;
    options_complete(&server->options);
    server->limits = (struct duress_envelope_limits)DURESS_ENVELOPE_LIMITS_DEFAULT;
    server->limits.envelope_bytes_max = server->options.frame_bytes_max;
    server->limits.string_bytes_max = server->options.frame_bytes_max;
    server->complete = true;
    server->drained_later.fn = drained_call;
    server->drained_later.context = server;
    list_init(&server->connections);
    list_init(&server->free_requests);
    duress_buffer_init(&server->scratch, 0, server->allocator);
    duress_timer_init(&server->stop_timer, stop_expired, server);
}

int duress_server_new(const struct duress_server_options *options, struct duress_server **server,
                      struct duress_failure *why)
{
    int error = options_check(options, why);
    if (error != DURESS_OK)
        return error;
    if (server == NULL)
        return server_refuse(why, DURESS_E_INVALID, "server: must be given");
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_world_allocator(options->world);
    struct duress_server *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return server_refuse(why, DURESS_E_NO_MEMORY, "no memory for the server");
    made->allocator = allocator;
    server_ready(made, options);
    struct duress_listen_options listen = {.address = options->address, .backlog = made->options.backlog};
    error = duress_world_listen(options->world, &listen, duress__server_accept, made, &made->listener);
    if (error != DURESS_OK) {
        char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
        if (why != NULL)
            duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "address: %s: %s",
                               duress_address_format(&options->address, text, sizeof text), duress_strerror(error));
        duress_release(allocator, made);
        return error;
    }
    made->address = duress_listener_address(made->listener);
    duress_agent_ref(options->agent);
    *server = made;
    return DURESS_OK;
}

struct duress_address duress_server_address(const struct duress_server *server)
{
    return server != NULL ? server->address : duress_listener_address(NULL);
}

void duress_server_stop(struct duress_server *server, uint64_t deadline_ns, duress_drained_fn drained, void *context)
{
    if (server == NULL)
        return;
    duress_listener_close(server->listener);
    server->listener = NULL;
    server->stopping = true;
    server->drained = drained;
    server->drained_context = context;
    struct list_link *link = server->connections.next;
    while (link != &server->connections) {
        struct list_link *next = link->next;
        duress__server_connection_drain(LIST_OWNER(link, struct server_connection, link));
        link = next;
    }
    duress_world_arm(server->options.world, &server->stop_timer, deadline_ns);
    duress__server_check_drained(server);
}

void duress__server_release(struct duress_server *server)
{
    struct duress_agent *agent = server->options.agent;
    while (!list_is_empty(&server->free_requests)) {
        struct list_link *link = server->free_requests.next;
        list_remove(link);
        duress_release(server->allocator, LIST_OWNER(link, struct server_request, link));
    }
    duress_buffer_close(&server->scratch);
    duress_release(server->allocator, server);
    duress_agent_unref(agent);
}

void duress_server_free(struct duress_server *server)
{
    if (server == NULL || server->freed)
        return;
    server->drained = NULL;
    server->stopping = false;
    duress_listener_close(server->listener);
    server->listener = NULL;
    connections_close(server);
    duress_world_disarm(server->options.world, &server->stop_timer);
    duress_world_undefer(server->options.world, &server->drained_later);
    server->freed = true;
    if (server->pinned_count == 0)
        duress__server_release(server);
}

struct duress_server_counts duress_server_counts(const struct duress_server *server)
{
    return server != NULL ? server->counts : (struct duress_server_counts){0};
}
