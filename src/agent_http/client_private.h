/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the HTTP agent. A call waits until there is a transfer for it and the name is known; then its transfer
 * is handed to libcurl. A transfer is one easy handle with its buffers, used again for the next call.
 *
 * Two rules keep libcurl's callbacks simple:
 * - Inside them nobody's call ends and no chunk goes up: they fill buffers and lists. Only the pump, which the world
 *   calls when nothing of libcurl is on the stack, tells callers; so they may cancel and ask as they like.
 * - libuv's callbacks only note what a socket has to say, and ask for a turn of the pump. */
#ifndef DURESS_AGENT_HTTP_CLIENT_PRIVATE_H
#define DURESS_AGENT_HTTP_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <uv.h>

#include <duress/agent/implement.h>
#include <duress/agent/request_id_private.h>
#include <duress/agent/wait_queue_private.h>
#include <duress/agent_http/client.h>
#include <duress/wire/envelope.h>

#include "event_stream.h"

enum {
    HTTP_HOST_BYTES_MAX = 256,          /* with the NUL; a DNS name has at most 253 characters */
    HTTP_ADDRESSES_MAX = 16,            /* of one name that are tried */
    HTTP_BUFFER_KEPT_BYTES = 64 * 1024, /* of each buffer between calls */
    HTTP_VALUE_BYTES_MAX = 64,          /* of the values of headers that are looked at */
    HTTP_SOCKET_BUCKETS = 64,           /* a power of 2 */
};

/* How a whole reply whose stream goes on after its end is waited for, so that the connection can be kept. */
#define HTTP_DRAIN_NS DURESS_S

struct http_client;
struct http_transfer;

/* What a call holds, in its arena. */
struct http_call {
    struct duress_call *call;
    struct wait_place place;        /* in the waiting queue; its link also among those that are being failed */
    struct http_transfer *transfer; /* NULL while it waits */
    uint64_t turn_ns;               /* when its turn came: connect_timeout_ns counts from here; 0: not yet */
    struct duress_message *last_chunk;
};

/* Why a callback of ours broke a transfer off. */
enum http_abort {
    HTTP_ABORT_NONE = 0,
    HTTP_ABORT_HEAD_TOO_LARGE,
    HTTP_ABORT_BODY_TOO_LARGE,
    HTTP_ABORT_LENGTHS_DIFFER, /* two of Content-Length: where the reply ends is anybody's guess */
    HTTP_ABORT_NO_MEMORY,
    HTTP_ABORT_REPEATED, /* libcurl was about to send a request for the second time */
};

enum http_content {
    HTTP_CONTENT_NONE = 0, /* no header said */
    HTTP_CONTENT_JSON,
    HTTP_CONTENT_EVENTS,
    HTTP_CONTENT_OTHER,
};

/* What the reply's head said. Begun anew by each status line. */
struct http_head {
    enum http_content content;
    bool whole; /* its empty line has come */
    char content_type[HTTP_VALUE_BYTES_MAX];
    char retry_after[HTTP_VALUE_BYTES_MAX];
    char length[HTTP_VALUE_BYTES_MAX]; /* Content-Length, the first one */
    bool lengths_differ;
};

enum transfer_phase {
    TRANSFER_FREE = 0,
    TRANSFER_RUNNING,  /* libcurl has it */
    TRANSFER_FINISHED, /* libcurl is done with it, its call has not been told */
    TRANSFER_DRAINING, /* libcurl has it, its call has ended */
};

struct http_transfer {
    struct http_client *client;
    struct list_link link;   /* in the client's list of its phase; DRAINING counts as RUNNING */
    struct list_link unsent; /* in the list of those of which libcurl has not sent everything yet */
    struct list_link news;   /* in the list of those with events to be read */
    enum transfer_phase phase;
    CURL *easy;
    struct http_call *owner;   /* NULL: nobody waits for it any more */
    struct duress_timer timer; /* of the connect, or of draining */
    bool connected;            /* libcurl was about to send the request */
    int local_port;            /* of its connection, once connected: which others are on it */
    bool streams;              /* the handle is set up for /stream */
    enum http_abort abort;
    int open_error;       /* of the last socket() */
    curl_socket_t fd;     /* of its connection, where that is kept; once finished */
    CURLcode result;      /* once finished */
    uint32_t attempt;     /* addresses that were tried before this one */
    size_t address_first; /* which was tried first */
    uint64_t connect_deadline_ns;
    struct curl_slist *address;  /* what the handle was told: "::address:"; NULL: nothing */
    uint64_t address_generation; /* and of which lookup it was */
    size_t address_index;
    size_t head_bytes; /* of all heads of this exchange */
    struct http_head head;
    struct duress_buffer out;
    struct duress_buffer in; /* the body; of an event stream what has not been read yet */
    struct event_stream events;
    char id[REQUEST_ID_BYTES];
    char error_text[CURL_ERROR_SIZE];
};

/* A socket of libcurl's on libuv's loop. Its memory is libuv's until the close callback. */
struct http_socket {
    uv_poll_t poll;
    struct http_client *client;
    const struct duress_allocator *allocator;
    struct http_socket *next; /* in its bucket */
    struct list_link ready;   /* in the client's list of those with events */
    struct list_link young;   /* in the client's list of those that libcurl may close without a word */
    int fd;
    uint64_t inode;
    int polled;     /* what libuv looks for: UV_READABLE, UV_WRITABLE */
    bool wanted;    /* libcurl wants to hear of it */
    int ready_bits; /* CURL_CSELECT_*, to be told */
};

/* Where requests go. */
struct http_target {
    char *process_url;
    char *stream_url;
    char host[HTTP_HOST_BYTES_MAX]; /* a name, or an address without brackets */
    uint16_t port;
    bool named; /* |host| must be looked up */
    bool tls;
};

struct http_client {
    struct duress_agent base;
    struct uv_loop_s *uv;
    struct http_target target;
    char *agent_name; /* NULL: none */
    char *ca_file;    /* NULL: the machine's */
    struct curl_slist *process_headers;
    struct curl_slist *stream_headers;
    enum duress_http_version version;
    bool accept_any_certificate;
    uint64_t connect_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t name_max_age_ns;
    uint32_t connections_max;
    uint32_t in_flight_max;
    size_t head_bytes_max;
    struct duress_envelope_limits limits;
    uint64_t id_prefix;
    uint64_t sequence;

    struct wait_queue waiting;
    struct list_link free;
    struct list_link running;
    struct list_link finished;
    struct list_link unsent;
    struct list_link news;
    uint32_t running_count; /* transfers that are not free */
    struct duress_later pump;
    struct duress_timer idle_timer;
    uint64_t last_used_ns;
    struct duress_buffer scratch;

    struct duress_resolution *lookup; /* NULL: none under way */
    struct duress_timer lookup_timer;
    uint64_t names_generation; /* 0: never looked up */
    uint64_t names_at_ns;
    bool names_spoiled; /* a connect failed since */
    struct duress_address addresses[HTTP_ADDRESSES_MAX];
    size_t address_count; /* 0 where the host is an address itself */
    size_t address_first; /* where the next connection is tried first */

    unsigned curl_version; /* 0x075801: 7.88.1 */
    CURLM *multi;          /* NULL where nothing is open */
    struct duress_timer curl_timer;
    uint64_t curl_due_ns;
    bool resetting;        /* sockets that are closed now are reset */
    curl_socket_t left_fd; /* which the transfer that is being reset was the last one to use */
    bool speaks_http_2;
    struct list_link ready;
    struct list_link young;
    struct http_socket *sockets[HTTP_SOCKET_BUCKETS];
    struct duress_http_agent_counts counts;
};

/* --- client.c --- */
void duress__http_want_pump(struct http_client *client);
/* Ends |call|, which holds nothing any more. */
void duress__http_call_fail(struct http_call *call, int code, enum duress_origin origin, bool ambiguous,
                            const char *detail);

/* --- client_options.c --- */
/* Fills the settings of a zeroed client; frees them. */
DURESS_MUST_CHECK int duress__http_configure(struct http_client *client,
                                             const struct duress_http_agent_options *options,
                                             struct duress_failure *why);
void duress__http_settings_free(struct http_client *client);
/* NULL options, world or agent, and what is out of range. */
DURESS_MUST_CHECK int duress__http_options_check(const struct duress_http_agent_options *options,
                                                 struct duress_failure *why);

/* --- client_sockets.c --- */
/* Makes client->multi where there is none. DURESS_E_NO_MEMORY. */
DURESS_MUST_CHECK int duress__http_multi_open(struct http_client *client);
/* Closes all connections. No transfer may be libcurl's any more. */
void duress__http_multi_close(struct http_client *client);
/* Tells libcurl what the sockets have said and that its time has come. */
void duress__http_multi_drive(struct http_client *client);
/* Lets go of sockets that libcurl has closed without telling. To be called when libcurl has worked. */
void duress__http_sockets_sweep(struct http_client *client);
/* |fd| has served an exchange: from now on libcurl tells when it closes it. */
void duress__http_socket_has_served(struct http_client *client, curl_socket_t fd);
/* For a transfer's handle: how libcurl gets and gives back sockets. */
curl_socket_t duress__http_socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address);
int duress__http_socket_close(void *context, curl_socket_t fd);
/* Ends a connection that libcurl keeps, so that it finds it dead. Nothing where it is closed already. */
void duress__http_socket_shut(struct http_client *client, curl_socket_t fd);
/* What a failed socket(), connect() or the like means. */
int duress__http_error_from_errno(int number);

/* --- client_names.c --- */
/* Whether the addresses may be used for a new call; where not, a lookup is under way or was begun now. */
bool duress__http_names_ready(struct http_client *client);
void duress__http_names_init(struct http_client *client);
void duress__http_names_stop(struct http_client *client);

/* --- client_transfer.c --- */
/* A free transfer; NULL where memory is out. */
struct http_transfer *duress__http_transfer_get(struct http_client *client);
void duress__http_transfer_free(struct http_transfer *transfer);
/* Hands the request of |call| to libcurl. An error leaves |transfer| free; *detail then says why, or is NULL. */
DURESS_MUST_CHECK int duress__http_transfer_begin(struct http_transfer *transfer, struct http_call *call,
                                                  const char **detail);
/* Takes it from libcurl where libcurl has it, which resets its connection unless it was done; and makes it free. */
void duress__http_transfer_release(struct http_transfer *transfer);
/* A connect failed: tries the next address where there is one, and time. False where there is not; then nothing has
 * changed. */
bool duress__http_transfer_try_next(struct http_transfer *transfer);
/* libcurl is done with it. */
void duress__http_transfer_done(struct http_transfer *transfer, CURLcode result);
/* Marks the call as sent where a byte has left. */
void duress__http_transfer_note_sent(struct http_transfer *transfer);

/* --- client_reply.c --- */
/* Tells the call of a finished transfer, which is free afterwards. */
void duress__http_reply_finish(struct http_transfer *transfer);
/* Hands up what has come of an event stream. */
void duress__http_reply_news(struct http_transfer *transfer);

#endif
