/* SPDX-License-Identifier: Apache-2.0 */
#include "name_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duress/world/live_loop.h>

enum { HEADER_BYTES = 12, PACKET_BYTES = 512, TYPE_A = 1, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static const uint8_t address_right[4] = {192, 0, 2, 7};
static const uint8_t address_forged[4] = {192, 0, 2, 66};

struct packet {
    uint8_t bytes[PACKET_BYTES];
    size_t length;
};

/* Whether the first label of the question in |packet| is |label|. */
static bool packet_asks(const struct packet *packet, const char *label)
{
    size_t length = strlen(label);
    return packet->length > HEADER_BYTES + 1 + length && packet->bytes[HEADER_BYTES] == length &&
           memcmp(packet->bytes + HEADER_BYTES + 1, label, length) == 0;
}

static unsigned packet_type(const struct packet *packet)
{
    size_t at = HEADER_BYTES;
    while (packet->bytes[at] != 0)
        at += packet->bytes[at] + 1U;
    return packet->bytes[at + 2];
}

/* Turns the question into its answer. */
static void packet_answer(struct packet *packet, unsigned rcode, const uint8_t address[4])
{
    packet->bytes[2] |= 0x80;
    packet->bytes[3] = (uint8_t)(0x80U | rcode);
    if (address == NULL || packet_type(packet) != TYPE_A)
        return;
    const uint8_t record[12] = {0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4};
    packet->bytes[7] = 1;
    memcpy(packet->bytes + packet->length, record, sizeof record);
    memcpy(packet->bytes + packet->length + sizeof record, address, 4);
    packet->length += sizeof record + 4;
}

static void packet_send(struct name_server *server, const struct packet *packet, const struct sockaddr_in *to)
{
    ssize_t sent = sendto(server->fd, packet->bytes, packet->length, 0, (const struct sockaddr *)to, sizeof *to);
    assert_int_equal(sent, packet->length);
}

static void question_came(struct name_server *server, struct packet *packet, const struct sockaddr_in *from)
{
    server->questions++;
    if (packet_asks(packet, "silent"))
        return;
    if (packet_asks(packet, "forged")) {
        struct packet forged = *packet;
        forged.bytes[0] ^= 0xff;
        packet_answer(&forged, 0, address_forged);
        packet_send(server, &forged, from);
    }
    if (packet_asks(packet, "broken"))
        packet_answer(packet, RCODE_SERVFAIL, NULL);
    else if (packet_asks(packet, "missing"))
        packet_answer(packet, RCODE_NXDOMAIN, NULL);
    else
        packet_answer(packet, 0,
                      packet_asks(packet, "empty") || packet_asks(packet, "truncated") ? NULL : address_right);
    if (packet_asks(packet, "truncated"))
        packet->bytes[2] |= 0x02;
    packet_send(server, packet, from);
}

static void server_readable(void *context, unsigned events)
{
    (void)events;
    struct name_server *server = context;
    struct packet packet = {.length = 0};
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof from;
    ssize_t got = recvfrom(server->fd, packet.bytes, sizeof packet.bytes - 64, MSG_DONTWAIT, (struct sockaddr *)&from,
                           &from_bytes);
    if (got < HEADER_BYTES)
        return;
    packet.length = (size_t)got;
    question_came(server, &packet, &from);
}

/* --- over TCP: two bytes of length before each message; c-ares sends a question in one piece --- */

static void stream_spoke(void *context, struct duress_stream *stream, unsigned events)
{
    (void)events;
    struct name_server *server = context;
    uint8_t bytes[2 * PACKET_BYTES];
    size_t got = 0;
    size_t put = 0;
    int error = duress_stream_read(stream, bytes, sizeof bytes, &got);
    if (error != DURESS_OK) {
        if (error != DURESS_E_AGAIN) {
            duress_stream_close(stream);
            server->stream = NULL;
        }
        return;
    }
    for (size_t at = 0; at + 2 < got;) {
        struct packet packet = {.length = (size_t)bytes[at] << 8 | bytes[at + 1]};
        assert_true(packet.length <= PACKET_BYTES - 64 && at + 2 + packet.length <= got);
        memcpy(packet.bytes, bytes + at + 2, packet.length);
        at += 2 + packet.length;
        server->tcp_questions++;
        packet_answer(&packet, 0, address_right);
        const uint8_t prefix[2] = {(uint8_t)(packet.length >> 8), (uint8_t)packet.length};
        struct duress_slice slices[2] = {duress_slice_bytes(prefix, 2),
                                         duress_slice_bytes(packet.bytes, packet.length)};
        assert_int_equal(duress_stream_write(stream, slices, 2, &put), DURESS_OK);
        assert_int_equal(put, 2 + packet.length);
    }
}

static void stream_came(void *context, struct duress_stream *stream)
{
    struct name_server *server = context;
    server->stream = stream;
    duress_stream_handle(stream, stream_spoke, server);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

/* --- life --- */

static int port_take(int type, struct sockaddr_in *address)
{
    int on = 1;
    socklen_t bytes = sizeof *address;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (type == SOCK_STREAM) /* two datagram sockets would share the port, and each other's questions */
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    if (bind(fd, (struct sockaddr *)address, bytes) == 0 && getsockname(fd, (struct sockaddr *)address, &bytes) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

void name_server_bind(struct name_server *server)
{
    *server = (struct name_server){.fd = -1};
    while (server->fd < 0) { /* until a port is free for both */
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        server->tcp_fd = port_take(SOCK_STREAM, &address);
        assert_true(server->tcp_fd >= 0);
        server->fd = port_take(SOCK_DGRAM, &address);
        server->port = ntohs(address.sin_port);
        if (server->fd < 0)
            (void)close(server->tcp_fd);
    }
    (void)snprintf(server->text, sizeof server->text, "127.0.0.1:%u", (unsigned)server->port);
}

void name_server_start(struct name_server *server, struct duress_world *world)
{
    struct duress_listen_options options = {.address = duress_address_loopback(server->port)};
    (void)close(server->tcp_fd); /* it only kept the port */
    server->tcp_fd = -1;
    assert_int_equal(duress_world_listen(world, &options, stream_came, server, &server->listener), DURESS_OK);
    struct duress_loop *loop = duress__world_live_loop(world);
    assert_int_equal(duress__socket_watch(loop, &server->watch, server->fd, server_readable, server), DURESS_OK);
    duress__socket_want(&server->watch, DURESS_SOCKET_READABLE);
}

void name_server_stop(struct name_server *server)
{
    duress_stream_close(server->stream);
    duress_listener_close(server->listener);
    duress__socket_unwatch(&server->watch);
    (void)close(server->fd);
    if (server->tcp_fd >= 0)
        (void)close(server->tcp_fd);
}
