/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <duress/loop/socket.h>
#include <duress/world/live.h>
#include <duress/world/live_loop.h>

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

/* --- in the service's process --- */

struct process {
    struct live_service_memory *memory;
    struct duress_world *world;
    struct chaos_service_host *host;
    int signals_fd;             /* SIGTERM */
    struct duress_socket watch; /* of |signals_fd| */
    bool is_done;
    bool is_complete;
};

static void process_die(void *context, enum chaos_crash how)
{
    (void)context;
    (void)raise(how == CHAOS_CRASH_SIGSEGV ? SIGSEGV : SIGKILL);
}

static void process_drained(void *context, bool complete)
{
    struct process *process = context;
    process->is_complete = complete;
    process->is_done = true;
}

static void process_terminate(void *context, unsigned events)
{
    struct process *process = context;
    (void)events;
    duress__socket_unwatch(&process->watch);
    chaos__service_host_drain(process->host, process_drained, process);
}

static bool process_is_done(void *context)
{
    return ((struct process *)context)->is_done;
}

/* It dies of a signal where it is told to, whatever a sanitizer may have put in between, and leaves no core behind. */
static int signals_open(struct process *process)
{
    sigset_t stop;
    const struct rlimit none = {0, 0};
    (void)signal(SIGSEGV, SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    process->signals_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (process->signals_fd < 0)
        return DURESS_E_SYSTEM;
    int error = duress__socket_watch(duress__world_live_loop(process->world), &process->watch, process->signals_fd,
                                     process_terminate, process);
    if (error == DURESS_OK)
        duress__socket_want(&process->watch, DURESS_SOCKET_READABLE);
    return error;
}

static int process_open(struct process *process)
{
    struct duress_failure why = {0};
    const struct chaos_outside outside = {.die = process_die, .context = process};
    struct duress_address address = duress_address_loopback(process->memory->port);
    int error = duress_world_live_new(NULL, &process->world);
    if (error == DURESS_OK)
        error = signals_open(process);
    if (error == DURESS_OK)
        error = chaos__service_host_open(process->world, &process->memory->shared, &outside, &address, &process->host,
                                         &why);
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
    struct process process = {.memory = memory, .signals_fd = -1};
    int error = process_open(&process);
    if (error != DURESS_OK) {
        atomic_store(&memory->error, error);
        atomic_store(&memory->state, LIVE_SERVICE_FAILED);
        duress_world_free(process.world);
        return 1;
    }
    struct duress_address address = duress_server_address(chaos__service_host_server(process.host));
    atomic_store(&memory->listening_port, address.port);
    atomic_store(&memory->state, LIVE_SERVICE_READY);
    (void)duress_world_run_until(process.world, process_is_done, &process, DURESS_TIME_NEVER);
    chaos__service_host_close(process.host);
    duress__socket_unwatch(&process.watch);
    (void)close(process.signals_fd);
    duress_world_free(process.world);
    return process.is_complete ? 0 : CHAOS_EXIT_INCOMPLETE;
}

int chaos__launch_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "service") == 0)
        return service_main();
    (void)fprintf(stderr, "%s: this command is for the test runner's own use\n", CHAOS_LAUNCH_COMMAND);
    return 2;
}
