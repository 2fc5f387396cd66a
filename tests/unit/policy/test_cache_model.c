/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache against the model: every sequence of a few steps, then long random ones under many configurations. After
 * each step both must have decided alike, hold the same, and have counted the same. */
#include "policy_test.h"

#include <stdio.h>
#include <string.h>

#include <duress/prng.h>

#include "cache_model.h"

enum { KEY_COUNT = 4, OWNER_MAX = 64, WAITER_MAX = 48, BUCKET_MAX = 16 };

struct owner {
    struct duress_cache_entry entry; /* first */
    bool in_use;
    int key;
    int flight; /* its number in the model */
};

struct pair {
    struct duress_cache cache;
    struct cache_model model;
    struct duress_cache_entry *buckets[BUCKET_MAX];
    struct owner owners[OWNER_MAX];
    struct duress_cache_waiter waiters[WAITER_MAX];
    bool waits[WAITER_MAX];
    uint64_t now_ns;
};

static struct pair the_pair;

static const struct duress_cache_key *key_number(int number)
{
    static const char *const names[KEY_COUNT] = {"a", "b", "c", "d"};
    static struct duress_cache_key key;
    key = (struct duress_cache_key){.content = duress_slice_text(names[number])};
    return &key;
}

static void pair_open(struct pair *pair, const struct duress_cache_options *given)
{
    memset(pair, 0, sizeof *pair);
    assert_int_equal(duress_cache_options_init(&pair->model.options, given, NULL), DURESS_OK);
    assert_true(duress_cache_bucket_count(&pair->model.options) <= BUCKET_MAX);
    duress_cache_init(&pair->cache, &pair->model.options, pair->buckets, (const uint64_t[2]){1, 2});
    pair->now_ns = 1000;
}

static struct duress_cache_entry *pair_find(struct pair *pair, int key)
{
    return duress_cache_find(&pair->cache, key_number(key), duress_cache_hash(&pair->cache, key_number(key)));
}

static struct owner *owner_new(struct pair *pair, int key)
{
    for (int i = 0; i < OWNER_MAX; i++) {
        struct owner *owner = &pair->owners[i];
        if (owner->in_use)
            continue;
        *owner = (struct owner){.in_use = true, .key = key, .flight = -1};
        static struct duress_cache_key kept[OWNER_MAX];
        kept[i] = *key_number(key);
        duress_cache_insert(&pair->cache, &owner->entry, &kept[i], duress_cache_hash(&pair->cache, &kept[i]));
        return owner;
    }
    fail_msg("no entry left");
    return NULL;
}

/* What a shell does after each taking out. */
static void owner_settle(struct duress_cache_entry *entry)
{
    struct owner *owner = (struct owner *)entry;
    if (!duress_cache_entry_is_idle(entry))
        return;
    assert_false(entry->listed);
    assert_true(owner->in_use);
    owner->in_use = false;
}

static void pair_check(struct pair *pair)
{
    struct duress_cache_counts counts = cache_model_counts(&pair->model);
    assert_int_equal(pair->cache.counts.stored, counts.stored);
    assert_int_equal(pair->cache.counts.evicted, counts.evicted);
    assert_int_equal(pair->cache.counts.expired, counts.expired);
    assert_int_equal(pair->cache.counts.invalidated, counts.invalidated);
    assert_int_equal(pair->cache.counts.too_large, counts.too_large);
    assert_int_equal(pair->cache.counts.bytes, counts.bytes);
    assert_int_equal(pair->cache.counts.entries, counts.entries);
    assert_int_equal(pair->cache.counts.flights, counts.flights);
    assert_int_equal(pair->cache.counts.waiting, counts.waiting);
    for (int i = 0; i < pair->model.reply_count; i++) {
        const struct cache_model_reply *reply = &pair->model.replies[i];
        const struct duress_cache_entry *entry = pair_find(pair, reply->key);
        assert_non_null(entry);
        assert_true(entry->stored);
        assert_int_equal(entry->stored_ns, reply->stored_ns);
        assert_int_equal(entry->bytes, reply->bytes);
    }
}

static void step_ask(struct pair *pair, int key)
{
    int waiter = 0;
    int number = -1;
    while (waiter < WAITER_MAX && pair->waits[waiter])
        waiter++;
    if (waiter == WAITER_MAX)
        return;
    struct duress_cache_entry *entry = pair_find(pair, key);
    enum duress_cache_verdict verdict = duress_cache_decide(&pair->cache, entry, pair->now_ns);
    assert_string_equal(duress_cache_verdict_name(verdict),
                        duress_cache_verdict_name(cache_model_ask(&pair->model, key, waiter, pair->now_ns, &number)));
    pair->waits[waiter] = verdict == DURESS_CACHE_LEAD || verdict == DURESS_CACHE_JOIN;
    if (verdict == DURESS_CACHE_LEAD) {
        struct owner *owner = entry != NULL ? (struct owner *)entry : owner_new(pair, key);
        owner->flight = number;
        duress_cache_lead(&pair->cache, &owner->entry, &pair->waiters[waiter]);
    } else if (verdict == DURESS_CACHE_JOIN) {
        assert_int_equal(((struct owner *)entry)->flight, number);
        duress_cache_join(&pair->cache, entry, &pair->waiters[waiter]);
    }
}

static struct owner *owner_of_flight(struct pair *pair, int number)
{
    for (int i = 0; i < OWNER_MAX; i++) {
        struct owner *owner = &pair->owners[i];
        if (owner->in_use && owner->entry.in_flight && owner->flight == number)
            return owner;
    }
    fail_msg("no flight %d", number);
    return NULL;
}

static void pair_land(struct pair *pair, struct owner *owner, const struct cache_model_flight *flight)
{
    struct duress_cache_link waiters;
    duress_cache_land(&pair->cache, &owner->entry, &waiters);
    for (int i = 0; i < flight->waiter_count; i++) { /* first come, first served */
        struct duress_cache_waiter *waiter = duress_cache_next(&waiters);
        assert_ptr_equal(waiter, &pair->waiters[flight->waiters[i]]);
        assert_null(waiter->entry);
        pair->waits[flight->waiters[i]] = false;
    }
    assert_null(duress_cache_next(&waiters));
    owner_settle(&owner->entry);
}

/* The |index|-th flight ends. */
static void step_succeed(struct pair *pair, int index, uint64_t bytes)
{
    if (index >= pair->model.flight_count)
        return;
    struct cache_model_flight flight = pair->model.flights[index];
    struct owner *owner = owner_of_flight(pair, flight.number);
    bool kept = duress_cache_store(&pair->cache, &owner->entry, bytes, pair->now_ns);
    assert_int_equal(kept, cache_model_succeed(&pair->model, flight.number, bytes, pair->now_ns));
    pair_land(pair, owner, &flight);
    cache_model_evict(&pair->model);
    for (;;) {
        struct duress_cache_entry *excess = duress_cache_excess(&pair->cache);
        if (excess == NULL)
            return;
        owner_settle(excess);
    }
}

static void step_fail(struct pair *pair, int index)
{
    if (index >= pair->model.flight_count)
        return;
    struct cache_model_flight flight = pair->model.flights[index];
    struct owner *owner = owner_of_flight(pair, flight.number);
    bool stale = duress_cache_is_stale(&pair->cache, &owner->entry, pair->now_ns);
    assert_int_equal(stale, cache_model_fail(&pair->model, flight.number, pair->now_ns));
    pair_land(pair, owner, &flight);
}

static void step_leave(struct pair *pair, int waiter)
{
    int number = -1;
    if (!pair->waits[waiter])
        return;
    struct duress_cache_entry *entry = pair->waiters[waiter].entry;
    bool last = duress_cache_leave(&pair->cache, &pair->waiters[waiter]);
    assert_int_equal(last, cache_model_leave(&pair->model, waiter, &number));
    assert_int_equal(((struct owner *)entry)->flight, number);
    pair->waits[waiter] = false;
    if (last)
        owner_settle(entry);
}

static void step_forget(struct pair *pair, int key)
{
    struct duress_cache_entry *entry = pair_find(pair, key);
    cache_model_forget(&pair->model, key);
    if (entry == NULL)
        return;
    duress_cache_forget(&pair->cache, entry);
    owner_settle(entry);
}

static void step_sweep(struct pair *pair)
{
    struct duress_cache_entry *dead = duress_cache_dead(&pair->cache, pair->now_ns);
    assert_int_equal(dead != NULL, cache_model_sweep(&pair->model, pair->now_ns));
    if (dead != NULL)
        owner_settle(dead);
}

static void pair_close(struct pair *pair)
{
    for (int i = 0; i < WAITER_MAX; i++)
        step_leave(pair, i);
    for (;;) {
        struct duress_cache_entry *entry = duress_cache_first(&pair->cache);
        if (entry == NULL)
            break;
        step_forget(pair, ((struct owner *)entry)->key);
    }
    pair_check(pair);
    for (int i = 0; i < OWNER_MAX; i++)
        assert_false(pair->owners[i].in_use);
    for (int i = 0; i < BUCKET_MAX; i++)
        assert_null(pair->buckets[i]);
}

/* --- every short sequence --- */

enum { STEP_COUNT = 10, LENGTH = 6 };

static void short_step(struct pair *pair, unsigned step)
{
    switch (step) {
    case 0:
    case 1:
        step_ask(pair, (int)step);
        break;
    case 2:
        step_succeed(pair, 0, 10);
        break;
    case 3:
        step_succeed(pair, 0, 101);
        break;
    case 4:
        step_fail(pair, 0);
        break;
    case 5:
        step_leave(pair, 0);
        break;
    case 6:
        step_forget(pair, 0);
        break;
    case 7:
        pair->now_ns += 10; /* exactly a reply's time to live */
        break;
    case 8:
        step_sweep(pair);
        break;
    default:
        step_succeed(pair, 1, 60);
        break;
    }
}

static void run_short(uint32_t sequence, const struct duress_cache_options *options)
{
    struct pair *pair = &the_pair;
    pair_open(pair, options);
    for (int i = 0; i < LENGTH; i++) {
        short_step(pair, sequence % STEP_COUNT);
        pair_check(pair);
        sequence /= STEP_COUNT;
    }
    pair_close(pair);
}

static void every_short_sequence_is_as_the_model_says(void **state)
{
    (void)state;
    struct duress_cache_options options = {
        .ttl_ns = 10, .stale_ns = 10, .entries_max = 1, .bytes_max = 100, .waiting_max = 3};
    uint32_t count = 1;
    for (int i = 0; i < LENGTH; i++)
        count *= STEP_COUNT;
    for (uint32_t sequence = 0; sequence < count; sequence++)
        run_short(sequence, &options);
}

/* --- long random ones --- */

static void random_step(struct pair *pair, struct duress_prng *prng)
{
    uint64_t kind = duress_prng_below(prng, 100);
    int key = (int)duress_prng_below(prng, KEY_COUNT);
    int flight = (int)duress_prng_below(prng, 6);
    if (kind < 45)
        step_ask(pair, key);
    else if (kind < 65)
        step_succeed(pair, flight, 1 + duress_prng_below(prng, 120));
    else if (kind < 72)
        step_fail(pair, flight);
    else if (kind < 82)
        step_leave(pair, (int)duress_prng_below(prng, WAITER_MAX));
    else if (kind < 86)
        step_forget(pair, key);
    else if (kind < 90)
        step_sweep(pair);
    else
        pair->now_ns += duress_prng_below(prng, 12);
}

static void long_random_schedules_are_as_the_model_says(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct duress_prng prng;
        duress_prng_init(&prng, seed, 1);
        struct duress_cache_options options = {.ttl_ns = 1, .waiting_max = 1};
        options.ttl_ns += duress_prng_below(&prng, 30);
        options.stale_ns = duress_prng_below(&prng, 30);
        options.entries_max = 1 + (uint32_t)duress_prng_below(&prng, 4);
        options.bytes_max = 1 + duress_prng_below(&prng, 200);
        options.waiting_max += (uint32_t)duress_prng_below(&prng, 20);
        if (seed % 8 == 0) {
            options.ttl_ns = DURESS_TIME_NEVER;
            options.stale_ns = 0;
        }
        pair_open(&the_pair, &options);
        for (int i = 0; i < 2000; i++) {
            random_step(&the_pair, &prng);
            pair_check(&the_pair);
        }
        pair_close(&the_pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence_is_as_the_model_says),
        cmocka_unit_test(long_random_schedules_are_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
