/* SPDX-License-Identifier: Apache-2.0 */
#include "distribution.h"

#include <duress/time.h>
#include <duress/toxic/toxic.h>

/* Binary fractions: LOG_BITS behind the point for logarithms, EXP_BITS for powers. */
#define LOG_BITS 24
#define EXP_BITS 30
#define ONE_32 (UINT64_C(1) << 32)

#define LN_2_32 UINT64_C(2977044472)         /* ln 2 · 2^32 */
#define ROOT_2_DIV_E_32 UINT64_C(3684067843) /* √(2/e) · 2^32 */

/* Uniform from 1 to 2^32: a fraction of 2^32 that is never 0. */
static uint64_t draw_fraction(struct duress_prng *prng)
{
    return (duress_prng_next(prng) >> 32) + 1;
}

/* -log2(fraction / 2^32), in 2^-LOG_BITS. One binary digit at a time: squaring a number doubles its logarithm. */
static uint64_t minus_log2(uint64_t fraction)
{
    if (fraction >= ONE_32)
        return 0;
    uint64_t whole = 1;
    for (; fraction < ONE_32 / 2; fraction *= 2)
        whole++;
    uint64_t digits = 0; /* of log2 of the mantissa, which is from 1 to 2, with 31 bits behind the point */
    for (unsigned i = 0; i < LOG_BITS; i++) {
        fraction = (fraction * fraction) >> 31;
        digits *= 2;
        if (fraction < ONE_32)
            continue;
        fraction /= 2;
        digits++;
    }
    return (whole << LOG_BITS) - digits;
}

/* |value| · 2^|exponent|, the exponent in 2^-LOG_BITS; at most DURESS_TIME_NEVER. The fraction's power is the series of
 * e^x for x below ln 2, whose thirteenth term is below the last bit. */
static uint64_t multiply_exp2(uint64_t value, uint64_t exponent)
{
    const uint64_t one = UINT64_C(1) << EXP_BITS;
    uint64_t whole = exponent >> LOG_BITS;
    uint64_t x = ((exponent & ((1U << LOG_BITS) - 1)) * (LN_2_32 >> (32 - EXP_BITS))) >> LOG_BITS;
    uint64_t power = one;
    for (uint64_t term = 12; term > 0; term--)
        power = one + ((x * power) >> EXP_BITS) / term;
    value = duress_time_min(value, UINT64_MAX / 4);
    uint64_t product = (value >> EXP_BITS) * power + (((value & (one - 1)) * power) >> EXP_BITS);
    if (whole < 64)
        return duress_time_multiply(product, UINT64_C(1) << whole);
    return product > 0 ? DURESS_TIME_NEVER : 0;
}

/* Standard normal, without its sign, in 2^-16. A point (u, v) of a rectangle is taken where it lies within the region
 * v² <= -4 u² ln u, and then v / u is the number; three of four are. */
static uint64_t draw_half_normal_16(struct duress_prng *prng)
{
    for (;;) {
        uint64_t u = draw_fraction(prng);
        uint64_t v = duress_prng_below(prng, ROOT_2_DIV_E_32 + 1);
        uint64_t ratio = (v << 16) / u;
        if (ratio >= UINT64_C(10) << 16)
            continue; /* Nothing so far out is taken: -4 ln 2^-32 is below 10². */
        uint64_t minus_4_ln_u = 4 * ((minus_log2(u) * LN_2_32) >> LOG_BITS);
        if (ratio * ratio <= minus_4_ln_u)
            return ratio;
    }
}

uint64_t duress__draw_normal_ns(struct duress_prng *prng, uint64_t mean_ns, uint64_t deviation_ns)
{
    uint64_t ratio = draw_half_normal_16(prng);
    bool is_below = duress_prng_next(prng) % 2 == 0;
    deviation_ns = duress_time_min(deviation_ns, UINT64_MAX / 32);
    uint64_t off_ns = (deviation_ns >> 16) * ratio + (((deviation_ns & 0xffff) * ratio) >> 16);
    if (!is_below)
        return duress_time_add(mean_ns, off_ns);
    return mean_ns > off_ns ? mean_ns - off_ns : 0;
}

uint64_t duress__draw_pareto_ns(struct duress_prng *prng, uint64_t least_ns, uint64_t shape_hundredths,
                                uint64_t limit_ns)
{
    uint64_t exponent = minus_log2(draw_fraction(prng)) * 100 / shape_hundredths;
    uint64_t delay_ns = multiply_exp2(least_ns, exponent);
    return limit_ns > 0 ? duress_time_min(delay_ns, limit_ns) : delay_ns;
}

uint64_t duress__draw_quantiles_ns(struct duress_prng *prng, const uint64_t *quantiles_ns)
{
    static const uint32_t shares_ppm[DURESS_QUANTILE_COUNT] = DURESS_QUANTILES_PPM;
    uint64_t share_ppm = duress_prng_below(prng, DURESS_PPM);
    uint64_t low_ns = quantiles_ns[0];
    for (unsigned i = 1; i < DURESS_QUANTILE_COUNT; i++) {
        if (quantiles_ns[i] == 0)
            continue;
        if (share_ppm < shares_ppm[i])
            return duress_prng_between(prng, low_ns, quantiles_ns[i]);
        low_ns = quantiles_ns[i];
    }
    return low_ns; /* Nothing was measured so far out. */
}
