/* SPDX-License-Identifier: Apache-2.0
 *
 * The universe: its options, its run, its trace. */
#include "option.h"
#include "sim_private.h"

#define START_NS DURESS_S
#define DELAY_NS_MIN_DEFAULT (50 * DURESS_US)
#define DELAY_NS_MAX_DEFAULT (5 * DURESS_MS)
#define EVENTS_MAX_DEFAULT UINT64_C(50000000)
#define SOCKET_BUFFER_BYTES_DEFAULT ((size_t)256 * 1024)
#define SOCKET_BUFFER_BYTES_MAX ((size_t)1 << 30)
#define TRACE_HASH_START UINT64_C(0x6475726573732121)

static const char *const event_names[] = {
#define X(name, text) text,
    SIM_EVENT_LIST(X)
#undef X
};

/* --- trace --- */

static uint64_t hash_fold(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

void duress__sim_trace(struct duress_sim *sim, enum sim_event event, uint64_t a, uint64_t b)
{
    uint64_t hash = hash_fold(sim->trace_hash, (uint64_t)event);
    hash = hash_fold(hash, sim->now_ns);
    hash = hash_fold(hash, a);
    sim->trace_hash = hash_fold(hash, b);
    if (sim->trace_fn != NULL)
        sim->trace_fn(sim->trace_context, sim->now_ns, event_names[event], a, b);
}

void duress__sim_note(struct duress_sim *sim, const char *what, uint64_t a, uint64_t b)
{
    uint64_t hash = hash_fold(sim->trace_hash, SIM_EVENT_NOTE);
    for (const char *letter = what; *letter != '\0'; letter++)
        hash = hash_fold(hash, (unsigned char)*letter);
    hash = hash_fold(hash, sim->now_ns);
    hash = hash_fold(hash, a);
    sim->trace_hash = hash_fold(hash, b);
    if (sim->trace_fn != NULL)
        sim->trace_fn(sim->trace_context, sim->now_ns, what, a, b);
}

void duress_sim_trace(struct duress_sim *sim, duress_sim_trace_fn fn, void *context)
{
    if (sim == NULL)
        return;
    sim->trace_fn = fn;
    sim->trace_context = context;
}

uint64_t duress_sim_trace_hash(const struct duress_sim *sim)
{
    return sim != NULL ? sim->trace_hash : 0;
}

uint64_t duress_sim_event_count(const struct duress_sim *sim)
{
    return sim != NULL ? sim->event_count : 0;
}

uint64_t duress_sim_now_ns(const struct duress_sim *sim)
{
    return sim != NULL ? sim->now_ns : 0;
}

uint64_t duress_sim_seed(const struct duress_sim *sim)
{
    return sim != NULL ? sim->seed : 0;
}

/* --- chance --- */

uint64_t duress__sim_delay_draw(struct duress_sim *sim, uint64_t id)
{
    uint64_t delay_ns = sim->delay_ns_min;
    if (sim->delay_ns_min < sim->delay_ns_max) {
        delay_ns = duress_prng_between(&sim->delay_prng, sim->delay_ns_min, sim->delay_ns_max);
        duress__sim_trace(sim, SIM_EVENT_DELAY, id, delay_ns);
    }
    if (delay_ns > sim->delay_ns_seen_max)
        sim->delay_ns_seen_max = delay_ns;
    return delay_ns;
}

uint64_t duress_sim_delay_ns_max(const struct duress_sim *sim)
{
    return sim != NULL ? sim->delay_ns_seen_max : 0;
}

/* --- events --- */

static uint64_t rank_draw(struct duress_sim *sim)
{
    return sim->seed == 0 ? 0 : duress_prng_next(&sim->rank_prng);
}

static struct duress_timer *timer_of(struct duress_timer_node *node)
{
    return (struct duress_timer *)(void *)((char *)node - offsetof(struct duress_timer, node));
}

void duress__sim_disarm(struct duress_sim *sim, struct duress_timer *timer)
{
    const struct sim_home *home = timer->owner;
    duress__timer_heap_remove(home != NULL ? home->heap : &sim->heap, &timer->node);
}

void duress__sim_arm(struct duress_sim *sim, struct sim_home *home, struct duress_timer *timer, uint64_t at_ns)
{
    if (duress_timer_is_armed(timer))
        duress__sim_disarm(sim, timer);
    timer->owner = home;
    duress__timer_heap_insert(&sim->heap, &timer->node, at_ns, rank_draw(sim));
}

/* What is due on a stopped process waits in its own heap, in the same order. */
static void timer_hold(struct duress_sim_host *host, struct duress_timer *timer, const struct sim_home *home)
{
    timer->owner = &host->held_homes[home->is_user];
    duress__timer_heap_insert(&host->held, &timer->node, timer->node.at_ns, timer->node.rank);
}

void duress__sim_host_thaw(struct duress_sim_host *host)
{
    struct duress_timer_node *node;
    while ((node = duress__timer_heap_first(&host->held)) != NULL) {
        struct duress_timer *timer = timer_of(node);
        const struct sim_home *home = timer->owner;
        duress__timer_heap_remove(&host->held, node);
        timer->owner = &host->homes[home->is_user];
        duress__timer_heap_insert(&host->sim->heap, node, node->at_ns, node->rank);
    }
}

static void event_execute(struct duress_sim *sim, struct duress_timer_node *node)
{
    struct duress_timer *timer = timer_of(node);
    const struct sim_home *home = timer->owner;
    duress__timer_heap_remove(&sim->heap, node);
    if (node->at_ns > sim->now_ns)
        sim->now_ns = node->at_ns;
    sim->event_count++;
    if (home != NULL && home->host->is_frozen) {
        timer_hold(home->host, timer, home);
        return;
    }
    if (home != NULL && home->is_user)
        duress__sim_trace(sim, SIM_EVENT_TIMER, home->host->number, node->sequence);
    timer->fn(timer->context);
}

static int sim_run(struct duress_sim *sim, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    for (;;) {
        if (done != NULL && done(context))
            return DURESS_OK;
        if (sim->event_count >= sim->events_max)
            return DURESS_E_TOO_LARGE;
        if (duress__sim_later_run(sim)) {
            sim->event_count++;
            continue;
        }
        struct duress_timer_node *node = duress__timer_heap_first(&sim->heap);
        if (node == NULL)
            return DURESS_E_END;
        if (node->at_ns > deadline_ns) {
            if (deadline_ns > sim->now_ns)
                sim->now_ns = deadline_ns;
            return DURESS_E_DEADLINE;
        }
        event_execute(sim, node);
    }
}

int duress_sim_run_until(struct duress_sim *sim, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    if (sim == NULL || sim->is_running)
        return DURESS_E_INVALID;
    sim->is_running = true;
    int result = sim_run(sim, done, context, deadline_ns);
    sim->is_running = false;
    return result;
}

/* --- a universe --- */

static bool options_check(const struct duress_sim_options *options, struct duress_failure *why)
{
    return duress__option_in_range("delay_ns_max", options->delay_ns_max, 0, DURESS_TIME_NEVER / 2 - 1, why) &&
           duress__option_in_range("delay_ns_min", options->delay_ns_min, 0, options->delay_ns_max, why) &&
           duress__option_in_range("send_buffer_bytes", options->send_buffer_bytes, 0, SOCKET_BUFFER_BYTES_MAX, why) &&
           duress__option_in_range("receive_buffer_bytes", options->receive_buffer_bytes, 0, SOCKET_BUFFER_BYTES_MAX,
                                   why);
}

static size_t bytes_or_default(size_t bytes)
{
    return bytes > 0 ? bytes : SOCKET_BUFFER_BYTES_DEFAULT;
}

static void sim_configure(struct duress_sim *sim, const struct duress_sim_options *options)
{
    sim->seed = options->seed;
    sim->delay_ns_min = options->delay_ns_min;
    sim->delay_ns_max = options->delay_ns_max;
    if (sim->seed == 0) {
        sim->delay_ns_max = sim->delay_ns_min; /* the plain schedule draws nothing */
    } else if (sim->delay_ns_max == 0) {
        sim->delay_ns_min = DELAY_NS_MIN_DEFAULT;
        sim->delay_ns_max = DELAY_NS_MAX_DEFAULT;
    }
    sim->events_max = options->events_max > 0 ? options->events_max : EVENTS_MAX_DEFAULT;
    sim->send_bytes_max = bytes_or_default(options->send_buffer_bytes);
    sim->receive_bytes_max = bytes_or_default(options->receive_buffer_bytes);
    sim->now_ns = START_NS;
    sim->trace_hash = hash_fold(TRACE_HASH_START, sim->seed);
    duress__timer_heap_init(&sim->heap);
    duress_prng_init(&sim->rank_prng, sim->seed, SIM_PURPOSE_RANK);
    duress_prng_init(&sim->delay_prng, sim->seed, SIM_PURPOSE_DELAY);
}

int duress_sim_new(const struct duress_sim_options *options, struct duress_sim **sim, struct duress_failure *why)
{
    static const struct duress_sim_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    if (sim == NULL) {
        duress__world_refuse(why, DURESS_E_INVALID, "sim: must be given");
        return DURESS_E_INVALID;
    }
    if (!options_check(options, why))
        return DURESS_E_INVALID;
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_allocator_default();
    struct duress_sim *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL) {
        duress__world_refuse(why, DURESS_E_NO_MEMORY, "no memory for the simulation");
        return DURESS_E_NO_MEMORY;
    }
    made->allocator = allocator;
    duress__sim_pool_init(&made->pool, allocator);
    sim_configure(made, options);
    *sim = made;
    return DURESS_OK;
}

void duress_sim_free(struct duress_sim *sim)
{
    if (sim == NULL)
        return;
    DURESS_ASSERT(!sim->is_running);
    duress__sim_relays_free(sim);
    while (sim->connections != NULL)
        duress__sim_connection_free(sim->connections);
    for (uint32_t i = 0; i < sim->host_count; i++)
        duress__sim_host_free(sim->hosts[i]);
    duress__sim_names_free(sim);
    duress__sim_pool_deinit(&sim->pool);
    duress_release(sim->allocator, sim->hosts);
    duress_release(sim->allocator, sim->blocked);
    duress_release(sim->allocator, sim);
}

int duress_world_sim_new(uint64_t seed, struct duress_world **world)
{
    if (world == NULL)
        return DURESS_E_INVALID;
    struct duress_sim *sim = NULL;
    int error = duress_sim_new(&(struct duress_sim_options){.seed = seed}, &sim, NULL);
    if (error != DURESS_OK)
        return error;
    error = duress_sim_host_new(sim, "localhost", &sim->sole_host);
    if (error != DURESS_OK) {
        duress_sim_free(sim);
        return error;
    }
    *world = duress_sim_host_world(sim->sole_host);
    return DURESS_OK;
}
