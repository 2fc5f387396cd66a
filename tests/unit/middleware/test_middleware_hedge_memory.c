/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out at the n-th allocation of a run through hedge and metrics, for every n: nothing crashes or leaks,
 * every call ends once or was refused, and the figures stay balanced. Once for one failure, once for all from there on.
 */
#include "layer_private.h"
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>

enum { CALL_COUNT = 24 };

struct scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct rig_service service;
    struct duress_agent *hedge;
    struct duress_agent *metrics;
    struct duress_agent *eater; /* the outermost layer */
    struct rig_answer answers[CALL_COUNT];
    uint32_t begun;
};

static bool never(void *context)
{
    (void)context;
    return false;
}

/* A layer that takes more and more room of a call's block, so that it is full at another place in each call: for some
 * of them just where the metrics or the hedge need memory, for some where a hedge is begun. */
static void eater_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    duress_call_pass(context, result);
}

static void eater_process(struct duress_agent *agent, struct duress_call *call)
{
    struct layer *layer = (struct layer *)agent;
    struct duress_child child = {.agent = layer->inner, .on_end = eater_ended, .context = call};
    size_t bytes = 64 * (1 + layer->counts.begun++ % CALL_COUNT);
    if (duress_call_allocate(call, DURESS_WORLD_BLOCK_BYTES / 2) == NULL || duress_call_allocate(call, bytes) == NULL ||
        duress_call_begin(call, &child, NULL) != DURESS_OK) {
        struct duress_failure failure;
        layer->counts.refused++;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, "the eater");
        duress_call_fail(call, &failure);
    }
}

static const struct layer_kind eater_kind = {.ops = {eater_process, NULL, duress__layer_free}, .name = "eater"};

static int scene_build(struct scene *scene)
{
    struct duress_sim_host *host = NULL;
    struct duress_sim_options options = {.allocator = &scene->heap.allocator, .seed = 0};
    struct duress_hedge_layer_options hedge = {.hedge = {.attempts_max = 3, .delay_ns = 10 * DURESS_MS}};
    int error = duress_sim_new(&options, &scene->sim, NULL);
    if (error == DURESS_OK)
        error = duress_sim_host_new(scene->sim, "client", &host);
    if (error == DURESS_OK)
        error = rig_service_try_open(&scene->service, duress_sim_host_world(host), "service");
    if (error != DURESS_OK)
        return error;
    scene->service.delay_ns_min = scene->service.delay_ns_max = 30 * DURESS_MS;
    scene->service.chunk_count = 2;
    error = duress_with_hedge(scene->service.agent, &hedge, &scene->hedge, NULL);
    if (error == DURESS_OK)
        error = duress_with_metrics(scene->hedge, NULL, &scene->metrics, NULL);
    if (error != DURESS_OK)
        return error;
    scene->eater = duress__layer_new(sizeof(struct layer), &eater_kind, scene->metrics, NULL);
    return scene->eater != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

static void scene_ask(struct scene *scene)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        struct rig_answer *answer = &scene->answers[i];
        int error = rig_try_ask(scene->eater, "hello", 0, true, i % 3 == 2, answer);
        assert_true(error == DURESS_OK || error == DURESS_E_NO_MEMORY);
        scene->begun += error == DURESS_OK;
        if (error != DURESS_OK)
            answer->ended = 1; /* refused */
    }
    assert_int_equal(duress_sim_run_until(scene->sim, never, NULL, DURESS_TIME_NEVER), DURESS_E_END);
    for (int i = 0; i < CALL_COUNT; i++) {
        assert_int_equal(scene->answers[i].ended, 1); /* none is lost */
        assert_true(scene->answers[i].error == DURESS_OK || scene->answers[i].error == DURESS_E_NO_MEMORY);
    }
}

static void assert_figures(const struct scene *scene)
{
    uint64_t asked = scene->begun - ((const struct layer *)scene->eater)->counts.refused;
    struct duress_metrics metrics;
    struct duress_hedge_counts counts = duress_hedge_counts(scene->metrics);
    assert_int_equal(duress_metrics_read(scene->metrics, &metrics), DURESS_OK);
    assert_balanced(metrics.calls);
    assert_balanced(counts.calls);
    assert_int_equal(metrics.calls.begun, asked);
    assert_int_equal(metrics.calls.in_flight, 0);
    assert_int_equal(metrics.ended[0] + metrics.ended[-DURESS_E_NO_MEMORY], asked);
    assert_int_equal(counts.attempts, scene->service.begun);
}

struct tally {
    uint64_t whole_runs;     /* in which the stack was built */
    uint64_t hedges_missing; /* of them, with all calls answered, though memory was out for a hedge */
};

static bool scene_run(uint64_t fail_after, bool fail_once, struct tally *tally)
{
    static struct scene scene;
    scene = (struct scene){.sim = NULL};
    probe_heap_init(&scene.heap, fail_after);
    scene.heap.fail_once = fail_once;
    if (scene_build(&scene) == DURESS_OK) {
        bool tripped_before = scene.heap.tripped;
        scene_ask(&scene);
        assert_figures(&scene);
        uint64_t answered = 0;
        for (int i = 0; i < CALL_COUNT; i++)
            answered += scene.answers[i].error == DURESS_OK && scene.answers[i].text[0] != '\0';
        if (!scene.heap.tripped) {
            assert_int_equal(answered, CALL_COUNT);
            assert_int_equal(duress_hedge_counts(scene.metrics).hedges, 10); /* as many as the budget allows */
        }
        tally->whole_runs += scene.heap.tripped;
        tally->hedges_missing +=
            !tripped_before && answered == CALL_COUNT && duress_hedge_counts(scene.metrics).hedges < 10;
    }
    duress_agent_unref(scene.eater);
    duress_agent_unref(scene.metrics);
    duress_agent_unref(scene.hedge);
    if (scene.service.agent != NULL)
        rig_service_close(&scene.service);
    duress_sim_free(scene.sim);
    assert_int_equal(scene.heap.live_count, 0);
    return scene.heap.tripped;
}

static void every_allocation_may_be_the_one_that_fails(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct tally tally = {.whole_runs = 0};
        for (uint64_t after = 0; scene_run(after, once != 0, &tally); after++)
            ;
        assert_true(tally.whole_runs > 20); /* many failures came while calls were running */
        if (once != 0)
            assert_true(tally.hedges_missing >= 1); /* memory that is out for a hedge costs that hedge alone */
    }
}

static void once_warm_a_call_allocates_nothing(void **state)
{
    (void)state;
    static struct scene scene;
    struct duress_message *request = NULL;
    scene = (struct scene){.sim = NULL};
    probe_heap_init(&scene.heap, UINT64_MAX);
    assert_int_equal(scene_build(&scene), DURESS_OK);
    scene.service.silent = true; /* a reply would be the service's own allocation */
    struct duress_message_options options = {.content = duress_slice_text("x"), .allocator = &scene.heap.allocator};
    assert_int_equal(duress_message_new(&options, &request), DURESS_OK);
    uint64_t before = 0;
    for (int round = 0; round < 50; round++) {
        struct duress_message *reply = NULL;
        struct duress_ask ask = {
            .request = request, .idempotent = true, .deadline_ns = duress_sim_now_ns(scene.sim) + 25 * DURESS_MS};
        if (round == 10)
            before = scene.heap.allocation_count;
        assert_int_equal(duress_agent_ask_blocking(scene.metrics, &ask, &reply, NULL), DURESS_E_DEADLINE);
    }
    assert_int_equal(scene.heap.allocation_count, before);
    assert_true(duress_hedge_counts(scene.metrics).hedges >= 10);
    duress_message_unref(request);
    duress_agent_unref(scene.eater);
    duress_agent_unref(scene.metrics);
    duress_agent_unref(scene.hedge);
    rig_service_close(&scene.service);
    duress_sim_free(scene.sim);
    assert_int_equal(scene.heap.live_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
        cmocka_unit_test(once_warm_a_call_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
