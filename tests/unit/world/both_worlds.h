/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenarios that run in the live and in the simulated world: what docs/worlds.md says of both. */
#ifndef BOTH_WORLDS_H
#define BOTH_WORLDS_H

#include "world_peer.h"

/* Two processes and the network between them, in one of the worlds. */
struct both {
    const char *name;
    struct duress_world *client;
    struct duress_world *server;     /* live: the same world, unless it was opened apart */
    struct duress_address address;   /* where the server may listen; port 0 */
    struct duress_address unix_path; /* likewise */
    bool is_apart;                   /* the server's process is stopped until both_thaw() */
    void *private;
};

/* What becomes of what the two send to each other. */
enum both_path {
    BOTH_PATH_OPEN,
    BOTH_PATH_CUT,         /* it is lost, both ways */
    BOTH_PATH_UNREACHABLE, /* likewise, and a router says so */
    BOTH_PATH_ROUGH,       /* live: some is lost, doubled or overtaken */
    BOTH_PATH_DEAD_END,    /* the server's machine has no power; OPEN: it has again, and its process is gone */
};

/* How a world is made; |is_apart| as above; |hop_ns|: how long a hop takes, 0 for what it takes by itself. */
struct both_factory {
    const char *name;
    void (*open)(struct both *both, bool is_apart, uint64_t hop_ns);
    void (*thaw)(struct both *both);
    void (*close)(struct both *both);
    /* For the scenarios of paths alone, else NULL. Each fate but OPEN must be shown to have befallen something. */
    void (*path)(struct both *both, enum both_path path);
    struct duress_address (*reach)(struct duress_address listening); /* as the client sees it; NULL: the same */
};

extern const struct both_factory both_sim;
extern const struct both_factory both_live;
extern const struct both_factory both_live_path;

/* Each scenario, by the name that docs/worlds.md gives. */
#define BOTH_SCENARIO_LIST(X)                                                                                          \
    X(connect_to_a_closed_port_is_refused)                                                                             \
    X(address_in_use_is_told)                                                                                          \
    X(fin_comes_after_all_bytes)                                                                                       \
    X(rst_comes_after_the_bytes_before_it)                                                                             \
    X(rst_behind_a_fin_reads_as_the_end)                                                                               \
    X(rst_behind_both_fins_is_not_heard)                                                                               \
    X(reset_while_waiting_to_be_accepted)                                                                              \
    X(readable_comes_as_long_as_it_is_true)                                                                            \
    X(writing_to_a_closed_peer_brings_an_rst)                                                                          \
    X(close_over_unread_bytes_is_an_rst)                                                                               \
    X(half_close_lets_the_other_direction_go_on)                                                                       \
    X(write_after_shutdown_is_refused)                                                                                 \
    X(a_peer_that_does_not_read_pushes_back)                                                                           \
    X(closing_a_listener_resets_what_waits)                                                                            \
    X(full_accept_queue_leaves_the_connect_waiting)                                                                    \
    X(accept_queue_has_room_for_a_burst)                                                                               \
    X(closed_connect_is_never_heard_of)                                                                                \
    X(name_not_found)                                                                                                  \
    X(numeric_name_needs_no_server)                                                                                    \
    X(unix_socket_without_listener_refuses)                                                                            \
    X(unix_abort_is_an_end)                                                                                            \
    X(unix_close_over_unread_bytes_is_a_reset)                                                                         \
    X(unix_full_accept_queue_leaves_the_connect_waiting)

/* Those that need a path which can be cut: both_paths.c. */
#define BOTH_PATH_SCENARIO_LIST(X)                                                                                     \
    X(each_hop_takes_its_time)                                                                                         \
    X(bytes_keep_their_order_however_they_are_cut)                                                                     \
    X(loss_doubling_and_overtaking_are_hidden)                                                                         \
    X(bytes_and_fin_of_a_cut_path_arrive_after_healing)                                                                \
    X(rst_into_a_cut_path_is_lost_and_the_next_bytes_bring_another)                                                    \
    X(machine_without_power_is_silent_and_resets_once_it_is_back)                                                      \
    X(unreachable_host_is_told_to_connects_alone)                                                                      \
    X(host_that_nobody_knows_is_unreachable)

#define X(name) void name(const struct both_factory *factory);
BOTH_SCENARIO_LIST(X)
BOTH_PATH_SCENARIO_LIST(X)
#undef X

#endif
