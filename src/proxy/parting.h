/* SPDX-License-Identifier: Apache-2.0
 *
 * The last moments of a socket. A close or an RST comes after bytes that the kernel has taken, but may not have sent
 * yet: an RST (SO_LINGER 0) would drop them, and so would a close that is answered by late bytes of the peer. A parting
 * therefore looks at the send queue (SIOCOUTQ) by short timers until the peer has what it was promised:
 *
 * - close: FIN goes out at once, and what the peer still sends is thrown away, so that no RST overtakes the bytes;
 * - reset: nothing goes out; then the RST.
 *
 * A peer that takes nothing for PARTING_STALL_NS is not waited for. To a peer on this very machine what was sent is
 * what arrived, so that its delayed ACK (up to 40 ms) does not hold an RST back. Private to proxy/. */
#ifndef DURESS_PROXY_PARTING_H
#define DURESS_PROXY_PARTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/loop/socket.h>

#define PARTING_STALL_NS (UINT64_C(2) * 1000 * 1000 * 1000)

struct parting {
    uint64_t progress_ns;  /* when the queue last got shorter */
    uint64_t next_ns;      /* when duress__parting_tick() is to be called */
    uint32_t queued_bytes; /* in the send queue at the last look */
    uint8_t look_count;    /* no further than UINT8_MAX */
    bool reset;
};

/* Begins to close |socket| (open, connected), with an RST where |reset|. |scratch|: what the peer sent and nobody read
 * is read away into it, as a close over unread bytes would be an RST; |scratch_bytes| 0: its FIN was read, and there is
 * nothing. True: it takes time; call duress__parting_tick()
 * at |next_ns| and duress__parting_event() for events. False: the socket is closed. */
bool duress__parting_begin(struct parting *parting, struct duress_socket *socket, bool reset, void *scratch,
                           size_t scratch_bytes, uint64_t now_ns);

/* Both: false once the socket is closed. */
bool duress__parting_tick(struct parting *parting, struct duress_socket *socket, uint64_t now_ns);
bool duress__parting_event(struct parting *parting, struct duress_socket *socket, unsigned events, void *scratch,
                           size_t scratch_bytes);

#endif
