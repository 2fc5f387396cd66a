/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of a local function agent, bare and through timeout, breaker and retry, in the live world with its clock;
 * and how many allocations it makes once the world is warm. */
#include <bench.h>

#include <duress/agent/function.h>
#include <duress/middleware/stack.h>
#include <duress/world/live.h>

#include "counting_heap.h"

struct caller {
    struct duress_world *world;
    struct duress_agent *agent;
    struct duress_message *request;
    uint64_t left;
};

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void caller_next(struct caller *caller);

static void caller_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct caller *caller = context;
    (void)call;
    if (result->error != DURESS_OK)
        bench_fail("a call failed: %s", result->failure->detail);
    if (--caller->left > 0)
        caller_next(caller);
}

static void caller_next(struct caller *caller)
{
    struct duress_ask ask = {.request = caller->request, .on_end = caller_ended, .context = caller};
    if (duress_agent_ask(caller->agent, &ask, NULL) != DURESS_OK)
        bench_fail("a call could not be begun");
}

static bool caller_done(void *context)
{
    return ((const struct caller *)context)->left == 0;
}

static void call_often(void *context, uint64_t iterations)
{
    struct caller *caller = context;
    caller->left = iterations;
    caller_next(caller);
    if (duress_world_run_until(caller->world, caller_done, caller, DURESS_TIME_NEVER) != DURESS_OK)
        bench_fail("the world stopped");
}

static void print_allocations(struct caller *caller, const struct counting_heap *heap)
{
    struct bench_samples samples = {.name = "allocations of a call through the layers", .unit = "allocations"};
    for (size_t run = 0; run < bench_runs(); run++) {
        uint64_t before = heap->allocation_count;
        call_often(caller, 100000);
        bench_samples_add(&samples, (double)(heap->allocation_count - before) / 100000);
    }
    bench_print(&samples);
}

int main(void)
{
    static const struct duress_retry_options retry = {.attempts_max = 3};
    static const struct duress_breaker_layer_options breaker = {.shared = NULL};
    static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct counting_heap heap;
    counting_heap_init(&heap);
    struct duress_world_live_options options = {.allocator = &heap.allocator};
    struct caller bare = {.left = 0};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    if (duress_world_live_new(&options, &bare.world) != DURESS_OK ||
        duress_function_new(bare.world, "echo", echo, NULL, &bare.agent) != DURESS_OK ||
        duress_message_text("hello", &bare.request) != DURESS_OK)
        bench_fail("cannot make the agent");
    struct caller stacked = bare;
    if (duress_stack_new(bare.agent, &layers, &stacked.agent, NULL) != DURESS_OK)
        bench_fail("cannot make the stack");
    double bare_ns = bench_time_each("call of a local agent", 300000, call_often, &bare);
    struct bench_samples samples = {.name = "call through timeout, breaker and retry", .unit = "ns"};
    bench_sample_each(&samples, 300000, call_often, &stacked);
    bench_print_against(&samples, "call of a local agent", bare_ns);
    print_allocations(&stacked, &heap);
    duress_agent_unref(stacked.agent);
    duress_agent_unref(bare.agent);
    duress_message_unref(bare.request);
    duress_world_free(bare.world);
    return 0;
}
