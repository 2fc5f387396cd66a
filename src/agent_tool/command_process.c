/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows a fork here calls only what is safe in the child of a process with threads. */
#include "command_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CODE_NOT_EXECUTABLE = 126, CODE_NOT_FOUND = 127 };

/* --- in the program's process, until it is executed --- */

static void complain(const char *program, const char *what)
{
    const char *const words[] = {program, ": cannot be run: ", what, "\n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (write(STDERR_FILENO, words[i], strlen(words[i])) < 0)
            return;
}

static void program_become(const char *const *arguments, pid_t keeper)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* should somebody kill the keeper by itself */
    if (getppid() != keeper)
        _exit(CODE_NOT_FOUND);
    (void)setpgid(0, 0);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execvp(arguments[0], (char *const *)arguments);
    int code = errno == ENOENT ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE;
    complain(arguments[0], strerrordesc_np(errno));
    _exit(code);
}

/* --- in the keeper --- */

/* The keeper's children as the kernel lists them: none of them is reaped yet, so none of the numbers is another's. */
static void children_kill(void)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text);
    (void)close(fd);
    pid_t child = 0;
    for (ssize_t i = 0; i < length; i++) { /* A space follows each number; one that is cut off comes another time. */
        if (text[i] >= '0' && text[i] <= '9') {
            child = child * 10 + (text[i] - '0');
            continue;
        }
        if (child > 0)
            (void)kill(child, SIGKILL);
        child = 0;
    }
}

/* Reaps what has ended. False where no child is left. */
static bool children_reap(pid_t program, bool *program_ended, int *status)
{
    for (;;) {
        int ended_status;
        pid_t ended = waitpid(-1, &ended_status, WNOHANG);
        if (ended <= 0)
            return ended == 0;
        if (ended != program)
            continue;
        *program_ended = true;
        *status = ended_status;
    }
}

/* Watches over |program| until it and all that it started are gone. Returns the program's status. */
static int keep(pid_t program, const sigset_t *watched)
{
    int status = 0;
    bool program_ended = false;
    bool kills = false;
    bool released = false;
    while (children_reap(program, &program_ended, &status)) {
        if (kills || (released && program_ended)) {
            if (!program_ended)
                (void)kill(-program, SIGKILL);
            children_kill();
        }
        int number = sigwaitinfo(watched, NULL);
        kills = kills || number == SIGTERM;
        released = released || number == SIGHUP;
    }
    return status;
}

static void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        sigset_t set;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, WTERMSIG(status));
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
        (void)kill(getpid(), WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void signals_reset(void)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &by_default, NULL); /* fails for those that cannot be caught */
}

/* All signals are blocked, and remain so. */
static void keeper_main(const char *const *arguments, const int fds[3], pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(CODE_NOT_FOUND);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setsid();
    signals_reset();
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            _exit(CODE_NOT_FOUND);
    (void)close_range(3, ~0U, 0);
    pid_t self = getpid();
    pid_t program = fork();
    if (program == 0)
        program_become(arguments, self);
    if (program < 0) {
        complain(arguments[0], strerrordesc_np(errno));
        _exit(CODE_NOT_FOUND);
    }
    (void)setpgid(program, program);
    for (int i = 0; i < 3; i++)
        (void)close(i);
    sigset_t watched;
    (void)sigemptyset(&watched);
    (void)sigaddset(&watched, SIGCHLD);
    (void)sigaddset(&watched, SIGTERM);
    (void)sigaddset(&watched, SIGHUP);
    end_as(keep(program, &watched));
}

/* --- in this process --- */

static int start_error(int number)
{
    switch (number) {
    case EMFILE:
    case ENFILE:
        return DURESS_E_NO_DESCRIPTORS;
    case EAGAIN:
        return DURESS_E_OVERLOADED;
    case ENOMEM:
        return DURESS_E_NO_MEMORY;
    default:
        return DURESS_E_SYSTEM;
    }
}

/* A pipe whose ends are none of the standard descriptors, in case one of these is closed. */
static int pipe_open(int ends[2])
{
    ends[0] = ends[1] = -1;
    int made[2];
    if (pipe2(made, O_CLOEXEC) != 0)
        return errno;
    int error = 0;
    for (int i = 0; i < 2; i++) {
        if (made[i] > STDERR_FILENO) {
            ends[i] = made[i];
            continue;
        }
        ends[i] = fcntl(made[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (ends[i] < 0)
            error = errno;
        (void)close(made[i]);
    }
    return error;
}

static void descriptors_close(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
        fds[i] = -1;
    }
}

/* Forks with every signal blocked, so that no handler of ours runs in the child. */
static pid_t keeper_fork(const char *const *arguments, const int fds[3])
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t keeper = fork();
    int error = errno;
    if (keeper == 0)
        keeper_main(arguments, fds, parent);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return keeper;
}

int command_process_start(const char *const *arguments, struct command_process *process)
{
    int ends[6] = {-1, -1, -1, -1, -1, -1}; /* input, output and error; each to read from, to write to */
    int error = 0;
    for (size_t i = 0; i < 3 && error == 0; i++)
        error = pipe_open(ends + 2 * i);
    const int theirs[3] = {ends[0], ends[3], ends[5]};
    if (error == 0) {
        process->keeper = keeper_fork(arguments, theirs);
        error = process->keeper < 0 ? errno : 0;
    }
    if (error != 0) {
        descriptors_close(ends, 6);
        return start_error(error);
    }
    descriptors_close(&ends[0], 1);
    descriptors_close(&ends[3], 1);
    descriptors_close(&ends[5], 1);
    process->keeper_fd = pidfd_open(process->keeper, 0);
    if (process->keeper_fd < 0) {
        error = errno;
        command_process_kill(process);
        (void)command_process_reap(process);
        descriptors_close(ends, 6);
        return start_error(error);
    }
    process->input_fd = ends[1];
    process->output_fd = ends[2];
    process->error_fd = ends[4];
    (void)fcntl(process->input_fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(process->output_fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(process->error_fd, F_SETFL, O_NONBLOCK);
    return DURESS_OK;
}

void command_process_kill(const struct command_process *process)
{
    (void)kill(process->keeper, SIGTERM);
}

void command_process_release(const struct command_process *process)
{
    (void)kill(process->keeper, SIGHUP);
}

int command_process_reap(const struct command_process *process)
{
    int status = 0;
    while (waitpid(process->keeper, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}
