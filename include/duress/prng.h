/* SPDX-License-Identifier: Apache-2.0
 *
 * A small pseudo-random generator: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. Not for secrets.
 * Each purpose draws from a stream of its own, so that a new draw in one place shifts no other. Integers only. Not
 * thread-safe: one owner for each generator. */
#ifndef DURESS_PRNG_H
#define DURESS_PRNG_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_prng {
    uint64_t state[4]; /* private */
};

#define DURESS_PPM UINT32_C(1000000) /* certainty, in parts per million */

/* Starts the stream |purpose| of |seed|. Equal arguments give equal streams for ever: seeds in bug reports stay valid.
 */
DURESS_API void duress_prng_init(struct duress_prng *prng, uint64_t seed, uint64_t purpose) DURESS_NONNULL(1);

/* A seed for a child stream, drawn from nothing but its arguments (a mixer, not a draw). */
DURESS_API uint64_t duress_prng_mix(uint64_t seed, uint64_t purpose);

/* The next 64 bits. */
DURESS_API uint64_t duress_prng_next(struct duress_prng *prng) DURESS_NONNULL(1);

/* Uniform in [0, bound), unbiased (Lemire 2019); 0 where |bound| is 0. */
DURESS_API uint64_t duress_prng_below(struct duress_prng *prng, uint64_t bound) DURESS_NONNULL(1);

/* Uniform in the closed range [low, high]; |low| where high < low. */
DURESS_API uint64_t duress_prng_between(struct duress_prng *prng, uint64_t low, uint64_t high) DURESS_NONNULL(1);

/* True with |probability_ppm| parts per million: always at DURESS_PPM and above, never at 0. Draws exactly once. */
DURESS_API bool duress_prng_chance(struct duress_prng *prng, uint32_t probability_ppm) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
