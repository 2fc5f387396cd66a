/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its reply, as MHD tells of them: the first line, the headers, pieces of the body, its end; then,
 * once there is a reply, it is handed over; then it has been written. */
#include "server_private.h"

#include <string.h>

static struct http_server_connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void *duress__http_exchange_first_line(void *context, const char *uri, struct MHD_Connection *mhd)
{
    struct http_server_connection *connection = connection_of(mhd);
    (void)context;
    (void)uri;
    if (connection == NULL || connection->phase != HTTP_PHASE_IDLE)
        return connection;
    connection->fresh = false;
    duress__http_connection_enter(connection, HTTP_PHASE_HEAD);
    return connection;
}

/* --- the head --- */

static bool name_is(const char *name, const char *wanted)
{
    size_t i = 0;
    while (name[i] != '\0' && ((name[i] | 0x20) == wanted[i] || name[i] == wanted[i]))
        i++;
    return name[i] == '\0' && wanted[i] == '\0';
}

static enum MHD_Result header_read(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct http_request_head *head = context;
    (void)kind;
    if (name_is(name, "content-type"))
        head->content_type = value;
    else if (name_is(name, "transfer-encoding"))
        head->transfer_encoding = value;
    else if (name_is(name, "content-length")) {
        head->content_length = value;
        head->content_length_count++;
    }
    return MHD_YES;
}

static enum MHD_Result exchange_refuse(struct http_server_connection *connection, const struct http_refusal *refusal)
{
    if (refusal->status >= 400)
        connection->server->counts.malformed++;
    duress__http_reply_refusal(connection, refusal);
    return duress__http_reply_queue(connection, refusal->allow);
}

static bool head_has_body(const struct http_request_head *head)
{
    const char *length = head->content_length;
    return head->transfer_encoding != NULL || (length != NULL && length[strspn(length, "0")] != '\0');
}

static enum MHD_Result exchange_head(struct http_server_connection *connection, const char *url, const char *method)
{
    const struct duress_http_server_options *options = &connection->server->options;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct http_request_head head = {.bytes = info != NULL ? info->header_size : 0};
    (void)MHD_get_connection_values(connection->mhd, MHD_HEADER_KIND, header_read, &head);
    connection->route = duress__http_route(url);
    struct http_refusal refusal =
        duress__http_head_check(connection->route, method, &head, options->header_bytes_max, options->body_bytes_max);
    /* MHD closes a connection whose request it has not read to the end: right for a body that nobody wants. */
    if (refusal.status != 0 && head_has_body(&head))
        return exchange_refuse(connection, &refusal);
    connection->refusal = refusal;
    duress__http_connection_enter(connection, HTTP_PHASE_BODY);
    return MHD_YES;
}

/* --- the body --- */

/* MHD takes no reply in the middle of a body, so the refusal goes past it. */
static void body_take(struct http_server_connection *connection, struct duress_slice bytes)
{
    static const struct http_refusal too_large = {
        .status = 413, .code = "MALFORMED_PAYLOAD", .message = "the body is longer than the limit"};
    static const struct http_refusal too_many = {
        .status = 503, .code = "OVERLOADED", .message = "the bodies of other requests fill the memory set aside"};
    struct duress_http_server *server = connection->server;
    if (duress_buffer_length(&connection->body) + bytes.length > server->options.body_bytes_max) {
        server->counts.malformed++;
        duress__http_connection_refuse(connection, &too_large);
        return;
    }
    bool room = server->bodies_bytes + bytes.length <= server->options.bodies_bytes_max;
    if (!room || duress_buffer_append(&connection->body, bytes) != DURESS_OK) {
        server->counts.shed++;
        duress__http_connection_refuse(connection, &too_many);
        return;
    }
    server->bodies_bytes += bytes.length;
}

static void body_forget(struct http_server_connection *connection)
{
    connection->server->bodies_bytes -= duress_buffer_length(&connection->body);
    duress_buffer_clear(&connection->body);
    duress_buffer_trim(&connection->body, HTTP_SERVER_KEPT_BYTES);
}

static void arrival_tell(struct http_server_connection *connection, const struct duress_envelope *envelope)
{
    struct duress_http_server *server = connection->server;
    server->counts.arrivals++;
    if (server->options.on_arrival == NULL)
        return;
    struct duress_arrival arrival = {
        .number = server->counts.arrivals,
        .connection_number = connection->number,
        .at_ns = duress_world_now_ns(server->options.world),
        .id = envelope->id,
        .method = duress_slice_text(connection->route == HTTP_ROUTE_STREAM ? "stream" : "process"),
        .content = envelope->content,
    };
    server->options.on_arrival(server->options.context, &arrival);
}

static enum MHD_Result exchange_no_memory(struct http_server_connection *connection)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
    duress__http_reply_failure(connection, &failure);
    return duress__http_reply_queue(connection, NULL);
}

static enum MHD_Result exchange_begin(struct http_server_connection *connection, const struct duress_envelope *envelope)
{
    struct duress_http_server *server = connection->server;
    if (server->counts.in_flight >= server->options.requests_max) {
        server->counts.shed++;
        duress__http_reply_overloaded(connection);
        return duress__http_reply_queue(connection, NULL);
    }
    arrival_tell(connection, envelope);
    if (server->freed)
        return MHD_NO;
    if (duress__http_call_begin(connection, envelope) != DURESS_OK)
        return exchange_no_memory(connection);
    body_forget(connection);
    duress__http_connection_enter(connection, HTTP_PHASE_WORKING);
    duress__http_connection_suspend(connection);
    return MHD_YES;
}

static enum MHD_Result exchange_body_end(struct http_server_connection *connection)
{
    struct duress_http_server *server = connection->server;
    struct duress_envelope envelope;
    struct http_refusal refusal;
    if (connection->refusal.status != 0)
        return exchange_refuse(connection, &connection->refusal);
    if (connection->route != HTTP_ROUTE_PROCESS && connection->route != HTTP_ROUTE_STREAM) {
        duress__http_reply_health(connection);
        return duress__http_reply_queue(connection, NULL);
    }
    if (connection->peer_gone)
        return MHD_NO;
    int error = duress__http_body_read(duress_buffer_slice(&connection->body), &server->limits, &server->scratch,
                                       &envelope, &refusal);
    if (error != DURESS_OK)
        return exchange_no_memory(connection);
    connection->id_length = envelope.id.length;
    for (size_t i = 0; i < envelope.id.length; i++)
        connection->id[i] = envelope.id.data[i];
    if (refusal.status != 0)
        return exchange_refuse(connection, &refusal);
    return exchange_begin(connection, &envelope);
}

/* --- MHD's callbacks --- */

enum MHD_Result duress__http_exchange_access(void *context, struct MHD_Connection *mhd, const char *url,
                                             const char *method, const char *version, const char *upload,
                                             size_t *upload_bytes, void **state)
{
    struct duress_http_server *server = context;
    struct http_server_connection *connection = *state;
    (void)mhd;
    (void)version;
    if (connection == NULL || server->freed)
        return MHD_NO;
    switch (connection->phase) {
    case HTTP_PHASE_HEAD:
        return exchange_head(connection, url, method);
    case HTTP_PHASE_BODY:
        if (*upload_bytes == 0)
            return exchange_body_end(connection);
        body_take(connection, duress_slice_bytes(upload, *upload_bytes));
        *upload_bytes = 0;
        return MHD_YES;
    case HTTP_PHASE_REFUSED:
        if (*upload_bytes == 0)
            return MHD_NO;
        *upload_bytes = 0;
        return MHD_YES;
    case HTTP_PHASE_ANSWERED:
    case HTTP_PHASE_STREAMING:
        return duress__http_reply_queue(connection, NULL);
    case HTTP_PHASE_WORKING:
        return MHD_YES;
    case HTTP_PHASE_IDLE:
    case HTTP_PHASE_CLOSING:
        break;
    }
    return MHD_NO;
}

void duress__http_exchange_completed(void *context, struct MHD_Connection *mhd, void **state,
                                     enum MHD_RequestTerminationCode how)
{
    struct duress_http_server *server = context;
    struct http_server_connection *connection = *state;
    (void)mhd;
    if (connection == NULL)
        return;
    *state = NULL;
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        server->counts.replied++;
    duress__http_connection_clear(connection);
    connection->suspended = false;
    if (connection->phase == HTTP_PHASE_CLOSING || server->freed)
        return;
    if (server->stopping) {
        if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK && connection->phase != HTTP_PHASE_REFUSED)
            server->complete = false;
        duress__http_connection_close(connection, false);
        return;
    }
    duress__http_connection_enter(connection, HTTP_PHASE_IDLE);
}
