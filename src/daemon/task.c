/* SPDX-License-Identifier: Apache-2.0
 *
 * A task's life: how it goes on, its turn, its end. */
#include "task.h"

#include <stdio.h>
#include <string.h>

#include "body.h"
#include "daemon_private.h"
#include "encode.h"

static void names_known(void *context);

/* Without a flag that asks for figures the route is not there. */
static bool has_metrics(const struct daemon *daemon)
{
    return daemon->options->proxy_metrics || daemon->options->runtime_metrics;
}

static struct task *task_make(struct daemon *daemon, char *target)
{
    struct task *task = duress_allocate_zeroed(daemon->allocator, 1, sizeof *task);
    if (task == NULL) {
        duress_release(daemon->allocator, target);
        return NULL;
    }
    task->daemon = daemon;
    task->target = target;
    task->names =
        (struct names){.allocator = daemon->allocator, .loop = daemon->loop, .done = names_known, .context = task};
    duress_buffer_init(&task->answer.body, 0, daemon->allocator);
    duress_buffer_init(&task->answer.location, 0, daemon->allocator);
    duress_buffer_init(&task->handled, 0, daemon->allocator);
    return task;
}

struct task *duress__task_new(struct daemon *daemon, char *target, const char *method)
{
    static const unsigned statuses[] = {
        [ROUTE_FOUND] = 405, [ROUTE_UNKNOWN] = 404, [ROUTE_MOVED] = 301, [ROUTE_BAD] = 400};
    struct task *task = task_make(daemon, target);
    if (task == NULL)
        return NULL;
    enum route_verdict verdict = duress__route_read(target, &task->route, &task->answer.location);
    if (task->route.name == ROUTE_METRICS && !has_metrics(daemon))
        verdict = ROUTE_UNKNOWN;
    if (verdict == ROUTE_FOUND)
        task->operation = duress__route_operation(task->route.name, method);
    task->answer.status = task->operation == OPERATION_NONE ? statuses[verdict] : 0;
    task->answer.routed = task->operation != OPERATION_NONE;
    return task;
}

struct task *duress__task_new_for(struct daemon *daemon, enum operation operation, const char *proxy, const char *toxic)
{
    size_t proxy_bytes = strlen(proxy) + 1;
    size_t toxic_bytes = toxic != NULL ? strlen(toxic) + 1 : 0;
    char *target = duress_allocate(daemon->allocator, proxy_bytes + toxic_bytes);
    struct task *task = target != NULL ? task_make(daemon, target) : NULL;
    if (task == NULL)
        return NULL;
    memcpy(target, proxy, proxy_bytes);
    task->route.proxy = target;
    if (toxic != NULL) {
        memcpy(target + proxy_bytes, toxic, toxic_bytes);
        task->route.toxic = target + proxy_bytes;
    }
    task->operation = operation;
    return task;
}

static void task_release(struct task *task)
{
    const struct duress_allocator *allocator = task->daemon->allocator;
    json_decref(task->body);
    duress__names_clear(&task->names);
    duress_buffer_close(&task->answer.body);
    duress_buffer_close(&task->answer.location);
    duress_buffer_close(&task->handled);
    duress__toxic_entry_free(allocator, task->toxic);
    duress__proxy_entry_free(allocator, task->installation.made);
    duress_release(allocator, task->installation.upstream);
    duress_release(allocator, task->target);
    duress_release(allocator, task);
}

void duress__task_free(struct task *task)
{
    if (task == NULL)
        return;
    if (task->done == NULL)
        task_release(task); /* never begun, or ended */
    else
        task->dry = true;
}

/* --- going on --- */

/* Steps follow each other in a loop, however many there are: none calls the next from inside itself. */
static void task_run(struct task *task)
{
    if (task->running)
        return;
    task->running = true;
    while (task->ready && !task->ended) {
        task->ready = false;
        task->next(task);
    }
    task->running = false;
    if (!task->ended)
        return;
    task_done_fn done = task->done;
    task->done = NULL;
    task->daemon->task_count--;
    if (task->dry)
        task_release(task);
    else
        done(task->context, task);
}

void duress__task_then(struct task *task, task_fn next)
{
    task->next = next;
    task->ready = true;
    task_run(task);
}

void duress__task_relay_done(void *context, int error)
{
    struct task *task = context;
    task->error = error;
    task->ready = true;
    task_run(task);
}

/* --- turns --- */

static void turn_run(struct task *task)
{
    duress__task_then(task, task->turn);
}

void duress__task_take_turn(struct task *task, task_fn turn)
{
    struct daemon *daemon = task->daemon;
    task->turn = turn;
    task->turn_next = NULL;
    if (daemon->turn_first != NULL) {
        daemon->turn_last->turn_next = task;
        daemon->turn_last = task;
        return;
    }
    daemon->turn_first = task;
    daemon->turn_last = task;
    turn_run(task);
}

/* The one whose turn is next runs from the loop: a long queue is no deep stack. */
static void turn_end(struct task *task)
{
    struct daemon *daemon = task->daemon;
    if (daemon->turn_first != task)
        return;
    daemon->turn_first = task->turn_next;
    task->turn_next = NULL;
    if (daemon->turn_first != NULL)
        duress__loop_defer(daemon->loop, &daemon->turn_later);
}

void duress__turn_next(void *context)
{
    struct daemon *daemon = context;
    if (daemon->turn_first != NULL)
        turn_run(daemon->turn_first);
}

static void names_known(void *context)
{
    struct task *task = context;
    duress__task_take_turn(task, task->turn);
}

int duress__task_want_name(struct task *task, const char *text)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    struct address address;
    if (!duress__address_split(text, &parts, reason) ||
        duress__names_address(&task->names, &parts, &address) != NAMES_UNKNOWN)
        return DURESS_OK;
    return duress__names_want(&task->names, parts.host);
}

bool duress__task_lookup(struct task *task)
{
    if (!duress__names_begin(&task->names))
        return false;
    turn_end(task);
    return true;
}

bool duress__task_address(struct task *task, const char *text, const char *prefix, struct address *address)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    if (!duress__address_split(text, &parts, reason))
        return duress__refuse(&task->refusal, 500, "%s%s", prefix, reason);
    if (duress__names_address(&task->names, &parts, address) != NAMES_FOUND)
        return duress__refuse(&task->refusal, 500, "%slookup %s: no such host", prefix, parts.host);
    return true;
}

/* --- the end --- */

/* What populate did before it failed. */
static void handled_write(const struct task *task, struct json_out *out)
{
    struct duress_slice handled = duress_buffer_slice(&task->handled);
    duress__json_raw(out, ",\"proxies\":");
    duress__json_raw(out, task->handled_count == 0 ? "null" : "[");
    if (out->error == DURESS_OK)
        out->error = duress_buffer_append(out->buffer, handled);
    duress__json_raw(out, task->handled_count == 0 ? "}" : "]}");
}

/* Errors are JSON that calls itself text, with a newline behind it; those of populate are neither. */
static void refusal_answer(struct task *task)
{
    struct json_out out = {.buffer = &task->answer.body};
    bool populate = task->operation == OPERATION_POPULATE;
    duress_buffer_clear(&task->answer.body);
    task->answer.status = task->refusal.status;
    task->answer.type = populate ? ANSWER_JSON : ANSWER_TEXT;
    duress__encode_refusal(&out, &task->refusal, populate);
    if (!populate)
        duress__json_raw(&out, "\n");
    else
        handled_write(task, &out);
    if (out.error == DURESS_OK)
        return;
    /* Without memory even for this the status has to do. */
    duress_buffer_clear(&task->answer.body);
    task->answer.type = ANSWER_NOTHING;
}

void duress__task_finish(struct task *task)
{
    task->ended = true;
    task_run(task);
}

static bool operation_changes(enum operation operation)
{
    switch (operation) {
    case OPERATION_PROXY_CREATE:
    case OPERATION_PROXY_UPDATE:
    case OPERATION_PROXY_DELETE:
    case OPERATION_TOXIC_CREATE:
    case OPERATION_TOXIC_UPDATE:
    case OPERATION_TOXIC_DELETE:
    case OPERATION_POPULATE:
    case OPERATION_RESET:
        return true;
    default:
        return false;
    }
}

void duress__task_end(struct task *task)
{
    struct daemon *daemon = task->daemon;
    bool had_turn = daemon->turn_first == task;
    if (task->refusal.status != 0)
        refusal_answer(task);
    turn_end(task);
    if (had_turn && operation_changes(task->operation)) {
        duress__expiry_update(daemon);
        if (duress__state_save(&daemon->state, task))
            return;
    }
    duress__task_finish(task);
}

void duress__task_refuse(struct task *task, unsigned status, const char *text)
{
    (void)duress__refuse(&task->refusal, status, "%s", text);
    duress__task_end(task);
}

void duress__task_refuse_memory(struct task *task)
{
    duress__task_refuse(task, 500, duress_strerror(DURESS_E_NO_MEMORY));
}

struct json_out duress__task_json(struct task *task, unsigned status)
{
    task->answer.status = status;
    task->answer.type = ANSWER_JSON;
    return (struct json_out){.buffer = &task->answer.body};
}

void duress__task_json_end(struct task *task, struct json_out *out)
{
    if (out->error != DURESS_OK)
        duress__task_refuse_memory(task);
    else
        duress__task_end(task);
}

/* --- the begin --- */

typedef void (*operation_fn)(struct task *task);

static const operation_fn operations[OPERATION_COUNT] = {
    [OPERATION_PROXY_INDEX] = duress__task_read,
    [OPERATION_PROXY_SHOW] = duress__task_read,
    [OPERATION_TOXIC_INDEX] = duress__task_read,
    [OPERATION_TOXIC_SHOW] = duress__task_read,
    [OPERATION_VERSION] = duress__task_read,
    [OPERATION_METRICS] = duress__task_read,
    [OPERATION_CONNECTIONS] = duress__task_connections,
    [OPERATION_PROXY_CREATE] = duress__task_proxy_create,
    [OPERATION_PROXY_UPDATE] = duress__task_proxy_update,
    [OPERATION_PROXY_DELETE] = duress__task_proxy_delete,
    [OPERATION_POPULATE] = duress__task_populate,
    [OPERATION_RESET] = duress__task_reset,
    [OPERATION_TOXIC_CREATE] = duress__task_toxic_create,
    [OPERATION_TOXIC_UPDATE] = duress__task_toxic_update,
    [OPERATION_TOXIC_DELETE] = duress__task_toxic_delete,
};

/* A name that is asked for is looked for before the body is: 404 goes before 400. */
static bool names_exist(struct task *task)
{
    const struct route *route = &task->route;
    if (route->proxy == NULL)
        return true;
    const struct proxy_entry *proxy = duress__registry_find(&task->daemon->registry, route->proxy);
    if (proxy == NULL)
        return duress__refuse(&task->refusal, 404, "proxy not found");
    if (route->toxic != NULL && duress__proxy_toxic_find(proxy, route->toxic) == NULL)
        return duress__refuse(&task->refusal, 404, "toxic not found");
    return true;
}

static bool operation_has_body(enum operation operation)
{
    return operation == OPERATION_PROXY_CREATE || operation == OPERATION_PROXY_UPDATE ||
           operation == OPERATION_POPULATE || operation == OPERATION_TOXIC_CREATE ||
           operation == OPERATION_TOXIC_UPDATE;
}

/* What the router answers by itself. */
static void router_answer(struct task *task)
{
    struct json_out out = {.buffer = &task->answer.body};
    task->answer.type = ANSWER_NOTHING;
    if (task->answer.status != 404 && task->answer.status != 400)
        return;
    task->answer.type = ANSWER_TEXT;
    duress__json_raw(&out, task->answer.status == 404 ? "404 page not found\n" : "400 Bad Request");
}

void duress__task_begin(struct task *task, struct duress_slice body, task_done_fn done, void *context)
{
    task->done = done;
    task->context = context;
    task->daemon->task_count++;
    if (task->operation == OPERATION_NONE) {
        router_answer(task);
        duress__task_end(task);
        return;
    }
    if (names_exist(task) && operation_has_body(task->operation))
        task->body = duress__body_parse(body, &task->refusal);
    if (task->refusal.status != 0)
        duress__task_end(task);
    else
        duress__task_then(task, operations[task->operation]);
}
