/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/cache.h>

#include "siphash.h"

enum { ENTRY_COUNT = 8, BUCKET_COUNT = 1024 };

static struct cache_test {
    struct duress_cache cache;
    struct duress_cache_entry *buckets[BUCKET_COUNT];
    struct duress_cache_entry entries[ENTRY_COUNT];
    struct duress_cache_waiter waiters[ENTRY_COUNT];
} the_test;

static struct cache_test *cache_with(struct duress_cache_options options)
{
    struct duress_cache_options complete;
    memset(&the_test, 0, sizeof the_test);
    assert_int_equal(duress_cache_options_init(&complete, &options, NULL), DURESS_OK);
    assert_true(duress_cache_bucket_count(&complete) <= BUCKET_COUNT);
    duress_cache_init(&the_test.cache, &complete, the_test.buckets, (const uint64_t[2]){11, 12});
    return &the_test;
}

static struct duress_cache_key key_of(const char *content)
{
    return (struct duress_cache_key){
        .role = duress_slice_text("user"), .content = duress_slice_text(content), .metadata = duress_slice_text("{}")};
}

static struct duress_cache_entry *find(struct cache_test *test, const char *content)
{
    struct duress_cache_key key = key_of(content);
    return duress_cache_find(&test->cache, &key, duress_cache_hash(&test->cache, &key));
}

static enum duress_cache_verdict decide(struct cache_test *test, const char *content, uint64_t now_ns)
{
    return duress_cache_decide(&test->cache, find(test, content), now_ns);
}

/* |index|'s entry leads a flight for |content| with |index|'s waiter. */
static struct duress_cache_entry *lead(struct cache_test *test, int index, const char *content)
{
    struct duress_cache_key key = key_of(content);
    struct duress_cache_entry *entry = &test->entries[index];
    duress_cache_insert(&test->cache, entry, &key, duress_cache_hash(&test->cache, &key));
    duress_cache_lead(&test->cache, entry, &test->waiters[index]);
    return entry;
}

static void land(struct cache_test *test, struct duress_cache_entry *entry)
{
    struct duress_cache_link waiters;
    duress_cache_land(&test->cache, entry, &waiters);
    while (duress_cache_next(&waiters) != NULL) {
    }
}

static struct duress_cache_entry *stored(struct cache_test *test, int index, const char *content, uint64_t bytes,
                                         uint64_t now_ns)
{
    struct duress_cache_entry *entry = lead(test, index, content);
    assert_true(duress_cache_store(&test->cache, entry, bytes, now_ns));
    land(test, entry);
    return entry;
}

/* The vectors of the paper's appendix and of its authors' program: key 00 01 … 0f, input 00 01 02 … of each length. */
static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        uint64_t hash;
    } vectors[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)}, {2, UINT64_C(0x0d6c8009d9a94f5a)},
        {7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)},
        {16, UINT64_C(0x3f2acc7f57c29bdb)},
    };
    static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t input[16];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)i;
    for (size_t v = 0; v < sizeof vectors / sizeof vectors[0]; v++) {
        for (size_t split = 0; split <= vectors[v].length; split++) { /* wherever the pieces end */
            struct siphash hash;
            duress__siphash_init(&hash, key);
            duress__siphash_bytes(&hash, duress_slice_bytes(input, split));
            duress__siphash_bytes(&hash, duress_slice_bytes(input + split, vectors[v].length - split));
            assert_int_equal(duress__siphash_end(&hash), vectors[v].hash);
        }
    }
}

static void a_whole_word_hashes_as_its_bytes_do(void **state)
{
    (void)state;
    static const uint8_t bytes[11] = {9, 8, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    static const uint64_t key[2] = {1, 2};
    struct siphash words;
    struct siphash whole;
    duress__siphash_init(&words, key);
    duress__siphash_init(&whole, key);
    duress__siphash_bytes(&words, duress_slice_bytes(bytes, 3));
    duress__siphash_word(&words, UINT64_C(0x0706050403020100));
    duress__siphash_bytes(&whole, duress_slice_bytes(bytes, 11));
    assert_int_equal(duress__siphash_end(&words), duress__siphash_end(&whole));
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    struct duress_cache_options options;
    assert_int_equal(duress_cache_options_init(&options, NULL, NULL), DURESS_OK);
    assert_int_equal(options.ttl_ns, 300 * DURESS_S);
    assert_int_equal(options.stale_ns, 0);
    assert_int_equal(options.entries_max, 1000);
    assert_int_equal(options.bytes_max, 64 * 1024 * 1024);
    assert_int_equal(options.waiting_max, 10000);
    assert_int_equal(duress_cache_bucket_count(&options), 1024);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        struct duress_cache_options given;
        const char *detail;
    } cases[] = {
        {{.ttl_ns = DURESS_CACHE_TTL_NS_MAX + 1}, "cache.ttl_ns: 31622400000000001 given, allowed 1 to"},
        {{.stale_ns = DURESS_CACHE_TTL_NS_MAX + 1}, "cache.stale_ns: 31622400000000001 given, allowed 0 to"},
        {{.entries_max = DURESS_CACHE_ENTRIES_MAX_MAX + 1}, "cache.entries_max: 16777217 given, allowed 1 to 16777216"},
        {{.bytes_max = DURESS_CACHE_BYTES_MAX_MAX + 1}, "cache.bytes_max: 1099511627777 given, allowed 1 to"},
        {{.waiting_max = DURESS_CACHE_WAITING_MAX_MAX + 1}, "cache.waiting_max: 16777217 given, allowed 1 to"},
        {{.ttl_ns = DURESS_TIME_NEVER, .stale_ns = 5}, "cache.stale_ns: 5 given, must be 0 where ttl_ns is"},
    };
    struct duress_failure why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_cache_options options = {.ttl_ns = 77};
        assert_int_equal(duress_cache_options_init(&options, &cases[i].given, &why), DURESS_E_INVALID);
        assert_non_null(strstr(why.detail, cases[i].detail));
        assert_int_equal(options.ttl_ns, 77);
    }
    assert_int_equal(duress_cache_options_init(NULL, NULL, &why), DURESS_E_INVALID);
}

/* Role, content and metadata count each by itself, wherever one ends and the next begins. */
static void keys_differ_by_each_part(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100});
    stored(test, 0, "ab", 1, 0);
    static const char *const parts[][3] = {
        {"use", "rab", "{}"}, {"user", "ab{", "}"},  {"user", "a", "b{}"}, {"User", "ab", "{}"},
        {"user", "aB", "{}"}, {"user", "ab", "{} "}, {"", "ab", "{}"},     {"u", "se", "rab{}"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct duress_cache_key key = {duress_slice_text(parts[i][0]), duress_slice_text(parts[i][1]),
                                       duress_slice_text(parts[i][2])};
        uint64_t hash = duress_cache_hash(&test->cache, &key);
        assert_int_not_equal(hash, test->entries[0].hash);
        assert_null(duress_cache_find(&test->cache, &key, hash));
        /* And where the hash would not tell them apart, the bytes do. */
        assert_null(duress_cache_find(&test->cache, &key, test->entries[0].hash));
    }
    assert_ptr_equal(find(test, "ab"), &test->entries[0]);
}

static void other_hash_keys_give_other_hashes(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100});
    struct duress_cache_key key = key_of("x");
    uint64_t hash = duress_cache_hash(&test->cache, &key);
    struct duress_cache other;
    duress_cache_init(&other, &test->cache.options, test->buckets, (const uint64_t[2]){11, 13});
    assert_int_not_equal(duress_cache_hash(&other, &key), hash);
    duress_cache_init(&other, &test->cache.options, test->buckets, (const uint64_t[2]){11, 12});
    assert_int_equal(duress_cache_hash(&other, &key), hash);
}

static void a_reply_is_fresh_until_its_time_to_live_and_stale_until_its_window(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100, .stale_ns = 50});
    struct duress_cache_entry *entry = stored(test, 0, "x", 1, 1000);
    assert_int_equal(decide(test, "x", 1099), DURESS_CACHE_HIT);
    assert_int_equal(decide(test, "x", 1100), DURESS_CACHE_LEAD);
    assert_true(duress_cache_is_stale(&test->cache, entry, 1149));
    assert_null(duress_cache_dead(&test->cache, 1149));
    assert_false(duress_cache_is_stale(&test->cache, entry, 1150));
    assert_ptr_equal(duress_cache_dead(&test->cache, 1150), entry);
    assert_true(duress_cache_entry_is_idle(entry));
    assert_null(find(test, "x"));
}

static void a_reply_may_live_for_ever(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = DURESS_TIME_NEVER});
    stored(test, 0, "x", 1, 1000);
    assert_int_equal(decide(test, "x", DURESS_TIME_NEVER - 1), DURESS_CACHE_HIT);
    assert_null(duress_cache_dead(&test->cache, DURESS_TIME_NEVER - 1));
}

static void time_that_goes_backwards_revives_nothing(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100, .stale_ns = 50});
    struct duress_cache_entry *entry = stored(test, 0, "x", 1, 1000);
    assert_int_equal(decide(test, "x", 1100), DURESS_CACHE_LEAD);
    assert_int_equal(decide(test, "x", 1000), DURESS_CACHE_LEAD);
    stored(test, 1, "y", 1, 2000);
    assert_false(duress_cache_is_stale(&test->cache, entry, 1100));
}

/* agenkit's Go drops what was stored first, however often it is used (C7). */
static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.entries_max = 2});
    stored(test, 0, "a", 1, 0);
    stored(test, 1, "b", 1, 0);
    assert_int_equal(decide(test, "a", 1), DURESS_CACHE_HIT);
    assert_null(duress_cache_excess(&test->cache));
    stored(test, 2, "c", 1, 2);
    assert_ptr_equal(duress_cache_excess(&test->cache), &test->entries[1]);
    assert_null(duress_cache_excess(&test->cache));
    assert_non_null(find(test, "a"));
    assert_int_equal(test->cache.counts.evicted, 1);
}

/* agenkit evicts a stranger where a key at capacity is stored anew (C5). */
static void storing_a_key_anew_evicts_nothing(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.entries_max = 2, .ttl_ns = 10});
    struct duress_cache_entry *entry = stored(test, 0, "a", 5, 0);
    stored(test, 1, "b", 5, 0);
    assert_int_equal(decide(test, "a", 10), DURESS_CACHE_LEAD);
    duress_cache_lead(&test->cache, entry, &test->waiters[2]);
    assert_true(duress_cache_store(&test->cache, entry, 7, 11));
    land(test, entry);
    assert_null(duress_cache_excess(&test->cache));
    assert_int_equal(test->cache.counts.entries, 2);
    assert_int_equal(test->cache.counts.bytes, 12);
}

static void bytes_are_bounded_and_what_is_too_large_is_not_kept(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.bytes_max = 100});
    stored(test, 0, "a", 60, 0);
    stored(test, 1, "b", 40, 0);
    assert_null(duress_cache_excess(&test->cache));
    stored(test, 2, "c", 1, 0);
    assert_ptr_equal(duress_cache_excess(&test->cache), &test->entries[0]);
    assert_null(duress_cache_excess(&test->cache));
    struct duress_cache_entry *large = lead(test, 3, "d");
    assert_false(duress_cache_store(&test->cache, large, 101, 0));
    land(test, large);
    assert_true(duress_cache_entry_is_idle(large));
    assert_null(find(test, "d"));
    assert_null(duress_cache_excess(&test->cache));
    assert_int_equal(test->cache.counts.too_large, 1);
    assert_int_equal(test->cache.counts.bytes, 41);
}

static void who_asks_meanwhile_waits_and_the_last_to_leave_ends_the_flight(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100});
    struct duress_cache_entry *entry = lead(test, 0, "a");
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_JOIN);
    duress_cache_join(&test->cache, entry, &test->waiters[1]);
    assert_int_equal(decide(test, "b", 0), DURESS_CACHE_LEAD);
    assert_false(duress_cache_leave(&test->cache, &test->waiters[0])); /* the leader, and the flight goes on */
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_JOIN);
    assert_true(duress_cache_leave(&test->cache, &test->waiters[1]));
    assert_false(duress_cache_leave(&test->cache, &test->waiters[1]));
    assert_true(duress_cache_entry_is_idle(entry));
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_LEAD);
    assert_int_equal(test->cache.counts.waiting, 0);
    assert_int_equal(test->cache.counts.flights, 0);
}

static void who_leaves_while_the_landed_are_told_is_not_told(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100});
    struct duress_cache_link landed;
    struct duress_cache_entry *entry = lead(test, 0, "a");
    duress_cache_join(&test->cache, entry, &test->waiters[1]);
    duress_cache_join(&test->cache, entry, &test->waiters[2]);
    const struct duress_cache_waiter *waiting = NULL;
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(waiting = duress_cache_waiter_after(entry, waiting), &test->waiters[i]);
    assert_null(duress_cache_waiter_after(entry, waiting));
    duress_cache_land(&test->cache, entry, &landed);
    assert_ptr_equal(duress_cache_next(&landed), &test->waiters[0]);
    assert_false(duress_cache_leave(&test->cache, &test->waiters[1]));
    assert_ptr_equal(duress_cache_next(&landed), &test->waiters[2]);
    assert_null(duress_cache_next(&landed));
}

static void no_more_wait_than_allowed(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100, .waiting_max = 2});
    stored(test, 3, "kept", 1, 0);
    struct duress_cache_entry *entry = lead(test, 0, "a");
    duress_cache_join(&test->cache, entry, &test->waiters[1]);
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_FULL);
    assert_int_equal(decide(test, "b", 0), DURESS_CACHE_FULL);
    assert_int_equal(decide(test, "kept", 0), DURESS_CACHE_HIT);
    assert_false(duress_cache_leave(&test->cache, &test->waiters[0]));
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_JOIN);
}

/* agenkit stores what was on its way while its key was invalidated (C3). */
static void what_was_forgotten_in_flight_is_not_kept(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.ttl_ns = 100, .stale_ns = 100});
    struct duress_cache_entry *entry = lead(test, 0, "a");
    duress_cache_forget(&test->cache, entry);
    assert_int_equal(decide(test, "a", 0), DURESS_CACHE_LEAD);
    struct duress_cache_entry *next = lead(test, 1, "a");
    assert_false(duress_cache_store(&test->cache, entry, 1, 5));
    land(test, entry);
    assert_true(duress_cache_entry_is_idle(entry));
    assert_ptr_equal(find(test, "a"), next);
    assert_int_equal(decide(test, "a", 5), DURESS_CACHE_JOIN);
    assert_true(duress_cache_store(&test->cache, next, 1, 6));
    land(test, next);
    assert_int_equal(decide(test, "a", 7), DURESS_CACHE_HIT);
    duress_cache_forget(&test->cache, next);
    duress_cache_forget(&test->cache, next); /* once more: nothing */
    assert_int_equal(test->cache.counts.invalidated, 2);
    assert_null(duress_cache_first(&test->cache));
}

static void a_reply_may_be_evicted_while_it_is_asked_for_anew(void **state)
{
    (void)state;
    struct cache_test *test = cache_with((struct duress_cache_options){.entries_max = 1, .ttl_ns = 10, .stale_ns = 90});
    struct duress_cache_entry *entry = stored(test, 0, "a", 1, 0);
    assert_int_equal(decide(test, "a", 10), DURESS_CACHE_LEAD);
    duress_cache_lead(&test->cache, entry, &test->waiters[4]);
    stored(test, 1, "b", 1, 10);
    assert_ptr_equal(duress_cache_excess(&test->cache), entry);
    assert_false(duress_cache_entry_is_idle(entry)); /* its flight is out */
    assert_false(duress_cache_is_stale(&test->cache, entry, 11));
    assert_ptr_equal(find(test, "a"), entry);
    land(test, entry);
    assert_null(find(test, "a"));
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(duress_cache_verdict_name(DURESS_CACHE_HIT), "hit");
    assert_string_equal(duress_cache_verdict_name(DURESS_CACHE_LEAD), "lead");
    assert_string_equal(duress_cache_verdict_name(DURESS_CACHE_JOIN), "join");
    assert_string_equal(duress_cache_verdict_name(DURESS_CACHE_FULL), "full");
    assert_string_equal(duress_cache_verdict_name((enum duress_cache_verdict)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(a_whole_word_hashes_as_its_bytes_do),
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(keys_differ_by_each_part),
        cmocka_unit_test(other_hash_keys_give_other_hashes),
        cmocka_unit_test(a_reply_is_fresh_until_its_time_to_live_and_stale_until_its_window),
        cmocka_unit_test(a_reply_may_live_for_ever),
        cmocka_unit_test(time_that_goes_backwards_revives_nothing),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(storing_a_key_anew_evicts_nothing),
        cmocka_unit_test(bytes_are_bounded_and_what_is_too_large_is_not_kept),
        cmocka_unit_test(who_asks_meanwhile_waits_and_the_last_to_leave_ends_the_flight),
        cmocka_unit_test(who_leaves_while_the_landed_are_told_is_not_told),
        cmocka_unit_test(no_more_wait_than_allowed),
        cmocka_unit_test(what_was_forgotten_in_flight_is_not_kept),
        cmocka_unit_test(a_reply_may_be_evicted_while_it_is_asked_for_anew),
        cmocka_unit_test(verdicts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
