/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated proxy's insides: sim_relay.c (the listener, toxics, what happened), sim_relay_connection.c (the driver of
 * one link). */
#ifndef DURESS_WORLD_SIM_RELAY_H
#define DURESS_WORLD_SIM_RELAY_H

#include "sim_private.h"

#define RELAY_DIAL_LIMIT_NS (10 * DURESS_S) /* as the daemon's default */
#define RELAY_ENDED_COUNT_MAX 1024

struct relay_connection;

struct relay_side {
    struct relay_connection *connection;
    enum duress_side name;
    struct duress_stream *stream; /* NULL once it is closed */
    bool is_dialing;
    bool is_blocked; /* takes no bytes until it says WRITABLE */
    bool is_ended;   /* FIN was read */
    bool is_dead;    /* the link was told of its reset; waits for the link's CLOSE */
};

/* What happened on one connection, kept when it has ended. */
struct relay_entry {
    struct relay_entry *next; /* in order of acceptance */
    uint64_t number;
    const struct duress_link *link; /* borrowed; NULL once it has ended */
    struct duress_link_stats stats;
};

struct relay_connection {
    struct duress_sim_relay *relay;
    struct relay_connection *previous;
    struct relay_connection *next;
    struct duress_link *link;
    struct relay_entry *entry;
    struct duress_timer timer;
    uint64_t dial_deadline_ns; /* DURESS_TIME_NEVER once the dial has ended */
    uint64_t dial_again_ns;    /* a Unix listener's queue was full */
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
    struct duress_toxic *toxics;      /* in order of creation */
    size_t toxic_count;
    size_t toxic_capacity;
    struct relay_connection *connections;
    struct relay_entry *entry_first;
    struct relay_entry *entry_last;
    size_t ended_count;
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

/* The entry of connection |number|; NULL where memory is out. */
struct relay_entry *duress__sim_relay_entry_add(struct duress_sim_relay *relay, uint64_t number,
                                                const struct duress_link *link);
/* Keeps what its link says now, and lets go of the link. */
void duress__sim_relay_entry_end(struct duress_sim_relay *relay, struct relay_entry *entry);

#endif
