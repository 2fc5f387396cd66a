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

/* One number that a kind of layer has to tell beside its duress_layer_counts. */
struct layer_figure {
    const char *name; /* lower case with underscores, without unit: "attempts" */
    const char *help; /* one line for people */
    enum duress_figure_type type;
    const char *label;       /* NULL, or what tells figures of one name apart ("state"); these follow each other */
    const char *label_value; /* with |label|: "half-open" */
};

/* What the layers of one sort have in common. There is one static const object of it a sort, and nothing else to be
 * registered anywhere: a stack is walked by it, and metrics export by it. */
struct layer_kind {
    struct duress_agent_ops ops; /* |free| is duress__layer_free: by that an agent is known to be a layer */
    const char *name;            /* lower case with underscores: "retry" */
    const struct layer_figure *figures;
    size_t figure_count;                                       /* at most DURESS_LAYER_FIGURES_MAX */
    void (*tell)(const struct layer *layer, uint64_t *values); /* one value a figure, in order; NULL: no figures */
    void (*release)(struct layer *layer); /* gives back what the kind holds, all of it or (where building the layer
                                           * failed half-way) what is not zero; NULL: nothing */
};

/* A layer of |bytes|, zeroed, around |inner|, of which it takes a reference. NULL, said in |why| (may be NULL), where
 * memory is out. */
void *duress__layer_new(size_t bytes, const struct layer_kind *kind, struct duress_agent *inner,
                        struct duress_failure *why);

/* Every layer's free(): releases what its kind holds, the layer, and its reference to the inner agent. */
void duress__layer_free(struct duress_agent *agent);

/* |agent| where it is a layer, else NULL. */
const struct layer *duress__layer_of(const struct duress_agent *agent);

static inline const struct layer_kind *layer_kind_of(const struct layer *layer)
{
    return (const struct layer_kind *)layer->base.ops;
}

/* The outermost layer of |kind|, looked for from |agent| inwards; NULL where there is none. */
const void *duress__layer_find(const struct duress_agent *agent, const struct layer_kind *kind);

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

/* The waits of calls that got what they waited for: a layer with a queue tells these figures. */
struct layer_waits {
    uint64_t count;
    uint64_t total_ns;
    uint64_t longest_ns;
};

static inline void layer_count_wait(struct layer_waits *waits, uint64_t wait_ns)
{
    waits->count++;
    waits->total_ns = duress_time_add(waits->total_ns, wait_ns);
    if (wait_ns > waits->longest_ns)
        waits->longest_ns = wait_ns;
}

/* Where a call that was given up from above is counted. */
static inline uint64_t *layer_given_up(struct layer *layer, const struct duress_call *call)
{
    return call->expired ? &layer->counts.timed_out : &layer->counts.cancelled;
}

/* Wakes a queue of a bulkhead, of which duress_bulkhead_release() and its like have returned the owner; NULL: nothing.
 * Thread-safe. */
void duress__bulkhead_wake(void *owner);

/* Ends |call| because memory is out; nothing was asked of the inner agent. */
void duress__layer_fail_memory(struct layer *layer, struct duress_call *call, enum duress_origin origin);

#endif
