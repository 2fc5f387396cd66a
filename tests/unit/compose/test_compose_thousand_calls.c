/* SPDX-License-Identifier: Apache-2.0
 *
 * A thousand calls at once through each composition, through compositions of compositions and of stacks, of which a
 * third is cancelled at random virtual instants, over many seeds: each ends exactly once, each that ends by itself is
 * reported exactly once, and no timer, no call and no memory is left. */
#include "compose_test.h"
#include "crowd.h"

#include <duress/middleware/stack.h>

enum { CALL_COUNT = CROWD_CALL_COUNT, SEED_COUNT = CROWD_SEED_COUNT, SERVICE_COUNT = 3 };

struct composed {
    struct crowd crowd;
    struct rig rig;
    struct rig_service services[SERVICE_COUNT];
    struct duress_agent *agents[SERVICE_COUNT];
    struct duress_agent *agent; /* under test */
    uint32_t expired;           /* the caller's own */
    uint32_t reports;
};

static struct composed the_composed;

static void composed_report(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct composed *composed = context;
    composed->reports++;
    assert_non_null(call);
    size_t replied = 0;
    for (size_t i = 0; i < report->count; i++) {
        assert_int_not_equal(report->parts[i].state, DURESS_PART_ASKED);
        replied += report->parts[i].reply != NULL;
    }
    assert_int_equal(replied, report->replied_count);
}

static void count_expired(struct crowd *crowd, struct crowd_call *call)
{
    (void)crowd;
    const struct rig_answer *answer = &call->answer;
    the_composed.expired += answer->error == DURESS_E_DEADLINE && answer->failure.origin == DURESS_ORIGIN_CALLER &&
                            strncmp(answer->failure.detail, "the call's deadline", 19) == 0;
}

/* Every answer its own delay; some fail, some never come, some come inside process(). */
static const struct crowd_plan plan = {
    .idempotent_ppm = 500000,
    .streaming_ppm = 300000,
    .deadline_ns_min = DURESS_S,
    .deadline_ns_range = DURESS_S,
    .moods =
        {.at_once_below = 10, .fail_below = 35, .silent_from = 97, .delay_ns_max = 200 * DURESS_MS, .streams = true},
    .on_end = count_expired,
};

typedef void (*compose_fn)(struct composed *composed);

static void composed_open(struct composed *composed, uint64_t seed)
{
    rig_open(&composed->rig, seed);
    crowd_init(&composed->crowd, &plan, &composed->rig, seed);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        rig_service_open(&composed->services[i], composed->rig.client, name);
        crowd_join_service(&composed->crowd, &composed->services[i]);
        composed->agents[i] = composed->services[i].agent;
    }
    composed->expired = composed->reports = 0;
}

static void composed_close(struct composed *composed)
{
    duress_agent_unref(composed->agent);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        assert_int_equal(composed->services[i].running, 0);
        assert_int_equal(duress_agent_in_flight_count(composed->agents[i]), 0);
        rig_service_close(&composed->services[i]);
    }
    rig_close(&composed->rig);
}

static void crowds_run(compose_fn compose)
{
    struct composed *composed = &the_composed;
    const struct crowd *crowd = &composed->crowd;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        composed_open(composed, seed);
        compose(composed);
        crowd_run(&composed->crowd, composed->agent);
        assert_in_range(crowd->cancelled, 100, CALL_COUNT / 3 + 1);
        assert_true(crowd->succeeded > 50);
        assert_int_equal(composed->reports, CALL_COUNT - crowd->cancelled - composed->expired);
        crowd_assert_quiet(&composed->crowd);
        composed_close(composed);
    }
}

/* --- one composition each --- */

static void compose_sequential(struct composed *composed)
{
    struct duress_sequential_options options = {.on_report = composed_report, .context = composed};
    assert_int_equal(duress_sequential_new(NULL, composed->agents, 3, &options, &composed->agent, NULL), DURESS_OK);
}

static void compose_parallel(struct composed *composed, struct duress_parallel_options options)
{
    options.on_report = composed_report;
    options.context = composed;
    assert_int_equal(duress_parallel_new(NULL, composed->agents, 3, &options, &composed->agent, NULL), DURESS_OK);
}

static void compose_collect(struct composed *composed)
{
    compose_parallel(composed, (struct duress_parallel_options){.limit_ns = 150 * DURESS_MS});
}

static void compose_all(struct composed *composed)
{
    compose_parallel(composed, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ALL});
}

static void compose_any(struct composed *composed)
{
    compose_parallel(composed, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ANY});
}

static void compose_two(struct composed *composed)
{
    compose_parallel(composed, (struct duress_parallel_options){.policy = DURESS_PARALLEL_AT_LEAST, .need = 2});
}

static void compose_fallback(struct composed *composed)
{
    struct duress_fallback_options options = {.annotate = true, .on_report = composed_report, .context = composed};
    assert_int_equal(duress_fallback_new(NULL, composed->agents, 3, &options, &composed->agent, NULL), DURESS_OK);
}

static void compose_quorum(struct composed *composed)
{
    struct duress_quorum_options options = {
        .grace_ns = 50 * DURESS_MS, .limit_ns = 190 * DURESS_MS, .on_report = composed_report, .context = composed};
    assert_int_equal(duress_quorum_new(NULL, composed->agents, 3, &options, &composed->agent, NULL), DURESS_OK);
}

static size_t choose_any(void *context, const struct duress_message *request, size_t count)
{
    struct composed *composed = context;
    (void)request;
    return (size_t)duress_prng_below(&composed->crowd.prng, count + 1);
}

static void compose_router(struct composed *composed)
{
    struct duress_choice_options options = {
        .otherwise = composed->agents[2], .annotate = true, .on_report = composed_report, .context = composed};
    assert_int_equal(duress_router_new(NULL, choose_any, composed->agents, 2, &options, &composed->agent, NULL),
                     DURESS_OK);
}

/* --- nested, with stacks inside and around --- */

static struct duress_agent *stack_of(struct duress_agent *inner, bool retries)
{
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 25, .recovery_ns = 10 * DURESS_MS, .probes_max = 3}};
    struct duress_timeout_options timeout = {.limit_ns = 150 * DURESS_MS};
    struct duress_stack_options options = {.breaker = &breaker, .timeout = &timeout};
    struct duress_agent *stack = NULL;
    if (retries)
        options.retry = &retry;
    assert_int_equal(duress_stack_new(inner, &options, &stack, NULL), DURESS_OK);
    return stack;
}

/* fallback( parallel(stack a, stack b), quorum(a, stack b, c) ), then one of two of that */
static void compose_nested(struct composed *composed)
{
    struct duress_agent *stacks[3] = {stack_of(composed->agents[0], true), stack_of(composed->agents[1], false),
                                      composed->agents[2]};
    struct duress_agent *chain[2];
    struct duress_agent *line[2];
    struct duress_parallel_options all = {.policy = DURESS_PARALLEL_ALL, .limit_ns = 300 * DURESS_MS};
    struct duress_quorum_options quorum = {.need = 2, .grace_ns = 30 * DURESS_MS};
    struct duress_sequential_options options = {.on_report = composed_report, .context = composed};
    assert_int_equal(duress_parallel_new(NULL, stacks, 2, &all, &chain[0], NULL), DURESS_OK);
    assert_int_equal(duress_quorum_new(NULL, stacks, 3, &quorum, &chain[1], NULL), DURESS_OK);
    assert_int_equal(duress_fallback_new(NULL, chain, 2, NULL, &line[0], NULL), DURESS_OK);
    line[1] = stack_of(line[0], false);
    assert_int_equal(duress_sequential_new(NULL, line, 2, &options, &composed->agent, NULL), DURESS_OK);
    duress_agent_unref(stacks[0]);
    duress_agent_unref(stacks[1]);
    for (int i = 0; i < 2; i++) {
        duress_agent_unref(chain[i]);
        duress_agent_unref(line[i]);
    }
}

#define THOUSAND_CALLS(name)                                                                                           \
    static void a_thousand_calls_through_##name(void **state)                                                          \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        crowds_run(compose_##name);                                                                                    \
    }
THOUSAND_CALLS(sequential)
THOUSAND_CALLS(collect)
THOUSAND_CALLS(all)
THOUSAND_CALLS(any)
THOUSAND_CALLS(two)
THOUSAND_CALLS(fallback)
THOUSAND_CALLS(quorum)
THOUSAND_CALLS(router)
THOUSAND_CALLS(nested)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_calls_through_sequential), cmocka_unit_test(a_thousand_calls_through_collect),
        cmocka_unit_test(a_thousand_calls_through_all),        cmocka_unit_test(a_thousand_calls_through_any),
        cmocka_unit_test(a_thousand_calls_through_two),        cmocka_unit_test(a_thousand_calls_through_fallback),
        cmocka_unit_test(a_thousand_calls_through_quorum),     cmocka_unit_test(a_thousand_calls_through_router),
        cmocka_unit_test(a_thousand_calls_through_nested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
