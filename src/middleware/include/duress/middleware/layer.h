/* SPDX-License-Identifier: Apache-2.0
 *
 * What all layers have in common. A layer is an agent that passes its calls on to an inner one and asks one policy
 * about them. It takes a reference of its own to the inner agent, and gives it back when it is freed.
 *
 * The functions that look into a layer (duress_timeout_counts() and its like) take any agent, and look from it inwards:
 * the outermost layer of the kind is meant. So they work on what duress_stack_new() returned. */
#ifndef DURESS_MIDDLEWARE_LAYER_H
#define DURESS_MIDDLEWARE_LAYER_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The calls of one layer. At any time:
 * begun = succeeded + failed + timed_out + cancelled + refused + in_flight. */
struct duress_layer_counts {
    uint64_t begun;
    uint64_t succeeded;
    uint64_t failed;    /* ended with a failure that came from below */
    uint64_t timed_out; /* the layer's own limit passed, or a deadline that came with the call */
    uint64_t cancelled; /* given up by the caller or by a layer above */
    uint64_t refused;   /* ended by the layer itself, without asking the inner agent */
    uint64_t in_flight; /* now */
};

/* What sort of number a layer's own figure is; see duress/middleware/metrics.h. */
enum duress_figure_type {
    DURESS_FIGURE_COUNTER = 0, /* only grows */
    DURESS_FIGURE_COUNTER_NS,  /* only grows, a duration */
    DURESS_FIGURE_GAUGE,       /* goes up and down */
    DURESS_FIGURE_GAUGE_NS,    /* the same, a duration */
};

#define DURESS_LAYER_FIGURES_MAX 24 /* of one layer */

#ifdef __cplusplus
}
#endif

#endif
