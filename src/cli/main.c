/* SPDX-License-Identifier: Apache-2.0
 *
 * The program duress: finds the command and hands over. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <duress/chaos/chaos.h>

#include "command.h"

static const struct command commands[] = {
    {"proxy", "run the chaos proxy: what toxiproxy-server does, and more", command_proxy},
    {"list", "list the proxies of a daemon", command_toxiproxy},
    {"inspect", "show a proxy's toxics", command_toxiproxy},
    {"create", "make a proxy", command_toxiproxy},
    {"toggle", "take a proxy down, or up again", command_toxiproxy},
    {"delete", "remove a proxy", command_toxiproxy},
    {"toxic", "add, change or remove a toxic", command_toxiproxy},
    {"suite", "run the chaos suite: live and simulated, with a verdict", command_suite},
    {"agent", "serve an agent, or ask one", command_agent},
    {"service", "run a command, and kill, stop and freeze it on a schedule", command_service},
    {"stress", "make processor, memory or disk scarce for a while", command_stress},
    {"version", "print the version", command_version},
    {"help", "print this text", command_help},
};

static void usage_print(FILE *out)
{
    (void)fprintf(out, "Usage: duress COMMAND [OPTION]...\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(out, "\nduress COMMAND --help says more about a command.\n");
}

int command_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    usage_print(stdout);
    return 0;
}

int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("duress %s\n", DURESS_VERSION);
    return 0;
}

/* The runner's messages and replay commands name the program as it was typed. */
int command_suite(int argc, char **argv)
{
    static char program[512];
    (void)snprintf(program, sizeof program, "%s suite", argv[-1]);
    argv[0] = program;
    return chaos_main(argc, argv);
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Whether the program was called by |name|: an installed link. */
static bool is_called(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

int main(int argc, char **argv)
{
    if (argc >= 1 && is_called(argv[0], "toxiproxy-server"))
        return command_proxy(argc, argv);
    if (argc >= 1 && is_called(argv[0], "toxiproxy-cli"))
        return command_toxiproxy_cli(argc, argv);
    if (argc >= 2 && strncmp(argv[1], "_launch", 7) == 0)
        return chaos_main(argc, argv); /* a process of a live test; see chaos_main() */
    if (argc < 2) {
        usage_print(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *command = command_find(name);
    if (command == NULL) {
        (void)fprintf(stderr, "duress: '%s' given, no such command; 'duress help' lists them\n", name);
        return 2;
    }
    return command->run(argc - 1, argv + 1);
}
