/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the remote agent: who waits, and the connections.
 *
 * process() and cancel() never touch a socket and never end another call: they change lists and ask for a turn of
 * remote_pump(), which the world calls when they have returned. All requests of one turn leave in one write. */
#ifndef DURESS_AGENT_REMOTE_PRIVATE_H
#define DURESS_AGENT_REMOTE_PRIVATE_H

#include <duress/agent/implement.h>
#include <duress/agent/wait_queue_private.h>
#include <duress/agent/remote.h>
#include <duress/agent/request_id_private.h>
#include <duress/wire/envelope.h>
#include <duress/wire/frame.h>

#include "endpoint.h"

enum {
    REMOTE_READ_BYTES = 64 * 1024,
    REMOTE_BUFFER_KEPT_BYTES = 64 * 1024, /* of write buffer and scratch between calls */
    REMOTE_ADDRESSES_MAX = 16,            /* of one name that are tried */
    REMOTE_SLOT_BITS = 10,
    REMOTE_IN_FLIGHT_MAX = 1 << REMOTE_SLOT_BITS,
    REMOTE_SLOT_NONE = -1,
};

struct remote_connection;

/* What a call holds, in its arena. */
struct remote_call {
    struct duress_call *call;
    struct wait_place place;              /* in the waiting queue; its link also among those that are being failed */
    struct remote_connection *connection; /* NULL while it waits */
    int32_t slot;                         /* of |connection| */
    struct duress_message *last_chunk;
};

/* One request on a connection. Its number is sequence << REMOTE_SLOT_BITS | slot, so that a reply's id leads straight
 * to its slot. */
struct remote_slot {
    struct remote_call *owner; /* NULL where the call was given up: its reply is still to come */
    uint64_t number;           /* 0: the slot is free */
    uint64_t frame_begin;      /* place of its first byte in all that was ever queued on the connection */
    uint64_t frame_end;
    int32_t next; /* of the free ones, or of those not wholly written */
};

enum connection_phase {
    CONNECTION_NEW = 0,
    CONNECTION_RESOLVING,
    CONNECTION_CONNECTING,
    CONNECTION_OPEN,
    CONNECTION_CLOSED, /* its memory is still looked at by a callback */
};

struct remote_connection {
    struct remote *remote;
    struct list_link link;  /* in one of the agent's lists idle, roomy and full */
    struct list_link dirty; /* in the agent's list of those with something to write */
    enum connection_phase phase;
    bool pinned;
    struct duress_resolution *resolution;
    struct duress_stream *stream;
    struct duress_timer timer; /* of the lookup or of one connect */
    uint64_t connect_deadline_ns;
    struct duress_address *addresses; /* NULL: only the endpoint's own */
    size_t address_count;
    size_t address_next;
    unsigned wanted;
    struct duress_buffer out;
    struct duress_frame_reader reader;
    uint64_t queued_bytes;  /* ever */
    uint64_t written_bytes; /* ever */
    uint64_t idle_since_ns;
    uint32_t in_flight_count; /* slots in use */
    uint32_t owned_count;     /* of them, those that somebody waits for */
    int32_t free_first;
    int32_t unsent_first;
    int32_t unsent_last;
    struct remote_slot slots[];
};

struct remote {
    struct duress_agent base;
    struct endpoint endpoint;
    char *agent_name; /* NULL: none */
    uint64_t connect_timeout_ns;
    uint64_t idle_timeout_ns;
    uint32_t connections_max;
    uint32_t in_flight_max;
    struct duress_envelope_limits limits;
    uint64_t id_prefix;
    uint64_t sequence;
    struct wait_queue waiting;
    uint32_t in_flight_count; /* slots in use of all connections */
    struct list_link idle;    /* the one used last first */
    struct list_link roomy;   /* connecting or in use, with free slots */
    struct list_link full;
    struct list_link dirty;
    struct duress_later pump;
    struct duress_timer idle_timer;
    struct duress_buffer scratch;
    struct duress_remote_counts counts;
    uint8_t read_buffer[REMOTE_READ_BYTES];
};

/* --- remote.c --- */
void duress__remote_want_pump(struct remote *remote);

/* --- remote_connection.c --- */
/* A connection that is not begun yet; NULL where memory is out. */
struct remote_connection *duress__connection_new(struct remote *remote);
/* Gives |call| a slot and queues its request. An error of the encoding leaves everything as it was. */
DURESS_MUST_CHECK int duress__connection_assign(struct remote_connection *connection, struct remote_call *call,
                                                struct duress_envelope_diagnostics *diagnostics);
void duress__connection_begin(struct remote_connection *connection);
/* Whether an idle connection is still good for a call. One that is not is closed. */
bool duress__connection_is_fresh(struct remote_connection *connection, uint64_t now_ns);
void duress__connection_flush(struct remote_connection *connection);
/* The call in slot |index| has been answered or given up: the slot is free. May close the connection. */
void duress__connection_release_slot(struct remote_connection *connection, int32_t index);
/* The call in slot |index| is given up. Closes the connection where nobody else waits on it. */
void duress__connection_give_up(struct remote_connection *connection, int32_t index);
/* Closes with an RST. Nobody may wait on it. */
void duress__connection_close(struct remote_connection *connection);
/* Closes, and fails all that wait on it; each is ambiguous where a byte of it was written. */
void duress__connection_fail(struct remote_connection *connection, const struct duress_failure *failure);

/* --- remote_reply.c --- */
/* Takes in what arrived. May close the connection. */
void duress__connection_feed(struct remote_connection *connection, struct duress_slice input);

#endif
