/* SPDX-License-Identifier: Apache-2.0
 *
 * A transport address: IPv4, IPv6 or a Unix socket's path. A plain value without padding that matters. */
#ifndef DURESS_WORLD_ADDRESS_H
#define DURESS_WORLD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

enum duress_family {
    DURESS_FAMILY_NONE = 0,
    DURESS_FAMILY_IPV4,
    DURESS_FAMILY_IPV6,
    DURESS_FAMILY_UNIX,
};

#define DURESS_ADDRESS_PATH_BYTES_MAX 108 /* with the NUL; what the kernel takes */
#define DURESS_ADDRESS_TEXT_BYTES_MAX 128 /* enough for every duress_address_format() */

struct duress_address {
    enum duress_family family;
    uint16_t port;     /* host byte order; 0 for Unix sockets, and for "any port" in listen */
    uint8_t bytes[16]; /* network byte order; the first 4 for IPv4 */
    char path[DURESS_ADDRESS_PATH_BYTES_MAX];
};

/* Reads "127.0.0.1:80", "[::1]:80", "unix:///path". No names. False where |text| is none of them. */
DURESS_API bool duress_address_parse(const char *text, struct duress_address *address);

/* Reads a numeric host ("127.0.0.1", "::1") and a port. False where |host| is a name. */
DURESS_API bool duress_address_from_host(const char *host, uint16_t port, struct duress_address *address)
    DURESS_NONNULL(1);

/* The loopback address 127.0.0.1 with |port|. */
DURESS_API struct duress_address duress_address_loopback(uint16_t port);

/* A Unix socket's address; the family is DURESS_FAMILY_NONE where |path| is too long. */
DURESS_API struct duress_address duress_address_unix(const char *path);

/* Writes what duress_address_parse() reads, NUL-terminated, cut at |capacity|; returns |text|. */
DURESS_API const char *duress_address_format(const struct duress_address *address, char *text, size_t capacity)
    DURESS_NONNULL(1);

/* Whether family, host and port, or path, are the same. Thread-safe. */
DURESS_API bool duress_address_equal(const struct duress_address *a, const struct duress_address *b) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
