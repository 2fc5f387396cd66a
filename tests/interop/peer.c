/* SPDX-License-Identifier: Apache-2.0
 *
 * interop_peer serve SOCKET: an echo behind our servers, as serve.py is behind agenkit's. Prints where they listen.
 * interop_peer ask python|go URL: asks such an echo behind agenkit's servers in that language. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/agent/server.h>
#include <duress/agent_http/server.h>
#include <duress/world/live.h>

#define SERVED_NS (120 * DURESS_S)

struct duress_message *peer_message(const char *role, struct duress_slice content, struct duress_slice metadata)
{
    struct duress_message *message = NULL;
    struct duress_message_options options = {.role = duress_slice_text(role), .content = content, .metadata = metadata};
    if (duress_message_new(&options, &message) != DURESS_OK)
        abort();
    return message;
}

static void echo_fail(struct duress_call *call)
{
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_AGENT, "asked to fail");
    duress_call_fail(call, &failure);
}

/* A chunk for each word; the word "fail" ends the stream with an error. */
static void echo_stream(struct duress_call *call, struct duress_slice content)
{
    struct duress_message *chunk = NULL;
    for (size_t from = 0; from <= content.length;) {
        const uint8_t *word = content.data + from;
        const uint8_t *space = memchr(word, ' ', content.length - from);
        size_t length = space == NULL ? content.length - from : (size_t)(space - word);
        duress_message_unref(chunk);
        if (duress_slice_is(duress_slice_bytes(word, length), "fail")) {
            echo_fail(call);
            return;
        }
        chunk = peer_message("agent", duress_slice_bytes(word, length), duress_slice_text(NULL));
        duress_call_emit(call, chunk);
        from += length + 1;
    }
    duress_call_reply(call, chunk);
    duress_message_unref(chunk);
}

static void echo_begin(void *context, struct duress_call *call)
{
    (void)context;
    struct duress_slice content = duress_message_content(call->request);
    if (call->streaming) {
        echo_stream(call, content);
        return;
    }
    if (duress_slice_is(content, "fail")) {
        echo_fail(call);
        return;
    }
    struct duress_message *reply = peer_message("agent", content, duress_message_metadata(call->request));
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static int refuse(const char *what, int error, const struct duress_failure *why)
{
    (void)fprintf(stderr, "interop_peer: %s: %s: %s\n", what, duress_strerror(error), why->detail);
    return 1;
}

static int serve(struct duress_world *world, const char *path)
{
    struct duress_agent *echo = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    int error = duress_function_async_new(world, "echo", echo_begin, NULL, NULL, &echo);
    if (error != DURESS_OK)
        return refuse("echo", error, &why);
    struct duress_server_options options = {.world = world, .agent = echo, .address = duress_address_unix(path)};
    struct duress_server *local = NULL;
    error = duress_server_new(&options, &local, &why);
    if (error != DURESS_OK)
        return refuse(path, error, &why);
    options.address = duress_address_loopback(0);
    struct duress_server *framed = NULL;
    error = duress_server_new(&options, &framed, &why);
    if (error != DURESS_OK)
        return refuse("tcp", error, &why);
    struct duress_http_server_options http_options = {
        .world = world, .agent = echo, .address = duress_address_loopback(0)};
    struct duress_http_server *http = NULL;
    error = duress_http_server_new(&http_options, &http, &why);
    if (error != DURESS_OK)
        return refuse("http", error, &why);
    (void)printf("unix://%s tcp://127.0.0.1:%u http://127.0.0.1:%u\n", path, duress_server_address(framed).port,
                 duress_http_server_address(http).port);
    (void)fflush(stdout);
    (void)duress_world_run_until(world, NULL, NULL, duress_world_now_ns(world) + SERVED_NS);
    duress_http_server_free(http);
    duress_server_free(framed);
    duress_server_free(local);
    duress_agent_unref(echo);
    return 0;
}

int main(int argc, char **argv)
{
    bool serves = argc == 3 && strcmp(argv[1], "serve") == 0;
    bool is_go = argc == 4 && strcmp(argv[2], "go") == 0;
    bool asks = argc == 4 && strcmp(argv[1], "ask") == 0 && (is_go || strcmp(argv[2], "python") == 0);
    if (!serves && !asks) {
        (void)fprintf(stderr, "usage: interop_peer serve SOCKET | ask python|go URL\n");
        return 2;
    }
    struct duress_world *world = NULL;
    if (duress_world_live_new(NULL, &world, NULL) != DURESS_OK)
        return 1;
    int code = serves ? serve(world, argv[2]) : peer_ask(world, argv[3], is_go);
    duress_world_free(world);
    return code;
}
