/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include <string.h>

#define SEGMENTS_MAX 4 /* of a route; a path with more leads nowhere */

/* --- splitting and decoding --- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes the segment at |*from| to |*to|, which never overtakes it, and ends it with a NUL. False where it is bad. */
static bool segment_decode(const char **from, char **to)
{
    const char *read = *from;
    char *write = *to;
    while (*read != '\0' && *read != '/') {
        unsigned char byte = (unsigned char)*read++;
        if (byte == '%') {
            int high = hex_value(read[0]);
            int low = high >= 0 ? hex_value(read[1]) : -1;
            if (low < 0 || high * 16 + low == 0)
                return false;
            byte = (unsigned char)(high * 16 + low);
            read += 2;
        } else if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
        *write++ = (char)byte;
    }
    *from = read;
    *to = write;
    return true;
}

/* Cuts off what is not path: scheme and authority of a whole URL, the query. NULL where there is no path; *query is
 * set to what stood behind the question mark, or NULL. */
static char *path_find(char *target, const char **query)
{
    char *path = target;
    char *mark = strchr(target, '?');
    *query = NULL;
    if (mark != NULL) {
        *mark = '\0';
        *query = mark + 1;
    }
    if (*path != '/') {
        char *authority = strstr(path, "://");
        if (authority == NULL)
            return NULL;
        path = strchr(authority + 3, '/');
    }
    return path;
}

static bool is_dots(const char *segment)
{
    return strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0;
}

/* --- cleaning --- */

static bool byte_is_plain(char byte)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    return letter || digit || (byte != '\0' && strchr("-_.~$&+,:;=@", byte) != NULL);
}

static int segment_encode(struct duress_buffer *location, const char *segment)
{
    static const char digits[] = "0123456789ABCDEF";
    int error = duress_buffer_append(location, duress_slice_text("/"));
    for (const char *at = segment; *at != '\0' && error == DURESS_OK; at++) {
        unsigned char byte = (unsigned char)*at;
        char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        bool plain = byte_is_plain(*at);
        error = duress_buffer_append(location, duress_slice_bytes(plain ? at : escaped, plain ? 1 : sizeof escaped));
    }
    return error;
}

static void last_segment_drop(struct duress_buffer *location)
{
    struct duress_slice text = duress_buffer_slice(location);
    size_t length = text.length;
    while (length > 0 && text.data[length - 1] != '/')
        length--;
    duress_buffer_truncate(location, length > 0 ? length - 1 : 0);
}

/* The path without empty and dot segments; a slash at its end stays. */
static int path_clean(const char *segments, size_t count, const char *query, struct duress_buffer *location)
{
    int error = DURESS_OK;
    const char *segment = segments;
    bool slash = false;
    for (size_t i = 0; i < count && error == DURESS_OK; i++, segment += strlen(segment) + 1) {
        slash = *segment == '\0';
        if (strcmp(segment, "..") == 0)
            last_segment_drop(location);
        else if (*segment != '\0' && strcmp(segment, ".") != 0)
            error = segment_encode(location, segment);
    }
    if (error == DURESS_OK && (slash || duress_buffer_length(location) == 0))
        error = duress_buffer_append(location, duress_slice_text("/"));
    if (error == DURESS_OK && query != NULL)
        error = duress_buffer_append(location, duress_slice_text("?"));
    if (error == DURESS_OK && query != NULL)
        error = duress_buffer_append(location, duress_slice_text(query));
    return error;
}

/* --- matching --- */

static enum route_name route_match(const char *const segments[SEGMENTS_MAX], size_t count, struct route *route)
{
    static const struct {
        const char *word;
        enum route_name name;
    } single[] = {
        {"proxies", ROUTE_PROXIES}, {"populate", ROUTE_POPULATE}, {"reset", ROUTE_RESET},
        {"version", ROUTE_VERSION}, {"metrics", ROUTE_METRICS},   {"connections", ROUTE_CONNECTIONS},
    };
    if (count == 1) {
        for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
            if (strcmp(segments[0], single[i].word) == 0)
                return single[i].name;
        return ROUTE_NONE;
    }
    if (strcmp(segments[0], "proxies") != 0)
        return ROUTE_NONE;
    route->proxy = segments[1];
    if (count == 2)
        return ROUTE_PROXY;
    if (strcmp(segments[2], "toxics") != 0)
        return ROUTE_NONE;
    if (count == 3)
        return ROUTE_TOXICS;
    route->toxic = segments[3];
    return ROUTE_TOXIC;
}

enum route_verdict duress__route_read(char *target, struct route *route, struct duress_buffer *location)
{
    const char *query = NULL;
    const char *segments[SEGMENTS_MAX] = {"", "", "", ""};
    size_t count = 0;
    bool unclean = false;
    bool leads_nowhere = false;
    *route = (struct route){.name = ROUTE_NONE};
    char *path = path_find(target, &query);
    if (path == NULL)
        return ROUTE_BAD;
    char *write = path;
    for (const char *read = path; *read == '/'; count++) {
        char *segment = write;
        read++;
        if (!segment_decode(&read, &write))
            return ROUTE_BAD;
        bool last = *read == '\0';
        *write++ = '\0';
        unclean = unclean || is_dots(segment) || (*segment == '\0' && !last);
        leads_nowhere = leads_nowhere || *segment == '\0' || strchr(segment, '/') != NULL;
        if (count < SEGMENTS_MAX)
            segments[count] = segment;
    }
    if (unclean) {
        if (path_clean(path, count, query, location) != DURESS_OK)
            duress_buffer_clear(location);
        return ROUTE_MOVED;
    }
    if (leads_nowhere || count == 0 || count > SEGMENTS_MAX)
        return ROUTE_UNKNOWN;
    route->name = route_match(segments, count, route);
    return route->name == ROUTE_NONE ? ROUTE_UNKNOWN : ROUTE_FOUND;
}

/* --- operations --- */

enum method { METHOD_OTHER = 0, METHOD_GET, METHOD_POST, METHOD_PATCH, METHOD_DELETE, METHOD_COUNT };

static enum method method_of(const char *name)
{
    static const char *const names[METHOD_COUNT] = {NULL, "GET", "POST", "PATCH", "DELETE"};
    for (unsigned i = METHOD_GET; i < METHOD_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum method)i;
    return METHOD_OTHER;
}

enum operation duress__route_operation(enum route_name name, const char *method)
{
    static const enum operation table[][METHOD_COUNT] = {
        [ROUTE_PROXIES] = {[METHOD_GET] = OPERATION_PROXY_INDEX, [METHOD_POST] = OPERATION_PROXY_CREATE},
        [ROUTE_PROXY] = {[METHOD_GET] = OPERATION_PROXY_SHOW,
                         [METHOD_POST] = OPERATION_PROXY_UPDATE,
                         [METHOD_PATCH] = OPERATION_PROXY_UPDATE,
                         [METHOD_DELETE] = OPERATION_PROXY_DELETE},
        [ROUTE_TOXICS] = {[METHOD_GET] = OPERATION_TOXIC_INDEX, [METHOD_POST] = OPERATION_TOXIC_CREATE},
        [ROUTE_TOXIC] = {[METHOD_GET] = OPERATION_TOXIC_SHOW,
                         [METHOD_POST] = OPERATION_TOXIC_UPDATE,
                         [METHOD_PATCH] = OPERATION_TOXIC_UPDATE,
                         [METHOD_DELETE] = OPERATION_TOXIC_DELETE},
        [ROUTE_POPULATE] = {[METHOD_POST] = OPERATION_POPULATE},
        [ROUTE_RESET] = {[METHOD_POST] = OPERATION_RESET},
        [ROUTE_VERSION] = {[METHOD_GET] = OPERATION_VERSION},
        [ROUTE_CONNECTIONS] = {[METHOD_GET] = OPERATION_CONNECTIONS},
    };
    if (name == ROUTE_METRICS)
        return OPERATION_METRICS;
    return name == ROUTE_NONE ? OPERATION_NONE : table[name][method_of(method)];
}

const char *duress__operation_name(enum operation operation)
{
    static const char *const names[OPERATION_COUNT] = {
        [OPERATION_NONE] = "None",
        [OPERATION_PROXY_INDEX] = "ProxyIndex",
        [OPERATION_PROXY_CREATE] = "ProxyCreate",
        [OPERATION_PROXY_SHOW] = "ProxyShow",
        [OPERATION_PROXY_UPDATE] = "ProxyUpdate",
        [OPERATION_PROXY_DELETE] = "ProxyDelete",
        [OPERATION_TOXIC_INDEX] = "ToxicIndex",
        [OPERATION_TOXIC_CREATE] = "ToxicCreate",
        [OPERATION_TOXIC_SHOW] = "ToxicShow",
        [OPERATION_TOXIC_UPDATE] = "ToxicUpdate",
        [OPERATION_TOXIC_DELETE] = "ToxicDelete",
        [OPERATION_POPULATE] = "Populate",
        [OPERATION_RESET] = "ResetState",
        [OPERATION_VERSION] = "Version",
        [OPERATION_METRICS] = "Metrics",
        [OPERATION_CONNECTIONS] = "Connections",
    };
    return names[operation];
}
