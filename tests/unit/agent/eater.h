/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out in the middle of a call, wherever that may be: an agent that takes more and more of the call's block,
 * and then lets nobody have a further one. Whoever needs the next byte beyond the block is the one that has none. */
#ifndef DURESS_TESTS_AGENT_EATER_H
#define DURESS_TESTS_AGENT_EATER_H

#include "rig.h"

enum { EATER_SERVICES = 3, EATER_STEP_BYTES = 16 };

struct eater {
    struct duress_agent agent;
    struct duress_agent *inner;
    struct duress_call *child;
    struct probe_heap *heap;
    size_t bytes;
    bool failed; /* it had no memory itself */
};

struct eater_scene {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct duress_world *world;
    struct duress_agent *services[EATER_SERVICES]; /* echo, but for what is said next */
    uint32_t fail_count;                           /* so many calls of theirs fail at first */
    uint32_t asked;
    struct duress_agent *subject; /* of the test; it frees what it makes beside it by |others| */
    struct duress_agent *others[2];
    struct eater *eater;
    struct rig_answer answer;
};

static inline void eater_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    duress_call_pass(context, result);
}

static inline void eater_process(struct duress_agent *agent, struct duress_call *call)
{
    struct eater *eater = (struct eater *)agent;
    struct duress_child child = {.agent = eater->inner, .on_end = eater_ended, .context = call};
    for (size_t eaten = 0; eaten < eater->bytes; eaten += EATER_STEP_BYTES)
        assert_non_null(duress_call_allocate(call, EATER_STEP_BYTES));
    eater->heap->fail_after = eater->heap->allocation_count;
    if (duress_call_begin(call, &child, &eater->child) == DURESS_OK)
        return;
    struct duress_failure failure;
    eater->failed = true;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, "the eater");
    duress_call_fail(call, &failure);
}

static inline void eater_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)call;
    duress_call_abandon(((struct eater *)agent)->child);
}

static inline void eater_free(struct duress_agent *agent)
{
    duress_agent_unref(((struct eater *)agent)->inner);
    duress_release(agent->allocator, agent);
}

static inline int eater_service(void *context, struct duress_message *request, struct duress_message **reply,
                                struct duress_failure *failure)
{
    struct eater_scene *scene = context;
    (void)failure;
    if (scene->asked++ < scene->fail_count)
        return DURESS_E_REFUSED;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static inline bool eater_never(void *context)
{
    (void)context;
    return false;
}

static inline void eater_open(struct eater_scene *scene)
{
    struct duress_sim_host *host = NULL;
    *scene = (struct eater_scene){.sim = NULL};
    probe_heap_init(&scene->heap, UINT64_MAX);
    struct duress_sim_options options = {.allocator = &scene->heap.allocator};
    assert_int_equal(duress_sim_new(&options, &scene->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(scene->sim, "host", &host), DURESS_OK);
    scene->world = duress_sim_host_world(host);
    for (int i = 0; i < EATER_SERVICES; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        assert_int_equal(duress_function_new(scene->world, name, eater_service, scene, &scene->services[i]), DURESS_OK);
    }
}

/* Asks scene->subject when |bytes| of the call's memory have been taken; the call ends, once. */
static inline void eater_ask(struct eater_scene *scene, size_t bytes, bool idempotent)
{
    static const struct duress_agent_ops ops = {eater_process, eater_cancel, eater_free};
    scene->eater = duress_allocate_zeroed(&scene->heap.allocator, 1, sizeof *scene->eater);
    assert_non_null(scene->eater);
    duress_agent_init(&scene->eater->agent, &ops, scene->world, &scene->heap.allocator, "eater");
    scene->eater->inner = duress_agent_ref(scene->subject);
    scene->eater->heap = &scene->heap;
    scene->eater->bytes = bytes;
    rig_ask_by(&scene->eater->agent, "hello", 0, idempotent, &scene->answer);
    assert_int_equal(duress_sim_run_until(scene->sim, eater_never, NULL, DURESS_TIME_NEVER), DURESS_E_END);
    assert_int_equal(scene->answer.ended, 1);
    assert_int_equal(duress_agent_in_flight_count(scene->subject), 0);
    scene->heap.fail_after = UINT64_MAX;
}

static inline void eater_close(struct eater_scene *scene)
{
    duress_agent_unref(&scene->eater->agent);
    duress_agent_unref(scene->subject);
    for (int i = 0; i < 2; i++)
        duress_agent_unref(scene->others[i]);
    for (int i = 0; i < EATER_SERVICES; i++)
        duress_agent_unref(scene->services[i]);
    duress_sim_free(scene->sim);
    assert_int_equal(scene->heap.live_count, 0);
}

#endif
