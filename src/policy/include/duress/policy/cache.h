/* SPDX-License-Identifier: Apache-2.0
 *
 * Cache: which replies to keep, for how long, which to give up for others, and who asks for what is not there.
 *
 * An entry is what is known of one key: a reply that is kept, a call below that is under way (a flight) with those who
 * wait for it, or both. Its life, from the instant at which its reply was stored:
 *
 *     stored ------ fresh: a hit ------> + ttl_ns ------ stale: only where a flight fails ------> + stale_ns: dead
 *
 * - Fresh replies answer at once. At ttl_ns the reply is no longer fresh; at ttl_ns + stale_ns it is dead.
 * - Single-flight: the first who asks for a key without a fresh reply leads, and begins the one call below; who asks
 *   for the same key meanwhile waits for it. (The manner of Go's golang.org/x/sync/singleflight, where however the
 *   leader's fate is everybody's. Here who waits may leave alone, and the flight goes on until the last one has left.)
 * - Stale on error: where a flight fails and the reply before it is not dead yet, it may be used (RFC 5861, section 4).
 * - Least recently used: above entries_max or bytes_max the reply goes that has not been asked for for longest.
 * - Forgetting a key while its flight is out: those who wait get what they were promised; the reply is not kept, as it
 *   may be older than the reason to forget, and who asks afterwards leads a flight of their own.
 *
 * The owner of the entries holds the memory, the replies and the calls; here is only what is to be done with them.
 * Nothing is ordered by address. Keys are hashed by SipHash-2-4 under a key that the owner draws, so that requests from
 * outside cannot be made to collide, and compared byte by byte.
 *
 * Pure: time is an argument, entries and the table are memory that is handed in. Time that goes backwards counts as no
 * time passing. Not thread-safe: a cache belongs to one thread. */
#ifndef DURESS_POLICY_CACHE_H
#define DURESS_POLICY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/slice.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_CACHE_TTL_NS_DEFAULT (300 * DURESS_S)         /* agenkit's */
#define DURESS_CACHE_TTL_NS_MAX (366 * 24 * 3600 * DURESS_S) /* of ttl_ns and stale_ns */
#define DURESS_CACHE_ENTRIES_MAX_DEFAULT 1000                /* agenkit's */
#define DURESS_CACHE_ENTRIES_MAX_MAX (UINT32_C(1) << 24)
#define DURESS_CACHE_BYTES_MAX_DEFAULT (UINT64_C(64) * 1024 * 1024)
#define DURESS_CACHE_BYTES_MAX_MAX (UINT64_C(1) << 40)
#define DURESS_CACHE_WAITING_MAX_DEFAULT 10000
#define DURESS_CACHE_WAITING_MAX_MAX (UINT32_C(1) << 24)

/* 0 anywhere means the default. */
struct duress_cache_options {
    uint64_t ttl_ns;      /* 1 to DURESS_CACHE_TTL_NS_MAX, or DURESS_TIME_NEVER: fresh for ever. Default 300 s */
    uint64_t stale_ns;    /* up to DURESS_CACHE_TTL_NS_MAX, or DURESS_TIME_NEVER. Default 0: nothing stale is used. Must
                           * be 0 where ttl_ns is DURESS_TIME_NEVER */
    uint32_t entries_max; /* replies kept: 1 to DURESS_CACHE_ENTRIES_MAX_MAX. Default 1000 */
    uint64_t bytes_max; /* of all that is kept: 1 to DURESS_CACHE_BYTES_MAX_MAX. Default 64 MiB. A reply that is larger
                         * by itself is not kept */
    uint32_t waiting_max; /* calls that wait for flights, leaders included; hence flights as well: 1 to
                           * DURESS_CACHE_WAITING_MAX_MAX. Default 10000 */
};

/* Fills |options| from |given| (NULL for all defaults; may be |options| itself) with the defaults in place of zeros.
 * DURESS_E_INVALID where a field is out of range: |why| (NULL where it does not matter) then names the field, what was
 * given and what is allowed, and |options| is as it was. Thread-safe. */
DURESS_API DURESS_MUST_CHECK int duress_cache_options_init(struct duress_cache_options *options,
                                                           const struct duress_cache_options *given,
                                                           struct duress_failure *why);

/* What an entry is found by: three runs of bytes, each compared by itself. */
struct duress_cache_key {
    struct duress_slice role;
    struct duress_slice content;
    struct duress_slice metadata;
};

/* Private: rings of entries and of those who wait, with heads of their own. */
struct duress_cache_link {
    struct duress_cache_link *next;
    struct duress_cache_link *previous;
};

/* Embedded in the owner's struct, zeroed before duress_cache_insert(). Fields are private, but for what is said. */
struct duress_cache_entry {
    struct duress_cache_key key; /* borrowed: the owner keeps its bytes for as long as the entry is in use */
    uint64_t hash;
    struct duress_cache_entry *chain; /* the next one in the table's bucket */
    struct duress_cache_link used;    /* all that have a reply, the last used one first */
    struct duress_cache_link aged;    /* all that have a reply, the last stored one first */
    struct duress_cache_link flight;  /* all in the table whose flight is out */
    struct duress_cache_link waiters;
    uint64_t bytes;
    uint64_t stored_ns;      /* readable: when its reply was stored */
    uint64_t fresh_until_ns; /* readable */
    uint64_t stale_until_ns; /* readable */
    uint32_t waiting_count;  /* readable: who waits for its flight */
    bool stored;             /* readable: it has a reply */
    bool in_flight;          /* readable */
    bool listed;             /* in the table */
};

/* One who waits for a flight: embedded in the owner's struct. */
struct duress_cache_waiter {
    struct duress_cache_link link;    /* private */
    struct duress_cache_entry *entry; /* readable: what it waits for; NULL: nothing */
};

struct duress_cache_counts {
    uint64_t stored;      /* replies kept since it was made */
    uint64_t evicted;     /* replies given up for others */
    uint64_t expired;     /* replies given up because they were dead */
    uint64_t invalidated; /* replies and flights that duress_cache_forget() took out */
    uint64_t too_large;   /* replies not kept: larger than bytes_max by themselves */
    uint64_t bytes;       /* kept now */
    uint32_t entries;     /* replies kept now */
    uint32_t flights;     /* under way now */
    uint32_t waiting;     /* for flights, now */
};

/* Transparent, to be embedded; every field is private. Not to be moved once in use. */
struct duress_cache {
    struct duress_cache_options options;
    struct duress_cache_entry **buckets;
    size_t bucket_mask;
    uint64_t hash_key[2];
    struct duress_cache_link used;
    struct duress_cache_link aged;
    struct duress_cache_link flights;
    struct duress_cache_counts counts;
    uint64_t now_ns; /* the latest that was seen */
};

/* How many buckets duress_cache_init() wants for |options|, which are complete: the power of two that is not below
 * entries_max. */
DURESS_API size_t duress_cache_bucket_count(const struct duress_cache_options *options) DURESS_NONNULL(1);

/* Readies a cache of the caller's memory. |options| come from duress_cache_options_init() and are copied; |buckets| are
 * duress_cache_bucket_count() of them, zeroed, borrowed for the cache's life. |hash_key| is drawn by the owner. */
DURESS_API void duress_cache_init(struct duress_cache *cache, const struct duress_cache_options *options,
                                  struct duress_cache_entry **buckets, const uint64_t hash_key[2]) DURESS_NONNULL(1);

/* The hash of |key|, for the two functions that follow. */
DURESS_API uint64_t duress_cache_hash(const struct duress_cache *cache, const struct duress_cache_key *key)
    DURESS_NONNULL(1);

/* The entry of |key|, or NULL. */
DURESS_API struct duress_cache_entry *duress_cache_find(const struct duress_cache *cache,
                                                        const struct duress_cache_key *key, uint64_t hash)
    DURESS_NONNULL(1);

/* Puts |entry|, zeroed, into the table; there is none of |key| yet. duress_cache_lead() follows at once. */
DURESS_API void duress_cache_insert(struct duress_cache *cache, struct duress_cache_entry *entry,
                                    const struct duress_cache_key *key, uint64_t hash) DURESS_NONNULL(1);

enum duress_cache_verdict {
    DURESS_CACHE_HIT = 0, /* the entry's reply is fresh: answer with it */
    DURESS_CACHE_LEAD,    /* nobody asks yet: duress_cache_lead() (after _insert() where there is no entry), and ask */
    DURESS_CACHE_JOIN,    /* a flight is out: duress_cache_join() */
    DURESS_CACHE_FULL,    /* waiting_max wait already: refuse */
};

/* What is to become of one who asks at |now_ns| for |entry| (NULL: there is none of the key). A hit makes the entry the
 * last used one. */
DURESS_API enum duress_cache_verdict duress_cache_decide(struct duress_cache *cache, struct duress_cache_entry *entry,
                                                         uint64_t now_ns) DURESS_NONNULL(1);

/* |waiter| is the first to wait for a flight of |entry|, which begins. */
DURESS_API void duress_cache_lead(struct duress_cache *cache, struct duress_cache_entry *entry,
                                  struct duress_cache_waiter *waiter) DURESS_NONNULL(1);

/* |waiter| waits for the flight of |entry| as well. */
DURESS_API void duress_cache_join(struct duress_cache *cache, struct duress_cache_entry *entry,
                                  struct duress_cache_waiter *waiter) DURESS_NONNULL(1);

/* |waiter| does not wait any more; nothing where it does not. True where it was the last one of its flight, which is
 * over with that: the call below is to be given up, and the entry looked at (duress_cache_entry_is_idle()). */
DURESS_API DURESS_MUST_CHECK bool duress_cache_leave(struct duress_cache *cache, struct duress_cache_waiter *waiter)
    DURESS_NONNULL(1);

/* Whether a reply of |bytes| (what it costs in memory, the key included) that the flight of |entry| brought at |now_ns|
 * is kept: it replaces the one before. False where it is too large or |entry| was forgotten meanwhile; then the one
 * before is gone as well, being outdated. The entry is the last used one. duress_cache_land() follows, and
 * duress_cache_excess(). */
DURESS_API DURESS_MUST_CHECK bool duress_cache_store(struct duress_cache *cache, struct duress_cache_entry *entry,
                                                     uint64_t bytes, uint64_t now_ns) DURESS_NONNULL(1);

/* Whether |entry| has a reply that may be used at |now_ns| where its flight has failed. */
DURESS_API bool duress_cache_is_stale(const struct duress_cache *cache, const struct duress_cache_entry *entry,
                                      uint64_t now_ns) DURESS_NONNULL(1);

/* The flight of |entry| is over, after duress_cache_store() or duress_cache_is_stale() were asked: who waited is moved
 * to |waiters|, a link of the caller's memory, in the order in which they came, and has left. The entry may be idle. */
DURESS_API void duress_cache_land(struct duress_cache *cache, struct duress_cache_entry *entry,
                                  struct duress_cache_link *waiters) DURESS_NONNULL(1);

/* The next of the |waiters| that landed, taken out; NULL where there is none left. Those that leave meanwhile are not
 * among them. */
DURESS_API struct duress_cache_waiter *duress_cache_next(struct duress_cache_link *waiters) DURESS_NONNULL(1);

/* Who waits for |entry|'s flight: the one that came after |waiter|, the first for NULL. NULL: nobody else. */
DURESS_API const struct duress_cache_waiter *duress_cache_waiter_after(const struct duress_cache_entry *entry,
                                                                       const struct duress_cache_waiter *waiter)
    DURESS_NONNULL(1);

/* The entry whose reply is given up next: the least recently used one while there is more than is allowed; NULL where
 * there is not. It has no reply any more (release it), and may be idle. */
DURESS_API struct duress_cache_entry *duress_cache_excess(struct duress_cache *cache) DURESS_NONNULL(1);

/* Likewise: the one whose reply is dead for longest. To be asked now and then, a few times: no timer is needed. */
DURESS_API struct duress_cache_entry *duress_cache_dead(struct duress_cache *cache, uint64_t now_ns) DURESS_NONNULL(1);

/* Takes |entry| out: its reply is given up (where it had one: release it), its flight flies on unlisted. */
DURESS_API void duress_cache_forget(struct duress_cache *cache, struct duress_cache_entry *entry) DURESS_NONNULL(1);

/* One of the table's entries, for taking all of them out one after the other; NULL where there is none. */
DURESS_API struct duress_cache_entry *duress_cache_first(const struct duress_cache *cache) DURESS_NONNULL(1);

/* Neither a reply nor a flight: it is out of the table, and its memory is the owner's again. */
static inline bool duress_cache_entry_is_idle(const struct duress_cache_entry *entry)
{
    return !entry->stored && !entry->in_flight;
}

/* Name in lower case ("hit"); never NULL. Thread-safe. */
DURESS_API const char *duress_cache_verdict_name(enum duress_cache_verdict verdict);

#ifdef __cplusplus
}
#endif

#endif
