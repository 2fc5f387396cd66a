/* SPDX-License-Identifier: Apache-2.0
 *
 * Namespaces: a network for one test, whose ports collide with nobody's; a disk for one service, which goes with it. */
#include "launch.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static bool file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t length = strlen(text);
    bool written = write(fd, text, length) == (ssize_t)length;
    (void)close(fd);
    return written;
}

/* Without privilege a namespace comes with a user namespace, in which the caller is root. */
static bool namespace_enter(int kind)
{
    if (unshare(kind) == 0)
        return true;
    char user_map[64];
    char group_map[64];
    (void)snprintf(user_map, sizeof user_map, "0 %u 1", (unsigned)getuid());
    (void)snprintf(group_map, sizeof group_map, "0 %u 1", (unsigned)getgid());
    if (unshare(CLONE_NEWUSER | kind) != 0)
        return false;
    (void)file_write("/proc/self/setgroups", "deny");
    return file_write("/proc/self/uid_map", user_map) && file_write("/proc/self/gid_map", group_map);
}

bool chaos__namespace_network(void)
{
    if (!namespace_enter(CLONE_NEWNET))
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct ifreq request = {0};
    memcpy(request.ifr_name, "lo", 3);
    bool up = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    up = up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return up;
}

int chaos__namespace_disk(uint64_t bytes)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%llu,mode=700", (unsigned long long)bytes);
    if (!namespace_enter(CLONE_NEWNS))
        return DURESS_E_PERMISSION;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return DURESS_E_PERMISSION;
    if (mount("duress", DISK_PATH, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        return DURESS_E_PERMISSION;
    return DURESS_OK;
}
