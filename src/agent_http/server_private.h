/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the HTTP server. libmicrohttpd (MHD) reads, parses and writes; who may have how much time, what is
 * asked of the agent and what is answered is decided here.
 *
 * Rules that keep MHD's callbacks simple:
 * - MHD runs only in the pump, which the world calls when nothing else is on the stack. libuv only asks for the pump.
 * - A connection whose request is at work is suspended: MHD does not look at its socket. So each socket is in an epoll
 *   set of ours too, edge-triggered for the peer's end alone, which costs one call of the kernel for each connection.
 * - MHD closes sockets, nobody else: to close one, it is shut down, so that MHD meets the end. */
#ifndef DURESS_AGENT_HTTP_SERVER_PRIVATE_H
#define DURESS_AGENT_HTTP_SERVER_PRIVATE_H

#include <microhttpd.h>
#include <uv.h>

#include <duress/agent/list_private.h>
#include <duress/agent_http/server.h>
#include <duress/wire/buffer.h>

#include "server_request.h"

enum {
    HTTP_SERVER_KEPT_BYTES = 64 * 1024,  /* of each buffer between requests */
    HTTP_SERVER_WHOLE_BYTES = 64 * 1024, /* a reply up to this length is handed to MHD in one piece */
    HTTP_SERVER_HARVEST = 64,            /* ends of peers that are taken at once */
};

enum http_server_phase {
    HTTP_PHASE_IDLE = 0,  /* between requests */
    HTTP_PHASE_HEAD,      /* the request's first line has come */
    HTTP_PHASE_BODY,      /* and its headers */
    HTTP_PHASE_WORKING,   /* the agent is asked; suspended */
    HTTP_PHASE_ANSWERED,  /* the reply is known, and not written to its end */
    HTTP_PHASE_STREAMING, /* so is the begin of a stream; suspended while there is nothing to write */
    HTTP_PHASE_REFUSED,   /* refused past MHD, in the middle of a body: what still comes is dropped for a while */
    HTTP_PHASE_CLOSING,   /* shut down; MHD is about to see it */
};

struct http_server_connection {
    struct duress_http_server *server;
    struct list_link link;
    struct list_link gone; /* in the list of those whose peer's end was seen */
    struct MHD_Connection *mhd;
    int fd;
    uint64_t number;
    enum http_server_phase phase;
    bool fresh;     /* no request has come yet */
    bool suspended; /* MHD does not call us for it */
    bool peer_gone;
    uint64_t phase_ns;    /* when the phase began */
    uint64_t progress_ns; /* of writing */
    struct duress_timer timer;

    /* Of the request that is being served. */
    enum http_route route;
    struct http_refusal refusal; /* known from its head, and told at its end */
    struct duress_call *call;
    bool chunk_sent;
    bool stream_ended; /* nothing more is put into |out| */
    bool overflowed;   /* a stream grew beyond what waits for a slow reader: to be reset */
    unsigned status;
    uint64_t retry_after_s; /* 0: not said */
    size_t id_length;
    uint8_t id[HTTP_SERVER_ID_BYTES_MAX];
    struct duress_buffer body;
    struct duress_buffer out;
};

/* The poll handle has a life of its own, as libuv frees it later. */
struct http_server_watch {
    uv_poll_t poll;
    struct duress_http_server *server; /* NULL: gone */
    const struct duress_allocator *allocator;
};

struct duress_http_server {
    struct duress_http_server_options options; /* complete */
    const struct duress_allocator *allocator;
    struct duress_envelope_limits limits;
    struct duress_address address;
    struct MHD_Daemon *daemon;
    struct http_server_watch *watch;
    int epoll_fd; /* MHD's set, and the ends of peers */
    struct list_link connections;
    struct list_link gone;
    struct duress_buffer scratch;
    struct duress_http_server_counts counts;
    uint64_t bodies_bytes;
    uint64_t begun_ns;
    struct duress_later pump;
    struct duress_timer pump_timer; /* when MHD wants to run by itself */
    uint32_t pinned_count;          /* callbacks of ours on the stack that look at the server afterwards */
    bool freed;                     /* while there were: the last one frees */
    bool stopping;
    bool complete;
    duress_drained_fn drained;
    void *drained_context;
    struct duress_later drained_later;
    struct duress_timer stop_timer;
};

/* --- server.c --- */
void duress__http_server_pin(struct duress_http_server *server);
void duress__http_server_unpin(struct duress_http_server *server);
/* Has MHD run in the loop's next turn. */
void duress__http_server_want_pump(struct duress_http_server *server);
/* The last connection may have gone. */
void duress__http_server_check_drained(struct duress_http_server *server);

/* --- server_options.c --- */
int duress__http_server_options_check(const struct duress_http_server_options *options, struct duress_failure *why);
void duress__http_server_options_complete(struct duress_http_server_options *options);
/* A listening socket at |address|, which is set to where it really listens; in *fd. */
int duress__http_server_listen(struct duress_address *address, uint32_t backlog, int *fd);

/* --- server_connection.c --- */
enum MHD_Result duress__http_connection_allow(void *context, const struct sockaddr *peer, socklen_t length);
void duress__http_connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                                    enum MHD_ConnectionNotificationCode what);
/* Sets the phase, which begins now, and the timer. */
void duress__http_connection_enter(struct http_server_connection *connection, enum http_server_phase phase);
void duress__http_connection_timer_update(struct http_server_connection *connection);
void duress__http_connection_suspend(struct http_server_connection *connection);
void duress__http_connection_resume(struct http_server_connection *connection);
/* Gives its request up, and has MHD close it: with FIN, or with RST where |reset|. */
void duress__http_connection_close(struct http_server_connection *connection, bool reset);
/* Answers past MHD, where that cannot answer any more, and closes after a while in which what comes is dropped. */
void duress__http_connection_refuse(struct http_server_connection *connection, const struct http_refusal *refusal);
/* The peer's FIN or RST was seen. */
void duress__http_connection_peer_gone(struct http_server_connection *connection);
/* MHD, which hears of data and of the end behind it once, may have read the one and not the other: closes what the peer
 * will add nothing to. */
void duress__http_connection_check_gone(struct http_server_connection *connection);
/* The server stops: closed where it is idle, else after its request. */
void duress__http_connection_stop(struct http_server_connection *connection);
/* Forgets the request, and is ready for the next one. */
void duress__http_connection_clear(struct http_server_connection *connection);

/* --- server_exchange.c --- */
void *duress__http_exchange_first_line(void *context, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result duress__http_exchange_access(void *context, struct MHD_Connection *mhd, const char *url,
                                             const char *method, const char *version, const char *upload,
                                             size_t *upload_bytes, void **state);
void duress__http_exchange_completed(void *context, struct MHD_Connection *mhd, void **state,
                                     enum MHD_RequestTerminationCode how);

/* --- server_call.c --- */
/* Asks the agent. DURESS_OK: it is asked, and the connection is WORKING; or DURESS_E_NO_MEMORY. */
int duress__http_call_begin(struct http_server_connection *connection, const struct duress_envelope *envelope);
/* Gives the call up that runs, if one does. */
void duress__http_call_drop(struct http_server_connection *connection);

/* --- server_reply.c --- */
/* Puts a reply, with its status, into |out|. The connection is then ANSWERED, and where it is suspended, resumed. */
void duress__http_reply_message(struct http_server_connection *connection, const struct duress_message *message);
void duress__http_reply_failure(struct http_server_connection *connection, const struct duress_failure *failure);
void duress__http_reply_refusal(struct http_server_connection *connection, const struct http_refusal *refusal);
void duress__http_reply_overloaded(struct http_server_connection *connection);
void duress__http_reply_health(struct http_server_connection *connection);
/* Puts events of a stream into |out|. */
void duress__http_reply_chunk(struct http_server_connection *connection, const struct duress_message *chunk);
void duress__http_reply_stream_end(struct http_server_connection *connection);
void duress__http_reply_stream_failure(struct http_server_connection *connection, const struct duress_failure *failure);
/* The text of a refusal's envelope into |buffer|. DURESS_OK or DURESS_E_NO_MEMORY. */
DURESS_MUST_CHECK int duress__http_refusal_write(struct http_server_connection *connection,
                                                 const struct http_refusal *refusal, struct duress_buffer *buffer);
/* Hands the reply, or the begin of a stream, to MHD. */
enum MHD_Result duress__http_reply_queue(struct http_server_connection *connection, const char *allow);

#endif
