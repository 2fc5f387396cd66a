/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535
#define SERVICE_BYTES_MAX 1024

union any_address {
    struct sockaddr_storage storage;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool address_refuse(char *reason, const char *text, const char *why)
{
    (void)snprintf(reason, ADDRESS_REASON_BYTES_MAX, "address %.600s: %s", text, why);
    return false;
}

/* --- splitting --- */

/* Names of ports that every machine knows, also one without a list of services. */
static const struct {
    const char *name;
    uint16_t port;
} services[] = {
    {"domain", 53}, {"ftp", 21},          {"ftps", 990},  {"gopher", 70}, {"http", 80},
    {"https", 443}, {"imap2", 143},       {"imap3", 220}, {"imaps", 993}, {"pop3", 110},
    {"pop3s", 995}, {"submissions", 465}, {"smtp", 25},   {"ssh", 22},    {"telnet", 23},
};

static bool service_find(const char *name, uint16_t *port)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (strcasecmp(services[i].name, name) != 0)
            continue;
        *port = services[i].port;
        return true;
    }
    struct servent entry;
    struct servent *found = NULL;
    char text[SERVICE_BYTES_MAX];
    if (getservbyname_r(name, "tcp", &entry, text, sizeof text, &found) != 0 || found == NULL)
        return false;
    *port = ntohs((uint16_t)found->s_port);
    return true;
}

/* A number with an optional sign, or the name of a service; nothing is 0. */
static bool port_read(const char *text, uint16_t *port, char *reason)
{
    const char *digits = *text == '+' || *text == '-' ? text + 1 : text;
    *port = 0;
    if (*text == '\0')
        return true;
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        if (service_find(text, port))
            return true;
        (void)snprintf(reason, ADDRESS_REASON_BYTES_MAX, "lookup tcp/%.600s: unknown port", text);
        return false;
    }
    digits += strspn(digits, "0");
    unsigned long value = strlen(digits) > 5 ? PORT_MAX + 1UL : strtoul(digits, NULL, 10);
    if (value > PORT_MAX || (*text == '-' && value > 0))
        return address_refuse(reason, text, "invalid port");
    *port = (uint16_t)value;
    return true;
}

/* Why |text| is no host and port, or NULL; then the host is |*length| bytes from |*host| on, and the port follows
 * |*port|. */
static const char *parts_find(const char *text, const char **host, size_t *length, const char **port)
{
    const char *colon = strrchr(text, ':');
    const char *rest = text; /* where no bracket may stand any more */
    if (colon == NULL)
        return "missing port in address";
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL)
            return "missing ']' in address";
        if (end[1] == '\0')
            return "missing port in address";
        if (end + 1 != colon)
            return end[1] == ':' ? "too many colons in address" : "missing port in address";
        *host = text + 1;
        *length = (size_t)(end - text) - 1;
        rest = end + 1;
        if (memchr(*host, '[', *length) != NULL)
            return "unexpected '[' in address";
    } else {
        *host = text;
        *length = (size_t)(colon - text);
        if (memchr(text, ':', *length) != NULL)
            return "too many colons in address";
    }
    if (strchr(rest, '[') != NULL)
        return "unexpected '[' in address";
    if (strchr(rest, ']') != NULL)
        return "unexpected ']' in address";
    *port = colon + 1;
    return NULL;
}

bool duress__address_split(const char *text, struct address_parts *parts, char reason[ADDRESS_REASON_BYTES_MAX])
{
    const char *host = text;
    const char *port = NULL;
    size_t length = 0;
    *parts = (struct address_parts){.port = 0};
    if (*text == '\0')
        return true;
    const char *why = parts_find(text, &host, &length, &port);
    if (why != NULL)
        return address_refuse(reason, text, why);
    if (length >= sizeof parts->host) {
        (void)snprintf(reason, ADDRESS_REASON_BYTES_MAX, "lookup %.600s: no such host", text);
        return false;
    }
    memcpy(parts->host, host, length);
    parts->host[length] = '\0';
    return port_read(port, &parts->port, reason);
}

/* --- addresses --- */

static union any_address any_of(const struct address *address)
{
    union any_address any = {.storage = address->storage};
    return any;
}

static void six_set(struct address *address, const struct in6_addr *bytes, uint16_t port)
{
    union any_address any = {.six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *bytes}};
    address->storage = any.storage;
    address->length = sizeof any.six;
}

static void four_set(struct address *address, struct in_addr bytes, uint16_t port)
{
    union any_address any = {.storage = {.ss_family = AF_UNSPEC}};
    any.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = bytes};
    address->storage = any.storage;
    address->length = sizeof any.four;
}

bool duress__address_numeric(const struct address_parts *parts, struct address *address)
{
    struct in_addr four = {0};
    struct in6_addr six = IN6ADDR_ANY_INIT;
    *address = (struct address){.length = 0};
    if (parts->host[0] == '\0') {
        six_set(address, &six, parts->port);
        (void)snprintf(address->asked, sizeof address->asked, ":%u", (unsigned)parts->port);
        return true;
    }
    if (inet_pton(AF_INET, parts->host, &four) == 1) {
        if (four.s_addr == htonl(INADDR_ANY))
            six_set(address, &six, parts->port);
        else
            four_set(address, four, parts->port);
        (void)snprintf(address->asked, sizeof address->asked, "%.15s:%u", parts->host, (unsigned)parts->port);
        return true;
    }
    if (inet_pton(AF_INET6, parts->host, &six) != 1)
        return false;
    six_set(address, &six, parts->port);
    /* Toxiproxy's library tries the wildcard of IPv4 too, and that is the one whose error it tells. */
    if (IN6_IS_ADDR_UNSPECIFIED(&six))
        (void)snprintf(address->asked, sizeof address->asked, "0.0.0.0:%u", (unsigned)parts->port);
    else
        (void)duress__address_format(address, address->asked);
    return true;
}

void duress__address_found(const struct address_parts *parts, const struct sockaddr *found, struct address *address)
{
    union any_address any = {.storage = {.ss_family = AF_UNSPEC}};
    *address = (struct address){.length = 0};
    if (found->sa_family == AF_INET) {
        memcpy(&any.four, found, sizeof any.four);
        four_set(address, any.four.sin_addr, parts->port);
    } else {
        memcpy(&any.six, found, sizeof any.six);
        six_set(address, &any.six.sin6_addr, parts->port);
    }
    (void)duress__address_format(address, address->asked);
}

bool duress__address_is_wildcard(const struct address *address)
{
    union any_address any = any_of(address);
    if (any.storage.ss_family == AF_INET)
        return any.four.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&any.six.sin6_addr);
}

bool duress__address_to_ipv4(struct address *address)
{
    struct in_addr any = {.s_addr = htonl(INADDR_ANY)};
    if (any_of(address).storage.ss_family != AF_INET6 || !duress__address_is_wildcard(address))
        return false;
    four_set(address, any, duress__address_port(address));
    return true;
}

uint16_t duress__address_port(const struct address *address)
{
    union any_address any = any_of(address);
    return ntohs(any.storage.ss_family == AF_INET ? any.four.sin_port : any.six.sin6_port);
}

void duress__address_port_set(struct address *address, uint16_t port)
{
    union any_address any = any_of(address);
    if (any.storage.ss_family == AF_INET)
        any.four.sin_port = htons(port);
    else
        any.six.sin6_port = htons(port);
    address->storage = any.storage;
}

const char *duress__address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES_MAX])
{
    union any_address any = any_of(address);
    char host[INET6_ADDRSTRLEN] = "";
    bool four = any.storage.ss_family == AF_INET;
    (void)inet_ntop(any.storage.ss_family, four ? (const void *)&any.four.sin_addr : (const void *)&any.six.sin6_addr,
                    host, sizeof host);
    (void)snprintf(text, ADDRESS_TEXT_BYTES_MAX, four ? "%s:%u" : "[%s]:%u", host,
                   (unsigned)duress__address_port(address));
    return text;
}

bool duress__address_is_same(const char *stored, const char *text, const struct address *address)
{
    char numeric[ADDRESS_TEXT_BYTES_MAX];
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    struct address other;
    if (strcmp(stored, text) == 0 || strcmp(stored, duress__address_format(address, numeric)) == 0)
        return true;
    if (!duress__address_is_wildcard(address) || !duress__address_split(stored, &parts, reason) || parts.port == 0)
        return false;
    return duress__address_numeric(&parts, &other) && duress__address_is_wildcard(&other) &&
           parts.port == duress__address_port(address);
}
