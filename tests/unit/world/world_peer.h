/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of both worlds share: an end of a connection that remembers what it was told, and an allocator that
 * counts and fails on demand. */
#ifndef WORLD_PEER_H
#define WORLD_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/world/world.h>

#define PEER_BYTES_MAX 65536

struct peer {
    struct duress_world *world;
    struct duress_stream *stream;  /* NULL: none yet, or closed */
    bool is_manual;                /* reads nothing by itself */
    unsigned seen;                 /* all events so far */
    unsigned last;                 /* the events of the latest callback */
    uint64_t at_ns;                /* of the latest callback */
    int error;                     /* of the connect */
    int end;                       /* END, RESET, … once a read said so; 0 before */
    size_t received;               /* bytes */
    uint8_t bytes[PEER_BYTES_MAX]; /* the first of them */
};

/* A listener that hands its first connection to |peer|, further ones to nobody: they are kept open in |others|. */
struct door {
    struct duress_listener *listener;
    struct peer *peer;
    struct duress_stream *others[16];
    size_t accepted;
};

int door_open(struct door *door, struct duress_world *world, struct duress_address address, uint32_t backlog,
              struct peer *peer);
void door_close(struct door *door);

/* Returns what duress_world_connect() does. */
int peer_connect(struct peer *peer, struct duress_world *world, struct duress_address address);
void peer_close(struct peer *peer);
void peer_abort(struct peer *peer);

/* Reads until AGAIN or the end. */
void peer_drain(struct peer *peer);

/* Writes |text| or fails the test. */
void peer_say(struct peer *peer, const char *text);
void peer_assert_heard(const struct peer *peer, const char *text);

/* Allocations are counted; the one with number |fail_at| (from 1) fails, and every later one too where |is_lasting|. */
struct counting_allocator {
    struct duress_allocator allocator;
    uint64_t calls;
    uint64_t fail_at;
    bool is_lasting;
    bool has_failed;
    size_t live_count;
};
void counting_allocator_init(struct counting_allocator *counting);

#endif
