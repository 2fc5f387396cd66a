/* SPDX-License-Identifier: Apache-2.0 */
#include "silence.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <duress/error.h>
#include <duress/loop/socket.h>

/* How long a SYN of our own may be on its way to our own listener; reached only where the kernel does not count. */
#define FILLER_PATIENCE_MS 10

/* SYNs that the listener dropped so far; 0 where the kernel does not say. */
static uint64_t listener_dropped_count(int listen_fd)
{
    uint32_t figures[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof figures;
    if (listen_fd < 0 || getsockopt(listen_fd, SOL_SOCKET, SO_MEMINFO, figures, &length) != 0)
        return 0;
    return figures[SK_MEMINFO_DROPS];
}

static bool filler_is_connected(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_ESTABLISHED;
}

/* Whether the filler got a place in the queue. Loopback answers at once; where it did not, and the listener has not
 * counted a dropped SYN, it is given a moment. */
static bool filler_got_in(int fd, int listen_fd, uint64_t dropped_before)
{
    if (filler_is_connected(fd))
        return true;
    if (listener_dropped_count(listen_fd) != dropped_before)
        return false;
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    (void)poll(&writable, 1, FILLER_PATIENCE_MS);
    return filler_is_connected(fd);
}

/* Opens one more filler. DURESS_OK with *got_in; or the error. */
static int filler_add(struct silence *silence, int listen_fd, const struct endpoint *listening, bool *got_in)
{
    struct endpoint target = duress__proxy_endpoint_to_reach(listening);
    int fd = socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return duress__error_from_errno(errno);
    uint64_t dropped_before = listener_dropped_count(listen_fd);
    if (connect(fd, (const struct sockaddr *)&target.address, target.length) != 0 && errno != EINPROGRESS) {
        int error = duress__error_from_errno(errno);
        (void)close(fd);
        return error;
    }
    *got_in = filler_got_in(fd, listen_fd, dropped_before);
    if (!*got_in) {
        (void)close(fd);
        return DURESS_OK;
    }
    struct endpoint *own = &silence->fillers[silence->filler_count];
    *own = (struct endpoint){.length = sizeof own->address};
    (void)getsockname(fd, (struct sockaddr *)&own->address, &own->length);
    silence->filler_fds[silence->filler_count++] = fd;
    return DURESS_OK;
}

static void fillers_close(struct silence *silence)
{
    for (size_t i = 0; i < silence->filler_count; i++) {
        if (silence->filler_fds[i] >= 0)
            (void)close(silence->filler_fds[i]);
        silence->filler_fds[i] = -1;
    }
}

int duress__silence_begin(struct silence *silence, int listen_fd, const struct endpoint *listening)
{
    silence->filler_count = 0;
    bool got_in = true;
    while (got_in) {
        if (silence->filler_count == SILENCE_FILLERS_MAX) {
            fillers_close(silence);
            return DURESS_E_SYSTEM; /* the kernel's queue is longer than it was told */
        }
        int error = filler_add(silence, listen_fd, listening, &got_in);
        if (error != DURESS_OK) {
            fillers_close(silence);
            return error;
        }
    }
    if (silence->filler_count == 0)
        return DURESS_E_AGAIN;
    silence->dropped_before = listener_dropped_count(listen_fd);
    silence->on = true;
    return DURESS_OK;
}

uint64_t duress__silence_dropped_count(const struct silence *silence, int listen_fd)
{
    if (!silence->on)
        return silence->dropped_total;
    uint64_t dropped_now = listener_dropped_count(listen_fd);
    uint64_t dropped = dropped_now > silence->dropped_before ? dropped_now - silence->dropped_before : 0;
    return silence->dropped_total + dropped;
}

void duress__silence_end(struct silence *silence, int listen_fd)
{
    if (!silence->on)
        return;
    silence->dropped_total = duress__silence_dropped_count(silence, listen_fd);
    silence->on = false;
    fillers_close(silence);
}

bool duress__silence_owns(const struct silence *silence, const struct endpoint *peer)
{
    for (size_t i = 0; i < silence->filler_count; i++) {
        if (duress__proxy_endpoint_equal(&silence->fillers[i], peer))
            return true;
    }
    return false;
}
