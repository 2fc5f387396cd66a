/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may use the control API: no web page, neither one that a browser shows nor one that has its name point here. The
 * rules look at headers alone. Private to daemon/. */
#ifndef DURESS_DAEMON_GATE_H
#define DURESS_DAEMON_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "refusal.h"

struct gate {
    bool checks_host;         /* the API listens on loopback alone, or names are given */
    const char *const *hosts; /* that are let in besides; "*" lets all in */
    size_t host_count;
    const char *token; /* NULL: none is asked for */
};

/* Of a request; NULL where it has no such header. */
struct gate_request {
    const char *host;
    const char *origin;
    const char *user_agent;
    const char *authorization;
};

enum gate_verdict {
    GATE_OPEN = 0,
    GATE_BROWSER, /* refused in plain text, as Toxiproxy does */
    GATE_REFUSED,
};

/* - A browser (a User-Agent that begins with "Mozilla/") is refused.
 * - So is a page: an Origin that is not the request's own Host.
 * - Where hosts are checked, the Host must be a number, a name that no public name server can give an address of this
 *   machine (one without a dot, or below localhost, local, internal, test, home.arpa), or one that was allowed.
 * - Where there is a token, "Authorization: Bearer TOKEN" must hold it.
 * Sets the refusal where it is not OPEN. */
enum gate_verdict duress__gate_check(const struct gate *gate, const struct gate_request *request,
                                     struct refusal *refusal);

#endif
