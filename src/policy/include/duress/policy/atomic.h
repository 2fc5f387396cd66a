/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door through which policies touch what threads share: a 64-bit number and five operations, all of them
 * sequentially consistent. Not public.
 *
 * A test that explores interleavings defines DURESS__ATOMIC_HEADER as the name of a header that supplies the same five
 * operations, each with a scheduling point, and compiles the policies again. */
#ifndef DURESS_POLICY_ATOMIC_H
#define DURESS_POLICY_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

/* Wrapped, so that a plain read or write does not compile by accident; a plain number inside, so that C++ can include
 * the headers that embed it. Zeroed memory is a valid 0. */
struct duress__atomic {
    uint64_t value __attribute__((aligned(8)));
};

#ifdef DURESS__ATOMIC_HEADER
#include DURESS__ATOMIC_HEADER
#else

/* uint64_t duress__atomic_load(const struct duress__atomic *atomic) */
#define duress__atomic_load(atomic) __atomic_load_n(&(atomic)->value, __ATOMIC_SEQ_CST)

/* void duress__atomic_store(struct duress__atomic *atomic, uint64_t desired) */
#define duress__atomic_store(atomic, desired) __atomic_store_n(&(atomic)->value, (desired), __ATOMIC_SEQ_CST)

/* uint64_t duress__atomic_exchange(struct duress__atomic *atomic, uint64_t desired): what it held before */
#define duress__atomic_exchange(atomic, desired) __atomic_exchange_n(&(atomic)->value, (desired), __ATOMIC_SEQ_CST)

/* uint64_t duress__atomic_add(struct duress__atomic *atomic, uint64_t addend): what it held before */
#define duress__atomic_add(atomic, addend) __atomic_fetch_add(&(atomic)->value, (addend), __ATOMIC_SEQ_CST)

/* bool duress__atomic_swap_if(struct duress__atomic *atomic, uint64_t *expected, uint64_t desired): true where it held
 * *expected and now holds |desired|; else false, and *expected is what it held. Never fails without reason. */
#define duress__atomic_swap_if(atomic, expected, desired)                                                              \
    __atomic_compare_exchange_n(&(atomic)->value, (expected), (desired), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#endif

/* Raises |atomic| to |floor| where it is lower. Lock-free: each turn of the loop means that another thread raised it.
 */
static inline void duress__atomic_raise(struct duress__atomic *atomic, uint64_t floor)
{
    uint64_t seen = duress__atomic_load(atomic);
    while (seen < floor && !duress__atomic_swap_if(atomic, &seen, floor))
        ;
}

#endif
