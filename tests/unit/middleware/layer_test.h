/* SPDX-License-Identifier: Apache-2.0
 *
 * A service in virtual time and what is said of every layer. */
#ifndef DURESS_TESTS_LAYER_TEST_H
#define DURESS_TESTS_LAYER_TEST_H

#include "rig.h"

#include <duress/middleware/stack.h>

struct layer_test {
    struct rig rig;
    struct rig_service service; /* on the client host, where the layers are */
    struct duress_agent *agent; /* the outermost layer */
};

static inline void layer_test_open(struct layer_test *test, uint64_t seed)
{
    rig_open(&test->rig, seed);
    rig_service_open(&test->service, test->rig.client, "service");
    test->agent = NULL;
}

/* Nothing is left: no timer, no call, no memory. */
static inline void layer_test_close(struct layer_test *test)
{
    duress_agent_unref(test->agent);
    rig_run_dry(&test->rig);
    assert_int_equal(test->service.running, 0);
    rig_service_close(&test->service);
    rig_close(&test->rig);
}

static inline void assert_balanced(struct duress_layer_counts counts)
{
    assert_int_equal(counts.begun, counts.succeeded + counts.failed + counts.timed_out + counts.cancelled +
                                       counts.refused + counts.in_flight);
}

static inline struct rig_answer layer_test_ask(struct layer_test *test, const char *text, uint64_t deadline_ns,
                                               bool idempotent)
{
    struct rig_answer answer = {.ended = 0};
    rig_ask_by(test->agent, text, deadline_ns, idempotent, &answer);
    rig_run_until_ended(&test->rig, &answer);
    return answer;
}

static inline void service_fails(struct rig_service *service, uint32_t count, enum duress_error code, bool ambiguous)
{
    service->fail_count = count;
    duress_failure_set(&service->failure, code, DURESS_ORIGIN_AGENT, "as asked");
    service->failure.ambiguous = ambiguous;
}

#endif
