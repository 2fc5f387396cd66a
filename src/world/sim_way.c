/* SPDX-License-Identifier: Apache-2.0
 *
 * One direction of a connection: what travels, and what waits.
 *
 *     write ──▶ [sending: travelling │ waiting] ──records, each a hop──▶ link ──▶ [receiving] ──▶ read
 *
 * Bytes stay in the sender's buffer until they arrive, as a kernel keeps what is not acknowledged; the sender sends no
 * more than the receiver has room for. Records of one way arrive in order. */
#include "sim_private.h"

#define RETRANSMISSION_NS_FIRST (200 * DURESS_MS) /* Linux: TCP_RTO_MIN */
#define RETRANSMISSION_NS_MAX (120 * DURESS_S)    /* Linux: TCP_RTO_MAX */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* --- sending --- */

static struct sim_record *record_at(struct sim_way *way, uint32_t place)
{
    return &way->records[(way->record_first + place) % SIM_RECORDS_MAX];
}

/* Of the first record alone: those behind it arrive after it, whatever their own delay. */
static void arrival_arm(struct sim_way *way)
{
    if (way->record_count > 0 && !way->is_held)
        duress__sim_arm(way->connection->sim, NULL, &way->arrival, record_at(way, 0)->at_ns);
}

static bool way_is_blocked(const struct sim_connection *connection, unsigned side)
{
    return duress__sim_is_blocked(connection->sim, connection->ends[side].host, connection->ends[sim_other(side)].host);
}

void duress__sim_record_send(struct sim_connection *connection, unsigned side, enum sim_record_kind kind, size_t bytes)
{
    struct duress_sim *sim = connection->sim;
    struct sim_way *way = &connection->ways[side];
    DURESS_ASSERT(way->record_count < SIM_RECORDS_MAX);
    uint64_t at_ns = duress_time_add(sim->now_ns, duress__sim_delay_draw(sim, sim_way_id(connection, side)));
    way->travelling_bytes += bytes;
    *record_at(way, way->record_count++) = (struct sim_record){
        .at_ns = at_ns,
        .bytes = (uint32_t)bytes,
        .kind = (uint16_t)kind,
        .is_lost = way_is_blocked(connection, side),
    };
    if (way->record_count == 1)
        arrival_arm(way);
}

/* How many bytes more the receiver takes. One that nobody reads any more takes all, and answers by RST. */
static size_t way_window(const struct sim_connection *connection, unsigned side)
{
    const struct sim_way *way = &connection->ways[side];
    const struct sim_end *sink = &connection->ends[sim_other(side)];
    bool is_held_by_process = sink->stream != NULL || sink->is_queued;
    bool is_coming = connection->listener != NULL;
    if (!is_held_by_process && !is_coming)
        return SIZE_MAX;
    size_t used = way->receiving.length + way->travelling_bytes;
    size_t limit = connection->sim->receive_bytes_max;
    return used < limit ? limit - used : 0;
}

void duress__sim_way_pump(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    while (way->record_count < SIM_RECORDS_MAX - SIM_RECORDS_RESERVED) {
        size_t waiting = way->sending.length - way->travelling_bytes;
        size_t piece = least(least(waiting, DURESS_LINK_CHUNK_BYTES_MAX), way_window(connection, side));
        if (piece == 0)
            break;
        duress__sim_record_send(connection, side, SIM_RECORD_DATA, piece);
    }
    bool is_waiting = way->sending.length > way->travelling_bytes;
    way->is_throttled = is_waiting;
    if (way->is_fin_wanted && !way->is_fin_sent && !is_waiting) {
        way->is_fin_sent = true;
        duress__sim_record_send(connection, side, SIM_RECORD_FIN, 0);
    }
    if (way->is_rst_wanted && !is_waiting)
        duress__sim_rst_send(connection, side);
}

/* --- room --- */

/* The news of room arrived at the sender. */
static void room_due(void *context)
{
    struct sim_way *way = context;
    struct sim_connection *connection = way->connection;
    if (way_is_blocked(connection, sim_other(way->number))) {
        way->is_room_held = true;
        return;
    }
    duress__sim_trace(connection->sim, SIM_EVENT_ROOM, sim_way_id(connection, way->number), way->sending.length);
    duress__sim_way_pump(connection, way->number);
    if (connection->ends[way->number].stream != NULL)
        duress__sim_stream_notify(connection->ends[way->number].stream);
}

void duress__sim_room_tell(struct sim_connection *connection, unsigned side)
{
    struct duress_sim *sim = connection->sim;
    struct sim_way *way = &connection->ways[side];
    const struct sim_end *source = &connection->ends[side];
    bool is_writer_waiting = source->stream != NULL && (source->stream->want & DURESS_STREAM_WRITABLE) != 0;
    if (source->is_gone || (!way->is_throttled && !is_writer_waiting) || duress_timer_is_armed(&way->room))
        return;
    uint64_t delay_ns = duress__sim_delay_draw(sim, sim_way_id(connection, sim_other(side)));
    duress__sim_arm(sim, NULL, &way->room, duress_time_add(sim->now_ns, delay_ns));
}

/* --- paths that are cut --- */

/* Everything that travels or waits is lost. */
static void way_drop(struct sim_way *way)
{
    way->record_count = 0;
    way->travelling_bytes = 0;
    way->is_rst_sent = false; /* What comes later is answered anew. */
    duress__sim_buffer_truncate(&way->sending, 0);
    way->is_held = false;
    if (duress_timer_is_armed(&way->arrival))
        duress__sim_disarm(way->connection->sim, &way->arrival);
}

/* The sender repeats the first record 200 ms after it was lost, then after 400, 800, … ms: the first such instant that
 * is still to come. */
static void way_release(struct sim_way *way)
{
    uint64_t now_ns = way->connection->sim->now_ns;
    uint64_t at_ns = way->held_since_ns;
    uint64_t wait_ns = RETRANSMISSION_NS_FIRST;
    do {
        at_ns = duress_time_add(at_ns, wait_ns);
        wait_ns = duress_time_min(wait_ns * 2, RETRANSMISSION_NS_MAX);
    } while (at_ns <= now_ns);
    way->is_held = false;
    record_at(way, 0)->at_ns = at_ns;
    record_at(way, 0)->is_lost = false;
    arrival_arm(way);
}

/* The path was cut when the first record was sent or is so now. */
static void way_hold(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    duress__sim_trace(connection->sim, SIM_EVENT_HELD, sim_way_id(connection, side), record_at(way, 0)->kind);
    if (connection->ends[side].is_gone) { /* Nobody is left who would repeat it. */
        way_drop(way);
        return;
    }
    way->is_held = true;
    way->held_since_ns = record_at(way, 0)->at_ns;
    for (uint32_t i = 1; i < way->record_count; i++)
        record_at(way, i)->is_lost = false; /* They follow the first. */
    if (!way_is_blocked(connection, side))
        way_release(way);
}

static void arrival_due(void *context)
{
    struct sim_way *way = context;
    struct sim_connection *connection = way->connection;
    if (record_at(way, 0)->is_lost || way_is_blocked(connection, way->number)) {
        way_hold(connection, way->number);
    } else {
        struct sim_record record = *record_at(way, 0);
        way->record_first = (way->record_first + 1) % SIM_RECORDS_MAX;
        way->record_count--;
        arrival_arm(way);
        duress__sim_record_deliver(connection, way->number, &record);
    }
    duress__sim_connection_settle(connection);
}

void duress__sim_way_init(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    way->connection = connection;
    way->number = side;
    duress_timer_init(&way->arrival, arrival_due, way);
    duress_timer_init(&way->room, room_due, way);
}

void duress__sim_way_deinit(struct sim_way *way)
{
    struct duress_sim *sim = way->connection->sim;
    if (duress_timer_is_armed(&way->arrival))
        duress__sim_disarm(sim, &way->arrival);
    if (duress_timer_is_armed(&way->room))
        duress__sim_disarm(sim, &way->room);
    duress__sim_buffer_free(&way->sending, sim->allocator);
    duress__sim_buffer_free(&way->receiving, sim->allocator);
}

void duress__sim_way_reopen(struct sim_connection *connection, unsigned side)
{
    struct sim_way *way = &connection->ways[side];
    if (way->is_held && connection->ends[side].is_gone)
        way_drop(way);
    if (way->is_held && !way_is_blocked(connection, side))
        way_release(way);
    if (way->is_room_held && !way_is_blocked(connection, sim_other(side))) {
        way->is_room_held = false;
        uint64_t at_ns = duress_time_add(connection->sim->now_ns, RETRANSMISSION_NS_FIRST); /* a window probe */
        duress__sim_arm(connection->sim, NULL, &way->room, at_ns);
    }
}
