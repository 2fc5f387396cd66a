/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations that only look. */
#include "task.h"

#include "daemon_private.h"
#include "encode.h"
#include "metrics.h"

static void version_answer(struct task *task)
{
    struct json_out out = duress__task_json(task, 200);
    task->answer.type = ANSWER_VERSION;
    duress__json_raw(&out, "{\"version\": \"" DURESS_DAEMON_TOXIPROXY_VERSION "\"}\n");
    duress__task_json_end(task, &out);
}

void duress__task_read(struct task *task)
{
    const struct registry *registry = &task->daemon->registry;
    const struct proxy_entry *proxy = NULL;
    if (task->route.proxy != NULL)
        proxy = duress__registry_find(registry, task->route.proxy);
    if (task->operation == OPERATION_VERSION) {
        version_answer(task);
        return;
    }
    struct json_out out = duress__task_json(task, 200);
    switch (task->operation) {
    case OPERATION_PROXY_INDEX:
        duress__encode_registry(&out, registry);
        break;
    case OPERATION_PROXY_SHOW:
        duress__encode_proxy(&out, proxy);
        break;
    case OPERATION_TOXIC_INDEX:
        duress__encode_toxics(&out, proxy);
        break;
    case OPERATION_TOXIC_SHOW:
        duress__encode_toxic(&out, duress__proxy_toxic_find(proxy, task->route.toxic));
        break;
    case OPERATION_METRICS:
        task->answer.type = ANSWER_METRICS;
        duress__metrics_write(task->daemon, &out);
        break;
    default:
        break;
    }
    duress__task_json_end(task, &out);
}
