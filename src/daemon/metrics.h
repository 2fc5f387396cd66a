/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures in Prometheus's text format: Toxiproxy's names, live, and some of our own. Private to daemon/. */
#ifndef DURESS_DAEMON_METRICS_H
#define DURESS_DAEMON_METRICS_H

#include "json_out.h"

struct daemon;

void duress__metrics_write(const struct daemon *daemon, struct json_out *out);

#endif
