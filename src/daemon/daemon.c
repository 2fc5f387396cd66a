/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's life: it begins, loads its configuration, serves, and ends after a signal. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <duress/time.h>

#include "config.h"
#include "daemon_private.h"
#include "server.h"

#define BACKLOG 511
#define DRAIN_NS (30 * DURESS_S) /* what a request that is being answered is given at the end */

/* --- the API's listener --- */

static int listener_bind(const struct addrinfo *address)
{
    int yes = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int number = errno;
    (void)close(fd);
    errno = number;
    return -1;
}

static bool is_loopback(const struct addrinfo *address)
{
    char text[ADDRESS_TEXT_BYTES_MAX];
    struct address_parts parts = {.port = 0};
    struct address found;
    duress__address_found(&parts, address->ai_addr, &found);
    (void)duress__address_format(&found, text);
    return strncmp(text, "127.", 4) == 0 || strcmp(text, "[::1]:0") == 0;
}

static void start_failed(struct daemon *daemon, const char *host, const char *port, const char *why)
{
    char text[512];
    (void)snprintf(text, sizeof text, "listen tcp %s:%s: %s", host, port, why);
    duress__log_error(&daemon->log, DURESS_DAEMON_LOG_FATAL, text, "Cannot start the HTTP server");
    (void)fprintf(stderr, "duress proxy: %s\n", text);
}

/* Binds the first address of the API's host, IPv4 before IPv6. -1 where none can be; it was told why. */
static int api_listen(struct daemon *daemon)
{
    const struct duress_daemon_options *options = daemon->options;
    const char *host = options->host != NULL ? options->host : "localhost";
    const char *port = options->port != NULL ? options->port : "8474";
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    int status = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &addresses);
    if (status != 0) {
        start_failed(daemon, host, port, gai_strerror(status));
        return -1;
    }
    if (addresses == NULL)
        return -1;
    const struct addrinfo *chosen = addresses;
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        if (at->ai_family != AF_INET)
            continue;
        chosen = at;
        break;
    }
    int fd = listener_bind(chosen);
    if (fd < 0)
        start_failed(daemon, host, port, errno == EADDRINUSE ? "bind: address already in use" : strerror(errno));
    daemon->gate.checks_host = is_loopback(chosen);
    freeaddrinfo(addresses);
    return fd;
}

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

/* --- configuration --- */

struct loading {
    struct daemon *daemon;
    bool done;
    bool failed;
};

static void loading_ended(void *context, struct task *task)
{
    struct loading *loading = context;
    struct log *log = &loading->daemon->log;
    loading->done = true;
    loading->failed = task->refusal.status != 0;
    if (loading->failed) {
        duress__log_error(log, DURESS_DAEMON_LOG_ERROR, task->refusal.text, "Failed to populate proxies from file");
    } else if (duress__log_begin(log, DURESS_DAEMON_LOG_INFO)) {
        duress__log_string(log, "config", loading->daemon->options->config);
        duress__log_integer(log, "proxies", (int64_t)task->handled_count);
        duress__log_end(log, LOG_CALLER, "Populated proxies from file");
    }
}

static bool loading_is_done(void *context)
{
    const struct loading *loading = context;
    return loading->done;
}

/* As a POST of the file's content to /populate. */
static bool config_load(struct daemon *daemon)
{
    struct loading loading = {.daemon = daemon};
    struct duress_buffer content;
    char why[CONFIG_WHY_BYTES_MAX];
    duress_buffer_init(&content, CONFIG_BYTES_MAX, daemon->allocator);
    struct task *task = NULL;
    if (!duress__config_read(daemon->options->config, &content, why)) {
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, why, "Error reading config file");
    } else {
        char *target = duress__text_copy(daemon->allocator, "/populate");
        task = target != NULL ? duress__task_new(daemon, target, "POST") : NULL;
    }
    if (task != NULL) {
        duress__task_begin(task, duress_buffer_slice(&content), loading_ended, &loading);
        (void)duress__loop_run_until(daemon->loop, loading_is_done, &loading, DURESS_TIME_NEVER);
        duress__task_free(task);
    }
    duress_buffer_close(&content);
    return task != NULL && !loading.failed;
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
    if (daemon->server != NULL)
        duress__server_quiesce(daemon->server);
}

static bool signalled(void *context)
{
    const struct daemon *daemon = context;
    return daemon->signal_count > 0;
}

static bool drained(void *context)
{
    const struct daemon *daemon = context;
    return daemon->task_count == 0 && duress__server_request_count(daemon->server) == 0;
}

/* The workers go first, with all that is on them. */
static void proxies_end(struct daemon *daemon)
{
    duress_workers_free(daemon->workers);
    for (size_t i = 0; i < daemon->registry.count; i++) {
        duress__relay_forget(daemon->registry.proxies[i]->relay);
        daemon->registry.proxies[i]->relay = NULL;
    }
    duress__registry_deinit(&daemon->registry);
}

static int daemon_serve(struct daemon *daemon)
{
    if (daemon->options->config != NULL && *daemon->options->config != '\0')
        (void)config_load(daemon);
    if (daemon->signal_count > 0)
        return 0;
    int listener = api_listen(daemon);
    if (listener < 0)
        return 1;
    if (duress__server_new(daemon, listener, &daemon->server) != DURESS_OK) {
        start_failed(daemon, "", "", "no memory, or no descriptor left");
        return 1;
    }
    api_started(daemon, listener);
    (void)duress__loop_run_until(daemon->loop, signalled, daemon, DURESS_TIME_NEVER);
    uint64_t deadline_ns = duress_time_add(duress__loop_now_ns(daemon->loop), DRAIN_NS);
    (void)duress__loop_run_until(daemon->loop, drained, daemon, deadline_ns);
    return 0;
}

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

static void seed_log(struct daemon *daemon)
{
    if (!duress__log_begin(&daemon->log, DURESS_DAEMON_LOG_INFO))
        return;
    duress__log_integer(&daemon->log, "seed", (int64_t)daemon->seed);
    duress__log_end(&daemon->log, LOG_CALLER, "Random seed");
}

static bool daemon_ready(struct daemon *daemon, uv_signal_t signals[2])
{
    struct duress_failure why = {.detail = ""};
    struct duress_workers_options workers = {.allocator = daemon->allocator,
                                             .worker_count = daemon->options->worker_count};
    if (duress__loop_new(daemon->allocator, NULL, &daemon->loop) != DURESS_OK || !signals_watch(daemon, signals)) {
        start_failed(daemon, "", "", "no memory, or no descriptor left");
        return false;
    }
    if (duress_workers_new(daemon->loop, &workers, &daemon->workers, &why) == DURESS_OK)
        return true;
    start_failed(daemon, "", "", why.detail);
    return false;
}

int duress_daemon_run(const struct duress_daemon_options *options)
{
    static struct daemon daemon; /* what is under way at a hard end may still look at it */
    uv_signal_t signals[2];
    daemon = (struct daemon){.allocator = duress_allocator_default(), .options = options};
    duress__log_init(&daemon.log, STDOUT_FILENO, options->log_level, daemon.allocator);
    duress__registry_init(&daemon.registry, daemon.allocator);
    daemon.seed = options->seed_given ? options->seed : seed_draw();
    daemon.begun_s = (int64_t)time(NULL);
    daemon.turn_later.fn = duress__turn_next;
    daemon.turn_later.context = &daemon;
    duress_prng_init(&daemon.ids, seed_draw(), 0);
    if (!daemon_ready(&daemon, signals))
        return 1;
    if (options->log_level_unknown != NULL)
        duress__log_error(&daemon.log, DURESS_DAEMON_LOG_ERROR, options->log_level_unknown, "unknown LOG_LEVEL");
    seed_log(&daemon);
    int status = daemon_serve(&daemon);
    duress__server_free(daemon.server);
    if (daemon.task_count > 0)
        return status; /* what did not end in time ends with the process */
    proxies_end(&daemon);
    duress__log_deinit(&daemon.log);
    duress__loop_free(daemon.loop);
    return status;
}
