/* SPDX-License-Identifier: Apache-2.0
 *
 * The window of the rate modes, and how threads share it without waiting.
 *
 * A result first goes into the |pending| word. Then its thread tries to enter the section: who is inside takes what is
 * pending, weighs it, leaves, and looks again. A thread that finds the section taken may go: whoever is inside has yet
 * to leave, and looks after leaving.
 *
 *     63                48 47         32 31           16 15         0
 *     | generation mod 2^16 | slow (16)   | failures (16) | calls (16) |      pending
 *
 * Which of the pending calls were the slow ones is lost; rates need only how many. */
#include "breaker_word.h"

#define PENDING_MAX UINT64_C(0xffff)
#define PENDING_FAILURES_AT 16
#define PENDING_SLOW_AT 32
#define PENDING_GENERATION_AT 48

/* Adds a result to those that wait. Where they belong to another generation, that one is over: they are dropped. */
static void pending_add(struct duress__breaker_window *window, uint64_t generation, bool failed, bool slow)
{
    uint64_t mark = (generation & PENDING_MAX) << PENDING_GENERATION_AT;
    uint64_t one = UINT64_C(1) | (uint64_t)failed << PENDING_FAILURES_AT | (uint64_t)slow << PENDING_SLOW_AT;
    uint64_t seen = duress__atomic_load(&window->pending);
    for (;;) {
        bool same = seen >> PENDING_GENERATION_AT << PENDING_GENERATION_AT == mark && (seen & PENDING_MAX) != 0;
        if (same && (seen & PENDING_MAX) == PENDING_MAX)
            return;
        if (duress__atomic_swap_if(&window->pending, &seen, same ? seen + one : mark | one))
            return;
    }
}

static void counts_add(struct duress__breaker_counts *counts, bool failed, bool slow)
{
    counts->calls++;
    counts->failures += failed;
    counts->slow += slow;
}

static void bit_set(uint64_t *bits, uint32_t index, bool value)
{
    uint64_t mask = UINT64_C(1) << index % 64;
    bits[index / 64] = value ? bits[index / 64] | mask : bits[index / 64] & ~mask;
}

static bool bit_get(const uint64_t *bits, uint32_t index)
{
    return (bits[index / 64] >> index % 64 & 1) != 0;
}

/* Of calls: the newest result takes the place of the oldest. */
static void calls_add(struct duress__breaker_window *window, uint32_t capacity, bool failed, bool slow)
{
    uint32_t at = window->next;
    if (window->sum.calls == capacity) {
        window->sum.calls--;
        window->sum.failures -= bit_get(window->held.calls.failed, at);
        window->sum.slow -= bit_get(window->held.calls.slow, at);
    }
    bit_set(window->held.calls.failed, at, failed);
    bit_set(window->held.calls.slow, at, slow);
    window->next = at + 1 == capacity ? 0 : at + 1;
    counts_add(&window->sum, failed, slow);
}

/* Of time: empties the buckets that |now_ns| leaves behind. */
static void buckets_turn(struct duress__breaker_window *window, const struct duress_breaker_options *options,
                         uint64_t now_ns)
{
    uint64_t width_ns = (options->window_ns - 1) / options->window_buckets + 1;
    uint64_t number = now_ns / width_ns;
    if (number <= window->newest)
        return;
    uint64_t steps = number - window->newest;
    if (steps > options->window_buckets)
        steps = options->window_buckets;
    for (uint64_t step = 0; step < steps; step++) {
        struct duress__breaker_counts *bucket = &window->held.buckets[(number - step) % options->window_buckets];
        window->sum.calls -= bucket->calls;
        window->sum.failures -= bucket->failures;
        window->sum.slow -= bucket->slow;
        *bucket = (struct duress__breaker_counts){0};
    }
    window->newest = number;
}

static void window_clear(struct duress__breaker_window *window, uint64_t generation)
{
    window->generation = generation;
    window->sum = (struct duress__breaker_counts){0};
    window->next = 0;
    for (uint32_t i = 0; i < DURESS_BREAKER_WINDOW_BUCKETS_MAX; i++)
        window->held.buckets[i] = (struct duress__breaker_counts){0};
}

/* Adds one result and says whether a rate is reached, and which. */
static bool window_trips(struct duress_breaker *breaker, bool failed, bool slow, uint64_t now_ns,
                         enum duress_breaker_reason *reason)
{
    const struct duress_breaker_options *options = &breaker->options;
    struct duress__breaker_window *window = &breaker->window;
    if (options->mode == DURESS_BREAKER_RATE_OF_CALLS) {
        calls_add(window, options->window_calls, failed, slow);
    } else {
        buckets_turn(window, options, now_ns);
        counts_add(&window->held.buckets[window->newest % options->window_buckets], failed, slow);
        counts_add(&window->sum, failed, slow);
    }
    const struct duress__breaker_counts *sum = &window->sum;
    if (sum->calls < options->calls_min)
        return false;
    *reason = DURESS_BREAKER_BY_FAILURE_RATE;
    if ((uint64_t)sum->failures * 1000000 >= (uint64_t)sum->calls * options->failure_rate_ppm)
        return true;
    *reason = DURESS_BREAKER_BY_SLOW_RATE;
    return options->slow_call_ns != 0 && (uint64_t)sum->slow * 1000000 >= (uint64_t)sum->calls * options->slow_rate_ppm;
}

/* Weighs what was pending, from inside the section. */
static void pending_weigh(struct duress_breaker *breaker, uint64_t pending, uint64_t now_ns)
{
    uint64_t raw = duress__atomic_load(&breaker->word);
    struct breaker_word word = word_unpack(raw);
    if (word.state != DURESS_BREAKER_CLOSED || pending >> PENDING_GENERATION_AT != (word.generation & PENDING_MAX))
        return; /* The circuit moved on: these are late by now. */
    if (breaker->window.generation != word.generation)
        window_clear(&breaker->window, word.generation);
    uint64_t calls = pending & PENDING_MAX;
    uint64_t failures = pending >> PENDING_FAILURES_AT & PENDING_MAX;
    uint64_t slow = pending >> PENDING_SLOW_AT & PENDING_MAX;
    for (uint64_t call = 0; call < calls; call++) {
        enum duress_breaker_reason reason;
        if (!window_trips(breaker, call < failures, call < slow, now_ns, &reason))
            continue;
        (void)duress__breaker_open(breaker, raw, now_ns, reason);
        return; /* Either way a generation is over. */
    }
}

void duress__breaker_window_add(struct duress_breaker *breaker, uint64_t generation, bool failed, bool slow,
                                uint64_t now_ns)
{
    struct duress__breaker_window *window = &breaker->window;
    pending_add(window, generation, failed, slow);
    while (duress__atomic_load(&window->pending) != 0) {
        if (duress__atomic_exchange(&window->entered, 1) != 0)
            return;
        pending_weigh(breaker, duress__atomic_exchange(&window->pending, 0), now_ns);
        duress__atomic_store(&window->entered, 0);
    }
}
