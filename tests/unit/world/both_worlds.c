/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here knows in which world it runs. Waits are for conditions, with a deadline on the world's own clock. */
#include "both_rig.h"

#include <duress/world/address.h>

void connect_to_a_closed_port_is_refused(const struct both_factory *factory)
{
    struct rig rig;
    rig_open(&rig, factory, false);
    listen_at(&rig, rig.both.address, 0);
    struct duress_address address = door_address(&rig);
    door_close(&rig.door);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, address), DURESS_OK);
    assert_int_equal(rig.client.seen, 0); /* Nothing calls back before it returns. */
    rig_until(&rig, client_has_failed);
    assert_int_equal(rig.client.error, DURESS_E_REFUSED);
    assert_int_equal(rig.client.seen, DURESS_STREAM_FAILED);
    rig_close(&rig);
}

void address_in_use_is_told(const struct both_factory *factory)
{
    struct rig rig;
    struct door second = {0};
    rig_open(&rig, factory, false);
    listen_at(&rig, rig.both.address, 0);
    assert_int_not_equal(door_address(&rig).port, 0);
    assert_int_equal(door_open(&second, rig.both.server, door_address(&rig), 0, NULL), DURESS_E_ADDRESS_IN_USE);
    struct duress_address foreign;
    assert_true(duress_address_parse("203.0.113.7:80", &foreign));
    assert_int_equal(door_open(&second, rig.both.server, foreign, 0, NULL), DURESS_E_ADDRESS_UNAVAILABLE);
    rig_close(&rig);
}

void fin_comes_after_all_bytes(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    peer_say(&rig.server, "all of ");
    peer_say(&rig.server, "it");
    peer_close(&rig.server);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_END);
    peer_assert_heard(&rig.client, "all of it");
    assert_int_equal(rig.client.seen & DURESS_STREAM_HANGUP, 0);
    rig_close(&rig);
}

void rst_comes_after_the_bytes_before_it(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, true, false);
    peer_say(&rig.server, "before");
    duress_stream_want(rig.client.stream, DURESS_STREAM_READABLE);
    rig_until(&rig, client_is_readable);
    peer_abort(&rig.server);
    rig_until(&rig, client_is_hung_up);
    peer_drain(&rig.client);
    peer_assert_heard(&rig.client, "before");
    assert_int_equal(rig.client.end, DURESS_E_RESET);
    uint8_t byte;
    size_t count;
    assert_int_equal(duress_stream_read(rig.client.stream, &byte, 1, &count), DURESS_E_RESET); /* and so it stays */
    assert_int_equal(try_write(&rig.client), DURESS_E_RESET);
    rig_close(&rig);
}

void rst_behind_a_fin_reads_as_the_end(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, true, false);
    peer_say(&rig.server, "bye");
    duress_stream_shutdown(rig.server.stream);
    duress_stream_want(rig.client.stream, DURESS_STREAM_READABLE);
    rig_until(&rig, client_is_readable);
    rig_pass(&rig, QUIET_NS); /* for the FIN */
    peer_abort(&rig.server);
    rig_until(&rig, client_is_hung_up);
    peer_drain(&rig.client);
    peer_assert_heard(&rig.client, "bye");
    assert_int_equal(rig.client.end, DURESS_E_END);
    assert_int_equal(try_write(&rig.client), DURESS_E_RESET);
    rig_close(&rig);
}

void rst_behind_both_fins_is_not_heard(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    duress_stream_shutdown(rig.client.stream);
    rig_until(&rig, server_has_ended);
    duress_stream_shutdown(rig.server.stream);
    rig_until(&rig, client_has_ended);
    peer_abort(&rig.server);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.end, DURESS_E_END);
    assert_int_equal(rig.client.seen & DURESS_STREAM_HANGUP, 0);
    rig_close(&rig);
}

void reset_while_waiting_to_be_accepted(const struct both_factory *factory)
{
    struct rig rig;
    rig_open(&rig, factory, true);
    listen_at(&rig, rig.both.address, 0);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, door_address(&rig)), DURESS_OK);
    rig_pass(&rig, QUIET_NS);
    peer_say(&rig.client, "early");
    rig_pass(&rig, QUIET_NS);
    peer_abort(&rig.client);
    rig_pass(&rig, QUIET_NS);
    factory->thaw(&rig.both);
    uint64_t deadline_ns = duress_world_now_ns(rig.both.server) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(rig.both.server, server_is_accepted, &rig, deadline_ns), DURESS_OK);
    assert_int_equal(duress_world_run_until(rig.both.server, server_has_ended, &rig, deadline_ns), DURESS_OK);
    peer_assert_heard(&rig.server, "early");
    assert_int_equal(rig.server.end, DURESS_E_RESET);
    assert_int_not_equal(rig.server.seen & DURESS_STREAM_HANGUP, 0);
    rig_close(&rig);
}

struct sip {
    char text[16];
    size_t length;
};

static void sip_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct sip *sip = context;
    size_t count = 0;
    assert_int_equal(events, DURESS_STREAM_READABLE);
    assert_int_equal(duress_stream_read(stream, sip->text + sip->length, 1, &count), DURESS_OK);
    sip->length += count;
}

static bool sip_is_full(void *context)
{
    return ((struct sip *)context)->length == 8;
}

void readable_comes_as_long_as_it_is_true(const struct both_factory *factory)
{
    struct rig rig;
    struct sip sip = {0};
    rig_connect(&rig, factory, false, false);
    duress_stream_handle(rig.server.stream, sip_told, &sip);
    peer_say(&rig.client, "bytewise");
    uint64_t deadline_ns = duress_world_now_ns(rig.both.client) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(rig.both.client, sip_is_full, &sip, deadline_ns), DURESS_OK);
    assert_string_equal(sip.text, "bytewise");
    rig_close(&rig);
}

void writing_to_a_closed_peer_brings_an_rst(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    peer_close(&rig.server);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_END);
    assert_int_equal(try_write(&rig.client), DURESS_OK); /* The first write finds out. */
    rig_until(&rig, client_is_hung_up);
    assert_int_equal(try_write(&rig.client), DURESS_E_RESET);
    rig_close(&rig);
}

void close_over_unread_bytes_is_an_rst(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, true);
    peer_say(&rig.client, "never read");
    duress_stream_want(rig.server.stream, DURESS_STREAM_READABLE);
    rig_until(&rig, server_is_readable);
    peer_close(&rig.server);
    rig_until(&rig, client_is_hung_up);
    if (rig.client.end == 0)
        peer_drain(&rig.client);
    assert_int_equal(rig.client.end, DURESS_E_RESET);
    rig_close(&rig);
}

void half_close_lets_the_other_direction_go_on(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    peer_say(&rig.client, "question");
    duress_stream_shutdown(rig.client.stream);
    rig_until(&rig, server_has_ended);
    assert_int_equal(rig.server.end, DURESS_E_END);
    peer_assert_heard(&rig.server, "question");
    assert_int_equal(rig.client.end, 0);
    peer_say(&rig.server, "answer");
    peer_close(&rig.server);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_END);
    peer_assert_heard(&rig.client, "answer");
    rig_close(&rig);
}

void write_after_shutdown_is_refused(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, false, false);
    duress_stream_shutdown(rig.client.stream);
    assert_int_equal(try_write(&rig.client), DURESS_E_CLOSED);
    rig_close(&rig);
}

void a_peer_that_does_not_read_pushes_back(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect(&rig, factory, true, true);
    size_t total = 0;
    size_t taken;
    do { /* What the kernels take little by little. */
        taken = rig_flood(&rig.client);
        total += taken;
        rig_pass(&rig, QUIET_NS);
    } while (taken > 0);
    assert_true(total > 0);
    rig.client.seen = 0;
    duress_stream_want(rig.client.stream, DURESS_STREAM_WRITABLE);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.seen, 0);

    rig.server.is_manual = false;
    duress_stream_want(rig.server.stream, DURESS_STREAM_READABLE);
    rig_until(&rig, client_is_writable);
    peer_close(&rig.client);
    rig_until(&rig, server_has_ended);
    assert_int_equal(rig.server.end, DURESS_E_END);
    assert_int_equal(rig.server.received, total);
    rig_close(&rig);
}

void closing_a_listener_resets_what_waits(const struct both_factory *factory)
{
    struct rig rig;
    rig_open(&rig, factory, true);
    listen_at(&rig, rig.both.address, 0);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, door_address(&rig)), DURESS_OK);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(rig.door.accepted, 0);
    door_close(&rig.door);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_RESET);
    rig_close(&rig);
}

void full_accept_queue_leaves_the_connect_waiting(const struct both_factory *factory)
{
    struct rig rig;
    struct peer more[2] = {0};
    rig_open(&rig, factory, true);
    listen_at(&rig, rig.both.address, 1);
    assert_int_equal(peer_connect(&more[0], rig.both.client, door_address(&rig)), DURESS_OK);
    assert_int_equal(peer_connect(&more[1], rig.both.client, door_address(&rig)), DURESS_OK);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(more[0].seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(more[1].seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, door_address(&rig)), DURESS_OK);
    uint64_t begun_ns = duress_world_now_ns(rig.both.client);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.seen, 0);
    factory->thaw(&rig.both); /* The server accepts: there is room for the SYN that comes after a second. */
    while (rig.client.seen == 0)
        rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.seen, DURESS_STREAM_CONNECTED);
    assert_true(rig.client.at_ns - begun_ns >= 950 * DURESS_MS);
    assert_true(rig.client.at_ns - begun_ns < 3 * DURESS_S);
    peer_close(&more[0]);
    peer_close(&more[1]);
    rig_close(&rig);
}

struct burst {
    size_t connected;
    size_t other;
};

static void burst_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct burst *burst = context;
    (void)stream;
    burst->connected += events == DURESS_STREAM_CONNECTED;
    burst->other += events != DURESS_STREAM_CONNECTED;
}

/* Of which none is accepted yet. */
void accept_queue_has_room_for_a_burst(const struct both_factory *factory)
{
    enum { CONNECTS = 800 }; /* and fewer than the descriptors that a process may have at first */
    static struct duress_stream *streams[CONNECTS];
    struct burst burst = {0};
    struct rig rig;
    rig_open(&rig, factory, true);
    listen_at(&rig, rig.both.address, 0);
    struct duress_address address = door_address(&rig);
    for (size_t i = 0; i < CONNECTS; i++)
        assert_int_equal(duress_world_connect(rig.both.client, &address, burst_told, &burst, &streams[i]), DURESS_OK);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(burst.connected, CONNECTS);
    assert_int_equal(burst.other, 0);
    for (size_t i = 0; i < CONNECTS; i++)
        duress_stream_close(streams[i]);
    rig_close(&rig);
}

void closed_connect_is_never_heard_of(const struct both_factory *factory)
{
    struct rig rig;
    rig_open(&rig, factory, false);
    listen_at(&rig, rig.both.address, 0);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, door_address(&rig)), DURESS_OK);
    peer_close(&rig.client);
    rig_pass(&rig, QUIET_NS);
    assert_int_equal(rig.client.seen, 0);
    rig_close(&rig);
}

struct answer {
    bool has_come;
    int error;
    size_t count;
    struct duress_address first;
};

static void answer_came(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct answer *answer = context;
    assert_false(answer->has_come);
    answer->has_come = true;
    answer->error = error;
    answer->count = count;
    if (count > 0)
        answer->first = addresses[0];
}

static bool answer_is_here(void *context)
{
    return ((struct answer *)context)->has_come;
}

static void ask(struct rig *rig, const char *name, struct answer *answer)
{
    struct duress_resolution *resolution;
    uint64_t deadline_ns = duress_world_now_ns(rig->both.client) + PATIENCE_NS;
    *answer = (struct answer){0};
    assert_int_equal(duress_world_resolve(rig->both.client, name, 80, answer_came, answer, &resolution), DURESS_OK);
    assert_false(answer->has_come);
    assert_int_equal(duress_world_run_until(rig->both.client, answer_is_here, answer, deadline_ns), DURESS_OK);
}

void name_not_found(const struct both_factory *factory)
{
    struct rig rig;
    struct answer answer;
    struct duress_resolution *resolution;
    rig_open(&rig, factory, false);
    ask(&rig, "nobody.example", &answer);
    assert_int_equal(answer.error, DURESS_E_NAME_NOT_FOUND);
    assert_int_equal(answer.count, 0);
    answer.has_come = false;
    assert_int_equal(duress_world_resolve(rig.both.client, "nobody.example", 80, answer_came, &answer, &resolution),
                     DURESS_OK);
    duress_resolution_cancel(resolution);
    rig_pass(&rig, QUIET_NS);
    assert_false(answer.has_come);
    assert_int_equal(duress_world_resolve(rig.both.client, "", 80, answer_came, &answer, &resolution),
                     DURESS_E_INVALID);
    rig_close(&rig);
}

void numeric_name_needs_no_server(const struct both_factory *factory)
{
    struct rig rig;
    struct answer answer;
    rig_open(&rig, factory, false);
    ask(&rig, "192.0.2.7", &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.first.port, 80);
    assert_int_equal(answer.first.bytes[3], 7);
    rig_close(&rig);
}

void unix_socket_without_listener_refuses(const struct both_factory *factory)
{
    struct rig rig;
    rig_open(&rig, factory, false);
    assert_int_equal(peer_connect(&rig.client, rig.both.client, rig.both.unix_path), DURESS_OK);
    rig_until(&rig, client_has_failed);
    assert_int_equal(rig.client.error, DURESS_E_REFUSED);
    rig_close(&rig);
}

void unix_abort_is_an_end(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect_unix(&rig, factory, false);
    peer_say(&rig.server, "whole");
    peer_abort(&rig.server);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_END);
    peer_assert_heard(&rig.client, "whole");
    rig_close(&rig);
}

void unix_close_over_unread_bytes_is_a_reset(const struct both_factory *factory)
{
    struct rig rig;
    rig_connect_unix(&rig, factory, true);
    peer_say(&rig.client, "never read");
    duress_stream_want(rig.server.stream, DURESS_STREAM_READABLE);
    rig_until(&rig, server_is_readable);
    peer_close(&rig.server);
    rig_until(&rig, client_has_ended);
    assert_int_equal(rig.client.end, DURESS_E_RESET);
    rig_close(&rig);
}

void unix_full_accept_queue_leaves_the_connect_waiting(const struct both_factory *factory)
{
    struct rig rig;
    struct peer more[2] = {0};
    rig_open(&rig, factory, false);
    listen_at(&rig, rig.both.unix_path, 1);
    uint64_t begun_ns = duress_world_now_ns(rig.both.server);
    assert_int_equal(peer_connect(&more[0], rig.both.server, door_address(&rig)), DURESS_OK);
    assert_int_equal(peer_connect(&more[1], rig.both.server, door_address(&rig)), DURESS_OK);
    assert_int_equal(peer_connect(&rig.client, rig.both.server, door_address(&rig)), DURESS_OK);
    rig_until(&rig, are_connected);
    assert_int_equal(more[0].seen, DURESS_STREAM_CONNECTED);
    assert_int_equal(more[1].seen, DURESS_STREAM_CONNECTED);
    assert_true(rig.client.at_ns - begun_ns >= 5 * DURESS_MS);
    peer_close(&more[0]);
    peer_close(&more[1]);
    rig_close(&rig);
}
