/* SPDX-License-Identifier: Apache-2.0
 *
 * How the bytes of one connection move: read and written, through its link or beside it, or spliced. Private to proxy/.
 */
#ifndef DURESS_PROXY_TRAFFIC_H
#define DURESS_PROXY_TRAFFIC_H

#include "connection.h"

/* How long a receiver may take nothing before what a pipe holds for it is read out, and the pipe serves another. */
#define TRAFFIC_STALL_NS (20 * DURESS_MS)

/* The direction whose source |side| is, and the one whose sink it is. */
static inline enum duress_direction traffic_from(struct connection_side *side)
{
    return side->name == DURESS_SIDE_CLIENT ? DURESS_UPSTREAM : DURESS_DOWNSTREAM;
}
static inline enum duress_direction traffic_to(struct connection_side *side)
{
    return side->name == DURESS_SIDE_CLIENT ? DURESS_DOWNSTREAM : DURESS_UPSTREAM;
}
static inline struct connection_side *traffic_peer(struct connection_side *side)
{
    return &connection_of(side)->sides[side->name == DURESS_SIDE_CLIENT ? DURESS_SIDE_SERVER : DURESS_SIDE_CLIENT];
}

/* Writes what is due for |side|, one piece a write, as far as |*writes_left| allows. True where the link was given
 * something to answer to. */
bool duress__traffic_write(struct connection_side *side, size_t *writes_left, uint64_t now_ns);

/* Reads from |side| once and moves on what came. READ_SOME: less than was asked for. */
enum traffic_read {
    TRAFFIC_NOTHING = 0, /* none came, none is wanted, or the stream ended */
    TRAFFIC_SOME,        /* the kernel has no more, as a rule, and will tell when it has */
    TRAFFIC_ALL,         /* as much as was asked for */
};
enum traffic_read duress__traffic_read(struct connection_side *side, uint64_t now_ns);

/* Whether |side| is to be read, and whether something waits to be written to it. */
bool duress__traffic_wants_read(struct connection_side *side);
bool duress__traffic_wants_write(struct connection_side *side, uint64_t now_ns);

/* What a pipe holds that was read from |side| goes into the link, as far as that takes it, and the pipe back. */
void duress__traffic_read_out(struct connection_side *side, uint64_t now_ns);

/* Lets go of the pipe, whatever it holds. */
void duress__traffic_drop(struct connection_side *side);

#endif
