/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of this room share: waiting for conditions with a deadline that only a broken loop misses, connected
 * pairs, and a socket that writes down what it is told. */
#ifndef DURESS_TESTS_LOOP_TEST_H
#define DURESS_TESTS_LOOP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <duress/error.h>
#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/time.h>

#define PATIENCE_NS (30 * DURESS_S)

/* A socket and what was said to it. */
struct end {
    struct duress_socket socket;
    unsigned events; /* all so far */
    unsigned calls;
    unsigned hangups;
    bool close_when_told;
};

/* --- the loop --- */
struct duress_loop *loop_open(void);

/* Runs until |done| is true; fails the test where that takes too long. */
void loop_await(struct duress_loop *loop, duress_loop_done_fn done, void *context);

/* Runs some turns: what was going to happen without waiting has happened by then. */
void loop_settle(struct duress_loop *loop);

/* Open descriptors of this process. */
size_t descriptors_count(void);

/* --- ends --- */
void end_spoke(void *context, unsigned events);

/* Waits until |end| was told one of |events|. */
void end_await(struct duress_loop *loop, struct end *end, unsigned events);

/* A connected pair of TCP or Unix sockets, both on the loop. */
void tcp_pair_open(struct duress_loop *loop, struct end *a, struct end *b);
void unix_pair_open(struct duress_loop *loop, struct end *a, struct end *b);

/* A raw listening socket on loopback that nobody accepts from by itself; its address in *address. */
int tcp_listen_raw(int backlog, struct sockaddr_in *address);

/* Writes all of |bytes| bytes; they must fit into the socket's buffers. */
void end_write(struct end *end, const void *bytes, size_t count);

/* Reads until something else than bytes comes; returns that, and how many bytes came. */
int end_read_all(struct duress_loop *loop, struct end *end, size_t *count);

#endif
