/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache once more, plain and slow: lists of replies and flights that are searched from end to end, and no table.
 * Written from the header's promises alone. */
#ifndef CACHE_MODEL_H
#define CACHE_MODEL_H

#include <duress/policy/cache.h>

enum { CACHE_MODEL_MAX = 64 };

struct cache_model_reply {
    int key;
    uint64_t bytes;
    uint64_t stored_ns;
    uint64_t used_order; /* the larger, the later it was used */
};

struct cache_model_flight {
    int number; /* of the flight, from 0 in the order of their begins */
    int key;
    bool forgotten;
    int waiters[CACHE_MODEL_MAX]; /* numbers, in the order in which they came */
    int waiter_count;
};

struct cache_model {
    struct duress_cache_options options;
    struct cache_model_reply replies[CACHE_MODEL_MAX];
    int reply_count;
    struct cache_model_flight flights[CACHE_MODEL_MAX];
    int flight_count;
    int flight_number; /* of the next one */
    uint64_t order;
    struct duress_cache_counts counts; /* but for those of what is there now */
};

/* |waiter| asks for |key|; on LEAD and JOIN it waits in the flight *number. */
enum duress_cache_verdict cache_model_ask(struct cache_model *model, int key, int waiter, uint64_t now_ns, int *number);

/* Whether |waiter| was the last one of its flight, *number. */
bool cache_model_leave(struct cache_model *model, int waiter, int *number);

/* The flight ends: with a reply, or with a failure, and then whether there is a stale reply for it. */
bool cache_model_succeed(struct cache_model *model, int number, uint64_t bytes, uint64_t now_ns);
bool cache_model_fail(struct cache_model *model, int number, uint64_t now_ns);

/* Replies above the limits go, the least recently used one first. */
void cache_model_evict(struct cache_model *model);

/* One dead reply goes, the oldest: true where there was one. */
bool cache_model_sweep(struct cache_model *model, uint64_t now_ns);

void cache_model_forget(struct cache_model *model, int key);

struct cache_model_flight *cache_model_flight(struct cache_model *model, int number);
struct duress_cache_counts cache_model_counts(const struct cache_model *model);

#endif
