/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes a chain of services: inside of one, an agent that asks the next, with the layers of a real client. */
#include "internal.h"

#include <duress/middleware/stack.h>

int chaos__onward_open(struct duress_world *world, const struct chaos_onward_config *config,
                       struct duress_agent **agent, struct duress_failure *why)
{
    const struct duress_remote_options remote_options = {.world = world, .endpoint = config->endpoint};
    const struct duress_timeout_options timeout = {.limit_ns = config->timeout_ns};
    const struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = config->failures_to_open, .recovery_ns = config->recovery_ns},
    };
    const struct duress_stack_options options = {
        .timeout = config->timeout_ns > 0 ? &timeout : NULL,
        .breaker = config->failures_to_open > 0 ? &breaker : NULL,
    };
    struct duress_agent *remote = NULL;
    *agent = NULL;
    if (config->endpoint[0] == '\0')
        return DURESS_OK;
    int error = duress_remote_new(&remote_options, &remote, why);
    if (error != DURESS_OK)
        return error;
    error = duress_stack_new(remote, &options, agent, why);
    duress_agent_unref(remote);
    return error;
}
