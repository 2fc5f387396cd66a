/* SPDX-License-Identifier: Apache-2.0
 *
 * A link: everything that can be said of one proxied connection without a socket. It knows two pipes (one a direction,
 * each a chain of toxics), how FIN and RST travel, what the dial brought, which connections a toxic's draw hit, and
 * what is owed to each side. The daemon's driver (sockets) and the simulated network (virtual time) drive the same
 * object; no rule about closing or toxics exists outside it.
 *
 *     in:   dialed · push (bytes) · end (FIN) · reset (RST) · toxic add, update, remove · down · tick (time)
 *     out:  wants_dial (dial now) · wants (may I read?) · pending (write this) · poll (shut down, reset, close) ·
 *           next_ns (wake me)
 *
 * After each call in, the driver asks the outputs again until they are empty. Time is the caller's and never goes back
 * (an earlier instant counts as no time passed). A link is owned by one thread.
 *
 *     client ──push(UPSTREAM)──▶ [toxics in order of creation] ──pending(UPSTREAM)──▶ server
 *     client ◀─pending(DOWNSTREAM)── [toxics …] ◀──push(DOWNSTREAM)── server
 *
 * Closing, in order of strength:
 * - FIN of one side passes through that direction's chain like a chunk (only slow_close and stages that hold bytes
 *   before it delay it) and leaves as SHUTDOWN of the other side; the other direction goes on (half-close is kept).
 *   Once both directions have ended, both sides are closed.
 * - RST of one side: what that side had sent before goes on through the chain, and the RST follows it; what was meant
 *   for that side is dropped, and the other side is not read any more.
 * - A toxic that closes (timeout, limit_data, cut with FIN) or removing a timeout toxic that dropped bytes: what had
 *   passed it before is delivered, then both sides are closed (full close, FIN).
 * - reset_peer and cut with RST: what had passed before is delivered, then both sides get an RST.
 * - down: both sides are closed at once, and what is held in the toxics is dropped. */
#ifndef DURESS_TOXIC_LINK_H
#define DURESS_TOXIC_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/export.h>
#include <duress/slice.h>
#include <duress/toxic/toxic.h>

#ifdef __cplusplus
extern "C" {
#endif

enum duress_side {
    DURESS_SIDE_CLIENT = 0, /* source of UPSTREAM, sink of DOWNSTREAM */
    DURESS_SIDE_SERVER = 1, /* source of DOWNSTREAM, sink of UPSTREAM */
};
#define DURESS_SIDE_COUNT 2

#define DURESS_LINK_CHUNK_BYTES_MAX 32768        /* what one push makes at the most; Toxiproxy's read size */
#define DURESS_LINK_BUFFER_BYTES_DEFAULT 1048576 /* bytes that one direction may hold */

struct duress_link; /* opaque */

struct duress_link_options {
    const struct duress_allocator *allocator; /* borrowed; NULL for the default */
    size_t buffer_bytes_max;                  /* for each direction; 0 = DURESS_LINK_BUFFER_BYTES_DEFAULT */
    uint64_t seed;                            /* all chance of this link comes from (seed, toxic id) */
    uint64_t connection_number;               /* of its proxy, from 1: what fail_first counts; 0: unknown */
    const struct duress_toxic *toxics;        /* present from the start; copied */
    size_t toxic_count;
};

/* What happened on a link: evidence for tests, figures for metrics. Instants are 0 where it did not happen. */
struct duress_link_direction_stats {
    uint64_t bytes_in;        /* accepted from the source */
    uint64_t bytes_out;       /* taken by the sink's driver */
    uint64_t bytes_dropped;   /* swallowed by a toxic, or by a close */
    uint64_t bytes_corrupted; /* changed by a corrupt toxic */
    uint64_t chunks_in;
    uint64_t chunks_delayed; /* released later than they arrived, by a toxic */
    uint64_t delay_ns_max;   /* the longest such delay */
    uint64_t pieces_sliced;  /* pieces that slicers made */
    uint64_t segments_lost;  /* transmissions that packet_loss toxics lost, repeated ones too */
    uint64_t fin_in_ns;      /* the source's FIN arrived */
    uint64_t fin_out_ns;     /* SHUTDOWN of the sink was handed out */
};
struct duress_link_stats {
    struct duress_link_direction_stats direction[DURESS_DIRECTION_COUNT];
    uint64_t started_ns;
    uint64_t dial_ns;                         /* the dial was let begin */
    uint64_t dialed_ns;                       /* the dial ended, well or not */
    enum duress_error dial_error;             /* DURESS_OK where it went well or has not ended */
    uint64_t reset_in_ns[DURESS_SIDE_COUNT];  /* an RST came from that side */
    uint64_t reset_out_ns[DURESS_SIDE_COUNT]; /* RESET of that side was handed out */
    uint64_t close_out_ns[DURESS_SIDE_COUNT]; /* CLOSE of that side was handed out */
    uint64_t tripped_ns;                      /* a toxic decided to close or reset the connection */
    uint64_t tripped_by;                      /* the id of that toxic */
};

/* Makes the link of a connection that was accepted at |now_ns| and is to be dialed as soon as duress_link_wants_dial()
 * says so: at once, unless a toxic delays or refuses it. Nothing is read before the dial has succeeded. Returns in
 * *link, free with duress_link_free(). DURESS_E_INVALID, DURESS_E_NO_MEMORY (with the reason in |why|, which may be
 * NULL). */
DURESS_API DURESS_MUST_CHECK int duress_link_new(const struct duress_link_options *options, uint64_t now_ns,
                                                 struct duress_link **link, struct duress_failure *why);

/* Frees the link with all that it holds, whatever its state. NULL is allowed. */
DURESS_API void duress_link_free(struct duress_link *link);

/* True from the instant at which the driver is to dial until the dial has ended. It dials once. A link that is never to
 * be dialed (refuse, fail_first) owes the client's side an RST instead. */
DURESS_API bool duress_link_wants_dial(const struct duress_link *link) DURESS_NONNULL(1);

/* The dial ended: DURESS_OK, or the code of its failure, after which both sides are closed (the client gets a FIN). */
DURESS_API void duress_link_dialed(struct duress_link *link, int error, uint64_t now_ns) DURESS_NONNULL(1);

/* How many bytes the link takes from the source of |direction| now, at most DURESS_LINK_CHUNK_BYTES_MAX; 0: do not
 * read. Never more than the buffer has room for; back-pressure reaches the sender. */
DURESS_API size_t duress_link_wants(const struct duress_link *link, enum duress_direction direction) DURESS_NONNULL(1);

/* |bytes| arrived from the source of |direction|; at most as many as duress_link_wants() said last. Copies. DURESS_OK
 * (and dropped, where a toxic ended the stream between that question and |now_ns|); DURESS_E_NO_MEMORY, after which the
 * link resets both sides by itself; or DURESS_E_INVALID where there are more than were wanted (nothing changed). */
DURESS_API int duress_link_push(struct duress_link *link, enum duress_direction direction, struct duress_slice bytes,
                                uint64_t now_ns);

/* The source of |direction| sent its FIN. */
DURESS_API void duress_link_end(struct duress_link *link, enum duress_direction direction, uint64_t now_ns)
    DURESS_NONNULL(1);

/* |side| sent an RST, or its socket failed. Its socket is of no use any more: no output names it again but one CLOSE.
 */
DURESS_API void duress_link_reset(struct duress_link *link, enum duress_side side, uint64_t now_ns) DURESS_NONNULL(1);

/* The bytes that may be written to the sink of |direction| at |now_ns|: one piece as it left the chain, borrowed until
 * the next call in. Empty: nothing is due. A driver writes one piece with one write (TCP_NODELAY), so that slicing
 * shows on the wire. */
DURESS_API struct duress_slice duress_link_pending(struct duress_link *link, enum duress_direction direction,
                                                   uint64_t now_ns) DURESS_NONNULL(1);

/* The first |count| bytes of what duress_link_pending() gave were written. */
DURESS_API void duress_link_written(struct duress_link *link, enum duress_direction direction, size_t count,
                                    uint64_t now_ns) DURESS_NONNULL(1);

enum duress_link_action_type {
    DURESS_LINK_NOTHING = 0,
    DURESS_LINK_SHUTDOWN, /* send FIN to the side; its other direction goes on */
    DURESS_LINK_CLOSE,    /* close the side's socket in the ordinary way; it is not used again */
    DURESS_LINK_RESET,    /* close the side's socket with an RST; it is not used again */
};
struct duress_link_action {
    enum duress_link_action_type type;
    enum duress_side side;
};

/* The next thing to do to a socket, given once, and only after every byte for that side that comes before it was
 * reported as written. DURESS_LINK_NOTHING: nothing is owed now. */
DURESS_API struct duress_link_action duress_link_poll(struct duress_link *link, uint64_t now_ns) DURESS_NONNULL(1);

/* The instant at which duress_link_tick() must be called, or DURESS_TIME_NEVER. It may only move in a call in. */
DURESS_API uint64_t duress_link_next_ns(const struct duress_link *link) DURESS_NONNULL(1);

/* Time passed. */
DURESS_API void duress_link_tick(struct duress_link *link, uint64_t now_ns) DURESS_NONNULL(1);

/* Both sides were closed or reset: the driver may free the link. */
DURESS_API bool duress_link_is_done(const struct duress_link *link) DURESS_NONNULL(1);

/* Appends |toxic| at the receiver's end of its direction's chain. What was pushed before and not yet written to the
 * sink passes the new toxic as well. DURESS_E_INVALID (bad toxic, or the id is present), DURESS_E_NO_MEMORY (nothing
 * changed). */
DURESS_API int duress_link_toxic_add(struct duress_link *link, const struct duress_toxic *toxic, uint64_t now_ns,
                                     struct duress_failure *why);

/* Gives the toxic of |toxic|->id new settings (its type and direction stay). The chunk in hand leaves without its
 * remaining delay; queued chunks are treated under the new settings with their first arrival times; counters such as
 * limit_data's survive, and so does the draw: a connection that was hit at some toxicity is hit at every greater one.
 * Its time to live and its schedule count from |toxic|->since_ns. DURESS_E_INVALID (bad toxic, no such id, or another
 * type or direction). */
DURESS_API int duress_link_toxic_update(struct duress_link *link, const struct duress_toxic *toxic, uint64_t now_ns,
                                        struct duress_failure *why);

/* Removes a toxic; what it held goes on at once, in order, none of it lost. A timeout toxic that had dropped bytes
 * closes the connection, and a reset_peer toxic that had dropped bytes resets it: a stream must not go on with a hole.
 * An end (FIN or RST) that a blackhole or reset_peer held goes on. DURESS_E_INVALID where there is no such id. */
DURESS_API int duress_link_toxic_remove(struct duress_link *link, uint64_t id, uint64_t now_ns);

/* The proxy goes down: closes both sides, drops what is held. */
DURESS_API void duress_link_down(struct duress_link *link, uint64_t now_ns) DURESS_NONNULL(1);

/* Resets both sides at once and drops what is held: a cable's cut as both ends see it. */
DURESS_API void duress_link_cut(struct duress_link *link, uint64_t now_ns) DURESS_NONNULL(1);

/* True while the chain of |direction| changes nothing and holds nothing: the driver may move the bytes itself and say
 * how many with duress_link_moved(), as long as it keeps asking after each call in. */
DURESS_API bool duress_link_is_transparent(const struct duress_link *link, enum duress_direction direction)
    DURESS_NONNULL(1);
DURESS_API void duress_link_moved(struct duress_link *link, enum duress_direction direction, uint64_t count)
    DURESS_NONNULL(1);

/* Whether the draw made toxic |id| act on this connection; false where there is no such toxic. */
DURESS_API bool duress_link_toxic_is_active(const struct duress_link *link, uint64_t id) DURESS_NONNULL(1);

/* Called for each toxic of a link in order of the chains, upstream first; those whose time to live is over are gone.
 * |is_drawn|: the draw made it act on this connection. |toxic| is borrowed for the call. */
typedef void (*duress_link_toxic_fn)(void *context, const struct duress_toxic *toxic, bool is_drawn);
DURESS_API void duress_link_visit_toxics(const struct duress_link *link, duress_link_toxic_fn fn, void *context)
    DURESS_NONNULL(1);

/* Bytes that |direction| holds now. */
DURESS_API size_t duress_link_buffered_bytes(const struct duress_link *link, enum duress_direction direction)
    DURESS_NONNULL(1);

/* Borrowed; changes with the next call in. */
DURESS_API const struct duress_link_stats *duress_link_stats(const struct duress_link *link) DURESS_NONNULL(1);

/* Called once a link by whoever keeps many: what happened on connection |connection_number| (counted from 1 in order of
 * acceptance). |stats| is borrowed for the call. */
typedef void (*duress_link_visit_fn)(void *context, uint64_t connection_number, const struct duress_link_stats *stats,
                                     bool ended);

/* What a listener in front of links counts. */
struct duress_relay_counts {
    uint64_t accepted; /* connections */
    uint64_t refused;  /* connects while it was down; a live listener cannot see them and counts none */
    uint64_t silenced; /* SYNs dropped while it was silent; live: as far as the kernel's counters show */
};

#ifdef __cplusplus
}
#endif

#endif
