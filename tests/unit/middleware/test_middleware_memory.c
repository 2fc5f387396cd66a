/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out at the n-th allocation of a whole simulated run, for every n: client stack, network, server, service.
 * Nothing crashes or leaks, and every call ends or was refused. Once for one failure, once for all from there on. */
#include "layer_test.h"

#include <string.h>

enum { CALL_COUNT = 6 };

struct scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct duress_world *client;
    struct rig_service service;
    struct duress_server *server;
    struct duress_agent *remote;
    struct duress_agent *stack;
    struct rig_answer answers[CALL_COUNT];
    uint32_t begun;
};

static bool never(void *context)
{
    (void)context;
    return false;
}

static int scene_serve(struct scene *scene, struct duress_sim_host *host)
{
    struct duress_world *world = duress_sim_host_world(host);
    struct duress_agent *agent = NULL;
    /* What rig_service_open() does, but for an error in its place. */
    int error = rig_service_try_open(&scene->service, world, "service");
    if (error != DURESS_OK)
        return error;
    agent = scene->service.agent;
    scene->service.delay_ns_min = scene->service.delay_ns_max = 10 * DURESS_MS;
    scene->service.chunk_count = 2;
    struct duress_server_options options = {
        .world = world,
        .agent = agent,
        .address = duress_sim_host_address(host, RIG_PORT),
        .in_flight_max = 2,
    };
    return duress_server_new(&options, &scene->server, NULL);
}

static int scene_build(struct scene *scene)
{
    struct duress_sim_host *client = NULL;
    struct duress_sim_host *server = NULL;
    struct duress_sim_options options = {.allocator = &scene->heap.allocator, .seed = 0};
    int error = duress_sim_new(&options, &scene->sim);
    if (error == DURESS_OK)
        error = duress_sim_host_new(scene->sim, "client", &client);
    if (error == DURESS_OK)
        error = duress_sim_host_new(scene->sim, "server", &server);
    if (error == DURESS_OK)
        error = scene_serve(scene, server);
    if (error != DURESS_OK)
        return error;
    scene->client = duress_sim_host_world(client);
    struct duress_remote_options remote = {
        .world = scene->client,
        .endpoint = "tcp://server:7000",
        .agent_name = "echo",
        .connections_max = 2,
        .in_flight_max = 2,
    };
    error = duress_remote_new(&remote, &scene->remote, NULL);
    if (error != DURESS_OK)
        return error;
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 10 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 100}};
    struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    return duress_stack_new(scene->remote, &layers, &scene->stack, NULL);
}

static void scene_ask(struct scene *scene)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        struct rig_answer *answer = &scene->answers[i];
        uint64_t deadline_ns = duress_sim_now_ns(scene->sim) + 20 * DURESS_S;
        int error = rig_try_ask(scene->stack, "hello", deadline_ns, true, i % 3 == 2, answer);
        assert_true(error == DURESS_OK || error == DURESS_E_NO_MEMORY);
        scene->begun += error == DURESS_OK;
        if (error != DURESS_OK)
            answer->ended = 1; /* refused */
    }
    assert_int_not_equal(duress_sim_run_until(scene->sim, never, NULL, duress_sim_now_ns(scene->sim) + 25 * DURESS_S),
                         DURESS_OK);
    for (int i = 0; i < CALL_COUNT; i++)
        assert_int_equal(scene->answers[i].ended, 1); /* none is lost */
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
    duress_agent_unref(scene.stack);
    duress_agent_unref(scene.remote);
    duress_server_free(scene.server);
    if (scene.service.agent != NULL)
        rig_service_close(&scene.service);
    duress_sim_free(scene.sim);
    assert_int_equal(scene.heap.live_count, 0);
    *tripped = scene.heap.tripped;
    if (!scene.heap.tripped)
        for (int i = 0; i < CALL_COUNT; i++)
            assert_int_equal(scene.answers[i].error, DURESS_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
