/* SPDX-License-Identifier: Apache-2.0
 *
 * Toxics: the kinds of fault that one direction of a proxied connection can suffer. A toxic is a value; what a link
 * does with it is in duress/toxic/link.h; its attributes as JSON and people know them are in duress/toxic/attribute.h.
 * The semantics of the first eight are Toxiproxy's 2.x, without its defects. docs/toxics.md tells what happens on the
 * wire. */
#ifndef DURESS_TOXIC_TOXIC_H
#define DURESS_TOXIC_TOXIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/prng.h>
#include <duress/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Toxiproxy's words: upstream is from the client to the server, downstream from the server to the client. */
enum duress_direction {
    DURESS_UPSTREAM = 0,
    DURESS_DOWNSTREAM = 1,
};
#define DURESS_DIRECTION_COUNT 2

/*  X(NAME, "name") */
#define DURESS_TOXIC_LIST(X)                                                                                           \
    X(NOOP, "noop")               /* passes everything */                                                              \
    X(LATENCY, "latency")         /* each chunk leaves latency ± jitter after its arrival; keeps order */             \
    X(BANDWIDTH, "bandwidth")     /* at most so many bytes a second; 0 stalls without loss */                          \
    X(SLOW_CLOSE, "slow_close")   /* holds the end of the stream back */                                               \
    X(TIMEOUT, "timeout")         /* drops everything; closes after a time without a chunk */                          \
    X(RESET_PEER, "reset_peer")   /* drops everything; RST to both sides after the first chunk or end, and a time */   \
    X(SLICER, "slicer")           /* cuts chunks into pieces, with a pause after each */                               \
    X(LIMIT_DATA, "limit_data")   /* closes after so many bytes */                                                     \
    X(BLACKHOLE, "blackhole")     /* bytes, FIN and RST vanish; nothing closes */                                      \
    X(CORRUPT, "corrupt")         /* flips bytes, at a seeded rate or at given offsets */                              \
    X(CUT, "cut")                 /* after so many bytes of the direction: RST to both sides, or FIN */                \
    X(PACKET_LOSS, "packet_loss") /* segments are lost in bursts and come with a retransmission: gaps */               \
    X(LIMIT_TIME, "limit_time")   /* closes after a time, though data flows */                                         \
    X(UNPLUG, "unplug")           /* works for a time, then holds everything; closes nothing */                        \
    X(SLOW_OPEN, "slow_open")     /* the dial begins later */                                                          \
    X(REFUSE, "refuse")           /* the client gets an RST in place of a dial */                                      \
    X(FAIL_FIRST, "fail_first")   /* as refuse, for the first so many connections */                                   \
    X(SHARED_BANDWIDTH, "shared_bandwidth")   /* at most so many bytes a second for all connections together */        \
    X(LATENCY_NORMAL, "latency_normal")       /* delays of a normal distribution */                                    \
    X(LATENCY_PARETO, "latency_pareto")       /* delays of a Pareto distribution: a heavy tail */                      \
    X(LATENCY_QUANTILES, "latency_quantiles") /* delays as measured somewhere */

enum duress_toxic_type {
#define X(name, text) DURESS_TOXIC_##name,
    DURESS_TOXIC_LIST(X)
#undef X
        DURESS_TOXIC_TYPE_COUNT
};

enum duress_cut_how {
    DURESS_CUT_RST = 0, /* both sides get an RST, after the bytes that were let through */
    DURESS_CUT_FIN = 1, /* both sides get a FIN (full close), after the bytes that were let through */
};

#define DURESS_CORRUPT_OFFSETS_MAX 8

/* The share of all delays, in parts per million, that is below each entry of latency_quantiles. */
#define DURESS_QUANTILE_COUNT 6
#define DURESS_QUANTILES_PPM                                                                                           \
    {                                                                                                                  \
        0, 500000, 900000, 990000, 999000, 1000000                                                                     \
    }

#define DURESS_SCHEDULE_PERIOD_NS_MIN (10 * DURESS_MS)

#define DURESS_PACKET_LOSS_RTO_NS_DEFAULT (200 * DURESS_MS) /* Linux's least */
#define DURESS_PACKET_LOSS_SEGMENT_BYTES_DEFAULT 1460       /* of Ethernet, IPv4 and TCP without options */

struct duress_bandwidth_pool; /* opaque; duress/toxic/bandwidth_pool.h */

/* A toxic as it is configured: a plain value, copied by whoever is given it. */
struct duress_toxic {
    uint64_t id; /* unique among the toxics of its owner; names its stream of chance: draws depend on (link seed, id) */
    enum duress_toxic_type type;
    enum duress_direction direction;
    uint32_t toxicity_ppm; /* the share of connections that it acts on; DURESS_PPM and above: all, 0: none */
    uint64_t ttl_ns;       /* time to live: so long after |since_ns| it has removed itself; 0: it stays */
    uint64_t period_ns;    /* a schedule: it acts in the first |on_ns| of each period since |since_ns|; 0: always */
    uint64_t on_ns;
    uint64_t since_ns; /* the instant of its last change; owners of many links (a proxy, a relay) set it */
    union {
        struct {
            uint64_t latency_ns;
            uint64_t jitter_ns; /* uniform in [-jitter, jitter); a negative sum means no wait */
        } latency;
        struct {
            uint64_t rate_bytes_per_s; /* 0 stalls until the toxic is changed or removed; nothing is lost */
        } bandwidth;
        struct {
            uint64_t delay_ns;
        } slow_close;
        struct {
            uint64_t timeout_ns; /* 0: never closes */
        } timeout;
        struct {
            uint64_t timeout_ns;
        } reset_peer;
        struct {
            uint64_t average_bytes;   /* average + variation = 0: does not slice */
            uint64_t variation_bytes; /* clamped to the average */
            uint64_t delay_ns;
        } slicer;
        struct {
            uint64_t bytes_max; /* 0: closes on the first chunk, forwarding nothing */
        } limit_data;
        struct {
            uint32_t rate_ppm; /* chance of each byte to have one random bit flipped */
            uint32_t offset_count;
            uint64_t
                offsets[DURESS_CORRUPT_OFFSETS_MAX]; /* bytes of the direction, counted from 0, whose bits all flip */
        } corrupt;
        struct {
            uint64_t after_bytes; /* counted since the toxic became active on the link; 0: at once */
            enum duress_cut_how how;
        } cut;
        struct {
            uint32_t loss_ppm;          /* chance of a segment to be lost, in the good state */
            uint32_t correlation_ppm;   /* added to the chance after a loss */
            uint32_t good_to_bad_ppm;   /* chance, before each transmission, to come into the bad state */
            uint32_t bad_to_good_ppm;   /* and out of it; 0: never */
            uint32_t bad_loss_ppm;      /* chance of a segment to be lost, in the bad state */
            uint32_t segment_bytes_max; /* 0 = DURESS_PACKET_LOSS_SEGMENT_BYTES_DEFAULT */
            uint64_t rto_ns;            /* the first retransmission timeout; 0 = DURESS_PACKET_LOSS_RTO_NS_DEFAULT */
        } packet_loss;
        struct {
            uint64_t time_ns; /* since the connection was there, or the toxic was added; 0: at once */
        } limit_time;
        struct {
            uint64_t after_ns; /* since the connection was there, or the toxic was added; 0: at once */
        } unplug;
        struct {
            uint64_t delay_ns; /* between the accept and the dial; those of several toxics add up */
        } slow_open;
        struct {
            uint64_t connections;      /* how many fail */
            uint64_t after_connection; /* the number of the last one before they count; owners of many links set it */
        } fail_first;
        struct {
            uint64_t rate_bytes_per_s;          /* 0 stalls until the toxic is changed or removed; nothing is lost */
            struct duress_bandwidth_pool *pool; /* what is shared; owners of many links set it. NULL: the link's own */
        } shared_bandwidth;
        struct {
            uint64_t latency_ns;   /* the mean; a delay below 0 means no wait */
            uint64_t deviation_ns; /* the standard deviation */
        } latency_normal;
        struct {
            uint64_t latency_ns;       /* the least delay */
            uint64_t shape_hundredths; /* the tail's index times 100, from 1: the smaller, the heavier */
            uint64_t limit_ns;         /* the greatest delay; 0: no limit */
        } latency_pareto;
        struct {
            /* Delays that DURESS_QUANTILES_PPM of all stay below, in rising order. 0 (but for the first): not measured,
             * and drawn as if it lay on the line between its neighbours. */
            uint64_t quantiles_ns[DURESS_QUANTILE_COUNT];
        } latency_quantiles;
    } as;
};

/* Name of a type as Toxiproxy's API spells it; NULL outside the enum. */
DURESS_API const char *duress_toxic_type_name(enum duress_toxic_type type);

/* Finds the type of that name (exact case). False where there is none. */
DURESS_API bool duress_toxic_type_from_name(const char *name, enum duress_toxic_type *type);

/* The instant at which |toxic| has removed itself; DURESS_TIME_NEVER where it has no time to live. */
static inline uint64_t duress_toxic_expires_ns(const struct duress_toxic *toxic)
{
    return toxic->ttl_ns > 0 ? duress_time_add(toxic->since_ns, toxic->ttl_ns) : DURESS_TIME_NEVER;
}

/* A number for |name| that depends on nothing but (seed, name), for ever. What makes a daemon's draws repeatable:
 *
 *     proxy seed  = duress_seed_for_name(seed, name of the proxy)
 *     toxic id    = duress_seed_for_name(0, name of the toxic)
 *     link seed   = duress_prng_mix(proxy seed, number of the connection, from 1) */
DURESS_API uint64_t duress_seed_for_name(uint64_t seed, const char *name) DURESS_NONNULL(2);

/* Checks the fields that |toxic|'s type uses. DURESS_OK, or DURESS_E_INVALID with the field, the value and what is
 * allowed in |why| (may be NULL). */
DURESS_API int duress_toxic_check(const struct duress_toxic *toxic, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
