/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of one link: two sockets, a timer, and the rule that the link's outputs are asked for after each input
 * until there are none. Decides nothing itself. Private to proxy/.
 *
 *     dialing ──► open ──► parting (close or RST, behind the bytes before it) ──► closed
 *        └──────────┴──────────────────────────────────────────────────────────────┘
 *
 * A direction whose link is transparent does not pass through it: what is read is written at once, and only what the
 * sink does not take is pushed. One that moves bulk is spliced (splice.h). The link never hears of an end, a reset or a
 * change while bytes of that direction are in a pipe: they are read out and pushed first.
 *
 * A connection frees itself when its link is done and both sockets are closed. */
#ifndef DURESS_PROXY_CONNECTION_H
#define DURESS_PROXY_CONNECTION_H

#include <stdatomic.h>
#include <stddef.h>

#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/toxic/link_history_private.h>
#include <duress/toxic/toxic_list_private.h>

#include "dial_times.h"
#include "parting.h"
#include "splice.h"
#include "upstream.h"

#define CONNECTION_SCRATCH_BYTES DURESS_LINK_CHUNK_BYTES_MAX
#define CONNECTION_DIAL_LIMIT_NS_DEFAULT (10 * DURESS_S)

/* Written by the thread of their set alone, read by any: each figure by itself is right, together they may be a moment
 * apart. */
struct connection_traffic {
    _Atomic uint64_t bytes_in;      /* read from the source */
    _Atomic uint64_t bytes_out;     /* taken by the sink's kernel */
    _Atomic uint64_t bytes_spliced; /* of those, moved without a copy */
};
struct connection_figures {
    _Atomic uint64_t open_count;   /* connections that have a socket open */
    _Atomic uint64_t failed_dials; /* connections whose upstream could not be reached */
    struct dial_times dial_times;  /* of the others */
    struct connection_traffic direction[DURESS_DIRECTION_COUNT];
};

/* The connections of one proxy on one loop, and what they share. Owned by the loop's thread. */
struct connection_set {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct upstream *upstream; /* what they dial */
    uint64_t seed;
    uint64_t dial_limit_ns;
    size_t buffer_bytes_max;
    struct duress_toxic_list toxics;
    struct duress_link_history *history; /* NULL: nobody asks */
    struct splice_pool *pipes;           /* NULL: nothing is spliced */
    uint8_t *scratch; /* CONNECTION_SCRATCH_BYTES; one for many, so that an idle connection keeps none */
    void (*gone)(struct connection_set *set,
                 bool doomed); /* once for each that was opened, or failed to; may be NULL */

    struct connection *first;
    size_t count;
    struct connection_figures figures;
};

enum connection_state {
    CONNECTION_CLOSED = 0,
    CONNECTION_DIALING, /* of the server's side only; it begins when the link says so */
    CONNECTION_OPEN,
    CONNECTION_PARTING,
};

struct connection_side {
    uint8_t name;             /* enum duress_side */
    uint8_t state;            /* enum connection_state */
    uint8_t full_reads;       /* in a row: the direction from here moves bulk */
    bool blocked;             /* the kernel takes no bytes until it says WRITABLE */
    bool ended;               /* FIN was read */
    bool dead;                /* the link was told of its reset; waits for the link's CLOSE */
    bool draining;            /* not read before the link holds nothing, so that splicing can go on */
    struct splice_pipe *pipe; /* with bytes that were read here, and that the other side has not taken; NULL */
    struct duress_socket socket;
    struct parting parting;
};

struct connection {
    struct connection_set *set;
    struct connection *previous;
    struct connection *next;
    uint64_t number;
    struct duress_link *link;                  /* NULL once it is done */
    struct duress_link_history_entry *history; /* likewise */
    struct duress_timer timer;
    struct dial dial;
    uint64_t dial_deadline_ns; /* DURESS_TIME_NEVER before the dial, and once it has ended */
    uint64_t dial_again_ns;    /* a Unix listener's queue was full, or the next address gets its turn */
    bool has_dialed;
    bool abrupt; /* resets do not wait for bytes in the kernel */
    bool doomed; /* by duress__connections_down(): somebody waits for its end */
    struct connection_side sides[DURESS_SIDE_COUNT];
};

/* The connection whose side it is. */
static inline struct connection *connection_of(struct connection_side *side)
{
    char *first = (char *)(side - side->name);
    return (struct connection *)(void *)(first - offsetof(struct connection, sides));
}

/* Makes what they dial; as duress__upstream_new(). */
struct upstream *duress__connections_upstream(const struct connection_set *set, const char *text);

/* Makes connection |number| of a client's socket |fd| (taken, on failure too, when it is reset) and begins to dial.
 * NO_MEMORY, NO_DESCRIPTORS, SYSTEM. */
DURESS_MUST_CHECK int duress__connection_open(struct connection_set *set, uint64_t number, int fd);

/* Resets both sockets at once; what the kernel has not sent yet is lost. Frees the connection. */
void duress__connection_cut(struct connection *connection);

/* Closes both sockets at once, as close(2) does, and frees. */
void duress__connection_free(struct connection *connection);

/* Makes |change| to every open link and does what it then wants. A link that has no memory for the change is cut: it
 * must not go on as if nothing had been asked. */
void duress__connections_change(struct connection_set *set, const struct duress_link_change *change);

/* The proxy goes down: every connection is closed, and marked as doomed. */
void duress__connections_down(struct connection_set *set);

/* Closes |fd|, a TCP socket of no connection, with an RST. */
void duress__descriptor_reset(int fd);

#endif
