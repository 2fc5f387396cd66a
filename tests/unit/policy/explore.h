/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs two or three callers of a policy through every ordering of their atomic operations, and has the state checked
 * after each step of each ordering.
 *
 * A caller is a function that touches nothing but the policy, through its atomic operations, and memory of its own. So
 * all that it does follows from what its operations have returned so far. One step of a caller therefore needs neither
 * a thread nor a stack that is kept: the function is run again from its beginning, its operations answered as they were
 * before, then one operation is made in earnest, and the function is left where it would make the next.
 *
 * For the same reason two orderings that have led to the same shared memory and given every caller the same answers go
 * on alike: the second is not followed (its orderings are counted all the same). What is compared is a hash of 128
 * bits. */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_CALLERS_MAX = 3 };

typedef void (*explore_caller_fn)(void *shared, void *own);

struct explore {
    const char *name;
    void *shared; /* the policy, made ready; as it was in the end */
    size_t shared_bytes;
    size_t control_bytes; /* of these the first: what lies behind them is statistics, written and never looked at by the
                           * callers, so that the ordering of its operations makes no difference and they are no steps.
                           * 0: there are none */
    int caller_count;
    explore_caller_fn callers[EXPLORE_CALLERS_MAX];
    void *own[EXPLORE_CALLERS_MAX]; /* as the caller begins with it; during a check as it is before its next step */
    size_t own_bytes;
    /* Asserts what must be true after every step; |ended|: all callers have returned. May use the policy: its
     * operations are no steps then, and what they do is forgotten, but for what |own| is told. */
    void (*check)(const struct explore *explore, bool ended);
};

struct explore_result {
    uint64_t orderings; /* at most UINT64_MAX */
    uint64_t states;
};

/* Explores, and prints how much that was. */
struct explore_result explore_run(const struct explore *explore);

/* For checks: prints the ordering that has led here, as the callers' numbers, a step each. */
void explore_print_ordering(void);

/* For checks, beside cmocka: fails the test after the ordering was printed. */
#define EXPLORE_CHECK(condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            explore_print_ordering();                                                                                  \
            fail_msg("%s", #condition);                                                                                \
        }                                                                                                              \
    } while (0)

#endif
