/* SPDX-License-Identifier: Apache-2.0
 *
 * slow_close: data passes freely; the end of the stream is held for the delay, and for a whole delay again from each
 * change of settings. */
#include "stage.h"

struct slow_close_state {
    bool is_holding;
    uint64_t since_ns;
};

static void slow_close_restart(struct stage *stage, uint64_t now_ns)
{
    struct slow_close_state *state = stage_state(stage);
    state->since_ns = now_ns;
}

static struct stage_verdict slow_close_end(struct stage *stage, uint64_t now_ns)
{
    struct slow_close_state *state = stage_state(stage);
    if (!state->is_holding) {
        state->is_holding = true;
        state->since_ns = now_ns;
    }
    uint64_t due_ns = duress_time_add(state->since_ns, stage->toxic.as.slow_close.delay_ns);
    if (now_ns < due_ns)
        return stage_wait(due_ns);
    state->is_holding = false;
    return stage_pass(0);
}

const struct stage_kind duress__slow_close_kind = {
    .state_bytes = sizeof(struct slow_close_state),
    .is_transparent = true,
    .restart = slow_close_restart,
    .end = slow_close_end,
};
