/* SPDX-License-Identifier: Apache-2.0
 *
 * One call that asks all agents of a composition at once, and one timer. It counts; who embeds it decides. */
#ifndef DURESS_COMPOSE_FAN_H
#define DURESS_COMPOSE_FAN_H

#include "composition.h"
#include "decide.h"

struct fan;

struct fan_branch {
    struct fan *fan;
    struct duress_call *child; /* NULL: does not run */
};

/* Embedded first in the state of a call. */
struct fan {
    struct duress_call *call;
    struct duress_part *parts;
    struct fan_branch *branches;
    struct tally tally;
    struct duress_timer timer;
    uint64_t stop_ns;                            /* when it is over for those that run; NEVER: the call's deadline */
    bool sent;                                   /* something of a call that was given up had reached a transport */
    void (*ended)(struct fan *fan, size_t part); /* the part is up to date, and counted */
};

/* The state of a call, of |bytes|, zeroed, with its parts; NULL where memory is out. |late| is called with it at
 * |stop_ns|, if that is not NEVER. */
void *duress__fan_new(size_t bytes, struct duress_call *call, uint64_t stop_ns, duress_timer_fn late);

/* Asks all of them; those for whom there was no memory have failed. False: the call was cancelled meanwhile, and must
 * be left alone. |ended| is not called inside. */
DURESS_MUST_CHECK bool duress__fan_begin(struct fan *fan);

/* Gives up those that run, which become |state| (CANCELLED, LATE), and disarms the timer. False: the call was cancelled
 * meanwhile, and must be left alone. */
DURESS_MUST_CHECK bool duress__fan_stop(struct fan *fan, enum duress_part_state state);

/* The whole call is given up. */
void duress__fan_cancel(struct fan *fan);

/* The first part in order with |state|; DURESS_ANSWERED_BY_NONE where there is none. */
size_t duress__fan_first(const struct fan *fan, enum duress_part_state state);

/* Whether any agent may have executed something. */
bool duress__fan_is_ambiguous(const struct fan *fan);

/* The failure for a |stop_ns| that has passed. */
void duress__fan_describe_late(const struct fan *fan, struct duress_failure *failure);

#endif
