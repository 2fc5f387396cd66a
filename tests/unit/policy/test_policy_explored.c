/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: what policies promise to callers that share them holds in every ordering of what two and three callers do:
 * probes and tokens never exceed their limit and never leak. Method: the policies are
 * compiled with atomic operations that are steps of an exploration (explore.h). */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/bucket.h>
#include <duress/policy/retry_budget.h>

#include "explore.h"

#define T0 (1000 * DURESS_S)
#define OWN(explore, type, index) ((const type *)(explore)->own[index])

/* --- the explorer itself --- */

struct counter {
    struct duress__atomic value;
};

static bool lost_update_seen;

static void counter_add_wrongly(void *shared, void *own)
{
    struct counter *counter = shared;
    (void)own;
    uint64_t seen = duress__atomic_load(&counter->value);
    duress__atomic_store(&counter->value, seen + 1);
}

static void counter_add(void *shared, void *own)
{
    (void)own;
    (void)duress__atomic_add(&((struct counter *)shared)->value, 1);
}

static void counter_check(const struct explore *explore, bool ended)
{
    const struct counter *counter = explore->shared;
    if (ended && counter->value.value != (uint64_t)explore->caller_count)
        lost_update_seen = true;
}

static struct explore_result counter_explored(explore_caller_fn caller)
{
    struct counter counter = {{0}};
    uint64_t own[3] = {0};
    struct explore explore = {
        .name = "counter",
        .shared = &counter,
        .shared_bytes = sizeof counter,
        .caller_count = 3,
        .callers = {caller, caller, caller},
        .own = {&own[0], &own[1], &own[2]},
        .own_bytes = sizeof own[0],
        .check = counter_check,
    };
    lost_update_seen = false;
    return explore_run(&explore);
}

static void the_explorer_sees_every_ordering(void **state)
{
    (void)state;
    struct explore_result result = counter_explored(counter_add);
    assert_int_equal(result.orderings, 6); /* 3! of one step each */
    assert_false(lost_update_seen);
    result = counter_explored(counter_add_wrongly);
    assert_int_equal(result.orderings, 90); /* 6! / (2! 2! 2!) */
    assert_true(lost_update_seen);
}

/* --- the breaker's half-open --- */

struct prober {
    uint64_t acquire_ns;
    uint64_t report_ns;
    enum duress_outcome outcome;
    struct duress_permit permit; /* given: reports this one and acquires none */
    bool given;
    bool keeps;    /* does not report */
    bool admitted; /* holds a permit that it has not reported */
    bool reported;
};

static void prober_run(void *shared, void *own)
{
    struct prober *prober = own;
    if (!prober->given)
        prober->admitted = duress_breaker_acquire(shared, prober->acquire_ns, &prober->permit, NULL) == DURESS_ADMIT;
    if (!prober->admitted || prober->keeps)
        return;
    duress_breaker_report(shared, prober->permit, prober->outcome, prober->report_ns);
    prober->admitted = false;
    prober->reported = true;
}

/* An open circuit whose recovery is over at T0; probes have a lease of 10 s. */
static struct duress_breaker recovering_breaker(uint32_t probes_max)
{
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .failures_to_open = 1,
        .successes_to_close = 2,
        .recovery_ns = 10 * DURESS_S,
        .probes_max = probes_max,
        .probe_lease_ns = 10 * DURESS_S,
    });
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 - 10 * DURESS_S);
    state_is(&breaker, DURESS_BREAKER_OPEN);
    return breaker;
}

static struct explore prober_exploration(const char *name, struct duress_breaker *breaker, struct prober *probers,
                                         int count)
{
    struct explore explore = {
        .name = name,
        .shared = breaker,
        .shared_bytes = offsetof(struct duress_breaker, options),
        .control_bytes = offsetof(struct duress_breaker, admitted),
        .caller_count = count,
        .own_bytes = sizeof *probers,
    };
    for (int i = 0; i < count; i++) {
        explore.callers[i] = prober_run;
        explore.own[i] = &probers[i];
    }
    return explore;
}

static uint32_t probes_held(const struct explore *explore)
{
    uint32_t held = 0;
    for (int i = 0; i < explore->caller_count; i++)
        held += OWN(explore, struct prober, i)->admitted && !OWN(explore, struct prober, i)->given;
    return held;
}

static struct duress_breaker_snapshot snapshot_of(const struct explore *explore)
{
    struct duress_breaker_snapshot snapshot;
    duress_breaker_snapshot(explore->shared, &snapshot);
    return snapshot;
}

/* While no circuit closes: callers with a permit are probes, and what the word counts is never less. */
static void probes_stay_within_their_limit(const struct explore *explore, bool ended)
{
    const struct duress_breaker *breaker = explore->shared;
    struct duress_breaker_snapshot seen = snapshot_of(explore);
    EXPLORE_CHECK(probes_held(explore) <= breaker->options.probes_max);
    EXPLORE_CHECK(seen.probes_in_flight <= breaker->options.probes_max);
    if (!ended)
        return;
    EXPLORE_CHECK(seen.probes_in_flight == probes_held(explore));
    EXPLORE_CHECK(seen.counters.admitted - probes_held(explore) ==
                  seen.counters.successes + seen.counters.failures + seen.counters.cancelled + seen.counters.ignored);
}

static void explore_probes(const char *name, uint32_t probes_max, int count, bool keep, enum duress_outcome outcome)
{
    struct duress_breaker breaker = recovering_breaker(probes_max);
    breaker.options.successes_to_close = 4; /* the circuit stays half-open */
    struct prober probers[3];
    for (int p = 0; p < count; p++)
        probers[p] = (struct prober){
            .acquire_ns = T0,
            .report_ns = T0 + DURESS_S,
            .outcome = p == 0 ? DURESS_OUTCOME_SUCCESS : outcome,
            .keeps = keep && p > 0,
        };
    struct explore explore = prober_exploration(name, &breaker, probers, count);
    explore.check = probes_stay_within_their_limit;
    assert_true(explore_run(&explore).orderings > 1000);
}

static void probes_never_exceed_their_limit_nor_leak(void **state)
{
    (void)state;
    static const enum duress_outcome outcomes[] = {DURESS_OUTCOME_SUCCESS, DURESS_OUTCOME_CANCELLED,
                                                   DURESS_OUTCOME_IGNORED};
    for (uint32_t probes_max = 1; probes_max <= 2; probes_max++) {
        for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
            explore_probes("two probes", probes_max, 2, false, outcomes[i]);
        explore_probes("three probes", probes_max, 3, true, DURESS_OUTCOME_SUCCESS);
    }
}

static void a_failed_probe_opens_it_once(const struct explore *explore, bool ended)
{
    struct duress_breaker_snapshot seen = snapshot_of(explore);
    EXPLORE_CHECK(probes_held(explore) <= 2);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBE_FAILED] <= 1);
    if (!ended)
        return;
    /* The good probe that reports first does not close it; after the failed one it counts for nothing. */
    EXPLORE_CHECK(seen.state == DURESS_BREAKER_OPEN);
    EXPLORE_CHECK(seen.probes_in_flight == 0);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBE_FAILED] == 1);
}

static void a_failed_probe_reopens_whatever_the_others_do(void **state)
{
    (void)state;
    struct duress_breaker breaker = recovering_breaker(2);
    struct prober probers[2] = {
        {.acquire_ns = T0, .report_ns = T0 + DURESS_S, .outcome = DURESS_OUTCOME_SUCCESS},
        {.acquire_ns = T0, .report_ns = T0 + DURESS_S, .outcome = DURESS_OUTCOME_FAILURE},
    };
    struct explore explore = prober_exploration("a failed probe", &breaker, probers, 2);
    explore.check = a_failed_probe_opens_it_once;
    assert_true(explore_run(&explore).orderings > 1000);
}

/* Two good probes close it, and a permit from before the opening never says anything. */
static void late_results_are_only_counted(const struct explore *explore, bool ended)
{
    struct duress_breaker_snapshot seen = snapshot_of(explore);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_FAILURES] == 1); /* the opening of the preparation */
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBE_FAILED] == 0);
    if (!ended)
        return;
    EXPLORE_CHECK(seen.counters.late == 1);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_RECOVERY] == 1);
    EXPLORE_CHECK((seen.state == DURESS_BREAKER_CLOSED) ==
                  (OWN(explore, struct prober, 1)->reported && OWN(explore, struct prober, 2)->reported));
}

static void late_results_never_move_the_state(void **state)
{
    (void)state;
    struct duress_breaker breaker = breaker_with((struct duress_breaker_options){
        .failures_to_open = 1,
        .successes_to_close = 2,
        .recovery_ns = 10 * DURESS_S,
        .probes_max = 2,
        .probe_lease_ns = 10 * DURESS_S,
    });
    struct duress_permit early = admitted(&breaker, T0 - 20 * DURESS_S);
    calls(&breaker, 1, DURESS_OUTCOME_FAILURE, T0 - 10 * DURESS_S);
    struct prober probers[3] = {
        {.permit = early,
         .given = true,
         .admitted = true,
         .outcome = DURESS_OUTCOME_FAILURE,
         .report_ns = T0 + DURESS_S},
        {.acquire_ns = T0, .report_ns = T0 + DURESS_S, .outcome = DURESS_OUTCOME_SUCCESS},
        {.acquire_ns = T0, .report_ns = T0 + DURESS_S, .outcome = DURESS_OUTCOME_SUCCESS},
    };
    struct explore explore = prober_exploration("a late result", &breaker, probers, 3);
    explore.check = late_results_are_only_counted;
    assert_true(explore_run(&explore).orderings > 1000000);
}

/* A probe that overran its lease reports while another call comes: it is given up exactly once, never taken for a good
 * one, and its place is not taken twice. */
static void a_lapsed_probe_is_given_up_once(const struct explore *explore, bool ended)
{
    struct duress_breaker_snapshot seen = snapshot_of(explore);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBE_LAPSED] <= 1);
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBES_GOOD] == 0);
    if (!ended)
        return;
    EXPLORE_CHECK(seen.counters.transitions[DURESS_BREAKER_BY_PROBE_LAPSED] == 1);
    EXPLORE_CHECK(seen.counters.lapsed == 1);
    EXPLORE_CHECK(seen.counters.late == 1);
    EXPLORE_CHECK(seen.state == DURESS_BREAKER_OPEN);
    EXPLORE_CHECK(seen.probes_in_flight == 0);
}

static void a_lapse_and_a_late_report_race(void **state)
{
    (void)state;
    struct duress_breaker breaker = recovering_breaker(1);
    breaker.options.successes_to_close = 1;
    struct duress_permit probe = admitted(&breaker, T0);
    state_is(&breaker, DURESS_BREAKER_HALF_OPEN);
    uint64_t lapsed_ns = T0 + 10 * DURESS_S;
    struct prober probers[3] = {
        {.permit = probe,
         .given = true,
         .admitted = true,
         .outcome = DURESS_OUTCOME_SUCCESS,
         .report_ns = lapsed_ns + DURESS_MS},
        {.acquire_ns = lapsed_ns, .report_ns = lapsed_ns + DURESS_S, .outcome = DURESS_OUTCOME_SUCCESS},
        {.acquire_ns = lapsed_ns + DURESS_MS, .report_ns = lapsed_ns + DURESS_S, .outcome = DURESS_OUTCOME_SUCCESS},
    };
    struct explore explore = prober_exploration("a lapse", &breaker, probers, 3);
    explore.check = a_lapsed_probe_is_given_up_once;
    assert_true(explore_run(&explore).orderings > 10000);
}

/* --- the token bucket --- */

struct taker {
    uint64_t at_ns;
    uint32_t tokens;
    bool gives_back;
    bool took;
};

static void taker_run(void *shared, void *own)
{
    struct taker *taker = own;
    taker->took = duress_bucket_acquire(shared, taker->tokens, taker->at_ns, NULL);
    if (!taker->took || !taker->gives_back)
        return;
    taker->took = false;
    duress_bucket_give_back(shared, taker->tokens, taker->at_ns, taker->at_ns);
}

/* A bucket of 2 that gets one more a second, emptied at T0; all callers ask at T0 + 2 s or later. */
static void tokens_never_exceed_what_came_in(const struct explore *explore, bool ended)
{
    uint32_t taken = 0;
    for (int i = 0; i < explore->caller_count; i++)
        taken += OWN(explore, struct taker, i)->took ? OWN(explore, struct taker, i)->tokens : 0;
    EXPLORE_CHECK(taken <= 2);
    if (!ended)
        return;
    /* None is lost: what was not taken, or was given back, is there. */
    EXPLORE_CHECK(duress_bucket_tokens(explore->shared, T0 + 2 * DURESS_S) == 2 - taken);
}

static void tokens_neither_multiply_nor_leak(void **state)
{
    (void)state;
    for (int gives_back = 0; gives_back < 2; gives_back++) {
        struct duress_bucket bucket;
        struct duress_bucket_options options = {.rate = 1, .burst = 2};
        assert_int_equal(duress_bucket_init(&bucket, &options, NULL), DURESS_OK);
        assert_true(duress_bucket_acquire(&bucket, 2, T0, NULL));
        struct taker takers[3] = {
            {.at_ns = T0 + 2 * DURESS_S, .tokens = 1, .gives_back = gives_back != 0},
            {.at_ns = T0 + 2 * DURESS_S, .tokens = 2},
            {.at_ns = T0 + 2 * DURESS_S, .tokens = 1},
        };
        struct explore explore = {
            .name = gives_back != 0 ? "tokens, some given back" : "tokens",
            .shared = &bucket,
            .shared_bytes = sizeof bucket,
            .caller_count = 3,
            .callers = {taker_run, taker_run, taker_run},
            .own = {&takers[0], &takers[1], &takers[2]},
            .own_bytes = sizeof takers[0],
            .check = tokens_never_exceed_what_came_in,
        };
        assert_true(explore_run(&explore).orderings > 1000);
    }
}

/* --- the retry budget --- */

struct payer {
    bool pays_in;
    bool got;
};

static void payer_run(void *shared, void *own)
{
    struct payer *payer = own;
    if (payer->pays_in)
        duress_retry_budget_deposit(shared);
    payer->got = duress_retry_budget_withdraw(shared);
}

static void withdrawals_are_covered(const struct explore *explore, bool ended)
{
    struct duress_retry_budget_snapshot seen;
    duress_retry_budget_snapshot(explore->shared, &seen);
    uint64_t got_milli = 0;
    for (int i = 0; i < explore->caller_count; i++)
        got_milli += OWN(explore, struct payer, i)->got ? 1000 : 0;
    EXPLORE_CHECK(got_milli <= 1000 + 500 + 500);
    EXPLORE_CHECK(seen.tokens_milli <= 2000);
    if (ended)
        EXPLORE_CHECK(got_milli + seen.tokens_milli == 1000 + 500 + 500);
}

static void the_budget_neither_multiplies_nor_leaks(void **state)
{
    (void)state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options options = {.capacity = 2, .deposit_milli = 500};
    assert_int_equal(duress_retry_budget_init(&budget, &options, NULL), DURESS_OK);
    assert_true(duress_retry_budget_withdraw(&budget)); /* one token is left */
    struct payer payers[3] = {{.pays_in = true}, {.pays_in = true}, {.pays_in = false}};
    struct explore explore = {
        .name = "retry budget",
        .shared = &budget,
        .shared_bytes = offsetof(struct duress_retry_budget, capacity_milli),
        .control_bytes = offsetof(struct duress_retry_budget, withdrawn),
        .caller_count = 3,
        .callers = {payer_run, payer_run, payer_run},
        .own = {&payers[0], &payers[1], &payers[2]},
        .own_bytes = sizeof payers[0],
        .check = withdrawals_are_covered,
    };
    assert_true(explore_run(&explore).orderings > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_explorer_sees_every_ordering),
        cmocka_unit_test(probes_never_exceed_their_limit_nor_leak),
        cmocka_unit_test(a_failed_probe_reopens_whatever_the_others_do),
        cmocka_unit_test(late_results_never_move_the_state),
        cmocka_unit_test(a_lapse_and_a_late_report_race),
        cmocka_unit_test(tokens_neither_multiply_nor_leak),
        cmocka_unit_test(the_budget_neither_multiplies_nor_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
