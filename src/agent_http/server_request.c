/* SPDX-License-Identifier: Apache-2.0 */
#include "server_request.h"

#include <string.h>
#include <strings.h>

#include <duress/time.h>

enum { ROLE_BYTES_MAX = 64 }; /* of a message */

static const struct {
    const char *path;
    enum http_route route;
} routes[] = {
    {"/process", HTTP_ROUTE_PROCESS}, {"/stream", HTTP_ROUTE_STREAM}, {"/health", HTTP_ROUTE_HEALTH},
    {"/ready", HTTP_ROUTE_READY},     {"/live", HTTP_ROUTE_LIVE},
};

enum http_route duress__http_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].route;
    return HTTP_ROUTE_NONE;
}

/* --- the head --- */

static bool takes_body(enum http_route route)
{
    return route == HTTP_ROUTE_PROCESS || route == HTTP_ROUTE_STREAM;
}

/* Whether |value| is the media type application/json, with or without parameters. */
static bool is_json(const char *value)
{
    static const char json[] = "application/json";
    if (strncasecmp(value, json, sizeof json - 1) != 0)
        return false;
    const char *rest = value + sizeof json - 1;
    rest += strspn(rest, " \t");
    return *rest == '\0' || *rest == ';';
}

/* Whether the decimal |value| is more than |limit|. What is no number is libmicrohttpd's to refuse. */
static bool is_longer(const char *value, size_t limit)
{
    uint64_t length = 0;
    for (; *value >= '0' && *value <= '9'; value++)
        length = duress_time_add(duress_time_multiply(length, 10), (uint64_t)(*value - '0'));
    return length > limit;
}

static struct http_refusal refuse(unsigned status, const char *code, const char *message)
{
    return (struct http_refusal){.status = status, .code = code, .message = message};
}

/* Two readings of where the body ends are two different requests: neither is served. */
static bool length_is_ambiguous(const struct http_request_head *head)
{
    return head->content_length_count > 1 || (head->content_length != NULL && head->transfer_encoding != NULL);
}

static struct http_refusal body_head_check(const struct http_request_head *head, size_t body_bytes_max)
{
    if (head->transfer_encoding != NULL && strcasecmp(head->transfer_encoding, "chunked") != 0)
        return refuse(501, "NOT_IMPLEMENTED", "a Transfer-Encoding other than chunked");
    if (head->content_type != NULL && !is_json(head->content_type))
        return refuse(415, "INVALID_REQUEST", "the body's Content-Type is not application/json");
    if (head->content_length != NULL && is_longer(head->content_length, body_bytes_max))
        return refuse(413, "MALFORMED_PAYLOAD", "the body is longer than the limit");
    return refuse(0, NULL, NULL);
}

struct http_refusal duress__http_head_check(enum http_route route, const char *method,
                                            const struct http_request_head *head, size_t header_bytes_max,
                                            size_t body_bytes_max)
{
    if (head->bytes > header_bytes_max)
        return refuse(431, "INVALID_REQUEST", "the headers are longer than the limit");
    if (length_is_ambiguous(head))
        return refuse(400, "INVALID_REQUEST", "the length of the body is said more than once");
    if (route == HTTP_ROUTE_NONE)
        return refuse(404, "INVALID_REQUEST", "no such path: /process, /stream, /health, /ready and /live are served");
    const char *allow = takes_body(route) ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
    if (strcmp(method, "OPTIONS") == 0)
        return (struct http_refusal){.status = 204, .allow = allow};
    bool served =
        takes_body(route) ? strcmp(method, "POST") == 0 : strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (!served)
        return (struct http_refusal){405, "INVALID_REQUEST", "this method is not served here", allow};
    return takes_body(route) ? body_head_check(head, body_bytes_max) : refuse(0, NULL, NULL);
}

/* --- the body --- */

static const char *defect_code(enum duress_envelope_defect defect)
{
    switch (defect) {
    case DURESS_DEFECT_SYNTAX:
    case DURESS_DEFECT_LIMIT:
        return "MALFORMED_PAYLOAD";
    case DURESS_DEFECT_VERSION:
        return "UNSUPPORTED_VERSION";
    case DURESS_DEFECT_NONE:
    case DURESS_DEFECT_FIELD:
        break;
    }
    return "INVALID_MESSAGE";
}

int duress__http_body_read(struct duress_slice body, const struct duress_envelope_limits *limits,
                           struct duress_buffer *scratch, struct duress_envelope *envelope,
                           struct http_refusal *refusal)
{
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    *refusal = refuse(0, NULL, NULL);
    if (body.length == 0) {
        *envelope = (struct duress_envelope){.type = DURESS_ENVELOPE_NONE};
        *refusal = refuse(400, "INVALID_MESSAGE", "a body is needed");
        return DURESS_OK;
    }
    int error = duress_envelope_decode(body, limits, scratch, envelope, &diagnostics);
    if (error == DURESS_E_NO_MEMORY)
        return error;
    if (error != DURESS_OK)
        *refusal = refuse(400, defect_code(diagnostics.defect),
                          diagnostics.reason != NULL ? diagnostics.reason : "no valid envelope");
    else if (envelope->type != DURESS_ENVELOPE_REQUEST)
        *refusal = refuse(400, "INVALID_MESSAGE", "not a request");
    else if (envelope->role.length > ROLE_BYTES_MAX)
        *refusal = refuse(400, "INVALID_MESSAGE", "a role of more than 64 bytes");
    else if (envelope->id.length > HTTP_SERVER_ID_BYTES_MAX)
        *refusal = refuse(400, "INVALID_MESSAGE", "an id of more than 256 bytes");
    if (envelope->id.length > HTTP_SERVER_ID_BYTES_MAX)
        envelope->id.length = 0;
    return DURESS_OK;
}

/* --- failures --- */

unsigned duress__http_failure_status(const struct duress_failure *failure)
{
    switch (failure->code) {
    case DURESS_E_RATE_LIMITED:
        return failure->ambiguous ? 500 : 429;
    case DURESS_E_OVERLOADED:
    case DURESS_E_BULKHEAD_FULL:
    case DURESS_E_CIRCUIT_OPEN:
    case DURESS_E_NO_MEMORY:
        return failure->ambiguous ? 500 : 503;
    case DURESS_E_INVALID:
        return failure->ambiguous ? 500 : 400;
    case DURESS_E_DEADLINE:
        return 504;
    case DURESS_E_UNSUPPORTED:
        return 501;
    default:
        return 500;
    }
}

uint64_t duress__http_retry_after_s(uint64_t wait_ns)
{
    uint64_t seconds = wait_ns / DURESS_S + (wait_ns % DURESS_S != 0 ? 1 : 0);
    return seconds > 0 ? seconds : 1;
}
