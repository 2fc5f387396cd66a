/* SPDX-License-Identifier: Apache-2.0
 *
 * For those who write a world: the table of functions behind duress/world/world.h, whose comments are the contract of
 * each. An implementation embeds struct duress_world first in its own struct, and struct duress_stream and its like
 * first in theirs. */
#ifndef DURESS_WORLD_IMPLEMENT_H
#define DURESS_WORLD_IMPLEMENT_H

#include <duress/world/world.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_world_ops {
    const char *name; /* "live", "sim" */
    void (*free)(struct duress_world *world);
    uint64_t (*now_ns)(struct duress_world *world);
    uint64_t (*wall_ns)(struct duress_world *world);
    void (*arm)(struct duress_world *world, struct duress_timer *timer, uint64_t at_ns); /* at_ns is never NEVER */
    void (*disarm)(struct duress_world *world, struct duress_timer *timer);
    void (*defer)(struct duress_world *world, struct duress_later *later);
    void (*undefer)(struct duress_world *world, struct duress_later *later);
    void (*post)(struct duress_world *world, struct duress_post *post);
    void (*prng)(struct duress_world *world, uint64_t purpose, struct duress_prng *prng);
    int (*resolve)(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn, void *context,
                   struct duress_resolution **resolution);
    void (*resolution_cancel)(struct duress_resolution *resolution);
    int (*connect)(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn, void *context,
                   struct duress_stream **stream);
    void (*stream_want)(struct duress_stream *stream, unsigned events);
    int (*stream_read)(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count);
    int (*stream_write)(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                        size_t *count);
    void (*stream_shutdown)(struct duress_stream *stream);
    void (*stream_close)(struct duress_stream *stream);
    void (*stream_abort)(struct duress_stream *stream);
    int (*listen)(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                  void *context, struct duress_listener **listener);
    void (*listener_close)(struct duress_listener *listener);
    int (*run_until)(struct duress_world *world, duress_done_fn done, void *context, uint64_t deadline_ns);
    void (*note)(struct duress_world *world, const char *what, uint64_t a, uint64_t b);
};

struct duress_world {
    const struct duress_world_ops *ops;
    const struct duress_allocator *allocator;
    void *blocks; /* free blocks, linked through their first word */
    uint32_t block_count;
};

struct duress_stream {
    struct duress_world *world;
    duress_stream_fn fn;
    void *context;
    int error;
    struct duress_address peer;
    struct duress_address local;
};

struct duress_listener {
    struct duress_world *world;
    duress_accept_fn fn;
    void *context;
    struct duress_address address;
};

struct duress_resolution {
    struct duress_world *world;
    duress_resolve_fn fn;
    void *context;
};

/* Sets up and takes down the part that all worlds share. |allocator| NULL means the default. */
DURESS_API void duress_world_base_init(struct duress_world *world, const struct duress_world_ops *ops,
                                       const struct duress_allocator *allocator) DURESS_NONNULL(1);
DURESS_API void duress_world_base_deinit(struct duress_world *world) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
