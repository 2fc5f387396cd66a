/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection: its phases, how much time each may take, and its end. */
#include "server_private.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* How long a refused peer's bytes are dropped before the connection is closed under it. */
#define LINGER_NS (1 * DURESS_S)

/* --- accepting --- */

enum MHD_Result duress__http_connection_allow(void *context, const struct sockaddr *peer, socklen_t length)
{
    struct duress_http_server *server = context;
    (void)peer;
    (void)length;
    if (!server->freed && server->counts.connections_open < server->options.connections_max)
        return MHD_YES;
    server->counts.connections_refused++;
    return MHD_NO;
}

static void connection_expired(void *context);

/* Its socket joins our set for the peer's end alone: MHD does not look at it while the agent works. */
static int connection_watch(struct http_server_connection *connection)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    return epoll_ctl(connection->server->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
}

static struct http_server_connection *connection_new(struct duress_http_server *server, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_server_connection *connection = duress_allocate_zeroed(server->allocator, 1, sizeof *connection);
    if (connection == NULL || info == NULL) {
        duress_release(server->allocator, connection);
        return NULL;
    }
    connection->server = server;
    connection->mhd = mhd;
    connection->fd = info->connect_fd;
    connection->number = server->counts.connections_accepted;
    connection->fresh = true;
    list_init(&connection->link);
    list_init(&connection->gone);
    duress_buffer_init(&connection->body, 0, server->allocator);
    duress_buffer_init(&connection->out, 0, server->allocator);
    duress_timer_init(&connection->timer, connection_expired, connection);
    if (connection_watch(connection) != 0) {
        duress_release(server->allocator, connection);
        return NULL;
    }
    list_append(&server->connections, &connection->link);
    duress__http_connection_enter(connection, HTTP_PHASE_IDLE);
    return connection;
}

static void connection_free(struct http_server_connection *connection)
{
    struct duress_http_server *server = connection->server;
    duress__http_connection_clear(connection);
    duress_world_disarm(server->options.world, &connection->timer);
    list_remove(&connection->link);
    list_remove(&connection->gone);
    duress_buffer_close(&connection->body);
    duress_buffer_close(&connection->out);
    duress_release(server->allocator, connection);
    duress__http_server_check_drained(server);
}

void duress__http_connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                                    enum MHD_ConnectionNotificationCode what)
{
    struct duress_http_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        server->counts.connections_accepted++;
        server->counts.connections_open++;
        /* Without memory for it there is none; its first request closes it. */
        *socket_context = connection_new(server, mhd);
        return;
    }
    server->counts.connections_open--;
    if (*socket_context != NULL)
        connection_free(*socket_context);
    *socket_context = NULL;
}

/* --- time --- */

/* When the peer has been waited for long enough; NEVER while the server itself is at work. */
static uint64_t connection_due_ns(const struct http_server_connection *connection)
{
    const struct duress_http_server_options *options = &connection->server->options;
    switch (connection->phase) {
    case HTTP_PHASE_IDLE:
        return duress_time_add(connection->phase_ns,
                               connection->fresh ? options->header_timeout_ns : options->idle_timeout_ns);
    case HTTP_PHASE_HEAD:
        return duress_time_add(connection->phase_ns, options->header_timeout_ns);
    case HTTP_PHASE_BODY:
        return duress_time_add(connection->phase_ns, options->body_timeout_ns);
    case HTTP_PHASE_STREAMING:
        if (connection->suspended)
            break;
        return duress_time_add(connection->progress_ns, options->write_timeout_ns);
    case HTTP_PHASE_ANSWERED:
        return duress_time_add(connection->progress_ns, options->write_timeout_ns);
    case HTTP_PHASE_REFUSED:
        return duress_time_add(connection->phase_ns, LINGER_NS);
    case HTTP_PHASE_WORKING:
    case HTTP_PHASE_CLOSING:
        break;
    }
    return DURESS_TIME_NEVER;
}

/* The timer is only ever moved to an earlier instant: one that fires too early looks again. So a busy connection hardly
 * touches it. */
void duress__http_connection_timer_update(struct http_server_connection *connection)
{
    uint64_t due_ns = connection_due_ns(connection);
    if (due_ns == DURESS_TIME_NEVER)
        return;
    if (!duress_timer_is_armed(&connection->timer) || due_ns < duress_timer_at_ns(&connection->timer))
        duress_world_arm(connection->server->options.world, &connection->timer, due_ns);
}

void duress__http_connection_enter(struct http_server_connection *connection, enum http_server_phase phase)
{
    connection->phase = phase;
    connection->phase_ns = duress_world_now_ns(connection->server->options.world);
    connection->progress_ns = connection->phase_ns;
    duress__http_connection_timer_update(connection);
}

static void connection_expired(void *context)
{
    static const struct http_refusal late_head = {
        .status = 408, .code = "INVALID_REQUEST", .message = "the headers came too late"};
    static const struct http_refusal late_body = {
        .status = 408, .code = "INVALID_REQUEST", .message = "the body came too late"};
    struct http_server_connection *connection = context;
    struct duress_http_server *server = connection->server;
    if (connection_due_ns(connection) > duress_world_now_ns(server->options.world)) {
        duress__http_connection_timer_update(connection);
        return;
    }
    duress__http_server_pin(server);
    enum http_server_phase phase = connection->phase;
    if (phase != HTTP_PHASE_REFUSED && (phase != HTTP_PHASE_IDLE || connection->fresh))
        server->counts.timed_out++;
    if (phase == HTTP_PHASE_HEAD || (phase == HTTP_PHASE_IDLE && connection->fresh))
        duress__http_connection_refuse(connection, &late_head);
    else if (phase == HTTP_PHASE_BODY)
        duress__http_connection_refuse(connection, &late_body);
    else
        duress__http_connection_close(connection, phase == HTTP_PHASE_ANSWERED || phase == HTTP_PHASE_STREAMING);
    duress__http_server_unpin(server);
}

/* --- MHD's attention --- */

void duress__http_connection_suspend(struct http_server_connection *connection)
{
    connection->suspended = true;
    MHD_suspend_connection(connection->mhd);
}

void duress__http_connection_resume(struct http_server_connection *connection)
{
    if (!connection->suspended)
        return;
    connection->suspended = false;
    MHD_resume_connection(connection->mhd);
    duress__http_server_want_pump(connection->server);
}

/* --- closing --- */

void duress__http_connection_close(struct http_server_connection *connection, bool reset)
{
    if (connection->phase == HTTP_PHASE_CLOSING)
        return;
    connection->phase = HTTP_PHASE_CLOSING;
    duress__http_call_drop(connection);
    if (reset) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    /* One that is suspended asks us what to do next; a FIN would go before the RST. */
    if (!connection->suspended || !reset)
        (void)shutdown(connection->fd, SHUT_RDWR);
    /* MHD hears of each change of a socket once only, and may have heard of this one's end already. */
    (void)MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
    duress__http_connection_resume(connection);
    duress__http_server_want_pump(connection->server);
}

static const char *status_text(unsigned status)
{
    switch (status) {
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    default:
        return "Service Unavailable";
    }
}

/* The head, which |length| of body follow, as one piece with it: it fits into an empty socket, or it is lost. */
static void refusal_send(const struct http_server_connection *connection, const struct http_refusal *refusal,
                         struct duress_slice body)
{
    char text[1024];
    char retry_after[48] = "";
    if (refusal->status == 503)
        (void)snprintf(
            retry_after, sizeof retry_after, "Retry-After: %llu\r\n",
            (unsigned long long)duress__http_retry_after_s(connection->server->options.overload_retry_after_ns));
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: "
                          "%zu\r\n\r\n%.*s",
                          refusal->status, status_text(refusal->status), retry_after, body.length, (int)body.length,
                          (const char *)body.data);
    if (length > 0 && (size_t)length < sizeof text)
        (void)send(connection->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void duress__http_connection_refuse(struct http_server_connection *connection, const struct http_refusal *refusal)
{
    struct duress_buffer body;
    duress_buffer_init(&body, 0, connection->server->allocator);
    if (duress__http_refusal_write(connection, refusal, &body) == DURESS_OK)
        refusal_send(connection, refusal, duress_buffer_slice(&body));
    duress_buffer_close(&body);
    (void)shutdown(connection->fd, SHUT_WR);
    duress__http_connection_clear(connection);
    duress__http_connection_enter(connection, HTTP_PHASE_REFUSED);
}

void duress__http_connection_peer_gone(struct http_server_connection *connection)
{
    connection->peer_gone = true;
    list_append(&connection->server->gone, &connection->gone);
    bool at_work = connection->phase == HTTP_PHASE_WORKING || connection->phase == HTTP_PHASE_STREAMING;
    if (at_work || connection->phase == HTTP_PHASE_REFUSED)
        duress__http_connection_close(connection, false);
}

/* Whether bytes lie in its socket that MHD has not read. */
static bool has_unread(const struct http_server_connection *connection)
{
    int waiting = 0;
    return ioctl(connection->fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

void duress__http_connection_check_gone(struct http_server_connection *connection)
{
    bool reading = connection->phase == HTTP_PHASE_IDLE || connection->phase == HTTP_PHASE_HEAD ||
                   connection->phase == HTTP_PHASE_BODY;
    if (reading && !has_unread(connection))
        duress__http_connection_close(connection, false);
}

void duress__http_connection_stop(struct http_server_connection *connection)
{
    /* What has arrived already is not idle, though MHD has not looked at it. */
    if (connection->phase == HTTP_PHASE_IDLE && !has_unread(connection))
        duress__http_connection_close(connection, false);
}

void duress__http_connection_clear(struct http_server_connection *connection)
{
    struct duress_http_server *server = connection->server;
    duress__http_call_drop(connection);
    server->bodies_bytes -= duress_buffer_length(&connection->body);
    duress_buffer_clear(&connection->body);
    duress_buffer_trim(&connection->body, HTTP_SERVER_KEPT_BYTES);
    duress_buffer_clear(&connection->out);
    duress_buffer_trim(&connection->out, HTTP_SERVER_KEPT_BYTES);
    connection->route = HTTP_ROUTE_NONE;
    connection->refusal = (struct http_refusal){.status = 0};
    connection->chunk_sent = false;
    connection->stream_ended = false;
    connection->overflowed = false;
    connection->status = 0;
    connection->retry_after_s = 0;
    connection->id_length = 0;
}
