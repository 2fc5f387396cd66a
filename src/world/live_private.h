/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the live world share. */
#ifndef DURESS_WORLD_LIVE_PRIVATE_H
#define DURESS_WORLD_LIVE_PRIVATE_H

#include <sys/socket.h>

#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/world/implement.h>
#include <duress/world/live.h>

struct live_resolver; /* live_resolve.c */

struct live_stream {
    struct duress_stream base;
    struct duress_socket socket; /* closed while |retry| is armed */
    struct duress_timer retry;   /* of a connect to a Unix listener whose queue is full */
    unsigned want;               /* this and |shut|: for the socket that a retry makes */
    bool shut;
    struct live_stream *next;
    struct live_stream **link; /* what points to this one */
};

struct live_listener {
    struct duress_listener base;
    struct duress_acceptor acceptor;
    struct live_listener *next;
    struct live_listener **link;
};

struct live_world {
    struct duress_world base;
    struct duress_loop *loop;
    struct live_resolver *resolver;
    struct live_stream *streams;
    struct live_listener *listeners;
    uint64_t seed;
    uint64_t prng_count; /* generators given out so far */
};

/* Whether a world can be made of |options|; else says in |why| (may be NULL) which field is wrong. */
bool duress__live_options_check(const struct duress_world_live_options *options, struct duress_failure *why);

/* --- addresses --- */

/* Writes what the kernel takes; returns its length, 0 where |address| has no family. */
socklen_t duress__address_to_sockaddr(const struct duress_address *address, struct sockaddr_storage *kernel);

/* Family NONE for what is neither IP nor the path of a Unix socket. */
struct duress_address duress__address_from_sockaddr(const struct sockaddr *kernel, socklen_t bytes);

/* The local end of |fd|; family NONE where there is none. */
struct duress_address duress__address_of_socket(int fd);

/* --- names --- */
DURESS_MUST_CHECK int duress__live_resolver_new(struct live_world *world,
                                                const struct duress_world_live_options *options,
                                                struct live_resolver **resolver);
/* Cancels all questions. NULL is allowed. */
void duress__live_resolver_free(struct live_resolver *resolver);
int duress__live_resolve(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn,
                         void *context, struct duress_resolution **resolution);
void duress__live_resolution_cancel(struct duress_resolution *resolution);

/* --- streams and listeners: see struct duress_world_ops --- */
int duress__live_connect(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn,
                         void *context, struct duress_stream **stream);
void duress__live_stream_want(struct duress_stream *stream, unsigned events);
int duress__live_stream_read(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count);
int duress__live_stream_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                              size_t *count);
void duress__live_stream_shutdown(struct duress_stream *stream);
void duress__live_stream_close(struct duress_stream *stream);
void duress__live_stream_abort(struct duress_stream *stream);
int duress__live_listen(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                        void *context, struct duress_listener **listener);
void duress__live_listener_close(struct duress_listener *listener);

#endif
