/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that wait for their turn, the first comer first, and how many they are. For one loop. */
#ifndef DURESS_AGENT_WAIT_QUEUE_PRIVATE_H
#define DURESS_AGENT_WAIT_QUEUE_PRIVATE_H

#include <stdint.h>

#include <duress/agent/list_private.h>

struct wait_queue {
    struct list_link calls; /* of wait_place.link */
    uint32_t count;
    uint32_t count_max;
};

/* What a call has in it. */
struct wait_place {
    struct list_link link; /* of any list of the owner's, where it does not wait */
    bool waiting;
};

static inline void wait_queue_init(struct wait_queue *queue, uint32_t count_max)
{
    list_init(&queue->calls);
    queue->count = 0;
    queue->count_max = count_max;
}

static inline bool wait_queue_is_empty(const struct wait_queue *queue)
{
    return queue->count == 0;
}

/* |room|: so many who are asked for in this turn will find a place at once, and do not count as waiting. */
static inline bool wait_queue_is_full(const struct wait_queue *queue, uint64_t room)
{
    return queue->count >= queue->count_max + room;
}

static inline void wait_place_init(struct wait_place *place)
{
    list_init(&place->link);
    place->waiting = false;
}

static inline void wait_queue_append(struct wait_queue *queue, struct wait_place *place)
{
    list_append(&queue->calls, &place->link);
    place->waiting = true;
    queue->count++;
}

/* Leaves the queue where it waits in it, else whatever list it is in. */
static inline void wait_queue_leave(struct wait_queue *queue, struct wait_place *place)
{
    list_remove(&place->link);
    queue->count -= place->waiting;
    place->waiting = false;
}

/* Who came first, and leaves the queue now. It must not be empty. */
static inline struct wait_place *wait_queue_take(struct wait_queue *queue)
{
    struct wait_place *first = LIST_OWNER(queue->calls.next, struct wait_place, link);
    wait_queue_leave(queue, first);
    return first;
}

#endif
