/* SPDX-License-Identifier: Apache-2.0
 *
 * The live world: the machine's monotonic clock, sockets, libuv's loop (the caller's, if there is one) with a
 * nanosecond timer heap of our own over one timerfd (uv_timer_t may fire milliseconds early; ours never does), and
 * c-ares for names. */
#ifndef DURESS_WORLD_LIVE_H
#define DURESS_WORLD_LIVE_H

#include <duress/world/world.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

struct duress_world_live_options {
    const struct duress_allocator *allocator; /* borrowed, outlives the world; NULL for the default */
    struct uv_loop_s *loop;   /* borrowed, outlives the world; the caller runs it. NULL: the world makes its own */
    const char *name_servers; /* "127.0.0.1:5300,[::1]:53", or without port for 53: these alone are asked, for names as
                                 they are given, without search domains or the hosts file; NULL: the machine's
                                 configuration */
    uint64_t name_timeout_ns; /* for one try at one name server, on the average, as the wait doubles from try to try;
                                 0 = 2 s. 1 ms to 1 h */
    uint32_t name_tries;      /* of each name server; 0 = 3. At most 10. NAME_SILENT comes after name_timeout_ns *
                                 name_tries for each server, 6 s by default; sooner where its port refuses */
    uint64_t seed;            /* of duress_world_prng(); 0: drawn from the machine */
    uint64_t busy_poll_ns;    /* how long to look again and again before blocking; 0: not at all. At most 1 s. A reply
                                 that comes meanwhile need not wake a sleeping processor, which can take longer than the
                                 whole exchange. It costs a processor of its own: with fewer than busy worlds it does
                                 harm. On a caller's loop its other handles end the look too, and runs that are not
                                 meant to block take as long */
};

/* Makes a live world. On a caller's loop it keeps that loop alive until it is freed; its last memory goes back to the
 * allocator when that loop runs next. Numeric hosts and "localhost" are resolved without asking anybody. A Unix stream
 * cannot be reset: its peer sees the end after duress_stream_abort(). |options| may be NULL for the defaults. Returns
 * in *world, free with duress_world_free() on the same thread. DURESS_E_INVALID with the field in |why| (may be NULL):
 * a name server that is no address, a time or number out of its range; DURESS_E_NO_MEMORY, DURESS_E_NO_DESCRIPTORS,
 * DURESS_E_SYSTEM. */
DURESS_API DURESS_MUST_CHECK int duress_world_live_new(const struct duress_world_live_options *options,
                                                       struct duress_world **world, struct duress_failure *why);

/* The libuv loop it runs on, borrowed. */
DURESS_API struct uv_loop_s *duress_world_live_uv_loop(struct duress_world *world);

#ifdef __cplusplus
}
#endif

#endif
