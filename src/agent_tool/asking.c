/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent_tool/asking.h>

struct asking_slot {
    struct duress__asking *asking;
    struct duress_call *call; /* NULL: none in flight */
    uint64_t number;
};

struct duress__asking {
    struct duress__asking_options options;
    struct duress_world *world;
    uint64_t begun_count;
    uint64_t ended_count;
    bool stopped;
    uint32_t slot_count;
    struct asking_slot slots[];
};

static void slot_begin(struct asking_slot *slot);

static void slot_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct asking_slot *slot = context;
    struct duress__asking *asking = slot->asking;
    (void)call;
    slot->call = NULL;
    asking->ended_count++;
    asking->options.on_answer(asking->options.context, slot->number, result);
    slot_begin(slot);
}

static void slot_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct asking_slot *slot = context;
    (void)call;
    slot->asking->options.on_chunk(slot->asking->options.context, slot->number, chunk);
}

/* The call could not be begun: it has failed, as any other. */
static void slot_refused(struct asking_slot *slot, int error, uint64_t now_ns)
{
    struct duress__asking *asking = slot->asking;
    struct duress_failure failure;
    duress_failure_set(&failure, (enum duress_error)error, DURESS_ORIGIN_CALLER, "the call could not be begun");
    failure.ambiguous = false;
    struct duress_result result = {.error = error, .failure = &failure, .started_ns = now_ns, .ended_ns = now_ns};
    asking->ended_count++;
    asking->options.on_answer(asking->options.context, slot->number, &result);
}

/* Begins the slot's next call, if there is one left. */
static void slot_begin(struct asking_slot *slot)
{
    struct duress__asking *asking = slot->asking;
    const struct duress__asking_options *options = &asking->options;
    while (slot->call == NULL && !asking->stopped && asking->begun_count < options->repeat_count) {
        uint64_t now_ns = duress_world_now_ns(asking->world);
        slot->number = ++asking->begun_count;
        struct duress_ask ask = {
            .request = options->request,
            .deadline_ns = options->limit_ns == 0 ? DURESS_TIME_NEVER : duress_time_add(now_ns, options->limit_ns),
            .idempotent = options->idempotent,
            .on_end = slot_ended,
            .on_chunk = options->on_chunk != NULL ? slot_chunk : NULL,
            .context = slot,
        };
        int error = duress_agent_ask(options->agent, &ask, &slot->call);
        if (error != DURESS_OK) {
            slot->call = NULL;
            slot_refused(slot, error, now_ns);
        }
    }
}

int duress__asking_new(const struct duress__asking_options *options, struct duress__asking **asking)
{
    struct duress_world *world = duress_agent_world(options->agent);
    uint64_t slots = options->concurrency;
    slots = slots < options->repeat_count ? slots : options->repeat_count;
    struct duress__asking *made = duress_allocate_zeroed(duress_world_allocator(world), 1,
                                                         sizeof *made + (size_t)slots * sizeof(struct asking_slot));
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->options = *options;
    made->world = world;
    made->slot_count = (uint32_t)slots;
    for (uint32_t i = 0; i < made->slot_count; i++)
        made->slots[i].asking = made;
    *asking = made;
    return DURESS_OK;
}

static bool asking_done(void *context)
{
    const struct duress__asking *asking = context;
    bool all_begun = asking->stopped || asking->begun_count == asking->options.repeat_count;
    return all_begun && asking->ended_count == asking->begun_count;
}

void duress__asking_run(struct duress__asking *asking)
{
    for (uint32_t i = 0; i < asking->slot_count; i++)
        slot_begin(&asking->slots[i]);
    (void)duress_world_run_until(asking->world, asking_done, asking, DURESS_TIME_NEVER);
}

void duress__asking_stop(struct duress__asking *asking)
{
    asking->stopped = true;
    for (uint32_t i = 0; i < asking->slot_count; i++)
        if (asking->slots[i].call != NULL)
            duress_call_cancel(asking->slots[i].call);
}

void duress__asking_free(struct duress__asking *asking)
{
    if (asking != NULL)
        duress_release(duress_world_allocator(asking->world), asking);
}
