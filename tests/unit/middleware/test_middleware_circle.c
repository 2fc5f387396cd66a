/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent that asks the layers around itself: each layer alone, and the full stack. The call fails, and nothing hangs
 * or is left, whatever the layer keeps, counts or waits for. */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/batch.h>
#include <duress/middleware/faults.h>

#include "../../chaos/line_batch.h"

/* An agent that passes its calls on to |target|, after a while. */
struct passer {
    struct duress_agent *agent;
    struct duress_agent *target;
    uint64_t delay_ns;
    unsigned calls;
};

struct passed {
    struct passer *passer;
    struct duress_call *call;
    struct duress_call *child;
    struct duress_timer timer;
};

static void passed_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct passed *passed = context;
    (void)child;
    duress_call_pass(passed->call, result);
}

static void pass_on(void *context)
{
    struct passed *passed = context;
    struct duress_child child = {.agent = passed->passer->target, .on_end = passed_ended, .context = passed};
    assert_int_equal(duress_call_begin(passed->call, &child, &passed->child), DURESS_OK);
}

static void passer_begin(void *context, struct duress_call *call)
{
    struct passer *passer = context;
    struct duress_world *world = duress_agent_world(call->agent);
    struct passed *passed = duress_call_allocate(call, sizeof *passed);
    assert_non_null(passed);
    passer->calls++;
    *passed = (struct passed){.passer = passer, .call = call};
    call->state = passed;
    duress_timer_init(&passed->timer, pass_on, passed);
    if (passer->delay_ns > 0)
        duress_world_arm(world, &passed->timer, duress_world_now_ns(world) + passer->delay_ns);
    else
        pass_on(passed);
}

static void passer_cancel(void *context, struct duress_call *call)
{
    struct passed *passed = call->state;
    (void)context;
    duress_world_disarm(duress_agent_world(call->agent), &passed->timer);
    if (passed->child != NULL)
        duress_call_abandon(passed->child);
}

static void passer_open(struct passer *passer, struct rig *rig)
{
    *passer = (struct passer){.calls = 0};
    assert_int_equal(
        duress_function_async_new(rig->client, "passer", passer_begin, passer_cancel, passer, &passer->agent),
        DURESS_OK);
}

static void passer_close(struct passer *passer)
{
    assert_int_equal(duress_agent_in_flight_count(passer->agent), 0);
    duress_agent_unref(passer->agent);
}

typedef int (*wrap_fn)(struct duress_agent *inner, struct duress_agent **outer);

static int wrap_timeout(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_timeout(inner, NULL, outer, NULL);
}

static int wrap_retry(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_retry(inner, NULL, NULL, outer, NULL);
}

static int wrap_breaker(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_breaker(inner, NULL, outer, NULL);
}

static int wrap_bulkhead(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_bulkhead_layer_options options = {.bulkhead.limit = 3};
    return duress_with_bulkhead(inner, &options, outer, NULL);
}

static int wrap_limiter(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_rate_limiter_options options = {.bucket = {.rate = 10, .burst = 1}};
    return duress_with_rate_limiter(inner, &options, outer, NULL);
}

static int wrap_hedge(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_hedge(inner, NULL, outer, NULL);
}

static int wrap_cache(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_cache(inner, NULL, outer, NULL);
}

static int wrap_metrics(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_metrics(inner, NULL, outer, NULL);
}

static int wrap_faults(struct duress_agent *inner, struct duress_agent **outer)
{
    return duress_with_faults(inner, NULL, outer, NULL);
}

static int wrap_stack(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_metrics_options metrics = {.name = "circle"};
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead.limit = 100};
    struct duress_rate_limiter_options limiter = {.bucket = {.rate = 1000, .burst = 100}};
    struct duress_retry_options retry = {.attempts_max = 2};
    struct duress_hedge_layer_options hedge = {.hedge.delay_ns = DURESS_MS};
    struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct duress_breaker_layer_options breaker = {.breaker.failures_to_open = 1};
    struct duress_stack_options layers = {
        .metrics = &metrics,
        .bulkhead = &bulkhead,
        .rate_limiter = &limiter,
        .retry = &retry,
        .hedge = &hedge,
        .breaker = &breaker,
        .timeout = &timeout,
    };
    return duress_stack_new(inner, &layers, outer, NULL);
}

static int wrap_batch(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_batch_layer_options options = {.encode = line_batch_encode, .decode = line_batch_decode};
    return duress_with_batch(inner, &options, outer, NULL);
}

/* Where each round holds what the next one waits for, the deadline ends it. */
static const struct {
    const char *name;
    wrap_fn wrap;
    int error;
} kinds[] = {
    {"timeout", wrap_timeout, DURESS_E_INVALID},       {"retry", wrap_retry, DURESS_E_INVALID},
    {"breaker", wrap_breaker, DURESS_E_INVALID},       {"bulkhead", wrap_bulkhead, DURESS_E_DEADLINE},
    {"limiter", wrap_limiter, DURESS_E_INVALID},       {"hedge", wrap_hedge, DURESS_E_INVALID},
    {"cache", wrap_cache, DURESS_E_INVALID},           {"metrics", wrap_metrics, DURESS_E_INVALID},
    {"faults", wrap_faults, DURESS_E_INVALID},         {"batch", wrap_batch, DURESS_E_DEADLINE},
    {"the whole stack", wrap_stack, DURESS_E_INVALID},
};

static void an_agent_that_asks_the_layers_around_it_fails(void **state)
{
    struct layer_test test;
    struct rig *rig = &test.rig;
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct passer passer;
        struct rig_answer answer = {.ended = 0};
        layer_test_open(&test, 0);
        passer_open(&passer, rig);
        assert_int_equal(kinds[i].wrap(passer.agent, &test.agent), DURESS_OK);
        passer.target = test.agent;
        rig_ask_by(test.agent, "x", rig_now_ns(rig) + 20 * DURESS_S, true, &answer);
        rig_run_until_ended(rig, &answer);
        if (answer.error != kinds[i].error)
            fail_msg("%s: %s: %s", kinds[i].name, duress_error_name(answer.error), answer.failure.detail);
        if (answer.error == DURESS_E_INVALID)
            assert_non_null(strstr(answer.failure.detail, "does an agent ask itself?"));
        assert_in_range(passer.calls, 1, 64);
        rig_run_dry(rig);
        passer_close(&passer);
        layer_test_close(&test);
    }
}

/* Each of two agents asks the other one's cache. */
struct caches {
    struct layer_test test;
    struct passer passers[2];
    struct duress_agent *agents[2]; /* the caches around them */
};

static void caches_open(struct caches *caches, uint64_t delay_ns)
{
    layer_test_open(&caches->test, 0);
    for (int i = 0; i < 2; i++) {
        passer_open(&caches->passers[i], &caches->test.rig);
        caches->passers[i].delay_ns = delay_ns;
        assert_int_equal(wrap_cache(caches->passers[i].agent, &caches->agents[i]), DURESS_OK);
    }
    for (int i = 0; i < 2; i++)
        caches->passers[i].target = caches->agents[1 - i];
}

static void caches_close(struct caches *caches)
{
    rig_run_dry(&caches->test.rig);
    for (int i = 0; i < 2; i++) {
        struct duress_cache_layer_counts counts = duress_cache_counts(caches->agents[i]);
        assert_balanced(counts.calls);
        assert_int_equal(counts.calls.in_flight, 0);
        assert_int_equal(counts.cache.flights, 0);
        duress_agent_unref(caches->agents[i]);
        passer_close(&caches->passers[i]);
    }
    layer_test_close(&caches->test);
}

static void assert_told_of_a_circle(struct caches *caches, struct rig_answer *answer)
{
    rig_run_until_ended(&caches->test.rig, answer);
    assert_int_equal(answer->error, DURESS_E_INVALID);
    assert_int_equal(answer->failure.origin, DURESS_ORIGIN_CACHE);
    assert_string_equal(answer->failure.detail, "the call below would wait for itself: does an agent ask itself?");
}

static void a_circle_through_two_caches_fails(void **state)
{
    static const uint64_t delays_ns[] = {0, DURESS_MS};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct caches caches;
        struct rig_answer answer = {.ended = 0};
        caches_open(&caches, delays_ns[i]);
        rig_ask_by(caches.agents[0], "x", 0, true, &answer); /* without a deadline: nothing else would end it */
        assert_told_of_a_circle(&caches, &answer);
        caches_close(&caches);
    }
}

/* Neither of the two calls comes back to its own cache: each waits for what the other one has begun. */
static void two_callers_who_would_wait_for_each_other_fail(void **state)
{
    struct caches caches;
    struct rig_answer answers[2] = {{.ended = 0}};
    (void)state;
    caches_open(&caches, DURESS_MS);
    for (int i = 0; i < 2; i++)
        rig_ask_by(caches.agents[i], "x", 0, true, &answers[i]);
    for (int i = 0; i < 2; i++)
        assert_told_of_a_circle(&caches, &answers[i]);
    assert_int_equal(caches.passers[0].calls + caches.passers[1].calls, 2);
    caches_close(&caches);
}

/* What waits for a flight from inside of another one's is no circle. */
static void calls_that_meet_in_an_inner_cache_share_it(void **state)
{
    struct caches caches;
    struct rig_answer answers[2] = {{.ended = 0}};
    (void)state;
    caches_open(&caches, DURESS_MS);
    caches.passers[1].target = caches.test.service.agent;
    for (int i = 0; i < 2; i++)
        rig_ask_by(caches.agents[i], "x", 0, true, &answers[i]);
    for (int i = 0; i < 2; i++) {
        rig_run_until_ended(&caches.test.rig, &answers[i]);
        assert_string_equal(answers[i].text, "re: x");
    }
    assert_int_equal(duress_cache_counts(caches.agents[1]).joined, 1);
    assert_int_equal(caches.test.service.begun, 1);
    caches_close(&caches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_that_asks_the_layers_around_it_fails),
        cmocka_unit_test(a_circle_through_two_caches_fails),
        cmocka_unit_test(two_callers_who_would_wait_for_each_other_fail),
        cmocka_unit_test(calls_that_meet_in_an_inner_cache_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
