/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy in process: a listener and the driver that moves the bytes of its connections through duress/toxic/link.h,
 * with real sockets on a duress_loop. The same calls, with the same meaning, as a simulated relay
 * (duress/world/sim.h). A proxy and its connections belong to its loop's thread; it calls nobody back but the visitor
 * of duress_proxy_visit(), who must not change it.
 *
 * What the sockets add to the link's rules:
 * - An RST or a close follows the bytes before it: the driver waits until the peer's kernel has them. A peer that takes
 *   none for 2 s is not waited for. duress_proxy_cut() and duress_proxy_free() do not wait.
 * - A close is a FIN, as far as what the peer had sent was there to be read away; what comes later meets an RST.
 * - A peer's RST is noticed though its direction is not being read (the link is full, the dial is under way). What it
 *   sent before goes on as far as the link has room for it.
 * - A connection that runs out of memory is reset; the proxy lives on. Out of descriptors accepting pauses, and a dial
 *   fails with NO_DESCRIPTORS.
 * - A Unix upstream knows no RST: it sees the end, or a reset where bytes lay unread. */
#ifndef DURESS_PROXY_PROXY_H
#define DURESS_PROXY_PROXY_H

#include <duress/toxic/link.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_loop;  /* duress/loop/loop.h, or that of a live world */
struct duress_proxy; /* opaque */

struct duress_proxy_options {
    const struct duress_allocator *allocator; /* borrowed, outlives the proxy; NULL for the default */
    const char *listen;                       /* "127.0.0.1:0"; numeric; copied */
    const char *upstream;                     /* "127.0.0.1:5432" or "unix:///path"; numeric; copied */
    uint64_t seed;                            /* of all links: link n has the seed duress_prng_mix(seed, n) */
    uint64_t dial_limit_ns;                   /* how long a dial may take; 0 = 10 s */
    size_t buffer_bytes_max;                  /* of each direction of a link; 0 = the link's default */
    uint32_t backlog;                         /* 0 = 4096 */
};

/* Starts listening. Returns in *proxy, free with duress_proxy_free(). ADDRESS_IN_USE, ADDRESS_UNAVAILABLE, PERMISSION,
 * NO_DESCRIPTORS, NO_MEMORY, INVALID (with the field, what was given and what is allowed in |why|, which may be NULL).
 */
DURESS_API DURESS_MUST_CHECK int duress_proxy_new(struct duress_loop *loop, const struct duress_proxy_options *options,
                                                  struct duress_proxy **proxy, struct duress_failure *why);

/* Stops listening, closes all connections as close(2) does, frees. Its loop must still be there. NULL is allowed. */
DURESS_API void duress_proxy_free(struct duress_proxy *proxy);

/* The port it listens on; kept through down and up. */
DURESS_API uint16_t duress_proxy_port(const struct duress_proxy *proxy);

/* Applies to all open connections and all later ones. As duress_link_toxic_*: INVALID, NO_MEMORY; then nothing changed.
 * But an update keeps the toxic's direction, whatever |toxic| says: Toxiproxy's clients leave it out.
 * An open connection that has no memory for the change is reset, and the change holds for the others. */
DURESS_API int duress_proxy_toxic_add(struct duress_proxy *proxy, const struct duress_toxic *toxic,
                                      struct duress_failure *why);
DURESS_API int duress_proxy_toxic_update(struct duress_proxy *proxy, const struct duress_toxic *toxic,
                                         struct duress_failure *why);
DURESS_API int duress_proxy_toxic_remove(struct duress_proxy *proxy, uint64_t id);

/* Down: new connects are refused, open connections are closed; a silence ends. Up: listens again, on the same port,
 * which was kept from others meanwhile; ADDRESS_IN_USE where one took it all the same, NO_DESCRIPTORS, NO_MEMORY: it
 * stays down. Nothing where it is so already. */
DURESS_API void duress_proxy_down(struct duress_proxy *proxy);
DURESS_API int duress_proxy_up(struct duress_proxy *proxy);

/* Resets all open connections at both ends, at once: bytes that the kernel has not sent yet are lost. */
DURESS_API void duress_proxy_cut(struct duress_proxy *proxy);

/* New SYNs go unanswered (true), or are answered again (false): needs no privilege. The listener stops accepting, its
 * accept queue is made as short as the kernel allows and filled with connections of the proxy's own, so that the kernel
 * drops further SYNs; those that are retried after the silence get through. Open connections go on. Errors of the fill
 * are returned, and the silence is undone: NO_DESCRIPTORS, SYSTEM; CLOSED where the proxy is down. */
DURESS_API int duress_proxy_silence(struct duress_proxy *proxy, bool silent);

/* What its connections have suffered: oldest first, ended ones included (the last 1024). */
DURESS_API void duress_proxy_visit(const struct duress_proxy *proxy, duress_link_visit_fn fn, void *context);
DURESS_API struct duress_relay_counts duress_proxy_counts(const struct duress_proxy *proxy);

/* Connections that have a socket open now. */
DURESS_API size_t duress_proxy_connection_count(const struct duress_proxy *proxy);

#ifdef __cplusplus
}
#endif

#endif
