/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/toxic/bandwidth_pool.h>
#include <duress/toxic/toxic_list_private.h>

#define CAPACITY_MIN 4

void duress__toxic_list_init(struct duress_toxic_list *list, const struct duress_allocator *allocator)
{
    *list = (struct duress_toxic_list){.allocator = allocator};
}

/* A toxic goes: what the list held for it does, too. */
static void toxic_drop(const struct duress_toxic *toxic)
{
    if (toxic->type == DURESS_TOXIC_SHARED_BANDWIDTH)
        duress_bandwidth_pool_release(toxic->as.shared_bandwidth.pool);
}

void duress__toxic_list_deinit(struct duress_toxic_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        toxic_drop(&list->toxics[i]);
    duress_release(list->allocator, list->toxics);
    duress__toxic_list_init(list, list->allocator);
}

/* The others keep their order. */
static void toxic_take_out(struct duress_toxic_list *list, size_t index)
{
    toxic_drop(&list->toxics[index]);
    list->count--;
    for (size_t i = index; i < list->count; i++)
        list->toxics[i] = list->toxics[i + 1];
}

void duress__toxic_list_expire(struct duress_toxic_list *list, uint64_t now_ns)
{
    for (size_t i = list->count; i > 0; i--)
        if (now_ns >= duress_toxic_expires_ns(&list->toxics[i - 1]))
            toxic_take_out(list, i - 1);
}

/* Where the toxic |id| stands; list->count where there is none. */
static size_t toxic_index(const struct duress_toxic_list *list, uint64_t id)
{
    size_t index = 0;
    while (index < list->count && list->toxics[index].id != id)
        index++;
    return index;
}

static int toxic_refuse(struct duress_failure *why, uint64_t id, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "id: %llu given, %s", (unsigned long long)id,
                           reason);
    return DURESS_E_INVALID;
}

static int list_reserve(struct duress_toxic_list *list)
{
    if (list->count < list->capacity)
        return DURESS_OK;
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : CAPACITY_MIN;
    struct duress_toxic *toxics = duress_reallocate(list->allocator, list->toxics, capacity * sizeof *toxics);
    if (toxics == NULL)
        return DURESS_E_NO_MEMORY;
    list->toxics = toxics;
    list->capacity = capacity;
    return DURESS_OK;
}

static int no_memory(struct duress_failure *why)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    return DURESS_E_NO_MEMORY;
}

/* What the list holds for a toxic that comes. */
static int toxic_provide(const struct duress_toxic_list *list, struct duress_toxic *toxic)
{
    if (toxic->type != DURESS_TOXIC_SHARED_BANDWIDTH)
        return DURESS_OK;
    struct duress_bandwidth_pool **pool = &toxic->as.shared_bandwidth.pool;
    if (*pool == NULL)
        *pool = duress_bandwidth_pool_new(list->allocator);
    else
        duress_bandwidth_pool_retain(*pool);
    return *pool != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

int duress__toxic_list_add(struct duress_toxic_list *list, const struct duress_toxic *toxic,
                           struct duress_toxic_moment moment, struct duress_link_change *change,
                           struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    duress__toxic_list_expire(list, moment.now_ns);
    if (toxic_index(list, toxic->id) < list->count)
        return toxic_refuse(why, toxic->id, "an id that no other toxic has is allowed");
    if (list_reserve(list) != DURESS_OK)
        return no_memory(why);
    struct duress_toxic added = *toxic;
    added.since_ns = moment.now_ns;
    if (added.type == DURESS_TOXIC_FAIL_FIRST)
        added.as.fail_first.after_connection = moment.connections;
    if (toxic_provide(list, &added) != DURESS_OK)
        return no_memory(why);
    list->toxics[list->count++] = added;
    *change = (struct duress_link_change){.type = DURESS_LINK_CHANGE_ADD, .toxic = added};
    return DURESS_OK;
}

int duress__toxic_list_update(struct duress_toxic_list *list, const struct duress_toxic *toxic,
                              struct duress_toxic_moment moment, struct duress_link_change *change,
                              struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    duress__toxic_list_expire(list, moment.now_ns);
    size_t index = toxic_index(list, toxic->id);
    if (index == list->count)
        return toxic_refuse(why, toxic->id, "the id of a toxic that was added is allowed");
    const struct duress_toxic *old = &list->toxics[index];
    if (toxic->type != old->type)
        return toxic_refuse(why, toxic->id, "and its type cannot change");
    struct duress_toxic updated = *toxic;
    updated.direction = old->direction;
    updated.since_ns = moment.now_ns;
    if (updated.type == DURESS_TOXIC_FAIL_FIRST)
        updated.as.fail_first.after_connection = old->as.fail_first.after_connection;
    if (updated.type == DURESS_TOXIC_SHARED_BANDWIDTH)
        updated.as.shared_bandwidth.pool = old->as.shared_bandwidth.pool;
    list->toxics[index] = updated;
    *change = (struct duress_link_change){.type = DURESS_LINK_CHANGE_UPDATE, .toxic = updated};
    return DURESS_OK;
}

int duress__toxic_list_remove(struct duress_toxic_list *list, uint64_t id, uint64_t now_ns,
                              struct duress_link_change *change)
{
    duress__toxic_list_expire(list, now_ns);
    size_t index = toxic_index(list, id);
    if (index == list->count)
        return DURESS_E_INVALID;
    toxic_take_out(list, index);
    *change = (struct duress_link_change){.type = DURESS_LINK_CHANGE_REMOVE, .toxic = {.id = id}};
    return DURESS_OK;
}

int duress__link_change(struct duress_link *link, const struct duress_link_change *change, uint64_t now_ns)
{
    switch (change->type) {
    case DURESS_LINK_CHANGE_ADD:
        return duress_link_toxic_add(link, &change->toxic, now_ns, NULL);
    case DURESS_LINK_CHANGE_UPDATE:
        return duress_link_toxic_update(link, &change->toxic, now_ns, NULL);
    case DURESS_LINK_CHANGE_REMOVE:
        return duress_link_toxic_remove(link, change->toxic.id, now_ns);
    }
    return DURESS_E_INVALID;
}
