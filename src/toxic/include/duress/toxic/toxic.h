/* SPDX-License-Identifier: Apache-2.0
 *
 * Toxics: the kinds of fault that one direction of a proxied connection can suffer. A toxic is a value; what a link
 * does with it is in duress/toxic/link.h. The semantics are Toxiproxy's 2.x, without its defects, plus blackhole,
 * corrupt and cut. docs/toxics.md tells what happens on the wire. */
#ifndef DURESS_TOXIC_TOXIC_H
#define DURESS_TOXIC_TOXIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/prng.h>

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
    X(NOOP, "noop")             /* passes everything */                                                                \
    X(LATENCY, "latency")       /* each chunk leaves latency ± jitter after its arrival; keeps order */               \
    X(BANDWIDTH, "bandwidth")   /* at most so many bytes a second; 0 stalls without loss */                            \
    X(SLOW_CLOSE, "slow_close") /* holds the end of the stream back */                                                 \
    X(TIMEOUT, "timeout")       /* drops everything; closes after a time without a chunk */                            \
    X(RESET_PEER, "reset_peer") /* drops everything; RST to both sides after the first chunk or end, and a time */     \
    X(SLICER, "slicer")         /* cuts chunks into pieces, with a pause after each */                                 \
    X(LIMIT_DATA, "limit_data") /* closes after so many bytes */                                                       \
    X(BLACKHOLE, "blackhole")   /* bytes, FIN and RST vanish; nothing closes */                                        \
    X(CORRUPT, "corrupt")       /* flips bytes, at a seeded rate or at given offsets */                                \
    X(CUT, "cut")               /* after so many bytes of the direction: RST to both sides, or FIN */

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

/* A toxic as it is configured: a plain value, copied by whoever is given it. */
struct duress_toxic {
    uint64_t id; /* unique among the toxics of its owner; names its stream of chance: draws depend on (link seed, id) */
    enum duress_toxic_type type;
    enum duress_direction direction;
    uint32_t toxicity_ppm; /* the share of connections that it acts on; DURESS_PPM and above: all, 0: none */
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
    } as;
};

/* Name of a type as Toxiproxy's API spells it; NULL outside the enum. */
DURESS_API const char *duress_toxic_type_name(enum duress_toxic_type type);

/* Finds the type of that name (exact case). False where there is none. */
DURESS_API bool duress_toxic_type_from_name(const char *name, enum duress_toxic_type *type);

/* Checks the fields that |toxic|'s type uses. DURESS_OK, or DURESS_E_INVALID with the field, the value and what is
 * allowed in |why| (may be NULL). */
DURESS_API int duress_toxic_check(const struct duress_toxic *toxic, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
