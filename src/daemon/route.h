/* SPDX-License-Identifier: Apache-2.0
 *
 * From the target of a request, as it stood in the request's first line, to what is asked for. Works on the raw text:
 * who decodes first and looks later is told "/proxies/web" where "/proxies/web%00x" was asked for, and deletes another
 * proxy. Private to daemon/. */
#ifndef DURESS_DAEMON_ROUTE_H
#define DURESS_DAEMON_ROUTE_H

#include <stdbool.h>

#include <duress/error.h>
#include <duress/wire/buffer.h>

enum route_name {
    ROUTE_NONE = 0,
    ROUTE_PROXIES,     /* /proxies */
    ROUTE_PROXY,       /* /proxies/{proxy} */
    ROUTE_TOXICS,      /* /proxies/{proxy}/toxics */
    ROUTE_TOXIC,       /* /proxies/{proxy}/toxics/{toxic} */
    ROUTE_POPULATE,    /* /populate */
    ROUTE_RESET,       /* /reset */
    ROUTE_VERSION,     /* /version */
    ROUTE_METRICS,     /* /metrics */
    ROUTE_CONNECTIONS, /* /connections; ours */
};

enum route_verdict {
    ROUTE_FOUND = 0,
    ROUTE_UNKNOWN, /* 404 */
    ROUTE_MOVED,   /* 301: the path has empty or dot segments; |location| says where it is meant */
    ROUTE_BAD,     /* 400: a broken escape, a NUL, a control character, or no path at all */
};

struct route {
    enum route_name name;
    const char *proxy; /* decoded; NULL where the route has none */
    const char *toxic;
};

/* Reads |target|, which is changed and keeps the names of |route|. |location| (empty before) is filled for ROUTE_MOVED;
 * out of memory it stays empty. */
enum route_verdict duress__route_read(char *target, struct route *route, struct duress_buffer *location);

/* What a request is for, by its route and method. */
enum operation {
    OPERATION_NONE = 0, /* 405: the route knows no such method */
    OPERATION_PROXY_INDEX,
    OPERATION_PROXY_CREATE,
    OPERATION_PROXY_SHOW,
    OPERATION_PROXY_UPDATE,
    OPERATION_PROXY_DELETE,
    OPERATION_TOXIC_INDEX,
    OPERATION_TOXIC_CREATE,
    OPERATION_TOXIC_SHOW,
    OPERATION_TOXIC_UPDATE,
    OPERATION_TOXIC_DELETE,
    OPERATION_POPULATE,
    OPERATION_RESET,
    OPERATION_VERSION,
    OPERATION_METRICS,
    OPERATION_CONNECTIONS,
    OPERATION_COUNT
};

enum operation duress__route_operation(enum route_name name, const char *method);

/* "ProxyIndex" and so on, as logs call it. */
const char *duress__operation_name(enum operation operation);

#endif
