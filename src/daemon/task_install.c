/* SPDX-License-Identifier: Apache-2.0
 *
 * How a proxy comes to listen: a new one, one in place of another, one that was disabled. The new address is bound
 * before the old proxy is stopped, so that a failure changes nothing; only where both have the same port the old one
 * has to go first, and is started again after a failure. */
#include "task.h"

#include <stdio.h>

#include "daemon_private.h"

void duress__task_refuse_listen(struct task *task, const struct address *address, int error)
{
    const char *text = duress_strerror(error);
    if (error == DURESS_E_ADDRESS_IN_USE)
        text = "bind: address already in use";
    else if (error == DURESS_E_ADDRESS_UNAVAILABLE)
        text = "bind: cannot assign requested address";
    else if (error == DURESS_E_PERMISSION)
        text = "bind: permission denied";
    else if (error == DURESS_E_NO_DESCRIPTORS)
        text = "socket: too many open files";
    (void)duress__refuse(&task->refusal, 500, "listen tcp %s: %s", address->asked, text);
}

static void relay_begin(struct task *task, const struct proxy_entry *proxy, const struct proxy_entry *toxics,
                        const struct address *address, struct relay **relay)
{
    struct daemon *daemon = task->daemon;
    DURESS_ASSERT(proxy != NULL && toxics != NULL);
    struct relay_options options = {
        .allocator = daemon->allocator,
        .workers = daemon->workers,
        .listen = address,
        .upstream = proxy->upstream,
        .seed = duress_seed_for_name(daemon->seed, proxy->name),
        .buffer_bytes_max = daemon->options->buffer_bytes_max,
        .toxics = toxics->toxics,
        .toxic_count = toxics->toxic_count,
    };
    duress__relay_start(&options, relay, duress__task_relay_done, task);
}

/* The entry's text becomes that of where its relay listens. Out of memory it stays: still a text that leads there. */
static void listen_text_set(struct daemon *daemon, struct proxy_entry *proxy)
{
    struct address address;
    char text[ADDRESS_TEXT_BYTES_MAX];
    duress__relay_address(proxy->relay, &address);
    char *copy = duress__text_copy(daemon->allocator, duress__address_format(&address, text));
    if (copy == NULL)
        return;
    duress_release(daemon->allocator, proxy->listen);
    proxy->listen = copy;
}

static void proxy_started(struct daemon *daemon, struct proxy_entry *proxy)
{
    proxy->enabled = true;
    listen_text_set(daemon, proxy);
    duress__log_proxy(&daemon->log, DURESS_DAEMON_LOG_INFO, proxy, "Started proxy");
}

void duress__proxy_traffic(const struct proxy_entry *proxy, struct traffic *traffic)
{
    struct traffic sum = proxy->past;
    if (proxy->relay != NULL) {
        struct duress_workers_counts counts = duress__relay_counts(proxy->relay);
        sum.accepted += counts.accepted;
        sum.failed_dials += counts.failed_dials;
        sum.dial_sum_ns += counts.dial_sum_ns;
        for (size_t i = 0; i < DURESS_WORKERS_DIAL_BUCKET_COUNT; i++)
            sum.dials[i] += counts.dials[i];
        for (size_t i = 0; i < DURESS_DIRECTION_COUNT; i++) {
            sum.received_bytes[i] += counts.direction[i].bytes_in;
            sum.sent_bytes[i] += counts.direction[i].bytes_out;
        }
    }
    *traffic = sum;
}

/* The relay is about to be freed; what it has counted stays. */
static void relay_end(struct proxy_entry *proxy)
{
    duress__proxy_traffic(proxy, &proxy->past);
    proxy->relay = NULL;
}

/* --- installing --- */

/* The new entry takes the old one's place, and what is to be kept of it. */
static void install_commit(struct task *task)
{
    struct daemon *daemon = task->daemon;
    struct installation *installation = &task->installation;
    struct proxy_entry *made = installation->made;
    struct proxy_entry *old = installation->old;
    if (old != NULL) {
        duress__registry_remove(&daemon->registry, old);
        made->past = old->past;
        if (installation->keeps_toxics) {
            made->toxics = old->toxics;
            made->toxic_count = old->toxic_count;
            made->toxic_capacity = old->toxic_capacity;
            old->toxics = NULL;
            old->toxic_count = 0;
        }
        if (old->enabled)
            duress__log_proxy(&daemon->log, DURESS_DAEMON_LOG_INFO, old, "Terminated proxy");
        duress__proxy_entry_free(daemon->allocator, old);
    }
    duress__registry_add(&daemon->registry, made);
    made->relay = installation->relay;
    if (installation->enable)
        proxy_started(daemon, made);
    task->proxy = made;
    installation->made = NULL;
    duress__task_then(task, installation->next);
}

static void install_failed(struct task *task)
{
    struct installation *installation = &task->installation;
    duress__task_refuse_listen(task, &installation->address, installation->error);
    duress__proxy_entry_free(task->daemon->allocator, installation->made);
    installation->made = NULL;
    duress__task_then(task, installation->next);
}

/* The old proxy was started again, or could not be: then it is disabled, and says so. */
static void install_old_back(struct task *task)
{
    struct proxy_entry *old = task->installation.old;
    old->enabled = task->error == DURESS_OK;
    if (!old->enabled)
        old->relay = NULL;
    install_failed(task);
}

static void install_started(struct task *task)
{
    struct installation *installation = &task->installation;
    struct proxy_entry *old = installation->old;
    struct address address;
    installation->error = task->error;
    if (task->error == DURESS_OK && old != NULL && old->relay != NULL) {
        struct relay *relay = old->relay;
        relay_end(old);
        task->next = install_commit;
        duress__relay_stop(relay, duress__task_relay_done, task);
    } else if (task->error == DURESS_OK) {
        install_commit(task);
    } else if (old != NULL && installation->old_stopped && duress__task_address(task, old->listen, "", &address)) {
        task->next = install_old_back;
        relay_begin(task, old, old, &address, &old->relay);
    } else {
        install_failed(task);
    }
}

static void install_start(struct task *task)
{
    struct installation *installation = &task->installation;
    struct proxy_entry *old = installation->old;
    if (!installation->enable) {
        install_commit(task);
        return;
    }
    task->next = install_started;
    relay_begin(task, installation->made, installation->keeps_toxics ? old : installation->made, &installation->address,
                &installation->relay);
}

/* Two sockets cannot listen on the same port of overlapping addresses. */
static bool old_is_in_the_way(const struct installation *installation)
{
    struct address address;
    if (installation->old == NULL || installation->old->relay == NULL)
        return false;
    duress__relay_address(installation->old->relay, &address);
    return !installation->enable || duress__address_port(&address) == duress__address_port(&installation->address);
}

void duress__task_install(struct task *task)
{
    struct installation *installation = &task->installation;
    size_t proxies_max = task->daemon->options->proxies_max;
    if (installation->old == NULL && proxies_max > 0 && task->daemon->registry.count >= proxies_max) {
        (void)duress__refuse(&task->refusal, 503, "%zu proxies are there, as many as are allowed", proxies_max);
        duress__task_then(task, installation->next);
        return;
    }
    if (duress__registry_reserve(&task->daemon->registry) != DURESS_OK) {
        (void)duress__refuse(&task->refusal, 500, "%s", duress_strerror(DURESS_E_NO_MEMORY));
        duress__task_then(task, installation->next);
        return;
    }
    if (!old_is_in_the_way(installation)) {
        install_start(task);
        return;
    }
    struct relay *relay = installation->old->relay;
    installation->old_stopped = installation->old->enabled;
    relay_end(installation->old);
    task->next = install_start;
    duress__relay_stop(relay, duress__task_relay_done, task);
}

/* --- another address --- */

static void change_done(struct task *task)
{
    struct proxy_entry *proxy = task->proxy;
    struct installation *installation = &task->installation;
    if (task->error != DURESS_OK) {
        duress__task_refuse_listen(task, &installation->address, task->error);
    } else {
        duress_release(task->daemon->allocator, proxy->upstream);
        proxy->upstream = installation->upstream;
        installation->upstream = NULL;
        listen_text_set(task->daemon, proxy);
        duress__log_proxy(&task->daemon->log, DURESS_DAEMON_LOG_INFO, proxy, "Changed proxy");
    }
    duress__task_then(task, installation->next);
}

void duress__task_change(struct task *task, const struct address *listen, const char *upstream, task_fn next)
{
    struct installation *installation = &task->installation;
    *installation = (struct installation){.next = next};
    installation->upstream = duress__text_copy(task->daemon->allocator, upstream);
    if (installation->upstream == NULL) {
        duress__task_refuse_memory(task);
        return;
    }
    if (listen != NULL)
        installation->address = *listen;
    else
        duress__relay_address(task->proxy->relay, &installation->address);
    task->next = change_done;
    duress__relay_change(task->proxy->relay, listen, installation->upstream, duress__task_relay_done, task);
}

/* --- enabling and disabling --- */

static void enable_done(struct task *task)
{
    struct proxy_entry *proxy = task->proxy;
    if (task->error == DURESS_OK)
        proxy_started(task->daemon, proxy);
    else
        duress__task_refuse_listen(task, &task->installation.address, task->error);
    duress__task_then(task, task->installation.next);
}

void duress__task_enable(struct task *task, const struct address *address, task_fn next)
{
    struct proxy_entry *proxy = task->proxy;
    task->installation = (struct installation){.address = *address, .next = next};
    task->next = enable_done;
    if (proxy->relay != NULL)
        duress__relay_up(proxy->relay, duress__task_relay_done, task);
    else
        relay_begin(task, proxy, proxy, address, &proxy->relay);
}

static void disable_done(struct task *task)
{
    if (task->error != DURESS_OK) {
        duress__task_refuse(task, 500, duress_strerror(task->error));
        return;
    }
    task->proxy->enabled = false;
    duress__log_proxy(&task->daemon->log, DURESS_DAEMON_LOG_INFO, task->proxy, "Terminated proxy");
    duress__task_then(task, task->installation.next);
}

void duress__task_disable(struct task *task, task_fn next)
{
    task->installation = (struct installation){.next = next};
    task->next = disable_done;
    duress__relay_down(task->proxy->relay, duress__task_relay_done, task);
}

static void remove_done(struct task *task)
{
    struct daemon *daemon = task->daemon;
    struct proxy_entry *proxy = task->proxy;
    if (proxy->enabled)
        duress__log_proxy(&daemon->log, DURESS_DAEMON_LOG_INFO, proxy, "Terminated proxy");
    duress__registry_remove(&daemon->registry, proxy);
    duress__proxy_entry_free(daemon->allocator, proxy);
    task->proxy = NULL;
    duress__task_then(task, task->installation.next);
}

void duress__task_remove(struct task *task, task_fn next)
{
    struct relay *relay = task->proxy->relay;
    task->installation = (struct installation){.next = next};
    task->next = remove_done;
    task->proxy->relay = NULL;
    if (relay != NULL)
        duress__relay_stop(relay, duress__task_relay_done, task);
    else
        duress__task_then(task, remove_done);
}
