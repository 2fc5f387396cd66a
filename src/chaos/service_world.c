/* SPDX-License-Identifier: Apache-2.0
 *
 * A service's world with faults in it: the same functions, but for those that a fault changes, in front of a live or a
 * simulated world alike. */
#include "internal.h"

#include <duress/world/implement.h>

struct chaos_service_world {
    struct duress_world_ops ops; /* first: the world's, so that it leads back here */
    struct chaos_service_world *self;
    const struct duress_world_ops *inner;
    struct duress_world *world;
    struct chaos_outside outside;
    const _Atomic int64_t *wall_step_ns;
    bool is_dying;
    uint64_t bytes_left; /* until its death, if it is dying */
    enum chaos_crash how;
};

static struct chaos_service_world *between_of(const struct duress_world *world)
{
    return ((const struct chaos_service_world *)(const void *)world->ops)->self;
}

static int dying_write(struct chaos_service_world *between, struct duress_stream *stream,
                       const struct duress_slice *slices, size_t slice_count, size_t *count)
{
    int error = DURESS_OK;
    *count = 0;
    for (size_t i = 0; i < slice_count && error == DURESS_OK && between->bytes_left > 0; i++) {
        struct duress_slice piece = slices[i];
        if (piece.length > between->bytes_left)
            piece.length = between->bytes_left;
        size_t written = 0;
        error = between->inner->stream_write(stream, &piece, 1, &written);
        *count += written;
        between->bytes_left -= written;
        if (written < piece.length)
            break;
    }
    if (between->bytes_left == 0) {
        between->is_dying = false;
        between->outside.die(between->outside.context, between->how);
    }
    return *count > 0 ? DURESS_OK : error;
}

static int between_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                         size_t *count)
{
    struct chaos_service_world *between = between_of(stream->world);
    if (between->is_dying)
        return dying_write(between, stream, slices, slice_count, count);
    return between->inner->stream_write(stream, slices, slice_count, count);
}

static uint64_t between_wall_ns(struct duress_world *world)
{
    const struct chaos_service_world *between = between_of(world);
    return between->inner->wall_ns(world) + (uint64_t)atomic_load(between->wall_step_ns);
}

int chaos__service_world_open(struct duress_world *world, const struct chaos_outside *outside,
                              const _Atomic int64_t *wall_step_ns, struct chaos_service_world **between)
{
    struct chaos_service_world *made = duress_allocate_zeroed(duress_world_allocator(world), 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->ops = *world->ops;
    made->ops.stream_write = between_write;
    made->ops.wall_ns = between_wall_ns;
    made->self = made;
    made->inner = world->ops;
    made->world = world;
    made->outside = *outside;
    made->wall_step_ns = wall_step_ns;
    world->ops = &made->ops;
    *between = made;
    return DURESS_OK;
}

void chaos__service_world_die_after(struct chaos_service_world *between, uint64_t after_bytes, enum chaos_crash how)
{
    between->is_dying = true;
    between->bytes_left = after_bytes;
    between->how = how;
}

void chaos__service_world_close(struct chaos_service_world *between)
{
    if (between == NULL)
        return;
    between->world->ops = between->inner;
    duress_release(duress_world_allocator(between->world), between);
}
