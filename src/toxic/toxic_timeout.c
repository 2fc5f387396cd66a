/* SPDX-License-Identifier: Apache-2.0
 *
 * timeout: drops everything, and closes the connection after a time without a dropped chunk (0: never). The clock
 * starts with the stage, not with the first data, and anew with each chunk and each change of settings. The peer's own
 * end passes. A stream with a hole must not go on: removing a timeout that dropped something closes the connection. */
#include "stage.h"

struct timeout_state {
    uint64_t since_ns;
    bool has_dropped;
};

static void timeout_restart(struct stage *stage, uint64_t now_ns)
{
    struct timeout_state *state = stage_state(stage);
    state->since_ns = now_ns;
}

static struct stage_verdict timeout_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)chunk;
    struct timeout_state *state = stage_state(stage);
    state->since_ns = now_ns;
    state->has_dropped = true;
    return stage_drop();
}

static struct stage_verdict timeout_idle(struct stage *stage, uint64_t now_ns)
{
    const struct timeout_state *state = stage_state(stage);
    uint64_t timeout_ns = stage->toxic.as.timeout.timeout_ns;
    if (timeout_ns == 0)
        return stage_wait(DURESS_TIME_NEVER);
    return stage_at(duress_time_add(state->since_ns, timeout_ns), now_ns, stage_trip(0, MARK_CLOSE));
}

static enum mark_kind timeout_farewell(const struct stage *stage)
{
    const struct timeout_state *state = (const void *)stage->state;
    return state->has_dropped ? MARK_CLOSE : MARK_NONE;
}

const struct stage_kind duress__timeout_kind = {
    .state_bytes = sizeof(struct timeout_state),
    .swallows = true,
    .restart = timeout_restart,
    .chunk = timeout_chunk,
    .idle = timeout_idle,
    .farewell = timeout_farewell,
};
