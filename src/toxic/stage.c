/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <duress/export.h>
#include <duress/toxic/bandwidth_pool.h>

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
    [DURESS_TOXIC_PACKET_LOSS] = &duress__packet_loss_kind,
    [DURESS_TOXIC_LIMIT_TIME] = &duress__limit_time_kind,
    [DURESS_TOXIC_UNPLUG] = &duress__unplug_kind,
    [DURESS_TOXIC_SLOW_OPEN] = &duress__slow_open_kind,
    [DURESS_TOXIC_REFUSE] = &duress__refuse_kind,
    [DURESS_TOXIC_FAIL_FIRST] = &duress__fail_first_kind,
    [DURESS_TOXIC_SHARED_BANDWIDTH] = &duress__shared_bandwidth_kind,
    [DURESS_TOXIC_LATENCY_NORMAL] = &duress__latency_kind,
    [DURESS_TOXIC_LATENCY_PARETO] = &duress__latency_kind,
    [DURESS_TOXIC_LATENCY_QUANTILES] = &duress__latency_kind,
};

static struct duress_bandwidth_pool *toxic_pool(const struct duress_toxic *toxic)
{
    return toxic->type == DURESS_TOXIC_SHARED_BANDWIDTH ? toxic->as.shared_bandwidth.pool : NULL;
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
    stage->turn_ns = DURESS_TIME_NEVER;
    duress_bandwidth_pool_retain(toxic_pool(toxic));
    duress_prng_init(&stage->prng, link_seed, toxic->id);
    stage->draw_ppm = (uint32_t)duress_prng_below(&stage->prng, DURESS_PPM);
    stage->is_active = stage->draw_ppm < toxic->toxicity_ppm;
    return stage;
}

void duress__stage_free(const struct duress_allocator *allocator, struct stage *stage)
{
    DURESS_ASSERT(stage->queue.count == 0);
    duress_bandwidth_pool_release(toxic_pool(&stage->toxic));
    duress_release(allocator, stage);
}

void duress__stage_restart(struct stage *stage, uint64_t now_ns)
{
    if (stage->kind->restart != NULL)
        stage->kind->restart(stage, now_ns);
}

bool duress__stage_is_expired(const struct stage *stage, uint64_t now_ns)
{
    return stage->toxic.ttl_ns > 0 && now_ns >= duress_toxic_expires_ns(&stage->toxic);
}

void duress__stage_turn(struct stage *stage, uint64_t now_ns)
{
    const struct duress_toxic *toxic = &stage->toxic;
    stage->is_on = !duress__stage_is_expired(stage, now_ns);
    stage->turn_ns = stage->is_on ? duress_toxic_expires_ns(toxic) : DURESS_TIME_NEVER;
    if (!stage->is_on || toxic->on_ns == toxic->period_ns)
        return;
    uint64_t from_ns = now_ns > toxic->since_ns ? now_ns : toxic->since_ns;
    uint64_t into_period_ns = (from_ns - toxic->since_ns) % toxic->period_ns;
    stage->is_on = into_period_ns < toxic->on_ns;
    uint64_t length_ns = stage->is_on ? toxic->on_ns : toxic->period_ns;
    uint64_t turn_ns = duress_time_add(from_ns - into_period_ns, length_ns);
    stage->turn_ns = duress_time_min(stage->turn_ns, turn_ns);
}

void duress__stage_configure(struct stage *stage, const struct duress_toxic *toxic)
{
    struct duress_bandwidth_pool *pool = toxic_pool(&stage->toxic);
    stage->toxic = *toxic;
    if (toxic->type == DURESS_TOXIC_SHARED_BANDWIDTH)
        stage->toxic.as.shared_bandwidth.pool = pool;
    stage->is_active = stage->draw_ppm < toxic->toxicity_ppm;
}

bool duress__stage_is_transparent(const struct stage *stage)
{
    return !stage_acts(stage) || stage->kind->is_transparent;
}
