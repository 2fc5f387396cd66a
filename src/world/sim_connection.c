/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection: its two ends as their kernels see them, and the link that all which arrives has passed. */
#include "sim_private.h"

/* --- letting go --- */

/* |side|'s kernel lets go of the connection: nothing more is sent but what travels. */
static void end_forget(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    connection->ends[side].is_gone = true;
    way->is_fin_wanted = false;
    way->is_rst_wanted = false;
    way->is_throttled = false;
    duress__sim_buffer_truncate(&way->sending, way->travelling_bytes);
}

void duress__sim_rst_send(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    end_forget(connection, side);
    if (way->is_rst_sent || connection->ends[sim_other(side)].is_gone)
        return;
    way->is_rst_sent = true;
    duress__sim_record_send(connection, side, SIM_RECORD_RST, 0);
}

/* --- receiving --- */

static void end_notify(struct sim_connection *connection, unsigned side)
{
    if (connection->ends[side].stream != NULL)
        duress__sim_stream_notify(connection->ends[side].stream);
}

static void end_reset(struct sim_connection *connection, unsigned side)
{
    struct sim_end *end = &connection->ends[side];
    if (end->is_gone)
        return;
    end->is_reset_received = true;
    end_forget(connection, side);
    if (end->stream != NULL)
        end->stream->told_once |= DURESS_STREAM_HANGUP;
    end_notify(connection, side);
}

static void link_act(struct sim_connection *connection)
{
    for (;;) {
        struct duress_link_action action = duress_link_poll(connection->link, connection->sim->now_ns);
        switch (action.type) {
        case DURESS_LINK_NOTHING:
            return;
        case DURESS_LINK_SHUTDOWN:
            connection->ends[action.side].is_fin_received = true;
            end_notify(connection, action.side);
            break;
        case DURESS_LINK_RESET:
            end_reset(connection, action.side);
            break;
        case DURESS_LINK_CLOSE:
            break; /* Both FINs are through, or the side reset the connection itself: the kernels know. */
        }
    }
}

/* Memory is out: both ends are reset. */
static void connection_cut(struct sim_connection *connection)
{
    duress_link_cut(connection->link, connection->sim->now_ns);
    link_act(connection);
    for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++)
        end_forget(connection, side);
}

void duress__sim_connection_cut(struct sim_connection *connection)
{
    connection_cut(connection);
    duress__sim_connection_settle(connection);
}

/* Moves what came out of the link towards the receiver of |side|'s bytes. False where memory is out. */
static bool link_drain(struct sim_connection *connection, unsigned side)
{
    struct duress_sim *sim = connection->sim;
    enum duress_direction direction = (enum duress_direction)side;
    for (;;) {
        struct duress_slice piece = duress_link_pending(connection->link, direction, sim->now_ns);
        if (piece.length == 0)
            return true;
        int error = duress__sim_buffer_append(&connection->ways[side].receiving, sim->allocator, piece);
        if (error != DURESS_OK)
            return false;
        duress_link_written(connection->link, direction, piece.length, sim->now_ns);
    }
}

/* |bytes| from |side| come out of its sending buffer, pass the link and lie in the other side's receiving buffer. */
static bool bytes_pass(struct sim_connection *connection, unsigned side, size_t bytes)
{
    struct sim_way *way = &connection->ways[side];
    enum duress_direction direction = (enum duress_direction)side;
    while (bytes > 0) {
        size_t wanted = duress_link_wants(connection->link, direction);
        struct duress_slice run = duress__sim_buffer_front(&way->sending, sim_least(bytes, wanted));
        if (run.length == 0)
            break; /* The link reads this side no more: the bytes are lost, as it says. */
        if (duress_link_push(connection->link, direction, run, connection->sim->now_ns) != DURESS_OK)
            return false;
        duress__sim_buffer_drop(&way->sending, run.length);
        bytes -= run.length;
        if (!link_drain(connection, side))
            return false;
    }
    duress__sim_buffer_drop(&way->sending, bytes);
    return true;
}

static void data_arrive(struct sim_connection *connection, unsigned side, size_t bytes)
{
    struct sim_way *way = &connection->ways[side];
    const struct sim_end *sink = &connection->ends[sim_other(side)];
    way->travelling_bytes -= bytes;
    if (sink->is_parting && !sink->is_gone) {
        duress__sim_buffer_drop(&way->sending, bytes);
        duress__sim_room_tell(connection, side);
        return;
    }
    if (sink->is_gone || (sink->stream == NULL && !sink->is_queued)) {
        duress__sim_buffer_drop(&way->sending, bytes);
        duress__sim_rst_send(connection, sim_other(side));
        return;
    }
    if (!bytes_pass(connection, side, bytes)) {
        connection_cut(connection);
        return;
    }
    duress__sim_room_tell(connection, side);
    end_notify(connection, sim_other(side));
}

static void fin_arrive(struct sim_connection *connection, unsigned side)
{
    connection->ends[side].is_parting = false; /* All that it wrote is there. */
    if (connection->ends[sim_other(side)].is_gone) {
        duress__sim_rst_send(connection, sim_other(side));
        return;
    }
    duress_link_end(connection->link, (enum duress_direction)side, connection->sim->now_ns);
    link_act(connection);
}

static void established_arrive(struct sim_connection *connection, unsigned side)
{
    struct sim_listener *listener = connection->listener;
    if (listener == NULL) {
        duress__sim_rst_send(connection, sim_other(side));
        return;
    }
    duress_link_dialed(connection->link, DURESS_OK, connection->sim->now_ns);
    duress__sim_listener_enqueue(listener, connection);
}

void duress__sim_record_deliver(struct sim_connection *connection, unsigned side, const struct sim_record *record)
{
    struct duress_sim *sim = connection->sim;
    static const enum sim_event events[] = {SIM_EVENT_ESTABLISHED, SIM_EVENT_DATA, SIM_EVENT_FIN, SIM_EVENT_RST};
    duress__sim_trace(sim, events[record->kind], sim_way_id(connection, side), record->bytes);
    switch ((enum sim_record_kind)record->kind) {
    case SIM_RECORD_ESTABLISHED:
        established_arrive(connection, side);
        break;
    case SIM_RECORD_DATA:
        data_arrive(connection, side, record->bytes);
        break;
    case SIM_RECORD_FIN:
        fin_arrive(connection, side);
        break;
    case SIM_RECORD_RST:
        duress_link_dialed(connection->link, DURESS_OK, sim->now_ns); /* Nothing where that is known. */
        duress_link_reset(connection->link, (enum duress_side)side, sim->now_ns);
        link_act(connection);
        break;
    }
}

/* --- one end's process --- */

void duress__sim_end_refuse(struct sim_connection *connection, unsigned side)
{
    if (!connection->ends[side].is_gone)
        duress__sim_rst_send(connection, side);
    duress__sim_connection_settle(connection);
}

/* How the kernel of |side| ends what its process let go of. */
static void end_finish(struct sim_connection *connection, unsigned side, bool is_abort)
{
    const struct sim_end *end = &connection->ends[side];
    struct sim_way *way = &connection->ways[side];
    bool is_unread = connection->ways[sim_other(side)].receiving.length > 0;
    if (end->is_gone)
        return;
    if (is_unread || (is_abort && !connection->is_unix)) { /* Behind both FINs the link drops it. */
        duress__sim_rst_send(connection, side);
        return;
    }
    way->is_fin_wanted = true;
    duress__sim_way_pump(connection, side);
}

void duress__sim_end_close(struct sim_connection *connection, unsigned side, bool is_abort)
{
    connection->ends[side].stream = NULL;
    if (connection->stage == SIM_STAGE_ESTABLISHED)
        end_finish(connection, side, is_abort);
    else
        duress__sim_handshake_cancel(connection);
    duress__sim_connection_settle(connection);
}

void duress__sim_end_part(struct sim_connection *connection, unsigned side, bool is_reset)
{
    struct sim_end *end = &connection->ends[side];
    struct sim_way *way = &connection->ways[side];
    end->stream = NULL;
    if (!end->is_gone) {
        end->is_parting = !connection->is_unix;
        way->is_rst_wanted = is_reset && end->is_parting;
        way->is_fin_wanted = !way->is_rst_wanted;
        duress__sim_way_pump(connection, side);
    }
    duress__sim_connection_settle(connection);
}

/* --- the whole --- */

int duress__sim_connection_new(struct duress_sim_host *client, struct sim_connection **connection)
{
    struct duress_sim *sim = client->sim;
    struct sim_connection *made = duress_allocate_zeroed(sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->sim = sim;
    made->number = ++sim->connection_count;
    made->ends[DURESS_SIDE_CLIENT].host = client;
    struct duress_link_options options = {
        .allocator = &sim->pool.allocator,
        .seed = duress_prng_mix(duress_prng_mix(sim->seed, SIM_PURPOSE_LINK), made->number),
    };
    int error = duress_link_new(&options, sim->now_ns, &made->link, NULL);
    if (error != DURESS_OK) {
        duress_release(sim->allocator, made);
        return error;
    }
    for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++)
        duress__sim_way_init(made, side);
    made->next = sim->connections;
    if (made->next != NULL)
        made->next->previous = made;
    sim->connections = made;
    *connection = made;
    return DURESS_OK;
}

void duress__sim_connection_free(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    duress__sim_handshake_cancel(connection);
    for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++)
        duress__sim_way_deinit(&connection->ways[side]);
    duress_link_free(connection->link);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        sim->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    duress_release(sim->allocator, connection);
}

void duress__sim_connection_settle(struct sim_connection *connection)
{
    if (connection->listener != NULL || duress_timer_is_armed(&connection->handshake))
        return;
    for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++)
        if (connection->ends[side].stream != NULL || connection->ways[side].record_count > 0)
            return;
    duress__sim_connection_free(connection);
}

void duress__sim_connections_vanish(struct duress_sim_host *host)
{
    struct sim_connection *next;
    for (struct sim_connection *each = host->sim->connections; each != NULL; each = next) {
        next = each->next;
        for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++) {
            if (each->ends[side].host != host)
                continue;
            if (side == DURESS_SIDE_CLIENT && each->stage != SIM_STAGE_ESTABLISHED)
                duress__sim_handshake_cancel(each);
            end_forget(each, side);
        }
        duress__sim_connection_settle(each);
    }
}

void duress__sim_connections_release(struct duress_sim *sim)
{
    struct sim_connection *next;
    for (struct sim_connection *each = sim->connections; each != NULL; each = next) {
        next = each->next;
        for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++)
            duress__sim_way_reopen(each, side);
        duress__sim_connection_settle(each);
    }
}
