/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that listen for workers. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

static bool flag_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* 0 or an errno. */
static int listener_try(const struct duress_listen_address *address, uint32_t backlog, int *fd)
{
    int family = address->address.ss_family;
    int opened = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0)
        return errno;
    int queue = backlog == 0 || backlog > INT32_MAX ? INT32_MAX : (int)backlog; /* The kernel has a maximum. */
    if (flag_set(opened, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (family != AF_INET6 || flag_set(opened, IPPROTO_IPV6, IPV6_V6ONLY, address->is_wildcard ? 0 : 1)) &&
        bind(opened, (const struct sockaddr *)&address->address, address->address_bytes) == 0 &&
        listen(opened, queue) == 0) {
        *fd = opened;
        return 0;
    }
    int number = errno;
    (void)close(opened);
    return number;
}

/* The same port for IPv4 alone. */
static void address_to_four(struct duress_listen_address *address)
{
    struct endpoint six = {.address = address->address, .length = address->address_bytes};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(duress__proxy_endpoint_port(&six))};
    memset(&address->address, 0, sizeof address->address);
    memcpy(&address->address, &four, sizeof four);
    address->address_bytes = sizeof four;
}

static void address_complete(struct duress_listen_address *address, int fd)
{
    struct endpoint bound = {.length = sizeof bound.address};
    if (getsockname(fd, (struct sockaddr *)&bound.address, &bound.length) != 0)
        return;
    address->address = bound.address;
    address->address_bytes = bound.length;
    duress__proxy_endpoint_text(&bound, address->text, sizeof address->text);
}

int duress__listener_open(struct duress_listen_address *address, uint32_t backlog, int *fd)
{
    int number = listener_try(address, backlog, fd);
    bool no_six = number == EAFNOSUPPORT || number == EADDRNOTAVAIL;
    if (no_six && address->is_wildcard && address->address.ss_family == AF_INET6) {
        address_to_four(address);
        number = listener_try(address, backlog, fd);
    }
    if (number != 0)
        return duress__error_from_errno(number);
    address_complete(address, *fd);
    return DURESS_OK;
}
