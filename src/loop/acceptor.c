/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop_private.h"

/* So many are accepted before others get their turn. The queue is as long as Linux allows it by default: a client on
 * the same machine connects faster than connections can be accepted, and each SYN that finds the queue full costs it 1
 * s. */
enum { ACCEPTS_PER_TURN = 16, BACKLOG_DEFAULT = 4096 };

/* --- accepting --- */

/* Whether accept4() failed for this one connection only, so that the next one may be tried at once (accept(2) lists
 * the network's errors, which Linux passes on). Everything else, above all the lack of descriptors, needs time. */
static bool accept_error_passes(int number)
{
    switch (number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case EPERM:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

static void acceptor_follow(struct duress_acceptor *acceptor)
{
    bool paused = duress_timer_is_armed(&acceptor->resume);
    duress__socket_want(&acceptor->socket, acceptor->stopped || paused ? 0 : DURESS_SOCKET_READABLE);
}

static void acceptor_resume(void *context)
{
    acceptor_follow(context);
}

/* The connections stay in the kernel's queue, and READABLE stays true, so nothing is lost by looking away. */
static void acceptor_pause(struct duress_acceptor *acceptor)
{
    struct duress_loop *loop = acceptor->socket.loop;
    acceptor->pause_count++;
    if (acceptor->paused != NULL)
        acceptor->paused(acceptor->context);
    duress__loop_arm(loop, &acceptor->resume, duress_time_add(duress__loop_now_ns(loop), DURESS_ACCEPT_PAUSE_NS));
    acceptor_follow(acceptor);
}

static void acceptor_ready(void *context, unsigned events)
{
    (void)events; /* READABLE; an error of a listening socket shows in accept4(). */
    struct duress_acceptor *acceptor = context;
    struct duress_loop *loop = acceptor->socket.loop;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t peer_bytes = sizeof peer;
        if (acceptor->may_accept != NULL && !acceptor->may_accept(acceptor->context)) {
            acceptor_pause(acceptor);
            return;
        }
        int fd = accept4(acceptor->socket.fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            acceptor->fn(acceptor->context, fd, (struct sockaddr *)&peer, peer_bytes);
            duress__loop_event_end(loop);
            if (loop->current != &acceptor->socket || acceptor->stopped || loop->stop)
                return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            duress__socket_drained(&acceptor->socket, DURESS_SOCKET_READABLE);
            return;
        } else if (!accept_error_passes(errno)) {
            acceptor_pause(acceptor);
            return;
        }
    }
}

void duress__acceptor_accept(struct duress_acceptor *acceptor, bool accept)
{
    acceptor->stopped = !accept;
    acceptor_follow(acceptor);
}

/* --- the files of Unix sockets --- */

static bool address_is_unix_path(const struct sockaddr *address, socklen_t address_bytes)
{
    return address->sa_family == AF_UNIX && address_bytes > offsetof(struct sockaddr_un, sun_path) &&
           ((const struct sockaddr_un *)address)->sun_path[0] != '\0'; /* a NUL begins an abstract name */
}

/* Whether |path| is a socket's file that nobody listens on. */
static bool unix_file_is_stale(const char *path, const struct sockaddr *address, socklen_t address_bytes)
{
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool stale = connect(probe, address, address_bytes) != 0 && errno == ECONNREFUSED;
    (void)close(probe);
    return stale;
}

/* Binds |fd| to a path; the file has mode 0600 from its first instant, as Linux takes the mode from the descriptor. */
static int unix_bind(struct duress_loop *loop, struct duress_acceptor *acceptor, int fd, const struct sockaddr *address,
                     socklen_t address_bytes)
{
    size_t path_bytes = address_bytes - offsetof(struct sockaddr_un, sun_path);
    char *path = duress_allocate_zeroed(duress__loop_allocator(loop), path_bytes + 1, 1);
    if (path == NULL)
        return DURESS_E_NO_MEMORY;
    memcpy(path, ((const struct sockaddr_un *)address)->sun_path, path_bytes);
    int number = 0;
    if (fchmod(fd, 0600) != 0 || bind(fd, address, address_bytes) != 0)
        number = errno;
    if (number == EADDRINUSE && unix_file_is_stale(path, address, address_bytes)) {
        number = 0;
        if (unlink(path) != 0 || bind(fd, address, address_bytes) != 0)
            number = errno;
    }
    struct stat status;
    if (number == 0 && lstat(path, &status) != 0)
        number = errno;
    if (number != 0) {
        duress_release(duress__loop_allocator(loop), path);
        return number == ENOENT ? DURESS_E_INVALID : duress__error_from_errno(number); /* no such folder */
    }
    acceptor->unix_path = path;
    acceptor->unix_device = status.st_dev;
    acceptor->unix_inode = status.st_ino;
    return DURESS_OK;
}

/* Removes the file unless somebody has put another one in its place. */
static void unix_file_remove(struct duress_acceptor *acceptor, const struct duress_allocator *allocator)
{
    if (acceptor->unix_path == NULL)
        return;
    struct stat status;
    if (lstat(acceptor->unix_path, &status) == 0 && status.st_dev == acceptor->unix_device &&
        status.st_ino == acceptor->unix_inode)
        (void)unlink(acceptor->unix_path);
    duress_release(allocator, acceptor->unix_path);
    acceptor->unix_path = NULL;
}

/* --- opening and closing --- */

static int address_bind(struct duress_loop *loop, struct duress_acceptor *acceptor, int fd,
                        const struct sockaddr *address, socklen_t address_bytes)
{
    if (address_is_unix_path(address, address_bytes))
        return unix_bind(loop, acceptor, fd, address, address_bytes);
    int on = 1;
    if (address->sa_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return duress__error_from_errno(errno);
    return bind(fd, address, address_bytes) == 0 ? DURESS_OK : duress__error_from_errno(errno);
}

static void acceptor_init(struct duress_acceptor *acceptor, duress_accepted_fn fn, void *context)
{
    *acceptor = (struct duress_acceptor){.socket = {.fd = -1}, .fn = fn, .context = context};
    duress_timer_init(&acceptor->resume, acceptor_resume, acceptor);
}

static int acceptor_begin(struct duress_loop *loop, struct duress_acceptor *acceptor, int fd, uint32_t epoll_events)
{
    int error = duress__socket_register(loop, &acceptor->socket, fd, epoll_events, acceptor_ready, acceptor);
    if (error != DURESS_OK)
        return error;
    acceptor->socket.listens = true;
    acceptor->socket.tcp = duress__tcp_options_set(fd);
    acceptor_follow(acceptor);
    return DURESS_OK;
}

int duress__acceptor_listen(struct duress_loop *loop, struct duress_acceptor *acceptor, const struct sockaddr *address,
                            socklen_t address_bytes, uint32_t backlog, duress_accepted_fn fn, void *context)
{
    acceptor_init(acceptor, fn, context);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return duress__error_from_errno(errno);
    int error = address_bind(loop, acceptor, fd, address, address_bytes);
    int queue = backlog == 0 ? BACKLOG_DEFAULT : backlog > INT32_MAX ? INT32_MAX : (int)backlog;
    if (error == DURESS_OK && listen(fd, queue) != 0)
        error = duress__error_from_errno(errno);
    if (error == DURESS_OK)
        error = acceptor_begin(loop, acceptor, fd, EPOLLIN | EPOLLET);
    if (error == DURESS_OK)
        return DURESS_OK;
    (void)close(fd);
    unix_file_remove(acceptor, duress__loop_allocator(loop));
    return error;
}

int duress__acceptor_adopt(struct duress_loop *loop, struct duress_acceptor *acceptor, int fd, bool shared,
                           duress_accepted_fn fn, void *context)
{
    acceptor_init(acceptor, fn, context);
    return acceptor_begin(loop, acceptor, fd, EPOLLIN | EPOLLET | (shared ? EPOLLEXCLUSIVE : 0));
}

void duress__acceptor_close(struct duress_acceptor *acceptor)
{
    struct duress_loop *loop = acceptor->socket.loop;
    if (loop == NULL)
        return;
    duress__loop_disarm(loop, &acceptor->resume);
    duress__socket_close(&acceptor->socket);
    unix_file_remove(acceptor, duress__loop_allocator(loop));
}
