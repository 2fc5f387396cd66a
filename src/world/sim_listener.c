/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners: ports, and the queue of connections that wait to be accepted. */
#include "sim_private.h"

#define BACKLOG_DEFAULT 4096
/* As the live world's. */
#define ACCEPT_PAUSE_NS (20 * DURESS_MS)

/* --- addresses --- */

static bool hosts_overlap(const struct duress_address *a, const struct duress_address *b)
{
    if (a->family != b->family)
        return false;
    return duress__sim_address_is_any(a) || duress__sim_address_is_any(b) ||
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool addresses_overlap(const struct duress_address *a, const struct duress_address *b)
{
    if (a->family == DURESS_FAMILY_UNIX || b->family == DURESS_FAMILY_UNIX)
        return a->family == b->family && strncmp(a->path, b->path, sizeof a->path) == 0;
    return a->port == b->port && hosts_overlap(a, b);
}

struct sim_listener *duress__sim_listener_find(struct duress_sim_host *host, const struct duress_address *address)
{
    struct sim_listener *found = NULL;
    for (struct sim_listener *each = host->listeners; each != NULL; each = each->next) {
        if (each->is_inert || !addresses_overlap(&each->base.address, address))
            continue;
        if (found == NULL || duress__sim_address_is_any(&found->base.address))
            found = each; /* Two overlap where |address| is a wildcard alone; then any of them. */
    }
    return found;
}

static bool port_is_used(struct duress_sim_host *host, uint16_t port)
{
    for (const struct sim_listener *each = host->listeners; each != NULL; each = each->next)
        if (!each->is_inert && each->base.address.family != DURESS_FAMILY_UNIX && each->base.address.port == port)
            return true;
    return duress__sim_relay_keeps_port(host, port);
}

uint16_t duress__sim_port_draw(struct duress_sim_host *host)
{
    for (uint32_t tried = SIM_EPHEMERAL_PORT_FIRST; tried < SIM_PORT_COUNT; tried++) {
        uint16_t port = host->port_next;
        host->port_next = port == SIM_PORT_COUNT - 1 ? SIM_EPHEMERAL_PORT_FIRST : (uint16_t)(port + 1);
        if (!port_is_used(host, port))
            return port;
    }
    return 0;
}

static int address_check(struct duress_sim_host *host, const struct duress_address *address)
{
    if (address->family == DURESS_FAMILY_UNIX)
        return address->path[0] != '\0' ? DURESS_OK : DURESS_E_INVALID;
    if (address->family != DURESS_FAMILY_IPV4 && address->family != DURESS_FAMILY_IPV6)
        return DURESS_E_INVALID;
    return duress__sim_host_at(host, address) == host ? DURESS_OK : DURESS_E_ADDRESS_UNAVAILABLE;
}

static int address_choose(struct duress_sim_host *host, struct duress_address *address)
{
    int error = address_check(host, address);
    if (error != DURESS_OK)
        return error;
    if (address->family != DURESS_FAMILY_UNIX && address->port == 0) {
        address->port = duress__sim_port_draw(host);
        return address->port != 0 ? DURESS_OK : DURESS_E_ADDRESS_IN_USE;
    }
    if (address->family != DURESS_FAMILY_UNIX && duress__sim_relay_keeps_port(host, address->port))
        return DURESS_E_ADDRESS_IN_USE;
    return duress__sim_listener_find(host, address) == NULL ? DURESS_OK : DURESS_E_ADDRESS_IN_USE;
}

/* --- accepting --- */

static struct sim_connection *queue_take(struct sim_listener *listener)
{
    struct sim_connection *connection = listener->queue_first;
    if (connection == NULL)
        return NULL;
    listener->queue_first = connection->queue_next;
    if (listener->queue_first == NULL)
        listener->queue_last = NULL;
    listener->waiting--;
    connection->queue_next = NULL;
    connection->listener = NULL;
    connection->ends[DURESS_SIDE_SERVER].is_queued = false;
    return connection;
}

static void accept_arm(struct sim_listener *listener)
{
    struct duress_sim *sim = listener->host->sim;
    if (listener->queue_first != NULL && !duress_timer_is_armed(&listener->accept))
        duress__sim_arm(sim, &listener->host->homes[false], &listener->accept, sim->now_ns);
}

static void connection_accept(struct sim_listener *listener, struct sim_connection *connection)
{
    struct duress_sim_host *host = listener->host;
    duress__sim_trace(host->sim, SIM_EVENT_ACCEPT, host->number, connection->number);
    struct sim_stream *stream = duress__sim_stream_new(host, connection, DURESS_SIDE_SERVER);
    if (stream == NULL) {
        duress__sim_connection_cut(connection);
        return;
    }
    listener->base.fn(listener->base.context, &stream->base);
}

static void accept_due(void *context)
{
    struct sim_listener *listener = context;
    struct duress_sim_host *host = listener->host;
    if (duress__sim_host_is_out_of_descriptors(host)) {
        duress__sim_arm(host->sim, &host->homes[false], &listener->accept, host->sim->now_ns + ACCEPT_PAUSE_NS);
        return;
    }
    struct sim_connection *connection = queue_take(listener);
    accept_arm(listener); /* Now, as the listener may be closed below. */
    if (connection != NULL)
        connection_accept(listener, connection);
}

void duress__sim_listener_accept_waiting(struct duress_listener *listener)
{
    struct sim_listener *accepting = (struct sim_listener *)listener;
    struct sim_connection *connection;
    while ((connection = queue_take(accepting)) != NULL)
        connection_accept(accepting, connection);
}

bool duress__sim_listener_is_inert(const struct duress_listener *listener)
{
    return ((const struct sim_listener *)listener)->is_inert;
}

void duress__sim_listener_enqueue(struct sim_listener *listener, struct sim_connection *connection)
{
    connection->ends[DURESS_SIDE_SERVER].is_queued = true;
    connection->queue_next = NULL;
    if (listener->queue_last != NULL)
        listener->queue_last->queue_next = connection;
    else
        listener->queue_first = connection;
    listener->queue_last = connection;
    accept_arm(listener);
}

/* --- opening and closing --- */

int duress__sim_listen(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                       void *context, struct duress_listener **listener)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    struct duress_address address = options->address;
    if (!host->is_alive)
        return DURESS_E_CLOSED;
    int error = address_choose(host, &address);
    if (error != DURESS_OK)
        return error;
    struct sim_listener *made = duress_allocate_zeroed(host->sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->base = (struct duress_listener){.world = world, .fn = fn, .context = context, .address = address};
    made->host = host;
    made->backlog = options->backlog > 0 ? options->backlog : BACKLOG_DEFAULT;
    duress_timer_init(&made->accept, accept_due, made);
    made->next = host->listeners;
    if (made->next != NULL)
        made->next->previous = made;
    host->listeners = made;
    *listener = &made->base;
    return DURESS_OK;
}

static void listener_stop(struct sim_listener *listener, bool is_silent)
{
    struct duress_sim *sim = listener->host->sim;
    listener->is_inert = true;
    if (duress_timer_is_armed(&listener->accept))
        duress__sim_disarm(sim, &listener->accept);
    for (struct sim_connection *each = sim->connections; each != NULL; each = each->next)
        if (each->listener == listener && !each->ends[DURESS_SIDE_SERVER].is_queued)
            each->listener = NULL; /* Its ACK will be answered by RST. */
    struct sim_connection *connection;
    while ((connection = queue_take(listener)) != NULL)
        if (!is_silent)
            duress__sim_end_refuse(connection, DURESS_SIDE_SERVER);
}

static void listener_free(struct sim_listener *listener)
{
    if (listener->previous != NULL)
        listener->previous->next = listener->next;
    else
        listener->host->listeners = listener->next;
    if (listener->next != NULL)
        listener->next->previous = listener->previous;
    duress_release(listener->host->sim->allocator, listener);
}

void duress__sim_listener_close(struct duress_listener *listener)
{
    struct sim_listener *closed = (struct sim_listener *)listener;
    if (!closed->is_inert)
        listener_stop(closed, false);
    listener_free(closed);
}

void duress__sim_listeners_detach(struct duress_sim_host *host, bool is_silent)
{
    for (struct sim_listener *each = host->listeners; each != NULL; each = each->next)
        if (!each->is_inert)
            listener_stop(each, is_silent);
}

void duress__sim_listeners_free(struct duress_sim_host *host)
{
    while (host->listeners != NULL)
        listener_free(host->listeners);
}
