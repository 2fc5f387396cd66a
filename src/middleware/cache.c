/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/cache.h>

#include <assert.h>
#include <string.h>

#include "layer_private.h"

#define CACHE_PURPOSE UINT64_C(0x6475726573735f63) /* of the hash's key, among the world's random streams */

enum {
    CACHE_MESSAGE_OVERHEAD_BYTES = 80, /* what a message needs beside its bytes, generously */
    CACHE_FLIGHTS_NESTED_MAX = 64,     /* in each other's calls, before one is taken for a circle */
    CACHE_SWEEP_COUNT = 2,             /* dead entries that a call sweeps out: more than it can bring in */
};

struct cache_entry {
    struct duress_cache_entry entry; /* first: the policy knows this part */
    struct cache_layer *layer;
    struct duress_message *key;   /* what the key's bytes are part of */
    struct duress_message *reply; /* NULL: none */
    struct duress_call *flight;   /* NULL: none */
    struct cache_entry *next_free;
};

struct cache_layer {
    struct layer layer;
    struct duress_cache_layer_options options;
    struct duress_cache cache;
    struct duress_cache_entry **buckets;
    struct cache_entry *free_entries;
    uint64_t hits;
    uint64_t misses;
    uint64_t joined;
    uint64_t passed;
    uint64_t stale;
};

struct cache_call {
    struct duress_cache_waiter waiter; /* first: what the policy hands back */
    struct duress_call *call;
    struct duress_call *child; /* of one that passes through; NULL: it waits */
};

/* --- entries --- */

static struct cache_entry *cache_entry_new(struct cache_layer *layer)
{
    struct cache_entry *entry = layer->free_entries;
    if (entry != NULL)
        layer->free_entries = entry->next_free;
    else
        entry = duress_allocate(layer->layer.base.allocator, sizeof *entry);
    if (entry != NULL)
        *entry = (struct cache_entry){.layer = layer};
    return entry;
}

static void cache_entry_free(struct cache_entry *entry)
{
    duress_message_unref(entry->key);
    entry->next_free = entry->layer->free_entries;
    entry->layer->free_entries = entry;
}

/* After the policy has taken something out: what the entry had is given back. */
static void cache_entry_settle(struct cache_entry *entry)
{
    if (!entry->entry.stored) {
        duress_message_unref(entry->reply);
        entry->reply = NULL;
    }
    if (duress_cache_entry_is_idle(&entry->entry))
        cache_entry_free(entry);
}

static void cache_sweep(struct cache_layer *layer, uint64_t now_ns)
{
    for (int i = 0; i < CACHE_SWEEP_COUNT; i++) {
        struct cache_entry *dead = (struct cache_entry *)duress_cache_dead(&layer->cache, now_ns);
        if (dead == NULL)
            return;
        cache_entry_settle(dead);
    }
}

static void cache_forget(struct cache_layer *layer, struct cache_entry *entry)
{
    duress_cache_forget(&layer->cache, &entry->entry);
    cache_entry_settle(entry);
}

static void cache_forget_all(struct cache_layer *layer)
{
    for (;;) {
        struct cache_entry *entry = (struct cache_entry *)duress_cache_first(&layer->cache);
        if (entry == NULL)
            return;
        cache_forget(layer, entry);
    }
}

static uint64_t message_bytes(const struct duress_message *message)
{
    return CACHE_MESSAGE_OVERHEAD_BYTES + duress_message_role(message).length + duress_message_content(message).length +
           duress_message_metadata(message).length;
}

/* --- keys --- */

/* False: |request| has none. */
static bool cache_key_of(const struct cache_layer *layer, struct duress_message *request, struct duress_cache_key *key)
{
    *key = (struct duress_cache_key){.content = {.length = 0}};
    if (layer->options.key_of != NULL)
        return layer->options.key_of(layer->options.context, request, &key->content);
    key->role = duress_message_role(request);
    key->content = duress_message_content(request);
    key->metadata = duress_message_metadata(request);
    return true;
}

/* An entry for |key|, in the table, that holds what the key's bytes are part of; NULL where memory is out. */
static struct cache_entry *cache_entry_for(struct cache_layer *layer, struct duress_message *request,
                                           const struct duress_cache_key *key, uint64_t hash)
{
    struct duress_cache_key kept = *key;
    struct cache_entry *entry = cache_entry_new(layer);
    if (entry == NULL)
        return NULL;
    if (layer->options.key_of == NULL) {
        entry->key = duress_message_ref(request);
    } else {
        struct duress_message_options copy = {.content = key->content, .allocator = layer->layer.base.allocator};
        if (duress_message_new(&copy, &entry->key) != DURESS_OK) {
            cache_entry_free(entry);
            return NULL;
        }
        kept.content = duress_message_content(entry->key);
    }
    duress_cache_insert(&layer->cache, &entry->entry, &kept, hash);
    return entry;
}

/* --- the end of a flight --- */

/* The root of the flight says that a deadline passed as if it were the caller's: it is the layer's. */
static void cache_claim_deadline(const struct cache_layer *layer, const struct duress_call *flight,
                                 struct duress_failure *failure)
{
    if (layer->options.flight_limit_ns == DURESS_TIME_NEVER || failure->code != DURESS_E_DEADLINE ||
        failure->origin != DURESS_ORIGIN_CALLER)
        return;
    bool ambiguous = failure->ambiguous;
    duress_failure_set(failure, DURESS_E_DEADLINE, DURESS_ORIGIN_CACHE, "flight_limit_ns, %llu us, passed %s",
                       (unsigned long long)(layer->options.flight_limit_ns / DURESS_US),
                       duress_call_stage_text(flight));
    failure->ambiguous = ambiguous;
}

/* A reference to what callers get in place of |stale|->failure; NULL: they get that. Takes |stale|->reply's. */
static struct duress_message *cache_stale_reply(const struct duress_cache_layer_options *options,
                                                const struct duress_cache_stale *stale)
{
    duress_stale_if_fn stale_if = options->stale_if != NULL ? options->stale_if : duress_cache_stale_if;
    if (!stale_if(options->context, stale->failure)) {
        duress_message_unref(stale->reply);
        return NULL;
    }
    struct duress_message *given = options->on_stale != NULL ? options->on_stale(options->context, stale) : NULL;
    if (given == NULL)
        return stale->reply;
    duress_message_unref(stale->reply);
    return given;
}

/* Tells all that have waited. Whoever is told may cancel others among them. */
static void cache_deliver(struct cache_layer *layer, struct duress_cache_link *waiters, struct duress_message *reply,
                          const struct duress_failure *failure)
{
    for (;;) {
        struct cache_call *state = (struct cache_call *)duress_cache_next(waiters);
        if (state == NULL)
            return;
        if (reply != NULL) {
            layer->stale += failure != NULL;
            layer_count_end(&layer->layer, &layer->layer.counts.succeeded);
            duress_call_reply(state->call, reply);
        } else {
            layer_count_end(&layer->layer, &layer->layer.counts.failed);
            duress_call_fail(state->call, failure);
        }
    }
}

static void cache_keep(struct cache_layer *layer, struct cache_entry *entry, struct duress_message *reply,
                       uint64_t now_ns)
{
    uint64_t bytes = sizeof *entry + message_bytes(entry->key) + message_bytes(reply);
    struct duress_message *before = entry->reply;
    bool kept = duress_cache_store(&layer->cache, &entry->entry, bytes, now_ns);
    entry->reply = kept ? duress_message_ref(reply) : NULL;
    duress_message_unref(before);
    for (;;) {
        struct cache_entry *excess = (struct cache_entry *)duress_cache_excess(&layer->cache);
        if (excess == NULL)
            return;
        cache_entry_settle(excess);
    }
}

/* What is said of the entry is noted first: the user's functions may cancel callers and have keys forgotten. */
static void cache_flight_failed(struct cache_layer *layer, struct cache_entry *entry, struct duress_call *flight,
                                const struct duress_result *result)
{
    struct duress_cache_link waiters;
    struct duress_failure failure = *result->failure;
    struct duress_message *reply = NULL;
    struct duress_cache_stale stale = {
        .request = flight->request,
        .age_ns = duress_time_until(entry->entry.stored_ns, result->ended_ns),
        .failure = &failure,
        .callers = entry->entry.waiting_count,
    };
    if (duress_cache_is_stale(&layer->cache, &entry->entry, result->ended_ns))
        stale.reply = duress_message_ref(entry->reply);
    duress_cache_land(&layer->cache, &entry->entry, &waiters);
    cache_entry_settle(entry);
    cache_claim_deadline(layer, flight, &failure);
    if (stale.reply != NULL)
        reply = cache_stale_reply(&layer->options, &stale);
    cache_deliver(layer, &waiters, reply, &failure);
    duress_message_unref(reply);
}

static void cache_flight_ended(void *context, struct duress_call *flight, const struct duress_result *result)
{
    struct cache_entry *entry = context;
    struct cache_layer *layer = entry->layer;
    struct duress_cache_link waiters;
    duress_agent_ref(&layer->layer.base); /* callers may give theirs back */
    entry->flight = NULL;
    if (result->error != DURESS_OK) {
        cache_flight_failed(layer, entry, flight, result);
    } else {
        cache_keep(layer, entry, result->reply, result->ended_ns);
        duress_cache_land(&layer->cache, &entry->entry, &waiters);
        cache_entry_settle(entry);
        cache_deliver(layer, &waiters, result->reply, NULL);
    }
    duress_agent_unref(&layer->layer.base);
}

/* --- calls --- */

static void cache_passed_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct cache_call *state = context;
    struct layer *layer = (struct layer *)state->call->agent;
    (void)child;
    layer_count_end(layer, result->error == DURESS_OK ? &layer->counts.succeeded : &layer->counts.failed);
    duress_call_pass(state->call, result);
}

static void cache_pass(struct cache_layer *layer, struct cache_call *state)
{
    struct duress_child child = {.agent = layer->layer.inner, .on_end = cache_passed_ended, .context = state};
    layer->passed++;
    if (duress_call_begin(state->call, &child, &state->child) == DURESS_OK)
        return;
    layer->passed--;
    duress__layer_fail_memory(&layer->layer, state->call, DURESS_ORIGIN_CACHE);
}

static void cache_refuse(struct cache_layer *layer, struct duress_call *call, struct duress_failure *failure)
{
    failure->ambiguous = false;
    layer_count_end(&layer->layer, &layer->layer.counts.refused);
    duress_call_fail(call, failure);
}

static void cache_refuse_full(struct cache_layer *layer, struct duress_call *call)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_BULKHEAD_FULL, DURESS_ORIGIN_CACHE,
                       "%u calls wait for calls below already, as many as waiting_max allows",
                       (unsigned)layer->options.cache.waiting_max);
    cache_refuse(layer, call, &failure);
}

static void cache_refuse_circle(struct cache_layer *layer, struct duress_call *call)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_INVALID, DURESS_ORIGIN_CACHE,
                       "the call below would wait for itself: does an agent ask itself?");
    cache_refuse(layer, call, &failure);
}

/* The entry, of whatever cache, whose flight |call| is a part of; NULL: it is part of none. */
static const struct cache_entry *cache_entry_above(const struct duress_call *call)
{
    while (call->parent != NULL)
        call = call->parent;
    return call->on_end == cache_flight_ended ? call->context : NULL;
}

/* Whether something that |entry|'s flight has begun waits for |waited|'s. There is no circle among those that wait, for
 * each that would close one is refused; |depth| bounds the stack where flights are nested without end. */
static bool cache_is_waited_for(const struct cache_entry *waited, const struct cache_entry *entry, unsigned depth)
{
    if (waited == NULL)
        return false;
    if (waited == entry || depth == 0)
        return true;
    const struct duress_cache_waiter *waiter = NULL;
    while ((waiter = duress_cache_waiter_after(&waited->entry, waiter)) != NULL)
        if (cache_is_waited_for(cache_entry_above(((const struct cache_call *)waiter)->call), entry, depth - 1))
            return true;
    return false;
}

/* What the call below has sent is not seen from here. */
static void cache_mark_waiting(struct duress_call *call)
{
    duress_call_mark_sent(call);
    duress_call_mark_stage(call, DURESS_ORIGIN_CACHE);
}

static void cache_join(struct cache_layer *layer, struct cache_call *state, struct cache_entry *entry)
{
    /* Its flight belongs to no caller: no deadline and no depth of calls would end a circle. */
    if (cache_is_waited_for(cache_entry_above(state->call), entry, CACHE_FLIGHTS_NESTED_MAX)) {
        cache_refuse_circle(layer, state->call);
        return;
    }
    layer->joined++;
    cache_mark_waiting(state->call);
    duress_cache_join(&layer->cache, &entry->entry, &state->waiter);
}

/* Begins the one call below. It is no child of |state|'s call, which may go before it ends. */
static void cache_take_off(struct cache_layer *layer, struct cache_entry *entry, struct cache_call *state)
{
    struct duress_call *call = state->call;
    struct duress_ask ask = {
        .request = call->request,
        .deadline_ns = duress_time_add(duress_call_started_ns(call), layer->options.flight_limit_ns),
        .idempotent = call->idempotent,
        .on_end = cache_flight_ended,
        .context = entry,
    };
    layer->misses++;
    duress_cache_lead(&layer->cache, &entry->entry, &state->waiter);
    if (duress_agent_ask(layer->layer.inner, &ask, &entry->flight) == DURESS_OK)
        return;
    layer->misses--;
    if (duress_cache_leave(&layer->cache, &state->waiter))
        cache_entry_settle(entry);
    duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_CACHE);
}

static void cache_ask(struct cache_layer *layer, struct cache_call *state, struct cache_entry *entry,
                      const struct duress_cache_key *key, uint64_t hash)
{
    struct duress_call *call = state->call;
    switch (duress_cache_decide(&layer->cache, entry != NULL ? &entry->entry : NULL, duress_call_started_ns(call))) {
    case DURESS_CACHE_HIT:
        DURESS_ASSERT(entry != NULL);
        layer->hits++;
        layer_count_end(&layer->layer, &layer->layer.counts.succeeded);
        duress_call_reply(call, entry->reply);
        return;
    case DURESS_CACHE_FULL:
        cache_refuse_full(layer, call);
        return;
    case DURESS_CACHE_JOIN:
        DURESS_ASSERT(entry != NULL);
        cache_join(layer, state, entry);
        return;
    case DURESS_CACHE_LEAD:
        break;
    }
    if (entry == NULL)
        entry = cache_entry_for(layer, call->request, key, hash);
    if (entry == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_CACHE);
        return;
    }
    cache_mark_waiting(call);
    cache_take_off(layer, entry, state);
}

static void cache_process(struct duress_agent *agent, struct duress_call *call)
{
    struct cache_layer *layer = (struct cache_layer *)agent;
    struct cache_call *state = duress_call_allocate(call, sizeof *state);
    struct duress_cache_key key;
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_CACHE);
        return;
    }
    *state = (struct cache_call){.call = call};
    call->state = state;
    if (call->streaming || (!call->idempotent && !layer->options.all_calls) ||
        !cache_key_of(layer, call->request, &key)) {
        cache_pass(layer, state);
        return;
    }
    cache_sweep(layer, duress_call_started_ns(call));
    uint64_t hash = duress_cache_hash(&layer->cache, &key);
    cache_ask(layer, state, (struct cache_entry *)duress_cache_find(&layer->cache, &key, hash), &key, hash);
}

static void cache_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct cache_layer *layer = (struct cache_layer *)agent;
    struct cache_call *state = call->state;
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
    if (state->child != NULL) {
        duress_call_abandon(state->child);
        return;
    }
    struct cache_entry *entry = (struct cache_entry *)state->waiter.entry;
    if (!duress_cache_leave(&layer->cache, &state->waiter))
        return;
    struct duress_call *flight = entry->flight;
    entry->flight = NULL;
    cache_entry_settle(entry);
    duress_call_drop(flight);
}

/* --- making it --- */

static void cache_release(struct layer *base)
{
    struct cache_layer *layer = (struct cache_layer *)base;
    if (layer->buckets == NULL)
        return;
    cache_forget_all(layer);
    while (layer->free_entries != NULL) {
        struct cache_entry *entry = layer->free_entries;
        layer->free_entries = entry->next_free;
        duress_release(base->base.allocator, entry);
    }
    duress_release(base->base.allocator, layer->buckets);
}

static const struct layer_figure cache_figures[] = {
    {.name = "hits", .help = "Calls answered by a fresh reply", .type = DURESS_FIGURE_COUNTER},
    {.name = "misses", .help = "Calls that began a call below", .type = DURESS_FIGURE_COUNTER},
    {.name = "joined", .help = "Calls that waited for one that another had begun", .type = DURESS_FIGURE_COUNTER},
    {.name = "passed", .help = "Calls that passed through", .type = DURESS_FIGURE_COUNTER},
    {.name = "stale", .help = "Calls answered by an old reply in place of a failure", .type = DURESS_FIGURE_COUNTER},
    {.name = "evicted", .help = "Replies given up for others", .type = DURESS_FIGURE_COUNTER},
    {.name = "expired", .help = "Replies given up because they were too old", .type = DURESS_FIGURE_COUNTER},
    {.name = "invalidated", .help = "Keys forgotten on request", .type = DURESS_FIGURE_COUNTER},
    {.name = "too_large", .help = "Replies not kept because of their size", .type = DURESS_FIGURE_COUNTER},
    {.name = "entries", .help = "Replies kept", .type = DURESS_FIGURE_GAUGE},
    {.name = "bytes", .help = "Memory of what is kept", .type = DURESS_FIGURE_GAUGE},
    {.name = "flights", .help = "Calls below under way", .type = DURESS_FIGURE_GAUGE},
};

static void cache_tell(const struct layer *base, uint64_t *values)
{
    const struct cache_layer *layer = (const struct cache_layer *)base;
    const struct duress_cache_counts *counts = &layer->cache.counts;
    const uint64_t told[] = {
        layer->hits,     layer->misses,       layer->joined,     layer->passed,   layer->stale,  counts->evicted,
        counts->expired, counts->invalidated, counts->too_large, counts->entries, counts->bytes, counts->flights,
    };
    static_assert(sizeof told / sizeof told[0] == sizeof cache_figures / sizeof cache_figures[0], "one each");
    memcpy(values, told, sizeof told);
}

static const struct layer_kind cache_kind = {
    .ops = {cache_process, cache_cancel, duress__layer_free},
    .name = "cache",
    .figures = cache_figures,
    .figure_count = sizeof cache_figures / sizeof cache_figures[0],
    .tell = cache_tell,
    .release = cache_release,
};

static int cache_options_check(struct duress_cache_layer_options *options, struct duress_failure *why)
{
    int error = duress_cache_options_init(&options->cache, &options->cache, why);
    if (error != DURESS_OK)
        return error;
    if (options->flight_limit_ns == 0)
        options->flight_limit_ns = DURESS_TIME_NEVER;
    if (options->flight_limit_ns > DURESS_CACHE_TTL_NS_MAX && options->flight_limit_ns != DURESS_TIME_NEVER)
        return duress__layer_refuse(why, "flight_limit_ns: more than DURESS_CACHE_TTL_NS_MAX, 366 days");
    if (options->cache.stale_ns == 0 && (options->stale_if != NULL || options->on_stale != NULL))
        return duress__layer_refuse(why, "stale_if and on_stale: only where cache.stale_ns is set");
    return DURESS_OK;
}

static int cache_layer_init(struct cache_layer *layer, const struct duress_cache_layer_options *options,
                            struct duress_failure *why)
{
    struct duress_agent *agent = &layer->layer.base;
    size_t count = duress_cache_bucket_count(&options->cache);
    layer->options = *options;
    layer->buckets = duress_allocate_zeroed(agent->allocator, count, sizeof(struct duress_cache_entry *));
    if (layer->buckets == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    struct duress_prng prng;
    uint64_t hash_key[2];
    duress_world_prng(agent->world, CACHE_PURPOSE, &prng);
    hash_key[0] = duress_prng_next(&prng);
    hash_key[1] = duress_prng_next(&prng);
    duress_cache_init(&layer->cache, &options->cache, layer->buckets, hash_key);
    return DURESS_OK;
}

int duress_with_cache(struct duress_agent *inner, const struct duress_cache_layer_options *options,
                      struct duress_agent **outer, struct duress_failure *why)
{
    struct duress_cache_layer_options complete = {.all_calls = false};
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    if (options != NULL)
        complete = *options;
    int error = cache_options_check(&complete, why);
    if (error != DURESS_OK)
        return error;
    struct cache_layer *layer = duress__layer_new(sizeof *layer, &cache_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    error = cache_layer_init(layer, &complete, why);
    if (error != DURESS_OK) {
        duress_agent_unref(&layer->layer.base);
        return error;
    }
    *outer = &layer->layer.base;
    return DURESS_OK;
}

/* --- for users --- */

bool duress_cache_stale_if(void *context, const struct duress_failure *failure)
{
    (void)context;
    switch (failure->code) {
    case DURESS_E_CIRCUIT_OPEN:
    case DURESS_E_RATE_LIMITED:
    case DURESS_E_BULKHEAD_FULL:
    case DURESS_E_RETRY_BUDGET_SPENT:
        return true;
    default:
        return duress_error_is_retryable(failure->code) || duress_error_is_counted(failure->code);
    }
}

static struct cache_layer *cache_of(struct duress_agent *agent)
{
    return (struct cache_layer *)duress__layer_find(agent, &cache_kind);
}

bool duress_cache_invalidate(struct duress_agent *agent, struct duress_message *request)
{
    struct cache_layer *layer = cache_of(agent);
    struct duress_cache_key key;
    if (layer == NULL || request == NULL || !cache_key_of(layer, request, &key))
        return false;
    uint64_t hash = duress_cache_hash(&layer->cache, &key);
    struct cache_entry *entry = (struct cache_entry *)duress_cache_find(&layer->cache, &key, hash);
    if (entry == NULL)
        return false;
    cache_forget(layer, entry);
    return true;
}

void duress_cache_clear(struct duress_agent *agent)
{
    struct cache_layer *layer = cache_of(agent);
    if (layer != NULL)
        cache_forget_all(layer);
}

struct duress_cache_layer_counts duress_cache_counts(const struct duress_agent *agent)
{
    const struct cache_layer *layer = duress__layer_find(agent, &cache_kind);
    struct duress_cache_layer_counts counts = {.hits = 0};
    if (layer == NULL)
        return counts;
    counts.calls = layer->layer.counts;
    counts.hits = layer->hits;
    counts.misses = layer->misses;
    counts.joined = layer->joined;
    counts.passed = layer->passed;
    counts.stale = layer->stale;
    counts.cache = layer->cache.counts;
    return counts;
}
