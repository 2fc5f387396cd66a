/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints of remote agents as text. */
#ifndef DURESS_AGENT_ENDPOINT_H
#define DURESS_AGENT_ENDPOINT_H

#include <duress/error.h>
#include <duress/world/address.h>

#define ENDPOINT_HOST_BYTES_MAX 256 /* with the NUL; a DNS name has at most 253 characters */

struct endpoint {
    bool named;                         /* |host| is a name that must be looked up; else |address| is complete */
    char host[ENDPOINT_HOST_BYTES_MAX]; /* as given, without brackets; of a Unix socket the path, cut to fit */
    uint16_t port;
    struct duress_address address;
};

/* Reads "tcp://host:port" (the last colon splits; IPv6 in brackets) or "unix:///path". DURESS_E_INVALID with the reason
 * in *reason. */
DURESS_MUST_CHECK int duress__endpoint_parse(const char *text, struct endpoint *endpoint, const char **reason);

#endif
