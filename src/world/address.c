/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/world/address.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define UNIX_PREFIX "unix://"

/* Reads a port as people write it: one to five digits, at most 65535. */
static bool port_parse(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

bool duress_address_from_host(const char *host, uint16_t port, struct duress_address *address)
{
    struct duress_address read = {.port = port};
    if (inet_pton(AF_INET, host, read.bytes) == 1)
        read.family = DURESS_FAMILY_IPV4;
    else if (inet_pton(AF_INET6, host, read.bytes) == 1)
        read.family = DURESS_FAMILY_IPV6;
    else
        return false;
    *address = read;
    return true;
}

bool duress_address_parse(const char *text, struct duress_address *address)
{
    if (text == NULL)
        return false;
    if (strncmp(text, UNIX_PREFIX, sizeof UNIX_PREFIX - 1) == 0) {
        struct duress_address read = duress_address_unix(text + sizeof UNIX_PREFIX - 1);
        if (read.family == DURESS_FAMILY_NONE)
            return false;
        *address = read;
        return true;
    }
    bool bracketed = text[0] == '[';
    const char *host_start = bracketed ? text + 1 : text;
    const char *host_end = strchr(host_start, bracketed ? ']' : ':');
    if (host_end == NULL)
        return false;
    const char *colon = bracketed ? host_end + 1 : host_end;
    char host[INET6_ADDRSTRLEN];
    size_t host_length = (size_t)(host_end - host_start);
    uint16_t port;
    if (*colon != ':' || host_length >= sizeof host || !port_parse(colon + 1, &port))
        return false;
    memcpy(host, host_start, host_length);
    host[host_length] = '\0';
    struct duress_address read;
    if (!duress_address_from_host(host, port, &read))
        return false;
    if (bracketed != (read.family == DURESS_FAMILY_IPV6))
        return false;
    *address = read;
    return true;
}

struct duress_address duress_address_loopback(uint16_t port)
{
    return (struct duress_address){.family = DURESS_FAMILY_IPV4, .port = port, .bytes = {127, 0, 0, 1}};
}

struct duress_address duress_address_unix(const char *path)
{
    struct duress_address address = {.family = DURESS_FAMILY_NONE};
    size_t length = path == NULL ? 0 : strlen(path);
    if (length == 0 || length >= sizeof address.path)
        return address;
    address.family = DURESS_FAMILY_UNIX;
    memcpy(address.path, path, length + 1);
    return address;
}

const char *duress_address_format(const struct duress_address *address, char *text, size_t capacity)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (capacity == 0)
        return text;
    switch (address->family) {
    case DURESS_FAMILY_NONE:
        (void)snprintf(text, capacity, "none");
        break;
    case DURESS_FAMILY_IPV4:
        (void)inet_ntop(AF_INET, address->bytes, host, sizeof host);
        (void)snprintf(text, capacity, "%s:%u", host, (unsigned)address->port);
        break;
    case DURESS_FAMILY_IPV6:
        (void)inet_ntop(AF_INET6, address->bytes, host, sizeof host);
        (void)snprintf(text, capacity, "[%s]:%u", host, (unsigned)address->port);
        break;
    case DURESS_FAMILY_UNIX:
        (void)snprintf(text, capacity, UNIX_PREFIX "%s", address->path);
        break;
    }
    return text;
}

bool duress_address_equal(const struct duress_address *a, const struct duress_address *b)
{
    if (a->family != b->family)
        return false;
    switch (a->family) {
    case DURESS_FAMILY_NONE:
        return true;
    case DURESS_FAMILY_IPV4:
        return a->port == b->port && memcmp(a->bytes, b->bytes, 4) == 0;
    case DURESS_FAMILY_IPV6:
        return a->port == b->port && memcmp(a->bytes, b->bytes, 16) == 0;
    case DURESS_FAMILY_UNIX:
        return strcmp(a->path, b->path) == 0;
    }
    return false;
}
