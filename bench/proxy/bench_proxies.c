/* SPDX-License-Identifier: Apache-2.0
 *
 * Our data path beside the floors (bare loops), HAProxy and Toxiproxy, where these are installed: bulk, messages, new
 * and idle connections, and what a latency toxic adds. In each run every contender has its turn, the first one another
 * each time, so that what else the machine does hits all alike; the ratios count, not the figures. In a network
 * namespace of its own, where that is allowed, with reno: the default may pace even on loopback.
 *
 * bench_proxies [WORK]: one of bulk, messages, connects, idle, latency; all without. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "contender.h"
#include "load.h"

#define BULK_NS UINT64_C(400000000)
#define MESSAGES_NS UINT64_C(300000000)
#define CONNECTS 1500
#define IDLE 4000
#define LATENCY_MS 100

static const char *folder;
static const struct contender_toxic no_toxic;

/* --- the network --- */

static void file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    (void)close(fd);
}

static void network_enter(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        (void)fprintf(stderr, "bench: no network namespace here; figures of bulk may be paced\n");
        return;
    }
    struct ifreq lo = {.ifr_flags = IFF_UP | IFF_RUNNING};
    memcpy(lo.ifr_name, "lo", sizeof "lo");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        bench_fail("no loopback in the network namespace");
    (void)close(fd);
    file_write("/proc/sys/net/ipv4/tcp_congestion_control", "reno");
    file_write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000");
}

/* --- figures --- */

/* What one work measures of one contender. */
struct column {
    struct bench_samples samples[CONTENDER_COUNT];
    char names[CONTENDER_COUNT][96];
};

static void column_begin(struct column *column, const char *what, const char *unit, const struct contender *all,
                         const bool *present)
{
    memset(column, 0, sizeof *column);
    for (int i = 0; i < CONTENDER_COUNT; i++) {
        if (!present[i])
            continue;
        (void)snprintf(column->names[i], sizeof column->names[i], "%s: %s", what, all[i].name);
        column->samples[i].name = column->names[i];
        column->samples[i].unit = unit;
    }
}

/* Each with its ratio to |against|, where that is there. */
static void column_print(const struct column *column, enum contender_kind against)
{
    double median = bench_samples_median(&column->samples[against]);
    for (int i = 0; i < CONTENDER_COUNT; i++) {
        const struct bench_samples *samples = &column->samples[i];
        if (samples->count == 0)
            continue;
        if (i == (int)against || median <= 0 || bench_samples_median(samples) <= 0)
            bench_print(samples);
        else
            bench_print_against(samples, column->names[against], median);
    }
}

/* --- a round --- */

struct field {
    struct contender all[CONTENDER_COUNT];
    bool present[CONTENDER_COUNT];
};

static void field_begin(struct field *field, uint16_t upstream, struct contender_toxic toxic)
{
    for (int i = 0; i < CONTENDER_COUNT; i++)
        field->present[i] = contender_start(&field->all[i], (enum contender_kind)i, folder, upstream, toxic);
}

static void field_end(struct field *field)
{
    for (int i = 0; i < CONTENDER_COUNT; i++)
        contender_stop(&field->all[i]);
}

typedef void (*turn_fn)(struct contender *contender, void *context);

/* |runs| rounds; each begins with another contender. */
static void field_run(struct field *field, turn_fn turn, void *context)
{
    for (size_t run = 0; run < bench_runs(); run++) {
        for (size_t i = 0; i < CONTENDER_COUNT; i++) {
            size_t which = (run + i) % CONTENDER_COUNT;
            if (field->present[which])
                turn(&field->all[which], context);
        }
    }
}

/* --- bulk --- */

struct bulk {
    unsigned streams;
    uint64_t duration_ns;
    struct column rate;
    struct column cpu;
};

static void bulk_turn(struct contender *contender, void *context)
{
    struct bulk *bulk = context;
    uint64_t took_ns = 0;
    uint64_t cpu_before = contender_cpu_ns(contender);
    uint64_t bytes = load_bulk(contender->port, bulk->streams, bulk->duration_ns, &took_ns);
    double cpu_ns = (double)(contender_cpu_ns(contender) - cpu_before);
    if (bytes == 0)
        bench_fail("%s moved nothing", contender->name);
    bench_samples_add(&bulk->rate.samples[contender->kind], (double)bytes / (double)took_ns);
    /* The load ran for a fifth longer than the bytes were counted. */
    if (contender->pid > 0)
        bench_samples_add(&bulk->cpu.samples[contender->kind], cpu_ns / 1.2 / (double)bytes);
}

/* As many bytes as the latency lets be under way; ours may hold 256 MiB, Toxiproxy what it always holds. */
static void bulk_latency_work(uint16_t sink)
{
    static struct field field;
    static struct bulk bulk = {.streams = 1, .duration_ns = 4 * BULK_NS}; /* its first fifth fills the line */
    field_begin(&field, sink,
                (struct contender_toxic){.latency_ms = LATENCY_MS, .buffer_mib = 256, .is_upstream = true});
    column_begin(&bulk.rate, "bulk under a latency of 100 ms", "GB/s", field.all, field.present);
    column_begin(&bulk.cpu, "processor seconds a GB under a latency", "s/GB", field.all, field.present);
    field_run(&field, bulk_turn, &bulk);
    column_print(&bulk.rate, TOXIPROXY);
    column_print(&bulk.cpu, TOXIPROXY);
    field_end(&field);
}

static void bulk_work(unsigned streams, uint16_t sink)
{
    static struct field field;
    static struct bulk bulk;
    char what[64];
    bulk.streams = streams;
    bulk.duration_ns = BULK_NS;
    field_begin(&field, sink, no_toxic);
    (void)snprintf(what, sizeof what, "bulk, %u stream%s", streams, streams > 1 ? "s" : "");
    column_begin(&bulk.rate, what, "GB/s", field.all, field.present);
    (void)snprintf(what, sizeof what, "processor seconds a GB, %u stream%s", streams, streams > 1 ? "s" : "");
    column_begin(&bulk.cpu, what, "s/GB", field.all, field.present);
    field_run(&field, bulk_turn, &bulk);
    column_print(&bulk.rate, FLOOR_SPLICE);
    column_print(&bulk.cpu, FLOOR_SPLICE);
    field_end(&field);
    uint64_t counts[3];
    if (sscanf(field.all[DURESS].counts, "%" SCNu64 " %" SCNu64 " %" SCNu64, &counts[0], &counts[1], &counts[2]) == 3 &&
        counts[1] > 0)
        (void)fprintf(stderr, "# duress, %u streams: %" PRIu64 " of %" PRIu64 " bytes spliced (%.2f %%)\n", streams,
                      counts[2], counts[1], 100.0 * (double)counts[2] / (double)counts[1]);
}

/* --- messages --- */

struct messages {
    unsigned connections;
    struct column cpu;
    struct column p50;
    struct column p99;
};

static void messages_turn(struct contender *contender, void *context)
{
    struct messages *messages = context;
    uint64_t cpu_before = contender_cpu_ns(contender);
    struct load_messages result = load_messages(contender->port, messages->connections, MESSAGES_NS);
    double cpu_ns = (double)(contender_cpu_ns(contender) - cpu_before);
    if (contender->pid > 0)
        bench_samples_add(&messages->cpu.samples[contender->kind], cpu_ns / 1000 / (double)result.count);
    bench_samples_add(&messages->p50.samples[contender->kind], result.p50_us);
    bench_samples_add(&messages->p99.samples[contender->kind], result.p99_us);
}

static void messages_work(unsigned connections, uint16_t echo)
{
    static struct field field;
    static struct messages messages;
    char what[64];
    messages.connections = connections;
    field_begin(&field, echo, no_toxic);
    (void)snprintf(what, sizeof what, "processor time a message, %u connections", connections);
    column_begin(&messages.cpu, what, "us", field.all, field.present);
    (void)snprintf(what, sizeof what, "p50 of a message, %u connections", connections);
    column_begin(&messages.p50, what, "us", field.all, field.present);
    (void)snprintf(what, sizeof what, "p99 of a message, %u connections", connections);
    column_begin(&messages.p99, what, "us", field.all, field.present);
    field_run(&field, messages_turn, &messages);
    column_print(&messages.cpu, FLOOR_COPY);
    column_print(&messages.p50, FLOOR_COPY);
    column_print(&messages.p99, FLOOR_COPY);
    field_end(&field);
}

/* --- connections --- */

struct connects {
    struct column cpu;
    struct column each;
};

static void connects_turn(struct contender *contender, void *context)
{
    struct connects *connects = context;
    uint64_t cpu_before = contender_cpu_ns(contender);
    uint64_t took_ns = load_connects(contender->port, CONNECTS);
    struct timespec pause = {.tv_nsec = 30000000};
    (void)nanosleep(&pause, NULL); /* the last ones are taken down */
    double cpu_ns = (double)(contender_cpu_ns(contender) - cpu_before);
    if (contender->pid > 0)
        bench_samples_add(&connects->cpu.samples[contender->kind], cpu_ns / 1000 / CONNECTS);
    bench_samples_add(&connects->each.samples[contender->kind], (double)took_ns / 1000 / CONNECTS);
}

static void connects_work(uint16_t echo)
{
    static struct field field;
    static struct connects connects;
    field_begin(&field, echo, no_toxic);
    column_begin(&connects.cpu, "processor time a connection", "us", field.all, field.present);
    column_begin(&connects.each, "a connection, one after another", "us", field.all, field.present);
    field_run(&field, connects_turn, &connects);
    column_print(&connects.cpu, FLOOR_COPY);
    column_print(&connects.each, FLOOR_COPY);
    field_end(&field);
    uint64_t counts[5];
    if (sscanf(field.all[DURESS_TWO].counts, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &counts[0],
               &counts[1], &counts[2], &counts[3], &counts[4]) == 5)
        (void)fprintf(stderr, "# duress, 2 workers: %" PRIu64 " and %" PRIu64 " connections\n", counts[3], counts[4]);
}

/* --- idle connections --- */

struct idle {
    struct column open;
    struct column after;
    struct column took;
};

static void idle_turn(struct contender *contender, void *context)
{
    struct idle *idle = context;
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 500000000};
    if (contender->pid <= 0 || contender->kind == FLOOR_SPLICE) /* which needs six descriptors for each */
        return;
    uint64_t before = contender_memory_bytes(contender);
    uint64_t begun_ns = bench_now_ns();
    struct load_idle *connections = load_idle_begin(contender->port, IDLE);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    double open = (double)contender_memory_bytes(contender) - (double)before;
    load_idle_end(connections);
    (void)nanosleep(&pause, NULL);
    double after = (double)contender_memory_bytes(contender) - (double)before;
    bench_samples_add(&idle->open.samples[contender->kind], fmax(open, 0) / IDLE);
    bench_samples_add(&idle->after.samples[contender->kind], fmax(after, 0) / IDLE);
    bench_samples_add(&idle->took.samples[contender->kind], (double)took_ns / 1000 / IDLE);
}

/* Each in a fresh process, as memory that was given back badly is not asked for again. */
static void idle_work(uint16_t echo)
{
    static struct field field;
    static struct idle idle;
    for (size_t run = 0; run < bench_runs(); run++) {
        field_begin(&field, echo, no_toxic);
        if (run == 0) {
            column_begin(&idle.open, "memory of an idle connection", "bytes", field.all, field.present);
            column_begin(&idle.after, "memory of an idle connection, 1.5 s after its end", "bytes", field.all,
                         field.present);
            column_begin(&idle.took, "opening an idle connection", "us", field.all, field.present);
        }
        for (int i = 0; i < CONTENDER_COUNT; i++)
            if (field.present[i])
                idle_turn(&field.all[i], &idle);
        field_end(&field);
    }
    column_print(&idle.open, HAPROXY);
    column_print(&idle.after, HAPROXY);
    column_print(&idle.took, FLOOR_COPY);
}

/* --- a latency toxic --- */

struct latency {
    unsigned connections;
    double plain_us[CONTENDER_COUNT];
    struct column added;
    struct column worst;
};

static void latency_turn(struct contender *contender, void *context)
{
    struct latency *latency = context;
    struct load_messages result = load_messages(contender->port, latency->connections, 5 * MESSAGES_NS);
    bench_samples_add(&latency->added.samples[contender->kind],
                      result.p50_us - latency->plain_us[contender->kind] - LATENCY_MS * 1000);
    bench_samples_add(&latency->worst.samples[contender->kind], result.p99_us - LATENCY_MS * 1000);
}

static void latency_work(unsigned connections, uint16_t echo)
{
    static struct field field;
    static struct latency latency;
    char what[64];
    latency = (struct latency){.connections = connections};
    /* What one message takes without the toxic; with many in flight it is the toxic that sets the pace. */
    field_begin(&field, echo, no_toxic);
    for (int i = 0; i < CONTENDER_COUNT; i++)
        if (field.present[i])
            latency.plain_us[i] = load_messages(field.all[i].port, 1, MESSAGES_NS).p50_us;
    field_end(&field);
    field_begin(&field, echo, (struct contender_toxic){.latency_ms = LATENCY_MS, .buffer_mib = 64});
    (void)snprintf(what, sizeof what, "late beyond a latency of 100 ms, p50, %u connections", connections);
    column_begin(&latency.added, what, "us", field.all, field.present);
    (void)snprintf(what, sizeof what, "late beyond a latency of 100 ms, p99, %u connections", connections);
    column_begin(&latency.worst, what, "us", field.all, field.present);
    field_run(&field, latency_turn, &latency);
    column_print(&latency.added, TOXIPROXY);
    column_print(&latency.worst, TOXIPROXY);
    field_end(&field);
}

static void clock_work(void)
{
    struct bench_samples late = {.name = "late beyond 100 ms: a timerfd alone", .unit = "us"};
    for (size_t run = 0; run < bench_runs(); run++)
        bench_samples_add(&late, load_timer_late_us(UINT64_C(100000000), 5));
    bench_print(&late);
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    static char own[512];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        bench_fail("no /proc");
    *strrchr(own, '/') = '\0';
    folder = own;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    network_enter();
    uint16_t sink = load_sink_begin();
    uint16_t echo = load_echo_begin();
    const char *only = argc > 1 ? argv[1] : NULL;
    if (only == NULL || strcmp(only, "bulk") == 0) {
        bulk_work(1, sink);
        bulk_work(4, sink);
    }
    if (only == NULL || strcmp(only, "messages") == 0)
        messages_work(64, echo);
    if (only == NULL || strcmp(only, "connects") == 0)
        connects_work(echo);
    if (only == NULL || strcmp(only, "idle") == 0)
        idle_work(echo);
    if (only == NULL || strcmp(only, "latency") == 0) {
        clock_work();
        latency_work(1, echo);
        latency_work(1000, echo);
        bulk_latency_work(sink);
    }
    return 0;
}
