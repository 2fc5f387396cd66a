/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated proxy's insides: sim_relay.c (the listener, toxics, what happened), sim_relay_connection.c (the driver of
 * one link). */
#ifndef DURESS_WORLD_SIM_RELAY_H
#define DURESS_WORLD_SIM_RELAY_H

#include <duress/toxic/link_history_private.h>
#include <duress/toxic/toxic_list_private.h>

#include "sim_private.h"

#define RELAY_DIAL_LIMIT_NS (10 * DURESS_S) /* as the daemon's default */

struct relay_connection;

struct relay_side {
    struct relay_connection *connection;
    enum duress_side name;
    struct duress_stream *stream; /* NULL once it is closed */
    bool is_dialing;              /* of the server's side only; it begins when the link says so */
    bool is_blocked;              /* takes no bytes until it says WRITABLE */
    bool is_ended;                /* FIN was read */
    bool is_dead;                 /* the link was told of its reset; waits for the link's CLOSE */
};

struct relay_connection {
    struct duress_sim_relay *relay;
    struct relay_connection *previous;
    struct relay_connection *next;
    struct duress_link *link;
    struct duress_link_history_entry *entry;
    struct duress_timer timer;
    bool has_dialed;
    uint64_t dial_deadline_ns; /* DURESS_TIME_NEVER before the dial, and once it has ended */
    bool is_abrupt;            /* resets do not wait for bytes that were not sent yet */
    struct relay_side sides[DURESS_SIDE_COUNT];
};

struct duress_sim_relay {
    struct duress_sim_host *host;
    struct duress_sim_relay *previous;
    struct duress_sim_relay *next;
    uint64_t seed;
    struct duress_address address;
    struct duress_address upstream;
    struct duress_listener *listener; /* NULL while it is down */
    bool is_opening;                  /* its port is its own to take */
    struct duress_toxic_list toxics;
    struct relay_connection *connections;
    struct duress_link_history history;
    struct duress_relay_counts counts;
    uint8_t scratch[DURESS_LINK_CHUNK_BYTES_MAX];
};

/* Takes |stream|, makes its link and dials. Where memory is out |stream| is reset. */
void duress__sim_relay_connect(struct duress_sim_relay *relay, struct duress_stream *stream);

/* Does what the link wants. May free the connection. */
void duress__sim_relay_pump(struct relay_connection *connection);

/* Resets both sides at once; frees the connection. */
void duress__sim_relay_connection_cut(struct relay_connection *connection);

/* Closes both sides; frees the connection. */
void duress__sim_relay_connection_free(struct relay_connection *connection);

#endif
