/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <duress/world/live.h>

enum { MEMORY_FD_IN_CHILD = 3 };

struct live_service_memory *chaos__live_memory_new(int *fd)
{
    int made = memfd_create("duress-service", MFD_CLOEXEC);
    if (made < 0)
        return NULL;
    struct live_service_memory *memory = MAP_FAILED;
    if (ftruncate(made, sizeof *memory) == 0)
        memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (memory == MAP_FAILED) {
        (void)close(made);
        return NULL;
    }
    *fd = made;
    return memory;
}

void chaos__live_memory_free(struct live_service_memory *memory, int fd)
{
    if (memory == NULL)
        return;
    (void)munmap(memory, sizeof *memory);
    (void)close(fd);
}

static void child_exec(int memory_fd, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* The parent died before the line above took effect. */
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (memory_fd == MEMORY_FD_IN_CHILD) {
        int copy = dup(memory_fd); /* dup2 onto itself would keep close-on-exec */
        (void)close(memory_fd);
        memory_fd = copy;
    }
    if (dup2(memory_fd, MEMORY_FD_IN_CHILD) < 0)
        _exit(1);
    (void)close_range(MEMORY_FD_IN_CHILD + 1, ~0U, 0);
    char program[] = "duress";
    char command[] = CHAOS_LAUNCH_COMMAND;
    char kind[] = "service";
    char *arguments[] = {program, command, kind, NULL};
    (void)execv("/proc/self/exe", arguments);
    _exit(1);
}

int chaos__launch_service(int memory_fd, pid_t *pid)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return errno == ENOMEM ? DURESS_E_NO_MEMORY : DURESS_E_SYSTEM;
    if (child == 0)
        child_exec(memory_fd, parent);
    *pid = child;
    return DURESS_OK;
}

static bool never_done(void *context)
{
    (void)context;
    return false;
}

static int service_open(struct live_service_memory *memory, struct duress_world **world,
                        struct chaos_service_host **host)
{
    struct duress_failure why = {0};
    struct duress_address address = duress_address_loopback(memory->port);
    int error = duress_world_live_new(NULL, world);
    if (error == DURESS_OK)
        error = chaos__service_host_open(*world, &memory->config, &memory->log, &address, host, &why);
    if (error != DURESS_OK)
        (void)fprintf(stderr, "service: cannot listen: %s %s\n", duress_strerror(error), why.detail);
    return error;
}

static int service_main(void)
{
    struct live_service_memory *memory =
        mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY_FD_IN_CHILD, 0);
    if (memory == MAP_FAILED) {
        (void)fprintf(stderr, "%s: this command is for the test runner's own use\n", CHAOS_LAUNCH_COMMAND);
        return 2;
    }
    struct duress_world *world = NULL;
    struct chaos_service_host *host = NULL;
    int error = service_open(memory, &world, &host);
    if (error != DURESS_OK) {
        atomic_store(&memory->error, error);
        atomic_store(&memory->state, LIVE_SERVICE_FAILED);
        duress_world_free(world);
        return 1;
    }
    struct duress_address address = duress_server_address(chaos__service_host_server(host));
    atomic_store(&memory->listening_port, address.port);
    atomic_store(&memory->state, LIVE_SERVICE_READY);
    (void)duress_world_run_until(world, never_done, NULL, DURESS_TIME_NEVER);
    chaos__service_host_close(host);
    duress_world_free(world);
    return 0;
}

int chaos__launch_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "service") == 0)
        return service_main();
    (void)fprintf(stderr, "%s: this command is for the test runner's own use\n", CHAOS_LAUNCH_COMMAND);
    return 2;
}
