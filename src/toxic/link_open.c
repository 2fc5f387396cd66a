/* SPDX-License-Identifier: Apache-2.0
 *
 * How a link begins: toxics that delay or refuse the dial, and what the dial brought. */
#include "link_internal.h"

#include <duress/export.h>
#include <duress/time.h>

/* The client is reset in place of a dial. There is no server's side; its driver closes what it has made for it. */
static void link_refuse(struct duress_link *link, uint64_t id)
{
    link->has_tripped = true;
    link->stats.tripped_ns = link->now_ns;
    link->stats.tripped_by = id;
    duress__link_side_end(link, DURESS_SIDE_CLIENT, DURESS_LINK_RESET);
    duress__link_side_end(link, DURESS_SIDE_SERVER, DURESS_LINK_CLOSE);
}

void duress__link_plan_dial(struct duress_link *link)
{
    if (link->state != LINK_WAITING)
        return;
    uint64_t dial_ns = link->stats.started_ns;
    uint64_t turn_ns = DURESS_TIME_NEVER;
    const struct stage *refusing = NULL;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        for (struct stage *stage = link->pipes[i].first; stage != NULL; stage = stage->next) {
            if (stage->kind->opening == NULL)
                continue;
            duress__stage_turn(stage, link->now_ns);
            turn_ns = duress_time_min(turn_ns, stage->turn_ns);
            if (!stage_acts(stage))
                continue;
            struct stage_opening opening = stage->kind->opening(stage, link->number);
            dial_ns = duress_time_add(dial_ns, opening.delay_ns);
            if (opening.is_refused && refusing == NULL)
                refusing = stage;
        }
    }
    link->opening_next_ns = duress_time_min(dial_ns, turn_ns);
    if (link->now_ns < dial_ns)
        return;
    if (refusing != NULL) {
        link_refuse(link, refusing->toxic.id);
        return;
    }
    link->state = LINK_DIALING;
    link->stats.dial_ns = link->now_ns;
}

bool duress_link_wants_dial(const struct duress_link *link)
{
    return link->state == LINK_DIALING;
}

void duress_link_dialed(struct duress_link *link, int error, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    if (!link_is_opening(link))
        return;
    link->stats.dialed_ns = link->now_ns;
    link->stats.dial_error = (enum duress_error)error;
    if (error != DURESS_OK) {
        duress__link_end_both(link, DURESS_LINK_CLOSE);
        return;
    }
    link->state = LINK_OPEN;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        duress__pipe_start(&link->pipes[i], link->now_ns);
        if (link->is_end_early[i])
            duress__pipe_end(&link->pipes[i], MARK_FIN);
    }
    duress__link_settle(link);
}
