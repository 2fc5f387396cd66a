/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams and listeners of the live world: the loop's sockets, with addresses. */
#include <assert.h>
#include <unistd.h>

#include "live_private.h"

/* A Unix listener whose queue is full refuses to let anyone wait for it, so the connect is tried again this often. */
#define UNIX_RETRY_NS (5 * DURESS_MS)

static_assert((int)DURESS_STREAM_CONNECTED == (int)DURESS_SOCKET_CONNECTED &&
                  (int)DURESS_STREAM_FAILED == (int)DURESS_SOCKET_FAILED &&
                  (int)DURESS_STREAM_READABLE == (int)DURESS_SOCKET_READABLE &&
                  (int)DURESS_STREAM_WRITABLE == (int)DURESS_SOCKET_WRITABLE &&
                  (int)DURESS_STREAM_HANGUP == (int)DURESS_SOCKET_HANGUP,
              "the events of a socket are passed on as those of a stream");

static struct live_world *live_of(struct duress_world *world)
{
    return (struct live_world *)world;
}

static struct live_stream *stream_of(struct duress_stream *stream)
{
    return (struct live_stream *)stream;
}

/* --- life --- */

static void stream_spoke(void *context, unsigned events)
{
    struct live_stream *stream = context;
    if ((events & DURESS_SOCKET_CONNECTED) != 0)
        stream->base.local = duress__address_of_socket(stream->socket.fd);
    stream->base.error = stream->socket.error;
    if (stream->base.fn != NULL)
        stream->base.fn(stream->base.context, &stream->base, events);
}

static void stream_retry(void *context);

static struct live_stream *stream_new(struct live_world *live, duress_stream_fn fn, void *context)
{
    struct live_stream *stream = duress_allocate_zeroed(live->base.allocator, 1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->base.world = &live->base;
    stream->base.fn = fn;
    stream->base.context = context;
    duress_timer_init(&stream->retry, stream_retry, stream);
    stream->next = live->streams;
    stream->link = &live->streams;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    live->streams = stream;
    return stream;
}

static void stream_release(struct live_stream *stream)
{
    struct live_world *live = live_of(stream->base.world);
    duress__loop_disarm(live->loop, &stream->retry);
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    duress_release(live->base.allocator, stream);
}

/* --- connecting --- */

/* Asks the kernel once. A full queue is no failure: the timer asks again. */
static int stream_connect(struct live_stream *stream)
{
    struct duress_loop *loop = live_of(stream->base.world)->loop;
    struct sockaddr_storage kernel;
    socklen_t bytes = duress__address_to_sockaddr(&stream->base.peer, &kernel);
    if (bytes == 0)
        return DURESS_E_INVALID;
    int error = duress__socket_connect(loop, &stream->socket, (struct sockaddr *)&kernel, bytes, stream_spoke, stream);
    if (error == DURESS_E_AGAIN) {
        duress__loop_arm(loop, &stream->retry, duress_time_add(duress__loop_now_ns(loop), UNIX_RETRY_NS));
        return DURESS_OK;
    }
    if (error != DURESS_OK)
        return error;
    duress__socket_want(&stream->socket, stream->want);
    if (stream->shut)
        duress__socket_shutdown(&stream->socket);
    return DURESS_OK;
}

static void stream_retry(void *context)
{
    struct live_stream *stream = context;
    stream->base.error = stream_connect(stream);
    if (stream->base.error != DURESS_OK)
        stream->base.fn(stream->base.context, &stream->base, DURESS_STREAM_FAILED);
}

int duress__live_connect(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn,
                         void *context, struct duress_stream **stream)
{
    struct live_stream *made = stream_new(live_of(world), fn, context);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->base.peer = *address;
    int error = stream_connect(made);
    if (error != DURESS_OK) {
        stream_release(made);
        return error;
    }
    *stream = &made->base;
    return DURESS_OK;
}

/* --- use --- */

void duress__live_stream_want(struct duress_stream *stream, unsigned events)
{
    stream_of(stream)->want = events;
    duress__socket_want(&stream_of(stream)->socket, events);
}

int duress__live_stream_read(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count)
{
    if (duress_timer_is_armed(&stream_of(stream)->retry))
        return DURESS_E_AGAIN;
    return duress__socket_read(&stream_of(stream)->socket, bytes, capacity, count);
}

int duress__live_stream_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                              size_t *count)
{
    if (duress_timer_is_armed(&stream_of(stream)->retry))
        return DURESS_E_AGAIN;
    return duress__socket_write(&stream_of(stream)->socket, slices, slice_count, count);
}

void duress__live_stream_shutdown(struct duress_stream *stream)
{
    stream_of(stream)->shut = true;
    duress__socket_shutdown(&stream_of(stream)->socket);
}

void duress__live_stream_close(struct duress_stream *stream)
{
    duress__socket_close(&stream_of(stream)->socket);
    stream_release(stream_of(stream));
}

void duress__live_stream_abort(struct duress_stream *stream)
{
    duress__socket_reset(&stream_of(stream)->socket);
    stream_release(stream_of(stream));
}

/* --- listening --- */

static void listener_accepted(void *context, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct live_listener *listener = context;
    struct live_world *live = live_of(listener->base.world);
    struct live_stream *stream = stream_new(live, NULL, NULL);
    if (stream == NULL) {
        (void)close(fd); /* The peer meets an end where it hoped for an answer; nothing better is left to give. */
        return;
    }
    if (duress__socket_adopt(live->loop, &stream->socket, fd, stream_spoke, stream) != DURESS_OK) {
        stream_release(stream);
        return;
    }
    stream->base.peer = duress__address_from_sockaddr(peer, peer_bytes);
    stream->base.local = duress__address_of_socket(fd);
    listener->base.fn(listener->base.context, &stream->base);
}

int duress__live_listen(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                        void *context, struct duress_listener **listener)
{
    struct live_world *live = live_of(world);
    struct sockaddr_storage kernel;
    socklen_t bytes = duress__address_to_sockaddr(&options->address, &kernel);
    if (bytes == 0)
        return DURESS_E_INVALID;
    struct live_listener *made = duress_allocate_zeroed(world->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    int error = duress__acceptor_listen(live->loop, &made->acceptor, (struct sockaddr *)&kernel, bytes,
                                        options->backlog, listener_accepted, made);
    if (error != DURESS_OK) {
        duress_release(world->allocator, made);
        return error;
    }
    made->base = (struct duress_listener){.world = world, .fn = fn, .context = context};
    made->base.address = duress__address_of_socket(made->acceptor.socket.fd);
    made->next = live->listeners;
    made->link = &live->listeners;
    if (made->next != NULL)
        made->next->link = &made->next;
    live->listeners = made;
    *listener = &made->base;
    return DURESS_OK;
}

void duress__live_listener_close(struct duress_listener *listener)
{
    struct live_listener *closing = (struct live_listener *)listener;
    duress__acceptor_close(&closing->acceptor);
    *closing->link = closing->next;
    if (closing->next != NULL)
        closing->next->link = closing->link;
    duress_release(listener->world->allocator, closing);
}
