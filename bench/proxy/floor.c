/* SPDX-License-Identifier: Apache-2.0
 *
 * floor splice|copy LISTEN-PORT UPSTREAM-PORT: what moving bytes between two sockets costs at the least. One thread,
 * one edge-triggered epoll set, no toxics, no limits, no counters, and no care: a connection whose end fails is
 * forgotten. It says "ready" once it listens, and ends when its standard input does.
 *
 * splice: two pipes a connection, socket to pipe to socket. copy: one buffer for all, read and write; what the receiver
 * does not take waits in a buffer of the connection. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define COPY_BYTES 65536
#define PIPE_BYTES 1048576
#define EVENTS 256

struct end {
    int fd;
    struct end *peer;
    bool is_connecting;
    bool has_ended;
    bool was_shut;
    int pipe[2]; /* what was read here: splice */
    char *held;  /* likewise: copy */
    size_t held_bytes;
    size_t held_from;
    bool is_closed;
    struct end *next_closed;
};

static bool splices;
static int set;
static struct sockaddr_in upstream;
static char scratch[COPY_BYTES];
static struct end *closed; /* freed after the turn: events may still name them */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void end_close(struct end *end)
{
    if (end->is_closed)
        return;
    end->is_closed = true;
    (void)close(end->fd);
    if (splices && end->pipe[0] >= 0) {
        (void)close(end->pipe[0]);
        (void)close(end->pipe[1]);
    }
    free(end->held);
    end->next_closed = closed;
    closed = end;
}

static void both_close(struct end *end)
{
    struct end *peer = end->peer;
    end_close(end);
    end_close(peer);
}

/* Gives the peer what is held. False: it does not take all, or is gone. */
static bool held_flush(struct end *end)
{
    while (end->held_bytes > 0) {
        ssize_t moved = splices ? splice(end->pipe[0], NULL, end->peer->fd, NULL, end->held_bytes,
                                         SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                                : send(end->peer->fd, end->held + end->held_from, end->held_bytes, MSG_NOSIGNAL);
        if (moved <= 0) {
            if (moved == 0 || errno != EAGAIN)
                both_close(end);
            return false;
        }
        end->held_bytes -= (size_t)moved;
        end->held_from += (size_t)moved;
    }
    if (!splices && end->held != NULL) {
        free(end->held);
        end->held = NULL;
    }
    return true;
}

static void end_hold(struct end *end, const char *bytes, size_t length)
{
    end->held = malloc(length);
    if (end->held == NULL)
        die("malloc");
    memcpy(end->held, bytes, length);
    end->held_from = 0;
    end->held_bytes = length;
}

/* Reads once. False: nothing more is there. */
static bool end_read(struct end *end)
{
    ssize_t count = splices ? splice(end->fd, NULL, end->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                            : recv(end->fd, scratch, sizeof scratch, 0);
    if (count < 0) {
        if (errno != EAGAIN)
            both_close(end);
        return false;
    }
    if (count == 0) {
        end->has_ended = true;
        return false;
    }
    if (splices) {
        end->held_bytes += (size_t)count;
        return true;
    }
    ssize_t sent = send(end->peer->fd, scratch, (size_t)count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        both_close(end);
        return false;
    }
    if (sent < count)
        end_hold(end, scratch + (sent > 0 ? sent : 0), (size_t)(count - (sent > 0 ? sent : 0)));
    return (size_t)count == sizeof scratch;
}

/* Moves from |end| to its peer until one of them has no more. */
static void end_move(struct end *end)
{
    if (end->peer->is_connecting || end->is_connecting)
        return;
    while (!end->is_closed && held_flush(end) && !end->has_ended) {
        if (!end_read(end))
            break;
    }
    if (end->is_closed || !end->has_ended || !held_flush(end) || end->peer->was_shut)
        return;
    end->peer->was_shut = true;
    (void)shutdown(end->peer->fd, SHUT_WR);
    if (end->was_shut)
        both_close(end);
}

static struct end *end_new(int fd)
{
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        die("calloc");
    end->fd = fd;
    end->pipe[0] = end->pipe[1] = -1;
    if (splices) {
        if (pipe2(end->pipe, O_NONBLOCK | O_CLOEXEC) != 0)
            die("pipe2");
        (void)fcntl(end->pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
    }
    return end;
}

static void end_watch(struct end *end)
{
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    (void)setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(set, EPOLL_CTL_ADD, end->fd, &event) != 0)
        die("epoll_ctl");
}

static void accepted(int fd)
{
    struct end *client = end_new(fd);
    struct end *server = end_new(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (server->fd < 0)
        die("socket");
    client->peer = server;
    server->peer = client;
    server->is_connecting = true;
    if (connect(server->fd, (const struct sockaddr *)&upstream, sizeof upstream) != 0 && errno != EINPROGRESS)
        die("connect");
    end_watch(client);
    end_watch(server);
}

static void listener_ready(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        accepted(fd);
    }
}

static void end_ready(struct end *end, uint32_t events)
{
    if (end->is_closed)
        return;
    if (end->is_connecting && (events & EPOLLOUT) != 0) {
        end->is_connecting = false;
        end_move(end->peer);
        if (end->is_closed)
            return;
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0) /* An ACK makes an edge of its own, and is no reason to read. */
        end_move(end);
    if (!end->is_closed && (events & EPOLLOUT) != 0 && end->peer->held_bytes > 0)
        end_move(end->peer);
}

static void closed_free(void)
{
    while (closed != NULL) {
        struct end *end = closed;
        closed = end->next_closed;
        free(end);
    }
}

static int port_listen(uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void fd_watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    event.data.u64 = (uint64_t)fd; /* small: no pointer */
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    if (argc != 4 || (strcmp(argv[1], "splice") != 0 && strcmp(argv[1], "copy") != 0)) {
        (void)fprintf(stderr, "usage: floor splice|copy LISTEN-PORT UPSTREAM-PORT\n");
        return 2;
    }
    splices = strcmp(argv[1], "splice") == 0;
    upstream = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10))};
    upstream.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = port_listen((uint16_t)strtoul(argv[2], NULL, 10));
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0)
        die("epoll_create1");
    fd_watch(listener);
    fd_watch(STDIN_FILENO);
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        int count = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == STDIN_FILENO)
                return 0;
            if (events[i].data.u64 == (uint64_t)listener)
                listener_ready(listener);
            else
                end_ready(events[i].data.ptr, events[i].events);
        }
        closed_free();
    }
}
