/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault layer, alone and inside of a stack: a thousand calls at once, of which a third is cancelled at random
 * virtual instants; and memory that runs out at the n-th allocation, for every n. Each call ends exactly once, and no
 * timer, call, byte or memory is left. */
#include "layer_crowd.h"

#include <string.h>

#include <duress/middleware/faults.h>

enum { CALL_COUNT = CROWD_CALL_COUNT, SEED_COUNT = CROWD_SEED_COUNT };

static struct layer_crowd the_crowd;

static const struct crowd_plan plan = {
    .idempotent_ppm = 1000000,
    .streaming_ppm = 400000,
    .deadline_ns_min = DURESS_S,
    .deadline_ns_range = DURESS_S,
    .moods = {.at_once_below = 20,
              .fail_below = 30,
              .delay_ns_max = 100 * DURESS_MS,
              .streams = true,
              .code = DURESS_E_UNREACHABLE},
};

static const struct duress_faults_layer_options every_fault = {
    .faults = {.ppm = {[DURESS_FAULT_ERROR] = 120000,
                       [DURESS_FAULT_ERROR_AFTER] = 120000,
                       [DURESS_FAULT_DELAY] = 120000,
                       [DURESS_FAULT_HANG] = 120000,
                       [DURESS_FAULT_CORRUPT] = 120000,
                       [DURESS_FAULT_TRUNCATE] = 120000},
               .delay_ns_min = 1,
               .delay_ns_max = 80 * DURESS_MS},
};

static void wrap_alone(struct layer_crowd *crowd, struct duress_agent *inner)
{
    assert_int_equal(duress_with_faults(inner, &every_fault, &crowd->test.agent, NULL), DURESS_OK);
}

/* retry -> breaker -> timeout -> faults */
static void wrap_stacked(struct layer_crowd *crowd, struct duress_agent *inner)
{
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 8, .recovery_ns = 20 * DURESS_MS, .probes_max = 3}};
    struct duress_timeout_options timeout = {.limit_ns = 150 * DURESS_MS};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    wrap_alone(crowd, inner);
    struct duress_agent *faulty = crowd->test.agent;
    assert_int_equal(duress_stack_new(faulty, &layers, &crowd->test.agent, NULL), DURESS_OK);
    duress_agent_unref(faulty);
}

static void crowd_through(layer_crowd_wrap_fn wrap, uint64_t seed)
{
    layer_crowd_run(&the_crowd, &plan, wrap, seed);
    assert_in_range(the_crowd.crowd.cancelled, 50, CALL_COUNT / 3 + 1);
}

static void assert_faults_settled(const struct duress_agent *agent)
{
    struct duress_faults_counts counts = duress_faults_counts(agent);
    assert_settled(counts.calls, 1);
    assert_int_equal(counts.calls.refused, counts.injected[DURESS_FAULT_ERROR]);
    uint64_t injected = counts.missed;
    for (int i = 1; i < DURESS_FAULT_COUNT; i++) {
        assert_true(i == DURESS_FAULT_CRASH || counts.injected[i] > 0);
        injected += counts.injected[i];
    }
    assert_true(injected <= counts.calls.begun);
    /* 720,000 in a million get one: five sigma are 71 of a thousand. */
    if (counts.calls.begun >= CALL_COUNT)
        assert_in_range(injected * 1000 / counts.calls.begun, 649, 791);
}

static void a_thousand_calls_through_the_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        crowd_through(wrap_alone, seed);
        struct duress_faults_counts counts = duress_faults_counts(the_crowd.test.agent);
        assert_faults_settled(the_crowd.test.agent);
        assert_int_equal(counts.calls.begun, CALL_COUNT);
        assert_int_equal(counts.calls.cancelled, the_crowd.crowd.cancelled);
        layer_test_close(&the_crowd.test);
    }
}

static void a_thousand_calls_through_a_stack_around_the_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        crowd_through(wrap_stacked, seed);
        assert_faults_settled(the_crowd.test.agent);
        assert_balanced(duress_retry_counts(the_crowd.test.agent).calls);
        assert_int_equal(duress_timeout_counts(the_crowd.test.agent).begun,
                         duress_faults_counts(the_crowd.test.agent).calls.begun);
        layer_test_close(&the_crowd.test);
    }
}

/* --- memory --- */

enum { SCENE_CALL_COUNT = 8 };

struct scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct rig_service service;
    struct duress_agent *agent;
    struct rig_answer answers[SCENE_CALL_COUNT];
    uint32_t begun;
    uint32_t out_of_memory;
};

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
    scene->service.chunk_count = 2;
    struct duress_faults_layer_options faults = {
        .faults = {.pattern = {DURESS_FAULT_CORRUPT, DURESS_FAULT_TRUNCATE, DURESS_FAULT_DELAY, DURESS_FAULT_NONE},
                   .pattern_count = 4}};
    return duress_with_faults(scene->service.agent, &faults, &scene->agent, NULL);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* Four whole replies, then four streams. */
static void scene_ask(struct scene *scene)
{
    for (int i = 0; i < SCENE_CALL_COUNT; i++)
        if (rig_try_ask(scene->agent, "a text", 0, true, i >= 4, &scene->answers[i]) == DURESS_OK)
            scene->begun++;
    (void)duress_sim_run_until(scene->sim, never, NULL, DURESS_TIME_NEVER);
    struct duress_faults_counts counts = duress_faults_counts(scene->agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.in_flight, 0);
}

static void scene_run(uint64_t after, bool once, struct scene *scene)
{
    uint32_t ended = 0;
    memset(scene, 0, sizeof *scene);
    probe_heap_init(&scene->heap, after);
    scene->heap.fail_once = once;
    int error = scene_build(scene);
    if (error == DURESS_OK)
        scene_ask(scene);
    else
        assert_int_equal(error, DURESS_E_NO_MEMORY);
    for (int i = 0; i < SCENE_CALL_COUNT; i++) {
        ended += scene->answers[i].ended;
        scene->out_of_memory += scene->answers[i].error == DURESS_E_NO_MEMORY;
        assert_true(scene->answers[i].error == DURESS_OK || scene->answers[i].error == DURESS_E_NO_MEMORY);
    }
    assert_int_equal(ended, scene->begun); /* none is lost */
    duress_agent_unref(scene->agent);
    duress_agent_unref(scene->service.agent);
    duress_sim_free(scene->sim);
    assert_int_equal(scene->heap.live_count, 0);
}

static void every_allocation_may_be_the_one_that_fails(void **state)
{
    static struct scene scene;
    (void)state;
    for (int once = 0; once < 2; once++) {
        uint64_t told = 0;
        scene.heap.tripped = true;
        for (uint64_t after = 0; scene.heap.tripped; after++) {
            scene_run(after, once != 0, &scene);
            told += scene.out_of_memory > 0;
        }
        assert_true(told > 5); /* calls that were running heard of it */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_calls_through_the_faults),
        cmocka_unit_test(a_thousand_calls_through_a_stack_around_the_faults),
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
