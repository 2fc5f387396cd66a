/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the daemon. Private to daemon/. */
#ifndef DURESS_DAEMON_DAEMON_PRIVATE_H
#define DURESS_DAEMON_DAEMON_PRIVATE_H

#include <duress/daemon/daemon.h>
#include <duress/loop/loop.h>
#include <duress/prng.h>

#include "gate.h"
#include "log.h"
#include "registry.h"
#include "state.h"
#include "task.h"

struct daemon {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct duress_workers *workers;
    const struct duress_daemon_options *options; /* borrowed */
    struct log log;
    struct registry registry;
    struct gate gate;
    struct server *servers[2]; /* TCP, and a socket file; NULL where it is not asked for */
    uint64_t seed;
    int64_t begun_s;         /* since 1970 */
    struct duress_prng ids;  /* of requests */
    struct task *turn_first; /* its turn it is */
    struct task *turn_last;
    struct duress_later turn_later;
    size_t task_count; /* that have begun and not ended */
    unsigned signal_count;
    struct state state;
    struct duress_timer expiry; /* of the toxic that ends first */
};

/* Lets the task run whose turn it is; |context| is the daemon. */
void duress__turn_next(void *context);

/* Arms the timer for the toxic that ends first. */
void duress__expiry_update(struct daemon *daemon);

/* Has the toxics removed whose time is over; |context| is the daemon. */
void duress__expiry_due(void *context);

#endif
