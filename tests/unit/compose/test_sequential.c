/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential composition in the simulated world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/compose/sequential.h>
#include <duress/world/sim.h>

/* A step that appends its letter, or fails, or hangs until it is cancelled. */
struct step {
    char letter;
    int error;
    bool hangs;
    unsigned calls;
    unsigned cancels;
};

static void step_begin(void *context, struct duress_call *call)
{
    struct step *step = context;
    step->calls++;
    if (step->hangs)
        return;
    struct duress_failure failure;
    if (step->error != DURESS_OK) {
        duress_failure_set(&failure, (enum duress_error)step->error, DURESS_ORIGIN_AGENT, "broken on purpose");
        duress_call_fail(call, &failure);
        return;
    }
    struct duress_slice content = duress_message_content(call->request);
    char text[32];
    (void)snprintf(text, sizeof text, "%.*s%c", (int)content.length, (const char *)content.data, step->letter);
    struct duress_message *reply = NULL;
    assert_int_equal(duress_message_text(text, &reply), DURESS_OK);
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static void step_cancel(void *context, struct duress_call *call)
{
    (void)call;
    struct step *step = context;
    step->cancels++;
}

struct fixture {
    struct duress_world *world;
    struct step steps[3];
    struct duress_agent *sequential;
};

static void fixture_open(struct fixture *fixture)
{
    struct duress_agent *agents[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            duress_function_async_new(fixture->world, "step", step_begin, step_cancel, &fixture->steps[i], &agents[i]),
            DURESS_OK);
    struct duress_failure why;
    assert_int_equal(duress_sequential_new("three", agents, 3, &fixture->sequential, &why), DURESS_OK);
    for (size_t i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
}

static struct fixture fixture_begin(void)
{
    struct fixture fixture = {.steps = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}}};
    assert_int_equal(duress_world_sim_new(1, &fixture.world), DURESS_OK);
    return fixture;
}

static void fixture_end(struct fixture *fixture)
{
    duress_agent_unref(fixture->sequential);
    duress_world_free(fixture->world);
}

static int fixture_ask(struct fixture *fixture, uint64_t within_ns, char *text, size_t capacity,
                       struct duress_failure *failure)
{
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    assert_int_equal(duress_message_text("", &request), DURESS_OK);
    struct duress_ask ask = {.request = request, .deadline_ns = duress_world_now_ns(fixture->world) + within_ns};
    int error = duress_agent_ask_blocking(fixture->sequential, &ask, &reply, failure);
    duress_message_unref(request);
    if (error != DURESS_OK)
        return error;
    struct duress_slice content = duress_message_content(reply);
    (void)snprintf(text, capacity, "%.*s", (int)content.length, (const char *)content.data);
    duress_message_unref(reply);
    return DURESS_OK;
}

static void hands_each_reply_to_the_next_step(void **state)
{
    (void)state;
    struct fixture fixture = fixture_begin();
    fixture_open(&fixture);
    char text[32];
    assert_int_equal(fixture_ask(&fixture, DURESS_S, text, sizeof text, NULL), DURESS_OK);
    assert_string_equal(text, "abc");
    fixture_end(&fixture);
}

static void stops_at_the_first_failure_and_names_the_step(void **state)
{
    (void)state;
    struct fixture fixture = fixture_begin();
    fixture.steps[1].error = DURESS_E_REFUSED;
    fixture_open(&fixture);
    struct duress_failure failure;
    assert_int_equal(fixture_ask(&fixture, DURESS_S, NULL, 0, &failure), DURESS_E_REFUSED);
    assert_string_equal(failure.detail, "step 2 (step): broken on purpose");
    assert_true(failure.ambiguous); /* The first step was executed. */
    assert_int_equal(fixture.steps[0].calls, 1);
    assert_int_equal(fixture.steps[2].calls, 0);
    fixture_end(&fixture);
}

static void failure_of_the_first_step_stays_unambiguous(void **state)
{
    (void)state;
    struct fixture fixture = fixture_begin();
    fixture.steps[0].error = DURESS_E_REFUSED;
    fixture_open(&fixture);
    struct duress_failure failure;
    assert_int_equal(fixture_ask(&fixture, DURESS_S, NULL, 0, &failure), DURESS_E_REFUSED);
    assert_false(failure.ambiguous);
    fixture_end(&fixture);
}

static void deadline_cancels_the_step_that_runs(void **state)
{
    (void)state;
    struct fixture fixture = fixture_begin();
    fixture.steps[1].hangs = true;
    fixture_open(&fixture);
    uint64_t before_ns = duress_world_now_ns(fixture.world);
    assert_int_equal(fixture_ask(&fixture, DURESS_S, NULL, 0, NULL), DURESS_E_DEADLINE);
    assert_int_equal(duress_world_now_ns(fixture.world) - before_ns, DURESS_S);
    assert_int_equal(fixture.steps[1].cancels, 1);
    assert_int_equal(fixture.steps[2].calls, 0);
    fixture_end(&fixture);
}

static void refuses_bad_steps(void **state)
{
    (void)state;
    struct fixture fixture = fixture_begin();
    fixture_open(&fixture);
    struct duress_failure why;
    struct duress_agent *agent = NULL;
    struct duress_agent *holes[2] = {fixture.sequential, NULL};
    assert_int_equal(duress_sequential_new("x", NULL, 1, &agent, &why), DURESS_E_INVALID);
    assert_int_equal(duress_sequential_new("x", holes, 0, &agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "count"));
    assert_int_equal(duress_sequential_new("x", holes, 2, &agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "steps"));
    struct duress_world *other = NULL;
    assert_int_equal(duress_world_sim_new(2, &other), DURESS_OK);
    assert_int_equal(duress_function_async_new(other, "far", step_begin, step_cancel, &fixture.steps[0], &holes[1]),
                     DURESS_OK);
    assert_int_equal(duress_sequential_new("x", holes, 2, &agent, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "worlds"));
    duress_agent_unref(holes[1]);
    duress_world_free(other);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_each_reply_to_the_next_step),
        cmocka_unit_test(stops_at_the_first_failure_and_names_the_step),
        cmocka_unit_test(failure_of_the_first_step_stays_unambiguous),
        cmocka_unit_test(deadline_cancels_the_step_that_runs),
        cmocka_unit_test(refuses_bad_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
