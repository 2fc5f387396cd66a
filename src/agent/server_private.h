/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the framed server.
 *
 * A connection takes requests while it has room (requests in flight, replies unsent), a few a turn; what was read
 * beyond that, one buffer at most, lies in its stash. Replies are queued as calls end and leave together in a turn of
 * connection_turn(), which the world calls when the callback that runs has returned. Nothing is closed or freed but
 * from events and turns of the server's own. */
#ifndef DURESS_AGENT_SERVER_PRIVATE_H
#define DURESS_AGENT_SERVER_PRIVATE_H

#include <duress/agent/list_private.h>
#include <duress/agent/server.h>
#include <duress/wire/envelope.h>
#include <duress/wire/frame.h>

enum {
    SERVER_READ_BYTES = 64 * 1024,
    SERVER_BUFFER_KEPT_BYTES = 64 * 1024,
    SERVER_FRAMES_PER_TURN = 16,
    SERVER_ID_BYTES_MAX = 256,
    SERVER_REQUESTS_KEPT = 1024, /* free ones kept for the next requests */
};

enum server_connection_phase {
    SERVER_CONNECTION_OPEN = 1,
    SERVER_CONNECTION_DRAINING,  /* takes no more requests; closes when all it owes is written */
    SERVER_CONNECTION_LINGERING, /* FIN sent; drops what still comes, lest an RST overtake the last reply */
    SERVER_CONNECTION_CLOSED,    /* its memory is still looked at by a callback */
};

struct server_connection {
    struct duress_server *server;
    struct list_link link;
    struct list_link requests;
    uint32_t request_count;
    enum server_connection_phase phase;
    bool pinned;
    bool linger;     /* there may be bytes of the peer that nobody will read */
    bool overflowed; /* a stream grew beyond what waits for a slow reader: to be reset */
    uint64_t number;
    struct duress_stream *stream;
    unsigned wanted;
    struct duress_frame_reader reader;
    struct duress_buffer stash; /* read, and not looked at yet */
    struct duress_buffer out;
    uint64_t replies_queued; /* in |out| */
    struct duress_later turn;
    struct duress_timer timer;
    uint64_t active_ns;      /* last byte read or written */
    uint64_t frame_begun_ns; /* 0: between frames */
    uint64_t progress_ns;    /* last byte written, or the first that waits */
    uint64_t linger_end_ns;
};

struct server_request {
    struct list_link link; /* of the connection's, or of the free ones */
    struct server_connection *connection;
    struct duress_call *call;
    bool streaming;
    bool chunk_sent;
    size_t id_length;
    uint8_t id[SERVER_ID_BYTES_MAX];
};

struct duress_server {
    struct duress_server_options options; /* complete */
    const struct duress_allocator *allocator;
    struct duress_envelope_limits limits;
    struct duress_listener *listener; /* NULL once it stops */
    struct duress_address address;
    struct list_link connections;
    struct list_link free_requests;
    uint32_t free_request_count;
    struct duress_buffer scratch;
    struct duress_server_counts counts;
    uint32_t pinned_count; /* connections whose callbacks are on the stack */
    bool freed;            /* while they were: the last one frees */
    bool stopping;
    bool complete;
    duress_drained_fn drained;
    void *drained_context;
    struct duress_later drained_later;
    struct duress_timer stop_timer;
    uint8_t read_buffer[SERVER_READ_BYTES];
};

/* --- server.c --- */
/* The last connection may have gone. */
void duress__server_check_drained(struct duress_server *server);
void duress__server_release(struct duress_server *server);

/* --- server_connection.c --- */
void duress__server_accept(void *context, struct duress_stream *stream);
/* Cancels what the peer had asked, and closes: with FIN, or with RST where |reset|. */
void duress__server_connection_close(struct server_connection *connection, bool reset);
/* Takes no more requests, finishes what runs, and closes. */
void duress__server_connection_drain(struct server_connection *connection);
/* Asks for a turn, in which replies leave and reading goes on. */
void duress__server_connection_want_turn(struct server_connection *connection);

/* --- server_request.c --- */
/* One frame that arrived. May put the connection into DRAINING. */
void duress__server_request_begin(struct server_connection *connection, struct duress_slice frame);
/* Answers a frame that is no request with an error, and drains: nothing behind it can be trusted. */
void duress__server_refuse_frame(struct server_connection *connection, struct duress_slice id, const char *code,
                                 const char *message);
/* Gives all requests of |connection| up, without an answer. */
void duress__server_requests_cancel(struct server_connection *connection);

#endif
