/* SPDX-License-Identifier: Apache-2.0
 *
 * Non-blocking stream sockets on a loop: one edge-triggered epoll set for all, with events delivered as if it were
 * level-triggered. Not installed. Everything here is for the loop's thread.
 *
 *     connect ──► CONNECTED ──► READABLE, WRITABLE as long as wanted and true ──► HANGUP (at most once)
 *         └─────► FAILED
 *
 * How a connection ended is told apart: a read says END after the peer's FIN, and RESET after its RST, both after all
 * bytes that came before. An RST is noticed even when nothing is wanted (HANGUP); a FIN only by reading, as its place
 * is after the bytes.
 *
 * No function calls back before it returns. After a close there is no callback for that socket, whatever the kernel had
 * to say, and its memory is the owner's again; closing inside a callback is fine. */
#ifndef DURESS_LOOP_SOCKET_H
#define DURESS_LOOP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <duress/export.h>
#include <duress/loop/loop.h>
#include <duress/slice.h>
#include <duress/timer.h>

struct duress_socket;

/* The values are those of DURESS_STREAM_*. */
enum {
    DURESS_SOCKET_CONNECTED = 1 << 0, /* once: the connect went well */
    DURESS_SOCKET_FAILED = 1 << 1,    /* once: it did not; socket->error says why. Close the socket */
    DURESS_SOCKET_READABLE = 1 << 2,  /* as long as wanted and true, once a turn: a read gives bytes, END or an error */
    DURESS_SOCKET_WRITABLE = 1 << 3,  /* likewise: a write takes bytes or gives an error */
    DURESS_SOCKET_HANGUP = 1 << 4,    /* once, wanted or not: the connection is dead (RST, or the kernel gave up);
                                         bytes that came before may still be read */
};

/* |events| is a set of the above. The socket may be closed inside. */
typedef void (*duress_socket_fn)(void *context, unsigned events);

/* In its owner's memory. Read |fd|, |error| and |tcp| freely (for splice and socket options too), leave the rest alone.
 */
struct duress_socket {
    int fd;    /* -1 when closed */
    int error; /* DURESS_OK, or the code that the connection or the connect ended with */
    struct duress_loop *loop;
    duress_socket_fn fn;
    void *context;
    struct duress_socket *all_next; /* all sockets of the loop */
    struct duress_socket *all_previous;
    struct duress_socket *ready_next; /* those with something to say; NULL when not in the list */
    struct duress_socket *ready_previous;
    uint8_t want;        /* of READABLE, WRITABLE */
    uint8_t ready;       /* what is true now, and what is to be said once */
    bool connecting : 1; /* the connect has not ended yet */
    bool watched : 1;    /* of duress__socket_watch() */
    bool listens : 1;    /* part of an acceptor */
    bool tcp : 1;
    bool shut : 1;               /* FIN was sent, or will be once connected */
    bool short_read_is_last : 1; /* a read of less than was asked for has taken all: TCP, with neither FIN, RST nor
                                urgent data seen */
    bool ended_by_fin : 1;       /* the peer's FIN came before its RST, so reads say END */
};

/* --- opening --- */

/* Begins to connect. CONNECTED or FAILED follows, always in a callback, even where the kernel knew at once. TCP sockets
 * get TCP_NODELAY and keepalive. There is no time limit: close to give up. Returns NO_DESCRIPTORS, NO_MEMORY,
 * UNSUPPORTED (family), or AGAIN where the queue of a Unix listener is full, which cannot be waited for: try again
 * later; |socket| is closed then. */
DURESS_MUST_CHECK int duress__socket_connect(struct duress_loop *loop, struct duress_socket *socket,
                                             const struct sockaddr *address, socklen_t address_bytes,
                                             duress_socket_fn fn, void *context);

/* Takes |fd|, a connected stream socket (from an acceptor, socketpair, …; made non-blocking and given the options of
 * connect if it is TCP). On failure (NO_MEMORY, NO_DESCRIPTORS, SYSTEM) too: it is closed then. */
DURESS_MUST_CHECK int duress__socket_adopt(struct duress_loop *loop, struct duress_socket *socket, int fd,
                                           duress_socket_fn fn, void *context);

/* The same for |fd| as an acceptor gave it, which needs no system call but one; |tcp|: what it listens with. The
 * owner's on failure (NO_MEMORY). */
DURESS_MUST_CHECK int duress__socket_adopt_accepted(struct duress_loop *loop, struct duress_socket *socket, int fd,
                                                    bool tcp, duress_socket_fn fn, void *context);

/* Watches a descriptor of any kind that belongs to somebody else, level-triggered: READABLE and WRITABLE come as the
 * kernel says, with errors as both of them. Nothing but duress__socket_want() and duress__socket_unwatch() may be
 * called for it. NO_MEMORY, SYSTEM. */
DURESS_MUST_CHECK int duress__socket_watch(struct duress_loop *loop, struct duress_socket *socket, int fd,
                                           duress_socket_fn fn, void *context);
/* Before the descriptor is closed by its owner. Nothing where it is not watched. */
void duress__socket_unwatch(struct duress_socket *socket);

/* Changes who is told. */
void duress__socket_handle(struct duress_socket *socket, duress_socket_fn fn, void *context);

/* Sets which of READABLE and WRITABLE are wanted; none is at first. What is true already is delivered in the next
 * turn. */
void duress__socket_want(struct duress_socket *socket, unsigned events);

/* --- moving bytes --- */

/* Reads what there is: OK with *count >= 1, AGAIN, END, RESET, or another error. INVALID where |capacity| is 0. */
DURESS_MUST_CHECK int duress__socket_read(struct duress_socket *socket, void *bytes, size_t capacity, size_t *count);

/* Writes from the front of |slices| what the kernel takes: OK with *count >= 1, AGAIN, RESET, CLOSED (after a
 * shutdown), or another error. INVALID where there is nothing to write. Never raises SIGPIPE. */
DURESS_MUST_CHECK int duress__socket_write(struct duress_socket *socket, const struct duress_slice *slices,
                                           size_t slice_count, size_t *count);

/* For those who move bytes through |fd| themselves (splice): say what the system call said. |events| (READABLE,
 * WRITABLE) gave EAGAIN and are not true until the kernel tells anew … */
void duress__socket_drained(struct duress_socket *socket, unsigned events);
/* … it failed with |number|, an errno other than EAGAIN and EINTR; returns the code, which the socket remembers … */
int duress__socket_failed(struct duress_socket *socket, int number);
/* … a read gave 0: returns END or RESET. (The kernel tells of an RST only once; after that it says 0 as well.) */
int duress__socket_ended(struct duress_socket *socket);

/* Sends FIN after what was written; reading goes on. */
void duress__socket_shutdown(struct duress_socket *socket);

/* --- closing; nothing where it is closed already --- */

/* As close(2): FIN after what was written, or RST where bytes lie unread. */
void duress__socket_close(struct duress_socket *socket);

/* With an RST (SO_LINGER 0); what was not sent yet is dropped. Unix sockets know no RST: the peer sees the end, or
 * RESET where bytes lay unread here. */
void duress__socket_reset(struct duress_socket *socket);

static inline bool duress__socket_is_open(const struct duress_socket *socket)
{
    return socket->loop != NULL && socket->fd >= 0;
}

/* --- listening --- */

/* |fd| is a new connection, non-blocking and close-on-exec; the callee owns it (duress__socket_adopt()). |peer| is
 * borrowed for the call. The acceptor may be closed inside. */
typedef void (*duress_accepted_fn)(void *context, int fd, const struct sockaddr *peer, socklen_t peer_bytes);

/* Asked before each accept; false: it pauses as if it had run out of descriptors. */
typedef bool (*duress_may_accept_fn)(void *context);
typedef void (*duress_accept_paused_fn)(void *context);

/* In its owner's memory; private but for |socket.fd|, |pause_count|, and |may_accept| and |paused|, which may be set.
 */
struct duress_acceptor {
    struct duress_socket socket;
    duress_accepted_fn fn;
    duress_may_accept_fn may_accept; /* NULL: always */
    duress_accept_paused_fn paused;  /* NULL: nobody hears of it */
    void *context;
    struct duress_timer resume;
    uint64_t pause_count; /* how often it ran out of descriptors or memory, or might not */
    char *unix_path;      /* the socket file to remove at the end, if it is still the same one; NULL for TCP */
    uint64_t unix_device;
    uint64_t unix_inode;
    bool stopped; /* by duress__acceptor_accept(…, false) */
};

#define DURESS_ACCEPT_PAUSE_NS (UINT64_C(20) * 1000 * 1000)

/* Listens on |address| (SO_REUSEADDR; [::] takes IPv4 as the machine is set up; a stale Unix socket file, one that
 * nobody listens on, is replaced, and the new one has mode 0600). |backlog| 0 means 4096. Accepting begins at once. Out
 * of descriptors or memory it pauses for DURESS_ACCEPT_PAUSE_NS and tries again, while the connections wait in the
 * kernel's queue. ADDRESS_IN_USE, ADDRESS_UNAVAILABLE, PERMISSION, NO_DESCRIPTORS, NO_MEMORY, INVALID. */
DURESS_MUST_CHECK int duress__acceptor_listen(struct duress_loop *loop, struct duress_acceptor *acceptor,
                                              const struct sockaddr *address, socklen_t address_bytes, uint32_t backlog,
                                              duress_accepted_fn fn, void *context);

/* Accepts from |fd|, a non-blocking socket that listens already. On failure (NO_MEMORY, SYSTEM) it is the caller's
 * still, else the acceptor's. |shared|: acceptors of other loops have descriptors of the same socket, and a connection
 * wakes one of them, where those loops are run by duress__loop_run_direct(). */
DURESS_MUST_CHECK int duress__acceptor_adopt(struct duress_loop *loop, struct duress_acceptor *acceptor, int fd,
                                             bool shared, duress_accepted_fn fn, void *context);

/* Whether connections are taken out of the kernel's queue; they are at first. */
void duress__acceptor_accept(struct duress_acceptor *acceptor, bool accept);

/* Stops listening; what waits in the queue is reset. Nothing where it is closed already. Removes the Unix socket file
 * that it made. */
void duress__acceptor_close(struct duress_acceptor *acceptor);

/* --- errors --- */

/* The one table from errno to DURESS_E_*; 0 gives DURESS_OK, what is not in it DURESS_E_SYSTEM. ETIMEDOUT is
 * CONNECT_TIMEOUT: the kernel gave up on a connect. */
int duress__error_from_errno(int number);

#endif
