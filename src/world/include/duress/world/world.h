/* SPDX-License-Identifier: Apache-2.0
 *
 * A world: where time passes and bytes move. Agents, middleware and compositions see only this interface. There are
 * two: live (duress/world/live.h: libuv, sockets, the machine's clock) and simulated (duress/world/sim.h: virtual time
 * from a seed). A third can be written against duress/world/implement.h.
 *
 * Rules that hold in both:
 * - A world and all its objects belong to one thread, the one that runs it; only duress_world_post() may be called from
 *   others.
 * - No function here calls back before it returns. Callbacks come from the loop, one at a time.
 * - After a cancel, disarm or close there is no callback for that object any more, and its memory is the caller's (or
 *   gone).
 * - Timers never fire before their instant. Timers that are due together fire in the order of their instants, then of
 *   their arming (a simulated world may draw the order of equal instants from its seed). */
#ifndef DURESS_WORLD_WORLD_H
#define DURESS_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/export.h>
#include <duress/later.h>
#include <duress/prng.h>
#include <duress/slice.h>
#include <duress/time.h>
#include <duress/timer.h>
#include <duress/world/address.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_world;      /* a world as seen from one host */
struct duress_stream;     /* one end of a connection */
struct duress_listener;   /* a listening socket */
struct duress_resolution; /* a question to the name server */

/* Frees the world with all that it still holds: streams are reset, listeners closed, timers forgotten, questions
 * cancelled, none of them called back. NULL is allowed. */
DURESS_API void duress_world_free(struct duress_world *world);

/* The allocator that the world was given; never NULL. */
DURESS_API const struct duress_allocator *duress_world_allocator(const struct duress_world *world);

/* --- time --- */

/* The monotonic clock. */
DURESS_API uint64_t duress_world_now_ns(struct duress_world *world);

/* The wall clock, nanoseconds since 1970-01-01 UTC; for display and time stamps only. */
DURESS_API uint64_t duress_world_wall_ns(struct duress_world *world);

/* Arms |timer| (initialised; borrowed until it fires or is disarmed) for |at_ns|; armed already: moves it.
 * DURESS_TIME_NEVER disarms. Cannot fail. */
DURESS_API void duress_world_arm(struct duress_world *world, struct duress_timer *timer, uint64_t at_ns);

/* Nothing where it is not armed. */
DURESS_API void duress_world_disarm(struct duress_world *world, struct duress_timer *timer);

/* --- later --- */

/* Queues |later| to be called, once, after the callback that runs now has returned (or on the loop's next turn), before
 * time passes and before any input is looked at. First in, first out. Queued already: nothing. Cannot fail. */
DURESS_API void duress_world_defer(struct duress_world *world, struct duress_later *later);

/* Takes it out of the queue; nothing where it is not queued. */
DURESS_API void duress_world_undefer(struct duress_world *world, struct duress_later *later);

/* Hands |post| to the world's thread. It must not be posted again before it was called. Thread-safe, cannot fail. */
DURESS_API void duress_world_post(struct duress_world *world, struct duress_post *post);

/* --- chance --- */

/* Starts a generator for |purpose| (a number of the caller's, such as a hash of a name). Two calls for the same purpose
 * give different streams; in a simulated world all of them follow from the seed. */
DURESS_API void duress_world_prng(struct duress_world *world, uint64_t purpose, struct duress_prng *prng);

/* --- names --- */

/* |error| DURESS_OK: |count| >= 1 addresses with the asked port, in the order to be tried, borrowed for the call. Else
 * one of NAME_NOT_FOUND, NAME_TEMPORARY, NAME_SILENT, NO_DESCRIPTORS, NO_MEMORY. The resolution is gone when this is
 * called. */
typedef void (*duress_resolve_fn)(void *context, int error, const struct duress_address *addresses, size_t count);

/* Asks for the addresses of |host| (a name or a numeric address; copied). *resolution is for cancelling.
 * DURESS_E_INVALID (empty or too long), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_world_resolve(struct duress_world *world, const char *host, uint16_t port,
                                                      duress_resolve_fn fn, void *context,
                                                      struct duress_resolution **resolution);
DURESS_API void duress_resolution_cancel(struct duress_resolution *resolution);

/* --- streams --- */

enum {
    DURESS_STREAM_CONNECTED = 1 << 0, /* once, for a connect that went well; always asked for */
    DURESS_STREAM_FAILED = 1 << 1,    /* once: the connect failed (duress_stream_error() says why); always asked for */
    DURESS_STREAM_READABLE =
        1 << 2, /* a read gives bytes, the end or an error; comes as long as it is wanted and true */
    DURESS_STREAM_WRITABLE = 1 << 3, /* a write takes bytes or gives an error; likewise */
    DURESS_STREAM_HANGUP = 1 << 4,   /* once: the peer reset the connection; comes even when nothing is wanted */
};

/* |events| is a set of the above. The stream may be closed inside. */
typedef void (*duress_stream_fn)(void *context, struct duress_stream *stream, unsigned events);

/* Begins to connect; CONNECTED or FAILED follows. There is no time limit here: close the stream to give up. Failures
 * that are known at once (no descriptors, no memory, no route) may be returned instead: then there is no stream.
 * Streams are TCP without delay (TCP_NODELAY) or Unix sockets. Returns in *stream, free with duress_stream_close() or
 * _abort(). */
DURESS_API DURESS_MUST_CHECK int duress_world_connect(struct duress_world *world, const struct duress_address *address,
                                                      duress_stream_fn fn, void *context,
                                                      struct duress_stream **stream);

/* Sets who is told of |stream|'s events; for streams that came from a listener, before the loop goes on. */
DURESS_API void duress_stream_handle(struct duress_stream *stream, duress_stream_fn fn, void *context);

/* Sets which of READABLE and WRITABLE are wanted; at first none is. */
DURESS_API void duress_stream_want(struct duress_stream *stream, unsigned events);

/* Reads what there is. DURESS_OK with *count >= 1; AGAIN; END (the peer's FIN, after all its bytes); RESET (an RST;
 * after the bytes that came before it); or another error. */
DURESS_API DURESS_MUST_CHECK int duress_stream_read(struct duress_stream *stream, void *bytes, size_t capacity,
                                                    size_t *count);

/* Writes from the front of |slices| what the socket's buffer takes. DURESS_OK with *count >= 1; AGAIN; RESET; or
 * another error. */
DURESS_API DURESS_MUST_CHECK int duress_stream_write(struct duress_stream *stream, const struct duress_slice *slices,
                                                     size_t slice_count, size_t *count);

/* Sends FIN after what was written; reading goes on. */
DURESS_API void duress_stream_shutdown(struct duress_stream *stream);

/* Closes in the ordinary way: FIN after what was written, or RST where bytes lie unread, as TCP does. Frees |stream|.
 */
DURESS_API void duress_stream_close(struct duress_stream *stream);

/* Closes with an RST (SO_LINGER 0): what was not sent yet is dropped. Frees |stream|. */
DURESS_API void duress_stream_abort(struct duress_stream *stream);

/* Why the connect failed: REFUSED, UNREACHABLE, CONNECT_TIMEOUT (the kernel gave up), RESET, NO_DESCRIPTORS, … */
DURESS_API int duress_stream_error(const struct duress_stream *stream);

/* The two ends' addresses; family NONE where unknown. */
DURESS_API struct duress_address duress_stream_peer(const struct duress_stream *stream);
DURESS_API struct duress_address duress_stream_local(const struct duress_stream *stream);

/* --- listeners --- */

/* |stream| is a new connection: the callee owns it, and calls duress_stream_handle() before it returns. */
typedef void (*duress_accept_fn)(void *context, struct duress_stream *stream);

struct duress_listen_options {
    struct duress_address address; /* port 0: any free one. A stale Unix socket file is replaced; the new one is 0600 */
    uint32_t backlog;              /* connections that wait to be accepted; 0 = 4096 */
};

/* Listens. Returns in *listener, free with duress_listener_close(). ADDRESS_IN_USE, ADDRESS_UNAVAILABLE, PERMISSION,
 * NO_DESCRIPTORS, NO_MEMORY, INVALID. Out of descriptors later on, accepting pauses and resumes by itself. */
DURESS_API DURESS_MUST_CHECK int duress_world_listen(struct duress_world *world,
                                                     const struct duress_listen_options *options, duress_accept_fn fn,
                                                     void *context, struct duress_listener **listener);

/* Where it listens, with the port that was chosen. */
DURESS_API struct duress_address duress_listener_address(const struct duress_listener *listener);

/* Stops listening; connections that were not accepted yet are reset. */
DURESS_API void duress_listener_close(struct duress_listener *listener);

/* --- running --- */

/* Asked after each event; true ends the run. */
typedef bool (*duress_done_fn)(void *context);

/* Runs the world until |done| says true (DURESS_OK), |deadline_ns| passes (DURESS_E_DEADLINE), or nothing is left that
 * could ever happen (DURESS_E_END; a live world that waits for input is never at its end). Not from inside a callback:
 * DURESS_E_INVALID. */
DURESS_API int duress_world_run_until(struct duress_world *world, duress_done_fn done, void *context,
                                      uint64_t deadline_ns);

/* Leaves a mark in the world's trace: a simulated world hashes and may print it, a live one may log it. |what| is text
 * that lives for ever. */
DURESS_API void duress_world_note(struct duress_world *world, const char *what, uint64_t a, uint64_t b);

/* --- memory of calls --- */

#define DURESS_WORLD_BLOCK_BYTES 4096

/* A block of DURESS_WORLD_BLOCK_BYTES from a cache that the world keeps, so that calls allocate nothing once it is
 * warm; NULL where memory is out. */
DURESS_API DURESS_MUST_CHECK void *duress_world_block_new(struct duress_world *world);
DURESS_API void duress_world_block_free(struct duress_world *world, void *block);

#ifdef __cplusplus
}
#endif

#endif
