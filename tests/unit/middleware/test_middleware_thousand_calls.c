/* SPDX-License-Identifier: Apache-2.0
 *
 * A thousand calls at once through each layer, the stack and the network, of which a third is cancelled at random
 * virtual instants, over many seeds: each ends exactly once, and no timer, no call, no byte and no memory is left. */
#include "layer_crowd.h"

#include <string.h>

#include <duress/middleware/bulkhead.h>
#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/rate_limiter.h>

enum { CALL_COUNT = CROWD_CALL_COUNT, SEED_COUNT = CROWD_SEED_COUNT };

/* Every answer its own delay; some fail, some never come. */
static const struct crowd_plan plan = {
    .idempotent_ppm = 500000,
    .streaming_ppm = 300000,
    .deadline_ns_min = 5 * DURESS_S,
    .deadline_ns_range = DURESS_S,
    .moods =
        {.at_once_below = 10, .fail_below = 35, .silent_from = 95, .delay_ns_max = 400 * DURESS_MS, .streams = true},
};

static struct layer_crowd the_crowd;

static void wrap_timeout(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_timeout_options options = {.limit_ns = 300 * DURESS_MS, .gap_ns = 200 * DURESS_MS};
    assert_int_equal(duress_with_timeout(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

static void wrap_retry(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_retry_options options = {.attempts_max = 4, .backoff_ns = 100 * DURESS_MS};
    assert_int_equal(duress_with_retry(inner, &options, NULL, &crowd->test.agent, NULL), DURESS_OK);
}

static const struct duress_breaker_layer_options wide_breaker = {
    .breaker = {.failures_to_open = 8, .recovery_ns = 20 * DURESS_MS, .probes_max = 3},
};

static void wrap_breaker(struct layer_crowd *crowd, struct duress_agent *inner)
{
    assert_int_equal(duress_with_breaker(inner, &wide_breaker, &crowd->test.agent, NULL), DURESS_OK);
}

static void wrap_hedge(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_hedge_layer_options options = {
        .hedge = {.attempts_max = 3,
                  .samples_min = 5,
                  .window_ns = 100 * DURESS_MS,
                  .delay_ceiling_ns = 100 * DURESS_MS},
        .shared = &crowd->budget,
    };
    assert_int_equal(duress_with_hedge(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

/* retry -> hedge -> breaker -> timeout */
static void wrap_hedged_stack(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 50 * DURESS_MS};
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_stack_options options = {.breaker = &wide_breaker, .timeout = &timeout};
    struct duress_agent *stack = NULL;
    assert_int_equal(duress_stack_new(inner, &options, &stack, NULL), DURESS_OK);
    wrap_hedge(crowd, stack);
    duress_agent_unref(stack);
    stack = crowd->test.agent;
    assert_int_equal(duress_with_retry(stack, &retry, NULL, &crowd->test.agent, NULL), DURESS_OK);
    duress_agent_unref(stack);
}

/* metrics -> retry -> hedge -> breaker -> timeout */
static void wrap_observed_stack(struct layer_crowd *crowd, struct duress_agent *inner)
{
    wrap_hedged_stack(crowd, inner);
    struct duress_agent *stack = crowd->test.agent;
    assert_int_equal(duress_with_metrics(stack, NULL, &crowd->test.agent, NULL), DURESS_OK);
    duress_agent_unref(stack);
}

static void wrap_bulkhead(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_bulkhead_layer_options options = {
        .bulkhead = {.limit = 100}, .waiting_max = 200, .wait_ns_max = 300 * DURESS_MS};
    assert_int_equal(duress_with_bulkhead(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

static void wrap_stack(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_retry_options retry = {.attempts_max = 4, .backoff_ns = 50 * DURESS_MS};
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_stack_options options = {
        .retry = &retry,
        .retry_budget = &crowd->budget,
        .breaker = &wide_breaker,
        .timeout = &timeout,
    };
    assert_int_equal(duress_stack_new(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

/* All layers that duress_stack_new() knows. */
static void wrap_full_stack(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_cache_layer_options cache = {.cache = {.ttl_ns = 20 * DURESS_MS, .stale_ns = 50 * DURESS_MS}};
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead = {.limit = 60}, .waiting_max = 100};
    struct duress_rate_limiter_options limiter = {.bucket = {.rate = 800, .burst = 10}};
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 100 * DURESS_MS}};
    struct duress_metrics_options metrics = {.name = "service"};
    struct duress_retry_options retry = {.attempts_max = 4, .backoff_ns = 50 * DURESS_MS};
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_stack_options options = {
        .metrics = &metrics,
        .cache = &cache,
        .bulkhead = &bulkhead,
        .rate_limiter = &limiter,
        .retry = &retry,
        .retry_budget = &crowd->budget,
        .hedge = &hedge,
        .breaker = &wide_breaker,
        .timeout = &timeout,
    };
    assert_int_equal(duress_stack_new(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

/* About as fast as they come: some pass, some wait, some are refused. */
static void wrap_limiter(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_rate_limiter_options options = {
        .bucket = {.rate = 1500, .burst = 60},
        .limit = {.tokens_per_request = 1, .waiting_max = 40},
    };
    assert_int_equal(duress_with_rate_limiter(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

/* In its place around retry, breaker and timeout, and once more where it limits the attempts. */
static void wrap_limited_stack(struct layer_crowd *crowd, struct duress_agent *inner)
{
    wrap_limiter(crowd, inner);
    struct duress_agent *attempts = crowd->test.agent;
    wrap_stack(crowd, attempts);
    struct duress_agent *stack = crowd->test.agent;
    wrap_limiter(crowd, stack);
    duress_agent_unref(attempts);
    duress_agent_unref(stack);
}

static void assert_a_third_was_cancelled(const struct crowd *crowd)
{
    assert_in_range(crowd->cancelled, 100, CALL_COUNT / 3 + 1);
}

static struct layer_crowd *crowd_local(layer_crowd_wrap_fn wrap, uint64_t seed)
{
    layer_crowd_run(&the_crowd, &plan, wrap, seed);
    assert_a_third_was_cancelled(&the_crowd.crowd);
    return &the_crowd;
}

static void a_thousand_calls_through_the_timeout(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_timeout, seed);
        struct duress_layer_counts counts = duress_timeout_counts(crowd->test.agent);
        assert_settled(counts, CALL_COUNT);
        assert_int_equal(counts.begun, CALL_COUNT);
        assert_int_equal(counts.cancelled, crowd->crowd.cancelled);
        assert_true(counts.timed_out > 50);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_retry(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_retry, seed);
        struct duress_retry_counts counts = duress_retry_counts(crowd->test.agent);
        assert_settled(counts.calls, CALL_COUNT);
        assert_int_equal(counts.waiting, 0);
        assert_int_equal(counts.attempts, crowd->test.service.begun);
        assert_true(counts.attempts > CALL_COUNT + 50);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_breaker(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_breaker, seed);
        struct duress_layer_counts counts = duress_breaker_counts(crowd->test.agent);
        struct duress_breaker_snapshot policy;
        assert_settled(counts, CALL_COUNT);
        duress_breaker_snapshot(duress_breaker_of(crowd->test.agent), &policy);
        /* Every permit was reported exactly once, and no probe holds its slot. */
        assert_int_equal(policy.counters.admitted, policy.counters.successes + policy.counters.failures +
                                                       policy.counters.cancelled + policy.counters.ignored);
        assert_int_equal(policy.counters.admitted, crowd->test.service.begun);
        assert_int_equal(policy.probes_in_flight, 0);
        assert_int_equal(policy.counters.cancelled, counts.cancelled);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_hedge(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_hedge, seed);
        struct duress_hedge_counts counts = duress_hedge_counts(crowd->test.agent);
        assert_settled(counts.calls, CALL_COUNT);
        assert_int_equal(counts.calls.begun, CALL_COUNT);
        assert_int_equal(counts.calls.cancelled, crowd->crowd.cancelled);
        assert_int_equal(counts.attempts, crowd->test.service.begun);
        assert_int_equal(counts.attempts, CALL_COUNT + counts.hedges);
        assert_in_range(counts.hedges, 50, 200 + CALL_COUNT / 10); /* what the budget allows at most */
        assert_in_range(counts.losers, 20, counts.hedges);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_a_hedged_stack(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_hedged_stack, seed);
        struct duress_breaker_snapshot policy;
        assert_settled(duress_retry_counts(crowd->test.agent).calls, CALL_COUNT);
        assert_settled(duress_hedge_counts(crowd->test.agent).calls, CALL_COUNT);
        assert_true(duress_hedge_counts(crowd->test.agent).losers > 0);
        assert_settled(duress_breaker_counts(crowd->test.agent), 1);
        assert_settled(duress_timeout_counts(crowd->test.agent), 1);
        duress_breaker_snapshot(duress_breaker_of(crowd->test.agent), &policy);
        assert_int_equal(policy.probes_in_flight, 0);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_metrics(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_observed_stack, seed);
        struct duress_metrics metrics;
        struct duress_metrics_layer layers[4];
        assert_int_equal(duress_metrics_read(crowd->test.agent, &metrics), DURESS_OK);
        assert_settled(metrics.calls, CALL_COUNT);
        assert_int_equal(metrics.calls.begun, CALL_COUNT);
        uint64_t told[DURESS_ERROR_NUMBER_END] = {0};
        for (int i = 0; i < CALL_COUNT; i++)
            told[-crowd->crowd.calls[i].answer.error]++;
        assert_memory_equal(metrics.ended, told, sizeof told); /* what the callers were told, code by code */
        assert_int_equal(metrics.succeeded.count, told[0]);
        assert_int_equal(metrics.failed.count, CALL_COUNT - told[0] - told[-DURESS_E_CANCELLED]);
        assert_int_equal(duress_metrics_layers(crowd->test.agent, layers, 4), 4);
        for (int i = 0; i < 4; i++)
            assert_settled(layers[i].calls, 1);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_bulkhead(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_bulkhead, seed);
        struct duress_bulkhead_counts counts = duress_bulkhead_counts(crowd->test.agent);
        assert_settled(counts.calls, CALL_COUNT);
        assert_int_equal(counts.running, 0);
        assert_int_equal(counts.waiting, 0);
        assert_in_range(crowd->test.service.running_max, 100, 100);
        assert_true(counts.waited > 50);
        assert_true(counts.refused_full + counts.refused_late > 20);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_full_stack(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_full_stack, seed);
        struct duress_metrics_layer layers[8];
        assert_int_equal(duress_metrics_layers(crowd->test.agent, layers, 8), 7); /* metrics are not their own layer */
        for (int i = 0; i < 7; i++)
            assert_settled(layers[i].calls, 1);
        struct duress_bulkhead_counts bulkhead = duress_bulkhead_counts(crowd->test.agent);
        assert_int_equal(bulkhead.running, 0);
        assert_int_equal(bulkhead.waiting, 0);
        assert_int_equal(duress_rate_limiter_counts(crowd->test.agent).waiting, 0);
        assert_int_equal(duress_cache_counts(crowd->test.agent).calls.begun, CALL_COUNT);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_stack(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_stack, seed);
        assert_settled(duress_retry_counts(crowd->test.agent).calls, CALL_COUNT);
        assert_settled(duress_breaker_counts(crowd->test.agent), 1);
        assert_settled(duress_timeout_counts(crowd->test.agent), 1);
        layer_test_close(&crowd->test);
    }
}

/* Every token that was spent let a call through to the service. */
static void assert_limiter_settled(const struct duress_agent *agent, uint64_t begun_min)
{
    struct duress_rate_limiter_counts counts = duress_rate_limiter_counts(agent);
    assert_settled(counts.calls, begun_min);
    assert_int_equal(counts.waiting, 0);
    assert_int_equal(counts.refused_by[DURESS_RATE_BY_QUEUE] + counts.refused_by[DURESS_RATE_BY_DEADLINE],
                     counts.calls.refused);
}

static void a_thousand_calls_through_the_rate_limiter(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_limiter, seed);
        struct duress_rate_limiter_counts counts = duress_rate_limiter_counts(crowd->test.agent);
        assert_limiter_settled(crowd->test.agent, CALL_COUNT);
        assert_int_equal(counts.calls.cancelled, crowd->crowd.cancelled);
        /* They come in half a second, and the last one waits for at most 40 others. */
        assert_in_range(crowd->test.service.begun, 500, 60 + 40 + 1500 / 2);
        assert_true(counts.waited > 100);
        assert_true(counts.calls.refused > 10);
        uint64_t later_ns = rig_now_ns(&crowd->test.rig) + DURESS_S;
        assert_int_equal(duress_bucket_tokens(duress_rate_limiter_bucket(crowd->test.agent), later_ns), 60);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_the_limited_stack(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_local(wrap_limited_stack, seed);
        assert_limiter_settled(crowd->test.agent, CALL_COUNT);
        assert_settled(duress_retry_counts(crowd->test.agent).calls, 500);
        assert_settled(duress_breaker_counts(crowd->test.agent), 1);
        assert_settled(duress_timeout_counts(crowd->test.agent), 1);
        layer_test_close(&crowd->test);
    }
}

/* --- over the network --- */

static void crowd_remote(layer_crowd_wrap_fn wrap, uint64_t seed, uint32_t in_flight_max, uint32_t connections_max)
{
    struct layer_crowd *crowd = &the_crowd;
    struct rig *rig = &crowd->test.rig;
    layer_crowd_open(crowd, &plan, seed);
    crowd_join_service(&crowd->crowd, &rig->service);
    rig_serve(rig, &(struct duress_server_options){.in_flight_max = 16});
    struct duress_agent *remote = rig_remote(
        rig, &(struct duress_remote_options){.in_flight_max = in_flight_max, .connections_max = connections_max});
    if (wrap != NULL)
        wrap(crowd, remote);
    else
        crowd->test.agent = duress_agent_ref(remote);
    crowd_run(&crowd->crowd, crowd->test.agent);
    assert_a_third_was_cancelled(&crowd->crowd);
    assert_int_equal(duress_remote_counts(remote).calls_waiting, 0);
    assert_int_equal(duress_agent_in_flight_count(remote), 0);
    assert_int_equal(duress_remote_counts(remote).replies_stray, 0);
    duress_agent_unref(remote);
    duress_agent_unref(crowd->test.agent);
    crowd->test.agent = NULL;
    rig_run_for(rig, 10 * DURESS_S); /* what was closed reaches the server */
    struct duress_server_counts counts = duress_server_counts(rig->server);
    assert_int_equal(counts.connections_open, 0);
    assert_int_equal(counts.in_flight, 0);
    assert_int_equal(counts.malformed, 0);
    assert_int_equal(rig->service.running, 0);
    assert_int_equal(rig->service.begun, counts.arrivals);
    layer_test_close(&crowd->test);
}

static void a_thousand_calls_over_the_network_one_at_a_time(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        crowd_remote(NULL, seed, 1, 100);
}

static void a_thousand_calls_over_the_network_pipelined(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        crowd_remote(NULL, seed, 64, 5);
}

static void a_thousand_calls_through_a_hedged_stack_over_the_network(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        crowd_remote(wrap_hedged_stack, seed, seed % 2 == 0 ? 1 : 16, 50);
}

static void a_thousand_calls_through_the_full_stack_over_the_network(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        crowd_remote(wrap_full_stack, seed, seed % 2 == 0 ? 1 : 16, 50);
}

static void a_thousand_calls_through_the_stack_over_the_network(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        crowd_remote(wrap_stack, seed, seed % 2 == 0 ? 1 : 16, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_calls_through_the_timeout),
        cmocka_unit_test(a_thousand_calls_through_the_retry),
        cmocka_unit_test(a_thousand_calls_through_the_breaker),
        cmocka_unit_test(a_thousand_calls_through_the_hedge),
        cmocka_unit_test(a_thousand_calls_through_a_hedged_stack),
        cmocka_unit_test(a_thousand_calls_through_the_metrics),
        cmocka_unit_test(a_thousand_calls_through_the_bulkhead),
        cmocka_unit_test(a_thousand_calls_through_the_full_stack),
        cmocka_unit_test(a_thousand_calls_through_the_stack),
        cmocka_unit_test(a_thousand_calls_through_the_rate_limiter),
        cmocka_unit_test(a_thousand_calls_through_the_limited_stack),
        cmocka_unit_test(a_thousand_calls_over_the_network_one_at_a_time),
        cmocka_unit_test(a_thousand_calls_over_the_network_pipelined),
        cmocka_unit_test(a_thousand_calls_through_the_full_stack_over_the_network),
        cmocka_unit_test(a_thousand_calls_through_the_stack_over_the_network),
        cmocka_unit_test(a_thousand_calls_through_a_hedged_stack_over_the_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
