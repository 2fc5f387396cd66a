/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/batch.h>

#include "option.h"

int duress_batch_options_init(struct duress_batch_options *options, const struct duress_batch_options *given,
                              struct duress_failure *why)
{
    struct duress_batch_options filled = {0};
    if (!duress__option_given("options", options, why))
        return DURESS_E_INVALID;
    if (given != NULL)
        filled = *given;
    filled.items_max = option_or_u32(filled.items_max, DURESS_BATCH_ITEMS_MAX_DEFAULT);
    filled.bytes_max = option_or_u64(filled.bytes_max, DURESS_BATCH_BYTES_MAX_DEFAULT);
    filled.wait_ns = option_or_u64(filled.wait_ns, DURESS_BATCH_WAIT_NS_DEFAULT);
    filled.margin_ns = option_or_u64(filled.margin_ns, filled.wait_ns);
    if (filled.queue_max == 0)
        filled.queue_max =
            filled.items_max > DURESS_BATCH_QUEUE_MAX_DEFAULT ? filled.items_max : DURESS_BATCH_QUEUE_MAX_DEFAULT;
    filled.in_flight_max = option_or_u32(filled.in_flight_max, DURESS_BATCH_IN_FLIGHT_MAX_DEFAULT);
    if (!duress__option_in_range("batch.items_max", filled.items_max, 1, DURESS_BATCH_ITEMS_MAX_MAX, why) ||
        !duress__option_in_range("batch.bytes_max", filled.bytes_max, 1, DURESS_BATCH_BYTES_MAX_MAX, why) ||
        !duress__option_in_range("batch.wait_ns", filled.wait_ns, 1, DURESS_BATCH_WAIT_NS_MAX, why) ||
        !duress__option_in_range("batch.margin_ns", filled.margin_ns, 1, DURESS_BATCH_WAIT_NS_MAX, why) ||
        !duress__option_in_range("batch.queue_max", filled.queue_max, filled.items_max, DURESS_BATCH_QUEUE_MAX_MAX,
                                 why) ||
        !duress__option_in_range("batch.in_flight_max", filled.in_flight_max, 1, DURESS_BATCH_IN_FLIGHT_MAX_MAX, why))
        return DURESS_E_INVALID;
    *options = filled;
    return DURESS_OK;
}

void duress_batch_init(struct duress_batch *batch, const struct duress_batch_options *options)
{
    *batch = (struct duress_batch){.options = *options, .go_at_ns = DURESS_TIME_NEVER};
    batch->queue.next = &batch->queue;
    batch->queue.previous = &batch->queue;
}

static uint64_t batch_now_ns(struct duress_batch *batch, uint64_t now_ns)
{
    if (now_ns > batch->now_ns)
        batch->now_ns = now_ns;
    return batch->now_ns;
}

/* Then nothing is gained by waiting, and all that wait need not be in one batch. */
static bool batch_is_full(const struct duress_batch *batch)
{
    return batch->queued_count >= batch->options.items_max || batch->queued_bytes >= batch->options.bytes_max;
}

static void batch_go_by(struct duress_batch *batch, uint64_t at_ns)
{
    batch->go_at_ns = duress_time_min(batch->go_at_ns, at_ns);
}

/* The instant is not looked at while the queue is full: so the walk is over fewer than items_max. */
static void batch_find_instant(struct duress_batch *batch)
{
    batch->go_at_ns = DURESS_TIME_NEVER;
    if (batch_is_full(batch))
        return;
    for (const struct duress_batch_item *item = batch->queue.next; item != &batch->queue; item = item->next)
        batch_go_by(batch, item->go_at_ns);
}

enum duress_batch_verdict duress_batch_add(struct duress_batch *batch, struct duress_batch_item *item, uint64_t bytes,
                                           uint64_t deadline_ns, uint64_t now_ns)
{
    uint64_t came_ns = batch_now_ns(batch, now_ns);
    if (bytes > batch->options.bytes_max)
        return DURESS_BATCH_TOO_LARGE;
    if (batch->queued_count >= batch->options.queue_max)
        return DURESS_BATCH_FULL;
    item->bytes = bytes;
    item->go_at_ns = duress_time_add(came_ns, batch->options.wait_ns);
    if (deadline_ns != DURESS_TIME_NEVER) {
        uint64_t latest_ns = duress_time_until(batch->options.margin_ns, deadline_ns); /* 0 where it has none */
        item->go_at_ns = duress_time_min(item->go_at_ns, latest_ns > came_ns ? latest_ns : came_ns);
    }
    item->next = &batch->queue;
    item->previous = batch->queue.previous;
    batch->queue.previous->next = item;
    batch->queue.previous = item;
    batch->queued_count++;
    batch->queued_bytes += bytes;
    batch_go_by(batch, item->go_at_ns);
    return DURESS_BATCH_QUEUED;
}

static void batch_unlink(struct duress_batch *batch, struct duress_batch_item *item)
{
    item->next->previous = item->previous;
    item->previous->next = item->next;
    item->next = item;
    item->previous = item;
    batch->queued_count--;
    batch->queued_bytes -= item->bytes;
}

void duress_batch_remove(struct duress_batch *batch, struct duress_batch_item *item)
{
    batch_unlink(batch, item);
    batch_find_instant(batch);
}

uint64_t duress_batch_due_ns(const struct duress_batch *batch)
{
    if (batch->queued_count == 0 || batch->in_flight_count >= batch->options.in_flight_max)
        return DURESS_TIME_NEVER;
    return batch_is_full(batch) ? 0 : batch->go_at_ns;
}

uint32_t duress_batch_take(struct duress_batch *batch, uint64_t now_ns)
{
    if (batch_now_ns(batch, now_ns) < duress_batch_due_ns(batch))
        return 0;
    uint32_t count = 0;
    uint64_t bytes = 0;
    const struct duress_batch_item *item = batch->queue.next;
    while (item != &batch->queue && count < batch->options.items_max &&
           item->bytes <= batch->options.bytes_max - bytes) {
        bytes += item->bytes;
        count++;
        item = item->next;
    }
    batch->taking_count = count;
    batch->in_flight_count++;
    return count;
}

struct duress_batch_item *duress_batch_pop(struct duress_batch *batch)
{
    struct duress_batch_item *item = batch->queue.next;
    batch_unlink(batch, item);
    if (--batch->taking_count == 0)
        batch_find_instant(batch);
    return item;
}

void duress_batch_end(struct duress_batch *batch)
{
    batch->in_flight_count--;
}

const char *duress_batch_verdict_name(enum duress_batch_verdict verdict)
{
    switch (verdict) {
    case DURESS_BATCH_QUEUED:
        return "queued";
    case DURESS_BATCH_FULL:
        return "full";
    case DURESS_BATCH_TOO_LARGE:
        return "too_large";
    }
    return "unknown";
}
