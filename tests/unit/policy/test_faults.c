/* SPDX-License-Identifier: Apache-2.0 */
#include "faults_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct duress_faults faults_with(const struct duress_faults_options *options)
{
    struct duress_faults faults;
    struct duress_failure why = {.detail = ""};
    int error = duress_faults_init(&faults, options, &why);
    if (error != DURESS_OK)
        fail_msg("%s", why.detail);
    return faults;
}

static enum duress_fault next_of(struct duress_faults *faults)
{
    static struct duress_prng prng;
    duress_prng_init(&prng, 1, 1);
    return duress_faults_decide(faults, &prng).fault;
}

/* --- patterns --- */

static void follows_schedule(const struct duress_faults_options *options)
{
    enum duress_fault expected[FAULTS_MODEL_CALLS];
    struct duress_faults faults = faults_with(options);
    faults_model_schedule(options, expected);
    for (int round = 0; round < 2; round++) { /* the second one after a reset in the middle of things */
        int calls = round == 0 ? 7 : FAULTS_MODEL_CALLS;
        for (int i = 0; i < calls; i++) {
            assert_int_equal(next_of(&faults), expected[i]);
            assert_int_equal(duress_faults_has_crashed(&faults), expected[i] == DURESS_FAULT_CRASH);
        }
        duress_faults_reset(&faults);
        assert_false(duress_faults_has_crashed(&faults));
    }
}

/* All patterns of up to three faults, once and repeated, without a crash by count and with one after 1 to 9 calls. */
static void every_short_pattern_is_what_the_plain_list_says(void **state)
{
    (void)state;
    uint64_t tried = 0;
    for (uint32_t count = 0; count <= 3; count++) {
        unsigned combinations = 1U << (3 * count); /* eight faults: three bits each */
        for (unsigned bits = 0; bits < combinations; bits++)
            for (uint64_t crash_after = 0; crash_after <= 9; crash_after += 3)
                for (int once = 0; once < (count > 0 ? 2 : 1); once++) {
                    struct duress_faults_options options = {
                        .pattern_count = count, .pattern_once = once != 0, .crash_after = crash_after};
                    for (uint32_t i = 0; i < count; i++)
                        options.pattern[i] = (enum duress_fault)(bits >> (3 * i) & 7);
                    follows_schedule(&options);
                    tried++;
                }
    }
    assert_int_equal(tried, 4 + 2 * 4 * (8 + 64 + 512));
}

static void fail_fail_succeed_goes_on_for_ever(void **state)
{
    (void)state;
    struct duress_faults_options options = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_ERROR}, .pattern_count = 3};
    struct duress_faults faults = faults_with(&options);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(next_of(&faults), i % 3 == 2 ? DURESS_FAULT_NONE : DURESS_FAULT_ERROR);
}

static void the_longest_pattern_is_kept_whole(void **state)
{
    (void)state;
    struct duress_faults_options options = {.pattern_count = DURESS_FAULTS_PATTERN_MAX, .pattern_once = true};
    options.pattern[DURESS_FAULTS_PATTERN_MAX - 1] = DURESS_FAULT_HANG;
    struct duress_faults faults = faults_with(&options);
    for (int i = 0; i < 2 * DURESS_FAULTS_PATTERN_MAX; i++)
        assert_int_equal(next_of(&faults), i == DURESS_FAULTS_PATTERN_MAX - 1 ? DURESS_FAULT_HANG : DURESS_FAULT_NONE);
}

/* --- chance --- */

static const struct duress_faults_options all_kinds = {
    .ppm = {0, 100000, 50000, 200000, 1, 150000, 99999, 0},
    .delay_ns_min = 10,
    .delay_ns_max = 20,
};

static void chance_draws_balls_from_an_urn(void **state)
{
    (void)state;
    struct duress_faults faults = faults_with(&all_kinds);
    struct duress_prng prng, same;
    duress_prng_init(&prng, 7, 7);
    for (int i = 0; i < 300; i++) {
        same = prng;
        struct duress_fault_decision decision = duress_faults_decide(&faults, &prng);
        assert_int_equal(decision.fault, faults_model_ball(&all_kinds, duress_prng_below(&same, DURESS_PPM)));
        bool reply_changes = decision.fault == DURESS_FAULT_CORRUPT || decision.fault == DURESS_FAULT_TRUNCATE;
        bool delayed = decision.fault == DURESS_FAULT_DELAY;
        assert_int_equal(decision.seed, reply_changes ? duress_prng_next(&same) : 0);
        assert_int_equal(decision.delay_ns, delayed ? duress_prng_between(&same, 10, 20) : 0);
        assert_memory_equal(&prng, &same, sizeof prng); /* no other draw */
    }
}

static void shares_are_those_that_were_asked_for(void **state)
{
    (void)state;
    struct duress_faults faults = faults_with(&all_kinds);
    struct duress_prng prng;
    uint64_t seen[DURESS_FAULT_COUNT] = {0};
    duress_prng_init(&prng, 3, 3);
    for (int i = 0; i < 100000; i++)
        seen[duress_faults_decide(&faults, &prng).fault]++;
    for (int i = 1; i < DURESS_FAULT_COUNT; i++) {
        uint64_t expected = all_kinds.ppm[i] / 10;
        assert_true(seen[i] + 500 > expected && seen[i] < expected + 500); /* five sigma */
    }
}

static void certainty_is_certain(void **state)
{
    (void)state;
    struct duress_faults_options options = {.ppm = {[DURESS_FAULT_ERROR] = 1, [DURESS_FAULT_HANG] = DURESS_PPM - 1}};
    struct duress_faults faults = faults_with(&options);
    struct duress_prng prng;
    duress_prng_init(&prng, 5, 5);
    for (int i = 0; i < 10000; i++)
        assert_int_not_equal(duress_faults_decide(&faults, &prng).fault, DURESS_FAULT_NONE);
}

static void a_crash_by_chance_is_one_for_good(void **state)
{
    (void)state;
    struct duress_faults_options options = {.ppm = {[DURESS_FAULT_CRASH] = 20000}};
    struct duress_faults faults = faults_with(&options);
    struct duress_prng prng, before;
    duress_prng_init(&prng, 11, 0);
    unsigned well = 0;
    while (duress_faults_decide(&faults, &prng).fault == DURESS_FAULT_NONE)
        well++;
    assert_in_range(well, 1, 1000);
    before = prng;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(duress_faults_decide(&faults, &prng).fault, DURESS_FAULT_CRASH);
    assert_memory_equal(&prng, &before, sizeof prng); /* nothing left to draw */
    duress_faults_reset(&faults);
    assert_int_equal(duress_faults_decide(&faults, &prng).fault, DURESS_FAULT_NONE);
}

static void delays_are_within_their_bounds_and_differ(void **state)
{
    (void)state;
    struct duress_faults_options options = {
        .pattern = {DURESS_FAULT_DELAY}, .pattern_count = 1, .delay_ns_min = 5, .delay_ns_max = 8};
    struct duress_faults faults = faults_with(&options);
    struct duress_prng prng;
    unsigned seen[16] = {0};
    duress_prng_init(&prng, 2, 2);
    for (int i = 0; i < 400; i++) {
        struct duress_fault_decision decision = duress_faults_decide(&faults, &prng);
        assert_in_range(decision.delay_ns, 5, 8);
        seen[decision.delay_ns]++;
    }
    for (int i = 5; i <= 8; i++)
        assert_true(seen[i] > 50);
}

static void delays_have_defaults(void **state)
{
    (void)state;
    struct duress_faults_options options = {.pattern = {DURESS_FAULT_DELAY}, .pattern_count = 1};
    struct duress_prng prng;
    duress_prng_init(&prng, 2, 2);
    struct duress_faults faults = faults_with(&options);
    assert_int_equal(duress_faults_decide(&faults, &prng).delay_ns, DURESS_FAULTS_DELAY_NS_DEFAULT);
    options.delay_ns_min = 7; /* the minimum alone: always that */
    faults = faults_with(&options);
    assert_int_equal(duress_faults_decide(&faults, &prng).delay_ns, 7);
    options.delay_ns_min = 0; /* the maximum alone: from 1 */
    options.delay_ns_max = 1;
    faults = faults_with(&options);
    assert_int_equal(duress_faults_decide(&faults, &prng).delay_ns, 1);
}

/* --- failures --- */

static void failures_say_what_was_asked_for(void **state)
{
    (void)state;
    struct duress_faults_options options = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_ERROR_AFTER},
                                            .pattern_count = 2};
    struct duress_failure failure;
    struct duress_faults faults = faults_with(&options);
    duress_faults_failure(&faults, DURESS_FAULT_ERROR, &failure);
    assert_int_equal(failure.code, DURESS_E_REFUSED);
    assert_int_equal(failure.origin, DURESS_ORIGIN_AGENT);
    assert_false(failure.ambiguous);
    assert_string_equal(failure.detail, "injected: error");
    duress_faults_failure(&faults, DURESS_FAULT_ERROR_AFTER, &failure);
    assert_int_equal(failure.code, DURESS_E_RESET);
    assert_true(failure.ambiguous);
    assert_string_equal(failure.detail, "injected: error_after");

    options.code = DURESS_E_OVERLOADED;
    options.ambiguity = DURESS_FAULT_AMBIGUOUS;
    options.retry_after_ns = 9;
    faults = faults_with(&options);
    duress_faults_failure(&faults, DURESS_FAULT_ERROR, &failure);
    assert_int_equal(failure.code, DURESS_E_OVERLOADED);
    assert_true(failure.ambiguous);
    assert_int_equal(failure.retry_after_ns, 9);
    duress_faults_failure(&faults, DURESS_FAULT_ERROR_AFTER, &failure);
    assert_int_equal(failure.code, DURESS_E_OVERLOADED);
    assert_int_equal(failure.retry_after_ns, 0);

    options.code = DURESS_E_RESET;
    options.ambiguity = DURESS_FAULT_NOT_AMBIGUOUS;
    faults = faults_with(&options);
    duress_faults_failure(&faults, DURESS_FAULT_ERROR_AFTER, &failure);
    assert_false(failure.ambiguous);
    duress_faults_failure(&faults, DURESS_FAULT_CRASH, &failure); /* is none of them */
    assert_int_equal(failure.code, DURESS_E_REFUSED);
    assert_false(failure.ambiguous);
    assert_int_equal(failure.retry_after_ns, 0);
    assert_string_equal(failure.detail, "injected: crash");
}

/* --- bytes --- */

static void corruption_always_changes_and_never_too_much(void **state)
{
    (void)state;
    uint64_t changes[DURESS_FAULTS_CORRUPT_BYTES_MAX + 1] = {0};
    uint64_t at_first = 0, at_last = 0;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        size_t length = 1 + seed % 40;
        uint8_t bytes[40], again[40];
        memset(bytes, 0x55, sizeof bytes);
        memset(again, 0x55, sizeof again);
        duress_faults_corrupt(seed, bytes, length);
        duress_faults_corrupt(seed, again, length);
        assert_memory_equal(bytes, again, sizeof bytes);
        size_t changed = 0;
        for (size_t i = 0; i < sizeof bytes; i++) {
            changed += bytes[i] != 0x55;
            assert_true(i < length || bytes[i] == 0x55);
        }
        assert_in_range(changed, 1, DURESS_FAULTS_CORRUPT_BYTES_MAX);
        changes[changed]++;
        at_first += bytes[0] != 0x55;
        at_last += bytes[length - 1] != 0x55;
    }
    for (int i = 1; i <= DURESS_FAULTS_CORRUPT_BYTES_MAX; i++)
        assert_true(changes[i] > 200);
    assert_true(at_first > 500 && at_last > 500);
    duress_faults_corrupt(1, NULL, 0);
}

static void a_cut_reply_keeps_any_number_of_bytes_but_all(void **state)
{
    (void)state;
    uint64_t seen[10] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        size_t kept = duress_faults_keep_bytes(seed, 10);
        assert_int_equal(kept, duress_faults_keep_bytes(seed, 10));
        assert_in_range(kept, 0, 9);
        seen[kept]++;
        assert_int_equal(duress_faults_keep_bytes(seed, 1), 0);
        assert_int_equal(duress_faults_keep_bytes(seed, 0), 0);
    }
    for (int i = 0; i < 10; i++)
        assert_true(seen[i] > 100);
}

/* --- refusals --- */

static void refused_with(const struct duress_faults_options *options, const char *words)
{
    struct duress_faults faults;
    struct duress_failure why = {.detail = ""};
    assert_int_equal(duress_faults_init(&faults, options, &why), DURESS_E_INVALID);
    assert_int_equal(duress_faults_init(&faults, options, NULL), DURESS_E_INVALID);
    assert_string_equal(why.detail, words);
}
#define REFUSED_WITH(words, ...) refused_with(&(struct duress_faults_options){__VA_ARGS__}, words)

static void bad_patterns_and_chances_are_refused_by_name(void **state)
{
    (void)state;
    REFUSED_WITH("faults.pattern_count: 65 given, allowed 0 to 64", .pattern_count = 65);
    REFUSED_WITH("faults.pattern: 8 given, allowed 0 to 7", .pattern = {(enum duress_fault)8}, .pattern_count = 1);
    REFUSED_WITH("faults.pattern: 1 given, must be 0 beyond pattern_count",
                 .pattern = {DURESS_FAULT_NONE, DURESS_FAULT_ERROR}, .pattern_count = 1);
    REFUSED_WITH("faults.pattern_once: 1 given, must be 0 without a pattern", .pattern_once = true);
    REFUSED_WITH("faults.ppm[NONE]: 1 given, must be 0 as it is no fault", .ppm = {1});
    REFUSED_WITH("faults.ppm[CRASH]: 1000001 given, allowed 0 to 1000000", .ppm = {[DURESS_FAULT_CRASH] = 1000001});
    REFUSED_WITH("faults.ppm[HANG]: 2 given, allowed 0 to 1",
                 .ppm = {[DURESS_FAULT_ERROR] = 999999, [DURESS_FAULT_HANG] = 2});
    REFUSED_WITH("faults.ppm[DELAY]: 5 given, must be 0 beside a pattern", .ppm = {[DURESS_FAULT_DELAY] = 5},
                 .pattern_count = 1);
    assert_int_equal(duress_faults_init(NULL, NULL, NULL), DURESS_E_INVALID);
}

static void bad_errors_and_delays_are_refused_by_name(void **state)
{
    (void)state;
    const struct duress_faults_options error = {.ppm = {[DURESS_FAULT_ERROR] = 1}};
    struct duress_faults_options options = error;
    options.code = (enum duress_error) - DURESS_ERROR_NUMBER_END;
    refused_with(&options, "faults.code: 32 given, allowed 0 to 31");
    options = error;
    options.ambiguity = (enum duress_fault_ambiguity)3;
    refused_with(&options, "faults.ambiguity: 3 given, allowed 0 to 2");
    options = error;
    options.retry_after_ns = DURESS_FAULTS_DELAY_NS_MAX + 1;
    refused_with(&options, "faults.retry_after_ns: 86400000000001 given, allowed 0 to 86400000000000");
    REFUSED_WITH("faults.code: 4 given, must be 0 where no call gets an error", .code = DURESS_E_REFUSED);
    REFUSED_WITH("faults.ambiguity: 1 given, must be 0 where no call gets an error",
                 .ambiguity = DURESS_FAULT_AMBIGUOUS);
    REFUSED_WITH("faults.retry_after_ns: 1 given, must be 0 where no call gets an error", .retry_after_ns = 1);
    REFUSED_WITH("faults.retry_after_ns: 1 given, must be 0 where no call is refused", .retry_after_ns = 1,
                 .pattern = {DURESS_FAULT_ERROR_AFTER}, .pattern_count = 1);
    REFUSED_WITH("faults.delay_ns_min: 1 given, must be 0 where no call is delayed", .delay_ns_min = 1);
    REFUSED_WITH("faults.delay_ns_max: 1 given, must be 0 where no call is delayed", .delay_ns_max = 1);
    REFUSED_WITH("faults.delay_ns_min: 86400000000001 given, allowed 1 to 86400000000000",
                 .delay_ns_min = DURESS_FAULTS_DELAY_NS_MAX + 1, .pattern = {DURESS_FAULT_DELAY}, .pattern_count = 1);
    REFUSED_WITH("faults.delay_ns_max: 4 given, allowed 5 to 86400000000000", .delay_ns_min = 5, .delay_ns_max = 4,
                 .pattern = {DURESS_FAULT_DELAY}, .pattern_count = 1);
}

static void faults_have_names(void **state)
{
    static const char *const names[] = {"none", "error",   "error_after", "delay",
                                        "hang", "corrupt", "truncate",    "crash"};
    (void)state;
    for (int i = 0; i < DURESS_FAULT_COUNT; i++)
        assert_string_equal(duress_fault_name((enum duress_fault)i), names[i]);
    assert_string_equal(duress_fault_name((enum duress_fault)99), "unknown");
}

static void no_options_are_no_faults(void **state)
{
    (void)state;
    struct duress_faults faults;
    assert_int_equal(duress_faults_init(&faults, NULL, NULL), DURESS_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(next_of(&faults), DURESS_FAULT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_pattern_is_what_the_plain_list_says),
        cmocka_unit_test(fail_fail_succeed_goes_on_for_ever),
        cmocka_unit_test(the_longest_pattern_is_kept_whole),
        cmocka_unit_test(chance_draws_balls_from_an_urn),
        cmocka_unit_test(shares_are_those_that_were_asked_for),
        cmocka_unit_test(certainty_is_certain),
        cmocka_unit_test(a_crash_by_chance_is_one_for_good),
        cmocka_unit_test(delays_are_within_their_bounds_and_differ),
        cmocka_unit_test(delays_have_defaults),
        cmocka_unit_test(failures_say_what_was_asked_for),
        cmocka_unit_test(corruption_always_changes_and_never_too_much),
        cmocka_unit_test(a_cut_reply_keeps_any_number_of_bytes_but_all),
        cmocka_unit_test(bad_patterns_and_chances_are_refused_by_name),
        cmocka_unit_test(bad_errors_and_delays_are_refused_by_name),
        cmocka_unit_test(faults_have_names),
        cmocka_unit_test(no_options_are_no_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
