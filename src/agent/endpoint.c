/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <string.h>

static int endpoint_refuse(const char **reason, const char *why)
{
    *reason = why;
    return DURESS_E_INVALID;
}

static bool port_parse(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; digits++)
        value = value * 10 + (uint32_t)(text[digits] - '0');
    if (digits == 0 || text[digits] != '\0' || value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static int endpoint_parse_unix(const char *path, struct endpoint *endpoint, const char **reason)
{
    if (path[0] != '/')
        return endpoint_refuse(reason, "the path of a Unix socket must be absolute");
    endpoint->address = duress_address_unix(path);
    if (endpoint->address.family == DURESS_FAMILY_NONE)
        return endpoint_refuse(reason, "the path of a Unix socket has at most 107 bytes");
    size_t length = strnlen(path, sizeof endpoint->host - 1);
    memcpy(endpoint->host, path, length);
    return DURESS_OK;
}

static int endpoint_parse_tcp(const char *text, struct endpoint *endpoint, const char **reason)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !port_parse(colon + 1, &endpoint->port))
        return endpoint_refuse(reason, "a port from 1 to 65535 must follow the last colon");
    const char *host = text;
    size_t length = (size_t)(colon - text);
    bool bracketed = length >= 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof endpoint->host)
        return endpoint_refuse(reason, "a host has 1 to 255 characters");
    memcpy(endpoint->host, host, length);
    endpoint->host[length] = '\0';
    endpoint->named = !duress_address_from_host(endpoint->host, endpoint->port, &endpoint->address);
    if (bracketed && (endpoint->named || endpoint->address.family != DURESS_FAMILY_IPV6))
        return endpoint_refuse(reason, "brackets are for IPv6 addresses");
    if (!bracketed && strchr(endpoint->host, ':') != NULL)
        return endpoint_refuse(reason, "an IPv6 address must stand in brackets");
    return DURESS_OK;
}

int duress__endpoint_parse(const char *text, struct endpoint *endpoint, const char **reason)
{
    static const char tcp[] = "tcp://";
    static const char unix_path[] = "unix://";
    *endpoint = (struct endpoint){.named = false};
    if (text == NULL)
        return endpoint_refuse(reason, "must be given");
    if (strncmp(text, tcp, sizeof tcp - 1) == 0)
        return endpoint_parse_tcp(text + sizeof tcp - 1, endpoint, reason);
    if (strncmp(text, unix_path, sizeof unix_path - 1) == 0)
        return endpoint_parse_unix(text + sizeof unix_path - 1, endpoint, reason);
    return endpoint_refuse(reason, "must begin with tcp:// or unix://");
}
