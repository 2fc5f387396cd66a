/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands of toxiproxy-cli share, which are duress's as well: the daemon that they speak to, and how they
 * print. */
#ifndef DURESS_CLI_TOXIC_SESSION_H
#define DURESS_CLI_TOXIC_SESSION_H

#include <stdbool.h>

#include <duress/toxiproxy/client.h>

#include "go_flags.h"

struct toxic_session {
    const char *program; /* as help texts and hints name it: "toxiproxy-cli" or "duress" */
    const char *host;
    const char *token_file;
    bool json;     /* print the daemon's answers as they are */
    bool terminal; /* for people: colours, headers and hints; else a line of tabs for each thing */
    struct duress_toxiproxy *client;
};

/* The flags that every command takes. */
#define TOXIC_SESSION_FLAGS(session)                                                                                   \
    {"host", GO_FLAG_TEXT, &(session)->host, "address of the daemon's API", false},                                    \
        {"token-file", GO_FLAG_TEXT, &(session)->token_file, "file with the API's bearer token", false},               \
    {                                                                                                                  \
        "json", GO_FLAG_SWITCH, &(session)->json, "print the daemon's answer as it is", false                          \
    }
#define TOXIC_SESSION_FLAG_COUNT 3

/* Makes the client. False with a message. */
bool toxic_session_open(struct toxic_session *session);

/* Says on standard error that |what| failed, with the client's message; returns 1, the exit status. */
int toxic_session_fail(const struct toxic_session *session, const char *what);

/* --- toxic_print.c --- */

void toxic_print_list(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxies, size_t count);
void toxic_print_proxy(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxy);
void toxic_print_toggled(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxy);

#endif
