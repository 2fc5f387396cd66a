/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/hedge.h>

enum { SCRIPT_MAX = 8 };

/* What the service does with its n-th call; after the last one as with the last. */
struct script {
    struct layer_test test;
    struct rig_service backup;
    uint64_t delays_ns[SCRIPT_MAX]; /* DURESS_TIME_NEVER: never answers */
    bool fails[SCRIPT_MAX];
    size_t count;
    size_t next;
};

static struct script the_script;

static void script_call(void *context, struct rig_service *service, struct duress_call *call)
{
    struct script *script = context;
    size_t line = script->next < script->count ? script->next : script->count - 1;
    script->next++;
    service->silent = script->delays_ns[line] == DURESS_TIME_NEVER;
    service->delay_ns_min = service->delay_ns_max = script->delays_ns[line];
    service->fail_count = script->fails[line];
    duress_call_mark_sent(call);
}

static int setup(void **state)
{
    *state = &the_script;
    the_script = (struct script){.count = 1};
    layer_test_open(&the_script.test, 0);
    the_script.test.service.on_call = script_call;
    the_script.test.service.context = &the_script;
    rig_service_open(&the_script.backup, the_script.test.rig.client, "backup");
    return 0;
}

static void script_close(struct script *script)
{
    struct duress_hedge_counts counts = duress_hedge_counts(script->test.agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.in_flight, 0);
    duress_agent_unref(script->test.agent);
    script->test.agent = NULL;
    rig_service_close(&script->backup);
    layer_test_close(&script->test);
}

/* The n-th attempt answers after the n-th delay. */
#define ANSWERS_AFTER(script, ...)                                                                                     \
    do {                                                                                                               \
        const uint64_t given[] = {__VA_ARGS__};                                                                        \
        memcpy((script)->delays_ns, given, sizeof given);                                                              \
        (script)->count = sizeof given / sizeof given[0];                                                              \
        (script)->next = 0;                                                                                            \
    } while (0)

/* A delay of 50 ms unless |given| says otherwise. */
static void wrap(struct script *script, struct duress_hedge_layer_options given)
{
    if (given.hedge.delay_ns == 0)
        given.hedge.delay_ns = 50 * DURESS_MS;
    assert_int_equal(duress_with_hedge(script->test.service.agent, &given, &script->test.agent, NULL), DURESS_OK);
}

static struct rig_answer ask(struct script *script)
{
    return layer_test_ask(&script->test, "x", 0, true);
}

static void a_slow_first_attempt_is_rescued_and_cancelled(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, DURESS_TIME_NEVER, 10 * DURESS_MS);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.text, "re: x");
    assert_int_equal(answer.ended_ns, answer.started_ns + 60 * DURESS_MS);
    assert_int_equal(script->test.service.begun, 2);
    assert_int_equal(script->test.service.begun_ns[1] - script->test.service.begun_ns[0], 50 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 1);
    struct duress_hedge_counts counts = duress_hedge_counts(script->test.agent);
    assert_int_equal(counts.calls.succeeded, 1);
    assert_int_equal(counts.attempts, 2);
    assert_int_equal(counts.hedges, 1);
    assert_int_equal(counts.succeeded_on_hedge, 1);
    assert_int_equal(counts.losers, 1);
    assert_int_equal(counts.delay_ns, 50 * DURESS_MS);
    script_close(script);
}

static void a_fast_attempt_stays_alone_and_leaves_no_timer(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 49 * DURESS_MS);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    rig_run_dry(&script->test.rig);
    assert_int_equal(rig_now_ns(&script->test.rig), answer.ended_ns);
    assert_int_equal(script->test.service.begun, 1);
    assert_int_equal(duress_hedge_counts(script->test.agent).hedges, 0);
    script_close(script);
}

static void the_first_attempt_may_win_after_all(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 70 * DURESS_MS, 30 * DURESS_MS);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.ended_ns, answer.started_ns + 70 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 1);
    assert_int_equal(duress_hedge_counts(script->test.agent).succeeded_on_hedge, 0);
    assert_int_equal(duress_hedge_counts(script->test.agent).losers, 1);
    script_close(script);
}

static void a_call_that_is_not_idempotent_is_never_hedged(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 10 * DURESS_S);
    struct rig_answer answer = layer_test_ask(&script->test, "x", 0, false);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.ended_ns, answer.started_ns + 10 * DURESS_S);
    assert_int_equal(script->test.service.begun, 1);
    script_close(script);
}

static void up_to_the_maximum_each_a_delay_after_the_one_before(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.hedge = {.attempts_max = 4}});
    ANSWERS_AFTER(script, DURESS_S);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.ended_ns, answer.started_ns + DURESS_S);
    assert_int_equal(script->test.service.begun, 4);
    for (int i = 1; i < 4; i++)
        assert_int_equal(script->test.service.begun_ns[i] - script->test.service.begun_ns[i - 1], 50 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 3);
    assert_int_equal(duress_hedge_counts(script->test.agent).losers, 3);
    script_close(script);
}

static void a_failure_before_the_delay_ends_the_call_at_once(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 20 * DURESS_MS);
    script->fails[0] = true;
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_int_equal(answer.ended_ns, answer.started_ns + 20 * DURESS_MS);
    assert_int_equal(answer.failure.attempts, 1);
    assert_string_equal(answer.failure.detail, "as asked");
    rig_run_dry(&script->test.rig);
    assert_int_equal(script->test.service.begun, 1);
    script_close(script);
}

static void a_failure_is_forgotten_where_another_attempt_succeeds(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 60 * DURESS_MS, 40 * DURESS_MS);
    script->fails[0] = true;
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.ended_ns, answer.started_ns + 90 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 0);
    assert_int_equal(duress_hedge_counts(script->test.agent).losers, 0);
    script_close(script);
}

static void where_all_fail_the_last_failure_tells_attempts_and_ambiguity(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 60 * DURESS_MS, 40 * DURESS_MS);
    script->fails[0] = script->fails[1] = true;
    duress_failure_set(&script->test.service.failure, DURESS_E_RESET, DURESS_ORIGIN_RECEIVE, "the first");
    rig_ask_by(script->test.agent, "x", 0, true, &answer);
    rig_run_for(&script->test.rig, 70 * DURESS_MS);
    assert_int_equal(answer.ended, 0);
    duress_failure_set(&script->test.service.failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_PEER, "the second");
    rig_run_until_ended(&script->test.rig, &answer);
    assert_int_equal(answer.error, DURESS_E_OVERLOADED);
    assert_int_equal(answer.ended_ns, answer.started_ns + 90 * DURESS_MS);
    assert_int_equal(answer.failure.attempts, 2);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_PEER);
    assert_true(answer.failure.ambiguous); /* the first may have been executed */
    assert_string_equal(answer.failure.detail, "the second; hedged: 2 attempts, none succeeded");
    assert_int_equal(duress_hedge_counts(script->test.agent).calls.failed, 1);
    script_close(script);
}

static void unambiguous_failures_stay_so(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 60 * DURESS_MS, 40 * DURESS_MS);
    script->fails[0] = script->fails[1] = true;
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_false(answer.failure.ambiguous);
    script_close(script);
}

static void deadline_and_cancellation_reach_every_attempt(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(script, (struct duress_hedge_layer_options){.hedge = {.attempts_max = 3}});
    ANSWERS_AFTER(script, DURESS_TIME_NEVER);
    answer = layer_test_ask(&script->test, "x", rig_now_ns(&script->test.rig) + 80 * DURESS_MS, true);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(script->test.service.begun, 2);
    assert_int_equal(script->test.service.cancelled, 2);
    assert_int_equal(duress_hedge_counts(script->test.agent).calls.timed_out, 1);

    answer = (struct rig_answer){.ended = 0};
    rig_ask_by(script->test.agent, "x", 0, true, &answer);
    rig_run_for(&script->test.rig, 70 * DURESS_MS);
    duress_call_cancel(answer.call);
    uint64_t cancelled_ns = rig_now_ns(&script->test.rig);
    rig_run_dry(&script->test.rig);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(rig_now_ns(&script->test.rig), cancelled_ns); /* the third attempt's timer is gone too */
    assert_int_equal(script->test.service.cancelled, 4);
    assert_int_equal(duress_hedge_counts(script->test.agent).calls.cancelled, 1);
    assert_int_equal(duress_hedge_counts(script->test.agent).losers, 0); /* nobody has won */
    script_close(script);
}

/* --- the budget --- */

static void hedges_are_bounded_by_the_budget(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.budget = {.capacity = 2, .deposit_milli = 250}});
    ANSWERS_AFTER(script, 60 * DURESS_MS);
    for (int i = 0; i < 40; i++)
        assert_int_equal(ask(script).error, DURESS_OK);
    struct duress_hedge_counts counts = duress_hedge_counts(script->test.agent);
    /* Two at first (the first call finds the bucket full), then one for each four calls. */
    assert_int_equal(counts.hedges, 2 + 39 / 4);
    assert_int_equal(counts.hedges + counts.budget_refusals, 40); /* every call was slow */
    assert_int_equal(script->test.service.begun, 40 + counts.hedges);
    script_close(script);
}

static void a_refused_hedge_is_not_asked_for_again(void **state)
{
    struct script *script = *state;
    wrap(script, (struct duress_hedge_layer_options){.hedge = {.attempts_max = 8},
                                                     .budget = {.capacity = 1, .deposit_milli = 1}});
    ANSWERS_AFTER(script, DURESS_S);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(script->test.service.begun, 2);
    assert_int_equal(duress_hedge_counts(script->test.agent).budget_refusals, 1);
    script_close(script);
}

static void a_budget_may_be_shared(void **state)
{
    struct script *script = *state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options options = {.capacity = 1, .deposit_milli = 1};
    assert_int_equal(duress_retry_budget_init(&budget, &options, NULL), DURESS_OK);
    wrap(script, (struct duress_hedge_layer_options){.shared = &budget});
    ANSWERS_AFTER(script, 60 * DURESS_MS);
    assert_true(duress_retry_budget_withdraw(&budget)); /* somebody else was quicker */
    assert_int_equal(ask(script).error, DURESS_OK);
    assert_int_equal(script->test.service.begun, 1);
    struct duress_retry_budget_snapshot snapshot;
    duress_retry_budget_snapshot(&budget, &snapshot);
    assert_int_equal(snapshot.tokens_milli, 1); /* the call has paid in */
    assert_int_equal(snapshot.refused, 1);
    script_close(script);
}

/* --- streams --- */

static void the_first_chunk_decides_and_the_others_are_cancelled_then(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 200 * DURESS_MS, 30 * DURESS_MS);
    script->test.service.chunk_count = 3;
    assert_int_equal(rig_try_ask(script->test.agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_for(&script->test.rig, 79 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 0);
    rig_run_for(&script->test.rig, 2 * DURESS_MS);
    assert_int_equal(script->test.service.cancelled, 1); /* with the first chunk, not with the last */
    assert_int_equal(answer.chunk_count, 1);
    rig_run_until_ended(&script->test.rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_string_equal(answer.chunks, "1 x,2 x,3 x,");
    assert_int_equal(duress_hedge_counts(script->test.agent).losers, 1);
    assert_int_equal(duress_hedge_counts(script->test.agent).succeeded_on_hedge, 1);
    script_close(script);
}

static void a_stream_that_has_begun_is_not_hedged(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(script, (struct duress_hedge_layer_options){.hedge = {.attempts_max = 8}});
    ANSWERS_AFTER(script, 30 * DURESS_MS);
    script->test.service.chunk_count = 9;
    assert_int_equal(rig_try_ask(script->test.agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_until_ended(&script->test.rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.chunk_count, 9);
    assert_int_equal(answer.ended_ns, answer.started_ns + 300 * DURESS_MS);
    assert_int_equal(script->test.service.begun, 1);
    script_close(script);
}

static void what_becomes_of_the_winner_becomes_of_the_call(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 200 * DURESS_MS, 30 * DURESS_MS);
    script->fails[1] = true;
    script->test.service.chunk_count = 2;
    assert_int_equal(rig_try_ask(script->test.agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_until_ended(&script->test.rig, &answer);
    assert_int_equal(answer.error, DURESS_E_REFUSED);
    assert_string_equal(answer.chunks, "1 x,2 x,");
    assert_int_equal(answer.failure.attempts, 2);
    assert_true(answer.failure.ambiguous); /* the loser had been sent */
    script_close(script);
}

static void a_receiver_may_cancel_at_the_first_chunk(void **state)
{
    struct script *script = *state;
    struct rig_answer answer = {.cancel_after_chunk = 1};
    wrap(script, (struct duress_hedge_layer_options){.shared = NULL});
    ANSWERS_AFTER(script, 200 * DURESS_MS, 30 * DURESS_MS);
    script->test.service.chunk_count = 3;
    assert_int_equal(rig_try_ask(script->test.agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_until_ended(&script->test.rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(script->test.service.cancelled, 2);
    script_close(script);
}

/* --- the measured delay, the backup, options --- */

static void the_delay_is_measured_from_the_successes(void **state)
{
    struct script *script = *state;
    struct duress_hedge_layer_options options = {.hedge = {.samples_min = 10, .delay_ceiling_ns = 2 * DURESS_S}};
    assert_int_equal(duress_with_hedge(script->test.service.agent, &options, &script->test.agent, NULL), DURESS_OK);
    ANSWERS_AFTER(script, 40 * DURESS_MS);
    assert_int_equal(duress_hedge_counts(script->test.agent).delay_ns, 2 * DURESS_S);
    for (int i = 0; i < 10; i++)
        ask(script);
    struct duress_hedge_counts counts = duress_hedge_counts(script->test.agent);
    assert_int_equal(counts.samples, 10);
    assert_in_range(counts.delay_ns, 40 * DURESS_MS + 1, 40 * DURESS_MS * 65 / 64); /* longer than all of them */
    ANSWERS_AFTER(script, DURESS_TIME_NEVER, 5 * DURESS_MS);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.ended_ns, answer.started_ns + counts.delay_ns + 5 * DURESS_MS);
    assert_int_equal(duress_hedge_counts(script->test.agent).samples, 12); /* the loser counts as one of the delay */
    script_close(script);
}

static void later_attempts_ask_the_backup(void **state)
{
    struct script *script = *state;
    script->backup.delay_ns_min = script->backup.delay_ns_max = 5 * DURESS_MS;
    wrap(script, (struct duress_hedge_layer_options){.backup = script->backup.agent});
    ANSWERS_AFTER(script, DURESS_TIME_NEVER);
    struct rig_answer answer = ask(script);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.ended_ns, answer.started_ns + 55 * DURESS_MS);
    assert_int_equal(script->test.service.begun, 1);
    assert_int_equal(script->test.service.cancelled, 1);
    assert_int_equal(script->backup.begun, 1);
    script_close(script);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct script *script = *state;
    struct duress_agent *inner = script->test.service.agent;
    struct duress_agent *outer = NULL;
    struct duress_retry_budget budget;
    struct duress_failure why;
    struct duress_hedge_layer_options options = {.hedge = {.attempts_max = 9}};
    assert_int_equal(duress_with_hedge(inner, &options, &outer, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "hedge.attempts_max: 9 given, allowed 2 to 8");
    options = (struct duress_hedge_layer_options){.budget = {.capacity = 1001}};
    assert_int_equal(duress_with_hedge(inner, &options, &outer, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "retry_budget.capacity: 1001 given, allowed 1 to 1000");
    for (uint32_t capacity = 0; capacity < 2; capacity++) {
        options = (struct duress_hedge_layer_options){.shared = &budget,
                                                      .budget = {.capacity = capacity, .deposit_milli = !capacity}};
        assert_int_equal(duress_with_hedge(inner, &options, &outer, &why), DURESS_E_INVALID);
        assert_string_equal(why.detail, "budget: must be all zero where a shared budget is given");
    }
    struct rig_service elsewhere;
    rig_service_open(&elsewhere, script->test.rig.server_world, "elsewhere");
    options = (struct duress_hedge_layer_options){.backup = elsewhere.agent};
    assert_int_equal(duress_with_hedge(inner, &options, &outer, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "backup: must be of the inner agent's world");
    rig_service_close(&elsewhere);
    assert_int_equal(duress_with_hedge(NULL, NULL, &outer, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_hedge(inner, NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "inner and outer: must be given");
    assert_null(outer);
    assert_int_equal(duress_hedge_counts(inner).calls.begun, 0);
    assert_int_equal(duress_hedge_counts(NULL).calls.begun, 0);
    script_close(script);
}

static void the_ceiling_holds_before_anything_is_known(void **state)
{
    struct script *script = *state;
    assert_int_equal(duress_with_hedge(script->test.service.agent, NULL, &script->test.agent, NULL), DURESS_OK);
    ANSWERS_AFTER(script, 9 * DURESS_S, 11 * DURESS_S);
    assert_int_equal(ask(script).error, DURESS_OK);
    assert_int_equal(script->test.service.begun, 1);
    assert_int_equal(ask(script).error, DURESS_OK);
    assert_int_equal(script->test.service.begun, 3); /* 10 s are slow whatever the service */
    script_close(script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_slow_first_attempt_is_rescued_and_cancelled, setup),
        cmocka_unit_test_setup(a_fast_attempt_stays_alone_and_leaves_no_timer, setup),
        cmocka_unit_test_setup(the_first_attempt_may_win_after_all, setup),
        cmocka_unit_test_setup(a_call_that_is_not_idempotent_is_never_hedged, setup),
        cmocka_unit_test_setup(up_to_the_maximum_each_a_delay_after_the_one_before, setup),
        cmocka_unit_test_setup(a_failure_before_the_delay_ends_the_call_at_once, setup),
        cmocka_unit_test_setup(a_failure_is_forgotten_where_another_attempt_succeeds, setup),
        cmocka_unit_test_setup(where_all_fail_the_last_failure_tells_attempts_and_ambiguity, setup),
        cmocka_unit_test_setup(unambiguous_failures_stay_so, setup),
        cmocka_unit_test_setup(deadline_and_cancellation_reach_every_attempt, setup),
        cmocka_unit_test_setup(hedges_are_bounded_by_the_budget, setup),
        cmocka_unit_test_setup(a_refused_hedge_is_not_asked_for_again, setup),
        cmocka_unit_test_setup(a_budget_may_be_shared, setup),
        cmocka_unit_test_setup(the_first_chunk_decides_and_the_others_are_cancelled_then, setup),
        cmocka_unit_test_setup(a_stream_that_has_begun_is_not_hedged, setup),
        cmocka_unit_test_setup(what_becomes_of_the_winner_becomes_of_the_call, setup),
        cmocka_unit_test_setup(a_receiver_may_cancel_at_the_first_chunk, setup),
        cmocka_unit_test_setup(the_delay_is_measured_from_the_successes, setup),
        cmocka_unit_test_setup(later_attempts_ask_the_backup, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(the_ceiling_holds_before_anything_is_known, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
