/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses to listen on, as text: split, resolved, echoed and compared by the rules (and with the error texts) that
 * Toxiproxy has from its language's library. Names of hosts are not looked up here; who has looked one up says what
 * came of it. Private to daemon/. */
#ifndef DURESS_DAEMON_ADDRESS_H
#define DURESS_DAEMON_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_HOST_BYTES_MAX 256 /* with its NUL; a name of DNS has at most 253 */
#define ADDRESS_TEXT_BYTES_MAX 64  /* of a numeric address with its port */
#define ADDRESS_REASON_BYTES_MAX 768

/* "host:port" in two. */
struct address_parts {
    char host[ADDRESS_HOST_BYTES_MAX]; /* empty: any */
    uint16_t port;
};

/* Splits |text|: "1.2.3.4:80", "[::1]:80", "name:http", ":80"; an empty text is ":0". False with the reason in
 * |reason|: "address 1.2.3.4: missing port in address". */
bool duress__address_split(const char *text, struct address_parts *parts, char reason[ADDRESS_REASON_BYTES_MAX]);

/* An address that can be bound. */
struct address {
    struct sockaddr_storage storage;
    socklen_t length;                   /* 0: none */
    char asked[ADDRESS_TEXT_BYTES_MAX]; /* as errors of bind name it: ":80", "0.0.0.0:80", "127.0.0.1:80" */
};

/* The address of |parts| where its host is empty or numeric; false where it is a name. An empty one is [::], and so is
 * 0.0.0.0: one socket for both families. */
bool duress__address_numeric(const struct address_parts *parts, struct address *address);

/* The address of a name that was looked up: the family and bytes of |found|, with the port of |parts|. */
void duress__address_found(const struct address_parts *parts, const struct sockaddr *found, struct address *address);

/* As an IPv4 wildcard, for a machine without IPv6. False where |address| is none. */
bool duress__address_to_ipv4(struct address *address);

bool duress__address_is_wildcard(const struct address *address);

uint16_t duress__address_port(const struct address *address);
void duress__address_port_set(struct address *address, uint16_t port);

/* "127.0.0.1:80" or "[::1]:80" into |text|; returns it. */
const char *duress__address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES_MAX]);

/* Whether a proxy whose listen text is |stored| would be no other one at |address|, which was given as |text|. All
 * spellings of "any" are equal; port 0 equals only itself as text. */
bool duress__address_is_same(const char *stored, const char *text, const struct address *address);

#endif
