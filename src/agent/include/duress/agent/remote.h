/* SPDX-License-Identifier: Apache-2.0
 *
 * A remote agent on the framed transport (agenkit's tcp:// and unix:// endpoints): a pool of connections to one
 * service. It reconnects after any transport error; the error itself goes to the call that met it. Timeout and cancel
 * close the call's connection where no other call uses it, so that a late answer never reaches the next call.
 *
 * What a call fails with, and when it is ambiguous (some byte of its request had been taken by the transport):
 *
 * - INVALID, TOO_LARGE: the request cannot be sent (no UTF-8, metadata that is no JSON object, too long). Found before
 *   any connect; never ambiguous.
 * - OVERLOADED, origin CONNECT: the waiting queue is full; never ambiguous.
 * - NAME_NOT_FOUND, NAME_TEMPORARY, NAME_SILENT: the lookup (SILENT also where it outlasts connect_timeout_ns); never
 *   ambiguous.
 * - REFUSED, UNREACHABLE, CONNECT_TIMEOUT: the connect, of the last address tried; never ambiguous. (Of the time that
 * is left each address that is left gets an equal share.)
 * - NO_DESCRIPTORS: of this program, for the lookup or the connect; never ambiguous.
 * - TRUNCATED: the peer's FIN before or inside the reply. RESET: its RST.
 * - MALFORMED: no envelope, an id that was not asked, a chunk that was not wanted, a frame above the limit. The
 *   connection is closed, and all calls on it fail.
 * - OVERLOADED, origin PEER: the peer's error of that code, with its retry-after; never ambiguous.
 * - REMOTE, origin PEER: any other error of the peer, "CODE: message" in the detail; ambiguous but for codes that say
 *   that it was not begun (INVALID_MESSAGE and the like).
 *
 * An idle connection is used first, then one with room (in_flight_max above 1), then a new one is opened. One that was
 * idle for more than 1 ms is looked at before, since the peer may have closed it meanwhile. */
#ifndef DURESS_AGENT_REMOTE_H
#define DURESS_AGENT_REMOTE_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_remote_options {
    struct duress_world *world;  /* borrowed; outlives the agent */
    const char *endpoint;        /* "tcp://host:port" (the last colon splits; IPv6 in brackets) or "unix:///path" */
    const char *agent_name;      /* sent as payload.agent_name, UTF-8; NULL: left out */
    uint64_t connect_timeout_ns; /* for name resolution and connect together; 0 = 10 s */
    uint32_t connections_max;    /* 1 … 65536; 0 = 64 */
    uint32_t in_flight_max;      /* calls on one connection at once, 1 … 1024; 0 = 1. More than 1 only for duress */
    uint32_t waiting_max;        /* calls that wait for a connection; 0 = 1024. Beyond: OVERLOADED, unambiguous */
    uint64_t idle_timeout_ns;    /* an unused connection is closed after; 0 = 30 s */
    size_t frame_bytes_max;      /* of requests and replies, 256 to 2^32 - 1; 0 = 10 MiB */
    const struct duress_allocator *allocator; /* NULL: the world's */
};

/* Makes the agent; connects at the first call. DURESS_E_INVALID with the field in |why| (may be NULL), NO_MEMORY.
 * Returns in *agent, free with duress_agent_unref(). */
DURESS_API DURESS_MUST_CHECK int duress_remote_new(const struct duress_remote_options *options,
                                                   struct duress_agent **agent, struct duress_failure *why);

struct duress_remote_counts {
    uint64_t connects_begun;
    uint64_t connects_failed;
    uint64_t connections_open; /* now, those being opened included */
    uint64_t calls_waiting;    /* now */
    uint64_t replies_late;     /* for a call that was given up; dropped */
    uint64_t replies_stray;    /* with an id that nobody asked for; the connection was closed */
};
/* The counts now, on the agent's thread; all zero for an agent of another kind. */
DURESS_API struct duress_remote_counts duress_remote_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
