/* SPDX-License-Identifier: Apache-2.0
 *
 * Live services: a process each. Their ends come as the kernel tells them. */
#ifndef DURESS_CHAOS_LIVE_SERVICE_H
#define DURESS_CHAOS_LIVE_SERVICE_H

#include <duress/loop/socket.h>

#include "cgroup.h"
#include "launch.h"
#include "watcher.h"

enum { BURNERS_MAX = 64 };

struct live_service {
    struct live_service_memory *memory;
    int memory_fd;
    pid_t pid;                  /* 0: not running */
    int pid_fd;                 /* readable when it has ended */
    struct duress_socket watch; /* of |pid_fd| */
    struct cgroup cgroup;       /* of the process that runs */
    bool is_group;              /* a command: it leads a process group */
    int output_fd;              /* of a command: what it has written; 0: none */
    pid_t burners[BURNERS_MAX];
    size_t burner_count;
    struct chaos_cpu_time cpu_time; /* as last read */
};

/* Of the table of functions, whose comments say what they do. */
int chaos__live_service_start(struct chaos_service *service, struct duress_failure *why);
bool chaos__live_service_is_ready(struct chaos_service *service);
void chaos__live_service_crash(struct chaos_service *service, enum chaos_crash how);
void chaos__live_service_stop(struct chaos_service *service);
bool chaos__live_service_freeze(struct chaos_service *service, bool frozen);
int chaos__live_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes,
                               struct duress_failure *why);
int chaos__live_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm,
                            struct duress_failure *why);
struct chaos_cpu_time chaos__live_service_cpu_time(struct chaos_service *service);
int chaos__live_service_descriptors(struct chaos_service *service, uint32_t more, struct duress_failure *why);
uint64_t chaos__live_service_queued(struct chaos_service *service);
void chaos__live_service_show(struct chaos_service *service);
uint16_t chaos__live_port_draw(void);
void chaos__live_service_free(struct chaos_service *service);

/* Commands: starts one in a process group of its own, and says whether it is ready. */
int chaos__command_start(struct chaos_service *service, struct live_service *state, struct duress_failure *why);
bool chaos__command_is_ready(struct chaos_service *service, const struct live_service *state);
/* Whether a socket listens on |port| of this network, and how many connections wait there. */
bool chaos__port_listens(uint16_t port, uint64_t *waiting);

/* What limits the process that has ended, and those who burn its processor, go. */
void chaos__live_scarcity_end(struct live_service *state);

/* Who removes cgroups when the test's process is gone. */
struct watcher *chaos__live_watcher(struct chaos *chaos);

/* The loop of the test's world. */
struct duress_loop *chaos__live_loop(struct chaos *chaos);

/* Looks whether it has ended, and tells. */
void chaos__live_service_look(struct chaos_service *service);

#endif
