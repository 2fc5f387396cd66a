/* SPDX-License-Identifier: Apache-2.0
 *
 * The chaos proxy as a program: the control API that clients of Toxiproxy 2.x speak, proxies and toxics by name,
 * configuration, state, signals and logs. Not installed; the door is `duress proxy`. docs/proxy.md is for its users. */
#ifndef DURESS_DAEMON_DAEMON_H
#define DURESS_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What clients ask for: they want a number of Toxiproxy's, 2.6 or later. */
#define DURESS_DAEMON_TOXIPROXY_VERSION "2.12.0"

enum duress_daemon_log_level {
    DURESS_DAEMON_LOG_TRACE = 0,
    DURESS_DAEMON_LOG_DEBUG,
    DURESS_DAEMON_LOG_INFO,
    DURESS_DAEMON_LOG_WARN,
    DURESS_DAEMON_LOG_ERROR,
    DURESS_DAEMON_LOG_FATAL,
    DURESS_DAEMON_LOG_PANIC,
    DURESS_DAEMON_LOG_DISABLED,
};

/* Texts are borrowed for the run. */
struct duress_daemon_options {
    const char *host;         /* of the API; NULL: "localhost" */
    const char *port;         /* a number or the name of a service; NULL: "8474" */
    const char *version;      /* of this program */
    const char *unix_path;    /* the API listens at this socket file as well; NULL: no */
    const char *config;       /* a file, or "-" for standard input; NULL: none */
    bool strict;              /* a configuration that cannot be had whole ends the start */
    const char *state;        /* the file that proxies and toxics are kept in; NULL: none */
    const char *token_file;   /* its first line must come with each request; NULL: none */
    const char *const *hosts; /* names by which the API may be asked; with one, others are refused */
    size_t host_count;
    size_t body_bytes_max;    /* of a request; 0: 64 MiB */
    size_t proxies_max;       /* 0: no limit */
    uint64_t connections_max; /* of all proxies together; 0: what the descriptors allow */
    size_t buffer_bytes_max;  /* of each direction of a connection; 0: 1 MiB */
    bool seed_given;
    uint64_t seed;         /* where it is given; else drawn, and logged */
    uint32_t worker_count; /* threads that move bytes; 0: one a core */
    bool proxy_metrics;
    bool runtime_metrics;
    enum duress_daemon_log_level log_level; /* and above */
    const char *log_level_unknown;          /* what LOG_LEVEL said that is no level; NULL: nothing */
    bool log_is_text;                       /* time, level, message, key=value; else JSON */
};

/* Runs until SIGINT or SIGTERM. Returns the program's exit status: 0 after a signal; 1 where the API cannot listen, or
 * something else that it needs cannot be had (said on the log). */
int duress_daemon_run(const struct duress_daemon_options *options);

/* The level that |text| names, in any case, or as a number from -1 (trace) to 7 (disabled). False where it is none. */
bool duress_daemon_log_level(const char *text, enum duress_daemon_log_level *level);

#endif
