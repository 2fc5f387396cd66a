/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <unistd.h>

#include <duress/prng.h>
#include <duress/time.h>

/* What one callback moves at most, so that a busy connection lets the others have their turn. */
#define READS_PER_TURN 4
#define WRITES_PER_TURN 64

#define DIAL_AGAIN_NS (5 * DURESS_MS)

/* The direction whose source |side| is, and the one whose sink it is. */
static enum duress_direction direction_from(enum duress_side side)
{
    return side == DURESS_SIDE_CLIENT ? DURESS_UPSTREAM : DURESS_DOWNSTREAM;
}

static enum duress_direction direction_to(enum duress_side side)
{
    return side == DURESS_SIDE_CLIENT ? DURESS_DOWNSTREAM : DURESS_UPSTREAM;
}

static uint64_t connection_now_ns(const struct connection *connection)
{
    return duress__loop_now_ns(connection->proxy->loop);
}

/* --- the end --- */

void duress__descriptor_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(fd);
}

static void link_end(struct connection *connection)
{
    if (connection->link == NULL)
        return;
    if (connection->history != NULL)
        duress__link_history_end(&connection->proxy->history, connection->history);
    connection->history = NULL;
    duress_link_free(connection->link);
    connection->link = NULL;
}

void duress__connection_free(struct connection *connection)
{
    struct duress_proxy *proxy = connection->proxy;
    duress__loop_disarm(proxy->loop, &connection->timer);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        if (connection->sides[i].state != CONNECTION_CLOSED)
            duress__socket_close(&connection->sides[i].socket);
    }
    link_end(connection);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        proxy->first = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    proxy->connection_count--;
    duress_release(proxy->allocator, connection);
}

/* --- the dial --- */

static void side_close(struct connection_side *side)
{
    duress__socket_close(&side->socket);
    side->state = CONNECTION_CLOSED;
}

static void dial_end(struct connection *connection, int error, uint64_t now_ns)
{
    struct connection_side *server = &connection->sides[DURESS_SIDE_SERVER];
    connection->dial_deadline_ns = DURESS_TIME_NEVER;
    connection->dial_again_ns = DURESS_TIME_NEVER;
    if (error == DURESS_OK)
        server->state = CONNECTION_OPEN;
    else
        side_close(server);
    duress_link_dialed(connection->link, error, now_ns);
}

static void side_event(void *context, unsigned events);

static void dial(struct connection *connection, uint64_t now_ns)
{
    struct duress_proxy *proxy = connection->proxy;
    struct connection_side *server = &connection->sides[DURESS_SIDE_SERVER];
    connection->dial_again_ns = DURESS_TIME_NEVER;
    int error = duress__socket_connect(proxy->loop, &server->socket, (const struct sockaddr *)&proxy->upstream.address,
                                       proxy->upstream.length, side_event, server);
    if (error == DURESS_E_AGAIN)
        connection->dial_again_ns = duress_time_add(now_ns, DIAL_AGAIN_NS);
    else if (error != DURESS_OK)
        dial_end(connection, error, now_ns);
}

/* Dials as soon as the link says so. */
static void dial_begin(struct connection *connection, uint64_t now_ns)
{
    if (connection->has_dialed || !duress_link_wants_dial(connection->link))
        return;
    connection->has_dialed = true;
    connection->dial_deadline_ns = duress_time_add(now_ns, connection->proxy->dial_limit_ns);
    dial(connection, now_ns);
}

/* --- outputs of the link --- */

/* Writes what is due for |side|, one piece a write. True where the link was given something to answer to. */
static bool side_write(struct connection_side *side, size_t *writes_left, uint64_t now_ns)
{
    struct duress_link *link = side->connection->link;
    enum duress_direction direction = direction_to(side->name);
    bool progress = false;
    while (side->state == CONNECTION_OPEN && !side->dead && !side->blocked && *writes_left > 0) {
        struct duress_slice piece = duress_link_pending(link, direction, now_ns);
        if (piece.length == 0)
            break;
        size_t count = 0;
        int error = duress__socket_write(&side->socket, &piece, 1, &count);
        if (error == DURESS_E_AGAIN) {
            side->blocked = true;
            break;
        }
        if (error == DURESS_OK) {
            duress_link_written(link, direction, count, now_ns);
        } else {
            side->dead = true;
            duress_link_reset(link, side->name, now_ns);
        }
        (*writes_left)--;
        progress = true;
    }
    return progress;
}

static void side_part(struct connection_side *side, bool reset, uint64_t now_ns)
{
    struct connection *connection = side->connection;
    struct duress_proxy *proxy = connection->proxy;
    if (side->dead || side->socket.error != DURESS_OK) {
        side_close(side);
    } else if (reset && connection->abrupt) {
        duress__socket_reset(&side->socket);
        side->state = CONNECTION_CLOSED;
    } else {
        bool parting =
            duress__parting_begin(&side->parting, &side->socket, reset, proxy->scratch, sizeof proxy->scratch, now_ns);
        side->state = parting ? CONNECTION_PARTING : CONNECTION_CLOSED;
    }
}

static void action_apply(struct connection *connection, struct duress_link_action action, uint64_t now_ns)
{
    struct connection_side *side = &connection->sides[action.side];
    if (side->state == CONNECTION_DIALING) {
        connection->dial_deadline_ns = DURESS_TIME_NEVER;
        connection->dial_again_ns = DURESS_TIME_NEVER;
        side_close(side);
        return;
    }
    if (side->state != CONNECTION_OPEN)
        return;
    if (action.type == DURESS_LINK_SHUTDOWN)
        duress__socket_shutdown(&side->socket);
    else
        side_part(side, action.type == DURESS_LINK_RESET, now_ns);
}

/* Carries out what the link wants until it wants nothing more, or this turn's writes are spent. */
static void link_outputs(struct connection *connection, uint64_t now_ns)
{
    size_t writes_left = WRITES_PER_TURN;
    bool progress = true;
    while (progress) {
        progress = side_write(&connection->sides[DURESS_SIDE_CLIENT], &writes_left, now_ns);
        progress |= side_write(&connection->sides[DURESS_SIDE_SERVER], &writes_left, now_ns);
        struct duress_link_action action = duress_link_poll(connection->link, now_ns);
        if (action.type == DURESS_LINK_NOTHING)
            continue;
        action_apply(connection, action, now_ns);
        progress = true;
    }
}

/* --- what the sockets and the clock are asked for next --- */

static void side_want(struct connection_side *side, uint64_t now_ns)
{
    struct duress_link *link = side->connection->link;
    if (side->state != CONNECTION_OPEN)
        return;
    unsigned events = 0;
    if (!side->dead && !side->ended && duress_link_wants(link, direction_from(side->name)) > 0)
        events |= DURESS_SOCKET_READABLE;
    if (!side->dead && duress_link_pending(link, direction_to(side->name), now_ns).length > 0)
        events |= DURESS_SOCKET_WRITABLE;
    duress__socket_want(&side->socket, events);
}

static uint64_t connection_next_ns(const struct connection *connection)
{
    uint64_t next_ns = connection->link != NULL ? duress_link_next_ns(connection->link) : DURESS_TIME_NEVER;
    next_ns = duress_time_min(next_ns, connection->dial_deadline_ns);
    next_ns = duress_time_min(next_ns, connection->dial_again_ns);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        if (connection->sides[i].state == CONNECTION_PARTING)
            next_ns = duress_time_min(next_ns, connection->sides[i].parting.next_ns);
    }
    return next_ns;
}

static void connection_pump(struct connection *connection, uint64_t now_ns)
{
    if (connection->link != NULL) {
        dial_begin(connection, now_ns);
        link_outputs(connection, now_ns);
        if (duress_link_is_done(connection->link))
            link_end(connection);
    }
    struct connection_side *client = &connection->sides[DURESS_SIDE_CLIENT];
    struct connection_side *server = &connection->sides[DURESS_SIDE_SERVER];
    if (connection->link != NULL) {
        side_want(client, now_ns);
        side_want(server, now_ns);
    } else if (client->state == CONNECTION_CLOSED && server->state == CONNECTION_CLOSED) {
        duress__connection_free(connection);
        return;
    }
    duress__loop_arm(connection->proxy->loop, &connection->timer, connection_next_ns(connection));
}

void duress__connection_pump(struct connection *connection)
{
    connection_pump(connection, connection_now_ns(connection));
}

void duress__connection_cut(struct connection *connection)
{
    uint64_t now_ns = connection_now_ns(connection);
    connection->abrupt = true;
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        struct connection_side *side = &connection->sides[i];
        if (side->state != CONNECTION_PARTING)
            continue;
        duress__socket_reset(&side->socket);
        side->state = CONNECTION_CLOSED;
    }
    if (connection->link != NULL)
        duress_link_cut(connection->link, now_ns);
    connection_pump(connection, now_ns);
}

/* --- inputs of the link --- */

enum read_result {
    READ_NOTHING = 0, /* none came, none is wanted, or the stream ended */
    READ_SOME,        /* less than was asked for: the kernel has no more, as a rule, and will tell when it has */
    READ_ALL,
};

/* One read from |side|, at most what the link takes. */
static enum read_result side_read_once(struct connection_side *side, uint64_t now_ns)
{
    struct connection *connection = side->connection;
    enum duress_direction direction = direction_from(side->name);
    size_t wanted = duress_link_wants(connection->link, direction);
    if (side->ended || side->dead || wanted == 0)
        return READ_NOTHING;
    size_t count = 0;
    int error = duress__socket_read(&side->socket, connection->proxy->scratch, wanted, &count);
    if (error == DURESS_OK) {
        struct duress_slice bytes = {connection->proxy->scratch, count};
        if (duress_link_push(connection->link, direction, bytes, now_ns) != DURESS_OK)
            return READ_NOTHING; /* no memory: the link is about to reset both sides */
        return count < wanted ? READ_SOME : READ_ALL;
    }
    if (error == DURESS_E_END) {
        side->ended = true;
        duress_link_end(connection->link, direction, now_ns);
    } else if (error != DURESS_E_AGAIN) {
        side->dead = true;
        duress_link_reset(connection->link, side->name, now_ns);
    }
    return READ_NOTHING;
}

static void side_read(struct connection_side *side, uint64_t now_ns)
{
    for (size_t reads = 0; reads < READS_PER_TURN; reads++) {
        if (side_read_once(side, now_ns) != READ_ALL)
            return;
        link_outputs(side->connection, now_ns);
        if (side->state != CONNECTION_OPEN)
            return;
    }
}

/* The peer is gone. What it sent before is taken as far as the link has room; the link hears of the reset even where it
 * has none, as nobody else would notice that the peer vanished while its direction is held up. */
static void side_hangup(struct connection_side *side, uint64_t now_ns)
{
    while (side_read_once(side, now_ns) != READ_NOTHING) {
        link_outputs(side->connection, now_ns);
        if (side->state != CONNECTION_OPEN)
            return;
    }
    if (side->dead)
        return;
    side->dead = true;
    duress_link_reset(side->connection->link, side->name, now_ns);
}

static void side_event(void *context, unsigned events)
{
    struct connection_side *side = context;
    struct connection *connection = side->connection;
    struct duress_proxy *proxy = connection->proxy;
    uint64_t now_ns = connection_now_ns(connection);
    if (side->state == CONNECTION_PARTING) {
        if (!duress__parting_event(&side->parting, &side->socket, events, proxy->scratch, sizeof proxy->scratch))
            side->state = CONNECTION_CLOSED;
    }
    if (side->state == CONNECTION_DIALING && (events & (DURESS_SOCKET_CONNECTED | DURESS_SOCKET_FAILED)) != 0)
        dial_end(connection, (events & DURESS_SOCKET_FAILED) != 0 ? side->socket.error : DURESS_OK, now_ns);
    if (side->state == CONNECTION_OPEN) {
        if ((events & DURESS_SOCKET_WRITABLE) != 0)
            side->blocked = false;
        if ((events & DURESS_SOCKET_HANGUP) != 0)
            side_hangup(side, now_ns);
        else if ((events & DURESS_SOCKET_READABLE) != 0)
            side_read(side, now_ns);
    }
    connection_pump(connection, now_ns);
}

static void timer_fired(void *context)
{
    struct connection *connection = context;
    uint64_t now_ns = connection_now_ns(connection);
    if (connection->dial_deadline_ns <= now_ns)
        dial_end(connection, DURESS_E_CONNECT_TIMEOUT, now_ns);
    else if (connection->dial_again_ns <= now_ns)
        dial(connection, now_ns);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        struct connection_side *side = &connection->sides[i];
        if (side->state == CONNECTION_PARTING && side->parting.next_ns <= now_ns &&
            !duress__parting_tick(&side->parting, &side->socket, now_ns))
            side->state = CONNECTION_CLOSED;
    }
    if (connection->link != NULL)
        duress_link_tick(connection->link, now_ns);
    connection_pump(connection, now_ns);
}

/* --- the beginning --- */

static struct connection *connection_new(struct duress_proxy *proxy)
{
    struct connection *connection = duress_allocate(proxy->allocator, sizeof *connection);
    if (connection == NULL)
        return NULL;
    *connection = (struct connection){
        .proxy = proxy,
        .next = proxy->first,
        .dial_deadline_ns = DURESS_TIME_NEVER,
        .dial_again_ns = DURESS_TIME_NEVER,
    };
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        connection->sides[i].connection = connection;
        connection->sides[i].name = (enum duress_side)i;
    }
    duress_timer_init(&connection->timer, timer_fired, connection);
    if (proxy->first != NULL)
        proxy->first->previous = connection;
    proxy->first = connection;
    proxy->connection_count++;
    return connection;
}

static int link_begin(struct connection *connection, uint64_t number, uint64_t now_ns)
{
    struct duress_proxy *proxy = connection->proxy;
    struct duress_link_options options = {
        .allocator = proxy->allocator,
        .buffer_bytes_max = proxy->buffer_bytes_max,
        .seed = duress_prng_mix(proxy->seed, number),
        .connection_number = number,
        .toxics = proxy->toxics.toxics,
        .toxic_count = proxy->toxics.count,
    };
    int error = duress_link_new(&options, now_ns, &connection->link, NULL);
    if (error != DURESS_OK)
        return error;
    connection->history = duress__link_history_add(&proxy->history, number, connection->link);
    return connection->history != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

int duress__connection_open(struct duress_proxy *proxy, uint64_t number, int fd)
{
    struct connection *connection = connection_new(proxy);
    if (connection == NULL) {
        duress__descriptor_reset(fd);
        return DURESS_E_NO_MEMORY;
    }
    uint64_t now_ns = connection_now_ns(connection);
    int error = link_begin(connection, number, now_ns);
    if (error != DURESS_OK) {
        duress__descriptor_reset(fd);
        duress__connection_free(connection);
        return error;
    }
    struct connection_side *client = &connection->sides[DURESS_SIDE_CLIENT];
    error = duress__socket_adopt(proxy->loop, &client->socket, fd, side_event, client);
    if (error != DURESS_OK) {
        duress__connection_free(connection);
        return error;
    }
    client->state = CONNECTION_OPEN;
    connection->sides[DURESS_SIDE_SERVER].state = CONNECTION_DIALING;
    connection_pump(connection, now_ns);
    return DURESS_OK;
}
