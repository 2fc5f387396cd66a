/* SPDX-License-Identifier: Apache-2.0
 *
 * A path between two ends on this machine whose every packet goes through our hands: what it loses, delays, doubles and
 * overtakes is ours to say and to count. It is a TUN device in a network namespace of this process. What is sent to
 * tun_path_there() comes back with its two addresses exchanged, which leaves every checksum as it was: a server that
 * listens at tun_path_here() takes it for a peer's, and its replies go the same way.
 *
 * The packets move while the world runs that the path was made on. */
#ifndef TUN_PATH_H
#define TUN_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/world/world.h>

enum tun_path_mode {
    TUN_PATH_OPEN,
    TUN_PATH_CUT,         /* everything is lost */
    TUN_PATH_UNREACHABLE, /* everything is lost, and a router on the way says so: ICMP, host unreachable */
    TUN_PATH_ROUGH,       /* some segments are lost, some come twice, some late: behind the next one */
};

struct tun_path_counts { /* of TCP segments, both ways together */
    uint64_t lost;
    uint64_t lost_rst;
    uint64_t doubled;
    uint64_t overtaken;
    uint64_t data;           /* segments that carry bytes */
    uint64_t data_bytes_max; /* of one of them */
};

struct tun_path;

/* What a test program that can have no such path ends with; ctest knows it. */
enum { TUN_EXIT_SKIPPED = 77 };

/* Puts the process into a network namespace of its own, with its loopback up, and tries whether a path can be made
 * there. NULL, or why not. Before the first thread is started. */
const char *tun_namespace_enter(void);

/* Sets a figure or a name below /proc/sys/net/ipv4/ of this namespace; false where that is not allowed. */
bool tun_namespace_set(const char *name, const char *value);

/* Makes a device to a net 10.67.0.0/24 in which nobody is, so that all questions for a neighbour go unanswered, and
 * lets the kernel ask in short intervals. Returns its descriptor, to be closed. */
int tun_empty_net_open(void);

/* Makes the one path of the namespace, or fails the test; a hop takes |hop_ns|. Free it before the world. */
struct tun_path *tun_path_new(struct duress_world *world, uint64_t hop_ns);
void tun_path_free(struct tun_path *path);

struct duress_address tun_path_here(uint16_t port);
struct duress_address tun_path_there(uint16_t port);

/* Takes up all that was sent until now. */
void tun_path_pump(struct tun_path *path);

/* What is under way has still the old fate; an open path begins to count anew. */
void tun_path_set(struct tun_path *path, enum tun_path_mode mode);
struct tun_path_counts tun_path_counts(const struct tun_path *path);

#endif
