/* SPDX-License-Identifier: Apache-2.0
 *
 * What all worlds share: the way from the public functions to the implementation's table, and the cache of blocks. */
#include <duress/world/implement.h>

/* The cache keeps at most so many free blocks (1 MiB); those beyond go back to the allocator. */
enum { BLOCKS_CACHED_MAX = 256 };

void duress_world_base_init(struct duress_world *world, const struct duress_world_ops *ops,
                            const struct duress_allocator *allocator)
{
    *world = (struct duress_world){
        .ops = ops,
        .allocator = allocator != NULL ? allocator : duress_allocator_default(),
    };
}

void duress_world_base_deinit(struct duress_world *world)
{
    while (world->blocks != NULL) {
        void *block = world->blocks;
        memcpy(&world->blocks, block, sizeof world->blocks);
        duress_release(world->allocator, block);
    }
    world->block_count = 0;
}

void duress_world_free(struct duress_world *world)
{
    if (world != NULL)
        world->ops->free(world);
}

const struct duress_allocator *duress_world_allocator(const struct duress_world *world)
{
    return world != NULL ? world->allocator : duress_allocator_default();
}

/* --- time --- */

uint64_t duress_world_now_ns(struct duress_world *world)
{
    return world != NULL ? world->ops->now_ns(world) : 0;
}

uint64_t duress_world_wall_ns(struct duress_world *world)
{
    return world != NULL ? world->ops->wall_ns(world) : 0;
}

void duress_world_arm(struct duress_world *world, struct duress_timer *timer, uint64_t at_ns)
{
    if (world == NULL)
        return;
    if (at_ns == DURESS_TIME_NEVER)
        world->ops->disarm(world, timer);
    else
        world->ops->arm(world, timer, at_ns);
}

void duress_world_disarm(struct duress_world *world, struct duress_timer *timer)
{
    if (world != NULL)
        world->ops->disarm(world, timer);
}

/* --- later --- */

void duress_world_defer(struct duress_world *world, struct duress_later *later)
{
    if (world != NULL)
        world->ops->defer(world, later);
}

void duress_world_undefer(struct duress_world *world, struct duress_later *later)
{
    if (world != NULL)
        world->ops->undefer(world, later);
}

void duress_world_post(struct duress_world *world, struct duress_post *post)
{
    if (world != NULL)
        world->ops->post(world, post);
}

void duress_world_prng(struct duress_world *world, uint64_t purpose, struct duress_prng *prng)
{
    if (world != NULL)
        world->ops->prng(world, purpose, prng);
}

/* --- names --- */

int duress_world_resolve(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn,
                         void *context, struct duress_resolution **resolution)
{
    if (world == NULL || host == NULL || fn == NULL || resolution == NULL)
        return DURESS_E_INVALID;
    return world->ops->resolve(world, host, port, fn, context, resolution);
}

void duress_resolution_cancel(struct duress_resolution *resolution)
{
    if (resolution != NULL)
        resolution->world->ops->resolution_cancel(resolution);
}

/* --- streams --- */

int duress_world_connect(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn,
                         void *context, struct duress_stream **stream)
{
    if (world == NULL || address == NULL || fn == NULL || stream == NULL)
        return DURESS_E_INVALID;
    return world->ops->connect(world, address, fn, context, stream);
}

void duress_stream_handle(struct duress_stream *stream, duress_stream_fn fn, void *context)
{
    if (stream == NULL)
        return;
    stream->fn = fn;
    stream->context = context;
}

void duress_stream_want(struct duress_stream *stream, unsigned events)
{
    if (stream != NULL)
        stream->world->ops->stream_want(stream, events & (DURESS_STREAM_READABLE | DURESS_STREAM_WRITABLE));
}

int duress_stream_read(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count)
{
    if (stream == NULL || bytes == NULL || count == NULL)
        return DURESS_E_INVALID;
    return stream->world->ops->stream_read(stream, bytes, capacity, count);
}

int duress_stream_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                        size_t *count)
{
    if (stream == NULL || slices == NULL || count == NULL)
        return DURESS_E_INVALID;
    return stream->world->ops->stream_write(stream, slices, slice_count, count);
}

void duress_stream_shutdown(struct duress_stream *stream)
{
    if (stream != NULL)
        stream->world->ops->stream_shutdown(stream);
}

void duress_stream_close(struct duress_stream *stream)
{
    if (stream != NULL)
        stream->world->ops->stream_close(stream);
}

void duress_stream_abort(struct duress_stream *stream)
{
    if (stream != NULL)
        stream->world->ops->stream_abort(stream);
}

int duress_stream_error(const struct duress_stream *stream)
{
    return stream != NULL ? stream->error : DURESS_E_INVALID;
}

struct duress_address duress_stream_peer(const struct duress_stream *stream)
{
    return stream != NULL ? stream->peer : duress_listener_address(NULL);
}

struct duress_address duress_stream_local(const struct duress_stream *stream)
{
    return stream != NULL ? stream->local : duress_listener_address(NULL);
}

/* --- listeners --- */

int duress_world_listen(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                        void *context, struct duress_listener **listener)
{
    if (world == NULL || options == NULL || fn == NULL || listener == NULL)
        return DURESS_E_INVALID;
    return world->ops->listen(world, options, fn, context, listener);
}

struct duress_address duress_listener_address(const struct duress_listener *listener)
{
    struct duress_address none = {.family = DURESS_FAMILY_NONE};
    return listener != NULL ? listener->address : none;
}

void duress_listener_close(struct duress_listener *listener)
{
    if (listener != NULL)
        listener->world->ops->listener_close(listener);
}

/* --- running --- */

int duress_world_run_until(struct duress_world *world, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    if (world == NULL)
        return DURESS_E_INVALID;
    return world->ops->run_until(world, done, context, deadline_ns);
}

void duress_world_note(struct duress_world *world, const char *what, uint64_t a, uint64_t b)
{
    if (world != NULL)
        world->ops->note(world, what, a, b);
}

/* --- memory of calls --- */

void *duress_world_block_new(struct duress_world *world)
{
    if (world == NULL)
        return NULL;
    void *block = world->blocks;
    if (block == NULL)
        return duress_allocate(world->allocator, DURESS_WORLD_BLOCK_BYTES);
    memcpy(&world->blocks, block, sizeof world->blocks); /* the link lies in the block's first word */
    world->block_count--;
    return block;
}

void duress_world_block_free(struct duress_world *world, void *block)
{
    if (world == NULL || block == NULL)
        return;
    if (world->block_count >= BLOCKS_CACHED_MAX) {
        duress_release(world->allocator, block);
        return;
    }
    memcpy(block, &world->blocks, sizeof world->blocks);
    world->blocks = block;
    world->block_count++;
}
