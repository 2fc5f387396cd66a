/* SPDX-License-Identifier: Apache-2.0
 *
 * duress proxy, which is toxiproxy-server by another name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/daemon/daemon.h>

#include "command.h"
#include "go_flags.h"

#define WORKERS_MAX 64

struct limits {
    int64_t workers;
    int64_t connections;
    int64_t proxies;
    int64_t body_bytes;
    int64_t buffer_bytes;
};

static bool limits_take(const struct limits *limits, struct duress_daemon_options *options)
{
    const struct {
        const char *flag;
        int64_t value;
        int64_t high;
    } checks[] = {
        {"workers", limits->workers, WORKERS_MAX},         {"max-connections", limits->connections, INT64_MAX},
        {"max-proxies", limits->proxies, INT64_MAX},       {"max-body-bytes", limits->body_bytes, INT64_MAX},
        {"buffer-bytes", limits->buffer_bytes, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (checks[i].value >= 0 && checks[i].value <= checks[i].high)
            continue;
        (void)fprintf(stderr, "-%s: %lld given, 0 to %lld allowed; 0: the default\n", checks[i].flag,
                      (long long)checks[i].value, (long long)checks[i].high);
        return false;
    }
    options->worker_count = (uint32_t)limits->workers;
    options->connections_max = (uint64_t)limits->connections;
    options->proxies_max = (size_t)limits->proxies;
    options->body_bytes_max = (size_t)limits->body_bytes;
    options->buffer_bytes_max = (size_t)limits->buffer_bytes;
    return true;
}

static bool log_format_take(const char *format, bool *is_text)
{
    *is_text = strcmp(format, "text") == 0;
    if (*is_text || strcmp(format, "json") == 0)
        return true;
    (void)fprintf(stderr, "-log-format: %s given, json or text allowed\n", format);
    return false;
}

int command_proxy(int argc, char **argv)
{
    struct duress_daemon_options options = {.version = DURESS_VERSION};
    struct go_flag_texts hosts = {.count = 0};
    struct limits limits = {.workers = 0};
    bool show_version = false;
    int64_t seed = 0;
    const char *log_format = "json";
    struct go_flag flags[] = {
        {"allow-host", GO_FLAG_TEXTS, &hosts, "name by which the API may be asked; \"*\": any; may be given again",
         false},
        {"buffer-bytes", GO_FLAG_INTEGER, &limits.buffer_bytes, "held of each direction of a connection", false},
        {"config", GO_FLAG_TEXT, &options.config, "file of proxies to begin with, JSON or YAML; -: standard input",
         false},
        {"host", GO_FLAG_TEXT, &options.host, "address of the API (default \"localhost\")", false},
        {"log-format", GO_FLAG_TEXT, &log_format, "of the log's lines, json (default) or text", false},
        {"max-body-bytes", GO_FLAG_INTEGER, &limits.body_bytes, "of a request to the API", false},
        {"max-connections", GO_FLAG_INTEGER, &limits.connections, "of all proxies together", false},
        {"max-proxies", GO_FLAG_INTEGER, &limits.proxies, "at most", false},
        {"port", GO_FLAG_TEXT, &options.port, "port of the API (default \"8474\")", false},
        {"proxy-metrics", GO_FLAG_SWITCH, &options.proxy_metrics, "figures of proxies in /metrics", false},
        {"runtime-metrics", GO_FLAG_SWITCH, &options.runtime_metrics, "figures of the process in /metrics", false},
        {"seed", GO_FLAG_INTEGER, &seed, "of all chance (default: drawn, and logged)", false},
        {"state", GO_FLAG_TEXT, &options.state, "file to keep proxies and toxics in, over restarts", false},
        {"strict", GO_FLAG_SWITCH, &options.strict, "do not start with a config that cannot be had whole", false},
        {"token-file", GO_FLAG_TEXT, &options.token_file, "file with a bearer token that the API asks for", false},
        {"unix", GO_FLAG_TEXT, &options.unix_path, "socket file at which the API listens as well", false},
        {"version", GO_FLAG_SWITCH, &show_version, "print the version and exit", false},
        {"workers", GO_FLAG_INTEGER, &limits.workers, "threads that move bytes (default: one a core)", false},
    };
    const size_t flag_count = sizeof flags / sizeof flags[0];
    int rest = 0;
    enum go_flags_result read = go_flags_read(flags, flag_count, argc, argv, &rest);
    if (read != GO_FLAGS_READ) {
        go_flags_usage(argv[0], flags, flag_count);
        return read == GO_FLAGS_HELP ? 0 : 2;
    }
    if (show_version) {
        (void)printf("toxiproxy-server version %s\n", DURESS_DAEMON_TOXIPROXY_VERSION);
        return 0;
    }
    options.seed_given = go_flag_given(flags, flag_count, &seed);
    options.seed = (uint64_t)seed;
    if (!limits_take(&limits, &options) || !log_format_take(log_format, &options.log_is_text))
        return 2;
    options.hosts = hosts.texts;
    options.host_count = hosts.count;
    const char *level = getenv("LOG_LEVEL");
    if (level != NULL && *level != '\0' && !duress_daemon_log_level(level, &options.log_level))
        options.log_level_unknown = level;
    return duress_daemon_run(&options);
}
