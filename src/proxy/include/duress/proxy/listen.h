/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses to listen at, from the texts that Toxiproxy's users write: "127.0.0.1:5432", "localhost:0", "db:http",
 * ":7000", "[::]:7000", "". Not installed. For the thread of one loop. */
#ifndef DURESS_PROXY_LISTEN_H
#define DURESS_PROXY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <duress/error.h>
#include <duress/export.h>

struct duress_loop;

#define DURESS_LISTEN_TEXT_BYTES 128 /* of an address as text, with its NUL */

/* A plain value. */
struct duress_listen_address {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    bool is_wildcard; /* every address of the machine: [::] for IPv6 and IPv4, or 0.0.0.0 where there is no IPv6 */
    /* "127.0.0.1:7000", "[::1]:7000", "[::]:7000". Port 0: not bound yet. */
    char text[DURESS_LISTEN_TEXT_BYTES];
};

/* What is wrong with a text. Beside each: Toxiproxy's words, where <text> is what was given. */
enum duress_listen_problem {
    DURESS_LISTEN_FINE = 0,
    DURESS_LISTEN_MISSING_PORT,       /* "address <text>: missing port in address" */
    DURESS_LISTEN_TOO_MANY_COLONS,    /* "address <text>: too many colons in address" */
    DURESS_LISTEN_MISSING_BRACKET,    /* "address <text>: missing ']' in address" */
    DURESS_LISTEN_UNEXPECTED_BRACKET, /* "address <text>: unexpected '[' in address", or ']' (see |detail|) */
    DURESS_LISTEN_INVALID_PORT,       /* "address <detail>: invalid port": a number above 65535 or below 0 */
    DURESS_LISTEN_UNKNOWN_SERVICE,    /* "lookup tcp/<detail>: unknown port" */
    DURESS_LISTEN_NO_SUCH_HOST,       /* "lookup <detail>: no such host" */
    DURESS_LISTEN_NO_ANSWER,          /* "lookup <detail>: i/o timeout", and other failures of the name service */
    DURESS_LISTEN_NO_MEMORY,
};

struct duress_listen_answer {
    enum duress_listen_problem problem;
    char detail[DURESS_LISTEN_TEXT_BYTES]; /* the port, the service or the host that is wrong; may be cut off */
    struct duress_listen_address address;  /* where there is no problem */
};

/* |answer| is borrowed for the call. */
typedef void (*duress_listen_fn)(void *context, const struct duress_listen_answer *answer);

struct duress_listen_lookup; /* opaque */

/* Understands |text| (copied) as Go's net.Listen("tcp", …) does: "" and a missing host are the wildcard, a name gives
 * its first IPv4 address or else its first one, a service's name its port. All spellings of the wildcard give the same
 * address, "[::]:<port>", or "0.0.0.0:<port>" on a machine without IPv6. Calls |fn| once, in a turn of the loop, never
 * before this returns, and after |limit_ns| (0: 10 s) at the latest; nobody waits meanwhile. Returns in *lookup, which
 * is gone once |fn| is called. NO_MEMORY: |fn| is not called. */
DURESS_MUST_CHECK int duress_listen_lookup(struct duress_loop *loop, const char *text, uint64_t limit_ns,
                                           duress_listen_fn fn, void *context, struct duress_listen_lookup **lookup);

/* |fn| is not called any more. NULL is allowed. */
void duress_listen_lookup_cancel(struct duress_listen_lookup *lookup);

/* The same for texts that need nobody to be asked: numeric hosts, the wildcard, "localhost", ports as
 * numbers. False where a name or a service would have to be looked up; *answer is set where it is true. */
bool duress_listen_parse(const char *text, struct duress_listen_answer *answer);

/* Whether a listener at the one would be a listener at the other: all wildcards of one port are the same. Port 0 is
 * equal to nothing. */
bool duress_listen_equal(const struct duress_listen_address *a, const struct duress_listen_address *b);

#endif
