/* SPDX-License-Identifier: Apache-2.0
 *
 * The two halves of the live world's name resolution: questions (live_resolve.c) and the channel
 * (live_resolve_channel.c). */
#ifndef DURESS_WORLD_LIVE_RESOLVE_H
#define DURESS_WORLD_LIVE_RESOLVE_H

#include <ares.h>

#include "live_private.h"

struct live_question {
    struct duress_resolution base;
    struct live_question *next;
    struct live_question **link; /* what points to this one */
    struct duress_later answer;  /* tells the asker, once |error| and the addresses are known */
    bool asked;                  /* c-ares holds a pointer to this */
    bool cancelled;              /* nobody is to be told; freed when c-ares lets go */
    uint16_t port;
    int error;
    struct duress_address *addresses;
    size_t address_count;
};

/* A descriptor of c-ares. */
struct live_watch {
    struct duress_socket socket;
    struct live_resolver *resolver;
    struct live_watch *next;
};

struct live_resolver {
    struct live_world *world;
    ares_channel channel; /* NULL where it could not be made */
    struct live_question *questions;
    size_t wanted_count;          /* of those asked, how many are not cancelled */
    struct live_watch *watches;   /* a handful: at most two for each name server */
    struct duress_timer patience; /* c-ares must look at its clock */
    struct duress_later give_up;  /* no question is wanted any more, or no descriptor can be watched */
    bool watch_failed;
    bool out_of_descriptors; /* the last socket that c-ares wanted could not be had; it calls that a refusal */
};

/* After each call into c-ares: sets the timer for what it waits for. */
void duress__live_resolver_follow(struct live_resolver *resolver);

#endif
