/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /connections: what each open connection is, where it comes from and goes to, and which toxics its draw hit. Asked
 * in turn, so that no proxy goes while its workers are asked. */
#include "task.h"

#include <duress/time.h>

#include "daemon_private.h"
#include "encode.h"

#define CONNECTIONS_MAX 10000 /* of one proxy */

static void connections_step(struct task *task);

static void direction_write(struct json_out *out, const char *name, const struct duress_workers_connection *connection,
                            enum duress_direction direction)
{
    duress__json_raw(out, ",\"");
    duress__json_raw(out, name);
    duress__json_raw(out, "\":{\"received\":");
    duress__json_unsigned(out, connection->bytes_in[direction]);
    duress__json_raw(out, ",\"sent\":");
    duress__json_unsigned(out, connection->bytes_out[direction]);
    duress__json_raw(out, ",\"buffered\":");
    duress__json_unsigned(out, connection->buffered_bytes[direction]);
    duress__json_raw(out, "}");
}

static void toxics_write(struct json_out *out, const struct proxy_entry *proxy,
                         const struct duress_workers_connection *connection)
{
    const char *separator = "";
    duress__json_raw(out, ",\"toxics\":[");
    for (size_t i = 0; i < connection->toxic_count && i < DURESS_WORKERS_CONNECTION_TOXICS_MAX; i++) {
        for (size_t toxic = 0; toxic < proxy->toxic_count; toxic++) {
            if (proxy->toxics[toxic]->toxic.id != connection->toxics[i])
                continue;
            duress__json_raw(out, separator);
            duress__json_string(out, proxy->toxics[toxic]->name);
            separator = ",";
        }
    }
    duress__json_raw(out, "]");
}

static void connection_write(struct json_out *out, const struct proxy_entry *proxy,
                             const struct duress_workers_connection *connection)
{
    duress__json_raw(out, "{");
    duress__json_member(out, "proxy", proxy->name);
    duress__json_raw(out, ",\"number\":");
    duress__json_unsigned(out, connection->number);
    duress__json_raw(out, ",");
    duress__json_member(out, "client", connection->client);
    duress__json_raw(out, ",");
    duress__json_member(out, "server", connection->server);
    duress__json_raw(out, ",\"dialing\":");
    duress__json_bool(out, connection->is_dialing);
    duress__json_raw(out, ",\"age_ms\":");
    duress__json_unsigned(out, connection->age_ns / DURESS_MS);
    direction_write(out, "upstream", connection, DURESS_UPSTREAM);
    direction_write(out, "downstream", connection, DURESS_DOWNSTREAM);
    toxics_write(out, proxy, connection);
    duress__json_raw(out, "}");
}

static void connections_told(void *context, int error, const struct duress_workers_connection *connections,
                             size_t count)
{
    struct task *task = context;
    struct json_out out = {.buffer = &task->answer.body, .error = error};
    for (size_t i = 0; i < count && out.error == DURESS_OK; i++) {
        duress__json_raw(&out, task->handled_count++ > 0 ? "," : "");
        connection_write(&out, task->proxy, &connections[i]);
    }
    duress__task_relay_done(task, out.error);
}

static void connections_next(struct task *task)
{
    if (task->error != DURESS_OK) {
        duress__task_refuse(task, 500, duress_strerror(task->error));
        return;
    }
    task->index++;
    connections_step(task);
}

static void connections_step(struct task *task)
{
    const struct registry *registry = &task->daemon->registry;
    while (task->index < registry->count && registry->proxies[task->index]->relay == NULL)
        task->index++;
    if (task->index == registry->count) {
        struct json_out out = {.buffer = &task->answer.body};
        duress__json_raw(&out, "]");
        duress__task_json_end(task, &out);
        return;
    }
    task->proxy = registry->proxies[task->index];
    task->next = connections_next;
    int error = duress__relay_connections(task->proxy->relay, CONNECTIONS_MAX, connections_told, task);
    if (error != DURESS_OK)
        duress__task_refuse(task, 500, duress_strerror(error));
}

static void connections_turn(struct task *task)
{
    struct json_out out = duress__task_json(task, 200);
    duress__json_raw(&out, "[");
    if (out.error != DURESS_OK)
        duress__task_refuse_memory(task);
    else
        connections_step(task);
}

void duress__task_connections(struct task *task)
{
    duress__task_take_turn(task, connections_turn);
}
