/* SPDX-License-Identifier: Apache-2.0
 *
 * The live driver: services are processes, links are proxies on real sockets, names are answered by a name server. */
#include "name_server.h"
#include "service.h"

#include <dirent.h>
#include <stdio.h>

#include <duress/proxy/proxy.h>
#include <duress/world/live.h>
#include <duress/world/live_loop.h>

/* What a busy machine may need to notice something. Upper bounds only: nothing may be early by a nanosecond. */
#define LIVE_SLACK_NS (2 * DURESS_S)
#define LIVE_NAME_TIMEOUT_NS (6 * DURESS_S)

struct live_run {
    struct name_server *names;
    struct duress_loop *loop;
    struct watcher watcher;
    int descriptors_before;
};

static struct duress_proxy *proxy_of(struct chaos_relay *relay)
{
    return (struct duress_proxy *)(void *)relay;
}

static struct live_run *run_of(struct chaos *chaos)
{
    return chaos->driver_state;
}

/* -1 where they cannot be counted. */
static int descriptors_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    int count = 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static int run_open_world(struct chaos *chaos, struct live_run *run, struct duress_failure *why)
{
    char name_servers[32];
    int error = chaos__name_server_new(&chaos->heap.allocator, &run->names);
    if (error != DURESS_OK)
        return error;
    (void)snprintf(name_servers, sizeof name_servers, "127.0.0.1:%u", (unsigned)chaos__name_server_port(run->names));
    struct duress_world_live_options options = {
        .allocator = &chaos->heap.allocator,
        .name_servers = name_servers,
        .name_timeout_ns = LIVE_NAME_TIMEOUT_NS,
        .name_tries = 1,
        .seed = chaos->seed + 1,
    };
    error = duress_world_live_new(&options, &chaos->world, why);
    if (error == DURESS_OK)
        run->loop = duress__world_live_loop(chaos->world);
    if (error == DURESS_OK)
        error = chaos__name_server_serve(run->names, run->loop);
    return error;
}

/* The event library opens a pair of descriptors for the whole process with its first loop, and keeps them. */
static int descriptors_count_before(void)
{
    struct duress_world *first = NULL;
    if (duress_world_live_new(NULL, &first, NULL) != DURESS_OK)
        return -1;
    duress_world_free(first);
    return descriptors_count();
}

static int run_open(struct chaos *chaos, struct duress_failure *why)
{
    int descriptors = descriptors_count_before();
    struct live_run *run = duress_allocate_zeroed(&chaos->heap.allocator, 1, sizeof *run);
    if (run == NULL)
        return DURESS_E_NO_MEMORY;
    run->descriptors_before = descriptors;
    chaos->driver_state = run;
    int error = run_open_world(chaos, run, why);
    if (error == DURESS_OK)
        return DURESS_OK;
    chaos__name_server_free(run->names);
    duress_world_free(chaos->world);
    duress_release(&chaos->heap.allocator, run);
    return error;
}

struct watcher *chaos__live_watcher(struct chaos *chaos)
{
    return &run_of(chaos)->watcher;
}

struct duress_loop *chaos__live_loop(struct chaos *chaos)
{
    return run_of(chaos)->loop;
}

static void run_close(struct chaos *chaos)
{
    struct live_run *run = run_of(chaos);
    int before = run->descriptors_before;
    chaos__name_server_free(run->names);
    chaos__watcher_close(&run->watcher);
    duress_world_free(chaos->world);
    duress_release(&chaos->heap.allocator, run);
    int after = descriptors_count();
    if (after == before || chaos->outcome->verdict != CHAOS_PASSED)
        return;
    chaos->outcome->verdict = CHAOS_FAILED;
    (void)snprintf(chaos->outcome->message, sizeof chaos->outcome->message,
                   "expected: no descriptor is left open; seen: %d before the run, %d after it", before, after);
}

static uint64_t run_slack_ns(struct chaos *chaos)
{
    (void)chaos;
    return LIVE_SLACK_NS;
}

static void run_measure(struct chaos *chaos, struct chaos_outcome *outcome)
{
    (void)outcome;
    for (struct chaos_service *service = chaos->services; service != NULL; service = service->next)
        chaos__live_service_look(service);
}

/* --- links --- */

static int relay_open(struct chaos_link *link, struct duress_failure *why)
{
    char upstream[DURESS_ADDRESS_TEXT_BYTES_MAX];
    struct duress_proxy_options options = {
        .allocator = &link->chaos->heap.allocator,
        .listen = "127.0.0.1:0",
        .upstream = duress_address_format(&link->service->address, upstream, sizeof upstream),
        .seed = duress_prng_mix(link->chaos->seed, link->number),
    };
    struct duress_proxy *proxy = NULL;
    int error = duress_proxy_new(chaos__live_loop(link->chaos), &options, &proxy, why);
    link->relay = (struct chaos_relay *)(void *)proxy;
    return error;
}

static void relay_free(struct chaos_relay *relay)
{
    duress_proxy_free(proxy_of(relay));
}

static struct duress_address relay_address(struct chaos_relay *relay)
{
    return duress_address_loopback(duress_proxy_port(proxy_of(relay)));
}

static int relay_toxic_add(struct chaos_relay *relay, const struct duress_toxic *toxic, struct duress_failure *why)
{
    return duress_proxy_toxic_add(proxy_of(relay), toxic, why);
}

static int relay_toxic_remove(struct chaos_relay *relay, uint64_t id)
{
    return duress_proxy_toxic_remove(proxy_of(relay), id);
}

static void relay_cut(struct chaos_relay *relay)
{
    duress_proxy_cut(proxy_of(relay));
}

static void relay_down(struct chaos_relay *relay)
{
    duress_proxy_down(proxy_of(relay));
}

static int relay_up(struct chaos_relay *relay)
{
    return duress_proxy_up(proxy_of(relay));
}

static int relay_silence(struct chaos_relay *relay, bool silent)
{
    return duress_proxy_silence(proxy_of(relay), silent);
}

static void relay_visit(struct chaos_relay *relay, duress_link_visit_fn fn, void *context)
{
    duress_proxy_visit(proxy_of(relay), fn, context);
}

static struct duress_relay_counts relay_counts(struct chaos_relay *relay)
{
    return duress_proxy_counts(proxy_of(relay));
}

/* --- names --- */

static int name_set(struct chaos *chaos, const char *host, enum chaos_name_fault fault, uint32_t fault_count,
                    const struct duress_address *address)
{
    return chaos__name_server_set(run_of(chaos)->names, host, fault, fault_count, address);
}

static uint64_t name_questions(struct chaos *chaos, const char *host)
{
    return chaos__name_server_questions(run_of(chaos)->names, host);
}

const struct chaos_driver chaos__driver_live = {
    .name = "live",
    .is_live = true,
    .open = run_open,
    .close = run_close,
    .slack_ns = run_slack_ns,
    .measure = run_measure,
    .port_draw = chaos__live_port_draw,
    .service_start = chaos__live_service_start,
    .service_is_ready = chaos__live_service_is_ready,
    .service_crash = chaos__live_service_crash,
    .service_stop = chaos__live_service_stop,
    .service_freeze = chaos__live_service_freeze,
    .service_memory = chaos__live_service_memory,
    .service_cpu = chaos__live_service_cpu,
    .service_cpu_time = chaos__live_service_cpu_time,
    .service_descriptors = chaos__live_service_descriptors,
    .service_queued = chaos__live_service_queued,
    .service_show = chaos__live_service_show,
    .service_free = chaos__live_service_free,
    .relay_open = relay_open,
    .relay_free = relay_free,
    .relay_address = relay_address,
    .relay_toxic_add = relay_toxic_add,
    .relay_toxic_remove = relay_toxic_remove,
    .relay_cut = relay_cut,
    .relay_down = relay_down,
    .relay_up = relay_up,
    .relay_silence = relay_silence,
    .relay_visit = relay_visit,
    .relay_counts = relay_counts,
    .name_set = name_set,
    .name_questions = name_questions,
};
