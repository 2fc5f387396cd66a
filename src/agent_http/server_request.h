/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request over HTTP means, without a socket: its head, its path and its body's envelope. Pure. */
#ifndef DURESS_AGENT_HTTP_SERVER_REQUEST_H
#define DURESS_AGENT_HTTP_SERVER_REQUEST_H

#include <duress/wire/envelope.h>

enum { HTTP_SERVER_ID_BYTES_MAX = 256 };

/* Why a request is refused before the agent is asked. */
struct http_refusal {
    unsigned status;     /* 0: it is not */
    const char *code;    /* on the wire */
    const char *message; /* for people; lives for ever, or as long as the envelope's diagnostics */
    const char *allow;   /* of a 405, or an OPTIONS: the methods; else NULL */
};

enum http_route {
    HTTP_ROUTE_NONE = 0, /* no such path */
    HTTP_ROUTE_PROCESS,
    HTTP_ROUTE_STREAM,
    HTTP_ROUTE_HEALTH,
    HTTP_ROUTE_READY,
    HTTP_ROUTE_LIVE,
};

/* The headers that matter. Values are borrowed, NULL where there is none. */
struct http_request_head {
    const char *content_type;
    const char *content_length;
    const char *transfer_encoding;
    unsigned content_length_count;
    size_t bytes; /* of the whole head */
};

enum http_route duress__http_route(const char *path);

/* Whether a |method| is served on |route|, and a body with this |head|. A status of 0 means yes. 204: an OPTIONS, to be
 * answered with |allow| alone. */
struct http_refusal duress__http_head_check(enum http_route route, const char *method,
                                            const struct http_request_head *head, size_t header_bytes_max,
                                            size_t body_bytes_max);

/* Reads |body| as the envelope of a request (duress_envelope_decode()). DURESS_OK with *envelope, or with a refusal of
 * which the envelope's id, if any, is the id; DURESS_E_NO_MEMORY. */
DURESS_MUST_CHECK int duress__http_body_read(struct duress_slice body, const struct duress_envelope_limits *limits,
                                             struct duress_buffer *scratch, struct duress_envelope *envelope,
                                             struct http_refusal *refusal);

/* The status that says |failure| over HTTP, as the table in <duress/agent_http/server.h> has it. */
unsigned duress__http_failure_status(const struct duress_failure *failure);

/* Retry-After for a wait of |wait_ns|: whole seconds, rounded up, at least 1. */
uint64_t duress__http_retry_after_s(uint64_t wait_ns);

#endif
