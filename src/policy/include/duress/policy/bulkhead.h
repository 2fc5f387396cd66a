/* SPDX-License-Identifier: Apache-2.0
 *
 * The bulkhead: at most so many calls at once, so that one slow service cannot take all there is of a program. A call
 * takes a slot before it begins and gives it back when it has ended. (The pattern is Nygard's: Release It!, 2007.)
 *
 * The policy is try-only; who wants to wait does so in a queue of its own, one a loop. For that a queue takes a *seat*,
 * says of each caller that begins or stops to wait, and is handed slots: whoever gives a slot back hands it to the seat
 * whose first caller has waited longest, and is told whom to wake. A slot that was handed over is never free in
 * between, so that nobody passes those who wait; only a slot that found nobody waiting can be taken by the next comer.
 *
 *     acquire -> true                 the call runs                        release
 *     acquire -> false, wait -> true  the call runs after all              release
 *     acquire -> false, wait -> false the call waits, until its queue is woken and takes what was handed to it, or
 *                                     stop_waiting says true; where that says false a slot is on its way, and must be
 *                                     released when it has been taken
 *
 * The limit may change at any time. Below the number of running calls it stops nobody: slots that come back are then
 * not given out again until the number is below the limit.
 *
 * Threads: lock-free, never waits, sequentially consistent; all functions but init may be called from any thread, those
 * with a seat from the thread of its queue. */
#ifndef DURESS_POLICY_BULKHEAD_H
#define DURESS_POLICY_BULKHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/policy/atomic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_BULKHEAD_LIMIT_DEFAULT 25 /* as resilience4j's */
#define DURESS_BULKHEAD_LIMIT_MAX 1000000
#define DURESS_BULKHEAD_SEATS_MAX 32 /* queues that share a bulkhead */

struct duress_bulkhead_options {
    uint32_t limit; /* calls at once: 1 to DURESS_BULKHEAD_LIMIT_MAX; 0 = DURESS_BULKHEAD_LIMIT_DEFAULT */
};

/* Private. */
struct duress__bulkhead_seat {
    struct duress__atomic owner;   /* the queue's pointer; 0: the seat is free */
    struct duress__atomic ticket;  /* of the first in the queue: the lowest has waited longest */
    struct duress__atomic waiting; /* callers to whom no slot is on its way */
    struct duress__atomic handed;  /* slots that the queue has not taken yet */
};

/* Transparent, to be embedded; every field is private. Neither copied nor moved once in use. */
struct duress_bulkhead {
    struct duress__atomic word;      /* the limit above, the running below: see bulkhead.c */
    struct duress__atomic tickets;   /* drawn so far */
    struct duress__atomic seats_end; /* no seat at or above it was ever taken */
    struct duress__bulkhead_seat seats[DURESS_BULKHEAD_SEATS_MAX];
};

/* Readies a bulkhead of the caller's memory, empty. Copies |options|; NULL for the default. DURESS_E_INVALID where the
 * limit is out of range, and |why| (may be NULL) says what was given and what is allowed. There is nothing to undo. */
DURESS_API DURESS_MUST_CHECK int duress_bulkhead_init(struct duress_bulkhead *bulkhead,
                                                      const struct duress_bulkhead_options *options,
                                                      struct duress_failure *why);

/* Takes a slot: true where one was free; it must be released exactly once. */
DURESS_API DURESS_MUST_CHECK bool duress_bulkhead_acquire(struct duress_bulkhead *bulkhead) DURESS_NONNULL(1);

/* Gives a slot back, or hands it on to a queue where callers wait. Returns the owner of the queue that must be woken
 * now, NULL where nobody has to be: it will find the slot with duress_bulkhead_take(). */
DURESS_API DURESS_MUST_CHECK void *duress_bulkhead_release(struct duress_bulkhead *bulkhead) DURESS_NONNULL(1);

/* Changes the limit (1 to DURESS_BULKHEAD_LIMIT_MAX; cut to that range). Where it grew, call duress_bulkhead_offer()
 * until that says false. */
DURESS_API void duress_bulkhead_set_limit(struct duress_bulkhead *bulkhead, uint32_t limit) DURESS_NONNULL(1);

/* Hands one free slot to who has waited longest: false where no slot is free or nobody waits. *wake is the owner of the
 * queue that must be woken now, or NULL. */
DURESS_API bool duress_bulkhead_offer(struct duress_bulkhead *bulkhead, void **wake) DURESS_NONNULL(1);

/* --- for queues --- */

/* Takes a seat for the queue of |owner| (not NULL), which is what release and offer return. *seat is its number.
 * DURESS_E_INVALID where all seats are taken, and |why| (may be NULL) says so. */
DURESS_API DURESS_MUST_CHECK int duress_bulkhead_join(struct duress_bulkhead *bulkhead, void *owner, uint32_t *seat,
                                                      struct duress_failure *why);

/* Leaves it: when nobody waits there and no slot is on its way. */
DURESS_API void duress_bulkhead_leave(struct duress_bulkhead *bulkhead, uint32_t seat) DURESS_NONNULL(1);

/* One caller more waits at |seat|, behind those of its queue. True where it got a slot after all, and does not wait;
 * else *ticket is its number in the order of arrival at all queues. *wake as duress_bulkhead_release() returns it. */
DURESS_API DURESS_MUST_CHECK bool duress_bulkhead_wait(struct duress_bulkhead *bulkhead, uint32_t seat,
                                                       uint64_t *ticket, void **wake) DURESS_NONNULL(1);

/* A caller at |seat| gives up. False: too late, a slot is on its way, and the queue will take one for which nobody
 * waits any more. */
DURESS_API DURESS_MUST_CHECK bool duress_bulkhead_stop_waiting(struct duress_bulkhead *bulkhead, uint32_t seat)
    DURESS_NONNULL(1);

/* Says whose turn is next at |seat|: the ticket of the queue's first caller. To be told after each change. */
DURESS_API void duress_bulkhead_set_first(struct duress_bulkhead *bulkhead, uint32_t seat, uint64_t ticket)
    DURESS_NONNULL(1);

/* Takes the slots that were handed to |seat|, and returns their number: the first so many callers of the queue may run,
 * and what is left over must be released. Called when the queue was woken and at no other time: between the two its
 * owner is touched by others. */
DURESS_API DURESS_MUST_CHECK uint32_t duress_bulkhead_take(struct duress_bulkhead *bulkhead, uint32_t seat)
    DURESS_NONNULL(1);

/* --- looking --- */

struct duress_bulkhead_snapshot {
    uint32_t limit;
    uint32_t running; /* slots taken, those on their way to a queue included; of the same instant as |limit| */
    uint64_t waiting; /* callers of all queues to whom no slot is on its way */
};
/* All there is to see. Thread-safe. */
DURESS_API void duress_bulkhead_snapshot(const struct duress_bulkhead *bulkhead,
                                         struct duress_bulkhead_snapshot *snapshot) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
