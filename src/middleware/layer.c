/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_private.h"

void *duress__layer_new(size_t bytes, const struct layer_kind *kind, struct duress_agent *inner,
                        struct duress_failure *why)
{
    DURESS_ASSERT(kind->ops.free == duress__layer_free && kind->figure_count <= DURESS_LAYER_FIGURES_MAX);
    struct layer *layer = duress_allocate_zeroed(inner->allocator, 1, bytes);
    if (layer == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return NULL;
    }
    duress_agent_init(&layer->base, &kind->ops, inner->world, inner->allocator, inner->name);
    layer->inner = duress_agent_ref(inner);
    return layer;
}

void duress__layer_free(struct duress_agent *agent)
{
    struct layer *layer = (struct layer *)agent;
    const struct layer_kind *kind = layer_kind_of(layer);
    struct duress_agent *inner = layer->inner;
    if (kind->release != NULL)
        kind->release(layer);
    duress_release(agent->allocator, agent);
    duress_agent_unref(inner);
}

const struct layer *duress__layer_of(const struct duress_agent *agent)
{
    bool layered = agent != NULL && agent->ops->free == duress__layer_free;
    return layered ? (const struct layer *)agent : NULL;
}

const void *duress__layer_find(const struct duress_agent *agent, const struct layer_kind *kind)
{
    const struct layer *layer = duress__layer_of(agent);
    while (layer != NULL && layer_kind_of(layer) != kind)
        layer = duress__layer_of(layer->inner);
    return layer;
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
