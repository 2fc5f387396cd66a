/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's settings: what is refused, and why; its listening socket. */
#include "server_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <duress/world/live.h>

#define IDLE_TIMEOUT_NS_DEFAULT (60 * DURESS_S)
#define HEADER_TIMEOUT_NS_DEFAULT (10 * DURESS_S)
#define BODY_TIMEOUT_NS_DEFAULT (30 * DURESS_S)
#define WRITE_TIMEOUT_NS_DEFAULT (30 * DURESS_S)
#define RETRY_AFTER_NS_DEFAULT (1 * DURESS_S)
#define BODIES_BYTES_DEFAULT (UINT64_C(256) * 1024 * 1024)
#define WRITE_BYTES_DEFAULT ((size_t)16 * 1024 * 1024)

enum {
    BACKLOG_DEFAULT = 4096,
    BACKLOG_MAX = 65535,
    CONNECTIONS_DEFAULT = 10000,
    CONNECTIONS_MAX = 1000000,
    REQUESTS_DEFAULT = 10000,
    REQUESTS_MAX = 1000000,
    HEADER_BYTES_DEFAULT = 16 * 1024,
    HEADER_BYTES_MIN = 1024,
    HEADER_BYTES_MAX = 1024 * 1024,
    BODY_BYTES_MIN = 256,
};

static int refuse(struct duress_failure *why, enum duress_error code, const char *field, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, code, DURESS_ORIGIN_CALLER, "%s: %s", field, reason);
    return code;
}

struct range {
    const char *field;
    uint64_t given; /* 0: the default */
    uint64_t low;
    uint64_t high;
};

static int ranges_check(const struct duress_http_server_options *options, struct duress_failure *why)
{
    const struct range ranges[] = {
        {"backlog", options->backlog, 1, BACKLOG_MAX},
        {"connections_max", options->connections_max, 1, CONNECTIONS_MAX},
        {"connections_per_address_max", options->connections_per_address_max, 1, CONNECTIONS_MAX},
        {"requests_max", options->requests_max, 1, REQUESTS_MAX},
        {"header_bytes_max", options->header_bytes_max, HEADER_BYTES_MIN, HEADER_BYTES_MAX},
        {"body_bytes_max", options->body_bytes_max, BODY_BYTES_MIN, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct range *range = &ranges[i];
        if (range->given == 0 || (range->given >= range->low && range->given <= range->high))
            continue;
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %llu is not from %llu to %llu",
                               range->field, (unsigned long long)range->given, (unsigned long long)range->low,
                               (unsigned long long)range->high);
        return DURESS_E_INVALID;
    }
    return DURESS_OK;
}

int duress__http_server_options_check(const struct duress_http_server_options *options, struct duress_failure *why)
{
    if (options == NULL || options->world == NULL || options->agent == NULL)
        return refuse(why, DURESS_E_INVALID, "world and agent", "must be given");
    if (duress_agent_world(options->agent) != options->world)
        return refuse(why, DURESS_E_INVALID, "agent", "belongs to another world");
    if (duress_world_live_uv_loop(options->world) == NULL)
        return refuse(why, DURESS_E_UNSUPPORTED, "world", "HTTP is served in a live world only");
    enum duress_family family = options->address.family;
    if (family != DURESS_FAMILY_IPV4 && family != DURESS_FAMILY_IPV6)
        return refuse(why, DURESS_E_INVALID, "address", "an IPv4 or IPv6 address is needed");
    return ranges_check(options, why);
}

static void default_u32(uint32_t *field, uint32_t value)
{
    if (*field == 0)
        *field = value;
}

static void default_u64(uint64_t *field, uint64_t value)
{
    if (*field == 0)
        *field = value;
}

static void default_size(size_t *field, size_t value)
{
    if (*field == 0)
        *field = value;
}

void duress__http_server_options_complete(struct duress_http_server_options *options)
{
    default_u32(&options->backlog, BACKLOG_DEFAULT);
    default_u32(&options->connections_max, CONNECTIONS_DEFAULT);
    default_u32(&options->connections_per_address_max, options->connections_max);
    default_u32(&options->requests_max, REQUESTS_DEFAULT);
    default_u64(&options->overload_retry_after_ns, RETRY_AFTER_NS_DEFAULT);
    default_u64(&options->idle_timeout_ns, IDLE_TIMEOUT_NS_DEFAULT);
    default_u64(&options->header_timeout_ns, HEADER_TIMEOUT_NS_DEFAULT);
    default_u64(&options->body_timeout_ns, BODY_TIMEOUT_NS_DEFAULT);
    default_u64(&options->write_timeout_ns, WRITE_TIMEOUT_NS_DEFAULT);
    default_u64(&options->request_timeout_ns, DURESS_TIME_NEVER);
    default_size(&options->header_bytes_max, HEADER_BYTES_DEFAULT);
    default_size(&options->body_bytes_max, DURESS_FRAME_BYTES_MAX_DEFAULT);
    default_u64(&options->bodies_bytes_max, BODIES_BYTES_DEFAULT);
    default_size(&options->write_bytes_max, WRITE_BYTES_DEFAULT);
}

/* --- the listening socket --- */

static int error_of(int number)
{
    switch (number) {
    case EADDRINUSE:
        return DURESS_E_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return DURESS_E_ADDRESS_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return DURESS_E_PERMISSION;
    case EMFILE:
    case ENFILE:
        return DURESS_E_NO_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS:
        return DURESS_E_NO_MEMORY;
    default:
        return DURESS_E_SYSTEM;
    }
}

union socket_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

static socklen_t socket_address_set(union socket_address *made, const struct duress_address *address)
{
    memset(made, 0, sizeof *made);
    if (address->family == DURESS_FAMILY_IPV4) {
        made->ipv4.sin_family = AF_INET;
        made->ipv4.sin_port = htons(address->port);
        memcpy(&made->ipv4.sin_addr, address->bytes, sizeof made->ipv4.sin_addr);
        return sizeof made->ipv4;
    }
    made->ipv6.sin6_family = AF_INET6;
    made->ipv6.sin6_port = htons(address->port);
    memcpy(&made->ipv6.sin6_addr, address->bytes, sizeof made->ipv6.sin6_addr);
    return sizeof made->ipv6;
}

static int port_ask(int fd, struct duress_address *address)
{
    union socket_address bound = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof bound;
    if (getsockname(fd, &bound.any, &length) != 0)
        return -1;
    address->port = ntohs(address->family == DURESS_FAMILY_IPV4 ? bound.ipv4.sin_port : bound.ipv6.sin6_port);
    return 0;
}

int duress__http_server_listen(struct duress_address *address, uint32_t backlog, int *fd)
{
    union socket_address at;
    socklen_t length = socket_address_set(&at, address);
    int made = socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return error_of(errno);
    int yes = 1;
    bool ready = setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                 (at.any.sa_family != AF_INET6 || setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) == 0) &&
                 bind(made, &at.any, length) == 0 && listen(made, (int)backlog) == 0 && port_ask(made, address) == 0;
    if (!ready) {
        int error = error_of(errno);
        (void)close(made);
        return error;
    }
    *fd = made;
    return DURESS_OK;
}
