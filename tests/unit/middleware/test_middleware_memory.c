/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out at the n-th allocation of a whole simulated run, for every n: client stack, network, server, service.
 * Nothing crashes or leaks, and every call ends or was refused. Once for one failure, once for all from there on. */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/rate_limiter.h>

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
    int error = duress_sim_new(&options, &scene->sim, NULL);
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
    struct duress_adaptive_limit_options adaptive = {.limit_initial = 2, .limit_min = 1, .limit_max = 2};
    struct duress_bulkhead_layer_options bulkhead = {.adaptive = &adaptive}; /* two thirds wait, for retries as well */
    struct duress_stack_options layers = {
        .bulkhead = &bulkhead,
        .retry = &retry,
        .breaker = &breaker,
        .timeout = &timeout,
    };
    struct duress_agent *limited = NULL;
    struct duress_rate_limiter_options limiter = {.bucket = {.rate = 1000, .burst = 3}}; /* the other half waits */
    error = duress_with_rate_limiter(scene->remote, &limiter, &limited, NULL);
    if (error == DURESS_OK)
        error = duress_stack_new(limited, &layers, &scene->stack, NULL);
    duress_agent_unref(limited);
    return error;
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
        assert_int_equal(scene->answers[i].ended, 1);                  /* none is lost */
    assert_int_equal(duress_bulkhead_counts(scene->stack).running, 0); /* and neither is a slot */
    assert_int_equal(duress_bulkhead_counts(scene->stack).waiting, 0);
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

/* --- the blocks of one call --- */

enum { DEPTH_MAX = 48 };

struct tower {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct duress_agent *levels[DEPTH_MAX + 1];
    struct duress_message *request;
    uint32_t ended;
    int error;
};

static int tower_echo(void *context, struct duress_message *request, struct duress_message **reply,
                      struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void tower_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct tower *tower = context;
    (void)call;
    tower->ended++;
    tower->error = result->error;
}

static int tower_wrap(int kind, struct duress_agent *inner, struct duress_agent **outer)
{
    static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    static const struct duress_retry_options once = {.attempts_max = 1};
    if (kind == 0)
        return duress_with_timeout(inner, &timeout, outer, NULL);
    if (kind == 1)
        return duress_with_breaker(inner, NULL, outer, NULL);
    return kind == 2 ? duress_with_bulkhead(inner, NULL, outer, NULL)
                     : duress_with_retry(inner, &once, NULL, outer, NULL);
}

static void tower_build(struct tower *tower, int kind, size_t depth)
{
    struct duress_sim_host *host = NULL;
    *tower = (struct tower){.sim = NULL};
    probe_heap_init(&tower->heap, UINT64_MAX);
    struct duress_sim_options options = {.allocator = &tower->heap.allocator};
    assert_int_equal(duress_sim_new(&options, &tower->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(tower->sim, "host", &host), DURESS_OK);
    struct duress_world *world = duress_sim_host_world(host);
    assert_int_equal(duress_function_new(world, "echo", tower_echo, NULL, &tower->levels[0]), DURESS_OK);
    for (size_t i = 0; i < depth; i++)
        assert_int_equal(tower_wrap(kind, tower->levels[i], &tower->levels[i + 1]), DURESS_OK);
    assert_int_equal(duress_message_text("up and down", &tower->request), DURESS_OK);
}

/* True where an allocation failed. */
static bool tower_ask(struct tower *tower, size_t depth)
{
    struct duress_ask ask = {.request = tower->request, .on_end = tower_ended, .context = tower};
    int error = duress_agent_ask(tower->levels[depth], &ask, NULL);
    if (error == DURESS_OK) {
        (void)duress_sim_run_until(tower->sim, never, NULL, 10 * DURESS_S);
        assert_int_equal(tower->ended, 1);
        error = tower->error;
    }
    assert_int_equal(error, tower->heap.tripped ? DURESS_E_NO_MEMORY : DURESS_OK);
    for (size_t i = 0; i <= depth; i++) {
        assert_int_equal(duress_agent_in_flight_count(tower->levels[i]), 0);
        assert_int_equal(duress_bulkhead_counts(tower->levels[i]).running, 0);
    }
    return tower->heap.tripped;
}

static void tower_raze(struct tower *tower, size_t depth)
{
    for (size_t i = 0; i <= depth; i++)
        duress_agent_unref(tower->levels[depth - i]);
    duress_message_unref(tower->request);
    duress_sim_free(tower->sim);
    assert_int_equal(tower->heap.live_count, 0);
}

/* A deep call needs more than its first block: which layer it is that finds no further one depends on the depth. */
static void a_call_that_finds_no_further_block_ends(void **state)
{
    static struct tower tower;
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        uint64_t further = 0;
        for (size_t depth = 1; depth <= DEPTH_MAX; depth++) {
            bool tripped = true;
            for (uint64_t after = 0; tripped; after++) {
                tower_build(&tower, kind, depth);
                tower.heap.fail_after = tower.heap.allocation_count + after;
                tripped = tower_ask(&tower, depth);
                tower_raze(&tower, depth);
                further += tripped && after > 0;
            }
        }
        assert_true(further >= DEPTH_MAX / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_be_the_one_that_fails),
        cmocka_unit_test(a_call_that_finds_no_further_block_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
