/* SPDX-License-Identifier: Apache-2.0
 *
 * A cache around a service in virtual time: what the tests of the cache layer share. */
#ifndef DURESS_TESTS_CACHE_TEST_H
#define DURESS_TESTS_CACHE_TEST_H

#include "layer_test.h"

#include <string.h>

#include <duress/middleware/cache.h>

/* A test's state is a layer_test that is open; it closes it itself. */
static inline int cache_test_setup(void **state)
{
    static struct layer_test the_test;
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

static inline void wrap(struct layer_test *test, const struct duress_cache_layer_options *options)
{
    assert_int_equal(duress_with_cache(test->service.agent, options, &test->agent, NULL), DURESS_OK);
}

static inline struct duress_cache_layer_counts counts_of(const struct layer_test *test)
{
    struct duress_cache_layer_counts counts = duress_cache_counts(test->agent);
    assert_balanced(counts.calls);
    assert_int_equal(counts.calls.begun,
                     counts.hits + counts.misses + counts.joined + counts.passed + counts.calls.refused);
    return counts;
}

static inline struct rig_answer ask(struct layer_test *test, const char *text)
{
    return layer_test_ask(test, text, 0, true);
}

static inline void takes(struct rig_service *service, uint64_t duration_ns)
{
    service->delay_ns_min = service->delay_ns_max = duration_ns;
}

static inline void begin_all(struct layer_test *test, struct rig_answer *answers, int count)
{
    memset(answers, 0, (size_t)count * sizeof *answers);
    for (int i = 0; i < count; i++)
        rig_ask_by(test->agent, "x", 0, true, &answers[i]);
}

#endif
