/* SPDX-License-Identifier: Apache-2.0
 *
 * An open socket: what epoll says of it, what it is told, reading, writing and closing.
 *
 * epoll is edge-triggered: |ready| remembers what is true until a system call says otherwise. Marks made by a harvest
 * are never stale, as no callback runs between asking epoll and marking, and a closed socket leaves every ring at once.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop_private.h"

enum { HARVEST_EVENTS = 256, WRITE_SLICES_MAX = 64 };

/* --- the rings --- */

unsigned duress__socket_events(const struct duress_socket *socket)
{
    unsigned always = DURESS_SOCKET_CONNECTED | DURESS_SOCKET_FAILED | DURESS_SOCKET_HANGUP;
    return socket->ready & (socket->want | always);
}

void duress__socket_list(struct duress_socket *socket)
{
    struct duress_loop *loop = socket->loop;
    if (socket->ready_next != NULL || duress__socket_events(socket) == 0)
        return;
    socket->ready_previous = loop->ready.ready_previous;
    socket->ready_next = &loop->ready;
    socket->ready_previous->ready_next = socket;
    loop->ready.ready_previous = socket;
    duress__loop_settle(loop);
}

void duress__socket_unlist(struct duress_socket *socket)
{
    if (socket->ready_next == NULL)
        return;
    socket->ready_previous->ready_next = socket->ready_next;
    socket->ready_next->ready_previous = socket->ready_previous;
    socket->ready_next = socket->ready_previous = NULL;
}

static void socket_mark(struct duress_socket *socket, unsigned events)
{
    socket->ready = (uint8_t)(socket->ready | events);
    duress__socket_list(socket);
}

static void socket_unmark(struct duress_socket *socket, unsigned events)
{
    socket->ready = (uint8_t)(socket->ready & ~events);
}

/* --- registering --- */

int duress__socket_register(struct duress_loop *loop, struct duress_socket *socket, int fd, uint32_t epoll_events,
                            duress_socket_fn fn, void *context)
{
    *socket = (struct duress_socket){.fd = -1};
    struct epoll_event event = {.events = epoll_events, .data.ptr = socket};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return duress__error_from_errno(errno);
    socket->fd = fd;
    socket->loop = loop;
    socket->fn = fn;
    socket->context = context;
    socket->all_next = loop->sockets;
    if (socket->all_next != NULL)
        socket->all_next->all_previous = socket;
    loop->sockets = socket;
    return DURESS_OK;
}

/* Takes it out of everything; returns its descriptor. */
static int socket_unregister(struct duress_socket *socket)
{
    struct duress_loop *loop = socket->loop;
    int fd = socket->fd;
    duress__socket_unlist(socket);
    if (socket->all_previous != NULL)
        socket->all_previous->all_next = socket->all_next;
    else
        loop->sockets = socket->all_next;
    if (socket->all_next != NULL)
        socket->all_next->all_previous = socket->all_previous;
    if (loop->current == socket)
        loop->current = NULL;
    /* Closing would not be enough where another descriptor of the same thing is open: in a forked child, unless its
     * parent says that there is none, or with the owner of what is watched, or where a listener is shared. */
    if (!loop->direct || socket->watched || socket->listens)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    *socket = (struct duress_socket){.fd = -1, .error = socket->error};
    return fd;
}

void duress__socket_handle(struct duress_socket *socket, duress_socket_fn fn, void *context)
{
    socket->fn = fn;
    socket->context = context;
}

/* What epoll is to look for on a watched descriptor. Where nothing is wanted it is edge-triggered, as a hangup, which
 * cannot be masked, would be told for ever otherwise. */
static uint32_t watch_epoll_events(unsigned want)
{
    if (want == 0)
        return EPOLLET;
    uint32_t events = 0;
    if ((want & DURESS_SOCKET_READABLE) != 0)
        events |= EPOLLIN;
    if ((want & DURESS_SOCKET_WRITABLE) != 0)
        events |= EPOLLOUT;
    return events;
}

void duress__socket_want(struct duress_socket *socket, unsigned events)
{
    if (!duress__socket_is_open(socket))
        return;
    unsigned want = events & (DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE);
    if (want == socket->want)
        return;
    socket->want = (uint8_t)want;
    if (socket->watched) {
        struct epoll_event event = {.events = watch_epoll_events(want), .data.ptr = socket};
        int status = epoll_ctl(socket->loop->epoll_fd, EPOLL_CTL_MOD, socket->fd, &event);
        DURESS_ASSERT(status == 0); /* Changing needs no memory. */
    }
    duress__socket_list(socket);
}

int duress__socket_watch(struct duress_loop *loop, struct duress_socket *socket, int fd, duress_socket_fn fn,
                         void *context)
{
    int error = duress__socket_register(loop, socket, fd, watch_epoll_events(0), fn, context);
    if (error == DURESS_OK)
        socket->watched = true;
    return error;
}

void duress__socket_unwatch(struct duress_socket *socket)
{
    if (duress__socket_is_open(socket))
        (void)socket_unregister(socket);
}

/* --- what epoll says --- */

/* Asks for and clears the socket's error; 0 where there is none. */
static int pending_error_take(int fd)
{
    int number = 0;
    socklen_t bytes = sizeof number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &bytes) != 0)
        return errno;
    return number;
}

static void connect_ended(struct duress_socket *socket)
{
    int number = pending_error_take(socket->fd);
    /* A refused SYN is ECONNREFUSED: these say that it was accepted, and reset before we looked. What the peer sent in
     * between lies there to be read. */
    bool accepted_and_reset = number == ECONNRESET || number == EPIPE;
    if (number != 0 && !accepted_and_reset) {
        socket->error = duress__error_from_errno(number);
        socket_mark(socket, DURESS_SOCKET_FAILED);
        return;
    }
    socket->connecting = false;
    if (socket->shut)
        (void)shutdown(socket->fd, SHUT_WR);
    socket_mark(socket, DURESS_SOCKET_CONNECTED);
    if (accepted_and_reset)
        (void)duress__socket_failed(socket, number);
}

static void watch_spoke(struct duress_socket *socket, uint32_t said)
{
    unsigned events = 0;
    if ((said & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        events |= DURESS_SOCKET_READABLE;
    if ((said & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
        events |= DURESS_SOCKET_WRITABLE;
    socket_mark(socket, events & socket->want);
}

static void socket_spoke(struct duress_socket *socket, uint32_t said)
{
    if (socket->watched) {
        watch_spoke(socket, said);
        return;
    }
    if (socket->connecting) {
        if (socket->error != DURESS_OK)
            return; /* FAILED was said already. */
        connect_ended(socket);
        if (socket->connecting)
            return;
    }
    /* Data behind an urgent mark and the end behind the data are not told apart from what was read before them. */
    if ((said & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0)
        socket->short_read_is_last = false;
    unsigned events = 0;
    if ((said & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        events |= DURESS_SOCKET_READABLE;
    if ((said & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        events |= DURESS_SOCKET_WRITABLE;
    if ((said & EPOLLERR) != 0) {
        int number = pending_error_take(socket->fd);
        if (number != 0)
            (void)duress__socket_failed(socket, number);
    }
    socket_mark(socket, events);
}

void duress__sockets_harvest(struct duress_loop *loop, int timeout_ms)
{
    struct epoll_event said[HARVEST_EVENTS];
    int count = epoll_wait(loop->epoll_fd, said, HARVEST_EVENTS, timeout_ms);
    /* Where the array was too small libuv tells again, as the set is still readable; so does a direct wait. */
    loop->harvest_is_due = false;
    for (int i = 0; i < count; i++) {
        void *who = said[i].data.ptr;
        if (who == &loop->timer_fd)
            loop->armed_ns = DURESS_TIME_NEVER; /* Used up, perhaps since this turn's timers were looked at. */
        else if (who != &loop->wake_fd)         /* Posts are looked at in each turn anyway. */
            socket_spoke(who, said[i].events);
    }
}

/* --- moving bytes --- */

int duress__socket_failed(struct duress_socket *socket, int number)
{
    int error = duress__error_from_errno(number);
    if (error == DURESS_E_NO_MEMORY)
        return error; /* It passes; the connection lives. */
    if (number == ETIMEDOUT)
        error = DURESS_E_RESET; /* Nobody acknowledged for so long that the kernel gave the connection up. */
    if (socket->error != DURESS_OK)
        return socket->error;
    /* After the peer's FIN the kernel says EPIPE for an RST, but it says EPIPE as well where the RST's own error was
     * taken by another call, or kept for later. */
    int kept = number == EPIPE ? pending_error_take(socket->fd) : number;
    socket->ended_by_fin = kept == EPIPE || kept == 0;
    socket->error = error;
    socket->short_read_is_last = false;
    socket_mark(socket, DURESS_SOCKET_HANGUP | DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE);
    return error;
}

int duress__socket_ended(struct duress_socket *socket)
{
    return socket->error != DURESS_OK && !socket->ended_by_fin ? socket->error : DURESS_E_END;
}

void duress__socket_drained(struct duress_socket *socket, unsigned events)
{
    socket_unmark(socket, events & (DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE));
}

/* What both directions say before they ask the kernel. */
static int socket_check(const struct duress_socket *socket)
{
    if (!duress__socket_is_open(socket))
        return DURESS_E_CLOSED;
    if (socket->connecting)
        return socket->error != DURESS_OK ? socket->error : DURESS_E_AGAIN;
    return DURESS_OK;
}

int duress__socket_read(struct duress_socket *socket, void *bytes, size_t capacity, size_t *count)
{
    int error = socket_check(socket);
    if (error != DURESS_OK)
        return error;
    if (capacity == 0)
        return DURESS_E_INVALID;
    ssize_t got;
    do
        got = recv(socket->fd, bytes, capacity, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return duress__socket_ended(socket);
    if (got > 0) {
        if ((size_t)got < capacity && socket->short_read_is_last)
            socket_unmark(socket, DURESS_SOCKET_READABLE);
        *count = (size_t)got;
        return DURESS_OK;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return duress__socket_failed(socket, errno);
    socket_unmark(socket, DURESS_SOCKET_READABLE);
    return DURESS_E_AGAIN;
}

int duress__socket_write(struct duress_socket *socket, const struct duress_slice *slices, size_t slice_count,
                         size_t *count)
{
    int error = socket_check(socket);
    if (error != DURESS_OK)
        return error;
    if (socket->shut)
        return DURESS_E_CLOSED;
    ssize_t put;
    struct iovec pieces[WRITE_SLICES_MAX];
    size_t piece_count = 0;
    size_t offered_bytes = 0;
    for (size_t i = 0; i < slice_count && piece_count < WRITE_SLICES_MAX; i++) {
        if (slices[i].length == 0)
            continue;
        pieces[piece_count++] = (struct iovec){(void *)(uintptr_t)slices[i].data, slices[i].length};
        offered_bytes += slices[i].length;
    }
    if (piece_count == 0)
        return DURESS_E_INVALID;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = piece_count};
    do
        put = piece_count == 1 ? send(socket->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                               : sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    if (put < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return duress__socket_failed(socket, errno);
    if (put < 0 || (size_t)put < offered_bytes)
        socket_unmark(socket, DURESS_SOCKET_WRITABLE);
    if (put <= 0)
        return DURESS_E_AGAIN;
    *count = (size_t)put;
    return DURESS_OK;
}

/* --- closing --- */

void duress__socket_shutdown(struct duress_socket *socket)
{
    if (!duress__socket_is_open(socket) || socket->shut)
        return;
    socket->shut = true;
    if (!socket->connecting)
        (void)shutdown(socket->fd, SHUT_WR); /* It fails only where the connection is gone, which is told otherwise. */
}

void duress__socket_close(struct duress_socket *socket)
{
    if (!duress__socket_is_open(socket))
        return;
    bool watched = socket->watched;
    int fd = socket_unregister(socket);
    if (!watched)
        (void)close(fd);
}

void duress__socket_reset(struct duress_socket *socket)
{
    if (!duress__socket_is_open(socket))
        return;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (!socket->watched)
        (void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    duress__socket_close(socket);
}
