/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of a local function agent, bare, through timeout, breaker and retry, and through the full stack (a cache
 * that does not know the answer and is not to keep it, bulkhead, rate limiter, retry, breaker, timeout), in the live
 * world with its clock; and how many allocations it makes once the world is warm. */
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
    struct duress_ask ask = {.request = caller->request, .idempotent = true, .on_end = caller_ended, .context = caller};
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

static void print_allocations(const char *name, struct caller *caller, const struct counting_heap *heap)
{
    struct bench_samples samples = {.name = name, .unit = "allocations"};
    for (size_t run = 0; run < bench_runs(); run++) {
        uint64_t before = heap->allocation_count;
        call_often(caller, 100000);
        bench_samples_add(&samples, (double)(heap->allocation_count - before) / 100000);
    }
    bench_print(&samples);
}

/* Each reply is too old for the next call of the same request, so that every one is a miss that is stored. */
static struct duress_agent *full_stack(struct duress_agent *inner)
{
    static const struct duress_cache_layer_options cache = {.cache = {.ttl_ns = 1}};
    static const struct duress_bulkhead_layer_options bulkhead = {.shared = NULL};
    static const struct duress_rate_limiter_options limiter = {
        .bucket = {.rate = 1000, .per_ns = DURESS_US, .burst = 1000000}};
    static const struct duress_retry_options retry = {.attempts_max = 3};
    static const struct duress_breaker_layer_options breaker = {.shared = NULL};
    static const struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct duress_stack_options layers = {
        .cache = &cache,
        .bulkhead = &bulkhead,
        .rate_limiter = &limiter,
        .retry = &retry,
        .breaker = &breaker,
        .timeout = &timeout,
    };
    struct duress_agent *stack = NULL;
    struct duress_failure why;
    if (duress_stack_new(inner, &layers, &stack, &why) != DURESS_OK)
        bench_fail("cannot make the full stack: %s", why.detail);
    return stack;
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
    if (duress_world_live_new(&options, &bare.world, NULL) != DURESS_OK ||
        duress_function_new(bare.world, "echo", echo, NULL, &bare.agent) != DURESS_OK ||
        duress_message_text("hello", &bare.request) != DURESS_OK)
        bench_fail("cannot make the agent");
    struct caller stacked = bare;
    struct caller full = bare;
    if (duress_stack_new(bare.agent, &layers, &stacked.agent, NULL) != DURESS_OK)
        bench_fail("cannot make the stack");
    double bare_ns = bench_time_each("call of a local agent", 300000, call_often, &bare);
    struct bench_samples samples = {.name = "call through timeout, breaker and retry", .unit = "ns"};
    bench_sample_each(&samples, 300000, call_often, &stacked);
    bench_print_against(&samples, "call of a local agent", bare_ns);
    print_allocations("allocations of a call through the layers", &stacked, &heap);
    samples = (struct bench_samples){.name = "call through the full stack, cache miss", .unit = "ns"};
    full.agent = full_stack(bare.agent);
    bench_sample_each(&samples, 300000, call_often, &full);
    bench_print_against(&samples, "call of a local agent", bare_ns);
    print_allocations("allocations of a call through the full stack", &full, &heap);
    if (duress_cache_counts(full.agent).hits != 0 || duress_rate_limiter_counts(full.agent).waited != 0)
        bench_fail("the cache knew an answer, or the rate limiter made a call wait");
    duress_agent_unref(full.agent);
    duress_agent_unref(stacked.agent);
    duress_agent_unref(bare.agent);
    duress_message_unref(bare.request);
    duress_world_free(bare.world);
    return 0;
}
