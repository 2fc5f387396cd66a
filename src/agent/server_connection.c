/* SPDX-License-Identifier: Apache-2.0 */
#include "server_private.h"

/* How long a refused peer's bytes are dropped before the connection is closed under it. */
#define LINGER_NS (1 * DURESS_S)

static void connection_timer_update(struct server_connection *connection);

/* --- closing --- */

static void connection_release(struct server_connection *connection)
{
    duress_release(connection->server->allocator, connection);
}

void duress__server_connection_close(struct server_connection *connection, bool reset)
{
    struct duress_server *server = connection->server;
    if (connection->phase == SERVER_CONNECTION_CLOSED)
        return;
    connection->phase = SERVER_CONNECTION_CLOSED;
    duress__server_requests_cancel(connection);
    list_remove(&connection->link);
    duress_world_disarm(server->options.world, &connection->timer);
    duress_world_undefer(server->options.world, &connection->turn);
    if (reset)
        duress_stream_abort(connection->stream);
    else
        duress_stream_close(connection->stream);
    duress_frame_reader_close(&connection->reader);
    duress_buffer_close(&connection->stash);
    duress_buffer_close(&connection->out);
    server->counts.connections_open--;
    duress__server_check_drained(server);
    if (!connection->pinned)
        connection_release(connection);
}

static void connection_pin(struct server_connection *connection)
{
    connection->pinned = true;
    connection->server->pinned_count++;
}

static void connection_unpin(struct server_connection *connection)
{
    struct duress_server *server = connection->server;
    connection->pinned = false;
    if (connection->phase == SERVER_CONNECTION_CLOSED)
        connection_release(connection);
    server->pinned_count--;
    if (server->freed && server->pinned_count == 0)
        duress__server_release(server);
}

void duress__server_connection_want_turn(struct server_connection *connection)
{
    duress_world_defer(connection->server->options.world, &connection->turn);
}

void duress__server_connection_drain(struct server_connection *connection)
{
    if (connection->phase == SERVER_CONNECTION_OPEN) {
        bool idle = connection->request_count == 0 && duress_buffer_length(&connection->out) == 0 &&
                    connection->frame_begun_ns == 0;
        connection->linger = connection->linger || !idle;
        connection->phase = SERVER_CONNECTION_DRAINING;
        connection->frame_begun_ns = 0;
    }
    duress__server_connection_want_turn(connection);
}

/* --- time --- */

/* When the connection has been waited for long enough; NEVER while the server itself is at work. */
static uint64_t connection_due_ns(const struct server_connection *connection)
{
    const struct duress_server_options *options = &connection->server->options;
    if (connection->phase == SERVER_CONNECTION_LINGERING)
        return connection->linger_end_ns;
    if (duress_buffer_length(&connection->out) > 0)
        return duress_time_add(connection->progress_ns, options->frame_timeout_ns);
    if (connection->frame_begun_ns != 0)
        return duress_time_add(connection->frame_begun_ns, options->frame_timeout_ns);
    if (connection->request_count == 0)
        return duress_time_add(connection->active_ns, options->idle_timeout_ns);
    return DURESS_TIME_NEVER;
}

/* The timer is only ever moved to an earlier instant: one that fires too early looks again. So a busy connection does
 * not touch it at all. */
static void connection_timer_update(struct server_connection *connection)
{
    uint64_t due_ns = connection_due_ns(connection);
    if (due_ns == DURESS_TIME_NEVER)
        return;
    if (!duress_timer_is_armed(&connection->timer) || due_ns < duress_timer_at_ns(&connection->timer))
        duress_world_arm(connection->server->options.world, &connection->timer, due_ns);
}

static void connection_timer_expired(void *context)
{
    struct server_connection *connection = context;
    if (connection_due_ns(connection) > duress_world_now_ns(connection->server->options.world)) {
        connection_timer_update(connection);
        return;
    }
    bool reads_nothing = duress_buffer_length(&connection->out) > 0;
    duress__server_connection_close(connection, reads_nothing);
}

/* --- reading --- */

static bool connection_has_room(const struct server_connection *connection)
{
    const struct duress_server_options *options = &connection->server->options;
    return connection->phase == SERVER_CONNECTION_OPEN && !connection->overflowed &&
           connection->request_count < options->in_flight_max &&
           duress_buffer_length(&connection->out) < options->write_bytes_max;
}

/* One buffer is read ahead of a free place for its requests: a peer that has nothing more to say but its FIN, which
 * cancels what it had asked, is heard even while its requests fill the limit. */
static bool connection_may_read(const struct server_connection *connection)
{
    return connection->phase == SERVER_CONNECTION_OPEN && duress_buffer_length(&connection->stash) == 0 &&
           duress_buffer_length(&connection->out) < connection->server->options.write_bytes_max;
}

/* One that takes no more requests is read on, to hear its end: who closes has given up what is still at work. */
static void connection_want(struct server_connection *connection)
{
    bool read = connection->phase != SERVER_CONNECTION_OPEN || connection_may_read(connection);
    unsigned events = (read ? DURESS_STREAM_READABLE : 0u) |
                      (duress_buffer_length(&connection->out) > 0 ? DURESS_STREAM_WRITABLE : 0u);
    if (connection->wanted == events)
        return;
    connection->wanted = events;
    duress_stream_want(connection->stream, events);
}

/* Takes frames from |input| while there is room, and so many a turn: the replies of one turn are counted as unsent
 * before the next one looks for room. What is left is the caller's to keep. */
static void connection_feed(struct server_connection *connection, struct duress_slice *input)
{
    for (size_t frames = 0; frames < SERVER_FRAMES_PER_TURN && connection_has_room(connection); frames++) {
        struct duress_slice frame;
        int error = duress_frame_reader_next(&connection->reader, input, &frame);
        if (error == DURESS_E_AGAIN) {
            bool begun = duress_frame_reader_end(&connection->reader) != DURESS_E_END;
            if (begun && connection->frame_begun_ns == 0)
                connection->frame_begun_ns = connection->active_ns;
            return;
        }
        connection->frame_begun_ns = 0;
        if (error == DURESS_E_NO_MEMORY) {
            duress__server_connection_close(connection, true);
            return;
        }
        if (error != DURESS_OK) {
            connection->server->counts.malformed++;
            duress__server_refuse_frame(connection, duress_slice_text("unknown"), "MALFORMED_PAYLOAD",
                                        "a frame that announces more than the limit");
            return;
        }
        duress__server_request_begin(connection, frame);
    }
}

static void connection_received(struct server_connection *connection, struct duress_slice input)
{
    if (connection->phase != SERVER_CONNECTION_OPEN)
        return;
    connection->active_ns = duress_world_now_ns(connection->server->options.world);
    connection_feed(connection, &input);
    if (connection->phase == SERVER_CONNECTION_OPEN && input.length > 0 &&
        duress_buffer_append(&connection->stash, input) != DURESS_OK)
        duress__server_connection_close(connection, true); /* No memory to keep what must not be lost. */
}

static void connection_read(struct server_connection *connection)
{
    struct duress_server *server = connection->server;
    size_t count = 0;
    int error = duress_stream_read(connection->stream, server->read_buffer, sizeof server->read_buffer, &count);
    if (error == DURESS_E_AGAIN)
        return;
    if (error != DURESS_OK) {
        duress__server_connection_close(connection, error != DURESS_E_END);
        return;
    }
    connection_received(connection, duress_slice_bytes(server->read_buffer, count));
}

static bool connection_can_resume(const struct server_connection *connection)
{
    return duress_buffer_length(&connection->stash) > 0 && connection_has_room(connection);
}

static void connection_resume(struct server_connection *connection)
{
    if (!connection_can_resume(connection))
        return;
    struct duress_slice rest = duress_buffer_slice(&connection->stash);
    size_t before = rest.length;
    connection->active_ns = duress_world_now_ns(connection->server->options.world);
    connection_feed(connection, &rest);
    if (connection->phase == SERVER_CONNECTION_CLOSED)
        return;
    duress_buffer_consume(&connection->stash, before - rest.length);
    duress_buffer_trim(&connection->stash, SERVER_BUFFER_KEPT_BYTES);
}

/* --- writing --- */

static void connection_write(struct server_connection *connection)
{
    struct duress_server *server = connection->server;
    bool moved = false;
    while (duress_buffer_length(&connection->out) > 0) {
        struct duress_slice rest = duress_buffer_slice(&connection->out);
        size_t count = 0;
        int error = duress_stream_write(connection->stream, &rest, 1, &count);
        if (error == DURESS_E_AGAIN)
            break;
        if (error != DURESS_OK) {
            duress__server_connection_close(connection, true);
            return;
        }
        duress_buffer_consume(&connection->out, count);
        moved = true;
    }
    if (moved) {
        connection->active_ns = duress_world_now_ns(server->options.world);
        connection->progress_ns = connection->active_ns;
    }
    if (duress_buffer_length(&connection->out) == 0) {
        server->counts.replied += connection->replies_queued;
        connection->replies_queued = 0;
        duress_buffer_trim(&connection->out, SERVER_BUFFER_KEPT_BYTES);
    }
}

/* A connection that owes nothing any more and reads nothing any more goes. */
static void connection_finish(struct server_connection *connection)
{
    bool owes = connection->request_count > 0 || duress_buffer_length(&connection->out) > 0;
    if (connection->phase != SERVER_CONNECTION_DRAINING || owes)
        return;
    if (!connection->linger) {
        duress__server_connection_close(connection, false);
        return;
    }
    connection->phase = SERVER_CONNECTION_LINGERING;
    connection->linger_end_ns = duress_time_add(duress_world_now_ns(connection->server->options.world), LINGER_NS);
    duress_stream_shutdown(connection->stream);
}

/* What follows every event: replies leave, a turn is asked for where there is room for what was read, and the timer is
 * set. */
static void connection_settle(struct server_connection *connection)
{
    if (connection->overflowed)
        duress__server_connection_close(connection, true);
    if (connection->phase != SERVER_CONNECTION_CLOSED)
        connection_write(connection);
    if (connection->phase != SERVER_CONNECTION_CLOSED)
        connection_finish(connection);
    if (connection->phase == SERVER_CONNECTION_CLOSED)
        return;
    if (connection_can_resume(connection))
        duress__server_connection_want_turn(connection);
    connection_want(connection);
    connection_timer_update(connection);
}

static void connection_turn(void *context)
{
    struct server_connection *connection = context;
    connection_pin(connection);
    connection_resume(connection);
    if (connection->phase != SERVER_CONNECTION_CLOSED)
        connection_settle(connection);
    connection_unpin(connection);
}

static void connection_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct server_connection *connection = context;
    (void)stream;
    connection_pin(connection);
    if (events & DURESS_STREAM_HANGUP)
        duress__server_connection_close(connection, true);
    else if (events & DURESS_STREAM_READABLE)
        connection_read(connection);
    if (connection->phase != SERVER_CONNECTION_CLOSED)
        connection_settle(connection);
    connection_unpin(connection);
}

/* --- accepting --- */

void duress__server_accept(void *context, struct duress_stream *stream)
{
    struct duress_server *server = context;
    if (server->counts.connections_open >= server->options.connections_max) {
        server->counts.connections_refused++;
        duress_stream_close(stream);
        return;
    }
    struct server_connection *connection = duress_allocate_zeroed(server->allocator, 1, sizeof *connection);
    if (connection == NULL) {
        server->counts.connections_refused++;
        duress_stream_abort(stream);
        return;
    }
    connection->server = server;
    connection->phase = SERVER_CONNECTION_OPEN;
    connection->number = ++server->counts.connections_accepted;
    connection->stream = stream;
    connection->active_ns = duress_world_now_ns(server->options.world);
    list_init(&connection->link);
    list_init(&connection->requests);
    connection->turn.fn = connection_turn;
    connection->turn.context = connection;
    duress_frame_reader_init(&connection->reader, server->options.frame_bytes_max, server->allocator);
    duress_buffer_init(&connection->stash, 0, server->allocator);
    duress_buffer_init(&connection->out, 0, server->allocator);
    duress_timer_init(&connection->timer, connection_timer_expired, connection);
    list_append(&server->connections, &connection->link);
    server->counts.connections_open++;
    duress_stream_handle(stream, connection_event, connection);
    connection_want(connection);
    connection_timer_update(connection);
}
