/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop under a live world, for those who put sockets of their own on it (a proxy beside the agents). Not
 * installed. */
#ifndef DURESS_WORLD_LIVE_LOOP_H
#define DURESS_WORLD_LIVE_LOOP_H

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_loop;
struct duress_world;

/* Borrowed, lives as long as |world|; NULL for a world of another kind. */
DURESS_API struct duress_loop *duress__world_live_loop(struct duress_world *world);

#ifdef __cplusplus
}
#endif

#endif
