/* SPDX-License-Identifier: Apache-2.0
 *
 * What the daemon begins with: the proxies of its state file, then those of its configuration. Private to daemon/. */
#ifndef DURESS_DAEMON_LOAD_H
#define DURESS_DAEMON_LOAD_H

#include <stdbool.h>

struct daemon;

/* Makes them, and has the state file written from then on. What cannot be had is told on the log; false where that is
 * to end the start. */
bool duress__load(struct daemon *daemon);

#endif
