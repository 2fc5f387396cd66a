/* SPDX-License-Identifier: Apache-2.0
 *
 * Toxics with a time to live. A link stops heeding such a toxic by itself, to the nanosecond; here it is taken out of
 * the registry, soon after. */
#include "daemon_private.h"

#include <duress/time.h>

static void expired_ended(void *context, struct task *task)
{
    (void)context;
    duress__task_free(task);
}

static void toxic_expire(struct daemon *daemon, const struct proxy_entry *proxy, const struct toxic_entry *toxic)
{
    struct task *task = duress__task_new_for(daemon, OPERATION_TOXIC_DELETE, proxy->name, toxic->name);
    if (task == NULL)
        return; /* without memory now; looked at again when something changes */
    task->only_expired = true;
    duress__task_begin(task, duress_slice_text(NULL), expired_ended, NULL);
}

void duress__expiry_update(struct daemon *daemon)
{
    uint64_t next_ns = DURESS_TIME_NEVER;
    for (size_t i = 0; i < daemon->registry.count; i++) {
        const struct proxy_entry *proxy = daemon->registry.proxies[i];
        for (size_t toxic = 0; toxic < proxy->toxic_count; toxic++)
            next_ns = duress_time_min(next_ns, proxy->toxics[toxic]->expires_ns);
    }
    duress__loop_arm(daemon->loop, &daemon->expiry, next_ns);
}

/* Each task may change the registry before it returns, so that the search begins anew after it. */
static bool one_expires(struct daemon *daemon, uint64_t now_ns)
{
    for (size_t i = 0; i < daemon->registry.count; i++) {
        const struct proxy_entry *proxy = daemon->registry.proxies[i];
        for (size_t index = 0; index < proxy->toxic_count; index++) {
            struct toxic_entry *toxic = proxy->toxics[index];
            if (toxic->expires_ns > now_ns || toxic->is_expiring)
                continue;
            toxic->is_expiring = true;
            toxic_expire(daemon, proxy, toxic);
            return true;
        }
    }
    return false;
}

void duress__expiry_due(void *context)
{
    struct daemon *daemon = context;
    uint64_t now_ns = duress__loop_now_ns(daemon->loop);
    while (one_expires(daemon, now_ns)) {
    }
}
