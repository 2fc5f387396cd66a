/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 frame by frame: the peer is a dozen lines of our own that say whatever frames a test likes, by prior
 * knowledge. What arrives together here, arrives together with other peers only where the machine is busy. */
#include "http_rig.h"

#include <stdlib.h>
#include <string.h>

#include <duress/wire/envelope.h>

enum {
    FRAME_HEAD_BYTES = 9,
    FRAME_DATA_BYTES_MAX = 16384,
    SAID_BYTES_MAX = 1024 * 1024,
};
enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_CONTINUATION = 9,
    FRAME_UNKNOWN = 0xb0,
};
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ":status: 200" and the content type, as HPACK writes them without its table. */
#define HEAD_OK "\x88"
#define HEAD_JSON                                                                                                      \
    "\x0f\x10\x10"                                                                                                     \
    "application/json"
#define HEAD_EVENTS                                                                                                    \
    "\x0f\x10\x11"                                                                                                     \
    "text/event-stream"

struct frames;
typedef void (*frames_answer_fn)(struct frames *frames, uint32_t stream_id);

struct frames {
    struct http_rig rig; /* its world; its own peer is not asked */
    struct duress_listener *listener;
    struct duress_agent *agent;
    struct duress_stream *stream; /* of the newest connection; NULL: closed */
    struct duress_buffer in;
    struct duress_buffer request; /* what came as DATA */
    bool greeted;
    uint32_t ping_acks;
    char id[300];
    frames_answer_fn answer;
    const void *context; /* the answer's */
    uint8_t said[SAID_BYTES_MAX];
    size_t said_bytes;
};

static struct frames the_frames;

/* --- what the peer says --- */

static void put_bytes(struct frames *frames, const void *bytes, size_t length)
{
    assert_true(frames->said_bytes + length <= SAID_BYTES_MAX);
    if (length > 0)
        memcpy(frames->said + frames->said_bytes, bytes, length);
    frames->said_bytes += length;
}

static void put_frame(struct frames *frames, unsigned type, unsigned flags, uint32_t stream_id, const void *payload,
                      size_t length)
{
    uint8_t head[FRAME_HEAD_BYTES] = {
        (uint8_t)(length >> 16),
        (uint8_t)(length >> 8),
        (uint8_t)length,
        (uint8_t)type,
        (uint8_t)flags,
        (uint8_t)(stream_id >> 24),
        (uint8_t)(stream_id >> 16),
        (uint8_t)(stream_id >> 8),
        (uint8_t)stream_id,
    };
    put_bytes(frames, head, sizeof head);
    put_bytes(frames, payload, length);
}

/* Everything that was put goes in one write, so that it can arrive at once; no more is put than a socket takes. */
static void say(struct frames *frames)
{
    struct duress_slice slice = duress_slice_bytes(frames->said, frames->said_bytes);
    size_t count = 0;
    frames->said_bytes = 0;
    if (frames->stream == NULL || slice.length == 0)
        return;
    assert_int_equal(duress_stream_write(frames->stream, &slice, 1, &count), DURESS_OK);
    assert_int_equal(count, slice.length);
}

static void hang_up(struct frames *frames)
{
    if (frames->stream != NULL)
        duress_stream_close(frames->stream);
    frames->stream = NULL;
    duress_buffer_clear(&frames->in);
    duress_buffer_clear(&frames->request);
}

/* --- what it hears --- */

static void request_whole(struct frames *frames, uint32_t stream_id)
{
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    duress_buffer_init(&scratch, 0, NULL);
    assert_int_equal(duress_envelope_decode(duress_buffer_slice(&frames->request), NULL, &scratch, &envelope, NULL),
                     DURESS_OK);
    (void)snprintf(frames->id, sizeof frames->id, "%.*s", (int)envelope.id.length, (const char *)envelope.id.data);
    duress_buffer_close(&scratch);
    duress_buffer_clear(&frames->request);
    frames->answer(frames, stream_id);
    say(frames);
}

static void frame_heard(struct frames *frames, unsigned type, unsigned flags, uint32_t stream_id,
                        struct duress_slice payload)
{
    if (type == FRAME_SETTINGS && (flags & FLAG_ACK) == 0) {
        put_frame(frames, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
        say(frames);
    }
    frames->ping_acks += type == FRAME_PING && (flags & FLAG_ACK) != 0;
    if (type == FRAME_DATA && payload.length > 0)
        assert_int_equal(duress_buffer_append(&frames->request, payload), DURESS_OK);
    if (type == FRAME_DATA && (flags & FLAG_END_STREAM) != 0)
        request_whole(frames, stream_id);
}

/* Takes one frame, or the preface, from the front of what has come. */
static bool frame_take(struct frames *frames)
{
    struct duress_slice in = duress_buffer_slice(&frames->in);
    size_t skip = frames->greeted ? 0 : sizeof preface - 1;
    if (in.length < skip + FRAME_HEAD_BYTES)
        return false;
    assert_true(frames->greeted || memcmp(in.data, preface, skip) == 0);
    const uint8_t *head = in.data + skip;
    size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (in.length < skip + FRAME_HEAD_BYTES + length)
        return false;
    uint32_t stream_id = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    frames->greeted = true;
    frame_heard(frames, head[3], head[4], stream_id, duress_slice_bytes(head + FRAME_HEAD_BYTES, length));
    duress_buffer_consume(&frames->in, frames->stream != NULL ? skip + FRAME_HEAD_BYTES + length : 0);
    return frames->stream != NULL;
}

static void peer_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct frames *frames = context;
    (void)events;
    while (frames->stream == stream) {
        uint8_t *room = NULL;
        size_t count = 0;
        assert_int_equal(duress_buffer_reserve(&frames->in, 65536, &room), DURESS_OK);
        int error = duress_stream_read(stream, room, 65536, &count);
        if (error == DURESS_E_AGAIN)
            return;
        if (error != DURESS_OK) {
            hang_up(frames);
            return;
        }
        duress_buffer_commit(&frames->in, count);
        while (frame_take(frames))
            ;
    }
}

static void peer_accept(void *context, struct duress_stream *stream)
{
    struct frames *frames = context;
    hang_up(frames);
    frames->stream = stream;
    frames->greeted = false;
    duress_stream_handle(stream, peer_event, frames);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
    put_frame(frames, FRAME_SETTINGS, 0, 0, NULL, 0);
    say(frames);
}

/* --- the test's own --- */

static struct frames *frames_open(frames_answer_fn answer)
{
    struct frames *frames = &the_frames;
    struct duress_listen_options listen = {.address = duress_address_loopback(0)};
    char url[64];
    *frames = (struct frames){.answer = answer};
    http_rig_open(&frames->rig);
    duress_buffer_init(&frames->in, 0, NULL);
    duress_buffer_init(&frames->request, 0, NULL);
    assert_int_equal(duress_world_listen(frames->rig.world, &listen, peer_accept, frames, &frames->listener),
                     DURESS_OK);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", duress_listener_address(frames->listener).port);
    struct duress_http_agent_options options = {
        .url = url, .version = DURESS_HTTP_2_BY_AGREEMENT, .head_bytes_max = 8192, .body_bytes_max = 65536};
    frames->agent = http_rig_agent(&frames->rig, &options);
    return frames;
}

static void frames_close(struct frames *frames)
{
    duress_agent_unref(frames->agent);
    hang_up(frames);
    duress_listener_close(frames->listener);
    duress_buffer_close(&frames->in);
    duress_buffer_close(&frames->request);
    http_rig_close(&frames->rig);
}

/* Asks, with much less time than libcurl's own timers have: nothing but the peer's frames can have ended it well. */
static int ask(struct frames *frames, bool streaming, struct http_answer *answer)
{
    uint64_t deadline_ns = duress_world_now_ns(frames->rig.world) + 5 * DURESS_S;
    http_answer_clear(answer);
    assert_int_equal(http_try_ask(frames->agent, "x", deadline_ns, streaming, answer), DURESS_OK);
    http_run_until_ended(&frames->rig, answer);
    return answer->error;
}

/* A reply of |length| bytes to the request that came last; in memory of its own until the next call. */
static struct duress_slice reply_of(const struct frames *frames, size_t length)
{
    static char reply[SAID_BYTES_MAX];
    static const char end[] = "\",\"timestamp\":\"2026-01-15T09:30:00.251000Z\"}}}";
    int begin = snprintf(reply, sizeof reply,
                         "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"%s\",\"payload\":{\"message\":{"
                         "\"role\":\"agent\",\"metadata\":{},\"content\":\"",
                         frames->id);
    assert_true(length >= (size_t)begin + sizeof end && length < sizeof reply);
    memset(reply + begin, 'z', length - (size_t)begin);
    memcpy(reply + length - (sizeof end - 1), end, sizeof end - 1);
    return duress_slice_bytes(reply, length);
}

/* --- what comes at once --- */

enum the_end { END_ON_DATA, END_ON_EMPTY_DATA, END_ON_TRAILERS };

struct at_once {
    size_t reply_bytes;
    size_t frame_bytes; /* of each DATA but the last */
    enum the_end end;
};

static void answer_at_once(struct frames *frames, uint32_t stream_id)
{
    const struct at_once *how = frames->context;
    struct duress_slice left = reply_of(frames, how->reply_bytes);
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    while (left.length > 0) {
        size_t length = left.length < how->frame_bytes ? left.length : how->frame_bytes;
        bool last = length == left.length && how->end == END_ON_DATA;
        put_frame(frames, FRAME_DATA, last ? FLAG_END_STREAM : 0u, stream_id, left.data, length);
        left = duress_slice_bytes(left.data + length, left.length - length);
    }
    if (how->end == END_ON_EMPTY_DATA)
        put_frame(frames, FRAME_DATA, FLAG_END_STREAM, stream_id, NULL, 0);
    if (how->end == END_ON_TRAILERS)
        put_frame(frames, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream_id, "\x00\x01x\x01y", 5);
}

/* libcurl 7.88 to 8.0 forgets what it has read behind a frame that did not fit into its buffer; the call would end when
 * libcurl's own timer of the connect is due, 11 s later. Sizes around its buffers, 16 and 32 KiB. */
static void the_end_of_a_reply_that_came_with_its_beginning_is_not_forgotten(void **state)
{
    static const size_t reply_bytes[] = {1000, 16384, 17000, 24000, 32000, 32700, 33000, 40000, 50000, 65000};
    static const size_t frame_bytes[] = {FRAME_DATA_BYTES_MAX, 16000, 8192, 1000};
    struct http_answer answer = {.ended = 0};
    struct at_once how = {.reply_bytes = 0};
    struct frames *frames = frames_open(answer_at_once);
    (void)state;
    frames->context = &how;
    for (size_t i = 0; i < sizeof reply_bytes / sizeof reply_bytes[0]; i++)
        for (size_t j = 0; j < sizeof frame_bytes / sizeof frame_bytes[0]; j++)
            for (int end = END_ON_DATA; end <= END_ON_TRAILERS; end++) {
                how = (struct at_once){reply_bytes[i], frame_bytes[j], (enum the_end)end};
                if (ask(frames, false, &answer) != DURESS_OK)
                    fail_msg("%zu bytes in frames of %zu, end %d: %s", how.reply_bytes, how.frame_bytes, end,
                             answer.failure.detail);
            }
    http_answer_clear(&answer);
    frames_close(frames);
}

static void answer_stream_at_once(struct frames *frames, uint32_t stream_id)
{
    char event[1024];
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_EVENTS, sizeof HEAD_OK HEAD_EVENTS - 1);
    for (int i = 0; i < 40; i++) {
        int length = snprintf(event, sizeof event,
                              "data: {\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"%s\",\"payload\":{"
                              "\"message\":{\"role\":\"agent\",\"content\":\"%0500d\",\"metadata\":{},\"timestamp\":"
                              "\"2026-01-15T09:30:01.000000Z\"}}}\n\n",
                              frames->id, i);
        put_frame(frames, FRAME_DATA, 0, stream_id, event, (size_t)length);
    }
    int length =
        snprintf(event, sizeof event,
                 "data: {\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"%s\",\"payload\":{}}\n\n", frames->id);
    put_frame(frames, FRAME_DATA, FLAG_END_STREAM, stream_id, event, (size_t)length);
}

static void the_end_of_a_stream_that_came_with_its_beginning_is_not_forgotten(void **state)
{
    struct http_answer answer = {.ended = 0};
    struct frames *frames = frames_open(answer_stream_at_once);
    (void)state;
    assert_int_equal(ask(frames, true, &answer), DURESS_OK);
    assert_int_equal(answer.chunk_count, 40);
    http_answer_clear(&answer);
    frames_close(frames);
}

/* --- peers that mean harm --- */

struct harm {
    const char *what;
    frames_answer_fn answer;
    int error;
};

static void harm_rst(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_RST_STREAM, 0, stream_id, "\0\0\0\2", 4);
}

static void harm_rst_midway(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    put_frame(frames, FRAME_DATA, 0, stream_id, "{\"version\"", 10);
    put_frame(frames, FRAME_RST_STREAM, 0, stream_id, "\0\0\0\2", 4);
}

static void harm_half(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    put_frame(frames, FRAME_DATA, FLAG_END_STREAM, stream_id, reply_of(frames, 1000).data, 999);
}

static void harm_end_midway(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    put_frame(frames, FRAME_DATA, 0, stream_id, reply_of(frames, 1000).data, 999);
    say(frames);
    hang_up(frames);
}

static void harm_goaway(struct frames *frames, uint32_t stream_id)
{
    (void)stream_id;
    put_frame(frames, FRAME_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\2", 8);
    say(frames);
    hang_up(frames);
}

static void harm_no_http(struct frames *frames, uint32_t stream_id)
{
    (void)stream_id;
    put_bytes(frames, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 40);
}

static void harm_body_before_head(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_DATA, FLAG_END_STREAM, stream_id, reply_of(frames, 1000).data, 1000);
}

static void harm_frame_too_long(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    put_frame(frames, FRAME_DATA, FLAG_END_STREAM, stream_id, reply_of(frames, 60000).data, 60000);
}

/* A header of 4 KiB that is put into HPACK's table and named a thousand times: 5 KiB become 4 MiB. */
static void harm_bomb(struct frames *frames, uint32_t stream_id)
{
    static uint8_t block[1 + 4 + 3 + 4000 + 1000];
    static const uint8_t bomb[] = {0x88, 0x40, 0x01, 'b', 0x7f, 0xa1, 0x1e}; /* a value of 127 + 3873 bytes */
    memcpy(block, bomb, sizeof bomb);
    memset(block + sizeof bomb, 'b', 4000);
    memset(block + sizeof bomb + 4000, 0xbe, sizeof block - sizeof bomb - 4000); /* entry 62 */
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, block, sizeof block);
}

/* Headers that never end. */
static void harm_continuations(struct frames *frames, uint32_t stream_id)
{
    static uint8_t block[16000];
    for (size_t i = 0; i + 4 < sizeof block; i += 5)
        memcpy(block + i, "\x00\x01h\x01h", 5);
    put_frame(frames, FRAME_HEADERS, 0, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    for (int i = 0; i < 20; i++)
        put_frame(frames, FRAME_CONTINUATION, 0, stream_id, block, sizeof block);
}

static void harm_body_without_end(struct frames *frames, uint32_t stream_id)
{
    static const uint8_t zeros[FRAME_DATA_BYTES_MAX];
    put_frame(frames, FRAME_HEADERS, FLAG_END_HEADERS, stream_id, HEAD_OK HEAD_JSON, sizeof HEAD_OK HEAD_JSON - 1);
    for (int i = 0; i < 20; i++)
        put_frame(frames, FRAME_DATA, 0, stream_id, zeros, sizeof zeros);
}

static void answer_well(struct frames *frames, uint32_t stream_id)
{
    static const struct at_once how = {1000, FRAME_DATA_BYTES_MAX, END_ON_DATA};
    frames->context = &how;
    answer_at_once(frames, stream_id);
}

static void frames_of_a_peer_that_means_harm_fail_their_call_and_no_other(void **state)
{
    static const struct harm harms[] = {
        {"RST_STREAM", harm_rst, DURESS_E_RESET},
        {"RST_STREAM inside the reply", harm_rst_midway, DURESS_E_RESET},
        {"half a reply", harm_half, DURESS_E_TRUNCATED},
        {"the connection's end inside the reply", harm_end_midway, DURESS_E_TRUNCATED},
        {"GOAWAY and the end", harm_goaway, DURESS_E_MALFORMED},
        {"HTTP/1.1", harm_no_http, DURESS_E_TRUNCATED},
        {"a body before its head", harm_body_before_head, DURESS_E_TRUNCATED},
        {"a frame above the announced length", harm_frame_too_long, DURESS_E_TRUNCATED},
        {"headers that unpack to 4 MiB", harm_bomb, DURESS_E_MALFORMED},
        {"headers without an end", harm_continuations, DURESS_E_MALFORMED},
        {"a body without an end", harm_body_without_end, DURESS_E_MALFORMED},
    };
    struct http_answer answer = {.ended = 0};
    (void)state;
    for (size_t i = 0; i < sizeof harms / sizeof harms[0]; i++) {
        struct frames *frames = frames_open(harms[i].answer);
        int error = ask(frames, false, &answer);
        if (error != harms[i].error)
            fail_msg("%s: %s (%s)", harms[i].what, duress_error_name(error), answer.failure.detail);
        if (!answer.failure.ambiguous)
            fail_msg("%s: not ambiguous", harms[i].what);
        frames->answer = answer_well;
        if (ask(frames, false, &answer) != DURESS_OK)
            fail_msg("after %s: %s", harms[i].what, answer.failure.detail);
        assert_true(frames->rig.heap.largest_bytes < 2 * 65536 + 4096);
        http_answer_clear(&answer);
        frames_close(frames);
    }
}

static void answer_with_more(struct frames *frames, uint32_t stream_id)
{
    put_frame(frames, FRAME_UNKNOWN, 0xff, stream_id, "what?", 5);
    put_frame(frames, FRAME_PING, 0, 0, "abcdefgh", 8);
    answer_well(frames, stream_id);
}

static bool ping_is_answered(void *context)
{
    return ((struct frames *)context)->ping_acks == 1;
}

static void frames_that_are_none_of_the_replys_are_passed_over(void **state)
{
    struct http_answer answer = {.ended = 0};
    struct frames *frames = frames_open(answer_with_more);
    (void)state;
    assert_int_equal(ask(frames, false, &answer), DURESS_OK);
    http_answer_clear(&answer);
    http_run_until(&frames->rig, ping_is_answered, frames);
    frames_close(frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_reply_that_came_with_its_beginning_is_not_forgotten),
        cmocka_unit_test(the_end_of_a_stream_that_came_with_its_beginning_is_not_forgotten),
        cmocka_unit_test(frames_of_a_peer_that_means_harm_fail_their_call_and_no_other),
        cmocka_unit_test(frames_that_are_none_of_the_replys_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
