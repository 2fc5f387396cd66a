/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault layer, alone and inside of a stack: a thousand calls at once, of which a third is cancelled at random
 * virtual instants; and memory that runs out at the n-th allocation, for every n. Each call ends exactly once, and no
 * timer, call, byte or memory is left. */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/faults.h>

enum { CALL_COUNT = 1000, SEED_COUNT = 40 };

struct crowd_call {
    struct rig_answer answer;
    struct crowd *crowd;
    struct duress_timer begin;
    struct duress_timer cancel;
    uint64_t deadline_ns;
    bool streaming;
};

struct crowd {
    struct layer_test test;
    struct duress_prng prng;
    uint32_t ended;
    uint32_t cancelled;
    struct crowd_call calls[CALL_COUNT];
};

static struct crowd the_crowd;

static void crowd_ended(struct rig_answer *answer, void *context)
{
    struct crowd_call *call = context;
    struct crowd *crowd = call->crowd;
    crowd->ended++;
    crowd->cancelled += answer->error == DURESS_E_CANCELLED;
    duress_world_disarm(crowd->test.rig.client, &call->cancel);
}

static void crowd_begin(void *context)
{
    struct crowd_call *call = context;
    call->answer.then = crowd_ended;
    call->answer.then_context = call;
    assert_int_equal(
        rig_try_ask(call->crowd->test.agent, "a text", call->deadline_ns, true, call->streaming, &call->answer),
        DURESS_OK);
}

static void crowd_cancel(void *context)
{
    struct crowd_call *call = context;
    if (call->answer.call != NULL)
        duress_call_cancel(call->answer.call);
}

static void random_mood(void *context, struct rig_service *service, struct duress_call *call)
{
    struct crowd *crowd = context;
    (void)call;
    uint64_t mood = duress_prng_below(&crowd->prng, 100);
    service->at_once = mood < 20;
    service->fail_count = mood >= 20 && mood < 30;
    service->delay_ns_max = mood < 15 ? 0 : 100 * DURESS_MS;
    service->chunk_count = (uint32_t)(mood % 4);
    duress_failure_set(&service->failure, DURESS_E_UNREACHABLE, DURESS_ORIGIN_AGENT, NULL);
}

static void crowd_schedule(struct crowd *crowd)
{
    struct duress_world *world = crowd->test.rig.client;
    uint64_t now_ns = rig_now_ns(&crowd->test.rig);
    for (int i = 0; i < CALL_COUNT; i++) {
        struct crowd_call *call = &crowd->calls[i];
        *call = (struct crowd_call){.crowd = crowd};
        uint64_t begin_ns = now_ns + duress_prng_below(&crowd->prng, 500 * DURESS_MS);
        call->streaming = duress_prng_chance(&crowd->prng, 400000);
        call->deadline_ns = begin_ns + DURESS_S + duress_prng_below(&crowd->prng, DURESS_S);
        duress_timer_init(&call->begin, crowd_begin, call);
        duress_timer_init(&call->cancel, crowd_cancel, call);
        duress_world_arm(world, &call->begin, begin_ns);
        if (i % 3 == 0)
            duress_world_arm(world, &call->cancel, begin_ns + duress_prng_below(&crowd->prng, 40 * DURESS_MS));
    }
}

static bool crowd_is_done(void *context)
{
    return ((const struct crowd *)context)->ended == CALL_COUNT;
}

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

/* The layer alone, or retry -> breaker -> timeout -> faults. */
static void crowd_wrap(struct crowd *crowd, bool stacked)
{
    struct duress_agent *faulty = NULL;
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 8, .recovery_ns = 20 * DURESS_MS, .probes_max = 3}};
    struct duress_timeout_options timeout = {.limit_ns = 150 * DURESS_MS};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    assert_int_equal(duress_with_faults(crowd->test.service.agent, &every_fault, &faulty, NULL), DURESS_OK);
    if (!stacked)
        layers = (struct duress_stack_options){.retry = NULL};
    assert_int_equal(duress_stack_new(faulty, &layers, &crowd->test.agent, NULL), DURESS_OK);
    duress_agent_unref(faulty);
}

static void crowd_run(struct crowd *crowd, uint64_t seed, bool stacked)
{
    layer_test_open(&crowd->test, seed);
    struct rig *rig = &crowd->test.rig;
    duress_prng_init(&crowd->prng, seed, 99);
    crowd->ended = 0;
    crowd->cancelled = 0;
    crowd->test.service.on_call = random_mood;
    crowd->test.service.context = crowd;
    crowd_wrap(crowd, stacked);
    crowd_schedule(crowd);
    assert_int_equal(duress_sim_run_until(rig->sim, crowd_is_done, crowd, rig_now_ns(rig) + 60 * DURESS_S), DURESS_OK);
    for (int i = 0; i < CALL_COUNT; i++)
        assert_int_equal(crowd->calls[i].answer.ended, 1);
    assert_in_range(crowd->cancelled, 50, CALL_COUNT / 3 + 1);
    uint64_t ended_ns = rig_now_ns(rig);
    rig_run_dry(rig);
    assert_int_equal(rig_now_ns(rig), ended_ns); /* no timer was armed any more */
    assert_int_equal(crowd->test.service.running, 0);
}

static void assert_settled(const struct duress_agent *agent)
{
    struct duress_faults_counts counts = duress_faults_counts(agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.in_flight, 0);
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
        crowd_run(&the_crowd, seed, false);
        struct duress_faults_counts counts = duress_faults_counts(the_crowd.test.agent);
        assert_settled(the_crowd.test.agent);
        assert_int_equal(counts.calls.begun, CALL_COUNT);
        assert_int_equal(counts.calls.cancelled, the_crowd.cancelled);
        layer_test_close(&the_crowd.test);
    }
}

static void a_thousand_calls_through_a_stack_around_the_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        crowd_run(&the_crowd, seed, true);
        assert_settled(the_crowd.test.agent);
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
    int error = duress_sim_new(&options, &scene->sim);
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
