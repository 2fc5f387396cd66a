/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the atomic operations of policies: each one first passes a point at which a test may let "another
 * thread" run. See test_policy_preempted.c. */
#ifndef PREEMPT_ATOMIC_H
#define PREEMPT_ATOMIC_H

void preempt_point(void);

#define duress__atomic_load(atomic) (preempt_point(), (atomic)->value)
#define duress__atomic_store(atomic, desired) (preempt_point(), (void)((atomic)->value = (desired)))
#define duress__atomic_exchange(atomic, desired) preempt_exchange(&(atomic)->value, (desired))
#define duress__atomic_add(atomic, addend) preempt_add(&(atomic)->value, (addend))
#define duress__atomic_swap_if(atomic, expected, desired) preempt_swap_if(&(atomic)->value, (expected), (desired))

static inline uint64_t preempt_exchange(uint64_t *value, uint64_t desired)
{
    preempt_point();
    uint64_t before = *value;
    *value = desired;
    return before;
}

static inline uint64_t preempt_add(uint64_t *value, uint64_t addend)
{
    preempt_point();
    *value += addend;
    return *value - addend;
}

static inline bool preempt_swap_if(uint64_t *value, uint64_t *expected, uint64_t desired)
{
    preempt_point();
    if (*value != *expected) {
        *expected = *value;
        return false;
    }
    *value = desired;
    return true;
}

#endif
