/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_private.h"

void *duress__layer_new(size_t bytes, const struct duress_agent_ops *ops, struct duress_agent *inner,
                        struct duress_failure *why)
{
    struct layer *layer = duress_allocate_zeroed(inner->allocator, 1, bytes);
    if (layer == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return NULL;
    }
    duress_agent_init(&layer->base, ops, inner->world, inner->allocator, inner->name);
    layer->inner = duress_agent_ref(inner);
    return layer;
}

void duress__layer_free(struct duress_agent *agent)
{
    struct duress_agent *inner = ((struct layer *)agent)->inner;
    duress_release(agent->allocator, agent);
    duress_agent_unref(inner);
}

const void *duress__layer_find(const struct duress_agent *agent, const struct duress_agent_ops *ops)
{
    while (agent != NULL && agent->ops != ops) {
        bool layered = agent->ops == &duress__breaker_ops || agent->ops == &duress__retry_ops ||
                       agent->ops == &duress__timeout_ops;
        agent = layered ? ((const struct layer *)agent)->inner : NULL;
    }
    return agent;
}

int duress__layer_refuse(struct duress_failure *why, const char *what)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s", what);
    return DURESS_E_INVALID;
}

void duress__layer_fail_memory(struct layer *layer, struct duress_call *call, enum duress_origin origin)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, origin, NULL);
    layer_count_end(layer, &layer->counts.refused);
    duress_call_fail(call, &failure);
}
