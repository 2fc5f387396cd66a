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

/* How a world is made; |is_apart| as above. */
struct both_factory {
    const char *name;
    void (*open)(struct both *both, bool is_apart);
    void (*thaw)(struct both *both);
    void (*close)(struct both *both);
};

extern const struct both_factory both_sim;
extern const struct both_factory both_live;

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
    X(closed_connect_is_never_heard_of)                                                                                \
    X(name_not_found)                                                                                                  \
    X(numeric_name_needs_no_server)                                                                                    \
    X(unix_socket_without_listener_refuses)                                                                            \
    X(unix_abort_is_an_end)                                                                                            \
    X(unix_close_over_unread_bytes_is_a_reset)                                                                         \
    X(unix_full_accept_queue_leaves_the_connect_waiting)

#define X(name) void name(const struct both_factory *factory);
BOTH_SCENARIO_LIST(X)
#undef X

#endif
