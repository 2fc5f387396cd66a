/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request is not done: the status of HTTP and the text, which clients compare literally. Private to daemon/. */
#ifndef DURESS_DAEMON_REFUSAL_H
#define DURESS_DAEMON_REFUSAL_H

#include <stdbool.h>

#include <duress/export.h>

#define REFUSAL_TEXT_BYTES_MAX 1024 /* longer ones are cut */

struct refusal {
    unsigned status; /* 0: none */
    char text[REFUSAL_TEXT_BYTES_MAX];
};

/* Sets both; returns false, so that a check can end with it. */
bool duress__refuse(struct refusal *refusal, unsigned status, const char *format, ...) DURESS_PRINTF(3, 4);

#endif
