/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <duress/export.h>

static const struct stage_kind *const stage_kinds[DURESS_TOXIC_TYPE_COUNT] = {
    [DURESS_TOXIC_NOOP] = &duress__noop_kind,
    [DURESS_TOXIC_LATENCY] = &duress__latency_kind,
    [DURESS_TOXIC_BANDWIDTH] = &duress__bandwidth_kind,
    [DURESS_TOXIC_SLOW_CLOSE] = &duress__slow_close_kind,
    [DURESS_TOXIC_TIMEOUT] = &duress__timeout_kind,
    [DURESS_TOXIC_RESET_PEER] = &duress__reset_peer_kind,
    [DURESS_TOXIC_SLICER] = &duress__slicer_kind,
    [DURESS_TOXIC_LIMIT_DATA] = &duress__limit_data_kind,
    [DURESS_TOXIC_BLACKHOLE] = &duress__blackhole_kind,
    [DURESS_TOXIC_CORRUPT] = &duress__corrupt_kind,
    [DURESS_TOXIC_CUT] = &duress__cut_kind,
};

static void stage_draw(struct stage *stage)
{
    stage->is_active = duress_prng_chance(&stage->prng, stage->toxic.toxicity_ppm);
}

struct stage *duress__stage_new(const struct duress_allocator *allocator, const struct duress_toxic *toxic,
                                uint64_t link_seed)
{
    const struct stage_kind *kind = stage_kinds[toxic->type];
    DURESS_ASSERT(kind != NULL);
    struct stage *stage = duress_allocate_zeroed(allocator, 1, sizeof *stage + kind->state_bytes);
    if (stage == NULL)
        return NULL;
    stage->kind = kind;
    stage->toxic = *toxic;
    stage->wake_ns = DURESS_TIME_NEVER;
    duress_prng_init(&stage->prng, link_seed, toxic->id);
    stage_draw(stage);
    return stage;
}

void duress__stage_free(const struct duress_allocator *allocator, struct stage *stage)
{
    DURESS_ASSERT(stage->queue.count == 0);
    duress_release(allocator, stage);
}

void duress__stage_restart(struct stage *stage, uint64_t now_ns)
{
    if (stage->kind->restart != NULL)
        stage->kind->restart(stage, now_ns);
}

void duress__stage_configure(struct stage *stage, const struct duress_toxic *toxic)
{
    bool is_redrawn = toxic->toxicity_ppm != stage->toxic.toxicity_ppm;
    stage->toxic = *toxic;
    if (is_redrawn)
        stage_draw(stage);
}

bool duress__stage_is_transparent(const struct stage *stage)
{
    return !stage->is_active || stage->kind->is_transparent;
}
