/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "live_private.h"

socklen_t duress__address_to_sockaddr(const struct duress_address *address, struct sockaddr_storage *kernel)
{
    memset(kernel, 0, sizeof *kernel);
    switch (address->family) {
    case DURESS_FAMILY_NONE:
        return 0;
    case DURESS_FAMILY_IPV4: {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&ipv4.sin_addr, address->bytes, sizeof ipv4.sin_addr);
        memcpy(kernel, &ipv4, sizeof ipv4);
        return sizeof ipv4;
    }
    case DURESS_FAMILY_IPV6: {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&ipv6.sin6_addr, address->bytes, sizeof ipv6.sin6_addr);
        memcpy(kernel, &ipv6, sizeof ipv6);
        return sizeof ipv6;
    }
    case DURESS_FAMILY_UNIX: {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        static_assert(sizeof local.sun_path == DURESS_ADDRESS_PATH_BYTES_MAX, "a path fits exactly");
        size_t length = strnlen(address->path, sizeof address->path - 1);
        memcpy(local.sun_path, address->path, length);
        memcpy(kernel, &local, sizeof local);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    }
    }
    return 0;
}

struct duress_address duress__address_from_sockaddr(const struct sockaddr *kernel, socklen_t bytes)
{
    struct duress_address address = {.family = DURESS_FAMILY_NONE};
    if (bytes < sizeof kernel->sa_family)
        return address;
    if (kernel->sa_family == AF_INET && bytes >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, kernel, sizeof ipv4);
        address.family = DURESS_FAMILY_IPV4;
        address.port = ntohs(ipv4.sin_port);
        memcpy(address.bytes, &ipv4.sin_addr, sizeof ipv4.sin_addr);
    } else if (kernel->sa_family == AF_INET6 && bytes >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, kernel, sizeof ipv6);
        address.family = DURESS_FAMILY_IPV6;
        address.port = ntohs(ipv6.sin6_port);
        memcpy(address.bytes, &ipv6.sin6_addr, sizeof ipv6.sin6_addr);
    } else if (kernel->sa_family == AF_UNIX && bytes > offsetof(struct sockaddr_un, sun_path)) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        memcpy(&local, kernel, bytes < sizeof local ? bytes : sizeof local);
        size_t length = strnlen(local.sun_path, sizeof local.sun_path);
        if (length == 0 || length >= sizeof address.path)
            return address; /* unnamed, abstract, or as long as only the kernel can say it */
        address.family = DURESS_FAMILY_UNIX;
        memcpy(address.path, local.sun_path, length);
    }
    return address;
}

struct duress_address duress__address_of_socket(int fd)
{
    struct sockaddr_storage kernel = {.ss_family = AF_UNSPEC};
    socklen_t bytes = sizeof kernel;
    if (getsockname(fd, (struct sockaddr *)&kernel, &bytes) != 0)
        return (struct duress_address){.family = DURESS_FAMILY_NONE};
    return duress__address_from_sockaddr((struct sockaddr *)&kernel, bytes);
}
