/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/stack.h>

#include "layer_private.h"

/* Replaces *stack by *made where that went well. A layer has its own reference to what it wraps. |made| is a pointer,
 * as the call that makes it stands in the same argument list. */
static int stack_grow(struct duress_agent **stack, int error, struct duress_agent *const *made)
{
    if (error != DURESS_OK)
        return error;
    duress_agent_unref(*stack);
    *stack = *made;
    return DURESS_OK;
}

/* From the inside out: the order that stack.h promises, read backwards. */
static int stack_build(struct duress_agent **stack, const struct duress_stack_options *options,
                       struct duress_failure *why)
{
    struct duress_agent *made = NULL;
    int error = DURESS_OK;
    if (options->timeout != NULL)
        error = stack_grow(stack, duress_with_timeout(*stack, options->timeout, &made, why), &made);
    if (error == DURESS_OK && options->breaker != NULL)
        error = stack_grow(stack, duress_with_breaker(*stack, options->breaker, &made, why), &made);
    if (error == DURESS_OK && options->retry != NULL)
        error = stack_grow(stack, duress_with_retry(*stack, options->retry, options->retry_budget, &made, why), &made);
    return error;
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
