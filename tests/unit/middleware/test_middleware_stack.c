/* SPDX-License-Identifier: Apache-2.0
 *
 * The documented order of the layers, seen from what each of them counts. */
#include "layer_test.h"

#include <string.h>

static struct layer_test the_test;

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

static const struct duress_retry_options retry = {
    .attempts_max = 10,
    .backoff_ns = 100 * DURESS_MS,
    .jitter = DURESS_JITTER_NONE,
};
static const struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 3}};
static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};

static void build(struct layer_test *test, struct duress_stack_options options)
{
    assert_int_equal(duress_stack_new(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static void each_attempt_has_its_own_limit_and_is_weighed_by_itself(void **state)
{
    struct layer_test *test = *state;
    build(test, (struct duress_stack_options){.retry = &retry, .breaker = &breaker, .timeout = &timeout});
    test->service.silent = true;
    struct rig_answer answer = layer_test_ask(test, "x", 0, true);
    /* Three attempts of 1 s open the breaker; its refusal is the fourth, and is not retried. */
    assert_int_equal(answer.error, DURESS_E_CIRCUIT_OPEN);
    assert_int_equal(answer.failure.attempts, 4);
    assert_true(answer.failure.ambiguous); /* the first three were */
    assert_int_equal(test->service.begun, 3);
    assert_int_equal(test->service.cancelled, 3);
    assert_int_equal(answer.ended_ns - answer.started_ns, (1000 + 100 + 1000 + 200 + 1000 + 400) * DURESS_MS);
    assert_int_equal(duress_timeout_counts(test->agent).begun, 3);
    assert_int_equal(duress_timeout_counts(test->agent).timed_out, 3);
    assert_int_equal(duress_breaker_counts(test->agent).begun, 4);
    assert_int_equal(duress_breaker_counts(test->agent).refused, 1);
    assert_int_equal(duress_retry_counts(test->agent).calls.begun, 1);
    layer_test_close(test);
}

static void the_callers_deadline_counts_for_the_breaker_under_other_layers_too(void **state)
{
    struct layer_test *test = *state;
    build(test, (struct duress_stack_options){.retry = &retry, .breaker = &breaker, .timeout = &timeout});
    test->service.silent = true;
    for (int i = 0; i < 3; i++) {
        struct rig_answer answer = layer_test_ask(test, "x", rig_now_ns(&test->rig) + 100 * DURESS_MS, true);
        assert_int_equal(answer.error, DURESS_E_DEADLINE);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    }
    assert_int_equal(duress_breaker_state(duress_breaker_of(test->agent)), DURESS_BREAKER_OPEN);
    assert_int_equal(duress_timeout_counts(test->agent).timed_out, 3);
    assert_int_equal(duress_retry_counts(test->agent).calls.timed_out, 3);
    layer_test_close(test);
}

/* The first call fails sooner than it would be hedged, the others are hedged before they are answered. */
static void fails_fast_once(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)call;
    service->fail_count = service->begun == 1;
    service->delay_ns_min = service->delay_ns_max = (service->begun == 1 ? 100 : 400) * DURESS_MS;
}

/* What each layer was asked, and by that where it stands: from the outside in none is asked more calls than the one
 * before lets through, and what a layer adds (a retry, a hedge) is seen by all below it. */
static void all_layers_stand_in_the_documented_order(void **state)
{
    struct layer_test *test = *state;
    static const struct duress_metrics_options metrics = {.name = "service"};
    static const struct duress_cache_layer_options cache = {.flight_limit_ns = 0};
    static const struct duress_bulkhead_layer_options bulkhead = {.bulkhead = {.limit = 3},
                                                                  .mode = DURESS_BULKHEAD_REFUSE};
    static const struct duress_rate_limiter_options limiter = {.bucket = {.rate = 1, .burst = 2},
                                                               .limit = {.mode = DURESS_RATE_LIMIT_REFUSE}};
    static const struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 300 * DURESS_MS}};
    build(test, (struct duress_stack_options){
                    .metrics = &metrics,
                    .cache = &cache,
                    .bulkhead = &bulkhead,
                    .rate_limiter = &limiter,
                    .retry = &retry,
                    .hedge = &hedge,
                    .breaker = &breaker,
                    .timeout = &timeout,
                });
    struct rig_answer answers[6];
    memset(answers, 0, sizeof answers);
    service_fails(&test->service, 1, DURESS_E_REFUSED, false);
    test->service.on_call = fails_fast_once;
    /* "a" twice: the second waits for the first. "a" and "b" take two slots and all tokens, "c" the third slot and no
     * token, and nothing is left for "d" and "e". */
    static const char *const texts[] = {"a", "a", "b", "c", "d", "e"};
    for (int i = 0; i < 6; i++)
        rig_ask_by(test->agent, texts[i], 0, true, &answers[i]);
    rig_run_dry(&test->rig);
    static const int errors[] = {
        DURESS_OK, DURESS_OK, DURESS_OK, DURESS_E_RATE_LIMITED, DURESS_E_BULKHEAD_FULL, DURESS_E_BULKHEAD_FULL,
    };
    for (int i = 0; i < 6; i++)
        assert_int_equal(answers[i].error, errors[i]);
    struct duress_metrics seen;
    assert_int_equal(duress_metrics_read(test->agent, &seen), DURESS_OK);
    assert_int_equal(seen.calls.begun, 6);
    assert_int_equal(duress_cache_counts(test->agent).calls.begun, 6);
    assert_int_equal(duress_bulkhead_counts(test->agent).calls.begun, 5); /* equal calls share one */
    assert_int_equal(duress_rate_limiter_counts(test->agent).calls.begun, 3);
    assert_int_equal(duress_retry_counts(test->agent).calls.begun, 2);
    assert_int_equal(duress_retry_counts(test->agent).attempts, 3);    /* one was refused by the service */
    assert_int_equal(duress_hedge_counts(test->agent).calls.begun, 3); /* each attempt may be hedged */
    assert_int_equal(duress_hedge_counts(test->agent).attempts, 5);    /* two of them were */
    assert_int_equal(duress_breaker_counts(test->agent).begun, 5);     /* which weighs hedges too */
    assert_int_equal(duress_timeout_counts(test->agent).begun, 5);
    assert_int_equal(test->service.begun, 5);
    answers[0] = layer_test_ask(test, "a", 0, true);
    assert_int_equal(answers[0].error, DURESS_OK);
    assert_int_equal(duress_bulkhead_counts(test->agent).calls.begun, 5); /* from the cache */
    layer_test_close(test);
}

static void layers_that_are_not_asked_for_are_left_out(void **state)
{
    struct layer_test *test = *state;
    build(test, (struct duress_stack_options){.breaker = &breaker});
    assert_non_null(duress_breaker_of(test->agent));
    layer_test_ask(test, "x", 0, false);
    assert_int_equal(duress_breaker_counts(test->agent).succeeded, 1);
    assert_int_equal(duress_retry_counts(test->agent).attempts, 0);
    assert_int_equal(duress_timeout_counts(test->agent).begun, 0);
    assert_null(duress_breaker_of(test->service.agent));
    layer_test_close(test);
}

static void a_stack_of_nothing_is_the_agent_itself(void **state)
{
    struct layer_test *test = *state;
    build(test, (struct duress_stack_options){.retry = NULL});
    assert_ptr_equal(test->agent, test->service.agent);
    layer_test_close(test);
}

static void the_budget_is_shared_by_stacks(void **state)
{
    struct layer_test *test = *state;
    struct duress_retry_budget budget;
    struct duress_retry_budget_options small = {.capacity = 1, .deposit_milli = 1};
    struct duress_agent *other = NULL;
    assert_int_equal(duress_retry_budget_init(&budget, &small, NULL), DURESS_OK);
    struct duress_stack_options options = {.retry = &retry, .retry_budget = &budget};
    build(test, options);
    assert_int_equal(duress_stack_new(test->service.agent, &options, &other, NULL), DURESS_OK);
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).failure.attempts, 2);
    struct rig_answer answer = {.ended = 0};
    rig_ask(other, "x", &answer);
    rig_run_until_ended(&test->rig, &answer);
    assert_int_equal(answer.failure.attempts, 1);
    duress_agent_unref(other);
    layer_test_close(test);
}

static void one_bad_layer_refuses_the_whole_and_leaks_nothing(void **state)
{
    struct layer_test *test = *state;
    static const struct duress_retry_options bad = {.attempts_max = 1000000};
    struct duress_stack_options options = {.retry = &bad, .breaker = &breaker, .timeout = &timeout};
    struct duress_failure why;
    assert_int_equal(duress_stack_new(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "attempts_max"));
    struct duress_retry_budget budget;
    options = (struct duress_stack_options){.retry_budget = &budget};
    assert_int_equal(duress_stack_new(test->service.agent, &options, &test->agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "retry_budget: only with retry");
    assert_int_equal(duress_stack_new(NULL, &options, &test->agent, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_stack_new(test->service.agent, NULL, &test->agent, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_stack_new(test->service.agent, &options, NULL, NULL), DURESS_E_INVALID);
    layer_test_close(test);
}

static void never_asked(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    (void)call;
    fail();
}

static void freed(struct duress_agent *agent)
{
    agent->ops = NULL;
}

/* Whoever prints |why| after an error must find the error in it, this one too. */
static void a_layer_that_has_no_memory_says_so(void **state)
{
    struct layer_test *test = *state;
    static const struct duress_agent_ops ops = {never_asked, never_asked, freed};
    struct duress_stack_options one_layer[] = {{.retry = &retry}, {.breaker = &breaker}, {.timeout = &timeout}};
    struct probe_heap heap;
    probe_heap_init(&heap, 0);
    for (size_t i = 0; i < sizeof one_layer / sizeof one_layer[0]; i++) {
        struct duress_agent inner;
        struct duress_agent *stack = NULL;
        struct duress_failure why = {.code = DURESS_OK};
        duress_agent_init(&inner, &ops, test->service.agent->world, &heap.allocator, "inner");
        assert_int_equal(duress_stack_new(&inner, &one_layer[i], &stack, &why), DURESS_E_NO_MEMORY);
        assert_int_equal(why.code, DURESS_E_NO_MEMORY);
        assert_int_equal(duress_stack_new(&inner, &one_layer[i], &stack, NULL), DURESS_E_NO_MEMORY);
        assert_null(stack);
        assert_int_equal(inner.references, 1);
        duress_agent_unref(&inner);
        assert_null(inner.ops);
    }
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_attempt_has_its_own_limit_and_is_weighed_by_itself, setup),
        cmocka_unit_test_setup(the_callers_deadline_counts_for_the_breaker_under_other_layers_too, setup),
        cmocka_unit_test_setup(all_layers_stand_in_the_documented_order, setup),
        cmocka_unit_test_setup(layers_that_are_not_asked_for_are_left_out, setup),
        cmocka_unit_test_setup(a_stack_of_nothing_is_the_agent_itself, setup),
        cmocka_unit_test_setup(the_budget_is_shared_by_stacks, setup),
        cmocka_unit_test_setup(one_bad_layer_refuses_the_whole_and_leaks_nothing, setup),
        cmocka_unit_test_setup(a_layer_that_has_no_memory_says_so, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
