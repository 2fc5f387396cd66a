/* SPDX-License-Identifier: Apache-2.0
 *
 * reset_peer: forwards nothing; the timeout after the first chunk or end it resets both sides. An idle connection is
 * never reset. A new timeout counts from that same first chunk or end. Removing it before it acted lets an end go on
 * that it held; where it dropped bytes it resets at once, since a stream with a hole must not go on. */
#include "stage.h"

struct reset_peer_state {
    bool is_lit;
    bool has_dropped;
    uint64_t since_ns;
};

static void reset_peer_light(struct reset_peer_state *state, uint64_t now_ns)
{
    if (state->is_lit)
        return;
    state->is_lit = true;
    state->since_ns = now_ns;
}

static struct stage_verdict reset_peer_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)chunk;
    struct reset_peer_state *state = stage_state(stage);
    reset_peer_light(state, now_ns);
    state->has_dropped = true;
    return stage_drop();
}

static struct stage_verdict reset_peer_idle(struct stage *stage, uint64_t now_ns)
{
    const struct reset_peer_state *state = stage_state(stage);
    if (!state->is_lit)
        return stage_wait(DURESS_TIME_NEVER);
    uint64_t due_ns = duress_time_add(state->since_ns, stage->toxic.as.reset_peer.timeout_ns);
    return stage_at(due_ns, now_ns, stage_trip(0, MARK_RESET));
}

static struct stage_verdict reset_peer_end(struct stage *stage, uint64_t now_ns)
{
    reset_peer_light(stage_state(stage), now_ns);
    return reset_peer_idle(stage, now_ns);
}

static enum mark_kind reset_peer_farewell(const struct stage *stage)
{
    const struct reset_peer_state *state = (const void *)stage->state;
    return state->has_dropped ? MARK_RESET : MARK_NONE;
}

const struct stage_kind duress__reset_peer_kind = {
    .state_bytes = sizeof(struct reset_peer_state),
    .swallows = true,
    .chunk = reset_peer_chunk,
    .end = reset_peer_end,
    .idle = reset_peer_idle,
    .farewell = reset_peer_farewell,
};
