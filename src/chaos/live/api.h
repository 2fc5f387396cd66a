/* SPDX-License-Identifier: Apache-2.0
 *
 * Links through a daemon that speaks Toxiproxy's API, in place of proxies in the test's own process. */
#ifndef DURESS_CHAOS_LIVE_API_H
#define DURESS_CHAOS_LIVE_API_H

#include "../internal.h"

/* Makes |driver| the live one, but with proxies of the daemon at |url| (borrowed) as its links. */
void chaos__live_through_api(struct chaos_driver *driver, const char *url);

/* Whether a daemon answers at |url|; the reason in |why| where none does. */
int chaos__live_api_reach(const char *url, struct duress_failure *why);

/* Deletes the proxies that tests of this process have left at |url|: those that crashed or hung. */
void chaos__live_api_sweep(const char *url);

#endif
