/* SPDX-License-Identifier: Apache-2.0
 *
 * The link's chains: toxics added, changed and removed while bytes are in flight. */
#include "link_internal.h"

#include <inttypes.h>

#include <duress/time.h>

static struct stage *toxic_find(const struct duress_link *link, uint64_t id, enum duress_direction *direction)
{
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        struct stage *stage = duress__pipe_stage_find(&link->pipes[i], id);
        if (stage == NULL)
            continue;
        *direction = (enum duress_direction)i;
        return stage;
    }
    return NULL;
}

static int id_refuse(struct duress_failure *why, uint64_t id, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "toxic id %" PRIu64 " %s", id, reason);
    return DURESS_E_INVALID;
}

int duress_link_toxic_add(struct duress_link *link, const struct duress_toxic *toxic, uint64_t now_ns,
                          struct duress_failure *why)
{
    if (link == NULL)
        return DURESS_E_INVALID;
    duress__link_advance(link, now_ns);
    enum duress_direction direction;
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    struct stage *expired = toxic_find(link, toxic->id, &direction);
    if (expired != NULL && !duress__stage_is_expired(expired, link->now_ns))
        return id_refuse(why, toxic->id, "is present on this link");
    struct stage *stage = duress__stage_new(link->allocator, toxic, link->seed);
    if (stage == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    if (expired != NULL)
        duress__pipe_stage_remove(&link->pipes[direction], expired, link->now_ns);
    duress__pipe_stage_append(&link->pipes[toxic->direction], stage, link->now_ns);
    duress__link_settle(link);
    return DURESS_OK;
}

int duress_link_toxic_update(struct duress_link *link, const struct duress_toxic *toxic, uint64_t now_ns,
                             struct duress_failure *why)
{
    if (link == NULL)
        return DURESS_E_INVALID;
    duress__link_advance(link, now_ns);
    enum duress_direction direction;
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    struct stage *stage = toxic_find(link, toxic->id, &direction);
    if (stage == NULL)
        return id_refuse(why, toxic->id, "is not on this link");
    if (stage->toxic.type != toxic->type)
        return id_refuse(why, toxic->id, "is of another type, which can't change");
    if (stage->toxic.direction != toxic->direction)
        return id_refuse(why, toxic->id, "is of the other direction, which can't change");
    duress__pipe_stage_update(&link->pipes[direction], stage, toxic, link->now_ns);
    duress__link_settle(link);
    return DURESS_OK;
}

int duress_link_toxic_remove(struct duress_link *link, uint64_t id, uint64_t now_ns)
{
    if (link == NULL)
        return DURESS_E_INVALID;
    duress__link_advance(link, now_ns);
    enum duress_direction direction;
    struct stage *stage = toxic_find(link, id, &direction);
    if (stage == NULL)
        return DURESS_E_INVALID;
    duress__pipe_stage_remove(&link->pipes[direction], stage, link->now_ns);
    duress__link_settle(link);
    return DURESS_OK;
}

bool duress_link_toxic_is_active(const struct duress_link *link, uint64_t id)
{
    enum duress_direction direction;
    const struct stage *stage = toxic_find(link, id, &direction);
    return stage != NULL && stage->is_active;
}

void duress_link_visit_toxics(const struct duress_link *link, duress_link_toxic_fn fn, void *context)
{
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        for (const struct stage *stage = link->pipes[i].first; stage != NULL; stage = stage->next)
            if (!duress__stage_is_expired(stage, link->now_ns))
                fn(context, &stage->toxic, stage->is_active);
}
