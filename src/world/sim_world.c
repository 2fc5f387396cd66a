/* SPDX-License-Identifier: Apache-2.0
 *
 * A host as a world: timers, calls to be made later, posts, chance; and the table of all its functions. */
#include "sim_private.h"

#define WALL_START_NS UINT64_C(1767225600000000000) /* 2026-01-01T00:00:00Z is virtual time 0 */

struct duress_sim_host *duress__sim_host_of(struct duress_world *world)
{
    return (struct duress_sim_host *)world;
}

static void host_world_free(struct duress_world *world)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    if (host == host->sim->sole_host)
        duress_sim_free(host->sim);
    else
        duress_sim_host_kill(host); /* The rest of it goes with the universe. */
}

static uint64_t host_now_ns(struct duress_world *world)
{
    return duress__sim_host_of(world)->sim->now_ns;
}

static uint64_t host_wall_ns(struct duress_world *world)
{
    return WALL_START_NS + duress__sim_host_of(world)->sim->now_ns;
}

static void host_disarm(struct duress_world *world, struct duress_timer *timer)
{
    if (duress_timer_is_armed(timer))
        duress__sim_disarm(duress__sim_host_of(world)->sim, timer);
}

static void host_arm(struct duress_world *world, struct duress_timer *timer, uint64_t at_ns)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    if (host->is_alive)
        duress__sim_arm(host->sim, &host->homes[true], timer, at_ns);
}

/* --- later --- */

static void host_enqueue(struct duress_sim_host *host)
{
    struct duress_sim *sim = host->sim;
    if (host->is_later_queued)
        return;
    host->is_later_queued = true;
    host->later_next = NULL;
    if (sim->later_last != NULL)
        sim->later_last->later_next = host;
    else
        sim->later_first = host;
    sim->later_last = host;
}

static void later_append(struct sim_later_queue *queue, struct duress_later *later)
{
    later->next = NULL;
    later->previous = queue->last != NULL ? queue->last : later; /* itself where it is the first */
    if (queue->last != NULL)
        queue->last->next = later;
    else
        queue->first = later;
    queue->last = later;
}

static void later_remove(struct sim_later_queue *queue, struct duress_later *later)
{
    struct duress_later *previous = later->previous == later ? NULL : later->previous;
    if (previous != NULL)
        previous->next = later->next;
    else
        queue->first = later->next;
    if (later->next != NULL)
        later->next->previous = previous != NULL ? previous : later->next;
    else
        queue->last = previous;
    later->next = NULL;
    later->previous = NULL;
}

static void host_defer(struct duress_world *world, struct duress_later *later)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    if (!host->is_alive || later->previous != NULL)
        return;
    later_append(&host->laters, later);
    host_enqueue(host);
}

static void host_undefer(struct duress_world *world, struct duress_later *later)
{
    if (later->previous != NULL)
        later_remove(&duress__sim_host_of(world)->laters, later);
}

static void host_post(struct duress_world *world, struct duress_post *post)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    struct duress_post *next = atomic_load(&host->posts);
    do {
        post->next = next;
    } while (!atomic_compare_exchange_weak(&host->posts, &next, post));
    atomic_fetch_add(&host->sim->post_count, 1);
}

/* Takes the oldest post: the list is last in, first. Posts come seldom, and few at a time. */
static struct duress_post *post_take(struct duress_sim_host *host)
{
    struct duress_post *post = atomic_load(&host->posts);
    if (post == NULL)
        return NULL;
    if (post->next == NULL && atomic_compare_exchange_strong(&host->posts, &post, NULL))
        return post;
    struct duress_post *previous = post; /* Others add in front only: what lies behind |post| is ours. */
    while (previous->next->next != NULL)
        previous = previous->next;
    post = previous->next;
    previous->next = NULL;
    return post;
}

static bool post_run(struct duress_sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct duress_sim_host *host = sim->hosts[i];
        struct duress_post *post = host->is_frozen ? NULL : post_take(host);
        if (post == NULL)
            continue;
        atomic_fetch_sub(&sim->post_count, 1);
        duress__sim_trace(sim, SIM_EVENT_POST, host->number, 0);
        if (host->is_alive)
            post->fn(post->context);
        return true;
    }
    return false;
}

static struct duress_later *later_take(struct duress_sim *sim, struct duress_sim_host **whose)
{
    struct duress_sim_host **place = &sim->later_first;
    struct duress_sim_host *previous = NULL;
    while (*place != NULL) {
        struct duress_sim_host *host = *place;
        struct duress_later *later = host->laters.first;
        if (later != NULL && !host->is_frozen) {
            later_remove(&host->laters, later);
            *whose = host;
            return later;
        }
        if (later == NULL) { /* Done: out of the list of hosts. */
            *place = host->later_next;
            if (sim->later_last == host)
                sim->later_last = previous;
            host->is_later_queued = false;
        } else {
            previous = host;
            place = &host->later_next;
        }
    }
    return NULL;
}

bool duress__sim_later_run(struct duress_sim *sim)
{
    if (sim->later_first != NULL) {
        struct duress_sim_host *host;
        struct duress_later *later = later_take(sim, &host);
        if (later != NULL) {
            duress__sim_trace(sim, SIM_EVENT_LATER, host->number, 0);
            later->fn(later->context);
            return true;
        }
    }
    return atomic_load_explicit(&sim->post_count, memory_order_relaxed) > 0 && post_run(sim);
}

/* --- forgetting --- */

struct victims {
    struct duress_sim_host *host;
    struct duress_timer *first; /* through |owner| */
};

static void victim_collect(void *context, struct duress_timer_node *node)
{
    struct victims *victims = context;
    struct duress_timer *timer = (struct duress_timer *)(void *)((char *)node - offsetof(struct duress_timer, node));
    const struct sim_home *home = timer->owner;
    if (home == NULL || home->host != victims->host)
        return;
    timer->owner = victims->first;
    victims->first = timer;
}

void duress__sim_host_forget(struct duress_sim_host *host)
{
    struct victims victims = {.host = host};
    duress__timer_heap_visit(&host->sim->heap, victim_collect, &victims);
    while (victims.first != NULL) {
        struct duress_timer *timer = victims.first;
        victims.first = timer->owner;
        timer->owner = NULL;
        duress__timer_heap_remove(&host->sim->heap, &timer->node);
    }
    struct duress_timer_node *held;
    while ((held = duress__timer_heap_first(&host->held)) != NULL)
        duress__timer_heap_remove(&host->held, held);
    while (host->laters.first != NULL)
        later_remove(&host->laters, host->laters.first);
    while (post_take(host) != NULL)
        atomic_fetch_sub(&host->sim->post_count, 1);
}

/* --- the rest --- */

static void host_prng(struct duress_world *world, uint64_t purpose, struct duress_prng *prng)
{
    struct duress_sim_host *host = duress__sim_host_of(world);
    uint64_t seed = duress_prng_mix(host->sim->seed, SIM_PURPOSE_HOST);
    seed = duress_prng_mix(seed, host->number);
    seed = duress_prng_mix(seed, host->prng_count++);
    duress_prng_init(prng, seed, purpose);
}

static int host_run_until(struct duress_world *world, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    return duress_sim_run_until(duress__sim_host_of(world)->sim, done, context, deadline_ns);
}

static void host_note(struct duress_world *world, const char *what, uint64_t a, uint64_t b)
{
    duress__sim_note(duress__sim_host_of(world)->sim, what, a, b);
}

const struct duress_world_ops duress__sim_world_ops = {
    .name = "sim",
    .free = host_world_free,
    .now_ns = host_now_ns,
    .wall_ns = host_wall_ns,
    .arm = host_arm,
    .disarm = host_disarm,
    .defer = host_defer,
    .undefer = host_undefer,
    .post = host_post,
    .prng = host_prng,
    .resolve = duress__sim_resolve,
    .resolution_cancel = duress__sim_resolution_cancel,
    .connect = duress__sim_connect,
    .stream_want = duress__sim_stream_want,
    .stream_read = duress__sim_stream_read,
    .stream_write = duress__sim_stream_write,
    .stream_shutdown = duress__sim_stream_shutdown,
    .stream_close = duress__sim_stream_close,
    .stream_abort = duress__sim_stream_abort,
    .listen = duress__sim_listen,
    .listener_close = duress__sim_listener_close,
    .run_until = host_run_until,
    .note = host_note,
};

struct duress_sim *duress_world_sim_of(struct duress_world *world)
{
    return world != NULL && world->ops == &duress__sim_world_ops ? duress__sim_host_of(world)->sim : NULL;
}
