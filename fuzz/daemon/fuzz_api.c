/* SPDX-License-Identifier: Apache-2.0
 *
 * The input is a request: the first line is its target, raw, and the rest its body, which is read as a proxy, as a list
 * of them (what configuration and state files are), and as a toxic of each type. What was accepted is written as an
 * answer, which must be JSON again, and must mean the same when it is read back. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <duress/export.h>

#include "address.h"
#include "body.h"
#include "encode.h"
#include "route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* --- the target --- */

static void target_try(const uint8_t *data, size_t length)
{
    struct duress_buffer location;
    struct route route;
    char *target = malloc(length + 1);
    DURESS_ASSERT(target != NULL);
    memcpy(target, data, length);
    target[length] = '\0';
    duress_buffer_init(&location, 0, NULL);
    enum route_verdict verdict = duress__route_read(target, &route, &location);
    DURESS_ASSERT((verdict == ROUTE_FOUND) == (route.name != ROUTE_NONE));
    if (route.proxy != NULL && verdict == ROUTE_FOUND) {
        DURESS_ASSERT(*route.proxy != '\0' && strchr(route.proxy, '/') == NULL);
        DURESS_ASSERT(route.proxy >= target && route.proxy + strlen(route.proxy) <= target + length);
    }
    if (verdict == ROUTE_MOVED) {
        /* Where it is sent to is clean, and leads on. */
        struct duress_slice text = duress_buffer_slice(&location);
        DURESS_ASSERT(text.length > 0 && text.data[0] == '/');
        char *moved = malloc(text.length + 1);
        DURESS_ASSERT(moved != NULL);
        memcpy(moved, text.data, text.length);
        moved[text.length] = '\0';
        duress_buffer_clear(&location);
        DURESS_ASSERT(duress__route_read(moved, &route, &location) != ROUTE_MOVED);
        free(moved);
    }
    duress_buffer_close(&location);
    free(target);
}

/* --- toxics --- */

/* The tree of what is written of |toxic|. */
static json_t *toxic_written(const struct toxic_entry *toxic)
{
    struct duress_buffer text;
    struct json_out out = {.buffer = &text};
    duress_buffer_init(&text, 0, NULL);
    duress__encode_toxic(&out, toxic);
    DURESS_ASSERT(out.error == DURESS_OK);
    struct duress_slice bytes = duress_buffer_slice(&text);
    struct refusal refusal = {.status = 0};
    json_t *tree = duress__body_parse(bytes, &refusal);
    DURESS_ASSERT(json_is_object(tree));
    duress_buffer_close(&text);
    return tree;
}

static void toxic_try(const json_t *value, enum duress_toxic_type type)
{
    struct refusal refusal = {.status = 0};
    struct toxic_body body = {.stream = "downstream", .toxicity = 1};
    struct proxy_entry nobody = {.name = NULL};
    struct attributes attributes;
    duress__attributes_init(type, &attributes);
    if (!duress__body_toxic(value, &body, &refusal) ||
        !duress__attributes_merge(type, body.attributes, value, &attributes, &refusal)) {
        DURESS_ASSERT(refusal.status == 400);
        return;
    }
    struct toxic_entry *toxic =
        duress__toxic_entry_new(NULL, &nobody, body.name != NULL ? body.name : "t", body.stream);
    DURESS_ASSERT(toxic != NULL);
    uint64_t id = toxic->toxic.id;
    duress_toxic_init(&toxic->toxic, type);
    toxic->toxic.id = id;
    if (duress__toxic_entry_set(toxic, body.toxicity, &attributes, &refusal)) {
        struct attributes again;
        struct toxic_body same = {.toxicity = 0};
        DURESS_ASSERT(duress_toxic_check(&toxic->toxic, NULL) == DURESS_OK);
        json_t *tree = toxic_written(toxic);
        duress__attributes_init(type, &again);
        DURESS_ASSERT(duress__body_toxic(tree, &same, &refusal));
        DURESS_ASSERT(duress__attributes_merge(type, same.attributes, tree, &again, &refusal));
        DURESS_ASSERT(memcmp(&again, &attributes, sizeof again) == 0);
        DURESS_ASSERT(same.toxicity == body.toxicity && strcmp(same.stream, body.stream) == 0);
        json_decref(tree);
    } else {
        DURESS_ASSERT(refusal.status == 400);
    }
    duress__toxic_entry_free(NULL, toxic);
}

/* --- proxies --- */

static void listen_try(const char *text)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    char numeric[ADDRESS_TEXT_BYTES_MAX];
    struct address_parts parts;
    struct address address;
    if (!duress__address_split(text, &parts, reason) || !duress__address_numeric(&parts, &address))
        return;
    (void)duress__address_format(&address, numeric);
    DURESS_ASSERT(duress__address_split(numeric, &parts, reason));
    DURESS_ASSERT(duress__address_is_same(numeric, text, &address));
}

static void proxy_try(const json_t *value)
{
    struct refusal refusal = {.status = 0};
    struct proxy_body body = {.listen = "", .enabled = true};
    struct duress_buffer text;
    struct json_out out = {.buffer = &text};
    if (!duress__body_proxy(value, &body, &refusal)) {
        DURESS_ASSERT(refusal.status == 400);
        return;
    }
    listen_try(body.listen);
    if (body.name == NULL || body.upstream == NULL)
        return;
    struct proxy_entry *proxy = duress__proxy_entry_new(NULL, body.name, body.listen, body.upstream);
    DURESS_ASSERT(proxy != NULL);
    duress_buffer_init(&text, 0, NULL);
    duress__encode_proxy(&out, proxy);
    struct duress_slice bytes = duress_buffer_slice(&text);
    json_t *tree = json_loadb((const char *)bytes.data, bytes.length, 0, NULL);
    struct proxy_body same = {.enabled = true};
    DURESS_ASSERT(tree != NULL && duress__body_proxy(tree, &same, &refusal));
    DURESS_ASSERT(strcmp(same.name, body.name) == 0 && strcmp(same.listen, body.listen) == 0 && !same.enabled);
    json_decref(tree);
    duress_buffer_close(&text);
    duress__proxy_entry_free(NULL, proxy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct refusal refusal = {.status = 0};
    const uint8_t *line = length > 0 ? memchr(data, '\n', length) : NULL;
    size_t target_length = line != NULL ? (size_t)(line - data) : length;
    target_try(data, target_length);
    if (line == NULL)
        return 0;
    json_t *body = duress__body_parse(duress_slice_bytes(line + 1, length - target_length - 1), &refusal);
    DURESS_ASSERT((body == NULL) == (refusal.status == 400));
    if (body == NULL)
        return 0;
    proxy_try(body);
    for (size_t i = 0; i < json_array_size(body); i++)
        proxy_try(json_array_get(body, i));
    for (int type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++)
        toxic_try(body, (enum duress_toxic_type)type);
    json_decref(body);
    return 0;
}
