/* SPDX-License-Identifier: Apache-2.0
 *
 * What the metrics layer counts and measures, and what it says of the layers inside of it. The text exports have a test
 * of their own. */
#include "layer_test.h"

#include <string.h>

#include <duress/middleware/bulkhead.h>
#include <duress/middleware/faults.h>
#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/rate_limiter.h>

static struct layer_test the_test;

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

static void wrap(struct layer_test *test)
{
    assert_int_equal(duress_with_metrics(test->service.agent, NULL, &test->agent, NULL), DURESS_OK);
}

static struct duress_metrics read_metrics(const struct layer_test *test)
{
    struct duress_metrics metrics;
    assert_int_equal(duress_metrics_read(test->agent, &metrics), DURESS_OK);
    assert_balanced(metrics.calls);
    uint64_t ended = 0;
    for (int number = 0; number < DURESS_ERROR_NUMBER_END; number++)
        ended += metrics.ended[number];
    assert_int_equal(ended, metrics.calls.begun - metrics.calls.in_flight);
    return metrics;
}

static void calls_are_counted_by_how_they_ended(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    for (int i = 0; i < 5; i++)
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK);
    service_fails(&test->service, 2, DURESS_E_RESET, true);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_RESET);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_RESET);
    service_fails(&test->service, 1, DURESS_E_NAME_NOT_FOUND, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_NAME_NOT_FOUND);
    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.calls.begun, 8);
    assert_int_equal(metrics.calls.succeeded, 5);
    assert_int_equal(metrics.calls.failed, 3);
    assert_int_equal(metrics.ended[0], 5);
    assert_int_equal(metrics.ended[-DURESS_E_RESET], 2);
    assert_int_equal(metrics.ended[-DURESS_E_NAME_NOT_FOUND], 1);
    layer_test_close(test);
}

static void a_number_that_is_no_code_does_no_harm(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    service_fails(&test->service, 1, (enum duress_error) - 1000, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, -1000);
    service_fails(&test->service, 1, (enum duress_error)1000, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, 1000);
    assert_int_equal(read_metrics(test).ended[-DURESS_E_INVALID], 2);
    layer_test_close(test);
}

static void failures_and_replies_pass_as_they_came(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    service_fails(&test->service, 1, DURESS_E_OVERLOADED, true);
    test->service.failure.retry_after_ns = 7;
    test->service.failure.attempts = 3;
    struct rig_answer answer = layer_test_ask(test, "x", 0, false);
    assert_int_equal(answer.failure.retry_after_ns, 7);
    assert_int_equal(answer.failure.attempts, 3);
    assert_true(answer.failure.ambiguous);
    assert_string_equal(answer.failure.detail, "as asked");
    assert_string_equal(layer_test_ask(test, "y", 0, false).text, "re: y");
    layer_test_close(test);
}

static void calls_in_flight_are_seen_while_they_are(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answers[3] = {{.ended = 0}};
    wrap(test);
    test->service.silent = true;
    for (int i = 0; i < 3; i++)
        rig_ask_by(test->agent, "x", i == 2 ? rig_now_ns(&test->rig) + DURESS_S : 0, false, &answers[i]);
    assert_int_equal(read_metrics(test).calls.in_flight, 3);
    duress_call_cancel(answers[0].call);
    assert_int_equal(read_metrics(test).calls.in_flight, 2);
    rig_run_until_ended(&test->rig, &answers[2]);
    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.calls.in_flight, 1);
    assert_int_equal(metrics.calls.cancelled, 1);
    assert_int_equal(metrics.ended[-DURESS_E_CANCELLED], 1);
    assert_int_equal(metrics.calls.timed_out, 1);
    assert_int_equal(metrics.ended[-DURESS_E_DEADLINE], 1);
    assert_int_equal(metrics.failed.count, 1); /* the deadline; a cancelled call has no duration */
    assert_int_equal(metrics.failed.max, DURESS_S);
    duress_call_cancel(answers[1].call);
    rig_run_until_ended(&test->rig, &answers[1]);
    assert_int_equal(read_metrics(test).calls.in_flight, 0);
    layer_test_close(test);
}

static void a_limit_of_a_layer_outside_is_a_deadline_here(void **state)
{
    struct layer_test *test = *state;
    struct duress_timeout_options timeout = {.limit_ns = 30 * DURESS_MS};
    wrap(test);
    struct duress_agent *metrics_agent = test->agent;
    assert_int_equal(duress_with_timeout(metrics_agent, &timeout, &test->agent, NULL), DURESS_OK);
    duress_agent_unref(metrics_agent);
    test->service.silent = true;
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_DEADLINE);
    struct duress_metrics metrics = read_metrics(test); /* looks inwards, past the timeout */
    assert_int_equal(metrics.calls.timed_out, 1);
    assert_int_equal(metrics.ended[-DURESS_E_DEADLINE], 1);
    assert_int_equal(metrics.failed.max, 30 * DURESS_MS);
    layer_test_close(test);
}

static void slow_down(void *context, struct rig_service *service, struct duress_call *call)
{
    (void)context;
    (void)call;
    service->delay_ns_min = service->delay_ns_max = (service->begun) * DURESS_MS;
}

static void durations_are_told_by_quantiles(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    test->service.on_call = slow_down;
    for (int i = 0; i < 1000; i++) /* 1, 2, … 1000 ms */
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK);
    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.succeeded.count, 1000);
    assert_int_equal(metrics.succeeded.sum, 500500 * DURESS_MS);
    assert_int_equal(metrics.succeeded.min, 1 * DURESS_MS);
    assert_int_equal(metrics.succeeded.max, 1000 * DURESS_MS);
    assert_in_range(metrics.succeeded.p50, 500 * DURESS_MS, 500 * DURESS_MS * 65 / 64);
    assert_in_range(metrics.succeeded.p90, 900 * DURESS_MS, 900 * DURESS_MS * 65 / 64);
    assert_in_range(metrics.succeeded.p95, 950 * DURESS_MS, 950 * DURESS_MS * 65 / 64);
    assert_in_range(metrics.succeeded.p99, 990 * DURESS_MS, 990 * DURESS_MS * 65 / 64);
    assert_in_range(metrics.succeeded.p999, 999 * DURESS_MS, 1000 * DURESS_MS);
    assert_int_equal(metrics.failed.count, 0);
    layer_test_close(test);
}

static void failures_have_a_histogram_of_their_own(void **state)
{
    struct layer_test *test = *state;
    wrap(test);
    test->service.delay_ns_min = test->service.delay_ns_max = 80 * DURESS_MS;
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK);
    test->service.delay_ns_min = test->service.delay_ns_max = 0;
    service_fails(&test->service, 100, DURESS_E_REFUSED, false);
    for (int i = 0; i < 100; i++)
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_REFUSED);
    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.succeeded.p50, 80 * DURESS_MS);
    assert_int_equal(metrics.failed.count, 100);
    assert_int_equal(metrics.failed.max, 0);
    layer_test_close(test);
}

static void chunks_pass(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test);
    test->service.chunk_count = 3;
    test->service.delay_ns_min = test->service.delay_ns_max = 10 * DURESS_MS;
    assert_int_equal(rig_try_ask(test->agent, "x", 0, true, true, &answer), DURESS_OK);
    rig_run_until_ended(&test->rig, &answer);
    assert_string_equal(answer.chunks, "1 x,2 x,3 x,");
    assert_int_equal(read_metrics(test).succeeded.max, 40 * DURESS_MS); /* of the whole stream */
    layer_test_close(test);
}

/* agenkit's gauge goes to -1 when the metrics are reset under load (M1). */
static void a_reset_keeps_the_calls_in_flight(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer answer = {.ended = 0};
    wrap(test);
    test->service.delay_ns_min = test->service.delay_ns_max = 10 * DURESS_MS;
    service_fails(&test->service, 1, DURESS_E_RESET, false);
    layer_test_ask(test, "x", 0, false);
    layer_test_ask(test, "x", 0, false);
    rig_ask(test->agent, "x", &answer);
    duress_metrics_reset(test->agent);
    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.calls.begun, 1);
    assert_int_equal(metrics.calls.in_flight, 1);
    assert_int_equal(metrics.succeeded.count + metrics.failed.count, 0);
    rig_run_until_ended(&test->rig, &answer);
    metrics = read_metrics(test);
    assert_int_equal(metrics.calls.in_flight, 0);
    assert_int_equal(metrics.calls.succeeded, 1);
    assert_int_equal(metrics.ended[0], 1);
    duress_metrics_reset(test->service.agent); /* there are no metrics: nothing happens */
    layer_test_close(test);
}

/* --- the layers inside --- */

/* metrics -> retry -> hedge -> breaker -> timeout -> the service */
static void wrap_all(struct layer_test *test)
{
    struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 2}};
    struct duress_stack_options stack = {.breaker = &breaker, .timeout = &timeout};
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 50 * DURESS_MS}};
    struct duress_retry_options retry = {.attempts_max = 2, .jitter = DURESS_JITTER_NONE};
    struct duress_agent *agents[3];
    assert_int_equal(duress_stack_new(test->service.agent, &stack, &agents[0], NULL), DURESS_OK);
    assert_int_equal(duress_with_hedge(agents[0], &hedge, &agents[1], NULL), DURESS_OK);
    assert_int_equal(duress_with_retry(agents[1], &retry, NULL, &agents[2], NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(agents[2], NULL, &test->agent, NULL), DURESS_OK);
    for (int i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
}

static uint64_t figure(const struct duress_metrics_layer *layer, const char *name, const char *label_value)
{
    for (size_t i = 0; i < layer->figure_count; i++) {
        const struct duress_metrics_figure *candidate = &layer->figures[i];
        bool labelled = candidate->label_value != NULL && label_value != NULL;
        if (strcmp(candidate->name, name) == 0 &&
            (labelled ? strcmp(candidate->label_value, label_value) == 0 : candidate->label_value == label_value))
            return candidate->value;
    }
    fail_msg("no figure %s %s", name, label_value != NULL ? label_value : "");
    return 0;
}

static void the_layers_inside_tell_their_figures(void **state)
{
    struct layer_test *test = *state;
    struct duress_metrics_layer layers[8];
    wrap_all(test);
    test->service.delay_ns_min = test->service.delay_ns_max = 60 * DURESS_MS;
    assert_int_equal(layer_test_ask(test, "x", 0, true).error, DURESS_OK); /* hedged */
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    test->service.delay_ns_min = test->service.delay_ns_max = 0;
    assert_int_equal(layer_test_ask(test, "x", 0, true).error, DURESS_E_REFUSED); /* twice: opens the circuit */
    assert_int_equal(layer_test_ask(test, "x", 0, true).error, DURESS_E_CIRCUIT_OPEN);

    assert_int_equal(duress_metrics_layers(test->agent, layers, 8), 4);
    const char *const kinds[] = {"retry", "hedge", "breaker", "timeout"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(layers[i].kind, kinds[i]);
        assert_balanced(layers[i].calls);
    }
    assert_int_equal(layers[0].calls.begun, 3);
    assert_int_equal(figure(&layers[0], "attempts", NULL), 4);
    assert_int_equal(figure(&layers[0], "succeeded_on_retry", NULL), 0);
    assert_int_equal(figure(&layers[0], "waiting", NULL), 0);
    assert_int_equal(figure(&layers[1], "attempts", NULL), 5);
    assert_int_equal(figure(&layers[1], "hedges", NULL), 1);
    assert_int_equal(figure(&layers[1], "losers", NULL), 1);
    assert_int_equal(figure(&layers[1], "succeeded_on_hedge", NULL), 0);
    assert_int_equal(figure(&layers[1], "delay", NULL), 50 * DURESS_MS);
    assert_int_equal(layers[2].calls.refused, 1);
    assert_int_equal(figure(&layers[2], "state", "closed"), 0);
    assert_int_equal(figure(&layers[2], "state", "open"), 1);
    assert_int_equal(figure(&layers[2], "transitions", "failures in a row"), 1);
    assert_int_equal(figure(&layers[2], "transitions", "recovery time over"), 0);
    assert_int_equal(layers[3].calls.begun, 4); /* the refused one has not come so far */
    assert_int_equal(layers[3].figure_count, 0);

    struct duress_metrics metrics = read_metrics(test);
    assert_int_equal(metrics.ended[-DURESS_E_CIRCUIT_OPEN], 1);
    layer_test_close(test);
}

/* metrics -> rate limiter -> bulkhead -> the service, which takes 70 ms */
static void wrap_limits(struct layer_test *test)
{
    struct duress_bulkhead_layer_options bulkhead = {
        .bulkhead = {.limit = 1}, .waiting_max = 3, .wait_ns_max = 200 * DURESS_MS};
    struct duress_rate_limiter_options rate = {.limit = {.waiting_max = 2}, .bucket = {.rate = 10, .burst = 5}};
    struct duress_agent *agents[2];
    assert_int_equal(duress_with_bulkhead(test->service.agent, &bulkhead, &agents[0], NULL), DURESS_OK);
    assert_int_equal(duress_with_rate_limiter(agents[0], &rate, &agents[1], NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(agents[1], NULL, &test->agent, NULL), DURESS_OK);
    for (int i = 0; i < 2; i++)
        duress_agent_unref(agents[i]);
    test->service.delay_ns_min = test->service.delay_ns_max = 70 * DURESS_MS;
}

/* Five calls get tokens at once, one at 100 ms, one at 200 ms. One runs at a time; the fifth finds the queue full, the
 * fourth has waited 200 ms when its turn is still 10 ms away. */
static void the_limits_inside_tell_their_figures(void **state)
{
    static struct rig_answer answers[8];
    struct layer_test *test = *state;
    struct duress_metrics_layer layers[2];
    wrap_limits(test);
    for (int i = 0; i < 6; i++)
        rig_ask(test->agent, "x", &answers[i]);
    uint64_t soon_ns = rig_now_ns(&test->rig) + 50 * DURESS_MS;
    for (int i = 0; i < 2; i++)
        assert_int_equal(layer_test_ask(test, "x", soon_ns, false).error, DURESS_E_RATE_LIMITED);
    for (int i = 6; i < 8; i++)
        rig_ask(test->agent, "x", &answers[i]);

    assert_int_equal(duress_metrics_layers(test->agent, layers, 2), 2);
    assert_string_equal(layers[0].kind, "rate_limiter");
    assert_string_equal(layers[1].kind, "bulkhead");
    assert_int_equal(figure(&layers[0], "refusals", "deadline"), 2);
    assert_int_equal(figure(&layers[0], "refusals", "queue"), 1);
    assert_int_equal(figure(&layers[0], "waiting", NULL), 2);
    assert_int_equal(figure(&layers[0], "waited", NULL), 0);
    assert_int_equal(figure(&layers[1], "refusals", "full"), 1);
    assert_int_equal(figure(&layers[1], "limit", NULL), 1);
    assert_int_equal(figure(&layers[1], "running", NULL), 1);
    assert_int_equal(figure(&layers[1], "waiting", NULL), 3);

    rig_run_dry(&test->rig);
    assert_int_equal(duress_metrics_layers(test->agent, layers, 2), 2);
    const char *const reasons_unseen[] = {"memory", "rate", "wait"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(figure(&layers[0], "refusals", reasons_unseen[i]), 0);
    assert_int_equal(figure(&layers[0], "waiting", NULL), 0);
    assert_int_equal(figure(&layers[0], "waited", NULL), 2);
    assert_int_equal(figure(&layers[0], "waited_total", NULL), (100 + 200) * DURESS_MS);
    assert_int_equal(figure(&layers[0], "waited_longest", NULL), 200 * DURESS_MS);
    assert_int_equal(figure(&layers[1], "refusals", "full"), 1);
    assert_int_equal(figure(&layers[1], "refusals", "late"), 1);
    assert_int_equal(figure(&layers[1], "limit", NULL), 1);
    assert_int_equal(figure(&layers[1], "running", NULL), 0);
    assert_int_equal(figure(&layers[1], "waiting", NULL), 0);
    assert_int_equal(figure(&layers[1], "waited", NULL), 4);
    assert_int_equal(figure(&layers[1], "waited_total", NULL), (70 + 140 + 110 + 80) * DURESS_MS);
    assert_int_equal(figure(&layers[1], "waited_longest", NULL), 140 * DURESS_MS);
    layer_test_close(test);
}

static void as_many_layers_as_there_is_room_for_are_copied(void **state)
{
    struct layer_test *test = *state;
    struct duress_metrics_layer layers[3] = {{.kind = "kept"}, {.kind = "kept"}, {.kind = "kept"}};
    wrap_all(test);
    assert_int_equal(duress_metrics_layers(test->agent, layers, 2), 4);
    assert_string_equal(layers[1].kind, "hedge");
    assert_string_equal(layers[2].kind, "kept");
    assert_int_equal(duress_metrics_layers(test->agent, NULL, 0), 4);
    assert_int_equal(duress_metrics_layers(test->service.agent, layers, 2), 0);
    layer_test_close(test);
}

/* The breaker layer has the policy's words in a table of its own. */
static void the_words_of_the_breaker_are_those_of_the_policy(void **state)
{
    struct layer_test *test = *state;
    struct duress_metrics_layer layers[4];
    wrap_all(test);
    assert_int_equal(duress_metrics_layers(test->agent, layers, 4), 4);
    assert_int_equal(layers[2].figure_count, 5 + DURESS_BREAKER_REASON_COUNT + 2);
    for (int i = 0; i <= DURESS_BREAKER_FORCED_CLOSED; i++)
        assert_string_equal(layers[2].figures[i].label_value, duress_breaker_state_name((enum duress_breaker_state)i));
    for (int i = 0; i < DURESS_BREAKER_REASON_COUNT; i++)
        assert_string_equal(layers[2].figures[5 + i].label_value,
                            duress_breaker_reason_name((enum duress_breaker_reason)i));
    layer_test_close(test);
}

/* Each state shows as itself, and each kind of change is counted as itself. */
static void every_state_of_the_breaker_shows(void **state)
{
    struct layer_test *test = *state;
    struct duress_metrics_layer layers[4];
    wrap_all(test);
    struct duress_breaker *breaker = duress_breaker_of(test->agent);
    for (int turn = 0; turn < 4; turn++) {
        if (turn == 1)
            duress_breaker_force_open(breaker, 1);
        if (turn == 2)
            duress_breaker_release(breaker, 2);
        if (turn == 3)
            duress_breaker_force_closed(breaker, 3);
        static const char *const seen[] = {"closed", "forced open", "half-open", "forced closed"};
        assert_int_equal(duress_metrics_layers(test->agent, layers, 4), 4);
        for (int i = 0; i <= DURESS_BREAKER_FORCED_CLOSED; i++)
            assert_int_equal(layers[2].figures[i].value, strcmp(layers[2].figures[i].label_value, seen[turn]) == 0);
    }
    assert_int_equal(figure(&layers[2], "transitions", "forced"), 2);
    assert_int_equal(figure(&layers[2], "transitions", "released"), 1);
    layer_test_close(test);
}

static void the_faults_inside_tell_their_figures(void **state)
{
    struct layer_test *test = *state;
    struct duress_metrics_layer layer;
    struct duress_agent *faults;
    struct duress_faults_layer_options options = {
        .faults = {.pattern = {DURESS_FAULT_ERROR, DURESS_FAULT_ERROR_AFTER, DURESS_FAULT_DELAY, DURESS_FAULT_CORRUPT,
                               DURESS_FAULT_TRUNCATE, DURESS_FAULT_ERROR},
                   .pattern_count = 6,
                   .crash_after = 7},
    };
    assert_int_equal(duress_with_faults(test->service.agent, &options, &faults, NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(faults, NULL, &test->agent, NULL), DURESS_OK);
    duress_agent_unref(faults);
    for (int i = 0; i < 9; i++) {
        if (i == 5)
            service_fails(&test->service, 1, DURESS_E_REFUSED, false);
        (void)layer_test_ask(test, "x", 0, false);
    }
    assert_int_equal(duress_metrics_layers(test->agent, &layer, 1), 1);
    assert_string_equal(layer.kind, "faults");
    const struct duress_faults_counts counts = duress_faults_counts(test->agent);
    static const char *const labels[] = {"", "error", "error_after", "delay", "hang", "corrupt", "truncate", "crash"};
    uint64_t injected = 0;
    for (int i = 1; i < DURESS_FAULT_COUNT; i++) {
        assert_int_equal(figure(&layer, "injected", labels[i]), counts.injected[i]);
        injected += counts.injected[i];
    }
    assert_int_equal(figure(&layer, "missed", NULL), counts.missed);
    assert_int_equal(figure(&layer, "crashed", NULL), 1);
    assert_int_equal(figure(&layer, "injected", "delay"), 1);
    assert_int_equal(figure(&layer, "injected", "hang"), 0);
    assert_true(injected >= 7);
    layer_test_close(test);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *outer = NULL;
    struct duress_failure why;
    struct duress_metrics metrics;
    char name[65];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    struct duress_metrics_options options = {.name = name};
    assert_int_equal(duress_with_metrics(test->service.agent, &options, &outer, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "metrics.name: must have 1 to 63 bytes");
    options.name = "";
    assert_int_equal(duress_with_metrics(test->service.agent, &options, &outer, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_metrics(NULL, NULL, &outer, &why), DURESS_E_INVALID);
    assert_int_equal(duress_with_metrics(test->service.agent, NULL, NULL, &why), DURESS_E_INVALID);
    assert_null(outer);
    assert_int_equal(duress_metrics_read(test->service.agent, &metrics), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_read(NULL, &metrics), DURESS_E_INVALID);
    options.name = name + 1;
    assert_int_equal(duress_with_metrics(test->service.agent, &options, &test->agent, &why), DURESS_OK);
    assert_string_equal(duress_agent_name(test->agent), name + 1);
    assert_int_equal(duress_metrics_read(test->agent, NULL), DURESS_E_INVALID);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(calls_are_counted_by_how_they_ended, setup),
        cmocka_unit_test_setup(a_number_that_is_no_code_does_no_harm, setup),
        cmocka_unit_test_setup(failures_and_replies_pass_as_they_came, setup),
        cmocka_unit_test_setup(calls_in_flight_are_seen_while_they_are, setup),
        cmocka_unit_test_setup(a_limit_of_a_layer_outside_is_a_deadline_here, setup),
        cmocka_unit_test_setup(durations_are_told_by_quantiles, setup),
        cmocka_unit_test_setup(failures_have_a_histogram_of_their_own, setup),
        cmocka_unit_test_setup(chunks_pass, setup),
        cmocka_unit_test_setup(a_reset_keeps_the_calls_in_flight, setup),
        cmocka_unit_test_setup(the_layers_inside_tell_their_figures, setup),
        cmocka_unit_test_setup(the_limits_inside_tell_their_figures, setup),
        cmocka_unit_test_setup(as_many_layers_as_there_is_room_for_are_copied, setup),
        cmocka_unit_test_setup(the_words_of_the_breaker_are_those_of_the_policy, setup),
        cmocka_unit_test_setup(every_state_of_the_breaker_shows, setup),
        cmocka_unit_test_setup(bad_options_are_refused_by_name, setup),
        cmocka_unit_test_setup(the_faults_inside_tell_their_figures, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
