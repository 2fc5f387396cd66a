/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders: what the control thread has the workers do, one after another for each proxy. */
#include <unistd.h>

#include "worker.h"

static void order_step(void *context);

struct order *duress__order_new(struct duress_workers_proxy *proxy, order_fn step, duress_workers_fn fn, void *context)
{
    uint32_t count = proxy->workers->count;
    const struct duress_allocator *allocator = proxy->workers->allocator;
    struct order *order = duress_allocate_zeroed(allocator, 1, sizeof *order + count * sizeof order->legs[0]);
    if (order == NULL)
        return NULL;
    order->proxy = proxy;
    order->allocator = allocator;
    order->control = proxy->workers->control;
    order->leg_count = count;
    order->fd = -1;
    order->step = step;
    order->later = (struct duress_later){.fn = order_step, .context = order};
    order->fn = fn;
    order->context = context;
    for (uint32_t i = 0; i < count; i++) {
        order->legs[i].order = order;
        order->legs[i].branch = &proxy->branches[i];
        order->legs[i].fd = -1;
        duress__toxic_list_init(&order->legs[i].toxics, allocator);
    }
    return order;
}

void duress__order_free(struct order *order)
{
    if (order == NULL)
        return;
    for (uint32_t i = 0; i < order->leg_count; i++) {
        struct leg *leg = &order->legs[i];
        if (leg->fd >= 0)
            (void)close(leg->fd);
        duress__upstream_free(leg->upstream);
        duress__toxic_list_deinit(&leg->toxics);
        duress_release(order->allocator, leg->report.connections);
    }
    if (order->fd >= 0)
        (void)close(order->fd);
    duress_release(order->allocator, order->listen);
    duress_release(order->allocator, order->upstream);
    duress_release(order->allocator, order);
}

/* --- the queue --- */

void duress__order_give(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    if (proxy->last_order != NULL)
        proxy->last_order->next = order;
    else
        proxy->first_order = order;
    proxy->last_order = order;
    if (proxy->first_order == order)
        duress__loop_defer(proxy->workers->control, &order->later);
}

static void order_end(struct order *order)
{
    struct duress_workers_proxy *proxy = order->proxy;
    proxy->first_order = order->next;
    if (proxy->first_order == NULL)
        proxy->last_order = NULL;
    else
        duress__loop_defer(proxy->workers->control, &proxy->first_order->later);
    if (order->ends_proxy)
        duress__workers_proxy_release(proxy);
    if (order->report_fn != NULL)
        order->report_fn(order->context, order->error, order->report.connections, order->report.count);
    else if (order->fn != NULL)
        order->fn(order->context, order->error);
    duress_release(order->allocator, order->report.connections);
    duress__order_free(order);
}

static void order_step(void *context)
{
    struct order *order = context;
    if (!order->step(order))
        order_end(order);
    else
        order->stage++;
}

/* --- legs --- */

static void leg_arrived(void *context)
{
    struct leg *leg = context;
    if (leg->branch->worker->is_ending)
        return; /* duress__orders_forget() frees it. */
    if (leg->task(leg->branch, leg))
        duress__leg_back(leg);
}

static void leg_returned(void *context)
{
    struct leg *leg = context;
    struct order *order = leg->order;
    leg->is_back = false;
    if (leg->error != DURESS_OK && order->error == DURESS_OK)
        order->error = leg->error;
    order->legs_out--;
    if (order->legs_out > 0)
        return;
    if (order->is_orphaned)
        duress__order_free(order);
    else
        order_step(order);
}

void duress__leg_back(struct leg *leg)
{
    leg->is_back = true;
    duress__loop_post(leg->order->control, &leg->back);
}

void duress__order_send(struct order *order, uint32_t worker, branch_fn task)
{
    struct leg *leg = &order->legs[worker];
    order->legs_out++;
    leg->task = task;
    leg->out = (struct duress_post){.fn = leg_arrived, .context = leg};
    leg->back = (struct duress_post){.fn = leg_returned, .context = leg};
    duress__loop_post(leg->branch->worker->loop, &leg->out);
}

void duress__order_send_all(struct order *order, branch_fn task)
{
    for (uint32_t i = 0; i < order->leg_count; i++)
        duress__order_send(order, i, task);
}

/* --- the end --- */

/* Legs that lie in the control loop's queue keep their order until they are taken from there. */
static void order_forget(struct order *order)
{
    uint32_t in_queue = 0;
    duress__loop_undefer(order->proxy->workers->control, &order->later);
    for (uint32_t i = 0; i < order->leg_count; i++)
        in_queue += order->legs[i].is_back ? 1 : 0;
    order->legs_out = in_queue;
    order->is_orphaned = true;
    if (in_queue == 0)
        duress__order_free(order);
}

void duress__orders_forget(struct duress_workers_proxy *proxy)
{
    while (proxy->first_order != NULL) {
        struct order *order = proxy->first_order;
        proxy->first_order = order->next;
        order_forget(order);
    }
    proxy->last_order = NULL;
}
