/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and their answers. */
#include "server_private.h"

#include <string.h>

#include <duress/agent/peer_error_private.h>

#include "call.h"

/* --- answers --- */

/* Queues |envelope|. DURESS_OK, or the error of the encoding with the reason in *reason. */
static int answer_queue(struct server_connection *connection, struct duress_envelope *envelope, const char **reason)
{
    struct duress_server *server = connection->server;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    uint64_t before = duress_buffer_length(&connection->out);
    envelope->timestamp_ns = duress_world_wall_ns(server->options.world);
    if (envelope->message_timestamp_ns == 0)
        envelope->message_timestamp_ns = envelope->timestamp_ns;
    int error = duress_envelope_encode_framed(envelope, &server->limits, &connection->out, &diagnostics);
    if (reason != NULL)
        *reason = diagnostics.reason != NULL ? diagnostics.reason : duress_strerror(error);
    if (error != DURESS_OK)
        return error;
    if (before == 0)
        connection->progress_ns = duress_world_now_ns(server->options.world);
    duress__server_connection_want_turn(connection);
    return DURESS_OK;
}

/* An error that cannot even be said leaves only to close: the peer must not wait for ever. */
static void answer_error_envelope(struct server_connection *connection, struct duress_envelope *envelope)
{
    if (answer_queue(connection, envelope, NULL) == DURESS_OK) {
        connection->replies_queued++;
        return;
    }
    connection->overflowed = true;
    duress__server_connection_want_turn(connection);
}

static void answer_error(struct server_connection *connection, struct duress_slice id, const char *code,
                         const char *message)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_ERROR,
        .id = id,
        .error_code = duress_slice_text(code),
        .error_message = duress_slice_text(message),
    };
    answer_error_envelope(connection, &envelope);
}

static void answer_failure(struct server_connection *connection, struct duress_slice id,
                           const struct duress_failure *failure)
{
    struct duress_envelope envelope = {.id = id};
    char details[PEER_ERROR_DETAILS_BYTES_MAX];
    duress__peer_error_write(failure, &envelope, details);
    answer_error_envelope(connection, &envelope);
}

void duress__server_refuse_frame(struct server_connection *connection, struct duress_slice id, const char *code,
                                 const char *message)
{
    connection->linger = true;
    answer_error(connection, id, code, message);
    duress__server_connection_drain(connection);
}

/* --- requests --- */

static struct server_request *request_new(struct server_connection *connection, struct duress_slice id)
{
    struct duress_server *server = connection->server;
    struct server_request *request;
    if (list_is_empty(&server->free_requests)) {
        request = duress_allocate(server->allocator, sizeof *request);
        if (request == NULL)
            return NULL;
        list_init(&request->link);
    } else {
        request = LIST_OWNER(server->free_requests.next, struct server_request, link);
        server->free_request_count--;
    }
    request->connection = connection;
    request->call = NULL;
    request->streaming = false;
    request->chunk_sent = false;
    request->id_length = id.length;
    memcpy(request->id, id.data, id.length);
    list_append(&connection->requests, &request->link);
    connection->request_count++;
    server->counts.in_flight++;
    return request;
}

static void request_free(struct server_request *request)
{
    struct duress_server *server = request->connection->server;
    request->connection->request_count--;
    server->counts.in_flight--;
    list_remove(&request->link);
    if (server->free_request_count >= SERVER_REQUESTS_KEPT) {
        duress_release(server->allocator, request);
        return;
    }
    list_prepend(&server->free_requests, &request->link);
    server->free_request_count++;
}

void duress__server_requests_cancel(struct server_connection *connection)
{
    while (!list_is_empty(&connection->requests)) {
        struct server_request *request = LIST_OWNER(connection->requests.next, struct server_request, link);
        struct duress_call *call = request->call;
        request_free(request);
        connection->server->counts.cancelled++;
        if (call != NULL)
            duress_call_drop(call);
    }
}

static struct duress_slice request_id(const struct server_request *request)
{
    return duress_slice_bytes(request->id, request->id_length);
}

static int request_answer_message(struct server_request *request, enum duress_envelope_type type,
                                  const struct duress_message *message, const char **reason)
{
    struct duress_envelope envelope = {
        .type = type,
        .id = request_id(request),
        .role = duress_message_role(message),
        .content = duress_message_content(message),
        .metadata = duress_message_metadata(message),
        .message_timestamp_ns = duress_message_timestamp_ns(message),
    };
    return answer_queue(request->connection, &envelope, reason);
}

/* The agent's answer cannot go over the wire: an error of the service, told to this caller alone. */
static void request_answer_unsendable(struct server_request *request, int error, const char *reason)
{
    struct duress_failure failure;
    duress_failure_set(&failure, error == DURESS_E_NO_MEMORY ? DURESS_E_SYSTEM : (enum duress_error)error,
                       DURESS_ORIGIN_AGENT, "the agent's reply cannot be sent: %s", reason);
    failure.ambiguous = true; /* it was executed */
    answer_failure(request->connection, request_id(request), &failure);
}

static void request_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct server_request *request = context;
    struct server_connection *connection = request->connection;
    const char *reason = NULL;
    (void)call;
    if (connection->overflowed)
        return;
    int error = request_answer_message(request, DURESS_ENVELOPE_STREAM_CHUNK, chunk, &reason);
    request->chunk_sent = true;
    /* A chunk cannot be left out of a stream, and a reader that is too slow must not fill the memory. */
    if (error != DURESS_OK ||
        duress_buffer_length(&connection->out) / 2 > connection->server->options.write_bytes_max) {
        connection->overflowed = true;
        duress__server_connection_want_turn(connection);
    }
}

static void request_answer_stream_end(struct server_request *request)
{
    struct duress_envelope envelope = {.type = DURESS_ENVELOPE_STREAM_END, .id = request_id(request)};
    const char *reason = NULL;
    int error = answer_queue(request->connection, &envelope, &reason);
    if (error == DURESS_OK)
        request->connection->replies_queued++;
    else
        request_answer_unsendable(request, error, reason);
}

static void request_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct server_request *request = context;
    struct server_connection *connection = request->connection;
    const char *reason = NULL;
    (void)call;
    if (result->error != DURESS_OK) {
        answer_failure(connection, request_id(request), result->failure);
    } else {
        int error = DURESS_OK;
        /* An agent that does not stream has answered a stream of one chunk. */
        if (!request->streaming)
            error = request_answer_message(request, DURESS_ENVELOPE_RESPONSE, result->reply, &reason);
        else if (!request->chunk_sent)
            error = request_answer_message(request, DURESS_ENVELOPE_STREAM_CHUNK, result->reply, &reason);
        if (error != DURESS_OK)
            request_answer_unsendable(request, error, reason);
        else if (request->streaming)
            request_answer_stream_end(request);
        else
            connection->replies_queued++;
    }
    request_free(request);
    duress__server_connection_want_turn(connection);
}

/* Nothing was begun for it, and the agent is not asked: a caller that comes back later may be served. */
static void request_shed(struct server_connection *connection, struct duress_slice id)
{
    struct duress_server *server = connection->server;
    struct duress_failure failure;
    server->counts.shed++;
    duress_failure_set(&failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_AGENT,
                       "%u requests are in flight, as many as are served at once", server->options.requests_max);
    failure.retry_after_ns = server->options.overload_retry_after_ns;
    answer_failure(connection, id, &failure);
}

static void request_refuse_memory(struct server_connection *connection, struct duress_slice id)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
    answer_failure(connection, id, &failure);
}

static void request_start(struct server_connection *connection, const struct duress_envelope *envelope, bool streaming)
{
    struct duress_server *server = connection->server;
    struct duress_message_options options = {
        .role = envelope->role,
        .content = envelope->content,
        .metadata = envelope->metadata,
        .timestamp_ns = envelope->message_timestamp_ns,
        .allocator = server->allocator,
    };
    struct duress_message *message = NULL;
    int error = duress_message_new(&options, &message);
    if (error == DURESS_E_INVALID) {
        answer_error(connection, envelope->id, "INVALID_MESSAGE", "a role of more than 64 bytes");
        return;
    }
    struct server_request *request = error == DURESS_OK ? request_new(connection, envelope->id) : NULL;
    if (request == NULL) {
        duress_message_unref(message);
        request_refuse_memory(connection, envelope->id);
        return;
    }
    request->streaming = streaming;
    struct duress_ask ask = {
        .request = message,
        .deadline_ns = duress_time_add(connection->active_ns, server->options.request_timeout_ns),
        .on_end = request_ended,
        .on_chunk = streaming ? request_chunk : NULL,
        .context = request,
    };
    error = duress__call_root_begin(server->options.agent, &ask, &request->call);
    duress_message_unref(message);
    if (error == DURESS_OK)
        return;
    request_free(request);
    request_refuse_memory(connection, envelope->id);
}

static void request_tell_arrival(struct server_connection *connection, const struct duress_envelope *envelope)
{
    struct duress_server *server = connection->server;
    server->counts.arrivals++;
    if (server->options.on_arrival == NULL)
        return;
    struct duress_arrival arrival = {
        .number = server->counts.arrivals,
        .connection_number = connection->number,
        .at_ns = connection->active_ns,
        .id = envelope->id,
        .method = envelope->method,
        .content = envelope->content,
    };
    server->options.on_arrival(server->options.context, &arrival);
}

static const char *defect_code(enum duress_envelope_defect defect)
{
    switch (defect) {
    case DURESS_DEFECT_SYNTAX:
    case DURESS_DEFECT_LIMIT:
        return "MALFORMED_PAYLOAD";
    case DURESS_DEFECT_VERSION:
        return "UNSUPPORTED_VERSION";
    case DURESS_DEFECT_NONE:
    case DURESS_DEFECT_FIELD:
        break;
    }
    return "INVALID_MESSAGE";
}

static void request_undecodable(struct server_connection *connection, struct duress_slice known_id,
                                const struct duress_envelope_diagnostics *diagnostics)
{
    connection->server->counts.malformed++;
    duress__server_refuse_frame(connection, known_id.length > 0 ? known_id : duress_slice_text("unknown"),
                                defect_code(diagnostics->defect),
                                diagnostics->reason != NULL ? diagnostics->reason : "no valid envelope");
}

void duress__server_request_begin(struct server_connection *connection, struct duress_slice frame)
{
    struct duress_server *server = connection->server;
    struct duress_envelope envelope;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    int error = duress_envelope_decode(frame, &server->limits, &server->scratch, &envelope, &diagnostics);
    if (error == DURESS_E_NO_MEMORY) {
        duress__server_connection_close(connection, true); /* Whose request it was is not known. */
        return;
    }
    if (error != DURESS_OK) {
        request_undecodable(connection, envelope.id, &diagnostics);
        return;
    }
    if (envelope.type != DURESS_ENVELOPE_REQUEST) {
        answer_error(connection, envelope.id, "INVALID_MESSAGE", "not a request");
        return;
    }
    bool streaming = duress_slice_is(envelope.method, "stream");
    if (!streaming && !duress_slice_is(envelope.method, "process")) {
        answer_error(connection, envelope.id, "INVALID_MESSAGE", "unknown method: process and stream are served");
        return;
    }
    if (envelope.id.length > SERVER_ID_BYTES_MAX) {
        answer_error(connection, duress_slice_text("unknown"), "INVALID_MESSAGE", "an id of more than 256 bytes");
        return;
    }
    if (server->counts.in_flight >= server->options.requests_max) {
        request_shed(connection, envelope.id);
        return;
    }
    request_tell_arrival(connection, &envelope);
    if (connection->phase != SERVER_CONNECTION_CLOSED)
        request_start(connection, &envelope, streaming);
}
