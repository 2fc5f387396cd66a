/* SPDX-License-Identifier: Apache-2.0
 *
 * unplug: passes everything for a time, then nothing: bytes and the end of the stream are held, and nothing is closed.
 * As with a cable that is put back, what was held goes on once the toxic is removed: nothing is lost. */
#include "stage.h"

static struct stage_verdict unplug_pass(const struct stage *stage, size_t bytes, uint64_t now_ns)
{
    uint64_t out_ns = duress_time_add(stage->begun_ns, stage->toxic.as.unplug.after_ns);
    return now_ns < out_ns ? stage_pass(bytes) : stage_wait(DURESS_TIME_NEVER);
}

static struct stage_verdict unplug_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    return unplug_pass(stage, chunk->length, now_ns);
}

static struct stage_verdict unplug_end(struct stage *stage, uint64_t now_ns)
{
    return unplug_pass(stage, 0, now_ns);
}

const struct stage_kind duress__unplug_kind = {
    .chunk = unplug_chunk,
    .end = unplug_end,
};
