/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's life: it begins, loads its state and its configuration, serves, and ends after a signal. */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <duress/time.h>

#include "api_listen.h"
#include "daemon_private.h"
#include "load.h"
#include "server.h"

#define DRAIN_NS (30 * DURESS_S) /* what a request that is being answered is given at the end */
#define TOKEN_BYTES_MAX 4096

static void start_failed(struct daemon *daemon, const char *why)
{
    duress__log_error(&daemon->log, DURESS_DAEMON_LOG_FATAL, why, "Cannot start");
    (void)fprintf(stderr, "duress proxy: %s\n", why);
}

/* --- the API --- */

static void api_started(struct daemon *daemon, int fd)
{
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof bound;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0 ||
        !duress__log_begin(&daemon->log, DURESS_DAEMON_LOG_INFO))
        return;
    if (getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        duress__log_string(&daemon->log, "host", host);
        duress__log_string(&daemon->log, "port", port);
    }
    duress__log_string(&daemon->log, "version", DURESS_DAEMON_TOXIPROXY_VERSION);
    duress__log_string(&daemon->log, "duress", daemon->options->version);
    duress__log_end(&daemon->log, LOG_CALLER, "Starting Toxiproxy HTTP server");
}

static bool server_begin(struct daemon *daemon, int listener, struct server **server, const char *why)
{
    if (listener < 0) {
        start_failed(daemon, why);
        return false;
    }
    if (duress__server_new(daemon, listener, server) == DURESS_OK)
        return true;
    start_failed(daemon, "no memory, or no descriptor left");
    return false;
}

static bool api_begin(struct daemon *daemon)
{
    const struct duress_daemon_options *options = daemon->options;
    char why[API_LISTEN_WHY_BYTES];
    bool loopback = false;
    int listener = duress__api_listen_tcp(options->host != NULL ? options->host : "localhost",
                                          options->port != NULL ? options->port : "8474", &loopback, why);
    daemon->gate.hosts = options->hosts;
    daemon->gate.host_count = options->host_count;
    daemon->gate.checks_host = loopback || options->host_count > 0;
    if (!server_begin(daemon, listener, &daemon->servers[0], why))
        return false;
    if (options->unix_path != NULL &&
        !server_begin(daemon, duress__api_listen_unix(options->unix_path, why), &daemon->servers[1], why))
        return false;
    api_started(daemon, listener);
    return true;
}

/* --- running --- */

static void signal_came(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    (void)number;
    daemon->signal_count++;
    if (daemon->signal_count > 1)
        _exit(0); /* at once, whatever is under way */
    duress__log_message(&daemon->log, DURESS_DAEMON_LOG_INFO, "Shutting down");
    for (size_t i = 0; i < 2; i++)
        if (daemon->servers[i] != NULL)
            duress__server_quiesce(daemon->servers[i]);
}

static bool signalled(void *context)
{
    const struct daemon *daemon = context;
    return daemon->signal_count > 0;
}

static bool drained(void *context)
{
    const struct daemon *daemon = context;
    size_t request_count = 0;
    for (size_t i = 0; i < 2; i++)
        request_count += daemon->servers[i] != NULL ? duress__server_request_count(daemon->servers[i]) : 0;
    return request_count == 0 && daemon->task_count == 0 && !duress__state_is_busy(&daemon->state);
}

static int daemon_serve(struct daemon *daemon)
{
    if (!duress__load(daemon)) {
        start_failed(daemon, "the configuration cannot be had whole, and that was asked for; the log says why");
        return 1;
    }
    if (daemon->signal_count > 0)
        return 0;
    if (!api_begin(daemon))
        return 1;
    (void)duress__loop_run_until(daemon->loop, signalled, daemon, DURESS_TIME_NEVER);
    uint64_t deadline_ns = duress_time_add(duress__loop_now_ns(daemon->loop), DRAIN_NS);
    (void)duress__loop_run_until(daemon->loop, drained, daemon, deadline_ns);
    return 0;
}

/* --- the begin and the end --- */

static uint64_t seed_draw(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)getpid();
    return seed & INT64_MAX; /* a number that -seed takes */
}

static bool signals_watch(struct daemon *daemon, uv_signal_t handles[2])
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        if (uv_signal_init(duress__loop_uv(daemon->loop), &handles[i]) != 0)
            return false;
        handles[i].data = daemon;
        if (uv_signal_start(&handles[i], signal_came, numbers[i]) != 0)
            return false;
    }
    return true;
}

/* The first line of the file is the token. */
static bool token_read(struct daemon *daemon)
{
    static char token[TOKEN_BYTES_MAX];
    char why[TOKEN_BYTES_MAX];
    const char *path = daemon->options->token_file;
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(token, sizeof token, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    token[strcspn(token, "\r\n")] = '\0';
    daemon->gate.token = token;
    if (read && token[0] != '\0')
        return true;
    (void)snprintf(why, sizeof why, "token-file: %.3000s: a file with a token in its first line is needed", path);
    start_failed(daemon, why);
    return false;
}

static bool daemon_ready(struct daemon *daemon, uv_signal_t signals[2])
{
    struct duress_failure why = {.detail = ""};
    struct duress_workers_options workers = {
        .allocator = daemon->allocator,
        .worker_count = daemon->options->worker_count,
        .connections_max = daemon->options->connections_max,
    };
    if (duress__loop_new(daemon->allocator, NULL, &daemon->loop) != DURESS_OK || !signals_watch(daemon, signals)) {
        start_failed(daemon, "no memory, or no descriptor left");
        return false;
    }
    if (duress_workers_new(daemon->loop, &workers, &daemon->workers, &why) != DURESS_OK) {
        start_failed(daemon, why.detail);
        return false;
    }
    return token_read(daemon);
}

static void begin_log(struct daemon *daemon)
{
    if (daemon->options->log_level_unknown != NULL)
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, daemon->options->log_level_unknown,
                          "unknown LOG_LEVEL");
    if (!duress__log_begin(&daemon->log, DURESS_DAEMON_LOG_INFO))
        return;
    duress__log_integer(&daemon->log, "seed", (int64_t)daemon->seed);
    duress__log_end(&daemon->log, LOG_CALLER, "Random seed");
}

/* The workers go first, with all that is on them. */
static void daemon_end(struct daemon *daemon)
{
    duress_workers_free(daemon->workers);
    for (size_t i = 0; i < daemon->registry.count; i++) {
        duress__relay_forget(daemon->registry.proxies[i]->relay);
        daemon->registry.proxies[i]->relay = NULL;
    }
    duress__registry_deinit(&daemon->registry);
    duress__state_deinit(&daemon->state);
    duress__loop_disarm(daemon->loop, &daemon->expiry);
    duress__log_deinit(&daemon->log);
    duress__loop_free(daemon->loop);
}

int duress_daemon_run(const struct duress_daemon_options *options)
{
    static struct daemon daemon; /* what is under way at a hard end may still look at it */
    uv_signal_t signals[2];
    daemon = (struct daemon){.allocator = duress_allocator_default(), .options = options};
    duress__log_init(&daemon.log, STDOUT_FILENO, options->log_level, options->log_is_text, daemon.allocator);
    duress__registry_init(&daemon.registry, daemon.allocator);
    (void)duress__state_init(&daemon.state, &daemon, NULL);
    daemon.seed = options->seed_given ? options->seed : seed_draw();
    daemon.begun_s = (int64_t)time(NULL);
    daemon.turn_later.fn = duress__turn_next;
    daemon.turn_later.context = &daemon;
    duress_timer_init(&daemon.expiry, duress__expiry_due, &daemon);
    duress_prng_init(&daemon.ids, seed_draw(), 0);
    if (!daemon_ready(&daemon, signals))
        return 1;
    begin_log(&daemon);
    int status = daemon_serve(&daemon);
    for (size_t i = 0; i < 2; i++)
        duress__server_free(daemon.servers[i]);
    if (options->unix_path != NULL && daemon.servers[1] != NULL)
        (void)unlink(options->unix_path);
    if (daemon.task_count > 0 || duress__state_is_busy(&daemon.state))
        return status; /* what did not end in time ends with the process */
    daemon_end(&daemon);
    return status;
}
