/* SPDX-License-Identifier: Apache-2.0
 *
 * Two simulated hosts, a client on one and a listening server on the other. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "world_peer.h"

#include <duress/world/sim.h>

#define SEED_COUNT 20
#define PORT 80
#define FOR_EACH_SEED(seed) for (uint64_t seed = 0; seed < SEED_COUNT; seed++)

struct net {
    struct duress_sim *sim;
    struct duress_sim_host *a; /* the client's */
    struct duress_sim_host *b; /* the server's */
    struct door door;
    struct peer client;
    struct peer server;
};

void net_open_with(struct net *net, const struct duress_sim_options *options, uint32_t backlog);
void net_open(struct net *net, uint64_t seed);
/* Each hop takes a millisecond, neither more nor less. */
void net_open_steady(struct net *net, uint64_t seed, uint32_t backlog);
/* Opens, dials, and lets everything come to rest. */
void net_connect(struct net *net, uint64_t seed);
void net_close(struct net *net);

void net_dial(struct net *net);

/* Runs until nothing is left; returns what the run says. */
int net_rest(struct net *net);

/* Lets virtual time reach |at_ns| whatever happens. */
void net_pass_until(struct net *net, uint64_t at_ns);

/* The longest hop so far. */
uint64_t net_hop_ns(const struct net *net);

void assert_between(uint64_t value, uint64_t low, uint64_t high);

/* Writes until the socket takes no more; returns how much it took. */
size_t peer_flood(struct peer *peer);

#endif
