/* SPDX-License-Identifier: Apache-2.0
 *
 * A name server on the loopback, on the loop of the world that asks it. What it says of a name is told by the name's
 * first label:
 *
 *     found      192.0.2.7, and no IPv6 address
 *     missing    NXDOMAIN                     empty      no address of either kind
 *     broken     SERVFAIL                     silent     nothing at all
 *     forged     a wrong answer under a wrong id, then the right one
 *     truncated  "too long, ask over TCP", and over TCP the same as found */
#ifndef DURESS_TESTS_NAME_SERVER_H
#define DURESS_TESTS_NAME_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/loop/socket.h>
#include <duress/world/live.h>

struct name_server {
    int fd;
    int tcp_fd;    /* keeps the port free until the server starts; -1 after that */
    char text[32]; /* "127.0.0.1:port" for struct duress_world_live_options */
    uint16_t port;
    struct duress_socket watch;
    struct duress_listener *listener;
    struct duress_stream *stream; /* the TCP connection of a question */
    unsigned questions;           /* over UDP */
    unsigned tcp_questions;
};

/* Takes a port, before there is a world. */
void name_server_bind(struct name_server *server);

/* Begins to answer. */
void name_server_start(struct name_server *server, struct duress_world *world);

/* Before its world goes. */
void name_server_stop(struct name_server *server);

#endif
