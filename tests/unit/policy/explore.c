/* SPDX-License-Identifier: Apache-2.0 */
#include "explore.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/prng.h>

#include "explore_atomic.h"

enum { STEPS_MAX = 200, SEEN_BITS = 22, SEEN_MAX = 3 << (SEEN_BITS - 2) };

/* What the operations of a caller returned; of swap_if what it found, and whether it swapped. */
struct answer {
    uint64_t value;
    bool swapped;
};

struct history {
    struct answer answers[STEPS_MAX];
    int count;
    bool ended;
    uint64_t hash[2];
};

struct seen {
    uint64_t hash[2];
    uint64_t orderings; /* from here to the end; 0: the place is free */
};

static struct {
    const struct explore *explore;
    struct history callers[EXPLORE_CALLERS_MAX];
    uint8_t *own_first[EXPLORE_CALLERS_MAX]; /* as given */
    struct seen *seen;
    uint64_t states;
    int trail[EXPLORE_CALLERS_MAX * STEPS_MAX];
    int trail_length;

    /* The caller that makes a step; NULL: operations are no steps. */
    struct history *stepping;
    int replayed;
    bool stepped;
    jmp_buf next;
} run;

void explore_print_ordering(void)
{
    (void)fprintf(stderr, "%s: the ordering so far:", run.explore->name);
    for (int i = 0; i < run.trail_length; i++)
        (void)fprintf(stderr, " %d", run.trail[i]);
    (void)fprintf(stderr, "\n");
}

/* --- operations --- */

static bool is_statistics(const uint64_t *value)
{
    const struct explore *explore = run.explore;
    const uint8_t *place = (const uint8_t *)value;
    const uint8_t *first = explore->shared;
    return explore->control_bytes != 0 && place >= first + explore->control_bytes &&
           place < first + explore->shared_bytes;
}

/* True where the operation that is asked for has been made before: *answer is what it returned. Leaves the caller where
 * it has made its step. */
static bool operation_is_replayed(const uint64_t *value, struct answer *answer)
{
    if (run.stepping == NULL)
        return false;
    if (run.replayed < run.stepping->count) {
        *answer = run.stepping->answers[run.replayed++];
        return true;
    }
    if (run.stepped && !is_statistics(value))
        longjmp(run.next, 1);
    return false;
}

static void operation_made(const uint64_t *value, struct answer answer)
{
    struct history *caller = run.stepping;
    if (caller == NULL)
        return;
    if (caller->count == STEPS_MAX) {
        explore_print_ordering();
        (void)fprintf(stderr, "a caller does not come to its end\n");
        abort();
    }
    caller->answers[caller->count++] = answer;
    run.replayed++;
    if (is_statistics(value))
        return;
    run.stepped = true;
    for (int half = 0; half < 2; half++) {
        uint64_t mixed = duress_prng_mix(caller->hash[half] + answer.swapped, answer.value + (uint64_t)half);
        caller->hash[half] = mixed;
    }
}

uint64_t explore_load(const uint64_t *value)
{
    struct answer answer = {.value = *value};
    if (!operation_is_replayed(value, &answer))
        operation_made(value, answer);
    return answer.value;
}

void explore_store(uint64_t *value, uint64_t desired)
{
    struct answer answer = {.value = 0}; /* a store tells nothing */
    if (operation_is_replayed(value, &answer))
        return;
    *value = desired;
    operation_made(value, answer);
}

uint64_t explore_exchange(uint64_t *value, uint64_t desired)
{
    struct answer answer = {.value = *value};
    if (operation_is_replayed(value, &answer))
        return answer.value;
    *value = desired;
    operation_made(value, answer);
    return answer.value;
}

uint64_t explore_add(uint64_t *value, uint64_t addend)
{
    struct answer answer = {.value = *value};
    if (operation_is_replayed(value, &answer))
        return answer.value;
    *value += addend;
    operation_made(value, answer);
    return answer.value;
}

bool explore_swap_if(uint64_t *value, uint64_t *expected, uint64_t desired)
{
    struct answer answer = {.value = *value, .swapped = *value == *expected};
    if (!operation_is_replayed(value, &answer)) {
        if (answer.swapped)
            *value = desired;
        operation_made(value, answer);
    }
    if (!answer.swapped)
        *expected = answer.value;
    return answer.swapped;
}

/* --- steps --- */

/* One operation of the caller |index|, and all that it does before the next one. */
static void caller_step(int index)
{
    const struct explore *explore = run.explore;
    struct history *caller = &run.callers[index];
    memcpy(explore->own[index], run.own_first[index], explore->own_bytes);
    run.replayed = 0;
    run.stepped = false;
    run.stepping = caller;
    if (setjmp(run.next) == 0) {
        explore->callers[index](explore->shared, explore->own[index]);
        run.stepping->ended = true;
    }
    run.stepping = NULL;
}

static void state_hash(uint64_t hash[2])
{
    const struct explore *explore = run.explore;
    const uint8_t *bytes = explore->shared;
    hash[0] = 1;
    hash[1] = 2;
    size_t bytes_count = explore->control_bytes != 0 ? explore->control_bytes : explore->shared_bytes;
    for (size_t i = 0; i < bytes_count; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        size_t left = bytes_count - i;
        memcpy(&word, bytes + i, left < sizeof word ? left : sizeof word);
        hash[0] = duress_prng_mix(hash[0], word);
        hash[1] = duress_prng_mix(hash[1], word + 1);
    }
    for (int i = 0; i < explore->caller_count; i++) {
        for (int half = 0; half < 2; half++) {
            uint64_t mixed = duress_prng_mix(hash[half] + run.callers[i].ended, run.callers[i].hash[half]);
            hash[half] = mixed;
        }
    }
}

static struct seen *seen_place(const uint64_t hash[2])
{
    size_t place = hash[0] >> (64 - SEEN_BITS);
    while (run.seen[place].orderings != 0 && (run.seen[place].hash[0] != hash[0] || run.seen[place].hash[1] != hash[1]))
        place = (place + 1) % ((size_t)1 << SEEN_BITS);
    return &run.seen[place];
}

static void check(bool ended)
{
    const struct explore *explore = run.explore;
    uint8_t *kept = malloc(explore->shared_bytes);
    if (kept == NULL)
        abort();
    memcpy(kept, explore->shared, explore->shared_bytes);
    explore->check(explore, ended);
    memcpy(explore->shared, kept, explore->shared_bytes);
    free(kept);
}

struct saved {
    uint8_t *shared;
    uint8_t *own[EXPLORE_CALLERS_MAX];
    int counts[EXPLORE_CALLERS_MAX];
    bool ended[EXPLORE_CALLERS_MAX];
    uint64_t hashes[EXPLORE_CALLERS_MAX][2];
};

static void *copy_of(const void *bytes, size_t count)
{
    void *copy = malloc(count);
    if (copy == NULL)
        abort();
    return memcpy(copy, bytes, count);
}

static void state_save(struct saved *saved)
{
    const struct explore *explore = run.explore;
    saved->shared = copy_of(explore->shared, explore->shared_bytes);
    for (int i = 0; i < explore->caller_count; i++) {
        saved->own[i] = copy_of(explore->own[i], explore->own_bytes);
        saved->counts[i] = run.callers[i].count;
        saved->ended[i] = run.callers[i].ended;
        memcpy(saved->hashes[i], run.callers[i].hash, sizeof saved->hashes[i]);
    }
}

static void state_restore(const struct saved *saved)
{
    const struct explore *explore = run.explore;
    memcpy(explore->shared, saved->shared, explore->shared_bytes);
    for (int i = 0; i < explore->caller_count; i++) {
        memcpy(explore->own[i], saved->own[i], explore->own_bytes);
        run.callers[i].count = saved->counts[i];
        run.callers[i].ended = saved->ended[i];
        memcpy(run.callers[i].hash, saved->hashes[i], sizeof saved->hashes[i]);
    }
}

static void saved_free(struct saved *saved)
{
    free(saved->shared);
    for (int i = 0; i < run.explore->caller_count; i++)
        free(saved->own[i]);
}

static bool all_ended(void)
{
    for (int i = 0; i < run.explore->caller_count; i++)
        if (!run.callers[i].ended)
            return false;
    return true;
}

/* How many orderings lead from here to the end. */
static uint64_t explore_from_here(void) // NOLINT(misc-no-recursion): as deep as callers have steps
{
    uint64_t hash[2];
    bool ended = all_ended();
    check(ended);
    if (ended)
        return 1;
    state_hash(hash);
    uint64_t orderings = seen_place(hash)->orderings;
    if (orderings != 0)
        return orderings;
    struct saved saved;
    state_save(&saved);
    for (int i = 0; i < run.explore->caller_count; i++) {
        if (run.callers[i].ended)
            continue;
        run.trail[run.trail_length++] = i;
        caller_step(i);
        uint64_t more = explore_from_here();
        orderings = more > UINT64_MAX - orderings ? UINT64_MAX : orderings + more;
        run.trail_length--;
        state_restore(&saved);
    }
    saved_free(&saved);
    if (++run.states > SEEN_MAX) {
        (void)fprintf(stderr, "%s: more states than there is room for\n", run.explore->name);
        abort();
    }
    *seen_place(hash) = (struct seen){.hash = {hash[0], hash[1]}, .orderings = orderings};
    return orderings;
}

struct explore_result explore_run(const struct explore *explore)
{
    memset(&run, 0, sizeof run);
    run.explore = explore;
    run.seen = calloc((size_t)1 << SEEN_BITS, sizeof *run.seen);
    if (run.seen == NULL)
        abort();
    for (int i = 0; i < explore->caller_count; i++)
        run.own_first[i] = copy_of(explore->own[i], explore->own_bytes);
    struct explore_result result = {.orderings = explore_from_here()};
    result.states = run.states;
    for (int i = 0; i < explore->caller_count; i++)
        free(run.own_first[i]);
    free(run.seen);
    (void)printf("%s: %llu orderings of %d callers, %llu states\n", explore->name, (unsigned long long)result.orderings,
                 explore->caller_count, (unsigned long long)result.states);
    (void)fflush(stdout);
    return result;
}
