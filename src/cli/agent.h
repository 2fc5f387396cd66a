/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two commands for agents have in common. */
#ifndef DURESS_CLI_AGENT_H
#define DURESS_CLI_AGENT_H

/* Exit codes, those of the suite. */
enum agent_exit {
    AGENT_EXIT_OK = 0,
    AGENT_EXIT_FAILED = 1,
    AGENT_EXIT_USAGE = 2,
    AGENT_EXIT_INTERRUPTED = 130,
};

/* |argv|[0] is the whole name, "duress agent serve". Returns the exit code. */
int agent_serve(int argc, char **argv);
int agent_ask(int argc, char **argv);

/* Points to --help, after a message about usage. Returns AGENT_EXIT_USAGE. */
int agent_usage(const char *program);

#endif
