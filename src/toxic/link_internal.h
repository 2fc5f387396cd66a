/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the link share: link.c (bytes and time), link_open.c (how it begins), link_close.c (how it ends),
 * link_toxics.c (its chains). */
#ifndef DURESS_TOXIC_LINK_INTERNAL_H
#define DURESS_TOXIC_LINK_INTERNAL_H

#include <duress/toxic/link.h>

#include "pipe.h"

enum link_state {
    LINK_NEW = 0, /* its first toxics are not all there yet */
    LINK_WAITING, /* a toxic delays the dial; nothing is read */
    LINK_DIALING, /* nothing is read; no toxic's clock runs */
    LINK_OPEN,    /* at least one side is in use */
    LINK_CLOSED,  /* both sides were closed or reset, or are about to be */
};

struct link_side {
    bool is_shutdown_owed;
    enum duress_link_action_type ending; /* NOTHING while the side is in use, else CLOSE or RESET */
    bool is_ending_owed;
};

struct duress_link {
    const struct duress_allocator *allocator;
    uint64_t seed;
    uint64_t number;          /* of the connection; 0: unknown */
    uint64_t now_ns;          /* the latest instant given */
    uint64_t opening_next_ns; /* LINK_WAITING: when the dial is to be thought of again */
    enum link_state state;
    bool has_tripped;
    bool is_end_early[DURESS_DIRECTION_COUNT]; /* a FIN came while dialing */
    struct link_side sides[DURESS_SIDE_COUNT];
    struct pipe pipes[DURESS_DIRECTION_COUNT];
    struct duress_link_stats stats;
};

/* |direction| leads from the source side to the sink side; a side is the source of the direction of its own number. */
static inline enum duress_side direction_source(enum duress_direction direction)
{
    return (enum duress_side)direction;
}

static inline enum duress_side direction_sink(enum duress_direction direction)
{
    return direction == DURESS_UPSTREAM ? DURESS_SIDE_SERVER : DURESS_SIDE_CLIENT;
}

static inline enum duress_direction side_source_of(enum duress_side side)
{
    return (enum duress_direction)side;
}

static inline enum duress_direction side_sink_of(enum duress_side side)
{
    return side == DURESS_SIDE_CLIENT ? DURESS_DOWNSTREAM : DURESS_UPSTREAM;
}

/* Does everything that is due until |now_ns|, each thing at its own instant. What a call in does first. */
void duress__link_advance(struct duress_link *link, uint64_t now_ns);

/* Does what the call in made due at this very instant. What a call in does last. */
void duress__link_settle(struct duress_link *link);

/* The server's side was not there yet. */
static inline bool link_is_opening(const struct duress_link *link)
{
    return link->state == LINK_WAITING || link->state == LINK_DIALING;
}

/* Finds out, as the toxics are now, when the link is to be dialed, or whether it is refused. */
void duress__link_plan_dial(struct duress_link *link);

/* |side| is closed or reset; what was meant for it is dropped. Once both are, the link is closed. */
void duress__link_side_end(struct duress_link *link, enum duress_side side, enum duress_link_action_type ending);

/* Acts on the marks that have come out of the pipes. */
void duress__link_collect_marks(struct duress_link *link);

/* Ends both sides, where they are still in use, with |ending|, and drops what is held. */
void duress__link_end_both(struct duress_link *link, enum duress_link_action_type ending);

/* Walks the whole link and asserts its invariants; slow, for tests. */
void duress__link_check(const struct duress_link *link);

#endif
