/* SPDX-License-Identifier: Apache-2.0
 *
 * What the proxy's driver costs. One thread holds the proxy, another one both peers: they exchange messages of 256
 * bytes, and move a stream of 64 MiB, through the proxy and directly over loopback, in turns in the same run. The
 * processor time is that of the proxy's thread alone; the direct exchange has none of it, so the other figures are
 * elapsed time. Sockets use the congestion control "reno" where the kernel has it: others may pace even on loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <duress/loop/loop.h>
#include <duress/proxy/proxy.h>
#include <duress/time.h>

#include "bench.h"

#define MESSAGE_BYTES 256
#define ROUND_TRIPS 20000
#define STREAM_BYTES (UINT64_C(64) << 20)
#define STREAM_CHUNK_BYTES 65536

/* --- the proxy's thread --- */

struct proxy_thread {
    pthread_t thread;
    pthread_barrier_t ready;
    struct duress_loop *loop;
    struct duress_proxy *proxy;
    struct duress_post stop;
    bool stopped;
    uint16_t upstream_port;
    uint16_t port;
    bool latency_toxic; /* a latency of nothing: bytes take the way through a toxic */
};

static void stop_called(void *context)
{
    struct proxy_thread *thread = context;
    thread->stopped = true;
}

static bool is_stopped(void *context)
{
    return ((struct proxy_thread *)context)->stopped;
}

static void toxic_add(struct proxy_thread *thread)
{
    struct duress_toxic toxic = {
        .id = 1, .type = DURESS_TOXIC_LATENCY, .direction = DURESS_UPSTREAM, .toxicity_ppm = DURESS_PPM};
    if (duress_proxy_toxic_add(thread->proxy, &toxic, NULL) != DURESS_OK)
        bench_fail("no toxic");
}

static void *proxy_run(void *context)
{
    struct proxy_thread *thread = context;
    char upstream[32];
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)thread->upstream_port);
    struct duress_proxy_options options = {.listen = "127.0.0.1:0", .upstream = upstream, .seed = 1};
    if (duress__loop_new(NULL, NULL, &thread->loop) != DURESS_OK ||
        duress_proxy_new(thread->loop, &options, &thread->proxy, NULL) != DURESS_OK)
        bench_fail("no proxy");
    if (thread->latency_toxic)
        toxic_add(thread);
    thread->port = duress_proxy_port(thread->proxy);
    pthread_barrier_wait(&thread->ready);
    (void)duress__loop_run_until(thread->loop, is_stopped, thread, DURESS_TIME_NEVER);
    duress_proxy_free(thread->proxy);
    duress__loop_free(thread->loop);
    return NULL;
}

static void proxy_begin(struct proxy_thread *thread, uint16_t upstream_port, bool latency_toxic)
{
    *thread = (struct proxy_thread){
        .upstream_port = upstream_port,
        .latency_toxic = latency_toxic,
        .stop = {.fn = stop_called, .context = thread},
    };
    if (pthread_barrier_init(&thread->ready, NULL, 2) != 0 ||
        pthread_create(&thread->thread, NULL, proxy_run, thread) != 0)
        bench_fail("no thread");
    pthread_barrier_wait(&thread->ready);
}

static void proxy_end(struct proxy_thread *thread)
{
    duress__loop_post(thread->loop, &thread->stop);
    (void)pthread_join(thread->thread, NULL);
    (void)pthread_barrier_destroy(&thread->ready);
}

static double proxy_cpu_ns(const struct proxy_thread *thread)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(thread->thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
        bench_fail("no clock of the proxy's thread");
    return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

/* --- the peers --- */

struct pair {
    int client;
    int server;
};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int peer_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        bench_fail("no socket");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    return fd;
}

static int server_listen(uint16_t *port)
{
    int fd = peer_socket();
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        bench_fail("cannot listen");
    *port = ntohs(address.sin_port);
    return fd;
}

static struct pair pair_open(int listener, uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = loopback(port);
    struct pair pair = {.client = peer_socket()};
    if (connect(pair.client, (const struct sockaddr *)&address, sizeof address) != 0)
        bench_fail("cannot connect");
    pair.server = accept(listener, NULL, NULL);
    if (pair.server < 0)
        bench_fail("cannot accept");
    (void)setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(pair.server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return pair;
}

static void pair_close(struct pair *pair)
{
    (void)close(pair->client);
    (void)close(pair->server);
}

static void move_message(int from, int to)
{
    uint8_t message[MESSAGE_BYTES] = {1};
    if (send(from, message, sizeof message, MSG_NOSIGNAL) != (ssize_t)sizeof message ||
        recv(to, message, sizeof message, MSG_WAITALL) != (ssize_t)sizeof message)
        bench_fail("a message was lost");
}

/* Elapsed nanoseconds of one message. */
static double messages_run(const struct pair *pair)
{
    uint64_t begun_ns = bench_now_ns();
    for (size_t i = 0; i < ROUND_TRIPS; i++) {
        move_message(pair->client, pair->server);
        move_message(pair->server, pair->client);
    }
    return (double)(bench_now_ns() - begun_ns) / (2.0 * ROUND_TRIPS);
}

/* Bytes a second from the client to the server, both in this thread. */
static double stream_run(const struct pair *pair)
{
    static uint8_t chunk[STREAM_CHUNK_BYTES];
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t begun_ns = bench_now_ns();
    while (received < STREAM_BYTES) {
        ssize_t count = 0;
        if (sent < STREAM_BYTES)
            count = send(pair->client, chunk, sizeof chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += count > 0 ? (uint64_t)count : 0;
        ssize_t taken = recv(pair->server, chunk, sizeof chunk, MSG_DONTWAIT);
        received += taken > 0 ? (uint64_t)taken : 0;
        if (taken == 0)
            bench_fail("the stream ended early");
        if (count <= 0 && taken < 0) {
            struct pollfd both[2] = {{.fd = pair->server, .events = POLLIN},
                                     {.fd = sent < STREAM_BYTES ? pair->client : -1, .events = POLLOUT}};
            (void)poll(both, 2, 1000);
        }
    }
    return (double)STREAM_BYTES * 1e9 / (double)(bench_now_ns() - begun_ns);
}

/* --- figures --- */

static void messages_measure(int listener, uint16_t direct_port, struct proxy_thread *thread, const char *name,
                             const char *cpu_name, bool print_direct)
{
    struct bench_samples direct = {.name = "message of 256 B, direct loopback", .unit = "ns"};
    struct bench_samples through = {.name = name, .unit = "ns"};
    struct bench_samples cpu = {.name = cpu_name, .unit = "ns"};
    struct pair straight = pair_open(listener, direct_port);
    struct pair proxied = pair_open(listener, thread->port);
    (void)messages_run(&proxied);
    for (size_t run = 0; run < bench_runs(); run++) {
        bench_samples_add(&direct, messages_run(&straight));
        double cpu_before_ns = proxy_cpu_ns(thread);
        bench_samples_add(&through, messages_run(&proxied));
        bench_samples_add(&cpu, (proxy_cpu_ns(thread) - cpu_before_ns) / (2.0 * ROUND_TRIPS));
    }
    if (print_direct)
        bench_print(&direct);
    bench_print_against(&through, direct.name, bench_samples_median(&direct));
    bench_print(&cpu);
    pair_close(&straight);
    pair_close(&proxied);
}

static void stream_measure(int listener, uint16_t direct_port, struct proxy_thread *thread, const char *name,
                           bool print_direct)
{
    struct bench_samples direct = {.name = "throughput, direct loopback", .unit = "B/s"};
    struct bench_samples through = {.name = name, .unit = "B/s"};
    struct pair straight = pair_open(listener, direct_port);
    struct pair proxied = pair_open(listener, thread->port);
    (void)stream_run(&proxied);
    for (size_t run = 0; run < bench_runs(); run++) {
        bench_samples_add(&direct, stream_run(&straight));
        bench_samples_add(&through, stream_run(&proxied));
    }
    if (print_direct)
        bench_print(&direct);
    bench_print_against(&through, direct.name, bench_samples_median(&direct));
    pair_close(&straight);
    pair_close(&proxied);
}

/* Connections a second: connect, one byte each way, close. */
static void connections_measure(int listener, struct proxy_thread *thread)
{
    enum { COUNT = 500 };
    struct bench_samples rate = {.name = "connections through the proxy", .unit = "1/s"};
    for (size_t run = 0; run < bench_runs(); run++) {
        uint64_t begun_ns = bench_now_ns();
        for (size_t i = 0; i < COUNT; i++) {
            struct pair pair = pair_open(listener, thread->port);
            move_message(pair.client, pair.server);
            move_message(pair.server, pair.client);
            pair_close(&pair);
        }
        bench_samples_add(&rate, COUNT * 1e9 / (double)(bench_now_ns() - begun_ns));
    }
    bench_print(&rate);
}

int main(void)
{
    struct proxy_thread plain;
    struct proxy_thread toxic;
    uint16_t port = 0;
    int listener = server_listen(&port);
    proxy_begin(&plain, port, false);
    messages_measure(listener, port, &plain, "message of 256 B through the proxy",
                     "processor time of the proxy for a message of 256 B", true);
    stream_measure(listener, port, &plain, "throughput through the proxy", true);
    connections_measure(listener, &plain);
    proxy_end(&plain);
    proxy_begin(&toxic, port, true);
    messages_measure(listener, port, &toxic, "message of 256 B through the proxy with a toxic",
                     "processor time of the proxy for a message of 256 B with a toxic", false);
    stream_measure(listener, port, &toxic, "throughput through the proxy with a toxic", false);
    proxy_end(&toxic);
    (void)close(listener);
    return 0;
}
