/* SPDX-License-Identifier: Apache-2.0
 *
 * The watcher removes what the kernel does not remove by itself when a test's process is gone, however it went: process
 * groups of commands, and folders of cgroups. It is a process that holds the end of a pipe, and begins when the other
 * end is closed. */
#ifndef DURESS_CHAOS_WATCHER_H
#define DURESS_CHAOS_WATCHER_H

#include <sys/types.h>

struct watcher {
    pid_t pid; /* 0: there is none yet */
    int fd;
};

/* Begins to watch, where that is not done yet. DURESS_E_*. */
int chaos__watcher_open(struct watcher *watcher);
/* |path| is a folder that is to be removed at the end, at most WATCHER_PATH_BYTES_MAX. DURESS_E_*. */
enum { WATCHER_PATH_BYTES_MAX = 511 };
int chaos__watcher_add(struct watcher *watcher, const char *path);
/* A process group that is to be killed at the end, until it is dropped. DURESS_E_*. */
int chaos__watcher_add_group(struct watcher *watcher, pid_t group);
void chaos__watcher_drop_group(struct watcher *watcher, pid_t group);
/* Lets it remove what there is, and waits for that. */
void chaos__watcher_close(struct watcher *watcher);

#endif
