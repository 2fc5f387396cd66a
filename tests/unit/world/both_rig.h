/* SPDX-License-Identifier: Apache-2.0
 *
 * A client and a server in one of the worlds, and what their scenarios wait for. */
#ifndef BOTH_RIG_H
#define BOTH_RIG_H

#include "both_worlds.h"

#define PATIENCE_NS (10 * DURESS_S)
#define QUIET_NS (50 * DURESS_MS)

struct rig {
    const struct both_factory *factory;
    struct both both;
    struct door door;
    struct peer client;
    struct peer server;
};

void rig_open(struct rig *rig, const struct both_factory *factory, bool is_apart);
void rig_close(struct rig *rig);

void listen_at(struct rig *rig, struct duress_address address, uint32_t backlog);

/* Where the client finds the listener. */
struct duress_address door_address(const struct rig *rig);

/* Listens and connects the two peers. */
void rig_dial(struct rig *rig);

/* Opens and dials; |is_manual|: the client's own reads and the server's. */
void rig_connect(struct rig *rig, const struct both_factory *factory, bool is_client_manual, bool is_server_manual);
void rig_connect_unix(struct rig *rig, const struct both_factory *factory, bool is_server_manual);

void rig_until(struct rig *rig, duress_done_fn done);

/* Lets time pass and whatever comes with it. */
void rig_pass(struct rig *rig, uint64_t delta_ns);

/* Conditions; |context| is the rig. */
bool are_connected(void *context);
bool client_has_failed(void *context);
bool client_has_ended(void *context);
bool client_is_hung_up(void *context);
bool client_is_readable(void *context);
bool client_is_writable(void *context);
bool server_is_accepted(void *context);
bool server_has_ended(void *context);
bool server_is_readable(void *context);

/* Writes a word; returns what the write did. */
int try_write(struct peer *peer);

/* Writes until the socket takes no more; returns how much it took. */
size_t rig_flood(struct peer *peer);

#endif
