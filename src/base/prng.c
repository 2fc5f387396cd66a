/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/prng.h>

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

static uint64_t splitmix64_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

uint64_t duress_prng_mix(uint64_t seed, uint64_t purpose)
{
    uint64_t state = seed;
    uint64_t mixed = splitmix64_next(&state);
    state = mixed ^ rotate_left(purpose, 32) ^ UINT64_C(0xd1b54a32d192ed03);
    return splitmix64_next(&state) ^ purpose;
}

void duress_prng_init(struct duress_prng *prng, uint64_t seed, uint64_t purpose)
{
    uint64_t state = duress_prng_mix(seed, purpose);
    for (unsigned i = 0; i < 4; i++)
        prng->state[i] = splitmix64_next(&state);
    if ((prng->state[0] | prng->state[1] | prng->state[2] | prng->state[3]) == 0)
        prng->state[0] = 1; /* The all-zero state is the one fixed point. */
}

uint64_t duress_prng_next(struct duress_prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The 128-bit product of two 64-bit numbers: one instruction where the compiler has a type for it. */
#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 prng_wide;

static uint64_t multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
    prng_wide product = (prng_wide)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
}
#else
static uint64_t multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
    uint64_t a_low = (uint32_t)a;
    uint64_t a_high = a >> 32;
    uint64_t b_low = (uint32_t)b;
    uint64_t b_high = b >> 32;
    uint64_t low_low = a_low * b_low;
    uint64_t high_low = a_high * b_low;
    uint64_t low_high = a_low * b_high;
    uint64_t middle = (low_low >> 32) + (uint32_t)high_low + (uint32_t)low_high;
    *low = (middle << 32) | (uint32_t)low_low;
    return a_high * b_high + (high_low >> 32) + (low_high >> 32) + (middle >> 32);
}
#endif

uint64_t duress_prng_below(struct duress_prng *prng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    uint64_t low;
    uint64_t high = multiply_high(duress_prng_next(prng), bound, &low);
    if (low < bound) {
        uint64_t threshold = (UINT64_MAX - bound + 1) % bound;
        while (low < threshold)
            high = multiply_high(duress_prng_next(prng), bound, &low);
    }
    return high;
}

uint64_t duress_prng_between(struct duress_prng *prng, uint64_t low, uint64_t high)
{
    if (high <= low)
        return low;
    uint64_t span = high - low;
    return span == UINT64_MAX ? duress_prng_next(prng) : low + duress_prng_below(prng, span + 1);
}

bool duress_prng_chance(struct duress_prng *prng, uint32_t probability_ppm)
{
    return duress_prng_below(prng, DURESS_PPM) < probability_ppm;
}
