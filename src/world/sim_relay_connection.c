/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of one link of a simulated proxy: two streams, a timer, and the rule that the link's outputs are asked for
 * after each input until there are none. Decides nothing itself. */
#include "sim_relay.h"

/* The direction whose source |side| is, and the one whose sink it is. */
static enum duress_direction direction_from(enum duress_side side)
{
    return side == DURESS_SIDE_CLIENT ? DURESS_UPSTREAM : DURESS_DOWNSTREAM;
}

static enum duress_direction direction_to(enum duress_side side)
{
    return side == DURESS_SIDE_CLIENT ? DURESS_DOWNSTREAM : DURESS_UPSTREAM;
}

static uint64_t now_of(const struct relay_connection *connection)
{
    return connection->relay->host->sim->now_ns;
}

static struct duress_world *world_of(const struct relay_connection *connection)
{
    return &connection->relay->host->world;
}

/* --- the end --- */

void duress__sim_relay_connection_free(struct relay_connection *connection)
{
    struct duress_sim_relay *relay = connection->relay;
    duress_world_disarm(&relay->host->world, &connection->timer);
    for (unsigned i = 0; i < DURESS_SIDE_COUNT; i++)
        duress_stream_close(connection->sides[i].stream);
    if (connection->entry != NULL)
        duress__link_history_end(&relay->history, connection->entry);
    duress_link_free(connection->link);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        relay->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    duress_release(relay->host->sim->allocator, connection);
}

/* --- the dial --- */

static void side_event(void *context, struct duress_stream *stream, unsigned events);

static void dial_end(struct relay_connection *connection, int error)
{
    struct relay_side *server = &connection->sides[DURESS_SIDE_SERVER];
    connection->dial_deadline_ns = DURESS_TIME_NEVER;
    server->is_dialing = false;
    if (error != DURESS_OK) {
        duress_stream_close(server->stream);
        server->stream = NULL;
    }
    duress_link_dialed(connection->link, error, now_of(connection));
}

/* Dials as soon as the link says so. */
static void dial_begin(struct relay_connection *connection)
{
    struct relay_side *server = &connection->sides[DURESS_SIDE_SERVER];
    if (connection->has_dialed || !duress_link_wants_dial(connection->link))
        return;
    connection->has_dialed = true;
    connection->dial_deadline_ns = duress_time_add(now_of(connection), RELAY_DIAL_LIMIT_NS);
    int error =
        duress_world_connect(world_of(connection), &connection->relay->upstream, side_event, server, &server->stream);
    if (error != DURESS_OK)
        dial_end(connection, error);
}

/* --- outputs of the link --- */

static void side_die(struct relay_side *side)
{
    side->is_dead = true;
    duress_link_reset(side->connection->link, side->name, now_of(side->connection));
}

/* Writes what is due for |side|, one piece a write. True where the link was given something to answer to. */
static bool side_write(struct relay_side *side)
{
    struct duress_link *link = side->connection->link;
    uint64_t now_ns = now_of(side->connection);
    bool has_written = false;
    while (side->stream != NULL && !side->is_dialing && !side->is_dead && !side->is_blocked) {
        struct duress_slice piece = duress_link_pending(link, direction_to(side->name), now_ns);
        if (piece.length == 0)
            break;
        size_t count = 0;
        int error = duress_stream_write(side->stream, &piece, 1, &count);
        if (error == DURESS_E_AGAIN) {
            side->is_blocked = true;
            break;
        }
        if (error == DURESS_OK)
            duress_link_written(link, direction_to(side->name), count, now_ns);
        else
            side_die(side);
        has_written = true;
    }
    return has_written;
}

static void side_end(struct relay_side *side, bool is_reset)
{
    struct duress_stream *stream = side->stream;
    side->stream = NULL;
    if (side->is_dead)
        duress_stream_close(stream);
    else if (is_reset && side->connection->is_abrupt)
        duress_stream_abort(stream);
    else
        duress__sim_stream_part(stream, is_reset);
}

static void action_apply(struct relay_connection *connection, struct duress_link_action action)
{
    struct relay_side *side = &connection->sides[action.side];
    if (side->is_dialing) {
        connection->dial_deadline_ns = DURESS_TIME_NEVER;
        side->is_dialing = false;
        duress_stream_close(side->stream);
        side->stream = NULL;
        return;
    }
    if (side->stream == NULL)
        return;
    if (action.type == DURESS_LINK_SHUTDOWN)
        duress_stream_shutdown(side->stream);
    else
        side_end(side, action.type == DURESS_LINK_RESET);
}

static void link_outputs(struct relay_connection *connection)
{
    bool is_going_on = true;
    while (is_going_on) {
        is_going_on = side_write(&connection->sides[DURESS_SIDE_CLIENT]);
        is_going_on |= side_write(&connection->sides[DURESS_SIDE_SERVER]);
        struct duress_link_action action = duress_link_poll(connection->link, now_of(connection));
        if (action.type == DURESS_LINK_NOTHING)
            continue;
        action_apply(connection, action);
        is_going_on = true;
    }
}

/* --- what the streams and the clock are asked for next --- */

static void side_want(const struct relay_side *side)
{
    struct duress_link *link = side->connection->link;
    if (side->stream == NULL || side->is_dialing)
        return;
    unsigned events = 0;
    if (!side->is_dead && !side->is_ended && duress_link_wants(link, direction_from(side->name)) > 0)
        events |= DURESS_STREAM_READABLE;
    if (!side->is_dead && side->is_blocked)
        events |= DURESS_STREAM_WRITABLE;
    duress_stream_want(side->stream, events);
}

void duress__sim_relay_pump(struct relay_connection *connection)
{
    dial_begin(connection);
    link_outputs(connection);
    if (duress_link_is_done(connection->link)) {
        duress__sim_relay_connection_free(connection);
        return;
    }
    for (unsigned i = 0; i < DURESS_SIDE_COUNT; i++)
        side_want(&connection->sides[i]);
    uint64_t next_ns = duress_link_next_ns(connection->link);
    next_ns = duress_time_min(next_ns, connection->dial_deadline_ns);
    duress_world_arm(world_of(connection), &connection->timer, next_ns);
}

void duress__sim_relay_connection_cut(struct relay_connection *connection)
{
    connection->is_abrupt = true;
    duress_link_cut(connection->link, now_of(connection));
    duress__sim_relay_pump(connection);
}

/* --- inputs of the link --- */

/* One read from |side|, at most what the link takes. True where there may be more to read. */
static bool side_read_once(struct relay_side *side)
{
    struct relay_connection *connection = side->connection;
    enum duress_direction direction = direction_from(side->name);
    size_t wanted = duress_link_wants(connection->link, direction);
    if (side->stream == NULL || side->is_ended || side->is_dead || wanted == 0)
        return false;
    size_t count = 0;
    int error = duress_stream_read(side->stream, connection->relay->scratch, wanted, &count);
    if (error == DURESS_E_AGAIN)
        return false;
    if (error == DURESS_OK) {
        struct duress_slice bytes = {connection->relay->scratch, count};
        return duress_link_push(connection->link, direction, bytes, now_of(connection)) == DURESS_OK;
    }
    if (error == DURESS_E_END) {
        side->is_ended = true;
        duress_link_end(connection->link, direction, now_of(connection));
        return false;
    }
    side_die(side);
    return false;
}

static void side_read(struct relay_side *side)
{
    while (side_read_once(side))
        link_outputs(side->connection);
}

static void side_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct relay_side *side = context;
    struct relay_connection *connection = side->connection;
    if (side->is_dialing && (events & (DURESS_STREAM_CONNECTED | DURESS_STREAM_FAILED)) != 0)
        dial_end(connection, (events & DURESS_STREAM_FAILED) != 0 ? duress_stream_error(stream) : DURESS_OK);
    if (side->stream != NULL && !side->is_dialing) {
        if ((events & DURESS_STREAM_WRITABLE) != 0)
            side->is_blocked = false;
        if ((events & (DURESS_STREAM_READABLE | DURESS_STREAM_HANGUP)) != 0)
            side_read(side);
        /* The link hears of a reset even where it has no room for what came before: nobody else would notice. */
        if ((events & DURESS_STREAM_HANGUP) != 0 && side->stream != NULL && !side->is_dead)
            side_die(side);
    }
    duress__sim_relay_pump(connection);
}

static void timer_fired(void *context)
{
    struct relay_connection *connection = context;
    if (connection->dial_deadline_ns <= now_of(connection))
        dial_end(connection, DURESS_E_CONNECT_TIMEOUT);
    duress_link_tick(connection->link, now_of(connection));
    duress__sim_relay_pump(connection);
}

/* --- the beginning --- */

static struct relay_connection *connection_new(struct duress_sim_relay *relay)
{
    struct duress_sim *sim = relay->host->sim;
    struct relay_connection *connection = duress_allocate_zeroed(sim->allocator, 1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->relay = relay;
    connection->next = relay->connections;
    connection->dial_deadline_ns = DURESS_TIME_NEVER;
    connection->sides[DURESS_SIDE_SERVER].is_dialing = true;
    for (unsigned i = 0; i < DURESS_SIDE_COUNT; i++) {
        connection->sides[i].connection = connection;
        connection->sides[i].name = (enum duress_side)i;
    }
    duress_timer_init(&connection->timer, timer_fired, connection);
    if (connection->next != NULL)
        connection->next->previous = connection;
    relay->connections = connection;
    return connection;
}

static int link_begin(struct relay_connection *connection)
{
    struct duress_sim_relay *relay = connection->relay;
    uint64_t number = relay->counts.accepted;
    struct duress_link_options options = {
        .allocator = &relay->host->sim->pool.allocator,
        .seed = duress_prng_mix(relay->seed, number),
        .connection_number = number,
        .toxics = relay->toxics.toxics,
        .toxic_count = relay->toxics.count,
    };
    int error = duress_link_new(&options, now_of(connection), &connection->link, NULL);
    if (error != DURESS_OK)
        return error;
    connection->entry = duress__link_history_add(&relay->history, number, connection->link);
    return connection->entry != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

void duress__sim_relay_connect(struct duress_sim_relay *relay, struct duress_stream *stream)
{
    struct relay_connection *connection = connection_new(relay);
    if (connection == NULL) {
        duress_stream_abort(stream);
        return;
    }
    if (link_begin(connection) != DURESS_OK) {
        duress_stream_abort(stream);
        duress__sim_relay_connection_free(connection);
        return;
    }
    struct relay_side *client = &connection->sides[DURESS_SIDE_CLIENT];
    client->stream = stream;
    duress_stream_handle(stream, side_event, client);
    duress__sim_relay_pump(connection);
}
