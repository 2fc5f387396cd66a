/* SPDX-License-Identifier: Apache-2.0 */
#include "watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duress/error.h>

enum { RECORDS_MAX = 256, TRIES_MAX = 500 };
/* The kernel has killed what was in a cgroup, and a moment later it is empty. */
#define TRY_NS 10000000L

/* A cgroup can be removed once its last process is reaped. */
static void folder_remove(const char *path)
{
    const struct timespec wait = {.tv_nsec = TRY_NS};
    for (int i = 0; i < TRIES_MAX && rmdir(path) != 0 && errno == EBUSY; i++)
        (void)nanosleep(&wait, NULL);
}

/* --- records: a letter and a text with its NUL; a write of one is never split, as it is shorter than PIPE_BUF --- */

enum {
    RECORD_FOLDER = 'f',
    RECORD_GROUP = 'g',
    RECORD_GROUP_GONE = 'x',
};

static char records[RECORDS_MAX * (WATCHER_PATH_BYTES_MAX + 2)];
static size_t records_length;

static bool group_is_gone(const char *group, size_t from)
{
    for (size_t at = from; at < records_length; at += strlen(records + at) + 1)
        if (records[at] == RECORD_GROUP_GONE && strcmp(records + at + 1, group) == 0)
            return true;
    return false;
}

/* Processes first, as they may hold what else is to go. */
static void all_remove(void)
{
    for (size_t at = 0; at < records_length; at += strlen(records + at) + 1)
        if (records[at] == RECORD_GROUP && !group_is_gone(records + at + 1, at))
            (void)kill(-(pid_t)strtol(records + at + 1, NULL, 10), SIGKILL);
    for (size_t at = 0; at < records_length; at += strlen(records + at) + 1)
        if (records[at] == RECORD_FOLDER)
            folder_remove(records + at + 1);
}

static void watch(int fd)
{
    for (;;) {
        ssize_t count = read(fd, records + records_length, sizeof records - records_length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        records_length += (size_t)count;
    }
    all_remove();
}

static int record_write(struct watcher *watcher, char kind, const char *text)
{
    char record[WATCHER_PATH_BYTES_MAX + 2];
    int length = snprintf(record, sizeof record, "%c%s", kind, text) + 1;
    if ((size_t)length > sizeof record)
        return DURESS_E_TOO_LARGE;
    return write(watcher->fd, record, (size_t)length) == length ? DURESS_OK : DURESS_E_SYSTEM;
}

int chaos__watcher_add(struct watcher *watcher, const char *path)
{
    return record_write(watcher, RECORD_FOLDER, path);
}

int chaos__watcher_add_group(struct watcher *watcher, pid_t group)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%ld", (long)group);
    return record_write(watcher, RECORD_GROUP, text);
}

void chaos__watcher_drop_group(struct watcher *watcher, pid_t group)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%ld", (long)group);
    (void)record_write(watcher, RECORD_GROUP_GONE, text);
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

void chaos__watcher_close(struct watcher *watcher)
{
    if (watcher->pid == 0)
        return;
    (void)close(watcher->fd);
    while (waitpid(watcher->pid, NULL, 0) < 0 && errno == EINTR)
        ; /* interrupted by a signal */
    watcher->pid = 0;
}
