/* SPDX-License-Identifier: Apache-2.0
 *
 * What peers send: frames, envelopes, and whose they are. A peer that sends what nobody can have asked for is not
 * listened to any further, because its next bytes could be taken for somebody's answer. */
#include "remote_private.h"

#include <duress/agent/peer_error_private.h>

static const char role_too_long[] = "a role of more than 64 bytes";

static void connection_malformed(struct remote_connection *connection, const char *reason)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, "%s", reason);
    duress__connection_fail(connection, &failure);
}

static void connection_out_of_memory(struct remote_connection *connection)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_RECEIVE, "no memory for the reply");
    duress__connection_fail(connection, &failure);
}

static int reply_message_new(const struct remote *remote, const struct duress_envelope *envelope,
                             struct duress_message **message)
{
    struct duress_message_options options = {
        .role = envelope->role,
        .content = envelope->content,
        .metadata = envelope->metadata,
        .timestamp_ns = envelope->message_timestamp_ns,
        .allocator = remote->base.allocator,
    };
    return duress_message_new(&options, message);
}

/* Ends the call in |slot| with |error| or, on DURESS_OK, with |reply|, whose reference is taken. */
static void reply_deliver(struct remote_connection *connection, int32_t slot, int error, struct duress_message *reply)
{
    struct remote_call *owner = connection->slots[slot].owner;
    duress__connection_release_slot(connection, slot);
    duress_message_unref(owner->last_chunk);
    owner->last_chunk = NULL;
    if (error == DURESS_OK) {
        duress_call_reply(owner->call, reply);
        duress_message_unref(reply);
        return;
    }
    struct duress_failure failure;
    if (error == DURESS_E_INVALID)
        duress_failure_set(&failure, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, "%s", role_too_long);
    else
        duress_failure_set(&failure, (enum duress_error)error, DURESS_ORIGIN_RECEIVE, "no memory for the reply");
    failure.ambiguous = owner->call->sent;
    duress_call_fail(owner->call, &failure);
}

static void reply_response(struct remote_connection *connection, int32_t slot, const struct duress_envelope *envelope)
{
    struct duress_message *reply = NULL;
    int error = reply_message_new(connection->remote, envelope, &reply);
    reply_deliver(connection, slot, error, reply);
}

static void reply_error(struct remote_connection *connection, int32_t slot, const struct duress_envelope *envelope)
{
    struct remote_call *owner = connection->slots[slot].owner;
    struct duress_failure failure;
    duress__peer_error_read(envelope, &failure);
    duress__connection_release_slot(connection, slot);
    duress_message_unref(owner->last_chunk);
    owner->last_chunk = NULL;
    duress_call_fail(owner->call, &failure);
}

static void reply_chunk(struct remote_connection *connection, int32_t slot, const struct duress_envelope *envelope)
{
    struct remote_call *owner = connection->slots[slot].owner;
    struct duress_message *chunk = NULL;
    int error = reply_message_new(connection->remote, envelope, &chunk);
    if (error == DURESS_E_INVALID) {
        connection_malformed(connection, role_too_long);
        return;
    }
    if (error != DURESS_OK) {
        connection_out_of_memory(connection);
        return;
    }
    duress_message_unref(owner->last_chunk);
    owner->last_chunk = chunk;
    duress_message_ref(chunk); /* cancel() gives the other one back */
    duress_call_emit(owner->call, chunk);
    duress_message_unref(chunk);
}

/* The reply of a finished stream is its last chunk; of one without chunks, an empty message. */
static void reply_stream_end(struct remote_connection *connection, int32_t slot)
{
    struct remote_call *owner = connection->slots[slot].owner;
    struct duress_message *reply = owner->last_chunk;
    int error = DURESS_OK;
    owner->last_chunk = NULL;
    if (reply == NULL) {
        struct duress_message_options empty = {
            .role = duress_slice_text("agent"),
            .allocator = connection->remote->base.allocator,
        };
        error = duress_message_new(&empty, &reply);
    }
    reply_deliver(connection, slot, error, reply);
}

/* A reply to a call that was given up. */
static void reply_late(struct remote_connection *connection, int32_t slot, enum duress_envelope_type type)
{
    if (type == DURESS_ENVELOPE_STREAM_CHUNK)
        return; /* The end of the stream frees the slot. */
    connection->remote->counts.replies_late++;
    duress__connection_release_slot(connection, slot);
}

/* The slot that |envelope| answers; REMOTE_SLOT_NONE where there is none. */
static int32_t reply_slot(const struct remote_connection *connection, const struct duress_envelope *envelope)
{
    const struct remote *remote = connection->remote;
    uint64_t number = duress__request_id_read(remote->id_prefix, envelope->id);
    uint64_t index = number & (REMOTE_IN_FLIGHT_MAX - 1);
    if (number != 0 && index < remote->in_flight_max && connection->slots[index].number == number)
        return (int32_t)index;
    return REMOTE_SLOT_NONE;
}

/* agenkit's servers call the id "unknown" where they could not read the request, and close: with one call at a time it
 * is clear whose error that is. */
static bool reply_is_for_the_only_call(const struct remote_connection *connection,
                                       const struct duress_envelope *envelope)
{
    return envelope->type == DURESS_ENVELOPE_ERROR && duress_slice_is(envelope->id, "unknown") &&
           connection->remote->in_flight_max == 1 && connection->owned_count == 1;
}

static void reply_dispatch(struct remote_connection *connection, int32_t slot, const struct duress_envelope *envelope)
{
    bool streaming = connection->slots[slot].owner->call->streaming;
    switch (envelope->type) {
    case DURESS_ENVELOPE_RESPONSE:
        reply_response(connection, slot, envelope);
        return;
    case DURESS_ENVELOPE_ERROR:
        reply_error(connection, slot, envelope);
        return;
    case DURESS_ENVELOPE_STREAM_CHUNK:
        if (streaming) {
            reply_chunk(connection, slot, envelope);
            return;
        }
        break;
    case DURESS_ENVELOPE_STREAM_END:
        if (streaming) {
            reply_stream_end(connection, slot);
            return;
        }
        break;
    case DURESS_ENVELOPE_NONE:
    case DURESS_ENVELOPE_REQUEST:
    case DURESS_ENVELOPE_HEARTBEAT:
    case DURESS_ENVELOPE_REGISTER:
    case DURESS_ENVELOPE_UNREGISTER:
        break;
    }
    connection_malformed(connection, "an envelope of a type that is no answer to the request");
}

static void connection_frame(struct remote_connection *connection, struct duress_slice frame)
{
    struct remote *remote = connection->remote;
    struct duress_envelope envelope;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    int error = duress_envelope_decode(frame, &remote->limits, &remote->scratch, &envelope, &diagnostics);
    if (error == DURESS_E_NO_MEMORY) {
        connection_out_of_memory(connection);
        return;
    }
    if (error != DURESS_OK) {
        connection_malformed(connection, diagnostics.reason != NULL ? diagnostics.reason : duress_strerror(error));
        return;
    }
    int32_t slot = reply_slot(connection, &envelope);
    if (slot == REMOTE_SLOT_NONE && reply_is_for_the_only_call(connection, &envelope)) {
        struct duress_failure failure;
        duress__peer_error_read(&envelope, &failure);
        struct remote_call *owner = connection->slots[0].owner;
        duress__connection_release_slot(connection, 0);
        duress__connection_close(connection);
        duress_call_fail(owner->call, &failure);
        return;
    }
    if (slot == REMOTE_SLOT_NONE) {
        remote->counts.replies_stray++;
        connection_malformed(connection, "a reply with an id that was not asked");
        return;
    }
    if (connection->slots[slot].owner == NULL)
        reply_late(connection, slot, envelope.type);
    else
        reply_dispatch(connection, slot, &envelope);
}

void duress__connection_feed(struct remote_connection *connection, struct duress_slice input)
{
    for (;;) {
        struct duress_slice frame;
        int error = duress_frame_reader_next(&connection->reader, &input, &frame);
        if (error == DURESS_E_AGAIN)
            break;
        if (error == DURESS_E_NO_MEMORY) {
            connection_out_of_memory(connection);
            return;
        }
        if (error != DURESS_OK) {
            connection_malformed(connection, "a frame that announces more than the limit");
            return;
        }
        connection_frame(connection, frame);
        if (connection->phase == CONNECTION_CLOSED)
            return;
    }
    /* The beginning of a frame that nobody asked for could only end as an answer to the next call. */
    if (connection->in_flight_count == 0 && duress_frame_reader_end(&connection->reader) != DURESS_E_END) {
        connection->remote->counts.replies_stray++;
        duress__connection_close(connection);
    }
    duress_buffer_trim(&connection->remote->scratch, REMOTE_BUFFER_KEPT_BYTES);
}
