/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/proxy/proxy.h>

#include <errno.h>
#include <unistd.h>

#include <duress/prng.h>
#include <duress/time.h>

#include "proxy_private.h"

#define SILENCE_ATTEMPTS_MAX 8

/* --- accepting --- */

static void proxy_accepted(void *context, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct duress_proxy *proxy = context;
    (void)peer;
    (void)peer_bytes;
    proxy->counts.accepted++;
    /* On failure the client has its RST, and nobody else is concerned. */
    (void)!duress__connection_open(&proxy->set, proxy->counts.accepted, fd);
}

/* Takes the next connection out of the kernel's queue, with the peer's address; -1 where none waits or none can be
 * taken. */
static int waiting_take(struct duress_proxy *proxy, struct endpoint *peer)
{
    int fd = -1;
    do {
        *peer = (struct endpoint){.length = sizeof peer->address};
        fd = accept4(proxy->acceptor.socket.fd, (struct sockaddr *)&peer->address, &peer->length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

/* Accepts what waits: a client that has seen its connect succeed takes part in what happens to the proxy now. */
static void waiting_accept(struct duress_proxy *proxy)
{
    struct endpoint peer;
    if (!proxy->up)
        return;
    for (int fd = waiting_take(proxy, &peer); fd >= 0; fd = waiting_take(proxy, &peer)) {
        if (duress__silence_owns(&proxy->silence, &peer))
            (void)close(fd);
        else
            proxy_accepted(proxy, fd, (const struct sockaddr *)&peer.address, peer.length);
    }
}

/* --- listening --- */

/* Between down and up nobody else shall be given the port: a socket that is bound and does not listen keeps it, and
 * connects are refused all the same. Where that fails the port is merely free to others. */
static void port_reserve(struct duress_proxy *proxy)
{
    int yes = 1;
    int fd = socket(proxy->listen.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (const struct sockaddr *)&proxy->listen.address, proxy->listen.length) != 0) {
        (void)close(fd);
        return;
    }
    proxy->reserved_fd = fd;
}

static void port_release(struct duress_proxy *proxy)
{
    if (proxy->reserved_fd >= 0)
        (void)close(proxy->reserved_fd);
    proxy->reserved_fd = -1;
}

static int listener_open(struct duress_proxy *proxy)
{
    int error = duress__acceptor_listen(proxy->loop, &proxy->acceptor, (const struct sockaddr *)&proxy->listen.address,
                                        proxy->listen.length, proxy->backlog, proxy_accepted, proxy);
    if (error != DURESS_OK)
        return error;
    struct endpoint bound = {.length = sizeof bound.address};
    if (getsockname(proxy->acceptor.socket.fd, (struct sockaddr *)&bound.address, &bound.length) != 0) {
        duress__acceptor_close(&proxy->acceptor);
        return DURESS_E_SYSTEM;
    }
    duress__proxy_endpoint_port_set(&proxy->listen, duress__proxy_endpoint_port(&bound));
    proxy->up = true;
    port_release(proxy);
    return DURESS_OK;
}

static void listener_close(struct duress_proxy *proxy)
{
    if (!proxy->up)
        return;
    duress__silence_end(&proxy->silence, proxy->acceptor.socket.fd);
    duress__acceptor_close(&proxy->acceptor);
    proxy->up = false;
}

/* --- life cycle --- */

static int options_check(const struct duress_proxy_options *options, struct endpoint *listening,
                         struct endpoint *upstream, struct duress_failure *why)
{
    const char *field = NULL;
    const char *given = NULL;
    const char *allowed = NULL;
    if (options->listen == NULL || !duress__proxy_endpoint_parse(options->listen, listening) ||
        !duress__proxy_endpoint_is_tcp(listening)) {
        field = "listen";
        given = options->listen;
        allowed = "a numeric address with a port, as in 127.0.0.1:0 or [::1]:0";
    } else if (options->upstream == NULL || !duress__proxy_endpoint_parse(options->upstream, upstream) ||
               (duress__proxy_endpoint_is_tcp(upstream) && duress__proxy_endpoint_port(upstream) == 0)) {
        field = "upstream";
        given = options->upstream;
        allowed = "a numeric address with a port above 0, or unix:///path";
    } else if (options->backlog > INT32_MAX) {
        field = "backlog";
        given = "a number above 2147483647";
        allowed = "0 to 2147483647";
    }
    if (field == NULL)
        return DURESS_OK;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %s given, %s allowed", field,
                           given != NULL ? given : "nothing", allowed);
    return DURESS_E_INVALID;
}

/* Nothing is spliced: that needs SIGPIPE out of the way, and this thread is its owner's. */
static int set_begin(struct duress_proxy *proxy, const struct duress_proxy_options *options)
{
    struct connection_set *set = &proxy->set;
    duress__toxic_list_init(&set->toxics, proxy->allocator);
    duress__link_history_init(&proxy->history, proxy->allocator);
    set->allocator = proxy->allocator;
    set->loop = proxy->loop;
    set->seed = options->seed;
    set->dial_limit_ns = options->dial_limit_ns > 0 ? options->dial_limit_ns : CONNECTION_DIAL_LIMIT_NS_DEFAULT;
    set->buffer_bytes_max =
        options->buffer_bytes_max > 0 ? options->buffer_bytes_max : DURESS_LINK_BUFFER_BYTES_DEFAULT;
    set->history = &proxy->history;
    set->scratch = proxy->scratch;
    set->upstream = duress__connections_upstream(set, options->upstream);
    return set->upstream != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

int duress_proxy_new(struct duress_loop *loop, const struct duress_proxy_options *options, struct duress_proxy **proxy,
                     struct duress_failure *why)
{
    struct endpoint listening;
    struct endpoint upstream;
    const char *missing = loop == NULL ? "loop" : options == NULL ? "options" : proxy == NULL ? "proxy" : NULL;
    if (missing != NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: NULL given, a pointer is needed",
                               missing);
        return DURESS_E_INVALID;
    }
    *proxy = NULL;
    int error = options_check(options, &listening, &upstream, why);
    if (error != DURESS_OK)
        return error;
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_allocator_default();
    struct duress_proxy *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL) {
        error = DURESS_E_NO_MEMORY;
        goto fail_allocate;
    }
    made->allocator = allocator;
    made->loop = loop;
    made->listen = listening;
    made->backlog = options->backlog > 0 ? options->backlog : PROXY_BACKLOG_DEFAULT;
    made->reserved_fd = -1;
    error = set_begin(made, options);
    if (error != DURESS_OK)
        goto fail_set;
    error = listener_open(made);
    if (error != DURESS_OK)
        goto fail_listen;
    *proxy = made;
    return DURESS_OK;

fail_listen:
    duress__upstream_free(made->set.upstream);
fail_set:
    duress_release(allocator, made);
fail_allocate:
    if (why != NULL)
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "listen: %s: %s", options->listen,
                           duress_strerror(error));
    return error;
}

void duress_proxy_free(struct duress_proxy *proxy)
{
    if (proxy == NULL)
        return;
    listener_close(proxy);
    port_release(proxy);
    while (proxy->set.first != NULL)
        duress__connection_free(proxy->set.first);
    duress__link_history_deinit(&proxy->history);
    duress__toxic_list_deinit(&proxy->set.toxics);
    duress__upstream_free(proxy->set.upstream);
    duress_release(proxy->allocator, proxy);
}

uint16_t duress_proxy_port(const struct duress_proxy *proxy)
{
    return duress__proxy_endpoint_port(&proxy->listen);
}

void duress_proxy_down(struct duress_proxy *proxy)
{
    if (!proxy->up)
        return;
    waiting_accept(proxy);
    listener_close(proxy);
    port_reserve(proxy);
    duress__connections_down(&proxy->set);
}

int duress_proxy_up(struct duress_proxy *proxy)
{
    if (proxy == NULL)
        return DURESS_E_INVALID;
    return proxy->up ? DURESS_OK : listener_open(proxy);
}

void duress_proxy_cut(struct duress_proxy *proxy)
{
    waiting_accept(proxy);
    for (struct connection *at = proxy->set.first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        duress__connection_cut(at);
    }
}

/* --- silence --- */

static void silence_undo(struct duress_proxy *proxy)
{
    duress__silence_end(&proxy->silence, proxy->acceptor.socket.fd);
    /* The fillers lie in the queue still, and must not be taken for clients. */
    waiting_accept(proxy);
    (void)listen(proxy->acceptor.socket.fd, (int)proxy->backlog);
    duress__acceptor_accept(&proxy->acceptor, true);
}

int duress_proxy_silence(struct duress_proxy *proxy, bool silent)
{
    if (proxy == NULL)
        return DURESS_E_INVALID;
    if (!proxy->up)
        return DURESS_E_CLOSED;
    if (silent == proxy->silence.on)
        return DURESS_OK;
    if (!silent) {
        silence_undo(proxy);
        return DURESS_OK;
    }
    duress__acceptor_accept(&proxy->acceptor, false);
    int error = listen(proxy->acceptor.socket.fd, 0) == 0 ? DURESS_E_AGAIN : duress__error_from_errno(errno);
    for (size_t attempt = 0; error == DURESS_E_AGAIN && attempt < SILENCE_ATTEMPTS_MAX; attempt++) {
        waiting_accept(proxy);
        error = duress__silence_begin(&proxy->silence, proxy->acceptor.socket.fd, &proxy->listen);
    }
    if (error == DURESS_OK)
        return DURESS_OK;
    silence_undo(proxy);
    return error == DURESS_E_AGAIN ? DURESS_E_SYSTEM : error;
}

/* --- toxics --- */

static int proxy_refuse(struct duress_failure *why)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "proxy: NULL given, a pointer is needed");
    return DURESS_E_INVALID;
}

static struct duress_toxic_moment proxy_moment(const struct duress_proxy *proxy)
{
    return (struct duress_toxic_moment){
        .now_ns = duress__loop_now_ns(proxy->loop),
        .connections = proxy->counts.accepted,
    };
}

int duress_proxy_toxic_add(struct duress_proxy *proxy, const struct duress_toxic *toxic, struct duress_failure *why)
{
    struct duress_link_change change;
    if (proxy == NULL)
        return proxy_refuse(why);
    int error = duress__toxic_list_add(&proxy->set.toxics, toxic, proxy_moment(proxy), &change, why);
    if (error == DURESS_OK)
        duress__connections_change(&proxy->set, &change);
    return error;
}

int duress_proxy_toxic_update(struct duress_proxy *proxy, const struct duress_toxic *toxic, struct duress_failure *why)
{
    struct duress_link_change change;
    if (proxy == NULL)
        return proxy_refuse(why);
    int error = duress__toxic_list_update(&proxy->set.toxics, toxic, proxy_moment(proxy), &change, why);
    if (error == DURESS_OK)
        duress__connections_change(&proxy->set, &change);
    return error;
}

int duress_proxy_toxic_remove(struct duress_proxy *proxy, uint64_t id)
{
    struct duress_link_change change;
    if (proxy == NULL)
        return DURESS_E_INVALID;
    int error = duress__toxic_list_remove(&proxy->set.toxics, id, duress__loop_now_ns(proxy->loop), &change);
    if (error == DURESS_OK)
        duress__connections_change(&proxy->set, &change);
    return error;
}

/* --- what happened --- */

void duress_proxy_visit(const struct duress_proxy *proxy, duress_link_visit_fn fn, void *context)
{
    duress__link_history_visit(&proxy->history, fn, context);
}

struct duress_relay_counts duress_proxy_counts(const struct duress_proxy *proxy)
{
    struct duress_relay_counts counts = proxy->counts;
    counts.silenced = duress__silence_dropped_count(&proxy->silence, proxy->up ? proxy->acceptor.socket.fd : -1);
    return counts;
}

size_t duress_proxy_connection_count(const struct duress_proxy *proxy)
{
    return proxy->set.count;
}
