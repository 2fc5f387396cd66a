/* SPDX-License-Identifier: Apache-2.0 */
#include "parting.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <duress/error.h>
#include <duress/time.h>

#include "endpoint.h"

#define LOOK_NS_MIN DURESS_MS
#define LOOK_NS_MAX (16 * DURESS_MS)
#define LOOK_DOUBLINGS_MAX 4
#define DISCARD_READS_MAX 64 /* of one turn */

/* What a queue of the socket holds, in bytes; 0 where it can't be told. */
static uint32_t queue_bytes(const struct duress_socket *socket, unsigned long question)
{
    int bytes = 0;
    if (ioctl(socket->fd, question, &bytes) != 0 || bytes < 0)
        return 0;
    return (uint32_t)bytes;
}

static bool peer_is_here(const struct duress_socket *socket)
{
    struct endpoint local = {.length = sizeof local.address};
    struct endpoint peer = {.length = sizeof peer.address};
    return getsockname(socket->fd, (struct sockaddr *)&local.address, &local.length) == 0 &&
           getpeername(socket->fd, (struct sockaddr *)&peer.address, &peer.length) == 0 &&
           duress__proxy_endpoint_host_equal(&local, &peer);
}

/* True once the peer's kernel has all that was written. The second look at a peer on this machine takes sent for
 * arrived; not the first, as its kernel may be working on the bytes on another core just now. */
static bool parting_is_drained(const struct parting *parting, const struct duress_socket *socket)
{
    if (parting->queued_bytes == 0)
        return true;
    return parting->look_count > 1 && queue_bytes(socket, SIOCOUTQNSD) == 0 && peer_is_here(socket);
}

static void parting_end(const struct parting *parting, struct duress_socket *socket)
{
    if (parting->reset)
        duress__socket_reset(socket);
    else
        duress__socket_close(socket);
}

/* Reads and forgets what lies there. False: the connection is dead. */
static bool discard(struct duress_socket *socket, void *scratch, size_t scratch_bytes)
{
    for (size_t reads = 0; reads < DISCARD_READS_MAX; reads++) {
        size_t count = 0;
        int error = duress__socket_read(socket, scratch, scratch_bytes, &count);
        if (error == DURESS_E_AGAIN)
            return true;
        if (error == DURESS_E_END) {
            duress__socket_want(socket, 0);
            return true;
        }
        if (error != DURESS_OK)
            return false;
    }
    return true;
}

/* One look at the send queue, which holds |queued_bytes|. */
static bool parting_look(struct parting *parting, struct duress_socket *socket, uint32_t queued_bytes, uint64_t now_ns)
{
    if (queued_bytes < parting->queued_bytes)
        parting->progress_ns = now_ns;
    parting->queued_bytes = queued_bytes;
    if (parting->look_count < UINT8_MAX)
        parting->look_count++;
    bool stalled = duress_time_until(now_ns, duress_time_add(parting->progress_ns, PARTING_STALL_NS)) == 0;
    if (stalled || parting_is_drained(parting, socket)) {
        parting_end(parting, socket);
        return false;
    }
    uint32_t doublings = parting->look_count - 1U;
    uint64_t wait_ns = doublings < LOOK_DOUBLINGS_MAX ? LOOK_NS_MIN << doublings : LOOK_NS_MAX;
    parting->next_ns = duress_time_add(now_ns, wait_ns);
    return true;
}

bool duress__parting_begin(struct parting *parting, struct duress_socket *socket, bool reset, void *scratch,
                           size_t scratch_bytes, uint64_t now_ns)
{
    *parting = (struct parting){.reset = reset, .progress_ns = now_ns, .queued_bytes = UINT32_MAX};
    duress__socket_want(socket, reset || scratch_bytes == 0 ? 0 : DURESS_SOCKET_READABLE);
    bool is_dead = !reset && scratch_bytes > 0 && !discard(socket, scratch, scratch_bytes);
    if (is_dead || !socket->tcp) { /* What was written to a Unix socket is with the peer already. */
        parting_end(parting, socket);
        return false;
    }
    uint32_t queued_bytes = queue_bytes(socket, SIOCOUTQ);
    if (!reset && queued_bytes > 0)
        duress__socket_shutdown(socket);
    return parting_look(parting, socket, queued_bytes, now_ns);
}

bool duress__parting_tick(struct parting *parting, struct duress_socket *socket, uint64_t now_ns)
{
    return parting_look(parting, socket, queue_bytes(socket, SIOCOUTQ), now_ns);
}

bool duress__parting_event(struct parting *parting, struct duress_socket *socket, unsigned events, void *scratch,
                           size_t scratch_bytes)
{
    bool dead = (events & DURESS_SOCKET_HANGUP) != 0;
    if (!dead && (events & DURESS_SOCKET_READABLE) != 0)
        dead = parting->reset || !discard(socket, scratch, scratch_bytes);
    if (dead)
        duress__socket_close(socket);
    return !dead;
}
