/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/chaos/stress.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duress/time.h>

#include "watcher.h"

#define PATIENCE_NS (5 * DURESS_S)

struct supervisor {
    const struct chaos_supervision *what;
    struct watcher watcher;
    sigset_t signals;
    sigset_t before;
    uint64_t begun_ns;
    pid_t pid; /* 0: it does not run */
    int status;
    size_t act_next;
    uint64_t thaw_ns;    /* when it goes on; NEVER: it is not frozen */
    uint64_t restart_ns; /* when it is started again; NEVER: it is not */
    bool is_over;        /* it has ended for good */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static void tell(const struct supervisor *supervisor, const char *text)
{
    if (supervisor->what->told != NULL)
        supervisor->what->told(supervisor->what->context, now_ns() - supervisor->begun_ns, text);
}

static void signal_group(const struct supervisor *supervisor, int number)
{
    if (supervisor->pid != 0)
        (void)kill(-supervisor->pid, number);
}

/* --- start and end --- */

static DURESS_NORETURN void command_exec(const struct supervisor *supervisor, pid_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* The parent died before the line above took effect. */
    (void)sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    (void)execvp(supervisor->what->command[0], supervisor->what->command);
    (void)fprintf(stderr, "cannot run %s: %s\n", supervisor->what->command[0], strerror(errno));
    (void)fflush(stderr);
    _exit(127);
}

static int command_start(struct supervisor *supervisor)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        command_exec(supervisor, parent);
    if (pid < 0)
        return DURESS_E_NO_MEMORY;
    (void)setpgid(pid, pid); /* whoever of the two is first */
    supervisor->pid = pid;
    supervisor->restart_ns = DURESS_TIME_NEVER;
    tell(supervisor, "started");
    return chaos__watcher_add_group(&supervisor->watcher, pid);
}

static void command_reap(struct supervisor *supervisor, int options)
{
    char text[64];
    if (supervisor->pid == 0 || waitpid(supervisor->pid, &supervisor->status, options) != supervisor->pid)
        return;
    signal_group(supervisor, SIGKILL); /* what it has left */
    chaos__watcher_drop_group(&supervisor->watcher, supervisor->pid);
    supervisor->pid = 0;
    supervisor->thaw_ns = DURESS_TIME_NEVER;
    if (WIFEXITED(supervisor->status))
        (void)snprintf(text, sizeof text, "ended with exit code %d", WEXITSTATUS(supervisor->status));
    else
        (void)snprintf(text, sizeof text, "died of signal %d", WTERMSIG(supervisor->status));
    tell(supervisor, text);
    uint64_t after_ns = supervisor->what->restart_after_ns;
    supervisor->is_over = after_ns == DURESS_TIME_NEVER;
    supervisor->restart_ns = duress_time_add(now_ns(), after_ns);
}

/* --- acts --- */

static void act(struct supervisor *supervisor, const struct chaos_act *act)
{
    static const char *const names[] = {"SIGKILL", "SIGSEGV", "SIGTERM", "frozen"};
    static const int numbers[] = {SIGKILL, SIGSEGV, SIGTERM, SIGSTOP};
    if (supervisor->pid == 0) {
        tell(supervisor, "does not run: an act of the schedule is left out");
        return;
    }
    tell(supervisor, names[act->kind]);
    if (act->kind == CHAOS_ACT_SIGTERM)
        (void)kill(supervisor->pid, SIGTERM);
    else
        signal_group(supervisor, numbers[act->kind]);
    if (act->kind == CHAOS_ACT_FREEZE)
        supervisor->thaw_ns = duress_time_add(now_ns(), act->for_ns);
}

/* Does what is due, and says when the next thing is. */
static int supervisor_due(struct supervisor *supervisor, uint64_t *next_ns)
{
    const struct chaos_supervision *what = supervisor->what;
    uint64_t at_ns = now_ns();
    int error = DURESS_OK;
    if (at_ns >= supervisor->thaw_ns) {
        supervisor->thaw_ns = DURESS_TIME_NEVER;
        signal_group(supervisor, SIGCONT);
        tell(supervisor, "goes on");
    }
    if (supervisor->pid == 0 && at_ns >= supervisor->restart_ns)
        error = command_start(supervisor);
    while (supervisor->act_next < what->act_count &&
           at_ns >= supervisor->begun_ns + what->acts[supervisor->act_next].at_ns)
        act(supervisor, &what->acts[supervisor->act_next++]);
    *next_ns = supervisor->thaw_ns < supervisor->restart_ns ? supervisor->thaw_ns : supervisor->restart_ns;
    if (supervisor->act_next < what->act_count) {
        uint64_t act_ns = duress_time_add(supervisor->begun_ns, what->acts[supervisor->act_next].at_ns);
        *next_ns = act_ns < *next_ns ? act_ns : *next_ns;
    }
    return error;
}

/* Waits for a signal until |until_ns|; its number, or 0. */
static int signal_wait(const struct supervisor *supervisor, uint64_t until_ns)
{
    uint64_t left_ns = duress_time_until(now_ns(), until_ns);
    left_ns = left_ns < 3600 * DURESS_S ? left_ns : 3600 * DURESS_S;
    struct timespec left = {.tv_sec = (time_t)(left_ns / DURESS_S), .tv_nsec = (long)(left_ns % DURESS_S)};
    int number = sigtimedwait(&supervisor->signals, NULL, &left);
    return number > 0 ? number : 0;
}

static int supervisor_run(struct supervisor *supervisor, int *signal_number)
{
    uint64_t for_ns = supervisor->what->for_ns > 0 ? supervisor->what->for_ns : DURESS_TIME_NEVER;
    uint64_t end_ns = duress_time_add(supervisor->begun_ns, for_ns);
    while (!supervisor->is_over && now_ns() < end_ns) {
        uint64_t next_ns;
        int error = supervisor_due(supervisor, &next_ns);
        if (error != DURESS_OK)
            return error;
        int number = signal_wait(supervisor, next_ns < end_ns ? next_ns : end_ns);
        if (number == SIGCHLD)
            command_reap(supervisor, WNOHANG);
        else if (number != 0) {
            *signal_number = number;
            return DURESS_OK;
        }
    }
    return DURESS_OK;
}

static void supervisor_end(struct supervisor *supervisor)
{
    uint64_t patience_ns = duress_time_add(now_ns(), PATIENCE_NS);
    if (supervisor->pid != 0) {
        signal_group(supervisor, SIGCONT);
        (void)kill(supervisor->pid, SIGTERM);
    }
    while (supervisor->pid != 0 && now_ns() < patience_ns) {
        command_reap(supervisor, WNOHANG);
        if (supervisor->pid != 0)
            (void)signal_wait(supervisor, patience_ns);
    }
    signal_group(supervisor, SIGKILL);
    command_reap(supervisor, 0);
    chaos__watcher_close(&supervisor->watcher);
}

static int act_compare(const void *a, const void *b)
{
    const struct chaos_act *first = a;
    const struct chaos_act *second = b;
    return first->at_ns < second->at_ns ? -1 : first->at_ns > second->at_ns;
}

int chaos_supervise(const struct chaos_supervision *supervision, int *status, int *signal_number,
                    struct duress_failure *why)
{
    struct supervisor supervisor = {.what = supervision, .thaw_ns = DURESS_TIME_NEVER, .begun_ns = now_ns()};
    *signal_number = 0;
    int error = chaos__watcher_open(&supervisor.watcher);
    if (error != DURESS_OK) {
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, NULL);
        return error;
    }
    if (supervision->act_count > 0)
        qsort(supervision->acts, supervision->act_count, sizeof *supervision->acts, act_compare);
    (void)sigemptyset(&supervisor.signals);
    (void)sigaddset(&supervisor.signals, SIGINT);
    (void)sigaddset(&supervisor.signals, SIGTERM);
    (void)sigaddset(&supervisor.signals, SIGHUP);
    (void)sigaddset(&supervisor.signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &supervisor.signals, &supervisor.before);
    error = command_start(&supervisor);
    if (error == DURESS_OK)
        error = supervisor_run(&supervisor, signal_number);
    supervisor_end(&supervisor);
    (void)sigprocmask(SIG_SETMASK, &supervisor.before, NULL);
    *status = supervisor.status;
    if (error != DURESS_OK)
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, NULL);
    return error;
}
