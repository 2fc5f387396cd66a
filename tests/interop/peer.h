/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two sides of interop_peer share. */
#ifndef DURESS_TESTS_INTEROP_PEER_H
#define DURESS_TESTS_INTEROP_PEER_H

#include <duress/world/world.h>

/* A message of |role|, or the end of the program. */
struct duress_message *peer_message(const char *role, struct duress_slice content, struct duress_slice metadata);

/* Asks the echo at |url|, behind a server in Go or Python, in all ways, prints what is amiss, and returns the exit
 * code. */
int peer_ask(struct duress_world *world, const char *url, bool is_go);

#endif
