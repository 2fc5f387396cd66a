/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's life, and how MHD runs on the world's loop: our epoll set holds MHD's own and the ends of peers, and
 * libuv looks at ours. */
#include "server_private.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <duress/world/live.h>

enum {
    REPLY_HEAD_BYTES = 8 * 1024, /* what MHD needs of a connection's memory beside the request's head */
    MEMORY_INCREMENT_BYTES = 8 * 1024,
    /* Who is over the limit is closed by us, and counted; MHD would leave them in the backlog. */
    CONNECTIONS_SPARE = 64,
};

static void server_release(struct duress_http_server *server);

void duress__http_server_pin(struct duress_http_server *server)
{
    server->pinned_count++;
}

void duress__http_server_unpin(struct duress_http_server *server)
{
    server->pinned_count--;
    if (server->freed && server->pinned_count == 0)
        server_release(server);
}

/* --- running --- */

/* Takes the ends of peers that our set has seen. MHD's own set is in it too, and is MHD's to ask. */
static void peers_harvest(struct duress_http_server *server)
{
    struct epoll_event events[HTTP_SERVER_HARVEST];
    int count = epoll_wait(server->epoll_fd, events, HTTP_SERVER_HARVEST, 0);
    for (int i = 0; i < count && !server->freed; i++)
        if (events[i].data.ptr != NULL)
            duress__http_connection_peer_gone(events[i].data.ptr);
}

/* By a timer that is due, and not deferred: replies that are there at once would otherwise keep MHD taking requests,
 * and the loop would never look at anything else. */
void duress__http_server_want_pump(struct duress_http_server *server)
{
    duress_world_arm(server->options.world, &server->pump_timer, duress_world_now_ns(server->options.world));
}

/* MHD wants to go on by itself: it has not taken all that there is, or it is about to close something. */
static void mhd_follow(struct duress_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES)
        return;
    uint64_t now_ns = duress_world_now_ns(server->options.world);
    uint64_t wait_ns = duress_time_multiply(wait_ms, DURESS_MS);
    duress_world_arm(server->options.world, &server->pump_timer, duress_time_add(now_ns, wait_ns));
}

static void gone_check(struct duress_http_server *server)
{
    struct list_link *link = server->gone.next;
    while (link != &server->gone && !server->freed) {
        struct http_server_connection *connection = LIST_OWNER(link, struct http_server_connection, gone);
        link = link->next; /* Connections are freed by MHD only, and it does not run here. */
        duress__http_connection_check_gone(connection);
    }
}

static void server_pump(void *context)
{
    struct duress_http_server *server = context;
    duress__http_server_pin(server);
    peers_harvest(server);
    if (!server->freed)
        (void)MHD_run(server->daemon);
    gone_check(server);
    if (!server->freed)
        mhd_follow(server);
    duress__http_server_unpin(server);
}

static void pump_timer_expired(void *context)
{
    server_pump(context);
}

static void watch_spoke(uv_poll_t *poll, int status, int events)
{
    struct http_server_watch *watch = poll->data;
    (void)status; /* An epoll set has no errors. */
    (void)events;
    if (watch->server != NULL)
        duress_world_defer(watch->server->options.world, &watch->server->pump);
}

static void watch_closed(uv_handle_t *handle)
{
    struct http_server_watch *watch = handle->data;
    duress_release(watch->allocator, watch);
}

/* --- stopping --- */

static void drained_call(void *context)
{
    struct duress_http_server *server = context;
    duress_drained_fn drained = server->drained;
    if (drained == NULL)
        return;
    server->drained = NULL;
    drained(server->drained_context, server->complete);
}

void duress__http_server_check_drained(struct duress_http_server *server)
{
    if (!server->stopping || !list_is_empty(&server->connections))
        return;
    duress_world_disarm(server->options.world, &server->stop_timer);
    duress_world_defer(server->options.world, &server->drained_later);
}

static void stop_expired(void *context)
{
    struct duress_http_server *server = context;
    duress__http_server_pin(server);
    struct list_link *link = server->connections.next;
    while (link != &server->connections && !server->freed) {
        struct http_server_connection *connection = LIST_OWNER(link, struct http_server_connection, link);
        link = link->next; /* Connections are freed by MHD only, and it does not run here. */
        if (connection->phase != HTTP_PHASE_IDLE && connection->phase != HTTP_PHASE_CLOSING)
            server->complete = false;
        duress__http_connection_close(connection, true);
    }
    duress__http_server_unpin(server);
}

void duress_http_server_stop(struct duress_http_server *server, uint64_t deadline_ns, duress_drained_fn drained,
                             void *context)
{
    if (server == NULL)
        return;
    server->drained = drained;
    server->drained_context = context;
    if (!server->stopping) {
        MHD_socket listener = MHD_quiesce_daemon(server->daemon);
        if (listener != MHD_INVALID_SOCKET)
            (void)close(listener);
    }
    server->stopping = true;
    for (struct list_link *link = server->connections.next; link != &server->connections; link = link->next)
        duress__http_connection_stop(LIST_OWNER(link, struct http_server_connection, link));
    duress_world_arm(server->options.world, &server->stop_timer, deadline_ns);
    duress__http_server_check_drained(server);
}

/* --- making and freeing --- */

static int watch_open(struct duress_http_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd < 0)
        return DURESS_E_NO_DESCRIPTORS;
    if (info == NULL || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, info->epoll_fd, &event) != 0)
        return DURESS_E_SYSTEM;
    struct http_server_watch *watch = duress_allocate_zeroed(server->allocator, 1, sizeof *watch);
    if (watch == NULL)
        return DURESS_E_NO_MEMORY;
    if (uv_poll_init(duress_world_live_uv_loop(server->options.world), &watch->poll, server->epoll_fd) != 0) {
        duress_release(server->allocator, watch);
        return DURESS_E_SYSTEM;
    }
    watch->server = server;
    watch->allocator = server->allocator;
    watch->poll.data = watch;
    server->watch = watch;
    return uv_poll_start(&watch->poll, UV_READABLE, watch_spoke) == 0 ? DURESS_OK : DURESS_E_SYSTEM;
}

static void watch_close(struct duress_http_server *server)
{
    if (server->watch != NULL) {
        server->watch->server = NULL;
        uv_close((uv_handle_t *)&server->watch->poll, watch_closed);
    }
    server->watch = NULL;
    if (server->epoll_fd >= 0)
        (void)close(server->epoll_fd);
    server->epoll_fd = -1;
}

static int daemon_start(struct duress_http_server *server, int listener)
{
    const struct duress_http_server_options *options = &server->options;
    unsigned per_address = options->connections_per_address_max;
    if (per_address == options->connections_max)
        per_address = 0; /* no limit of its own */
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, duress__http_connection_allow, server,
        duress__http_exchange_access, server, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener,
        MHD_OPTION_CONNECTION_LIMIT, options->connections_max + CONNECTIONS_SPARE, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->header_bytes_max + REPLY_HEAD_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)MEMORY_INCREMENT_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, duress__http_connection_notify, server,
        MHD_OPTION_NOTIFY_COMPLETED, duress__http_exchange_completed, server, MHD_OPTION_URI_LOG_CALLBACK,
        duress__http_exchange_first_line, server, MHD_OPTION_END);
    if (server->daemon != NULL)
        return DURESS_OK;
    (void)close(listener);
    return DURESS_E_SYSTEM; /* MHD does not say why: memory, or descriptors */
}

static void server_ready(struct duress_http_server *server, const struct duress_http_server_options *options)
{
    server->options = *options;
    duress__http_server_options_complete(&server->options);
    server->limits = (struct duress_envelope_limits)DURESS_ENVELOPE_LIMITS_DEFAULT;
    server->limits.envelope_bytes_max = server->options.body_bytes_max;
    server->limits.string_bytes_max = server->options.body_bytes_max;
    server->address = options->address;
    server->begun_ns = duress_world_now_ns(options->world);
    server->complete = true;
    server->epoll_fd = -1;
    server->pump.fn = server_pump;
    server->pump.context = server;
    server->drained_later.fn = drained_call;
    server->drained_later.context = server;
    list_init(&server->connections);
    list_init(&server->gone);
    duress_buffer_init(&server->scratch, 0, server->allocator);
    duress_timer_init(&server->pump_timer, pump_timer_expired, server);
    duress_timer_init(&server->stop_timer, stop_expired, server);
}

static int server_open(struct duress_http_server *server)
{
    int listener = -1;
    int error = duress__http_server_listen(&server->address, server->options.backlog, &listener);
    if (error == DURESS_OK)
        error = daemon_start(server, listener);
    if (error == DURESS_OK)
        error = watch_open(server);
    return error;
}

int duress_http_server_new(const struct duress_http_server_options *options, struct duress_http_server **server,
                           struct duress_failure *why)
{
    int error = duress__http_server_options_check(options, why);
    if (error != DURESS_OK)
        return error;
    if (server == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "server: must be given");
        return DURESS_E_INVALID;
    }
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_world_allocator(options->world);
    struct duress_http_server *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    made->allocator = allocator;
    server_ready(made, options);
    duress_agent_ref(options->agent);
    error = server_open(made);
    if (error != DURESS_OK) {
        char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
        if (why != NULL)
            duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "address: %s: %s",
                               duress_address_format(&options->address, text, sizeof text), duress_strerror(error));
        duress_http_server_free(made);
        return error;
    }
    *server = made;
    return DURESS_OK;
}

/* Calls go first: they may look at the server while they are given up. MHD refuses to stop with connections that are
 * suspended. */
static void server_release(struct duress_http_server *server)
{
    struct duress_agent *agent = server->options.agent;
    for (struct list_link *link = server->connections.next; link != &server->connections; link = link->next) {
        struct http_server_connection *connection = LIST_OWNER(link, struct http_server_connection, link);
        duress__http_call_drop(connection);
        duress__http_connection_resume(connection);
    }
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    watch_close(server);
    duress_world_undefer(server->options.world, &server->pump);
    duress_world_disarm(server->options.world, &server->pump_timer);
    duress_buffer_close(&server->scratch);
    duress_release(server->allocator, server);
    duress_agent_unref(agent);
}

void duress_http_server_free(struct duress_http_server *server)
{
    if (server == NULL || server->freed)
        return;
    server->freed = true;
    server->drained = NULL;
    server->stopping = false;
    duress_world_disarm(server->options.world, &server->stop_timer);
    duress_world_undefer(server->options.world, &server->drained_later);
    if (server->pinned_count == 0)
        server_release(server);
}

struct duress_address duress_http_server_address(const struct duress_http_server *server)
{
    return server != NULL ? server->address : duress_listener_address(NULL);
}

struct duress_http_server_counts duress_http_server_counts(const struct duress_http_server *server)
{
    return server != NULL ? server->counts : (struct duress_http_server_counts){0};
}
