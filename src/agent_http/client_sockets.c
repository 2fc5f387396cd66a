/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's sockets and its timer on the world's loop.
 *
 * A socket has one poll handle for its whole life. libcurl forgets a connection's socket whenever its exchange is over
 * and names it anew for the next one; what libuv looks for is left as it is in between, so that a kept connection costs
 * no call of the kernel for each exchange. Where an idle one has something to say, libuv is told to look no more; that
 * it is dead, libcurl finds out before it would use it again. */
#include "client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int duress__http_error_from_errno(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return DURESS_E_REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return DURESS_E_RESET;
    case ETIMEDOUT:
        return DURESS_E_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
        return DURESS_E_NO_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS:
        return DURESS_E_NO_MEMORY;
    case EACCES:
    case EPERM:
        return DURESS_E_PERMISSION;
    case EADDRNOTAVAIL:
        return DURESS_E_ADDRESS_UNAVAILABLE;
    default: /* ENETUNREACH, EHOSTUNREACH, EAFNOSUPPORT and the like */
        return DURESS_E_UNREACHABLE;
    }
}

/* --- sockets by their number --- */

static struct http_socket **socket_place(struct http_client *client, int fd)
{
    struct http_socket **place = &client->sockets[fd & (HTTP_SOCKET_BUCKETS - 1)];
    while (*place != NULL && (*place)->fd != fd)
        place = &(*place)->next;
    return place;
}

void duress__http_socket_shut(struct http_client *client, curl_socket_t fd)
{
    if (fd != CURL_SOCKET_BAD && *socket_place(client, fd) != NULL)
        (void)shutdown(fd, SHUT_RDWR);
}

/* An idle connection has something to say: its end, or a reply that nobody asked for, which must not be taken for the
 * next one's. TLS and HTTP/2 have words of their own at such times, and libcurl knows them. */
static void socket_spoke_idle(struct http_socket *socket)
{
    const struct http_client *client = socket->client;
    (void)uv_poll_stop(&socket->poll);
    socket->polled = 0;
    if (!client->target.tls && !client->speaks_http_2)
        (void)shutdown(socket->fd, SHUT_RDWR);
}

static void socket_spoke(uv_poll_t *poll, int status, int events)
{
    struct http_socket *socket = poll->data;
    if (status < 0) {
        /* libuv has stopped looking. What is wrong, libcurl learns when it reads or writes. */
        socket->polled = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (!socket->wanted) {
        socket_spoke_idle(socket);
        return;
    }
    socket->ready_bits |= (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    list_append(&socket->client->ready, &socket->ready);
    duress__http_want_pump(socket->client);
}

/* libcurl's callback: what it wants to hear of a socket. */
static int socket_want(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct http_client *client = context;
    struct http_socket *socket = *socket_place(client, fd);
    (void)easy;
    (void)unused;
    if (socket == NULL) { /* closed without a word, and swept away since */
        DURESS_ASSERT(what == CURL_POLL_REMOVE);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    socket->wanted = what != CURL_POLL_REMOVE;
    if (what == CURL_POLL_REMOVE) {
        client->left_fd = fd;
        list_remove(&socket->ready);
        socket->ready_bits = 0;
        events = socket->polled & UV_READABLE; /* a socket is always writable; an idle one is seldom readable */
    }
    if (events == socket->polled)
        return 0;
    socket->polled = events;
    int status = events != 0 ? uv_poll_start(&socket->poll, events, socket_spoke) : uv_poll_stop(&socket->poll);
    DURESS_ASSERT(status == 0); /* They only fail for a handle that is closing. */
    return 0;
}

static void socket_closed(uv_handle_t *handle)
{
    struct http_socket *socket = handle->data;
    duress_release(socket->allocator, socket);
}

/* Takes it out of everything; libuv lets go of the descriptor at once, closed or not. */
static void socket_forget(struct http_client *client, struct http_socket *socket)
{
    *socket_place(client, socket->fd) = socket->next;
    list_remove(&socket->ready);
    list_remove(&socket->young);
    client->counts.connections_open--;
    uv_close((uv_handle_t *)&socket->poll, socket_closed);
}

static uint64_t inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* libcurl (7.88) calls nobody when it closes a socket whose connection was not set up yet: of a call that was given up,
 * or of the address that lost the race. Its number may be anybody's soon. */
void duress__http_sockets_sweep(struct http_client *client)
{
    struct list_link *next;
    for (struct list_link *link = client->young.next; link != &client->young; link = next) {
        struct http_socket *socket = LIST_OWNER(link, struct http_socket, young);
        next = link->next;
        if (inode_of(socket->fd) != socket->inode)
            socket_forget(client, socket);
    }
}

void duress__http_socket_has_served(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *socket = fd != CURL_SOCKET_BAD ? *socket_place(client, fd) : NULL;
    if (socket != NULL)
        list_remove(&socket->young);
}

static int socket_refuse(struct http_transfer *transfer, int fd, int error)
{
    transfer->open_error = error;
    if (fd >= 0)
        (void)close(fd);
    return CURL_SOCKET_BAD;
}

/* A descriptor whose number libcurl does not hold for an older one, which it closed without a word: it would think that
 * it had said already what it wants to hear of the new one. */
static int socket_new(struct http_client *client, const struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    const struct http_socket *older = fd >= 0 ? *socket_place(client, fd) : NULL;
    if (older != NULL && older->wanted) {
        int other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
        int number = errno;
        (void)close(fd);
        errno = number;
        fd = other;
    }
    int number = errno;
    duress__http_sockets_sweep(client);
    errno = number;
    return fd;
}

curl_socket_t duress__http_socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer *transfer = context;
    struct http_client *client = transfer->client;
    long sent_bytes = 0;
    (void)purpose;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    if (sent_bytes > 0) { /* The kept connection died, and libcurl is about to repeat the request on a new one. */
        transfer->abort = HTTP_ABORT_REPEATED;
        return CURL_SOCKET_BAD;
    }
    int fd = socket_new(client, address);
    if (fd < 0)
        return socket_refuse(transfer, fd, duress__http_error_from_errno(errno));
    struct http_socket *made = duress_allocate_zeroed(client->base.allocator, 1, sizeof *made);
    if (made == NULL)
        return socket_refuse(transfer, fd, DURESS_E_NO_MEMORY);
    int status = uv_poll_init_socket(client->uv, &made->poll, fd);
    if (status != 0) {
        duress_release(client->base.allocator, made);
        return socket_refuse(transfer, fd, duress__http_error_from_errno(-status));
    }
    made->poll.data = made;
    made->client = client;
    made->allocator = client->base.allocator;
    made->fd = fd;
    made->inode = inode_of(fd);
    list_init(&made->ready);
    list_init(&made->young);
    list_append(&client->young, &made->young);
    made->next = client->sockets[fd & (HTTP_SOCKET_BUCKETS - 1)];
    client->sockets[fd & (HTTP_SOCKET_BUCKETS - 1)] = made;
    client->counts.connections_begun++;
    client->counts.connections_open++;
    return fd;
}

int duress__http_socket_close(void *context, curl_socket_t fd)
{
    struct http_client *client = context;
    struct http_socket *socket = *socket_place(client, fd);
    DURESS_ASSERT(socket != NULL);
    socket_forget(client, socket);
    /* What was asked and given up must stop at the peer too: an RST reaches it even where it does not read. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (client->resetting)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return close(fd);
}

/* --- the timer --- */

/* libcurl's callback: when it wants to be called next, in milliseconds from now; -1: not at all. */
static int timer_want(CURLM *multi, long delay_ms, void *context)
{
    struct http_client *client = context;
    (void)multi;
    client->curl_due_ns = DURESS_TIME_NEVER;
    if (delay_ms >= 0) {
        uint64_t delay_ns = duress_time_multiply((uint64_t)delay_ms, DURESS_MS);
        client->curl_due_ns = duress_time_add(duress_world_now_ns(client->base.world), delay_ns);
    }
    duress_world_arm(client->base.world, &client->curl_timer, client->curl_due_ns);
    return 0;
}

static void timer_expired(void *context)
{
    struct http_client *client = context;
    duress__http_want_pump(client);
}

/* --- the multi handle --- */

int duress__http_multi_open(struct http_client *client)
{
    if (client->multi != NULL)
        return DURESS_OK;
    CURLM *multi = curl_multi_init();
    if (multi == NULL)
        return DURESS_E_NO_MEMORY;
    long connections_max = (long)client->connections_max;
    if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_want) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_want) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections_max) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max) != CURLM_OK) {
        (void)curl_multi_cleanup(multi);
        return DURESS_E_NO_MEMORY;
    }
    duress_timer_init(&client->curl_timer, timer_expired, client);
    client->multi = multi;
    return DURESS_OK;
}

void duress__http_multi_close(struct http_client *client)
{
    if (client->multi == NULL)
        return;
    CURLMcode closed = curl_multi_cleanup(client->multi);
    DURESS_ASSERT(closed == CURLM_OK);
    client->multi = NULL;
    duress__http_sockets_sweep(client);
    DURESS_ASSERT(client->counts.connections_open == 0);
    duress_world_disarm(client->base.world, &client->curl_timer);
    client->curl_due_ns = DURESS_TIME_NEVER;
}

void duress__http_multi_drive(struct http_client *client)
{
    int running;
    if (client->multi == NULL)
        return;
    while (!list_is_empty(&client->ready)) {
        struct http_socket *socket = LIST_OWNER(client->ready.next, struct http_socket, ready);
        int bits = socket->ready_bits;
        list_remove(&socket->ready);
        socket->ready_bits = 0;
        (void)curl_multi_socket_action(client->multi, socket->fd, bits, &running);
    }
    if (client->curl_due_ns <= duress_world_now_ns(client->base.world)) {
        client->curl_due_ns = DURESS_TIME_NEVER;
        duress_world_disarm(client->base.world, &client->curl_timer);
        (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    duress__http_sockets_sweep(client);
}
