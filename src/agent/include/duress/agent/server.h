/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed agent server: one agent behind a listening socket, in agenkit's protocol. Requests of one connection run
 * side by side where the peer pipelines, each reply with its request's id. The peer's FIN or RST cancels what it had
 * asked: closing the connection is the cancel.
 *
 * Errors go out in both shapes that agenkit's peers read. A request that cannot be decoded is answered with
 * MALFORMED_PAYLOAD (no JSON, no UTF-8, above a limit), INVALID_MESSAGE (a member is missing or wrong) or
 * UNSUPPORTED_VERSION, under its id or "unknown"; what was asked before is still answered, then the connection is
 * closed (with FIN, and what still comes is dropped for up to 1 s, lest an RST overtake the error). An unknown method,
 * an envelope that is no request, or an id of more than 256 bytes is answered with INVALID_MESSAGE, and the connection
 * kept. The agent's own failure goes out as OVERLOADED (with {"retry_after_ms":N} in error_details where it has a
 * retry-after) where one of our layers refused before anything was begun, as AGENT_TIMEOUT, CANCELLED, NOT_IMPLEMENTED
 * or INVALID_REQUEST where its code says so, else as EXECUTION_ERROR.
 *
 * Requests beyond requests_max, of all connections together, are shed: answered at once with OVERLOADED and
 * overload_retry_after_ns, before the agent is asked, and the connection kept. The framed protocol has no health check;
 * that the server accepts a connection is the sign of its health (the server over HTTP has one).
 *
 * A peer that does not read for frame_timeout_ns while replies wait for it is reset, and so is one for which a stream
 * has piled up more than twice write_bytes_max. */
#ifndef DURESS_AGENT_SERVER_H
#define DURESS_AGENT_SERVER_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_server;

/* A request that arrived whole and well-formed, told before the agent is asked; what is shed is not told. Slices are
 * borrowed for the call. */
struct duress_arrival {
    uint64_t number;            /* of the server, from 1 */
    uint64_t connection_number; /* of the server, from 1 */
    uint64_t at_ns;
    struct duress_slice id;
    struct duress_slice method;
    struct duress_slice content;
};
typedef void (*duress_arrival_fn)(void *context, const struct duress_arrival *arrival);

struct duress_server_options {
    struct duress_world *world; /* borrowed; outlives the server */
    struct duress_agent *agent; /* the server takes a reference */
    struct duress_address address;
    uint32_t backlog;                 /* 0 = 4096 */
    uint32_t connections_max;         /* at most 1000000; beyond, new ones are closed at once; 0 = 10000 */
    uint32_t in_flight_max;           /* requests of one connection at once, at most 65536; others wait; 0 = 128 */
    uint32_t requests_max;            /* of all connections at once, at most 1000000; others are shed; 0 = 10000 */
    uint64_t overload_retry_after_ns; /* what a shed caller is asked to wait; 0 = 1 s; NEVER: says nothing */
    uint64_t idle_timeout_ns;         /* between requests; 0 = 60 s, as agenkit's Python server; NEVER: none */
    uint64_t frame_timeout_ns;        /* from a frame's first byte to its last: a slow client is closed; 0 = 30 s */
    uint64_t request_timeout_ns;      /* the agent's deadline for one request; 0 = none */
    size_t frame_bytes_max;           /* 256 to 2^32 - 1; 0 = 10 MiB */
    size_t write_bytes_max; /* replies that wait for a slow reader; beyond, the connection is not read; 0 = 16 MiB */
    duress_arrival_fn on_arrival; /* may be NULL */
    void *context;
    const struct duress_allocator *allocator; /* NULL: the world's */
};

/* Listens and serves. DURESS_E_INVALID with the field in |why| (may be NULL), the errors of duress_world_listen(),
 * NO_MEMORY. Returns in *server, free with duress_server_free(). */
DURESS_API DURESS_MUST_CHECK int duress_server_new(const struct duress_server_options *options,
                                                   struct duress_server **server, struct duress_failure *why);

/* Where it listens, with the port that was chosen. */
DURESS_API struct duress_address duress_server_address(const struct duress_server *server);

/* Graceful: stops accepting and taking new requests, lets those that arrived finish and their replies leave until
 * |deadline_ns|, then closes the connections. |drained| is called once, from the loop, when all are gone; |complete|
 * says whether every request was answered that its peer still waited for. */
typedef void (*duress_drained_fn)(void *context, bool complete);
DURESS_API void duress_server_stop(struct duress_server *server, uint64_t deadline_ns, duress_drained_fn drained,
                                   void *context);

/* Closes everything at once, cancelling what runs, and frees. NULL is allowed. */
DURESS_API void duress_server_free(struct duress_server *server);

struct duress_server_counts {
    uint64_t connections_accepted;
    uint64_t connections_open;    /* now */
    uint64_t connections_refused; /* over connections_max */
    uint64_t arrivals;            /* well-formed requests for which the agent was asked */
    uint64_t shed;                /* well-formed requests over requests_max, answered with OVERLOADED */
    uint64_t malformed;           /* frames that were none */
    uint64_t replied;             /* replies and errors written to the end; a stream is one */
    uint64_t cancelled;           /* requests whose peer went away before the reply */
    uint64_t in_flight;           /* now */
};
/* The counts now, on the server's thread. */
DURESS_API struct duress_server_counts duress_server_counts(const struct duress_server *server);

#ifdef __cplusplus
}
#endif

#endif
