/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop under the live world and the proxy: nanosecond timers, calls to be made later, calls from other
 * threads, and non-blocking sockets (duress/loop/socket.h), on a libuv loop. Not installed.
 *
 * One turn of the loop is: calls posted by other threads; timers that were due when the turn began, in the order of
 * their instants, then of their arming; sockets that have something to say, each once. After each of these callbacks
 * the deferred calls are made until none is left. What a callback arms, wants or posts is looked at in the next turn at
 * the earliest, so that a timer of length zero and a socket that is always ready starve nobody.
 *
 * The clock is CLOCK_MONOTONIC, read afresh at each question. One timerfd wakes the loop; it is set only where the
 * earliest instant comes closer, and a timer fires only once the clock has reached its instant: never early.
 *
 * A loop belongs to the thread that runs it. Only duress__loop_post() may be called from others. */
#ifndef DURESS_LOOP_LOOP_H
#define DURESS_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/export.h>
#include <duress/later.h>
#include <duress/timer.h>

struct duress_loop; /* opaque */
struct uv_loop_s;

/* Makes a loop on |uv| (borrowed, outlives the loop; run by the caller, and kept alive by this loop until it is freed),
 * or on a libuv loop of its own where |uv| is NULL. |allocator|: borrowed, outlives the loop; NULL for the default.
 * Returns in *loop, free with duress__loop_free(). NO_MEMORY, NO_DESCRIPTORS, SYSTEM. */
DURESS_MUST_CHECK int duress__loop_new(const struct duress_allocator *allocator, struct uv_loop_s *uv,
                                       struct duress_loop **loop);

/* Frees it. Open sockets are reset, acceptors closed, timers and queued calls forgotten, none called back. NULL is
 * allowed; not from inside one of its callbacks. On a caller's libuv loop nothing is run here: the handles are told to
 * close, and the last memory (with it the need for the allocator) goes when that loop runs next. On a loop of its own
 * whatever handles others left on it are closed as well. */
void duress__loop_free(struct duress_loop *loop);

/* Before it blocks, the loop looks for up to |busy_ns| whether something has come, again and again; 0, as at first: it
 * blocks at once. What wakes it is the same; only that nobody has to wake a sleeping processor. From the next turn. */
void duress__loop_busy_poll(struct duress_loop *loop, uint64_t busy_ns);

/* The libuv loop, borrowed. */
struct uv_loop_s *duress__loop_uv(struct duress_loop *loop);

/* The allocator it was given; never NULL. */
const struct duress_allocator *duress__loop_allocator(const struct duress_loop *loop);

/* CLOCK_MONOTONIC, now. */
uint64_t duress__loop_now_ns(const struct duress_loop *loop);

/* Arms |timer| (initialised; borrowed until it fires or is disarmed) for |at_ns|, or moves it there.
 * DURESS_TIME_NEVER disarms. Cannot fail. */
void duress__loop_arm(struct duress_loop *loop, struct duress_timer *timer, uint64_t at_ns);

/* Nothing where it is not armed. */
void duress__loop_disarm(struct duress_loop *loop, struct duress_timer *timer);

/* Queues |later| to be called once, after the callback that runs now, or in the next turn where none runs. First in,
 * first out. Queued already: nothing. */
void duress__loop_defer(struct duress_loop *loop, struct duress_later *later);

/* Takes it out of the queue; nothing where it is not queued. */
void duress__loop_undefer(struct duress_loop *loop, struct duress_later *later);

/* Has |post| called on the loop's thread. It must not be posted again before it was called. Posts of one thread keep
 * their order. Thread-safe, lock-free, cannot fail. */
void duress__loop_post(struct duress_loop *loop, struct duress_post *post);

/* Asked after each callback; true ends the run. */
typedef bool (*duress_loop_done_fn)(void *context);

/* Runs until |done| (NULL: never) says true (DURESS_OK) or |deadline_ns| has passed (DURESS_E_DEADLINE), but at least
 * one whole turn where |done| was not true to begin with. From inside a callback: DURESS_E_INVALID. On a caller's
 * libuv loop this runs that loop, and all that is on it. */
int duress__loop_run_until(struct duress_loop *loop, duress_loop_done_fn done, void *context, uint64_t deadline_ns);

/* As duress__loop_run_until(), without a deadline, and waits for the sockets themselves, not for libuv: a system call
 * less for each wait, and a connection that several loops wait for wakes one of them only. For a loop of its own
 * (INVALID otherwise) which nobody has handles on: libuv is not run meanwhile. No child may be forked that keeps its
 * sockets open without exec(3). */
int duress__loop_run_direct(struct duress_loop *loop, duress_loop_done_fn done, void *context);

#endif
