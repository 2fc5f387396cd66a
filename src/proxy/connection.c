/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <unistd.h>

#include <duress/prng.h>
#include <duress/time.h>

#include "traffic.h"

/* What one callback moves at most, so that a busy connection lets the others have their turn. */
#define READS_PER_TURN 4
#define WRITES_PER_TURN 64

#define DIAL_AGAIN_NS (5 * DURESS_MS)

static uint64_t connection_now_ns(const struct connection *connection)
{
    return duress__loop_now_ns(connection->set->loop);
}

static struct connection *connection_dialing(struct dial *dial)
{
    return (struct connection *)(void *)((char *)dial - offsetof(struct connection, dial));
}

static void connection_pump(struct connection *connection, uint64_t now_ns);

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
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++)
        duress__traffic_drop(&connection->sides[i]);
    if (connection->history != NULL)
        duress__link_history_end(connection->set->history, connection->history);
    connection->history = NULL;
    duress_link_free(connection->link);
    connection->link = NULL;
}

static void figure_set(_Atomic uint64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

void duress__connection_free(struct connection *connection)
{
    struct connection_set *set = connection->set;
    bool doomed = connection->doomed;
    duress__loop_disarm(set->loop, &connection->timer);
    duress__upstream_undial(set->upstream, &connection->dial);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        if (connection->sides[i].state != CONNECTION_CLOSED)
            duress__socket_close(&connection->sides[i].socket);
    }
    link_end(connection);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        set->first = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    set->count--;
    figure_set(&set->figures.open_count, set->count);
    duress_release(set->allocator, connection);
    if (set->gone != NULL)
        set->gone(set, doomed);
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
    struct connection_figures *figures = &connection->set->figures;
    uint64_t begun_ns = connection->dial_deadline_ns - connection->set->dial_limit_ns;
    connection->dial_deadline_ns = DURESS_TIME_NEVER;
    connection->dial_again_ns = DURESS_TIME_NEVER;
    duress__upstream_undial(connection->set->upstream, &connection->dial);
    if (error == DURESS_OK) {
        server->state = CONNECTION_OPEN;
        duress__dial_times_add(&figures->dial_times, duress_time_until(begun_ns, now_ns));
    } else {
        side_close(server);
        figure_set(&figures->failed_dials, atomic_load_explicit(&figures->failed_dials, memory_order_relaxed) + 1);
    }
    duress_link_dialed(connection->link, error, now_ns);
}

static void side_event(void *context, unsigned events);

/* The time of the dial that is left is shared among the addresses that are left. */
static void attempt_limit(struct connection *connection, uint64_t now_ns)
{
    size_t left = connection->dial.addresses->count - connection->dial.next;
    if (left < 2)
        return;
    uint64_t share_ns = duress_time_until(now_ns, connection->dial_deadline_ns) / left;
    connection->dial_again_ns = duress_time_add(now_ns, share_ns);
}

/* Tries the address whose turn it is, and those behind it where the kernel refuses at once. */
static void attempt(struct connection *connection, uint64_t now_ns)
{
    struct connection_set *set = connection->set;
    struct connection_side *server = &connection->sides[DURESS_SIDE_SERVER];
    const struct address_list *list = connection->dial.addresses;
    int error = DURESS_E_NAME_NOT_FOUND;
    connection->dial_again_ns = DURESS_TIME_NEVER;
    for (; connection->dial.next < list->count; connection->dial.next++) {
        const struct endpoint *to = &list->addresses[connection->dial.next];
        error = duress__socket_connect(set->loop, &server->socket, (const struct sockaddr *)&to->address, to->length,
                                       side_event, server);
        if (error == DURESS_E_AGAIN)
            connection->dial_again_ns = duress_time_add(now_ns, DIAL_AGAIN_NS);
        else if (error == DURESS_OK)
            attempt_limit(connection, now_ns);
        if (error == DURESS_OK || error == DURESS_E_AGAIN)
            return;
    }
    dial_end(connection, error, now_ns);
}

/* The address at hand did not answer, or not well. */
static void attempt_failed(struct connection *connection, int error, uint64_t now_ns)
{
    duress__socket_close(&connection->sides[DURESS_SIDE_SERVER].socket);
    if (connection->dial.next + 1U >= connection->dial.addresses->count) {
        dial_end(connection, error, now_ns);
        return;
    }
    connection->dial.next++;
    attempt(connection, now_ns);
}

static void dial(struct connection *connection, uint64_t now_ns)
{
    connection->dial_again_ns = DURESS_TIME_NEVER;
    int error = duress__upstream_dial(connection->set->upstream, &connection->dial);
    if (error == DURESS_OK)
        attempt(connection, now_ns);
    else if (error == DURESS_E_OVERLOADED)
        connection->dial_again_ns = duress_time_add(now_ns, DIAL_AGAIN_NS);
    else if (error != DURESS_E_AGAIN)
        dial_end(connection, error, now_ns);
}

/* Dials as soon as the link says so. */
static void dial_begin(struct connection *connection, uint64_t now_ns)
{
    if (connection->has_dialed || !duress_link_wants_dial(connection->link))
        return;
    connection->has_dialed = true;
    connection->dial_deadline_ns = duress_time_add(now_ns, connection->set->dial_limit_ns);
    dial(connection, now_ns);
}

/* A name was looked up. */
static void dial_told(struct dial *told, int error)
{
    struct connection *connection = connection_dialing(told);
    uint64_t now_ns = connection_now_ns(connection);
    if (error == DURESS_OK)
        attempt(connection, now_ns);
    else
        dial_end(connection, error, now_ns);
    connection_pump(connection, now_ns);
}

/* dial_again_ns has come: the queue of a Unix listener may have room, a lookup may be allowed, or an address had its
 * share of the time. */
static void dial_again(struct connection *connection, uint64_t now_ns)
{
    if (connection->dial.addresses == NULL)
        dial(connection, now_ns);
    else if (duress__socket_is_open(&connection->sides[DURESS_SIDE_SERVER].socket))
        attempt_failed(connection, DURESS_E_CONNECT_TIMEOUT, now_ns);
    else
        attempt(connection, now_ns);
}

struct upstream *duress__connections_upstream(const struct connection_set *set, const char *text)
{
    return duress__upstream_new(set->loop, set->allocator, text, dial_told);
}

/* --- outputs of the link --- */

static void side_part(struct connection_side *side, bool reset, uint64_t now_ns)
{
    struct connection *connection = connection_of(side);
    struct connection_set *set = connection->set;
    if (side->dead || side->socket.error != DURESS_OK) {
        side_close(side);
    } else if (reset && connection->abrupt) {
        duress__socket_reset(&side->socket);
        side->state = CONNECTION_CLOSED;
    } else {
        /* Where its FIN was read there is nothing to throw away. */
        size_t scratch_bytes = side->ended ? 0 : CONNECTION_SCRATCH_BYTES;
        bool parting = duress__parting_begin(&side->parting, &side->socket, reset, set->scratch, scratch_bytes, now_ns);
        side->state = parting ? CONNECTION_PARTING : CONNECTION_CLOSED;
    }
}

static void action_apply(struct connection *connection, struct duress_link_action action, uint64_t now_ns)
{
    struct connection_side *side = &connection->sides[action.side];
    if (side->state == CONNECTION_DIALING) {
        connection->dial_deadline_ns = DURESS_TIME_NEVER;
        connection->dial_again_ns = DURESS_TIME_NEVER;
        duress__upstream_undial(connection->set->upstream, &connection->dial);
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
        progress = duress__traffic_write(&connection->sides[DURESS_SIDE_CLIENT], &writes_left, now_ns);
        progress |= duress__traffic_write(&connection->sides[DURESS_SIDE_SERVER], &writes_left, now_ns);
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
    if (side->state != CONNECTION_OPEN)
        return;
    unsigned events = 0;
    if (duress__traffic_wants_read(side))
        events |= DURESS_SOCKET_READABLE;
    if (duress__traffic_wants_write(side, now_ns))
        events |= DURESS_SOCKET_WRITABLE;
    duress__socket_want(&side->socket, events);
}

static uint64_t connection_next_ns(const struct connection *connection)
{
    uint64_t next_ns = connection->link != NULL ? duress_link_next_ns(connection->link) : DURESS_TIME_NEVER;
    next_ns = duress_time_min(next_ns, connection->dial_deadline_ns);
    next_ns = duress_time_min(next_ns, connection->dial_again_ns);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        const struct connection_side *side = &connection->sides[i];
        if (side->state == CONNECTION_PARTING)
            next_ns = duress_time_min(next_ns, side->parting.next_ns);
        if (side->pipe != NULL)
            next_ns = duress_time_min(next_ns, side->pipe->stall_ns);
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
    duress__loop_arm(connection->set->loop, &connection->timer, connection_next_ns(connection));
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

/* --- changes of the whole set --- */

/* What a pipe holds came before the change, and is the link's before it is made. */
static void pipes_read_out(struct connection *connection, uint64_t now_ns)
{
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++)
        duress__traffic_read_out(&connection->sides[i], now_ns);
}

/* Whether a direction that moves bulk is to come to rest first, so that it can be spliced again: where the chain does
 * nothing any more. */
static void draining_decide(struct connection *connection)
{
    const struct duress_toxic_list *toxics = &connection->set->toxics;
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        struct connection_side *side = &connection->sides[i];
        size_t of_direction = 0;
        for (size_t at = 0; at < toxics->count; at++)
            of_direction += toxics->toxics[at].direction == traffic_from(side);
        side->draining = of_direction == 0 && side->full_reads > 0;
    }
}

void duress__connections_change(struct connection_set *set, const struct duress_link_change *change)
{
    uint64_t now_ns = duress__loop_now_ns(set->loop);
    for (struct connection *at = set->first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        if (at->link == NULL)
            continue;
        pipes_read_out(at, now_ns);
        if (duress__link_change(at->link, change, now_ns) != DURESS_OK) {
            duress__connection_cut(at);
            continue;
        }
        draining_decide(at);
        connection_pump(at, now_ns);
    }
}

void duress__connections_down(struct connection_set *set)
{
    uint64_t now_ns = duress__loop_now_ns(set->loop);
    for (struct connection *at = set->first; at != NULL; at = at->next)
        at->doomed = true;
    for (struct connection *at = set->first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        if (at->link == NULL)
            continue;
        pipes_read_out(at, now_ns);
        duress_link_down(at->link, now_ns);
        connection_pump(at, now_ns);
    }
}

/* --- inputs of the link --- */

static void side_read(struct connection_side *side, uint64_t now_ns)
{
    for (size_t reads = 0; reads < READS_PER_TURN; reads++) {
        if (duress__traffic_read(side, now_ns) != TRAFFIC_ALL)
            return;
        link_outputs(connection_of(side), now_ns);
        if (side->state != CONNECTION_OPEN)
            return;
    }
}

/* The peer is gone. What it sent before is taken as far as the link has room; the link hears of the reset even where it
 * has none, as nobody else would notice that the peer vanished while its direction is held up. */
static void side_hangup(struct connection_side *side, uint64_t now_ns)
{
    duress__traffic_read_out(side, now_ns);
    side->full_reads = 0;
    while (duress__traffic_read(side, now_ns) != TRAFFIC_NOTHING) {
        link_outputs(connection_of(side), now_ns);
        if (side->state != CONNECTION_OPEN)
            return;
    }
    if (side->dead)
        return;
    duress__traffic_read_out(side, now_ns);
    side->dead = true;
    duress_link_reset(connection_of(side)->link, (enum duress_side)side->name, now_ns);
}

static void side_event(void *context, unsigned events)
{
    struct connection_side *side = context;
    struct connection *connection = connection_of(side);
    uint64_t now_ns = connection_now_ns(connection);
    if (side->state == CONNECTION_PARTING) {
        if (!duress__parting_event(&side->parting, &side->socket, events, connection->set->scratch,
                                   CONNECTION_SCRATCH_BYTES))
            side->state = CONNECTION_CLOSED;
    }
    if (side->state == CONNECTION_DIALING && (events & DURESS_SOCKET_FAILED) != 0)
        attempt_failed(connection, side->socket.error, now_ns);
    else if (side->state == CONNECTION_DIALING && (events & DURESS_SOCKET_CONNECTED) != 0)
        dial_end(connection, DURESS_OK, now_ns);
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

/* A receiver that takes nothing gets its bytes from memory later; the pipe serves others. */
static void stall_look(struct connection_side *side, uint64_t now_ns)
{
    if (side->pipe == NULL || side->pipe->stall_ns > now_ns)
        return;
    duress__traffic_read_out(side, now_ns);
    side->draining = true;
}

static void timer_fired(void *context)
{
    struct connection *connection = context;
    uint64_t now_ns = connection_now_ns(connection);
    if (connection->dial_deadline_ns <= now_ns)
        dial_end(connection, DURESS_E_CONNECT_TIMEOUT, now_ns);
    else if (connection->dial_again_ns <= now_ns)
        dial_again(connection, now_ns);
    for (size_t i = 0; i < DURESS_SIDE_COUNT; i++) {
        struct connection_side *side = &connection->sides[i];
        if (side->state == CONNECTION_PARTING && side->parting.next_ns <= now_ns &&
            !duress__parting_tick(&side->parting, &side->socket, now_ns))
            side->state = CONNECTION_CLOSED;
        stall_look(side, now_ns);
    }
    if (connection->link != NULL)
        duress_link_tick(connection->link, now_ns);
    connection_pump(connection, now_ns);
}

/* --- the beginning --- */

static struct connection *connection_new(struct connection_set *set, uint64_t number)
{
    struct connection *connection = duress_allocate(set->allocator, sizeof *connection);
    if (connection == NULL)
        return NULL;
    *connection = (struct connection){
        .set = set,
        .next = set->first,
        .number = number,
        .dial_deadline_ns = DURESS_TIME_NEVER,
        .dial_again_ns = DURESS_TIME_NEVER,
    };
    for (uint8_t i = 0; i < DURESS_SIDE_COUNT; i++) {

        connection->sides[i].name = i;
    }
    duress_timer_init(&connection->timer, timer_fired, connection);
    if (set->first != NULL)
        set->first->previous = connection;
    set->first = connection;
    set->count++;
    figure_set(&set->figures.open_count, set->count);
    return connection;
}

static int link_begin(struct connection *connection, uint64_t now_ns)
{
    struct connection_set *set = connection->set;
    struct duress_link_options options = {
        .allocator = set->allocator,
        .buffer_bytes_max = set->buffer_bytes_max,
        .seed = duress_prng_mix(set->seed, connection->number),
        .connection_number = connection->number,
        .toxics = set->toxics.toxics,
        .toxic_count = set->toxics.count,
    };
    int error = duress_link_new(&options, now_ns, &connection->link, NULL);
    if (error != DURESS_OK || set->history == NULL)
        return error;
    connection->history = duress__link_history_add(set->history, connection->number, connection->link);
    return connection->history != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

int duress__connection_open(struct connection_set *set, uint64_t number, int fd)
{
    struct connection *connection = connection_new(set, number);
    if (connection == NULL) {
        duress__descriptor_reset(fd);
        if (set->gone != NULL)
            set->gone(set, false);
        return DURESS_E_NO_MEMORY;
    }
    uint64_t now_ns = connection_now_ns(connection);
    int error = link_begin(connection, now_ns);
    if (error != DURESS_OK) {
        duress__descriptor_reset(fd);
        duress__connection_free(connection);
        return error;
    }
    struct connection_side *client = &connection->sides[DURESS_SIDE_CLIENT];
    error = duress__socket_adopt_accepted(set->loop, &client->socket, fd, true, side_event, client);
    if (error != DURESS_OK) {
        duress__descriptor_reset(fd);
        duress__connection_free(connection);
        return error;
    }
    client->state = CONNECTION_OPEN;
    connection->sides[DURESS_SIDE_SERVER].state = CONNECTION_DIALING;
    connection_pump(connection, now_ns);
    return DURESS_OK;
}
