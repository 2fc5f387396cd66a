/* SPDX-License-Identifier: Apache-2.0
 *
 * The state machine of the circuit breaker. Each public function is a loop: read the word, decide, swap; a swap that
 * fails means that another thread moved the breaker on, and the decision is made again from what it is now. */
#include <duress/policy/breaker.h>

#include <stddef.h>

#include "breaker_word.h"
#include "option.h"

int duress_breaker_init(struct duress_breaker *breaker, const struct duress_breaker_options *options,
                        struct duress_failure *why)
{
    struct duress_breaker_options filled;
    if (!duress__option_given("breaker", breaker, why))
        return DURESS_E_INVALID;
    int error = duress__breaker_options_init(&filled, options, why);
    if (error != DURESS_OK)
        return error;
    *breaker = (struct duress_breaker){.options = filled};
    struct breaker_word word = {.state = DURESS_BREAKER_CLOSED, .generation = 1};
    breaker->word.value = word_pack(word);
    return DURESS_OK;
}

static bool breaker_swap(struct duress_breaker *breaker, uint64_t raw, struct breaker_word next)
{
    return duress__atomic_swap_if(&breaker->word, &raw, word_pack(next));
}

/* Moves the breaker from |raw| to |state| and so begins a generation. */
static bool breaker_change(struct duress_breaker *breaker, uint64_t raw, struct breaker_word next, uint64_t at_ns,
                           enum duress_breaker_reason reason)
{
    struct breaker_word from = word_unpack(raw);
    next.generation = from.generation + 1;
    duress__atomic_raise(&breaker->changed_ns, at_ns); /* first, so that the next change cannot be dated before */
    if (!breaker_swap(breaker, raw, next))
        return false;
    struct duress_breaker_transition transition = {
        .at_ns = at_ns,
        .generation = next.generation,
        .from = from.state,
        .to = next.state,
        .reason = reason,
    };
    duress__breaker_log_add(breaker, &transition);
    return true;
}

/* |now_ns|, or the last change of state where that is later: time that goes backwards stands still. */
static uint64_t breaker_time(const struct duress_breaker *breaker, uint64_t now_ns)
{
    uint64_t changed_ns = duress__atomic_load(&breaker->changed_ns);
    return now_ns < changed_ns ? changed_ns : now_ns;
}

bool duress__breaker_open(struct duress_breaker *breaker, uint64_t raw, uint64_t at_ns,
                          enum duress_breaker_reason reason)
{
    uint64_t opened_ns = breaker_time(breaker, at_ns);
    duress__atomic_raise(&breaker->opened_ns, opened_ns); /* first: whoever sees the state must see its instant */
    struct breaker_word open = {.state = DURESS_BREAKER_OPEN};
    return breaker_change(breaker, raw, open, opened_ns, reason);
}

/* The earliest end of a lease among the probes in flight; DURESS_TIME_NEVER where there is none. */
static uint64_t breaker_lease_end_ns(const struct duress_breaker *breaker, struct breaker_word word)
{
    uint64_t earliest_ns = DURESS_TIME_NEVER;
    for (uint32_t slot = 0; slot < DURESS_BREAKER_PROBES_MAX; slot++) {
        if ((word.probes & 1U << slot) != 0)
            earliest_ns = duress_time_min(earliest_ns, duress__atomic_load(&breaker->lease_end_ns[slot]));
    }
    return earliest_ns;
}

/* Reopens where the lease of a probe has ended by |now_ns|. True where the word has to be read again. */
static bool breaker_lapse(struct duress_breaker *breaker, uint64_t raw, uint64_t now_ns)
{
    struct breaker_word word = word_unpack(raw);
    if (word.state != DURESS_BREAKER_HALF_OPEN || word.probes == 0)
        return false;
    uint64_t lease_end_ns = breaker_lease_end_ns(breaker, word);
    if (lease_end_ns > now_ns)
        return false;
    if (duress__breaker_open(breaker, raw, lease_end_ns, DURESS_BREAKER_BY_PROBE_LAPSED))
        (void)duress__atomic_add(&breaker->lapsed, 1);
    return true;
}

/* Takes the lowest free slot of the half-open |next| for a probe at |now_ns| and fills |permit| for it. */
static uint32_t probe_claim(struct duress_breaker *breaker, struct breaker_word *next, uint64_t now_ns)
{
    uint32_t slot = 0;
    while ((next->probes & 1U << slot) != 0)
        slot++;
    DURESS_ASSERT(slot < breaker->options.probes_max);
    duress__atomic_raise(&breaker->lease_end_ns[slot], duress_time_add(now_ns, breaker->options.probe_lease_ns));
    next->probes |= 1U << slot;
    next->claim++;
    return slot;
}

static enum duress_verdict breaker_admit(struct duress_breaker *breaker, struct duress_permit permit,
                                         struct duress_permit *given)
{
    (void)duress__atomic_add(&breaker->admitted, 1);
    *given = permit;
    return DURESS_ADMIT;
}

/* An acquire that found |raw| open. True where it came to a verdict. */
static bool open_acquire(struct duress_breaker *breaker, uint64_t raw, uint64_t now_ns, struct duress_permit *permit,
                         uint64_t *retry_at_ns, enum duress_verdict *verdict)
{
    uint64_t ready_ns = duress_time_add(duress__atomic_load(&breaker->opened_ns), breaker->options.recovery_ns);
    if (now_ns < ready_ns) {
        (void)duress__atomic_add(&breaker->refused_open, 1);
        *retry_at_ns = ready_ns;
        *verdict = DURESS_REFUSE_OPEN;
        return true;
    }
    struct breaker_word next = {.state = DURESS_BREAKER_HALF_OPEN};
    uint32_t slot = probe_claim(breaker, &next, now_ns);
    if (!breaker_change(breaker, raw, next, now_ns, DURESS_BREAKER_BY_RECOVERY))
        return false;
    uint64_t generation = word_unpack(raw).generation + 1;
    *verdict = breaker_admit(breaker, (struct duress_permit){generation, now_ns, slot}, permit);
    return true;
}

/* An acquire that found |raw| half-open, and no lease ended. True where it came to a verdict. */
static bool half_open_acquire(struct duress_breaker *breaker, uint64_t raw, uint64_t now_ns,
                              struct duress_permit *permit, uint64_t *retry_at_ns, enum duress_verdict *verdict)
{
    struct breaker_word next = word_unpack(raw);
    if (word_probe_count(next) >= breaker->options.probes_max) {
        (void)duress__atomic_add(&breaker->refused_probing, 1);
        *retry_at_ns = breaker_lease_end_ns(breaker, next);
        *verdict = DURESS_REFUSE_PROBING;
        return true;
    }
    uint32_t slot = probe_claim(breaker, &next, now_ns);
    if (!breaker_swap(breaker, raw, next))
        return false;
    *verdict = breaker_admit(breaker, (struct duress_permit){next.generation, now_ns, slot}, permit);
    return true;
}

/* An acquire that found the circuit neither closed nor forced closed. */
static enum duress_verdict guarded_acquire(struct duress_breaker *breaker, uint64_t now_ns,
                                           struct duress_permit *permit, uint64_t *retry_at_ns)
{
    enum duress_verdict verdict;
    for (;;) {
        uint64_t raw = duress__atomic_load(&breaker->word);
        uint64_t time_ns = breaker_time(breaker, now_ns);
        struct breaker_word word = word_unpack(raw);
        switch (word.state) {
        case DURESS_BREAKER_CLOSED:
        case DURESS_BREAKER_FORCED_CLOSED:
            return breaker_admit(breaker, (struct duress_permit){word.generation, now_ns, 0}, permit);
        case DURESS_BREAKER_OPEN:
            if (open_acquire(breaker, raw, time_ns, permit, retry_at_ns, &verdict))
                return verdict;
            break;
        case DURESS_BREAKER_HALF_OPEN:
            if (breaker_lapse(breaker, raw, time_ns))
                break;
            if (half_open_acquire(breaker, raw, time_ns, permit, retry_at_ns, &verdict))
                return verdict;
            break;
        case DURESS_BREAKER_FORCED_OPEN:
            (void)duress__atomic_add(&breaker->refused_open, 1);
            *retry_at_ns = DURESS_TIME_NEVER;
            return DURESS_REFUSE_OPEN;
        }
    }
}

enum duress_verdict duress_breaker_acquire(struct duress_breaker *breaker, uint64_t now_ns,
                                           struct duress_permit *permit, uint64_t *retry_at_ns)
{
    uint64_t ignored_ns;
    if (retry_at_ns == NULL)
        retry_at_ns = &ignored_ns;
    *retry_at_ns = now_ns;
    *permit = (struct duress_permit){.generation = 0};
    struct breaker_word word = word_unpack(duress__atomic_load(&breaker->word));
    if (word.state == DURESS_BREAKER_CLOSED)
        return breaker_admit(breaker, (struct duress_permit){word.generation, now_ns, 0}, permit);
    return guarded_acquire(breaker, now_ns, permit, retry_at_ns);
}

/* A report on the closed circuit |raw| in consecutive mode. True where it is done with. */
static bool closed_report(struct duress_breaker *breaker, uint64_t raw, enum duress_outcome outcome, uint64_t now_ns)
{
    struct breaker_word next = word_unpack(raw);
    if (outcome == DURESS_OUTCOME_SUCCESS) {
        if (next.count == 0)
            return true;
        next.count = 0;
        return breaker_swap(breaker, raw, next);
    }
    next.count++;
    if (next.count >= breaker->options.failures_to_open)
        return duress__breaker_open(breaker, raw, now_ns, DURESS_BREAKER_BY_FAILURES);
    return breaker_swap(breaker, raw, next);
}

/* A report of the probe in |slot| of the half-open circuit |raw|, no lease ended. True where it is done with. */
static bool probe_report(struct duress_breaker *breaker, uint64_t raw, uint32_t slot, enum duress_outcome outcome,
                         uint64_t now_ns)
{
    if (outcome == DURESS_OUTCOME_FAILURE)
        return duress__breaker_open(breaker, raw, now_ns, DURESS_BREAKER_BY_PROBE_FAILED);
    struct breaker_word next = word_unpack(raw);
    next.probes &= ~(1U << slot);
    if (outcome != DURESS_OUTCOME_SUCCESS)
        return breaker_swap(breaker, raw, next);
    next.count++;
    if (next.count < breaker->options.successes_to_close)
        return breaker_swap(breaker, raw, next);
    struct breaker_word closed = {.state = DURESS_BREAKER_CLOSED};
    return breaker_change(breaker, raw, closed, breaker_time(breaker, now_ns), DURESS_BREAKER_BY_PROBES_GOOD);
}

/* A report of the current generation on a half-open circuit; true where it is done with. */
static bool half_open_report(struct duress_breaker *breaker, uint64_t raw, struct duress_permit permit,
                             enum duress_outcome outcome, bool slow, uint64_t now_ns)
{
    if (breaker_lapse(breaker, raw, breaker_time(breaker, now_ns)))
        return false;
    if (permit.slot >= DURESS_BREAKER_PROBES_MAX || (word_unpack(raw).probes & 1U << permit.slot) == 0)
        return true; /* Reported twice: the caller broke its word, the state does not. */
    /* The circuit would not be open to a service that only ever answered slowly if slow were good enough to close. */
    if (slow && outcome == DURESS_OUTCOME_SUCCESS)
        outcome = DURESS_OUTCOME_FAILURE;
    return probe_report(breaker, raw, permit.slot, outcome, now_ns);
}

void duress_breaker_report(struct duress_breaker *breaker, struct duress_permit permit, enum duress_outcome outcome,
                           uint64_t now_ns)
{
    if ((unsigned)outcome > DURESS_OUTCOME_IGNORED)
        outcome = DURESS_OUTCOME_FAILURE; /* No number of that name: the safe reading. */
    (void)duress__atomic_add(&breaker->outcomes[outcome], 1);
    if (now_ns < permit.admitted_ns)
        now_ns = permit.admitted_ns;
    bool slow = breaker->options.slow_call_ns != 0 && now_ns - permit.admitted_ns >= breaker->options.slow_call_ns;
    bool telling = outcome == DURESS_OUTCOME_SUCCESS || outcome == DURESS_OUTCOME_FAILURE;
    for (bool done = false; !done;) {
        uint64_t raw = duress__atomic_load(&breaker->word);
        struct breaker_word word = word_unpack(raw);
        if (word.generation != permit.generation) {
            (void)duress__atomic_add(&breaker->late, 1);
            return;
        }
        done = true; /* forced: nothing moves; open: no permit is of such a generation */
        if (word.state == DURESS_BREAKER_HALF_OPEN)
            done = half_open_report(breaker, raw, permit, outcome, slow, now_ns);
        else if (word.state != DURESS_BREAKER_CLOSED || !telling)
            return;
        else if (breaker->options.mode == DURESS_BREAKER_CONSECUTIVE)
            done = closed_report(breaker, raw, outcome, now_ns);
        else
            duress__breaker_window_add(breaker, word.generation, outcome == DURESS_OUTCOME_FAILURE, slow, now_ns);
    }
}

enum duress_outcome duress_outcome_of(int code)
{
    if (code == DURESS_OK)
        return DURESS_OUTCOME_SUCCESS;
    if (code == DURESS_E_CANCELLED)
        return DURESS_OUTCOME_CANCELLED;
    bool known = code < 0 && code > -DURESS_ERROR_NUMBER_END;
    return !known || duress_error_is_counted(code) ? DURESS_OUTCOME_FAILURE : DURESS_OUTCOME_IGNORED;
}

void duress_breaker_tick(struct duress_breaker *breaker, uint64_t now_ns)
{
    while (breaker_lapse(breaker, duress__atomic_load(&breaker->word), now_ns))
        ;
}

static void breaker_force(struct duress_breaker *breaker, enum duress_breaker_state state, uint64_t now_ns)
{
    struct breaker_word next = {.state = state};
    for (;;) {
        uint64_t raw = duress__atomic_load(&breaker->word);
        if (word_unpack(raw).state == state)
            return;
        if (breaker_lapse(breaker, raw, now_ns))
            continue;
        if (breaker_change(breaker, raw, next, breaker_time(breaker, now_ns), DURESS_BREAKER_BY_FORCE))
            return;
    }
}

void duress_breaker_force_open(struct duress_breaker *breaker, uint64_t now_ns)
{
    breaker_force(breaker, DURESS_BREAKER_FORCED_OPEN, now_ns);
}

void duress_breaker_force_closed(struct duress_breaker *breaker, uint64_t now_ns)
{
    breaker_force(breaker, DURESS_BREAKER_FORCED_CLOSED, now_ns);
}

void duress_breaker_release(struct duress_breaker *breaker, uint64_t now_ns)
{
    for (;;) {
        uint64_t raw = duress__atomic_load(&breaker->word);
        struct breaker_word next = {.state = DURESS_BREAKER_CLOSED};
        switch (word_unpack(raw).state) {
        case DURESS_BREAKER_FORCED_OPEN:
            next.state = DURESS_BREAKER_HALF_OPEN;
            break;
        case DURESS_BREAKER_FORCED_CLOSED:
            break;
        default:
            return;
        }
        if (breaker_change(breaker, raw, next, breaker_time(breaker, now_ns), DURESS_BREAKER_BY_RELEASE))
            return;
    }
}

uint64_t duress_breaker_next_ns(const struct duress_breaker *breaker)
{
    for (;;) {
        uint64_t raw = duress__atomic_load(&breaker->word);
        struct breaker_word word = word_unpack(raw);
        uint64_t next_ns = DURESS_TIME_NEVER;
        if (word.state == DURESS_BREAKER_OPEN)
            next_ns = duress_time_add(duress__atomic_load(&breaker->opened_ns), breaker->options.recovery_ns);
        if (word.state == DURESS_BREAKER_HALF_OPEN)
            next_ns = word_probe_count(word) < breaker->options.probes_max ? 0 : breaker_lease_end_ns(breaker, word);
        if (duress__atomic_load(&breaker->word) == raw)
            return next_ns;
    }
}

enum duress_breaker_state duress_breaker_state(const struct duress_breaker *breaker)
{
    return word_unpack(duress__atomic_load(&breaker->word)).state;
}
