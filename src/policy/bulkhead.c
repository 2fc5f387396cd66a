/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit and the number of running calls are one word, so that a slot is taken by one compare and swap that has seen
 * both:
 *
 *     63        32 31          0
 *     | limit      | running   |
 *
 * No wake-up is lost: who begins to wait says so first and tries for a slot afterwards, who gives a slot back does that
 * first and looks for those who wait afterwards. With sequentially consistent operations one of the two sees the other.
 */
#include <duress/policy/bulkhead.h>

#include <assert.h>
#include <stddef.h>

#include "option.h"

static_assert(sizeof(uintptr_t) <= sizeof(uint64_t), "an owner fits into an atomic");

#define WORD_LIMIT_AT 32

static uint32_t word_limit(uint64_t word)
{
    return (uint32_t)(word >> WORD_LIMIT_AT);
}

static uint32_t word_running(uint64_t word)
{
    return (uint32_t)word;
}

int duress_bulkhead_init(struct duress_bulkhead *bulkhead, const struct duress_bulkhead_options *options,
                         struct duress_failure *why)
{
    if (!duress__option_given("bulkhead", bulkhead, why))
        return DURESS_E_INVALID;
    uint32_t limit = option_or_u32(options != NULL ? options->limit : 0, DURESS_BULKHEAD_LIMIT_DEFAULT);
    if (!duress__option_in_range("bulkhead.limit", limit, 1, DURESS_BULKHEAD_LIMIT_MAX, why))
        return DURESS_E_INVALID;
    *bulkhead = (struct duress_bulkhead){.word = {(uint64_t)limit << WORD_LIMIT_AT}};
    return DURESS_OK;
}

bool duress_bulkhead_acquire(struct duress_bulkhead *bulkhead)
{
    uint64_t seen = duress__atomic_load(&bulkhead->word);
    while (word_running(seen) < word_limit(seen)) {
        if (duress__atomic_swap_if(&bulkhead->word, &seen, seen + 1))
            return true;
    }
    return false;
}

static void slot_free(struct duress_bulkhead *bulkhead)
{
    uint64_t before = duress__atomic_add(&bulkhead->word, UINT64_MAX); /* one less */
    DURESS_ASSERT(word_running(before) > 0);
}

/* --- seats --- */

/* The seat whose first caller has waited longest; NULL where nobody waits. */
static struct duress__bulkhead_seat *seat_first(struct duress_bulkhead *bulkhead)
{
    struct duress__bulkhead_seat *first = NULL;
    uint64_t first_ticket = UINT64_MAX;
    uint64_t end = duress__atomic_load(&bulkhead->seats_end);
    for (uint64_t i = 0; i < end; i++) {
        struct duress__bulkhead_seat *seat = &bulkhead->seats[i];
        if (duress__atomic_load(&seat->waiting) == 0)
            continue;
        uint64_t ticket = duress__atomic_load(&seat->ticket);
        if (first == NULL || ticket < first_ticket) {
            first = seat;
            first_ticket = ticket;
        }
    }
    return first;
}

/* One caller less waits at |seat|: false where nobody does any more. */
static bool seat_claim(struct duress__bulkhead_seat *seat)
{
    uint64_t seen = duress__atomic_load(&seat->waiting);
    while (seen > 0) {
        if (duress__atomic_swap_if(&seat->waiting, &seen, seen - 1))
            return true;
    }
    return false;
}

/* Hands a slot that the caller has to the seat that has waited longest. *wake: its owner where the seat had none on its
 * way yet. From the claim on the owner cannot leave, and once the slot is handed it is touched no more but to be woken.
 */
static bool slot_hand(struct duress_bulkhead *bulkhead, void **wake)
{
    struct duress__bulkhead_seat *seat;
    *wake = NULL;
    do {
        seat = seat_first(bulkhead);
        if (seat == NULL)
            return false;
    } while (!seat_claim(seat));
    void *owner = (void *)(uintptr_t)duress__atomic_load(&seat->owner);
    if (duress__atomic_add(&seat->handed, 1) == 0)
        *wake = owner;
    return true;
}

bool duress_bulkhead_offer(struct duress_bulkhead *bulkhead, void **wake)
{
    *wake = NULL;
    while (seat_first(bulkhead) != NULL) {
        if (!duress_bulkhead_acquire(bulkhead))
            return false; /* whoever has the slots looks again when one comes back */
        if (slot_hand(bulkhead, wake))
            return true;
        slot_free(bulkhead); /* who waited has given up or been served; others may have come and found no slot */
    }
    return false;
}

void *duress_bulkhead_release(struct duress_bulkhead *bulkhead)
{
    void *wake = NULL;
    uint64_t seen = duress__atomic_load(&bulkhead->word);
    if (word_running(seen) <= word_limit(seen) && slot_hand(bulkhead, &wake))
        return wake;
    slot_free(bulkhead);
    (void)duress_bulkhead_offer(bulkhead, &wake);
    return wake;
}

void duress_bulkhead_set_limit(struct duress_bulkhead *bulkhead, uint32_t limit)
{
    if (limit < 1)
        limit = 1;
    if (limit > DURESS_BULKHEAD_LIMIT_MAX)
        limit = DURESS_BULKHEAD_LIMIT_MAX;
    uint64_t seen = duress__atomic_load(&bulkhead->word);
    while (!duress__atomic_swap_if(&bulkhead->word, &seen, (uint64_t)limit << WORD_LIMIT_AT | word_running(seen)))
        ;
}

int duress_bulkhead_join(struct duress_bulkhead *bulkhead, void *owner, uint32_t *seat, struct duress_failure *why)
{
    if (!duress__option_given("bulkhead", bulkhead, why) || !duress__option_given("owner", owner, why) ||
        !duress__option_given("seat", seat, why))
        return DURESS_E_INVALID;
    for (uint32_t i = 0; i < DURESS_BULKHEAD_SEATS_MAX; i++) {
        uint64_t nobody = 0;
        if (!duress__atomic_swap_if(&bulkhead->seats[i].owner, &nobody, (uint64_t)(uintptr_t)owner))
            continue;
        duress__atomic_raise(&bulkhead->seats_end, i + UINT64_C(1));
        *seat = i;
        return DURESS_OK;
    }
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                           "bulkhead: %d queues share it already, the most allowed", DURESS_BULKHEAD_SEATS_MAX);
    return DURESS_E_INVALID;
}

void duress_bulkhead_leave(struct duress_bulkhead *bulkhead, uint32_t seat)
{
    struct duress__bulkhead_seat *left = &bulkhead->seats[seat];
    DURESS_ASSERT(duress__atomic_load(&left->waiting) == 0);
    DURESS_ASSERT(duress__atomic_load(&left->handed) == 0);
    duress__atomic_store(&left->owner, 0);
}

bool duress_bulkhead_wait(struct duress_bulkhead *bulkhead, uint32_t seat, uint64_t *ticket, void **wake)
{
    struct duress__bulkhead_seat *queue = &bulkhead->seats[seat];
    *wake = NULL;
    *ticket = duress__atomic_add(&bulkhead->tickets, 1) + 1;
    if (duress__atomic_load(&queue->waiting) == 0 && duress__atomic_load(&queue->handed) == 0)
        duress__atomic_store(&queue->ticket, *ticket);
    (void)duress__atomic_add(&queue->waiting, 1);
    if (!duress_bulkhead_acquire(bulkhead))
        return false;
    if (seat_claim(queue))
        return true;
    slot_free(bulkhead); /* another one is on its way to this caller */
    (void)duress_bulkhead_offer(bulkhead, wake);
    return false;
}

bool duress_bulkhead_stop_waiting(struct duress_bulkhead *bulkhead, uint32_t seat)
{
    return seat_claim(&bulkhead->seats[seat]);
}

void duress_bulkhead_set_first(struct duress_bulkhead *bulkhead, uint32_t seat, uint64_t ticket)
{
    duress__atomic_store(&bulkhead->seats[seat].ticket, ticket);
}

uint32_t duress_bulkhead_take(struct duress_bulkhead *bulkhead, uint32_t seat)
{
    return (uint32_t)duress__atomic_exchange(&bulkhead->seats[seat].handed, 0);
}

void duress_bulkhead_snapshot(const struct duress_bulkhead *bulkhead, struct duress_bulkhead_snapshot *snapshot)
{
    uint64_t word = duress__atomic_load(&bulkhead->word);
    *snapshot = (struct duress_bulkhead_snapshot){.limit = word_limit(word), .running = word_running(word)};
    for (uint32_t i = 0; i < DURESS_BULKHEAD_SEATS_MAX; i++)
        snapshot->waiting += duress__atomic_load(&bulkhead->seats[i].waiting);
}
