/* SPDX-License-Identifier: Apache-2.0
 *
 * A run is a pure function of its seed. The hashes below hold for every compiler and every build; where a change of the
 * world is meant to change them, run this program with --print SEED COUNT SECONDS and write down what it says. With
 * --trace SEED SECONDS it prints every event, to find the first one that differs between two builds. */
#include "world_peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim_busy.h"

#define SEED_COUNT 60
#define SECONDS 5

static const struct {
    uint64_t seed;
    uint64_t trace_hash;
} pinned[] = {
#include "sim_pinned.h"
};

static struct busy_result run(uint64_t seed, uint64_t seconds)
{
    struct busy_result result;
    assert_int_equal(busy_run(NULL, seed, seconds * DURESS_S, NULL, NULL, &result), DURESS_OK);
    return result;
}

static void same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    uint64_t replies = 0;
    uint64_t failures = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        void *noise = malloc(1 + (size_t)seed * 37); /* so that objects lie elsewhere the second time */
        struct busy_result first = run(seed, SECONDS);
        free(noise);
        struct busy_result second = run(seed, SECONDS);
        assert_true(first.trace_hash == second.trace_hash);
        assert_true(first.event_count == second.event_count);
        assert_int_equal(first.reply_count, second.reply_count);
        replies += first.reply_count;
        failures += first.failure_count;
    }
    assert_true(replies > SEED_COUNT * 10); /* The scenario is alive, and suffers. */
    assert_true(failures > SEED_COUNT * 10);
}

static void different_seeds_give_different_traces(void **state)
{
    (void)state;
    uint64_t hashes[SEED_COUNT];
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        hashes[seed] = run(seed, 1).trace_hash;
        for (uint64_t i = 0; i < seed; i++)
            assert_true(hashes[i] != hashes[seed]);
    }
}

static void pinned_seeds_give_the_pinned_traces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        uint64_t hash = run(pinned[i].seed, SECONDS).trace_hash;
        if (hash != pinned[i].trace_hash)
            fail_msg("seed %" PRIu64 ": 0x%016" PRIx64 ", pinned is 0x%016" PRIx64, pinned[i].seed, hash,
                     pinned[i].trace_hash);
    }
}

static void notes_and_draws_are_hashed(void **state)
{
    (void)state;
    uint64_t hashes[4];
    for (int i = 0; i < 4; i++) {
        struct duress_world *world;
        assert_int_equal(duress_world_sim_new(0, &world), DURESS_OK);
        if (i > 0)
            duress_world_note(world, i == 1 ? "one" : "two", 1, i == 3 ? 2 : 1);
        hashes[i] = duress_sim_trace_hash(duress_world_sim_of(world));
        for (int j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
        duress_world_free(world);
    }
}

static void trace_print(void *context, uint64_t at_ns, const char *what, uint64_t a, uint64_t b)
{
    (void)context;
    printf("%" PRIu64 " %s %" PRIu64 " %" PRIu64 "\n", at_ns, what, a, b);
}

static int print(uint64_t seed, uint64_t count, uint64_t seconds, duress_sim_trace_fn trace)
{
    for (uint64_t each = seed; each < seed + count; each++) {
        struct busy_result result;
        if (busy_run(NULL, each, seconds * DURESS_S, trace, NULL, &result) != DURESS_OK)
            return 1;
        printf("{%" PRIu64 ", UINT64_C(0x%016" PRIx64 ")}, /* %" PRIu64 " events, %" PRIu64 " replies, %" PRIu64
               " failures, %" PRIu64 " faults */\n",
               each, result.trace_hash, result.event_count, result.reply_count, result.failure_count,
               result.fault_count);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--print") == 0)
        return print(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), NULL);
    if (argc == 4 && strcmp(argv[1], "--trace") == 0)
        return print(strtoull(argv[2], NULL, 10), 1, strtoull(argv[3], NULL, 10), trace_print);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_the_same_trace),
        cmocka_unit_test(different_seeds_give_different_traces),
        cmocka_unit_test(pinned_seeds_give_the_pinned_traces),
        cmocka_unit_test(notes_and_draws_are_hashed),
    };
    return cmocka_run_group_tests_name("sim_determinism", tests, NULL, NULL);
}
