/* SPDX-License-Identifier: Apache-2.0
 *
 * The state file: all proxies and toxics, as a body of /populate. It is written whole to a file beside it, brought to
 * the disk, and put in its place, so that after a crash of any kind there is the old one or the new one. A thread of
 * libuv's writes; requests that changed something are answered once a file that holds the change is in place, many of
 * them after one write. Private to daemon/. */
#ifndef DURESS_DAEMON_STATE_H
#define DURESS_DAEMON_STATE_H

#include <stdbool.h>
#include <uv.h>

#include <duress/wire/buffer.h>

struct daemon;
struct task;

struct state {
    struct daemon *daemon;
    const char *path; /* borrowed; NULL: there is none */
    uv_work_t work;
    bool writing;
    bool wanted; /* something changed since the writing began */
    struct duress_buffer content;
    char temporary[4096];
    int error;                  /* errno of the write; 0 */
    struct task *writing_first; /* answered when the write that runs is done */
    struct task *waiting_first; /* when the next one is */
    struct task *waiting_last;
};

/* |path| is borrowed; NULL: nothing is ever written. False where it is too long. */
bool duress__state_init(struct state *state, struct daemon *daemon, const char *path);
void duress__state_deinit(struct state *state);

/* Has the registry, as it is now, written. |task| (may be NULL) is finished with duress__task_finish() when it is.
 * False where there is no file: nothing is done. */
bool duress__state_save(struct state *state, struct task *task);

/* A write runs, or is about to. */
bool duress__state_is_busy(const struct state *state);

#endif
