/* SPDX-License-Identifier: Apache-2.0
 *
 * The word that is the breaker's state: 64 bits that change by one compare and swap.
 *
 *     63                          29 28      21 20        11 10      3 2   0
 *     | generation (35)             | claim (8) | count (10) | probes (8) | state |
 *
 * |count| is failures in a row when closed, good probes when half-open. |probes| has a bit for each slot whose probe is
 * in flight. |claim| counts the probes begun in this generation, modulo 256: a slot that was freed and taken again
 * gives another word, so that who weighed the old lease cannot act on the new one. */
#ifndef DURESS_POLICY_BREAKER_WORD_H
#define DURESS_POLICY_BREAKER_WORD_H

#include <assert.h>
#include <stdint.h>

#include <duress/policy/breaker.h>

#define WORD_STATE_BITS 3
#define WORD_PROBES_BITS 8
#define WORD_COUNT_BITS 10
#define WORD_CLAIM_BITS 8
#define WORD_GENERATION_BITS 35

#define WORD_PROBES_AT WORD_STATE_BITS
#define WORD_COUNT_AT (WORD_PROBES_AT + WORD_PROBES_BITS)
#define WORD_CLAIM_AT (WORD_COUNT_AT + WORD_COUNT_BITS)
#define WORD_GENERATION_AT (WORD_CLAIM_AT + WORD_CLAIM_BITS)

static_assert(WORD_GENERATION_AT + WORD_GENERATION_BITS == 64, "the fields fill the word");
static_assert(DURESS_BREAKER_PROBES_MAX <= WORD_PROBES_BITS, "a bit for each slot");
static_assert(DURESS_BREAKER_COUNT_MAX < 1 << WORD_COUNT_BITS, "the count fits");
static_assert(DURESS_BREAKER_FORCED_CLOSED < 1 << WORD_STATE_BITS, "the state fits");

struct breaker_word {
    uint64_t generation;
    uint32_t claim;
    uint32_t count;
    uint32_t probes;
    enum duress_breaker_state state;
};

static inline uint32_t word_field(uint64_t raw, unsigned at, unsigned bits)
{
    return (uint32_t)(raw >> at) & ((UINT32_C(1) << bits) - 1);
}

static inline struct breaker_word word_unpack(uint64_t raw)
{
    return (struct breaker_word){
        .generation = raw >> WORD_GENERATION_AT,
        .claim = word_field(raw, WORD_CLAIM_AT, WORD_CLAIM_BITS),
        .count = word_field(raw, WORD_COUNT_AT, WORD_COUNT_BITS),
        .probes = word_field(raw, WORD_PROBES_AT, WORD_PROBES_BITS),
        .state = (enum duress_breaker_state)word_field(raw, 0, WORD_STATE_BITS),
    };
}

static inline uint64_t word_pack(struct breaker_word word)
{
    return word.generation << WORD_GENERATION_AT |
           (uint64_t)(word.claim & ((1U << WORD_CLAIM_BITS) - 1)) << WORD_CLAIM_AT |
           (uint64_t)word.count << WORD_COUNT_AT | (uint64_t)word.probes << WORD_PROBES_AT | (uint64_t)word.state;
}

/* How many probes are in flight. */
static inline uint32_t word_probe_count(struct breaker_word word)
{
    uint32_t count = 0;
    for (uint32_t left = word.probes; left != 0; left &= left - 1)
        count++;
    return count;
}

/* Shared by the files of the breaker. */

/* Tries to open the circuit that |raw| says, as of |at_ns|; false where the word was no longer |raw|. */
bool duress__breaker_open(struct duress_breaker *breaker, uint64_t raw, uint64_t at_ns,
                          enum duress_breaker_reason reason);

/* Weighs one result of the closed circuit of generation |generation| in the window of a rate mode. */
void duress__breaker_window_add(struct duress_breaker *breaker, uint64_t generation, bool failed, bool slow,
                                uint64_t now_ns);

/* Writes down a change of state that this thread made. */
void duress__breaker_log_add(struct duress_breaker *breaker, const struct duress_breaker_transition *transition);

/* Fills |options| from |given| with the defaults, and checks them. */
int duress__breaker_options_init(struct duress_breaker_options *options, const struct duress_breaker_options *given,
                                 struct duress_failure *why);

#endif
