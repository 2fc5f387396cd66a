/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of a local function agent through the cache, as a hit and as a miss that evicts another reply, and through a
 * batch of ten, in the live world with its clock. To hold: a hit costs well below a microsecond and allocates nothing.
 * The figures are of whole calls: begun, answered, and told of from the loop. */
#include <duress/agent/function.h>
#include <duress/middleware/batch.h>
#include <duress/middleware/cache.h>
#include <duress/world/live.h>

#include "asker.h"
#include "counting_heap.h"

#define CALLS UINT64_C(300000)

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void answer_all(void *context, struct duress_batch_run *run)
{
    (void)context;
    for (size_t i = 0; i < run->count; i++)
        duress_batch_run_reply(run, i, run->requests[i]);
    duress_batch_run_end(run);
}

/* Every call has another key: the policy's and the table's whole work, but no request to be made. */
static bool next_key(void *context, struct duress_message *request, struct duress_slice *key)
{
    uint64_t *number = context;
    (void)request;
    ++*number;
    *key = duress_slice_bytes(number, sizeof *number);
    return true;
}

static struct duress_agent *cache_around(struct duress_agent *inner, duress_cache_key_fn key_of, void *context)
{
    struct duress_agent *cache = NULL;
    struct duress_cache_layer_options options = {.key_of = key_of, .context = context};
    if (duress_with_cache(inner, &options, &cache, NULL) != DURESS_OK)
        bench_fail("cannot make the cache");
    return cache;
}

static void print_allocations(struct asker *asker, const char *name, const struct counting_heap *heap)
{
    struct bench_samples samples = {.name = name, .unit = "allocations"};
    for (size_t run = 0; run < bench_runs(); run++) {
        uint64_t before = heap->allocation_count;
        asker_run(asker, CALLS / 10);
        bench_samples_add(&samples, (double)(heap->allocation_count - before) / (double)(CALLS / 10));
    }
    bench_print(&samples);
}

static void bench_cache(struct asker *bare, const struct counting_heap *heap)
{
    struct asker hits = *bare;
    struct asker misses = *bare;
    uint64_t number = 0;
    hits.agent = cache_around(bare->agent, NULL, NULL);
    misses.agent = cache_around(bare->agent, next_key, &number);
    double bare_ns = bench_time_each("call of a local agent, beside the cache's", CALLS, asker_run, bare);
    struct bench_samples hit = {.name = "call through the cache, a hit", .unit = "ns"};
    bench_sample_each(&hit, CALLS, asker_run, &hits);
    bench_print_against(&hit, "call of a local agent, beside the cache's", bare_ns);
    struct bench_samples miss = {.name = "call through the cache, a miss that evicts", .unit = "ns"};
    bench_sample_each(&miss, CALLS, asker_run, &misses);
    bench_print_against(&miss, "call of a local agent, beside the cache's", bare_ns);
    if (duress_cache_counts(hits.agent).misses != 1 || duress_cache_counts(misses.agent).hits != 0)
        bench_fail("the hits were not hits, or the misses not misses");
    print_allocations(&hits, "allocations of a cache hit", heap);
    duress_agent_unref(hits.agent);
    duress_agent_unref(misses.agent);
}

static void bench_batch(const struct asker *bare, const struct counting_heap *heap)
{
    struct asker asker = *bare;
    struct duress_batch_agent_options options = {.batch = {.items_max = 10}, .begin = answer_all};
    if (duress_batch_new(bare->world, "batch", &options, &asker.agent, NULL) != DURESS_OK)
        bench_fail("cannot make the batch");
    asker.in_flight_max = 10;
    bench_time_each("call in a batch of 10", CALLS, asker_run, &asker);
    if (duress_batch_counts(asker.agent).items_least != 10)
        bench_fail("a batch was not full");
    print_allocations(&asker, "allocations of a call in a batch", heap);
    duress_agent_unref(asker.agent);
}

int main(void)
{
    struct counting_heap heap;
    counting_heap_init(&heap);
    struct duress_world_live_options options = {.allocator = &heap.allocator};
    struct asker bare = {.in_flight_max = 1, .idempotent = true};
    if (duress_world_live_new(&options, &bare.world, NULL) != DURESS_OK ||
        duress_function_new(bare.world, "echo", echo, NULL, &bare.agent) != DURESS_OK ||
        duress_message_text("hello", &bare.request) != DURESS_OK)
        bench_fail("cannot make the agent");
    bench_cache(&bare, &heap);
    bench_batch(&bare, &heap);
    duress_agent_unref(bare.agent);
    duress_message_unref(bare.request);
    duress_world_free(bare.world);
    return 0;
}
