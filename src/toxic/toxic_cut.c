/* SPDX-License-Identifier: Apache-2.0
 *
 * cut: after so many bytes since it became active, both sides get an RST (or a FIN), behind the bytes that were let
 * through. With 0, or once lowered to what has passed, it does not wait for another byte. */
#include "stage.h"

struct cut_state {
    uint64_t passed_bytes;
};

static enum mark_kind cut_mark(const struct stage *stage)
{
    return stage->toxic.as.cut.how == DURESS_CUT_FIN ? MARK_CLOSE : MARK_RESET;
}

static struct stage_verdict cut_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)now_ns;
    struct cut_state *state = stage_state(stage);
    uint64_t after_bytes = stage->toxic.as.cut.after_bytes;
    uint64_t left_bytes = after_bytes > state->passed_bytes ? after_bytes - state->passed_bytes : 0;
    size_t bytes = left_bytes < chunk->length ? (size_t)left_bytes : chunk->length;
    state->passed_bytes += bytes;
    return bytes == left_bytes ? stage_trip(bytes, cut_mark(stage)) : stage_pass(bytes);
}

static struct stage_verdict cut_idle(struct stage *stage, uint64_t now_ns)
{
    (void)now_ns;
    const struct cut_state *state = stage_state(stage);
    if (state->passed_bytes < stage->toxic.as.cut.after_bytes)
        return stage_wait(DURESS_TIME_NEVER);
    return stage_trip(0, cut_mark(stage));
}

const struct stage_kind duress__cut_kind = {
    .state_bytes = sizeof(struct cut_state),
    .chunk = cut_chunk,
    .idle = cut_idle,
};
