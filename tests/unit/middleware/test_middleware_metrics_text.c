/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts that metrics are exported as: JSON is read back by a JSON library, Prometheus' format by a strict reader of
 * ours, and both must say what the structs say. */
#include "layer_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <jansson.h>

#include "exposition.h"
#include "layer_private.h"

enum { TEXT_BYTES = 256 * 1024 };

static struct layer_test the_test;
static char the_text[TEXT_BYTES];
static struct exposition the_exposition;

static int setup(void **state)
{
    *state = &the_test;
    layer_test_open(&the_test, 0);
    return 0;
}

/* metrics named |name| -> retry -> hedge -> breaker -> timeout -> the service */
static struct duress_agent *wrap_all(struct layer_test *test, const char *name)
{
    struct duress_timeout_options timeout = {.limit_ns = DURESS_S};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 2}};
    struct duress_stack_options stack = {.breaker = &breaker, .timeout = &timeout};
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 1500 * DURESS_US}};
    struct duress_retry_options retry = {.attempts_max = 2, .backoff_ns = DURESS_MS};
    struct duress_metrics_options metrics = {.name = name};
    struct duress_agent *agents[3];
    struct duress_agent *outer = NULL;
    assert_int_equal(duress_stack_new(test->service.agent, &stack, &agents[0], NULL), DURESS_OK);
    assert_int_equal(duress_with_hedge(agents[0], &hedge, &agents[1], NULL), DURESS_OK);
    assert_int_equal(duress_with_retry(agents[1], &retry, NULL, &agents[2], NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(agents[2], &metrics, &outer, NULL), DURESS_OK);
    for (int i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
    return outer;
}

static struct duress_agent *wrap_plain(struct layer_test *test, const char *name)
{
    struct duress_agent *outer = NULL;
    assert_int_equal(
        duress_with_metrics(test->service.agent, &(struct duress_metrics_options){.name = name}, &outer, NULL),
        DURESS_OK);
    return outer;
}

/* Some of everything: replies after 1 ms to 40 ms, two failures, a refusal by the breaker, one cancelled, one running.
 */
static void exercise(struct layer_test *test, struct rig_answer *running)
{
    static struct rig_answer cancelled;
    for (uint64_t i = 1; i <= 40; i++) {
        test->service.delay_ns_min = test->service.delay_ns_max = i * DURESS_MS;
        assert_int_equal(layer_test_ask(test, "x", 0, i % 2 == 0).error, DURESS_OK);
    }
    test->service.silent = true;
    cancelled = (struct rig_answer){.ended = 0};
    rig_ask(test->agent, "x", &cancelled);
    duress_call_cancel(cancelled.call);
    rig_run_until_ended(&test->rig, &cancelled);
    rig_ask(test->agent, "x", running);
    test->service.silent = false;
    service_fails(&test->service, 2, DURESS_E_REFUSED, false);
    test->service.delay_ns_min = test->service.delay_ns_max = 3 * DURESS_MS;
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_REFUSED);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_CIRCUIT_OPEN);
}

static void finish(struct layer_test *test, struct rig_answer *running)
{
    duress_call_cancel(running->call);
    rig_run_until_ended(&test->rig, running);
    layer_test_close(test);
}

/* --- JSON --- */

static json_t *read_json(const struct duress_agent *agent)
{
    json_error_t error;
    int length = duress_metrics_json(agent, the_text, sizeof the_text);
    assert_in_range(length, 2, TEXT_BYTES - 1);
    assert_int_equal(length, strlen(the_text));
    json_t *json = json_loads(the_text, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s in %s", error.text, the_text);
    return json;
}

static uint64_t number(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value))
        fail_msg("no number %s", key);
    return (uint64_t)json_integer_value(value);
}

static void assert_calls_json(const json_t *parent, const struct duress_layer_counts *calls)
{
    const json_t *json = json_object_get(parent, "calls");
    assert_int_equal(json_object_size(json), 7);
    assert_int_equal(number(json, "begun"), calls->begun);
    assert_int_equal(number(json, "succeeded"), calls->succeeded);
    assert_int_equal(number(json, "failed"), calls->failed);
    assert_int_equal(number(json, "timed_out"), calls->timed_out);
    assert_int_equal(number(json, "cancelled"), calls->cancelled);
    assert_int_equal(number(json, "refused"), calls->refused);
    assert_int_equal(number(json, "in_flight"), calls->in_flight);
}

static void assert_durations_json(const json_t *json, const struct duress_histogram_summary *summary)
{
    assert_int_equal(json_object_size(json), 9);
    assert_int_equal(number(json, "count"), summary->count);
    assert_int_equal(number(json, "sum"), summary->sum);
    assert_int_equal(number(json, "min"), summary->min);
    assert_int_equal(number(json, "max"), summary->max);
    assert_int_equal(number(json, "p50"), summary->p50);
    assert_int_equal(number(json, "p90"), summary->p90);
    assert_int_equal(number(json, "p95"), summary->p95);
    assert_int_equal(number(json, "p99"), summary->p99);
    assert_int_equal(number(json, "p99_9"), summary->p999);
}

static void assert_layer_json(const json_t *json, const struct duress_metrics_layer *layer)
{
    assert_string_equal(json_string_value(json_object_get(json, "kind")), layer->kind);
    assert_calls_json(json, &layer->calls);
    for (size_t i = 0; i < layer->figure_count; i++) {
        const struct duress_metrics_figure *figure = &layer->figures[i];
        bool duration = figure->type == DURESS_FIGURE_COUNTER_NS || figure->type == DURESS_FIGURE_GAUGE_NS;
        char key[64];
        (void)snprintf(key, sizeof key, "%s%s", figure->name, duration ? "_ns" : "");
        if (figure->label != NULL)
            assert_int_equal(number(json_object_get(json, key), figure->label_value), figure->value);
        else
            assert_int_equal(number(json, key), figure->value);
    }
}

static void json_says_what_the_structs_say(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer running = {.ended = 0};
    struct duress_metrics metrics;
    struct duress_metrics_layer layers[4];
    test->agent = wrap_all(test, "echo");
    exercise(test, &running);
    json_t *json = read_json(test->agent);
    assert_int_equal(duress_metrics_read(test->agent, &metrics), DURESS_OK);
    assert_int_equal(duress_metrics_layers(test->agent, layers, 4), 4);
    assert_string_equal(json_string_value(json_object_get(json, "agent")), "echo");
    assert_calls_json(json, &metrics.calls);
    const json_t *outcomes = json_object_get(json, "outcomes");
    assert_int_equal(json_object_size(outcomes), 4);
    assert_int_equal(number(outcomes, "ok"), 40);
    assert_int_equal(number(outcomes, "cancelled"), 1);
    assert_int_equal(number(outcomes, "refused"), 1);
    assert_int_equal(number(outcomes, "circuit_open"), 1);
    const json_t *durations = json_object_get(json, "duration_ns");
    assert_durations_json(json_object_get(durations, "succeeded"), &metrics.succeeded);
    assert_durations_json(json_object_get(durations, "failed"), &metrics.failed);
    const json_t *list = json_object_get(json, "layers");
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 4; i++)
        assert_layer_json(json_array_get(list, i), &layers[i]);
    json_decref(json);
    finish(test, &running);
}

static void json_without_layers_or_calls_is_whole(void **state)
{
    struct layer_test *test = *state;
    test->agent = wrap_plain(test, NULL);
    json_t *json = read_json(test->agent);
    assert_string_equal(json_string_value(json_object_get(json, "agent")), "service");
    assert_int_equal(json_array_size(json_object_get(json, "layers")), 0);
    assert_int_equal(number(json_object_get(json, "outcomes"), "ok"), 0);
    json_decref(json);
    layer_test_close(test);
}

struct named {
    const char *name;
    const char *as_json;       /* after decoding */
    const char *as_prometheus; /* as it stands */
};

#define REPLACEMENT "\xef\xbf\xbd"

static const struct named awkward_names[] = {
    {"plain", "plain", "plain"},
    {"with \"quotes\" and \\ back", "with \"quotes\" and \\ back", "with \\\"quotes\\\" and \\\\ back"},
    {"two\nlines", "two\nlines", "two\\nlines"},
    {"\x01tab\t\x1f", "\x01tab\t\x1f", "\x01tab\t\x1f"},
    {"gr\xc3\xbc\xc3\x9f"
     "e \xe2\x82\xac \xf0\x9f\x98\x80",
     "gr\xc3\xbc\xc3\x9f"
     "e \xe2\x82\xac \xf0\x9f\x98\x80",
     "gr\xc3\xbc\xc3\x9f"
     "e \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"cut \xe2\x82", "cut " REPLACEMENT REPLACEMENT, "cut " REPLACEMENT REPLACEMENT},
    {"broken \xe2\x82(\xe2\x82\xc0", "broken " REPLACEMENT REPLACEMENT "(" REPLACEMENT REPLACEMENT REPLACEMENT,
     "broken " REPLACEMENT REPLACEMENT "(" REPLACEMENT REPLACEMENT REPLACEMENT},
    {"lone \x80 \xff", "lone " REPLACEMENT " " REPLACEMENT, "lone " REPLACEMENT " " REPLACEMENT},
    {"\xc0\x80|\xc1\xbf", REPLACEMENT REPLACEMENT "|" REPLACEMENT REPLACEMENT, /* overlong */
     REPLACEMENT REPLACEMENT "|" REPLACEMENT REPLACEMENT},
    {"\xe0\x9f\xbf|\xf0\x8f\xbf\xbf",
     REPLACEMENT REPLACEMENT REPLACEMENT "|" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT,
     REPLACEMENT REPLACEMENT REPLACEMENT "|" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
    {"\xed\xa0\x80", REPLACEMENT REPLACEMENT REPLACEMENT, REPLACEMENT REPLACEMENT REPLACEMENT}, /* a surrogate */
    {"\xf4\x8f\xbf\xbf|\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf|" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT,
     "\xf4\x8f\xbf\xbf|" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
    {"\xf5\x80\x80\x80", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT,
     REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
};

static void awkward_names_are_escaped(void **state)
{
    struct layer_test *test = *state;
    for (size_t i = 0; i < sizeof awkward_names / sizeof awkward_names[0]; i++) {
        const struct named *named = &awkward_names[i];
        char series[256];
        struct duress_agent *agent = wrap_plain(test, named->name);
        json_t *json = read_json(agent);
        assert_string_equal(json_string_value(json_object_get(json, "agent")), named->as_json);
        json_decref(json);
        assert_true(duress_metrics_prometheus(&agent, 1, the_text, sizeof the_text) > 0);
        exposition_read(&the_exposition, the_text);
        (void)snprintf(series, sizeof series, "duress_calls_in_flight{agent=\"%s\"}", named->as_prometheus);
        assert_true(exposition_has(&the_exposition, series));
        duress_agent_unref(agent);
    }
    layer_test_close(test);
}

/* --- Prometheus --- */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void assert_close(double seen, double expected)
{
    assert_true(fabs(seen - expected) <= 1e-12 + fabs(expected) * 1e-12);
}

static void assert_buckets(const char *agent, const char *result, uint64_t count, uint64_t sum_ns)
{
    char series[256];
    (void)snprintf(series, sizeof series, "duress_call_duration_seconds_count{agent=\"%s\",result=\"%s\"}", agent,
                   result);
    assert_int_equal(exposition_value(&the_exposition, series), count);
    (void)snprintf(series, sizeof series, "duress_call_duration_seconds_sum{agent=\"%s\",result=\"%s\"}", agent,
                   result);
    assert_close(exposition_value(&the_exposition, series), seconds(sum_ns));
    (void)snprintf(series, sizeof series, "duress_call_duration_seconds_bucket{agent=\"%s\",result=\"%s\",le=\"+Inf\"}",
                   agent, result);
    assert_int_equal(exposition_value(&the_exposition, series), count);
}

static void assert_layer_exposed(const char *agent, size_t depth, const struct duress_metrics_layer *layer)
{
    static const char *const suffixes[] = {"_total", "_seconds_total", "", "_seconds"};
    char series[512];
    (void)snprintf(series, sizeof series,
                   "duress_layer_calls_total{agent=\"%s\",layer=\"%zu\",kind=\"%s\",outcome=\"succeeded\"}", agent,
                   depth, layer->kind);
    assert_int_equal(exposition_value(&the_exposition, series), layer->calls.succeeded);
    (void)snprintf(series, sizeof series, "duress_layer_calls_in_flight{agent=\"%s\",layer=\"%zu\",kind=\"%s\"}", agent,
                   depth, layer->kind);
    assert_int_equal(exposition_value(&the_exposition, series), layer->calls.in_flight);
    for (size_t i = 0; i < layer->figure_count; i++) {
        const struct duress_metrics_figure *figure = &layer->figures[i];
        int length = snprintf(series, sizeof series, "duress_%s_%s%s{agent=\"%s\",layer=\"%zu\",kind=\"%s\"",
                              layer->kind, figure->name, suffixes[figure->type], agent, depth, layer->kind);
        if (figure->label != NULL)
            (void)snprintf(series + length, sizeof series - (size_t)length, ",%s=\"%s\"}", figure->label,
                           figure->label_value);
        else
            (void)snprintf(series + length, sizeof series - (size_t)length, "}");
        bool duration = figure->type == DURESS_FIGURE_COUNTER_NS || figure->type == DURESS_FIGURE_GAUGE_NS;
        assert_close(exposition_value(&the_exposition, series),
                     duration ? seconds(figure->value) : (double)figure->value);
    }
}

static void prometheus_says_what_the_structs_say(void **state)
{
    struct layer_test *test = *state;
    struct rig_answer running = {.ended = 0};
    struct duress_metrics metrics;
    struct duress_metrics_layer layers[4];
    test->agent = wrap_all(test, "echo");
    exercise(test, &running);
    int length = duress_metrics_prometheus(&test->agent, 1, the_text, sizeof the_text);
    assert_int_equal(length, strlen(the_text));
    exposition_read(&the_exposition, the_text);
    assert_int_equal(duress_metrics_read(test->agent, &metrics), DURESS_OK);
    assert_int_equal(duress_metrics_layers(test->agent, layers, 4), 4);
    assert_int_equal(exposition_value(&the_exposition, "duress_calls_total{agent=\"echo\",outcome=\"ok\"}"), 40);
    assert_int_equal(exposition_value(&the_exposition, "duress_calls_total{agent=\"echo\",outcome=\"refused\"}"), 1);
    assert_int_equal(exposition_value(&the_exposition, "duress_calls_total{agent=\"echo\",outcome=\"cancelled\"}"), 1);
    assert_false(exposition_has(&the_exposition, "duress_calls_total{agent=\"echo\",outcome=\"reset\"}"));
    assert_int_equal(exposition_value(&the_exposition, "duress_calls_in_flight{agent=\"echo\"}"), 1);
    assert_buckets("echo", "succeeded", 40, metrics.succeeded.sum);
    assert_buckets("echo", "failed", 2, metrics.failed.sum);
    assert_close(exposition_value(&the_exposition, "duress_call_duration_quantile_seconds{agent=\"echo\","
                                                   "result=\"succeeded\",quantile=\"0.999\"}"),
                 seconds(metrics.succeeded.p999));
    for (size_t i = 0; i < 4; i++)
        assert_layer_exposed("echo", i + 1, &layers[i]);
    assert_close(
        exposition_value(&the_exposition, "duress_hedge_delay_seconds{agent=\"echo\",layer=\"2\",kind=\"hedge\"}"),
        0.0015);
    finish(test, &running);
}

/* Replies took 1, 2, … 40 ms, 20 ms of them hedged: the bounds fall where they must, within 1/64. */
static void buckets_count_what_is_at_most_their_bound(void **state)
{
    struct layer_test *test = *state;
    test->agent = wrap_plain(test, "echo");
    for (uint64_t i = 1; i <= 40; i++) {
        test->service.delay_ns_min = test->service.delay_ns_max = i * DURESS_MS;
        assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_OK);
    }
    assert_true(duress_metrics_prometheus(&test->agent, 1, the_text, sizeof the_text) > 0);
    exposition_read(&the_exposition, the_text);
    static const struct {
        const char *bound;
        int count;
    } expected[] = {{"0.0001", 0}, {"0.0005", 0}, {"0.001", 1}, {"0.0025", 2}, {"0.005", 5},
                    {"0.01", 10},  {"0.025", 25}, {"0.05", 40}, {"60", 40},    {"+Inf", 40}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char series[256];
        (void)snprintf(series, sizeof series,
                       "duress_call_duration_seconds_bucket{agent=\"echo\",result=\"succeeded\",le=\"%s\"}",
                       expected[i].bound);
        assert_int_equal(exposition_value(&the_exposition, series), expected[i].count);
    }
    layer_test_close(test);
}

static void several_agents_share_one_exposition(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *agents[4] = {wrap_plain(test, "plain"), wrap_all(test, "full"), wrap_plain(test, "last"),
                                      wrap_all(test, "other")};
    struct duress_metrics_layer layers[4];
    assert_true(duress_metrics_prometheus(agents, 4, the_text, sizeof the_text) > 0);
    exposition_read(&the_exposition, the_text); /* no family comes twice */
    for (size_t agent = 1; agent < 4; agent += 2) {
        const char *name = duress_agent_name(agents[agent]);
        assert_int_equal(duress_metrics_layers(agents[agent], layers, 4), 4);
        for (size_t i = 0; i < 4; i++)
            assert_layer_exposed(name, i + 1, &layers[i]);
    }
    assert_true(exposition_has(&the_exposition, "duress_calls_in_flight{agent=\"plain\"}"));
    assert_true(exposition_has(&the_exposition, "duress_calls_in_flight{agent=\"last\"}"));
    for (int i = 0; i < 4; i++)
        duress_agent_unref(agents[i]);
    layer_test_close(test);
}

/* metrics -> retry -> metrics -> retry -> the service: one family each, and every place a series of its own. */
static void layers_of_one_kind_are_told_apart_by_their_place(void **state)
{
    struct layer_test *test = *state;
    struct duress_retry_options retry = {.attempts_max = 2, .backoff_ns = DURESS_MS};
    struct duress_agent *agents[3];
    assert_int_equal(duress_with_retry(test->service.agent, &retry, NULL, &agents[0], NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(agents[0], NULL, &agents[1], NULL), DURESS_OK);
    assert_int_equal(duress_with_retry(agents[1], &retry, NULL, &agents[2], NULL), DURESS_OK);
    assert_int_equal(duress_with_metrics(agents[2], NULL, &test->agent, NULL), DURESS_OK);
    for (int i = 0; i < 3; i++)
        duress_agent_unref(agents[i]);
    service_fails(&test->service, 4, DURESS_E_REFUSED, false);
    assert_int_equal(layer_test_ask(test, "x", 0, false).error, DURESS_E_REFUSED);
    assert_true(duress_metrics_prometheus(&test->agent, 1, the_text, sizeof the_text) > 0);
    exposition_read(&the_exposition, the_text);
#define ATTEMPTS(layer) "duress_retry_attempts_total{agent=\"service\",layer=\"" layer "\",kind=\"retry\"}"
    assert_int_equal(exposition_value(&the_exposition, ATTEMPTS("1")), 2);
    assert_int_equal(exposition_value(&the_exposition, ATTEMPTS("3")), 4);
    assert_false(exposition_has(&the_exposition, ATTEMPTS("2"))); /* the metrics inside */
    json_t *json = read_json(test->agent);
    assert_int_equal(json_array_size(json_object_get(json, "layers")), 3);
    json_decref(json);
    layer_test_close(test);
}

/* --- a kind of layer with every type of figure --- */

static const struct layer_figure odd_figures[] = {
    {"spent", "A counter of time.", DURESS_FIGURE_COUNTER_NS, "what", "waiting"},
    {"spent", "A counter of time.", DURESS_FIGURE_COUNTER_NS, "what", "working"},
    {"level", "A gauge.", DURESS_FIGURE_GAUGE, NULL, NULL},
    {"age", "A gauge of time.", DURESS_FIGURE_GAUGE_NS, "of", "oldest"},
    {"age", "A gauge of time.", DURESS_FIGURE_GAUGE_NS, "of", "newest"},
    {"things", "A counter.", DURESS_FIGURE_COUNTER, "colour", "red"},
};

static void odd_tell(const struct layer *layer, uint64_t *values)
{
    static const uint64_t told[] = {0, 1, 42, 1500000000, INT64_MAX, 7};
    (void)layer;
    memcpy(values, told, sizeof told);
}

static void odd_process(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    (void)call;
}

static int odd_released;

static void odd_release(struct layer *layer)
{
    assert_ptr_equal(layer->base.ops->process, odd_process);
    odd_released++;
}

static const struct layer_kind odd_kind = {
    .ops = {odd_process, NULL, duress__layer_free},
    .name = "odd",
    .figures = odd_figures,
    .figure_count = sizeof odd_figures / sizeof odd_figures[0],
    .tell = odd_tell,
    .release = odd_release,
};

static void every_type_of_figure_is_exported(void **state)
{
    struct layer_test *test = *state;
    struct layer *odd = duress__layer_new(sizeof *odd, &odd_kind, test->service.agent, NULL);
    assert_non_null(odd);
    assert_int_equal(duress_with_metrics(&odd->base, NULL, &test->agent, NULL), DURESS_OK);
    duress_agent_unref(&odd->base);

    json_t *json = read_json(test->agent);
    const json_t *layer = json_array_get(json_object_get(json, "layers"), 0);
    assert_int_equal(number(json_object_get(layer, "spent_ns"), "working"), 1);
    assert_int_equal(number(layer, "level"), 42);
    assert_int_equal(number(json_object_get(layer, "age_ns"), "oldest"), 1500000000);
    assert_int_equal(number(json_object_get(layer, "things"), "red"), 7);
    json_decref(json);

    assert_true(duress_metrics_prometheus(&test->agent, 1, the_text, sizeof the_text) > 0);
    exposition_read(&the_exposition, the_text);
#define ODD "{agent=\"service\",layer=\"1\",kind=\"odd\""
    assert_non_null(strstr(the_text, "duress_odd_spent_seconds_total" ODD ",what=\"waiting\"} 0\n"));
    assert_non_null(strstr(the_text, "duress_odd_spent_seconds_total" ODD ",what=\"working\"} 0.000000001\n"));
    assert_non_null(strstr(the_text, "duress_odd_level" ODD "} 42\n"));
    assert_non_null(strstr(the_text, "duress_odd_age_seconds" ODD ",of=\"oldest\"} 1.5\n"));
    assert_non_null(strstr(the_text, "duress_odd_age_seconds" ODD ",of=\"newest\"} 9223372036.854775807\n"));
    assert_non_null(strstr(the_text, "duress_odd_things_total" ODD ",colour=\"red\"} 7\n"));
    odd_released = 0;
    duress_agent_unref(test->agent);
    test->agent = NULL;
    assert_int_equal(odd_released, 1);
    layer_test_close(test);
}

/* --- how they are written --- */

/* For every room there may be: a prefix of the text, a NUL, nothing beyond, and the same length told. */
static void a_small_buffer_holds_the_beginning(void **state)
{
    struct layer_test *test = *state;
    static char whole[TEXT_BYTES];
    test->agent = wrap_all(test, "echo");
    for (int format = 0; format < 2; format++) {
        int length = format == 0 ? duress_metrics_json(test->agent, whole, sizeof whole)
                                 : duress_metrics_prometheus(&test->agent, 1, whole, sizeof whole);
        assert_true(length > 0);
        for (size_t room = 0; room <= (size_t)length + 1; room++) {
            memset(the_text, '~', room + 1);
            int told = format == 0 ? duress_metrics_json(test->agent, the_text, room)
                                   : duress_metrics_prometheus(&test->agent, 1, the_text, room);
            assert_int_equal(told, length);
            assert_int_equal(the_text[room], '~');
            if (room > 0) {
                assert_int_equal(strlen(the_text), room - 1);
                assert_memory_equal(the_text, whole, room - 1);
            }
        }
    }
    assert_true(duress_metrics_json(test->agent, NULL, 0) > 0);
    assert_true(duress_metrics_prometheus(&test->agent, 1, NULL, 0) > 0);
    layer_test_close(test);
}

static void what_cannot_be_exported_is_refused(void **state)
{
    struct layer_test *test = *state;
    struct duress_agent *agents[2] = {wrap_plain(test, "same"), wrap_plain(test, "same")};
    assert_int_equal(duress_metrics_prometheus(agents, 2, the_text, sizeof the_text), DURESS_E_INVALID);
    assert_true(duress_metrics_prometheus(agents, 1, the_text, sizeof the_text) > 0);
    assert_int_equal(duress_metrics_prometheus(agents, 0, the_text, sizeof the_text), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_prometheus(NULL, 1, the_text, sizeof the_text), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_prometheus(agents, 1, NULL, 5), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_prometheus(&test->service.agent, 1, the_text, 5), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_json(test->service.agent, the_text, sizeof the_text), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_json(NULL, the_text, sizeof the_text), DURESS_E_INVALID);
    assert_int_equal(duress_metrics_json(agents[0], NULL, 5), DURESS_E_INVALID);
    duress_agent_unref(agents[0]);
    duress_agent_unref(agents[1]);
    layer_test_close(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(json_says_what_the_structs_say, setup),
        cmocka_unit_test_setup(json_without_layers_or_calls_is_whole, setup),
        cmocka_unit_test_setup(awkward_names_are_escaped, setup),
        cmocka_unit_test_setup(prometheus_says_what_the_structs_say, setup),
        cmocka_unit_test_setup(buckets_count_what_is_at_most_their_bound, setup),
        cmocka_unit_test_setup(several_agents_share_one_exposition, setup),
        cmocka_unit_test_setup(layers_of_one_kind_are_told_apart_by_their_place, setup),
        cmocka_unit_test_setup(every_type_of_figure_is_exported, setup),
        cmocka_unit_test_setup(a_small_buffer_holds_the_beginning, setup),
        cmocka_unit_test_setup(what_cannot_be_exported_is_refused, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
