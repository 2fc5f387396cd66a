/* SPDX-License-Identifier: Apache-2.0
 *
 * The unanswered SYN, without privilege: a listener whose accept queue is full makes the kernel drop further SYNs. The
 * backlog is made as short as the kernel allows (0 leaves room for one), and connections of our own fill it. Private to
 * proxy/. */
#ifndef DURESS_PROXY_SILENCE_H
#define DURESS_PROXY_SILENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

#define SILENCE_FILLERS_MAX 16

struct silence {
    bool on;
    size_t filler_count;
    int filler_fds[SILENCE_FILLERS_MAX];
    struct endpoint fillers[SILENCE_FILLERS_MAX]; /* their own addresses, to know them again when they are accepted */
    uint64_t dropped_before;                      /* the listener's drops when the silence began */
    uint64_t dropped_total;                       /* of the silences that have ended */
};

/* Fills the queue of |listen_fd|, which listens at |listening| with backlog 0 and is not accepted from. DURESS_OK: SYNs
 * are dropped from now on. AGAIN: strangers took the room; accept them and try again. NO_DESCRIPTORS, SYSTEM: nothing
 * is left over. */
int duress__silence_begin(struct silence *silence, int listen_fd, const struct endpoint *listening);

/* Closes the fillers; those that were in the queue are still to be accepted and thrown away. Nothing where it is not
 * silent. */
void duress__silence_end(struct silence *silence, int listen_fd);

/* Whether an accepted connection from |peer| is a filler of the last silence. */
bool duress__silence_owns(const struct silence *silence, const struct endpoint *peer);

/* SYNs that were dropped in all silences. |listen_fd|: -1 where nothing listens. */
uint64_t duress__silence_dropped_count(const struct silence *silence, int listen_fd);

#endif
