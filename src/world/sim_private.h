/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the simulated world share.
 *
 *     sim.c             the universe: options, the run, the trace
 *     sim_world.c       a host as a struct duress_world: timers, later, post, chance
 *     sim_host.c        hosts: what is up, what is cut off from what
 *     sim_name.c        the name server
 *     sim_listener.c    ports and accept queues
 *     sim_handshake.c   SYN, its answers and its retries
 *     sim_connection.c  its ends, and the link that all passes
 *     sim_way.c         one direction: what travels, and what waits
 *     sim_stream.c      a connection's end as its process sees it
 *     sim_relay.c       the proxy */
#ifndef DURESS_WORLD_SIM_PRIVATE_H
#define DURESS_WORLD_SIM_PRIVATE_H

#include <stdatomic.h>

#include <duress/base/timer_heap.h>
#include <duress/toxic/link.h>
#include <duress/world/implement.h>
#include <duress/world/sim.h>

#include "sim_buffer.h"
#include "sim_pool.h"

struct sim_connection;
struct sim_stream;
struct sim_listener;
struct sim_resolution;
struct sim_name;

/* What is executed, by the name it has in a trace. X(NAME, "text"), and what the two numbers are. */
#define SIM_EVENT_LIST(X)                                                                                              \
    X(TIMER, "timer")                 /* host, arming sequence */                                                      \
    X(LATER, "later")                 /* host, 0 */                                                                    \
    X(POST, "post")                   /* host, 0 */                                                                    \
    X(NOTE, "note")                   /* the note's own numbers; its text is hashed as well */                         \
    X(DELAY, "delay drawn")           /* connection or host, nanoseconds */                                            \
    X(SYN, "SYN arrives")             /* connection, outcome */                                                        \
    X(SYN_RETRY, "SYN repeated")      /* connection, attempt */                                                        \
    X(SYN_ANSWER, "SYN answered")     /* connection, error */                                                          \
    X(ESTABLISHED, "ACK arrives")     /* connection, direction */                                                      \
    X(DATA, "bytes arrive")           /* connection and direction, bytes */                                            \
    X(FIN, "FIN arrives")             /* connection and direction, 0 */                                                \
    X(RST, "RST arrives")             /* connection and direction, 0 */                                                \
    X(HELD, "held back")              /* connection and direction, kind */                                             \
    X(ROOM, "room told")              /* connection and direction, bytes */                                            \
    X(STREAM, "stream ready")         /* connection and side, events */                                                \
    X(ACCEPT, "accepted")             /* host, connection */                                                           \
    X(NAME_ASKED, "name asked")       /* host, question number */                                                      \
    X(NAME_ANSWERED, "name answered") /* host, error */                                                                \
    X(HOST_KILLED, "host killed")     /* host, 0 */                                                                    \
    X(HOST_CRASHED, "host crashed")   /* host, 0 */                                                                    \
    X(HOST_RESTARTED, "host restarted")                                                                                \
    X(HOST_FROZEN, "host frozen") /* host, 1 or 0 */                                                                   \
    X(RELAY, "relay changed")     /* host and port, what was done */                                                   \
    X(PATH, "path changed")       /* from, to; a fault of the network began or ended */

enum sim_event {
#define X(name, text) SIM_EVENT_##name,
    SIM_EVENT_LIST(X)
#undef X
};

/* Streams of chance, one a purpose. */
enum sim_purpose {
    SIM_PURPOSE_RANK = 1, /* the order of equal instants */
    SIM_PURPOSE_DELAY,    /* of hops */
    SIM_PURPOSE_LINK,     /* mixed with the connection's number */
    SIM_PURPOSE_RELAY,    /* mixed with the relay's host and port */
    SIM_PURPOSE_HOST,     /* mixed with the host's number: duress_world_prng() */
};

/* Where a timer is armed: |owner| of struct duress_timer. NULL is the network's own. */
struct sim_home {
    struct duress_sim_host *host;
    struct duress_timer_heap *heap;
    bool is_user; /* armed by duress_world_arm(), else by the host's kernel for its process */
};

struct sim_later_queue {
    struct duress_later *first;
    struct duress_later *last;
};

#define SIM_HOST_NAME_BYTES_MAX 64 /* with the NUL */
#define SIM_PORT_COUNT 65536
#define SIM_EPHEMERAL_PORT_FIRST 32768

struct duress_sim_host {
    struct duress_world world; /* first */
    struct duress_sim *sim;
    uint32_t number; /* from 1; its place in sim->hosts is number - 1 */
    char name[SIM_HOST_NAME_BYTES_MAX];
    bool is_alive;   /* its process runs, or is stopped */
    bool is_powered; /* its kernel answers */
    bool is_frozen;
    bool is_unreachable;
    uint32_t streams_max;          /* UINT32_MAX: no limit */
    struct sim_home homes[2];      /* [is_user]: in the universe's heap */
    struct sim_home held_homes[2]; /* [is_user]: in |held| */
    struct duress_timer_heap held; /* what was due while it was frozen */
    struct sim_later_queue laters;
    struct duress_sim_host *later_next; /* hosts with queued calls */
    bool is_later_queued;
    _Atomic(struct duress_post *) posts; /* last in, first */
    uint64_t prng_count;
    uint16_t port_next;
    struct sim_listener *listeners; /* those that listen, and those that are inert but not freed yet */
    struct sim_stream *streams;     /* likewise */
    struct sim_resolution *resolutions;
    uint8_t silent_ports[SIM_PORT_COUNT / 8];
};

struct duress_sim {
    const struct duress_allocator *allocator;
    struct sim_pool pool; /* of the links */
    uint64_t seed;
    uint64_t delay_ns_min;
    uint64_t delay_ns_max;
    uint64_t events_max;
    size_t send_bytes_max;
    size_t receive_bytes_max;
    uint64_t now_ns;
    struct duress_timer_heap heap;
    struct duress_prng rank_prng;
    struct duress_prng delay_prng;
    uint64_t trace_hash;
    uint64_t event_count;
    duress_sim_trace_fn trace_fn;
    void *trace_context;
    uint64_t delay_ns_seen_max;
    bool is_running;
    bool is_freeing;
    struct duress_sim_host **hosts;
    uint32_t host_count;
    uint32_t host_capacity;
    uint8_t *blocked;                    /* [from * host_capacity + to] */
    struct duress_sim_host *later_first; /* hosts with queued calls, in the order of their first one */
    struct duress_sim_host *later_last;
    atomic_uint post_count;
    struct sim_name *names;
    struct sim_connection *connections;
    uint64_t connection_count; /* ever */
    struct duress_sim_relay *relays;
    struct sim_stream *told;           /* the stream whose callback runs; NULL once it is gone */
    struct duress_sim_host *sole_host; /* of duress_world_sim_new() */
};

/* --- sim.c --- */
void duress__sim_trace(struct duress_sim *sim, enum sim_event event, uint64_t a, uint64_t b);

void duress__sim_note(struct duress_sim *sim, const char *what, uint64_t a, uint64_t b);

/* Arms a timer of the network (|home| NULL), or one that runs on a host and is forgotten when that is killed. */
void duress__sim_arm(struct duress_sim *sim, struct sim_home *home, struct duress_timer *timer, uint64_t at_ns);
void duress__sim_disarm(struct duress_sim *sim, struct duress_timer *timer);

/* What came due while |host| was frozen is due now. */
void duress__sim_host_thaw(struct duress_sim_host *host);

/* Draws the delay of one hop. |id| is for the trace. */
uint64_t duress__sim_delay_draw(struct duress_sim *sim, uint64_t id);

/* --- sim_world.c --- */
extern const struct duress_world_ops duress__sim_world_ops;
struct duress_sim_host *duress__sim_host_of(struct duress_world *world);

/* Makes the next deferred or posted call of any host; false where there is none. */
bool duress__sim_later_run(struct duress_sim *sim);

/* Forgets all timers and calls of |host|. */
void duress__sim_host_forget(struct duress_sim_host *host);

/* --- sim_host.c --- */
void duress__sim_host_free(struct duress_sim_host *host);

/* The host that |address| means to |from|; NULL where it is nobody's. */
struct duress_sim_host *duress__sim_host_at(struct duress_sim_host *from, const struct duress_address *address);
bool duress__sim_address_is_any(const struct duress_address *address);
bool duress__sim_address_is_loopback(const struct duress_address *address);
/* Whether the process on |host| may have no stream more. */
bool duress__sim_host_is_out_of_descriptors(const struct duress_sim_host *host);
bool duress__sim_is_blocked(const struct duress_sim *sim, const struct duress_sim_host *from,
                            const struct duress_sim_host *to);
static inline bool duress__sim_port_is_silent(const struct duress_sim_host *host, uint16_t port)
{
    return (host->silent_ports[port / 8] & (1U << (port % 8))) != 0;
}

/* --- sim_name.c --- */
void duress__sim_names_free(struct duress_sim *sim);
/* Makes |name| resolve to |address|. INVALID where it is known already. */
int duress__sim_name_add(struct duress_sim *sim, const char *name, const struct duress_address *address);
int duress__sim_resolve(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn,
                        void *context, struct duress_resolution **resolution);
void duress__sim_resolution_cancel(struct duress_resolution *resolution);
void duress__sim_resolutions_free(struct duress_sim_host *host);

/* --- sim_listener.c --- */
struct sim_listener {
    struct duress_listener base; /* first */
    struct duress_sim_host *host;
    struct sim_listener *next;
    struct sim_listener *previous;
    bool is_inert; /* its process died */
    uint32_t backlog;
    uint32_t waiting; /* in the queue, and those whose SYN was answered */
    uint64_t silenced_count;
    struct sim_connection *queue_first;
    struct sim_connection *queue_last;
    struct duress_timer accept;
};

int duress__sim_listen(struct duress_world *world, const struct duress_listen_options *options, duress_accept_fn fn,
                       void *context, struct duress_listener **listener);
void duress__sim_listener_close(struct duress_listener *listener);
/* The listener that gets what is sent to |address| on |host|; NULL where there is none. */
struct sim_listener *duress__sim_listener_find(struct duress_sim_host *host, const struct duress_address *address);
static inline bool duress__sim_listener_is_full(const struct sim_listener *listener)
{
    return listener->waiting > listener->backlog; /* as Linux: one more than the backlog fits */
}
/* |connection|'s handshake is complete. */
void duress__sim_listener_enqueue(struct sim_listener *listener, struct sim_connection *connection);
/* Accepts now what waits. */
void duress__sim_listener_accept_waiting(struct duress_listener *listener);
/* Its process died. */
bool duress__sim_listener_is_inert(const struct duress_listener *listener);
/* Closes all; |is_silent|: the power is gone, nobody is told. */
void duress__sim_listeners_detach(struct duress_sim_host *host, bool is_silent);
void duress__sim_listeners_free(struct duress_sim_host *host);
/* An ephemeral port that is free, or 0. */
uint16_t duress__sim_port_draw(struct duress_sim_host *host);

/* --- sim_handshake.c --- */
int duress__sim_connect(struct duress_world *world, const struct duress_address *address, duress_stream_fn fn,
                        void *context, struct duress_stream **stream);
/* The client gave up or vanished before the answer came. */
void duress__sim_handshake_cancel(struct sim_connection *connection);

/* --- sim_connection.c --- */
enum sim_record_kind {
    SIM_RECORD_ESTABLISHED = 0, /* the ACK that ends the handshake */
    SIM_RECORD_DATA,
    SIM_RECORD_FIN,
    SIM_RECORD_RST,
};

struct sim_record {
    uint64_t at_ns; /* arrives */
    uint32_t bytes;
    uint16_t kind;
    bool is_lost; /* the path was cut when it was sent */
};

/* Segments of one direction that travel at once; what is written beyond waits in the send buffer. */
#define SIM_RECORDS_MAX 64
#define SIM_RECORDS_RESERVED 3 /* for the ACK, FIN and RST, each sent once at the most */

/* One direction of a connection; its number is that of the side that sends. */
struct sim_way {
    struct sim_connection *connection;
    unsigned number;
    struct duress_timer arrival; /* of the first record */
    struct duress_timer room;    /* news of room reach the sender */
    struct sim_record records[SIM_RECORDS_MAX];
    uint32_t record_first;
    uint32_t record_count;
    struct sim_buffer sending; /* the sender's: first what travels, then what waits */
    size_t travelling_bytes;
    struct sim_buffer receiving; /* the receiver's: what it has not read yet */
    uint64_t held_since_ns;
    bool is_held;      /* the path is cut: nothing arrives until it is healed */
    bool is_room_held; /* so is the way back: the sender does not learn of room */
    bool is_throttled; /* the sender waits for room */
    bool is_fin_wanted;
    bool is_rst_wanted; /* after all bytes */
    bool is_fin_sent;
    bool is_rst_sent;
};

/* One end, as its kernel sees it. */
struct sim_end {
    struct duress_sim_host *host;
    struct sim_stream *stream; /* NULL: no process holds it */
    bool is_queued;            /* waits to be accepted */
    bool is_parting;           /* nobody holds it; what comes is thrown away until all that was written is there */
    bool is_gone;              /* the kernel knows it no more: what comes for it is answered by RST */
    bool is_fin_received;
    bool is_reset_received;
};

enum sim_stage {
    SIM_STAGE_SYN_LOST = 0, /* nothing travels; the next try is armed */
    SIM_STAGE_SYN_TRAVELS,
    SIM_STAGE_ANSWER_TRAVELS,
    SIM_STAGE_ESTABLISHED, /* for the client at least */
};

struct sim_connection {
    struct duress_sim *sim;
    struct sim_connection *next;
    struct sim_connection *previous;
    uint64_t number;
    struct duress_link *link;
    bool is_unix;
    enum sim_stage stage;
    int answer;
    uint32_t attempt;
    uint64_t started_ns;
    struct duress_timer handshake; /* what travels */
    struct duress_timer retry;
    struct sim_listener *listener; /* in whose queue it is or will be */
    struct sim_connection *queue_next;
    struct duress_address addresses[DURESS_SIDE_COUNT];
    struct sim_way ways[DURESS_SIDE_COUNT];
    struct sim_end ends[DURESS_SIDE_COUNT];
};

static inline unsigned sim_other(unsigned side)
{
    return 1 - side;
}

static inline size_t sim_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* For the trace: a way or an end in one number. */
static inline uint64_t sim_way_id(const struct sim_connection *connection, unsigned side)
{
    return connection->number * 2 + side;
}

int duress__sim_connection_new(struct duress_sim_host *client, struct sim_connection **connection);
void duress__sim_connection_free(struct sim_connection *connection);

/* Frees it where nobody can ever see anything of it again. */
void duress__sim_connection_settle(struct sim_connection *connection);

/* A record of |side| arrived: passes the link and reaches the other end's kernel. */
void duress__sim_record_deliver(struct sim_connection *connection, unsigned side, const struct sim_record *record);

/* |side|'s process lets go of it: FIN after what was written, or RST where bytes lie unread or |is_abort| (Unix sockets
 * know no such abort). May free the connection. */
void duress__sim_end_close(struct sim_connection *connection, unsigned side, bool is_abort);

/* As duress__sim_stream_part(). */
void duress__sim_end_part(struct sim_connection *connection, unsigned side, bool is_reset);

/* |side|'s kernel sends an RST and lets go. */
void duress__sim_rst_send(struct sim_connection *connection, unsigned side);

/* The listener goes before |side| was accepted: RST. May free the connection. */
void duress__sim_end_refuse(struct sim_connection *connection, unsigned side);

/* |host| lost its power: its ends are gone without a word. */
void duress__sim_connections_vanish(struct duress_sim_host *host);

/* Both ends get an RST at once: memory is out. */
void duress__sim_connection_cut(struct sim_connection *connection);

/* What was held goes on, where the path is open again. */
void duress__sim_connections_release(struct duress_sim *sim);

/* --- sim_way.c --- */
void duress__sim_way_init(struct sim_connection *connection, unsigned side);
void duress__sim_way_deinit(struct sim_way *way);

/* Sends what may be sent from |side|. */
void duress__sim_way_pump(struct sim_connection *connection, unsigned side);
void duress__sim_record_send(struct sim_connection *connection, unsigned side, enum sim_record_kind kind, size_t bytes);

/* There is room again in |side|'s sending buffer, or in the receiver's: the news takes a hop back. */
void duress__sim_room_tell(struct sim_connection *connection, unsigned side);

/* The path may be open again. */
void duress__sim_way_reopen(struct sim_connection *connection, unsigned side);

/* --- sim_stream.c --- */
struct sim_stream {
    struct duress_stream base;         /* first */
    struct sim_connection *connection; /* NULL: inert, or the connect failed */
    struct duress_sim_host *host;
    unsigned side;
    uint64_t number; /* of its connection */
    unsigned want;
    unsigned told_once; /* of CONNECTED, FAILED, HANGUP: to be said */
    bool is_connecting;
    bool is_shut;
    bool is_inert;
    struct sim_stream *next;
    struct sim_stream *previous;
    struct duress_timer ready;
};

struct sim_stream *duress__sim_stream_new(struct duress_sim_host *host, struct sim_connection *connection,
                                          unsigned side);
void duress__sim_stream_free(struct sim_stream *stream);
/* Arms its callback where it has something to say. */
void duress__sim_stream_notify(struct sim_stream *stream);
void duress__sim_stream_fail(struct sim_stream *stream, int error);
void duress__sim_stream_want(struct duress_stream *stream, unsigned events);
int duress__sim_stream_read(struct duress_stream *stream, void *bytes, size_t capacity, size_t *count);
int duress__sim_stream_write(struct duress_stream *stream, const struct duress_slice *slices, size_t slice_count,
                             size_t *count);
void duress__sim_stream_shutdown(struct duress_stream *stream);
void duress__sim_stream_close(struct duress_stream *stream);
void duress__sim_stream_abort(struct duress_stream *stream);
/* Closes (FIN) or resets as a proxy parts: after everything that was written was sent, while what the peer still sends
 * is thrown away, so that no RST overtakes the bytes. Frees |stream|. */
void duress__sim_stream_part(struct duress_stream *stream, bool is_reset);
/* All streams of |host| become inert, and are closed as the kernel does; |is_silent|: the power is gone, nobody is
 * told. */
void duress__sim_streams_detach(struct duress_sim_host *host, bool is_silent);
void duress__sim_streams_free(struct duress_sim_host *host);

/* --- sim_relay.c --- */
void duress__sim_relays_free(struct duress_sim *sim);
/* A SYN for |port| of |host| was refused, or dropped on purpose. */
void duress__sim_relay_count(struct duress_sim_host *host, uint16_t port, bool is_silenced);
/* A relay that is down keeps its port from others. */
bool duress__sim_relay_keeps_port(const struct duress_sim_host *host, uint16_t port);

#endif
