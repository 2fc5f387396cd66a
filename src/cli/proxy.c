/* SPDX-License-Identifier: Apache-2.0
 *
 * duress proxy, which is toxiproxy-server by another name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/daemon/daemon.h>

#include "command.h"
#include "go_flags.h"

int command_proxy(int argc, char **argv)
{
    struct duress_daemon_options options = {.version = DURESS_VERSION};
    bool show_version = false;
    int64_t seed = 0;
    struct go_flag flags[] = {
        {"config", GO_FLAG_TEXT, &options.config,
         "file with proxies to create at the start, JSON or YAML; - is standard input", false},
        {"host", GO_FLAG_TEXT, &options.host, "host for the API server to listen on (default \"localhost\")", false},
        {"port", GO_FLAG_TEXT, &options.port, "port for the API server to listen on (default \"8474\")", false},
        {"proxy-metrics", GO_FLAG_SWITCH, &options.proxy_metrics, "count the bytes of proxies in /metrics", false},
        {"runtime-metrics", GO_FLAG_SWITCH, &options.runtime_metrics, "show figures of the process in /metrics", false},
        {"seed", GO_FLAG_INTEGER, &seed, "seed of all chance (default: drawn, and logged)", false},
        {"version", GO_FLAG_SWITCH, &show_version, "print the version and exit", false},
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
    const char *level = getenv("LOG_LEVEL");
    if (level != NULL && *level != '\0' && !duress_daemon_log_level(level, &options.log_level))
        options.log_level_unknown = level;
    return duress_daemon_run(&options);
}
