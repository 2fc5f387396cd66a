/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence from the two ends of a link whose middle is in another program: what the caller saw of each attempt, and
 * what the service logged. Little can be shown so, but what is shown did happen. */
#include "internal.h"

/* What a busy machine may take between two ends of a link that nothing slows. */
#define SEEN_MARGIN_NS (5 * DURESS_MS)

/* An attempt, and the requests that came to the service while it ran. One of them is its own, if it arrived at all: so
 * what holds of all of them holds of that. */
struct sighting {
    struct chaos_attempt attempt; /* one that still runs ends now */
    bool is_over;
    uint64_t arrival_count;
    uint64_t up_ns_min;   /* the shortest way from its start to an arrival */
    uint64_t down_ns_min; /* the shortest way from an answer to its end */
    uint64_t unanswered_count;
};

static struct sighting sight(const struct chaos_evidence *evidence, size_t index)
{
    struct chaos_link *link = evidence->link;
    struct sighting seen = {.up_ns_min = DURESS_TIME_NEVER, .down_ns_min = DURESS_TIME_NEVER};
    seen.attempt = link->attempts.items[index];
    seen.is_over = seen.attempt.ended_ns != 0;
    if (!seen.is_over)
        seen.attempt.ended_ns = chaos_now_ns(link->chaos);
    uint64_t count = link->service->shared != NULL ? chaos_service_arrivals(link->service) : 0;
    for (uint64_t i = 0; i < count; i++) {
        struct chaos_arrival arrival = chaos_service_arrival(link->service, i);
        if (arrival.at_ns < seen.attempt.started_ns || arrival.at_ns > seen.attempt.ended_ns)
            continue;
        uint64_t up_ns = arrival.at_ns - seen.attempt.started_ns;
        seen.arrival_count++;
        seen.up_ns_min = up_ns < seen.up_ns_min ? up_ns : seen.up_ns_min;
        if (arrival.ended_ns == 0 || arrival.cancelled || arrival.ended_ns > seen.attempt.ended_ns) {
            seen.unanswered_count++;
            continue;
        }
        uint64_t down_ns = seen.attempt.ended_ns - arrival.ended_ns;
        seen.down_ns_min = down_ns < seen.down_ns_min ? down_ns : seen.down_ns_min;
    }
    return seen;
}

static bool has_replied(const struct sighting *seen)
{
    return seen->is_over && seen->attempt.error == DURESS_OK;
}

/* The attempt waited in vain for what is under way: a request that has not arrived, or an answer that has been given.
 */
static bool was_held(const struct sighting *seen, enum duress_direction direction)
{
    bool waited =
        !seen->is_over || seen->attempt.error == DURESS_E_DEADLINE || seen->attempt.error == DURESS_E_CANCELLED;
    uint64_t took_ns = seen->attempt.ended_ns - seen->attempt.started_ns;
    if (!waited)
        return false;
    if (direction == DURESS_UPSTREAM)
        return seen->arrival_count == 0 && took_ns >= SEEN_MARGIN_NS;
    return seen->arrival_count > 0 && seen->unanswered_count == 0 && seen->down_ns_min >= SEEN_MARGIN_NS;
}

/* What passed was late by |late_ns|, or did not come while one waited. */
static bool was_late(const struct sighting *seen, enum duress_direction direction, uint64_t late_ns)
{
    if (was_held(seen, direction))
        return true;
    if (!has_replied(seen) || seen->arrival_count == 0 || late_ns < SEEN_MARGIN_NS)
        return false;
    if (direction == DURESS_UPSTREAM)
        return seen->up_ns_min >= late_ns;
    return seen->unanswered_count == 0 && seen->down_ns_min >= late_ns;
}

/* The connection ended under the attempt, and not because the service did. */
static bool was_broken(const struct chaos_evidence *evidence, const struct sighting *seen)
{
    if (!chaos_service_is_up(evidence->link->service) || evidence->ends_before != evidence->link->service->end.number)
        return false;
    return seen->is_over && (seen->attempt.error == DURESS_E_RESET || seen->attempt.error == DURESS_E_TRUNCATED);
}

/* How long what the service is known to send takes at that rate; 0 where it is not known, NEVER for a stall. */
static uint64_t rate_late_ns(const struct chaos_evidence *evidence, uint64_t rate_bytes_per_s)
{
    if (rate_bytes_per_s == 0)
        return DURESS_TIME_NEVER;
    if (evidence->toxic.direction == DURESS_UPSTREAM)
        return 0;
    return duress_time_multiply(evidence->link->service->config.reply_bytes, DURESS_S) / rate_bytes_per_s;
}

static bool toxic_was_seen(const struct chaos_evidence *evidence, const struct sighting *seen)
{
    const struct duress_toxic *toxic = &evidence->toxic;
    uint64_t latency_ns = toxic->as.latency.latency_ns;
    uint64_t jitter_ns = toxic->as.latency.jitter_ns;
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
        return was_late(seen, toxic->direction, latency_ns > jitter_ns ? latency_ns - jitter_ns : 0);
    case DURESS_TOXIC_BANDWIDTH:
        return was_late(seen, toxic->direction, rate_late_ns(evidence, toxic->as.bandwidth.rate_bytes_per_s));
    case DURESS_TOXIC_SHARED_BANDWIDTH:
        return was_late(seen, toxic->direction, rate_late_ns(evidence, toxic->as.shared_bandwidth.rate_bytes_per_s));
    case DURESS_TOXIC_SLOW_OPEN:
        return was_late(seen, DURESS_UPSTREAM, toxic->as.slow_open.delay_ns);
    case DURESS_TOXIC_UNPLUG:
    case DURESS_TOXIC_BLACKHOLE:
        return was_held(seen, toxic->direction);
    case DURESS_TOXIC_TIMEOUT:
        return was_held(seen, toxic->direction) || was_broken(evidence, seen);
    case DURESS_TOXIC_RESET_PEER:
    case DURESS_TOXIC_LIMIT_DATA:
    case DURESS_TOXIC_LIMIT_TIME:
    case DURESS_TOXIC_CUT:
    case DURESS_TOXIC_REFUSE:
    case DURESS_TOXIC_FAIL_FIRST:
        return was_broken(evidence, seen);
    case DURESS_TOXIC_CORRUPT:
        return seen->is_over && seen->attempt.error == DURESS_E_MALFORMED;
    case DURESS_TOXIC_NOOP:
        return has_replied(seen);
    default:
        return false; /* Slices, losses and late ends leave no mark that is theirs alone. */
    }
}

bool chaos__evidence_seen(const struct chaos_evidence *evidence)
{
    for (size_t i = 0; i < evidence->link->attempts.count; i++) {
        struct sighting seen = sight(evidence, i);
        if (seen.attempt.ended_ns < evidence->since_ns)
            continue;
        if (evidence->kind == CHAOS_EVIDENCE_DOWN && was_broken(evidence, &seen))
            return true;
        /* Of an attempt from before the toxic, part of the time was not the toxic's. */
        bool is_the_toxics = seen.attempt.started_ns >= evidence->since_ns || was_broken(evidence, &seen);
        if (evidence->kind == CHAOS_EVIDENCE_TOXIC && is_the_toxics && toxic_was_seen(evidence, &seen))
            return true;
    }
    return false;
}
