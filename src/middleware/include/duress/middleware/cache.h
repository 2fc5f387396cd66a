/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache layer: answers from replies that it has kept, asks the inner agent once for many equal requests, and uses
 * an old reply where the service fails. The policy is duress/policy/cache.h.
 *
 * - The key is the request's role, content and metadata, byte by byte; its time stamp is left out, as agenkit does. Or
 *   it is what a function of the user's says. Metadata that says the same in another order is another key: a miss,
 *   never a wrong hit.
 * - Only idempotent calls are answered from the cache, unless all_calls is set. Others, and calls that ask for a
 *   stream, pass through: they neither use it nor fill it.
 * - Only successful, whole replies are kept: the layer holds a reference to the message, and copies nothing. A caller
 *   gets that very message, which nobody can change.
 * - Single-flight: who asks for a key while its call below is under way waits for that one. It belongs to none of
 *   them: each keeps its own deadline and may be cancelled alone, the first one too; the call below is cancelled when
 *   the last one has gone. It must not inherit the first one's deadline, or those with more time would fail for
 *   nothing; so it has none but flight_limit_ns, and below the cache no caller's deadline is to be seen. A failure
 *   goes to all who wait; who asks afterwards begins anew. While it waits, a call counts as one that may have been
 *   executed: if it is given up, its failure is ambiguous. An agent below that asks this cache for the very key that
 *   it is asked for waits for itself.
 * - Stale on error: where the call below fails in a way that stale_if accepts, and the last good reply is not older
 *   than ttl_ns + stale_ns, the callers get that one. duress_cache_counts() counts them; on_stale is told, and may
 *   give a marked reply in its place. A caller whose own deadline passes first gets DURESS_E_DEADLINE: keep the limits
 *   below shorter than what callers have.
 * - Nothing is kept alive by a timer. Dead entries go as further calls come, two with each, or as the least recently
 *   used ones.
 *
 * A call beyond waiting_max ends with DURESS_E_BULKHEAD_FULL, origin CACHE; one whose shared call takes longer than
 * flight_limit_ns with DURESS_E_DEADLINE, origin CACHE; one that the shared call would have to wait for, through this
 * cache or others, because an agent asks itself, with DURESS_E_INVALID, origin CACHE. All other failures are those of
 * the inner agent.
 *
 * Memory: an entry is counted as its own struct, the bytes of its key (with the default key the whole request, of which
 * a reference is held) and of its reply, and what both messages need beside. A hit allocates nothing; a miss nothing
 * once entries were freed before, but for a key function's key. */
#ifndef DURESS_MIDDLEWARE_CACHE_H
#define DURESS_MIDDLEWARE_CACHE_H

#include <duress/middleware/layer.h>
#include <duress/policy/cache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Says what |request| is kept under: true with bytes in *key, which are borrowed until the function is called again (a
 * part of the request, or a buffer of |context|'s), and copied where they are kept; false: it passes through. */
typedef bool (*duress_cache_key_fn)(void *context, struct duress_message *request, struct duress_slice *key);

/* Whether the last good reply may be used in place of |failure|, which is borrowed for the call. */
typedef bool (*duress_stale_if_fn)(void *context, const struct duress_failure *failure);

/* What is given to callers in place of a failure. Borrowed for the call. */
struct duress_cache_stale {
    struct duress_message *request; /* of the call below that failed */
    struct duress_message *reply;   /* the last good one */
    uint64_t age_ns;                /* since it came */
    const struct duress_failure *failure;
    uint32_t callers; /* who wait for it */
};

/* Told once for each call below that failed, before its callers are. Returns a reference to a reply to give instead
 * (the same with a mark in its metadata), or NULL: the last good one as it is. */
typedef struct duress_message *(*duress_on_stale_fn)(void *context, const struct duress_cache_stale *stale);

struct duress_cache_layer_options {
    struct duress_cache_options cache;
    uint64_t flight_limit_ns;    /* of one call below: 1 to DURESS_CACHE_TTL_NS_MAX; 0 or DURESS_TIME_NEVER: none */
    bool all_calls;              /* also those that are not marked idempotent: for services that are only read */
    duress_cache_key_fn key_of;  /* NULL: role, content and metadata */
    duress_stale_if_fn stale_if; /* NULL: duress_cache_stale_if(). Only with cache.stale_ns */
    duress_on_stale_fn on_stale; /* NULL: nobody is told. Only with cache.stale_ns */
    void *context;               /* of the functions */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults (1000 entries, 64 MiB, 300 s, nothing stale). Returns in
 * *outer, free with duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY.
 */
DURESS_API DURESS_MUST_CHECK int duress_with_cache(struct duress_agent *inner,
                                                   const struct duress_cache_layer_options *options,
                                                   struct duress_agent **outer, struct duress_failure *why);

/* The default stale_if: what a retry may help (duress_error_is_retryable()) or a breaker counts (_is_counted()), and
 * refusals by layers below: CIRCUIT_OPEN, RATE_LIMITED, BULKHEAD_FULL, RETRY_BUDGET_SPENT. Not a caller's mistakes.
 * Thread-safe. */
DURESS_API bool duress_cache_stale_if(void *context, const struct duress_failure *failure) DURESS_NONNULL(2);

/* Forgets the reply to |request|, by the same key as a call of it would have. A call below that is under way still
 * answers those who wait, but its reply is not kept, as it may be older than the reason to forget. True where there was
 * a reply or such a call; false also where |agent| has no cache layer. */
DURESS_API bool duress_cache_invalidate(struct duress_agent *agent, struct duress_message *request);

/* The same for all keys. */
DURESS_API void duress_cache_clear(struct duress_agent *agent);

struct duress_cache_layer_counts {
    struct duress_layer_counts calls; /* begun = hits + misses + joined + passed + refused */
    uint64_t hits;                    /* answered by a fresh reply */
    uint64_t misses;                  /* began a call below */
    uint64_t joined;                  /* waited for one that another had begun */
    uint64_t passed;                  /* passed through: not idempotent, streaming, or without a key */
    uint64_t stale;                   /* of calls.succeeded: answered by an old reply in place of a failure */
    struct duress_cache_counts cache; /* entries and bytes now, what was stored, evicted, expired, invalidated, … */
};

/* All zero where there is no cache layer. */
DURESS_API struct duress_cache_layer_counts duress_cache_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
