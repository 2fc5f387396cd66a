/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics_private.h"

#include <string.h>

struct metrics_call {
    struct duress_call *call;
    struct duress_call *child;
};

/* An agent of somebody else's may end a call with a number that is no code of ours. */
static void metrics_count(struct metrics_layer *layer, int code, uint64_t *counter)
{
    bool known = code <= 0 && code > -DURESS_ERROR_NUMBER_END;
    layer_count_end(&layer->layer, counter);
    layer->ended[known ? -code : -DURESS_E_INVALID]++;
}

static void metrics_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct metrics_call *state = context;
    struct metrics_layer *layer = (struct metrics_layer *)state->call->agent;
    bool good = result->error == DURESS_OK;
    (void)child;
    duress_histogram_record(good ? &layer->succeeded : &layer->failed,
                            duress_time_until(duress_call_started_ns(state->call), result->ended_ns));
    metrics_count(layer, result->error, good ? &layer->layer.counts.succeeded : &layer->layer.counts.failed);
    duress_call_pass(state->call, result);
}

static void metrics_fail_memory(struct metrics_layer *layer, struct duress_call *call)
{
    layer->ended[-DURESS_E_NO_MEMORY]++;
    duress_histogram_record(&layer->failed, 0);
    duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_AGENT);
}

static void metrics_process(struct duress_agent *agent, struct duress_call *call)
{
    struct metrics_layer *layer = (struct metrics_layer *)agent;
    struct metrics_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        metrics_fail_memory(layer, call);
        return;
    }
    state->call = call;
    call->state = state;
    struct duress_child child = {.agent = layer->layer.inner, .on_end = metrics_child_ended, .context = state};
    if (duress_call_begin(call, &child, &state->child) != DURESS_OK)
        metrics_fail_memory(layer, call);
}

static void metrics_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct metrics_layer *layer = (struct metrics_layer *)agent;
    struct metrics_call *state = call->state;
    duress_call_abandon(state->child);
    if (call->expired) {
        uint64_t now_ns = duress_world_now_ns(agent->world);
        duress_histogram_record(&layer->failed, duress_time_until(duress_call_started_ns(call), now_ns));
    }
    metrics_count(layer, call->expired ? DURESS_E_DEADLINE : DURESS_E_CANCELLED, layer_given_up(&layer->layer, call));
}

static const struct layer_kind metrics_kind = {
    .ops = {metrics_process, metrics_cancel, duress__layer_free},
    .name = "metrics",
};

int duress_with_metrics(struct duress_agent *inner, const struct duress_metrics_options *options,
                        struct duress_agent **outer, struct duress_failure *why)
{
    const char *name = options != NULL ? options->name : NULL;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    size_t length = name != NULL ? strnlen(name, DURESS_AGENT_NAME_BYTES_MAX) : 1;
    if (length == 0 || length == DURESS_AGENT_NAME_BYTES_MAX)
        return duress__layer_refuse(why, "metrics.name: must have 1 to 63 bytes");
    struct metrics_layer *layer = duress__layer_new(sizeof *layer, &metrics_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    if (name != NULL)
        memcpy(layer->layer.base.name, name, length + 1);
    *outer = &layer->layer.base;
    return DURESS_OK;
}

/* --- reading --- */

const struct metrics_layer *duress__metrics_of(const struct duress_agent *agent)
{
    return duress__layer_find(agent, &metrics_kind);
}

int duress_metrics_read(const struct duress_agent *agent, struct duress_metrics *metrics)
{
    const struct metrics_layer *layer = duress__metrics_of(agent);
    if (layer == NULL || metrics == NULL)
        return DURESS_E_INVALID;
    metrics->calls = layer->layer.counts;
    memcpy(metrics->ended, layer->ended, sizeof metrics->ended);
    duress_histogram_summary(&layer->succeeded, &metrics->succeeded);
    duress_histogram_summary(&layer->failed, &metrics->failed);
    return DURESS_OK;
}

void duress_metrics_reset(struct duress_agent *agent)
{
    struct metrics_layer *layer = (struct metrics_layer *)duress__metrics_of(agent);
    if (layer == NULL)
        return;
    uint64_t in_flight = layer->layer.counts.in_flight;
    layer->layer.counts = (struct duress_layer_counts){.begun = in_flight, .in_flight = in_flight};
    memset(layer->ended, 0, sizeof layer->ended);
    duress_histogram_reset(&layer->succeeded);
    duress_histogram_reset(&layer->failed);
}

static void metrics_copy_layer(const struct layer *layer, struct duress_metrics_layer *copy)
{
    const struct layer_kind *kind = layer_kind_of(layer);
    uint64_t values[DURESS_LAYER_FIGURES_MAX] = {0};
    if (kind->tell != NULL)
        kind->tell(layer, values);
    copy->kind = kind->name;
    copy->calls = layer->counts;
    copy->figure_count = kind->figure_count;
    for (size_t i = 0; i < kind->figure_count; i++) {
        const struct layer_figure *figure = &kind->figures[i];
        copy->figures[i] = (struct duress_metrics_figure){
            .name = figure->name,
            .help = figure->help,
            .type = figure->type,
            .label = figure->label,
            .label_value = figure->label_value,
            .value = values[i],
        };
    }
}

size_t duress_metrics_layers(const struct duress_agent *agent, struct duress_metrics_layer *layers, size_t capacity)
{
    const struct metrics_layer *metrics = duress__metrics_of(agent);
    if (metrics == NULL)
        return 0;
    size_t count = 0;
    const struct layer *layer = duress__layer_of(metrics->layer.inner);
    for (; layer != NULL; layer = duress__layer_of(layer->inner), count++) {
        if (count < capacity)
            metrics_copy_layer(layer, &layers[count]);
    }
    return count;
}
