/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers in which calls share what is below them, cache and batch, alone and nested in each other around a stack: a
 * thousand calls at once, of which a third is cancelled at random virtual instants; and memory that runs out at the
 * n-th allocation, for every n. Each call ends exactly once, and no timer, call, byte or memory is left. */
#include "layer_crowd.h"

#include <string.h>

#include <duress/middleware/cache.h>
#include <duress/middleware/metrics.h>

#include "../../chaos/line_batch.h"

enum { CALL_COUNT = CROWD_CALL_COUNT, SEED_COUNT = CROWD_SEED_COUNT };

static struct layer_crowd the_crowd;

/* Whoever it was shared with: the answer is that to this call's own question. */
static void answer_is_ours(struct crowd *crowd, struct crowd_call *call)
{
    if (call->answer.error != DURESS_OK)
        return;
    size_t length = strlen(call->answer.text);
    assert_int_equal(call->answer.text[length - 1], call->text[0]);
    if (duress_prng_chance(&crowd->prng, 20000))
        duress_cache_clear(crowd->agent);
}

static const struct crowd_plan plan = {
    .idempotent_ppm = 1000000,
    .streaming_ppm = 100000,
    .deadline_ns_range = 3 * DURESS_S,
    .text_count = 12,
    .moods = {.at_once_below = 10, .fail_below = 35, .silent_from = 95, .delay_ns_max = 200 * DURESS_MS},
    .on_end = answer_is_ours,
};

static void wrap_cache(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_cache_layer_options options = {
        .cache = {.ttl_ns = 20 * DURESS_MS, .stale_ns = 50 * DURESS_MS, .entries_max = 4, .waiting_max = 300},
        .flight_limit_ns = 300 * DURESS_MS,
    };
    assert_int_equal(duress_with_cache(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

static void wrap_batch(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_batch_layer_options options = {
        .batch = {.items_max = 7, .wait_ns = 5 * DURESS_MS, .queue_max = 200, .in_flight_max = 16},
        .encode = line_batch_encode,
        .decode = line_batch_decode,
    };
    assert_int_equal(duress_with_batch(inner, &options, &crowd->test.agent, NULL), DURESS_OK);
}

/* Cache around batch around the stack of other layers. */
static void wrap_all(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 8, .recovery_ns = 20 * DURESS_MS, .probes_max = 3}};
    struct duress_timeout_options timeout = {.limit_ns = 150 * DURESS_MS};
    struct duress_stack_options options = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    struct duress_agent *stack = NULL;
    assert_int_equal(duress_stack_new(inner, &options, &stack, NULL), DURESS_OK);
    wrap_batch(crowd, stack);
    duress_agent_unref(stack);
    struct duress_agent *batch = crowd->test.agent;
    wrap_cache(crowd, batch);
    duress_agent_unref(batch);
}

static uint64_t assert_cache_settled(const struct duress_agent *agent, uint64_t begun)
{
    struct duress_cache_layer_counts counts = duress_cache_counts(agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.begun, begun);
    assert_int_equal(counts.calls.in_flight, 0);
    assert_int_equal(counts.cache.flights, 0);
    assert_int_equal(counts.cache.waiting, 0);
    assert_true(counts.cache.entries <= 4);
    assert_true(counts.hits > 0 && counts.joined > 0 && counts.passed > 0);
    return counts.stale;
}

static void assert_batch_settled(const struct duress_agent *agent)
{
    struct duress_batch_counts counts = duress_batch_counts(agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.in_flight, 0);
    assert_int_equal(counts.queued, 0);
    assert_int_equal(counts.in_flight, 0);
    assert_true(counts.batches > 0 && counts.items_most <= 7);
}

static struct layer_crowd *crowd_through(layer_crowd_wrap_fn wrap, uint64_t seed)
{
    layer_crowd_run(&the_crowd, &plan, wrap, seed);
    assert_true(the_crowd.crowd.cancelled > 20);
    return &the_crowd;
}

static void a_thousand_calls_through_the_cache(void **state)
{
    uint64_t stale = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_through(wrap_cache, seed);
        stale += assert_cache_settled(crowd->test.agent, CALL_COUNT);
        layer_test_close(&crowd->test);
    }
    assert_true(stale > 0);
}

static void a_thousand_calls_through_the_batch(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_through(wrap_batch, seed);
        assert_int_equal(duress_batch_counts(crowd->test.agent).calls.begun, CALL_COUNT);
        assert_batch_settled(crowd->test.agent);
        layer_test_close(&crowd->test);
    }
}

static void a_thousand_calls_through_cache_batch_and_stack(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct layer_crowd *crowd = crowd_through(wrap_all, seed);
        assert_int_equal(duress_cache_counts(crowd->test.agent).calls.begun, CALL_COUNT);
        assert_balanced(duress_cache_counts(crowd->test.agent).calls);
        assert_int_equal(duress_cache_counts(crowd->test.agent).cache.flights, 0);
        assert_batch_settled(crowd->test.agent);
        assert_balanced(duress_retry_counts(crowd->test.agent).calls);
        assert_int_equal(duress_retry_counts(crowd->test.agent).calls.in_flight, 0);
        layer_test_close(&crowd->test);
    }
}

/* --- metrics --- */

static void assert_figure(const struct duress_metrics_layer *layer, const char *name, uint64_t value)
{
    for (size_t i = 0; i < layer->figure_count; i++) {
        if (strcmp(layer->figures[i].name, name) != 0)
            continue;
        assert_int_equal(layer->figures[i].value, value);
        return;
    }
    fail_msg("no figure %s", name);
}

static void metrics_have_the_figures_of_both(void **state)
{
    (void)state;
    struct layer_crowd *crowd = crowd_through(wrap_all, 1);
    struct duress_agent *metrics = NULL;
    static struct duress_metrics_layer layers[2];
    assert_int_equal(duress_with_metrics(crowd->test.agent, NULL, &metrics, NULL), DURESS_OK);
    assert_true(duress_metrics_layers(metrics, layers, 2) >= 2);
    struct duress_cache_layer_counts cache = duress_cache_counts(metrics);
    assert_string_equal(layers[0].kind, "cache");
    assert_int_equal(layers[0].figure_count, 12);
    assert_figure(&layers[0], "hits", cache.hits);
    assert_figure(&layers[0], "misses", cache.misses);
    assert_figure(&layers[0], "joined", cache.joined);
    assert_figure(&layers[0], "passed", cache.passed);
    assert_figure(&layers[0], "stale", cache.stale);
    assert_figure(&layers[0], "evicted", cache.cache.evicted);
    assert_figure(&layers[0], "expired", cache.cache.expired);
    assert_figure(&layers[0], "invalidated", cache.cache.invalidated);
    assert_figure(&layers[0], "too_large", cache.cache.too_large);
    assert_figure(&layers[0], "entries", cache.cache.entries);
    assert_figure(&layers[0], "bytes", cache.cache.bytes);
    assert_figure(&layers[0], "flights", cache.cache.flights);
    struct duress_batch_counts batch = duress_batch_counts(metrics);
    assert_string_equal(layers[1].kind, "batch");
    assert_int_equal(layers[1].figure_count, 9);
    assert_figure(&layers[1], "batches", batch.batches);
    assert_figure(&layers[1], "batches_full", batch.batches_full);
    assert_figure(&layers[1], "items", batch.items);
    assert_figure(&layers[1], "waited", batch.waited_ns);
    assert_figure(&layers[1], "forgotten", batch.forgotten);
    assert_figure(&layers[1], "dropped", batch.dropped);
    assert_figure(&layers[1], "abandoned", batch.abandoned);
    assert_figure(&layers[1], "queued", batch.queued);
    assert_figure(&layers[1], "batches_in_flight", batch.in_flight);
    duress_agent_unref(metrics);
    layer_test_close(&crowd->test);
}

/* --- memory --- */

enum { SCENE_CALL_COUNT = 6 };

struct scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct rig_service service;
    struct duress_agent *batch;
    struct duress_agent *cache;
    struct rig_answer answers[SCENE_CALL_COUNT];
    uint32_t begun;
};

static bool whole_content(void *context, struct duress_message *request, struct duress_slice *key)
{
    (void)context;
    *key = duress_message_content(request);
    return true;
}

static int scene_build(struct scene *scene)
{
    struct duress_sim_host *host = NULL;
    struct duress_sim_options options = {.allocator = &scene->heap.allocator, .seed = 0};
    int error = duress_sim_new(&options, &scene->sim, NULL);
    if (error == DURESS_OK)
        error = duress_sim_host_new(scene->sim, "host", &host);
    if (error == DURESS_OK)
        error = rig_service_try_open(&scene->service, duress_sim_host_world(host), "service");
    if (error != DURESS_OK)
        return error;
    scene->service.delay_ns_min = scene->service.delay_ns_max = 10 * DURESS_MS;
    struct duress_batch_layer_options batch = {
        .batch = {.items_max = 2, .wait_ns = 5 * DURESS_MS},
        .encode = line_batch_encode,
        .decode = line_batch_decode,
        .context = &scene->heap.allocator,
    };
    struct duress_failure why = {.code = DURESS_OK};
    error = duress_with_batch(scene->service.agent, &batch, &scene->batch, &why);
    assert_int_equal(why.code, error); /* it says so */
    if (error != DURESS_OK)
        return error;
    struct duress_cache_layer_options cache = {.cache = {.entries_max = 2}, .key_of = whole_content};
    error = duress_with_cache(scene->batch, &cache, &scene->cache, &why);
    assert_int_equal(why.code, error);
    return error;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void scene_ask(struct scene *scene)
{
    static const char *const texts[SCENE_CALL_COUNT] = {"a", "b", "a", "c", "d", "a"};
    for (int i = 0; i < SCENE_CALL_COUNT; i++) {
        if (i == 4)
            (void)duress_sim_run_until(scene->sim, never, NULL, DURESS_TIME_NEVER);
        if (rig_try_ask(scene->cache, texts[i], 0, true, false, &scene->answers[i]) == DURESS_OK)
            scene->begun++;
    }
    (void)duress_sim_run_until(scene->sim, never, NULL, DURESS_TIME_NEVER);
}

static void scene_close(struct scene *scene)
{
    duress_agent_unref(scene->cache);
    duress_agent_unref(scene->batch);
    duress_agent_unref(scene->service.agent);
    duress_sim_free(scene->sim);
}

/* Returns how many calls ended well or not. */
static uint32_t scene_run(uint64_t after, bool once, bool *tripped)
{
    static struct scene scene;
    uint32_t ended = 0;
    memset(&scene, 0, sizeof scene);
    probe_heap_init(&scene.heap, after);
    scene.heap.fail_once = once;
    int error = scene_build(&scene);
    if (error == DURESS_OK)
        scene_ask(&scene);
    else
        assert_int_equal(error, DURESS_E_NO_MEMORY);
    for (int i = 0; i < SCENE_CALL_COUNT; i++)
        ended += scene.answers[i].ended;
    assert_int_equal(ended, scene.begun); /* none is lost */
    scene_close(&scene);
    assert_int_equal(scene.heap.live_count, 0);
    *tripped = scene.heap.tripped;
    return ended;
}

static void every_allocation_may_be_the_one_that_fails(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        uint64_t survived = 0;
        bool tripped = true;
        for (uint64_t after = 0; tripped; after++)
            survived += scene_run(after, once != 0, &tripped) > 0;
        assert_true(survived > 5); /* many came while calls were running */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_calls_through_the_cache),
        cmocka_unit_test(a_thousand_calls_through_the_batch),
        cmocka_unit_test(a_thousand_calls_through_cache_batch_and_stack),
        cmocka_unit_test(metrics_have_the_figures_of_both),
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
