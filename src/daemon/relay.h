/* SPDX-License-Identifier: Apache-2.0
 *
 * The door to the data path: what the daemon asks of a listener with its connections. All that changes something ends
 * with one call of |done|, which may come before the function returns. A relay is asked for one thing at a time.
 * Private to daemon/. */
#ifndef DURESS_DAEMON_RELAY_H
#define DURESS_DAEMON_RELAY_H

#include <duress/proxy/workers.h>
#include <duress/toxic/toxic.h>

#include "address.h"
#include "registry.h"

struct relay; /* opaque */

struct relay_options {
    const struct duress_allocator *allocator;
    struct duress_workers *workers;
    const struct address *listen;
    const char *upstream;              /* as the client gave it; looked up for each connection */
    uint64_t seed;                     /* of all links */
    size_t buffer_bytes_max;           /* of each direction of a link; 0: the default */
    struct toxic_entry *const *toxics; /* there before the first connection; borrowed for the call */
    size_t toxic_count;
};

typedef void (*relay_done_fn)(void *context, int error);

/* Listens. *relay is set before |done| says DURESS_OK; end it with duress__relay_stop(). ADDRESS_IN_USE,
 * ADDRESS_UNAVAILABLE, PERMISSION, NO_DESCRIPTORS, NO_MEMORY. */
void duress__relay_start(const struct relay_options *options, struct relay **relay, relay_done_fn done, void *context);

/* Where it really listens. */
void duress__relay_address(const struct relay *relay, struct address *address);

/* Stops listening, closes all connections, frees. Cannot fail. */
void duress__relay_stop(struct relay *relay, relay_done_fn done, void *context);

/* Frees it after its workers are gone. */
void duress__relay_forget(struct relay *relay);

/* Down: connects are refused, connections closed. Up: errors as of start. */
void duress__relay_down(struct relay *relay, relay_done_fn done, void *context);
void duress__relay_up(struct relay *relay, relay_done_fn done, void *context);

/* Listens at |listen| (NULL: where it does) for |upstream|; connections are closed. Errors as of start: all is as it
 * was then. */
void duress__relay_change(struct relay *relay, const struct address *listen, const char *upstream, relay_done_fn done,
                          void *context);

/* Applies to all connections, open and to come; |toxic| is copied; |done| comes when all links took it. NO_MEMORY,
 * INVALID: nothing changed. */
void duress__relay_toxic_add(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done, void *context);
void duress__relay_toxic_update(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done,
                                void *context);
void duress__relay_toxic_remove(struct relay *relay, uint64_t id, relay_done_fn done, void *context);

/* Figures of all its connections until now. */
struct duress_workers_counts duress__relay_counts(const struct relay *relay);

/* Its open connections, |count_max| at most, told to |fn| later; NO_MEMORY. */
DURESS_MUST_CHECK int duress__relay_connections(struct relay *relay, size_t count_max, duress_workers_connections_fn fn,
                                                void *context);

#endif
