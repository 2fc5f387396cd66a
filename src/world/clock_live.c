/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/world/clock.h>

#include <errno.h>
#include <time.h>

#include <duress/export.h>
#include <duress/time.h>

static uint64_t live_now_ns(void *context)
{
    (void)context;
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    DURESS_ASSERT(failed == 0); /* The kernel has this clock, and the address is our own. */
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

/* Absolute, so that a signal that interrupts the wait does not lengthen it. */
static void live_wait_until_ns(void *context, uint64_t at_ns)
{
    (void)context;
    struct timespec at = {.tv_sec = (time_t)(at_ns / DURESS_S), .tv_nsec = (long)(at_ns % DURESS_S)};
    int failed;
    do {
        failed = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    } while (failed == EINTR);
    DURESS_ASSERT(failed == 0);
}

const struct duress_clock *duress_clock_live(void)
{
    static const struct duress_clock live = {NULL, live_now_ns, live_wait_until_ns};
    return &live;
}
