/* SPDX-License-Identifier: Apache-2.0
 *
 * How a connection begins, as Linux does it: the SYN is repeated 1, 3, 7, 15, 31 and 63 s after the first where no
 * answer comes, and given up after 127 s.
 *
 *     client                      server
 *        ├─────────── SYN ──────────▶│ refused, unreachable: answered by RST or ICMP; queue full, silent: dropped
 *        │◀──── SYN+ACK (or RST) ────┤ a place in the accept queue is taken
 *    CONNECTED                       │
 *        ├────────── ACK ───────────▶│ into the accept queue
 */
#include "sim_private.h"

#define SYN_COUNT_MAX 7 /* the first and tcp_syn_retries = 6 */
#define UNIX_RETRY_NS (5 * DURESS_MS)

/* Sent again, or given up in the end, this long after the first. */
static uint64_t retry_after_ns(uint32_t attempt)
{
    return ((UINT64_C(1) << attempt) - 1) * DURESS_S;
}

static void handshake_forget(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    if (duress_timer_is_armed(&connection->handshake))
        duress__sim_disarm(sim, &connection->handshake);
    if (duress_timer_is_armed(&connection->retry))
        duress__sim_disarm(sim, &connection->retry);
}

static void place_give_back(struct sim_connection *connection)
{
    if (connection->listener != NULL)
        connection->listener->waiting--;
    connection->listener = NULL;
}

void duress__sim_handshake_cancel(struct sim_connection *connection)
{
    handshake_forget(connection);
    place_give_back(connection);
    connection->ends[DURESS_SIDE_CLIENT].is_gone = true;
    connection->ends[DURESS_SIDE_SERVER].is_gone = true;
}

static void handshake_fail(struct sim_connection *connection, int error)
{
    struct sim_stream *stream = connection->ends[DURESS_SIDE_CLIENT].stream;
    connection->ends[DURESS_SIDE_CLIENT].stream = NULL;
    duress__sim_handshake_cancel(connection);
    duress__sim_connection_settle(connection);
    duress__sim_stream_fail(stream, error);
}

/* --- the server's kernel --- */

enum syn_outcome {
    SYN_ANSWERED = 0,
    SYN_DROPPED,
};

static enum syn_outcome syn_judge(struct sim_connection *connection)
{
    struct duress_sim_host *client = connection->ends[DURESS_SIDE_CLIENT].host;
    struct duress_sim_host *server = connection->ends[DURESS_SIDE_SERVER].host;
    const struct duress_address *address = &connection->addresses[DURESS_SIDE_SERVER];
    connection->answer = DURESS_E_UNREACHABLE;
    if (server == NULL || (server->is_unreachable && server != client))
        return SYN_ANSWERED; /* by the last router */
    if (duress__sim_is_blocked(connection->sim, client, server))
        return SYN_DROPPED;
    struct sim_listener *listener = duress__sim_listener_find(server, address);
    if (duress__sim_port_is_silent(server, address->port)) {
        duress__sim_relay_count(server, address->port, true);
        return SYN_DROPPED;
    }
    connection->answer = DURESS_E_REFUSED;
    if (listener == NULL) {
        duress__sim_relay_count(server, address->port, false);
        return SYN_ANSWERED;
    }
    if (duress__sim_listener_is_full(listener))
        return SYN_DROPPED;
    listener->waiting++;
    connection->listener = listener;
    connection->answer = DURESS_OK;
    return SYN_ANSWERED;
}

static void syn_arrive(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    enum syn_outcome outcome = syn_judge(connection);
    duress__sim_trace(sim, SIM_EVENT_SYN, connection->number, outcome);
    if (outcome == SYN_DROPPED) {
        connection->stage = SIM_STAGE_SYN_LOST;
        return;
    }
    connection->stage = SIM_STAGE_ANSWER_TRAVELS;
    uint64_t delay_ns = duress__sim_delay_draw(sim, connection->number);
    duress__sim_arm(sim, NULL, &connection->handshake, duress_time_add(sim->now_ns, delay_ns));
}

/* --- the client's kernel --- */

static void syn_send(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    connection->stage = SIM_STAGE_SYN_TRAVELS;
    uint64_t delay_ns = duress__sim_delay_draw(sim, connection->number);
    duress__sim_arm(sim, NULL, &connection->handshake, duress_time_add(sim->now_ns, delay_ns));
}

static void retry_arm(struct sim_connection *connection)
{
    connection->attempt++;
    uint64_t at_ns = duress_time_add(connection->started_ns, retry_after_ns(connection->attempt));
    duress__sim_arm(connection->sim, NULL, &connection->retry, at_ns);
}

/* --- Unix sockets: the kernel is one, and knows at once; where the queue is full it says so, and we ask again --- */

static void unix_begin(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    struct sim_listener *listener = duress__sim_listener_find(connection->ends[DURESS_SIDE_SERVER].host,
                                                              &connection->addresses[DURESS_SIDE_SERVER]);
    if (listener != NULL && duress__sim_listener_is_full(listener)) {
        duress__sim_arm(sim, NULL, &connection->retry, duress_time_add(sim->now_ns, UNIX_RETRY_NS));
        return;
    }
    connection->answer = listener != NULL ? DURESS_OK : DURESS_E_REFUSED;
    if (listener != NULL) {
        listener->waiting++;
        connection->listener = listener;
    }
    connection->stage = SIM_STAGE_ANSWER_TRAVELS;
    duress__sim_arm(sim, NULL, &connection->handshake, sim->now_ns);
}

static void retry_due(void *context)
{
    struct sim_connection *connection = context;
    duress__sim_trace(connection->sim, SIM_EVENT_SYN_RETRY, connection->number, connection->attempt);
    if (connection->is_unix) {
        unix_begin(connection);
        return;
    }
    if (connection->attempt == SYN_COUNT_MAX) {
        handshake_fail(connection, DURESS_E_CONNECT_TIMEOUT);
        return;
    }
    if (connection->stage == SIM_STAGE_SYN_LOST)
        syn_send(connection);
    retry_arm(connection);
}

static void answer_arrive(struct sim_connection *connection)
{
    struct duress_sim *sim = connection->sim;
    struct sim_end *client = &connection->ends[DURESS_SIDE_CLIENT];
    struct duress_sim_host *server = connection->ends[DURESS_SIDE_SERVER].host;
    if (server != NULL && duress__sim_is_blocked(sim, server, client->host)) {
        duress__sim_trace(sim, SIM_EVENT_HELD, connection->number, 0);
        place_give_back(connection);
        connection->stage = SIM_STAGE_SYN_LOST;
        return;
    }
    duress__sim_trace(sim, SIM_EVENT_SYN_ANSWER, connection->number, (uint64_t)-connection->answer);
    if (connection->answer != DURESS_OK) {
        handshake_fail(connection, connection->answer);
        return;
    }
    handshake_forget(connection);
    connection->stage = SIM_STAGE_ESTABLISHED;
    client->stream->is_connecting = false;
    client->stream->told_once |= DURESS_STREAM_CONNECTED;
    duress__sim_record_send(connection, DURESS_SIDE_CLIENT, SIM_RECORD_ESTABLISHED, 0);
    duress__sim_stream_notify(client->stream);
}

static void handshake_due(void *context)
{
    struct sim_connection *connection = context;
    if (connection->stage == SIM_STAGE_SYN_TRAVELS)
        syn_arrive(connection);
    else
        answer_arrive(connection);
}

/* --- connect --- */

static void handshake_begin(struct sim_connection *connection)
{
    connection->started_ns = connection->sim->now_ns;
    duress_timer_init(&connection->handshake, handshake_due, connection);
    duress_timer_init(&connection->retry, retry_due, connection);
    if (connection->is_unix) {
        unix_begin(connection);
        return;
    }
    syn_send(connection);
    retry_arm(connection);
}

static int addresses_set(struct sim_connection *connection, const struct duress_address *address)
{
    struct sim_end *client = &connection->ends[DURESS_SIDE_CLIENT];
    struct sim_end *server = &connection->ends[DURESS_SIDE_SERVER];
    connection->addresses[DURESS_SIDE_SERVER] = *address;
    connection->is_unix = address->family == DURESS_FAMILY_UNIX;
    server->host = duress__sim_host_at(client->host, address);
    if (connection->is_unix)
        return DURESS_OK;
    struct duress_address *local = &connection->addresses[DURESS_SIDE_CLIENT];
    *local = *address; /* On one's own host one is called as one calls. */
    if (server->host != client->host)
        *local = duress_sim_host_address(client->host, 0);
    local->port = duress__sim_port_draw(client->host);
    return local->port != 0 ? DURESS_OK : DURESS_E_ADDRESS_UNAVAILABLE;
}

int duress__sim_connect(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn,
                        void *context, struct duress_stream **stream)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    if (!host->is_alive)
        return DURESS_E_CLOSED;
    if (address->family == DURESS_FAMILY_NONE)
        return DURESS_E_INVALID;
    if (duress__sim_host_is_out_of_descriptors(host))
        return DURESS_E_NO_DESCRIPTORS;
    struct sim_connection *connection;
    int error = duress__sim_connection_new(host, &connection);
    if (error != DURESS_OK)
        return error;
    error = addresses_set(connection, address);
    struct sim_stream *made = NULL;
    if (error == DURESS_OK)
        made = duress__sim_stream_new(host, connection, DURESS_SIDE_CLIENT);
    if (made == NULL) {
        duress__sim_connection_free(connection);
        return error != DURESS_OK ? error : DURESS_E_NO_MEMORY;
    }
    handshake_begin(connection);
    made->is_connecting = true;
    made->base.fn = fn;
    made->base.context = context;
    *stream = &made->base;
    return DURESS_OK;
}
