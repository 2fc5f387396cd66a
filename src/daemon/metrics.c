/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <duress/proxy/descriptors_private.h>

#include "daemon_private.h"

#define LINE_BYTES_MAX 256

static const char *const direction_names[DURESS_DIRECTION_COUNT] = {"upstream", "downstream"};

/* --- the format --- */

static void family_begin(struct json_out *out, const char *name, const char *type, const char *help)
{
    const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        duress__json_raw(out, parts[i]);
}

static void label_write(struct json_out *out, const char *begin, const char *name, const char *value)
{
    duress__json_raw(out, begin);
    duress__json_raw(out, name);
    duress__json_raw(out, "=\"");
    for (const char *at = value; *at != '\0'; at++) {
        char plain[2] = {*at, '\0'};
        duress__json_raw(out, *at == '\\' ? "\\\\" : *at == '"' ? "\\\"" : *at == '\n' ? "\\n" : plain);
    }
    duress__json_raw(out, "\"");
}

static void value_write(struct json_out *out, double value)
{
    duress__json_raw(out, " ");
    duress__json_double(out, value);
    duress__json_raw(out, "\n");
}

static void count_write(struct json_out *out, uint64_t count)
{
    duress__json_raw(out, " ");
    duress__json_unsigned(out, count);
    duress__json_raw(out, "\n");
}

static void single_write(struct json_out *out, const char *name, const char *type, const char *help, double value)
{
    family_begin(out, name, type, help);
    duress__json_raw(out, name);
    value_write(out, value);
}

/* --- proxies --- */

/* A proxy that has had no connection has no sample, and a family without samples does not appear. */
static bool is_used(const struct proxy_entry *proxy, struct traffic *traffic)
{
    duress__proxy_traffic(proxy, traffic);
    return traffic->accepted > 0;
}

static bool any_is_used(const struct registry *registry)
{
    struct traffic traffic;
    for (size_t i = 0; i < registry->count; i++)
        if (is_used(registry->proxies[i], &traffic))
            return true;
    return false;
}

static void proxy_labels(struct json_out *out, const char *begin, const struct proxy_entry *proxy)
{
    label_write(out, begin, "listener", proxy->listen);
    label_write(out, ",", "proxy", proxy->name);
    label_write(out, ",", "upstream", proxy->upstream);
    duress__json_raw(out, "}");
}

static void bytes_write(struct json_out *out, const struct registry *registry, const char *name, bool received)
{
    struct traffic traffic;
    family_begin(out, name, "counter", "");
    for (size_t i = 0; i < registry->count; i++) {
        if (!is_used(registry->proxies[i], &traffic))
            continue;
        for (size_t direction = DURESS_DIRECTION_COUNT; direction-- > 0;) {
            duress__json_raw(out, name);
            label_write(out, "{", "direction", direction_names[direction]);
            proxy_labels(out, ",", registry->proxies[i]);
            count_write(out, received ? traffic.received_bytes[direction] : traffic.sent_bytes[direction]);
        }
    }
}

enum figure {
    FIGURE_ACCEPTED,
    FIGURE_OPEN,
    FIGURE_FAILED_DIALS,
};

static uint64_t figure_of(const struct proxy_entry *proxy, const struct traffic *traffic, enum figure figure)
{
    if (figure == FIGURE_ACCEPTED)
        return traffic->accepted;
    if (figure == FIGURE_FAILED_DIALS)
        return traffic->failed_dials;
    return proxy->relay != NULL ? duress__relay_counts(proxy->relay).open : 0;
}

static void figures_write(struct json_out *out, const struct registry *registry, const char *name, const char *type,
                          const char *help, enum figure figure)
{
    struct traffic traffic;
    family_begin(out, name, type, help);
    for (size_t i = 0; i < registry->count; i++) {
        if (!is_used(registry->proxies[i], &traffic))
            continue;
        duress__json_raw(out, name);
        proxy_labels(out, "{", registry->proxies[i]);
        count_write(out, figure_of(registry->proxies[i], &traffic, figure));
    }
}

/* Cumulative, as the format wants it: each bucket counts those below it as well. */
static void dials_of_write(struct json_out *out, const char *name, const struct proxy_entry *proxy,
                           const struct traffic *traffic)
{
    uint64_t count = 0;
    for (size_t i = 0; i < DURESS_WORKERS_DIAL_BUCKET_COUNT; i++) {
        count += traffic->dials[i];
        duress__json_raw(out, name);
        duress__json_raw(out, "_bucket{le=\"");
        if (i < DURESS_WORKERS_DIAL_BUCKET_COUNT - 1)
            duress__json_double(out, (double)duress_workers_dial_bounds_ns[i] / (double)DURESS_S);
        else
            duress__json_raw(out, "+Inf");
        proxy_labels(out, "\",", proxy);
        count_write(out, count);
    }
    duress__json_raw(out, name);
    proxy_labels(out, "_sum{", proxy);
    value_write(out, (double)traffic->dial_sum_ns / (double)DURESS_S);
    duress__json_raw(out, name);
    proxy_labels(out, "_count{", proxy);
    count_write(out, count);
}

static void dials_write(struct json_out *out, const struct registry *registry)
{
    static const char name[] = "duress_proxy_dial_seconds";
    struct traffic traffic;
    family_begin(out, name, "histogram", "Time from the begin of a dial to the open connection to the upstream.");
    for (size_t i = 0; i < registry->count; i++)
        if (is_used(registry->proxies[i], &traffic))
            dials_of_write(out, name, registry->proxies[i], &traffic);
}

static void proxies_write(const struct daemon *daemon, struct json_out *out)
{
    const struct registry *registry = &daemon->registry;
    if (!any_is_used(registry))
        return;
    figures_write(out, registry, "duress_proxy_connections_open", "gauge", "Connections that have a socket open.",
                  FIGURE_OPEN);
    figures_write(out, registry, "duress_proxy_connections_total", "counter", "Connections accepted.", FIGURE_ACCEPTED);
    dials_write(out, registry);
    figures_write(out, registry, "duress_proxy_failed_dials_total", "counter",
                  "Connections whose upstream could not be reached.", FIGURE_FAILED_DIALS);
    bytes_write(out, registry, "toxiproxy_proxy_received_bytes_total", true);
    bytes_write(out, registry, "toxiproxy_proxy_sent_bytes_total", false);
}

/* --- the process --- */

static void memory_read(double *virtual_bytes, double *resident_bytes)
{
    char line[LINE_BYTES_MAX] = "";
    char *rest = NULL;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        double page_bytes = (double)sysconf(_SC_PAGESIZE);
        *virtual_bytes = (double)strtoull(line, &rest, 10) * page_bytes;
        *resident_bytes = (double)strtoull(rest, NULL, 10) * page_bytes;
    }
    (void)fclose(file);
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void process_write(const struct daemon *daemon, struct json_out *out)
{
    struct rusage usage = {.ru_maxrss = 0};
    struct rlimit limit = {.rlim_cur = 0};
    double virtual_bytes = 0;
    double resident_bytes = 0;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    memory_read(&virtual_bytes, &resident_bytes);
    /* Toxiproxy's own scripts look for these two; here the one counts threads, and the other says that there is none.
     */
    single_write(out, "go_goroutines", "gauge", "Threads of this program, which is not written in Go.",
                 1 + (double)duress_workers_count(daemon->workers));
    family_begin(out, "go_info", "gauge", "This program is not written in Go.");
    duress__json_raw(out, "go_info{version=\"none\"} 1\n");
    single_write(out, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
                 seconds(&usage.ru_utime) + seconds(&usage.ru_stime));
    single_write(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (double)limit.rlim_cur);
    single_write(out, "process_open_fds", "gauge", "Number of open file descriptors.",
                 (double)duress__descriptors_open());
    single_write(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident_bytes);
    single_write(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
                 (double)daemon->begun_s);
    single_write(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", virtual_bytes);
}

static void handler_write(struct json_out *out)
{
    static const char name[] = "promhttp_metric_handler_errors_total";
    family_begin(out, name, "counter", "Total number of internal errors encountered by the promhttp metric handler.");
    duress__json_raw(out, "promhttp_metric_handler_errors_total{cause=\"encoding\"} 0\n");
    duress__json_raw(out, "promhttp_metric_handler_errors_total{cause=\"gathering\"} 0\n");
}

void duress__metrics_write(const struct daemon *daemon, struct json_out *out)
{
    if (daemon->options->runtime_metrics)
        process_write(daemon, out);
    if (daemon->options->proxy_metrics)
        proxies_write(daemon, out);
    handler_write(out);
}
