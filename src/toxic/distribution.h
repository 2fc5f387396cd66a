/* SPDX-License-Identifier: Apache-2.0
 *
 * Delays by distribution, in whole numbers: equal streams of chance give equal delays on every machine and with every
 * compiler, which floating point does not promise. */
#ifndef DURESS_TOXIC_DISTRIBUTION_H
#define DURESS_TOXIC_DISTRIBUTION_H

#include <stdint.h>

#include <duress/prng.h>

/* Normal: ratio of uniforms (Kinderman and Monahan, 1977). What is below 0 is 0. Exact to 2^-16 deviations. */
uint64_t duress__draw_normal_ns(struct duress_prng *prng, uint64_t mean_ns, uint64_t deviation_ns);

/* Pareto, by inversion: |least_ns| · u^(-1/shape) for a uniform u of 32 bits, so the tail ends at 2^(32/shape) times
 * the least. |shape_hundredths| is the shape times 100, not 0. No more than |limit_ns|, where that is not 0. */
uint64_t duress__draw_pareto_ns(struct duress_prng *prng, uint64_t least_ns, uint64_t shape_hundredths,
                                uint64_t limit_ns);

/* Through the DURESS_QUANTILE_COUNT points of |quantiles_ns| (see struct duress_toxic), uniform between two of them. */
uint64_t duress__draw_quantiles_ns(struct duress_prng *prng, const uint64_t *quantiles_ns);

#endif
