/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include <duress/time.h>

#include "body.h"
#include "config.h"
#include "daemon_private.h"

struct loading {
    bool done;
    struct refusal refusal;
    size_t handled_count;
};

static void loading_ended(void *context, struct task *task)
{
    struct loading *loading = context;
    loading->done = true;
    loading->refusal = task->refusal;
    loading->handled_count = task->handled_count;
}

static bool loading_is_done(void *context)
{
    const struct loading *loading = context;
    return loading->done;
}

/* As a POST of |content| to /populate. */
static void populate(struct daemon *daemon, struct duress_slice content, struct loading *loading)
{
    char *target = duress__text_copy(daemon->allocator, "/populate");
    struct task *task = target != NULL ? duress__task_new(daemon, target, "POST") : NULL;
    *loading = (struct loading){.done = false};
    if (task == NULL) {
        (void)duress__refuse(&loading->refusal, 500, "%s", duress_strerror(DURESS_E_NO_MEMORY));
        return;
    }
    duress__task_begin(task, content, loading_ended, loading);
    (void)duress__loop_run_until(daemon->loop, loading_is_done, loading, DURESS_TIME_NEVER);
    duress__task_free(task);
}

/* --- configuration --- */

static bool config_load(struct daemon *daemon)
{
    const char *path = daemon->options->config;
    struct loading loading = {.refusal = {.status = 0}};
    struct duress_buffer content;
    char why[CONFIG_WHY_BYTES_MAX];
    if (path == NULL || *path == '\0')
        return true;
    duress_buffer_init(&content, CONFIG_BYTES_MAX, daemon->allocator);
    bool read = duress__config_read(path, &content, why);
    if (!read)
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, why, "Error reading config file");
    else
        populate(daemon, duress_buffer_slice(&content), &loading);
    duress_buffer_close(&content);
    if (loading.refusal.status != 0)
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, loading.refusal.text,
                          "Failed to populate proxies from file");
    else if (read && duress__log_begin(&daemon->log, DURESS_DAEMON_LOG_INFO)) {
        duress__log_string(&daemon->log, "config", path);
        duress__log_integer(&daemon->log, "proxies", (int64_t)loading.handled_count);
        duress__log_end(&daemon->log, LOG_CALLER, "Populated proxies from file");
    }
    return read && loading.refusal.status == 0;
}

/* --- state --- */

/* One proxy of the state file. One that cannot listen any more is there all the same, disabled. */
static void proxy_restore(struct daemon *daemon, json_t *proxy)
{
    struct loading loading;
    for (int attempt = 0; attempt < 2; attempt++) {
        json_t *list = json_pack("[O]", proxy);
        char *text = list != NULL ? json_dumps(list, JSON_COMPACT) : NULL;
        json_decref(list);
        if (text == NULL)
            return;
        populate(daemon, duress_slice_text(text), &loading);
        free(text);
        if (loading.refusal.status == 0)
            return;
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, loading.refusal.text,
                          "Cannot restore a proxy from the state file");
        (void)json_object_set_new(proxy, "enabled", json_false());
    }
}

static bool state_restore(struct daemon *daemon, struct duress_slice content)
{
    struct refusal refusal = {.status = 0};
    json_t *list = duress__body_parse(content, &refusal);
    bool whole = json_is_array(list);
    if (!whole)
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR,
                          refusal.status != 0 ? refusal.text : "no list of proxies", "Error reading state file");
    for (size_t i = 0; whole && i < json_array_size(list); i++)
        proxy_restore(daemon, json_array_get(list, i));
    json_decref(list);
    return whole;
}

/* A file that is there and cannot be read ends the start: going on would write over what it holds. */
static bool state_load(struct daemon *daemon)
{
    const char *path = daemon->options->state;
    struct duress_buffer content;
    char why[CONFIG_WHY_BYTES_MAX];
    if (path == NULL)
        return true;
    duress_buffer_init(&content, CONFIG_BYTES_MAX, daemon->allocator);
    bool fine = true;
    if (access(path, F_OK) == 0) {
        fine = duress__file_read(path, &content, why);
        if (!fine)
            duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, why, "Error reading state file");
        fine = fine && state_restore(daemon, duress_buffer_slice(&content));
    }
    duress_buffer_close(&content);
    if (fine && !duress__state_init(&daemon->state, daemon, path)) {
        duress__log_error(&daemon->log, DURESS_DAEMON_LOG_ERROR, path, "The name of the state file is too long");
        fine = false;
    }
    return fine;
}

bool duress__load(struct daemon *daemon)
{
    if (!state_load(daemon))
        return false;
    bool whole = config_load(daemon);
    return whole || !daemon->options->strict;
}
