/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets of the control API: TCP, and a file. Private to daemon/. */
#ifndef DURESS_DAEMON_API_LISTEN_H
#define DURESS_DAEMON_API_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#define API_LISTEN_WHY_BYTES 512

/* Listens at |host| (a name is looked up, and may take its time; empty: every address) and |port|; IPv4 before IPv6.
 * Returns the descriptor, or -1 with the reason. *loopback: nobody but this machine reaches it. */
int duress__api_listen_tcp(const char *host, const char *port, bool *loopback, char why[API_LISTEN_WHY_BYTES]);

/* Listens at a socket file that only this user may open. One that nobody listens at is replaced. */
int duress__api_listen_unix(const char *path, char why[API_LISTEN_WHY_BYTES]);

#endif
