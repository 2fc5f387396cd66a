/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy's part on one worker: accepting (at home), handing connections out, and what orders ask. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duress/time.h>
#include <duress/toxic/bandwidth_pool.h>

#include "worker.h"

static struct branch *branch_of(struct connection_set *set)
{
    return (struct branch *)(void *)set; /* the set comes first in it */
}

static void figure_add(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

/* --- connections --- */

static void connection_gone(struct connection_set *set, bool doomed)
{
    struct branch *branch = branch_of(set);
    atomic_fetch_sub_explicit(&branch->worker->workers->connection_count, 1, memory_order_relaxed);
    duress__worker_counts(branch->worker, -1);
    if (!doomed)
        return;
    DURESS_ASSERT(branch->doomed_count > 0);
    branch->doomed_count--;
    if (branch->doomed_count > 0 || branch->leaving == NULL)
        return;
    struct leg *leg = branch->leaving;
    branch->leaving = NULL;
    duress__loop_disarm(set->loop, &branch->patience);
    duress__leg_back(leg);
}

static void connection_open(struct branch *branch, uint64_t number, int fd)
{
    figure_add(&branch->accepted_count, 1);
    duress__worker_counts(branch->worker, 1);
    /* On failure the client has its RST, and nobody else is concerned. */
    (void)!duress__connection_open(&branch->set, number, fd);
}

/* A connection on its way from the worker that accepted it to the one that gets it. */
struct handover {
    struct duress_post post;
    struct branch *branch;
    uint64_t number;
    int fd;
};

static void handover_arrived(void *context)
{
    struct handover *handover = context;
    struct branch *branch = handover->branch;
    if (branch->worker->is_ending) {
        duress__descriptor_reset(handover->fd);
        atomic_fetch_sub_explicit(&branch->worker->workers->connection_count, 1, memory_order_relaxed);
    } else {
        connection_open(branch, handover->number, handover->fd);
    }
    duress_release(branch->set.allocator, handover);
}

static void connection_hand_over(struct branch *branch, uint64_t number, int fd)
{
    struct handover *handover = duress_allocate(branch->set.allocator, sizeof *handover);
    if (handover == NULL) {
        duress__descriptor_reset(fd);
        atomic_fetch_sub_explicit(&branch->worker->workers->connection_count, 1, memory_order_relaxed);
        return;
    }
    *handover = (struct handover){
        .post = {.fn = handover_arrived, .context = handover}, .branch = branch, .number = number, .fd = fd};
    duress__loop_post(branch->worker->loop, &handover->post);
}

/* --- accepting --- */

static bool branch_may_accept(void *context)
{
    const struct branch *branch = context;
    struct duress_workers *workers = branch->worker->workers;
    uint64_t connections = atomic_load_explicit(&workers->connection_count, memory_order_relaxed);
    uint64_t listeners = atomic_load_explicit(&workers->listener_count, memory_order_relaxed);
    return !branch->worker->is_ending && connections < workers->connections_max &&
           (connections + 1) * DURESS_SIDE_COUNT + listeners <= workers->descriptors_max;
}

static void branch_paused(void *context)
{
    struct branch *branch = context;
    figure_add(&branch->pause_count, 1);
}

static void branch_accepted(void *context, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct branch *branch = context;
    struct duress_workers *workers = branch->worker->workers;
    (void)peer;
    (void)peer_bytes;
    atomic_fetch_add_explicit(&workers->connection_count, 1, memory_order_relaxed);
    uint64_t number = atomic_fetch_add_explicit(&branch->proxy->accepted_count, 1, memory_order_relaxed) + 1;
    struct branch *to = &branch->proxy->branches[branch->turn];
    branch->turn = (branch->turn + 1) % workers->count;
    if (to == branch)
        connection_open(branch, number, fd);
    else
        connection_hand_over(to, number, fd);
}

/* Accepts what waits: a client that has seen its connect succeed takes part in what happens to the proxy now. */
static void waiting_accept(struct branch *branch)
{
    while (branch_may_accept(branch)) {
        int fd = accept4(branch->acceptor.socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            branch_accepted(branch, fd, NULL, 0);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

bool duress__branch_listen(struct branch *branch, struct leg *leg)
{
    leg->error = duress__acceptor_adopt(branch->set.loop, &branch->acceptor, leg->fd, false, branch_accepted, branch);
    if (leg->error != DURESS_OK)
        return true;
    leg->fd = -1;
    branch->acceptor.may_accept = branch_may_accept;
    branch->acceptor.paused = branch_paused;
    return true;
}

bool duress__branch_unlisten(struct branch *branch, struct leg *leg)
{
    if (!duress__socket_is_open(&branch->acceptor.socket))
        return true;
    waiting_accept(branch);
    if (leg->is_kept)
        duress__acceptor_accept(&branch->acceptor, false);
    else
        duress__acceptor_close(&branch->acceptor);
    return true;
}

bool duress__branch_resume(struct branch *branch, struct leg *leg)
{
    (void)leg;
    duress__acceptor_accept(&branch->acceptor, true);
    return true;
}

/* --- orders --- */

/* The connections had their time to part. */
static void patience_ended(void *context)
{
    struct branch *branch = context;
    for (struct connection *at = branch->set.first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        if (at->doomed)
            duress__connection_free(at); /* The last one sends the leg back. */
    }
}

bool duress__branch_leave(struct branch *branch, struct leg *leg)
{
    branch->doomed_count = branch->set.count;
    duress__connections_down(&branch->set);
    if (leg->upstream != NULL) {
        /* Nobody dials any more: every connection that did is gone. */
        struct upstream *before = branch->set.upstream;
        branch->set.upstream = leg->upstream;
        leg->upstream = NULL;
        duress__upstream_free(before);
    }
    if (branch->doomed_count == 0)
        return true;
    branch->leaving = leg;
    uint64_t until_ns = duress_time_add(duress__loop_now_ns(branch->set.loop), BRANCH_PARTING_NS);
    duress__loop_arm(branch->set.loop, &branch->patience, until_ns);
    return false;
}

bool duress__branch_change(struct branch *branch, struct leg *leg)
{
    struct duress_toxic_list before = branch->set.toxics;
    branch->set.toxics = leg->toxics;
    duress__toxic_list_init(&leg->toxics, branch->set.allocator);
    duress__connections_change(&branch->set, &leg->change);
    duress__toxic_list_deinit(&before); /* Only now: the links may use what it holds. */
    return true;
}

bool duress__branch_cut(struct branch *branch, struct leg *leg)
{
    (void)leg;
    for (struct connection *at = branch->set.first, *next = NULL; at != NULL; at = next) {
        next = at->next;
        duress__connection_cut(at);
    }
    return true;
}

bool duress__branch_bury(struct branch *branch, struct leg *leg)
{
    (void)leg;
    duress__branch_deinit(branch);
    return true;
}

/* --- reports --- */

static void peer_name(const struct duress_socket *socket, char text[DURESS_WORKERS_PEER_TEXT_BYTES])
{
    struct endpoint peer = {.length = sizeof peer.address};
    if (!duress__socket_is_open(socket) ||
        getpeername(socket->fd, (struct sockaddr *)&peer.address, &peer.length) != 0 ||
        !duress__proxy_endpoint_is_tcp(&peer))
        return;
    duress__proxy_endpoint_text(&peer, text, DURESS_WORKERS_PEER_TEXT_BYTES);
}

static void connection_report(const struct branch *branch, const struct connection *connection, uint64_t now_ns,
                              struct duress_workers_connection *to)
{
    const struct duress_link *link = connection->link;
    const struct duress_link_stats *stats = duress_link_stats(link);
    const struct duress_toxic_list *toxics = &branch->set.toxics;
    *to = (struct duress_workers_connection){
        .number = connection->number,
        .worker = branch->worker->index,
        .is_dialing = connection->sides[DURESS_SIDE_SERVER].state == CONNECTION_DIALING,
        .age_ns = duress_time_until(stats->started_ns, now_ns),
    };
    peer_name(&connection->sides[DURESS_SIDE_CLIENT].socket, to->client);
    peer_name(&connection->sides[DURESS_SIDE_SERVER].socket, to->server);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        to->bytes_in[i] = stats->direction[i].bytes_in;
        to->bytes_out[i] = stats->direction[i].bytes_out;
        to->buffered_bytes[i] = duress_link_buffered_bytes(link, (enum duress_direction)i);
    }
    for (size_t i = 0; i < toxics->count && to->toxic_count < DURESS_WORKERS_CONNECTION_TOXICS_MAX; i++) {
        if (duress_link_toxic_is_active(link, toxics->toxics[i].id))
            to->toxics[to->toxic_count++] = toxics->toxics[i].id;
    }
}

bool duress__branch_report(struct branch *branch, struct leg *leg)
{
    size_t room = branch->set.count < leg->report_max ? branch->set.count : leg->report_max;
    if (room == 0)
        return true;
    leg->report.connections = duress_allocate_zeroed(branch->set.allocator, room, sizeof *leg->report.connections);
    if (leg->report.connections == NULL) {
        leg->error = DURESS_E_NO_MEMORY;
        return true;
    }
    uint64_t now_ns = duress__loop_now_ns(branch->set.loop);
    for (const struct connection *at = branch->set.first; at != NULL && leg->report.count < room; at = at->next) {
        if (at->link != NULL)
            connection_report(branch, at, now_ns, &leg->report.connections[leg->report.count++]);
    }
    return true;
}

/* --- life --- */

int duress__toxics_copy(struct duress_toxic_list *to, const struct duress_toxic_list *from)
{
    if (from->count == 0)
        return DURESS_OK;
    to->toxics = duress_allocate_zeroed(to->allocator, from->count, sizeof *to->toxics);
    if (to->toxics == NULL)
        return DURESS_E_NO_MEMORY;
    memcpy(to->toxics, from->toxics, from->count * sizeof *to->toxics);
    for (size_t i = 0; i < from->count; i++) {
        if (from->toxics[i].type == DURESS_TOXIC_SHARED_BANDWIDTH)
            duress_bandwidth_pool_retain(from->toxics[i].as.shared_bandwidth.pool);
    }
    to->count = to->capacity = from->count;
    return DURESS_OK;
}

int duress__branch_init(struct branch *branch, struct worker *worker, struct duress_workers_proxy *proxy,
                        const struct duress_workers_proxy_options *options)
{
    struct connection_set *set = &branch->set;
    branch->worker = worker;
    branch->proxy = proxy;
    branch->acceptor.socket.fd = -1;
    branch->turn = proxy->home;
    duress_timer_init(&branch->patience, patience_ended, branch);
    set->allocator = worker->workers->allocator;
    set->loop = worker->loop;
    set->seed = options->seed;
    set->dial_limit_ns = options->dial_limit_ns > 0 ? options->dial_limit_ns : CONNECTION_DIAL_LIMIT_NS_DEFAULT;
    set->buffer_bytes_max =
        options->buffer_bytes_max > 0 ? options->buffer_bytes_max : DURESS_LINK_BUFFER_BYTES_DEFAULT;
    set->pipes = &worker->pipes;
    set->scratch = worker->scratch;
    set->gone = connection_gone;
    duress__toxic_list_init(&set->toxics, set->allocator);
    set->upstream = duress__connections_upstream(set, options->upstream);
    if (set->upstream == NULL)
        return DURESS_E_NO_MEMORY;
    return duress__toxics_copy(&set->toxics, &proxy->toxics);
}

void duress__branch_deinit(struct branch *branch)
{
    if (branch->set.loop == NULL)
        return; /* was never made */
    if (duress__socket_is_open(&branch->acceptor.socket))
        duress__acceptor_close(&branch->acceptor);
    duress__loop_disarm(branch->set.loop, &branch->patience);
    branch->leaving = NULL;
    while (branch->set.first != NULL)
        duress__connection_free(branch->set.first);
    duress__toxic_list_deinit(&branch->set.toxics);
    duress__upstream_free(branch->set.upstream);
    branch->set.loop = NULL;
}
