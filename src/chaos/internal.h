/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a run: what the parts of chaos/ and its two drivers share. */
#ifndef DURESS_CHAOS_INTERNAL_H
#define DURESS_CHAOS_INTERNAL_H

#include <setjmp.h>
#include <stdatomic.h>

#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/chaos/chaos.h>

#include "orders.h"

/* --- the arrival log: written by the service, read by the test; in shared memory when the service is a process --- */

#define CHAOS_LOG_ENTRIES_MAX 4096

struct chaos_log_entry {
    uint64_t at_ns;
    uint64_t connection_number;
    char text[CHAOS_ARRIVAL_TEXT_BYTES_MAX];
    uint64_t wall_ns;
    _Atomic uint64_t think_ns; /* how long it was to think */
    _Atomic uint64_t ended_ns;
    _Atomic bool cancelled;
    _Atomic uint32_t chunk_count;
};

struct chaos_log {
    _Atomic uint64_t count; /* published after its entry is written */
    _Atomic uint64_t cancelled_count;
    _Atomic uint64_t refused[CHAOS_SCARCITY_COUNT];
    struct chaos_log_entry entries[CHAOS_LOG_ENTRIES_MAX];
};

/* --- a service's inside: the same agent behind the same server in both worlds --- */

struct chaos_onward_config {
    char endpoint[DURESS_ADDRESS_TEXT_BYTES_MAX + 8]; /* "": none */
    uint64_t timeout_ns;
    uint32_t failures_to_open;
    uint64_t recovery_ns;
};

struct chaos_service_config {
    uint64_t reply_after_ns;
    uint32_t slow_count;
    uint32_t fail_count;
    uint64_t reply_bytes;
    uint32_t in_flight_max;
    uint32_t requests_max;
    uint32_t chunk_count;
    uint64_t chunk_gap_ns;
    uint64_t work_ns;
    uint64_t hold_ns;
    struct chaos_onward_config onward;
    uint64_t leak_bytes;
    uint64_t journal_bytes;
    uint64_t disk_bytes;
    uint64_t drain_ns; /* the longest that a graceful end may take */
};

/* What a test and its service share: it outlives the service's death. */
struct chaos_shared {
    struct chaos_service_config config;
    struct chaos_orders orders;
    struct chaos_log log;
};

struct chaos_service_host; /* opaque: agent and server on one world */

/* Serves on |address| in |world|, as |shared| says (both borrowed until close). |outside| is copied. */
int chaos__service_host_open(struct duress_world *world, struct chaos_shared *shared,
                             const struct chaos_outside *outside, const struct duress_address *address,
                             struct chaos_service_host **host, struct duress_failure *why);
struct duress_server *chaos__service_host_server(struct chaos_service_host *host);
/* Answers what has arrived, takes nothing new, and tells |drained| whether all was answered. */
void chaos__service_host_drain(struct chaos_service_host *host, duress_drained_fn drained, void *context);
void chaos__service_host_close(struct chaos_service_host *host);

/* The agent that a service asks onward, or NULL where it asks none. */
int chaos__onward_open(struct duress_world *world, const struct chaos_onward_config *config,
                       struct duress_agent **agent, struct duress_failure *why);

/* --- a service's world, with faults in the functions that touch the outside --- */

struct chaos_service_world; /* opaque */

/* Puts itself in front of |world|, until it is closed. |outside| is copied, |wall_step_ns| borrowed. */
int chaos__service_world_open(struct duress_world *world, const struct chaos_outside *outside,
                              const _Atomic int64_t *wall_step_ns, struct chaos_service_world **between);
void chaos__service_world_close(struct chaos_service_world *between);
/* Of what is written from now on |after_bytes| leave; then the process dies. */
void chaos__service_world_die_after(struct chaos_service_world *between, uint64_t after_bytes, enum chaos_crash how);

/* --- one run --- */

enum chaos_verdict {
    CHAOS_PASSED = 0,
    CHAOS_FAILED,
    CHAOS_NOT_PROVEN,
    CHAOS_SKIPPED,
};

#define CHAOS_MESSAGE_BYTES_MAX 1024
#define CHAOS_TIMELINE_LINES_MAX 400
#define CHAOS_TIMELINE_LINE_BYTES_MAX 112

struct chaos_timeline_line {
    uint64_t at_ns;
    char text[CHAOS_TIMELINE_LINE_BYTES_MAX];
};

/* What a run leaves behind; a plain value that may lie in shared memory. */
struct chaos_outcome {
    enum chaos_verdict verdict;
    uint64_t seed;
    uint64_t virtual_ns;
    uint64_t trace_hash; /* 0 when live */
    uint64_t event_count;
    char message[CHAOS_MESSAGE_BYTES_MAX]; /* the expectation and what was seen, or the reason for skipping */
    uint32_t line_count;
    uint32_t lines_dropped;
    uint64_t started_ns; /* of the timeline */
    struct chaos_timeline_line lines[CHAOS_TIMELINE_LINES_MAX];
};

/* What a process has had of the processor, and for how long it was ready and had none. */
struct chaos_cpu_time {
    uint64_t run_ns;
    uint64_t wait_ns;
};

struct chaos_relay; /* of the driver: a proxy, or a simulated relay */

/* What differs between the worlds. Errors are DURESS_E_*; |why| always gets the reason. */
struct chaos_driver {
    const char *name;
    bool is_live;
    const char *proxy_url; /* of the daemon whose proxies are the links; NULL: they are the driver's own */
    int (*open)(struct chaos *chaos, struct duress_failure *why);
    void (*close)(struct chaos *chaos);
    uint64_t (*slack_ns)(struct chaos *chaos);
    /* After a run: fills the outcome's figures. */
    void (*measure)(struct chaos *chaos, struct chaos_outcome *outcome);

    uint16_t (*port_draw)(void); /* one that is free; live only */
    int (*service_start)(struct chaos_service *service, struct duress_failure *why);
    bool (*service_is_ready)(struct chaos_service *service);
    /* It dies, and chaos__service_ended() is called before this returns. */
    void (*service_crash)(struct chaos_service *service, enum chaos_crash how);
    /* Asks for a graceful end, of which chaos__service_ended() tells. */
    void (*service_stop)(struct chaos_service *service);
    /* Says whether the world shows that it was done. */
    bool (*service_freeze)(struct chaos_service *service, bool frozen);
    /* Scarcity. UNSUPPORTED and PERMISSION skip the test; |why| then says what is missing. */
    int (*service_memory)(struct chaos_service *service, enum chaos_memory how, uint64_t bytes,
                          struct duress_failure *why);
    int (*service_cpu)(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm, struct duress_failure *why);
    struct chaos_cpu_time (*service_cpu_time)(struct chaos_service *service);
    int (*service_descriptors)(struct chaos_service *service, uint32_t more, struct duress_failure *why);
    /* Connections that its kernel has taken, and itself not. */
    uint64_t (*service_queued)(struct chaos_service *service);
    /* Writes the output of a command to standard output, which the runner shows. */
    void (*service_show)(struct chaos_service *service);
    void (*service_free)(struct chaos_service *service);

    int (*relay_open)(struct chaos_link *link, struct duress_failure *why);
    void (*relay_free)(struct chaos_relay *relay);
    struct duress_address (*relay_address)(struct chaos_relay *relay);
    int (*relay_toxic_add)(struct chaos_relay *relay, const struct duress_toxic *toxic, struct duress_failure *why);
    int (*relay_toxic_remove)(struct chaos_relay *relay, uint64_t id);
    void (*relay_cut)(struct chaos_relay *relay);
    void (*relay_down)(struct chaos_relay *relay);
    int (*relay_up)(struct chaos_relay *relay);
    int (*relay_silence)(struct chaos_relay *relay, bool silent);
    void (*relay_visit)(struct chaos_relay *relay, duress_link_visit_fn fn, void *context);
    struct duress_relay_counts (*relay_counts)(struct chaos_relay *relay);

    int (*name_set)(struct chaos *chaos, const char *host, enum chaos_name_fault fault, uint32_t fault_count,
                    const struct duress_address *address);
    uint64_t (*name_questions)(struct chaos *chaos, const char *host);
};

extern const struct chaos_driver chaos__driver_live;
extern const struct chaos_driver chaos__driver_sim;

enum chaos_evidence_kind {
    CHAOS_EVIDENCE_TOXIC,     /* the toxic |id| acted on some connection */
    CHAOS_EVIDENCE_CUT,       /* an RST went out */
    CHAOS_EVIDENCE_DOWN,      /* a connect was refused or a connection closed */
    CHAOS_EVIDENCE_SILENCE,   /* a SYN vanished */
    CHAOS_EVIDENCE_PARTITION, /* a SYN vanished or bytes were held */
    CHAOS_EVIDENCE_END,       /* the service ended as ordered */
    CHAOS_EVIDENCE_FREEZE,    /* the service stopped */
    CHAOS_EVIDENCE_REFUSED,   /* the kernel refused the service something */
    CHAOS_EVIDENCE_CPU,       /* the service waited for its processor */
    CHAOS_EVIDENCE_QUEUED,    /* a connection waited to be accepted */
    CHAOS_EVIDENCE_WALL,      /* the service's wall clock has jumped */
    CHAOS_EVIDENCE_NAME,      /* the name server was asked */
    CHAOS_EVIDENCE_SLOW,      /* a request was thought about for as long as ordered, or given up meanwhile */
    CHAOS_EVIDENCE_CHUNKS,    /* a reply was made in chunks */
};

/* Something that a test ordered and that must be shown to have happened. */
struct chaos_evidence {
    struct chaos_evidence *next;
    enum chaos_evidence_kind kind;
    struct chaos_link *link;
    struct chaos_service *service;
    struct duress_toxic toxic;
    struct duress_relay_counts before;
    uint64_t since_ns;    /* when it was ordered */
    uint32_t ends_before; /* of the link's service */
    uint64_t resets_before;
    uint64_t closes_before;
    uint64_t refusals_before;
    uint64_t questions_before;
    uint64_t acts_before; /* of toxics of this kind, on all connections */
    uint64_t held_bytes_before;
    enum chaos_end_how end; /* of CHAOS_EVIDENCE_END */
    uint64_t arrivals_before;
    enum chaos_scarcity scarcity;
    uint64_t refused_before;
    struct chaos_cpu_time cpu_before;
    uint64_t cpu_others_ppm; /* what the burners want of the processor, in a million of it */
    uint64_t wall_ahead_ns;  /* of the monotonic clock, before the step */
    int64_t wall_step_ns;
    bool removed; /* the toxic is gone: |shown| is final */
    bool shown;   /* settled early, while it could still be seen */
    char host[64];
};

enum chaos_service_phase {
    CHAOS_SERVICE_DOWN = 0, /* not yet, or no more; the timer starts it anew, where that is wanted */
    CHAOS_SERVICE_STARTING, /* the timer looks whether it listens */
    CHAOS_SERVICE_UP,       /* the timer ends it, in a crash loop */
    CHAOS_SERVICE_STOPPING,
};

/* A command as a service: copies of what the test has given. */
struct chaos_command {
    char **arguments; /* up to a NULL; NULL: a service of ours */
    enum chaos_ready ready;
    char *ready_text;
};

struct chaos_service {
    struct chaos *chaos;
    struct chaos_command command;
    struct chaos_service *next;
    char name[33];
    struct chaos_service_config config;
    struct chaos_shared *shared;   /* of the driver */
    struct duress_address address; /* where it listens; the port stays through restarts */
    void *driver_state;
    enum chaos_service_phase phase;
    struct duress_timer timer; /* what |phase| waits for */
    uint64_t up_since_ns;
    struct chaos_end end;
    bool is_restarted; /* after its end, |restart_delay_ns| later */
    uint64_t restart_delay_ns;
    uint32_t restarts_left; /* UINT32_MAX: without end */
    uint32_t crashes_left;  /* of a crash loop */
    enum chaos_crash crash;
    uint64_t crash_up_ns;
    struct chaos_cpu_time cpu_before; /* when its processor was last made scarce or its own again */
};

struct chaos_attempt_log {
    struct chaos_attempt *items;
    size_t count;
    size_t capacity;
};

/* Something to be done to a link when it has seen so many events. */
struct chaos_trigger {
    uint64_t seen;
    uint64_t at_count;
    chaos_link_action_fn action; /* NULL: none, or done */
};

struct chaos_link {
    struct chaos *chaos;
    struct chaos_link *next;
    struct chaos_service *service;
    struct chaos_relay *relay;
    struct duress_agent *agent; /* the plain one of chaos_link_agent() */
    struct chaos_attempt_log attempts;
    struct chaos_trigger on_attempt_end;
    struct chaos_trigger on_chunk;
    uint64_t ordered_ns;
    bool has_had_toxic;
    enum chaos_partition partition;
    uint64_t hold_ids[DURESS_DIRECTION_COUNT];
    struct chaos_evidence *partition_evidence;
    uint32_t number;
};

struct chaos_kept_agent {
    struct chaos_kept_agent *next;
    struct duress_agent *agent;
    struct chaos_link *remote_of; /* not NULL: a remote agent of that link */
};

struct chaos_call {
    struct chaos_call *next;
    struct chaos *chaos;
    struct duress_call *call; /* NULL once it has ended */
    uint64_t deadline_ns;
    bool ended;
    struct chaos_answer answer;
    struct chaos_chunk *chunks;
    size_t chunk_count;
    size_t chunk_capacity;
};

struct chaos_alarm {
    struct chaos_alarm *next;
    struct duress_timer timer;
    struct chaos *chaos;
    duress_later_fn fn;
    void *context;
};

struct chaos_heap {
    struct duress_allocator allocator;
    uint64_t live_count; /* blocks that are not freed yet */
};

struct chaos {
    const struct chaos_test *test;
    const struct chaos_driver *driver;
    uint64_t seed;
    struct chaos_heap heap;
    struct duress_world *world;
    void *driver_state;
    struct duress_prng prng;
    struct chaos_outcome *outcome;
    jmp_buf end;
    bool in_body; /* chaos__fail() may jump */
    unsigned loop_depth;
    uint64_t toxic_id_next;
    uint32_t link_count;
    struct chaos_service *services;
    struct chaos_link *links;
    struct chaos_kept_agent *agents;
    struct chaos_call *calls;
    struct chaos_alarm *alarms;
    struct chaos_evidence *evidence;
    struct chaos_service_world *between; /* of a test whose own wall clock steps */
    _Atomic int64_t wall_step_ns;
};

/* Runs |test| once; |outcome| is filled whatever happens. */
void chaos__run(const struct chaos_test *test, const struct chaos_driver *driver, uint64_t seed,
                struct chaos_outcome *outcome);

/* Ends the run as failed for a reason of the world (no memory, no port): jumps, unless in a callback. */
void chaos__broken(struct chaos *chaos, const char *what, const struct duress_failure *why);

/* Ends the run as skipped, from callbacks too: jumps, unless in one. */
void chaos__skip(struct chaos *chaos, const char *format, ...) DURESS_PRINTF(2, 3);
/* Skips where |link| is a daemon's, of which |what| cannot be known. */
void chaos__skip_unknown(struct chaos_link *link, const char *what);

/* Memory that is counted; fails the run where there is none. */
void *chaos__allocate(struct chaos *chaos, size_t bytes);

/* Begins a call of |agent| with |text|, as |how| says: deadline, idempotence, whether chunks are asked for. */
struct chaos_call *chaos__begin(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                const struct duress_ask *how);
/* Copies the options of a command. */
void chaos__command_take(struct chaos_service *service, const struct chaos_service_options *options);
/* Frees what they were copied to. */
void chaos__command_free(struct chaos_service *service);
/* Fails the run where |service| is a command, which does not know of |what|. */
bool chaos__service_is_ours(struct chaos_service *service, const char *what);

/* The service is to end so. */
void chaos__end_owe(struct chaos_service *service, enum chaos_end_how how);

/* Told by the driver, from the loop or from within service_crash(): the service has ended. */
void chaos__service_ended(struct chaos_service *service, enum chaos_end_how how, int code);

/* A wrapper of |inner| that records attempts in |link|. Takes a reference of its own. */
int chaos__tap_new(struct chaos_link *link, struct duress_agent *inner, struct duress_agent **agent);

struct chaos_evidence *chaos__evidence_add(struct chaos *chaos, enum chaos_evidence_kind kind, struct chaos_link *link,
                                           struct chaos_service *service);
/* The first evidence that is missing, or NULL. */
struct chaos_evidence *chaos__evidence_missing(struct chaos *chaos);
const char *chaos__evidence_text(const struct chaos_evidence *evidence);
/* Both before what they are to show is ordered: what others have done by then is no evidence of it. */
void chaos__evidence_of_toxic(struct chaos_link *link, const struct duress_toxic *toxic);
void chaos__evidence_of_name(struct chaos *chaos, const char *host);
/* The last look before a toxic is removed: nor is what others do later. */
void chaos__evidence_toxic_removed(struct chaos_evidence *evidence);
/* Whether the service has waited for its processor as long as the burners make one expect; of CHAOS_EVIDENCE_CPU. */
bool chaos__cpu_was_scarce(const struct chaos_evidence *evidence);
/* Whether the caller and the service have seen it happen, of a link that is a daemon's. */
bool chaos__evidence_seen(const struct chaos_evidence *evidence);
/* Whether |link|'s open connections hold bytes that were not passed on. */
bool chaos__link_holds_bytes(struct chaos_link *link);

/* All registered tests, in order of file and line. */
struct chaos_test *chaos__tests(void);

#endif
