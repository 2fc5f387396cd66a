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

static void child_exec(const char *const *arguments, int memory_fd, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* The parent died before the line above took effect. */
    static char program[] = "duress";
    static char command[] = CHAOS_LAUNCH_COMMAND;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (memory_fd == MEMORY_FD_IN_CHILD) {
        int copy = dup(memory_fd); /* dup2 onto itself would keep close-on-exec */
        (void)close(memory_fd);
        memory_fd = copy;
    }
    if (memory_fd >= 0 && dup2(memory_fd, MEMORY_FD_IN_CHILD) < 0)
        _exit(1);
    (void)close_range((unsigned)MEMORY_FD_IN_CHILD + (memory_fd >= 0 ? 1 : 0), ~0U, 0);
    char *vector[LAUNCH_ARGUMENTS_MAX + 3] = {program, command};
    for (size_t i = 0; i < LAUNCH_ARGUMENTS_MAX && arguments[i] != NULL; i++)
        vector[i + 2] = strdup(arguments[i]);
    (void)execv("/proc/self/exe", vector);
    _exit(1);
}

int chaos__launch(const char *const *arguments, int memory_fd, pid_t *pid)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return errno == ENOMEM ? DURESS_E_NO_MEMORY : DURESS_E_SYSTEM;
    if (child == 0)
        child_exec(arguments, memory_fd, parent);
    *pid = child;
    return DURESS_OK;
}

int chaos__launch_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "service") == 0)
        return chaos__process_main();
    if (argc == 4 && strcmp(argv[1], "burn") == 0)
        return chaos__burner_main(argv[2], argv[3]);
    (void)fprintf(stderr, "%s: this command is for the test runner's own use\n", CHAOS_LAUNCH_COMMAND);
    return 2;
}
