/* SPDX-License-Identifier: Apache-2.0
 *
 * A remote agent over HTTP or HTTPS: agenkit's protocol, "POST /process" with an envelope, and "POST /stream" for
 * replies in chunks (server-sent events). On libcurl's multi interface, in a live world; no threads, nothing blocks.
 * Names are looked up by the world, so that they fail and can be cancelled as everywhere else; proxies of the
 * environment, .netrc and cookies are not used. Connections are kept and used again. Timeout and cancel close the
 * call's connection (HTTP/2: its stream).
 *
 * What a call fails with, and when it is ambiguous (some byte of its request had been taken by the transport):
 *
 * - INVALID, TOO_LARGE, origin CALLER: the request cannot be sent (no UTF-8, metadata that is no JSON object, too
 *   long). Never ambiguous.
 * - OVERLOADED, origin CONNECT: the waiting queue is full; never ambiguous.
 * - NAME_NOT_FOUND, NAME_TEMPORARY, NAME_SILENT: the lookup (SILENT also where it outlasts connect_timeout_ns); never
 *   ambiguous.
 * - REFUSED, UNREACHABLE, CONNECT_TIMEOUT (TLS included), NO_DESCRIPTORS, RESET with origin CONNECT (inside the TLS
 *   handshake), UNTRUSTED (the certificate), MALFORMED with origin CONNECT (no TLS spoken): never ambiguous. All
 *   addresses of the name are tried.
 * - TRUNCATED: the connection's end before or inside the reply, or an event stream without its stream_end.
 * - RESET: an RST, or HTTP/2's RST_STREAM.
 * - MALFORMED: no HTTP, a reply's head or body above its limit, another content type than asked for, no envelope, an id
 *   that was not asked. The connection is not used again.
 *
 * By the status of the reply, origin PEER; "CODE: message" of an error envelope is the detail where there is one, else
 * "HTTP 404" and the like:
 *
 * - 429, 503: OVERLOADED; not ambiguous, the peer did not begin.
 * - 400, 404 and other 4xx: INVALID; not ambiguous. Neither retried nor counted: the same request would fail again.
 * - 401, 403, 407, 511: PERMISSION; likewise.
 * - 413, 414, 431: TOO_LARGE; likewise.
 * - 405, 501, 505, all 3xx: UNSUPPORTED; likewise. Redirects are not followed.
 * - 408, 425: REMOTE; not ambiguous, the peer did not get, or did not take, the request.
 * - 500 and other 5xx: REMOTE; ambiguous, but for codes in the envelope that say that it was not begun.
 * - 2xx but 200, 1xx: MALFORMED.
 *
 * With 408, 425, 429 and 5xx the Retry-After header, in seconds or as a date, is the failure's retry_after_ns; the
 * exact one of a duress peer's envelope goes before it. An error envelope with the code OVERLOADED is that, whatever
 * the status.
 *
 * libcurl resends a request by itself where a kept connection dies before any byte of the reply came. That is stopped
 * here if a byte of the request had left: whether to repeat is the retry's decision. */
#ifndef DURESS_AGENT_HTTP_CLIENT_H
#define DURESS_AGENT_HTTP_CLIENT_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Over TLS, HTTP/2 carries all calls on one connection. By prior knowledge without TLS it does from libcurl 8.0
 * on; 7.88 breaks a connection that it uses again, so there each call gets its own.
 *
 * A call that is given up alone on its connection ends it. Beside others it resets its stream.
 *
 * libcurl before 8.1 may overlook the end of a reply that comes together with more than 512 KiB of replies to other
 * calls on the same connection; then its call waits until the connection speaks again, or for its deadline. */
enum duress_http_version {
    DURESS_HTTP_AUTO = 0,       /* https: HTTP/2 where the peer offers it (ALPN), else 1.1; http: 1.1 */
    DURESS_HTTP_1_1,            /* never HTTP/2 */
    DURESS_HTTP_2_BY_AGREEMENT, /* HTTP/2 at once, without asking ("prior knowledge"); for http: too */
};

#define DURESS_HTTP_HEADERS_MAX 64

struct duress_http_agent_options {
    struct duress_world *world; /* borrowed; outlives the agent; a live one */
    const char *url;            /* "http://host:port/path" or https; "/process" and "/stream" are put behind it. Neither
                                   user nor query nor fragment; at most 2048 characters */
    const char *agent_name;     /* sent as payload.agent_name; NULL: left out */
    const char *const *headers; /* "Name: value" each, sent with every request; a name that is set here anyway (Host,
                                   Content-Type, …) is refused. 8192 bytes each at most */
    uint32_t header_count;      /* 0 … DURESS_HTTP_HEADERS_MAX */
    enum duress_http_version version;
    const char *ca_file;                  /* certificates to trust, PEM; NULL: those of the machine */
    bool insecure_accept_any_certificate; /* anybody in between can read and answer: for tests alone */
    uint64_t connect_timeout_ns;          /* name, connect and TLS together; 0 = 10 s */
    uint64_t idle_timeout_ns;             /* a kept connection is not used after; all are closed where the agent was not
                                             used for so long; 1 s at least; 0 = 30 s */
    uint64_t name_max_age_ns;             /* new connections go where the last lookup said for so long; 0 = 10 s */
    uint32_t connections_max;             /* 1 … 65536; 0 = 64 */
    uint32_t in_flight_max;               /* calls at once, 1 … 65536; 0 = connections_max. More only helps HTTP/2 */
    uint32_t waiting_max;  /* calls that wait for their turn; 0 = 1024. Beyond: OVERLOADED, unambiguous */
    size_t head_bytes_max; /* of a reply: status and headers; 256 to 1 MiB; 0 = 64 KiB */
    size_t body_bytes_max; /* of a request, a reply, an event of a stream; 256 to 2^32 - 1; 0 = 10 MiB */
    const struct duress_allocator *allocator; /* NULL: the world's. What libcurl allocates is malloc()ed */
};

/* Makes the agent; connects at the first call. DURESS_E_INVALID with the field in |why| (may be NULL), UNSUPPORTED (a
 * world that is not live), NO_MEMORY. Returns in *agent, free with duress_agent_unref().
 *
 * Calls curl_global_init(), and curl_global_cleanup() when the agent is freed: libcurl counts these. A program that
 * uses libcurl as well calls curl_global_init() itself before, as libcurl's manual asks it to. */
DURESS_API DURESS_MUST_CHECK int duress_http_agent_new(const struct duress_http_agent_options *options,
                                                       struct duress_agent **agent, struct duress_failure *why);

struct duress_http_agent_counts {
    uint64_t lookups_begun;
    uint64_t connections_begun; /* sockets that were opened */
    uint64_t connections_open;  /* now: kept ones and those that are being opened included */
    uint64_t calls_waiting;     /* now: for a lookup, or for their turn */
    uint64_t calls_in_flight;   /* now: handed to libcurl */
};
/* The counts now, on the agent's thread; all zero for an agent of another kind. */
DURESS_API struct duress_http_agent_counts duress_http_agent_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
