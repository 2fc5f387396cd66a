/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, as the structs that callers are lent: one block that holds all proxies, then all toxics, then all
 * attributes, then the texts of numbers. All other texts are the tree's. */
#include "client_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES_MAX 32

/* The block, while it is filled; first of all its parts are counted. */
struct lending {
    struct duress_toxiproxy_proxy *proxies;
    struct duress_toxiproxy_toxic *toxics;
    struct duress_toxiproxy_attribute *attributes;
    char *numbers; /* NUMBER_BYTES_MAX for each attribute */
    size_t proxy_count;
    size_t toxic_count;
    size_t attribute_count;
};

/* --- counting --- */

static void toxic_count(const json_t *toxic, struct lending *lending)
{
    lending->toxic_count++;
    lending->attribute_count += json_object_size(json_object_get(toxic, "attributes"));
}

static void proxy_count(const json_t *proxy, struct lending *lending)
{
    const json_t *toxics = json_object_get(proxy, "toxics");
    lending->proxy_count++;
    for (size_t i = 0; i < json_array_size(toxics); i++)
        toxic_count(json_array_get(toxics, i), lending);
}

static int lending_begin(struct duress_toxiproxy *client, struct lending *lending, struct duress_failure *why)
{
    size_t proxy_bytes = lending->proxy_count * sizeof *lending->proxies;
    size_t toxic_bytes = lending->toxic_count * sizeof *lending->toxics;
    size_t attribute_bytes = lending->attribute_count * sizeof *lending->attributes;
    size_t bytes = proxy_bytes + toxic_bytes + attribute_bytes + lending->attribute_count * NUMBER_BYTES_MAX;
    char *block = duress_allocate_zeroed(client->allocator, 1, bytes > 0 ? bytes : 1);
    if (block == NULL) {
        (void)duress__toxiproxy_fail(client, why, DURESS_E_NO_MEMORY, "%s", duress_strerror(DURESS_E_NO_MEMORY));
        return DURESS_E_NO_MEMORY;
    }
    client->lent = block;
    lending->proxies = (struct duress_toxiproxy_proxy *)(void *)block;
    lending->toxics = (struct duress_toxiproxy_toxic *)(void *)(block + proxy_bytes);
    lending->attributes = (struct duress_toxiproxy_attribute *)(void *)(block + proxy_bytes + toxic_bytes);
    lending->numbers = block + proxy_bytes + toxic_bytes + attribute_bytes;
    return DURESS_OK;
}

/* --- filling --- */

/* The shortest text that reads back as the same number. */
static const char *number_write(char *text, const json_t *value)
{
    if (json_is_integer(value)) {
        (void)snprintf(text, NUMBER_BYTES_MAX, "%lld", (long long)json_integer_value(value));
        return text;
    }
    double number = json_real_value(value);
    for (int precision = 1; precision <= 17; precision++) {
        (void)snprintf(text, NUMBER_BYTES_MAX, "%.*g", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return text;
}

static const char *value_text(const json_t *value, struct lending *lending)
{
    char *room = lending->numbers;
    lending->numbers += NUMBER_BYTES_MAX;
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_number(value))
        return number_write(room, value);
    return json_is_true(value) ? "true" : json_is_false(value) ? "false" : "";
}

static bool toxic_fill(const json_t *toxic, struct duress_toxiproxy_toxic *filled, struct lending *lending)
{
    const char *key = NULL;
    json_t *value = NULL;
    const json_t *toxicity = json_object_get(toxic, "toxicity");
    filled->name = json_string_value(json_object_get(toxic, "name"));
    filled->type = json_string_value(json_object_get(toxic, "type"));
    filled->stream = json_string_value(json_object_get(toxic, "stream"));
    filled->has_toxicity = json_is_number(toxicity);
    filled->toxicity = json_number_value(toxicity);
    filled->attributes = lending->attributes;
    json_object_foreach(json_object_get(toxic, "attributes"), key, value)
    {
        lending->attributes->name = key;
        lending->attributes->value = value_text(value, lending);
        lending->attributes++;
        filled->attribute_count++;
    }
    return filled->name != NULL && filled->type != NULL && filled->stream != NULL && filled->has_toxicity;
}

static bool proxy_fill(const json_t *proxy, struct duress_toxiproxy_proxy *filled, struct lending *lending)
{
    const json_t *toxics = json_object_get(proxy, "toxics");
    const json_t *enabled = json_object_get(proxy, "enabled");
    filled->name = json_string_value(json_object_get(proxy, "name"));
    filled->listen = json_string_value(json_object_get(proxy, "listen"));
    filled->upstream = json_string_value(json_object_get(proxy, "upstream"));
    filled->is_disabled = json_is_false(enabled);
    filled->toxics = lending->toxics;
    filled->toxic_count = json_array_size(toxics);
    for (size_t i = 0; i < filled->toxic_count; i++) {
        if (!toxic_fill(json_array_get(toxics, i), lending->toxics++, lending))
            return false;
    }
    return filled->name != NULL && filled->listen != NULL && filled->upstream != NULL && json_is_boolean(enabled);
}

static int by_name(const void *left, const void *right)
{
    const struct duress_toxiproxy_proxy *a = left;
    const struct duress_toxiproxy_proxy *b = right;
    return strcmp(a->name, b->name);
}

static int malformed(struct duress_toxiproxy *client, struct duress_failure *why)
{
    return duress__toxiproxy_fail(client, why, DURESS_E_MALFORMED, "%s", "the answer is not one of Toxiproxy's API");
}

int duress__toxiproxy_lend_proxies(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxies,
                                   size_t *count, struct duress_failure *why)
{
    struct lending lending = {.proxy_count = 0};
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(client->tree))
        return malformed(client, why);
    json_object_foreach(client->tree, key, value) proxy_count(value, &lending);
    int error = lending_begin(client, &lending, why);
    if (error != DURESS_OK)
        return error;
    size_t filled = 0;
    json_object_foreach(client->tree, key, value)
    {
        if (!proxy_fill(value, &lending.proxies[filled++], &lending))
            return malformed(client, why);
    }
    qsort(lending.proxies, filled, sizeof *lending.proxies, by_name);
    *proxies = lending.proxies;
    *count = filled;
    return DURESS_OK;
}

int duress__toxiproxy_lend_proxy(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxy,
                                 struct duress_failure *why)
{
    struct lending lending = {.proxy_count = 0};
    proxy_count(client->tree, &lending);
    int error = lending_begin(client, &lending, why);
    if (error != DURESS_OK)
        return error;
    if (!proxy_fill(client->tree, lending.proxies, &lending))
        return malformed(client, why);
    if (proxy != NULL)
        *proxy = lending.proxies;
    return DURESS_OK;
}

int duress__toxiproxy_lend_toxic(struct duress_toxiproxy *client, const struct duress_toxiproxy_toxic **toxic,
                                 struct duress_failure *why)
{
    struct lending lending = {.proxy_count = 0};
    toxic_count(client->tree, &lending);
    int error = lending_begin(client, &lending, why);
    if (error != DURESS_OK)
        return error;
    if (!toxic_fill(client->tree, lending.toxics, &lending))
        return malformed(client, why);
    if (toxic != NULL)
        *toxic = lending.toxics;
    return DURESS_OK;
}
