/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of agents and layers share: a simulated network of two hosts whose memory is counted, a service whose
 * behaviour the test sets, callers that note how their calls ended, and raw peers that speak any bytes. */
#ifndef DURESS_TESTS_AGENT_RIG_H
#define DURESS_TESTS_AGENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/agent/agent.h>
#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/wire/envelope.h>
#include <duress/wire/frame.h>
#include <duress/world/sim.h>

#include "probe_heap.h"

enum { RIG_PORT = 7000, RIG_RAW_PORT = 7001 };

/* --- a service --- */

/* Asked when a call begins; may change |service| for this call and the next ones. */
struct rig_service;
typedef void (*rig_service_fn)(void *context, struct rig_service *service, struct duress_call *call);

struct rig_service {
    struct duress_agent *agent;
    struct duress_world *world;
    bool silent;           /* never answers */
    bool at_once;          /* answers inside process() */
    uint64_t delay_ns_min; /* before each answer (and each chunk) */
    uint64_t delay_ns_max;
    uint32_t fail_count; /* so many calls fail, then they go well */
    struct duress_failure failure;
    uint32_t chunk_count; /* of a streamed reply */
    rig_service_fn on_call;
    void *context;
    struct duress_prng prng;
    uint64_t begun;
    uint64_t ended;
    uint64_t cancelled;
    uint64_t running;
    uint64_t running_max;
    uint64_t begun_ns[64]; /* of the first ones */
};

/* Readies an echo without delay: it answers "re: " and the request. */
void rig_service_open(struct rig_service *service, struct duress_world *world, const char *name);
/* The same for tests in which memory may be out: DURESS_OK or DURESS_E_NO_MEMORY. */
int rig_service_try_open(struct rig_service *service, struct duress_world *world, const char *name);
void rig_service_close(struct rig_service *service);

/* --- callers --- */

struct rig_answer {
    struct duress_call *call; /* while it runs */
    uint32_t ended;           /* how often: must never be more than once */
    int error;
    struct duress_failure failure;
    char text[128]; /* of the reply */
    uint64_t started_ns;
    uint64_t ended_ns;
    uint32_t chunk_count;
    char chunks[256];                                       /* each followed by a comma */
    uint32_t cancel_after_chunk;                            /* cancels inside the callback of this chunk; 0: never */
    bool asking;                                            /* inside duress_agent_ask(): nothing may be called back */
    void (*then)(struct rig_answer *answer, void *context); /* called at the end */
    void *then_context;
};

/* Asks and asserts that the call began. */
void rig_ask(struct duress_agent *agent, const char *text, struct rig_answer *answer);
void rig_ask_by(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool idempotent,
                struct rig_answer *answer);
void rig_ask_stream(struct duress_agent *agent, const char *text, uint64_t deadline_ns, struct rig_answer *answer);
/* As rig_ask_by(), but for an error, which it returns. */
int rig_try_ask(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool idempotent, bool streaming,
                struct rig_answer *answer);

/* --- the network --- */

struct rig {
    struct probe_heap heap;
    struct duress_sim *sim;
    struct duress_sim_host *client_host;
    struct duress_sim_host *server_host;
    struct duress_world *client;
    struct duress_world *server_world;
    struct rig_service service;   /* on the server host */
    struct duress_server *server; /* NULL until rig_serve() */
};

void rig_open(struct rig *rig, uint64_t seed);
/* Serves rig->service on RIG_PORT. |options|' world, agent and address are set here; NULL for the defaults. */
void rig_serve(struct rig *rig, const struct duress_server_options *options);
/* An agent for tcp://server:RIG_PORT (or |options|->endpoint). */
struct duress_agent *rig_remote(struct rig *rig, const struct duress_remote_options *options);
/* Frees everything and asserts that no memory is left. */
void rig_close(struct rig *rig);

uint64_t rig_now_ns(const struct rig *rig);
void rig_run_for(struct rig *rig, uint64_t duration_ns);
/* Runs until |answer| has ended; fails the test where it does not. */
void rig_run_until_ended(struct rig *rig, struct rig_answer *answer);
/* Runs until nothing is left that could happen: no timer is armed, no byte is under way. */
void rig_run_dry(struct rig *rig);

/* --- raw peers: a listener on the server host, or a caller on the client host --- */

struct rig_raw;
/* One whole envelope arrived. */
typedef void (*rig_raw_fn)(void *context, struct rig_raw *raw, const struct duress_envelope *envelope);

struct rig_raw {
    struct duress_world *world;
    struct duress_listener *listener;
    struct duress_stream *stream; /* the newest connection; NULL: none */
    struct duress_frame_reader reader;
    struct duress_buffer scratch;
    rig_raw_fn on_envelope;
    void *context;
    uint32_t accepted;
    uint32_t envelopes;
    bool connected;
    bool ended;     /* the peer's FIN came */
    bool was_reset; /* or its RST */
    bool deaf;      /* does not read */
    uint64_t bytes; /* read */
    enum duress_envelope_type last_type;
    char last_id[300];
    char last_text[256]; /* content, or "CODE: message" */
    char last_details[128];
};

void rig_raw_listen(struct rig_raw *raw, struct rig *rig, rig_raw_fn on_envelope, void *context);
void rig_raw_connect(struct rig_raw *raw, struct rig *rig);
void rig_raw_close(struct rig_raw *raw);
/* All of |bytes| must go at once. */
void rig_raw_send(struct rig_raw *raw, const void *bytes, size_t length);
void rig_raw_send_text(struct rig_raw *raw, const char *body); /* as one frame */
void rig_raw_send_envelope(struct rig_raw *raw, const struct duress_envelope *envelope);
void rig_raw_send_request(struct rig_raw *raw, const char *id, const char *method, const char *content);
void rig_raw_reply(struct rig_raw *raw, enum duress_envelope_type type, struct duress_slice id, const char *content);
void rig_raw_reply_error(struct rig_raw *raw, struct duress_slice id, const char *code, const char *message,
                         const char *details);
void rig_raw_fin(struct rig_raw *raw);
void rig_raw_rst(struct rig_raw *raw);

#endif
