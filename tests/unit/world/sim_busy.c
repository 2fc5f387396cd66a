/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_busy.h"

#include <string.h>

#define CLIENT_COUNT 6
#define SESSION_COUNT 64
#define MESSAGE_BYTES 300
#define PORT 80

struct busy;

struct session {
    struct busy *busy;
    struct duress_stream *stream;
    uint8_t bytes[MESSAGE_BYTES];
    size_t length;
};

struct client {
    struct busy *busy;
    struct duress_world *world;
    struct duress_stream *stream;
    struct duress_resolution *resolution;
    struct duress_timer timer; /* the next request, or the end of patience */
    struct duress_prng prng;
    bool is_asking;
    bool is_through_relay;
    size_t received;
};

struct busy {
    struct duress_sim *sim;
    struct duress_sim_host *clients_host;
    struct duress_sim_host *server_host;
    struct duress_sim_host *relay_host;
    struct duress_sim_host *driver_host;
    struct duress_sim_relay *relay;
    struct duress_listener *listener;
    struct session sessions[SESSION_COUNT];
    struct client clients[CLIENT_COUNT];
    struct duress_timer driver;
    struct duress_prng prng;
    bool is_toxic;
    struct busy_result *result;
};

/* --- the server: echoes --- */

static void session_close(struct session *session)
{
    duress_stream_close(session->stream);
    session->stream = NULL;
    session->length = 0;
}

/* Sends what it holds. False where the session is over. */
static bool session_flush(struct session *session)
{
    struct duress_slice slice = {session->bytes, session->length};
    size_t count = 0;
    if (session->length == 0)
        return true;
    int error = duress_stream_write(session->stream, &slice, 1, &count);
    if (error != DURESS_OK && error != DURESS_E_AGAIN)
        return false;
    session->length -= count;
    memmove(session->bytes, session->bytes + count, session->length);
    return true;
}

static void session_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct session *session = context;
    bool is_open = session_flush(session);
    if (is_open && (events & DURESS_STREAM_READABLE) != 0 && session->length < sizeof session->bytes) {
        size_t count = 0;
        int error = duress_stream_read(stream, session->bytes + session->length,
                                       sizeof session->bytes - session->length, &count);
        session->length += count;
        is_open = error == DURESS_OK || error == DURESS_E_AGAIN;
        is_open = is_open && session_flush(session);
    }
    if (!is_open) {
        session_close(session);
        return;
    }
    duress_stream_want(stream, session->length > 0 ? DURESS_STREAM_WRITABLE : DURESS_STREAM_READABLE);
}

static void server_accepted(void *context, struct duress_stream *stream)
{
    struct busy *busy = context;
    for (size_t i = 0; i < SESSION_COUNT; i++) {
        struct session *session = &busy->sessions[i];
        if (session->stream != NULL)
            continue;
        *session = (struct session){.busy = busy, .stream = stream};
        duress_stream_handle(stream, session_told, session);
        duress_stream_want(stream, DURESS_STREAM_READABLE);
        return;
    }
    duress_stream_abort(stream);
}

static void server_open(struct busy *busy)
{
    struct duress_listen_options options = {.address = duress_sim_host_address(busy->server_host, PORT), .backlog = 4};
    if (busy->listener == NULL && duress_world_listen(duress_sim_host_world(busy->server_host), &options,
                                                      server_accepted, busy, &busy->listener) != DURESS_OK)
        busy->listener = NULL;
}

static void server_die(struct busy *busy, bool is_crash)
{
    if (is_crash)
        duress_sim_host_crash(busy->server_host);
    else
        duress_sim_host_kill(busy->server_host);
    for (size_t i = 0; i < SESSION_COUNT; i++)
        session_close(&busy->sessions[i]);
    duress_listener_close(busy->listener);
    busy->listener = NULL;
}

/* --- the clients --- */

static void client_end(struct client *client, bool is_reply)
{
    duress_resolution_cancel(client->resolution);
    client->resolution = NULL;
    if (!is_reply || duress_prng_chance(&client->prng, 300000)) {
        duress_stream_close(client->stream);
        client->stream = NULL;
    }
    client->is_asking = false;
    client->busy->result->reply_count += is_reply;
    client->busy->result->failure_count += !is_reply;
    duress_world_note(client->world, is_reply ? "reply" : "failure", client->busy->result->reply_count, 0);
    uint64_t pause_ns = duress_prng_below(&client->prng, 20 * DURESS_MS);
    duress_world_arm(client->world, &client->timer, duress_world_now_ns(client->world) + pause_ns);
}

static void client_send(struct client *client)
{
    uint8_t bytes[MESSAGE_BYTES] = {0};
    struct duress_slice slices[2] = {{bytes, 4}, {bytes, MESSAGE_BYTES - 4}};
    size_t count = 0;
    client->received = 0;
    int error = duress_stream_write(client->stream, slices, 2, &count);
    if (error != DURESS_OK || count != MESSAGE_BYTES)
        client_end(client, false);
    else
        duress_stream_want(client->stream, DURESS_STREAM_READABLE);
}

static void client_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct client *client = context;
    if ((events & (DURESS_STREAM_FAILED | DURESS_STREAM_HANGUP)) != 0) {
        duress_stream_close(stream);
        client->stream = NULL;
        if (client->is_asking)
            client_end(client, false);
        return;
    }
    if ((events & DURESS_STREAM_CONNECTED) != 0) {
        client_send(client);
        return;
    }
    uint8_t bytes[MESSAGE_BYTES];
    size_t count = 0;
    int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    client->received += count;
    if (error == DURESS_OK && client->received < MESSAGE_BYTES)
        return;
    if (client->is_asking)
        client_end(client, error == DURESS_OK);
    if (client->stream != NULL)
        duress_stream_want(client->stream, 0);
}

static void client_dial(struct client *client, const struct duress_address *address)
{
    if (duress_world_connect(client->world, address, client_told, client, &client->stream) != DURESS_OK) {
        client->stream = NULL;
        client_end(client, false);
    }
}

static void client_answered(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct client *client = context;
    client->resolution = NULL;
    if (error != DURESS_OK || count == 0)
        client_end(client, false);
    else
        client_dial(client, &addresses[0]);
}

static void client_due(void *context)
{
    struct client *client = context;
    if (client->is_asking) { /* out of patience */
        duress_stream_close(client->stream);
        client->stream = NULL;
        client_end(client, false);
        return;
    }
    client->is_asking = true;
    duress_world_arm(client->world, &client->timer, duress_world_now_ns(client->world) + 250 * DURESS_MS);
    if (client->stream != NULL) {
        client_send(client);
        return;
    }
    client->is_through_relay = duress_prng_chance(&client->prng, 500000);
    if (client->is_through_relay) {
        struct duress_address address = duress_sim_relay_address(client->busy->relay);
        client_dial(client, &address);
    } else if (duress_world_resolve(client->world, "server", PORT, client_answered, client, &client->resolution) !=
               DURESS_OK) {
        client->resolution = NULL;
        client_end(client, false);
    }
}

/* --- the faults --- */

static void toxic_toggle(struct busy *busy)
{
    struct duress_toxic toxic = {
        .id = 1 + duress_prng_below(&busy->prng, 3),
        /* No type beyond: a longer list must not change the pinned traces. */
        .type = (enum duress_toxic_type)duress_prng_below(&busy->prng, DURESS_TOXIC_CUT + 1),
        .direction = (enum duress_direction)duress_prng_below(&busy->prng, DURESS_DIRECTION_COUNT),
        .toxicity_ppm = 600000,
    };
    /* The kinds' settings share their memory; these numbers are sensible for most of them. */
    toxic.as.latency.latency_ns = duress_prng_below(&busy->prng, 100 * DURESS_MS);
    if (toxic.type == DURESS_TOXIC_CORRUPT)
        toxic.as.corrupt.offset_count = 0;
    if (toxic.type == DURESS_TOXIC_SLICER)
        toxic.as.slicer.average_bytes = 40;
    if (duress_sim_relay_toxic_remove(busy->relay, toxic.id) != DURESS_OK)
        (void)!duress_sim_relay_toxic_add(busy->relay, &toxic, NULL);
}

static void name_spoil(struct busy *busy)
{
    struct duress_sim_name says = {
        .fault = (enum duress_sim_name_fault)duress_prng_below(&busy->prng, 5),
        .delay_ns = duress_prng_below(&busy->prng, 100 * DURESS_MS),
        .fault_count = 3,
        .wrong = duress_sim_host_address(busy->clients_host, 0),
    };
    (void)!duress_sim_name_set(busy->sim, "server", &says);
}

static void paths_toggle(struct busy *busy, bool is_cut)
{
    struct duress_sim_host *hosts[] = {busy->clients_host, busy->server_host, busy->relay_host};
    struct duress_sim_host *from = hosts[duress_prng_below(&busy->prng, 3)];
    struct duress_sim_host *to = hosts[duress_prng_below(&busy->prng, 3)];
    if (is_cut && from != to)
        duress_sim_partition(busy->sim, from, to);
    for (int i = 0; !is_cut && i < 9; i++)
        duress_sim_heal(busy->sim, hosts[i / 3], hosts[i % 3]);
}

static void mend(struct busy *busy)
{
    paths_toggle(busy, false);
    duress_sim_host_freeze(busy->server_host, false);
    duress_sim_host_unreachable(busy->server_host, false);
    duress_sim_host_silence(busy->server_host, PORT, false);
    duress_sim_relay_silence(busy->relay, false);
    duress_sim_host_restart(busy->server_host);
    server_open(busy);
    (void)!duress_sim_relay_up(busy->relay);
}

static void fault_strike(struct busy *busy, uint64_t which)
{
    switch (which) {
    case 0:
        paths_toggle(busy, true);
        break;
    case 1:
    case 2:
        server_die(busy, which == 1);
        break;
    case 3:
        duress_sim_relay_cut(busy->relay);
        break;
    case 4:
        duress_sim_relay_down(busy->relay);
        break;
    case 5:
        duress_sim_relay_silence(busy->relay, true);
        break;
    case 6:
        duress_sim_host_freeze(busy->server_host, true);
        break;
    case 7:
        duress_sim_host_unreachable(busy->server_host, true);
        break;
    case 8:
        duress_sim_host_silence(busy->server_host, PORT, true);
        break;
    case 9:
        name_spoil(busy);
        break;
    default:
        toxic_toggle(busy);
        break;
    }
}

static void driver_due(void *context)
{
    struct busy *busy = context;
    busy->result->fault_count++;
    if (duress_prng_chance(&busy->prng, 400000))
        mend(busy);
    else
        fault_strike(busy, duress_prng_below(&busy->prng, 14));
    struct duress_world *world = duress_sim_host_world(busy->driver_host);
    uint64_t pause_ns = duress_prng_between(&busy->prng, 20 * DURESS_MS, 400 * DURESS_MS);
    duress_world_arm(world, &busy->driver, duress_world_now_ns(world) + pause_ns);
}

/* --- the whole --- */

static int busy_open(struct busy *busy)
{
    struct duress_sim_host **hosts[] = {&busy->clients_host, &busy->server_host, &busy->relay_host, &busy->driver_host};
    static const char *const names[] = {"clients", "server", "relay", "driver"};
    for (size_t i = 0; i < 4; i++) {
        int error = duress_sim_host_new(busy->sim, names[i], hosts[i]);
        if (error != DURESS_OK)
            return error;
    }
    struct duress_address upstream = duress_sim_host_address(busy->server_host, PORT);
    int error = duress_sim_relay_new(busy->relay_host, 8080, &upstream, &busy->relay);
    if (error != DURESS_OK)
        return error;
    server_open(busy);
    duress_world_prng(duress_sim_host_world(busy->driver_host), 1, &busy->prng);
    duress_timer_init(&busy->driver, driver_due, busy);
    duress_world_arm(duress_sim_host_world(busy->driver_host), &busy->driver, DURESS_S);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        struct client *client = &busy->clients[i];
        client->busy = busy;
        client->world = duress_sim_host_world(busy->clients_host);
        duress_world_prng(client->world, 2, &client->prng);
        duress_timer_init(&client->timer, client_due, client);
        duress_world_arm(client->world, &client->timer, DURESS_S);
    }
    return DURESS_OK;
}

/* Half of what is open is freed by its owner, half goes with the universe. */
static void busy_close(struct busy *busy)
{
    for (size_t i = 0; i < CLIENT_COUNT; i += 2)
        duress_stream_close(busy->clients[i].stream);
    for (size_t i = 0; i < SESSION_COUNT; i += 2)
        session_close(&busy->sessions[i]);
    duress_sim_free(busy->sim);
}

int busy_run(const struct duress_allocator *allocator, uint64_t seed, uint64_t duration_ns, duress_sim_trace_fn trace,
             void *context, struct busy_result *result)
{
    struct duress_sim_options options = {.allocator = allocator, .seed = seed, .events_max = 2000000};
    struct busy busy = {.result = result};
    *result = (struct busy_result){0};
    int error = duress_sim_new(&options, &busy.sim, NULL);
    if (error != DURESS_OK)
        return error;
    duress_sim_trace(busy.sim, trace, context);
    error = busy_open(&busy);
    if (error == DURESS_OK) {
        int end = duress_sim_run_until(busy.sim, NULL, NULL, DURESS_S + duration_ns);
        error = end == DURESS_E_DEADLINE ? DURESS_OK : end;
    }
    result->trace_hash = duress_sim_trace_hash(busy.sim);
    result->event_count = duress_sim_event_count(busy.sim);
    busy_close(&busy);
    return error;
}
