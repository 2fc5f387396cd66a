/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/cache.h>

#include "option.h"
#include "siphash.h"

#define CACHE_OWNER(of, type, member) ((type *)(void *)((char *)(of)-offsetof(type, member)))

/* --- options --- */

/* DURESS_TIME_NEVER is a choice of its own beside the range. */
static bool cache_time_in_range(const char *field, uint64_t given, uint64_t low, struct duress_failure *why)
{
    return given == DURESS_TIME_NEVER || duress__option_in_range(field, given, low, DURESS_CACHE_TTL_NS_MAX, why);
}

int duress_cache_options_init(struct duress_cache_options *options, const struct duress_cache_options *given,
                              struct duress_failure *why)
{
    struct duress_cache_options filled = {0};
    if (!duress__option_given("options", options, why))
        return DURESS_E_INVALID;
    if (given != NULL)
        filled = *given;
    filled.ttl_ns = option_or_u64(filled.ttl_ns, DURESS_CACHE_TTL_NS_DEFAULT);
    filled.entries_max = option_or_u32(filled.entries_max, DURESS_CACHE_ENTRIES_MAX_DEFAULT);
    filled.bytes_max = option_or_u64(filled.bytes_max, DURESS_CACHE_BYTES_MAX_DEFAULT);
    filled.waiting_max = option_or_u32(filled.waiting_max, DURESS_CACHE_WAITING_MAX_DEFAULT);
    if (!cache_time_in_range("cache.ttl_ns", filled.ttl_ns, 1, why) ||
        !cache_time_in_range("cache.stale_ns", filled.stale_ns, 0, why) ||
        !duress__option_in_range("cache.entries_max", filled.entries_max, 1, DURESS_CACHE_ENTRIES_MAX_MAX, why) ||
        !duress__option_in_range("cache.bytes_max", filled.bytes_max, 1, DURESS_CACHE_BYTES_MAX_MAX, why) ||
        !duress__option_in_range("cache.waiting_max", filled.waiting_max, 1, DURESS_CACHE_WAITING_MAX_MAX, why))
        return DURESS_E_INVALID;
    if (filled.ttl_ns == DURESS_TIME_NEVER &&
        !duress__option_unused("cache.stale_ns", filled.stale_ns, "where ttl_ns is DURESS_TIME_NEVER", why))
        return DURESS_E_INVALID;
    *options = filled;
    return DURESS_OK;
}

/* --- rings --- */

static void ring_init(struct duress_cache_link *link)
{
    link->next = link;
    link->previous = link;
}

static void ring_remove(struct duress_cache_link *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    ring_init(link);
}

static void ring_insert(struct duress_cache_link *after, struct duress_cache_link *link)
{
    link->previous = after;
    link->next = after->next;
    after->next->previous = link;
    after->next = link;
}

/* --- the table --- */

size_t duress_cache_bucket_count(const struct duress_cache_options *options)
{
    size_t count = 1;
    while (count < options->entries_max)
        count *= 2;
    return count;
}

void duress_cache_init(struct duress_cache *cache, const struct duress_cache_options *options,
                       struct duress_cache_entry **buckets, const uint64_t hash_key[2])
{
    *cache = (struct duress_cache){
        .options = *options,
        .buckets = buckets,
        .bucket_mask = duress_cache_bucket_count(options) - 1,
        .hash_key = {hash_key[0], hash_key[1]},
    };
    ring_init(&cache->used);
    ring_init(&cache->aged);
    ring_init(&cache->flights);
}

/* The lengths go first, so that no two keys give the same bytes. */
uint64_t duress_cache_hash(const struct duress_cache *cache, const struct duress_cache_key *key)
{
    struct siphash hash;
    duress__siphash_init(&hash, cache->hash_key);
    duress__siphash_word(&hash, key->role.length);
    duress__siphash_word(&hash, key->content.length);
    duress__siphash_bytes(&hash, key->role);
    duress__siphash_bytes(&hash, key->content);
    duress__siphash_bytes(&hash, key->metadata);
    return duress__siphash_end(&hash);
}

static bool cache_keys_equal(const struct duress_cache_key *a, const struct duress_cache_key *b)
{
    return duress_slice_equal(a->content, b->content) && duress_slice_equal(a->metadata, b->metadata) &&
           duress_slice_equal(a->role, b->role);
}

static struct duress_cache_entry **cache_bucket(const struct duress_cache *cache, uint64_t hash)
{
    return &cache->buckets[(size_t)hash & cache->bucket_mask];
}

struct duress_cache_entry *duress_cache_find(const struct duress_cache *cache, const struct duress_cache_key *key,
                                             uint64_t hash)
{
    struct duress_cache_entry *entry = *cache_bucket(cache, hash);
    while (entry != NULL && (entry->hash != hash || !cache_keys_equal(&entry->key, key)))
        entry = entry->chain;
    return entry;
}

void duress_cache_insert(struct duress_cache *cache, struct duress_cache_entry *entry,
                         const struct duress_cache_key *key, uint64_t hash)
{
    struct duress_cache_entry **bucket = cache_bucket(cache, hash);
    *entry = (struct duress_cache_entry){.key = *key, .hash = hash, .chain = *bucket, .listed = true};
    ring_init(&entry->used);
    ring_init(&entry->aged);
    ring_init(&entry->flight);
    ring_init(&entry->waiters);
    *bucket = entry;
}

static void cache_unlist(const struct duress_cache *cache, struct duress_cache_entry *entry)
{
    struct duress_cache_entry **link = cache_bucket(cache, entry->hash);
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    entry->listed = false;
}

static void cache_unlist_if_idle(const struct duress_cache *cache, struct duress_cache_entry *entry)
{
    if (entry->listed && duress_cache_entry_is_idle(entry))
        cache_unlist(cache, entry);
}

/* --- who asks --- */

static uint64_t cache_now_ns(struct duress_cache *cache, uint64_t now_ns)
{
    if (now_ns > cache->now_ns)
        cache->now_ns = now_ns;
    return cache->now_ns;
}

static void cache_mark_used(struct duress_cache *cache, struct duress_cache_entry *entry)
{
    ring_remove(&entry->used);
    ring_insert(&cache->used, &entry->used);
}

enum duress_cache_verdict duress_cache_decide(struct duress_cache *cache, struct duress_cache_entry *entry,
                                              uint64_t now_ns)
{
    if (entry != NULL && entry->stored && cache_now_ns(cache, now_ns) < entry->fresh_until_ns) {
        cache_mark_used(cache, entry);
        return DURESS_CACHE_HIT;
    }
    if (cache->counts.waiting >= cache->options.waiting_max)
        return DURESS_CACHE_FULL;
    return entry != NULL && entry->in_flight ? DURESS_CACHE_JOIN : DURESS_CACHE_LEAD;
}

void duress_cache_lead(struct duress_cache *cache, struct duress_cache_entry *entry, struct duress_cache_waiter *waiter)
{
    entry->in_flight = true;
    cache->counts.flights++;
    ring_insert(cache->flights.previous, &entry->flight);
    duress_cache_join(cache, entry, waiter);
}

void duress_cache_join(struct duress_cache *cache, struct duress_cache_entry *entry, struct duress_cache_waiter *waiter)
{
    waiter->entry = entry;
    ring_insert(entry->waiters.previous, &waiter->link);
    entry->waiting_count++;
    cache->counts.waiting++;
}

static void cache_end_flight(struct duress_cache *cache, struct duress_cache_entry *entry)
{
    entry->in_flight = false;
    cache->counts.flights--;
    ring_remove(&entry->flight);
}

bool duress_cache_leave(struct duress_cache *cache, struct duress_cache_waiter *waiter)
{
    struct duress_cache_entry *entry = waiter->entry;
    ring_remove(&waiter->link); /* which may be in the ring of those that landed */
    if (entry == NULL)
        return false;
    waiter->entry = NULL;
    cache->counts.waiting--;
    if (--entry->waiting_count > 0)
        return false;
    cache_end_flight(cache, entry);
    cache_unlist_if_idle(cache, entry);
    return true;
}

void duress_cache_land(struct duress_cache *cache, struct duress_cache_entry *entry, struct duress_cache_link *waiters)
{
    ring_init(waiters);
    while (entry->waiters.next != &entry->waiters) {
        struct duress_cache_waiter *waiter = CACHE_OWNER(entry->waiters.next, struct duress_cache_waiter, link);
        waiter->entry = NULL;
        ring_remove(&waiter->link);
        ring_insert(waiters->previous, &waiter->link);
    }
    cache->counts.waiting -= entry->waiting_count;
    entry->waiting_count = 0;
    cache_end_flight(cache, entry);
    cache_unlist_if_idle(cache, entry);
}

const struct duress_cache_waiter *duress_cache_waiter_after(const struct duress_cache_entry *entry,
                                                            const struct duress_cache_waiter *waiter)
{
    const struct duress_cache_link *next = waiter != NULL ? waiter->link.next : entry->waiters.next;
    return next != &entry->waiters ? (const struct duress_cache_waiter *)next : NULL;
}

struct duress_cache_waiter *duress_cache_next(struct duress_cache_link *waiters)
{
    if (waiters->next == waiters)
        return NULL;
    struct duress_cache_waiter *waiter = CACHE_OWNER(waiters->next, struct duress_cache_waiter, link);
    ring_remove(&waiter->link);
    return waiter;
}

/* --- replies --- */

static void cache_drop_reply(struct duress_cache *cache, struct duress_cache_entry *entry)
{
    if (!entry->stored)
        return;
    entry->stored = false;
    cache->counts.entries--;
    cache->counts.bytes -= entry->bytes;
    ring_remove(&entry->used);
    ring_remove(&entry->aged);
}

bool duress_cache_store(struct duress_cache *cache, struct duress_cache_entry *entry, uint64_t bytes, uint64_t now_ns)
{
    cache_drop_reply(cache, entry);
    if (!entry->listed)
        return false;
    if (bytes > cache->options.bytes_max) {
        cache->counts.too_large++;
        return false;
    }
    entry->stored = true;
    entry->bytes = bytes;
    entry->stored_ns = cache_now_ns(cache, now_ns);
    entry->fresh_until_ns = duress_time_add(entry->stored_ns, cache->options.ttl_ns);
    entry->stale_until_ns = duress_time_add(entry->fresh_until_ns, cache->options.stale_ns);
    cache->counts.stored++;
    cache->counts.entries++;
    cache->counts.bytes += bytes;
    ring_insert(&cache->used, &entry->used);
    ring_insert(&cache->aged, &entry->aged);
    return true;
}

bool duress_cache_is_stale(const struct duress_cache *cache, const struct duress_cache_entry *entry, uint64_t now_ns)
{
    uint64_t latest_ns = now_ns > cache->now_ns ? now_ns : cache->now_ns;
    return entry->stored && latest_ns < entry->stale_until_ns;
}

static struct duress_cache_entry *cache_give_up(struct duress_cache *cache, struct duress_cache_entry *entry,
                                                uint64_t *counter)
{
    ++*counter;
    cache_drop_reply(cache, entry);
    cache_unlist_if_idle(cache, entry);
    return entry;
}

struct duress_cache_entry *duress_cache_excess(struct duress_cache *cache)
{
    if (cache->counts.entries <= cache->options.entries_max && cache->counts.bytes <= cache->options.bytes_max)
        return NULL;
    struct duress_cache_entry *last = CACHE_OWNER(cache->used.previous, struct duress_cache_entry, used);
    return cache_give_up(cache, last, &cache->counts.evicted);
}

struct duress_cache_entry *duress_cache_dead(struct duress_cache *cache, uint64_t now_ns)
{
    if (cache->aged.previous == &cache->aged)
        return NULL;
    /* All live equally long, so that the one stored first is the first to die. */
    struct duress_cache_entry *oldest = CACHE_OWNER(cache->aged.previous, struct duress_cache_entry, aged);
    if (cache_now_ns(cache, now_ns) < oldest->stale_until_ns)
        return NULL;
    return cache_give_up(cache, oldest, &cache->counts.expired);
}

void duress_cache_forget(struct duress_cache *cache, struct duress_cache_entry *entry)
{
    if (!entry->listed)
        return;
    cache->counts.invalidated++;
    cache_drop_reply(cache, entry);
    ring_remove(&entry->flight);
    cache_unlist(cache, entry);
}

struct duress_cache_entry *duress_cache_first(const struct duress_cache *cache)
{
    if (cache->used.next != &cache->used)
        return CACHE_OWNER(cache->used.next, struct duress_cache_entry, used);
    if (cache->flights.next != &cache->flights)
        return CACHE_OWNER(cache->flights.next, struct duress_cache_entry, flight);
    return NULL;
}

const char *duress_cache_verdict_name(enum duress_cache_verdict verdict)
{
    switch (verdict) {
    case DURESS_CACHE_HIT:
        return "hit";
    case DURESS_CACHE_LEAD:
        return "lead";
    case DURESS_CACHE_JOIN:
        return "join";
    case DURESS_CACHE_FULL:
        return "full";
    }
    return "unknown";
}
