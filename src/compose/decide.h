/* SPDX-License-Identifier: Apache-2.0
 *
 * The decisions of compositions that ask several agents at once. Pure: counts and instants in, a decision out. */
#ifndef DURESS_COMPOSE_DECIDE_H
#define DURESS_COMPOSE_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum decision {
    DECIDE_WAIT = 0,
    DECIDE_WELL,
    DECIDE_BADLY,
};

/* How many calls of a composition have come to what. */
struct tally {
    size_t running;
    size_t replied;
    size_t failed;
};

/* Done when |need| have replied; cannot be any more when too few are left. All, any and at least n are this with
 * another |need|. */
enum decision duress__decide_need(const struct tally *tally, size_t need);

/* Waits for all; well where any has replied. |late|: nothing is waited for any more. */
enum decision duress__decide_collect(const struct tally *tally, bool late);

/* |best|: the largest number of replies that agree. All that still run might agree with those, and with no others if
 * there are none. */
enum decision duress__decide_quorum(const struct tally *tally, size_t need, size_t best);

/* More than half of |count|. */
size_t duress__decide_majority(size_t count);

/* The instant at which a composition stops to wait: |limit_ns| (0: none) after it began, and |margin_ns| before the
 * call's deadline, or after half of the time if that is later; NEVER where neither is before the deadline. */
uint64_t duress__decide_stop_ns(uint64_t started_ns, uint64_t deadline_ns, uint64_t limit_ns, uint64_t margin_ns);

#endif
