/* SPDX-License-Identifier: Apache-2.0
 *
 * Retry, rule by rule. The tests whose names end in r1 to r8 hold it to the defects that were found in agenkit's. R4
 * (amplification) is the budget's, and is tested there. */
#include "policy_test.h"

#include <duress/policy/retry.h>

#define T0 (1000 * DURESS_S)

struct fixture {
    struct duress_retry_options options;
    struct duress_retry retry;
    struct duress_prng prng;
};

static struct fixture fixture_with(struct duress_retry_options given)
{
    struct fixture fixture;
    assert_int_equal(duress_retry_options_init(&fixture.options, &given, NULL), DURESS_OK);
    duress_retry_init(&fixture.retry, &fixture.options);
    duress_prng_init(&fixture.prng, 42, 1);
    return fixture;
}

static struct duress_failure failure_with(enum duress_error code)
{
    struct duress_failure failure;
    duress_failure_set(&failure, code, DURESS_ORIGIN_CONNECT, NULL);
    return failure;
}

static struct duress_retry_decision decide(struct fixture *fixture, const struct duress_failure *failure)
{
    return duress_retry_decide(&fixture->retry, &fixture->options, failure, true, DURESS_TIME_NEVER, T0,
                               &fixture->prng);
}

/* A decision that must be to wait; returns for how long. */
static uint64_t waits(struct fixture *fixture)
{
    struct duress_failure failure = failure_with(DURESS_E_REFUSED);
    struct duress_retry_decision decision = decide(fixture, &failure);
    assert_int_equal(decision.verdict, DURESS_RETRY_WAIT);
    assert_int_equal(decision.reason, DURESS_RETRY_GOES_ON);
    return decision.at_ns - T0;
}

static void gives_up(struct duress_retry_decision decision, enum duress_retry_reason reason)
{
    assert_int_equal(decision.verdict, DURESS_RETRY_GIVE_UP);
    assert_string_equal(duress_retry_reason_name(decision.reason), duress_retry_reason_name(reason));
    assert_int_equal(decision.at_ns, DURESS_TIME_NEVER);
}

static void defaults_are_agenkits_with_full_jitter(void **state)
{
    (void)state;
    struct duress_retry_options options;
    assert_int_equal(duress_retry_options_init(&options, NULL, NULL), DURESS_OK);
    assert_int_equal(options.attempts_max, 3);
    assert_int_equal(options.backoff_ns, DURESS_S);
    assert_int_equal(options.backoff_cap_ns, 30 * DURESS_S);
    assert_int_equal(options.multiplier_milli, 2000);
    assert_int_equal(options.jitter, DURESS_JITTER_FULL);
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++)
        assert_int_equal((options.retryable_mask & DURESS_RETRY_BIT(-number)) != 0, duress_error_is_retryable(-number));
}

static void waits_double_up_to_the_cap(void **state)
{
    (void)state;
    struct fixture fixture =
        fixture_with((struct duress_retry_options){.attempts_max = 9, .jitter = DURESS_JITTER_NONE});
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(waits(&fixture), seconds[i] * DURESS_S);
}

static void a_wait_of_one_nanosecond_grows_too(void **state)
{
    (void)state;
    struct fixture fixture = fixture_with((struct duress_retry_options){
        .attempts_max = 9, .jitter = DURESS_JITTER_NONE, .backoff_ns = 1, .multiplier_milli = 1001});
    for (uint64_t i = 1; i < 6; i++)
        assert_int_equal(waits(&fixture), i);
}

/* 100 callers that failed at the same instant come back spread over the whole first second. */
static void callers_do_not_return_together_r1(void **state)
{
    (void)state;
    uint32_t in_tenth[10] = {0};
    for (uint64_t caller = 0; caller < 1000; caller++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){0});
        duress_prng_init(&fixture.prng, 1, caller);
        uint64_t wait_ns = waits(&fixture);
        assert_in_range(wait_ns, 0, DURESS_S);
        in_tenth[wait_ns == DURESS_S ? 9 : wait_ns / (DURESS_S / 10)]++;
    }
    for (int tenth = 0; tenth < 10; tenth++)
        assert_in_range(in_tenth[tenth], 60, 140);
}

/* The smallest and largest wait of the kth decision over many callers. */
static void jitter_spans(enum duress_jitter jitter, uint32_t number, uint64_t low_ns, uint64_t high_ns)
{
    uint64_t least_ns = UINT64_MAX;
    uint64_t most_ns = 0;
    for (uint64_t caller = 0; caller < 4000; caller++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){
            .attempts_max = 9, .jitter = jitter, .backoff_ns = 100, .backoff_cap_ns = 1000});
        duress_prng_init(&fixture.prng, 2, caller);
        uint64_t wait_ns = 0;
        for (uint32_t i = 0; i < number; i++)
            wait_ns = waits(&fixture);
        least_ns = wait_ns < least_ns ? wait_ns : least_ns;
        most_ns = wait_ns > most_ns ? wait_ns : most_ns;
    }
    uint64_t tolerance_ns = (high_ns - low_ns) / 20; /* 4000 draws come closer to both ends than that */
    assert_in_range(least_ns, low_ns, low_ns + tolerance_ns);
    assert_in_range(most_ns, high_ns - tolerance_ns, high_ns);
}

static void jitter_spans_what_the_header_says(void **state)
{
    (void)state;
    jitter_spans(DURESS_JITTER_NONE, 1, 100, 100);
    jitter_spans(DURESS_JITTER_NONE, 3, 400, 400);
    jitter_spans(DURESS_JITTER_FULL, 1, 0, 100);
    jitter_spans(DURESS_JITTER_FULL, 3, 0, 400);
    jitter_spans(DURESS_JITTER_FULL, 8, 0, 1000);
    jitter_spans(DURESS_JITTER_EQUAL, 1, 50, 100);
    jitter_spans(DURESS_JITTER_EQUAL, 3, 200, 400);
    jitter_spans(DURESS_JITTER_DECORRELATED, 1, 100, 300);
    jitter_spans(DURESS_JITTER_DECORRELATED, 2, 100, 900);
    jitter_spans(DURESS_JITTER_DECORRELATED, 6, 100, 1000);
}

/* The answers of our own layers, mistakes and cancellation are not retried; nor is an ambiguous failure of a call that
 * may not be executed twice. */
static void what_cannot_be_retried_is_not_r2(void **state)
{
    (void)state;
    static const enum duress_error codes[] = {DURESS_E_CIRCUIT_OPEN,       DURESS_E_RATE_LIMITED,
                                              DURESS_E_BULKHEAD_FULL,      DURESS_E_INVALID,
                                              DURESS_E_RETRY_BUDGET_SPENT, DURESS_E_CANCELLED};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){0});
        struct duress_failure failure = failure_with(codes[i]);
        gives_up(decide(&fixture, &failure), DURESS_RETRY_NOT_RETRYABLE);
        assert_int_equal(fixture.retry.attempts, 1);
    }
    struct duress_failure reset = failure_with(DURESS_E_RESET);
    for (int ambiguous = 0; ambiguous < 2; ambiguous++) {
        for (int idempotent = 0; idempotent < 2; idempotent++) {
            struct fixture fixture = fixture_with((struct duress_retry_options){0});
            reset.ambiguous = ambiguous;
            struct duress_retry_decision decision = duress_retry_decide(
                &fixture.retry, &fixture.options, &reset, idempotent, DURESS_TIME_NEVER, T0, &fixture.prng);
            if (ambiguous && !idempotent)
                gives_up(decision, DURESS_RETRY_AMBIGUOUS);
            else
                assert_int_equal(decision.verdict, DURESS_RETRY_WAIT);
        }
    }
}

static void the_mask_is_the_callers_to_set(void **state)
{
    (void)state;
    struct fixture fixture =
        fixture_with((struct duress_retry_options){.retryable_mask = DURESS_RETRY_BIT(DURESS_E_RATE_LIMITED)});
    struct duress_failure limited = failure_with(DURESS_E_RATE_LIMITED);
    struct duress_failure connect = failure_with(DURESS_E_REFUSED);
    struct duress_failure unknown = failure_with((enum duress_error) - 1000);
    assert_int_equal(decide(&fixture, &limited).verdict, DURESS_RETRY_WAIT);
    gives_up(decide(&fixture, &connect), DURESS_RETRY_NOT_RETRYABLE);
    gives_up(decide(&fixture, &unknown), DURESS_RETRY_NOT_RETRYABLE);
    struct duress_failure none = {.code = DURESS_OK};
    gives_up(decide(&fixture, &none), DURESS_RETRY_NOT_RETRYABLE);
}

/* A decision says why, and leaves the failure itself, which is the answer of the call, as it was. */
static void the_last_failure_stays_what_it_was_r3(void **state)
{
    (void)state;
    struct fixture fixture = fixture_with((struct duress_retry_options){.attempts_max = 1});
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "division by zero");
    struct duress_failure before = failure;
    gives_up(decide(&fixture, &failure), DURESS_RETRY_ATTEMPTS_SPENT);
    assert_memory_equal(&failure, &before, sizeof failure);
}

static void the_cap_bounds_the_first_wait_r5(void **state)
{
    (void)state;
    for (int jitter = DURESS_JITTER_FULL; jitter <= DURESS_JITTER_DECORRELATED; jitter++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){.attempts_max = 9,
                                                                            .jitter = (enum duress_jitter)jitter,
                                                                            .backoff_ns = 100 * DURESS_MS,
                                                                            .backoff_cap_ns = 10 * DURESS_MS});
        for (int i = 0; i < 8; i++)
            assert_in_range(waits(&fixture), 0, 10 * DURESS_MS);
    }
}

/* The largest multiplier: waits never shrink, never pass the cap, never wrap into "at once". A thousand times the
 * second cap is 2^64 and a little. */
static void huge_options_do_not_wrap_r6(void **state)
{
    (void)state;
    static const uint64_t caps_ns[] = {DURESS_RETRY_BACKOFF_NS_MAX, UINT64_C(18446744073710000)};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){
            .attempts_max = DURESS_RETRY_ATTEMPTS_MAX,
            .jitter = DURESS_JITTER_NONE,
            .backoff_ns = 1,
            .backoff_cap_ns = caps_ns[i],
            .multiplier_milli = DURESS_RETRY_MULTIPLIER_MILLI_MAX,
        });
        uint64_t previous_ns = 0;
        for (int wait = 1; wait < DURESS_RETRY_ATTEMPTS_MAX; wait++) {
            uint64_t wait_ns = waits(&fixture);
            assert_in_range(wait_ns, previous_ns, caps_ns[i]);
            previous_ns = wait_ns;
        }
        assert_int_equal(previous_ns, caps_ns[i]);
    }
}

/* At the end of time a wait that cannot end is no wait. */
static void the_end_of_time_is_given_up(void **state)
{
    (void)state;
    struct fixture fixture = fixture_with((struct duress_retry_options){.jitter = DURESS_JITTER_NONE});
    struct duress_failure failure = failure_with(DURESS_E_REFUSED);
    gives_up(duress_retry_decide(&fixture.retry, &fixture.options, &failure, true, DURESS_TIME_NEVER,
                                 DURESS_TIME_NEVER - 5, &fixture.prng),
             DURESS_RETRY_DEADLINE_TOO_NEAR);
}

/* A wait that would reach the deadline is not begun, by a nanosecond; so the whole call ends before its deadline. */
static void the_deadline_is_never_slept_into_r7(void **state)
{
    (void)state;
    struct duress_failure failure = failure_with(DURESS_E_REFUSED);
    struct duress_retry_options given = {.jitter = DURESS_JITTER_NONE};
    struct fixture near = fixture_with(given);
    gives_up(duress_retry_decide(&near.retry, &near.options, &failure, true, T0 + DURESS_S, T0, NULL),
             DURESS_RETRY_DEADLINE_TOO_NEAR);
    assert_int_equal(near.retry.attempts, 1);
    struct fixture far = fixture_with(given);
    struct duress_retry_decision decision =
        duress_retry_decide(&far.retry, &far.options, &failure, true, T0 + DURESS_S + 1, T0, NULL);
    assert_int_equal(decision.verdict, DURESS_RETRY_WAIT);
    assert_int_equal(decision.at_ns, T0 + DURESS_S);
    struct fixture past = fixture_with((struct duress_retry_options){.backoff_ns = 1});
    gives_up(duress_retry_decide(&past.retry, &past.options, &failure, true, T0, T0 + 1, &past.prng),
             DURESS_RETRY_DEADLINE_TOO_NEAR);
}

static void attempts_count_the_first_one_r8(void **state)
{
    (void)state;
    static const struct {
        uint32_t attempts_max;
        uint32_t attempts;
    } rows[] = {{0, 3}, {1, 1}, {2, 2}, {3, 3}, {10, 10}, {1000, 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){.attempts_max = rows[i].attempts_max});
        struct duress_failure failure = failure_with(DURESS_E_REFUSED);
        for (uint32_t attempt = 1; attempt < rows[i].attempts; attempt++) {
            assert_int_equal(fixture.retry.attempts, attempt);
            (void)waits(&fixture);
        }
        gives_up(decide(&fixture, &failure), DURESS_RETRY_ATTEMPTS_SPENT);
        assert_int_equal(fixture.retry.attempts, rows[i].attempts);
    }
}

static void retry_after_is_a_floor(void **state)
{
    (void)state;
    struct duress_failure failure = failure_with(DURESS_E_OVERLOADED);
    failure.retry_after_ns = 5 * DURESS_S;
    struct fixture plain = fixture_with((struct duress_retry_options){.jitter = DURESS_JITTER_NONE});
    assert_int_equal(decide(&plain, &failure).at_ns, T0 + 5 * DURESS_S);
    failure.retry_after_ns = 1;
    assert_int_equal(decide(&plain, &failure).at_ns, T0 + 2 * DURESS_S);

    /* With jitter no caller comes before, and they do not all come at the same instant. */
    failure.retry_after_ns = 5 * DURESS_S;
    uint64_t first_at_ns = 0;
    bool spread = false;
    for (uint64_t caller = 0; caller < 100; caller++) {
        struct fixture fixture = fixture_with((struct duress_retry_options){0});
        duress_prng_init(&fixture.prng, 3, caller);
        uint64_t at_ns = decide(&fixture, &failure).at_ns;
        assert_in_range(at_ns, T0 + 5 * DURESS_S, T0 + 6 * DURESS_S);
        spread = spread || (caller > 0 && at_ns != first_at_ns);
        first_at_ns = at_ns;
    }
    assert_true(spread);
}

static void retry_after_above_the_cap_is_given_up(void **state)
{
    (void)state;
    struct fixture fixture = fixture_with((struct duress_retry_options){0});
    struct duress_failure failure = failure_with(DURESS_E_OVERLOADED);
    failure.retry_after_ns = 30 * DURESS_S + 1;
    gives_up(decide(&fixture, &failure), DURESS_RETRY_AFTER_TOO_LONG);
    failure.retry_after_ns = 30 * DURESS_S;
    assert_int_equal(decide(&fixture, &failure).verdict, DURESS_RETRY_WAIT);
    failure.retry_after_ns = 5 * DURESS_S;
    gives_up(
        duress_retry_decide(&fixture.retry, &fixture.options, &failure, true, T0 + 5 * DURESS_S, T0, &fixture.prng),
        DURESS_RETRY_DEADLINE_TOO_NEAR);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct duress_retry_options options;
        const char *detail;
    } rows[] = {
        {{.attempts_max = 1001}, "retry.attempts_max: 1001 given, allowed 1 to 1000"},
        {{.backoff_ns = DURESS_TIME_NEVER},
         "retry.backoff_ns: 18446744073709551615 given, allowed 1 to 31622400000000000"},
        {{.backoff_cap_ns = DURESS_RETRY_BACKOFF_NS_MAX + 1},
         "retry.backoff_cap_ns: 31622400000000001 given, allowed 1 to 31622400000000000"},
        {{.multiplier_milli = 999}, "retry.multiplier_milli: 999 given, allowed 1000 to 1000000"},
        {{.multiplier_milli = 1000001}, "retry.multiplier_milli: 1000001 given, allowed 1000 to 1000000"},
        {{.jitter = (enum duress_jitter)4}, "retry.jitter: 4 given, allowed 0 to 3"},
        {{.retryable_mask = UINT64_C(1) << DURESS_ERROR_NUMBER_END},
         "retry.retryable_mask: 4294967296 given, allowed 2 to 4294967294"},
        {{.retryable_mask = 1}, "retry.retryable_mask: 1 given, allowed 2 to 4294967294"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct duress_retry_options options = {.attempts_max = 77};
        struct duress_failure why;
        assert_int_equal(duress_retry_options_init(&options, &rows[i].options, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, rows[i].detail);
        assert_int_equal(options.attempts_max, 77);
        assert_int_equal(duress_retry_options_init(&options, &rows[i].options, NULL), DURESS_E_INVALID);
    }
    struct duress_failure why;
    assert_int_equal(duress_retry_options_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "options: NULL given, must be a pointer");
}

static void reasons_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"goes on",
                                        "not retryable",
                                        "ambiguous and not idempotent",
                                        "attempts spent",
                                        "retry-after above the cap",
                                        "deadline too near",
                                        "unknown"};
    for (int i = 0; i < 7; i++)
        assert_string_equal(duress_retry_reason_name((enum duress_retry_reason)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_agenkits_with_full_jitter),
        cmocka_unit_test(waits_double_up_to_the_cap),
        cmocka_unit_test(a_wait_of_one_nanosecond_grows_too),
        cmocka_unit_test(callers_do_not_return_together_r1),
        cmocka_unit_test(jitter_spans_what_the_header_says),
        cmocka_unit_test(what_cannot_be_retried_is_not_r2),
        cmocka_unit_test(the_mask_is_the_callers_to_set),
        cmocka_unit_test(the_last_failure_stays_what_it_was_r3),
        cmocka_unit_test(the_cap_bounds_the_first_wait_r5),
        cmocka_unit_test(huge_options_do_not_wrap_r6),
        cmocka_unit_test(the_end_of_time_is_given_up),
        cmocka_unit_test(the_deadline_is_never_slept_into_r7),
        cmocka_unit_test(attempts_count_the_first_one_r8),
        cmocka_unit_test(retry_after_is_a_floor),
        cmocka_unit_test(retry_after_above_the_cap_is_given_up),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
