/* SPDX-License-Identifier: Apache-2.0 */
#include "both_rig.h"

#define FLOOD_BYTES_MAX ((size_t)64 * 1024 * 1024)

void rig_open(struct rig *rig, const struct both_factory *factory, bool is_apart)
{
    *rig = (struct rig){.factory = factory};
    factory->open(&rig->both, is_apart, 0);
}

void rig_close(struct rig *rig)
{
    peer_close(&rig->client);
    peer_close(&rig->server);
    if (rig->door.listener != NULL)
        door_close(&rig->door);
    rig->factory->close(&rig->both);
}

void rig_until(struct rig *rig, duress_done_fn done)
{
    uint64_t deadline_ns = duress_world_now_ns(rig->both.client) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(rig->both.client, done, rig, deadline_ns), DURESS_OK);
}

static void nothing(void *context)
{
    (void)context;
}

void rig_pass(struct rig *rig, uint64_t delta_ns)
{
    struct duress_timer timer;
    duress_timer_init(&timer, nothing, NULL);
    uint64_t at_ns = duress_world_now_ns(rig->both.client) + delta_ns;
    duress_world_arm(rig->both.client, &timer, at_ns + DURESS_S);
    assert_int_equal(duress_world_run_until(rig->both.client, NULL, NULL, at_ns), DURESS_E_DEADLINE);
    duress_world_disarm(rig->both.client, &timer);
}

bool are_connected(void *context)
{
    const struct rig *rig = context;
    return (rig->client.seen & DURESS_STREAM_CONNECTED) != 0 && rig->door.accepted > 0;
}

void listen_at(struct rig *rig, struct duress_address address, uint32_t backlog)
{
    assert_int_equal(door_open(&rig->door, rig->both.server, address, backlog, &rig->server), DURESS_OK);
}

struct duress_address door_address(const struct rig *rig)
{
    struct duress_address address = duress_listener_address(rig->door.listener);
    return rig->factory->reach != NULL ? rig->factory->reach(address) : address;
}

void rig_dial(struct rig *rig)
{
    listen_at(rig, rig->both.address, 0);
    assert_int_equal(peer_connect(&rig->client, rig->both.client, door_address(rig)), DURESS_OK);
    rig_until(rig, are_connected);
}

void rig_connect(struct rig *rig, const struct both_factory *factory, bool is_client_manual, bool is_server_manual)
{
    rig_open(rig, factory, false);
    rig->client.is_manual = is_client_manual;
    rig->server.is_manual = is_server_manual;
    rig_dial(rig);
}

void rig_connect_unix(struct rig *rig, const struct both_factory *factory, bool is_server_manual)
{
    rig_open(rig, factory, false);
    rig->server.is_manual = is_server_manual;
    listen_at(rig, rig->both.unix_path, 0);
    assert_int_equal(peer_connect(&rig->client, rig->both.server, door_address(rig)), DURESS_OK);
    rig_until(rig, are_connected);
}

/* --- conditions --- */

bool server_is_accepted(void *context)
{
    return ((struct rig *)context)->door.accepted > 0;
}

bool client_has_failed(void *context)
{
    return (((struct rig *)context)->client.seen & DURESS_STREAM_FAILED) != 0;
}

bool client_has_ended(void *context)
{
    return ((struct rig *)context)->client.end != 0;
}

bool client_is_hung_up(void *context)
{
    return (((struct rig *)context)->client.seen & DURESS_STREAM_HANGUP) != 0;
}

bool client_is_readable(void *context)
{
    return (((struct rig *)context)->client.seen & DURESS_STREAM_READABLE) != 0;
}

bool client_is_writable(void *context)
{
    return (((struct rig *)context)->client.seen & DURESS_STREAM_WRITABLE) != 0;
}

bool server_has_ended(void *context)
{
    return ((struct rig *)context)->server.end != 0;
}

bool server_is_readable(void *context)
{
    return (((struct rig *)context)->server.seen & DURESS_STREAM_READABLE) != 0;
}

/* --- bytes --- */

int try_write(struct peer *peer)
{
    struct duress_slice slice = duress_slice_text("more");
    size_t count = 0;
    return duress_stream_write(peer->stream, &slice, 1, &count);
}

size_t rig_flood(struct peer *peer)
{
    static uint8_t bytes[65536];
    size_t total = 0;
    for (;;) {
        struct duress_slice slice = {bytes, sizeof bytes};
        size_t count = 0;
        int error = duress_stream_write(peer->stream, &slice, 1, &count);
        if (error == DURESS_E_AGAIN)
            return total;
        assert_int_equal(error, DURESS_OK);
        total += count;
        assert_true(total < FLOOD_BYTES_MAX);
    }
}
