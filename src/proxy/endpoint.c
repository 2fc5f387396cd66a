/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PREFIX "unix://"
#define PORT_DIGITS_MAX 5

static bool port_parse(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t digits = strlen(text);
    if (digits == 0 || digits > PORT_DIGITS_MAX)
        return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        value = value * 10 + (uint32_t)(*at - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool unix_parse(const char *path, struct endpoint *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, length);
    memcpy(&endpoint->address, &address, sizeof address);
    endpoint->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

static bool host_parse(const char *host, uint16_t port, struct endpoint *endpoint)
{
    struct sockaddr_in six_or_four = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &six_or_four.sin_addr) == 1) {
        memcpy(&endpoint->address, &six_or_four, sizeof six_or_four);
        endpoint->length = sizeof six_or_four;
        return true;
    }
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &six.sin6_addr) != 1)
        return false;
    memcpy(&endpoint->address, &six, sizeof six);
    endpoint->length = sizeof six;
    return true;
}

bool duress__proxy_endpoint_parse(const char *text, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){.length = 0};
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return unix_parse(text + strlen(UNIX_PREFIX), endpoint);
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint16_t port = 0;
    if (colon == NULL || !port_parse(colon + 1, &port))
        return false;
    const char *first = text;
    const char *end = colon;
    bool bracketed = *text == '[' && colon - text >= 2 && colon[-1] == ']';
    if (bracketed) {
        first++;
        end--;
    }
    size_t length = (size_t)(end - first);
    if (length >= sizeof host)
        return false;
    memcpy(host, first, length);
    host[length] = '\0';
    return host_parse(host, port, endpoint) && bracketed == (endpoint->address.ss_family == AF_INET6);
}

bool duress__proxy_endpoint_is_tcp(const struct endpoint *endpoint)
{
    return endpoint->address.ss_family == AF_INET || endpoint->address.ss_family == AF_INET6;
}

/* Copies out and in, as an aliased sockaddr must not be read through another type. */
static struct sockaddr_in four_of(const struct endpoint *endpoint)
{
    struct sockaddr_in four;
    memcpy(&four, &endpoint->address, sizeof four);
    return four;
}

static struct sockaddr_in6 six_of(const struct endpoint *endpoint)
{
    struct sockaddr_in6 six;
    memcpy(&six, &endpoint->address, sizeof six);
    return six;
}

uint16_t duress__proxy_endpoint_port(const struct endpoint *endpoint)
{
    if (endpoint->address.ss_family == AF_INET)
        return ntohs(four_of(endpoint).sin_port);
    if (endpoint->address.ss_family == AF_INET6)
        return ntohs(six_of(endpoint).sin6_port);
    return 0;
}

void duress__proxy_endpoint_port_set(struct endpoint *endpoint, uint16_t port)
{
    if (endpoint->address.ss_family == AF_INET) {
        struct sockaddr_in four = four_of(endpoint);
        four.sin_port = htons(port);
        memcpy(&endpoint->address, &four, sizeof four);
    } else if (endpoint->address.ss_family == AF_INET6) {
        struct sockaddr_in6 six = six_of(endpoint);
        six.sin6_port = htons(port);
        memcpy(&endpoint->address, &six, sizeof six);
    }
}

bool duress__proxy_endpoint_is_wildcard(const struct endpoint *endpoint)
{
    if (endpoint->address.ss_family == AF_INET)
        return four_of(endpoint).sin_addr.s_addr == htonl(INADDR_ANY);
    struct sockaddr_in6 six = six_of(endpoint);
    return endpoint->address.ss_family == AF_INET6 && memcmp(&six.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
}

void duress__proxy_endpoint_text(const struct endpoint *endpoint, char *text, size_t text_bytes)
{
    char host[INET6_ADDRSTRLEN] = "";
    unsigned port = duress__proxy_endpoint_port(endpoint);
    struct sockaddr_in four = four_of(endpoint);
    struct sockaddr_in6 six = six_of(endpoint);
    *text = '\0';
    if (endpoint->address.ss_family == AF_INET && inet_ntop(AF_INET, &four.sin_addr, host, sizeof host) != NULL)
        (void)snprintf(text, text_bytes, "%s:%u", host, port);
    else if (endpoint->address.ss_family == AF_INET6 && inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof host) != NULL)
        (void)snprintf(text, text_bytes, "[%s]:%u", host, port);
}

struct endpoint duress__proxy_endpoint_to_reach(const struct endpoint *listening)
{
    struct endpoint reached = *listening;
    if (listening->address.ss_family == AF_INET) {
        struct sockaddr_in four = four_of(listening);
        if (four.sin_addr.s_addr == htonl(INADDR_ANY))
            four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&reached.address, &four, sizeof four);
    } else if (listening->address.ss_family == AF_INET6) {
        struct sockaddr_in6 six = six_of(listening);
        if (memcmp(&six.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0)
            six.sin6_addr = in6addr_loopback;
        memcpy(&reached.address, &six, sizeof six);
    }
    return reached;
}

bool duress__proxy_endpoint_host_equal(const struct endpoint *a, const struct endpoint *b)
{
    if (a->address.ss_family != b->address.ss_family)
        return false;
    if (a->address.ss_family == AF_INET)
        return four_of(a).sin_addr.s_addr == four_of(b).sin_addr.s_addr;
    if (a->address.ss_family != AF_INET6)
        return false;
    struct sockaddr_in6 left = six_of(a);
    struct sockaddr_in6 right = six_of(b);
    return memcmp(&left.sin6_addr, &right.sin6_addr, sizeof left.sin6_addr) == 0;
}

bool duress__proxy_endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return duress__proxy_endpoint_host_equal(a, b) && duress__proxy_endpoint_port(a) == duress__proxy_endpoint_port(b);
}
