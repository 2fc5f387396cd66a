/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed server under any bytes, in the simulated world. The first byte says how the rest is cut into writes. The
 * peer ends with a FIN; the server must have closed the connection, and hold nothing, when all is quiet. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/server.h>
#include <duress/world/sim.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

struct peer {
    struct duress_stream *stream;
    const uint8_t *data;
    size_t size;
    size_t step; /* bytes of one write */
};

static void peer_write(struct peer *peer)
{
    while (peer->size > 0) {
        size_t count = 0;
        struct duress_slice piece = duress_slice_bytes(peer->data, peer->size < peer->step ? peer->size : peer->step);
        int error = duress_stream_write(peer->stream, &piece, 1, &count);
        if (error != DURESS_OK) {
            duress_stream_want(peer->stream, DURESS_STREAM_READABLE | DURESS_STREAM_WRITABLE);
            return;
        }
        peer->data += count;
        peer->size -= count;
    }
    duress_stream_want(peer->stream, DURESS_STREAM_READABLE);
    duress_stream_shutdown(peer->stream);
}

static void peer_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct peer *peer = context;
    uint8_t bytes[4096];
    size_t count;
    if (events & (DURESS_STREAM_CONNECTED | DURESS_STREAM_WRITABLE))
        peer_write(peer);
    if ((events & (DURESS_STREAM_READABLE | DURESS_STREAM_HANGUP)) == 0)
        return;
    int error = DURESS_OK;
    while (error == DURESS_OK)
        error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    if (error == DURESS_E_AGAIN)
        return;
    duress_stream_close(stream);
    peer->stream = NULL;
}

static bool peer_is_gone(void *context)
{
    const struct peer *peer = context;
    return peer->stream == NULL;
}

static struct duress_server *server_begin(struct duress_sim_host *host)
{
    struct duress_agent *agent = NULL;
    struct duress_server *server = NULL;
    struct duress_server_options options = {
        .world = duress_sim_host_world(host),
        .address = duress_sim_host_address(host, 7000),
        .frame_bytes_max = 4096,
    };
    require(duress_function_new(options.world, "echo", echo, NULL, &agent) == DURESS_OK);
    options.agent = agent;
    require(duress_server_new(&options, &server, NULL) == DURESS_OK);
    duress_agent_unref(agent);
    return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct duress_sim *sim = NULL;
    struct duress_sim_host *client = NULL;
    struct duress_sim_host *service = NULL;
    require(duress_sim_new(NULL, &sim, NULL) == DURESS_OK);
    require(duress_sim_host_new(sim, "client", &client) == DURESS_OK);
    require(duress_sim_host_new(sim, "service", &service) == DURESS_OK);
    struct duress_server *server = server_begin(service);
    struct duress_address address = duress_sim_host_address(service, 7000);
    struct peer peer = {.data = data + 1, .size = size - 1, .step = (size_t)data[0] + 1};
    require(duress_world_connect(duress_sim_host_world(client), &address, peer_event, &peer, &peer.stream) ==
            DURESS_OK);
    require(duress_sim_run_until(sim, peer_is_gone, &peer, duress_sim_now_ns(sim) + 600 * DURESS_S) == DURESS_OK);
    require(duress_server_counts(server).in_flight == 0);
    duress_server_free(server);
    duress_sim_free(sim);
    return 0;
}
