/* SPDX-License-Identifier: Apache-2.0
 *
 * serve WORKERS LISTEN-PORT UPSTREAM-PORT [LATENCY-MS BUFFER-MIB upstream|downstream]: duress' data path as a process
 * of its own, without its API: one proxy over workers, with a latency toxic where one is given. It says "ready" once
 * clients can connect, and when its standard input ends, what it counted: connections, bytes out, bytes spliced, and
 * the greatest and the smallest number of connections that a worker got. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/proxy/workers.h>
#include <duress/time.h>

static bool is_over;

static void stdin_spoke(void *context, unsigned events)
{
    (void)context;
    (void)events;
    is_over = true;
}

static bool over(void *context)
{
    (void)context;
    return is_over;
}

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "serve: %s\n", what);
    exit(1);
}

static void counts_print(const struct duress_workers *workers, const struct duress_workers_proxy *proxy)
{
    struct duress_workers_counts counts = duress_workers_proxy_counts(proxy);
    uint64_t most = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < duress_workers_count(workers); i++) {
        uint64_t accepted = duress_workers_proxy_worker_counts(proxy, i).accepted;
        most = accepted > most ? accepted : most;
        least = accepted < least ? accepted : least;
    }
    (void)printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.accepted,
                 counts.direction[0].bytes_out + counts.direction[1].bytes_out,
                 counts.direction[0].bytes_spliced + counts.direction[1].bytes_spliced, most, least);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 7)
        die("usage: serve WORKERS LISTEN-PORT UPSTREAM-PORT [LATENCY-MS BUFFER-MIB upstream|downstream]");
    char listen[32];
    char upstream[32];
    struct duress_loop *control = NULL;
    struct duress_workers *workers = NULL;
    struct duress_workers_proxy *proxy = NULL;
    struct duress_listen_answer address;
    struct duress_socket input;
    struct rlimit limit;
    struct duress_toxic latency = {
        .id = 1, .type = DURESS_TOXIC_LATENCY, .direction = DURESS_DOWNSTREAM, .toxicity_ppm = DURESS_PPM};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%s", argv[2]);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%s", argv[3]);
    struct duress_workers_options threads = {.worker_count = (uint32_t)strtoul(argv[1], NULL, 10)};
    struct duress_workers_proxy_options options = {.listen = &address.address, .upstream = upstream, .seed = 1};
    if (argc == 7) {
        latency.direction = strcmp(argv[6], "upstream") == 0 ? DURESS_UPSTREAM : DURESS_DOWNSTREAM;
        latency.as.latency.latency_ns = strtoul(argv[4], NULL, 10) * DURESS_MS;
        options.toxics = &latency;
        options.toxic_count = 1;
        options.buffer_bytes_max = strtoul(argv[5], NULL, 10) << 20;
    }
    if (!duress_listen_parse(listen, &address) || duress__loop_new(NULL, NULL, &control) != DURESS_OK ||
        duress_workers_new(control, &threads, &workers, NULL) != DURESS_OK ||
        duress_workers_proxy_new(workers, &options, &proxy, NULL) != DURESS_OK ||
        duress__socket_watch(control, &input, STDIN_FILENO, stdin_spoke, NULL) != DURESS_OK)
        die("cannot begin");
    duress__socket_want(&input, DURESS_SOCKET_READABLE);
    (void)puts("ready");
    (void)fflush(stdout);
    (void)duress__loop_run_until(control, over, NULL, DURESS_TIME_NEVER);
    duress__socket_unwatch(&input);
    counts_print(workers, proxy);
    duress_workers_free(workers);
    duress__loop_free(control);
    return 0;
}
