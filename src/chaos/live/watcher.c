/* SPDX-License-Identifier: Apache-2.0 */
#include "watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duress/error.h>

enum { PATHS_MAX = 256, TRIES_MAX = 500 };
/* The kernel has killed what was in a cgroup, and a moment later it is empty. */
#define TRY_NS 10000000L

/* A cgroup can be removed once its last process is reaped. */
static void folder_remove(const char *path)
{
    const struct timespec wait = {.tv_nsec = TRY_NS};
    for (int i = 0; i < TRIES_MAX && rmdir(path) != 0 && errno == EBUSY; i++)
        (void)nanosleep(&wait, NULL);
}

/* Records are paths, each with its NUL; a write of one is never split, as it is shorter than PIPE_BUF. */
static void watch(int fd)
{
    static char paths[PATHS_MAX * (WATCHER_PATH_BYTES_MAX + 1)];
    size_t length = 0;
    for (;;) {
        ssize_t count = read(fd, paths + length, sizeof paths - length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        length += (size_t)count;
    }
    for (size_t at = 0; at < length; at += strlen(paths + at) + 1)
        folder_remove(paths + at);
}

int chaos__watcher_open(struct watcher *watcher)
{
    int ends[2];
    if (watcher->pid != 0)
        return DURESS_OK;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return DURESS_E_NO_DESCRIPTORS;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t all;
        (void)sigfillset(&all);
        (void)sigprocmask(SIG_BLOCK, &all, NULL); /* ^C is for those who are to be watched */
        (void)setsid();
        if (dup2(ends[0], STDIN_FILENO) >= 0) {
            (void)close_range(STDERR_FILENO, ~0U, 0);
            (void)close(STDOUT_FILENO);
            watch(STDIN_FILENO);
        }
        _exit(0);
    }
    (void)close(ends[0]);
    if (pid < 0) {
        (void)close(ends[1]);
        return DURESS_E_NO_MEMORY;
    }
    *watcher = (struct watcher){pid, ends[1]};
    return DURESS_OK;
}

int chaos__watcher_add(struct watcher *watcher, const char *path)
{
    size_t length = strlen(path) + 1;
    if (length > WATCHER_PATH_BYTES_MAX)
        return DURESS_E_TOO_LARGE;
    return write(watcher->fd, path, length) == (ssize_t)length ? DURESS_OK : DURESS_E_SYSTEM;
}

void chaos__watcher_close(struct watcher *watcher)
{
    if (watcher->pid == 0)
        return;
    (void)close(watcher->fd);
    while (waitpid(watcher->pid, NULL, 0) < 0 && errno == EINTR)
        ; /* interrupted by a signal */
    watcher->pid = 0;
}
