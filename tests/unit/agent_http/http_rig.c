/* SPDX-License-Identifier: Apache-2.0 */
#include "http_rig.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <duress/wire/envelope.h>

/* --- the raw peer --- */

static void conn_write(struct http_conn *conn);

static void conn_close(struct http_conn *conn)
{
    if (conn->stream == NULL)
        return;
    duress_world_disarm(conn->rig->world, &conn->drip);
    duress_stream_close(conn->stream);
    conn->stream = NULL;
}

void http_conn_fin(struct http_conn *conn)
{
    if (conn->stream != NULL)
        duress_stream_shutdown(conn->stream);
}

void http_conn_rst(struct http_conn *conn)
{
    if (conn->stream == NULL)
        return;
    duress_world_disarm(conn->rig->world, &conn->drip);
    duress_stream_abort(conn->stream);
    conn->stream = NULL;
}

static void conn_want(struct http_conn *conn)
{
    bool more = duress_buffer_length(&conn->out) > 0 && conn->say_max > 0 && !conn->rig->drips;
    unsigned readable = conn->deaf ? 0u : DURESS_STREAM_READABLE;
    duress_stream_want(conn->stream, readable | (more ? DURESS_STREAM_WRITABLE : 0u));
}

static void conn_said_all(struct http_conn *conn)
{
    enum http_after then = conn->then;
    conn->then = HTTP_KEEP;
    if (then == HTTP_FIN)
        http_conn_fin(conn);
    if (then == HTTP_RST)
        http_conn_rst(conn);
}

static void conn_write(struct http_conn *conn)
{
    while (conn->stream != NULL && duress_buffer_length(&conn->out) > 0 && conn->say_max > 0) {
        struct duress_slice rest = duress_buffer_slice(&conn->out);
        size_t count = 0;
        if (rest.length > conn->say_max)
            rest.length = conn->say_max;
        if (conn->rig->drips)
            rest.length = 1;
        int error = duress_stream_write(conn->stream, &rest, 1, &count);
        if (error == DURESS_E_AGAIN)
            break;
        if (error != DURESS_OK) {
            conn->was_reset = true;
            conn_close(conn);
            return;
        }
        duress_buffer_consume(&conn->out, count);
        if (conn->say_max != SIZE_MAX)
            conn->say_max -= count;
        if (conn->rig->drips) {
            duress_world_arm(conn->rig->world, &conn->drip, duress_world_now_ns(conn->rig->world));
            return;
        }
    }
    if (conn->stream != NULL && (duress_buffer_length(&conn->out) == 0 || conn->say_max == 0))
        conn_said_all(conn);
    if (conn->stream != NULL)
        conn_want(conn);
}

static void conn_drip(void *context)
{
    conn_write(context);
}

void http_conn_say_bytes(struct http_conn *conn, const void *bytes, size_t length)
{
    if (conn->stream == NULL)
        return;
    assert_int_equal(duress_buffer_append(&conn->out, duress_slice_bytes(bytes, length)), DURESS_OK);
    conn_write(conn);
}

static size_t expand(char *out, size_t capacity, const struct http_conn *conn, const char *text)
{
    size_t length = 0;
    while (*text != '\0') {
        const char *insert = NULL;
        if (strncmp(text, "$ID", 3) == 0) {
            insert = conn->id;
            text += 3;
        } else if (strncmp(text, "$CONTENT", 8) == 0) {
            insert = conn->content;
            text += 8;
        }
        size_t bytes = insert != NULL ? strlen(insert) : 1;
        assert_true(length + bytes < capacity);
        memcpy(out + length, insert != NULL ? insert : text, bytes);
        length += bytes;
        text += insert == NULL;
    }
    return length;
}

/* "$LENGTH" in the head is the length of what stands behind it, expanded. */
void http_conn_say(struct http_conn *conn, const char *text)
{
    static char said[256 * 1024];
    static char body[256 * 1024];
    const char *mark = strstr(text, "$LENGTH");
    const char *begin = mark != NULL ? strstr(mark, "\r\n\r\n") : NULL;
    if (begin == NULL) {
        http_conn_say_bytes(conn, said, expand(said, sizeof said, conn, text));
        return;
    }
    size_t body_length = expand(body, sizeof body, conn, begin + 4);
    int head = snprintf(said, sizeof said, "%.*s%zu%.*s", (int)(mark - text), text, body_length,
                        (int)(begin + 4 - (mark + 7)), mark + 7);
    assert_true((size_t)head + body_length < sizeof said);
    memcpy(said + head, body, body_length);
    http_conn_say_bytes(conn, said, (size_t)head + body_length);
}

void http_conn_say_chunk(struct http_conn *conn, const char *text)
{
    char chunk[8192];
    char said[8192 + 32];
    size_t length = expand(chunk, sizeof chunk, conn, text);
    int head = snprintf(said, sizeof said, "%zx\r\n", length);
    memcpy(said + head, chunk, length);
    memcpy(said + (size_t)head + length, "\r\n", 2);
    http_conn_say_bytes(conn, said, (size_t)head + length + 2);
}

void http_conn_say_last_chunk(struct http_conn *conn)
{
    http_conn_say_bytes(conn, "0\r\n\r\n", 5);
}

static void slice_keep(char *kept, size_t capacity, struct duress_slice slice)
{
    size_t bytes = slice.length < capacity - 1 ? slice.length : capacity - 1;
    if (bytes > 0)
        memcpy(kept, slice.data, bytes);
    kept[bytes] = '\0';
}

static void request_note(struct http_conn *conn, struct duress_slice head, struct duress_slice body)
{
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    duress_buffer_init(&scratch, 0, NULL);
    slice_keep(conn->head, sizeof conn->head, head);
    conn->body_bytes = body.length;
    assert_int_equal(duress_envelope_decode(body, NULL, &scratch, &envelope, NULL), DURESS_OK);
    assert_int_equal(envelope.type, DURESS_ENVELOPE_REQUEST);
    slice_keep(conn->id, sizeof conn->id, envelope.id);
    slice_keep(conn->method, sizeof conn->method, envelope.method);
    slice_keep(conn->content, sizeof conn->content, envelope.content);
    slice_keep(conn->agent_name, sizeof conn->agent_name, envelope.agent_name);
    duress_buffer_close(&scratch);
    conn->request_count++;
    conn->rig->requests++;
}

/* Takes one request from the front of what has come. */
static bool request_take(struct http_conn *conn)
{
    struct duress_slice in = duress_buffer_slice(&conn->in);
    const uint8_t *end = in.length > 0 ? memmem(in.data, in.length, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return false;
    size_t head_bytes = (size_t)(end - in.data) + 4;
    char head[4096];
    slice_keep(head, sizeof head, duress_slice_bytes(in.data, head_bytes));
    const char *announced = strcasestr(head, "\r\nContent-Length:");
    assert_non_null(announced);
    size_t body_bytes = strtoul(announced + 17, NULL, 10);
    if (in.length < head_bytes + body_bytes)
        return false;
    request_note(conn, duress_slice_bytes(in.data, head_bytes), duress_slice_bytes(in.data + head_bytes, body_bytes));
    duress_buffer_consume(&conn->in, head_bytes + body_bytes);
    return true;
}

static void conn_answer(struct http_conn *conn)
{
    struct http_rig *rig = conn->rig;
    if (rig->on_request != NULL) {
        rig->on_request(rig->context, conn);
        return;
    }
    conn->say_max = rig->say_max != 0 ? rig->say_max : SIZE_MAX;
    conn->then = rig->after;
    http_conn_say(conn, rig->answer);
}

static void conn_read(struct http_conn *conn)
{
    while (conn->stream != NULL) {
        uint8_t *room = NULL;
        size_t count = 0;
        assert_int_equal(duress_buffer_reserve(&conn->in, 65536, &room), DURESS_OK);
        int error = duress_stream_read(conn->stream, room, 65536, &count);
        if (error == DURESS_E_AGAIN)
            return;
        conn->ended = conn->ended || error == DURESS_E_END;
        conn->was_reset = conn->was_reset || (error != DURESS_OK && error != DURESS_E_END);
        if (error != DURESS_OK) {
            conn_close(conn);
            return;
        }
        duress_buffer_commit(&conn->in, count);
        while (conn->stream != NULL && request_take(conn))
            conn_answer(conn);
    }
}

static void conn_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct http_conn *conn = context;
    (void)stream;
    if (events & DURESS_STREAM_HANGUP) {
        conn->was_reset = true;
        conn_close(conn);
        return;
    }
    if (events & DURESS_STREAM_READABLE)
        conn_read(conn);
    if (conn->stream != NULL && (events & DURESS_STREAM_WRITABLE))
        conn_write(conn);
}

static void peer_accept(void *context, struct duress_stream *stream)
{
    struct http_rig *rig = context;
    struct http_conn *conn = calloc(1, sizeof *conn);
    assert_non_null(conn);
    conn->rig = rig;
    conn->stream = stream;
    conn->next = rig->conns;
    conn->say_max = SIZE_MAX;
    conn->deaf = rig->deaf;
    rig->conns = conn;
    rig->accepted++;
    duress_buffer_init(&conn->in, 0, NULL);
    duress_buffer_init(&conn->out, 0, NULL);
    duress_timer_init(&conn->drip, conn_drip, conn);
    duress_stream_handle(stream, conn_event, conn);
    conn_want(conn);
}

/* --- answers --- */

const char *http_reply(const char *status, const char *headers, const char *body)
{
    static char text[256 * 1024];
    int length =
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: $LENGTH\r\n\r\n%s", status, headers, body);
    assert_true(length > 0 && (size_t)length < sizeof text);
    return text;
}

const char *http_echo_answer(void)
{
    return http_reply("200 OK", HTTP_JSON, HTTP_OK_BODY);
}

/* --- the rig --- */

void http_rig_open_with(struct http_rig *rig, const struct duress_world_live_options *live)
{
    *rig = (struct http_rig){.port = 0};
    probe_heap_init(&rig->heap, UINT64_MAX);
    assert_int_equal(duress_world_live_new(live, &rig->world, NULL), DURESS_OK);
    struct duress_listen_options options = {.address = duress_address_loopback(0)};
    assert_int_equal(duress_world_listen(rig->world, &options, peer_accept, rig, &rig->listener), DURESS_OK);
    rig->port = duress_listener_address(rig->listener).port;
    rig->answer = http_echo_answer();
}

void http_rig_open(struct http_rig *rig)
{
    http_rig_open_with(rig, NULL);
}

void http_rig_close(struct http_rig *rig)
{
    while (rig->conns != NULL) {
        struct http_conn *conn = rig->conns;
        rig->conns = conn->next;
        conn_close(conn);
        duress_buffer_close(&conn->in);
        duress_buffer_close(&conn->out);
        free(conn);
    }
    if (rig->listener != NULL)
        duress_listener_close(rig->listener);
    duress_world_free(rig->world); /* libuv gives the last memory of sockets back */
    assert_int_equal(rig->heap.live_count, 0);
}

struct duress_agent *http_rig_agent(struct http_rig *rig, const struct duress_http_agent_options *options)
{
    struct duress_http_agent_options filled = {.url = NULL};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    char url[64];
    if (options != NULL)
        filled = *options;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", rig->port);
    filled.world = rig->world;
    filled.allocator = &rig->heap.allocator;
    if (filled.url == NULL)
        filled.url = url;
    if (duress_http_agent_new(&filled, &agent, &why) != DURESS_OK)
        fail_msg("no agent: %s", why.detail);
    return agent;
}

/* --- callers --- */

static void answer_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct http_answer *answer = context;
    struct duress_slice content = duress_message_content(chunk);
    size_t length = strlen(answer->chunks);
    answer->chunk_count++;
    (void)snprintf(answer->chunks + length, sizeof answer->chunks - length, "%.*s,", (int)content.length,
                   (const char *)content.data);
    if (answer->chunk_count == answer->cancel_after_chunk)
        duress_call_cancel(call);
}

static void answer_end(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct http_answer *answer = context;
    assert_ptr_equal(answer->call, call);
    answer->call = NULL;
    answer->ended++;
    assert_int_equal(answer->ended, 1);
    answer->error = result->error;
    answer->ended_ns = result->ended_ns;
    if (result->error != DURESS_OK)
        answer->failure = *result->failure;
    else
        answer->reply = duress_message_ref(result->reply);
    if (answer->then != NULL)
        answer->then(answer, answer->then_context);
}

int http_try_ask(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool streaming,
                 struct http_answer *answer)
{
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text(text, &request), DURESS_OK);
    struct duress_ask ask = {
        .request = request,
        .deadline_ns =
            deadline_ns != 0 ? deadline_ns : duress_world_now_ns(duress_agent_world(agent)) + HTTP_RIG_PATIENCE_NS,
        .on_end = answer_end,
        .on_chunk = streaming ? answer_chunk : NULL,
        .context = answer,
    };
    int error = duress_agent_ask(agent, &ask, &answer->call);
    assert_int_equal(answer->ended, 0);
    duress_message_unref(request);
    return error;
}

void http_ask(struct duress_agent *agent, const char *text, struct http_answer *answer)
{
    assert_int_equal(http_try_ask(agent, text, 0, false, answer), DURESS_OK);
}

void http_ask_stream(struct duress_agent *agent, const char *text, struct http_answer *answer)
{
    assert_int_equal(http_try_ask(agent, text, 0, true, answer), DURESS_OK);
}

void http_answer_clear(struct http_answer *answer)
{
    duress_message_unref(answer->reply);
    *answer = (struct http_answer){.ended = 0};
}

bool http_answer_is(const struct http_answer *answer, const char *text)
{
    return answer->error == DURESS_OK && duress_slice_is(duress_message_content(answer->reply), text);
}

void http_run_until(struct http_rig *rig, duress_done_fn done, void *context)
{
    uint64_t deadline_ns = duress_world_now_ns(rig->world) + HTTP_RIG_PATIENCE_NS;
    assert_int_equal(duress_world_run_until(rig->world, done, context, deadline_ns), DURESS_OK);
}

static bool answer_has_ended(void *context)
{
    return ((struct http_answer *)context)->ended > 0;
}

void http_run_until_ended(struct http_rig *rig, struct http_answer *answer)
{
    http_run_until(rig, answer_has_ended, answer);
}

int http_ask_and_wait(struct http_rig *rig, struct duress_agent *agent, const char *text, struct http_answer *answer)
{
    http_answer_clear(answer);
    http_ask(agent, text, answer);
    http_run_until_ended(rig, answer);
    return answer->error;
}

int http_stream_and_wait(struct http_rig *rig, struct duress_agent *agent, const char *text, struct http_answer *answer)
{
    http_answer_clear(answer);
    http_ask_stream(agent, text, answer);
    http_run_until_ended(rig, answer);
    return answer->error;
}

static bool peer_is_alone(void *context)
{
    const struct http_rig *rig = context;
    for (const struct http_conn *conn = rig->conns; conn != NULL; conn = conn->next)
        if (conn->stream != NULL)
            return false;
    return true;
}

void http_run_until_alone(struct http_rig *rig)
{
    http_run_until(rig, peer_is_alone, rig);
}
