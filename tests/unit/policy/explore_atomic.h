/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the atomic operations of policies: each one is a step of an exploration. See explore.h. */
#ifndef EXPLORE_ATOMIC_H
#define EXPLORE_ATOMIC_H

uint64_t explore_load(const uint64_t *value);
void explore_store(uint64_t *value, uint64_t desired);
uint64_t explore_exchange(uint64_t *value, uint64_t desired);
uint64_t explore_add(uint64_t *value, uint64_t addend);
bool explore_swap_if(uint64_t *value, uint64_t *expected, uint64_t desired);

#define duress__atomic_load(atomic) explore_load(&(atomic)->value)
#define duress__atomic_store(atomic, desired) explore_store(&(atomic)->value, (desired))
#define duress__atomic_exchange(atomic, desired) explore_exchange(&(atomic)->value, (desired))
#define duress__atomic_add(atomic, addend) explore_add(&(atomic)->value, (addend))
#define duress__atomic_swap_if(atomic, expected, desired) explore_swap_if(&(atomic)->value, (expected), (desired))

#endif
