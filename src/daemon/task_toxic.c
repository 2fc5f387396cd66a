/* SPDX-License-Identifier: Apache-2.0
 *
 * Toxics: made, changed, removed. The data path takes a change first; only then is it the registry's. */
#include "task.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <duress/time.h>

#include "body.h"
#include "daemon_private.h"
#include "encode.h"

/* --- making --- */

static bool direction_read(const char *stream, enum duress_direction *direction)
{
    bool upstream = strcasecmp(stream, "upstream") == 0;
    *direction = upstream ? DURESS_UPSTREAM : DURESS_DOWNSTREAM;
    return upstream || strcasecmp(stream, "downstream") == 0;
}

/* "<type>_<stream>", into |buffer|; NULL without memory. */
static const char *default_name(struct duress_buffer *buffer, const struct toxic_body *body)
{
    int error = duress_buffer_append(buffer, duress_slice_text(body->type));
    if (error == DURESS_OK)
        error = duress_buffer_append(buffer, duress_slice_text("_"));
    if (error == DURESS_OK)
        error = duress_buffer_append(buffer, duress_slice_text(body->stream));
    if (error == DURESS_OK)
        error = duress_buffer_append(buffer, duress_slice_bytes("", 1));
    return error == DURESS_OK ? (const char *)duress_buffer_slice(buffer).data : NULL;
}

static struct toxic_entry *toxic_named(struct task *task, const struct proxy_entry *proxy,
                                       const struct toxic_body *body, const json_t *value,
                                       const struct duress_toxic *kind)
{
    const struct duress_allocator *allocator = task->daemon->allocator;
    struct attributes attributes;
    duress__attributes_init(kind->type, &attributes);
    if (duress__proxy_toxic_find(proxy, body->name) != NULL) {
        (void)duress__refuse(&task->refusal, 409, "toxic already exists");
        return NULL;
    }
    if (!duress__attributes_merge(kind->type, body->attributes, value, &attributes, &task->refusal))
        return NULL;
    struct toxic_entry *made = duress__toxic_entry_new(allocator, proxy, body->name, body->stream);
    if (made == NULL) {
        (void)duress__refuse(&task->refusal, 500, "%s", duress_strerror(DURESS_E_NO_MEMORY));
        return NULL;
    }
    uint64_t id = made->toxic.id;
    duress_toxic_init(&made->toxic, kind->type);
    made->toxic.id = id;
    made->toxic.direction = kind->direction;
    if (duress__toxic_entry_set(made, body->toxicity, &attributes, &task->refusal))
        return made;
    duress__toxic_entry_free(allocator, made);
    return NULL;
}

/* Its time begins anew with each change. */
static void expiry_set(const struct task *task, struct toxic_entry *toxic)
{
    uint64_t now_ns = duress__loop_now_ns(task->daemon->loop);
    toxic->is_expiring = false;
    toxic->expires_ns = toxic->toxic.ttl_ns > 0 ? duress_time_add(now_ns, toxic->toxic.ttl_ns) : DURESS_TIME_NEVER;
}

struct toxic_entry *duress__task_toxic_make(struct task *task, const struct proxy_entry *proxy, const json_t *value)
{
    struct toxic_body body = {.stream = "downstream", .toxicity = 1};
    struct duress_toxic kind = {.id = 0};
    struct duress_buffer name;
    if (!duress__body_toxic(value, &body, &task->refusal))
        return NULL;
    if (!direction_read(body.stream, &kind.direction)) {
        (void)duress__refuse(&task->refusal, 400, "stream was invalid, can be either upstream or downstream");
        return NULL;
    }
    if (!duress_toxic_type_from_name(body.type, &kind.type)) {
        (void)duress__refuse(&task->refusal, 400, "invalid toxic type");
        return NULL;
    }
    duress_buffer_init(&name, 0, task->daemon->allocator);
    if (body.name == NULL || *body.name == '\0')
        body.name = default_name(&name, &body);
    struct toxic_entry *made = NULL;
    if (body.name != NULL)
        made = toxic_named(task, proxy, &body, value, &kind);
    else
        (void)duress__refuse(&task->refusal, 500, "%s", duress_strerror(DURESS_E_NO_MEMORY));
    duress_buffer_close(&name);
    return made;
}

bool duress__task_toxics_make(struct task *task, struct proxy_entry *proxy, const json_t *array)
{
    const struct duress_allocator *allocator = task->daemon->allocator;
    if (array == NULL || json_is_null(array))
        return true;
    if (!json_is_array(array))
        return duress__body_kind_refuse(&task->refusal, array, "toxics", "array");
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (duress__proxy_toxic_reserve(allocator, proxy) != DURESS_OK)
            return duress__refuse(&task->refusal, 500, "%s", duress_strerror(DURESS_E_NO_MEMORY));
        struct toxic_entry *toxic = duress__task_toxic_make(task, proxy, json_array_get(array, i));
        if (toxic == NULL)
            return false;
        expiry_set(task, toxic);
        duress__proxy_toxic_add(proxy, toxic);
    }
    return true;
}

/* The proxy, or the toxic, may have gone while the task waited for its turn. */
static bool names_find(struct task *task, struct toxic_entry **toxic)
{
    task->proxy = duress__registry_find(&task->daemon->registry, task->route.proxy);
    if (task->proxy == NULL)
        return duress__refuse(&task->refusal, 404, "proxy not found");
    if (toxic == NULL)
        return true;
    *toxic = duress__proxy_toxic_find(task->proxy, task->route.toxic);
    return *toxic != NULL || duress__refuse(&task->refusal, 404, "toxic not found");
}

static void toxic_answer(struct task *task, const struct toxic_entry *toxic)
{
    struct json_out out = duress__task_json(task, 200);
    duress__encode_toxic(&out, toxic);
    duress__task_json_end(task, &out);
}

/* What the data path refuses although it was checked before: it has no memory. */
static bool data_path_failed(struct task *task)
{
    if (task->error == DURESS_OK)
        return false;
    duress__task_refuse(task, task->error == DURESS_E_INVALID ? 400 : 500, duress_strerror(task->error));
    return true;
}

/* Goes on with |next| once the proxy's links have been told; at once where it has none. */
static bool relay_is_there(struct task *task, task_fn next)
{
    task->error = DURESS_OK;
    task->next = next;
    if (task->proxy->relay != NULL)
        return true;
    duress__task_then(task, next);
    return false;
}

/* --- create --- */

static void toxic_created(struct task *task)
{
    struct toxic_entry *toxic = task->toxic;
    if (data_path_failed(task))
        return;
    task->toxic = NULL;
    expiry_set(task, toxic);
    duress__proxy_toxic_add(task->proxy, toxic);
    toxic_answer(task, toxic);
}

static void create_turn(struct task *task)
{
    if (!names_find(task, NULL)) {
        duress__task_end(task);
        return;
    }
    task->toxic = duress__task_toxic_make(task, task->proxy, task->body);
    if (task->toxic == NULL) {
        duress__task_end(task);
        return;
    }
    if (duress__proxy_toxic_reserve(task->daemon->allocator, task->proxy) != DURESS_OK)
        duress__task_refuse_memory(task);
    else if (relay_is_there(task, toxic_created))
        duress__relay_toxic_add(task->proxy->relay, &task->toxic->toxic, duress__task_relay_done, task);
}

void duress__task_toxic_create(struct task *task)
{
    duress__task_take_turn(task, create_turn);
}

/* --- update --- */

static void toxic_updated(struct task *task)
{
    struct toxic_entry *toxic = duress__proxy_toxic_find(task->proxy, task->route.toxic);
    if (data_path_failed(task))
        return;
    (void)duress__toxic_entry_set(toxic, task->toxicity, &task->attributes, &task->refusal); /* was checked */
    expiry_set(task, toxic);
    toxic_answer(task, toxic);
}

static void update_turn(struct task *task)
{
    struct toxic_entry *toxic = NULL;
    if (!names_find(task, &toxic) || toxic == NULL) {
        duress__task_end(task);
        return;
    }
    struct toxic_body body = {.toxicity = toxic->toxicity};
    task->attributes = toxic->attributes;
    if (!duress__body_toxic(task->body, &body, &task->refusal) ||
        !duress__attributes_merge(toxic->toxic.type, body.attributes, task->body, &task->attributes, &task->refusal)) {
        duress__task_end(task);
        return;
    }
    task->toxicity = body.toxicity;
    struct toxic_entry changed = *toxic;
    if (!duress__toxic_entry_set(&changed, body.toxicity, &task->attributes, &task->refusal)) {
        duress__task_end(task);
        return;
    }
    if (relay_is_there(task, toxic_updated))
        duress__relay_toxic_update(task->proxy->relay, &changed.toxic, duress__task_relay_done, task);
}

void duress__task_toxic_update(struct task *task)
{
    duress__task_take_turn(task, update_turn);
}

/* --- delete --- */

static void toxic_deleted(struct task *task)
{
    struct toxic_entry *toxic = duress__proxy_toxic_find(task->proxy, task->route.toxic);
    duress__proxy_toxic_remove(task->proxy, toxic);
    duress__toxic_entry_free(task->daemon->allocator, toxic);
    task->answer.status = 204;
    duress__task_end(task);
}

static void delete_turn(struct task *task)
{
    struct toxic_entry *toxic = NULL;
    bool found = names_find(task, &toxic) && toxic != NULL;
    bool still = found && task->only_expired && toxic->expires_ns > duress__loop_now_ns(task->daemon->loop);
    if (!found || still)
        duress__task_end(task);
    else if (relay_is_there(task, toxic_deleted))
        duress__relay_toxic_remove(task->proxy->relay, toxic->toxic.id, duress__task_relay_done, task);
}

void duress__task_toxic_delete(struct task *task)
{
    duress__task_take_turn(task, delete_turn);
}
