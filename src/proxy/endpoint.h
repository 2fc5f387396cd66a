/* SPDX-License-Identifier: Apache-2.0
 *
 * Socket addresses from text: "127.0.0.1:80", "[::1]:80", "unix:///path". Numeric only. Private to proxy/. */
#ifndef DURESS_PROXY_ENDPOINT_H
#define DURESS_PROXY_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length; /* bytes */
};

/* False where |text| is no such address. */
bool duress__proxy_endpoint_parse(const char *text, struct endpoint *endpoint);

/* Every address of the machine, IPv4 or IPv6. */
bool duress__proxy_endpoint_is_wildcard(const struct endpoint *endpoint);

bool duress__proxy_endpoint_is_tcp(const struct endpoint *endpoint);

/* Host byte order; 0 for Unix sockets. */
uint16_t duress__proxy_endpoint_port(const struct endpoint *endpoint);
void duress__proxy_endpoint_port_set(struct endpoint *endpoint, uint16_t port);

/* "127.0.0.1:80", "[::1]:80" into |text|, cut off where it has no room; "" for Unix sockets. */
void duress__proxy_endpoint_text(const struct endpoint *endpoint, char *text, size_t text_bytes);

/* Where a connect from this machine reaches a listener at |listening|: the loopback address in place of a wildcard. */
struct endpoint duress__proxy_endpoint_to_reach(const struct endpoint *listening);

bool duress__proxy_endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* As above, whatever the ports. */
bool duress__proxy_endpoint_host_equal(const struct endpoint *a, const struct endpoint *b);

#endif
