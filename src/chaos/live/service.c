/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- ends --- */

/* To the process, or to all of its group. */
static int process_signal(const struct live_service *state, int number)
{
    return kill(state->is_group ? -state->pid : state->pid, number);
}

static void process_forget(struct chaos_service *service, struct live_service *state)
{
    if (state->is_group) {
        (void)process_signal(state, SIGKILL); /* what its leader has left */
        chaos__watcher_drop_group(chaos__live_watcher(service->chaos), state->pid);
    }
    duress__socket_unwatch(&state->watch);
    (void)close(state->pid_fd);
    chaos__live_scarcity_end(state);
    state->pid = 0;
}

static enum chaos_end_how status_end(const struct live_service *state, int status)
{
    if (WIFEXITED(status))
        return CHAOS_END_EXITED;
    if (WTERMSIG(status) == SIGKILL)
        return chaos__cgroup_oom_kills(&state->cgroup) > 0 ? CHAOS_END_OOM : CHAOS_END_SIGKILL;
    return WTERMSIG(status) == SIGSEGV ? CHAOS_END_SIGSEGV : CHAOS_END_OTHER;
}

/* One that could not start says why; what its process ended with adds nothing to that. */
static void start_failed(struct chaos_service *service, int error)
{
    struct duress_failure why;
    duress_failure_set(&why, (enum duress_error)error, DURESS_ORIGIN_NONE, "%s cannot listen", service->name);
    if (error == DURESS_E_PERMISSION && service->config.disk_bytes > 0 && service->chaos->loop_depth == 0)
        chaos_skip(service->chaos, "needs a mount namespace: run as root, or allow user namespaces "
                                   "(sysctl kernel.apparmor_restrict_unprivileged_userns=0)");
    chaos__broken(service->chaos, "start a service", &why);
}

/* Reaps the process, where it has ended; |options| of waitpid(). */
static void process_reap(struct chaos_service *service, int options)
{
    struct live_service *state = service->driver_state;
    int status = 0;
    pid_t pid;
    if (state == NULL || state->pid == 0)
        return;
    do
        pid = waitpid(state->pid, &status, options);
    while (pid < 0); /* interrupted by a signal */
    if (pid == 0)
        return;
    enum chaos_end_how how = status_end(state, status);
    process_forget(service, state);
    if (atomic_load(&state->memory->state) == LIVE_SERVICE_FAILED)
        start_failed(service, atomic_load(&state->memory->error));
    else
        chaos__service_ended(service, how, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

void chaos__live_service_look(struct chaos_service *service)
{
    process_reap(service, WNOHANG);
}

static void process_ended(void *context, unsigned events)
{
    (void)events;
    chaos__live_service_look(context);
}

/* --- starting --- */

static int process_watch(struct chaos_service *service, struct live_service *state)
{
    state->pid_fd = (int)syscall(SYS_pidfd_open, state->pid, 0);
    if (state->pid_fd < 0)
        return DURESS_E_SYSTEM;
    int error =
        duress__socket_watch(chaos__live_loop(service->chaos), &state->watch, state->pid_fd, process_ended, service);
    if (error == DURESS_OK)
        duress__socket_want(&state->watch, DURESS_SOCKET_READABLE);
    else
        (void)close(state->pid_fd);
    return error;
}

static int process_begin(struct chaos_service *service, struct live_service *state, struct duress_failure *why)
{
    atomic_store(&state->memory->state, LIVE_SERVICE_STARTING);
    state->memory->port = service->address.port;
    static const char *const arguments[] = {"service", NULL};
    int error = service->command.arguments != NULL ? chaos__command_start(service, state, why)
                                                   : chaos__launch(arguments, state->memory_fd, &state->pid);
    if (error == DURESS_OK) {
        error = process_watch(service, state);
        if (error == DURESS_OK)
            return DURESS_OK;
        (void)kill(state->pid, SIGKILL);
        (void)waitpid(state->pid, NULL, 0);
        state->pid = 0;
    }
    duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_NONE, "cannot start %s", service->name);
    return error;
}

int chaos__live_service_start(struct chaos_service *service, struct duress_failure *why)
{
    struct live_service *state = service->driver_state;
    if (state != NULL)
        return process_begin(service, state, why);
    state = chaos__allocate(service->chaos, sizeof *state);
    service->driver_state = state;
    state->memory = chaos__live_memory_new(&state->memory_fd);
    if (state->memory == NULL) {
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_NONE, "no shared memory for %s", service->name);
        return DURESS_E_NO_MEMORY;
    }
    service->shared = &state->memory->shared;
    service->shared->config = service->config;
    return process_begin(service, state, why);
}

bool chaos__live_service_is_ready(struct chaos_service *service)
{
    struct live_service *state = service->driver_state;
    if (service->command.arguments != NULL)
        return chaos__command_is_ready(service, state);
    if (atomic_load(&state->memory->state) != LIVE_SERVICE_READY || state->pid == 0)
        return false;
    service->address = duress_address_loopback((uint16_t)atomic_load(&state->memory->listening_port));
    return true;
}

/* --- signals --- */

void chaos__live_service_crash(struct chaos_service *service, enum chaos_crash how)
{
    struct live_service *state = service->driver_state;
    if (state->pid == 0)
        return;
    (void)process_signal(state, how == CHAOS_CRASH_SIGSEGV ? SIGSEGV : SIGKILL);
    process_reap(service, 0);
}

void chaos__live_service_stop(struct chaos_service *service)
{
    const struct live_service *state = service->driver_state;
    if (state->pid != 0)
        (void)kill(state->pid, SIGTERM);
}

bool chaos__live_service_freeze(struct chaos_service *service, bool frozen)
{
    const struct live_service *state = service->driver_state;
    siginfo_t seen = {.si_pid = 0};
    if (state->pid == 0 || process_signal(state, frozen ? SIGSTOP : SIGCONT) != 0)
        return false;
    int what = frozen ? WSTOPPED : WCONTINUED;
    while (waitid(P_PID, (id_t)state->pid, &seen, what | WEXITED | WNOWAIT) != 0)
        ; /* interrupted by a signal */
    if (seen.si_code != (frozen ? CLD_STOPPED : CLD_CONTINUED))
        return false; /* It has ended, of which its watch will tell. */
    (void)waitid(P_PID, (id_t)state->pid, &seen, what);
    return true;
}

void chaos__live_service_free(struct chaos_service *service)
{
    struct live_service *state = service->driver_state;
    if (state == NULL)
        return;
    if (state->pid != 0) {
        (void)process_signal(state, SIGKILL);
        while (waitpid(state->pid, NULL, 0) < 0)
            ; /* interrupted by a signal */
        process_forget(service, state);
    }
    if (state->output_fd > 0)
        (void)close(state->output_fd);
    chaos__live_memory_free(state->memory, state->memory_fd);
    duress_release(&service->chaos->heap.allocator, state);
}
