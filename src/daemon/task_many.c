/* SPDX-License-Identifier: Apache-2.0
 *
 * Populate and reset: many proxies, one after the other. */
#include "task.h"

#include <string.h>

#include "body.h"
#include "daemon_private.h"
#include "encode.h"

/* --- populate --- */

static void populate_step(struct task *task);

static void populate_answer(struct task *task)
{
    struct json_out out = duress__task_json(task, 201);
    duress__json_raw(&out, "{\"proxies\":[");
    if (out.error == DURESS_OK)
        out.error = duress_buffer_append(out.buffer, duress_buffer_slice(&task->handled));
    duress__json_raw(&out, "]}");
    duress__task_json_end(task, &out);
}

/* The entry at hand was handled: task->proxy is what it is now. */
static void populate_handled(struct task *task)
{
    struct json_out out = {.buffer = &task->handled};
    if (task->refusal.status != 0) {
        duress__task_end(task);
        return;
    }
    if (task->handled_count > 0)
        duress__json_raw(&out, ",");
    duress__encode_proxy(&out, task->proxy);
    if (out.error != DURESS_OK) {
        duress__task_refuse_memory(task);
        return;
    }
    task->handled_count++;
    task->index++;
    duress__task_then(task, populate_step);
}

static void populate_install(struct task *task, struct proxy_entry *old, const struct proxy_body *body,
                             const struct address *address)
{
    struct installation *installation = &task->installation;
    *installation =
        (struct installation){.old = old, .enable = body->enabled, .address = *address, .next = populate_handled};
    installation->made = duress__proxy_entry_new(task->daemon->allocator, body->name, body->listen, body->upstream);
    if (installation->made == NULL)
        duress__task_refuse_memory(task);
    else if (!duress__task_toxics_make(task, installation->made, body->toxics))
        duress__task_end(task);
    else
        duress__task_install(task);
}

static struct proxy_body populate_body(const struct task *task, size_t index)
{
    struct proxy_body body = {.listen = "", .enabled = true};
    struct refusal ignored; /* It was read before, and was fine. */
    (void)duress__body_proxy(json_array_get(task->body, index), &body, &ignored);
    return body;
}

static void populate_step(struct task *task)
{
    struct address address = {.length = 0};
    if (task->index == json_array_size(task->body)) {
        populate_answer(task);
        return;
    }
    struct proxy_body body = populate_body(task, task->index);
    struct proxy_entry *old = duress__registry_find(&task->daemon->registry, body.name);
    bool needed = old != NULL || body.enabled;
    if (needed && !duress__task_address(task, body.listen, old == NULL ? "listen tcp: " : "", &address)) {
        duress__task_end(task);
        return;
    }
    if (old != NULL && strcmp(old->upstream, body.upstream) == 0 &&
        duress__address_is_same(old->listen, body.listen, &address)) {
        task->proxy = old;
        populate_handled(task);
        return;
    }
    populate_install(task, old, &body, &address);
}

static void populate_turn(struct task *task)
{
    for (size_t i = 0; i < json_array_size(task->body); i++) {
        if (duress__task_want_name(task, populate_body(task, i).listen) != DURESS_OK) {
            duress__task_refuse_memory(task);
            return;
        }
    }
    if (!duress__task_lookup(task))
        populate_step(task);
}

/* Nothing is touched before every entry is known to be whole. */
static bool populate_check(struct task *task)
{
    if (!json_is_array(task->body))
        return duress__body_kind_refuse(&task->refusal, task->body, "proxies", "array");
    for (size_t i = 0; i < json_array_size(task->body); i++) {
        struct proxy_body body = {.enabled = true};
        if (!duress__body_proxy(json_array_get(task->body, i), &body, &task->refusal))
            return false;
        /* Toxics are checked here against one another, in an entry that is thrown away. */
        struct proxy_entry scratch = {.name = NULL};
        bool fine = duress__task_toxics_make(task, &scratch, body.toxics);
        for (size_t toxic = 0; toxic < scratch.toxic_count; toxic++)
            duress__toxic_entry_free(task->daemon->allocator, scratch.toxics[toxic]);
        duress_release(task->daemon->allocator, scratch.toxics);
        if (!fine)
            return false;
    }
    for (size_t i = 0; i < json_array_size(task->body); i++) {
        struct proxy_body body = populate_body(task, i);
        const char *missing = NULL;
        if (body.name == NULL || *body.name == '\0')
            missing = "name";
        else if (body.upstream == NULL || *body.upstream == '\0')
            missing = "upstream";
        if (missing != NULL)
            return duress__refuse(&task->refusal, 400, "missing required field: %s at proxy %zu", missing, i + 1);
    }
    return true;
}

void duress__task_populate(struct task *task)
{
    if (json_is_null(task->body)) {
        json_decref(task->body);
        task->body = json_array();
    }
    if (task->body == NULL)
        duress__task_refuse_memory(task);
    else if (populate_check(task))
        duress__task_take_turn(task, populate_turn);
    else
        duress__task_end(task);
}

/* --- reset --- */

static void reset_step(struct task *task);

static void reset_toxic_gone(struct task *task)
{
    struct proxy_entry *proxy = task->proxy;
    struct toxic_entry *toxic = proxy->toxics[proxy->toxic_count - 1];
    duress__proxy_toxic_remove(proxy, toxic);
    duress__toxic_entry_free(task->daemon->allocator, toxic);
    duress__task_then(task, reset_step);
}

/* A proxy that cannot listen stays down; the others do not suffer for it. */
static void reset_enabled(struct task *task)
{
    if (task->refusal.status != 0 && task->first_refusal.status == 0)
        task->first_refusal = task->refusal;
    task->refusal.status = 0;
    task->changed = true; /* tried, for this proxy */
    duress__task_then(task, reset_step);
}

static void reset_enable(struct task *task)
{
    struct address address;
    if (duress__task_address(task, task->proxy->listen, "listen tcp: ", &address))
        duress__task_enable(task, &address, reset_enabled);
    else
        reset_enabled(task);
}

static void reset_step(struct task *task)
{
    struct registry *registry = &task->daemon->registry;
    if (task->index == registry->count) {
        task->refusal = task->first_refusal;
        task->answer.status = 204;
        duress__task_end(task);
        return;
    }
    struct proxy_entry *proxy = registry->proxies[task->index];
    task->proxy = proxy;
    if (!proxy->enabled && !task->changed) {
        reset_enable(task);
    } else if (proxy->toxic_count == 0) {
        task->changed = false;
        task->index++;
        duress__task_then(task, reset_step);
    } else if (proxy->relay == NULL) {
        reset_toxic_gone(task);
    } else {
        task->next = reset_toxic_gone;
        duress__relay_toxic_remove(proxy->relay, proxy->toxics[proxy->toxic_count - 1]->toxic.id,
                                   duress__task_relay_done, task);
    }
}

static void reset_turn(struct task *task)
{
    const struct registry *registry = &task->daemon->registry;
    for (size_t i = 0; i < registry->count; i++) {
        const struct proxy_entry *proxy = registry->proxies[i];
        if (!proxy->enabled && duress__task_want_name(task, proxy->listen) != DURESS_OK) {
            duress__task_refuse_memory(task);
            return;
        }
    }
    if (!duress__task_lookup(task))
        reset_step(task);
}

void duress__task_reset(struct task *task)
{
    duress__task_take_turn(task, reset_turn);
}
