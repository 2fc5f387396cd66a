/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be seen of a breaker: the log of its changes of state, the snapshot, names.
 *
 * The change that begins generation g is written by the one thread that made it, to entry g mod
 * DURESS_BREAKER_LOG_COUNT:
 *
 *     63                          17 16      15     12 11     6 5     0
 *     | generation (47)              | writing | reason  | from    | to    |      header
 *
 * Write: claim the entry with the header marked as being written, store the instant, take the mark off. A writer that
 * finds the entry claimed by another that is still at it, a whole turn of the ring ago, lets its own change go
 * unlogged: a torn entry would be worse than a gap. Read: header, instant, header again. */
#include "breaker_word.h"

#define HEADER_FROM_AT 6
#define HEADER_REASON_AT 12
#define HEADER_WRITING (UINT64_C(1) << 16)
#define HEADER_GENERATION_AT 17

static_assert(DURESS_BREAKER_REASON_COUNT <= 1 << 4, "the reason fits");
static_assert(DURESS_BREAKER_BY_RELEASE == DURESS_BREAKER_REASON_COUNT - 1, "the last one is known");
static_assert(WORD_GENERATION_BITS <= 64 - HEADER_GENERATION_AT, "the generation fits");

static uint64_t header_pack(const struct duress_breaker_transition *transition)
{
    return transition->generation << HEADER_GENERATION_AT | (uint64_t)transition->reason << HEADER_REASON_AT |
           (uint64_t)transition->from << HEADER_FROM_AT | (uint64_t)transition->to;
}

void duress__breaker_log_add(struct duress_breaker *breaker, const struct duress_breaker_transition *transition)
{
    struct duress__breaker_log_entry *entry = &breaker->log[transition->generation % DURESS_BREAKER_LOG_COUNT];
    uint64_t header = header_pack(transition);
    (void)duress__atomic_add(&breaker->transitions[transition->reason], 1);
    uint64_t seen = duress__atomic_load(&entry->header);
    do {
        if ((seen & HEADER_WRITING) != 0 || seen >> HEADER_GENERATION_AT > transition->generation)
            return;
    } while (!duress__atomic_swap_if(&entry->header, &seen, header | HEADER_WRITING));
    duress__atomic_store(&entry->at_ns, transition->at_ns);
    duress__atomic_store(&entry->header, header);
}

/* Copies the change that began |generation|; false where it is not (or no longer) there. */
static bool log_read(const struct duress_breaker *breaker, uint64_t generation,
                     struct duress_breaker_transition *transition)
{
    const struct duress__breaker_log_entry *entry = &breaker->log[generation % DURESS_BREAKER_LOG_COUNT];
    uint64_t header = duress__atomic_load(&entry->header);
    if ((header & HEADER_WRITING) != 0 || header >> HEADER_GENERATION_AT != generation)
        return false;
    uint64_t at_ns = duress__atomic_load(&entry->at_ns);
    if (duress__atomic_load(&entry->header) != header)
        return false;
    *transition = (struct duress_breaker_transition){
        .at_ns = at_ns,
        .generation = generation,
        .from = (enum duress_breaker_state)(header >> HEADER_FROM_AT & 0x3f),
        .to = (enum duress_breaker_state)(header & 0x3f),
        .reason = (enum duress_breaker_reason)(header >> HEADER_REASON_AT & 0xf),
    };
    return true;
}

size_t duress_breaker_log(const struct duress_breaker *breaker, struct duress_breaker_transition *transitions,
                          size_t capacity)
{
    uint64_t newest = word_unpack(duress__atomic_load(&breaker->word)).generation;
    uint64_t wanted = capacity < DURESS_BREAKER_LOG_COUNT ? capacity : DURESS_BREAKER_LOG_COUNT;
    uint64_t oldest = newest > wanted ? newest - wanted + 1 : 2; /* Generation 1 began without a change. */
    size_t count = 0;
    for (uint64_t generation = oldest; generation <= newest && count < wanted; generation++) {
        if (log_read(breaker, generation, &transitions[count]))
            count++;
    }
    return count;
}

void duress_breaker_snapshot(const struct duress_breaker *breaker, struct duress_breaker_snapshot *snapshot)
{
    struct breaker_word word = word_unpack(duress__atomic_load(&breaker->word));
    *snapshot = (struct duress_breaker_snapshot){.state = word.state, .generation = word.generation};
    if (word.state == DURESS_BREAKER_CLOSED)
        snapshot->failures_in_a_row = word.count;
    if (word.state == DURESS_BREAKER_HALF_OPEN)
        snapshot->probes_good = word.count;
    snapshot->probes_in_flight = word_probe_count(word);
    snapshot->opened_ns = duress__atomic_load(&breaker->opened_ns);
    /* Outcomes before admissions: a call that ends in between must not be an outcome without its admission. */
    struct duress_breaker_counters *counters = &snapshot->counters;
    counters->late = duress__atomic_load(&breaker->late);
    counters->lapsed = duress__atomic_load(&breaker->lapsed);
    for (int reason = 0; reason < DURESS_BREAKER_REASON_COUNT; reason++)
        counters->transitions[reason] = duress__atomic_load(&breaker->transitions[reason]);
    counters->successes = duress__atomic_load(&breaker->outcomes[DURESS_OUTCOME_SUCCESS]);
    counters->failures = duress__atomic_load(&breaker->outcomes[DURESS_OUTCOME_FAILURE]);
    counters->cancelled = duress__atomic_load(&breaker->outcomes[DURESS_OUTCOME_CANCELLED]);
    counters->ignored = duress__atomic_load(&breaker->outcomes[DURESS_OUTCOME_IGNORED]);
    counters->refused_open = duress__atomic_load(&breaker->refused_open);
    counters->refused_probing = duress__atomic_load(&breaker->refused_probing);
    counters->admitted = duress__atomic_load(&breaker->admitted);
}

const char *duress_breaker_state_name(enum duress_breaker_state state)
{
    switch (state) {
    case DURESS_BREAKER_CLOSED:
        return "closed";
    case DURESS_BREAKER_OPEN:
        return "open";
    case DURESS_BREAKER_HALF_OPEN:
        return "half-open";
    case DURESS_BREAKER_FORCED_OPEN:
        return "forced open";
    case DURESS_BREAKER_FORCED_CLOSED:
        return "forced closed";
    }
    return "unknown";
}

const char *duress_breaker_reason_name(enum duress_breaker_reason reason)
{
    switch (reason) {
    case DURESS_BREAKER_BY_FAILURES:
        return "failures in a row";
    case DURESS_BREAKER_BY_FAILURE_RATE:
        return "failure rate";
    case DURESS_BREAKER_BY_SLOW_RATE:
        return "slow-call rate";
    case DURESS_BREAKER_BY_RECOVERY:
        return "recovery time over";
    case DURESS_BREAKER_BY_PROBE_FAILED:
        return "probe failed";
    case DURESS_BREAKER_BY_PROBE_LAPSED:
        return "probe lapsed";
    case DURESS_BREAKER_BY_PROBES_GOOD:
        return "probes succeeded";
    case DURESS_BREAKER_BY_FORCE:
        return "forced";
    case DURESS_BREAKER_BY_RELEASE:
        return "released";
    }
    return "unknown";
}
