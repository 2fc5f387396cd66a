/* SPDX-License-Identifier: Apache-2.0 */
#include "server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATIENCE_NS (20 * DURESS_S)

/* --- the server's side --- */

void web_open(struct web *web)
{
    memset(web, 0, sizeof *web);
    probe_heap_init(&web->heap, UINT64_MAX);
    assert_int_equal(duress_world_live_new(NULL, &web->world, NULL), DURESS_OK);
    rig_service_open(&web->service, web->world, "service");
}

static void echo_begin(void *context, struct duress_call *call)
{
    (void)context;
    duress_call_reply(call, call->request);
}

static void echo_cancel(void *context, struct duress_call *call)
{
    (void)context;
    (void)call;
}

static void serve(struct web *web, const struct duress_http_server_options *options, struct duress_agent *agent)
{
    struct duress_http_server_options complete = {.world = NULL};
    struct duress_failure why = {.detail = ""};
    if (options != NULL)
        complete = *options;
    complete.world = web->world;
    complete.agent = agent;
    complete.address = duress_address_loopback(0);
    complete.allocator = &web->heap.allocator;
    int error = duress_http_server_new(&complete, &web->server, &why);
    if (error != DURESS_OK)
        fail_msg("no server: %s", why.detail);
}

void web_serve(struct web *web, const struct duress_http_server_options *options)
{
    serve(web, options, web->service.agent);
}

void web_serve_echo(struct web *web, const struct duress_http_server_options *options)
{
    assert_int_equal(duress_function_async_new(web->world, "echo", echo_begin, echo_cancel, NULL, &web->echo),
                     DURESS_OK);
    serve(web, options, web->echo);
}

void web_close(struct web *web)
{
    duress_http_server_free(web->server);
    web->server = NULL;
    duress_agent_unref(web->echo);
    rig_service_close(&web->service);
    duress_world_free(web->world); /* libuv gives its handle back */
    assert_int_equal(web->heap.live_count, 0);
}

struct duress_http_server_counts web_counts(const struct web *web)
{
    return duress_http_server_counts(web->server);
}

/* --- time --- */

void web_until(struct web *web, duress_done_fn done, void *context)
{
    uint64_t deadline_ns = duress_world_now_ns(web->world) + PATIENCE_NS;
    if (duress_world_run_until(web->world, done, context, deadline_ns) != DURESS_OK)
        fail_msg("it never came");
}

static bool never(void *context)
{
    (void)context;
    return false;
}

void web_pass(struct web *web, uint64_t duration_ns)
{
    (void)duress_world_run_until(web->world, never, NULL, duress_world_now_ns(web->world) + duration_ns);
}

struct waiting {
    struct web *web;
    uint64_t count;
};

static bool in_flight_is(void *context)
{
    const struct waiting *waiting = context;
    return web_counts(waiting->web).in_flight == waiting->count;
}

void web_until_in_flight(struct web *web, uint64_t count)
{
    web_until(web, in_flight_is, &(struct waiting){web, count});
}

static bool running_is(void *context)
{
    const struct waiting *waiting = context;
    return waiting->web->service.running == waiting->count;
}

void web_until_running(struct web *web, uint64_t count)
{
    web_until(web, running_is, &(struct waiting){web, count});
}

static bool is_alone(void *context)
{
    return web_counts(context).connections_open == 0;
}

void web_until_alone(struct web *web)
{
    web_until(web, is_alone, web);
}

/* --- clients --- */

static void client_want(struct web_client *client)
{
    unsigned events = client->deaf ? 0u : DURESS_STREAM_READABLE;
    if (duress_buffer_length(&client->out) > 0)
        events |= DURESS_STREAM_WRITABLE;
    duress_stream_want(client->stream, events);
}

static void client_read(struct web_client *client)
{
    uint8_t *room = NULL;
    size_t count = 0;
    assert_int_equal(duress_buffer_reserve(&client->in, 16 * 1024, &room), DURESS_OK);
    int error = duress_stream_read(client->stream, room, 16 * 1024, &count);
    if (error == DURESS_OK)
        duress_buffer_commit(&client->in, count);
    else if (error == DURESS_E_END)
        client->ended = true;
    else if (error != DURESS_E_AGAIN)
        client->was_reset = true;
}

static void client_write(struct web_client *client)
{
    while (duress_buffer_length(&client->out) > 0) {
        struct duress_slice rest = duress_buffer_slice(&client->out);
        size_t count = 0;
        int error = duress_stream_write(client->stream, &rest, 1, &count);
        if (error == DURESS_E_AGAIN)
            return;
        if (error != DURESS_OK) {
            duress_buffer_clear(&client->out); /* What the server did say before may still be there to be read. */
            return;
        }
        duress_buffer_consume(&client->out, count);
    }
}

static void client_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct web_client *client = context;
    (void)stream;
    if (events & DURESS_STREAM_FAILED)
        fail_msg("cannot connect: %s", duress_strerror(duress_stream_error(client->stream)));
    if (events & DURESS_STREAM_CONNECTED)
        client->connected = true;
    if (events & (DURESS_STREAM_READABLE | DURESS_STREAM_HANGUP) && !client->deaf)
        client_read(client);
    if (events & DURESS_STREAM_HANGUP)
        client->was_reset = true;
    if (client->ended || client->was_reset) {
        duress_stream_close(client->stream);
        client->stream = NULL;
        return;
    }
    client_write(client);
    client_want(client);
}

static bool is_connected(void *context)
{
    const struct web_client *client = context;
    return client->connected || client->stream == NULL;
}

void web_connect(struct web *web, struct web_client *client)
{
    struct duress_address address = duress_http_server_address(web->server);
    memset(client, 0, sizeof *client);
    client->world = web->world;
    duress_buffer_init(&client->in, 0, NULL);
    duress_buffer_init(&client->out, 0, NULL);
    assert_int_equal(duress_world_connect(web->world, &address, client_event, client, &client->stream), DURESS_OK);
    client_want(client);
    web_until(web, is_connected, client);
}

static void client_forget(struct web_client *client)
{
    client->stream = NULL;
    duress_buffer_close(&client->in);
    duress_buffer_close(&client->out);
}

void web_disconnect(struct web_client *client)
{
    if (client->stream != NULL)
        duress_stream_close(client->stream);
    client_forget(client);
}

void web_rst(struct web_client *client)
{
    if (client->stream != NULL)
        duress_stream_abort(client->stream);
    client_forget(client);
}

void web_fin(struct web_client *client)
{
    duress_stream_shutdown(client->stream);
}

void web_send_bytes(struct web_client *client, const void *bytes, size_t length)
{
    if (client->stream == NULL)
        return;
    assert_int_equal(duress_buffer_append(&client->out, duress_slice_bytes(bytes, length)), DURESS_OK);
    client_write(client);
    client_want(client);
}

void web_send(struct web_client *client, const char *text)
{
    web_send_bytes(client, text, strlen(text));
}

void web_post(struct web_client *client, const char *path, const char *headers, const char *body)
{
    char head[2048];
    int length = snprintf(head, sizeof head,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n%s\r\n",
                          path, strlen(body), headers);
    web_send_bytes(client, head, (size_t)length);
    web_send(client, body);
}

const char *web_request(const char *id, const char *content)
{
    static char text[8192];
    (void)snprintf(text, sizeof text,
                   "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"%s\",\"timestamp\":\"2026-01-15T09:30:00Z\","
                   "\"payload\":{\"method\":\"process\",\"message\":{\"role\":\"user\",\"content\":\"%s\","
                   "\"metadata\":{},\"timestamp\":\"2026-01-15T09:30:00Z\"}}}",
                   id, content);
    return text;
}

void web_ask(struct web_client *client, const char *path, const char *id, const char *content)
{
    web_post(client, path, "", web_request(id, content));
}

/* --- replies --- */

static const char *header_value(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 2 + length + 1 + strspn(line + 2 + length + 1, " ");
    return NULL;
}

static void body_add(struct web_reply *reply, const uint8_t *bytes, size_t length)
{
    size_t room = reply->body_bytes < sizeof reply->body - 1 ? sizeof reply->body - 1 - reply->body_bytes : 0;
    memcpy(reply->body + reply->body_bytes, bytes, length < room ? length : room);
    reply->body_bytes += length;
    reply->body[reply->body_bytes < sizeof reply->body ? reply->body_bytes : sizeof reply->body - 1] = '\0';
}

/* Length of the chunked body at the front of |bytes|, or 0 where it is not whole. */
static size_t chunks_take(struct duress_slice bytes, struct web_reply *reply)
{
    size_t at = 0;
    for (;;) {
        const uint8_t *end = memchr(bytes.data + at, '\n', bytes.length - at);
        if (end == NULL)
            return 0;
        size_t size = strtoul((const char *)bytes.data + at, NULL, 16);
        at = (size_t)(end - bytes.data) + 1;
        if (bytes.length - at < size + 2)
            return 0;
        if (size == 0)
            return at + 2;
        body_add(reply, bytes.data + at, size);
        at += size + 2;
    }
}

bool web_take(struct web_client *client, bool head_only, struct web_reply *reply)
{
    struct duress_slice in = duress_buffer_slice(&client->in);
    *reply = (struct web_reply){.status = 0};
    const uint8_t *end = in.length > 0 ? memmem(in.data, in.length, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return false;
    size_t head_bytes = (size_t)(end - in.data) + 4;
    assert_true(head_bytes < sizeof reply->head);
    memcpy(reply->head, in.data, head_bytes);
    reply->status = (int)strtol(reply->head + strlen("HTTP/1.1 "), NULL, 10);
    struct duress_slice rest = duress_slice_bytes(in.data + head_bytes, in.length - head_bytes);
    const char *length = header_value(reply->head, "Content-Length");
    size_t body_bytes = 0;
    if (head_only || reply->status == 204 || reply->status == 100)
        body_bytes = 0;
    else if (header_value(reply->head, "Transfer-Encoding") != NULL) {
        body_bytes = rest.length > 0 ? chunks_take(rest, reply) : 0;
        if (body_bytes == 0)
            return false;
    } else {
        assert_non_null(length);
        body_bytes = strtoul(length, NULL, 10);
        if (rest.length < body_bytes)
            return false;
        body_add(reply, rest.data, body_bytes);
    }
    duress_buffer_consume(&client->in, head_bytes + body_bytes);
    return true;
}

struct awaiting {
    struct web_client *client;
    struct web_reply *reply;
    bool head_only;
    bool taken;
};

static bool reply_came(void *context)
{
    struct awaiting *awaiting = context;
    if (!awaiting->taken)
        awaiting->taken = web_take(awaiting->client, awaiting->head_only, awaiting->reply);
    return awaiting->taken || awaiting->client->stream == NULL;
}

static void await(struct web *web, struct web_client *client, bool head_only, struct web_reply *reply)
{
    struct awaiting awaiting = {client, reply, head_only, false};
    web_until(web, reply_came, &awaiting);
    if (!awaiting.taken)
        fail_msg("the connection %s before a whole reply", client->was_reset ? "was reset" : "ended");
}

void web_await(struct web *web, struct web_client *client, struct web_reply *reply)
{
    await(web, client, false, reply);
}

void web_await_head(struct web *web, struct web_client *client, struct web_reply *reply)
{
    await(web, client, true, reply);
}

static bool has_ended(void *context)
{
    const struct web_client *client = context;
    return client->stream == NULL;
}

void web_await_end(struct web *web, struct web_client *client)
{
    web_until(web, has_ended, client);
}

bool web_has_header(const struct web_reply *reply, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = strstr(reply->head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n"))
        if (strncasecmp(at + 2, line, length) == 0 && strncmp(at + 2 + length, "\r\n", 2) == 0)
            return true;
    return false;
}
