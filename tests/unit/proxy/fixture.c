/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- memory --- */

static bool heap_fails(struct counting_allocator *heap)
{
    size_t index = heap->allocation_count++;
    bool fails = index >= heap->fail_at && index - heap->fail_at < heap->fail_count;
    heap->failed_count += fails ? 1 : 0;
    return fails;
}

static void *heap_allocate(void *context, size_t bytes)
{
    struct counting_allocator *heap = context;
    if (heap_fails(heap))
        return NULL;
    const struct duress_allocator *real = duress_allocator_default();
    void *memory = real->allocate(real->context, bytes);
    heap->live_count += memory != NULL ? 1 : 0;
    return memory;
}

static void *heap_reallocate(void *context, void *memory, size_t bytes)
{
    struct counting_allocator *heap = context;
    if (heap_fails(heap))
        return NULL;
    const struct duress_allocator *real = duress_allocator_default();
    void *moved = real->reallocate(real->context, memory, bytes);
    heap->live_count += memory == NULL && moved != NULL ? 1 : 0;
    return moved;
}

static void heap_release(void *context, void *memory)
{
    struct counting_allocator *heap = context;
    const struct duress_allocator *real = duress_allocator_default();
    heap->live_count -= memory != NULL ? 1 : 0;
    real->release(real->context, memory);
}

/* --- the fixture --- */

int descriptor_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    assert_int_equal(closedir(folder), 0);
    return count;
}

static void tick_fired(void *context)
{
    struct fixture *fixture = context;
    duress__loop_arm(fixture->loop, &fixture->tick, duress__loop_now_ns(fixture->loop) + DURESS_MS);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void server_listen(struct fixture *fixture)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    fixture->server_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fixture->server_fd >= 0);
    assert_int_equal(bind(fixture->server_fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fixture->server_fd, 4096), 0);
    assert_int_equal(getsockname(fixture->server_fd, (struct sockaddr *)&address, &length), 0);
    fixture->server_port = ntohs(address.sin_port);
}

/* What libuv opens once for a process is no leak. */
static void loop_warm_up(void)
{
    struct duress_loop *loop = NULL;
    assert_int_equal(duress__loop_new(NULL, NULL, &loop), DURESS_OK);
    duress__loop_free(loop);
}

void fixture_open(struct fixture *fixture)
{
    loop_warm_up();
    *fixture = (struct fixture){
        .heap = {.base = {&fixture->heap, heap_allocate, heap_reallocate, heap_release}, .fail_at = SIZE_MAX},
        .fd_count_before = descriptor_count(),
    };
    assert_int_equal(duress__loop_new(NULL, NULL, &fixture->loop), DURESS_OK);
    duress_timer_init(&fixture->tick, tick_fired, fixture);
    tick_fired(fixture);
    server_listen(fixture);
}

void fixture_start(struct fixture *fixture, const struct duress_proxy_options *options)
{
    char upstream[64];
    fixture_open(fixture);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)fixture->server_port);
    struct duress_proxy_options all = {.seed = 1};
    if (options != NULL)
        all = *options;
    all.allocator = &fixture->heap.base;
    if (all.listen == NULL)
        all.listen = "127.0.0.1:0";
    if (all.upstream == NULL)
        all.upstream = upstream;
    assert_int_equal(duress_proxy_new(fixture->loop, &all, &fixture->proxy, NULL), DURESS_OK);
    assert_int_not_equal(duress_proxy_port(fixture->proxy), 0);
}

void fixture_stop(struct fixture *fixture)
{
    duress_proxy_free(fixture->proxy);
    duress__loop_disarm(fixture->loop, &fixture->tick);
    duress__loop_free(fixture->loop);
    assert_int_equal(close(fixture->server_fd), 0);
    assert_int_equal(fixture->heap.live_count, 0);
    assert_int_equal(descriptor_count(), fixture->fd_count_before);
}

uint64_t now_ns(const struct fixture *fixture)
{
    return duress__loop_now_ns(fixture->loop);
}

/* --- waiting --- */

void wait_until(struct fixture *fixture, condition_fn condition, void *context, const char *what)
{
    uint64_t deadline_ns = now_ns(fixture) + PATIENCE_NS;
    if (duress__loop_run_until(fixture->loop, condition, context, deadline_ns) != DURESS_OK)
        fail_msg("waited in vain: %s", what);
}

void run_for(struct fixture *fixture, uint64_t duration_ns)
{
    uint64_t deadline_ns = now_ns(fixture) + duration_ns;
    assert_int_equal(duress__loop_run_until(fixture->loop, NULL, NULL, deadline_ns), DURESS_E_DEADLINE);
}

struct count_wait {
    struct duress_proxy *proxy;
    size_t count;
};

static bool connection_count_is(void *context)
{
    struct count_wait *wait = context;
    return duress_proxy_connection_count(wait->proxy) == wait->count;
}

void wait_connection_count(struct fixture *fixture, size_t count)
{
    struct count_wait wait = {fixture->proxy, count};
    wait_until(fixture, connection_count_is, &wait, "the number of open connections");
}

/* --- peers --- */

static void no_delay(int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int client_open(struct fixture *fixture)
{
    return client_open_at(duress_proxy_port(fixture->proxy));
}

int client_open_at(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    no_delay(fd);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

struct accept_wait {
    int listener;
    int fd;
};

static bool accept_done(void *context)
{
    struct accept_wait *wait = context;
    if (wait->fd < 0)
        wait->fd = accept4(wait->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return wait->fd >= 0;
}

int server_accept(struct fixture *fixture)
{
    struct accept_wait wait = {fixture->server_fd, -1};
    wait_until(fixture, accept_done, &wait, "a connection at the server");
    no_delay(wait.fd); /* a Unix socket has no such thing */
    return wait.fd;
}

struct pair pair_open(struct fixture *fixture)
{
    struct pair pair = {.client = client_open(fixture)};
    pair.server = server_accept(fixture);
    return pair;
}

void pair_close(struct pair *pair)
{
    peer_close(&pair->client);
    peer_close(&pair->server);
}

bool peer_is_connected(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_state == TCP_ESTABLISHED;
}

static bool connected_done(void *context)
{
    return peer_is_connected(*(int *)context);
}

void wait_connected(struct fixture *fixture, int fd)
{
    wait_until(fixture, connected_done, &fd, "the connect");
}

struct send_wait {
    int fd;
    const uint8_t *bytes;
    size_t left;
};

static bool send_done(void *context)
{
    struct send_wait *wait = context;
    while (wait->left > 0) {
        ssize_t count = send(wait->fd, wait->bytes, wait->left, MSG_NOSIGNAL);
        if (count < 0)
            return false;
        wait->bytes += count;
        wait->left -= (size_t)count;
    }
    return true;
}

void peer_send(struct fixture *fixture, int fd, const void *bytes, size_t length)
{
    struct send_wait wait = {fd, bytes, length};
    wait_until(fixture, send_done, &wait, "room for the bytes to send");
}

void peer_send_text(struct fixture *fixture, int fd, const char *text)
{
    peer_send(fixture, fd, text, strlen(text));
}

size_t peer_read_now(int fd, void *bytes, size_t capacity, enum end *end)
{
    ssize_t count = recv(fd, bytes, capacity, 0);
    *end = END_NONE;
    if (count > 0)
        return (size_t)count;
    if (count == 0)
        *end = END_FIN;
    else if (errno != EAGAIN)
        *end = END_RST;
    return 0;
}

struct receive_wait {
    int fd;
    uint8_t *bytes;
    size_t left;
    enum end end;
};

static bool receive_done(void *context)
{
    struct receive_wait *wait = context;
    while (wait->left > 0) {
        size_t count = peer_read_now(wait->fd, wait->bytes, wait->left, &wait->end);
        if (count == 0)
            return wait->end != END_NONE;
        wait->bytes += count;
        wait->left -= count;
    }
    return true;
}

void peer_receive(struct fixture *fixture, int fd, void *bytes, size_t length)
{
    struct receive_wait wait = {fd, bytes, length, END_NONE};
    wait_until(fixture, receive_done, &wait, "bytes from the other side");
    assert_int_equal(wait.left, 0);
}

void peer_expect_text(struct fixture *fixture, int fd, const char *text)
{
    char received[256];
    size_t length = strlen(text);
    assert_true(length < sizeof received);
    peer_receive(fixture, fd, received, length);
    assert_memory_equal(received, text, length);
}

struct drain_wait {
    int fd;
    size_t received;
    enum end end;
};

static bool drain_done(void *context)
{
    static uint8_t bytes[65536];
    struct drain_wait *wait = context;
    for (;;) {
        size_t count = peer_read_now(wait->fd, bytes, sizeof bytes, &wait->end);
        if (count == 0)
            return wait->end != END_NONE;
        wait->received += count;
    }
}

enum end peer_drain(struct fixture *fixture, int fd, size_t *received)
{
    struct drain_wait wait = {.fd = fd};
    wait_until(fixture, drain_done, &wait, "the end of the stream");
    if (received != NULL)
        *received = wait.received;
    return wait.end;
}

void peer_close(int *fd)
{
    if (*fd >= 0)
        assert_int_equal(close(*fd), 0);
    *fd = -1;
}

void peer_reset(int *fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    peer_close(fd);
}

void peer_receive_buffer(int fd, int bytes)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
}

bool connect_is_refused(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int status = connect(fd, (const struct sockaddr *)&address, sizeof address);
    bool refused = status != 0 && errno == ECONNREFUSED;
    assert_int_equal(close(fd), 0);
    return refused;
}

void descriptors_limit(const struct fixture *fixture, rlim_t spare, struct rlimit *before)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    int first_free = dup(fixture->server_fd);
    assert_int_equal(close(first_free), 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)first_free + spare, .rlim_max = before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* --- what the proxy says --- */

struct stats_search {
    uint64_t number;
    bool found;
    struct duress_link_stats stats;
};

static void stats_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    struct stats_search *search = context;
    (void)ended;
    if (number != search->number)
        return;
    search->found = true;
    search->stats = *stats;
}

struct duress_link_stats link_stats(struct fixture *fixture, uint64_t number)
{
    struct stats_search search = {.number = number};
    duress_proxy_visit(fixture->proxy, stats_visit, &search);
    assert_true(search.found);
    return search.stats;
}

struct duress_toxic toxic_make(uint64_t id, enum duress_toxic_type type, enum duress_direction direction)
{
    struct duress_toxic toxic = {.id = id, .type = type, .direction = direction, .toxicity_ppm = DURESS_PPM};
    return toxic;
}

void toxic_add(struct fixture *fixture, const struct duress_toxic *toxic)
{
    assert_int_equal(duress_proxy_toxic_add(fixture->proxy, toxic, NULL), DURESS_OK);
}
