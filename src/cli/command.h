/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DURESS_CLI_COMMAND_H
#define DURESS_CLI_COMMAND_H

/* |argv|[0] is the command's name, and |argv|[-1] the program's. Returns the exit code. */
typedef int (*command_fn)(int argc, char **argv);

struct command {
    const char *name;
    const char *summary;
    command_fn run;
};

int command_proxy(int argc, char **argv);
int command_toxiproxy(int argc, char **argv);
int command_toxiproxy_cli(int argc, char **argv);
int command_suite(int argc, char **argv);
int command_agent(int argc, char **argv);
int command_service(int argc, char **argv);
int command_stress(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);

#endif
