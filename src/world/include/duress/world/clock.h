/* SPDX-License-Identifier: Apache-2.0
 *
 * A clock for those who block: reads the time and waits for an instant. Programs take duress_clock_live(); tests hand
 * in one whose time they move themselves. */
#ifndef DURESS_WORLD_CLOCK_H
#define DURESS_WORLD_CLOCK_H

#include <stdint.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_clock {
    void *context;
    /* A monotonic instant. Called from many threads where the clock's user is. */
    uint64_t (*now_ns)(void *context);
    /* Blocks the calling thread until |at_ns|, never less long; DURESS_TIME_NEVER does not occur. */
    void (*wait_until_ns)(void *context, uint64_t at_ns);
};

/* The machine's monotonic clock, the one that live worlds have. Thread-safe; lives for ever. */
DURESS_API const struct duress_clock *duress_clock_live(void);

#ifdef __cplusplus
}
#endif

#endif
