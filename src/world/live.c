/* SPDX-License-Identifier: Apache-2.0
 *
 * The live world: the loop's clock and timers, and the table of its functions. */
#include <duress/world/live.h>

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include <duress/world/live_loop.h>

#include "live_private.h"
#include "option.h"

static struct duress_loop *loop_of(struct duress_world *world)
{
    return ((struct live_world *)world)->loop;
}

static void live_free(struct duress_world *world)
{
    struct live_world *live = (struct live_world *)world;
    const struct duress_allocator *allocator = world->allocator;
    while (live->streams != NULL)
        duress__live_stream_abort(&live->streams->base);
    while (live->listeners != NULL)
        duress__live_listener_close(&live->listeners->base);
    duress__live_resolver_free(live->resolver);
    duress__loop_free(live->loop);
    duress_world_base_deinit(world);
    duress_release(allocator, live);
}

static uint64_t live_now_ns(struct duress_world *world)
{
    return duress__loop_now_ns(loop_of(world));
}

static uint64_t live_wall_ns(struct duress_world *world)
{
    (void)world;
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    DURESS_ASSERT(status == 0);
    return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static void live_arm(struct duress_world *world, struct duress_timer *timer, uint64_t at_ns)
{
    duress__loop_arm(loop_of(world), timer, at_ns);
}

static void live_disarm(struct duress_world *world, struct duress_timer *timer)
{
    duress__loop_disarm(loop_of(world), timer);
}

static void live_defer(struct duress_world *world, struct duress_later *later)
{
    duress__loop_defer(loop_of(world), later);
}

static void live_undefer(struct duress_world *world, struct duress_later *later)
{
    duress__loop_undefer(loop_of(world), later);
}

static void live_post(struct duress_world *world, struct duress_post *post)
{
    duress__loop_post(loop_of(world), post);
}

static void live_prng(struct duress_world *world, uint64_t purpose, struct duress_prng *prng)
{
    struct live_world *live = (struct live_world *)world;
    uint64_t seed = duress_prng_mix(live->seed, live->prng_count);
    live->prng_count++;
    duress_prng_init(prng, seed, purpose);
}

static int live_run_until(struct duress_world *world, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    return duress__loop_run_until(loop_of(world), done, context, deadline_ns);
}

/* There is no trace to mark: what a live run did depends on the machine, so comparing traces would say nothing. */
static void live_note(struct duress_world *world, const char *what, uint64_t a, uint64_t b)
{
    (void)world;
    (void)what;
    (void)a;
    (void)b;
}

static const struct duress_world_ops live_ops = {
    .name = "live",
    .free = live_free,
    .now_ns = live_now_ns,
    .wall_ns = live_wall_ns,
    .arm = live_arm,
    .disarm = live_disarm,
    .defer = live_defer,
    .undefer = live_undefer,
    .post = live_post,
    .prng = live_prng,
    .resolve = duress__live_resolve,
    .resolution_cancel = duress__live_resolution_cancel,
    .connect = duress__live_connect,
    .stream_want = duress__live_stream_want,
    .stream_read = duress__live_stream_read,
    .stream_write = duress__live_stream_write,
    .stream_shutdown = duress__live_stream_shutdown,
    .stream_close = duress__live_stream_close,
    .stream_abort = duress__live_stream_abort,
    .listen = duress__live_listen,
    .listener_close = duress__live_listener_close,
    .run_until = live_run_until,
    .note = live_note,
};

static int seed_draw(uint64_t *seed)
{
    ssize_t got;
    do
        got = getrandom(seed, sizeof *seed, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *seed ? DURESS_OK : DURESS_E_SYSTEM;
}

static int live_open(struct live_world *live, const struct duress_world_live_options *options)
{
    int error = live->seed == 0 ? seed_draw(&live->seed) : DURESS_OK;
    if (error == DURESS_OK)
        error = duress__loop_new(live->base.allocator, options->loop, &live->loop);
    if (error == DURESS_OK)
        error = duress__live_resolver_new(live, options, &live->resolver);
    if (error == DURESS_OK)
        duress__loop_busy_poll(live->loop, options->busy_poll_ns);
    return error;
}

int duress_world_live_new(const struct duress_world_live_options *options, struct duress_world **world,
                          struct duress_failure *why)
{
    static const struct duress_world_live_options defaults = {.allocator = NULL};
    if (world == NULL) {
        duress__world_refuse(why, DURESS_E_INVALID, "world: must be given");
        return DURESS_E_INVALID;
    }
    if (options == NULL)
        options = &defaults;
    if (!duress__live_options_check(options, why))
        return DURESS_E_INVALID;
    struct live_world *made = duress_allocate_zeroed(options->allocator, 1, sizeof *made);
    if (made == NULL) {
        duress__world_refuse(why, DURESS_E_NO_MEMORY, "no memory for the world");
        return DURESS_E_NO_MEMORY;
    }
    duress_world_base_init(&made->base, &live_ops, options->allocator);
    made->seed = options->seed;
    int error = live_open(made, options);
    if (error != DURESS_OK) {
        live_free(&made->base);
        duress__world_refuse(why, error, "the world's loop or resolver cannot be made");
        return error;
    }
    *world = &made->base;
    return DURESS_OK;
}

struct uv_loop_s *duress_world_live_uv_loop(struct duress_world *world)
{
    return world != NULL && world->ops == &live_ops ? duress__loop_uv(loop_of(world)) : NULL;
}

struct duress_loop *duress__world_live_loop(struct duress_world *world)
{
    return world->ops == &live_ops ? loop_of(world) : NULL;
}
