/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define BULK_BYTES 262144
#define EVENTS 256
#define SAMPLES_MAX (1U << 20)

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int client_open(uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        bench_fail("no socket: %s", strerror(errno));
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != EINTR)
            bench_fail("cannot connect: %s", strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int server_open(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        bench_fail("the server cannot listen");
    *port = ntohs(address.sin_port);
    return fd;
}

static void thread_start(void *(*run)(void *), void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, context) != 0)
        bench_fail("no thread");
    (void)pthread_detach(thread);
}

/* --- the servers --- */

static _Atomic uint64_t sink_bytes;

static void *sink_run(void *context)
{
    int fd = (int)(intptr_t)context;
    char *bytes = malloc(BULK_BYTES);
    if (bytes == NULL)
        bench_fail("no memory");
    for (;;) {
        ssize_t count = recv(fd, bytes, BULK_BYTES, 0);
        if (count <= 0)
            break;
        atomic_fetch_add_explicit(&sink_bytes, (uint64_t)count, memory_order_relaxed);
    }
    free(bytes);
    (void)close(fd);
    return NULL;
}

static void *sink_accept(void *context)
{
    int listener = (int)(intptr_t)context;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            thread_start(sink_run, (void *)(intptr_t)fd);
    }
    return NULL;
}

static void epoll_include(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_fail("epoll_ctl: %s", strerror(errno));
}

static void echo_once(int fd)
{
    char bytes[4096];
    ssize_t count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count > 0)
        (void)!send(fd, bytes, (size_t)count, MSG_NOSIGNAL);
    else if (count == 0 || errno != EAGAIN)
        (void)close(fd);
}

static void *echo_run(void *context)
{
    int one = 1;
    int listener = (int)(intptr_t)context;
    struct epoll_event events[EVENTS];
    int set = epoll_create1(EPOLL_CLOEXEC);
    epoll_include(set, listener);
    for (;;) {
        int count = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                echo_once(fd);
                continue;
            }
            int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (accepted < 0)
                continue;
            (void)setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            epoll_include(set, accepted);
        }
    }
    return NULL;
}

uint16_t load_sink_begin(void)
{
    uint16_t port = 0;
    thread_start(sink_accept, (void *)(intptr_t)server_open(&port));
    return port;
}

uint16_t load_echo_begin(void)
{
    uint16_t port = 0;
    thread_start(echo_run, (void *)(intptr_t)server_open(&port));
    return port;
}

/* --- bulk --- */

struct sender {
    pthread_t thread;
    int fd;
    atomic_bool *is_over;
};

static void *sender_run(void *context)
{
    const struct sender *sender = context;
    char *bytes = calloc(1, BULK_BYTES);
    if (bytes == NULL)
        bench_fail("no memory");
    while (!atomic_load_explicit(sender->is_over, memory_order_relaxed)) {
        if (send(sender->fd, bytes, BULK_BYTES, MSG_NOSIGNAL) < 0)
            break;
    }
    free(bytes);
    return NULL;
}

static void pause_ns(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (nanosleep(&pause, &pause) != 0)
        continue;
}

uint64_t load_bulk(uint16_t port, unsigned streams, uint64_t duration_ns, uint64_t *took_ns)
{
    struct sender senders[16];
    atomic_bool is_over = false;
    for (unsigned i = 0; i < streams; i++) {
        senders[i] = (struct sender){.fd = client_open(port), .is_over = &is_over};
        if (pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]) != 0)
            bench_fail("no thread");
    }
    pause_ns(duration_ns / 5); /* windows open */
    uint64_t bytes_before = atomic_load(&sink_bytes);
    uint64_t begun_ns = bench_now_ns();
    pause_ns(duration_ns);
    uint64_t bytes = atomic_load(&sink_bytes) - bytes_before;
    *took_ns = bench_now_ns() - begun_ns;
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < streams; i++) {
        (void)shutdown(senders[i].fd, SHUT_RDWR);
        (void)pthread_join(senders[i].thread, NULL);
        (void)close(senders[i].fd);
    }
    pause_ns(20000000); /* what is under way arrives */
    return bytes;
}

/* --- messages --- */

static int double_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

struct talker {
    int fd;
    uint64_t sent_ns;
};

static void talker_send(struct talker *talker)
{
    talker->sent_ns = bench_now_ns();
    if (send(talker->fd, "m", 1, MSG_NOSIGNAL) != 1)
        bench_fail("a message could not be sent: %s", strerror(errno));
}

struct load_messages load_messages(uint16_t port, unsigned connections, uint64_t duration_ns)
{
    struct talker *talkers = calloc(connections, sizeof *talkers);
    double *samples = malloc(SAMPLES_MAX * sizeof *samples);
    struct epoll_event events[EVENTS];
    struct load_messages result = {.count = 0};
    int set = epoll_create1(EPOLL_CLOEXEC);
    if (talkers == NULL || samples == NULL || set < 0)
        bench_fail("no memory");
    for (unsigned i = 0; i < connections; i++) {
        talkers[i].fd = client_open(port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &talkers[i]};
        if (epoll_ctl(set, EPOLL_CTL_ADD, talkers[i].fd, &event) != 0)
            bench_fail("epoll_ctl");
    }
    for (unsigned i = 0; i < connections; i++)
        talker_send(&talkers[i]);
    uint64_t until_ns = bench_now_ns() + duration_ns;
    unsigned open = connections;
    while (open > 0) {
        int count = epoll_wait(set, events, EVENTS, 5000);
        if (count <= 0)
            bench_fail("a message got lost");
        for (int i = 0; i < count; i++) {
            char byte;
            struct talker *talker = events[i].data.ptr;
            if (recv(talker->fd, &byte, 1, 0) != 1)
                bench_fail("a connection ended");
            uint64_t now_ns = bench_now_ns();
            if (result.count < SAMPLES_MAX)
                samples[result.count++] = (double)(now_ns - talker->sent_ns) / 1000;
            if (now_ns < until_ns) {
                talker_send(talker);
                continue;
            }
            (void)close(talker->fd);
            open--;
        }
    }
    (void)close(set);
    qsort(samples, result.count, sizeof *samples, double_compare);
    result.p50_us = samples[result.count / 2];
    result.p99_us = samples[result.count * 99 / 100];
    free(samples);
    free(talkers);
    return result;
}

/* --- connections --- */

static void byte_exchange(int fd)
{
    char byte = 'm';
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
        bench_fail("a connection does not work: %s", strerror(errno));
}

uint64_t load_connects(uint16_t port, unsigned count)
{
    uint64_t begun_ns = bench_now_ns();
    for (unsigned i = 0; i < count; i++) {
        int fd = client_open(port);
        byte_exchange(fd);
        (void)close(fd);
    }
    return bench_now_ns() - begun_ns;
}

struct load_idle {
    unsigned count;
    int fds[];
};

struct load_idle *load_idle_begin(uint16_t port, unsigned count)
{
    struct load_idle *idle = malloc(sizeof *idle + count * sizeof idle->fds[0]);
    if (idle == NULL)
        bench_fail("no memory");
    idle->count = count;
    for (unsigned i = 0; i < count; i++) {
        idle->fds[i] = client_open(port);
        byte_exchange(idle->fds[i]);
    }
    return idle;
}

void load_idle_end(struct load_idle *idle)
{
    for (unsigned i = 0; i < idle->count; i++)
        (void)close(idle->fds[i]);
    free(idle);
}

/* --- the clock --- */

double load_timer_late_us(uint64_t wait_ns, unsigned count)
{
    double samples[256];
    struct epoll_event event;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int set = epoll_create1(EPOLL_CLOEXEC);
    if (timer < 0 || set < 0 || count == 0 || count > sizeof samples / sizeof samples[0])
        bench_fail("no timer");
    epoll_include(set, timer);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at_ns = bench_now_ns() + wait_ns;
        struct itimerspec setting = {
            .it_value = {.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)}};
        (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &setting, NULL);
        (void)epoll_wait(set, &event, 1, -1);
        samples[i] = (double)(bench_now_ns() - at_ns) / 1000;
    }
    (void)close(timer);
    (void)close(set);
    qsort(samples, count, sizeof samples[0], double_compare);
    return samples[count / 2];
}
