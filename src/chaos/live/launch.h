/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes of live tests. A service under test is our own program, started anew with CHAOS_LAUNCH_COMMAND as its
 * first argument, so that it shares nothing with the test but one piece of memory: what it shall do, where it listens,
 * and its arrival log, which outlives its death by SIGKILL. */
#ifndef DURESS_CHAOS_LAUNCH_H
#define DURESS_CHAOS_LAUNCH_H

#include <sys/types.h>

#include "../internal.h"

#define CHAOS_LAUNCH_COMMAND "_launch"

enum live_service_state {
    LIVE_SERVICE_STARTING = 0,
    LIVE_SERVICE_READY,
    LIVE_SERVICE_FAILED,
};

/* Shared between the test and the service's process. */
struct live_service_memory {
    uint16_t port; /* in: the port to use, 0 for any */
    _Atomic uint32_t state;
    _Atomic uint32_t listening_port;
    _Atomic int error; /* where it FAILED */
    struct chaos_shared shared;
};

/* Maps a fresh piece of memory, whose descriptor (close-on-exec) is in *fd. NULL where there is none. */
struct live_service_memory *chaos__live_memory_new(int *fd);
void chaos__live_memory_free(struct live_service_memory *memory, int fd);

enum { MEMORY_FD_IN_CHILD = 3 };

/* Starts this program anew with CHAOS_LAUNCH_COMMAND and |arguments| (up to a NULL), and the memory behind |memory_fd|
 * (-1: none). It dies with the calling process. DURESS_E_*. */
enum { LAUNCH_ARGUMENTS_MAX = 4 };
int chaos__launch(const char *const *arguments, int memory_fd, pid_t *pid);

/* The entrance of such a process: |argv| begins with CHAOS_LAUNCH_COMMAND. Returns its exit code. */
int chaos__launch_main(int argc, char **argv);
/* Of a service, and of what burns a processor for |duty_ppm_text| of the time. */
int chaos__process_main(void);
int chaos__burner_main(const char *cpu_text, const char *duty_ppm_text);

/* Mounts an empty disk of |bytes| over DISK_PATH that only the calling process and its children see. PERMISSION where
 * it may not. */
#define DISK_PATH "/tmp"
int chaos__namespace_disk(uint64_t bytes);

/* Gives the calling process a network of its own, with loopback up, where the kernel allows it. Says whether it did. */
bool chaos__namespace_network(void);

#endif
