/* SPDX-License-Identifier: Apache-2.0 */
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <duress/error.h>
#include <duress/time.h>

void duress__splice_pool_init(struct splice_pool *pool, const struct duress_allocator *allocator)
{
    *pool = (struct splice_pool){.allocator = allocator};
}

static void pipe_close(struct splice_pool *pool, struct splice_pipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
    duress_release(pool->allocator, pipe);
    pool->open_count--;
}

void duress__splice_pool_deinit(struct splice_pool *pool)
{
    while (pool->idle != NULL) {
        struct splice_pipe *pipe = pool->idle;
        pool->idle = pipe->next;
        pipe_close(pool, pipe);
    }
    pool->idle_count = 0;
    DURESS_ASSERT(pool->open_count == 0);
}

static struct splice_pipe *pipe_open(struct splice_pool *pool)
{
    int fds[2];
    if (pool->open_count >= SPLICE_PIPES_MAX)
        return NULL;
    struct splice_pipe *pipe = duress_allocate(pool->allocator, sizeof *pipe);
    if (pipe == NULL)
        return NULL;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        duress_release(pool->allocator, pipe);
        return NULL;
    }
    /* More slots, so that one call moves more. Where the user has too much in pipes already it stays as it is. */
    (void)fcntl(fds[1], F_SETPIPE_SZ, SPLICE_PIPE_BYTES);
    *pipe = (struct splice_pipe){.read_fd = fds[0], .write_fd = fds[1], .stall_ns = DURESS_TIME_NEVER};
    pool->open_count++;
    return pipe;
}

struct splice_pipe *duress__splice_borrow(struct splice_pool *pool)
{
    struct splice_pipe *pipe = pool->idle;
    if (pipe == NULL)
        return pipe_open(pool);
    pool->idle = pipe->next;
    pool->idle_count--;
    pipe->next = NULL;
    return pipe;
}

void duress__splice_give_back(struct splice_pool *pool, struct splice_pipe *pipe)
{
    if (pipe->held_bytes > 0 || pool->idle_count >= SPLICE_PIPES_IDLE_MAX) {
        pipe_close(pool, pipe);
        return;
    }
    pipe->stall_ns = DURESS_TIME_NEVER;
    pipe->next = pool->idle;
    pool->idle = pipe;
    pool->idle_count++;
}

int duress__splice_in(struct splice_pipe *pipe, struct duress_socket *source, size_t bytes_max, size_t *count)
{
    ssize_t moved;
    do
        moved = splice(source->fd, NULL, pipe->write_fd, NULL, bytes_max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    if (moved == 0)
        return duress__socket_ended(source);
    if (moved > 0) {
        pipe->held_bytes += (size_t)moved;
        *count = (size_t)moved;
        return DURESS_OK;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return duress__socket_failed(source, errno);
    /* With bytes in it the pipe may be what has no room, and then the kernel would not tell of the socket again. */
    if (pipe->held_bytes == 0)
        duress__socket_drained(source, DURESS_SOCKET_READABLE);
    return DURESS_E_AGAIN;
}

int duress__splice_out(struct splice_pipe *pipe, struct duress_socket *sink, size_t *count)
{
    ssize_t moved;
    do
        moved = splice(pipe->read_fd, NULL, sink->fd, NULL, pipe->held_bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    if (moved < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return duress__socket_failed(sink, errno);
    if (moved <= 0) {
        duress__socket_drained(sink, DURESS_SOCKET_WRITABLE);
        return DURESS_E_AGAIN;
    }
    pipe->held_bytes -= (size_t)moved;
    *count = (size_t)moved;
    return DURESS_OK;
}

size_t duress__splice_read(struct splice_pipe *pipe, void *bytes, size_t capacity)
{
    ssize_t count;
    if (pipe->held_bytes == 0)
        return 0;
    do
        count = read(pipe->read_fd, bytes, capacity < pipe->held_bytes ? capacity : pipe->held_bytes);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return 0;
    pipe->held_bytes -= (size_t)count;
    return (size_t)count;
}
