/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the HTTP agent share: a live world whose memory is counted, callers that note how their calls
 * ended, and a raw HTTP peer on loopback, in the same world, that says whatever bytes a test likes. Nothing sleeps: the
 * world runs until a condition is true, and a deadline fails the test where it never is. */
#ifndef DURESS_TESTS_HTTP_RIG_H
#define DURESS_TESTS_HTTP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <duress/agent/agent.h>
#include <duress/agent_http/client.h>
#include <duress/wire/buffer.h>
#include <duress/world/live.h>

#include "probe_heap.h"

#define HTTP_RIG_PATIENCE_NS (20 * DURESS_S)

/* --- callers --- */

struct http_answer {
    struct duress_call *call; /* while it runs */
    uint32_t ended;           /* how often: must never be more than once */
    int error;
    struct duress_failure failure;
    struct duress_message *reply; /* a reference; given back by http_answer_clear() */
    uint32_t chunk_count;
    char chunks[256];            /* each followed by a comma */
    uint32_t cancel_after_chunk; /* cancels inside the callback of this chunk; 0: never */
    uint64_t ended_ns;
    void (*then)(struct http_answer *answer, void *context);
    void *then_context;
};

struct http_rig;
struct http_conn;
/* A whole request has come. */
typedef void (*http_request_fn)(void *context, struct http_conn *conn);

/* What the peer does by itself after it has said its answer. */
enum http_after { HTTP_KEEP = 0, HTTP_FIN, HTTP_RST };

/* One connection to the peer. */
struct http_conn {
    struct http_rig *rig;
    struct http_conn *next;
    struct duress_stream *stream; /* NULL: closed */
    struct duress_buffer in;
    struct duress_buffer out;
    size_t say_max;       /* at most so many bytes more are said; SIZE_MAX: all */
    enum http_after then; /* once all that may be said was said */
    bool deaf;            /* does not read */
    bool ended;           /* the agent's FIN came */
    bool was_reset;       /* or its RST */
    uint32_t request_count;
    struct duress_timer drip; /* for slow bytes */
    char id[300];             /* of the request that came last */
    char method[16];          /* of its envelope */
    char content[256];        /* of its message, cut */
    char agent_name[64];
    char head[2048]; /* of it, cut */
    size_t body_bytes;
};

struct http_rig {
    struct probe_heap heap;
    struct duress_world *world;
    struct duress_listener *listener;
    uint16_t port;
    struct http_conn *conns; /* the newest first */
    uint32_t accepted;
    uint32_t requests;
    http_request_fn on_request; /* NULL: says |answer| */
    void *context;
    const char *answer; /* with $ID for the request's id, $CONTENT for its content */
    enum http_after after;
    size_t say_max; /* of each answer; 0 = all */
    bool drips;     /* says one byte a turn */
    bool deaf;
};

void http_rig_open(struct http_rig *rig);
/* The same on a world with |options|. */
void http_rig_open_with(struct http_rig *rig, const struct duress_world_live_options *options);
/* Closes everything and asserts that the agent's memory is gone. */
void http_rig_close(struct http_rig *rig);

/* An agent for http://127.0.0.1:port, its memory from rig->heap. |options| NULL: the defaults; its world, allocator
 * and (where NULL) url are set here. */
struct duress_agent *http_rig_agent(struct http_rig *rig, const struct duress_http_agent_options *options);

/* Whole replies: status line, headers, Content-Length and the body behind. In memory of the rig's until the next call.
 */
const char *http_reply(const char *status, const char *headers, const char *body);
#define HTTP_OK_BODY                                                                                                   \
    "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"$ID\",\"timestamp\":\"2026-01-15T09:30:00.251000Z\","         \
    "\"payload\":{\"message\":{\"role\":\"agent\",\"content\":\"re: $CONTENT\",\"metadata\":{},"                       \
    "\"timestamp\":\"2026-01-15T09:30:00.251000Z\"}}}"
#define HTTP_JSON "Content-Type: application/json\r\n"
/* The parts of a streamed reply. */
#define HTTP_STREAM_HEAD                                                                                               \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: "             \
    "chunked\r\n\r\n"
#define HTTP_CHUNK_EVENT(content)                                                                                      \
    "data: "                                                                                                           \
    "{\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"$ID\",\"payload\":{\"message\":{\"role\":\"agent\","      \
    "\"content\":\"" content "\",\"metadata\":{},\"timestamp\":\"2026-01-15T09:30:01.000000Z\"}}}\n\n"
#define HTTP_END_EVENT "data: {\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"$ID\",\"payload\":{}}\n\n"
/* The answer of an echo. */
const char *http_echo_answer(void);

void http_conn_say(struct http_conn *conn, const char *text); /* with $ID and $CONTENT */
void http_conn_say_bytes(struct http_conn *conn, const void *bytes, size_t length);
/* |text|, expanded, as one chunk of a chunked body; and the end of the body. */
void http_conn_say_chunk(struct http_conn *conn, const char *text);
void http_conn_say_last_chunk(struct http_conn *conn);
void http_conn_fin(struct http_conn *conn);
void http_conn_rst(struct http_conn *conn);

void http_ask(struct duress_agent *agent, const char *text, struct http_answer *answer);
void http_ask_stream(struct duress_agent *agent, const char *text, struct http_answer *answer);
/* For an error, which it returns. |deadline_ns| 0: 20 s from now. */
int http_try_ask(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool streaming,
                 struct http_answer *answer);
void http_answer_clear(struct http_answer *answer);
bool http_answer_is(const struct http_answer *answer, const char *text);

/* Runs until |done| is true; fails the test where that never comes. */
void http_run_until(struct http_rig *rig, duress_done_fn done, void *context);
void http_run_until_ended(struct http_rig *rig, struct http_answer *answer);
/* Asks, runs until it has ended, and returns its error. */
int http_ask_and_wait(struct http_rig *rig, struct duress_agent *agent, const char *text, struct http_answer *answer);
int http_stream_and_wait(struct http_rig *rig, struct duress_agent *agent, const char *text,
                         struct http_answer *answer);
/* Runs until no connection of the agent's is left open at the peer. */
void http_run_until_alone(struct http_rig *rig);

#endif
