/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duress/loop/socket.h>
#include <duress/time.h>

#include "encode.h"
#include "gate.h"

enum {
    MEMORY_BYTES = 1280 * 1024, /* of a connection at most: a head of a megabyte, and the answer's */
    MEMORY_INCREMENT_BYTES = 16 * 1024,
    BODY_BYTES_DEFAULT = 64 * 1024 * 1024, /* of one request */
    CONNECTIONS_MAX = 256,                 /* each may come to hold MEMORY_BYTES */
    IDLE_TIMEOUT_S = 60,
    REQUEST_ID_LENGTH = 20,
};

struct server {
    struct daemon *daemon;
    struct MHD_Daemon *mhd;
    struct duress_socket watch; /* MHD's epoll set */
    struct duress_timer timer;  /* when MHD wants to run by itself */
    bool watching;
    struct request *first;
    size_t request_count;
};

/* A request from its first line to the end of its answer. */
struct request {
    struct server *server;
    struct MHD_Connection *connection;
    char *target;        /* the task's, once there is one */
    uintptr_t target_at; /* where MHD has it */
    struct duress_buffer body;
    bool begun; /* its head was seen */
    bool drops; /* the body is read to its end and not kept */
    bool suspended;
    bool answered;
    struct task *task;
    enum gate_verdict gate;
    struct refusal refusal; /* of the gate, or of a body that is too large */
    uint64_t begun_ns;
    struct request *next; /* all requests of the server */
    struct request *previous;
};

/* --- MHD on the loop --- */

static void server_run(struct server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    (void)MHD_run(server->mhd);
    if (MHD_get_timeout(server->mhd, &wait_ms) != MHD_YES)
        return;
    uint64_t wait_ns = duress_time_multiply(wait_ms, DURESS_MS);
    duress__loop_arm(server->daemon->loop, &server->timer,
                     duress_time_add(duress__loop_now_ns(server->daemon->loop), wait_ns));
}

static void watch_event(void *context, unsigned events)
{
    (void)events;
    server_run(context);
}

static void timer_expired(void *context)
{
    server_run(context);
}

/* --- answers --- */

static const char *content_type(enum answer_type type)
{
    switch (type) {
    case ANSWER_NOTHING:
        break;
    case ANSWER_JSON:
        return "application/json";
    case ANSWER_VERSION:
        return "application/json;charset=utf-8";
    case ANSWER_TEXT:
        return "text/plain; charset=utf-8";
    case ANSWER_METRICS:
        return "text/plain; version=0.0.4; charset=utf-8";
    }
    return NULL;
}

/* As many digits of base 32 as the ids of Toxiproxy's requests have. */
static void request_id_make(struct duress_prng *ids, char text[REQUEST_ID_LENGTH + 1])
{
    for (size_t i = 0; i < REQUEST_ID_LENGTH; i++)
        text[i] = "0123456789abcdefghijklmnopqrstuv"[duress_prng_below(ids, 32)];
    text[REQUEST_ID_LENGTH] = '\0';
}

static bool header_add(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool headers_add(const struct request *request, struct MHD_Response *response, const char *id)
{
    const struct answer *answer = &request->task->answer;
    const char *type = content_type(answer->type);
    char server_name[64];
    (void)snprintf(server_name, sizeof server_name, "duress/%s", request->server->daemon->options->version);
    bool added = header_add(response, "Server", server_name);
    if (type != NULL)
        added = added && header_add(response, "Content-Type", type);
    if (answer->type == ANSWER_TEXT)
        added = added && header_add(response, "X-Content-Type-Options", "nosniff");
    if (answer->routed)
        added = added && header_add(response, "X-Toxiproxy-Request-Id", id);
    if (answer->status == 401)
        added = added && header_add(response, "WWW-Authenticate", "Bearer");
    struct duress_slice location = duress_buffer_slice(&answer->location);
    if (location.length > 0)
        (void)header_add(response, "Location", (const char *)location.data);
    return added;
}

static void request_log(const struct request *request, const char *id, size_t size)
{
    struct log *log = &request->server->daemon->log;
    const struct task *task = request->task;
    const char *agent = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "User-Agent");
    if (!task->answer.routed || !duress__log_begin(log, DURESS_DAEMON_LOG_DEBUG))
        return;
    uint64_t took_ns = duress__loop_now_ns(request->server->daemon->loop) - request->begun_ns;
    duress__log_string(log, "request_id", id);
    duress__log_string(log, "user_agent", agent != NULL ? agent : "");
    duress__log_integer(log, "status", (int64_t)task->answer.status);
    duress__log_integer(log, "size", (int64_t)size);
    duress__log_integer(log, "duration", (int64_t)(took_ns / DURESS_MS));
    duress__log_string(log, "handler", duress__operation_name(task->operation));
    duress__log_end(log, LOG_CALLER, "");
}

static enum MHD_Result request_answer(struct request *request)
{
    struct answer *answer = &request->task->answer;
    struct duress_slice body = duress_buffer_slice(&answer->body);
    char id[REQUEST_ID_LENGTH + 1];
    request_id_make(&request->server->daemon->ids, id);
    request->answered = true;
    /* The location is a text from here on; without memory for its end it is left out. */
    if (duress_buffer_length(&answer->location) > 0 &&
        duress_buffer_append(&answer->location, duress_slice_bytes("", 1)) != DURESS_OK)
        duress_buffer_clear(&answer->location);
    /* The bytes stay as they are until the answer has been written, and MHD does not write to them. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (headers_add(request, response, id)) {
        request_log(request, id, body.length);
        queued = MHD_queue_response(request->connection, answer->status, response);
    }
    MHD_destroy_response(response);
    return queued;
}

/* --- requests --- */

static size_t body_bytes_max(const struct server *server)
{
    size_t given = server->daemon->options->body_bytes_max;
    return given > 0 ? given : BODY_BYTES_DEFAULT;
}

static void *request_first_line(void *context, const char *target, struct MHD_Connection *connection)
{
    struct server *server = context;
    const struct duress_allocator *allocator = server->daemon->allocator;
    struct request *request = duress_allocate_zeroed(allocator, 1, sizeof *request);
    if (request == NULL)
        return NULL; /* the access handler closes */
    request->target = duress__text_copy(allocator, target);
    if (request->target == NULL) {
        duress_release(allocator, request);
        return NULL;
    }
    request->target_at = (uintptr_t)target;
    request->server = server;
    request->connection = connection;
    request->begun_ns = duress__loop_now_ns(server->daemon->loop);
    duress_buffer_init(&request->body, body_bytes_max(server), allocator);
    request->next = server->first;
    if (server->first != NULL)
        server->first->previous = request;
    server->first = request;
    server->request_count++;
    return request;
}

static void request_completed(void *context, struct MHD_Connection *connection, void **state,
                              enum MHD_RequestTerminationCode how)
{
    struct server *server = context;
    struct request *request = *state;
    (void)connection;
    (void)how;
    if (request == NULL)
        return;
    *state = NULL;
    if (request->previous != NULL)
        request->previous->next = request->next;
    else
        server->first = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    duress_release(server->daemon->allocator, request->target);
    duress__task_free(request->task);
    duress_buffer_close(&request->body);
    duress_release(server->daemon->allocator, request);
    server->request_count--;
}

/* Decodes nothing: the target is read by the router, raw. */
static size_t unescape_nothing(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void task_ended(void *context, struct task *task)
{
    struct request *request = context;
    (void)task;
    request->answered = true;
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection);
    duress__loop_arm(request->server->daemon->loop, &request->server->timer,
                     duress__loop_now_ns(request->server->daemon->loop));
}

/* Whether the target is whole. MHD hands it over as a text, which a NUL byte within it ends early: "/proxies/web" where
 * something else was asked for. In its memory the version follows behind the real end. */
static bool target_is_whole(const struct request *request, const char *version)
{
    uintptr_t version_at = (uintptr_t)version;
    bool follows = version_at > request->target_at && version_at - request->target_at < MEMORY_BYTES;
    return !follows || version_at - request->target_at == strlen(request->target) + 1;
}

static enum MHD_Result request_begin(struct request *request, const char *method, const char *version)
{
    struct daemon *daemon = request->server->daemon;
    if (!target_is_whole(request, version))
        request->target[0] = '\0'; /* no target that leads anywhere */
    request->task = duress__task_new(daemon, request->target, method);
    request->target = NULL;
    if (request->task == NULL)
        return MHD_NO;
    struct gate_request asked = {
        .host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Host"),
        .origin = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Origin"),
        .user_agent = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "User-Agent"),
        .authorization = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Authorization"),
    };
    if (request->task->answer.routed)
        request->gate = duress__gate_check(&daemon->gate, &asked, &request->refusal);
    request->drops = request->gate != GATE_OPEN || !request->task->answer.routed;
    return MHD_YES;
}

/* A refusal before there was a task to speak of. */
static enum MHD_Result request_refuse(struct request *request)
{
    struct answer *answer = &request->task->answer;
    struct json_out out = {.buffer = &answer->body};
    answer->status = request->refusal.status;
    answer->type = ANSWER_TEXT;
    if (request->gate == GATE_BROWSER)
        duress__json_raw(&out, request->refusal.text);
    else
        duress__encode_refusal(&out, &request->refusal, false);
    duress__json_raw(&out, "\n");
    return out.error == DURESS_OK ? request_answer(request) : MHD_NO;
}

static void body_take(struct request *request, const char *bytes, size_t length)
{
    if (request->drops || duress_buffer_append(&request->body, duress_slice_bytes(bytes, length)) == DURESS_OK)
        return;
    request->drops = true;
    (void)duress__refuse(&request->refusal, 413, "request body larger than %zu bytes", body_bytes_max(request->server));
    duress_buffer_close(&request->body);
}

static enum MHD_Result body_end(struct request *request)
{
    if (request->refusal.status != 0)
        return request_refuse(request);
    duress__task_begin(request->task, duress_buffer_slice(&request->body), task_ended, request);
    if (request->answered)
        return request_answer(request);
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static enum MHD_Result request_access(void *context, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload, size_t *upload_bytes,
                                      void **state)
{
    struct request *request = *state;
    (void)context;
    (void)connection;
    (void)url;
    if (request == NULL)
        return MHD_NO;
    if (!request->begun) {
        request->begun = true;
        return request_begin(request, method, version);
    }
    if (*upload_bytes > 0) {
        body_take(request, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    return request->answered ? request_answer(request) : body_end(request);
}

/* --- the server --- */

static int server_open(struct server *server, int listener)
{
    server->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, request_access, server,
                                   MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener, MHD_OPTION_CONNECTION_LIMIT,
                                   (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
                                   MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)MEMORY_INCREMENT_BYTES,
                                   MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
                                   MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, request_completed,
                                   server, MHD_OPTION_URI_LOG_CALLBACK, request_first_line, server,
                                   MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL, MHD_OPTION_END);
    if (server->mhd == NULL) {
        (void)close(listener);
        return DURESS_E_SYSTEM; /* MHD does not say why: memory, or descriptors */
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return DURESS_E_SYSTEM;
    int error = duress__socket_watch(server->daemon->loop, &server->watch, info->epoll_fd, watch_event, server);
    server->watching = error == DURESS_OK;
    if (server->watching)
        duress__socket_want(&server->watch, DURESS_SOCKET_READABLE);
    return error;
}

int duress__server_new(struct daemon *daemon, int listener, struct server **server)
{
    struct server *made = duress_allocate_zeroed(daemon->allocator, 1, sizeof *made);
    if (made == NULL) {
        (void)close(listener);
        return DURESS_E_NO_MEMORY;
    }
    made->daemon = daemon;
    duress_timer_init(&made->timer, timer_expired, made);
    int error = server_open(made, listener);
    if (error == DURESS_OK)
        *server = made;
    else
        duress__server_free(made);
    return error;
}

void duress__server_quiesce(struct server *server)
{
    MHD_socket listener = MHD_quiesce_daemon(server->mhd);
    if (listener != MHD_INVALID_SOCKET)
        (void)close(listener);
}

size_t duress__server_request_count(const struct server *server)
{
    return server->request_count;
}

void duress__server_free(struct server *server)
{
    if (server == NULL)
        return;
    if (server->watching)
        duress__socket_unwatch(&server->watch);
    /* MHD does not stop with connections that are suspended. */
    for (struct request *at = server->first; at != NULL; at = at->next) {
        if (at->suspended)
            MHD_resume_connection(at->connection);
        at->suspended = false;
    }
    if (server->mhd != NULL)
        MHD_stop_daemon(server->mhd);
    duress__loop_disarm(server->daemon->loop, &server->timer);
    duress_release(server->daemon->allocator, server);
}
