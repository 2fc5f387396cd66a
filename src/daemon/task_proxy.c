/* SPDX-License-Identifier: Apache-2.0
 *
 * One proxy: made, changed, removed. */
#include "task.h"

#include <string.h>

#include "body.h"
#include "daemon_private.h"
#include "encode.h"

static void proxy_answer(struct task *task, unsigned status)
{
    struct json_out out = duress__task_json(task, status);
    duress__encode_proxy(&out, task->proxy);
    duress__task_json_end(task, &out);
}

static bool proxy_find(struct task *task)
{
    task->proxy = duress__registry_find(&task->daemon->registry, task->route.proxy);
    return task->proxy != NULL || duress__refuse(&task->refusal, 404, "proxy not found");
}

/* Asks for the name in |text| before the task goes on. True: the caller returns. */
static bool name_is_looked_up(struct task *task, const char *text)
{
    if (duress__task_want_name(task, text) == DURESS_OK)
        return duress__task_lookup(task);
    duress__task_refuse_memory(task);
    return true;
}

/* --- create --- */

static void create_installed(struct task *task)
{
    if (task->refusal.status != 0)
        duress__task_end(task);
    else
        proxy_answer(task, 201);
}

static bool create_check(struct task *task, struct proxy_body *body)
{
    if (!duress__body_proxy(task->body, body, &task->refusal))
        return false;
    if (body->name == NULL || *body->name == '\0')
        return duress__refuse(&task->refusal, 400, "missing required field: name");
    if (body->upstream == NULL || *body->upstream == '\0')
        return duress__refuse(&task->refusal, 400, "missing required field: upstream");
    if (duress__registry_find(&task->daemon->registry, body->name) != NULL)
        return duress__refuse(&task->refusal, 409, "proxy already exists");
    return true;
}

static void create_turn(struct task *task)
{
    struct proxy_body body = {.listen = "", .enabled = true};
    struct installation *installation = &task->installation;
    if (!create_check(task, &body)) {
        duress__task_end(task);
        return;
    }
    if (body.enabled && name_is_looked_up(task, body.listen))
        return;
    *installation = (struct installation){.enable = body.enabled, .next = create_installed};
    if (body.enabled && !duress__task_address(task, body.listen, "listen tcp: ", &installation->address)) {
        duress__task_end(task);
        return;
    }
    installation->made = duress__proxy_entry_new(task->daemon->allocator, body.name, body.listen, body.upstream);
    if (installation->made == NULL)
        duress__task_refuse_memory(task);
    else if (!duress__task_toxics_make(task, installation->made, body.toxics))
        duress__task_end(task);
    else
        duress__task_install(task);
}

void duress__task_proxy_create(struct task *task)
{
    struct proxy_body body = {.listen = "", .enabled = true};
    if (create_check(task, &body))
        duress__task_take_turn(task, create_turn);
    else
        duress__task_end(task);
}

/* --- update --- */

static void updated(struct task *task)
{
    if (task->refusal.status != 0)
        duress__task_end(task);
    else
        proxy_answer(task, 200);
}

static void update_replace(struct task *task, const struct proxy_body *body, const struct address *address)
{
    struct installation *installation = &task->installation;
    *installation = (struct installation){
        .old = task->proxy, .keeps_toxics = true, .enable = body->enabled, .address = *address, .next = updated};
    installation->made =
        duress__proxy_entry_new(task->daemon->allocator, task->proxy->name, body->listen, body->upstream);
    if (installation->made == NULL)
        duress__task_refuse_memory(task);
    else
        duress__task_install(task);
}

static void update_turn(struct task *task)
{
    struct address address;
    if (!proxy_find(task)) {
        duress__task_end(task);
        return;
    }
    const struct proxy_entry *proxy = task->proxy;
    struct proxy_body body = {.listen = proxy->listen, .upstream = proxy->upstream, .enabled = proxy->enabled};
    if (!duress__body_proxy(task->body, &body, &task->refusal)) {
        duress__task_end(task);
        return;
    }
    if (name_is_looked_up(task, body.listen))
        return;
    if (!duress__task_address(task, body.listen, "", &address)) {
        duress__task_end(task);
        return;
    }
    bool same = duress__address_is_same(proxy->listen, body.listen, &address);
    bool differs = !same || strcmp(proxy->upstream, body.upstream) != 0;
    if (differs && proxy->enabled && body.enabled)
        duress__task_change(task, same ? NULL : &address, body.upstream, updated);
    else if (differs)
        update_replace(task, &body, &address);
    else if (proxy->enabled == body.enabled)
        updated(task);
    else if (body.enabled)
        duress__task_enable(task, &address, updated);
    else
        duress__task_disable(task, updated);
}

void duress__task_proxy_update(struct task *task)
{
    duress__task_take_turn(task, update_turn);
}

/* --- delete --- */

static void deleted(struct task *task)
{
    task->answer.status = 204;
    duress__task_end(task);
}

static void delete_turn(struct task *task)
{
    if (proxy_find(task))
        duress__task_remove(task, deleted);
    else
        duress__task_end(task);
}

void duress__task_proxy_delete(struct task *task)
{
    duress__task_take_turn(task, delete_turn);
}
