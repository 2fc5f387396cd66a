/* SPDX-License-Identifier: Apache-2.0
 *
 * What the layers share inside the room. */
#ifndef DURESS_MIDDLEWARE_LAYER_PRIVATE_H
#define DURESS_MIDDLEWARE_LAYER_PRIVATE_H

#include <duress/agent/implement.h>
#include <duress/middleware/layer.h>

/* Embedded first in each layer's struct. */
struct layer {
    struct duress_agent base;
    struct duress_agent *inner; /* holds a reference */
    struct duress_layer_counts counts;
};

extern const struct duress_agent_ops duress__breaker_ops;
extern const struct duress_agent_ops duress__retry_ops;
extern const struct duress_agent_ops duress__timeout_ops;

/* A layer of |bytes|, zeroed, around |inner|, of which it takes a reference. NULL, said in |why| (may be NULL), where
 * memory is out. */
void *duress__layer_new(size_t bytes, const struct duress_agent_ops *ops, struct duress_agent *inner,
                        struct duress_failure *why);

/* Every layer's free(). */
void duress__layer_free(struct duress_agent *agent);

/* The outermost layer with |ops|, looked for from |agent| inwards; NULL where there is none. */
const void *duress__layer_find(const struct duress_agent *agent, const struct duress_agent_ops *ops);

/* DURESS_E_INVALID with |what| in |why| (may be NULL). */
int duress__layer_refuse(struct duress_failure *why, const char *what);

static inline void layer_count_begin(struct layer *layer)
{
    layer->counts.begun++;
    layer->counts.in_flight++;
}

/* Moves a call from in_flight to |counter|, one of layer->counts. */
static inline void layer_count_end(struct layer *layer, uint64_t *counter)
{
    layer->counts.in_flight--;
    ++*counter;
}

/* Where a call that was given up from above is counted. */
static inline uint64_t *layer_given_up(struct layer *layer, const struct duress_call *call)
{
    return call->expired ? &layer->counts.timed_out : &layer->counts.cancelled;
}

/* Ends |call| because memory is out; nothing was asked of the inner agent. */
void duress__layer_fail_memory(struct layer *layer, struct duress_call *call, enum duress_origin origin);

#endif
