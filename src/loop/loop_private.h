/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share. */
#ifndef DURESS_LOOP_PRIVATE_H
#define DURESS_LOOP_PRIVATE_H

#include <stdatomic.h>

#include <uv.h>

#include <duress/base/timer_heap.h>
#include <duress/error.h>
#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/time.h>

struct duress_loop {
    const struct duress_allocator *allocator;

    uv_loop_t *uv; /* &own, or the caller's */
    uv_loop_t own;
    uv_poll_t poll;        /* the epoll set has something */
    uv_check_t check;      /* a turn, after each poll of libuv's */
    uv_idle_t idle;        /* runs while there is work that no descriptor will tell of: libuv must not block */
    uv_prepare_t prepare;  /* before each poll of libuv's: does it have to block? */
    unsigned handles_open; /* how many of the four are not closed yet */
    uint64_t busy_ns;      /* of duress__loop_busy_poll() */
    int epoll_fd;          /* every socket, edge-triggered, and the two below */
    int timer_fd;          /* never read: it is edge-triggered, and setting it anew clears it */
    int wake_fd;           /* likewise: each write is a new edge */
    bool harvest_is_due;   /* |poll| has spoken since the last harvest */
    bool in_turn;          /* some callback of ours is running */
    bool running;          /* inside duress__loop_run_until() or _direct() */
    bool direct;           /* by the latter */
    bool stop;             /* |done| said true: the rest of the turn waits for the next run */
    duress_loop_done_fn done;
    void *done_context;

    struct duress_timer_heap timers;
    struct duress_timer_node due; /* sentinel of a ring: due timers that have not been called yet */
    uint64_t armed_ns;            /* what |timer_fd| is set for; NEVER where it has fired or is not set */

    struct duress_later later;            /* sentinel of a ring */
    _Atomic(struct duress_post *) posted; /* last one first */
    struct duress_post *posted_due;       /* taken over, first one first */

    struct duress_socket *sockets;   /* all that are open */
    struct duress_socket ready;      /* sentinel of a ring: to be delivered in the next turn */
    struct duress_socket delivering; /* likewise: in this turn */
    struct duress_socket *current;   /* whose callback is running; NULL once that is closed */
};

/* One turn. */
void duress__loop_turn(struct duress_loop *loop);

/* To be called after each callback: makes the deferred calls and asks whether the run is done. */
void duress__loop_event_end(struct duress_loop *loop);

/* Makes sure that there is another turn without waiting, or a waiting one where there is nothing left to do. Nothing
 * inside a turn, whose end does this. */
void duress__loop_settle(struct duress_loop *loop);

/* Asks epoll, waiting |timeout_ms| for an answer (-1: until there is one), and marks sockets. */
void duress__sockets_harvest(struct duress_loop *loop, int timeout_ms);

/* Whether there is something to do that no descriptor will tell of. */
bool duress__loop_has_work(const struct duress_loop *loop);

/* Whether the run is to end: asks |done|, and remembers what it said. */
bool duress__loop_is_done(struct duress_loop *loop);

/* Puts |socket|, closed so far, into the loop and |fd| into the epoll set. On failure |socket| stays closed, and |fd|
 * is the caller's still. */
DURESS_MUST_CHECK int duress__socket_register(struct duress_loop *loop, struct duress_socket *socket, int fd,
                                              uint32_t epoll_events, duress_socket_fn fn, void *context);

/* Sets what every TCP socket gets; those that are accepted have it from their listener. False where |fd| is none. */
bool duress__tcp_options_set(int fd);

/* What is to be delivered to |socket| now. */
unsigned duress__socket_events(const struct duress_socket *socket);

/* Puts |socket| into the ring of those with something to say, if it has, and out of it. */
void duress__socket_list(struct duress_socket *socket);
void duress__socket_unlist(struct duress_socket *socket);

#endif
