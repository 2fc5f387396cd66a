/* SPDX-License-Identifier: Apache-2.0
 *
 * limit_data: closes after so many bytes since it became active. A chunk that crosses the limit is cut to fit; reaching
 * the limit exactly closes at once. The count survives a change of the limit: one lowered below it closes on the next
 * chunk. A limit of 0 closes on the first chunk, and leaves an idle connection alone. */
#include "stage.h"

struct limit_data_state {
    uint64_t passed_bytes;
};

static struct stage_verdict limit_data_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)now_ns;
    struct limit_data_state *state = stage_state(stage);
    uint64_t bytes_max = stage->toxic.as.limit_data.bytes_max;
    uint64_t left_bytes = bytes_max > state->passed_bytes ? bytes_max - state->passed_bytes : 0;
    size_t bytes = left_bytes < chunk->length ? (size_t)left_bytes : chunk->length;
    state->passed_bytes += bytes;
    return bytes == left_bytes ? stage_trip(bytes, MARK_CLOSE) : stage_pass(bytes);
}

const struct stage_kind duress__limit_data_kind = {
    .state_bytes = sizeof(struct limit_data_state),
    .chunk = limit_data_chunk,
};
