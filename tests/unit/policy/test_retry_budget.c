/* SPDX-License-Identifier: Apache-2.0
 *
 * The retry budget, beside a model that replays the whole story for each question, and rule by rule. */
#include "policy_test.h"

#include <duress/policy/retry_budget.h>

#define EVENTS_MAX 14

static struct duress_retry_budget budget_with(uint32_t capacity, uint32_t deposit_milli)
{
    struct duress_retry_budget budget;
    struct duress_retry_budget_options options = {.capacity = capacity, .deposit_milli = deposit_milli};
    assert_int_equal(duress_retry_budget_init(&budget, &options, NULL), DURESS_OK);
    return budget;
}

static struct duress_retry_budget_snapshot snapshot_of(const struct duress_retry_budget *budget)
{
    struct duress_retry_budget_snapshot snapshot;
    duress_retry_budget_snapshot(budget, &snapshot);
    return snapshot;
}

/* The model: what the bits of |story| (1 = withdraw, 0 = deposit; the first is the lowest) come to. */
static struct duress_retry_budget_snapshot story_replay(uint32_t story, int events, int64_t capacity,
                                                        int64_t deposit_milli)
{
    int64_t milli = capacity * 1000;
    struct duress_retry_budget_snapshot is = {0};
    for (int i = 0; i < events; i++) {
        if ((story >> i & 1) == 0)
            milli += deposit_milli;
        else if (milli - 1000 < 0)
            is.refused++;
        else {
            is.withdrawn++;
            milli -= 1000;
        }
        if (milli > capacity * 1000)
            milli = capacity * 1000;
    }
    is.tokens_milli = (uint64_t)milli;
    return is;
}

static void tell_all_with(uint32_t capacity, uint32_t deposit_milli)
{
    for (uint32_t story = 0; story < UINT32_C(1) << EVENTS_MAX; story++) {
        struct duress_retry_budget budget = budget_with(capacity, deposit_milli);
        for (int event = 0; event < EVENTS_MAX; event++) {
            struct duress_retry_budget_snapshot before = snapshot_of(&budget);
            struct duress_retry_budget_snapshot should = story_replay(story, event + 1, capacity, deposit_milli);
            if ((story >> event & 1) == 0)
                duress_retry_budget_deposit(&budget);
            else
                assert_int_equal(duress_retry_budget_withdraw(&budget), should.withdrawn > before.withdrawn);
            struct duress_retry_budget_snapshot is = snapshot_of(&budget);
            assert_int_equal(is.tokens_milli, should.tokens_milli);
            assert_int_equal(is.withdrawn, should.withdrawn);
            assert_int_equal(is.refused, should.refused);
        }
    }
}

static void every_story_of_fourteen_events(void **state)
{
    (void)state;
    tell_all_with(1, 1000);
    tell_all_with(1, 300);
    tell_all_with(3, 500);
    tell_all_with(5, 1);
}

/* A service that fails every call, three attempts wanted for each: it sees hardly more than a tenth more calls. */
static void an_outage_is_not_amplified_r4(void **state)
{
    (void)state;
    struct duress_retry_budget budget;
    assert_int_equal(duress_retry_budget_init(&budget, NULL, NULL), DURESS_OK);
    uint32_t arrivals = 0;
    for (int call = 0; call < 1000; call++) {
        duress_retry_budget_deposit(&budget);
        arrivals++;
        for (int retry = 0; retry < 2 && duress_retry_budget_withdraw(&budget); retry++)
            arrivals++;
    }
    assert_in_range(arrivals, 1000 + 100, 1000 + 100 + 10); /* a tenth of the calls, and the first bucket */
}

static void starts_full_and_never_holds_more(void **state)
{
    (void)state;
    struct duress_retry_budget budget;
    assert_int_equal(duress_retry_budget_init(&budget, NULL, NULL), DURESS_OK);
    assert_int_equal(snapshot_of(&budget).tokens_milli, 10000);
    for (int i = 0; i < 1000; i++)
        duress_retry_budget_deposit(&budget);
    assert_int_equal(snapshot_of(&budget).tokens_milli, 10000);
    for (int i = 0; i < 10; i++)
        assert_true(duress_retry_budget_withdraw(&budget));
    assert_false(duress_retry_budget_withdraw(&budget));
    assert_int_equal(snapshot_of(&budget).refused, 1);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    struct duress_retry_budget budget;
    struct duress_failure why;
    struct duress_retry_budget_options large = {.capacity = 1001};
    assert_int_equal(duress_retry_budget_init(&budget, &large, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "retry_budget.capacity: 1001 given, allowed 1 to 1000");
    assert_int_equal(duress_retry_budget_init(&budget, &large, NULL), DURESS_E_INVALID);
    struct duress_retry_budget_options generous = {.deposit_milli = 1001};
    assert_int_equal(duress_retry_budget_init(&budget, &generous, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "retry_budget.deposit_milli: 1001 given, allowed 1 to 1000");
    assert_int_equal(duress_retry_budget_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "budget: NULL given, must be a pointer");
    budget = budget_with(1000, 1000);
    assert_int_equal(snapshot_of(&budget).tokens_milli, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_of_fourteen_events),
        cmocka_unit_test(an_outage_is_not_amplified_r4),
        cmocka_unit_test(starts_full_and_never_holds_more),
        cmocka_unit_test(bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
