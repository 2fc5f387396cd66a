/* SPDX-License-Identifier: Apache-2.0
 *
 * A thousand calls at once through each composition, through compositions of compositions and of stacks, of which a
 * third is cancelled at random virtual instants, over many seeds: each ends exactly once, each that ends by itself is
 * reported exactly once, and no timer, no call and no memory is left. */
#include "compose_test.h"

#include <duress/middleware/stack.h>

enum { CALL_COUNT = 1000, SEED_COUNT = 40, SERVICE_COUNT = 3 };

struct crowd_call {
    struct rig_answer answer;
    struct crowd *crowd;
    struct duress_timer begin;
    struct duress_timer cancel;
    uint64_t deadline_ns;
    bool idempotent;
    bool streaming;
};

struct crowd {
    struct rig rig;
    struct rig_service services[SERVICE_COUNT];
    struct duress_agent *agents[SERVICE_COUNT];
    struct duress_agent *agent; /* under test */
    struct duress_prng prng;
    uint32_t ended;
    uint32_t cancelled;
    uint32_t expired; /* the caller's own */
    uint32_t succeeded;
    uint32_t reports;
    struct crowd_call calls[CALL_COUNT];
};

static struct crowd the_crowd;

static void crowd_report(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct crowd *crowd = context;
    crowd->reports++;
    assert_non_null(call);
    size_t replied = 0;
    for (size_t i = 0; i < report->count; i++) {
        assert_int_not_equal(report->parts[i].state, DURESS_PART_ASKED);
        replied += report->parts[i].reply != NULL;
    }
    assert_int_equal(replied, report->replied_count);
}

static void crowd_ended(struct rig_answer *answer, void *context)
{
    struct crowd_call *call = context;
    struct crowd *crowd = call->crowd;
    crowd->ended++;
    crowd->succeeded += answer->error == DURESS_OK;
    crowd->cancelled += answer->error == DURESS_E_CANCELLED;
    crowd->expired += answer->error == DURESS_E_DEADLINE && answer->failure.origin == DURESS_ORIGIN_CALLER &&
                      strncmp(answer->failure.detail, "the call's deadline", 19) == 0;
    duress_world_disarm(crowd->rig.client, &call->cancel);
}

static void crowd_begin(void *context)
{
    struct crowd_call *call = context;
    call->answer.then = crowd_ended;
    call->answer.then_context = call;
    assert_int_equal(
        rig_try_ask(call->crowd->agent, "x", call->deadline_ns, call->idempotent, call->streaming, &call->answer),
        DURESS_OK);
}

static void crowd_cancel(void *context)
{
    struct crowd_call *call = context;
    if (call->answer.call != NULL)
        duress_call_cancel(call->answer.call);
}

/* Every answer its own delay; some fail, some never come, some come inside process(). */
static void random_mood(void *context, struct rig_service *service, struct duress_call *call)
{
    static const enum duress_error codes[] = {DURESS_E_REFUSED, DURESS_E_RESET, DURESS_E_OVERLOADED, DURESS_E_INVALID};
    struct crowd *crowd = context;
    (void)call;
    uint64_t mood = duress_prng_below(&crowd->prng, 100);
    service->at_once = mood < 10;
    service->silent = mood >= 97;
    service->fail_count = mood >= 10 && mood < 35;
    service->delay_ns_max = mood < 15 ? 0 : 200 * DURESS_MS;
    service->chunk_count = (uint32_t)(mood % 4);
    duress_failure_set(&service->failure, codes[mood % 4], DURESS_ORIGIN_AGENT, "mood %u", (unsigned)mood);
}

static void crowd_schedule(struct crowd *crowd)
{
    uint64_t now_ns = rig_now_ns(&crowd->rig);
    for (int i = 0; i < CALL_COUNT; i++) {
        struct crowd_call *call = &crowd->calls[i];
        *call = (struct crowd_call){.crowd = crowd};
        uint64_t begin_ns = now_ns + duress_prng_below(&crowd->prng, 500 * DURESS_MS);
        call->idempotent = duress_prng_chance(&crowd->prng, 500000);
        call->streaming = duress_prng_chance(&crowd->prng, 300000);
        call->deadline_ns = begin_ns + DURESS_S + duress_prng_below(&crowd->prng, DURESS_S);
        duress_timer_init(&call->begin, crowd_begin, call);
        duress_timer_init(&call->cancel, crowd_cancel, call);
        duress_world_arm(crowd->rig.client, &call->begin, begin_ns);
        if (i % 3 == 0)
            duress_world_arm(crowd->rig.client, &call->cancel,
                             begin_ns + duress_prng_below(&crowd->prng, 40 * DURESS_MS));
    }
}

static bool crowd_is_done(void *context)
{
    return ((const struct crowd *)context)->ended == CALL_COUNT;
}

typedef void (*compose_fn)(struct crowd *crowd);

static void crowd_open(struct crowd *crowd, uint64_t seed)
{
    rig_open(&crowd->rig, seed);
    duress_prng_init(&crowd->prng, seed, 99);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        rig_service_open(&crowd->services[i], crowd->rig.client, name);
        crowd->services[i].on_call = random_mood;
        crowd->services[i].context = crowd;
        crowd->agents[i] = crowd->services[i].agent;
    }
    crowd->ended = crowd->cancelled = crowd->expired = crowd->succeeded = crowd->reports = 0;
}

static void crowd_close(struct crowd *crowd)
{
    uint64_t ended_ns = rig_now_ns(&crowd->rig);
    assert_int_equal(duress_agent_in_flight_count(crowd->agent), 0);
    rig_run_dry(&crowd->rig);
    assert_int_equal(rig_now_ns(&crowd->rig), ended_ns); /* no timer was armed any more */
    duress_agent_unref(crowd->agent);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        assert_int_equal(crowd->services[i].running, 0);
        assert_int_equal(duress_agent_in_flight_count(crowd->agents[i]), 0);
        rig_service_close(&crowd->services[i]);
    }
    rig_close(&crowd->rig);
}

static void crowds_run(compose_fn compose)
{
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct crowd *crowd = &the_crowd;
        crowd_open(crowd, seed);
        compose(crowd);
        crowd_schedule(crowd);
        assert_int_equal(
            duress_sim_run_until(crowd->rig.sim, crowd_is_done, crowd, rig_now_ns(&crowd->rig) + 60 * DURESS_S),
            DURESS_OK);
        for (int i = 0; i < CALL_COUNT; i++)
            assert_int_equal(crowd->calls[i].answer.ended, 1);
        assert_in_range(crowd->cancelled, 100, CALL_COUNT / 3 + 1);
        assert_true(crowd->succeeded > 50);
        assert_int_equal(crowd->reports, CALL_COUNT - crowd->cancelled - crowd->expired);
        crowd_close(crowd);
    }
}

/* --- one composition each --- */

static void compose_sequential(struct crowd *crowd)
{
    struct duress_sequential_options options = {.on_report = crowd_report, .context = crowd};
    assert_int_equal(duress_sequential_new(NULL, crowd->agents, 3, &options, &crowd->agent, NULL), DURESS_OK);
}

static void compose_parallel(struct crowd *crowd, struct duress_parallel_options options)
{
    options.on_report = crowd_report;
    options.context = crowd;
    assert_int_equal(duress_parallel_new(NULL, crowd->agents, 3, &options, &crowd->agent, NULL), DURESS_OK);
}

static void compose_collect(struct crowd *crowd)
{
    compose_parallel(crowd, (struct duress_parallel_options){.limit_ns = 150 * DURESS_MS});
}

static void compose_all(struct crowd *crowd)
{
    compose_parallel(crowd, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ALL});
}

static void compose_any(struct crowd *crowd)
{
    compose_parallel(crowd, (struct duress_parallel_options){.policy = DURESS_PARALLEL_ANY});
}

static void compose_two(struct crowd *crowd)
{
    compose_parallel(crowd, (struct duress_parallel_options){.policy = DURESS_PARALLEL_AT_LEAST, .need = 2});
}

static void compose_fallback(struct crowd *crowd)
{
    struct duress_fallback_options options = {.annotate = true, .on_report = crowd_report, .context = crowd};
    assert_int_equal(duress_fallback_new(NULL, crowd->agents, 3, &options, &crowd->agent, NULL), DURESS_OK);
}

static void compose_quorum(struct crowd *crowd)
{
    struct duress_quorum_options options = {
        .grace_ns = 50 * DURESS_MS, .limit_ns = 190 * DURESS_MS, .on_report = crowd_report, .context = crowd};
    assert_int_equal(duress_quorum_new(NULL, crowd->agents, 3, &options, &crowd->agent, NULL), DURESS_OK);
}

static size_t choose_any(void *context, const struct duress_message *request, size_t count)
{
    struct crowd *crowd = context;
    (void)request;
    return (size_t)duress_prng_below(&crowd->prng, count + 1);
}

static void compose_router(struct crowd *crowd)
{
    struct duress_choice_options options = {
        .otherwise = crowd->agents[2], .annotate = true, .on_report = crowd_report, .context = crowd};
    assert_int_equal(duress_router_new(NULL, choose_any, crowd->agents, 2, &options, &crowd->agent, NULL), DURESS_OK);
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
static void compose_nested(struct crowd *crowd)
{
    struct duress_agent *stacks[3] = {stack_of(crowd->agents[0], true), stack_of(crowd->agents[1], false),
                                      crowd->agents[2]};
    struct duress_agent *chain[2];
    struct duress_agent *line[2];
    struct duress_parallel_options all = {.policy = DURESS_PARALLEL_ALL, .limit_ns = 300 * DURESS_MS};
    struct duress_quorum_options quorum = {.need = 2, .grace_ns = 30 * DURESS_MS};
    struct duress_sequential_options options = {.on_report = crowd_report, .context = crowd};
    assert_int_equal(duress_parallel_new(NULL, stacks, 2, &all, &chain[0], NULL), DURESS_OK);
    assert_int_equal(duress_quorum_new(NULL, stacks, 3, &quorum, &chain[1], NULL), DURESS_OK);
    assert_int_equal(duress_fallback_new(NULL, chain, 2, NULL, &line[0], NULL), DURESS_OK);
    line[1] = stack_of(line[0], false);
    assert_int_equal(duress_sequential_new(NULL, line, 2, &options, &crowd->agent, NULL), DURESS_OK);
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
