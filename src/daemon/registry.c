/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <string.h>

#include <duress/prng.h>
#include <duress/time.h>

#define CAPACITY_MIN 8

/* Makes room for one more pointer in an array. */
static int array_reserve(const struct duress_allocator *allocator, void **array, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return DURESS_OK;
    size_t wanted = *capacity > 0 ? 2 * *capacity : CAPACITY_MIN;
    void *moved = duress_reallocate(allocator, *array, wanted * sizeof(void *));
    if (moved == NULL)
        return DURESS_E_NO_MEMORY;
    *array = moved;
    *capacity = wanted;
    return DURESS_OK;
}

/* --- the proxies --- */

void duress__registry_init(struct registry *registry, const struct duress_allocator *allocator)
{
    *registry = (struct registry){.allocator = allocator};
}

void duress__registry_deinit(struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        duress__proxy_entry_free(registry->allocator, registry->proxies[i]);
    duress_release(registry->allocator, registry->proxies);
    duress__registry_init(registry, registry->allocator);
}

/* The first place whose name is not below |name|. */
static size_t registry_place(const struct registry *registry, const char *name)
{
    size_t low = 0;
    size_t high = registry->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(registry->proxies[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct proxy_entry *duress__registry_find(const struct registry *registry, const char *name)
{
    size_t place = registry_place(registry, name);
    if (place == registry->count || strcmp(registry->proxies[place]->name, name) != 0)
        return NULL;
    return registry->proxies[place];
}

int duress__registry_reserve(struct registry *registry)
{
    void *array = registry->proxies;
    int error = array_reserve(registry->allocator, &array, registry->count, &registry->capacity);
    registry->proxies = array;
    return error;
}

void duress__registry_add(struct registry *registry, struct proxy_entry *proxy)
{
    size_t place = registry_place(registry, proxy->name);
    DURESS_ASSERT(registry->count < registry->capacity);
    memmove(registry->proxies + place + 1, registry->proxies + place,
            (registry->count - place) * sizeof(struct proxy_entry *));
    registry->proxies[place] = proxy;
    registry->count++;
}

void duress__registry_remove(struct registry *registry, const struct proxy_entry *proxy)
{
    size_t place = registry_place(registry, proxy->name);
    DURESS_ASSERT(place < registry->count && registry->proxies[place] == proxy);
    registry->count--;
    memmove(registry->proxies + place, registry->proxies + place + 1,
            (registry->count - place) * sizeof(struct proxy_entry *));
}

struct proxy_entry *duress__proxy_entry_new(const struct duress_allocator *allocator, const char *name,
                                            const char *listen, const char *upstream)
{
    struct proxy_entry *proxy = duress_allocate_zeroed(allocator, 1, sizeof *proxy);
    if (proxy == NULL)
        return NULL;
    proxy->name = duress__text_copy(allocator, name);
    proxy->listen = duress__text_copy(allocator, listen);
    proxy->upstream = duress__text_copy(allocator, upstream);
    if (proxy->name != NULL && proxy->listen != NULL && proxy->upstream != NULL)
        return proxy;
    duress__proxy_entry_free(allocator, proxy);
    return NULL;
}

void duress__proxy_entry_free(const struct duress_allocator *allocator, struct proxy_entry *proxy)
{
    if (proxy == NULL)
        return;
    for (size_t i = 0; i < proxy->toxic_count; i++)
        duress__toxic_entry_free(allocator, proxy->toxics[i]);
    duress_release(allocator, proxy->toxics);
    duress_release(allocator, proxy->name);
    duress_release(allocator, proxy->listen);
    duress_release(allocator, proxy->upstream);
    duress_release(allocator, proxy);
}

/* --- toxics --- */

struct toxic_entry *duress__proxy_toxic_find(const struct proxy_entry *proxy, const char *name)
{
    for (size_t i = 0; i < proxy->toxic_count; i++)
        if (strcmp(proxy->toxics[i]->name, name) == 0)
            return proxy->toxics[i];
    return NULL;
}

static bool id_is_taken(const struct proxy_entry *proxy, uint64_t id)
{
    for (size_t i = 0; i < proxy->toxic_count; i++)
        if (proxy->toxics[i]->toxic.id == id)
            return true;
    return false;
}

struct toxic_entry *duress__toxic_entry_new(const struct duress_allocator *allocator, const struct proxy_entry *proxy,
                                            const char *name, const char *stream)
{
    struct toxic_entry *toxic = duress_allocate_zeroed(allocator, 1, sizeof *toxic);
    if (toxic == NULL)
        return NULL;
    toxic->expires_ns = DURESS_TIME_NEVER;
    toxic->name = duress__text_copy(allocator, name);
    toxic->stream = duress__text_copy(allocator, stream);
    if (toxic->name == NULL || toxic->stream == NULL) {
        duress__toxic_entry_free(allocator, toxic);
        return NULL;
    }
    toxic->toxic.id = duress_seed_for_name(0, name);
    while (id_is_taken(proxy, toxic->toxic.id))
        toxic->toxic.id++;
    return toxic;
}

void duress__toxic_entry_free(const struct duress_allocator *allocator, struct toxic_entry *toxic)
{
    if (toxic == NULL)
        return;
    duress_release(allocator, toxic->name);
    duress_release(allocator, toxic->stream);
    duress_release(allocator, toxic);
}

/* A share, whatever number was given. */
static uint32_t toxicity_ppm(float toxicity)
{
    if (toxicity >= 1)
        return DURESS_PPM;
    return toxicity > 0 ? (uint32_t)((double)toxicity * DURESS_PPM + 0.5) : 0;
}

bool duress__toxic_entry_set(struct toxic_entry *toxic, float toxicity, const struct attributes *attributes,
                             struct refusal *refusal)
{
    toxic->toxicity = toxicity;
    toxic->attributes = *attributes;
    toxic->toxic.toxicity_ppm = toxicity_ppm(toxicity);
    return duress__attributes_apply(attributes, &toxic->toxic, refusal);
}

int duress__proxy_toxic_reserve(const struct duress_allocator *allocator, struct proxy_entry *proxy)
{
    void *array = proxy->toxics;
    int error = array_reserve(allocator, &array, proxy->toxic_count, &proxy->toxic_capacity);
    proxy->toxics = array;
    return error;
}

void duress__proxy_toxic_add(struct proxy_entry *proxy, struct toxic_entry *toxic)
{
    DURESS_ASSERT(proxy->toxic_count < proxy->toxic_capacity);
    proxy->toxics[proxy->toxic_count++] = toxic;
}

void duress__proxy_toxic_remove(struct proxy_entry *proxy, const struct toxic_entry *toxic)
{
    size_t index = 0;
    while (proxy->toxics[index] != toxic)
        index++;
    proxy->toxic_count--;
    memmove(proxy->toxics + index, proxy->toxics + index + 1,
            (proxy->toxic_count - index) * sizeof(struct toxic_entry *));
}
