/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence: that what a test ordered has really happened, as the links, the kernel and the services saw it. */
#include "internal.h"

#include <stdio.h>

struct evidence_search {
    const struct chaos_evidence *evidence;
    uint64_t resets;
    uint64_t closes;
    bool held;
    bool acted;
};

static bool toxic_acted(const struct duress_toxic *toxic, const struct duress_link_stats *stats)
{
    const struct duress_link_direction_stats *direction = &stats->direction[toxic->direction];
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
    case DURESS_TOXIC_BANDWIDTH: /* passed on later, or held until there was nobody left to have it */
        return direction->chunks_delayed > 0 || direction->bytes_in > direction->bytes_out;
    case DURESS_TOXIC_SLOW_CLOSE:
        return direction->fin_in_ns != 0 &&
               (direction->fin_out_ns == 0 || direction->fin_out_ns > direction->fin_in_ns);
    case DURESS_TOXIC_SLICER:
        return direction->pieces_sliced > 0;
    case DURESS_TOXIC_BLACKHOLE:
        return direction->bytes_dropped > 0;
    case DURESS_TOXIC_CORRUPT:
        return direction->bytes_corrupted > 0;
    case DURESS_TOXIC_TIMEOUT:
        return direction->bytes_dropped > 0 || (stats->tripped_ns != 0 && stats->tripped_by == toxic->id);
    case DURESS_TOXIC_RESET_PEER:
    case DURESS_TOXIC_LIMIT_DATA:
    case DURESS_TOXIC_CUT:
        return stats->tripped_ns != 0 && stats->tripped_by == toxic->id;
    case DURESS_TOXIC_NOOP:
        return direction->bytes_in > 0;
    case DURESS_TOXIC_TYPE_COUNT:
        break;
    }
    return false;
}

static bool link_holds(const struct duress_link_stats *stats)
{
    for (unsigned i = 0; i < DURESS_DIRECTION_COUNT; i++)
        if (stats->direction[i].bytes_in > stats->direction[i].bytes_out + stats->direction[i].bytes_dropped)
            return true;
    return false;
}

static void search_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    (void)number;
    struct evidence_search *search = context;
    for (unsigned side = 0; side < DURESS_SIDE_COUNT; side++) {
        search->resets += stats->reset_out_ns[side] != 0;
        search->closes += stats->close_out_ns[side] != 0;
    }
    search->held = search->held || (!ended && link_holds(stats));
    if (search->evidence != NULL && search->evidence->kind == CHAOS_EVIDENCE_TOXIC)
        search->acted = search->acted || toxic_acted(&search->evidence->toxic, stats);
}

static struct evidence_search link_search(struct chaos_link *link, const struct chaos_evidence *evidence)
{
    struct evidence_search search = {.evidence = evidence};
    link->chaos->driver->relay_visit(link->relay, search_visit, &search);
    return search;
}

struct chaos_evidence *chaos__evidence_add(struct chaos *chaos, enum chaos_evidence_kind kind, struct chaos_link *link,
                                           struct chaos_service *service)
{
    struct chaos_evidence *evidence = chaos__allocate(chaos, sizeof *evidence);
    *evidence = (struct chaos_evidence){.next = chaos->evidence, .kind = kind, .link = link, .service = service};
    if (link != NULL) {
        struct evidence_search search = link_search(link, NULL);
        evidence->before = chaos->driver->relay_counts(link->relay);
        evidence->resets_before = search.resets;
        evidence->closes_before = search.closes;
    }
    chaos->evidence = evidence;
    return evidence;
}

bool chaos__link_holds_bytes(struct chaos_link *link)
{
    return link_search(link, NULL).held;
}

/* The kernel itself told the caller that nobody listens. */
static bool refusal_was_seen(const struct chaos_link *link)
{
    for (size_t i = 0; i < link->attempts.count; i++)
        if (link->attempts.items[i].error == DURESS_E_REFUSED)
            return true;
    return false;
}

static bool slow_was_shown(struct chaos_service *service)
{
    uint64_t count = chaos_service_arrivals(service);
    for (uint64_t i = 0; i < count; i++) {
        struct chaos_arrival arrival = chaos_service_arrival(service, i);
        if (arrival.cancelled || arrival.ended_ns == 0)
            return true;
        if (arrival.ended_ns >= duress_time_add(arrival.at_ns, service->config.reply_after_ns))
            return true;
    }
    return false;
}

static bool evidence_is_shown(struct chaos *chaos, struct chaos_evidence *evidence)
{
    if (evidence->shown)
        return true;
    struct evidence_search search = {0};
    struct duress_relay_counts counts = {0};
    if (evidence->link != NULL) {
        search = link_search(evidence->link, evidence);
        counts = chaos->driver->relay_counts(evidence->link->relay);
    }
    switch (evidence->kind) {
    case CHAOS_EVIDENCE_TOXIC:
        return search.acted;
    case CHAOS_EVIDENCE_CUT:
        return search.resets > evidence->resets_before;
    case CHAOS_EVIDENCE_DOWN:
        return counts.refused > evidence->before.refused || refusal_was_seen(evidence->link) ||
               search.closes > evidence->closes_before;
    case CHAOS_EVIDENCE_SILENCE:
        return counts.silenced > evidence->before.silenced;
    case CHAOS_EVIDENCE_PARTITION:
        return counts.silenced > evidence->before.silenced || search.held;
    case CHAOS_EVIDENCE_KILL:
        return chaos->driver->service_kill_is_shown(evidence->service);
    case CHAOS_EVIDENCE_NAME:
        return chaos->driver->name_questions(chaos, evidence->host) > 0;
    case CHAOS_EVIDENCE_SLOW:
        return slow_was_shown(evidence->service);
    }
    return false;
}

struct chaos_evidence *chaos__evidence_missing(struct chaos *chaos)
{
    for (struct chaos_evidence *evidence = chaos->evidence; evidence != NULL; evidence = evidence->next)
        if (!evidence_is_shown(chaos, evidence))
            return evidence;
    return NULL;
}

const char *chaos__evidence_text(const struct chaos_evidence *evidence)
{
    switch (evidence->kind) {
    case CHAOS_EVIDENCE_TOXIC:
        switch (evidence->toxic.type) {
        case DURESS_TOXIC_CUT:
            return "the cut toxic cut a connection";
        case DURESS_TOXIC_CORRUPT:
            return "the corrupt toxic changed a byte";
        default:
            return "a toxic acted on a connection";
        }
    case CHAOS_EVIDENCE_CUT:
        return "a connection was reset";
    case CHAOS_EVIDENCE_DOWN:
        return "a connect was refused or a connection closed";
    case CHAOS_EVIDENCE_SILENCE:
        return "a SYN went unanswered";
    case CHAOS_EVIDENCE_PARTITION:
        return "the partition held bytes or dropped a SYN";
    case CHAOS_EVIDENCE_KILL:
        return "the service died of SIGKILL";
    case CHAOS_EVIDENCE_NAME:
        return "the name server was asked";
    case CHAOS_EVIDENCE_SLOW:
        return "a request was answered as slowly as ordered";
    }
    return "a fault happened";
}
