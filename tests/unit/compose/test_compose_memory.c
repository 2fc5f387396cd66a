/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out at the n-th allocation, for every n, in the making of compositions and in their calls: nothing
 * crashes or leaks, and every call ends. And once they are warm, calls allocate nothing. */
#include "compose_test.h"

enum { SERVICE_COUNT = 3, CALL_COUNT = 4 };

struct scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct duress_world *world;
    struct rig_service services[SERVICE_COUNT];
    struct duress_agent *agents[SERVICE_COUNT];
    struct duress_agent *inner[4];
    struct duress_agent *agent;
    struct rig_answer answers[CALL_COUNT];
    uint32_t reports;
};

static bool never(void *context)
{
    (void)context;
    return false;
}

static void scene_report(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct scene *scene = context;
    (void)call;
    assert_int_equal(report->error == DURESS_OK, report->reply != NULL);
    scene->reports++;
}

/* All compositions in one: quorum, parallel and fallback of services, behind a conditional, in a line. */
static int scene_compose(struct scene *scene)
{
    struct duress_quorum_options quorum = {.need = 2, .on_report = scene_report, .context = scene};
    struct duress_parallel_options parallel = {.limit_ns = DURESS_S, .on_report = scene_report, .context = scene};
    struct duress_fallback_options fallback = {.annotate = true, .on_report = scene_report, .context = scene};
    struct duress_sequential_options sequential = {.on_report = scene_report, .context = scene};
    int error = duress_quorum_new("q", scene->agents, 3, &quorum, &scene->inner[0], NULL);
    if (error == DURESS_OK)
        error = duress_parallel_new("p", scene->agents, 3, &parallel, &scene->inner[1], NULL);
    if (error == DURESS_OK)
        error = duress_fallback_new("f", scene->agents, 3, &fallback, &scene->inner[2], NULL);
    if (error != DURESS_OK)
        return error;
    struct duress_route route = {duress_content_contains, "never", scene->inner[0]};
    struct duress_choice_options choice = {
        .otherwise = scene->inner[2], .annotate = true, .on_report = scene_report, .context = scene};
    error = duress_conditional_new("c", &route, 1, &choice, &scene->inner[3], NULL);
    if (error != DURESS_OK)
        return error;
    struct duress_agent *line[4] = {scene->inner[0], scene->inner[1], scene->inner[3], scene->inner[2]};
    return duress_sequential_new("s", line, 4, &sequential, &scene->agent, NULL);
}

static int scene_build(struct scene *scene)
{
    struct duress_sim_options options = {.allocator = &scene->heap.allocator, .seed = 0};
    struct duress_sim_host *host = NULL;
    int error = duress_sim_new(&options, &scene->sim, NULL);
    if (error == DURESS_OK)
        error = duress_sim_host_new(scene->sim, "host", &host);
    if (error != DURESS_OK)
        return error;
    scene->world = duress_sim_host_world(host);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        error = rig_service_try_open(&scene->services[i], scene->world, name);
        if (error != DURESS_OK)
            return error;
        scene->services[i].delay_ns_min = scene->services[i].delay_ns_max = 10 * DURESS_MS;
        scene->agents[i] = scene->services[i].agent;
    }
    scene->services[0].fail_count = 2; /* one in the quorum, one in the parallel, of some call */
    return scene_compose(scene);
}

static void scene_ask(struct scene *scene)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        struct rig_answer *answer = &scene->answers[i];
        uint64_t deadline_ns = duress_sim_now_ns(scene->sim) + 20 * DURESS_S;
        int error = rig_try_ask(scene->agent, "hello", deadline_ns, true, i % 2 == 1, answer);
        assert_true(error == DURESS_OK || error == DURESS_E_NO_MEMORY);
        if (error != DURESS_OK)
            answer->ended = 1; /* refused */
    }
    (void)duress_sim_run_until(scene->sim, never, NULL, duress_sim_now_ns(scene->sim) + 25 * DURESS_S);
    for (int i = 0; i < CALL_COUNT; i++)
        assert_int_equal(scene->answers[i].ended, 1); /* none is lost */
}

static void scene_end(struct scene *scene)
{
    duress_agent_unref(scene->agent);
    for (int i = 0; i < 4; i++)
        duress_agent_unref(scene->inner[i]);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        assert_int_equal(scene->services[i].running, 0);
        if (scene->services[i].agent != NULL)
            rig_service_close(&scene->services[i]);
    }
    duress_sim_free(scene->sim);
    assert_int_equal(scene->heap.live_count, 0);
}

static bool scene_run(uint64_t fail_after, bool fail_once, bool *tripped)
{
    static struct scene scene;
    scene = (struct scene){.sim = NULL};
    probe_heap_init(&scene.heap, fail_after);
    scene.heap.fail_once = fail_once;
    bool whole = scene_build(&scene) == DURESS_OK;
    if (whole)
        scene_ask(&scene);
    scene_end(&scene);
    *tripped = scene.heap.tripped;
    if (!scene.heap.tripped) {
        for (int i = 0; i < CALL_COUNT; i++)
            assert_int_equal(scene.answers[i].error, DURESS_OK);
        assert_int_equal(scene.reports, CALL_COUNT * 6); /* the fallback stands twice in the line */
    }
    return whole;
}

static void every_allocation_may_be_the_one_that_fails(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        uint64_t failures_survived = 0;
        bool tripped = true;
        for (uint64_t after = 0; tripped; after++)
            failures_survived += scene_run(after, once != 0, &tripped);
        assert_true(failures_survived > 30); /* many of them came while calls were running */
    }
}

static void whoever_makes_one_is_told_what_was_lacking(void **state)
{
    (void)state;
    for (int after = 0; after < 3; after++) {
        struct compose_test test;
        struct duress_agent *agent = NULL;
        compose_test_open(&test, 2);
        struct duress_route route = {duress_content_contains, "", test.agents[0]};
        test.rig.heap.fail_after = test.rig.heap.allocation_count + (uint64_t)after;
        int error = duress_conditional_new(NULL, &route, 1, NULL, &agent, &test.why); /* itself, and its routes */
        test.rig.heap.fail_after = UINT64_MAX;
        assert_int_equal(error, after < 2 ? DURESS_E_NO_MEMORY : DURESS_OK);
        assert_int_equal(test.why.code, error);
        if (after < 2)
            assert_int_equal(test.why.origin, DURESS_ORIGIN_CALLER);
        duress_agent_unref(agent);
        compose_test_close(&test);
    }
}

/* --- warm --- */

static void warm_run(struct compose_test *test, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        compose_test_ask(test, "go", DURESS_S, false);
        for (size_t each = 0; each < 3; each++)
            if (test->hands[each].call != NULL)
                hand_reply(&test->hands[each], "x");
        for (size_t each = 0; each < 3; each++) /* a sequential's later steps */
            if (test->hands[each].call != NULL)
                hand_reply(&test->hands[each], "x");
        assert_int_equal(test->answer.ended, 1);
        assert_int_equal(test->answer.error, DURESS_OK);
    }
}

static uint64_t warm_allocations(struct compose_test *test)
{
    warm_run(test, 10);
    uint64_t before = test->rig.heap.allocation_count;
    warm_run(test, 100);
    return test->rig.heap.allocation_count - before;
}

/* What the hands' replies and the asking take is the same for all: one request a call. */
static void warm_calls_allocate_nothing_but_their_request(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        struct compose_test test;
        compose_test_open(&test, 3);
        struct duress_route route = {duress_content_contains, "", test.agents[0]};
        struct duress_parallel_options any = {.policy = DURESS_PARALLEL_ANY, .on_report = report_keep};
        struct duress_sequential_options sequential = {.on_report = report_keep, .context = &test.report};
        struct duress_fallback_options fallback = {.on_report = report_keep, .context = &test.report};
        struct duress_quorum_options quorum = {.need = 2, .on_report = report_keep, .context = &test.report};
        struct duress_choice_options choice = {.on_report = report_keep, .context = &test.report};
        any.context = &test.report;
        int error = DURESS_OK;
        switch (kind) {
        case 0:
            error = duress_sequential_new(NULL, test.agents, 3, &sequential, &test.agent, NULL);
            break;
        case 1:
            error = duress_fallback_new(NULL, test.agents, 3, &fallback, &test.agent, NULL);
            break;
        case 2:
            error = duress_quorum_new(NULL, test.agents, 3, &quorum, &test.agent, NULL);
            break;
        case 3:
            error = duress_conditional_new(NULL, &route, 1, &choice, &test.agent, NULL);
            break;
        case 4:
            error = duress_parallel_new(NULL, test.agents, 3, &any, &test.agent, NULL);
            break;
        default: /* combining makes a message: two more */
            error = duress_parallel_new(NULL, test.agents, 3, NULL, &test.agent, NULL);
            break;
        }
        assert_int_equal(error, DURESS_OK);
        assert_int_equal(warm_allocations(&test), kind == 5 ? 300 : 100);
        compose_test_close(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
        cmocka_unit_test(whoever_makes_one_is_told_what_was_lacking),
        cmocka_unit_test(warm_calls_allocate_nothing_but_their_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
