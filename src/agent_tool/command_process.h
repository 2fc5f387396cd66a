/* SPDX-License-Identifier: Apache-2.0
 *
 * A program and its keeper: the process between us and the program, which sees to it that nothing of it is left.
 *
 *     this process ---- keeper (a session of its own) ---- program (a process group of its own) ---- what it starts
 *
 * The keeper is a fork of this process that executes nothing. It ends when the program and all that it started have
 * ended, and then as the program did: with its code, or by its signal. It is told by signals: SIGTERM, which the kernel
 * sends as well when this process dies, kills them all; SIGHUP says that the program's output is at its end, so that
 * what it left running in the background is killed as soon as it has ended itself. What escapes the group is found all
 * the same, as orphans below the keeper become its children. */
#ifndef DURESS_AGENT_TOOL_COMMAND_PROCESS_H
#define DURESS_AGENT_TOOL_COMMAND_PROCESS_H

#include <sys/types.h>

#include <duress/error.h>

struct command_process {
    pid_t keeper;
    int keeper_fd; /* of pidfd_open(): readable when the keeper has ended. All are close-on-exec; the caller's */
    int input_fd;  /* where the program reads: to be written to; does not block, as the other two */
    int output_fd;
    int error_fd;
};

/* Starts |arguments| (NULL at the end). DURESS_E_NO_DESCRIPTORS, DURESS_E_OVERLOADED (too many processes),
 * DURESS_E_NO_MEMORY, DURESS_E_SYSTEM: then nothing is left. That the program cannot be executed is told by its end:
 * code 127, or 126 where it is there, and a line on its standard error. */
DURESS_MUST_CHECK int command_process_start(const char *const *arguments, struct command_process *process);

/* Kills all of it; nothing where it has ended. The keeper must not have been reaped. */
void command_process_kill(const struct command_process *process);

/* The output is at its end. Likewise. */
void command_process_release(const struct command_process *process);

/* After keeper_fd became readable: reaps the keeper and returns its status, as waitpid() gives it. */
int command_process_reap(const struct command_process *process);

#endif
