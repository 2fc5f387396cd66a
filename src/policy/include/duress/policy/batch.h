/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch: which calls go together, and when.
 *
 * Items wait in one queue, first in, first out. The first ones make the next batch: as many as fit into items_max and
 * bytes_max. It goes, provided that fewer than in_flight_max batches are out,
 *
 *     at once       where it is full: items_max items or bytes_max bytes wait
 *     else at       min over its items of min(came + wait_ns, deadline - margin_ns)
 *
 * so that no item waits longer than wait_ns for others, and an item that has less time than that takes the batch with
 * it while there is still margin_ns for the work. (Nagle's idea, RFC 896, with a limit in time; the figures are
 * agenkit's. There the next batch waits for the one before; here in_flight_max may be out side by side.)
 *
 * The owner of the items holds what they carry; here is only what is to be done with them. Pure: time is an argument,
 * items are memory that is handed in. Not thread-safe: a batch belongs to one thread. */
#ifndef DURESS_POLICY_BATCH_H
#define DURESS_POLICY_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_BATCH_ITEMS_MAX_DEFAULT 10 /* agenkit's */
#define DURESS_BATCH_ITEMS_MAX_MAX 65536
#define DURESS_BATCH_BYTES_MAX_DEFAULT (UINT64_C(1) << 20)
#define DURESS_BATCH_BYTES_MAX_MAX (UINT64_C(1) << 40)
#define DURESS_BATCH_WAIT_NS_DEFAULT (100 * DURESS_MS) /* agenkit's */
#define DURESS_BATCH_WAIT_NS_MAX (3600 * DURESS_S)
#define DURESS_BATCH_QUEUE_MAX_DEFAULT 1000 /* agenkit's */
#define DURESS_BATCH_QUEUE_MAX_MAX (UINT32_C(1) << 24)
#define DURESS_BATCH_IN_FLIGHT_MAX_DEFAULT 8 /* agenkit: 1, so that a slow batch holds up all others */
#define DURESS_BATCH_IN_FLIGHT_MAX_MAX 65536

/* 0 anywhere means the default. */
struct duress_batch_options {
    uint32_t items_max;     /* of one batch: 1 to DURESS_BATCH_ITEMS_MAX_MAX. Default 10; 1: each goes alone */
    uint64_t bytes_max;     /* of one batch's items together: 1 to DURESS_BATCH_BYTES_MAX_MAX. Default 1 MiB. An item
                             * that is larger by itself is refused */
    uint64_t wait_ns;       /* for others: 1 to DURESS_BATCH_WAIT_NS_MAX. Default 100 ms */
    uint64_t margin_ns;     /* left to an item for the work: 1 to DURESS_BATCH_WAIT_NS_MAX. Default: wait_ns */
    uint32_t queue_max;     /* items that wait: items_max to DURESS_BATCH_QUEUE_MAX_MAX. Default 1000, or items_max
                             * where that is more */
    uint32_t in_flight_max; /* batches: 1 to DURESS_BATCH_IN_FLIGHT_MAX_MAX. Default 8 */
};

/* Fills |options| from |given| (NULL for all defaults; may be |options| itself) with the defaults in place of zeros.
 * DURESS_E_INVALID where a field is out of range: |why| (NULL where it does not matter) then names the field, what was
 * given and what is allowed, and |options| is as it was. Thread-safe. */
DURESS_API DURESS_MUST_CHECK int duress_batch_options_init(struct duress_batch_options *options,
                                                           const struct duress_batch_options *given,
                                                           struct duress_failure *why);

/* Embedded in the owner's struct. Private. */
struct duress_batch_item {
    struct duress_batch_item *next;
    struct duress_batch_item *previous;
    uint64_t bytes;
    uint64_t go_at_ns; /* its batch must not go later */
};

/* Transparent, to be embedded; every field is private but for the two counts. Not to be moved once in use. */
struct duress_batch {
    struct duress_batch_options options;
    struct duress_batch_item queue; /* the head of the ring */
    uint64_t queued_bytes;
    uint64_t go_at_ns;        /* the earliest of all that wait */
    uint64_t now_ns;          /* the latest that was seen */
    uint32_t taking_count;    /* of the batch that is being taken: items not popped yet */
    uint32_t queued_count;    /* readable: items that wait */
    uint32_t in_flight_count; /* readable: batches that were taken and have not ended */
};

/* Readies a batch of the caller's memory. |options| come from duress_batch_options_init() and are copied. */
DURESS_API void duress_batch_init(struct duress_batch *batch, const struct duress_batch_options *options)
    DURESS_NONNULL(1);

enum duress_batch_verdict {
    DURESS_BATCH_QUEUED = 0, /* it waits: look at duress_batch_due_ns() */
    DURESS_BATCH_FULL,       /* queue_max wait already: refuse */
    DURESS_BATCH_TOO_LARGE,  /* larger than bytes_max by itself: refuse */
};

/* An item of |bytes| came at |now_ns|; its caller waits until |deadline_ns|, or DURESS_TIME_NEVER. */
DURESS_API DURESS_MUST_CHECK enum duress_batch_verdict duress_batch_add(struct duress_batch *batch,
                                                                        struct duress_batch_item *item, uint64_t bytes,
                                                                        uint64_t deadline_ns, uint64_t now_ns)
    DURESS_NONNULL(1);

/* |item|, which waits, does not want to any more. */
DURESS_API void duress_batch_remove(struct duress_batch *batch, struct duress_batch_item *item) DURESS_NONNULL(1);

/* From when on the next batch may be taken; 0: at once, it is full. DURESS_TIME_NEVER where nothing waits or
 * in_flight_max are out. Changes with each call of a function here. */
DURESS_API uint64_t duress_batch_due_ns(const struct duress_batch *batch) DURESS_NONNULL(1);

/* Takes the next batch where it is due at |now_ns|: its first |count| items one after the other by duress_batch_pop().
 * Returns the count, from 1 to items_max; 0 where none is due. duress_batch_end() is owed once for it. */
DURESS_API DURESS_MUST_CHECK uint32_t duress_batch_take(struct duress_batch *batch, uint64_t now_ns) DURESS_NONNULL(1);

/* The item that has waited for longest, taken out. To be called as often as duress_batch_take() said, at once. */
DURESS_API struct duress_batch_item *duress_batch_pop(struct duress_batch *batch) DURESS_NONNULL(1);

/* A batch that was taken has ended. */
DURESS_API void duress_batch_end(struct duress_batch *batch) DURESS_NONNULL(1);

/* Name in lower case ("queued"); never NULL. Thread-safe. */
DURESS_API const char *duress_batch_verdict_name(enum duress_batch_verdict verdict);

#ifdef __cplusplus
}
#endif

#endif
