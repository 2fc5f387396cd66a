/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of local agents: that each ends exactly once, when, and with what. */
#include "rig.h"

#include <string.h>

struct local {
    struct rig rig;
    struct rig_service service; /* on the client host */
};

static struct local *local_open(void **state)
{
    struct local *local = *state;
    rig_open(&local->rig, 0);
    rig_service_open(&local->service, local->rig.client, "local");
    return local;
}

static void local_close(struct local *local)
{
    rig_service_close(&local->service);
    rig_run_dry(&local->rig);
    rig_close(&local->rig);
}

static int setup(void **state)
{
    static struct local local;
    *state = &local;
    return 0;
}

static void call_ends_once_with_the_reply(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.delay_ns_min = local->service.delay_ns_max = 7 * DURESS_MS;
    rig_ask(local->service.agent, "hello", &answer);
    assert_int_equal(duress_agent_in_flight_count(local->service.agent), 1);
    rig_run_dry(&local->rig);
    assert_int_equal(answer.ended, 1);
    assert_string_equal(answer.text, "re: hello");
    assert_int_equal(answer.ended_ns - answer.started_ns, 7 * DURESS_MS);
    assert_int_equal(duress_agent_in_flight_count(local->service.agent), 0);
    local_close(local);
}

static void an_end_inside_process_is_told_after_ask_returned(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.at_once = true;
    rig_ask(local->service.agent, "hello", &answer); /* the answer asserts that it does not come inside */
    assert_int_equal(answer.ended, 0);
    rig_run_until_ended(&local->rig, &answer);
    assert_string_equal(answer.text, "re: hello");
    assert_int_equal(answer.ended_ns, answer.started_ns);
    local_close(local);
}

static void cancel_stops_the_work_and_ends_the_call_soon(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.silent = true;
    rig_ask(local->service.agent, "hello", &answer);
    rig_run_for(&local->rig, DURESS_MS);
    duress_call_cancel(answer.call);
    assert_int_equal(local->service.cancelled, 1);
    assert_int_equal(answer.ended, 0); /* not inside cancel() */
    duress_call_cancel(answer.call);   /* nothing */
    rig_run_until_ended(&local->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_CANCELLED);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_true(answer.failure.ambiguous); /* the function had been called */
    assert_int_equal(local->service.cancelled, 1);
    local_close(local);
}

static void cancel_after_the_end_changes_nothing(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.at_once = true;
    rig_ask(local->service.agent, "hello", &answer);
    duress_call_cancel(answer.call); /* it has ended, and on_end has not come yet */
    rig_run_until_ended(&local->rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(local->service.cancelled, 0);
    local_close(local);
}

static void a_deadline_cancels_the_work_and_says_what_was_being_done(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.silent = true;
    uint64_t deadline_ns = rig_now_ns(&local->rig) + 250 * DURESS_MS;
    rig_ask_by(local->service.agent, "hello", deadline_ns, false, &answer);
    rig_run_dry(&local->rig);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_int_equal(answer.ended_ns, deadline_ns);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CALLER);
    assert_true(answer.failure.ambiguous);
    assert_string_equal(answer.failure.detail, "the call's deadline passed while the agent was working");
    assert_int_equal(local->service.cancelled, 1);
    local_close(local);
}

static void a_reply_at_the_last_instant_beats_no_deadline_timer(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.delay_ns_min = local->service.delay_ns_max = 249 * DURESS_MS;
    rig_ask_by(local->service.agent, "hello", rig_now_ns(&local->rig) + 250 * DURESS_MS, false, &answer);
    rig_run_dry(&local->rig); /* and no timer is left behind */
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(rig_now_ns(&local->rig), answer.ended_ns);
    local_close(local);
}

static void a_deadline_that_has_passed_asks_nobody(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    rig_ask_by(local->service.agent, "hello", rig_now_ns(&local->rig), false, &answer);
    rig_run_until_ended(&local->rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(local->service.begun, 0);
    local_close(local);
}

static void chunks_come_in_order_and_before_the_end(void **state)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct local *local = local_open(state);
        struct rig_answer answer = {.ended = 0};
        local->service.chunk_count = 3;
        local->service.at_once = at_once != 0; /* also where all are emitted inside process() */
        local->service.delay_ns_max = DURESS_MS;
        rig_ask_stream(local->service.agent, "hi", 0, &answer);
        assert_int_equal(answer.chunk_count, 0);
        rig_run_until_ended(&local->rig, &answer);
        assert_int_equal(answer.error, DURESS_OK);
        assert_string_equal(answer.chunks, "1 hi,2 hi,3 hi,");
        local_close(local);
    }
}

static void a_receiver_may_cancel_inside_its_chunk(void **state)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct local *local = local_open(state);
        struct rig_answer answer = {.cancel_after_chunk = 2};
        local->service.chunk_count = 4;
        local->service.at_once = at_once != 0;
        rig_ask_stream(local->service.agent, "hi", 0, &answer);
        rig_run_until_ended(&local->rig, &answer);
        assert_string_equal(answer.chunks, "1 hi,2 hi,");
        assert_int_equal(answer.error, DURESS_E_CANCELLED);
        local_close(local);
    }
}

static void the_last_reference_cancels_what_is_in_flight(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answers[3] = {{.ended = 0}, {.ended = 0}, {.ended = 0}};
    local->service.silent = true;
    for (int i = 0; i < 3; i++)
        rig_ask(local->service.agent, "hello", &answers[i]);
    duress_agent_unref(local->service.agent);
    local->service.agent = NULL;
    for (int i = 0; i < 3; i++) {
        rig_run_until_ended(&local->rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_CANCELLED);
    }
    local_close(local);
}

static void unref_at_end(struct rig_answer *answer, void *context)
{
    struct rig_service *service = context;
    (void)answer;
    duress_agent_unref(service->agent);
    service->agent = NULL;
}

static void the_last_reference_may_go_inside_the_end(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.then = unref_at_end, .then_context = &local->service};
    rig_ask(local->service.agent, "hello", &answer);
    rig_run_until_ended(&local->rig, &answer);
    assert_int_equal(answer.error, DURESS_OK);
    local_close(local);
}

static void asking_without_an_agent_a_request_or_an_end_is_refused(void **state)
{
    struct local *local = local_open(state);
    struct duress_message *message = NULL;
    assert_int_equal(duress_message_text("x", &message), DURESS_OK);
    struct duress_ask ask = {.request = message};
    assert_int_equal(duress_agent_ask(local->service.agent, &ask, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_agent_ask(NULL, &ask, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_agent_ask(local->service.agent, NULL, NULL), DURESS_E_INVALID);
    duress_message_unref(message);
    local_close(local);
}

/* --- the blocking ask --- */

static int ask_blocking(struct duress_agent *agent, const char *text, uint64_t deadline_ns,
                        struct duress_message **reply, struct duress_failure *failure)
{
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text(text, &request), DURESS_OK);
    struct duress_ask ask = {.request = request, .deadline_ns = deadline_ns};
    int error = duress_agent_ask_blocking(agent, &ask, reply, failure);
    duress_message_unref(request);
    return error;
}

static void a_blocking_ask_gives_the_reply_or_the_failure(void **state)
{
    struct local *local = local_open(state);
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    local->service.delay_ns_min = local->service.delay_ns_max = DURESS_S;
    assert_int_equal(ask_blocking(local->service.agent, "hello", 0, &reply, &failure), DURESS_OK);
    assert_true(duress_slice_is(duress_message_content(reply), "re: hello"));
    duress_message_unref(reply);
    uint64_t deadline_ns = rig_now_ns(&local->rig) + DURESS_MS;
    assert_int_equal(ask_blocking(local->service.agent, "hello", deadline_ns, &reply, &failure), DURESS_E_DEADLINE);
    assert_int_equal(failure.code, DURESS_E_DEADLINE);
    local_close(local);
}

static void a_blocking_ask_that_can_never_end_says_so(void **state)
{
    struct local *local = local_open(state);
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    local->service.silent = true;
    assert_int_equal(ask_blocking(local->service.agent, "hello", 0, &reply, &failure), DURESS_E_END);
    assert_int_equal(local->service.cancelled, 1);
    assert_int_equal(duress_agent_in_flight_count(local->service.agent), 0);
    local_close(local);
}

static void ask_inside(struct rig_answer *answer, void *context)
{
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    (void)answer;
    assert_int_equal(ask_blocking(((struct rig_service *)context)->agent, "inner", 0, &reply, &failure),
                     DURESS_E_INVALID);
}

static void a_blocking_ask_inside_a_callback_is_refused(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.then = ask_inside, .then_context = &local->service};
    rig_ask(local->service.agent, "outer", &answer);
    rig_run_until_ended(&local->rig, &answer);
    local_close(local);
}

/* --- function agents --- */

struct function_case {
    int code;
    bool fills; /* the failure */
    bool replies;
};

static int function_run(void *context, struct duress_message *request, struct duress_message **reply,
                        struct duress_failure *failure)
{
    const struct function_case *how = context;
    if (how->fills) {
        duress_failure_set(failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_AGENT, "full");
        failure->retry_after_ns = 5;
    }
    if (how->replies)
        *reply = duress_message_ref(request);
    return how->code;
}

static struct rig_answer function_ask(struct local *local, struct function_case how)
{
    struct duress_agent *agent = NULL;
    struct rig_answer answer = {.ended = 0};
    assert_int_equal(duress_function_new(local->rig.client, "function", function_run, &how, &agent), DURESS_OK);
    rig_ask(agent, "same", &answer);
    rig_run_until_ended(&local->rig, &answer);
    duress_agent_unref(agent);
    return answer;
}

static void a_function_replies_or_fails_as_it_says(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = function_ask(local, (struct function_case){.replies = true});
    assert_string_equal(answer.text, "same");
    answer = function_ask(local, (struct function_case){.code = DURESS_E_UNREACHABLE});
    assert_int_equal(answer.error, DURESS_E_UNREACHABLE);
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_AGENT);
    answer = function_ask(local, (struct function_case){.code = DURESS_E_OVERLOADED, .fills = true});
    assert_int_equal(answer.failure.retry_after_ns, 5);
    assert_string_equal(answer.failure.detail, "full");
    local_close(local);
}

static void a_function_without_a_reply_is_an_error_and_not_silence(void **state)
{
    struct local *local = local_open(state);
    assert_int_equal(function_ask(local, (struct function_case){.code = 0}).error, DURESS_E_MALFORMED);
    assert_int_equal(function_ask(local, (struct function_case){.code = 17}).error, DURESS_E_INVALID);
    assert_int_equal(function_ask(local, (struct function_case){.code = -4711}).error, DURESS_E_INVALID);
    local_close(local);
}

/* --- memory of a call --- */

static void allocate_much(void *context, struct rig_service *service, struct duress_call *call)
{
    static const size_t sizes[] = {1, 100, 3000, 5000, 100000, 16, 4096, 1};
    (void)context;
    (void)service;
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *memory = duress_call_allocate(call, sizes[i]);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 16, 0);
            memset(memory, (int)i, sizes[i]); /* the sanitizers watch */
        }
    }
    assert_null(duress_call_allocate(call, SIZE_MAX - 8));
}

static void the_arena_serves_any_size_and_is_gone_with_the_call(void **state)
{
    struct local *local = local_open(state);
    struct rig_answer answer = {.ended = 0};
    local->service.on_call = allocate_much;
    rig_ask(local->service.agent, "hello", &answer);
    rig_run_until_ended(&local->rig, &answer);
    assert_string_equal(answer.text, "re: hello");
    local_close(local);
}

/* --- a layer of a user's own --- */

struct greedy { /* asks for more time than the call has */
    struct duress_agent base;
    struct duress_agent *inner;
    uint64_t wanted_ns;
    uint64_t seen_ns;
};

static void greedy_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    (void)child;
    duress_call_pass(context, result);
}

static void greedy_process(struct duress_agent *agent, struct duress_call *call)
{
    struct greedy *greedy = (struct greedy *)agent;
    struct duress_call *begun = NULL;
    struct duress_child child = {
        .agent = greedy->inner,
        .deadline_ns = greedy->wanted_ns,
        .on_end = greedy_ended,
        .context = call,
    };
    assert_int_equal(duress_call_begin(call, &child, &begun), DURESS_OK);
    greedy->seen_ns = begun->deadline_ns;
    call->state = begun;
}

static void greedy_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    duress_call_abandon(call->state);
}

static void greedy_free(struct duress_agent *agent)
{
    (void)agent; /* on the stack of its test */
}

static const struct duress_agent_ops greedy_ops = {greedy_process, greedy_cancel, greedy_free};

static void no_layer_can_lengthen_a_deadline(void **state)
{
    struct local *local = local_open(state);
    struct greedy greedy = {.inner = local->service.agent};
    duress_agent_init(&greedy.base, &greedy_ops, local->rig.client, NULL, "greedy");
    uint64_t deadline_ns = rig_now_ns(&local->rig) + DURESS_S;
    const uint64_t wishes_ns[] = {deadline_ns + 1, DURESS_TIME_NEVER, 0, deadline_ns, deadline_ns - 1};
    for (size_t i = 0; i < sizeof wishes_ns / sizeof wishes_ns[0]; i++) {
        struct rig_answer answer = {.ended = 0};
        greedy.wanted_ns = wishes_ns[i];
        rig_ask_by(&greedy.base, "x", deadline_ns, false, &answer);
        rig_run_until_ended(&local->rig, &answer);
        assert_int_equal(answer.error, DURESS_OK);
        assert_int_equal(greedy.seen_ns, i == 4 ? deadline_ns - 1 : deadline_ns);
    }
    duress_agent_unref(&greedy.base);
    local_close(local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(call_ends_once_with_the_reply, setup),
        cmocka_unit_test_setup(an_end_inside_process_is_told_after_ask_returned, setup),
        cmocka_unit_test_setup(cancel_stops_the_work_and_ends_the_call_soon, setup),
        cmocka_unit_test_setup(cancel_after_the_end_changes_nothing, setup),
        cmocka_unit_test_setup(a_deadline_cancels_the_work_and_says_what_was_being_done, setup),
        cmocka_unit_test_setup(a_reply_at_the_last_instant_beats_no_deadline_timer, setup),
        cmocka_unit_test_setup(a_deadline_that_has_passed_asks_nobody, setup),
        cmocka_unit_test_setup(chunks_come_in_order_and_before_the_end, setup),
        cmocka_unit_test_setup(a_receiver_may_cancel_inside_its_chunk, setup),
        cmocka_unit_test_setup(the_last_reference_cancels_what_is_in_flight, setup),
        cmocka_unit_test_setup(the_last_reference_may_go_inside_the_end, setup),
        cmocka_unit_test_setup(asking_without_an_agent_a_request_or_an_end_is_refused, setup),
        cmocka_unit_test_setup(a_blocking_ask_gives_the_reply_or_the_failure, setup),
        cmocka_unit_test_setup(a_blocking_ask_that_can_never_end_says_so, setup),
        cmocka_unit_test_setup(a_blocking_ask_inside_a_callback_is_refused, setup),
        cmocka_unit_test_setup(a_function_replies_or_fails_as_it_says, setup),
        cmocka_unit_test_setup(a_function_without_a_reply_is_an_error_and_not_silence, setup),
        cmocka_unit_test_setup(no_layer_can_lengthen_a_deadline, setup),
        cmocka_unit_test_setup(the_arena_serves_any_size_and_is_gone_with_the_call, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
