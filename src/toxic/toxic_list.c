/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/toxic/toxic_list_private.h>

#define CAPACITY_MIN 4

void duress__toxic_list_init(struct duress_toxic_list *list, const struct duress_allocator *allocator)
{
    *list = (struct duress_toxic_list){.allocator = allocator};
}

void duress__toxic_list_deinit(struct duress_toxic_list *list)
{
    duress_release(list->allocator, list->toxics);
    duress__toxic_list_init(list, list->allocator);
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

int duress__toxic_list_add(struct duress_toxic_list *list, const struct duress_toxic *toxic,
                           struct duress_link_change *change, struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    if (toxic_index(list, toxic->id) < list->count)
        return toxic_refuse(why, toxic->id, "an id that no other toxic has is allowed");
    error = list_reserve(list);
    if (error != DURESS_OK) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return error;
    }
    list->toxics[list->count++] = *toxic;
    *change = (struct duress_link_change){.type = DURESS_LINK_CHANGE_ADD, .toxic = *toxic};
    return DURESS_OK;
}

int duress__toxic_list_update(struct duress_toxic_list *list, const struct duress_toxic *toxic,
                              struct duress_link_change *change, struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    size_t index = toxic_index(list, toxic->id);
    if (index == list->count)
        return toxic_refuse(why, toxic->id, "the id of a toxic that was added is allowed");
    if (toxic->type != list->toxics[index].type)
        return toxic_refuse(why, toxic->id, "and its type cannot change");
    *change = (struct duress_link_change){.type = DURESS_LINK_CHANGE_UPDATE, .toxic = *toxic};
    change->toxic.direction = list->toxics[index].direction;
    list->toxics[index] = change->toxic;
    return DURESS_OK;
}

int duress__toxic_list_remove(struct duress_toxic_list *list, uint64_t id, struct duress_link_change *change)
{
    size_t index = toxic_index(list, id);
    if (index == list->count)
        return DURESS_E_INVALID;
    list->count--;
    for (size_t i = index; i < list->count; i++)
        list->toxics[i] = list->toxics[i + 1];
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
