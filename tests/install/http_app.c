/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's program: an agent served over HTTP on loopback, and asked. */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/agent_http/client.h>
#include <duress/agent_http/retry_after.h>
#include <duress/agent_http/server.h>
#include <duress/time.h>
#include <duress/world/live.h>

static int greet(void *context, struct duress_message *request, struct duress_message **reply,
                 struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

int main(void)
{
    struct duress_world *world = NULL;
    struct duress_agent *greeter = NULL;
    struct duress_http_server *server = NULL;
    struct duress_agent *remote = NULL;
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    char url[64];
    if (duress_http_retry_after_ns(duress_slice_text("120"), 0) != 120 * DURESS_S ||
        duress_world_live_new(NULL, &world, NULL) != DURESS_OK ||
        duress_function_new(world, "greet", greet, NULL, &greeter) != DURESS_OK ||
        duress_message_text("hello", &request) != DURESS_OK)
        return 1;
    struct duress_http_server_options serve = {.world = world, .agent = greeter, .address = duress_address_loopback(0)};
    if (duress_http_server_new(&serve, &server, NULL) != DURESS_OK)
        return 1;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)duress_http_server_address(server).port);
    struct duress_http_agent_options options = {.world = world, .url = url};
    if (duress_http_agent_new(&options, &remote, NULL) != DURESS_OK)
        return 1;
    struct duress_ask ask = {.request = request, .deadline_ns = duress_world_now_ns(world) + 20 * DURESS_S};
    int error = duress_agent_ask_blocking(remote, &ask, &reply, NULL);
    if (error == DURESS_OK)
        printf("%.*s\n", (int)duress_message_content(reply).length, (const char *)duress_message_content(reply).data);
    duress_message_unref(reply);
    duress_message_unref(request);
    duress_agent_unref(remote);
    duress_http_server_free(server);
    duress_agent_unref(greeter);
    duress_world_free(world);
    return error == DURESS_OK ? 0 : 1;
}
