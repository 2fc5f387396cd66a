/* SPDX-License-Identifier: Apache-2.0 */
#include "world_peer.h"

#include <stdlib.h>

/* --- peers --- */

void peer_drain(struct peer *peer)
{
    while (peer->end == DURESS_OK) {
        uint8_t scratch[4096];
        size_t count = 0;
        int error = duress_stream_read(peer->stream, scratch, sizeof scratch, &count);
        if (error == DURESS_E_AGAIN)
            return;
        peer->end = error;
        for (size_t i = 0; i < count && peer->received + i < PEER_BYTES_MAX; i++)
            peer->bytes[peer->received + i] = scratch[i];
        peer->received += count;
    }
    duress_stream_want(peer->stream, 0);
}

static void peer_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct peer *peer = context;
    assert_ptr_equal(peer->stream, stream);
    assert_int_not_equal(events, 0);
    peer->seen |= events;
    peer->last = events;
    peer->at_ns = duress_world_now_ns(peer->world);
    peer->error = duress_stream_error(stream);
    if (peer->is_manual) {
        duress_stream_want(stream, 0);
        return;
    }
    if ((events & DURESS_STREAM_CONNECTED) != 0)
        duress_stream_want(stream, DURESS_STREAM_READABLE);
    if ((events & DURESS_STREAM_READABLE) != 0)
        peer_drain(peer);
    if ((events & DURESS_STREAM_WRITABLE) != 0)
        duress_stream_want(stream, DURESS_STREAM_READABLE);
}

int peer_connect(struct peer *peer, struct duress_world *world, struct duress_address address)
{
    peer->world = world;
    return duress_world_connect(world, &address, peer_told, peer, &peer->stream);
}

void peer_close(struct peer *peer)
{
    duress_stream_close(peer->stream);
    peer->stream = NULL;
}

void peer_abort(struct peer *peer)
{
    duress_stream_abort(peer->stream);
    peer->stream = NULL;
}

void peer_say(struct peer *peer, const char *text)
{
    struct duress_slice slice = duress_slice_text(text);
    size_t count = 0;
    assert_int_equal(duress_stream_write(peer->stream, &slice, 1, &count), DURESS_OK);
    assert_int_equal(count, slice.length);
}

void peer_assert_heard(const struct peer *peer, const char *text)
{
    assert_int_equal(peer->received, strlen(text));
    assert_memory_equal(peer->bytes, text, strlen(text));
}

/* --- doors --- */

static void other_told(void *context, struct duress_stream *stream, unsigned events)
{
    (void)context;
    (void)stream;
    (void)events;
}

static void door_accepted(void *context, struct duress_stream *stream)
{
    struct door *door = context;
    struct peer *peer = door->peer;
    door->accepted++;
    if (peer != NULL && peer->stream == NULL && peer->seen == 0) {
        peer->stream = stream;
        peer->seen = DURESS_STREAM_CONNECTED;
        duress_stream_handle(stream, peer_told, peer);
        if (!peer->is_manual)
            duress_stream_want(stream, DURESS_STREAM_READABLE);
        return;
    }
    duress_stream_handle(stream, other_told, NULL);
    for (size_t i = 0; i < sizeof door->others / sizeof door->others[0]; i++) {
        if (door->others[i] != NULL)
            continue;
        door->others[i] = stream;
        return;
    }
    fail_msg("more connections than the test expects");
}

int door_open(struct door *door, struct duress_world *world, struct duress_address address, uint32_t backlog,
              struct peer *peer)
{
    door->peer = peer;
    if (peer != NULL)
        peer->world = world;
    struct duress_listen_options options = {.address = address, .backlog = backlog};
    return duress_world_listen(world, &options, door_accepted, door, &door->listener);
}

void door_close(struct door *door)
{
    for (size_t i = 0; i < sizeof door->others / sizeof door->others[0]; i++)
        duress_stream_close(door->others[i]);
    duress_listener_close(door->listener);
    *door = (struct door){0};
}

/* --- memory --- */

static bool counting_fails(struct counting_allocator *counting)
{
    counting->calls++;
    bool fails = counting->fail_at != 0 && (counting->calls == counting->fail_at ||
                                            (counting->is_lasting && counting->calls > counting->fail_at));
    counting->has_failed |= fails;
    return fails;
}

static void *counting_allocate(void *context, size_t bytes)
{
    struct counting_allocator *counting = context;
    if (counting_fails(counting))
        return NULL;
    counting->live_count++;
    return malloc(bytes);
}

static void *counting_reallocate(void *context, void *memory, size_t bytes)
{
    struct counting_allocator *counting = context;
    if (counting_fails(counting))
        return NULL;
    counting->live_count += memory == NULL;
    return realloc(memory, bytes);
}

static void counting_release(void *context, void *memory)
{
    struct counting_allocator *counting = context;
    counting->live_count -= memory != NULL;
    free(memory);
}

void counting_allocator_init(struct counting_allocator *counting)
{
    *counting = (struct counting_allocator){
        .allocator = {counting, counting_allocate, counting_reallocate, counting_release},
    };
}
