/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence: that what a test ordered has really happened, as the links, the kernel and the services saw it. */
#include "internal.h"

#include <stdio.h>

struct evidence_search {
    const struct chaos_evidence *evidence;
    uint64_t resets;
    uint64_t closes;
    uint64_t acts;
    uint64_t held_bytes; /* taken from the source, in the toxic's direction, and not passed on */
    bool held;
};

/* How often toxics like |toxic| have acted on a connection. Only what trips a connection leaves its id; all else is
 * counted together, and compared with the count from before the toxic came. */
static uint64_t toxic_acts(const struct duress_toxic *toxic, const struct duress_link_stats *stats)
{
    const struct duress_link_direction_stats *direction = &stats->direction[toxic->direction];
    uint64_t trips = stats->tripped_ns != 0 && stats->tripped_by == toxic->id;
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
    case DURESS_TOXIC_BANDWIDTH:
    case DURESS_TOXIC_SHARED_BANDWIDTH:
    case DURESS_TOXIC_LATENCY_NORMAL:
    case DURESS_TOXIC_LATENCY_PARETO:
    case DURESS_TOXIC_LATENCY_QUANTILES:
        return direction->chunks_delayed;
    case DURESS_TOXIC_PACKET_LOSS:
        return direction->segments_lost;
    case DURESS_TOXIC_UNPLUG:
        return 0; /* What it holds shows it. */
    case DURESS_TOXIC_SLOW_OPEN:
        return stats->dial_ns != stats->started_ns; /* later, or not at all yet */
    case DURESS_TOXIC_SLOW_CLOSE:
        return direction->fin_in_ns != 0 &&
               (direction->fin_out_ns == 0 || direction->fin_out_ns > direction->fin_in_ns);
    case DURESS_TOXIC_SLICER:
        return direction->pieces_sliced;
    case DURESS_TOXIC_BLACKHOLE:
        return direction->bytes_dropped;
    case DURESS_TOXIC_CORRUPT:
        return direction->bytes_corrupted;
    case DURESS_TOXIC_TIMEOUT:
        return direction->bytes_dropped + trips;
    case DURESS_TOXIC_RESET_PEER:
    case DURESS_TOXIC_LIMIT_DATA:
    case DURESS_TOXIC_CUT:
    case DURESS_TOXIC_LIMIT_TIME:
    case DURESS_TOXIC_REFUSE:
    case DURESS_TOXIC_FAIL_FIRST:
        return trips;
    case DURESS_TOXIC_NOOP:
        return direction->bytes_in;
    case DURESS_TOXIC_TYPE_COUNT:
        break;
    }
    return 0;
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
    if (search->evidence == NULL || search->evidence->kind != CHAOS_EVIDENCE_TOXIC)
        return;
    const struct duress_toxic *toxic = &search->evidence->toxic;
    search->acts += toxic_acts(toxic, stats);
    search->held_bytes += stats->direction[toxic->direction].bytes_in - stats->direction[toxic->direction].bytes_out;
}

static struct evidence_search link_search(struct chaos_link *link, const struct chaos_evidence *evidence)
{
    struct evidence_search search = {.evidence = evidence};
    link->chaos->driver->relay_visit(link->relay, search_visit, &search);
    return search;
}

/* How often the kernel itself told the caller that nobody listens. */
static uint64_t refusal_count(const struct chaos_link *link)
{
    uint64_t count = 0;
    for (size_t i = 0; i < link->attempts.count; i++)
        count += link->attempts.items[i].error == DURESS_E_REFUSED;
    return count;
}

struct chaos_evidence *chaos__evidence_add(struct chaos *chaos, enum chaos_evidence_kind kind, struct chaos_link *link,
                                           struct chaos_service *service)
{
    struct chaos_evidence *evidence = chaos__allocate(chaos, sizeof *evidence);
    *evidence = (struct chaos_evidence){.next = chaos->evidence, .kind = kind, .link = link, .service = service};
    if (service != NULL)
        evidence->arrivals_before = chaos_service_arrivals(service);
    if (link != NULL) {
        struct evidence_search search = link_search(link, NULL);
        evidence->since_ns = chaos_now_ns(chaos);
        evidence->ends_before = link->service->end.number;
        evidence->before = chaos->driver->relay_counts(link->relay);
        evidence->resets_before = search.resets;
        evidence->closes_before = search.closes;
        evidence->refusals_before = refusal_count(link);
    }
    chaos->evidence = evidence;
    return evidence;
}

void chaos__evidence_of_toxic(struct chaos_link *link, const struct duress_toxic *toxic)
{
    struct chaos_evidence *evidence = chaos__evidence_add(link->chaos, CHAOS_EVIDENCE_TOXIC, link, NULL);
    evidence->toxic = *toxic;
    struct evidence_search search = link_search(link, evidence);
    evidence->acts_before = search.acts;
    evidence->held_bytes_before = search.held_bytes;
}

static bool toxic_holds(enum duress_toxic_type type)
{
    switch (type) {
    case DURESS_TOXIC_LATENCY:
    case DURESS_TOXIC_BANDWIDTH:
    case DURESS_TOXIC_SHARED_BANDWIDTH:
    case DURESS_TOXIC_LATENCY_NORMAL:
    case DURESS_TOXIC_LATENCY_PARETO:
    case DURESS_TOXIC_LATENCY_QUANTILES:
    case DURESS_TOXIC_UNPLUG:
        return true;
    default:
        return false;
    }
}

/* Late bytes show a latency or a bandwidth, and so do those that are held, or were until nobody was left to have them.
 */
static bool toxic_was_shown(const struct chaos_evidence *evidence, struct evidence_search search)
{
    if (evidence->link != NULL && evidence->link->chaos->driver->proxy_url != NULL)
        return chaos__evidence_seen(evidence);
    bool holds = toxic_holds(evidence->toxic.type);
    return search.acts > evidence->acts_before || (holds && search.held_bytes > evidence->held_bytes_before);
}

void chaos__evidence_toxic_removed(struct chaos_evidence *evidence)
{
    evidence->shown = evidence->shown || toxic_was_shown(evidence, link_search(evidence->link, evidence));
    evidence->removed = true;
}

void chaos__evidence_of_name(struct chaos *chaos, const char *host)
{
    struct chaos_evidence *evidence = chaos__evidence_add(chaos, CHAOS_EVIDENCE_NAME, NULL, NULL);
    (void)snprintf(evidence->host, sizeof evidence->host, "%s", host);
    evidence->questions_before = chaos->driver->name_questions(chaos, host);
}

bool chaos__link_holds_bytes(struct chaos_link *link)
{
    return link_search(link, NULL).held;
}

static bool slow_was_shown(const struct chaos_evidence *evidence)
{
    uint64_t count = chaos_service_arrivals(evidence->service);
    for (uint64_t i = evidence->arrivals_before; i < count; i++) {
        struct chaos_arrival arrival = chaos_service_arrival(evidence->service, i);
        uint64_t think_ns = chaos_service_thinking_ns(evidence->service, i);
        if (think_ns == 0)
            continue;
        if (arrival.cancelled || arrival.ended_ns == 0 || arrival.ended_ns >= duress_time_add(arrival.at_ns, think_ns))
            return true;
    }
    return false;
}

/* Between two arrivals the wall clock has gone otherwise than time has, by the step that was ordered. */
static bool wall_was_shown(const struct chaos_evidence *evidence)
{
    struct chaos_service *service = evidence->service;
    uint64_t count = chaos_service_arrivals(service);
    for (uint64_t i = evidence->arrivals_before; i < count; i++) {
        uint64_t ahead_ns = chaos_service_wall_ns(service, i) - chaos_service_arrival(service, i).at_ns;
        int64_t seen_ns = (int64_t)(ahead_ns - evidence->wall_ahead_ns);
        int64_t off_ns = seen_ns - evidence->wall_step_ns;
        if (off_ns < (int64_t)DURESS_S && off_ns > -(int64_t)DURESS_S)
            return true;
    }
    return false;
}

static bool chunks_were_shown(struct chaos_service *service)
{
    uint64_t count = chaos_service_arrivals(service);
    for (uint64_t i = 0; i < count; i++)
        if (chaos_service_arrival(service, i).chunk_count > 0)
            return true;
    return false;
}

static bool evidence_is_shown(struct chaos *chaos, struct chaos_evidence *evidence)
{
    if (evidence->shown)
        return true;
    struct evidence_search search = {0};
    struct duress_relay_counts counts = {0};
    uint64_t refusals = 0;
    if (evidence->link != NULL) {
        search = link_search(evidence->link, evidence);
        counts = chaos->driver->relay_counts(evidence->link->relay);
        refusals = refusal_count(evidence->link);
    }
    switch (evidence->kind) {
    case CHAOS_EVIDENCE_TOXIC:
        return !evidence->removed && toxic_was_shown(evidence, search);
    case CHAOS_EVIDENCE_CUT:
        return search.resets > evidence->resets_before;
    case CHAOS_EVIDENCE_DOWN:
        if (refusals > evidence->refusals_before)
            return true;
        if (chaos->driver->proxy_url != NULL)
            return chaos__evidence_seen(evidence);
        return counts.refused > evidence->before.refused || search.closes > evidence->closes_before;
    case CHAOS_EVIDENCE_SILENCE:
        return counts.silenced > evidence->before.silenced;
    case CHAOS_EVIDENCE_PARTITION:
        return counts.silenced > evidence->before.silenced || search.held;
    case CHAOS_EVIDENCE_END:
    case CHAOS_EVIDENCE_FREEZE:
        return false; /* settled when it happens */
    case CHAOS_EVIDENCE_NAME:
        return chaos->driver->name_questions(chaos, evidence->host) > evidence->questions_before;
    case CHAOS_EVIDENCE_SLOW:
        return slow_was_shown(evidence);
    case CHAOS_EVIDENCE_CHUNKS:
        return chunks_were_shown(evidence->service);
    case CHAOS_EVIDENCE_REFUSED:
        return chaos_service_refused(evidence->service, evidence->scarcity) > evidence->refused_before;
    case CHAOS_EVIDENCE_CPU:
        return !evidence->removed && chaos__cpu_was_scarce(evidence);
    case CHAOS_EVIDENCE_QUEUED:
        return !evidence->removed && chaos->driver->service_queued(evidence->service) > 0;
    case CHAOS_EVIDENCE_WALL:
        return wall_was_shown(evidence);
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

static const char *end_text(enum chaos_end_how how)
{
    switch (how) {
    case CHAOS_END_EXITED:
        return "the service ended by itself, with everything answered";
    case CHAOS_END_SIGKILL:
        return "the service died of SIGKILL";
    case CHAOS_END_SIGSEGV:
        return "the service died of SIGSEGV";
    case CHAOS_END_OOM:
        return "the kernel killed the service for want of memory";
    default:
        return "the service ended";
    }
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
    case CHAOS_EVIDENCE_END:
        return end_text(evidence->end);
    case CHAOS_EVIDENCE_FREEZE:
        return "the service stopped";
    case CHAOS_EVIDENCE_REFUSED:
        return "the kernel refused the service what it asked for";
    case CHAOS_EVIDENCE_CPU:
        return "the service waited for its processor";
    case CHAOS_EVIDENCE_QUEUED:
        return "a connection waited to be accepted";
    case CHAOS_EVIDENCE_WALL:
        return "a request arrived after the wall clock's step";
    case CHAOS_EVIDENCE_NAME:
        return "the name server was asked";
    case CHAOS_EVIDENCE_SLOW:
        return "a request was answered as slowly as ordered";
    case CHAOS_EVIDENCE_CHUNKS:
        return "a request was answered in chunks";
    }
    return "a fault happened";
}
