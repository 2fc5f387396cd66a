/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define HOST_BYTES_MAX 256

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The host of "host:port" or "[host]:port", in lower case and without a dot at its end. False where it is too long. */
static bool host_name(const char *text, char name[HOST_BYTES_MAX])
{
    size_t length = strcspn(text, ":");
    if (*text == '[') {
        text++;
        length = strcspn(text, "]");
    }
    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length >= HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
    name[length] = '\0';
    return true;
}

static bool is_numeric(const char *name)
{
    struct in6_addr bytes;
    return inet_pton(AF_INET, name, &bytes) == 1 || inet_pton(AF_INET6, name, &bytes) == 1;
}

static bool is_below(const char *name, const char *domain)
{
    size_t length = strlen(name);
    size_t tail = strlen(domain);
    return length > tail && name[length - tail - 1] == '.' && strcmp(name + length - tail, domain) == 0;
}

static bool is_private(const char *name)
{
    static const char *const domains[] = {"localhost", "local", "internal", "test", "home.arpa"};
    if (strchr(name, '.') == NULL)
        return true;
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++)
        if (is_below(name, domains[i]))
            return true;
    return false;
}

static bool host_is_allowed(const struct gate *gate, const char *host)
{
    char name[HOST_BYTES_MAX];
    if (!gate->checks_host || host == NULL)
        return true; /* HTTP/1.0 has none, and browsers do not speak it */
    if (!host_name(host, name))
        return false;
    for (size_t i = 0; i < gate->host_count; i++)
        if (strcmp(gate->hosts[i], "*") == 0 || strcasecmp(gate->hosts[i], name) == 0)
            return true;
    return is_numeric(name) || is_private(name);
}

static bool origin_is_own(const struct gate_request *request)
{
    const char *origin = request->origin;
    if (origin == NULL)
        return true;
    const char *authority = strstr(origin, "://");
    return authority != NULL && request->host != NULL && strcasecmp(authority + 3, request->host) == 0;
}

/* Takes as long whatever the given token is. */
static bool token_is_right(const char *token, const char *authorization)
{
    const char *scheme = "Bearer ";
    if (authorization == NULL || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        return false;
    const char *given = authorization + strlen(scheme);
    size_t length = strlen(token);
    unsigned char difference = strlen(given) != length;
    size_t given_length = strlen(given);
    for (size_t i = 0; i < given_length; i++)
        difference |= (unsigned char)((unsigned char)given[i] ^ (unsigned char)token[i % (length + 1)]);
    return difference == 0;
}

enum gate_verdict duress__gate_check(const struct gate *gate, const struct gate_request *request,
                                     struct refusal *refusal)
{
    bool browser = request->user_agent != NULL && begins_with(request->user_agent, "Mozilla/");
    if (browser)
        (void)duress__refuse(refusal, 403, "User agent not allowed");
    else if (!host_is_allowed(gate, request->host))
        (void)duress__refuse(refusal, 403, "Host not allowed; allow it with --allow-host");
    else if (!origin_is_own(request))
        (void)duress__refuse(refusal, 403, "Origin not allowed");
    else if (gate->token != NULL && !token_is_right(gate->token, request->authorization))
        (void)duress__refuse(refusal, 401, "bearer token missing or wrong");
    else
        return GATE_OPEN;
    return browser ? GATE_BROWSER : GATE_REFUSED;
}
