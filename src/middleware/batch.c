/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/batch.h>

#include <assert.h>
#include <string.h>

#include "layer_private.h"

enum batch_slot_state {
    SLOT_WAITING = 1,
    SLOT_ANSWERED,
    SLOT_GIVEN_UP, /* its caller is gone */
};

struct batch_slot {
    struct duress_call *call; /* while it waits */
    enum batch_slot_state state;
};

/* One batch. Its memory is used again. */
struct batch_run {
    struct duress_batch_run run; /* first: what the function sees */
    struct batch_core *core;
    struct batch_run *next_free;
    struct duress_call *child; /* the combined call, where there is one */
    uint32_t waiting_count;
    bool beginning; /* the function's begin is on the stack */
    bool ended;     /* inside it */
    bool ending;    /* or given up: the function needs no hint any more */
    struct duress_message **requests;
    struct batch_slot *slots;
};

/* What outlives the agent where a function still owes the end of a batch. */
struct batch_core {
    struct duress_batch batch;
    struct batch_layer *layer; /* NULL: gone */
    struct duress_world *world;
    const struct duress_allocator *allocator;
    struct duress_timer timer;
    struct duress_later flush;
    struct batch_run *free_runs;
    bool starved; /* no memory for a batch: until one ends */
    duress_batch_fn begin;
    duress_batch_fn abandon;
    void *context;
    duress_batch_encode_fn encode; /* of the layer */
    duress_batch_decode_fn decode;
    struct duress_batch_counts counts; /* but for those of calls, and of now */
};

struct batch_layer {
    struct layer layer;
    struct batch_core *core;
};

struct batch_call {
    struct duress_batch_item item; /* first: what the policy hands back */
    struct duress_call *call;
    struct batch_run *run; /* NULL: it waits in the queue */
    size_t index;
    uint64_t came_ns;
};

/* --- runs: the memory of batches --- */

static struct batch_run *run_new(struct batch_core *core)
{
    struct batch_run *run = core->free_runs;
    if (run != NULL) {
        core->free_runs = run->next_free;
        return run;
    }
    size_t items_max = core->batch.options.items_max;
    size_t each = sizeof(struct duress_message *) + sizeof(struct batch_slot);
    run = duress_allocate(core->allocator, sizeof *run + items_max * each);
    if (run == NULL)
        return NULL;
    *run = (struct batch_run){.core = core, .slots = (struct batch_slot *)(run + 1)};
    run->requests = (struct duress_message **)(run->slots + items_max);
    return run;
}

static void run_put_back(struct batch_run *run)
{
    run->next_free = run->core->free_runs;
    run->core->free_runs = run;
}

static void core_free(struct batch_core *core)
{
    while (core->free_runs != NULL) {
        struct batch_run *run = core->free_runs;
        core->free_runs = run->next_free;
        duress_release(core->allocator, run);
    }
    duress_release(core->allocator, core);
}

/* --- when the next batch goes --- */

static void core_arm(struct batch_core *core)
{
    uint64_t due_ns = core->starved ? DURESS_TIME_NEVER : duress_batch_due_ns(&core->batch);
    if (duress_timer_is_armed(&core->timer) && duress_timer_at_ns(&core->timer) == due_ns)
        return; /* Most calls change nothing. */
    if (due_ns > duress_world_now_ns(core->world)) {
        duress_world_undefer(core->world, &core->flush);
        duress_world_arm(core->world, &core->timer, due_ns);
        return;
    }
    duress_world_disarm(core->world, &core->timer);
    duress_world_defer(core->world, &core->flush); /* not inside a call's process() */
}

/* The batch has ended, and nobody looks at it any more. */
static void run_recycle(struct batch_run *run)
{
    struct batch_core *core = run->core;
    for (size_t i = 0; i < run->run.count; i++)
        duress_message_unref(run->requests[i]);
    run_put_back(run);
    duress_batch_end(&core->batch);
    core->starved = false;
    if (core->layer != NULL)
        core_arm(core);
    else if (core->batch.in_flight_count == 0)
        core_free(core);
}

static void run_abandon(struct batch_run *run)
{
    if (run->ending)
        return;
    run->ending = true;
    run->core->counts.abandoned++;
    if (run->core->abandon != NULL)
        run->core->abandon(run->core->context, &run->run);
}

/* Fills |run| with the |count| first items. */
static void run_fill(struct batch_core *core, struct batch_run *run, uint32_t count, uint64_t now_ns)
{
    run->run = (struct duress_batch_run){.count = count, .requests = run->requests, .idempotent = true};
    run->child = NULL;
    run->waiting_count = count;
    run->beginning = true;
    run->ended = false;
    run->ending = false;
    for (uint32_t i = 0; i < count; i++) {
        struct batch_call *state = (struct batch_call *)duress_batch_pop(&core->batch);
        struct duress_call *call = state->call;
        state->run = run;
        state->index = i;
        run->slots[i] = (struct batch_slot){.call = call, .state = SLOT_WAITING};
        run->requests[i] = duress_message_ref(call->request);
        run->run.idempotent = run->run.idempotent && call->idempotent;
        if (call->deadline_ns > run->run.deadline_ns)
            run->run.deadline_ns = call->deadline_ns;
        core->counts.waited_ns += duress_time_until(state->came_ns, now_ns);
        duress_call_mark_sent(call);
        duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
    }
}

static void core_count_batch(struct batch_core *core, uint32_t count, bool full)
{
    struct duress_batch_counts *counts = &core->counts;
    counts->items_least = counts->batches == 0 || count < counts->items_least ? count : counts->items_least;
    counts->items_most = count > counts->items_most ? count : counts->items_most;
    counts->batches++;
    counts->batches_full += full;
    counts->items += count;
}

/* One batch goes; the next one, if it is due as well, in a turn of its own. */
static void core_flush(void *context)
{
    struct batch_core *core = context;
    uint64_t now_ns = duress_world_now_ns(core->world);
    struct batch_run *run = run_new(core);
    bool full = duress_batch_due_ns(&core->batch) == 0;
    if (run == NULL) {
        core->starved = core->batch.in_flight_count > 0; /* always: one was made with the agent */
        return;
    }
    uint32_t count = duress_batch_take(&core->batch, now_ns);
    if (count == 0) {
        run_put_back(run);
        core_arm(core);
        return;
    }
    core_count_batch(core, count, full);
    run_fill(core, run, count, now_ns);
    core_arm(core);
    core->begin(core->context, &run->run);
    run->beginning = false;
    if (run->ended)
        run_recycle(run);
    else if (run->waiting_count == 0)
        run_abandon(run);
}

/* --- the function's answers --- */

/* The call that waits for the item's answer, which is answered with that; NULL: nobody does. */
static struct duress_call *run_answer(struct batch_run *run, size_t index)
{
    if (index >= run->run.count || run->slots[index].state == SLOT_ANSWERED)
        return NULL;
    struct batch_slot *slot = &run->slots[index];
    struct duress_call *call = slot->call;
    run->core->counts.dropped += slot->state == SLOT_GIVEN_UP;
    run->waiting_count -= slot->state == SLOT_WAITING;
    slot->state = SLOT_ANSWERED;
    slot->call = NULL;
    return call;
}

static void run_fail_item(struct batch_run *run, size_t index, const struct duress_failure *failure)
{
    struct layer *layer = (struct layer *)run->core->layer;
    struct duress_call *call = run_answer(run, index);
    if (call == NULL)
        return;
    layer_count_end(layer, &layer->counts.failed);
    duress_call_fail(call, failure);
}

void duress_batch_run_reply(struct duress_batch_run *run, size_t index, struct duress_message *reply)
{
    struct batch_run *self = (struct batch_run *)run;
    struct layer *layer = (struct layer *)self->core->layer;
    if (reply == NULL) {
        duress_batch_run_fail(run, index, NULL);
        return;
    }
    struct duress_call *call = run_answer(self, index);
    if (call == NULL)
        return;
    layer_count_end(layer, &layer->counts.succeeded);
    duress_call_reply(call, reply);
}

void duress_batch_run_fail(struct duress_batch_run *run, size_t index, const struct duress_failure *failure)
{
    struct duress_failure none;
    if (failure == NULL || failure->code == DURESS_OK) {
        duress_failure_set(&none, DURESS_E_MALFORMED, DURESS_ORIGIN_BATCH,
                           "the batch function answered item %zu of %zu with nothing", index + 1, run->count);
        failure = &none;
    }
    run_fail_item((struct batch_run *)run, index, failure);
}

bool duress_batch_run_is_wanted(const struct duress_batch_run *run, size_t index)
{
    return index < run->count && ((const struct batch_run *)run)->slots[index].state == SLOT_WAITING;
}

void duress_batch_run_end(struct duress_batch_run *run)
{
    struct batch_run *self = (struct batch_run *)run;
    self->ending = true;
    for (size_t i = 0; i < run->count; i++) {
        struct duress_failure failure;
        if (!duress_batch_run_is_wanted(run, i))
            continue;
        duress_failure_set(&failure, DURESS_E_MALFORMED, DURESS_ORIGIN_BATCH,
                           "the batch function forgot item %zu of %zu", i + 1, run->count);
        self->core->counts.forgotten++;
        run_fail_item(self, i, &failure);
    }
    self->ended = true;
    if (!self->beginning)
        run_recycle(self);
}

/* --- calls --- */

static uint64_t batch_bytes(const struct duress_message *message)
{
    return duress_message_role(message).length + duress_message_content(message).length +
           duress_message_metadata(message).length;
}

static void batch_refuse(struct layer *layer, struct duress_call *call, enum duress_batch_verdict verdict)
{
    const struct duress_batch_options *options = &((struct batch_layer *)layer)->core->batch.options;
    struct duress_failure failure;
    if (verdict == DURESS_BATCH_FULL)
        duress_failure_set(&failure, DURESS_E_BULKHEAD_FULL, DURESS_ORIGIN_BATCH,
                           "%u items wait already, as many as queue_max allows", (unsigned)options->queue_max);
    else
        duress_failure_set(&failure, DURESS_E_TOO_LARGE, DURESS_ORIGIN_BATCH,
                           "%llu bytes, bytes_max of a batch is %llu", (unsigned long long)batch_bytes(call->request),
                           (unsigned long long)options->bytes_max);
    layer_count_end(layer, &layer->counts.refused);
    duress_call_fail(call, &failure);
}

static void batch_process(struct duress_agent *agent, struct duress_call *call)
{
    struct batch_layer *layer = (struct batch_layer *)agent;
    struct batch_core *core = layer->core;
    struct batch_call *state = duress_call_allocate(call, sizeof *state);
    layer_count_begin(&layer->layer);
    if (state == NULL) {
        duress__layer_fail_memory(&layer->layer, call, DURESS_ORIGIN_BATCH);
        return;
    }
    *state = (struct batch_call){.call = call, .came_ns = duress_call_started_ns(call)};
    call->state = state;
    enum duress_batch_verdict verdict =
        duress_batch_add(&core->batch, &state->item, batch_bytes(call->request), call->deadline_ns, state->came_ns);
    if (verdict != DURESS_BATCH_QUEUED) {
        batch_refuse(&layer->layer, call, verdict);
        return;
    }
    duress_call_mark_stage(call, DURESS_ORIGIN_BATCH);
    core_arm(core);
}

static void batch_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct batch_layer *layer = (struct batch_layer *)agent;
    struct batch_call *state = call->state;
    struct batch_run *run = state->run;
    layer_count_end(&layer->layer, layer_given_up(&layer->layer, call));
    if (run == NULL) {
        duress_batch_remove(&layer->core->batch, &state->item);
        core_arm(layer->core);
        return;
    }
    run->slots[state->index] = (struct batch_slot){.state = SLOT_GIVEN_UP};
    if (--run->waiting_count == 0 && !run->beginning)
        run_abandon(run);
}

/* --- one combined call --- */

static void run_fail_all(struct batch_run *run, const struct duress_failure *failure)
{
    for (size_t i = 0; i < run->run.count; i++)
        run_fail_item(run, i, failure);
    duress_batch_run_end(&run->run);
}

static void combined_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct batch_run *run = context;
    (void)call;
    run->child = NULL;
    if (result->error != DURESS_OK) {
        run_fail_all(run, result->failure);
        return;
    }
    run->core->decode(run->core->context, result->reply, &run->run);
    duress_batch_run_end(&run->run);
}

static void combined_begin(void *context, struct duress_batch_run *visible)
{
    struct batch_run *run = (struct batch_run *)visible;
    struct batch_core *core = run->core;
    struct duress_message *combined = NULL;
    struct duress_failure failure;
    int error = core->encode(context, visible, &combined);
    if (error == DURESS_OK && combined == NULL)
        error = DURESS_E_INVALID;
    if (error == DURESS_OK && run->waiting_count > 0) {
        struct duress_ask ask = {
            .request = combined,
            .deadline_ns = visible->deadline_ns,
            .idempotent = visible->idempotent,
            .on_end = combined_ended,
            .context = run,
        };
        error = duress_agent_ask(core->layer->layer.inner, &ask, &run->child);
    }
    duress_message_unref(combined);
    if (run->child != NULL)
        return;
    duress_failure_set(&failure, error < 0 ? (enum duress_error)error : DURESS_E_INVALID, DURESS_ORIGIN_BATCH,
                       "no combined request could be made or sent");
    failure.ambiguous = false;
    run_fail_all(run, &failure);
}

static void combined_abandon(void *context, struct duress_batch_run *visible)
{
    struct batch_run *run = (struct batch_run *)visible;
    struct duress_call *child = run->child;
    (void)context;
    if (child == NULL)
        return; /* It has ended: who deals with its reply ends the batch. */
    run->child = NULL;
    duress_call_drop(child);
    duress_batch_run_end(visible);
}

/* --- making it --- */

static void batch_release(struct layer *base)
{
    struct batch_core *core = ((struct batch_layer *)base)->core;
    if (core == NULL)
        return;
    duress_world_disarm(core->world, &core->timer);
    duress_world_undefer(core->world, &core->flush);
    core->layer = NULL;
    if (core->batch.in_flight_count == 0)
        core_free(core);
}

static const struct layer_figure batch_figures[] = {
    {.name = "batches", .help = "Batches begun", .type = DURESS_FIGURE_COUNTER},
    {.name = "batches_full", .help = "Of them those that were full", .type = DURESS_FIGURE_COUNTER},
    {.name = "items", .help = "Calls that went with a batch", .type = DURESS_FIGURE_COUNTER},
    {.name = "waited", .help = "Time that items waited for their batch", .type = DURESS_FIGURE_COUNTER_NS},
    {.name = "forgotten", .help = "Items that were not answered", .type = DURESS_FIGURE_COUNTER},
    {.name = "dropped", .help = "Answers that nobody waited for any more", .type = DURESS_FIGURE_COUNTER},
    {.name = "abandoned", .help = "Batches that nobody waited for any more", .type = DURESS_FIGURE_COUNTER},
    {.name = "queued", .help = "Items that wait for their batch", .type = DURESS_FIGURE_GAUGE},
    {.name = "batches_in_flight", .help = "Batches under way", .type = DURESS_FIGURE_GAUGE},
};

static void batch_tell(const struct layer *base, uint64_t *values)
{
    const struct batch_core *core = ((const struct batch_layer *)base)->core;
    const struct duress_batch_counts *counts = &core->counts;
    const uint64_t told[] = {
        counts->batches,   counts->batches_full,     counts->items,
        counts->waited_ns, counts->forgotten,        counts->dropped,
        counts->abandoned, core->batch.queued_count, core->batch.in_flight_count,
    };
    static_assert(sizeof told / sizeof told[0] == sizeof batch_figures / sizeof batch_figures[0], "one each");
    memcpy(values, told, sizeof told);
}

static const struct layer_kind batch_kind = {
    .ops = {batch_process, batch_cancel, duress__layer_free},
    .name = "batch",
    .figures = batch_figures,
    .figure_count = sizeof batch_figures / sizeof batch_figures[0],
    .tell = batch_tell,
    .release = batch_release,
};

/* With the memory of one batch, so that there is always one to go with. */
static struct batch_core *core_new(struct batch_layer *layer, const struct duress_batch_options *options)
{
    struct duress_agent *agent = &layer->layer.base;
    struct batch_core *core = duress_allocate_zeroed(agent->allocator, 1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->layer = layer;
    core->world = agent->world;
    core->allocator = agent->allocator;
    core->flush = (struct duress_later){.fn = core_flush, .context = core};
    duress_timer_init(&core->timer, core_flush, core);
    duress_batch_init(&core->batch, options);
    struct batch_run *run = run_new(core);
    if (run == NULL) {
        core_free(core);
        return NULL;
    }
    run_put_back(run);
    return core;
}

/* A layer without a core yet: around |inner|, or of |world| by itself. */
static struct batch_layer *batch_layer_new(struct duress_agent *inner, struct duress_world *world, const char *name)
{
    if (inner != NULL)
        return duress__layer_new(sizeof(struct batch_layer), &batch_kind, inner, NULL);
    struct batch_layer *layer = duress_allocate_zeroed(duress_world_allocator(world), 1, sizeof *layer);
    if (layer != NULL)
        duress_agent_init(&layer->layer.base, &batch_kind.ops, world, NULL, name);
    return layer;
}

static int batch_build(struct batch_layer *layer, const struct duress_batch_options *options, struct batch_core **core,
                       struct duress_failure *why)
{
    if (layer != NULL)
        layer->core = core_new(layer, options);
    if (layer != NULL && layer->core != NULL) {
        *core = layer->core;
        return DURESS_OK;
    }
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    duress_agent_unref(layer != NULL ? &layer->layer.base : NULL);
    return DURESS_E_NO_MEMORY;
}

int duress_batch_new(struct duress_world *world, const char *name, const struct duress_batch_agent_options *options,
                     struct duress_agent **agent, struct duress_failure *why)
{
    struct duress_batch_options complete;
    struct batch_core *core = NULL;
    if (world == NULL || name == NULL || options == NULL || agent == NULL)
        return duress__layer_refuse(why, "world, name, options and agent: must be given");
    if (options->begin == NULL)
        return duress__layer_refuse(why, "begin: must be given");
    int error = duress_batch_options_init(&complete, &options->batch, why);
    if (error != DURESS_OK)
        return error;
    struct batch_layer *layer = batch_layer_new(NULL, world, name);
    error = batch_build(layer, &complete, &core, why);
    if (error != DURESS_OK)
        return error;
    core->begin = options->begin;
    core->abandon = options->abandon;
    core->context = options->context;
    *agent = &layer->layer.base;
    return DURESS_OK;
}

int duress_with_batch(struct duress_agent *inner, const struct duress_batch_layer_options *options,
                      struct duress_agent **outer, struct duress_failure *why)
{
    struct duress_batch_options complete;
    struct batch_core *core = NULL;
    if (inner == NULL || options == NULL || outer == NULL)
        return duress__layer_refuse(why, "inner, options and outer: must be given");
    if (options->encode == NULL || options->decode == NULL)
        return duress__layer_refuse(why, "encode and decode: must be given");
    int error = duress_batch_options_init(&complete, &options->batch, why);
    if (error != DURESS_OK)
        return error;
    struct batch_layer *layer = batch_layer_new(inner, NULL, NULL);
    error = batch_build(layer, &complete, &core, why);
    if (error != DURESS_OK)
        return error;
    core->begin = combined_begin;
    core->abandon = combined_abandon;
    core->encode = options->encode;
    core->decode = options->decode;
    core->context = options->context;
    *outer = &layer->layer.base;
    return DURESS_OK;
}

struct duress_batch_counts duress_batch_counts(const struct duress_agent *agent)
{
    const struct batch_layer *layer = duress__layer_find(agent, &batch_kind);
    struct duress_batch_counts counts = {.batches = 0};
    if (layer == NULL)
        return counts;
    counts = layer->core->counts;
    counts.calls = layer->layer.counts;
    counts.queued = layer->core->batch.queued_count;
    counts.in_flight = layer->core->batch.in_flight_count;
    return counts;
}
