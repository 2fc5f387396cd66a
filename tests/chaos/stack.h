/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks of middleware for chaos tests. */
#ifndef DURESS_TESTS_CHAOS_STACK_H
#define DURESS_TESTS_CHAOS_STACK_H

#include <duress/chaos/chaos.h>
#include <duress/middleware/stack.h>

/* A stack around |agent|, kept by |chaos|. */
static inline struct duress_agent *stack_around(struct chaos *chaos, struct duress_agent *agent,
                                                const struct duress_stack_options *options)
{
    struct duress_agent *stack = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (duress_stack_new(agent, options, &stack, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a stack; seen: %s", why.detail);
    chaos_keep(chaos, stack);
    return stack;
}

#endif
