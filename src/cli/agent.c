/* SPDX-License-Identifier: Apache-2.0
 *
 * duress agent: finds the command and hands over. */
#include "agent.h"

#include <stdio.h>
#include <string.h>

#include "command.h"

static const struct command commands[] = {
    {"serve", "put an agent behind a URL: echo, reverse, a program, or a proxy of another agent", agent_serve},
    {"ask", "ask the agent at a URL, through the layers that are asked for", agent_ask},
};

static void usage_print(FILE *out, const char *program)
{
    (void)fprintf(out, "Usage: %s COMMAND [OPTION]...\n\nCommands:\n", program);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(out, "\n%s COMMAND --help says more about a command.\n", program);
}

int agent_usage(const char *program)
{
    (void)fprintf(stderr, "Try '%s --help'.\n", program);
    return AGENT_EXIT_USAGE;
}

int command_agent(int argc, char **argv)
{
    static char program[512];
    (void)snprintf(program, sizeof program, "%s agent", argv[-1]);
    if (argc < 2) {
        usage_print(stderr, program);
        return AGENT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage_print(stdout, program);
        return AGENT_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        static char whole[600];
        (void)snprintf(whole, sizeof whole, "%s %s", program, commands[i].name);
        argv[1] = whole;
        return commands[i].run(argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "%s: '%s' given, serve or ask allowed\n", program, argv[1]);
    return agent_usage(program);
}
