/* SPDX-License-Identifier: Apache-2.0
 *
 * Timeout, beside a model that steps through time nanosecond by nanosecond, and rule by rule. */
#include "policy_test.h"

#include <duress/policy/timeout.h>

#define T0 (1000 * DURESS_S)
#define EVENTS_MAX 8
#define MODEL_BEGIN_NS 100

static struct duress_timeout_options options_with(uint64_t limit_ns, uint64_t gap_ns)
{
    struct duress_timeout_options options;
    struct duress_timeout_options given = {.limit_ns = limit_ns, .gap_ns = gap_ns};
    assert_int_equal(duress_timeout_options_init(&options, &given, NULL), DURESS_OK);
    return options;
}

static void the_default_is_half_a_minute_in_all(void **state)
{
    (void)state;
    struct duress_timeout_options options;
    assert_int_equal(duress_timeout_options_init(&options, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_timeout_deadline_ns(&options, DURESS_TIME_NEVER, T0), T0 + 30 * DURESS_S);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &options, DURESS_TIME_NEVER, T0);
    duress_timeout_chunk(&timeout, &options, T0 + 29 * DURESS_S);
    assert_int_equal(duress_timeout_at_ns(&timeout), T0 + 30 * DURESS_S);
}

static void with_a_gap_the_whole_is_unlimited_by_default(void **state)
{
    (void)state;
    struct duress_timeout_options options = options_with(0, DURESS_S);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &options, DURESS_TIME_NEVER, T0);
    for (uint64_t i = 1; i < 10000; i++) {
        uint64_t now_ns = T0 + i * (DURESS_S - 1);
        assert_int_equal(duress_timeout_expiry(&timeout, now_ns), DURESS_TIMEOUT_RUNNING);
        duress_timeout_chunk(&timeout, &options, now_ns);
        assert_int_equal(duress_timeout_at_ns(&timeout), now_ns + DURESS_S);
    }
}

static void a_deadline_is_shortened_never_lengthened_r7(void **state)
{
    (void)state;
    struct duress_timeout_options options = options_with(10, 7);
    assert_int_equal(duress_timeout_deadline_ns(&options, T0 + 5, T0), T0 + 5);
    assert_int_equal(duress_timeout_deadline_ns(&options, T0 + 50, T0), T0 + 7);
    assert_int_equal(duress_timeout_deadline_ns(&options, T0 - 50, T0), T0 - 50);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &options, T0 + 8, T0);
    duress_timeout_chunk(&timeout, &options, T0 + 6);
    assert_int_equal(duress_timeout_at_ns(&timeout), T0 + 8);
}

/* Nested timeouts: each layer says what is its own, and no more. */
static void no_layer_claims_the_limit_of_another_b8(void **state)
{
    (void)state;
    struct duress_timeout_options outer_options = options_with(20, 0);
    struct duress_timeout_options inner_options = options_with(30, 15);
    struct duress_timeout outer;
    struct duress_timeout inner;
    duress_timeout_init(&outer, &outer_options, DURESS_TIME_NEVER, T0);
    duress_timeout_init(&inner, &inner_options, duress_timeout_at_ns(&outer), T0);
    assert_int_equal(duress_timeout_expiry(&inner, T0 + 14), DURESS_TIMEOUT_RUNNING);
    assert_int_equal(duress_timeout_expiry(&inner, T0 + 15), DURESS_TIMEOUT_BY_GAP);
    duress_timeout_chunk(&inner, &inner_options, T0 + 10);
    assert_int_equal(duress_timeout_expiry(&inner, T0 + 19), DURESS_TIMEOUT_RUNNING);
    assert_int_equal(duress_timeout_expiry(&inner, T0 + 20), DURESS_TIMEOUT_BY_CALL);
    assert_int_equal(duress_timeout_expiry(&inner, T0 + 1000), DURESS_TIMEOUT_BY_CALL);
    assert_int_equal(duress_timeout_expiry(&outer, T0 + 20), DURESS_TIMEOUT_BY_LIMIT);
}

static void what_is_over_stays_over(void **state)
{
    (void)state;
    struct duress_timeout_options options = options_with(0, 10);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &options, DURESS_TIME_NEVER, T0);
    duress_timeout_chunk(&timeout, &options, T0 + 10);
    assert_int_equal(duress_timeout_expiry(&timeout, T0 + 10), DURESS_TIMEOUT_BY_GAP);
    assert_int_equal(duress_timeout_at_ns(&timeout), T0 + 10);
}

static void time_going_back_moves_no_deadline(void **state)
{
    (void)state;
    struct duress_timeout_options options = options_with(0, 10);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &options, DURESS_TIME_NEVER, T0);
    duress_timeout_chunk(&timeout, &options, T0 - 5);
    assert_int_equal(duress_timeout_at_ns(&timeout), T0 + 10);
}

static void never_is_never_and_nothing_wraps(void **state)
{
    (void)state;
    struct duress_timeout_options off = options_with(DURESS_TIME_NEVER, DURESS_TIME_NEVER);
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, &off, DURESS_TIME_NEVER, T0);
    assert_int_equal(duress_timeout_at_ns(&timeout), DURESS_TIME_NEVER);
    assert_int_equal(duress_timeout_expiry(&timeout, DURESS_TIME_NEVER), DURESS_TIMEOUT_RUNNING);
    duress_timeout_chunk(&timeout, &off, T0);
    assert_int_equal(duress_timeout_at_ns(&timeout), DURESS_TIME_NEVER);
    struct duress_timeout_options options = options_with(10, 10);
    assert_int_equal(duress_timeout_deadline_ns(&options, DURESS_TIME_NEVER, DURESS_TIME_NEVER - 5), DURESS_TIME_NEVER);
}

/* The model lives through each nanosecond and notes the first in which something was over. */
struct story {
    struct duress_timeout timeout;
    uint64_t call_deadline_ns;
    uint64_t now_ns;
    uint64_t last_sign_ns; /* begin or chunk, while it was not over */
    enum duress_timeout_expiry ended;
};

static void model_look(struct story *story, const struct duress_timeout_options *options)
{
    if (story->ended != DURESS_TIMEOUT_RUNNING)
        return;
    if (story->now_ns >= story->call_deadline_ns)
        story->ended = DURESS_TIMEOUT_BY_CALL;
    else if (options->limit_ns != DURESS_TIME_NEVER && story->now_ns - MODEL_BEGIN_NS >= options->limit_ns)
        story->ended = DURESS_TIMEOUT_BY_LIMIT;
    else if (options->gap_ns != DURESS_TIME_NEVER && story->now_ns - story->last_sign_ns >= options->gap_ns)
        story->ended = DURESS_TIMEOUT_BY_GAP;
}

static void tell_all(const struct story *so_far, const struct duress_timeout_options *options, int events_left)
{
    static const uint64_t steps_ns[] = {0, 1, 3, 4}; /* 0: a chunk */
    for (size_t event = 0; event < 4 && events_left > 0; event++) {
        struct story story = *so_far;
        if (event == 0) {
            duress_timeout_chunk(&story.timeout, options, story.now_ns);
            if (story.ended == DURESS_TIMEOUT_RUNNING)
                story.last_sign_ns = story.now_ns;
        }
        for (uint64_t step = 0; step < steps_ns[event]; step++) {
            story.now_ns++;
            model_look(&story, options);
        }
        assert_int_equal(duress_timeout_expiry(&story.timeout, story.now_ns), story.ended);
        assert_int_equal(duress_timeout_at_ns(&story.timeout) <= story.now_ns, story.ended != DURESS_TIMEOUT_RUNNING);
        tell_all(&story, options, events_left - 1);
    }
}

static void every_story_of_eight_events(void **state)
{
    (void)state;
    static const uint64_t limits_ns[] = {1, 4, 9, DURESS_TIME_NEVER};
    for (size_t i = 0; i < 64; i++) {
        struct duress_timeout_options options = options_with(limits_ns[i % 4], limits_ns[i / 4 % 4]);
        struct story story = {.now_ns = MODEL_BEGIN_NS, .last_sign_ns = MODEL_BEGIN_NS};
        story.call_deadline_ns = duress_time_add(MODEL_BEGIN_NS, limits_ns[i / 16]);
        duress_timeout_init(&story.timeout, &options, story.call_deadline_ns, MODEL_BEGIN_NS);
        tell_all(&story, &options, EVENTS_MAX);
    }
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    struct duress_timeout_options options = {.limit_ns = 77};
    struct duress_failure why;
    struct duress_timeout_options limit = {.limit_ns = DURESS_TIMEOUT_NS_MAX + 1};
    assert_int_equal(duress_timeout_options_init(&options, &limit, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "timeout.limit_ns: 31622400000000001 given, allowed 1 to 31622400000000000");
    assert_int_equal(options.limit_ns, 77);
    struct duress_timeout_options gap = {.gap_ns = DURESS_TIME_NEVER - 1};
    assert_int_equal(duress_timeout_options_init(&options, &gap, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "timeout.gap_ns: 18446744073709551614 given, allowed 1 to 31622400000000000");
    assert_int_equal(duress_timeout_options_init(&options, &gap, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_timeout_options_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "options: NULL given, must be a pointer");
    (void)options_with(1, 1);
    (void)options_with(DURESS_TIMEOUT_NS_MAX, DURESS_TIMEOUT_NS_MAX);
}

static void expiries_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"running", "call", "limit", "gap", "unknown"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(duress_timeout_expiry_name((enum duress_timeout_expiry)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_half_a_minute_in_all),
        cmocka_unit_test(with_a_gap_the_whole_is_unlimited_by_default),
        cmocka_unit_test(a_deadline_is_shortened_never_lengthened_r7),
        cmocka_unit_test(no_layer_claims_the_limit_of_another_b8),
        cmocka_unit_test(what_is_over_stays_over),
        cmocka_unit_test(time_going_back_moves_no_deadline),
        cmocka_unit_test(never_is_never_and_nothing_wraps),
        cmocka_unit_test(every_story_of_eight_events),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(expiries_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
