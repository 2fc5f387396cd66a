/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies: their text, their status, and how MHD gets them. */
#include "server_private.h"

#include <stdio.h>
#include <string.h>

#include <duress/agent/peer_error_private.h>

enum {
    STREAM_BLOCK_BYTES = 16 * 1024, /* what MHD asks for at once */
    HEALTH_BYTES_MAX = 512,
    NAME_BYTES_MAX = 64,
};

/* --- texts --- */

static struct duress_slice reply_id(const struct http_server_connection *connection)
{
    if (connection->id_length == 0)
        return duress_slice_text("unknown");
    return duress_slice_bytes(connection->id, connection->id_length);
}

static int envelope_write(struct http_server_connection *connection, struct duress_envelope *envelope,
                          struct duress_buffer *buffer, const char **reason)
{
    struct duress_http_server *server = connection->server;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    envelope->id = reply_id(connection);
    envelope->timestamp_ns = duress_world_wall_ns(server->options.world);
    if (envelope->message_timestamp_ns == 0)
        envelope->message_timestamp_ns = envelope->timestamp_ns;
    int error = duress_envelope_encode(envelope, &server->limits, buffer, &diagnostics);
    if (reason != NULL)
        *reason = diagnostics.reason != NULL ? diagnostics.reason : duress_strerror(error);
    return error;
}

/* One event of a stream: all of it, or nothing. */
static int event_write(struct http_server_connection *connection, struct duress_envelope *envelope, const char **reason)
{
    struct duress_buffer *out = &connection->out;
    size_t before = duress_buffer_length(out);
    *reason = duress_strerror(DURESS_E_NO_MEMORY);
    int error = duress_buffer_append(out, duress_slice_text("data: "));
    if (error == DURESS_OK)
        error = envelope_write(connection, envelope, out, reason);
    if (error == DURESS_OK)
        error = duress_buffer_append(out, duress_slice_text("\n\n"));
    if (error != DURESS_OK)
        duress_buffer_truncate(out, before);
    return error;
}

static struct duress_envelope message_envelope(enum duress_envelope_type type, const struct duress_message *message)
{
    return (struct duress_envelope){
        .type = type,
        .role = duress_message_role(message),
        .content = duress_message_content(message),
        .metadata = duress_message_metadata(message),
        .message_timestamp_ns = duress_message_timestamp_ns(message),
    };
}

/* The agent's answer cannot go over the wire: an error of the service, which did execute the request. */
static void unsendable_set(struct duress_failure *failure, int error, const char *reason)
{
    duress_failure_set(failure, error == DURESS_E_NO_MEMORY ? DURESS_E_SYSTEM : (enum duress_error)error,
                       DURESS_ORIGIN_AGENT, "the agent's reply cannot be sent: %s", reason);
    failure->ambiguous = true;
}

int duress__http_refusal_write(struct http_server_connection *connection, const struct http_refusal *refusal,
                               struct duress_buffer *buffer)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_ERROR,
        .error_code = duress_slice_text(refusal->code),
        .error_message = duress_slice_text(refusal->message),
    };
    return envelope_write(connection, &envelope, buffer, NULL);
}

/* --- whole replies --- */

static void reply_ready(struct http_server_connection *connection, unsigned status)
{
    connection->status = status;
    duress__http_connection_enter(connection, HTTP_PHASE_ANSWERED);
    duress__http_connection_resume(connection);
}

void duress__http_reply_message(struct http_server_connection *connection, const struct duress_message *message)
{
    struct duress_envelope envelope = message_envelope(DURESS_ENVELOPE_RESPONSE, message);
    const char *reason = NULL;
    int error = envelope_write(connection, &envelope, &connection->out, &reason);
    if (error == DURESS_OK) {
        reply_ready(connection, MHD_HTTP_OK);
        return;
    }
    struct duress_failure failure;
    unsendable_set(&failure, error, reason);
    duress__http_reply_failure(connection, &failure);
}

/* What a refusal says of the time to come back. */
static void retry_after_set(const struct http_server_connection *connection, struct duress_failure *failure)
{
    if (failure->retry_after_ns == 0)
        failure->retry_after_ns = connection->server->options.overload_retry_after_ns;
}

void duress__http_reply_failure(struct http_server_connection *connection, const struct duress_failure *failure)
{
    struct duress_failure said = *failure;
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_NONE};
    char details[PEER_ERROR_DETAILS_BYTES_MAX];
    unsigned status = duress__http_failure_status(&said);
    bool refused = status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE;
    if (refused)
        retry_after_set(connection, &said);
    if (refused && said.retry_after_ns != DURESS_TIME_NEVER)
        connection->retry_after_s = duress__http_retry_after_s(said.retry_after_ns);
    duress__peer_error_write(&said, &envelope, details);
    duress_buffer_clear(&connection->out);
    /* An error that cannot even be said leaves only to close: the peer must not wait for ever. */
    if (envelope_write(connection, &envelope, &connection->out, NULL) == DURESS_OK)
        reply_ready(connection, status);
    else
        duress__http_connection_close(connection, true);
}

void duress__http_reply_overloaded(struct http_server_connection *connection)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_AGENT,
                       "%u requests are in flight, as many as are served at once",
                       connection->server->options.requests_max);
    duress__http_reply_failure(connection, &failure);
}

void duress__http_reply_refusal(struct http_server_connection *connection, const struct http_refusal *refusal)
{
    if (refusal->code == NULL || duress__http_refusal_write(connection, refusal, &connection->out) == DURESS_OK)
        reply_ready(connection, refusal->status);
    else
        duress__http_connection_close(connection, true);
}

/* --- health --- */

/* A name is not necessarily text: what a JSON string cannot hold as it is, becomes a question mark. */
static void name_clean(const char *name, char *clean, size_t capacity)
{
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < capacity; i++) {
        unsigned char byte = (unsigned char)name[i];
        bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        clean[i] = plain ? name[i] : '?';
    }
    clean[i] = '\0';
}

void duress__http_reply_health(struct http_server_connection *connection)
{
    struct duress_http_server *server = connection->server;
    bool well = !server->stopping || connection->route == HTTP_ROUTE_LIVE;
    uint64_t up_ns = duress_time_until(server->begun_ns, duress_world_now_ns(server->options.world));
    char name[NAME_BYTES_MAX];
    char text[HEALTH_BYTES_MAX];
    name_clean(duress_agent_name(server->options.agent), name, sizeof name);
    int length = snprintf(text, sizeof text,
                          "{\"status\":\"%s\",\"version\":\"%s\",\"uptime\":%llu.%03llu,\"agent\":\"%s\","
                          "\"in_flight\":%llu}",
                          server->stopping ? "stopping" : "healthy", DURESS_ENVELOPE_VERSION,
                          (unsigned long long)(up_ns / DURESS_S), (unsigned long long)(up_ns % DURESS_S / DURESS_MS),
                          name, (unsigned long long)server->counts.in_flight);
    if (duress_buffer_append(&connection->out, duress_slice_bytes(text, (size_t)length)) == DURESS_OK)
        reply_ready(connection, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE);
    else
        duress__http_connection_close(connection, true);
}

/* --- streams --- */

/* There is something to write: the stream's head goes out with the first event. */
static void stream_ready(struct http_server_connection *connection)
{
    connection->progress_ns = duress_world_now_ns(connection->server->options.world);
    connection->status = MHD_HTTP_OK;
    bool was_suspended = connection->suspended;
    duress__http_connection_resume(connection);
    if (connection->phase != HTTP_PHASE_STREAMING)
        duress__http_connection_enter(connection, HTTP_PHASE_STREAMING);
    else if (was_suspended)
        duress__http_connection_timer_update(connection);
}

void duress__http_reply_chunk(struct http_server_connection *connection, const struct duress_message *chunk)
{
    struct duress_envelope envelope = message_envelope(DURESS_ENVELOPE_STREAM_CHUNK, chunk);
    const char *reason = NULL;
    if (event_write(connection, &envelope, &reason) != DURESS_OK) {
        connection->overflowed = true; /* A chunk cannot be left out of a stream. */
        return;
    }
    connection->chunk_sent = true;
    stream_ready(connection);
}

void duress__http_reply_stream_end(struct http_server_connection *connection)
{
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_STREAM_END};
    const char *reason = NULL;
    if (connection->overflowed || event_write(connection, &envelope, &reason) != DURESS_OK) {
        connection->overflowed = true;
        return;
    }
    connection->stream_ended = true;
    stream_ready(connection);
}

void duress__http_reply_stream_failure(struct http_server_connection *connection, const struct duress_failure *failure)
{
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_NONE};
    char details[PEER_ERROR_DETAILS_BYTES_MAX];
    const char *reason = NULL;
    bool own = duress__http_failure_status(failure) == MHD_HTTP_INTERNAL_SERVER_ERROR;
    if (!connection->chunk_sent && !own) {
        duress__http_reply_failure(connection, failure);
        return;
    }
    duress__peer_error_write(failure, &envelope, details);
    if (own && duress_slice_is(envelope.error_code, "EXECUTION_ERROR"))
        envelope.error_code = duress_slice_text("STREAM_ERROR");
    if (connection->overflowed || event_write(connection, &envelope, &reason) != DURESS_OK) {
        connection->overflowed = true;
        return;
    }
    connection->stream_ended = true;
    stream_ready(connection);
}

/* --- to MHD --- */

static void writing_moved(struct http_server_connection *connection)
{
    connection->progress_ns = duress_world_now_ns(connection->server->options.world);
}

static ssize_t whole_read(void *context, uint64_t position, char *block, size_t capacity)
{
    struct http_server_connection *connection = context;
    struct duress_slice rest = duress_buffer_slice(&connection->out);
    if (position >= rest.length)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t count = rest.length - (size_t)position;
    count = count < capacity ? count : capacity;
    memcpy(block, rest.data + position, count);
    writing_moved(connection);
    return (ssize_t)count;
}

static ssize_t stream_read(void *context, uint64_t position, char *block, size_t capacity)
{
    struct http_server_connection *connection = context;
    (void)position;
    if (connection->overflowed || connection->phase != HTTP_PHASE_STREAMING)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    struct duress_slice waiting = duress_buffer_slice(&connection->out);
    if (waiting.length == 0) {
        if (connection->stream_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (connection->peer_gone)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        duress__http_connection_suspend(connection);
        return 0;
    }
    size_t count = waiting.length < capacity ? waiting.length : capacity;
    memcpy(block, waiting.data, count);
    duress_buffer_consume(&connection->out, count);
    duress_buffer_trim(&connection->out, HTTP_SERVER_KEPT_BYTES);
    writing_moved(connection);
    return (ssize_t)count;
}

static struct MHD_Response *response_new(struct http_server_connection *connection)
{
    if (connection->phase == HTTP_PHASE_STREAMING)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, connection, NULL);
    struct duress_slice body = duress_buffer_slice(&connection->out);
    if (body.length > HTTP_SERVER_WHOLE_BYTES)
        return MHD_create_response_from_callback(body.length, HTTP_SERVER_WHOLE_BYTES, whole_read, connection, NULL);
    /* |out| stays as it is until the reply has been written. MHD does not write to it. */
    return MHD_create_response_from_buffer(body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_PERSISTENT);
}

static bool headers_add(const struct http_server_connection *connection, struct MHD_Response *response,
                        const char *allow)
{
    bool streaming = connection->phase == HTTP_PHASE_STREAMING;
    const char *type = streaming ? "text/event-stream" : "application/json";
    bool added =
        connection->status == MHD_HTTP_NO_CONTENT || MHD_add_response_header(response, "Content-Type", type) == MHD_YES;
    if (streaming)
        added = added && MHD_add_response_header(response, "Cache-Control", "no-cache") == MHD_YES;
    if (allow != NULL)
        added = added && MHD_add_response_header(response, "Allow", allow) == MHD_YES;
    if (connection->server->stopping)
        added = added && MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    if (connection->retry_after_s > 0) {
        char seconds[24];
        (void)snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)connection->retry_after_s);
        added = added && MHD_add_response_header(response, "Retry-After", seconds) == MHD_YES;
    }
    return added;
}

enum MHD_Result duress__http_reply_queue(struct http_server_connection *connection, const char *allow)
{
    if (connection->phase != HTTP_PHASE_ANSWERED && connection->phase != HTTP_PHASE_STREAMING)
        return MHD_NO; /* It could not even be said. */
    struct MHD_Response *response = response_new(connection);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (headers_add(connection, response, allow))
        queued = MHD_queue_response(connection->mhd, connection->status, response);
    MHD_destroy_response(response);
    return queued;
}
