/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent served over HTTP on loopback, and a client that asks it behind retry: both in one program and
 * one loop, without a thread. The first answer is a refusal, as of a service that is overloaded: the client waits as
 * long as it was asked to, and asks again. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent_http/client.h>
#include <duress/agent_http/server.h>
#include <duress/middleware/stack.h>
#include <duress/world/live.h>

static struct duress_failure why;

static void check(int error, const char *what)
{
    if (error == DURESS_OK)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, duress_strerror(error), why.detail);
    exit(1);
}

/* The service: says what it was told, but for the first time. */
static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    unsigned *asked = context;
    if ((*asked)++ == 0) {
        duress_failure_set(failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_AGENT, "not now");
        failure->retry_after_ns = 20 * DURESS_MS;
        return failure->code;
    }
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

int main(void)
{
    unsigned asked = 0;
    char url[64];
    struct duress_world *world;
    struct duress_agent *service;
    struct duress_agent *remote;
    struct duress_agent *agent;
    struct duress_http_server *server;
    struct duress_message *request;
    struct duress_message *reply;
    check(duress_world_live_new(NULL, &world, NULL), "world");
    check(duress_function_new(world, "echo", echo, &asked, &service), "function agent");
    struct duress_http_server_options serve = {
        .world = world, .agent = service, .address = duress_address_loopback(0), .requests_max = 100};
    check(duress_http_server_new(&serve, &server, &why), "server");

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", duress_http_server_address(server).port);
    check(duress_http_agent_new(&(struct duress_http_agent_options){.world = world, .url = url}, &remote, &why), url);
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = DURESS_MS};
    struct duress_stack_options layers = {.retry = &retry};
    check(duress_stack_new(remote, &layers, &agent, &why), "stack");
    duress_agent_unref(remote); /* the stack holds it */
    check(duress_message_text("hello", &request), "message");
    check(duress_agent_ask_blocking(agent, &(struct duress_ask){.request = request}, &reply, &why), "ask");
    struct duress_slice said = duress_message_content(reply);
    (void)printf("%.*s, asked %u times\n", (int)said.length, (const char *)said.data, asked);

    duress_message_unref(reply);
    duress_message_unref(request);
    duress_agent_unref(agent);
    duress_http_server_free(server);
    duress_agent_unref(service);
    duress_world_free(world);
    return 0;
}
