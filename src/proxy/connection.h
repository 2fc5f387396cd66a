/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of one link: two sockets, a timer, and the rule that the link's outputs are asked for after each input
 * until there are none. Decides nothing itself. Private to proxy/.
 *
 *     dialing ──► open ──► parting (close or RST, behind the bytes before it) ──► closed
 *        └──────────┴──────────────────────────────────────────────────────────────┘
 *
 * A connection frees itself when its link is done and both sockets are closed. */
#ifndef DURESS_PROXY_CONNECTION_H
#define DURESS_PROXY_CONNECTION_H

#include "parting.h"
#include "proxy_private.h"

enum connection_state {
    CONNECTION_CLOSED = 0,
    CONNECTION_DIALING, /* of the server's side only; it begins when the link says so */
    CONNECTION_OPEN,
    CONNECTION_PARTING,
};

struct connection_side {
    struct connection *connection;
    enum duress_side name;
    enum connection_state state;
    bool blocked; /* the kernel takes no bytes until it says WRITABLE */
    bool ended;   /* FIN was read */
    bool dead;    /* the link was told of its reset; waits for the link's CLOSE */
    struct duress_socket socket;
    struct parting parting;
};

struct connection {
    struct duress_proxy *proxy;
    struct connection *previous;
    struct connection *next;
    struct duress_link *link;                  /* NULL once it is done */
    struct duress_link_history_entry *history; /* likewise */
    struct duress_timer timer;
    bool has_dialed;
    uint64_t dial_deadline_ns; /* DURESS_TIME_NEVER before the dial, and once it has ended */
    uint64_t dial_again_ns;    /* a Unix listener's queue was full */
    bool abrupt;               /* resets do not wait for bytes in the kernel */
    struct connection_side sides[DURESS_SIDE_COUNT];
};

/* Makes connection |number| of a client's socket |fd| (taken, on failure too, when it is reset) and begins to dial.
 * NO_MEMORY, NO_DESCRIPTORS, SYSTEM. */
DURESS_MUST_CHECK int duress__connection_open(struct duress_proxy *proxy, uint64_t number, int fd);

/* Asks the link for what is to be done and does it. May free the connection. */
void duress__connection_pump(struct connection *connection);

/* Resets both sockets at once; what the kernel has not sent yet is lost. Frees the connection. */
void duress__connection_cut(struct connection *connection);

/* Closes both sockets at once, as close(2) does, and frees. */
void duress__connection_free(struct connection *connection);

/* Closes |fd|, a TCP socket of no connection, with an RST. */
void duress__descriptor_reset(int fd);

#endif
