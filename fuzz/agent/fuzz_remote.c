/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed remote agent against a peer that answers with any bytes, in the simulated world. The call ends once, by
 * its deadline, and leaves no connection open that could give its bytes to another call. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <duress/agent/remote.h>
#include <duress/world/sim.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

struct peer {
    const uint8_t *data;
    size_t size;
    bool ends; /* FIN behind the bytes; else it says no more */
    struct duress_stream *stream;
};

/* Answers the first bytes of a request with the input. */
static void peer_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct peer *peer = context;
    uint8_t bytes[4096];
    size_t count = 0;
    (void)events;
    int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    if (error != DURESS_OK) {
        if (error != DURESS_E_AGAIN) {
            duress_stream_close(stream);
            peer->stream = NULL;
        }
        return;
    }
    while (peer->size > 0) {
        struct duress_slice rest = duress_slice_bytes(peer->data, peer->size);
        if (duress_stream_write(stream, &rest, 1, &count) != DURESS_OK)
            break;
        peer->data += count;
        peer->size -= count;
    }
    peer->size = 0; /* of a second request nothing is left */
    if (peer->ends)
        duress_stream_shutdown(stream);
}

static void peer_accept(void *context, struct duress_stream *stream)
{
    struct peer *peer = context;
    peer->stream = stream;
    duress_stream_handle(stream, peer_event, peer);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

static void ask_once(struct duress_world *world, struct duress_agent *agent)
{
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    struct duress_failure failure = {.code = DURESS_OK};
    require(duress_message_text("hello", &request) == DURESS_OK);
    struct duress_ask ask = {.request = request, .deadline_ns = duress_world_now_ns(world) + DURESS_S};
    int error = duress_agent_ask_blocking(agent, &ask, &reply, &failure);
    require(error == DURESS_OK || (int)failure.code == error);
    require(error != DURESS_OK || reply != NULL);
    duress_message_unref(reply);
    duress_message_unref(request);
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
    struct peer peer = {.data = data + 1, .size = size - 1, .ends = (data[0] & 1) != 0};
    struct duress_listener *listener = NULL;
    struct duress_listen_options listen = {.address = duress_sim_host_address(service, 7000)};
    require(duress_world_listen(duress_sim_host_world(service), &listen, peer_accept, &peer, &listener) == DURESS_OK);
    struct duress_world *world = duress_sim_host_world(client);
    struct duress_remote_options options = {
        .world = world,
        .endpoint = "tcp://service:7000",
        .frame_bytes_max = 4096,
        .in_flight_max = (data[0] & 2) != 0 ? 8 : 1,
    };
    struct duress_agent *agent = NULL;
    require(duress_remote_new(&options, &agent, NULL) == DURESS_OK);
    ask_once(world, agent);
    ask_once(world, agent);
    duress_agent_unref(agent);
    duress_sim_free(sim);
    return 0;
}
