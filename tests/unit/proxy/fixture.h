/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy between a listening server and clients, all on loopback and in one thread. The peers are plain sockets, so
 * that what a test sees is what the kernel did. Nothing sleeps: tests wait for conditions, with a deadline. */
#ifndef DURESS_TEST_PROXY_FIXTURE_H
#define DURESS_TEST_PROXY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/proxy/proxy.h>
#include <duress/time.h>

/* What a busy machine may need; only a test that fails waits that long. */
#define PATIENCE_NS (20 * DURESS_S)

/* Counts what lives and fails from the |fail_at|-th allocation on for |fail_count| of them (0-based; SIZE_MAX: never).
 */
struct counting_allocator {
    struct duress_allocator base;
    size_t live_count;
    size_t allocation_count;
    size_t fail_at;
    size_t fail_count;
    size_t failed_count;
};

struct fixture {
    struct counting_allocator heap;
    struct duress_loop *loop;
    struct duress_timer tick; /* makes the loop look at a test's condition every millisecond */
    int server_fd;            /* listens; what the proxy dials */
    uint16_t server_port;
    struct duress_proxy *proxy;
    int fd_count_before;
};

enum end {
    END_NONE = 0,
    END_FIN,
    END_RST,
};

/* Makes the loop, the server's listener and a proxy in front of it. |options|: NULL, or what differs from the defaults
 * (the allocator is set here, and so are addresses that are NULL; a listen address must be reachable by 127.0.0.1). */
void fixture_start(struct fixture *fixture, const struct duress_proxy_options *options);

/* The same without a proxy. */
void fixture_open(struct fixture *fixture);

/* Frees all; asserts that neither memory nor a descriptor is left. Close the peers before. */
void fixture_stop(struct fixture *fixture);

typedef bool (*condition_fn)(void *context);

/* Runs the loop until |condition| holds; fails the test with |what| after PATIENCE_NS. */
void wait_until(struct fixture *fixture, condition_fn condition, void *context, const char *what);

/* Runs the loop for |duration_ns|: for showing that something does not happen, and for slow peers. */
void run_for(struct fixture *fixture, uint64_t duration_ns);

uint64_t now_ns(const struct fixture *fixture);

/* A client of the proxy; the connect may still be under way. */
int client_open(struct fixture *fixture);
int client_open_at(uint16_t port); /* of any listener on 127.0.0.1 */

/* The next connection that reached the server. */
int server_accept(struct fixture *fixture);

/* A client and the server's end of its connection. */
struct pair {
    int client;
    int server;
};
struct pair pair_open(struct fixture *fixture);
void pair_close(struct pair *pair);

bool peer_is_connected(int fd);
void wait_connected(struct fixture *fixture, int fd);

/* Sends all of |bytes|, running the loop while the socket takes none. */
void peer_send(struct fixture *fixture, int fd, const void *bytes, size_t length);
void peer_send_text(struct fixture *fixture, int fd, const char *text);

/* Receives exactly |length| bytes; fails the test where the stream ends before. */
void peer_receive(struct fixture *fixture, int fd, void *bytes, size_t length);
void peer_expect_text(struct fixture *fixture, int fd, const char *text);

/* Reads all that comes until the stream ends; *received (may be NULL) counts the bytes. */
enum end peer_drain(struct fixture *fixture, int fd, size_t *received);

/* What can be read now without running the loop: count of bytes, or how it ended. */
size_t peer_read_now(int fd, void *bytes, size_t capacity, enum end *end);

/* SO_LINGER 0 and close. */
void peer_reset(int *fd);
void peer_close(int *fd);
void peer_receive_buffer(int fd, int bytes);

void wait_connection_count(struct fixture *fixture, size_t count);

/* Figures of connection |number|; fails where it is not known. */
struct duress_link_stats link_stats(struct fixture *fixture, uint64_t number);

struct duress_toxic toxic_make(uint64_t id, enum duress_toxic_type type, enum duress_direction direction);
void toxic_add(struct fixture *fixture, const struct duress_toxic *toxic);

/* A blocking connect to |port| of loopback; hangs where it is neither answered nor refused. */
bool connect_is_refused(uint16_t port);

/* Leaves the process |spare| descriptors; *before is to be set again. */
void descriptors_limit(const struct fixture *fixture, rlim_t spare, struct rlimit *before);

/* Open descriptors of this process. */
int descriptor_count(void);

#endif
