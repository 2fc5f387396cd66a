/* SPDX-License-Identifier: Apache-2.0
 *
 * The proxies that are compared, each a process of its own between a port and the one server of the load. */
#ifndef DURESS_BENCH_CONTENDER_H
#define DURESS_BENCH_CONTENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum contender_kind {
    DIRECT = 0, /* no proxy at all */
    FLOOR_SPLICE,
    FLOOR_COPY,
    DURESS,     /* one worker */
    DURESS_TWO, /* two workers */
    HAPROXY,
    TOXIPROXY,
    CONTENDER_COUNT
};

struct contender {
    const char *name;
    enum contender_kind kind;
    pid_t pid; /* 0: not running */
    int input; /* its standard input: closing it ends ours */
    FILE *output;
    uint16_t port; /* where clients connect */
    char config[64];
    char counts[128]; /* what it said at its end */
};

/* A latency toxic; all zero: none. */
struct contender_toxic {
    unsigned latency_ms;
    unsigned buffer_mib; /* of a direction; ours only */
    bool is_upstream;
};

/* Starts |contender| in front of |upstream|. False where it is not installed, or has
 * no toxics. |folder|: where floor and serve are. */
bool contender_start(struct contender *contender, enum contender_kind kind, const char *folder, uint16_t upstream,
                     struct contender_toxic toxic);
void contender_stop(struct contender *contender);

/* Processor time of all its threads so far. */
uint64_t contender_cpu_ns(const struct contender *contender);

/* Memory that is its own, without the pages of files. */
uint64_t contender_memory_bytes(const struct contender *contender);

#endif
