/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics_private.h"

#include <inttypes.h>
#include <string.h>

static void json_calls(struct text *text, const struct duress_layer_counts *calls)
{
    duress__text_format(text, "\"calls\":{\"begun\":%" PRIu64 ",\"succeeded\":%" PRIu64 ",\"failed\":%" PRIu64,
                        calls->begun, calls->succeeded, calls->failed);
    duress__text_format(text, ",\"timed_out\":%" PRIu64 ",\"cancelled\":%" PRIu64 ",\"refused\":%" PRIu64,
                        calls->timed_out, calls->cancelled, calls->refused);
    duress__text_format(text, ",\"in_flight\":%" PRIu64 "}", calls->in_flight);
}

/* Codes that nothing has ended with are left out, but for "ok". */
static void json_outcomes(struct text *text, const struct metrics_layer *layer)
{
    duress__text_format(text, ",\"outcomes\":{\"ok\":%" PRIu64, layer->ended[0]);
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++) {
        if (layer->ended[number] == 0)
            continue;
        duress__text_put(text, ",\"");
        duress__text_error_name(text, -number);
        duress__text_format(text, "\":%" PRIu64, layer->ended[number]);
    }
    duress__text_put(text, "}");
}

static void json_durations(struct text *text, const char *result, const struct duress_histogram *histogram)
{
    struct duress_histogram_summary summary;
    duress_histogram_summary(histogram, &summary);
    duress__text_format(text, "\"%s\":{\"count\":%" PRIu64 ",\"sum\":%" PRIu64, result, summary.count, summary.sum);
    duress__text_format(text, ",\"min\":%" PRIu64 ",\"max\":%" PRIu64, summary.min, summary.max);
    duress__text_format(text, ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p95\":%" PRIu64, summary.p50, summary.p90,
                        summary.p95);
    duress__text_format(text, ",\"p99\":%" PRIu64 ",\"p99_9\":%" PRIu64 "}", summary.p99, summary.p999);
}

static bool figure_is_a_duration(const struct layer_figure *figure)
{
    return figure->type == DURESS_FIGURE_COUNTER_NS || figure->type == DURESS_FIGURE_GAUGE_NS;
}

/* Figures of one name with labels become one object: "state":{"closed":1,"open":0}. */
static void json_figures(struct text *text, const struct layer *layer)
{
    const struct layer_kind *kind = layer_kind_of(layer);
    uint64_t values[DURESS_LAYER_FIGURES_MAX] = {0};
    const char *open = NULL; /* the name whose object is open */
    if (kind->tell != NULL)
        kind->tell(layer, values);
    for (size_t i = 0; i < kind->figure_count; i++) {
        const struct layer_figure *figure = &kind->figures[i];
        bool goes_on = open != NULL && strcmp(open, figure->name) == 0;
        if (open != NULL && !goes_on)
            duress__text_put(text, "}");
        if (!goes_on) {
            duress__text_format(text, ",\"%s%s\":", figure->name, figure_is_a_duration(figure) ? "_ns" : "");
            open = figure->label != NULL ? figure->name : NULL;
        }
        if (figure->label != NULL)
            duress__text_format(text, "%s\"%s\":", goes_on ? "," : "{", figure->label_value);
        duress__text_format(text, "%" PRIu64, values[i]);
    }
    if (open != NULL)
        duress__text_put(text, "}");
}

static void json_layers(struct text *text, const struct metrics_layer *metrics)
{
    const struct layer *layer = duress__layer_of(metrics->layer.inner);
    duress__text_put(text, ",\"layers\":[");
    for (const char *comma = ""; layer != NULL; comma = ",", layer = duress__layer_of(layer->inner)) {
        duress__text_format(text, "%s{\"kind\":\"%s\",", comma, layer_kind_of(layer)->name);
        json_calls(text, &layer->counts);
        json_figures(text, layer);
        duress__text_put(text, "}");
    }
    duress__text_put(text, "]");
}

int duress_metrics_json(const struct duress_agent *agent, char *buffer, size_t bytes)
{
    const struct metrics_layer *metrics = duress__metrics_of(agent);
    if (metrics == NULL || (buffer == NULL && bytes > 0))
        return DURESS_E_INVALID;
    struct text text = {.buffer = buffer, .bytes = bytes};
    duress__text_put(&text, "{\"agent\":\"");
    duress__text_quoted(&text, TEXT_JSON, metrics->layer.base.name);
    duress__text_put(&text, "\",");
    json_calls(&text, &metrics->layer.counts);
    json_outcomes(&text, metrics);
    duress__text_put(&text, ",\"duration_ns\":{");
    json_durations(&text, "succeeded", &metrics->succeeded);
    duress__text_put(&text, ",");
    json_durations(&text, "failed", &metrics->failed);
    duress__text_put(&text, "}");
    json_layers(&text, metrics);
    duress__text_put(&text, "}");
    return duress__text_end(&text);
}
