/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1024 };

static const char HINT[] = "needs the right to make a memory cgroup: run as root, or in a container with "
                           "/sys/fs/cgroup writable (systemd-run --scope -p Delegate=yes)";

/* Whether |word| is one of the words of |list|, between commas. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
        bool begins = at == list || at[-1] == ',';
        if (begins && (at[length] == '\0' || at[length] == ',' || at[length] == '\n'))
            return true;
    }
    return false;
}

static bool file_has_word(const char *folder, const char *name, const char *word)
{
    char path[CGROUP_PATH_BYTES_MAX + 64];
    char text[256] = "";
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    return read && strstr(text, word) != NULL;
}

/* Where the hierarchy that has the memory controller is mounted. */
static bool mount_find(char *mount, size_t capacity, bool *is_v2)
{
    char line[LINE_BYTES_MAX];
    bool found = false;
    FILE *file = fopen("/proc/self/mounts", "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        (void)strsep(&rest, " ");
        const char *folder = strsep(&rest, " ");
        const char *type = strsep(&rest, " ");
        const char *options = strsep(&rest, " ");
        if (folder == NULL || type == NULL || options == NULL || strlen(folder) >= capacity)
            continue;
        *is_v2 = strcmp(type, "cgroup2") == 0;
        found = *is_v2 ? file_has_word(folder, "cgroup.controllers", "memory")
                       : strcmp(type, "cgroup") == 0 && list_has(options, "memory");
        if (found)
            memcpy(mount, folder, strlen(folder) + 1);
    }
    (void)fclose(file);
    return found;
}

/* The caller's own cgroup in that hierarchy, as /proc names it; "" where that is the root. */
static void own_find(bool is_v2, char *own, size_t capacity)
{
    char line[LINE_BYTES_MAX];
    own[0] = '\0';
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        (void)strsep(&rest, ":");
        const char *controllers = strsep(&rest, ":");
        if (controllers == NULL || rest == NULL)
            continue;
        rest[strcspn(rest, "\n")] = '\0';
        if (is_v2 ? controllers[0] == '\0' : list_has(controllers, "memory"))
            (void)snprintf(own, capacity, "%s", strcmp(rest, "/") == 0 ? "" : rest);
    }
    (void)fclose(file);
}

static bool folder_make(struct cgroup *cgroup, const char *parent)
{
    static atomic_uint count;
    int length = snprintf(cgroup->path, sizeof cgroup->path, "%s/duress-%ld-%u", parent, (long)getpid(),
                          atomic_fetch_add(&count, 1));
    if (length > 0 && (size_t)length < sizeof cgroup->path && mkdir(cgroup->path, 0755) == 0)
        return true;
    cgroup->path[0] = '\0';
    return false;
}

static int refuse(struct duress_failure *why, enum duress_error code)
{
    duress_failure_set(why, code, DURESS_ORIGIN_NONE, "%s", HINT);
    return (int)code;
}

/* In version 2 a cgroup with processes in it has no others below it that count memory, but the root may. */
int chaos__cgroup_open(struct cgroup *cgroup, struct duress_failure *why)
{
    char mount[CGROUP_PATH_BYTES_MAX / 2];
    char own[CGROUP_PATH_BYTES_MAX / 2];
    char parent[CGROUP_PATH_BYTES_MAX];
    if (!mount_find(mount, sizeof mount, &cgroup->is_v2))
        return refuse(why, DURESS_E_UNSUPPORTED);
    own_find(cgroup->is_v2, own, sizeof own);
    (void)snprintf(parent, sizeof parent, "%s%s", mount, cgroup->is_v2 ? "" : own);
    if (folder_make(cgroup, parent) || folder_make(cgroup, mount))
        return DURESS_OK;
    return refuse(why, DURESS_E_PERMISSION);
}

static bool file_write(const struct cgroup *cgroup, const char *name, uint64_t value)
{
    char path[CGROUP_PATH_BYTES_MAX + 64];
    char text[32];
    (void)snprintf(path, sizeof path, "%s/%s", cgroup->path, name);
    int length = snprintf(text, sizeof text, "%" PRIu64, value);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool written = write(fd, text, (size_t)length) == length;
    (void)close(fd);
    return written;
}

int chaos__cgroup_limit(const struct cgroup *cgroup, uint64_t bytes, struct duress_failure *why)
{
    bool limited = file_write(cgroup, cgroup->is_v2 ? "memory.max" : "memory.limit_in_bytes", bytes);
    /* Without swap, where that can be said: it is to be killed, not to crawl. */
    (void)file_write(cgroup, cgroup->is_v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
                     cgroup->is_v2 ? 0 : bytes);
    return limited ? DURESS_OK : refuse(why, DURESS_E_PERMISSION);
}

int chaos__cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct duress_failure *why)
{
    return file_write(cgroup, "cgroup.procs", (uint64_t)pid) ? DURESS_OK : refuse(why, DURESS_E_PERMISSION);
}

uint64_t chaos__cgroup_oom_kills(const struct cgroup *cgroup)
{
    char path[CGROUP_PATH_BYTES_MAX + 64];
    char line[128];
    uint64_t kills = 0;
    if (cgroup->path[0] == '\0')
        return 0;
    (void)snprintf(path, sizeof path, "%s/%s", cgroup->path, cgroup->is_v2 ? "memory.events" : "memory.oom_control");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "oom_kill ", 9) == 0)
            kills = strtoull(line + 9, NULL, 10);
    (void)fclose(file);
    return kills;
}

void chaos__cgroup_close(struct cgroup *cgroup)
{
    if (cgroup->path[0] != '\0')
        (void)rmdir(cgroup->path);
    cgroup->path[0] = '\0';
}
