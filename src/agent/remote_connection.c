/* SPDX-License-Identifier: Apache-2.0 */
#include "remote_private.h"

#include <string.h>

/* A connection that was idle for longer than this is looked at before it is used: the peer may have closed it while
 * nobody ran the world. In a busy program the world has noticed by itself. */
#define IDLE_UNCHECKED_NS DURESS_MS

static void connection_event(void *context, struct duress_stream *stream, unsigned events);
static void connection_timer_expired(void *context);

/* --- memory and lists --- */

struct remote_connection *duress__connection_new(struct remote *remote)
{
    size_t slots_bytes = remote->in_flight_max * sizeof(struct remote_slot);
    struct remote_connection *connection =
        duress_allocate_zeroed(remote->base.allocator, 1, sizeof *connection + slots_bytes);
    if (connection == NULL)
        return NULL;
    connection->remote = remote;
    list_init(&connection->link);
    list_init(&connection->dirty);
    duress_timer_init(&connection->timer, connection_timer_expired, connection);
    duress_buffer_init(&connection->out, 0, remote->base.allocator);
    duress_frame_reader_init(&connection->reader, remote->limits.envelope_bytes_max, remote->base.allocator);
    connection->unsent_first = REMOTE_SLOT_NONE;
    connection->unsent_last = REMOTE_SLOT_NONE;
    for (int32_t i = (int32_t)remote->in_flight_max - 1; i >= 0; i--)
        connection->slots[i].next = i + 1 < (int32_t)remote->in_flight_max ? i + 1 : REMOTE_SLOT_NONE;
    remote->counts.connections_open++;
    return connection;
}

static void connection_release(struct remote_connection *connection)
{
    duress_release(connection->remote->base.allocator, connection);
}

void duress__connection_close(struct remote_connection *connection)
{
    struct remote *remote = connection->remote;
    if (connection->phase == CONNECTION_CLOSED)
        return;
    DURESS_ASSERT(connection->owned_count == 0);
    connection->phase = CONNECTION_CLOSED;
    list_remove(&connection->link);
    list_remove(&connection->dirty);
    duress_world_disarm(remote->base.world, &connection->timer);
    if (connection->resolution != NULL)
        duress_resolution_cancel(connection->resolution);
    /* What was asked and given up must stop at the peer too: an RST reaches it even where it does not read. */
    if (connection->stream != NULL && connection->in_flight_count > 0)
        duress_stream_abort(connection->stream);
    else if (connection->stream != NULL)
        duress_stream_close(connection->stream);
    duress_buffer_close(&connection->out);
    duress_frame_reader_close(&connection->reader);
    duress_release(remote->base.allocator, connection->addresses);
    DURESS_ASSERT(remote->in_flight_count >= connection->in_flight_count);
    remote->in_flight_count -= connection->in_flight_count;
    remote->counts.connections_open--;
    if (!wait_queue_is_empty(&remote->waiting))
        duress__remote_want_pump(remote);
    if (!connection->pinned)
        connection_release(connection);
}

static void connection_make_idle(struct remote_connection *connection)
{
    struct remote *remote = connection->remote;
    connection->idle_since_ns = duress_world_now_ns(remote->base.world);
    list_prepend(&remote->idle, &connection->link);
    if (!duress_timer_is_armed(&remote->idle_timer))
        duress_world_arm(remote->base.world, &remote->idle_timer,
                         duress_time_add(connection->idle_since_ns, remote->idle_timeout_ns));
}

/* Puts it into the list that its slots say. */
static void connection_relist(struct remote_connection *connection)
{
    struct remote *remote = connection->remote;
    if (connection->phase == CONNECTION_OPEN && connection->in_flight_count == 0)
        connection_make_idle(connection);
    else if (connection->in_flight_count < remote->in_flight_max)
        list_append(&remote->roomy, &connection->link);
    else
        list_append(&remote->full, &connection->link);
}

static void connection_want(struct remote_connection *connection, unsigned events)
{
    if (connection->wanted == events)
        return;
    connection->wanted = events;
    duress_stream_want(connection->stream, events);
}

static void connection_mark_stage(struct remote_connection *connection, enum duress_origin stage)
{
    for (uint32_t i = 0; i < connection->remote->in_flight_max; i++)
        if (connection->slots[i].owner != NULL)
            duress_call_mark_stage(connection->slots[i].owner->call, stage);
}

/* --- failing --- */

void duress__connection_fail(struct remote_connection *connection, const struct duress_failure *failure)
{
    struct list_link failing; /* a call may be cancelled by the end of another one: it then leaves this list */
    list_init(&failing);
    for (uint32_t i = 0; i < connection->remote->in_flight_max; i++) {
        struct remote_call *owner = connection->slots[i].owner;
        if (owner == NULL)
            continue;
        owner->connection = NULL;
        list_append(&failing, &owner->place.link);
    }
    connection->owned_count = 0;
    if (connection->phase < CONNECTION_OPEN)
        connection->remote->counts.connects_failed++;
    duress__connection_close(connection);
    while (!list_is_empty(&failing)) {
        struct remote_call *call = LIST_OWNER(failing.next, struct remote_call, place.link);
        struct duress_failure own = *failure;
        own.ambiguous = call->call->sent;
        list_remove(&call->place.link);
        duress_message_unref(call->last_chunk);
        duress_call_fail(call->call, &own);
    }
}

static void connection_fail_with(struct remote_connection *connection, int code, enum duress_origin origin)
{
    struct duress_failure failure;
    char text[DURESS_ADDRESS_TEXT_BYTES_MAX] = "";
    const char *where = connection->remote->endpoint.host;
    if (connection->stream != NULL || connection->address_next > 0) {
        size_t last = connection->address_next > 0 ? connection->address_next - 1 : 0;
        const struct duress_address *address =
            connection->addresses != NULL ? &connection->addresses[last] : &connection->remote->endpoint.address;
        where = duress_address_format(address, text, sizeof text);
    }
    duress_failure_set(&failure, (enum duress_error)code, origin, "%s: %s", where, duress_strerror(code));
    duress__connection_fail(connection, &failure);
}

/* --- name and connect --- */

static void connection_connect_next(struct remote_connection *connection, int error)
{
    struct duress_world *world = connection->remote->base.world;
    uint64_t now_ns = duress_world_now_ns(world);
    connection->phase = CONNECTION_CONNECTING;
    connection_mark_stage(connection, DURESS_ORIGIN_CONNECT);
    while (connection->address_next < connection->address_count) {
        uint64_t left_ns = duress_time_until(now_ns, connection->connect_deadline_ns);
        if (left_ns == 0) {
            error = DURESS_E_CONNECT_TIMEOUT;
            break;
        }
        /* Each of the addresses left gets an equal share of the time left, so that a silent one does not eat it all. */
        uint64_t share_ns = left_ns / (connection->address_count - connection->address_next);
        const struct duress_address *address = connection->addresses != NULL
                                                   ? &connection->addresses[connection->address_next]
                                                   : &connection->remote->endpoint.address;
        connection->address_next++;
        error = duress_world_connect(world, address, connection_event, connection, &connection->stream);
        if (error == DURESS_OK) {
            duress_world_arm(world, &connection->timer, duress_time_add(now_ns, share_ns));
            return;
        }
        connection->stream = NULL;
    }
    connection_fail_with(connection, error, DURESS_ORIGIN_CONNECT);
}

static void connection_resolved(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct remote_connection *connection = context;
    struct remote *remote = connection->remote;
    connection->resolution = NULL;
    duress_agent_ref(&remote->base);
    if (error == DURESS_OK) {
        size_t kept = count < REMOTE_ADDRESSES_MAX ? count : REMOTE_ADDRESSES_MAX;
        connection->addresses = duress_allocate(remote->base.allocator, kept * sizeof *addresses);
        if (connection->addresses != NULL) {
            memcpy(connection->addresses, addresses, kept * sizeof *addresses);
            connection->address_count = kept;
        } else {
            error = DURESS_E_NO_MEMORY;
        }
    }
    if (error == DURESS_OK)
        connection_connect_next(connection, DURESS_OK);
    else
        connection_fail_with(connection, error, DURESS_ORIGIN_NAME);
    duress_agent_unref(&remote->base);
}

void duress__connection_begin(struct remote_connection *connection)
{
    struct remote *remote = connection->remote;
    struct duress_world *world = remote->base.world;
    remote->counts.connects_begun++;
    connection->connect_deadline_ns = duress_time_add(duress_world_now_ns(world), remote->connect_timeout_ns);
    if (!remote->endpoint.named) {
        connection->address_count = 1;
        connection_connect_next(connection, DURESS_OK);
        return;
    }
    connection->phase = CONNECTION_RESOLVING;
    connection_mark_stage(connection, DURESS_ORIGIN_NAME);
    int error = duress_world_resolve(world, remote->endpoint.host, remote->endpoint.port, connection_resolved,
                                     connection, &connection->resolution);
    if (error != DURESS_OK) {
        connection->resolution = NULL;
        connection_fail_with(connection, error, DURESS_ORIGIN_NAME);
        return;
    }
    duress_world_arm(world, &connection->timer, connection->connect_deadline_ns);
}

static void connection_connect_failed(struct remote_connection *connection, int error)
{
    duress_world_disarm(connection->remote->base.world, &connection->timer);
    duress_stream_abort(connection->stream);
    connection->stream = NULL;
    connection->wanted = 0;
    connection_connect_next(connection, error);
}

static void connection_timer_expired(void *context)
{
    struct remote_connection *connection = context;
    struct remote *remote = connection->remote;
    duress_agent_ref(&remote->base);
    if (connection->phase == CONNECTION_RESOLVING)
        connection_fail_with(connection, DURESS_E_NAME_SILENT, DURESS_ORIGIN_NAME);
    else
        connection_connect_failed(connection, DURESS_E_CONNECT_TIMEOUT);
    duress_agent_unref(&remote->base);
}

/* --- requests --- */

static int connection_encode(struct remote_connection *connection, const struct remote_call *call, uint64_t number,
                             struct duress_envelope_diagnostics *diagnostics)
{
    struct remote *remote = connection->remote;
    char id[REQUEST_ID_BYTES];
    duress__request_id_write(remote->id_prefix, number, id);
    const struct duress_message *request = call->call->request;
    uint64_t wall_ns = duress_world_wall_ns(remote->base.world);
    uint64_t made_ns = duress_message_timestamp_ns(request);
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_bytes(id, sizeof id),
        .timestamp_ns = wall_ns,
        .method = duress_slice_text(call->call->streaming ? "stream" : "process"),
        .agent_name = duress_slice_text(remote->agent_name),
        .role = duress_message_role(request),
        .content = duress_message_content(request),
        .metadata = duress_message_metadata(request),
        .message_timestamp_ns = made_ns != 0 ? made_ns : wall_ns,
    };
    return duress_envelope_encode_framed(&envelope, &remote->limits, &connection->out, diagnostics);
}

int duress__connection_assign(struct remote_connection *connection, struct remote_call *call,
                              struct duress_envelope_diagnostics *diagnostics)
{
    struct remote *remote = connection->remote;
    int32_t index = connection->free_first;
    DURESS_ASSERT(index != REMOTE_SLOT_NONE);
    struct remote_slot *slot = &connection->slots[index];
    uint64_t number = ++remote->sequence << REMOTE_SLOT_BITS | (uint64_t)index;
    size_t before = duress_buffer_length(&connection->out);
    int error = connection_encode(connection, call, number, diagnostics);
    if (error != DURESS_OK)
        return error;
    connection->free_first = slot->next;
    uint64_t begin = connection->queued_bytes;
    connection->queued_bytes += duress_buffer_length(&connection->out) - before;
    *slot = (struct remote_slot){call, number, begin, connection->queued_bytes, REMOTE_SLOT_NONE};
    if (connection->unsent_last == REMOTE_SLOT_NONE)
        connection->unsent_first = index;
    else
        connection->slots[connection->unsent_last].next = index;
    connection->unsent_last = index;
    connection->in_flight_count++;
    connection->owned_count++;
    remote->in_flight_count++;
    call->connection = connection;
    call->slot = index;
    if (connection->phase == CONNECTION_OPEN)
        duress_call_mark_stage(call->call, DURESS_ORIGIN_SEND);
    else if (connection->phase == CONNECTION_RESOLVING)
        duress_call_mark_stage(call->call, DURESS_ORIGIN_NAME);
    list_append(&remote->dirty, &connection->dirty);
    connection_relist(connection);
    return DURESS_OK;
}

static void connection_unsent_remove(struct remote_connection *connection, int32_t index)
{
    int32_t *link = &connection->unsent_first;
    int32_t previous = REMOTE_SLOT_NONE;
    while (*link != REMOTE_SLOT_NONE && *link != index) {
        previous = *link;
        link = &connection->slots[*link].next;
    }
    if (*link == REMOTE_SLOT_NONE)
        return;
    *link = connection->slots[index].next;
    if (connection->unsent_last == index)
        connection->unsent_last = previous;
}

void duress__connection_release_slot(struct remote_connection *connection, int32_t index)
{
    struct remote *remote = connection->remote;
    struct remote_slot *slot = &connection->slots[index];
    if (slot->frame_end > connection->written_bytes)
        connection_unsent_remove(connection, index);
    if (slot->owner != NULL) {
        slot->owner->connection = NULL;
        connection->owned_count--;
    }
    *slot = (struct remote_slot){.next = connection->free_first};
    connection->free_first = index;
    connection->in_flight_count--;
    remote->in_flight_count--;
    bool answered_too_early = connection->in_flight_count == 0 && duress_buffer_length(&connection->out) > 0;
    bool nobody_waits = connection->in_flight_count > 0 && connection->owned_count == 0;
    if (answered_too_early || nobody_waits) {
        duress__connection_close(connection);
        return;
    }
    connection_relist(connection);
    if (!wait_queue_is_empty(&remote->waiting))
        duress__remote_want_pump(remote);
}

void duress__connection_give_up(struct remote_connection *connection, int32_t index)
{
    struct remote_slot *slot = &connection->slots[index];
    slot->owner->connection = NULL;
    slot->owner = NULL;
    connection->owned_count--;
    if (connection->owned_count == 0)
        duress__connection_close(connection);
}

/* --- bytes --- */

/* Tells the calls whose bytes the transport took. */
static void connection_mark_written(struct remote_connection *connection)
{
    while (connection->unsent_first != REMOTE_SLOT_NONE) {
        struct remote_slot *slot = &connection->slots[connection->unsent_first];
        if (slot->frame_begin >= connection->written_bytes)
            return;
        if (slot->owner != NULL)
            duress_call_mark_sent(slot->owner->call);
        if (slot->frame_end > connection->written_bytes)
            return;
        if (slot->owner != NULL)
            duress_call_mark_stage(slot->owner->call, DURESS_ORIGIN_RECEIVE);
        connection->unsent_first = slot->next;
        if (connection->unsent_first == REMOTE_SLOT_NONE)
            connection->unsent_last = REMOTE_SLOT_NONE;
    }
}

static void connection_read(struct remote_connection *connection, bool to_the_end);

/* The transport takes no more. Replies that came before are still there to be read. */
static void connection_write_failed(struct remote_connection *connection, int error)
{
    connection_read(connection, true);
    if (connection->phase != CONNECTION_CLOSED)
        connection_fail_with(connection, error, DURESS_ORIGIN_SEND);
}

static void connection_write(struct remote_connection *connection)
{
    while (duress_buffer_length(&connection->out) > 0) {
        struct duress_slice rest = duress_buffer_slice(&connection->out);
        size_t count = 0;
        int error = duress_stream_write(connection->stream, &rest, 1, &count);
        if (error == DURESS_E_AGAIN)
            break;
        if (error != DURESS_OK) {
            connection_write_failed(connection, error);
            return;
        }
        duress_buffer_consume(&connection->out, count);
        connection->written_bytes += count;
        connection_mark_written(connection);
    }
    bool more = duress_buffer_length(&connection->out) > 0;
    if (!more)
        duress_buffer_trim(&connection->out, REMOTE_BUFFER_KEPT_BYTES);
    connection_want(connection, DURESS_STREAM_READABLE | (more ? DURESS_STREAM_WRITABLE : 0u));
}

/* Pins |connection| while |work| is done with it, whatever that leads to. */
static void connection_unpin(struct remote_connection *connection)
{
    connection->pinned = false;
    if (connection->phase == CONNECTION_CLOSED)
        connection_release(connection);
}

void duress__connection_flush(struct remote_connection *connection)
{
    list_remove(&connection->dirty);
    if (connection->phase != CONNECTION_OPEN)
        return;
    connection->pinned = true;
    connection_write(connection);
    connection_unpin(connection);
}

static void connection_read(struct remote_connection *connection, bool to_the_end)
{
    struct remote *remote = connection->remote;
    for (;;) {
        size_t count = 0;
        int error = duress_stream_read(connection->stream, remote->read_buffer, sizeof remote->read_buffer, &count);
        if (error == DURESS_E_AGAIN)
            return;
        if (error != DURESS_OK) {
            connection_fail_with(connection, error == DURESS_E_END ? DURESS_E_TRUNCATED : error, DURESS_ORIGIN_RECEIVE);
            return;
        }
        duress__connection_feed(connection, duress_slice_bytes(remote->read_buffer, count));
        if (connection->phase == CONNECTION_CLOSED)
            return;
        if (!to_the_end && count < sizeof remote->read_buffer)
            return; /* The world tells again where there is more. */
    }
}

bool duress__connection_is_fresh(struct remote_connection *connection, uint64_t now_ns)
{
    if (now_ns - connection->idle_since_ns <= IDLE_UNCHECKED_NS)
        return true;
    uint8_t byte;
    size_t count = 0;
    if (duress_stream_read(connection->stream, &byte, 1, &count) == DURESS_E_AGAIN)
        return true;
    duress__connection_close(connection); /* ended, reset, or with bytes that nobody asked for */
    return false;
}

static void connection_opened(struct remote_connection *connection)
{
    duress_world_disarm(connection->remote->base.world, &connection->timer);
    connection->phase = CONNECTION_OPEN;
    connection_mark_stage(connection, DURESS_ORIGIN_SEND);
    connection_write(connection);
}

static void connection_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct remote_connection *connection = context;
    struct remote *remote = connection->remote;
    (void)stream;
    duress_agent_ref(&remote->base);
    connection->pinned = true;
    if (connection->phase == CONNECTION_CONNECTING) {
        if (events & DURESS_STREAM_FAILED)
            connection_connect_failed(connection, duress_stream_error(connection->stream));
        else if (events & DURESS_STREAM_CONNECTED)
            connection_opened(connection);
    }
    if (connection->phase == CONNECTION_OPEN && (events & (DURESS_STREAM_READABLE | DURESS_STREAM_HANGUP)))
        connection_read(connection, (events & DURESS_STREAM_HANGUP) != 0);
    if (connection->phase == CONNECTION_OPEN && (events & DURESS_STREAM_HANGUP))
        connection_fail_with(connection, DURESS_E_RESET, DURESS_ORIGIN_RECEIVE);
    if (connection->phase == CONNECTION_OPEN && (events & DURESS_STREAM_WRITABLE))
        connection_write(connection);
    connection_unpin(connection);
    duress_agent_unref(&remote->base);
}
