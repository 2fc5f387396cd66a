/* SPDX-License-Identifier: Apache-2.0
 *
 * latency: each chunk leaves its delay (latency ± jitter) after its stamp. The delay counts from the arrival and not
 * from the handling, so pipelined chunks overlap and throughput is kept. Order is kept: a late chunk holds those behind
 * it. A chunk that waited here is stamped later by just that wait, so two latency toxics add up, while time lost in
 * another toxic before counts against the delay. Its cousins (latency_normal, latency_pareto, latency_quantiles) differ
 * in where the delay comes from, and in nothing else. */
#include "distribution.h"
#include "stage.h"

struct latency_state {
    bool is_drawn; /* |due_ns| is that of the first chunk in the queue */
    uint64_t due_ns;
};

static void latency_restart(struct stage *stage, uint64_t now_ns)
{
    (void)now_ns;
    struct latency_state *state = stage_state(stage);
    state->is_drawn = false;
}

/* latency + uniform in [-jitter, jitter); a negative sum means no wait. */
static uint64_t uniform_draw_ns(struct stage *stage)
{
    uint64_t latency_ns = stage->toxic.as.latency.latency_ns;
    uint64_t jitter_ns = duress_time_min(stage->toxic.as.latency.jitter_ns, UINT64_MAX / 2);
    if (jitter_ns == 0)
        return latency_ns;
    uint64_t highest_ns = duress_time_add(latency_ns, duress_prng_below(&stage->prng, 2 * jitter_ns));
    return highest_ns > jitter_ns ? highest_ns - jitter_ns : 0;
}

static uint64_t latency_draw_ns(struct stage *stage)
{
    const struct duress_toxic *toxic = &stage->toxic;
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY_NORMAL:
        return duress__draw_normal_ns(&stage->prng, toxic->as.latency_normal.latency_ns,
                                      toxic->as.latency_normal.deviation_ns);
    case DURESS_TOXIC_LATENCY_PARETO:
        return duress__draw_pareto_ns(&stage->prng, toxic->as.latency_pareto.latency_ns,
                                      toxic->as.latency_pareto.shape_hundredths, toxic->as.latency_pareto.limit_ns);
    case DURESS_TOXIC_LATENCY_QUANTILES:
        return duress__draw_quantiles_ns(&stage->prng, toxic->as.latency_quantiles.quantiles_ns);
    default:
        return uniform_draw_ns(stage);
    }
}

static struct stage_verdict latency_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct latency_state *state = stage_state(stage);
    if (!state->is_drawn) {
        state->due_ns = duress_time_add(chunk->stamp_ns, latency_draw_ns(stage));
        state->is_drawn = true;
    }
    if (now_ns < state->due_ns)
        return stage_wait(state->due_ns);
    state->is_drawn = false;
    uint64_t waited_ns = state->due_ns > chunk->entered_ns ? state->due_ns - chunk->entered_ns : 0;
    chunk->stamp_ns = duress_time_add(chunk->stamp_ns, waited_ns);
    return stage_pass(chunk->length);
}

static bool latency_is_chunk_in_hand(const struct stage *stage)
{
    (void)stage;
    return true;
}

const struct stage_kind duress__latency_kind = {
    .state_bytes = sizeof(struct latency_state),
    .restart = latency_restart,
    .chunk = latency_chunk,
    .is_chunk_in_hand = latency_is_chunk_in_hand,
};
