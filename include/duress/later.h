/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls to be made soon, in their owner's memory, so that queueing them cannot fail. A world takes them
 * (duress/world/world.h). */
#ifndef DURESS_LATER_H
#define DURESS_LATER_H

#include <stddef.h>

typedef void (*duress_later_fn)(void *context);

/* A call to be made soon on the thread that queues it. Initialise with {.fn = …, .context = …}. */
struct duress_later {
    duress_later_fn fn;
    void *context;
    struct duress_later *next;     /* private */
    struct duress_later *previous; /* private; NULL when not queued */
};

/* A call to be made on a world's thread, from any thread. Initialise as above. */
struct duress_post {
    duress_later_fn fn;
    void *context;
    struct duress_post *next; /* private */
};

#endif
