/* SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4. All samples of
 * a family stand together under one HELP and one TYPE, so each family is a walk over all agents. */
#include "metrics_private.h"

#include <inttypes.h>
#include <string.h>

/* The agents of one exposition, and where it goes. */
struct exposition {
    struct text text;
    struct duress_agent *const *agents;
    size_t count;
};

static const struct metrics_layer *exposition_agent(const struct exposition *exposition, size_t index)
{
    return duress__metrics_of(exposition->agents[index]);
}

static void family_begin(struct text *text, const char *name, const char *type, const char *help)
{
    const char *const words[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        duress__text_put(text, words[i]);
}

/* name{agent="…": the first label of every sample. */
static void sample_begin(struct text *text, const char *name, const struct metrics_layer *metrics)
{
    duress__text_format(text, "%s{agent=\"", name);
    duress__text_quoted(text, TEXT_PROMETHEUS, metrics->layer.base.name);
    duress__text_put(text, "\"");
}

static void sample_label(struct text *text, const char *label, const char *value)
{
    duress__text_format(text, ",%s=\"%s\"", label, value);
}

static void sample_end(struct text *text, uint64_t value)
{
    duress__text_format(text, "} %" PRIu64 "\n", value);
}

static void sample_end_seconds(struct text *text, uint64_t value_ns)
{
    duress__text_put(text, "} ");
    duress__text_seconds(text, value_ns);
    duress__text_put(text, "\n");
}

/* --- the calls of the metrics layers --- */

static void write_calls(struct exposition *exposition)
{
    struct text *text = &exposition->text;
    family_begin(text, "duress_calls_total", "counter", "Calls that have ended, by outcome.");
    for (size_t i = 0; i < exposition->count; i++) {
        const struct metrics_layer *metrics = exposition_agent(exposition, i);
        for (int number = 0; number < DURESS_ERROR_NUMBER_END; number++) {
            if (number > 0 && metrics->ended[number] == 0)
                continue;
            sample_begin(text, "duress_calls_total", metrics);
            duress__text_put(text, ",outcome=\"");
            duress__text_error_name(text, -number);
            duress__text_put(text, "\"");
            sample_end(text, metrics->ended[number]);
        }
    }
    family_begin(text, "duress_calls_in_flight", "gauge", "Calls that have begun and not ended.");
    for (size_t i = 0; i < exposition->count; i++) {
        const struct metrics_layer *metrics = exposition_agent(exposition, i);
        sample_begin(text, "duress_calls_in_flight", metrics);
        sample_end(text, metrics->layer.counts.in_flight);
    }
}

static void write_buckets(struct text *text, const struct metrics_layer *metrics, const char *result,
                          const struct duress_histogram *histogram)
{
    static const uint64_t bounds_ns[] = {
        100 * DURESS_US, 250 * DURESS_US,  500 * DURESS_US, 1 * DURESS_MS,   2500 * DURESS_US, 5 * DURESS_MS,
        10 * DURESS_MS,  25 * DURESS_MS,   50 * DURESS_MS,  100 * DURESS_MS, 250 * DURESS_MS,  500 * DURESS_MS,
        1 * DURESS_S,    2500 * DURESS_MS, 5 * DURESS_S,    10 * DURESS_S,   30 * DURESS_S,    60 * DURESS_S,
    };
    struct duress_histogram_summary summary;
    duress_histogram_summary(histogram, &summary);
    for (size_t i = 0; i <= sizeof bounds_ns / sizeof bounds_ns[0]; i++) {
        bool last = i == sizeof bounds_ns / sizeof bounds_ns[0];
        sample_begin(text, "duress_call_duration_seconds_bucket", metrics);
        sample_label(text, "result", result);
        duress__text_put(text, ",le=\"");
        if (last)
            duress__text_put(text, "+Inf");
        else
            duress__text_seconds(text, bounds_ns[i]);
        duress__text_put(text, "\"");
        sample_end(text, last ? summary.count : duress_histogram_count_at_most(histogram, bounds_ns[i]));
    }
    sample_begin(text, "duress_call_duration_seconds_sum", metrics);
    sample_label(text, "result", result);
    sample_end_seconds(text, summary.sum);
    sample_begin(text, "duress_call_duration_seconds_count", metrics);
    sample_label(text, "result", result);
    sample_end(text, summary.count);
}

/* A quantile of nothing is no number, and is left out. */
static void write_quantiles(struct text *text, const struct metrics_layer *metrics, const char *result,
                            const struct duress_histogram *histogram)
{
    struct duress_histogram_summary summary;
    duress_histogram_summary(histogram, &summary);
    const struct {
        const char *name;
        uint64_t value_ns;
    } quantiles[] = {
        {"0.5", summary.p50},  {"0.9", summary.p90},    {"0.95", summary.p95},
        {"0.99", summary.p99}, {"0.999", summary.p999},
    };
    if (summary.count == 0)
        return;
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        sample_begin(text, "duress_call_duration_quantile_seconds", metrics);
        sample_label(text, "result", result);
        sample_label(text, "quantile", quantiles[i].name);
        sample_end_seconds(text, quantiles[i].value_ns);
    }
}

static void write_durations(struct exposition *exposition)
{
    struct text *text = &exposition->text;
    family_begin(text, "duress_call_duration_seconds", "histogram", "How long calls took that were not cancelled.");
    for (size_t i = 0; i < exposition->count; i++) {
        const struct metrics_layer *metrics = exposition_agent(exposition, i);
        write_buckets(text, metrics, "succeeded", &metrics->succeeded);
        write_buckets(text, metrics, "failed", &metrics->failed);
    }
    family_begin(text, "duress_call_duration_quantile_seconds", "gauge",
                 "Quantiles of the same since the start, within 1/64.");
    for (size_t i = 0; i < exposition->count; i++) {
        const struct metrics_layer *metrics = exposition_agent(exposition, i);
        write_quantiles(text, metrics, "succeeded", &metrics->succeeded);
        write_quantiles(text, metrics, "failed", &metrics->failed);
    }
}

/* --- the layers inside --- */

/* One layer of one agent; |depth| counts from 1, outermost first. */
struct place {
    size_t agent;
    size_t depth;
    const struct metrics_layer *metrics;
    const struct layer *layer;
};

/* The first place, or the one after |place|; false where there is none. */
static bool place_next(const struct exposition *exposition, struct place *place)
{
    const struct layer *next = place->layer != NULL ? duress__layer_of(place->layer->inner) : NULL;
    if (place->layer != NULL && next == NULL)
        place->agent++;
    place->depth = next != NULL ? place->depth + 1 : 1;
    for (; next == NULL && place->agent < exposition->count; place->agent++) {
        next = duress__layer_of(exposition_agent(exposition, place->agent)->layer.inner);
        if (next != NULL)
            break;
    }
    place->layer = next;
    place->metrics = next != NULL ? exposition_agent(exposition, place->agent) : NULL;
    return next != NULL;
}

static void place_sample(struct text *text, const char *name, const struct place *place)
{
    sample_begin(text, name, place->metrics);
    duress__text_format(text, ",layer=\"%zu\",kind=\"%s\"", place->depth, layer_kind_of(place->layer)->name);
}

static void write_layer_calls(struct exposition *exposition)
{
    struct text *text = &exposition->text;
    struct place place = {.agent = 0};
    if (!place_next(exposition, &place))
        return;
    family_begin(text, "duress_layer_calls_total", "counter", "Calls that have ended in a layer, by outcome.");
    do {
        const struct duress_layer_counts *calls = &place.layer->counts;
        const struct {
            const char *outcome;
            uint64_t count;
        } outcomes[] = {
            {"succeeded", calls->succeeded}, {"failed", calls->failed},   {"timed_out", calls->timed_out},
            {"cancelled", calls->cancelled}, {"refused", calls->refused},
        };
        for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
            place_sample(text, "duress_layer_calls_total", &place);
            sample_label(text, "outcome", outcomes[i].outcome);
            sample_end(text, outcomes[i].count);
        }
    } while (place_next(exposition, &place));
    family_begin(text, "duress_layer_calls_in_flight", "gauge", "Calls in a layer, now.");
    place = (struct place){.agent = 0};
    while (place_next(exposition, &place)) {
        place_sample(text, "duress_layer_calls_in_flight", &place);
        sample_end(text, place.layer->counts.in_flight);
    }
}

/* The samples of one layer in the family of its |first|-th figure: those of the same name that follow it. */
static void write_layer_figures(struct text *text, const char *family, const struct place *place, size_t first)
{
    const struct layer_kind *kind = layer_kind_of(place->layer);
    uint64_t values[DURESS_LAYER_FIGURES_MAX] = {0};
    kind->tell(place->layer, values);
    for (size_t i = first; i < kind->figure_count; i++) {
        const struct layer_figure *figure = &kind->figures[i];
        if (strcmp(figure->name, kind->figures[first].name) != 0)
            return;
        place_sample(text, family, place);
        if (figure->label != NULL)
            sample_label(text, figure->label, figure->label_value);
        if (figure->type == DURESS_FIGURE_COUNTER_NS || figure->type == DURESS_FIGURE_GAUGE_NS)
            sample_end_seconds(text, values[i]);
        else
            sample_end(text, values[i]);
    }
}

/* The family that begins with the |first|-th figure of |kind|, of all layers of that kind. */
static void write_family(struct exposition *exposition, const struct layer_kind *kind, size_t first)
{
    static const char *const suffixes[] = {
        [DURESS_FIGURE_COUNTER] = "_total",
        [DURESS_FIGURE_COUNTER_NS] = "_seconds_total",
        [DURESS_FIGURE_GAUGE] = "",
        [DURESS_FIGURE_GAUGE_NS] = "_seconds",
    };
    const struct layer_figure *figure = &kind->figures[first];
    bool counter = figure->type == DURESS_FIGURE_COUNTER || figure->type == DURESS_FIGURE_COUNTER_NS;
    char family[128];
    struct text name = {.buffer = family, .bytes = sizeof family};
    duress__text_format(&name, "duress_%s_%s%s", kind->name, figure->name, suffixes[figure->type]);
    (void)duress__text_end(&name);
    family_begin(&exposition->text, family, counter ? "counter" : "gauge", figure->help);
    struct place place = {.agent = 0};
    while (place_next(exposition, &place)) {
        if (layer_kind_of(place.layer) == kind)
            write_layer_figures(&exposition->text, family, &place, first);
    }
}

/* Whether |place| is the first layer of its kind. */
static bool place_is_first_of_kind(const struct exposition *exposition, const struct place *place)
{
    struct place before = {.agent = 0};
    while (place_next(exposition, &before) && layer_kind_of(before.layer) != layer_kind_of(place->layer))
        ;
    return before.agent == place->agent && before.depth == place->depth;
}

static void write_kinds(struct exposition *exposition)
{
    struct place place = {.agent = 0};
    while (place_next(exposition, &place)) {
        const struct layer_kind *kind = layer_kind_of(place.layer);
        if (!place_is_first_of_kind(exposition, &place))
            continue;
        for (size_t i = 0; i < kind->figure_count; i++) {
            if (i == 0 || strcmp(kind->figures[i].name, kind->figures[i - 1].name) != 0)
                write_family(exposition, kind, i);
        }
    }
}

/* Every agent has a metrics layer, and a name of its own. */
static bool exposition_is_sound(const struct exposition *exposition)
{
    for (size_t i = 0; i < exposition->count; i++) {
        const struct metrics_layer *metrics = exposition_agent(exposition, i);
        if (metrics == NULL)
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(exposition_agent(exposition, k)->layer.base.name, metrics->layer.base.name) == 0)
                return false;
        }
    }
    return true;
}

int duress_metrics_prometheus(struct duress_agent *const *agents, size_t count, char *buffer, size_t bytes)
{
    struct exposition exposition = {.text = {.buffer = buffer, .bytes = bytes}, .agents = agents, .count = count};
    if (agents == NULL || count == 0 || (buffer == NULL && bytes > 0) || !exposition_is_sound(&exposition))
        return DURESS_E_INVALID;
    write_calls(&exposition);
    write_durations(&exposition);
    write_layer_calls(&exposition);
    write_kinds(&exposition);
    return duress__text_end(&exposition.text);
}
