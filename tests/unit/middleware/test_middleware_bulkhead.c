/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/bulkhead.h>

static struct layer_test the_test;
static struct rig_answer answers[64];

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    memset(answers, 0, sizeof answers);
    the_test.service.delay_ns_min = the_test.service.delay_ns_max = 100 * DURESS_MS;
    return 0;
}

static void wrap(struct layer_test *test, struct duress_bulkhead_layer_options options)
{
    assert_int_equal(duress_with_bulkhead(test->service.agent, &options, &test->agent, NULL), DURESS_OK);
}

static struct duress_bulkhead_counts counts_of(const struct duress_agent *agent)
{
    struct duress_bulkhead_counts counts = duress_bulkhead_counts(agent);
    assert_balanced(counts.calls);
    return counts;
}

static void ask_many(struct duress_agent *agent, int first, int count)
{
    for (int i = first; i < first + count; i++)
        rig_ask(agent, (const char[2]){(char)('a' + i), '\0'}, &answers[i]);
}

static void so_many_at_once_and_the_others_in_turn(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 2}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 7);
    assert_int_equal(test->service.begun, 2);
    struct duress_bulkhead_counts counts = counts_of(test->agent);
    assert_int_equal(counts.waiting, 5);
    assert_int_equal(counts.running, 2);
    assert_int_equal(counts.limit, 2);
    assert_int_equal(counts.calls.in_flight, 7);
    rig_run_dry(&test->rig);
    for (uint64_t i = 0; i < 7; i++) {
        assert_int_equal(answers[i].error, DURESS_OK);
        assert_int_equal(answers[i].ended_ns - began_ns, (i / 2 + 1) * 100 * DURESS_MS);
    }
    counts = counts_of(test->agent);
    assert_int_equal(counts.calls.succeeded, 7);
    assert_int_equal(counts.waited, 5);
    assert_int_equal(counts.waited_ns, (100 + 100 + 200 + 200 + 300) * DURESS_MS);
    assert_int_equal(counts.waited_ns_max, 300 * DURESS_MS);
    assert_int_equal(counts.running, 0);
    layer_test_close(test);
}

static void refusing_asks_nobody(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}, .mode = DURESS_BULKHEAD_REFUSE});
    ask_many(test->agent, 0, 3);
    rig_run_dry(&test->rig);
    assert_int_equal(test->service.begun, 1);
    assert_int_equal(answers[0].error, DURESS_OK);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(answers[i].error, DURESS_E_BULKHEAD_FULL);
        assert_int_equal(answers[i].failure.origin, DURESS_ORIGIN_BULKHEAD);
        assert_false(answers[i].failure.ambiguous);
        assert_string_equal(answers[i].failure.detail, "all slots are taken");
    }
    assert_int_equal(counts_of(test->agent).refused_full, 2);
    assert_int_equal(counts_of(test->agent).calls.refused, 2);
    layer_test_close(test);
}

static void the_queue_and_the_wait_are_bounded(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){
                   .bulkhead = {.limit = 1}, .waiting_max = 2, .wait_ns_max = 150 * DURESS_MS});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 4);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[1].error, DURESS_OK); /* got its slot after 100 ms */
    assert_int_equal(answers[2].error, DURESS_E_BULKHEAD_FULL);
    assert_int_equal(answers[2].ended_ns - began_ns, 150 * DURESS_MS);
    assert_string_equal(answers[2].failure.detail, "no slot came free in time");
    assert_int_equal(answers[3].error, DURESS_E_BULKHEAD_FULL);
    assert_int_equal(answers[3].ended_ns, began_ns);
    assert_string_equal(answers[3].failure.detail, "all slots are taken, and too many calls wait");
    assert_int_equal(counts_of(test->agent).refused_full, 1);
    assert_int_equal(counts_of(test->agent).refused_late, 1);
    layer_test_close(test);
}

static void a_deadline_in_the_queue_is_kept_by_whoever_set_it(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 1);
    struct rig_answer late = layer_test_ask(test, "late", began_ns + 30 * DURESS_MS, false);
    assert_int_equal(late.error, DURESS_E_DEADLINE);
    assert_int_equal(late.ended_ns - began_ns, 30 * DURESS_MS);
    assert_false(late.failure.ambiguous);
    assert_string_equal(late.failure.detail, "the call's deadline passed while waiting for a slot of the bulkhead");
    rig_run_dry(&test->rig);
    assert_int_equal(counts_of(test->agent).calls.timed_out, 1);
    assert_int_equal(test->service.begun, 1);
    layer_test_close(test);
}

static void who_gives_up_gives_the_place_back(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 4);
    duress_call_cancel(answers[1].call); /* waits */
    rig_run_for(&test->rig, 40 * DURESS_MS);
    duress_call_cancel(answers[0].call); /* runs */
    rig_run_dry(&test->rig);
    assert_int_equal(answers[2].ended_ns - began_ns, 140 * DURESS_MS);
    assert_int_equal(answers[3].ended_ns - began_ns, 240 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).calls.cancelled, 2);
    assert_int_equal(counts_of(test->agent).running, 0);
    layer_test_close(test);
}

static void cancel_the_next(struct rig_answer *answer, void *context)
{
    (void)answer;
    duress_call_cancel(((struct rig_answer *)context)->call);
}

/* The slot is on its way to a call that is cancelled by whom the slot's last holder told of its end. */
static void a_slot_on_its_way_to_nobody_goes_to_the_next(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    answers[0].then = cancel_the_next;
    answers[0].then_context = &answers[1];
    ask_many(test->agent, 0, 3);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[1].error, DURESS_E_CANCELLED);
    assert_int_equal(answers[2].error, DURESS_OK);
    assert_int_equal(answers[2].ended_ns - began_ns, 200 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).running, 0);
    layer_test_close(test);
}

static void cancel_three(struct rig_answer *answer, void *context)
{
    (void)answer;
    (void)context;
    for (int i = 1; i < 4; i++)
        duress_call_cancel(answers[i].call);
}

/* Two slots are on their way to calls that are cancelled meanwhile: one of them was just given back by another one that
 * is. */
static void two_slots_on_their_way_to_nobody_come_back(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 2}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    answers[0].then = cancel_three;
    ask_many(test->agent, 0, 4);
    rig_run_dry(&test->rig);
    for (int i = 1; i < 4; i++)
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    assert_int_equal(answers[0].ended_ns - began_ns, 100 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).running, 0);
    began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 4, 2);
    rig_run_dry(&test->rig);
    for (int i = 4; i < 6; i++)
        assert_int_equal(answers[i].ended_ns - began_ns, 100 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).waited, 0);
    layer_test_close(test);
}

static void drop_the_agent(struct rig_answer *answer, void *context)
{
    struct layer_test *test = context;
    (void)answer;
    duress_call_cancel(answers[1].call);
    duress_agent_unref(test->agent);
    test->agent = NULL;
}

/* As above, and the layer's last reference goes with it: the layer lives on until the slot has come. */
static void a_layer_waits_for_the_slot_that_is_on_its_way(void **state)
{
    struct layer_test *test = *state;
    struct duress_bulkhead shared;
    assert_int_equal(duress_bulkhead_init(&shared, &(struct duress_bulkhead_options){.limit = 1}, NULL), DURESS_OK);
    wrap(test, (struct duress_bulkhead_layer_options){.shared = &shared});
    answers[0].then = drop_the_agent;
    answers[0].then_context = test;
    ask_many(test->agent, 0, 2);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[1].error, DURESS_E_CANCELLED);
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(&shared, &seen);
    assert_int_equal(seen.running, 0);
    assert_int_equal(seen.waiting, 0);
    layer_test_close(test);
}

static void a_slot_is_held_until_the_last_chunk(void **state)
{
    struct layer_test *test = *state;
    test->service.chunk_count = 3;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    assert_int_equal(rig_try_ask(test->agent, "x", 0, false, true, &answers[0]), DURESS_OK);
    assert_int_equal(rig_try_ask(test->agent, "y", 0, false, true, &answers[1]), DURESS_OK);
    rig_run_until_ended(&test->rig, &answers[0]);
    assert_int_equal(answers[0].chunk_count, 3);
    assert_int_equal(answers[1].chunk_count, 0);
    rig_run_dry(&test->rig);
    assert_int_equal(answers[1].chunk_count, 3);
    layer_test_close(test);
}

/* Two agents of one world and one of another share a slot: the one whose call came first is served first. */
static void a_shared_slot_goes_to_who_has_waited_longest(void **state)
{
    struct layer_test *test = *state;
    struct duress_bulkhead shared;
    struct rig_service elsewhere;
    struct duress_agent *agents[3] = {NULL, NULL, NULL};
    struct duress_bulkhead_layer_options options = {.shared = &shared};
    assert_int_equal(duress_bulkhead_init(&shared, &(struct duress_bulkhead_options){.limit = 1}, NULL), DURESS_OK);
    rig_service_open(&elsewhere, test->rig.server_world, "elsewhere");
    elsewhere.delay_ns_min = elsewhere.delay_ns_max = 100 * DURESS_MS;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            duress_with_bulkhead(i == 1 ? elsewhere.agent : test->service.agent, &options, &agents[i], NULL),
            DURESS_OK);
    uint64_t began_ns = rig_now_ns(&test->rig);
    static const int order[] = {2, 1, 0, 1, 2, 0, 0};
    for (int i = 0; i < 7; i++)
        ask_many(agents[order[i]], i, 1);
    rig_run_dry(&test->rig);
    for (uint64_t i = 0; i < 7; i++) {
        assert_int_equal(answers[i].error, DURESS_OK);
        assert_int_equal(answers[i].ended_ns - began_ns, (i + 1) * 100 * DURESS_MS);
    }
    for (int i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
    rig_run_dry(&test->rig);
    rig_service_close(&elsewhere);
    layer_test_close(test);
}

/* --- adaptive --- */

static void the_limit_is_found_out_and_offered(void **state)
{
    struct layer_test *test = *state;
    struct duress_adaptive_limit_options adaptive = {
        .rule = DURESS_ADAPTIVE_AIMD, .limit_initial = 4, .window_ns = DURESS_MS, .samples_min = 1};
    wrap(test, (struct duress_bulkhead_layer_options){.adaptive = &adaptive});
    assert_int_equal(counts_of(test->agent).limit, 4);
    ask_many(test->agent, 0, 20);
    assert_int_equal(test->service.begun, 4);
    rig_run_for(&test->rig, 100 * DURESS_MS + 1);
    /* The window of the first answers is over with the first one of the next round. */
    rig_run_for(&test->rig, 100 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).limit, 5);
    assert_true(counts_of(test->agent).running == 5);
    service_fails(&test->service, 100, DURESS_E_OVERLOADED, false);
    rig_run_dry(&test->rig);
    assert_int_equal(counts_of(test->agent).limit, 4);
    layer_test_close(test);
}

static uint32_t samples_after(struct layer_test *test, enum duress_error error, bool cancelled, bool late)
{
    struct duress_adaptive_limit limit;
    struct duress_bulkhead shared;
    struct duress_bulkhead_layer_options options = {.shared = &shared, .shared_adaptive = &limit};
    assert_int_equal(duress_adaptive_limit_init(&limit, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_bulkhead_init(&shared, NULL, NULL), DURESS_OK);
    wrap(test, options);
    assert_int_equal(counts_of(test->agent).limit, 20); /* that of |limit| */
    if (error != DURESS_OK)
        service_fails(&test->service, 1, error, false);
    rig_ask_by(test->agent, "x", late ? rig_now_ns(&test->rig) + DURESS_MS : 0, false, &answers[0]);
    if (cancelled)
        duress_call_cancel(answers[0].call);
    rig_run_dry(&test->rig);
    duress_agent_unref(test->agent);
    test->agent = NULL;
    answers[0] = (struct rig_answer){.ended = 0};
    return limit.samples * 10 + limit.dropped;
}

static void only_answers_and_drops_are_samples(void **state)
{
    struct layer_test *test = *state;
    assert_int_equal(samples_after(test, DURESS_OK, false, false), 10);
    assert_int_equal(samples_after(test, DURESS_E_OVERLOADED, false, false), 11);
    assert_int_equal(samples_after(test, DURESS_E_DEADLINE, false, false), 11);
    assert_int_equal(samples_after(test, DURESS_E_REFUSED, false, false), 0);
    assert_int_equal(samples_after(test, DURESS_OK, true, false), 0);
    assert_int_equal(samples_after(test, DURESS_OK, false, true), 11);
    layer_test_close(test);
}

/* --- building --- */

static void refused_with(struct layer_test *test, struct duress_bulkhead_layer_options options, const char *detail)
{
    struct duress_failure why;
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_with_bulkhead(test->service.agent, &options, &agent, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, detail);
    assert_null(agent);
}

static void bad_options_are_named(void **state)
{
    struct layer_test *test = *state;
    typedef struct duress_bulkhead_layer_options options;
    struct duress_bulkhead shared;
    struct duress_adaptive_limit limit;
    struct duress_adaptive_limit_options adaptive = {.limit_min = 0};
    assert_int_equal(duress_bulkhead_init(&shared, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_adaptive_limit_init(&limit, NULL, NULL), DURESS_OK);
    refused_with(test, (options){.bulkhead = {.limit = 2000000}},
                 "bulkhead.limit: 2000000 given, allowed 1 to 1000000");
    refused_with(test, (options){.bulkhead = {.limit = 1}, .shared = &shared},
                 "bulkhead: must be all zero where a shared bulkhead is given");
    refused_with(test, (options){.bulkhead = {.limit = 1}, .adaptive = &adaptive},
                 "bulkhead.limit: must be 0 where the limit is found out");
    refused_with(test, (options){.shared = &shared, .adaptive = &adaptive},
                 "adaptive: not with a shared bulkhead; shared_adaptive is for that");
    refused_with(test, (options){.shared_adaptive = &limit}, "shared_adaptive: only with a shared bulkhead");
    refused_with(test, (options){.mode = (enum duress_bulkhead_mode)2},
                 "mode: must be DURESS_BULKHEAD_WAIT or DURESS_BULKHEAD_REFUSE");
    refused_with(test, (options){.mode = DURESS_BULKHEAD_REFUSE, .waiting_max = 1},
                 "waiting_max, wait_ns_max: must be 0 where calls are refused");
    refused_with(test, (options){.mode = DURESS_BULKHEAD_REFUSE, .wait_ns_max = 1},
                 "waiting_max, wait_ns_max: must be 0 where calls are refused");
    refused_with(test, (options){.waiting_max = 1000001}, "waiting_max: more than 1000000 given, allowed 1 to 1000000");
    adaptive.limit_min = 300;
    refused_with(test, (options){.adaptive = &adaptive}, "adaptive_limit.limit_min: 300 given, allowed 1 to 200");
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_with_bulkhead(NULL, NULL, &agent, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_with_bulkhead(test->service.agent, NULL, NULL, NULL), DURESS_E_INVALID);
    struct duress_agent *guests[DURESS_BULKHEAD_SEATS_MAX];
    for (int i = 0; i < DURESS_BULKHEAD_SEATS_MAX; i++)
        assert_int_equal(duress_with_bulkhead(test->service.agent, &(options){.shared = &shared}, &guests[i], NULL),
                         DURESS_OK);
    refused_with(test, (options){.shared = &shared}, "bulkhead: 32 queues share it already, the most allowed");
    for (int i = 0; i < DURESS_BULKHEAD_SEATS_MAX; i++)
        duress_agent_unref(guests[i]);
    layer_test_close(test);
}

static void the_policy_can_be_looked_at(void **state)
{
    struct layer_test *test = *state;
    assert_null(duress_bulkhead_of(test->service.agent));
    assert_int_equal(duress_bulkhead_counts(test->service.agent).limit, 0);
    assert_int_equal(duress_with_bulkhead(test->service.agent, NULL, &test->agent, NULL), DURESS_OK);
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(duress_bulkhead_of(test->agent), &seen);
    assert_int_equal(seen.limit, DURESS_BULKHEAD_LIMIT_DEFAULT);
    layer_test_close(test);
}

static void a_raised_limit_is_felt_when_a_slot_comes_back(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 5);
    duress_bulkhead_set_limit(duress_bulkhead_of(test->agent), 3);
    rig_run_for(&test->rig, 50 * DURESS_MS);
    assert_int_equal(test->service.begun, 1);
    rig_run_dry(&test->rig);
    static const uint64_t rounds[] = {1, 2, 2, 2, 3};
    for (int i = 0; i < 5; i++)
        assert_int_equal(answers[i].ended_ns - began_ns, rounds[i] * 100 * DURESS_MS);
    assert_int_equal(counts_of(test->agent).running, 0);
    layer_test_close(test);
}

/* Who comes takes none of what those before have waited for. */
static void a_raised_limit_is_felt_when_a_call_comes(void **state)
{
    struct layer_test *test = *state;
    wrap(test, (struct duress_bulkhead_layer_options){.bulkhead = {.limit = 1}});
    uint64_t began_ns = rig_now_ns(&test->rig);
    ask_many(test->agent, 0, 5);
    duress_bulkhead_set_limit(duress_bulkhead_of(test->agent), 3);
    ask_many(test->agent, 5, 1);
    rig_run_dry(&test->rig);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(answers[i].ended_ns - began_ns, (i / 3 + 1) * 100 * DURESS_MS);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(so_many_at_once_and_the_others_in_turn, setup),
        cmocka_unit_test_setup(refusing_asks_nobody, setup),
        cmocka_unit_test_setup(the_queue_and_the_wait_are_bounded, setup),
        cmocka_unit_test_setup(a_deadline_in_the_queue_is_kept_by_whoever_set_it, setup),
        cmocka_unit_test_setup(who_gives_up_gives_the_place_back, setup),
        cmocka_unit_test_setup(a_slot_on_its_way_to_nobody_goes_to_the_next, setup),
        cmocka_unit_test_setup(a_layer_waits_for_the_slot_that_is_on_its_way, setup),
        cmocka_unit_test_setup(a_slot_is_held_until_the_last_chunk, setup),
        cmocka_unit_test_setup(a_shared_slot_goes_to_who_has_waited_longest, setup),
        cmocka_unit_test_setup(the_limit_is_found_out_and_offered, setup),
        cmocka_unit_test_setup(a_raised_limit_is_felt_when_a_slot_comes_back, setup),
        cmocka_unit_test_setup(a_raised_limit_is_felt_when_a_call_comes, setup),
        cmocka_unit_test_setup(only_answers_and_drops_are_samples, setup),
        cmocka_unit_test_setup(bad_options_are_named, setup),
        cmocka_unit_test_setup(the_policy_can_be_looked_at, setup),
        cmocka_unit_test_setup(two_slots_on_their_way_to_nobody_come_back, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
