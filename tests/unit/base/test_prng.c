/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/prng.h>

/* xoshiro256** of the state 1, 2, 3, 4: the published reference's first outputs. */
static void the_generator_is_the_published_one(void **state)
{
    (void)state;
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    struct duress_prng prng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(duress_prng_next(&prng) == expected[i]);
}

/* Seeds in bug reports stay valid: these numbers never change. */
static void a_seed_gives_the_same_stream_for_ever(void **state)
{
    (void)state;
    struct duress_prng prng;
    duress_prng_init(&prng, 42, 7);
    uint64_t first = duress_prng_next(&prng);
    uint64_t second = duress_prng_next(&prng);
    assert_true(first == UINT64_C(0x31a321c61cdd8c3c));
    assert_true(second == UINT64_C(0x5f998ed2ada9640c));
    assert_true(duress_prng_mix(42, 7) == UINT64_C(0x0386a642e2d985f2));
}

static void purposes_and_seeds_are_streams_of_their_own(void **state)
{
    (void)state;
    uint64_t firsts[20 * 20];
    size_t count = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (uint64_t purpose = 0; purpose < 20; purpose++) {
            struct duress_prng prng;
            duress_prng_init(&prng, seed, purpose);
            firsts[count++] = duress_prng_next(&prng);
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            assert_true(firsts[i] != firsts[j]);
}

static void below_is_uniform_and_below(void **state)
{
    (void)state;
    enum { DRAWS = 70000, BOUND = 7 };
    struct duress_prng prng;
    uint64_t seen[BOUND] = {0};
    duress_prng_init(&prng, 1, 0);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t drawn = duress_prng_below(&prng, BOUND);
        assert_true(drawn < BOUND);
        seen[drawn]++;
    }
    for (size_t i = 0; i < BOUND; i++) /* 10000 each; the deviation is 93 */
        assert_in_range(seen[i], 9500, 10500);
    assert_true(duress_prng_below(&prng, 0) == 0);
    assert_true(duress_prng_below(&prng, 1) == 0);
}

/* Three quarters of all 64-bit numbers: without rejection the lower half would come twice as often. */
static void below_is_not_biased_where_the_bound_is_huge(void **state)
{
    (void)state;
    struct duress_prng prng;
    uint64_t bound = UINT64_C(3) << 62;
    unsigned low = 0;
    unsigned middle = 0;
    duress_prng_init(&prng, 2, 0);
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t drawn = duress_prng_below(&prng, bound);
        assert_true(drawn < bound);
        low += drawn % 3 == 0;
        middle += drawn < bound / 3;
    }
    assert_in_range(low, 9600, 10400);
    assert_in_range(middle, 9600, 10400);
}

static void between_includes_both_ends(void **state)
{
    (void)state;
    struct duress_prng prng;
    bool saw[3] = {false, false, false};
    duress_prng_init(&prng, 3, 0);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t drawn = duress_prng_between(&prng, 5, 7);
        assert_in_range(drawn, 5, 7);
        saw[drawn - 5] = true;
    }
    assert_true(saw[0] && saw[1] && saw[2]);
    assert_true(duress_prng_between(&prng, 9, 9) == 9);
    assert_true(duress_prng_between(&prng, 9, 3) == 9);
    struct duress_prng same = prng;
    assert_true(duress_prng_between(&prng, 0, UINT64_MAX) == duress_prng_next(&same));
}

static void chance_keeps_its_promise_and_draws_once(void **state)
{
    (void)state;
    struct duress_prng prng;
    unsigned hits = 0;
    duress_prng_init(&prng, 4, 0);
    for (unsigned i = 0; i < 10000; i++) {
        assert_true(duress_prng_chance(&prng, DURESS_PPM));
        assert_true(duress_prng_chance(&prng, DURESS_PPM + 1));
        assert_false(duress_prng_chance(&prng, 0));
        hits += duress_prng_chance(&prng, 250000);
    }
    assert_in_range(hits, 2300, 2700);
    struct duress_prng certain = prng;
    struct duress_prng never = prng;
    (void)duress_prng_chance(&certain, DURESS_PPM);
    (void)duress_prng_chance(&never, 0);
    assert_memory_equal(&certain, &never, sizeof certain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generator_is_the_published_one),
        cmocka_unit_test(a_seed_gives_the_same_stream_for_ever),
        cmocka_unit_test(purposes_and_seeds_are_streams_of_their_own),
        cmocka_unit_test(below_is_uniform_and_below),
        cmocka_unit_test(below_is_not_biased_where_the_bound_is_huge),
        cmocka_unit_test(between_includes_both_ends),
        cmocka_unit_test(chance_keeps_its_promise_and_draws_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
