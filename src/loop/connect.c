/* SPDX-License-Identifier: Apache-2.0
 *
 * How sockets come to be: connecting, and taking over descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop_private.h"

/* A peer that vanished without a word is noticed after 30 s + 6 * 5 s at the latest, even where nothing is sent. So
 * many probes, because those of thousands of connections fall due at once, and loopback drops what is beyond its
 * backlog of a thousand packets: with three of them a tenth of 9,900 idle connections died of it. */
enum { KEEPALIVE_IDLE_S = 30, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_PROBES = 6 };

static const uint32_t stream_epoll_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

static bool option_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* A function of its own, as |socket| names our struct elsewhere. */
static int stream_socket_new(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

bool duress__tcp_options_set(int fd)
{
    if (!option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        return false;
    (void)option_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)option_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    (void)option_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    (void)option_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    return true;
}

/* A connect that the kernel has answered, or not, with |number|. */
static void connect_began(struct duress_socket *socket, int number)
{
    if (number == 0) {
        socket->ready |= DURESS_SOCKET_CONNECTED;
        duress__socket_list(socket);
        return;
    }
    socket->connecting = true;
    if (number == EINPROGRESS || number == EINTR)
        return;
    socket->error = duress__error_from_errno(number);
    socket->ready |= DURESS_SOCKET_FAILED;
    duress__socket_list(socket);
}

int duress__socket_connect(struct duress_loop *loop, struct duress_socket *socket, const struct sockaddr *address,
                           socklen_t address_bytes, duress_socket_fn fn, void *context)
{
    *socket = (struct duress_socket){.fd = -1};
    int fd = stream_socket_new(address->sa_family);
    if (fd < 0)
        return duress__error_from_errno(errno);
    bool tcp = duress__tcp_options_set(fd);
    int number = connect(fd, address, address_bytes) == 0 ? 0 : errno;
    if (number == EAGAIN && address->sa_family == AF_UNIX) {
        (void)close(fd);
        return DURESS_E_AGAIN;
    }
    /* Only now: a socket that was never connected looks hung up to epoll. */
    int error = duress__socket_register(loop, socket, fd, stream_epoll_events, fn, context);
    if (error != DURESS_OK) {
        (void)close(fd);
        return error;
    }
    socket->tcp = socket->short_read_is_last = tcp;
    connect_began(socket, number);
    return DURESS_OK;
}

int duress__socket_adopt(struct duress_loop *loop, struct duress_socket *socket, int fd, duress_socket_fn fn,
                         void *context)
{
    *socket = (struct duress_socket){.fd = -1};
    int flags = fcntl(fd, F_GETFL);
    int error = DURESS_OK;
    if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0))
        error = duress__error_from_errno(errno);
    if (error == DURESS_OK)
        error = duress__socket_register(loop, socket, fd, stream_epoll_events, fn, context);
    if (error != DURESS_OK) {
        (void)close(fd);
        return error;
    }
    socket->tcp = socket->short_read_is_last = duress__tcp_options_set(fd);
    return DURESS_OK;
}

int duress__socket_adopt_accepted(struct duress_loop *loop, struct duress_socket *socket, int fd, bool tcp,
                                  duress_socket_fn fn, void *context)
{
    int error = duress__socket_register(loop, socket, fd, stream_epoll_events, fn, context);
    if (error == DURESS_OK)
        socket->tcp = socket->short_read_is_last = tcp;
    return error;
}
