/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told of a proxy over workers: its figures and its connections. */
#include <stdlib.h>
#include <string.h>

#include "worker.h"

/* --- figures --- */

static uint64_t figure(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void branch_add(const struct branch *branch, struct duress_workers_counts *counts)
{
    const struct connection_figures *figures = &branch->set.figures;
    counts->accepted += figure(&branch->accepted_count);
    counts->open += figure(&figures->open_count);
    counts->failed_dials += figure(&figures->failed_dials);
    counts->accept_pauses += figure(&branch->pause_count);
    duress__dial_times_tell(&figures->dial_times, counts);
    for (size_t i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        counts->direction[i].bytes_in += figure(&figures->direction[i].bytes_in);
        counts->direction[i].bytes_out += figure(&figures->direction[i].bytes_out);
        counts->direction[i].bytes_spliced += figure(&figures->direction[i].bytes_spliced);
    }
}

struct duress_workers_counts duress_workers_proxy_counts(const struct duress_workers_proxy *proxy)
{
    struct duress_workers_counts counts = {.accepted = 0};
    for (uint32_t i = 0; i < proxy->workers->count; i++)
        branch_add(&proxy->branches[i], &counts);
    counts.accepted = figure(&proxy->accepted_count);
    return counts;
}

struct duress_workers_counts duress_workers_proxy_worker_counts(const struct duress_workers_proxy *proxy,
                                                                uint32_t worker)
{
    struct duress_workers_counts counts = {.accepted = 0};
    if (worker < proxy->workers->count)
        branch_add(&proxy->branches[worker], &counts);
    return counts;
}

/* --- connections --- */

static int number_compare(const void *a, const void *b)
{
    const struct duress_workers_connection *left = a;
    const struct duress_workers_connection *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

/* What the workers reported becomes one list in order of the numbers. */
static int reports_join(struct order *order)
{
    struct report *all = &order->report;
    size_t count = 0;
    for (uint32_t i = 0; i < order->leg_count; i++)
        count += order->legs[i].report.count;
    if (count == 0)
        return DURESS_OK;
    all->connections = duress_allocate_zeroed(order->allocator, count, sizeof *all->connections);
    if (all->connections == NULL)
        return DURESS_E_NO_MEMORY;
    for (uint32_t i = 0; i < order->leg_count; i++) {
        const struct report *part = &order->legs[i].report;
        if (part->count > 0)
            memcpy(&all->connections[all->count], part->connections, part->count * sizeof *part->connections);
        all->count += part->count;
    }
    qsort(all->connections, all->count, sizeof *all->connections, number_compare);
    if (all->count > order->legs[0].report_max)
        all->count = order->legs[0].report_max;
    return DURESS_OK;
}

static bool report_step(struct order *order)
{
    if (order->stage == 0) {
        duress__order_send_all(order, duress__branch_report);
        return true;
    }
    if (order->error == DURESS_OK)
        order->error = reports_join(order);
    return false;
}

int duress_workers_proxy_connections(struct duress_workers_proxy *proxy, size_t count_max,
                                     duress_workers_connections_fn fn, void *context)
{
    struct order *order = duress__order_new(proxy, report_step, NULL, context);
    if (order == NULL)
        return DURESS_E_NO_MEMORY;
    order->report_fn = fn;
    for (uint32_t i = 0; i < order->leg_count; i++)
        order->legs[i].report_max = count_max;
    duress__order_give(order);
    return DURESS_OK;
}
