/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the HTTP server share: a live world whose memory is counted, a service whose behaviour the test
 * sets, the server before it, and clients on raw sockets that say any bytes and take replies apart. Nothing sleeps: the
 * world runs until a condition is true, and a deadline fails the test where it never is. */
#ifndef DURESS_TESTS_HTTP_SERVER_RIG_H
#define DURESS_TESTS_HTTP_SERVER_RIG_H

#include "rig.h"

#include <duress/agent_http/server.h>
#include <duress/wire/buffer.h>
#include <duress/world/live.h>

struct web {
    struct probe_heap heap; /* the server's */
    struct duress_world *world;
    struct rig_service service;
    struct duress_agent *echo; /* answers with the request itself, of any length; NULL until web_serve_echo() */
    struct duress_http_server *server;
};

/* One connection of a client. */
struct web_client {
    struct duress_world *world;
    struct duress_stream *stream; /* NULL: none */
    struct duress_buffer in;      /* what has not been taken apart */
    struct duress_buffer out;     /* what has not been sent */
    bool connected;
    bool ended;     /* the server's FIN came */
    bool was_reset; /* or its RST */
    bool deaf;      /* does not read */
};

struct web_reply {
    int status;
    char head[2048]; /* with the status line */
    char body[8192]; /* cut to fit; of chunks the data only */
    size_t body_bytes;
};

void web_open(struct web *web);
/* Serves the service (or the echo) on any port of loopback. |options|' world, agent, address and allocator are set
 * here; NULL for the defaults. */
void web_serve(struct web *web, const struct duress_http_server_options *options);
void web_serve_echo(struct web *web, const struct duress_http_server_options *options);
/* Frees everything and asserts that no memory of the server is left. */
void web_close(struct web *web);
struct duress_http_server_counts web_counts(const struct web *web);

/* Runs until |done| is true; fails the test where that never comes. */
void web_until(struct web *web, duress_done_fn done, void *context);
void web_pass(struct web *web, uint64_t duration_ns);
void web_until_in_flight(struct web *web, uint64_t count);
void web_until_running(struct web *web, uint64_t count);
void web_until_alone(struct web *web); /* no connection is open */

void web_connect(struct web *web, struct web_client *client);
void web_disconnect(struct web_client *client); /* with FIN; nothing where it is gone already */
void web_rst(struct web_client *client);
void web_fin(struct web_client *client);
void web_send(struct web_client *client, const char *text);
void web_send_bytes(struct web_client *client, const void *bytes, size_t length);
/* A whole POST of |body| to |path|, with |headers| (each ending in CR LF) beside those that are needed. */
void web_post(struct web_client *client, const char *path, const char *headers, const char *body);
/* A request's envelope with that id and content to |path|. */
void web_ask(struct web_client *client, const char *path, const char *id, const char *content);
/* The text of such an envelope, in static memory. */
const char *web_request(const char *id, const char *content);

/* Whether a whole reply lies in |client|; takes it out into *reply. A reply to HEAD has no body: |head_only|. */
bool web_take(struct web_client *client, bool head_only, struct web_reply *reply);
/* Waits for the next reply; fails the test where the connection ends before. */
void web_await(struct web *web, struct web_client *client, struct web_reply *reply);
void web_await_head(struct web *web, struct web_client *client, struct web_reply *reply);
void web_await_end(struct web *web, struct web_client *client); /* FIN or RST */

/* Whether |reply|'s head has that line, and its body that text. */
bool web_has_header(const struct web_reply *reply, const char *line);
#define assert_body_has(reply, text) assert_non_null(strstr((reply).body, text))

#endif
