/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_model.h"

#include <string.h>

static int reply_find(const struct cache_model *model, int key)
{
    for (int i = 0; i < model->reply_count; i++) {
        if (model->replies[i].key == key)
            return i;
    }
    return -1;
}

static void reply_remove(struct cache_model *model, int index)
{
    model->reply_count--;
    memmove(&model->replies[index], &model->replies[index + 1],
            (size_t)(model->reply_count - index) * sizeof model->replies[0]);
}

static bool reply_is_younger(const struct cache_model *model, int key, uint64_t now_ns, uint64_t age_ns)
{
    int index = reply_find(model, key);
    return index >= 0 && now_ns < duress_time_add(model->replies[index].stored_ns, age_ns);
}

static uint64_t stale_age_ns(const struct cache_model *model)
{
    return duress_time_add(model->options.ttl_ns, model->options.stale_ns);
}

static int waiting_count(const struct cache_model *model)
{
    int count = 0;
    for (int i = 0; i < model->flight_count; i++)
        count += model->flights[i].waiter_count;
    return count;
}

static struct cache_model_flight *flight_of_key(struct cache_model *model, int key)
{
    for (int i = 0; i < model->flight_count; i++) {
        if (model->flights[i].key == key && !model->flights[i].forgotten)
            return &model->flights[i];
    }
    return NULL;
}

struct cache_model_flight *cache_model_flight(struct cache_model *model, int number)
{
    for (int i = 0; i < model->flight_count; i++) {
        if (model->flights[i].number == number)
            return &model->flights[i];
    }
    return NULL;
}

static void flight_remove(struct cache_model *model, struct cache_model_flight *flight)
{
    model->flight_count--;
    for (long i = flight - model->flights; i < model->flight_count; i++)
        model->flights[i] = model->flights[i + 1];
}

enum duress_cache_verdict cache_model_ask(struct cache_model *model, int key, int waiter, uint64_t now_ns, int *number)
{
    if (reply_is_younger(model, key, now_ns, model->options.ttl_ns)) {
        model->replies[reply_find(model, key)].used_order = ++model->order;
        return DURESS_CACHE_HIT;
    }
    if ((uint32_t)waiting_count(model) >= model->options.waiting_max)
        return DURESS_CACHE_FULL;
    struct cache_model_flight *flight = flight_of_key(model, key);
    bool leads = flight == NULL;
    if (leads) {
        flight = &model->flights[model->flight_count++];
        *flight = (struct cache_model_flight){.number = model->flight_number++, .key = key};
    }
    flight->waiters[flight->waiter_count++] = waiter;
    *number = flight->number;
    return leads ? DURESS_CACHE_LEAD : DURESS_CACHE_JOIN;
}

bool cache_model_leave(struct cache_model *model, int waiter, int *number)
{
    for (int i = 0; i < model->flight_count; i++) {
        struct cache_model_flight *flight = &model->flights[i];
        for (int w = 0; w < flight->waiter_count; w++) {
            if (flight->waiters[w] != waiter)
                continue;
            *number = flight->number;
            flight->waiter_count--;
            memmove(&flight->waiters[w], &flight->waiters[w + 1],
                    (size_t)(flight->waiter_count - w) * sizeof flight->waiters[0]);
            if (flight->waiter_count > 0)
                return false;
            flight_remove(model, flight);
            return true;
        }
    }
    return false;
}

bool cache_model_succeed(struct cache_model *model, int number, uint64_t bytes, uint64_t now_ns)
{
    struct cache_model_flight flight = *cache_model_flight(model, number);
    flight_remove(model, cache_model_flight(model, number));
    if (flight.forgotten)
        return false;
    int before = reply_find(model, flight.key);
    if (before >= 0)
        reply_remove(model, before);
    if (bytes > model->options.bytes_max) {
        model->counts.too_large++;
        return false;
    }
    model->counts.stored++;
    model->replies[model->reply_count++] = (struct cache_model_reply){
        .key = flight.key,
        .bytes = bytes,
        .stored_ns = now_ns,
        .used_order = ++model->order,
    };
    return true;
}

bool cache_model_fail(struct cache_model *model, int number, uint64_t now_ns)
{
    struct cache_model_flight flight = *cache_model_flight(model, number);
    flight_remove(model, cache_model_flight(model, number));
    return !flight.forgotten && reply_is_younger(model, flight.key, now_ns, stale_age_ns(model));
}

static uint64_t bytes_kept(const struct cache_model *model)
{
    uint64_t bytes = 0;
    for (int i = 0; i < model->reply_count; i++)
        bytes += model->replies[i].bytes;
    return bytes;
}

void cache_model_evict(struct cache_model *model)
{
    while ((uint32_t)model->reply_count > model->options.entries_max || bytes_kept(model) > model->options.bytes_max) {
        int victim = 0;
        for (int i = 1; i < model->reply_count; i++) {
            if (model->replies[i].used_order < model->replies[victim].used_order)
                victim = i;
        }
        reply_remove(model, victim);
        model->counts.evicted++;
    }
}

/* The first that is dead was stored first: replies are appended as they come. */
bool cache_model_sweep(struct cache_model *model, uint64_t now_ns)
{
    for (int i = 0; i < model->reply_count; i++) {
        if (now_ns < duress_time_add(model->replies[i].stored_ns, stale_age_ns(model)))
            continue;
        reply_remove(model, i);
        model->counts.expired++;
        return true;
    }
    return false;
}

void cache_model_forget(struct cache_model *model, int key)
{
    int reply = reply_find(model, key);
    struct cache_model_flight *flight = flight_of_key(model, key);
    if (reply >= 0)
        reply_remove(model, reply);
    if (flight != NULL)
        flight->forgotten = true;
    model->counts.invalidated += reply >= 0 || flight != NULL;
}

struct duress_cache_counts cache_model_counts(const struct cache_model *model)
{
    struct duress_cache_counts counts = model->counts;
    counts.bytes = bytes_kept(model);
    counts.entries = (uint32_t)model->reply_count;
    counts.flights = (uint32_t)model->flight_count;
    counts.waiting = (uint32_t)waiting_count(model);
    return counts;
}
