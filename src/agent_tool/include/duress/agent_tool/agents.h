/* SPDX-License-Identifier: Apache-2.0
 *
 * The agents behind "duress agent serve", and the one that "duress agent ask" asks. */
#ifndef DURESS_AGENT_TOOL_AGENTS_H
#define DURESS_AGENT_TOOL_AGENTS_H

#include <duress/agent/agent.h>

/* Answers with the content and the metadata of the request, role "agent". Asked for a stream, it gives a chunk a word
 * (the spaces behind it included), or longer ones where there would be more than 64. Returns in *agent, free with
 * duress_agent_unref(). DURESS_E_NO_MEMORY. */
DURESS_MUST_CHECK int duress__echo_agent_new(struct duress_world *world, struct duress_agent **agent);

/* The same with the content backwards, character by character, so that what was UTF-8 stays it. */
DURESS_MUST_CHECK int duress__reverse_agent_new(struct duress_world *world, struct duress_agent **agent);

#define DURESS__COMMAND_OUTPUT_BYTES_MAX_DEFAULT ((size_t)8 * 1024 * 1024)

struct duress__command_options {
    struct duress_world *world;   /* a live one, borrowed; outlives the agent */
    const char *const *arguments; /* the program, looked for in PATH, and its arguments; NULL at the end. Borrowed, as
                                     the agent */
    size_t output_bytes_max;      /* of a reply, or of one chunk; 0 = 8 MiB */
};

/* Answers with what a program writes: each call starts it anew, with the content on its standard input. The reply is
 * its standard output, of a stream each line by itself, with its end. Standard error goes where this program's goes.
 *
 * A call ends when the program has ended and its output is at its end. An end other than with code 0 is a failure with
 * DURESS_E_REMOTE, origin AGENT, and "exit code 3: " and the last line of standard error. More output than is allowed
 * ends it with DURESS_E_TOO_LARGE. Whether it reads its input or not is its own matter.
 *
 * The program runs in a session of its own. When its call is given up, and when this process ends in whatever way, it
 * is killed, with all that it started; it is no longer there, not as a zombie either, when the agent is freed: it holds
 * a reference to the agent until then, so run the world until duress__command_agent_running() is 0. SIGPIPE must be
 * ignored. Returns in *agent, free with duress_agent_unref(). DURESS_E_INVALID (no program), DURESS_E_UNSUPPORTED (not
 * a live world), DURESS_E_NO_MEMORY. */
DURESS_MUST_CHECK int duress__command_agent_new(const struct duress__command_options *options,
                                                struct duress_agent **agent);

/* Programs of all command agents of this process that were started and are not gone. */
size_t duress__command_agents_running(void);

struct duress__url_agent_options {
    struct duress_world *world;
    const char *url;            /* http://, https://, tcp:// or unix:// */
    const char *const *headers; /* of HTTP: "Name: value" each */
    uint32_t header_count;
    uint64_t connect_timeout_ns; /* 0 = 10 s */
    uint32_t connections_max;    /* 0 = 64 */
    bool insecure_accept_any_certificate;
    const char *ca_file;
};

/* The agent at a URL, over HTTP or framed. DURESS_E_INVALID with the reason in |why|, NO_MEMORY. Returns in *agent,
 * free with duress_agent_unref(). */
DURESS_MUST_CHECK int duress__url_agent_new(const struct duress__url_agent_options *options,
                                            struct duress_agent **agent, struct duress_failure *why);

#endif
