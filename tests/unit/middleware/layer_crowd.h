/* SPDX-License-Identifier: Apache-2.0
 *
 * A crowd of calls through layers around a local service. */
#ifndef DURESS_TESTS_LAYER_CROWD_H
#define DURESS_TESTS_LAYER_CROWD_H

#include "crowd.h"
#include "layer_test.h"

struct layer_crowd {
    struct layer_test test;
    struct crowd crowd;
    struct duress_retry_budget budget; /* for layers that share one */
};

/* Puts the layers under test around |inner|, as crowd->test.agent. */
typedef void (*layer_crowd_wrap_fn)(struct layer_crowd *crowd, struct duress_agent *inner);

static inline void layer_crowd_open(struct layer_crowd *crowd, const struct crowd_plan *plan, uint64_t seed)
{
    struct duress_retry_budget_options budget = {.capacity = 200, .deposit_milli = 100};
    layer_test_open(&crowd->test, seed);
    assert_int_equal(duress_retry_budget_init(&crowd->budget, &budget, NULL), DURESS_OK);
    crowd_init(&crowd->crowd, plan, &crowd->test.rig, seed);
}

/* When the last call has ended nothing at all is left to happen. Close with layer_test_close(). */
static inline void layer_crowd_run(struct layer_crowd *crowd, const struct crowd_plan *plan, layer_crowd_wrap_fn wrap,
                                   uint64_t seed)
{
    layer_crowd_open(crowd, plan, seed);
    crowd_join_service(&crowd->crowd, &crowd->test.service);
    wrap(crowd, crowd->test.service.agent);
    crowd_run(&crowd->crowd, crowd->test.agent);
    crowd_assert_quiet(&crowd->crowd);
    assert_int_equal(crowd->test.service.running, 0);
}

/* Every call was counted once at its begin and once at its end. */
static inline void assert_settled(struct duress_layer_counts counts, uint64_t begun_min)
{
    assert_balanced(counts);
    assert_int_equal(counts.in_flight, 0);
    assert_true(counts.begun >= begun_min);
}

#endif
