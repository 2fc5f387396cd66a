/* SPDX-License-Identifier: Apache-2.0
 *
 * A memory cgroup of our own, of version 1 or 2, whichever the machine has. */
#ifndef DURESS_CHAOS_CGROUP_H
#define DURESS_CHAOS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <duress/error.h>

enum { CGROUP_PATH_BYTES_MAX = 480 };

struct cgroup {
    char path[CGROUP_PATH_BYTES_MAX]; /* "": there is none */
    bool is_v2;
};

/* Makes one below the caller's own. PERMISSION and UNSUPPORTED with what is missing and how to get it in |why|. */
int chaos__cgroup_open(struct cgroup *cgroup, struct duress_failure *why);
/* Processes in it may take |bytes| of memory together, counted from when they entered. */
int chaos__cgroup_limit(const struct cgroup *cgroup, uint64_t bytes, struct duress_failure *why);
int chaos__cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct duress_failure *why);
/* How many processes the kernel has killed in it for want of memory. */
uint64_t chaos__cgroup_oom_kills(const struct cgroup *cgroup);
/* Removes it; its processes must be gone. */
void chaos__cgroup_close(struct cgroup *cgroup);

#endif
