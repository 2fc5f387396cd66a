/* SPDX-License-Identifier: Apache-2.0
 *
 * A circuit breaker as plainly as it can be told: it remembers every call and every result, has timers that fire at
 * their instants, works everything out anew from the whole story, and is as slow as that. Written from the rules in
 * breaker.h, not from breaker.c. Holds short stories only. */
#ifndef BREAKER_MODEL_H
#define BREAKER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/policy/breaker.h>

#define MODEL_CALLS_MAX 16
#define MODEL_CHANGES_MAX 40

struct model_call {
    uint64_t generation;
    uint64_t admitted_ns;
    uint64_t lease_end_ns; /* of a probe */
    bool probe;
    bool over; /* reported */
};

struct model_result {
    uint64_t generation; /* in which it was taken into account */
    uint64_t at_ns;
    bool failed;
    bool slow;
};

struct breaker_model {
    struct duress_breaker_options options; /* complete, no zeros but where they mean something */
    enum duress_breaker_state state;
    uint64_t generation;
    uint64_t opened_ns;
    struct model_call calls[MODEL_CALLS_MAX];
    size_t call_count;
    struct model_result results[MODEL_CALLS_MAX];
    size_t result_count;
    struct duress_breaker_transition changes[MODEL_CHANGES_MAX];
    size_t change_count;
    struct duress_breaker_counters counters;
};

void breaker_model_init(struct breaker_model *model, const struct duress_breaker_options *options);

/* Lets time pass until |now_ns|: every timer that is due fires. Time never goes back here. */
void breaker_model_advance(struct breaker_model *model, uint64_t now_ns);

/* The new call's number is in *call where it is admitted. */
enum duress_verdict breaker_model_acquire(struct breaker_model *model, uint64_t now_ns, size_t *call,
                                          uint64_t *retry_at_ns);
void breaker_model_report(struct breaker_model *model, size_t call, enum duress_outcome outcome, uint64_t now_ns);

/* |state| is DURESS_BREAKER_FORCED_OPEN or DURESS_BREAKER_FORCED_CLOSED. */
void breaker_model_force(struct breaker_model *model, enum duress_breaker_state state, uint64_t now_ns);
void breaker_model_release(struct breaker_model *model, uint64_t now_ns);

uint64_t breaker_model_next_ns(const struct breaker_model *model);
uint32_t breaker_model_failures_in_a_row(const struct breaker_model *model);
uint32_t breaker_model_probes_good(const struct breaker_model *model);
uint32_t breaker_model_probes_in_flight(const struct breaker_model *model);

#endif
