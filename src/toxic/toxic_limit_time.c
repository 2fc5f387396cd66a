/* SPDX-License-Identifier: Apache-2.0
 *
 * limit_time: closes the connection when its time is over, though data flows. The time counts from when the connection
 * was there (or the toxic was added), also where it is changed later. Data passes freely until then. */
#include "stage.h"

static uint64_t limit_time_due_ns(const struct stage *stage)
{
    return duress_time_add(stage->begun_ns, stage->toxic.as.limit_time.time_ns);
}

static struct stage_verdict limit_time_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    bool is_over = now_ns >= limit_time_due_ns(stage);
    return is_over ? stage_trip(0, MARK_CLOSE) : stage_pass(chunk->length);
}

static struct stage_verdict limit_time_idle(struct stage *stage, uint64_t now_ns)
{
    return stage_at(limit_time_due_ns(stage), now_ns, stage_trip(0, MARK_CLOSE));
}

const struct stage_kind duress__limit_time_kind = {
    .is_transparent = true,
    .chunk = limit_time_chunk,
    .idle = limit_time_idle,
};
