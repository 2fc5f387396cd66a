/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world: hosts, names, listeners and connections in virtual time, from a seed. A run is a pure function
 * of its seed and of what the program does: the hash over its event trace is the same in every run, with every compiler
 * and every build.
 *
 * Seed 0 is the plain schedule: no drawn delay, equal instants in arming order. Every other seed draws the delay of
 * each hop of each piece of bytes from [delay_ns_min, delay_ns_max] and the order of equal instants.
 *
 * A host has a world of its own (what runs "on" it), an address and names. Connections between hosts run through
 * duress/toxic/link.h, as they do through the daemon; what a user of the proxy can do to a connection, a test can do
 * here through a relay: a simulated proxy that accepts at once, dials its upstream, and applies toxics.
 *
 * What is modelled and what is not stands in docs/worlds.md. */
#ifndef DURESS_WORLD_SIM_H
#define DURESS_WORLD_SIM_H

#include <duress/toxic/link.h>
#include <duress/world/world.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_sim;       /* the universe: virtual time and the network; opaque */
struct duress_sim_host;  /* opaque */
struct duress_sim_relay; /* opaque */

struct duress_sim_options {
    const struct duress_allocator *allocator; /* borrowed, outlives the simulation; NULL for the default */
    uint64_t seed;
    uint64_t delay_ns_min; /* of one hop of one piece; both 0 = 50 us … 5 ms for seeds other than 0, and none for seed
                              0, which takes delay_ns_min for every hop */
    uint64_t delay_ns_max;
    uint64_t events_max;      /* a livelock ends the run as DURESS_E_TOO_LARGE after so many events; 0 = 50 million */
    size_t send_buffer_bytes; /* of each end; 0 = 256 KiB */
    size_t receive_buffer_bytes; /* of each end; 0 = 256 KiB */
};

/* Makes an empty universe at virtual time DURESS_S (so that no instant is 0). Returns in *sim, free with
 * duress_sim_free(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. |options| may be NULL.
 */
DURESS_API DURESS_MUST_CHECK int duress_sim_new(const struct duress_sim_options *options, struct duress_sim **sim,
                                                struct duress_failure *why);

/* Frees it with all hosts, worlds and relays. */
DURESS_API void duress_sim_free(struct duress_sim *sim);

/* A universe with one host "localhost" in it, as that host's world; duress_world_free() frees all. */
DURESS_API DURESS_MUST_CHECK int duress_world_sim_new(uint64_t seed, struct duress_world **world);

/* The universe that a simulated world is in; NULL for a world of another kind. */
DURESS_API struct duress_sim *duress_world_sim_of(struct duress_world *world);

/* --- time and trace --- */
/* Virtual time, and the seed that it was made with. */
DURESS_API uint64_t duress_sim_now_ns(const struct duress_sim *sim);
DURESS_API uint64_t duress_sim_seed(const struct duress_sim *sim);

/* Hash over all events, draws and notes so far. */
DURESS_API uint64_t duress_sim_trace_hash(const struct duress_sim *sim);

/* How many events were executed. */
DURESS_API uint64_t duress_sim_event_count(const struct duress_sim *sim);

/* Told of every event and note as it is hashed: for a timeline or for finding the first difference between two runs. */
typedef void (*duress_sim_trace_fn)(void *context, uint64_t at_ns, const char *what, uint64_t a, uint64_t b);
DURESS_API void duress_sim_trace(struct duress_sim *sim, duress_sim_trace_fn fn, void *context);

/* Runs until |done| (NULL: never) is true (DURESS_OK), all events up to |deadline_ns| were executed and more are left
 * (DURESS_E_DEADLINE; virtual time is |deadline_ns| then), or nothing is left (DURESS_E_END; virtual time is that of
 * the last event, so arm a timer to let time pass). DURESS_E_TOO_LARGE: events_max is spent. DURESS_E_INVALID: from
 * inside a callback. */
DURESS_API int duress_sim_run_until(struct duress_sim *sim, duress_done_fn done, void *context, uint64_t deadline_ns);

/* The longest delay that the network has drawn for any hop so far, 0 where it drew none; times the hops of an exchange
 * it is what a test allows as slack. */
DURESS_API uint64_t duress_sim_delay_ns_max(const struct duress_sim *sim);

/* --- hosts --- */

/* Adds a host with the next address of 10.0.0.0/8, whose name resolves to it. |name| is copied. Every host is its own
 * loopback too: 127.0.0.1 on it reaches itself. INVALID (name taken, empty, over 63 bytes), NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_sim_host_new(struct duress_sim *sim, const char *name,
                                                     struct duress_sim_host **host);
DURESS_API struct duress_world *duress_sim_host_world(struct duress_sim_host *host);
DURESS_API struct duress_address duress_sim_host_address(const struct duress_sim_host *host, uint16_t port);

/* The process on the host dies (SIGKILL): its streams and listeners go as a kernel closes them (FIN, or RST where bytes
 * lie unread), its timers and queued calls are forgotten, none of its callbacks comes any more. Objects of its world
 * may still be freed, without effect. duress_sim_host_restart() makes it live again with the same world object, empty.
 */
DURESS_API void duress_sim_host_kill(struct duress_sim_host *host);

/* The machine loses power: as above, but nothing is sent to anybody; what comes for it vanishes until it is back, and
 * then is answered by RST. */
DURESS_API void duress_sim_host_crash(struct duress_sim_host *host);
DURESS_API void duress_sim_host_restart(struct duress_sim_host *host);
DURESS_API bool duress_sim_host_is_up(const struct duress_sim_host *host);

/* The process on the host is stopped (SIGSTOP) or goes on (SIGCONT): none of its callbacks comes while it is stopped,
 * and what was due then comes afterwards, in order. Its kernel goes on: connections are taken into the accept queues
 * and bytes into the buffers as far as they have room. Nothing where it is not up. */
DURESS_API void duress_sim_host_freeze(struct duress_sim_host *host, bool frozen);

/* The process on the host may have |more| streams more than now (RLIMIT_NOFILE; UINT32_MAX: as many as it likes, as at
 * first and after its death). Beyond, connects fail with NO_DESCRIPTORS, and accepting pauses for 20 ms at a time,
 * while connections wait in the accept queues. */
DURESS_API void duress_sim_host_descriptors(struct duress_sim_host *host, uint32_t more);

/* How many connections wait in the accept queues of the host. */
DURESS_API uint32_t duress_sim_host_queued(const struct duress_sim_host *host);

/* From now on what goes from |from| to |to| vanishes: SYNs go unanswered (and are retried after 1, 2, 4, … s, until the
 * caller gives up or 127 s have passed: CONNECT_TIMEOUT); bytes of open connections are held, as TCP retransmits, and
 * arrive after healing. One way; call it twice for both. */
DURESS_API void duress_sim_partition(struct duress_sim *sim, struct duress_sim_host *from, struct duress_sim_host *to);
DURESS_API void duress_sim_heal(struct duress_sim *sim, struct duress_sim_host *from, struct duress_sim_host *to);

/* There is no route to |host| any more (or again): connects fail with UNREACHABLE. */
DURESS_API void duress_sim_host_unreachable(struct duress_sim_host *host, bool unreachable);

/* The kernel of |host| stops answering SYNs to |port|, as with a full accept queue; open connections go on. */
DURESS_API void duress_sim_host_silence(struct duress_sim_host *host, uint16_t port, bool silent);

/* --- names --- */
enum duress_sim_name_fault {
    DURESS_SIM_NAME_OK = 0,
    DURESS_SIM_NAME_NOT_FOUND,
    DURESS_SIM_NAME_TEMPORARY,
    DURESS_SIM_NAME_SILENT, /* NAME_SILENT after the resolver's patience of 6 s, unless cancelled before */
    DURESS_SIM_NAME_WRONG,  /* answers |wrong| */
};
struct duress_sim_name {
    enum duress_sim_name_fault fault;
    uint64_t delay_ns;             /* before the answer */
    struct duress_address wrong;   /* what DURESS_SIM_NAME_WRONG answers */
    uint32_t fault_count;          /* the fault ends after so many questions; 0: it stays */
    struct duress_address address; /* the answer when there is no fault (any more); family NONE: the host of that name,
                                      or not found */
};
/* What the name server says of |name| from now on. Names of hosts resolve until told otherwise; others are not found.
 */
DURESS_API DURESS_MUST_CHECK int duress_sim_name_set(struct duress_sim *sim, const char *name,
                                                     const struct duress_sim_name *says);
/* How many questions for |name| reached the name server. */
DURESS_API uint64_t duress_sim_name_questions(const struct duress_sim *sim, const char *name);

/* --- relays --- */

/* A simulated proxy on |host|: listens on |port| (0: any), dials |upstream| for each connection (for
 * 10 s at the most) and runs the connection through a link with the relay's toxics, as the daemon does. Returns in
 * *relay, free with duress_sim_relay_free(). ADDRESS_IN_USE, NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_sim_relay_new(struct duress_sim_host *host, uint16_t port,
                                                      const struct duress_address *upstream,
                                                      struct duress_sim_relay **relay);
DURESS_API void duress_sim_relay_free(struct duress_sim_relay *relay);
DURESS_API struct duress_address duress_sim_relay_address(const struct duress_sim_relay *relay);

/* As duress_link_toxic_*, for all open connections and all later ones; but an update keeps the toxic's direction,
 * whatever |toxic| says. */
DURESS_API int duress_sim_relay_toxic_add(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                                          struct duress_failure *why);
DURESS_API int duress_sim_relay_toxic_update(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                                             struct duress_failure *why);
DURESS_API int duress_sim_relay_toxic_remove(struct duress_sim_relay *relay, uint64_t id);

/* Down: stops listening (new connects are refused) and closes all connections. Up: listens again, on the same port. */
DURESS_API void duress_sim_relay_down(struct duress_sim_relay *relay);
DURESS_API int duress_sim_relay_up(struct duress_sim_relay *relay);

/* Resets all open connections at both ends. */
DURESS_API void duress_sim_relay_cut(struct duress_sim_relay *relay);

/* New SYNs go unanswered (true), or are answered again. */
DURESS_API void duress_sim_relay_silence(struct duress_sim_relay *relay, bool silent);

/* What its connections have suffered so far: oldest first, ended ones included (the last 1024). */
DURESS_API void duress_sim_relay_visit(const struct duress_sim_relay *relay, duress_link_visit_fn fn, void *context);

/* The counts now. */
DURESS_API struct duress_relay_counts duress_sim_relay_counts(const struct duress_sim_relay *relay);

#ifdef __cplusplus
}
#endif

#endif
