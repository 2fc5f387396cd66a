/* SPDX-License-Identifier: Apache-2.0
 *
 * Proxies whose connections are spread over worker threads: what the daemon is made of. Each worker has a loop of its
 * own and nothing is shared between them while bytes move. Not installed.
 *
 *     control thread ──order──► worker ──answer──► control thread
 *
 * Everything here is called on the thread of the control loop, and never waits. What needs the workers is an order: it
 * ends later, by a call of |fn| (which may be NULL) in a turn of the control loop, once for each order that was taken
 * with DURESS_OK, and never before the call returns. The orders of one proxy are carried out one after another, those
 * of several proxies side by side. An order that is not taken has changed nothing. What the functions without |fn| say
 * of a proxy is true after the last order that has ended.
 *
 * A stalled peer, a dead upstream, a name server that is silent, or a connect that hangs delays neither an order nor
 * another connection. The rules of closing are those of duress/proxy/proxy.h. */
#ifndef DURESS_PROXY_WORKERS_H
#define DURESS_PROXY_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/proxy/listen.h>
#include <duress/toxic/link.h>

struct duress_loop;          /* duress/loop/loop.h */
struct duress_workers;       /* opaque: the threads */
struct duress_workers_proxy; /* opaque: one listener, and its connections on all workers */

/* An order was carried out, or failed as |error| says. The proxy may be given further orders inside. */
typedef void (*duress_workers_fn)(void *context, int error);

/* --- the workers --- */

#define DURESS_WORKERS_COUNT_MAX 64
#define DURESS_WORKERS_RESERVE_DEFAULT 64

struct duress_workers_options {
    const struct duress_allocator *allocator; /* borrowed, outlives them, thread-safe; NULL for the default */
    uint32_t worker_count;                    /* 0 = one a core; at most DURESS_WORKERS_COUNT_MAX */
    uint32_t descriptor_reserve; /* descriptors of the process that are left to others: API, log, state; 0 = 64 */
    uint64_t connections_max;    /* of all proxies together; 0: what the descriptors allow */
};

/* Starts the threads. |control|: borrowed, outlives them. INVALID (with the field in |why|, which may be NULL),
 * NO_MEMORY, NO_DESCRIPTORS, SYSTEM. Free with duress_workers_free(). */
DURESS_MUST_CHECK int duress_workers_new(struct duress_loop *control, const struct duress_workers_options *options,
                                         struct duress_workers **workers, struct duress_failure *why);

/* Ends the threads and all that is left on them: listeners, and connections as close(2) does. Orders under way are not
 * answered. Waits for the threads, which nothing holds up. NULL is allowed; not from inside a |duress_workers_fn|. */
void duress_workers_free(struct duress_workers *workers);

uint32_t duress_workers_count(const struct duress_workers *workers);

/* --- a proxy --- */

struct duress_workers_proxy_options {
    const struct duress_listen_address *listen; /* copied; port 0: the kernel chooses */
    const char *upstream;                       /* "host:port" or "unix:///path"; copied; see below */
    uint64_t seed;                              /* of all links: link n has the seed duress_prng_mix(seed, n) */
    uint64_t dial_limit_ns;                     /* look-up and connects together; 0 = 10 s */
    size_t buffer_bytes_max;                    /* of each direction of a link; 0 = the link's default */
    uint32_t backlog;                           /* 0 = the kernel's maximum, as Go does */
    bool is_disabled;                           /* begins without listening; |listen| may be NULL then */
    const struct duress_toxic *toxics;          /* copied; there before the first connection */
    size_t toxic_count;
};

/* The upstream's host may be a name: it is looked up anew for each connection, and its addresses are tried in turn. The
 * text is not checked: what is no address fails when it is dialed. Binds and listens (unless it is to begin disabled),
 * and has the workers accept: when this returns DURESS_OK, clients can connect. ADDRESS_IN_USE, ADDRESS_UNAVAILABLE,
 * PERMISSION, NO_DESCRIPTORS, NO_MEMORY, INVALID (with the reason in |why|, which may be NULL). Free with
 * duress_workers_proxy_free(). */
DURESS_MUST_CHECK int duress_workers_proxy_new(struct duress_workers *workers,
                                               const struct duress_workers_proxy_options *options,
                                               struct duress_workers_proxy **proxy, struct duress_failure *why);

/* Stops listening and closes both sockets of every connection, behind the orders before it; what toxics hold is
 * dropped. |fn| is called when the port is free and all sockets are closed; the proxy is gone then. Nothing but
 * duress_workers_free() may be called for it after this. Cannot fail. */
void duress_workers_proxy_free(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context);

/* Where it listens, with the port that it was given; where it is disabled, where it will. Borrowed until the next order
 * ends; NULL where it has no address yet. */
const struct duress_listen_address *duress_workers_proxy_address(const struct duress_workers_proxy *proxy);
const char *duress_workers_proxy_upstream(const struct duress_workers_proxy *proxy);
bool duress_workers_proxy_is_enabled(const struct duress_workers_proxy *proxy);

/* Listens again, at its address, and with the same port. |fn| is told the errors of duress_workers_proxy_new(), and
 * INVALID where it has no address: it stays disabled then. Nothing is done where it is enabled already. NO_MEMORY. */
DURESS_MUST_CHECK int duress_workers_proxy_enable(struct duress_workers_proxy *proxy, duress_workers_fn fn,
                                                  void *context);

/* Stops listening and closes every connection, as duress_workers_proxy_free(); address and toxics stay. NO_MEMORY. */
DURESS_MUST_CHECK int duress_workers_proxy_disable(struct duress_workers_proxy *proxy, duress_workers_fn fn,
                                                   void *context);

/* Gives it another address or upstream (copied; NULL: it keeps the one it has), and closes all connections; toxics
 * stay. Where it is enabled, the new address is bound before the old one is given up, unless the two stand in each
 * other's way (the same port, one of them a wildcard). |fn| is told the errors of duress_workers_proxy_new(), and all
 * is as it was then. Where it is disabled the two are only stored. NO_MEMORY. */
DURESS_MUST_CHECK int duress_workers_proxy_change(struct duress_workers_proxy *proxy,
                                                  const struct duress_listen_address *listen, const char *upstream,
                                                  duress_workers_fn fn, void *context);

/* --- toxics ---
 * As duress_link_toxic_*, for all open connections and all later ones; an update keeps the toxic's direction. |fn| is
 * called when every link of every worker has taken the change, not when bytes have drained; within milliseconds,
 * whatever the peers do. An open connection that has no memory for it is reset. INVALID (with the reason in |why|,
 * which may be NULL), NO_MEMORY: nothing changed. */
DURESS_MUST_CHECK int duress_workers_proxy_toxic_add(struct duress_workers_proxy *proxy,
                                                     const struct duress_toxic *toxic, duress_workers_fn fn,
                                                     void *context, struct duress_failure *why);
DURESS_MUST_CHECK int duress_workers_proxy_toxic_update(struct duress_workers_proxy *proxy,
                                                        const struct duress_toxic *toxic, duress_workers_fn fn,
                                                        void *context, struct duress_failure *why);
DURESS_MUST_CHECK int duress_workers_proxy_toxic_remove(struct duress_workers_proxy *proxy, uint64_t id,
                                                        duress_workers_fn fn, void *context);

/* Its toxics in order of creation, with all changes that were taken. Borrowed until the next one. */
const struct duress_toxic *duress_workers_proxy_toxics(const struct duress_workers_proxy *proxy, size_t *count);

/* Resets all open connections at both ends, at once. */
DURESS_MUST_CHECK int duress_workers_proxy_cut(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context);

/* --- what happens --- */

struct duress_workers_direction_counts {
    uint64_t bytes_in;      /* read from the source */
    uint64_t bytes_out;     /* given to the sink's kernel */
    uint64_t bytes_spliced; /* of those, moved without a copy */
};

/* How long a dial took, from its begin to the open connection, lookup and all addresses that were tried included: the
 * first bucket counts those up to the first bound, the last one those beyond the last. */
#define DURESS_WORKERS_DIAL_BUCKET_COUNT 17
extern const uint64_t duress_workers_dial_bounds_ns[DURESS_WORKERS_DIAL_BUCKET_COUNT - 1];

struct duress_workers_counts {
    uint64_t accepted;                                /* connections so far; the last one's number */
    uint64_t open;                                    /* connections that have a socket open */
    uint64_t failed_dials;                            /* connections whose upstream could not be reached */
    uint64_t dial_sum_ns;                             /* of the dials below */
    uint64_t dials[DURESS_WORKERS_DIAL_BUCKET_COUNT]; /* that ended with an open connection, each in one bucket */
    uint64_t
        accept_pauses; /* how often accepting paused: no descriptor, no memory, or as many connections as allowed */
    struct duress_workers_direction_counts direction[DURESS_DIRECTION_COUNT];
};

/* The figures as they are just now, of open and ended connections; asks no worker. Each by itself never goes back. */
struct duress_workers_counts duress_workers_proxy_counts(const struct duress_workers_proxy *proxy);

/* Likewise of one worker, counted from 0: how evenly connections are spread. */
struct duress_workers_counts duress_workers_proxy_worker_counts(const struct duress_workers_proxy *proxy,
                                                                uint32_t worker);

#define DURESS_WORKERS_CONNECTION_TOXICS_MAX 16
#define DURESS_WORKERS_PEER_TEXT_BYTES 64

/* An open connection. */
struct duress_workers_connection {
    uint64_t number; /* of the proxy, counted from 1 in order of acceptance */
    uint32_t worker;
    bool is_dialing;
    char client[DURESS_WORKERS_PEER_TEXT_BYTES]; /* "127.0.0.1:40000"; "" where it is gone or a Unix socket */
    char server[DURESS_WORKERS_PEER_TEXT_BYTES];
    uint64_t age_ns;
    uint64_t bytes_in[DURESS_DIRECTION_COUNT];
    uint64_t bytes_out[DURESS_DIRECTION_COUNT];
    uint64_t buffered_bytes[DURESS_DIRECTION_COUNT]; /* held by toxics, or for a slow receiver */
    uint32_t toxic_count;
    uint64_t toxics[DURESS_WORKERS_CONNECTION_TOXICS_MAX]; /* ids of those whose draw hit it; the first ones */
};

/* |connections|, |count| of them in order of their numbers, is borrowed for the call. NO_MEMORY: none are told. */
typedef void (*duress_workers_connections_fn)(void *context, int error,
                                              const struct duress_workers_connection *connections, size_t count);

/* Asks all workers for their open connections, |count_max| at most. NO_MEMORY. */
DURESS_MUST_CHECK int duress_workers_proxy_connections(struct duress_workers_proxy *proxy, size_t count_max,
                                                       duress_workers_connections_fn fn, void *context);

#endif
