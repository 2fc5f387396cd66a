/* SPDX-License-Identifier: Apache-2.0
 *
 * The control API's HTTP: libmicrohttpd on the daemon's loop, without threads of its own. It reads requests, makes a
 * task of each, and suspends the connection where the task has not ended at once. Private to daemon/. */
#ifndef DURESS_DAEMON_SERVER_H
#define DURESS_DAEMON_SERVER_H

#include <stdbool.h>

#include "daemon_private.h"

struct server; /* opaque */

/* Serves on |listener|, a listening socket that it takes, on failure too. NO_MEMORY, SYSTEM. */
DURESS_MUST_CHECK int duress__server_new(struct daemon *daemon, int listener, struct server **server);

/* Takes no more connections. */
void duress__server_quiesce(struct server *server);

/* Requests that have not been answered to their end. */
size_t duress__server_request_count(const struct server *server);

/* Closes all connections; tasks that run go on without an owner. NULL is allowed. */
void duress__server_free(struct server *server);

#endif
