/* SPDX-License-Identifier: Apache-2.0 */
#include "api_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"

#define BACKLOG 511

static int socket_open(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Closes |fd| without losing errno. */
static void socket_give_up(int fd)
{
    int number = errno;
    (void)close(fd);
    errno = number;
}

static int tcp_bind(const struct addrinfo *address)
{
    int yes = 1;
    int fd = socket_open(address->ai_family);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    socket_give_up(fd);
    return -1;
}

static bool is_loopback(const struct addrinfo *address)
{
    char text[ADDRESS_TEXT_BYTES_MAX];
    struct address_parts parts = {.port = 0};
    struct address found;
    duress__address_found(&parts, address->ai_addr, &found);
    (void)duress__address_format(&found, text);
    return strncmp(text, "127.", 4) == 0 || strcmp(text, "[::1]:0") == 0;
}

static const struct addrinfo *ipv4_first(const struct addrinfo *addresses)
{
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET)
            return at;
    return addresses;
}

int duress__api_listen_tcp(const char *host, const char *port, bool *loopback, char why[API_LISTEN_WHY_BYTES])
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    int status = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &addresses);
    if (status != 0 || addresses == NULL) {
        (void)snprintf(why, API_LISTEN_WHY_BYTES, "listen tcp %.200s:%.100s: %s", host, port, gai_strerror(status));
        return -1;
    }
    const struct addrinfo *chosen = ipv4_first(addresses);
    int fd = tcp_bind(chosen);
    if (fd < 0)
        (void)snprintf(why, API_LISTEN_WHY_BYTES, "listen tcp %.200s:%.100s: bind: %s", host, port,
                       errno == EADDRINUSE ? "address already in use" : strerror(errno));
    *loopback = is_loopback(chosen);
    freeaddrinfo(addresses);
    return fd;
}

/* A socket file is stale where a connect is refused. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket_open(AF_UNIX);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static int unix_bind(const struct sockaddr_un *address)
{
    int fd = socket_open(AF_UNIX);
    if (fd < 0)
        return -1;
    mode_t before = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    if (bound != 0 && errno == EADDRINUSE && is_stale(address) && unlink(address->sun_path) == 0)
        bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    (void)umask(before);
    if (bound == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    socket_give_up(fd);
    return -1;
}

int duress__api_listen_unix(const char *path, char why[API_LISTEN_WHY_BYTES])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        (void)snprintf(why, API_LISTEN_WHY_BYTES, "listen unix %.300s: a path of 1 to %zu bytes is allowed", path,
                       sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, length);
    int fd = unix_bind(&address);
    if (fd < 0)
        (void)snprintf(why, API_LISTEN_WHY_BYTES, "listen unix %.300s: %s", path, strerror(errno));
    return fd;
}
