/* SPDX-License-Identifier: Apache-2.0
 *
 * What is paid for looking: a number recorded in a histogram, a hedge's decision about a call, and one call of a local
 * function agent through the hedge and through the metrics, in the live world with its clock; and what it costs to read
 * the metrics. To hold: neither layer allocates anything once it is warm. */
#include <duress/agent/function.h>
#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/stack.h>
#include <duress/prng.h>
#include <duress/world/live.h>

#include "asker.h"
#include "counting_heap.h"

#define CALLS UINT64_C(300000)
#define DECISIONS UINT64_C(4000000)
#define VALUES 4096

static struct duress_histogram the_histogram;
static struct duress_hedge the_hedge;
static uint64_t the_values[VALUES]; /* latencies of 1 to 2 ms, and one in a hundred of a second */

static void values_ready(void)
{
    struct duress_prng prng;
    duress_prng_init(&prng, 1, 1);
    for (size_t i = 0; i < VALUES; i++) {
        the_values[i] = duress_prng_between(&prng, DURESS_MS, 2 * DURESS_MS);
        if (duress_prng_chance(&prng, 10000))
            the_values[i] = DURESS_S;
    }
}

static void histogram_record(void *context, uint64_t iterations)
{
    struct duress_histogram *histogram = context;
    for (uint64_t i = 0; i < iterations; i++)
        duress_histogram_record(histogram, the_values[i % VALUES]);
}

static void histogram_quantile(void *context, uint64_t iterations)
{
    struct duress_histogram *histogram = context;
    for (uint64_t i = 0; i < iterations; i++)
        bench_keep(duress_histogram_quantile(histogram, 990000));
}

/* A call that succeeds before the delay: begun, when the next attempt would be due, ended and measured. */
static void hedge_decide(void *context, uint64_t iterations)
{
    struct duress_hedge *hedge = context;
    for (uint64_t i = 0; i < iterations; i++) {
        struct duress_hedge_call call;
        uint64_t begun_ns = DURESS_S + i * 1000;
        duress_hedge_begin(hedge, &call, true, DURESS_TIME_NEVER, begun_ns);
        bench_keep(duress_hedge_next_ns(&call));
        if (duress_hedge_ended(hedge, &call, true, begun_ns, begun_ns + the_values[i % VALUES]) != DURESS_HEDGE_WON)
            bench_fail("a success did not win");
    }
}

static void bench_policies(void)
{
    values_ready();
    bench_time_each("histogram record", DECISIONS, histogram_record, &the_histogram);
    bench_time_each("histogram quantile", DECISIONS / 100, histogram_quantile, &the_histogram);
    struct duress_hedge_options options = {.delay_ns = DURESS_MS};
    if (duress_hedge_init(&the_hedge, &options, NULL) != DURESS_OK)
        bench_fail("the hedge refuses its options");
    bench_time_each("hedge decision about a call, fixed delay", DECISIONS, hedge_decide, &the_hedge);
    if (duress_hedge_init(&the_hedge, NULL, NULL) != DURESS_OK)
        bench_fail("the hedge refuses its defaults");
    bench_time_each("hedge decision about a call, measured delay", DECISIONS, hedge_decide, &the_hedge);
}

/* --- whole calls --- */

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void bench_layer(const char *name, const char *allocations_name, struct asker asker, struct duress_agent *agent,
                        double bare_ns, const struct counting_heap *heap)
{
    struct bench_samples samples = {.name = name, .unit = "ns"};
    struct bench_samples allocations = {.name = allocations_name, .unit = "allocations"};
    asker.agent = agent;
    bench_sample_each(&samples, CALLS, asker_run, &asker);
    bench_print_against(&samples, "call of a local agent, beside the hedge's", bare_ns);
    for (size_t run = 0; run < bench_runs(); run++) {
        uint64_t before = heap->allocation_count;
        asker_run(&asker, CALLS / 10);
        bench_samples_add(&allocations, (double)(heap->allocation_count - before) / (double)(CALLS / 10));
    }
    bench_print(&allocations);
}

static void prometheus_write(void *context, uint64_t iterations)
{
    static char text[64 * 1024];
    struct duress_agent *agent = context;
    for (uint64_t i = 0; i < iterations; i++) {
        int length = duress_metrics_prometheus(&agent, 1, text, sizeof text);
        if (length <= 0 || (size_t)length >= sizeof text)
            bench_fail("the exposition does not fit");
    }
}

static void bench_layers(struct asker *bare, const struct counting_heap *heap)
{
    struct duress_agent *hedge = NULL;
    struct duress_agent *metrics = NULL;
    struct duress_agent *stack = NULL;
    struct duress_agent *observed = NULL;
    struct duress_retry_options retry = {.attempts_max = 3};
    struct duress_breaker_layer_options breaker = {.shared = NULL};
    struct duress_timeout_options timeout = {.limit_ns = 30 * DURESS_S};
    struct duress_stack_options layers = {.retry = &retry, .breaker = &breaker, .timeout = &timeout};
    if (duress_with_hedge(bare->agent, NULL, &hedge, NULL) != DURESS_OK ||
        duress_with_metrics(bare->agent, NULL, &metrics, NULL) != DURESS_OK ||
        duress_stack_new(bare->agent, &layers, &stack, NULL) != DURESS_OK ||
        duress_with_metrics(stack, NULL, &observed, NULL) != DURESS_OK)
        bench_fail("cannot make the layers");
    double bare_ns = bench_time_each("call of a local agent, beside the hedge's", CALLS, asker_run, bare);
    bench_layer("call through the hedge", "allocations of a call through the hedge, warm", *bare, hedge, bare_ns, heap);
    bench_layer("call through the metrics", "allocations of a call through the metrics, warm", *bare, metrics, bare_ns,
                heap);
    bench_time_each("metrics of a stack of three layers written for Prometheus", 2000, prometheus_write, observed);
    duress_agent_unref(observed);
    duress_agent_unref(stack);
    duress_agent_unref(metrics);
    duress_agent_unref(hedge);
}

int main(void)
{
    struct counting_heap heap;
    struct asker asker = {.in_flight_max = 1, .idempotent = true};
    counting_heap_init(&heap);
    struct duress_world_live_options options = {.allocator = &heap.allocator};
    bench_policies();
    if (duress_world_live_new(&options, &asker.world, NULL) != DURESS_OK ||
        duress_message_text("hello", &asker.request) != DURESS_OK ||
        duress_function_new(asker.world, "echo", echo, NULL, &asker.agent) != DURESS_OK)
        bench_fail("cannot make the agent");
    bench_layers(&asker, &heap);
    duress_agent_unref(asker.agent);
    duress_message_unref(asker.request);
    duress_world_free(asker.world);
    return 0;
}
