/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy over workers, as the control thread sees it: its life, and the steps of its orders. */
#include <string.h>
#include <unistd.h>

#include <duress/base/text.h>

#include "worker.h"

/* --- small things --- */

static struct endpoint endpoint_of(const struct duress_listen_address *address)
{
    return (struct endpoint){.address = address->address, .length = address->address_bytes};
}

static uint16_t address_port(const struct duress_listen_address *address)
{
    struct endpoint endpoint = endpoint_of(address);
    return duress__proxy_endpoint_port(&endpoint);
}

static void listeners_count(struct duress_workers_proxy *proxy, bool more)
{
    if (more)
        atomic_fetch_add_explicit(&proxy->workers->listener_count, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&proxy->workers->listener_count, 1, memory_order_relaxed);
    proxy->is_enabled = more;
}

/* Gives an order that has nothing to carry. */
static int order_give(struct duress_workers_proxy *proxy, order_fn step, duress_workers_fn fn, void *context)
{
    struct order *order = duress__order_new(proxy, step, fn, context);
    if (order == NULL)
        return DURESS_E_NO_MEMORY;
    duress__order_give(order);
    return DURESS_OK;
}

/* An order's only step: has |task| carried out everywhere. */
static bool send_all_once(struct order *order, branch_fn task)
{
    if (order->stage > 0)
        return false;
    duress__order_send_all(order, task);
    return true;
}

/* --- enabling and disabling --- */

static bool enable_step(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    struct leg *home = &order->legs[proxy->home];
    if (order->stage > 0) {
        if (order->error == DURESS_OK)
            listeners_count(proxy, true);
        return false;
    }
    if (proxy->is_enabled)
        return false;
    if (!proxy->has_address)
        order->error = DURESS_E_INVALID;
    else
        order->error = duress__listener_open(&proxy->address, proxy->backlog, &home->fd);
    if (order->error != DURESS_OK)
        return false;
    duress__order_send(order, proxy->home, duress__branch_listen);
    return true;
}

int duress_workers_proxy_enable(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context)
{
    return order_give(proxy, enable_step, fn, context);
}

/* First nobody is accepted any more, then all leave: what home accepted last is with the others by then. */
static bool disable_step(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    switch (order->stage) {
    case 0:
        if (!proxy->is_enabled)
            return false;
        duress__order_send(order, proxy->home, duress__branch_unlisten);
        return true;
    case 1:
        listeners_count(proxy, false);
        duress__order_send_all(order, duress__branch_leave);
        return true;
    default:
        return false;
    }
}

int duress_workers_proxy_disable(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context)
{
    return order_give(proxy, disable_step, fn, context);
}

static bool farewell_step(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    if (order->stage == 0 && !proxy->is_enabled)
        order->stage = 1;
    switch (order->stage) {
    case 0:
        duress__order_send(order, proxy->home, duress__branch_unlisten);
        return true;
    case 1:
        if (proxy->is_enabled)
            listeners_count(proxy, false);
        duress__order_send_all(order, duress__branch_leave);
        return true;
    case 2:
        duress__order_send_all(order, duress__branch_bury);
        return true;
    default:
        order->ends_proxy = true;
        return false;
    }
}

void duress_workers_proxy_free(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context)
{
    if (proxy == NULL)
        return;
    struct order *order = proxy->farewell;
    proxy->farewell = NULL;
    order->fn = fn;
    order->context = context;
    duress__order_give(order);
}

/* --- another address or upstream --- */

static void change_store(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    if (order->listen != NULL) {
        proxy->address = *order->listen;
        proxy->has_address = true;
    }
    if (order->upstream == NULL)
        return;
    duress_release(order->allocator, proxy->upstream);
    proxy->upstream = order->upstream;
    order->upstream = NULL;
}

static int upstreams_make(struct order *order)
{
    for (uint32_t i = 0; order->upstream != NULL && i < order->leg_count; i++) {
        order->legs[i].upstream = duress__connections_upstream(&order->legs[i].branch->set, order->upstream);
        if (order->legs[i].upstream == NULL)
            return DURESS_E_NO_MEMORY;
    }
    return DURESS_OK;
}

/* Binds the new address, where it can be while the old one is still there. */
static int change_begin(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    if (order->listen == NULL || (proxy->has_address && duress_listen_equal(order->listen, &proxy->address))) {
        order->legs[proxy->home].is_kept = true;
        return DURESS_OK;
    }
    int error = duress__listener_open(order->listen, proxy->backlog, &order->fd);
    order->old_goes_first =
        error == DURESS_E_ADDRESS_IN_USE && address_port(order->listen) == address_port(&proxy->address);
    return order->old_goes_first ? DURESS_OK : error;
}

/* The old listener is closed. Where the new one cannot be had after all it comes back. True: go on. */
static bool change_swap(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    int error = duress__listener_open(order->listen, proxy->backlog, &order->fd);
    if (error == DURESS_OK)
        return true;
    order->error = error;
    listeners_count(proxy, false);
    if (duress__listener_open(&proxy->address, proxy->backlog, &order->fd) != DURESS_OK)
        return false;
    order->legs[proxy->home].fd = order->fd;
    order->fd = -1;
    listeners_count(proxy, true);
    duress__order_send(order, proxy->home, duress__branch_listen);
    return false;
}

static bool change_listen(struct order *order)
{
    struct leg *home = &order->legs[order->proxy->home];
    home->fd = order->fd;
    order->fd = -1;
    duress__order_send(order, order->proxy->home, home->is_kept ? duress__branch_resume : duress__branch_listen);
    return true;
}

static bool change_step(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    switch (order->stage) {
    case 0:
        if (!proxy->is_enabled) {
            change_store(order);
            return false;
        }
        order->error = upstreams_make(order);
        if (order->error == DURESS_OK)
            order->error = change_begin(order);
        if (order->error != DURESS_OK)
            return false;
        duress__order_send(order, proxy->home, duress__branch_unlisten);
        return true;
    case 1:
        if (order->old_goes_first && !change_swap(order))
            return order->legs_out > 0;
        duress__order_send_all(order, duress__branch_leave);
        return true;
    case 2:
        return order->error == DURESS_OK && change_listen(order);
    default:
        if (order->error != DURESS_OK)
            listeners_count(proxy, false);
        change_store(order);
        return false;
    }
}

int duress_workers_proxy_change(struct duress_workers_proxy *proxy, const struct duress_listen_address *listen,
                                const char *upstream, duress_workers_fn fn, void *context)
{
    const struct duress_allocator *allocator = proxy->workers->allocator;
    struct order *order = duress__order_new(proxy, change_step, fn, context);
    if (order == NULL)
        return DURESS_E_NO_MEMORY;
    if (listen != NULL) {
        order->listen = duress_allocate(allocator, sizeof *listen);
        if (order->listen == NULL)
            goto fail;
        *order->listen = *listen;
    }
    if (upstream != NULL) {
        order->upstream = duress__text_copy(allocator, upstream);
        if (order->upstream == NULL)
            goto fail;
    }
    duress__order_give(order);
    return DURESS_OK;

fail:
    duress__order_free(order);
    return DURESS_E_NO_MEMORY;
}

/* --- toxics --- */

static bool change_toxics_step(struct order *order)
{
    return send_all_once(order, duress__branch_change);
}

/* |changed|, the proxy's list with |change| made to it, becomes the list, and each branch gets a copy of its own. Takes
 * |changed|, on failure too. */
static int toxics_change(struct duress_workers_proxy *proxy, struct duress_toxic_list *changed,
                         const struct duress_link_change *change, duress_workers_fn fn, void *context)
{
    struct order *order = duress__order_new(proxy, change_toxics_step, fn, context);
    int error = order != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
    for (uint32_t i = 0; error == DURESS_OK && i < order->leg_count; i++) {
        order->legs[i].change = *change;
        error = duress__toxics_copy(&order->legs[i].toxics, changed);
    }
    if (error != DURESS_OK) {
        duress__order_free(order);
        duress__toxic_list_deinit(changed);
        return error;
    }
    duress__toxic_list_deinit(&proxy->toxics);
    proxy->toxics = *changed;
    duress__order_give(order);
    return DURESS_OK;
}

/* What toxics that come or change now count from. */
static struct duress_toxic_moment proxy_moment(const struct duress_workers_proxy *proxy)
{
    return (struct duress_toxic_moment){
        .now_ns = duress__loop_now_ns(proxy->workers->control),
        .connections = atomic_load_explicit(&proxy->accepted_count, memory_order_relaxed),
    };
}

int duress_workers_proxy_toxic_add(struct duress_workers_proxy *proxy, const struct duress_toxic *toxic,
                                   duress_workers_fn fn, void *context, struct duress_failure *why)
{
    struct duress_toxic_list changed;
    struct duress_link_change change;
    duress__toxic_list_init(&changed, proxy->workers->allocator);
    int error = duress__toxics_copy(&changed, &proxy->toxics);
    if (error == DURESS_OK)
        error = duress__toxic_list_add(&changed, toxic, proxy_moment(proxy), &change, why);
    if (error == DURESS_OK)
        return toxics_change(proxy, &changed, &change, fn, context);
    duress__toxic_list_deinit(&changed);
    return error;
}

int duress_workers_proxy_toxic_update(struct duress_workers_proxy *proxy, const struct duress_toxic *toxic,
                                      duress_workers_fn fn, void *context, struct duress_failure *why)
{
    struct duress_toxic_list changed;
    struct duress_link_change change;
    duress__toxic_list_init(&changed, proxy->workers->allocator);
    int error = duress__toxics_copy(&changed, &proxy->toxics);
    if (error == DURESS_OK)
        error = duress__toxic_list_update(&changed, toxic, proxy_moment(proxy), &change, why);
    if (error == DURESS_OK)
        return toxics_change(proxy, &changed, &change, fn, context);
    duress__toxic_list_deinit(&changed);
    return error;
}

int duress_workers_proxy_toxic_remove(struct duress_workers_proxy *proxy, uint64_t id, duress_workers_fn fn,
                                      void *context)
{
    struct duress_toxic_list changed;
    struct duress_link_change change;
    duress__toxic_list_init(&changed, proxy->workers->allocator);
    int error = duress__toxics_copy(&changed, &proxy->toxics);
    if (error == DURESS_OK)
        error = duress__toxic_list_remove(&changed, id, duress__loop_now_ns(proxy->workers->control), &change);
    if (error == DURESS_OK)
        return toxics_change(proxy, &changed, &change, fn, context);
    duress__toxic_list_deinit(&changed);
    return error;
}

const struct duress_toxic *duress_workers_proxy_toxics(const struct duress_workers_proxy *proxy, size_t *count)
{
    *count = proxy->toxics.count;
    return proxy->toxics.toxics;
}

static bool cut_step(struct order *order)
{
    return send_all_once(order, duress__branch_cut);
}

int duress_workers_proxy_cut(struct duress_workers_proxy *proxy, duress_workers_fn fn, void *context)
{
    return order_give(proxy, cut_step, fn, context);
}

/* --- life --- */

static int toxics_take(struct duress_workers_proxy *proxy, const struct duress_workers_proxy_options *options,
                       struct duress_failure *why)
{
    struct duress_link_change change;
    for (size_t i = 0; i < options->toxic_count; i++) {
        int error = duress__toxic_list_add(&proxy->toxics, &options->toxics[i], proxy_moment(proxy), &change, why);
        if (error != DURESS_OK)
            return error;
    }
    return DURESS_OK;
}

static int proxy_fill(struct duress_workers_proxy *proxy, const struct duress_workers_proxy_options *options,
                      struct duress_failure *why)
{
    struct duress_workers *workers = proxy->workers;
    const struct duress_allocator *allocator = workers->allocator;
    duress__toxic_list_init(&proxy->toxics, allocator);
    int error = toxics_take(proxy, options, why);
    if (error != DURESS_OK)
        return error;
    proxy->upstream = duress__text_copy(allocator, options->upstream);
    proxy->branches = duress_allocate_zeroed(allocator, workers->count, sizeof *proxy->branches);
    if (proxy->upstream == NULL || proxy->branches == NULL)
        return DURESS_E_NO_MEMORY;
    proxy->farewell = duress__order_new(proxy, farewell_step, NULL, NULL);
    if (proxy->farewell == NULL)
        return DURESS_E_NO_MEMORY;
    for (uint32_t i = 0; i < workers->count && error == DURESS_OK; i++)
        error = duress__branch_init(&proxy->branches[i], &workers->workers[i], proxy, options);
    return error;
}

static bool begin_step(struct order *order)
{
    if (order->stage == 0) {
        duress__order_send(order, order->proxy->home, duress__branch_listen);
        return true;
    }
    if (order->error != DURESS_OK)
        listeners_count(order->proxy, false);
    return false;
}

/* Binds at once, so that the error comes at once, and has home accept. */
static int proxy_listen(struct duress_workers_proxy *proxy)
{
    struct order *order = duress__order_new(proxy, begin_step, NULL, NULL);
    if (order == NULL)
        return DURESS_E_NO_MEMORY;
    int error = duress__listener_open(&proxy->address, proxy->backlog, &order->legs[proxy->home].fd);
    if (error != DURESS_OK) {
        duress__order_free(order);
        return error;
    }
    listeners_count(proxy, true);
    duress__order_give(order);
    return DURESS_OK;
}

static void proxy_link(struct duress_workers_proxy *proxy)
{
    struct duress_workers *workers = proxy->workers;
    proxy->next = workers->first;
    if (proxy->next != NULL)
        proxy->next->previous = proxy;
    workers->first = proxy;
    workers->next_home = (workers->next_home + 1) % workers->count;
}

static void proxy_unlink(struct duress_workers_proxy *proxy)
{
    if (proxy->previous != NULL)
        proxy->previous->next = proxy->next;
    else if (proxy->workers->first == proxy)
        proxy->workers->first = proxy->next;
    if (proxy->next != NULL)
        proxy->next->previous = proxy->previous;
}

static int options_check(const struct duress_workers *workers, const struct duress_workers_proxy_options *options,
                         struct duress_workers_proxy *const *proxy, struct duress_failure *why)
{
    const char *wrong = NULL;
    if (workers == NULL || options == NULL || proxy == NULL)
        wrong = workers == NULL ? "workers: NULL given" : options == NULL ? "options: NULL given" : "proxy: NULL given";
    else if (options->upstream == NULL)
        wrong = "upstream: NULL given, an address is needed";
    else if (options->listen == NULL && !options->is_disabled)
        wrong = "listen: NULL given, an address is needed where it is enabled";
    else if (options->toxics == NULL && options->toxic_count > 0)
        wrong = "toxics: NULL given although toxic_count is not 0";
    if (wrong == NULL)
        return DURESS_OK;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s", wrong);
    return DURESS_E_INVALID;
}

int duress_workers_proxy_new(struct duress_workers *workers, const struct duress_workers_proxy_options *options,
                             struct duress_workers_proxy **proxy, struct duress_failure *why)
{
    struct duress_failure reason = {.code = DURESS_OK};
    int error = options_check(workers, options, proxy, why);
    if (error != DURESS_OK)
        return error;
    struct duress_workers_proxy *made = duress_allocate_zeroed(workers->allocator, 1, sizeof *made);
    if (made == NULL) {
        error = DURESS_E_NO_MEMORY;
        goto fail;
    }
    made->workers = workers;
    made->home = workers->next_home;
    made->backlog = options->backlog;
    made->has_address = options->listen != NULL;
    if (made->has_address)
        made->address = *options->listen;
    error = proxy_fill(made, options, &reason);
    if (error == DURESS_OK && !options->is_disabled)
        error = proxy_listen(made);
    if (error != DURESS_OK)
        goto fail;
    proxy_link(made);
    *proxy = made;
    return DURESS_OK;

fail:
    if (made != NULL && made->branches != NULL) {
        for (uint32_t i = 0; i < workers->count; i++)
            duress__branch_deinit(&made->branches[i]);
    }
    if (made != NULL)
        duress__workers_proxy_release(made);
    if (why != NULL && reason.code != DURESS_OK)
        *why = reason;
    else if (why != NULL)
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "listen: %s: %s",
                           options->listen != NULL ? options->listen->text : "", duress_strerror(error));
    return error;
}

void duress__workers_proxy_release(struct duress_workers_proxy *proxy)
{
    const struct duress_allocator *allocator = proxy->workers->allocator;
    proxy_unlink(proxy);
    duress__order_free(proxy->farewell);
    duress__toxic_list_deinit(&proxy->toxics);
    duress_release(allocator, proxy->upstream);
    duress_release(allocator, proxy->branches);
    duress_release(allocator, proxy);
}

/* --- what is asked --- */

const struct duress_listen_address *duress_workers_proxy_address(const struct duress_workers_proxy *proxy)
{
    return proxy->has_address ? &proxy->address : NULL;
}

const char *duress_workers_proxy_upstream(const struct duress_workers_proxy *proxy)
{
    return proxy->upstream;
}

bool duress_workers_proxy_is_enabled(const struct duress_workers_proxy *proxy)
{
    return proxy->is_enabled;
}
