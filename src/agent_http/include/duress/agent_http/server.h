/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent server over HTTP/1.1: one agent behind a listening socket, in agenkit's protocol. It runs on libmicrohttpd
 * without a thread of its own, on the loop of a live world; in another world there is no HTTP (DURESS_E_UNSUPPORTED).
 *
 *   POST /process             a request's envelope: 200 and a response's, or an error's with the status below
 *   POST /stream              the same: 200 and text/event-stream, each event one envelope ("data: {…}" and an empty
 *                             line): stream_chunk, …, then stream_end or error
 *   GET, HEAD /health, /ready 200, or 503 while the server stops: {"status":…,"version":…,"uptime":…,"agent":…}
 *   GET, HEAD /live           200 as long as it answers at all
 *
 * The path says whether chunks are asked for; the method inside the payload counts for nothing, as in agenkit. Every
 * error is an envelope in both shapes that agenkit's peers read, its id the request's, or "unknown":
 *
 *   400  MALFORMED_PAYLOAD (no JSON, no UTF-8, above a limit), INVALID_MESSAGE (a member is missing or wrong; no body),
 *        UNSUPPORTED_VERSION, INVALID_REQUEST (the agent says so; a Content-Length that is given twice, or beside
 *        Transfer-Encoding)
 *   404, 405 (with Allow), 413, 415 (no application/json), 431 (header_bytes_max)
 *   408  the header or the body did not come in time
 *   429  OVERLOADED: one of the agent's layers refused by its rate limit
 *   500  EXECUTION_ERROR, CANCELLED
 *   501  NOT_IMPLEMENTED
 *   503  OVERLOADED: over requests_max or bodies_bytes_max; one of the agent's layers refused (a full bulkhead, an open
 *        breaker) before anything was begun; out of memory
 *   504  AGENT_TIMEOUT
 *
 * 429 and 503 carry Retry-After in whole seconds, at least 1, and {"retry_after_ms":N} in error_details. A stream's
 * failure after its first chunk is an event; so is one before it whose status would be 500, with the code STREAM_ERROR,
 * because agenkit's clients read an agent's own error from an event only. What is no HTTP at all is answered by
 * libmicrohttpd with a status and a text of its own (400, 414, 431).
 *
 * Closing the connection is the cancel: the peer's FIN or RST gives up what it had asked. A peer that sends FIN and
 * still waits for the reply gets none.
 *
 * Connections are HTTP/1.1 keep-alive; requests that are pipelined are served one after the other. */
#ifndef DURESS_AGENT_HTTP_SERVER_H
#define DURESS_AGENT_HTTP_SERVER_H

#include <duress/agent/agent.h>
#include <duress/agent/server.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_http_server;

struct duress_http_server_options {
    struct duress_world *world;           /* a live one, borrowed; outlives the server */
    struct duress_agent *agent;           /* the server takes a reference */
    struct duress_address address;        /* IPv4 or IPv6; port 0: any free one */
    uint32_t backlog;                     /* at most 65535; 0 = 4096 */
    uint32_t connections_max;             /* at most 1000000; beyond, new ones are closed at once; 0 = 10000 */
    uint32_t connections_per_address_max; /* of one IP address, likewise; 0: as many as connections_max */
    uint32_t requests_max;                /* at work at once, at most 1000000; others are shed; 0 = 10000 */
    uint64_t overload_retry_after_ns;     /* what a refused caller is asked to wait where no layer says; 0 = 1 s */
    uint64_t idle_timeout_ns;             /* from a reply to the next request's first line; 0 = 60 s; NEVER: none */
    uint64_t header_timeout_ns;           /* from the connection's begin, or a request's first line, to the end of
                                             its headers; 0 = 10 s; NEVER: none */
    uint64_t body_timeout_ns;             /* from there to the body's end; 0 = 30 s; NEVER: none */
    uint64_t write_timeout_ns;            /* a peer that takes no byte of a reply for so long is reset; 0 = 30 s;
                                             NEVER: none */
    uint64_t request_timeout_ns;          /* the agent's deadline for one request; 0 = none */
    size_t header_bytes_max;              /* of a request's line and headers; 1024 to 1 MiB; 0 = 16 KiB */
    size_t body_bytes_max;                /* 256 to 2^32 - 1; 0 = 10 MiB, as agenkit's Python server */
    uint64_t bodies_bytes_max;            /* of all bodies that have not reached the agent; beyond, they are shed;
                                             0 = 256 MiB */
    size_t write_bytes_max;               /* twice as much of a stream may wait for a slow reader, then it is reset;
                                             0 = 16 MiB */
    duress_arrival_fn on_arrival;         /* may be NULL; the arrival's method is that of the path: "process" or
                                             "stream" */
    void *context;
    const struct duress_allocator *allocator; /* NULL: the world's; libmicrohttpd's own memory is the C library's */
};

/* Listens and serves. DURESS_E_INVALID with the field in |why| (may be NULL), UNSUPPORTED (not a live world),
 * ADDRESS_IN_USE, ADDRESS_UNAVAILABLE, PERMISSION, NO_DESCRIPTORS, NO_MEMORY, SYSTEM. Returns in *server, free with
 * duress_http_server_free(). */
DURESS_API DURESS_MUST_CHECK int duress_http_server_new(const struct duress_http_server_options *options,
                                                        struct duress_http_server **server, struct duress_failure *why);

/* Where it listens, with the port that was chosen. */
DURESS_API struct duress_address duress_http_server_address(const struct duress_http_server *server);

/* Graceful: closes the listener and idle connections, answers the requests that have begun to arrive (with Connection:
 * close) until |deadline_ns|, then resets what is left. |drained| (may be NULL) is called once, from the loop, when all
 * connections are gone; |complete| says whether every request was answered. */
DURESS_API void duress_http_server_stop(struct duress_http_server *server, uint64_t deadline_ns,
                                        duress_drained_fn drained, void *context);

/* Closes everything at once, cancelling what runs, and frees. NULL is allowed. */
DURESS_API void duress_http_server_free(struct duress_http_server *server);

struct duress_http_server_counts {
    uint64_t connections_accepted;
    uint64_t connections_open;    /* now */
    uint64_t connections_refused; /* over connections_max */
    uint64_t arrivals;            /* well-formed requests for which the agent was asked */
    uint64_t shed;                /* requests over requests_max or bodies_bytes_max */
    uint64_t malformed;           /* other requests that were refused before the agent was asked */
    uint64_t timed_out;           /* connections closed for a header, a body or a reader that was too slow */
    uint64_t replied;             /* requests whose reply, error or stream was written to its end, refusals included */
    uint64_t cancelled;           /* requests whose peer went away, or was reset, while the agent was at work */
    uint64_t in_flight;           /* now */
};
/* The counts now, on the thread of its world. */
DURESS_API struct duress_http_server_counts duress_http_server_counts(const struct duress_http_server *server);

#ifdef __cplusplus
}
#endif

#endif
