/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch agent: collects calls, and answers them together by one call of a function, or by one combined message to
 * another agent. The policy, which says who goes together and when, is duress/policy/batch.h.
 *
 * - Each caller gets its own answer or failure. One bad item fails no other; one that the function forgot fails with
 *   DURESS_E_MALFORMED, origin BATCH.
 * - A caller that goes before its batch does leaves the queue. One that goes later is no longer wanted: its answer is
 *   dropped and counted. When nobody of a batch waits any more, the function is told.
 * - A caller's deadline is its own, whatever happens to the batch. An item with little time takes its batch with it
 *   early, so that margin_ns are left for the work.
 * - Calls that ask for a stream get one whole reply.
 * - A call beyond queue_max ends with DURESS_E_BULKHEAD_FULL, one larger than bytes_max by itself with
 *   DURESS_E_TOO_LARGE, both with origin BATCH and not ambiguous.
 * - Where memory is out for one more batch, its items wait until a batch ends. */
#ifndef DURESS_MIDDLEWARE_BATCH_H
#define DURESS_MIDDLEWARE_BATCH_H

#include <duress/middleware/layer.h>
#include <duress/policy/batch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A batch that is out: from the function's begin until duress_batch_run_end(). */
struct duress_batch_run {
    size_t count; /* at least 1 */
    struct duress_message *const
        *requests;        /* |count| of them, in the order in which they came; borrowed until the end */
    uint64_t deadline_ns; /* the latest of the callers': then nobody waits any more; DURESS_TIME_NEVER: none */
    bool idempotent;      /* all of the calls are */
    void *state;          /* the function's own; NULL at first */
};

/* Answers a batch: each item once, now or later, in any order, by duress_batch_run_reply() or _fail(); and then ends
 * it, once, by duress_batch_run_end(). Runs on the world's thread, from its loop, and must not block. */
typedef void (*duress_batch_fn)(void *context, struct duress_batch_run *run);

/* One item's answer. |reply| is borrowed, of |failure| a copy is made. Where its caller does not wait any more the
 * answer is dropped; for an item that was answered before, or that there is none of, nothing happens. Callers may be
 * told inside, and do what they like. */
DURESS_API void duress_batch_run_reply(struct duress_batch_run *run, size_t index, struct duress_message *reply)
    DURESS_NONNULL(1);
DURESS_API void duress_batch_run_fail(struct duress_batch_run *run, size_t index, const struct duress_failure *failure)
    DURESS_NONNULL(1);

/* Whether the item's caller still waits for its answer. */
DURESS_API bool duress_batch_run_is_wanted(const struct duress_batch_run *run, size_t index) DURESS_NONNULL(1);

/* The batch is done: what was not answered is forgotten. |run| is gone. Owed once, even where nobody waits any more and
 * where the agent is gone. */
DURESS_API void duress_batch_run_end(struct duress_batch_run *run) DURESS_NONNULL(1);

struct duress_batch_agent_options {
    struct duress_batch_options batch;
    duress_batch_fn begin;   /* must be given */
    duress_batch_fn abandon; /* nobody waits for |run| any more: a hint to stop early; duress_batch_run_end() is still
                              * owed, and may be called inside. NULL: no hint */
    void *context;           /* of the functions */
};

/* Makes an agent of |world| whose calls are answered by |options|->begin. |options| are copied. Returns in *agent, free
 * with duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_batch_new(struct duress_world *world, const char *name,
                                                  const struct duress_batch_agent_options *options,
                                                  struct duress_agent **agent, struct duress_failure *why);

/* Makes one request of all of |run|'s: DURESS_OK with a reference given away in *combined, or a negative code, which
 * all items then fail with. */
typedef int (*duress_batch_encode_fn)(void *context, const struct duress_batch_run *run,
                                      struct duress_message **combined);

/* Answers |run|'s items from the one |reply|, by duress_batch_run_reply() and _fail(); does not end it. */
typedef void (*duress_batch_decode_fn)(void *context, struct duress_message *reply, struct duress_batch_run *run);

struct duress_batch_layer_options {
    struct duress_batch_options batch;
    duress_batch_encode_fn encode; /* must be given */
    duress_batch_decode_fn decode; /* must be given */
    void *context;                 /* of the functions */
};

/* Wraps |inner|, which is asked the combined requests, each with the latest deadline of its callers, and as idempotent
 * where all of them are. If it fails, so do all items, alike; if nobody waits any more, it is cancelled. |options| are
 * copied. Returns in *outer, free with duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_batch(struct duress_agent *inner,
                                                   const struct duress_batch_layer_options *options,
                                                   struct duress_agent **outer, struct duress_failure *why);

struct duress_batch_counts {
    struct duress_layer_counts calls;
    uint64_t batches;      /* begun */
    uint64_t batches_full; /* of them: because items_max or bytes_max was reached, not because it was time */
    uint64_t items;        /* that went with them */
    uint64_t waited_ns;    /* until then, all items together */
    uint64_t forgotten;    /* items that were not answered */
    uint64_t dropped;      /* answers that nobody waited for any more */
    uint64_t abandoned;    /* batches that nobody waited for any more */
    uint32_t items_least;  /* of the smallest batch; 0 before the first one */
    uint32_t items_most;   /* of the largest */
    uint32_t queued;       /* items that wait for their batch, now */
    uint32_t in_flight;    /* batches, now */
};

/* All zero where there is no batch agent. */
DURESS_API struct duress_batch_counts duress_batch_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
