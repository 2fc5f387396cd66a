/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of connections on a path that is slow, rough, cut, or leads nowhere, in both worlds. */
#include "both_rig.h"

#include <duress/world/address.h>

#define HOP_NS (20 * DURESS_MS)
#define SILENCE_NS (300 * DURESS_MS) /* long enough for the first repetition, which comes after 200 ms */

static uint8_t pattern(size_t place)
{
    return (uint8_t)(place * 31 + place / 251);
}

/* Sends bytes of the pattern from |*place| on, until they are |total|, |piece| at a time. */
static void pattern_send(struct rig *rig, size_t *place, size_t total, size_t piece)
{
    while (*place < total) {
        uint8_t bytes[65536];
        size_t length = total - *place < piece ? total - *place : piece;
        for (size_t i = 0; i < length; i++)
            bytes[i] = pattern(*place + i);
        struct duress_slice slice = {bytes, length};
        size_t count = 0;
        int error = duress_stream_write(rig->client.stream, &slice, 1, &count);
        *place += count;
        if (error == DURESS_OK)
            continue;
        assert_int_equal(error, DURESS_E_AGAIN);
        rig->client.seen &= ~(unsigned)DURESS_STREAM_WRITABLE;
        duress_stream_want(rig->client.stream, DURESS_STREAM_WRITABLE);
        rig_until(rig, client_is_writable);
    }
}

/* The server's end, where every byte is held against the pattern. */
struct sink {
    size_t received;
    size_t wrong;
    int end;
};

static void sink_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct sink *sink = context;
    (void)events;
    while (sink->end == 0) {
        uint8_t bytes[4096];
        size_t count = 0;
        int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
        if (error == DURESS_E_AGAIN)
            return;
        sink->end = error;
        for (size_t i = 0; i < count; i++)
            sink->wrong += bytes[i] != pattern(sink->received + i);
        sink->received += count;
    }
    duress_stream_want(stream, 0);
}

static bool sink_has_ended(void *context)
{
    return ((struct sink *)context)->end != 0;
}

/* Ends the client's half and waits until the server has read all of |total| bytes. */
static void sink_expect(struct rig *rig, struct sink *sink, size_t total)
{
    uint64_t deadline_ns = duress_world_now_ns(rig->both.client) + PATIENCE_NS;
    duress_stream_shutdown(rig->client.stream);
    assert_int_equal(duress_world_run_until(rig->both.client, sink_has_ended, sink, deadline_ns), DURESS_OK);
    assert_int_equal(sink->end, DURESS_E_END);
    assert_int_equal(sink->received, total);
    assert_int_equal(sink->wrong, 0);
}

static bool client_has_heard(void *context)
{
    return ((struct rig *)context)->client.received > 0;
}

static bool server_has_heard(void *context)
{
    return ((struct rig *)context)->server.received > 0;
}

void each_hop_takes_its_time(const struct both_factory *factory)
{
    struct rig rig = {.factory = factory};
    factory->open(&rig.both, false, HOP_NS);
    uint64_t dialled_ns = duress_world_now_ns(rig.both.client);
    rig_dial(&rig);
    assert_true(rig.client.at_ns >= dialled_ns + 2 * HOP_NS);
    assert_true(rig.client.at_ns < dialled_ns + 2 * HOP_NS + DURESS_S);
    uint64_t said_ns = duress_world_now_ns(rig.both.client);
    peer_say(&rig.server, "across");
    rig_until(&rig, client_has_heard);
    assert_true(rig.client.at_ns >= said_ns + HOP_NS);
    assert_true(rig.client.at_ns < said_ns + HOP_NS + DURESS_S);
    rig_close(&rig);
}

void bytes_keep_their_order_however_they_are_cut(const struct both_factory *factory)
{
    struct rig rig;
    struct sink sink = {0};
    size_t place = 0;
    rig_connect(&rig, factory, false, false);
    duress_stream_handle(rig.server.stream, sink_told, &sink);
    pattern_send(&rig, &place, 900, 3);
    pattern_send(&rig, &place, 100000, 65536);
    pattern_send(&rig, &place, 101000, 10);
    sink_expect(&rig, &sink, 101000);
    rig_close(&rig);
}

void loss_doubling_and_overtaking_are_hidden(const struct both_factory *factory)
{
    struct rig rig;
    struct sink sink = {0};
    size_t place = 0;
    rig_connect(&rig, factory, false, false);
    duress_stream_handle(rig.server.stream, sink_told, &sink);
    factory->path(&rig.both, BOTH_PATH_ROUGH);
    pattern_send(&rig, &place, 200000, 5000);
    sink_expect(&rig, &sink, 200000);
    factory->path(&rig.both, BOTH_PATH_OPEN);
    rig_close(&rig);
}

void bytes_and_fin_of_a_cut_path_arrive_after_healing(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    factory->path(&rig.both, BOTH_PATH_CUT);
    uint64_t cut_ns = duress_world_now_ns(rig.both.client);
    peer_say(&rig.client, "held");
    duress_stream_shutdown(rig.client.stream);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.server.received, 0);
    assert_int_equal(rig.server.end, 0);
    factory->path(&rig.both, BOTH_PATH_OPEN);
    rig_until(&rig, server_has_ended);
    peer_assert_heard(&rig.server, "held");
    assert_int_equal(rig.server.end, DURESS_E_END);
    assert_true(rig.server.at_ns >= cut_ns + 150 * DURESS_MS); /* by repetition, and not at once */
    rig_close(&rig);
}

void rst_into_a_cut_path_is_lost_and_the_next_bytes_bring_another(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    factory->path(&rig.both, BOTH_PATH_CUT);
    peer_abort(&rig.server);
    rig_pass(&rig, QUIET_NS);
    factory->path(&rig.both, BOTH_PATH_OPEN);
    rig_pass(&rig, SILENCE_NS); /* nobody repeats an RST */
    assert_int_equal(rig.client.seen, DURESS_STREAM_CONNECTED);
    peer_say(&rig.client, "anybody?");
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_RESET);
    rig_close(&rig);
}

/* Beside the rig's, a client that comes too late. */
struct late {
    struct rig rig;
    struct peer dialling;
};

static bool dialling_has_failed(void *context)
{
    return (((struct late *)context)->dialling.seen & DURESS_STREAM_FAILED) != 0;
}

static void late_dial(struct late *late)
{
    struct rig *rig = &late->rig;
    assert_int_equal(peer_connect(&late->dialling, rig->both.client, door_address(rig)), DURESS_OK);
    assert_int_equal(late->dialling.seen, 0);
}

void machine_without_power_is_silent_and_resets_once_it_is_back(const struct both_factory *factory)
{
    struct late late = {0};
    struct rig *rig = &late.rig;
    rig_connect(rig, factory, false, false);
    factory->path(&rig->both, BOTH_PATH_DEAD_END);
    peer_say(&rig->client, "is there anybody");
    late_dial(&late);
    rig_pass(rig, SILENCE_NS);
    assert_int_equal(rig->client.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(late.dialling.seen, 0);
    peer_abort(&rig->server); /* nothing is left of what ran there */
    door_close(&rig->door);
    factory->path(&rig->both, BOTH_PATH_OPEN);
    rig_until(rig, client_has_ended);
    assert_int_equal(rig->client.end, DURESS_E_RESET);
    rig_until(rig, dialling_has_failed);
    assert_int_equal(late.dialling.error, DURESS_E_REFUSED);
    peer_close(&late.dialling);
    rig_close(rig);
}

void unreachable_host_is_told_to_connects_alone(const struct both_factory *factory)
{
    struct late late = {0};
    struct rig *rig = &late.rig;
    rig_connect(rig, factory, false, false);
    factory->path(&rig->both, BOTH_PATH_UNREACHABLE);
    peer_say(&rig->client, "held");
    late_dial(&late);
    rig_until(rig, dialling_has_failed);
    assert_int_equal(late.dialling.error, DURESS_E_UNREACHABLE);
    rig_pass(rig, QUIET_NS);
    assert_int_equal(rig->client.seen, DURESS_STREAM_CONNECTED);
    factory->path(&rig->both, BOTH_PATH_OPEN);
    rig_until(rig, server_has_heard);
    peer_assert_heard(&rig->server, "held");
    peer_close(&late.dialling);
    rig_close(rig);
}

void host_that_nobody_knows_is_unreachable(const struct both_factory *factory)
{
    struct rig rig;
    struct duress_address nobody;
    rig_open(&rig, factory, false);
    assert_true(duress_address_parse("203.0.113.7:80", &nobody));
    assert_int_equal(peer_connect(&rig.client, rig.both.client, nobody), DURESS_OK);
    rig_until(&rig, client_has_failed);
    assert_int_equal(rig.client.error, DURESS_E_UNREACHABLE);
    rig_close(&rig);
}
