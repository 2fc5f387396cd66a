/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/stack.h>

#include "layer_private.h"

/* One layer around *stack where |options| ask for it: *made is then the layer, else NULL. */
typedef int (*stack_layer_fn)(struct duress_agent *inner, const struct duress_stack_options *options,
                              struct duress_agent **made, struct duress_failure *why);

#define STACK_LAYER(field, with)                                                                                       \
    static int stack_##field(struct duress_agent *inner, const struct duress_stack_options *options,                   \
                             struct duress_agent **made, struct duress_failure *why)                                   \
    {                                                                                                                  \
        return options->field != NULL ? with(inner, options->field, made, why) : DURESS_OK;                            \
    }

STACK_LAYER(metrics, duress_with_metrics)
STACK_LAYER(cache, duress_with_cache)
STACK_LAYER(bulkhead, duress_with_bulkhead)
STACK_LAYER(rate_limiter, duress_with_rate_limiter)
STACK_LAYER(hedge, duress_with_hedge)
STACK_LAYER(breaker, duress_with_breaker)
STACK_LAYER(timeout, duress_with_timeout)

static int stack_retry(struct duress_agent *inner, const struct duress_stack_options *options,
                       struct duress_agent **made, struct duress_failure *why)
{
    return options->retry != NULL ? duress_with_retry(inner, options->retry, options->retry_budget, made, why)
                                  : DURESS_OK;
}

/* From the inside out: the order that stack.h promises, read backwards. */
static const stack_layer_fn stack_layers[] = {
    stack_timeout,      stack_breaker,  stack_hedge, stack_retry,
    stack_rate_limiter, stack_bulkhead, stack_cache, stack_metrics,
};

/* A layer has its own reference to what it wraps. */
static int stack_build(struct duress_agent **stack, const struct duress_stack_options *options,
                       struct duress_failure *why)
{
    for (size_t i = 0; i < sizeof stack_layers / sizeof stack_layers[0]; i++) {
        struct duress_agent *made = NULL;
        int error = stack_layers[i](*stack, options, &made, why);
        if (error != DURESS_OK)
            return error;
        if (made == NULL)
            continue;
        duress_agent_unref(*stack);
        *stack = made;
    }
    return DURESS_OK;
}

int duress_stack_new(struct duress_agent *agent, const struct duress_stack_options *options,
                     struct duress_agent **stack, struct duress_failure *why)
{
    if (agent == NULL || options == NULL || stack == NULL)
        return duress__layer_refuse(why, "agent, options and stack: must be given");
    if (options->retry_budget != NULL && options->retry == NULL)
        return duress__layer_refuse(why, "retry_budget: only with retry");
    struct duress_agent *built = duress_agent_ref(agent);
    int error = stack_build(&built, options, why);
    if (error != DURESS_OK) {
        duress_agent_unref(built);
        return error;
    }
    *stack = built;
    return DURESS_OK;
}
