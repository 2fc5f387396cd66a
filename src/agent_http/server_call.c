/* SPDX-License-Identifier: Apache-2.0
 *
 * Between a request and the agent: the call, its chunks and its end. */
#include <duress/agent/implement.h>

#include "server_private.h"

static void call_forget(struct http_server_connection *connection)
{
    connection->call = NULL;
    connection->server->counts.in_flight--;
}

void duress__http_call_drop(struct http_server_connection *connection)
{
    struct duress_call *call = connection->call;
    if (call == NULL)
        return;
    call_forget(connection);
    connection->server->counts.cancelled++;
    duress_call_drop(call);
}

/* A reader that is too slow must not fill the memory, and no chunk can be left out. */
static void stream_check(struct http_server_connection *connection)
{
    if (duress_buffer_length(&connection->out) / 2 > connection->server->options.write_bytes_max)
        connection->overflowed = true;
}

static void call_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct http_server_connection *connection = context;
    (void)call;
    if (connection->overflowed)
        return;
    duress__http_reply_chunk(connection, chunk);
    stream_check(connection);
    if (connection->overflowed)
        duress__http_connection_close(connection, true);
}

static void stream_ended(struct http_server_connection *connection, const struct duress_result *result)
{
    /* An agent that does not stream has answered a stream of one chunk. */
    if (result->error == DURESS_OK && !connection->chunk_sent)
        duress__http_reply_chunk(connection, result->reply);
    if (result->error == DURESS_OK)
        duress__http_reply_stream_end(connection);
    else
        duress__http_reply_stream_failure(connection, result->failure);
    if (connection->overflowed)
        duress__http_connection_close(connection, true);
}

static void call_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct http_server_connection *connection = context;
    (void)call;
    call_forget(connection);
    if (connection->route == HTTP_ROUTE_STREAM)
        stream_ended(connection, result);
    else if (result->error == DURESS_OK)
        duress__http_reply_message(connection, result->reply);
    else
        duress__http_reply_failure(connection, result->failure);
}

int duress__http_call_begin(struct http_server_connection *connection, const struct duress_envelope *envelope)
{
    struct duress_http_server *server = connection->server;
    struct duress_message_options options = {
        .role = envelope->role,
        .content = envelope->content,
        .metadata = envelope->metadata,
        .timestamp_ns = envelope->message_timestamp_ns,
        .allocator = server->allocator,
    };
    struct duress_message *message = NULL;
    if (duress_message_new(&options, &message) != DURESS_OK)
        return DURESS_E_NO_MEMORY; /* Its role is not too long: that was looked at. */
    uint64_t now_ns = duress_world_now_ns(server->options.world);
    struct duress_ask ask = {
        .request = message,
        .deadline_ns = duress_time_add(now_ns, server->options.request_timeout_ns),
        .on_end = call_ended,
        .on_chunk = connection->route == HTTP_ROUTE_STREAM ? call_chunk : NULL,
        .context = connection,
    };
    int error = duress_agent_ask(server->options.agent, &ask, &connection->call);
    duress_message_unref(message);
    if (error != DURESS_OK) {
        connection->call = NULL;
        return error;
    }
    server->counts.in_flight++;
    return DURESS_OK;
}
