/* SPDX-License-Identifier: Apache-2.0
 *
 * How a link ends: FIN, RST, toxics that trip, down and cut; and what is owed to each side. */
#include "link_internal.h"

#include <duress/export.h>
#include <duress/time.h>

static bool side_is_gone(const struct duress_link *link, enum duress_side side)
{
    return link->sides[side].ending != DURESS_LINK_NOTHING;
}

void duress__link_side_end(struct duress_link *link, enum duress_side side, enum duress_link_action_type ending)
{
    struct link_side *ended = &link->sides[side];
    if (ended->ending != DURESS_LINK_NOTHING)
        return;
    ended->ending = ending;
    ended->is_ending_owed = true;
    if (ending == DURESS_LINK_RESET)
        ended->is_shutdown_owed = false; /* An RST does not wait for a FIN; a close may follow one. */
    duress__pipe_kill(&link->pipes[side_sink_of(side)]);
    if (!side_is_gone(link, DURESS_SIDE_CLIENT) || !side_is_gone(link, DURESS_SIDE_SERVER))
        return;
    link->state = LINK_CLOSED;
}

void duress__link_end_both(struct duress_link *link, enum duress_link_action_type ending)
{
    duress__link_side_end(link, DURESS_SIDE_CLIENT, ending);
    duress__link_side_end(link, DURESS_SIDE_SERVER, ending);
    DURESS_ASSERT(link->state == LINK_CLOSED);
}

static void trip_note(struct duress_link *link)
{
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        const struct pipe *pipe = &link->pipes[i];
        if (link->has_tripped || !pipe->has_tripped)
            continue;
        link->has_tripped = true;
        link->stats.tripped_ns = pipe->tripped_ns;
        link->stats.tripped_by = pipe->tripped_by;
    }
}

static void fin_act(struct duress_link *link, enum duress_direction direction)
{
    link->pipes[direction].mark_place = MARK_OUT;
    link->sides[direction_sink(direction)].is_shutdown_owed = true;
}

/* The mark of |direction| has come out, and everything before it was written. */
static void mark_act(struct duress_link *link, enum duress_direction direction)
{
    switch (link->pipes[direction].mark) {
    case MARK_FIN:
        fin_act(link, direction);
        return;
    case MARK_RST:
        /* The source was closed when its RST came; this was the rest. */
        DURESS_ASSERT(side_is_gone(link, direction_source(direction)));
        duress__link_side_end(link, direction_sink(direction), DURESS_LINK_RESET);
        return;
    case MARK_CLOSE:
        duress__link_end_both(link, DURESS_LINK_CLOSE);
        return;
    case MARK_RESET:
        duress__link_end_both(link, DURESS_LINK_RESET);
        return;
    case MARK_NONE:
        break;
    }
    DURESS_ASSERT(link->pipes[direction].mark != MARK_NONE);
}

void duress__link_collect_marks(struct duress_link *link)
{
    trip_note(link);
    for (int i = 0; i < DURESS_DIRECTION_COUNT && link->state == LINK_OPEN; i++)
        if (link->pipes[i].mark_place == MARK_AT_EXIT && link->pipes[i].exit.first == NULL)
            mark_act(link, (enum duress_direction)i);
    bool have_both_ended =
        link->pipes[DURESS_UPSTREAM].mark_place == MARK_OUT && link->pipes[DURESS_DOWNSTREAM].mark_place == MARK_OUT;
    if (link->state == LINK_OPEN && have_both_ended)
        duress__link_end_both(link, DURESS_LINK_CLOSE);
}

void duress_link_end(struct duress_link *link, enum duress_direction direction, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    uint64_t *fin_in_ns = &link->stats.direction[direction].fin_in_ns;
    if (link->state == LINK_CLOSED || side_is_gone(link, direction_source(direction)))
        return;
    if (*fin_in_ns == 0)
        *fin_in_ns = link->now_ns;
    if (link_is_opening(link)) {
        link->is_end_early[direction] = true;
        return;
    }
    duress__pipe_end(&link->pipes[direction], MARK_FIN);
    duress__link_settle(link);
}

void duress_link_reset(struct duress_link *link, enum duress_side side, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    if (link->state == LINK_CLOSED || side_is_gone(link, side))
        return;
    link->stats.reset_in_ns[side] = link->now_ns;
    if (link_is_opening(link)) {
        duress__link_end_both(link, DURESS_LINK_CLOSE); /* There is no other side yet to be reset. */
        return;
    }
    link->sides[side].is_shutdown_owed = false; /* Nothing can be sent there any more. */
    duress__link_side_end(link, side, DURESS_LINK_CLOSE);
    duress__pipe_end(&link->pipes[side_source_of(side)], MARK_RST);
    duress__link_settle(link);
}

void duress_link_down(struct duress_link *link, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    if (link->state != LINK_CLOSED)
        duress__link_end_both(link, DURESS_LINK_CLOSE);
}

void duress_link_cut(struct duress_link *link, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    if (link->state != LINK_CLOSED)
        duress__link_end_both(link, DURESS_LINK_RESET);
}

static struct duress_link_action side_poll_ending(struct duress_link *link, enum duress_side side)
{
    struct link_side *polled = &link->sides[side];
    if (!polled->is_ending_owed)
        return (struct duress_link_action){.type = DURESS_LINK_NOTHING};
    polled->is_ending_owed = false;
    if (polled->ending == DURESS_LINK_RESET)
        link->stats.reset_out_ns[side] = link->now_ns;
    else
        link->stats.close_out_ns[side] = link->now_ns;
    return (struct duress_link_action){.type = polled->ending, .side = side};
}

struct duress_link_action duress_link_poll(struct duress_link *link, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    for (int i = 0; i < DURESS_SIDE_COUNT; i++) {
        enum duress_side side = (enum duress_side)i;
        if (!link->sides[side].is_shutdown_owed)
            continue;
        link->sides[side].is_shutdown_owed = false;
        link->stats.direction[side_sink_of(side)].fin_out_ns = link->now_ns;
        return (struct duress_link_action){.type = DURESS_LINK_SHUTDOWN, .side = side};
    }
    for (int i = 0; i < DURESS_SIDE_COUNT; i++) {
        struct duress_link_action action = side_poll_ending(link, (enum duress_side)i);
        if (action.type != DURESS_LINK_NOTHING)
            return action;
    }
    return (struct duress_link_action){.type = DURESS_LINK_NOTHING};
}

bool duress_link_is_done(const struct duress_link *link)
{
    const struct link_side *client = &link->sides[DURESS_SIDE_CLIENT];
    const struct link_side *server = &link->sides[DURESS_SIDE_SERVER];
    return link->state == LINK_CLOSED && !client->is_ending_owed && !server->is_ending_owed;
}
