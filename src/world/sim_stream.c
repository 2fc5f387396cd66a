/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection's end as its process sees it: a socket. */
#include "sim_private.h"

static struct sim_stream *stream_of(struct duress_stream *stream)
{
    return (struct sim_stream *)stream;
}

static struct sim_end *end_of(const struct sim_stream *stream)
{
    return &stream->connection->ends[stream->side];
}

static struct sim_way *way_out(const struct sim_stream *stream)
{
    return &stream->connection->ways[stream->side];
}

static struct sim_way *way_in(const struct sim_stream *stream)
{
    return &stream->connection->ways[sim_other(stream->side)];
}

/* --- events --- */

static bool stream_is_readable(const struct sim_stream *stream)
{
    const struct sim_end *end = end_of(stream);
    return way_in(stream)->receiving.length > 0 || end->is_fin_received || end->is_gone;
}

static bool stream_is_writable(const struct sim_stream *stream)
{
    return end_of(stream)->is_gone || way_out(stream)->sending.length < stream->connection->sim->send_bytes_max;
}

static unsigned stream_events(const struct sim_stream *stream)
{
    unsigned events = stream->told_once;
    if (stream->is_inert || stream->is_connecting || stream->connection == NULL)
        return events;
    if ((stream->want & DURESS_STREAM_READABLE) != 0 && stream_is_readable(stream))
        events |= DURESS_STREAM_READABLE;
    if ((stream->want & DURESS_STREAM_WRITABLE) != 0 && stream_is_writable(stream))
        events |= DURESS_STREAM_WRITABLE;
    return events;
}

static uint64_t stream_id(const struct sim_stream *stream)
{
    return stream->number * 2 + stream->side;
}

static void stream_due(void *context)
{
    struct sim_stream *stream = context;
    struct duress_sim *sim = stream->host->sim;
    unsigned events = stream_events(stream);
    stream->told_once = 0;
    if (events == 0 || stream->base.fn == NULL)
        return;
    duress__sim_trace(sim, SIM_EVENT_STREAM, stream_id(stream), events);
    sim->told = stream;
    stream->base.fn(stream->base.context, &stream->base, events);
    if (sim->told == stream)
        duress__sim_stream_notify(stream);
    sim->told = NULL;
}

void duress__sim_stream_notify(struct sim_stream *stream)
{
    struct duress_sim *sim = stream->host->sim;
    if (duress_timer_is_armed(&stream->ready) || stream_events(stream) == 0)
        return;
    duress__sim_arm(sim, &stream->host->homes[false], &stream->ready, sim->now_ns);
}

void duress__sim_stream_want(struct duress_stream *stream, unsigned events)
{
    struct sim_stream *wanting = stream_of(stream);
    if (wanting->is_inert)
        return;
    wanting->want = events;
    duress__sim_stream_notify(wanting);
}

/* --- bytes --- */

int duress__sim_stream_read(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count)
{
    struct sim_stream *reader = stream_of(stream);
    *count = 0;
    if (reader->is_inert || reader->connection == NULL)
        return reader->base.error != DURESS_OK ? reader->base.error : DURESS_E_CLOSED;
    if (capacity == 0)
        return DURESS_E_INVALID;
    *count = duress__sim_buffer_take(&way_in(reader)->receiving, bytes, capacity);
    if (*count > 0) {
        duress__sim_room_tell(reader->connection, sim_other(reader->side));
        return DURESS_OK;
    }
    const struct sim_end *end = end_of(reader);
    if (end->is_fin_received)
        return DURESS_E_END;
    return end->is_gone ? DURESS_E_RESET : DURESS_E_AGAIN;
}

/* Appends from |slices| what there is room for. */
static int slices_append(struct sim_stream *writer, const struct duress_slice *slices, size_t slice_count,
                         size_t *count)
{
    struct duress_sim *sim = writer->host->sim;
    struct sim_buffer *sending = &way_out(writer)->sending;
    for (size_t i = 0; i < slice_count; i++) {
        size_t room = sim->send_bytes_max - sending->length;
        struct duress_slice piece = {slices[i].data, sim_least(slices[i].length, room)};
        int error = duress__sim_buffer_append(sending, sim->allocator, piece);
        if (error != DURESS_OK)
            return *count > 0 ? DURESS_OK : error;
        *count += piece.length;
        if (piece.length < slices[i].length)
            break;
    }
    return *count > 0 ? DURESS_OK : DURESS_E_INVALID;
}

int duress__sim_stream_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                             size_t *count)
{
    struct sim_stream *writer = stream_of(stream);
    *count = 0;
    if (writer->is_inert || writer->connection == NULL)
        return writer->base.error != DURESS_OK ? writer->base.error : DURESS_E_CLOSED;
    if (writer->is_shut)
        return DURESS_E_CLOSED;
    if (writer->is_connecting)
        return DURESS_E_AGAIN;
    if (end_of(writer)->is_gone)
        return DURESS_E_RESET;
    if (way_out(writer)->sending.length >= writer->host->sim->send_bytes_max)
        return DURESS_E_AGAIN;
    int error = slices_append(writer, slices, slice_count, count);
    if (error == DURESS_OK)
        duress__sim_way_pump(writer->connection, writer->side);
    return error;
}

void duress__sim_stream_shutdown(struct duress_stream *stream)
{
    struct sim_stream *writer = stream_of(stream);
    if (writer->is_inert || writer->connection == NULL || writer->is_connecting || writer->is_shut)
        return;
    writer->is_shut = true;
    if (end_of(writer)->is_gone)
        return;
    way_out(writer)->is_fin_wanted = true;
    duress__sim_way_pump(writer->connection, writer->side);
}

/* --- life --- */

struct sim_stream *duress__sim_stream_new(struct duress_sim_host *host, struct sim_connection *connection,
                                          unsigned side)
{
    struct sim_stream *stream = duress_allocate_zeroed(host->sim->allocator, 1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->base.world = &host->world;
    stream->base.local = connection->addresses[side];
    stream->base.peer = connection->addresses[sim_other(side)];
    stream->connection = connection;
    stream->number = connection->number;
    stream->host = host;
    stream->side = side;
    duress_timer_init(&stream->ready, stream_due, stream);
    connection->ends[side].stream = stream;
    if (connection->ends[side].is_reset_received)
        stream->told_once = DURESS_STREAM_HANGUP; /* It came while the connection waited to be accepted. */
    stream->next = host->streams;
    if (stream->next != NULL)
        stream->next->previous = stream;
    host->streams = stream;
    return stream;
}

void duress__sim_stream_free(struct sim_stream *stream)
{
    struct duress_sim *sim = stream->host->sim;
    if (duress_timer_is_armed(&stream->ready))
        duress__sim_disarm(sim, &stream->ready);
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        stream->host->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    if (sim->told == stream)
        sim->told = NULL;
    duress_release(sim->allocator, stream);
}

void duress__sim_stream_fail(struct sim_stream *stream, int error)
{
    stream->connection = NULL;
    stream->is_connecting = false;
    stream->base.error = error;
    stream->told_once = DURESS_STREAM_FAILED;
    duress__sim_stream_notify(stream);
}

static void stream_let_go(struct sim_stream *stream, bool is_abort)
{
    if (stream->connection != NULL)
        duress__sim_end_close(stream->connection, stream->side, is_abort);
    duress__sim_stream_free(stream);
}

void duress__sim_stream_close(struct duress_stream *stream)
{
    stream_let_go(stream_of(stream), false);
}

void duress__sim_stream_abort(struct duress_stream *stream)
{
    stream_let_go(stream_of(stream), true);
}

void duress__sim_stream_part(struct duress_stream *stream, bool is_reset)
{
    struct sim_stream *parting = stream_of(stream);
    if (parting->connection != NULL)
        duress__sim_end_part(parting->connection, parting->side, is_reset);
    duress__sim_stream_free(parting);
}

void duress__sim_streams_detach(struct duress_sim_host *host, bool is_silent)
{
    for (struct sim_stream *each = host->streams; each != NULL; each = each->next) {
        struct sim_connection *connection = each->connection;
        each->is_inert = true;
        each->told_once = 0;
        each->connection = NULL;
        if (host->sim->told == each)
            host->sim->told = NULL;
        if (connection == NULL)
            continue;
        if (is_silent)
            connection->ends[each->side].stream = NULL;
        else
            duress__sim_end_close(connection, each->side, false);
    }
}

void duress__sim_streams_free(struct duress_sim_host *host)
{
    while (host->streams != NULL)
        duress__sim_stream_free(host->streams);
}
