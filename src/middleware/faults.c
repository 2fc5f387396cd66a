/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/faults.h>

#include <string.h>

#include "layer_private.h"

#define FAULTS_PURPOSE UINT64_C(0x6661756c7473) /* "faults" */

struct faults_layer {
    struct layer layer;
    struct duress_faults faults;
    struct duress_faults *given_away; /* to the same; an agent that is const gives it away too */
    struct duress_prng prng;
    uint64_t injected[DURESS_FAULT_COUNT];
    uint64_t missed;
};

struct faults_call {
    struct duress_call *call;
    struct duress_call *child; /* NULL: the inner agent is not asked yet, or never */
    struct duress_fault_decision decision;
    bool owed; /* the fault has not happened yet */
    struct duress_timer timer;
};

static struct faults_layer *faults_layer_of(const struct faults_call *state)
{
    return (struct faults_layer *)state->call->agent;
}

/* The fault happens, which is counted once. */
static void faults_happen(struct faults_call *state)
{
    faults_layer_of(state)->injected[state->decision.fault] += state->owed;
    state->owed = false;
}

/* The call ends; a fault that has not happened by now does not happen any more. */
static void faults_settle(struct faults_call *state)
{
    faults_layer_of(state)->missed += state->owed;
    state->owed = false;
}

/* Ends the call with the injected failure. */
static void faults_fail(struct faults_call *state, uint64_t *counter)
{
    struct faults_layer *layer = faults_layer_of(state);
    struct duress_failure failure;
    faults_happen(state);
    duress_faults_failure(&layer->faults, state->decision.fault, &failure);
    layer_count_end(&layer->layer, counter);
    duress_call_fail(state->call, &failure);
}

/* --- replies --- */

/* |reply| with |content| in place of its own, or NULL where memory is out. */
static struct duress_message *faults_copy(const struct faults_call *state, const struct duress_message *reply,
                                          struct duress_slice content)
{
    struct duress_message *copy = NULL;
    struct duress_message_options options = {
        .role = duress_message_role(reply),
        .content = content,
        .metadata = duress_message_metadata(reply),
        .timestamp_ns = duress_message_timestamp_ns(reply),
        .allocator = state->call->agent->allocator,
    };
    return duress_message_new(&options, &copy) == DURESS_OK ? copy : NULL;
}

static struct duress_message *faults_corrupted(const struct faults_call *state, const struct duress_message *reply)
{
    const struct duress_allocator *allocator = state->call->agent->allocator;
    struct duress_slice content = duress_message_content(reply);
    uint8_t *bytes = duress_allocate(allocator, content.length);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, content.data, content.length);
    duress_faults_corrupt(state->decision.seed, bytes, content.length);
    struct duress_message *corrupted = faults_copy(state, reply, duress_slice_bytes(bytes, content.length));
    duress_release(allocator, bytes);
    return corrupted;
}

/* What goes up in place of |reply|, a whole one or a chunk, with a reference for the caller; NULL where memory is out.
 * Equal replies are changed alike: the last chunk of a stream comes a second time, as its reply. */
static struct duress_message *faults_changed(struct faults_call *state, struct duress_message *reply)
{
    struct duress_slice content = duress_message_content(reply);
    if (content.length == 0)
        return duress_message_ref(reply);
    struct duress_message *changed;
    if (state->decision.fault == DURESS_FAULT_CORRUPT) {
        changed = faults_corrupted(state, reply);
    } else {
        content.length = duress_faults_keep_bytes(state->decision.seed, content.length);
        changed = faults_copy(state, reply, content);
    }
    if (changed != NULL)
        faults_happen(state);
    return changed;
}

static void faults_fail_memory(struct faults_call *state)
{
    faults_settle(state);
    duress__layer_fail_memory(&faults_layer_of(state)->layer, state->call, DURESS_ORIGIN_AGENT);
}

static void faults_reply(struct faults_call *state, struct duress_message *reply)
{
    struct layer *layer = &faults_layer_of(state)->layer;
    faults_settle(state);
    layer_count_end(layer, &layer->counts.succeeded);
    duress_call_reply(state->call, reply);
}

/* --- the inner call --- */

static bool faults_changes_replies(const struct faults_call *state)
{
    return state->decision.fault == DURESS_FAULT_CORRUPT || state->decision.fault == DURESS_FAULT_TRUNCATE;
}

static void faults_child_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct faults_call *state = context;
    struct layer *layer = &faults_layer_of(state)->layer;
    (void)child;
    if (result->error == DURESS_OK && state->decision.fault == DURESS_FAULT_ERROR_AFTER) {
        faults_fail(state, &layer->counts.failed);
        return;
    }
    if (result->error == DURESS_OK && faults_changes_replies(state)) {
        struct duress_message *changed = faults_changed(state, result->reply);
        if (changed != NULL)
            faults_reply(state, changed);
        else
            faults_fail_memory(state);
        duress_message_unref(changed);
        return;
    }
    faults_settle(state);
    layer_count_end(layer, result->error == DURESS_OK ? &layer->counts.succeeded : &layer->counts.failed);
    duress_call_pass(state->call, result);
}

/* Only where chunks are to be changed. */
static void faults_child_chunk(void *context, struct duress_call *child, struct duress_message *chunk)
{
    struct faults_call *state = context;
    struct duress_call *call = state->call;
    struct duress_message *changed = faults_changed(state, chunk);
    if (changed == NULL) {
        duress_call_abandon(child);
        faults_fail_memory(state);
        return;
    }
    bool was_cut = state->decision.fault == DURESS_FAULT_TRUNCATE && changed != chunk;
    duress_call_emit(call, changed);
    if (was_cut && duress_call_is_live(call)) { /* The receiver may have cancelled. */
        duress_call_abandon(child);
        faults_reply(state, changed);
    }
    duress_message_unref(changed);
}

static void faults_ask(struct faults_call *state)
{
    struct duress_child child = {
        .agent = faults_layer_of(state)->layer.inner,
        .on_end = faults_child_ended,
        .on_chunk = state->call->streaming && faults_changes_replies(state) ? faults_child_chunk : NULL,
        .context = state,
    };
    if (duress_call_begin(state->call, &child, &state->child) == DURESS_OK)
        return;
    state->child = NULL;
    faults_fail_memory(state);
}

static void faults_delay_over(void *context)
{
    faults_ask(context);
}

static void faults_begin(struct faults_layer *layer, struct faults_call *state)
{
    struct duress_call *call = state->call;
    switch (state->decision.fault) {
    case DURESS_FAULT_ERROR:
    case DURESS_FAULT_CRASH:
        faults_fail(state, &layer->layer.counts.refused);
        return;
    case DURESS_FAULT_DELAY:
        faults_happen(state);
        duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
        duress_world_arm(layer->layer.base.world, &state->timer,
                         duress_time_add(duress_call_started_ns(call), state->decision.delay_ns));
        return;
    case DURESS_FAULT_HANG:
        faults_happen(state);
        duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
        duress_call_mark_sent(call);
        return;
    case DURESS_FAULT_NONE:
    case DURESS_FAULT_ERROR_AFTER:
    case DURESS_FAULT_CORRUPT:
    case DURESS_FAULT_TRUNCATE:
        break;
    }
    faults_ask(state);
}

static void faults_process(struct duress_agent *agent, struct duress_call *call)
{
    struct faults_layer *layer = (struct faults_layer *)agent;
    struct faults_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_AGENT);
        return;
    }
    state->call = call;
    state->child = NULL;
    call->state = state;
    duress_timer_init(&state->timer, faults_delay_over, state);
    state->decision = duress_faults_decide(&layer->faults, &layer->prng);
    state->owed = state->decision.fault != DURESS_FAULT_NONE;
    faults_begin(layer, state);
}

static void faults_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct layer *layer = (struct layer *)agent;
    struct faults_call *state = call->state;
    duress_world_disarm(agent->world, &state->timer);
    if (state->child != NULL)
        duress_call_abandon(state->child);
    faults_settle(state);
    layer_count_end(layer, layer_given_up(layer, call));
}

/* --- figures --- */

#define FAULTS_FIGURE(fault)                                                                                           \
    {                                                                                                                  \
        .name = "injected", .help = "Calls to which a fault really happened.", .label = "fault",                       \
        .label_value = (fault)                                                                                         \
    }

static const struct layer_figure faults_figures[] = {
    FAULTS_FIGURE("error"),
    FAULTS_FIGURE("error_after"),
    FAULTS_FIGURE("delay"),
    FAULTS_FIGURE("hang"),
    FAULTS_FIGURE("corrupt"),
    FAULTS_FIGURE("truncate"),
    FAULTS_FIGURE("crash"),
    {.name = "missed", .help = "Faults that found nothing to happen to.", .type = DURESS_FIGURE_COUNTER},
    {.name = "crashed", .help = "1 after the crash, until it is reset.", .type = DURESS_FIGURE_GAUGE},
};

static void faults_tell(const struct layer *base, uint64_t *values)
{
    const struct faults_layer *layer = (const struct faults_layer *)base;
    for (unsigned i = 1; i < DURESS_FAULT_COUNT; i++)
        *values++ = layer->injected[i];
    *values++ = layer->missed;
    *values++ = duress_faults_has_crashed(&layer->faults);
}

static const struct layer_kind faults_kind = {
    .ops = {faults_process, faults_cancel, duress__layer_free},
    .name = "faults",
    .figures = faults_figures,
    .figure_count = sizeof faults_figures / sizeof faults_figures[0],
    .tell = faults_tell,
};

int duress_with_faults(struct duress_agent *inner, const struct duress_faults_layer_options *options,
                       struct duress_agent **outer, struct duress_failure *why)
{
    struct duress_faults faults;
    if (inner == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner and outer: must be given");
    int error = duress_faults_init(&faults, options != NULL ? &options->faults : NULL, why);
    if (error != DURESS_OK)
        return error;
    struct faults_layer *layer = duress__layer_new(sizeof *layer, &faults_kind, inner, why);
    if (layer == NULL)
        return DURESS_E_NO_MEMORY;
    layer->faults = faults;
    layer->given_away = &layer->faults;
    if (options != NULL && options->seed != 0)
        duress_prng_init(&layer->prng, options->seed, FAULTS_PURPOSE);
    else
        duress_world_prng(inner->world, FAULTS_PURPOSE, &layer->prng);
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_faults *duress_faults_of(const struct duress_agent *agent)
{
    const struct faults_layer *layer = duress__layer_find(agent, &faults_kind);
    return layer != NULL ? layer->given_away : NULL;
}

struct duress_faults_counts duress_faults_counts(const struct duress_agent *agent)
{
    const struct faults_layer *layer = duress__layer_find(agent, &faults_kind);
    struct duress_faults_counts counts = {.missed = 0};
    if (layer == NULL)
        return counts;
    counts.calls = layer->layer.counts;
    memcpy(counts.injected, layer->injected, sizeof counts.injected);
    counts.missed = layer->missed;
    return counts;
}
