/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernel pipes through which bulk moves from socket to socket without a copy. No pipe belongs to a connection: a worker
 * has a few, and a direction borrows one while it has bytes in it. Private to proxy/; owned by one thread, which must
 * have SIGPIPE blocked or ignored, as splice(2) has no MSG_NOSIGNAL. */
#ifndef DURESS_PROXY_SPLICE_H
#define DURESS_PROXY_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/loop/socket.h>

#define SPLICE_PIPES_MAX 16       /* of a pool; who finds none copies */
#define SPLICE_PIPES_IDLE_MAX 4   /* kept open for the next one */
#define SPLICE_PIPE_BYTES 1048576 /* asked for; the kernel may give less */

struct splice_pipe {
    struct splice_pipe *next; /* idle ones */
    int read_fd;
    int write_fd;
    size_t held_bytes;
    uint64_t stall_ns; /* when its receiver counts as stalled; DURESS_TIME_NEVER while it takes bytes */
};

struct splice_pool {
    const struct duress_allocator *allocator;
    struct splice_pipe *idle;
    size_t idle_count;
    size_t open_count;
};

/* |allocator| is borrowed. */
void duress__splice_pool_init(struct splice_pool *pool, const struct duress_allocator *allocator);
/* All pipes must have been given back. */
void duress__splice_pool_deinit(struct splice_pool *pool);

/* An empty pipe; NULL where the pool has no more, or the process no descriptors or memory. */
struct splice_pipe *duress__splice_borrow(struct splice_pool *pool);

/* A pipe that still holds bytes is closed. */
void duress__splice_give_back(struct splice_pool *pool, struct splice_pipe *pipe);

/* Moves at most |bytes_max| from the socket into the pipe. OK with *count >= 1, AGAIN (the socket has none, or the
 * pipe, not being empty, has no room), END, RESET or another error. */
int duress__splice_in(struct splice_pipe *pipe, struct duress_socket *source, size_t bytes_max, size_t *count);

/* Moves from the pipe, which is not empty, to the socket. OK with *count >= 1, AGAIN, RESET or another error. */
int duress__splice_out(struct splice_pipe *pipe, struct duress_socket *sink, size_t *count);

/* Reads bytes out of the pipe. How many; 0 where it is empty. */
size_t duress__splice_read(struct splice_pipe *pipe, void *bytes, size_t capacity);

#endif
