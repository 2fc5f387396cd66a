/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon_private.h"
#include "encode.h"

bool duress__state_init(struct state *state, struct daemon *daemon, const char *path)
{
    *state = (struct state){.daemon = daemon, .path = path};
    duress_buffer_init(&state->content, 0, daemon->allocator);
    state->work.data = state;
    if (path == NULL)
        return true;
    int length = snprintf(state->temporary, sizeof state->temporary, "%s.new", path);
    return length > 0 && (size_t)length < sizeof state->temporary;
}

void duress__state_deinit(struct state *state)
{
    duress_buffer_close(&state->content);
}

bool duress__state_is_busy(const struct state *state)
{
    return state->writing || state->wanted;
}

/* --- writing; on a thread of libuv's, which has |content| for itself meanwhile --- */

static int bytes_write(int fd, struct duress_slice bytes)
{
    while (bytes.length > 0) {
        ssize_t count = write(fd, bytes.data, bytes.length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno;
        bytes.data += count;
        bytes.length -= (size_t)count;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

/* The name's change is on the disk once the folder is. */
static void folder_sync(const char *path)
{
    char copy[4096];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

static int file_replace(const struct state *state)
{
    int fd = open(state->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = bytes_write(fd, duress_buffer_slice(&state->content));
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(state->temporary, state->path) != 0)
        error = errno;
    if (error == 0)
        folder_sync(state->path);
    else
        (void)unlink(state->temporary);
    return error;
}

static void work_run(uv_work_t *work)
{
    struct state *state = work->data;
    state->error = file_replace(state);
}

/* --- on the loop --- */

static void content_make(struct state *state)
{
    struct json_out out = {.buffer = &state->content};
    const struct registry *registry = &state->daemon->registry;
    duress_buffer_clear(&state->content);
    duress__json_raw(&out, "[");
    for (size_t i = 0; i < registry->count; i++) {
        duress__json_raw(&out, i > 0 ? ",\n" : "\n");
        duress__encode_proxy(&out, registry->proxies[i]);
    }
    duress__json_raw(&out, "\n]\n");
    state->error = out.error == DURESS_OK ? 0 : ENOMEM;
}

static void write_ended(struct state *state)
{
    struct task *task = state->writing_first;
    state->writing_first = NULL;
    if (state->error != 0)
        duress__log_error(&state->daemon->log, DURESS_DAEMON_LOG_ERROR, strerror(state->error),
                          "Cannot write the state file");
    while (task != NULL) {
        struct task *next = task->turn_next;
        task->turn_next = NULL;
        duress__task_finish(task);
        task = next;
    }
}

static void write_begin(struct state *state);

static void work_done(uv_work_t *work, int status)
{
    struct state *state = work->data;
    (void)status;
    state->writing = false;
    write_ended(state);
    if (state->wanted && !state->writing)
        write_begin(state);
}

static void write_begin(struct state *state)
{
    state->wanted = false;
    state->writing_first = state->waiting_first;
    state->waiting_first = NULL;
    state->waiting_last = NULL;
    content_make(state);
    state->writing = state->error == 0 &&
                     uv_queue_work(duress__loop_uv(state->daemon->loop), &state->work, work_run, work_done) == 0;
    if (state->writing)
        return;
    state->error = ENOMEM;
    write_ended(state);
}

bool duress__state_save(struct state *state, struct task *task)
{
    if (state->path == NULL)
        return false;
    if (task != NULL) {
        task->turn_next = NULL;
        if (state->waiting_first == NULL)
            state->waiting_first = task;
        else
            state->waiting_last->turn_next = task;
        state->waiting_last = task;
    }
    state->wanted = true;
    if (!state->writing)
        write_begin(state);
    return true;
}
